"""What a joint order is, and the mirror image of arrays that are in one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from liftpose.errors import LiftposeError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PARTS", "Skeleton", "mirror"]

Array = TypeVar("Array", npt.NDArray[Any], "Tensor")

PARTS = ("torso", "right_arm", "left_arm", "right_leg", "left_leg")
"""Names of the body parts that a skeleton may tell apart."""


@dataclass(frozen=True)
class Skeleton:
    """A joint order: what index j of an array means.

    Args:
        name: Name by which configurations, sidecars and prediction files refer to it.
        joint_names: One name per joint, no two alike; joints of the two sides start with ``left_`` and ``right_``.
        parents: Index of each joint's parent, -1 for the root. For the keypoints of a detector, which have no
            kinematics, it is a tree that can be drawn.
        left: Indices of the joints of the left side.
        right: Indices of the joints of the right side, paired with ``left`` in this order.
        parts: The five :data:`PARTS` that relative encodings work on -> joint indices, limbs from the body outwards.
            Every joint is in one part. Empty where a skeleton is not made of such parts.

    Raises:
        ValueError: The entries contradict each other.
    """

    name: str
    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    parts: Mapping[str, tuple[int, ...]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Check that it is one tree with two paired sides."""
        joints = range(len(self.joint_names))
        if len(set(self.joint_names)) != len(joints) or len(self.parents) != len(joints):
            raise ValueError(f"{self.name}: expected as many parents as different joint names ({len(joints)})")
        if self.parents.count(-1) != 1 or not set(self.parents) <= {-1, *joints}:
            raise ValueError(f"{self.name}: expected parents to be joint indices with one -1, found {self.parents}")
        for joint in joints:
            current, steps = joint, 0
            while current != -1 and steps <= len(joints):
                current, steps = self.parents[current], steps + 1
            if current != -1:
                raise ValueError(f"{self.name}: expected a tree, found a cycle above {self.joint_names[joint]}")
        sides = (*self.left, *self.right)
        if len(self.left) != len(self.right) or len(set(sides)) != len(sides) or not set(sides) <= set(joints):
            raise ValueError(f"{self.name}: expected pairs of different joints, found {self.left} and {self.right}")
        for left, right in zip(self.left, self.right, strict=True):
            pair = self.joint_names[left], self.joint_names[right]
            if not pair[0].startswith("left_") or pair[1] != "right_" + pair[0].removeprefix("left_"):
                raise ValueError(f"{self.name}: expected a left joint and the same of the right side, found {pair}")
        if self.parts:
            members = sorted(joint for part in self.parts.values() for joint in part)
            if set(self.parts) != set(PARTS) or members != list(joints):
                raise ValueError(f"{self.name}: expected every joint in one of {PARTS}, found {dict(self.parts)}")

    def __len__(self) -> int:
        """Number of joints."""
        return len(self.joint_names)

    @property
    def root(self) -> int:
        """Index of the joint that has no parent."""
        return self.parents.index(-1)

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """Pairs (parent, child) of joint indices, in the order of the children."""
        return tuple((parent, child) for child, parent in enumerate(self.parents) if parent >= 0)

    @property
    def mirror_index(self) -> tuple[int, ...]:
        """Permutation that exchanges the sides: joint j of the mirrored body is joint ``mirror_index[j]``."""
        index = list(range(len(self)))
        for left, right in zip(self.left, self.right, strict=True):
            index[left], index[right] = right, left
        return tuple(index)

    def index(self, joint_name: str) -> int:
        """Return the index of a joint.

        Raises:
            LiftposeError: The skeleton has no joint of that name.
        """
        if joint_name not in self.joint_names:
            raise LiftposeError(
                f"{self.name}: expected one of the joints {', '.join(self.joint_names)}, found {joint_name!r}"
            )
        return self.joint_names.index(joint_name)

    def check(self, array: Any, what: str) -> None:
        """Refuse an array that is not in this joint order.

        Args:
            array: Anything with a shape (..., J, C).
            what: What the message calls the array, for example the file it comes from.

        Raises:
            LiftposeError: J is not this skeleton's number of joints, or there are fewer than two dimensions.
        """
        shape = tuple(array.shape)
        if len(shape) < 2:
            raise LiftposeError(
                f"{what}: expected an array (..., {len(self)}, C) for the skeleton {self.name}, found shape {shape}"
            )
        if shape[-2] != len(self):
            raise LiftposeError(
                f"{what}: expected the {len(self)} joints of the skeleton {self.name}, found {shape[-2]}"
            )


def split_joints(array: Array) -> list[Array]:
    """Return the joints of an array (..., J, C), each (..., C)."""
    return list(np.moveaxis(array, -2, 0)) if isinstance(array, np.ndarray) else list(array.unbind(-2))


def join_joints(joints: list[Array]) -> Array:
    """Put joints (..., C) together as (..., J, C): the inverse of :func:`split_joints`.

    Stacking slices needs no index tensor, whose copy to a GPU would hold up everything queued there.
    """
    if isinstance(joints[0], np.ndarray):
        return np.stack(joints, axis=-2)
    import torch  # here, because joint names must be had without the second that this import takes

    return torch.stack(joints, dim=-2)


def mirror(array: Array, skeleton: Skeleton) -> Array:
    """Mirror a body at the plane x = 0: exchange its left and right joints and negate x.

    For 3D poses relative to the root, keypoints in screen coordinates and anything else whose x is 0 in the mirror
    plane; pixels are not. Mirroring twice gives the first array.

    Args:
        array: (..., J, C), x is channel 0; numpy or torch, any unit. Channels behind the coordinates, such as
            confidence, move with their joint.
        skeleton: Joint order of the array.

    Returns:
        (..., J, C), a new array.

    Raises:
        LiftposeError: The array has another number of joints.
    """
    skeleton.check(array, "mirrored array")
    joints = split_joints(array)
    exchanged = join_joints([joints[j] for j in skeleton.mirror_index])
    exchanged[..., 0] = -exchanged[..., 0]  # in place, but of the copy that join_joints made
    return exchanged
