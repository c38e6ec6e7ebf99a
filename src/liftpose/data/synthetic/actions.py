"""The takes: which movements follow each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from liftpose.data.synthetic.body import Person
from liftpose.data.synthetic.movements import gesture, go, reach, sit, squat, turn_in_place, wave
from liftpose.data.synthetic.plan import Plan, Walk
from liftpose.data.synthetic.signals import FloatArray, smooth

__all__ = ["ACTIONS", "LEAD", "TAKES", "plan_take"]

LEAD: Final = 2.0
"""Seconds that are made before and after a take and cut off, so that takes begin and end in the middle of things."""

# Semi-axes of the floor that people use, metres: all of a body stays in view of all four published cameras.
_ROOM = np.array([0.85, 1.10])
_DEGREE = np.pi / 180.0
_GRAVITY = 9.81


def _closed_curve(rng: np.random.Generator) -> FloatArray:
    """Return an ellipse with a dent or a figure of eight: (K, 2) metres, the last point equal to the first."""
    u = np.linspace(0.0, 2.0 * np.pi, 2881)
    a, b = _ROOM * rng.uniform(0.88, 1.0, 2)
    if rng.random() < 0.3:
        curve = np.stack((0.85 * a * np.sin(2.0 * u), b * np.cos(u)), axis=-1)
    else:
        curve = np.stack((a * np.cos(u) + 0.06 * np.sin(3.0 * u + rng.uniform(0.0, 6.3)), b * np.sin(u)), axis=-1)
    tilt = rng.uniform(-0.15, 0.15)
    return np.asarray(curve @ np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]]))


def _loop(person: Person, plan: Plan, speed: float, tightest: float) -> float:
    """Follow a closed curve at about ``speed`` m/s, much slower where it is bent by more than ``tightest``, 1/m.

    Returns the mean speed, m/s.
    """
    rng, t = plan.rng, plan.t
    curve = _closed_curve(rng)
    step = 0.5 * (np.roll(curve[:-1], -1, axis=0) - np.roll(curve[:-1], 1, axis=0))
    length = np.hypot(*step.T)
    heading = np.arctan2(-step[:, 0], step[:, 1])
    turned = np.unwrap(np.append(heading, heading[0]))
    bend = np.gradient(turned)[:-1] / length
    cost = np.append(0.0, np.cumsum(length * np.sqrt(1.0 + (bend / tightest) ** 2)))
    mean = speed * float(length.sum() / cost[-1])
    clock = rng.uniform(0.0, cost[-1]) + speed * (t + 0.08 * np.sin(2.0 * np.pi * t / 5.0 + rng.uniform(0.0, 6.3)))
    rounds, rest = np.divmod(clock, cost[-1])
    mirror = float(rng.choice((-1.0, 1.0)))
    plan.path += np.stack([np.interp(rest, cost, curve[:, i]) for i in range(2)], axis=-1) * (mirror, 1.0)
    plan.heading += mirror * (np.interp(rest, cost, turned) + rounds * (turned[-1] - turned[0]))
    # People look where they will go, and lean into a bend.
    interval = t[1] - t[0]
    ahead = int(0.35 / interval)
    future = np.append(plan.heading[ahead:], np.full(ahead, plan.heading[-1]))
    plan.head[:, 2] += np.clip(0.8 * (future - plan.heading), -0.7, 0.7)
    lean = 0.6 * np.arctan(mean * smooth(np.gradient(plan.heading, t), 0.15 / interval) / _GRAVITY)
    plan.pelvis[:, 1] -= lean
    plan.shift[:, 0] -= (person.bone("right_thigh") + person.bone("right_shin")) * np.sin(lean)
    return mean


def _walking(person: Person, plan: Plan) -> None:
    """Walk round the room."""
    style, rng = person.style, plan.rng
    speed = _loop(person, plan, rng.uniform(1.0, 1.3) * style.pace, 1.8)
    cadence = np.sqrt(speed / 0.31) * style.cadence
    plan.walks.append(Walk(plan.t[0] - 1.0, plan.t[-1] + 1.0, cadence, aloft=0.59, lift=0.15))
    # Walkers do not stretch the standing leg fully, so the body rises less over it.
    plan.drop += 0.016
    _sometimes(person, plan, 0.35)


def _running(person: Person, plan: Plan) -> None:
    """Jog round the room."""
    style, rng = person.style, plan.rng
    speed = _loop(person, plan, rng.uniform(1.7, 2.1) * style.pace, 1.3)
    plan.run += 1.0
    plan.walks.append(
        Walk(plan.t[0] - 1.0, plan.t[-1] + 1.0, rng.uniform(2.55, 2.8) * style.cadence, aloft=0.73, lift=0.27)
    )
    plan.pelvis[:, 0] += rng.uniform(2.0, 6.0) * _DEGREE + 0.01 * speed


def _sometimes(person: Person, plan: Plan, chance: float) -> None:
    """Perhaps use the hands while the feet do something else."""
    if plan.rng.random() < chance:
        when = float(plan.rng.uniform(LEAD, max(LEAD + 1.0, plan.t[-1] - 6.0)))
        (wave if plan.rng.random() < 0.5 else gesture)(person, plan, when, float(plan.rng.uniform(2.5, 4.0)))


def _stand(plan: Plan, spread: float = 0.8) -> None:
    """Stand somewhere in the room, facing anywhere."""
    angle = plan.rng.uniform(0.0, 2.0 * np.pi)
    radius = spread * np.sqrt(plan.rng.random())
    plan.path += _ROOM * radius * (np.cos(angle), np.sin(angle))
    plan.heading += plan.rng.uniform(-np.pi, np.pi)


Movement = Callable[[Person, Plan, float], float]


def _repeat(*movements: Movement, pause: tuple[float, float], turn: float) -> Callable[[Person, Plan], None]:
    """Return a take that does the movements in random order again and again, with a turn in between by chance."""

    def take(person: Person, plan: Plan) -> None:
        _stand(plan)
        now = float(plan.rng.uniform(0.2, 1.5))
        while now < plan.t[-1]:
            now = movements[plan.rng.integers(len(movements))](person, plan, now) + plan.rng.uniform(*pause)
            if plan.rng.random() < turn:
                now = turn_in_place(
                    person, plan, now, float(plan.rng.uniform(30.0, 110.0) * plan.rng.choice((-1, 1)) * _DEGREE)
                )

    return take


def _turning(person: Person, plan: Plan) -> None:
    """Turn in place this way and that."""
    _stand(plan)
    rng, now = plan.rng, float(plan.rng.uniform(0.2, 1.2))
    while now < plan.t[-1]:
        now = turn_in_place(
            person, plan, now, float(rng.uniform(45.0, 200.0) * rng.choice((-1, 1)) * _DEGREE)
        ) + rng.uniform(0.1, 0.9)
        if rng.random() < 0.3:
            now = gesture(person, plan, now, float(rng.uniform(1.6, 3.0)))


def _mixed(person: Person, plan: Plan) -> None:
    """Walk to a place, do something there, and on to the next."""
    _stand(plan, 0.9)
    rng, now = plan.rng, 0.3
    movements: tuple[Movement, ...] = (sit, squat, reach, wave, reach)
    while now < plan.t[-1]:
        target = plan.path[-1]
        while np.hypot(*(target - plan.path[-1])) < 0.9:
            angle = rng.uniform(0.0, 2.0 * np.pi)
            target = _ROOM * np.sqrt(rng.uniform(0.2, 0.9)) * (np.cos(angle), np.sin(angle))
        now = go(person, plan, now, target) + rng.uniform(0.0, 0.3)
        now = movements[rng.integers(len(movements))](person, plan, now) + rng.uniform(0.0, 0.4)


ACTIONS: Final[dict[str, Callable[[Person, Plan], None]]] = {
    "Walking": _walking,
    "Running": _running,
    "Sitting": _repeat(sit, pause=(0.3, 1.0), turn=0.4),
    "Squats": _repeat(squat, pause=(0.1, 0.9), turn=0.25),
    "Reaching": _repeat(reach, pause=(0.1, 0.6), turn=0.25),
    "Waving": _repeat(wave, pause=(0.1, 0.8), turn=0.3),
    "Turning": _turning,
    "Mixed": _mixed,
}
"""What people do, by the name of the action."""

TAKES: Final = tuple(name if take == 0 else f"{name} {take}" for name in ACTIONS for take in range(2))
"""Names of the takes of every person: each action twice, the second time with the number of the take behind it."""


def plan_take(person: Person, action: str, frames: int, fps: float, rng: np.random.Generator) -> Plan:
    """Return the plan of a take.

    Args:
        person: Who moves.
        action: Name of the take: an action, perhaps followed by a space and a number.
        frames: Number of frames.
        fps: Frames per second.
        rng: Source of all draws.

    Returns:
        The plan, with ``LEAD`` seconds more at either end.

    Raises:
        ValueError: There is no such action.
    """
    group = action.split(" ", maxsplit=1)[0]
    if group not in ACTIONS:
        raise ValueError(f"action: expected one of {', '.join(ACTIONS)}, found {action!r}")
    lead = round(LEAD * fps)
    time: FloatArray = np.arange(frames + 2 * lead) / fps
    plan = Plan(time, rng)
    ACTIONS[group](person, plan)
    return plan
