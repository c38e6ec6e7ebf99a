"""Bodies at random: joint angles within what people can do, and bone lengths near those of real people.

This is DH-AUG's way of making poses without a network; its generator takes its bone lengths in the same way.
"""

from __future__ import annotations

import math
from typing import Final, Literal, Protocol

import torch
from torch import Tensor

from liftpose.geometry.bones import SCALE_COLUMNS, scale_bones
from liftpose.geometry.constants import Table, device_table
from liftpose.geometry.joint_angles import JointAngles
from liftpose.geometry.kinematics import JOINT_VARIABLES, joint_limits

__all__ = ["BoneScales", "RandomNumbers", "random_bone_lengths", "random_joint_angles"]

BoneScales = Literal["different", "same", "none"]
"""Whether each pair of bones changes by a share of its own, all change by the same one, or none does."""

_SPREAD: Final = math.radians(60)
_GLOBAL_LIMITS: Final = ((-20, 20), (-20, 20), (-180, 180))  # degrees about x, y and z
_DRAWN: Final = JOINT_VARIABLES + 1  # the published code draws one angle more, which no joint has


class RandomNumbers(Protocol):
    """Something that draws random numbers for B samples, such as ``liftpose.data.draws.Draws``."""

    def normal(self, *shape: int) -> Tensor:
        """Return (B, *shape) numbers of the standard normal distribution."""

    def uniform(self, *shape: int) -> Tensor:
        """Return (B, *shape) numbers uniform in [0, 1)."""

    def integers(self, high: int, *shape: int) -> Tensor:
        """Return (B, *shape) whole numbers, uniform from 0 to ``high`` - 1."""


def _middle_and_half() -> Table:
    joints = joint_limits("random", dtype=torch.float64).tolist()
    whole = [tuple(map(math.radians, limits)) for limits in _GLOBAL_LIMITS]
    return tuple(((low + high) / 2, (high - low) / 2) for low, high in (*joints, *whole))


_RANGES: Final = _middle_and_half()


def random_joint_angles(draws: RandomNumbers, *, global_rotation: bool = True) -> JointAngles:
    """Draw joint angles and rotations as DH-AUG's generator without a network does.

    From 0 to 33 of 34 angles, one of which no joint has, are chosen; every such number is as likely as another. A
    chosen angle is normal about the middle of its limits ``joint_limits("random")`` with a standard deviation of 60
    degrees, cut to the limits: so much of it lies at the limits themselves. The others are 0. The rotation about
    the body's x and y axes is drawn in the same way within 20 degrees, that about z within 180.

    The published code makes pose after pose, the first of which is always the neutral one; here they are all drawn.

    Args:
        draws: The random numbers, for B poses.
        global_rotation: Whether the bodies turn as a whole; otherwise their rotation is 0.

    Returns:
        Joint variables (B, 33) and rotations (B, 3), radians.

    Example:
        >>> from liftpose.data.draws import BatchPlace, Draws
        >>> angles, rotation = random_joint_angles(Draws(0, BatchPlace(0, 0, 0, 100, 100)))
        >>> limits = joint_limits("random")
        >>> angles.shape, bool((angles >= limits[:, 0] - 1e-6).all() and (angles <= limits[:, 1] + 1e-6).all())
        (torch.Size([100, 33]), True)
    """
    count = draws.integers(_DRAWN)
    order = draws.uniform(_DRAWN)
    first_left = torch.take_along_dim(order.sort(-1).values, count.unsqueeze(-1), dim=-1)
    chosen = order[:, :JOINT_VARIABLES] < first_left  # as many as count says
    normal = draws.normal(JOINT_VARIABLES + 3)
    middle, half = device_table(_RANGES, normal.dtype, normal.device).unbind(-1)
    drawn = middle + torch.clamp(_SPREAD * normal, -half, half)
    angles, rotation = drawn.split_with_sizes((JOINT_VARIABLES, 3), dim=-1)
    angles = torch.where(chosen, angles, 0)
    return JointAngles(angles, rotation if global_rotation else torch.zeros_like(rotation))


def random_bone_lengths(
    lengths: Tensor, draws: RandomNumbers, *, scales: BoneScales = "different", largest: float = 0.2
) -> Tensor:
    """Make the bones of people longer or shorter at random.

    The shares are uniform up to ``largest`` either way (the published code draws whole thousandths). As published the
    thorax keeps its length, whatever ``scales`` is.

    Args:
        lengths: (B, ..., 15) metres, in the order ``liftpose.geometry.kinematics.BONES``.
        draws: The random numbers, for B samples; what belongs to one sample changes alike.
        scales: Which bones change by the same share.
        largest: Largest share of its length by which a bone changes.

    Returns:
        (B, ..., 15) metres.

    Raises:
        ValueError: ``scales`` is another word.
    """
    if scales not in ("different", "same", "none"):
        raise ValueError(f"scales: expected 'different', 'same' or 'none', found {scales!r}")
    if scales == "none":
        return lengths
    columns = len(set(SCALE_COLUMNS) - {None})
    shares = largest * (2 * draws.uniform(*(1,) * (lengths.ndim - 2), 1 if scales == "same" else columns) - 1)
    return scale_bones(lengths, shares.expand(*lengths.shape[:-1], columns))
