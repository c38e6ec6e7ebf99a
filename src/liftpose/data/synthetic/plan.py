"""What a take is made of before there is a body: curves over time that movements add to."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from liftpose.data.synthetic.signals import FloatArray, plateau, ramp

__all__ = ["Plan", "Walk"]


@dataclass(frozen=True)
class Walk:
    """A time in which the feet make steps.

    Args:
        start: Seconds at which the first foot leaves the floor.
        end: Seconds at which the last foot is down.
        cadence: Steps per second wished for; the steps are spread evenly over the time.
        aloft: Share of a foot's cycle, of two steps, in which its ankle moves; above about 0.7 the body flies.
        lift: Metres by which the ankle is lifted.
    """

    start: float
    end: float
    cadence: float
    aloft: float = 0.58
    lift: float = 0.13


@dataclass(eq=False)
class Plan:
    """Curves over time that describe a take. Zero everywhere is a person who stands still at the origin, facing +y.

    Movements add to the curves and bring back to zero what they added, so that any movement can follow, or overlap,
    any other one. Angles are radians, lengths metres. "Right" and "left" of an axis of two are always in this order.

    Args:
        t: (N,) seconds.
        rng: Source of all draws of the take.
    """

    t: FloatArray
    rng: np.random.Generator
    walks: list[Walk] = field(default_factory=list)
    path: FloatArray = field(init=False)
    """(N, 2) where the pelvis is to be, world x and y from the centre of the room."""
    heading: FloatArray = field(init=False)
    """(N,) direction in which the body faces, counter-clockwise from +y."""
    drop: FloatArray = field(init=False)
    """(N,) how far the pelvis is lowered."""
    shift: FloatArray = field(init=False)
    """(N, 2) how far the pelvis is moved to the body's right and forward, the feet staying where they are."""
    pelvis: FloatArray = field(init=False)
    """(N, 3) tilt forward, lean right, turn left of the pelvis."""
    trunk: FloatArray = field(init=False)
    """(N, 3) bend forward, lean right, turn left of the chest against the pelvis."""
    head: FloatArray = field(init=False)
    """(N, 3) bend forward, lean right, turn left of the head against the chest."""
    arms: FloatArray = field(init=False)
    """(N, 2, 4) inwards about the vertical, sideways away from the body, forward and up, flexion of the elbow."""
    swing: FloatArray = field(init=False)
    """(N,) factor on the swing of the arms while walking."""
    run: FloatArray = field(init=False)
    """(N,) how much of a run the steps are, 0 to 1."""

    def __post_init__(self) -> None:
        """Begin with a person who stands still."""
        n = len(self.t)
        self.path, self.shift = np.zeros((n, 2)), np.zeros((n, 2))
        self.heading, self.drop, self.run, self.swing = np.zeros(n), np.zeros(n), np.zeros(n), np.ones(n)
        self.pelvis, self.trunk, self.head = np.zeros((n, 3)), np.zeros((n, 3)), np.zeros((n, 3))
        self.arms = np.zeros((n, 2, 4))

    def turn(self, start: float, duration: float, angle: float) -> None:
        """Turn the heading by ``angle`` radians, counter-clockwise if positive."""
        self.heading += angle * ramp(self.t, start, duration)

    def move(self, start: float, duration: float, offset: FloatArray) -> None:
        """Move the path by ``offset`` (2,) metres: the speed rises, stays, and falls again."""
        speed = plateau(self.t, start, 0.3 * duration, 0.4 * duration, 0.3 * duration)
        self.path += offset * (np.cumsum(speed) * (self.t[1] - self.t[0]) / (0.7 * duration))[:, None]
