"""Annotated pictures in another joint order."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from liftpose.data.images import ImageSet
from liftpose.errors import LiftposeError
from liftpose.skeletons import H36M_MPII_ORDER_16, MPII_16, Skeleton, adapt, adapter_targets, get_adapter

__all__ = ["bring_into_joints"]

_SAME_INDICES: Final = {MPII_16.name: H36M_MPII_ORDER_16, H36M_MPII_ORDER_16.name: MPII_16}


def bring_into_joints(images: ImageSet, skeleton: Skeleton, *, by_index: bool = False, exact: bool = False) -> ImageSet:
    """Bring the annotations of pictures into another joint order.

    Args:
        images: Annotated pictures.
        skeleton: Joint order wanted.
        by_index: Whether the joints of MPII and those of Human3.6M in MPII's order are taken for each other.
        exact: Whether every joint has to be one of the annotations', not the mean of its neighbours.

    Returns:
        The same pictures. Depths are relative to the root of the new order.

    Raises:
        LiftposeError: The joints cannot be had.
    """
    source = images.skeleton
    if source == skeleton:
        return images
    if by_index and skeleton.name in _SAME_INDICES and skeleton.name not in adapter_targets(source):
        twin = _SAME_INDICES[skeleton.name]
        return replace(bring_into_joints(images, twin, exact=exact), skeleton=skeleton)
    if skeleton.name not in adapter_targets(source):
        same = source.name in _SAME_INDICES and _SAME_INDICES[source.name] == skeleton
        hint = "; --data.joints_by_index true takes those of one index for each other" if same else ""
        known = ", ".join((source.name, *adapter_targets(source)))
        raise LiftposeError(
            f"{images.root}: expected annotations that can be had as {skeleton.name}, found {source.name}, which can "
            f"be had as {known}{hint}"
        )
    adapter = get_adapter(source, skeleton)
    if exact and adapter.approximate:
        raise LiftposeError(
            f"{images.root}: expected annotations of {skeleton.name}, found {source.name} without "
            f"{', '.join(adapter.approximate)} (--data.joints {skeleton.name} approximates by neighbours)"
        )
    weights = [images.visible[:, list(row)].min(axis=1) for row in adapter.rows]
    depths, root_depths = images.depths, images.root_depths
    if depths is not None and root_depths is not None:
        depths = adapt(depths[..., None], source, skeleton)[..., 0]
        shift = depths[:, skeleton.root]
        depths, root_depths = depths - shift[:, None], root_depths + shift
    return replace(
        images,
        skeleton=skeleton,
        keypoints_2d=adapt(images.keypoints_2d, source, skeleton),
        visible=np.stack(weights, axis=1),
        depths=depths,
        root_depths=root_depths,
    )
