"""Named ways from one joint order into another.

There is an adapter only where every joint of the target is a joint of the source or a mean of some. COCO keypoints, for
one, have no pelvis, spine, thorax or head top: joints that were made up from the shoulders and the nose cost a lifter
that was trained on Human3.6M tens of millimetres without a sign of it, so there is no such adapter and the network has
to be trained on the keypoints it gets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from liftpose.errors import LiftposeError
from liftpose.skeletons.skeleton import Array, Skeleton, join_joints, split_joints
from liftpose.skeletons.tables import (
    BODY_25,
    BODY_25B,
    CMU_31,
    COCO_17,
    COCO_18,
    H36M_16,
    H36M_17,
    H36M_32,
    H36M_MPII_ORDER_16,
    HALPE_26,
    HUMANEVA_15,
    HUMANEVA_20,
    MADS_15,
    MADS_19,
    MPI_INF_3DHP_17,
    MPI_INF_3DHP_28,
)

__all__ = ["Adapter", "adapt", "adapter_targets", "get_adapter"]


@dataclass(frozen=True)
class Adapter:
    """How the joints of one order are found among those of another.

    Args:
        source: Name of the skeleton of the arrays that come in.
        target: Name of the skeleton of the arrays that go out.
        rows: For each joint of the target, the joints of the source whose mean it is (one listed twice weighs double).
        approximate: Joints of the target that the source only has a stand-in for: the mean of neighbours, or a point
            of the same body part that the two data sets define differently.
    """

    source: str
    target: str
    rows: tuple[tuple[int, ...], ...]
    approximate: tuple[str, ...]


def _adapter(source: Skeleton, target: Skeleton, approximate: str = "", **means: str) -> Adapter:
    """Make an adapter: joints of the same name, except for those whose source joints are given."""
    rows = [tuple(source.index(name) for name in means.get(joint, joint).split()) for joint in target.joint_names]
    return Adapter(source.name, target.name, tuple(rows), tuple(approximate.split()))


# The spine joint of Human3.6M lies half-way between pelvis and thorax where nothing better is known.
_SPINE_OF_HIPS_AND_NECK = "left_hip right_hip neck neck"

_ADAPTERS: Final[dict[tuple[str, str], Adapter]] = {
    (adapter.source, adapter.target): adapter
    for adapter in (
        _adapter(H36M_32, H36M_17),
        _adapter(H36M_32, H36M_16),
        _adapter(H36M_32, H36M_MPII_ORDER_16),
        _adapter(H36M_17, H36M_16),
        _adapter(H36M_17, H36M_MPII_ORDER_16),
        _adapter(H36M_16, H36M_17, approximate="neck", neck="thorax head"),
        _adapter(H36M_MPII_ORDER_16, H36M_17, approximate="spine", spine="pelvis thorax"),
        _adapter(H36M_MPII_ORDER_16, H36M_16, approximate="spine", spine="pelvis thorax"),
        _adapter(
            HUMANEVA_20,
            HUMANEVA_15,
            thorax="torso_top head_base",
            left_elbow="left_upper_arm_end left_forearm_start",
            right_elbow="right_upper_arm_end right_forearm_start",
            left_knee="left_thigh_end left_shin_start",
            right_knee="right_thigh_end right_shin_start",
        ),
        _adapter(MADS_19, MADS_15),
        _adapter(MPI_INF_3DHP_28, MPI_INF_3DHP_17),
        *(
            _adapter(source, H36M_17, "spine thorax neck head", thorax="neck", neck="head", head="head_top")
            for source in (MPI_INF_3DHP_28, MPI_INF_3DHP_17)
        ),
        _adapter(
            BODY_25B,
            H36M_17,
            approximate="pelvis spine thorax neck head",
            pelvis="left_hip right_hip",
            spine=_SPINE_OF_HIPS_AND_NECK,
            thorax="neck",
            neck="nose",
        ),
        _adapter(
            HALPE_26,
            H36M_17,
            approximate="pelvis spine thorax neck head",
            spine="pelvis neck",
            thorax="neck",
            neck="nose",
        ),
        _adapter(
            CMU_31,
            H36M_17,
            approximate="pelvis spine thorax neck head",
            pelvis="left_hip right_hip",
            spine="lower_back",
            neck="lower_neck upper_neck",
        ),
        _adapter(BODY_25, COCO_18),
        *(_adapter(source, COCO_17) for source in (BODY_25, BODY_25B, HALPE_26, COCO_18)),
    )
}


def adapter_targets(source: Skeleton) -> tuple[str, ...]:
    """Return the names of the joint orders that there is an adapter to, beside the source itself."""
    return tuple(target for name, target in _ADAPTERS if name == source.name)


def get_adapter(source: Skeleton, target: Skeleton) -> Adapter:
    """Return the adapter from one joint order to another.

    Args:
        source: Joint order of the arrays that come in.
        target: Joint order of the arrays that go out.

    Returns:
        The adapter.

    Raises:
        LiftposeError: There is none; the message lists the targets that there are and the joints that are missing.
    """
    if source == target:
        return _adapter(source, target)
    if (source.name, target.name) in _ADAPTERS:
        return _ADAPTERS[source.name, target.name]
    targets = ", ".join(adapter_targets(source)) or "none"
    missing = ", ".join(joint for joint in target.joint_names if joint not in source.joint_names)
    lacking = f", which has no {missing}" if missing else ""
    raise LiftposeError(
        f"joint order: expected an adapter from {source.name} to {target.name}, found adapters to: {targets}; "
        f"a network for {target.name} has to be trained again for keypoints of {source.name}{lacking}"
    )


def adapt(array: Array, source: Skeleton, target: Skeleton) -> Array:
    """Bring an array from one joint order into another.

    A mean is not a number where one of its joints is not: keypoints that a detector did not find have to be marked as
    not finite before, not left at (0, 0).

    Args:
        array: (..., J_source, C), numpy or torch, any unit and frame.
        source: Joint order of the array.
        target: Joint order wanted.

    Returns:
        (..., J_target, C), unit and frame of ``array``.

    Raises:
        LiftposeError: No adapter for this pair, or the array has another number of joints than ``source``.
    """
    rows = get_adapter(source, target).rows
    source.check(array, "array to adapt")
    if isinstance(array, np.ndarray) and all(len(row) == 1 for row in rows):
        return array.take([row[0] for row in rows], axis=-2)
    joints = split_joints(array)
    return join_joints([_mean([joints[j] for j in row]) for row in rows])


def _mean(joints: list[Array]) -> Array:
    """Return the mean of joints (..., C); that of one joint is the joint itself to the last bit."""
    total = joints[0]
    for joint in joints[1:]:
        total = total + joint
    return total / len(joints) if len(joints) > 1 else total
