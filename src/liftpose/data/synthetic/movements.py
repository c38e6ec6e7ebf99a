"""Single movements, from sitting to going somewhere. Each adds to a plan and returns the second at which it is over."""

from __future__ import annotations

import numpy as np

from liftpose.data.synthetic.body import Person
from liftpose.data.synthetic.plan import Plan, Walk
from liftpose.data.synthetic.signals import plateau, ramp, wander

__all__ = ["gesture", "go", "reach", "sit", "squat", "turn_in_place", "wave"]

_DEGREE = np.pi / 180.0


def _hand(person: Person, plan: Plan) -> tuple[int, float]:
    """Draw the hand to use, mostly the better one: 0 and +1 for the right one, 1 and -1 for the left one."""
    side = int(plan.rng.random() < 0.25) if person.style.right_handed else int(plan.rng.random() >= 0.25)
    return side, 1.0 - 2.0 * side


def _degrees(plan: Plan, *ranges: tuple[float, float]) -> np.ndarray:
    """Draw angles from ranges in degrees: radians."""
    return np.array([plan.rng.uniform(*r) for r in ranges]) * _DEGREE


def sit(person: Person, plan: Plan, start: float, hold: float | None = None) -> float:
    """Sit down on something of chair height, stay, and get up. Returns when that is over, seconds."""
    rng, t, pace = plan.rng, plan.t, person.style.pace
    down, up = rng.uniform(1.3, 1.9) / pace, rng.uniform(1.2, 1.7) / pace
    hold = float(rng.uniform(1.5, 4.0)) if hold is None else hold
    seat = plateau(t, start, down, hold, up)
    thigh, shin = person.bone("right_thigh"), person.bone("right_shin")
    plan.drop += seat * (thigh + rng.uniform(-0.05, 0.08) * shin)
    plan.shift[:, 1] -= seat * (0.97 * thigh - rng.uniform(-0.12, 0.10) * shin)
    # The trunk leans forward while the weight goes back, and is upright on the seat.
    over, rest = rng.uniform(26.0, 37.0) * _DEGREE, rng.uniform(-6.0, 10.0) * _DEGREE
    lean = plateau(t, start - 0.1 * down, 0.65 * down, 0.15 * down, 0.6 * down) + plateau(
        t, start + down + hold - 0.15 * up, 0.5 * up, 0.1 * up, 0.65 * up
    )
    plan.trunk[:, 0] += over * 0.7 * lean + rest * seat
    plan.pelvis[:, 0] += over * 0.4 * lean - rng.uniform(2.0, 10.0) * _DEGREE * seat
    plan.head[:, 0] -= over * 0.5 * lean
    # Hands lie on the thighs, or one of them speaks.
    for side in range(2):
        inwards, flex, elbow = _degrees(plan, (0.0, 14.0), (20.0, 40.0), (32.0, 58.0))
        plan.arms[:, side] += seat[:, None] * (inwards, 2.0 * _DEGREE, flex, elbow)
        plan.arms[:, side, 2] += 0.55 * over * lean
    if hold > 1.6:
        gesture(person, plan, start + down + 0.2, hold - 0.4)
    plan.head[:, 2] += plateau(t, start + down, 0.6, max(0.1, hold - 1.2), 0.6) * rng.uniform(-40.0, 40.0) * _DEGREE
    return start + down + hold + up


def squat(person: Person, plan: Plan, start: float) -> float:
    """Bend the knees deeply and come up again, the arms forward for balance. Returns when that is over, seconds."""
    rng, t, pace = plan.rng, plan.t, person.style.pace
    down, hold, up = rng.uniform(0.8, 1.2) / pace, rng.uniform(0.0, 0.5), rng.uniform(0.7, 1.1) / pace
    depth = rng.uniform(0.75, 1.05)
    low = plateau(t, start, down, hold, up) * depth
    thigh, shin = person.bone("right_thigh"), person.bone("right_shin")
    plan.drop += low * (0.92 * thigh)
    plan.shift[:, 1] -= low * 0.40 * shin
    bend, tilt = _degrees(plan, (24.0, 38.0), (8.0, 18.0))
    plan.trunk[:, 0] += low * bend
    plan.pelvis[:, 0] += low * tilt
    plan.head[:, 0] -= low * 0.5 * bend
    inwards, flex, elbow = _degrees(plan, (-5.0, 12.0), (85.0, 125.0), (0.0, 25.0))
    plan.arms += low[:, None, None] * (inwards, 0.0, flex, elbow)
    return start + down + hold + up


# Inwards, sideways, forward and up, elbow; bend, lean and twist of the trunk towards the hand; tilt of the pelvis;
# lowering in leg lengths. Degrees.
_REACHES = {
    "ahead": ((-12, 14), (0, 8), (72, 100), (0, 15), (4, 22), (0, 3), (8, 22), (0, 6), (0.0, 0.01)),
    "up": ((-25, 10), (0, 10), (138, 166), (-5, 15), (-8, 2), (-9, -2), (0, 12), (-2, 2), (0.0, 0.0)),
    "aside": ((-92, -60), (0, 5), (78, 105), (-5, 15), (0, 8), (3, 9), (-28, -10), (0, 3), (0.0, 0.02)),
    "across": ((22, 36), (0, 3), (70, 95), (0, 22), (4, 14), (-4, 2), (18, 34), (0, 5), (0.0, 0.02)),
    "down": ((-10, 14), (0, 6), (58, 92), (-5, 10), (34, 56), (0, 6), (4, 18), (16, 30), (0.08, 0.24)),
}


def reach(person: Person, plan: Plan, start: float) -> float:
    """Reach for something with one hand or both, and draw back. Returns when that is over, seconds."""
    rng, t, pace = plan.rng, plan.t, person.style.pace
    kind = str(rng.choice(list(_REACHES)))
    side, sign = _hand(person, plan)
    rise, hold, fall = rng.uniform(0.6, 1.0) / pace, rng.uniform(0.2, 0.9), rng.uniform(0.6, 1.0) / pace
    if kind == "down":
        rise, fall = 1.4 * rise, 1.3 * fall
    arm = plateau(t, start, rise, hold, fall)
    body = plateau(t, start - 0.12, 1.1 * rise, hold, 1.15 * fall)
    *angles, drop = _REACHES[kind]
    inwards, sideways, flex, elbow, bend, lean, twist, tilt = _degrees(plan, *angles)
    both = kind in ("ahead", "up", "down") and rng.random() < 0.35
    for hand in (0, 1) if both else (side,):
        plan.arms[:, hand] += arm[:, None] * (inwards, sideways, flex, elbow - 0.5 * person.style.elbow)
    if not both:
        plan.trunk[:, 1] += sign * lean * body
        plan.trunk[:, 2] += sign * twist * body
        look = -sign * 35.0 * _DEGREE if kind == "aside" else 0.0
        plan.head[:, 2] += look * body
        # The other arm hangs down, whatever the trunk does.
        plan.arms[:, 1 - side, 2] += 0.85 * max(0.0, bend + tilt) * body
    plan.trunk[:, 0] += bend * body
    plan.pelvis[:, 0] += tilt * body
    plan.head[:, 0] += body * (-18.0 * _DEGREE if kind == "up" else 0.15 * bend)
    leg = person.bone("right_thigh") + person.bone("right_shin")
    plan.drop += body * leg * rng.uniform(*drop)
    plan.shift[:, 1] += body * leg * (-0.10 if kind == "down" else 0.03)
    return start + rise + hold + fall


def wave(person: Person, plan: Plan, start: float, duration: float | None = None) -> float:
    """Raise a hand and wave it, beside the head or above it. Returns when that is over, seconds."""
    rng, t = plan.rng, plan.t
    rise, fall = rng.uniform(0.5, 0.8) / person.style.pace, rng.uniform(0.5, 0.9) / person.style.pace
    hold = float(rng.uniform(1.5, 3.5)) if duration is None else max(0.5, duration - rise - fall)
    up = plateau(t, start, rise, hold, fall)
    beat = plateau(t, start + 0.7 * rise, 0.4, max(0.1, hold - 0.4), 0.4) * np.sin(
        2.0 * np.pi * rng.uniform(1.1, 1.9) * (t - start)
    )
    side, sign = _hand(person, plan)
    hands = (0, 1) if rng.random() < 0.2 else (side,)
    high = rng.random() < 0.4
    if high:
        inwards, flex, elbow, sideways = _degrees(plan, (-50.0, -25.0), (132.0, 155.0), (8.0, 28.0), (0.0, 5.0))
        amount_in, amount_elbow = _degrees(plan, (16.0, 26.0), (5.0, 14.0))
    else:
        inwards, flex, elbow, sideways = _degrees(plan, (-92.0, -62.0), (72.0, 108.0), (55.0, 78.0), (0.0, 5.0))
        amount_in, amount_elbow = _degrees(plan, (4.0, 10.0), (18.0, 30.0))
    for hand in hands:
        plan.arms[:, hand] += up[:, None] * (inwards, sideways, flex, elbow)
        plan.arms[:, hand, 0] += amount_in * beat
        plan.arms[:, hand, 3] += amount_elbow * beat
    if len(hands) == 1:
        plan.trunk[:, 1] -= sign * rng.uniform(1.0, 6.0) * _DEGREE * up
        plan.shift[:, 0] -= sign * 0.02 * up
    plan.head[:, 2] += rng.uniform(-20.0, 20.0) * _DEGREE * up
    return start + rise + hold + fall


def gesture(person: Person, plan: Plan, start: float, duration: float) -> float:
    """Speak with the hands for a time: forearms come up and move irregularly. Returns when that is over, seconds."""
    rng, t = plan.rng, plan.t
    edge = min(0.7, 0.45 * duration)
    up = plateau(t, start, edge, duration - 2.0 * edge, edge)
    curves = wander(rng, t, 8, 1.6)
    side, _ = _hand(person, plan)
    for hand in (0, 1) if rng.random() < 0.4 else (side,):
        inwards, flex, elbow = _degrees(plan, (0.0, 14.0), (4.0, 16.0), (30.0, 48.0))
        move = curves[:, 4 * hand : 4 * hand + 4] * np.array([7.0, 2.0, 7.0, 11.0]) * _DEGREE
        plan.arms[:, hand] += up[:, None] * (np.array([inwards, 0.0, flex, elbow]) + move)
    plan.head[:, 0] += up * 3.0 * _DEGREE * curves[:, 3]
    return start + duration


def turn_in_place(person: Person, plan: Plan, start: float, angle: float) -> float:
    """Turn by ``angle`` radians with small steps, head and chest first. Returns when that is over, seconds."""
    t, style = plan.t, person.style
    duration = max(0.9, abs(angle) / (plan.rng.uniform(1.3, 1.9) * style.pace))
    plan.turn(start, duration, angle)
    plan.walks.append(Walk(start - 0.1, start + duration + 0.35, 1.9 * style.cadence, aloft=0.45, lift=0.07))
    ahead = ramp(t, start - 0.3, duration) - ramp(t, start, duration)
    plan.head[:, 2] += np.clip(angle, -1.2, 1.2) * 1.1 * ahead
    plan.trunk[:, 2] += np.clip(angle, -1.2, 1.2) * 0.4 * ahead
    return start + duration + 0.35


def go(person: Person, plan: Plan, start: float, target: np.ndarray) -> float:
    """Turn towards a place, (2,) metres on the floor, and walk there. Returns when that is over, seconds."""
    style = person.style
    way = target - plan.path[-1]
    distance = float(np.hypot(*way))
    facing = float(plan.heading[-1])
    angle = (np.arctan2(-way[0], way[1]) - facing + np.pi) % (2.0 * np.pi) - np.pi
    if abs(angle) > 25.0 * _DEGREE:
        start = turn_in_place(person, plan, start, float(angle)) + 0.15
        angle = 0.0
    speed = plan.rng.uniform(0.65, 0.85) * style.pace
    duration = max(1.2, distance / speed)
    plan.turn(start, 0.8, float(angle))
    plan.move(start, duration, way)
    plan.walks.append(Walk(start - 0.05, start + duration + 0.1, 1.75 * style.cadence))
    return start + duration + 0.1
