"""A whole set of synthetic people who move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from liftpose.data.synthetic.actions import LEAD, TAKES, plan_take
from liftpose.data.synthetic.body import make_person
from liftpose.data.synthetic.motion import animate, joints_of
from liftpose.data.synthetic.signals import derive_generator

__all__ = ["CAPTURE_CENTRE", "SPLITS", "synthetic_people", "synthetic_take"]

SPLITS: Final[dict[str, tuple[str, ...]]] = {
    "train": ("P1", "P2", "P3", "P4", "P5"),
    "validation": ("P6",),
    "test": ("P7", "P8"),
}
"""The subjects of the usual synthetic data set: nobody is in two splits."""

CAPTURE_CENTRE: Final = (0.35, 0.95)
"""World x and y of the middle of the floor that people use, metres: the four Human3.6M cameras see it best."""


def synthetic_take(subject: str, action: str, frames: int, seed: int, fps: float = 50.0) -> npt.NDArray[np.float32]:
    """Return one person's movement in one take.

    Args:
        subject: Name of the person; with the seed it settles bone lengths and manner of moving.
        action: Name of the take, such as ``"Walking"`` or ``"Walking 1"``.
        frames: Number of frames, at least 1.
        seed: Seed of the data set.
        fps: Frames per second.

    Returns:
        (frames, 17, 3) float32, metres, in a world frame with z up and the floor at z = 0; joint order
        ``liftpose.skeletons.H36M_17``.

    Raises:
        ValueError: The action is unknown, or there would be no frame.
    """
    if frames < 1:
        raise ValueError(f"frames: expected at least 1, found {frames}")
    person = make_person(subject, seed)
    plan = plan_take(person, action, frames, fps, derive_generator(seed, subject, action))
    joints = joints_of(person, animate(person, plan, fps))
    lead = round(LEAD * fps)
    return np.asarray(joints[lead : lead + frames] + np.array([*CAPTURE_CENTRE, 0.0]), dtype=np.float32)


def synthetic_people(
    subjects: Sequence[str],
    frames_per_action: int = 600,
    seed: int = 0,
    fps: float = 50.0,
    actions: Sequence[str] = TAKES,
) -> dict[str, dict[str, npt.NDArray[np.float32]]]:
    """Return people who walk, run, sit, squat, reach, wave and turn: a data set that needs no files.

    What a person looks like and does depends on the seed and on the names of person and take only, so a part of the
    set equals that part of the whole set, bit for bit.

    Args:
        subjects: Names of the people.
        frames_per_action: Number of frames of each take.
        seed: Seed of the data set.
        fps: Frames per second.
        actions: Names of the takes, by default every action twice.

    Returns:
        Subject -> take -> (frames_per_action, 17, 3) float32, metres, in a world frame with z up and the floor at
        z = 0; joint order ``liftpose.skeletons.H36M_17``.

    Raises:
        ValueError: An action is unknown, or there would be no frame.
    """
    return {
        subject: {action: synthetic_take(subject, action, frames_per_action, seed, fps) for action in actions}
        for subject in subjects
    }
