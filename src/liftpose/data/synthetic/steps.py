"""Where the feet are: planted on the floor or on their way to the next place."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from liftpose.data.synthetic.plan import Plan, Walk
from liftpose.data.synthetic.signals import FloatArray, ramp

__all__ = ["Feet", "place_feet"]

# Share of a foot's time on the floor at which the pelvis is above it: people land a little farther ahead than they
# push off behind.
_ABOVE = 0.56


class Feet(NamedTuple):
    """The feet over time, right and left in this order.

    Attributes:
        ankles: (N, 2, 3) metres, world frame, z above the ankle's height on a flat foot.
        yaw: (N, 2) radians, direction of the foot, counter-clockwise from +y.
        step: (N,) phase of the steps in turns: whole numbers are the moments at which the pelvis passes over a
            standing foot.
    """

    ankles: FloatArray
    yaw: FloatArray
    step: FloatArray


def _travel(x: FloatArray) -> FloatArray:
    """Return how much of its way a foot has made at ``x`` of its time in the air: all, a moment before it is down."""
    return ramp(x, 0.0, 0.94)


def _height(x: FloatArray) -> FloatArray:
    """Return the height of the ankle in the air, 1 at most: early, because the heel rises before the toes."""
    peak = 4.0 / 9.0
    return np.asarray(x**2 * (1.0 - x) ** 2.5 / (peak**2 * (1.0 - peak) ** 2.5))


def _homes(plan: Plan, times: FloatArray, stance: tuple[float, float], toe_out: float) -> tuple[FloatArray, FloatArray]:
    """Return where both feet stand under the pelvis at some times: (K, 2, 2) metres and their direction (K, 2) radians.

    ``stance`` is how far to the right and how far forward of the pelvis the right foot stands; the left foot mirrors
    it.
    """
    heading = np.interp(times, plan.t, plan.heading)
    place = np.stack([np.interp(times, plan.t, plan.path[:, i]) for i in range(2)], axis=-1)
    right = np.stack((np.cos(heading), np.sin(heading)), axis=-1)
    away = stance[0] * right + stance[1] * np.stack((-right[:, 1], right[:, 0]), axis=-1)
    return np.stack((place + away, place - away), axis=1), np.stack((heading - toe_out, heading + toe_out), axis=-1)


def _schedule(walk: Walk) -> tuple[FloatArray, float]:
    """Return when each step begins, and the seconds from one step to the next."""
    count = max(2, round((walk.end - walk.start) * walk.cadence))
    interval = (walk.end - walk.start) / (count - 1 + 2.0 * walk.aloft)
    return np.asarray(walk.start + interval * np.arange(count), dtype=np.float64), float(interval)


def place_feet(plan: Plan, half_width: float, toe_out: float, lift: float) -> Feet:
    """Plant the feet along the path: each stands still where the pelvis will be above it, and moves between.

    Args:
        plan: The take.
        half_width: Half the distance between the feet, metres.
        toe_out: How far the feet turn outwards, radians.
        lift: Factor on the height of steps.

    Returns:
        The feet over time. A planted foot does not move at all.
    """
    t = plan.t
    # Nobody stands with both feet exactly side by side.
    stance = (half_width, float(plan.rng.uniform(-0.025, 0.025)))
    place, yaw = (home[0] for home in _homes(plan, t[:1], stance, toe_out))
    ankles = np.zeros((len(t), 2, 3))
    ankles[..., :2] = place
    yaws = np.tile(yaw, (len(t), 1))
    moments, phases = [t[0] - 1e3], [0.0]
    for walk in plan.walks:
        begins, interval = _schedule(walk)
        aloft = 2.0 * walk.aloft * interval
        above = begins + aloft + _ABOVE * (2.0 * interval - aloft)
        # The last two steps bring the feet together where the walk ends.
        homes, directions = _homes(plan, np.append(above[:-2], (walk.end, walk.end)), stance, toe_out)
        # The foot on the side of a turn begins; then the feet take turns.
        first = int(np.interp(walk.end, t, plan.heading) > np.interp(walk.start, t, plan.heading))
        for k, begin in enumerate(begins):
            foot = (first + k) % 2
            x = np.clip((t - begin) / aloft, 0.0, 1.0)
            way = _travel(x)
            ankles[:, foot, :2] += way[:, None] * (homes[k, foot] - place[foot])
            ankles[:, foot, 2] += walk.lift * lift * _height(x)
            yaws[:, foot] += way * (directions[k, foot] - yaw[foot])
            place[foot], yaw[foot] = homes[k, foot], directions[k, foot]
        moments.extend((walk.start, *above))
        phases.extend(np.ceil(phases[-1]) + np.arange(len(begins) + 1.0))
    order = np.argsort(moments, kind="stable")
    return Feet(ankles, yaws, np.interp(t, np.array(moments)[order], np.array(phases)[order]))
