"""The synthetic people: how long their bones are and in which manner they move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liftpose.data.synthetic.signals import FloatArray, derive_generator
from liftpose.geometry.kinematics import BONES

__all__ = ["Person", "Style", "make_person"]

# Bone lengths as shares of the stature: the means of the Human3.6M people (DH-AUG's bone length templates), whose
# statures are about 1.75 m.
_PROPORTIONS = {
    "shin": 0.2560,
    "thigh": 0.2581,
    "hip": 0.0774,
    "waist": 0.1380,
    "thorax": 0.1460,
    "shoulder": 0.0862,
    "upper_arm": 0.1611,
    "forearm": 0.1429,
    "neck": 0.1054,
}
_ANKLE_HEIGHT = 0.046
_VARIATION = 0.04
_STATURES = (1.55, 1.95)
_UPRIGHT = ("shin", "thigh", "waist", "thorax", "neck")


@dataclass(frozen=True)
class Style:
    """The manner in which somebody moves; all angles in radians.

    Args:
        pace: Factor on speeds.
        cadence: Factor on steps per second at a given speed.
        arm_swing: Factor on how far the arms swing.
        elbow: Flexion of the hanging elbow.
        spread: How far the hanging arms stand off the body.
        lean: Forward lean of the trunk.
        hunch: Bend of the upper back, made up for by the neck.
        width: Distance of the standing feet over that of the hips.
        toe_out: How far feet and knees turn outwards.
        lift: Factor on how high the feet are lifted.
        sway: Factor on how far the pelvis moves over the standing foot.
        restlessness: Factor on involuntary movement.
        right_handed: Whether the right hand is used for most things.
    """

    pace: float
    cadence: float
    arm_swing: float
    elbow: float
    spread: float
    lean: float
    hunch: float
    width: float
    toe_out: float
    lift: float
    sway: float
    restlessness: float
    right_handed: bool


@dataclass(frozen=True, eq=False)
class Person:
    """One synthetic person.

    Args:
        name: Name of the subject in the data set.
        stature: Height of the standing person, metres.
        ankle_height: Height of the ankles above the floor when the feet stand flat, metres.
        bone_lengths: (15,) metres, in the order of ``liftpose.geometry.kinematics.BONES``; left and right are equal.
        style: Manner of moving.
    """

    name: str
    stature: float
    ankle_height: float
    bone_lengths: FloatArray
    style: Style

    def bone(self, name: str) -> float:
        """Return the length in metres of the bone of that name."""
        return float(self.bone_lengths[BONES.index(name)])


def make_person(name: str, seed: int) -> Person:
    """Return the person of that name: the same for the same seed, whoever else is made.

    Proportions vary by about 4 per cent around those of the Human3.6M people, statures from 1.55 to 1.95 m.

    Args:
        name: Name of the subject.
        seed: Seed of the data set.

    Returns:
        Bone lengths and manner of moving.
    """
    rng = derive_generator(seed, name, "body")
    stature = float(rng.uniform(*_STATURES))
    scale = np.clip(rng.normal(1.0, _VARIATION, len(_PROPORTIONS)), 1.0 - 2.0 * _VARIATION, 1.0 + 2.0 * _VARIATION)
    lengths = {part: share * factor for (part, share), factor in zip(_PROPORTIONS.items(), scale, strict=True)}
    # The upright bones and the ankles make up the stature, whatever the single proportions are.
    upright = sum(_PROPORTIONS[part] for part in _UPRIGHT) / sum(lengths[part] for part in _UPRIGHT)
    lengths = {part: stature * share * (upright if part in _UPRIGHT else 1.0) for part, share in lengths.items()}
    degrees = np.pi / 180.0
    style = Style(
        pace=float(rng.uniform(0.85, 1.15)),
        cadence=float(rng.uniform(0.92, 1.08)),
        arm_swing=float(rng.uniform(0.6, 1.4)),
        elbow=float(rng.uniform(10.0, 28.0)) * degrees,
        spread=float(rng.uniform(5.0, 13.0)) * degrees,
        lean=float(rng.uniform(-1.0, 5.0)) * degrees,
        hunch=float(rng.uniform(2.0, 14.0)) * degrees,
        width=float(rng.uniform(0.75, 1.15)),
        toe_out=float(rng.uniform(2.0, 14.0)) * degrees,
        lift=float(rng.uniform(0.85, 1.2)),
        sway=float(rng.uniform(0.7, 1.3)),
        restlessness=float(rng.uniform(0.6, 1.4)),
        right_handed=bool(rng.random() < 0.8),
    )
    bones = np.array([lengths[bone.removeprefix("left_").removeprefix("right_")] for bone in BONES])
    return Person(name, stature, _ANKLE_HEIGHT * stature, bones, style)
