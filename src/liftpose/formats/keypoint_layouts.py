"""Which joints the keypoints of a file are: what the field's 2D files say about themselves."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from liftpose.errors import LiftposeError
from liftpose.skeletons import (
    COCO_17,
    H36M_16,
    H36M_17,
    HUMANEVA_15,
    HUMANEVA_20,
    MPII_16,
    SKELETONS,
    Skeleton,
)

__all__ = ["KEYPOINT_LAYOUTS", "keypoint_metadata", "keypoint_skeleton_of"]

KEYPOINT_LAYOUTS = {
    "h36m": H36M_17,
    "coco": COCO_17,
    "mpii": MPII_16,
    "humaneva15": HUMANEVA_15,
    "humaneva20": HUMANEVA_20,
}
"""What the field's 2D files call a joint order in their ``layout_name``."""

# The published lists of MPII's joints pair the left hip with the right ankle. What is read is mirrored as the skeleton
# says, so such a file is taken for what it is.
_PUBLISHED_SYMMETRY = {MPII_16.name: ((3, 4, 5, 13, 14, 15), (0, 1, 2, 10, 11, 12))}

_UNNAMED = (H36M_17, H36M_16, MPII_16, COCO_17, HUMANEVA_15, HUMANEVA_20)


def keypoint_metadata(skeleton: Skeleton) -> dict[str, Any]:
    """Describe a joint order as the field's 2D files do.

    Args:
        skeleton: Joint order of the keypoints.

    Returns:
        ``layout_name``, ``num_joints`` and ``keypoints_symmetry`` (left and right joints).
    """
    names = {layout.name: name for name, layout in KEYPOINT_LAYOUTS.items()}
    return {
        "layout_name": names.get(skeleton.name, skeleton.name),
        "num_joints": len(skeleton),
        "keypoints_symmetry": [list(skeleton.left), list(skeleton.right)],
    }


def keypoint_skeleton_of(path: str | os.PathLike[str], metadata: Mapping[str, Any], expected: Skeleton) -> Skeleton:
    """Find the joint order of a 2D file.

    Files that do not name theirs (the true keypoints of Human3.6M, those with 16 joints, Stacked Hourglass) are known
    by their number of joints and their pairs of left and right joints; the data set's own order comes first.

    Args:
        path: The file, for messages.
        metadata: The entry ``metadata`` of the file.
        expected: Joint order of the data set.

    Returns:
        The joint order.

    Raises:
        LiftposeError: The layout is unknown, or its number of joints or its pairs are others.
    """
    pairs = _pairs(path, metadata)
    name = metadata.get("layout_name")
    count = metadata.get("num_joints")
    if not isinstance(name, str | None) or not isinstance(count, int | np.integer | None):
        found = f"{type(name).__name__} and {type(count).__name__}"
        raise LiftposeError(f"{path}: expected layout_name as text and num_joints as a whole number, found {found}")
    if name is None:
        for skeleton in (expected, *_UNNAMED):
            if pairs in _pairs_of(skeleton) and count in {None, len(skeleton)}:
                return skeleton
        found = f"{count} joints with the pairs {[list(side) for side in metadata['keypoints_symmetry']]}"
        raise LiftposeError(
            f"{path}: expected keypoints_symmetry {[list(expected.left), list(expected.right)]} for the skeleton "
            f"{expected.name}, found {found}"
        )
    known = {**SKELETONS, **KEYPOINT_LAYOUTS}
    if name not in known:
        raise LiftposeError(f"{path}: expected the joint layout {', '.join(KEYPOINT_LAYOUTS)}, found {name}")
    skeleton = known[name]
    if name == "h36m" and count == len(H36M_16):
        skeleton = H36M_16
    if count not in {None, len(skeleton)}:
        raise LiftposeError(f"{path}: expected {len(skeleton)} joints of the layout {name}, found {count}")
    if pairs not in _pairs_of(skeleton):
        raise LiftposeError(
            f"{path}: expected keypoints_symmetry {[list(skeleton.left), list(skeleton.right)]} for the "
            f"skeleton {skeleton.name}, found {[list(side) for side in metadata['keypoints_symmetry']]}"
        )
    return skeleton


def _pairs(path: str | os.PathLike[str], metadata: Mapping[str, Any]) -> set[frozenset[int]]:
    try:
        left, right = metadata["keypoints_symmetry"]
        return {frozenset((int(a), int(b))) for a, b in zip(left, right, strict=True)}
    except (KeyError, TypeError, ValueError) as error:
        raise LiftposeError(
            f"{path}: expected keypoints_symmetry in the metadata, two lists of joints, found none"
        ) from error


def _pairs_of(skeleton: Skeleton) -> list[set[frozenset[int]]]:
    sides = [(skeleton.left, skeleton.right)]
    if skeleton.name in _PUBLISHED_SYMMETRY:
        sides.append(_PUBLISHED_SYMMETRY[skeleton.name])
    return [{frozenset(pair) for pair in zip(left, right, strict=True)} for left, right in sides]
