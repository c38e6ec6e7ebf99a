"""What the options of a data module of pictures are checked for, before anything is read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from liftpose.errors import LiftposeError
from liftpose.skeletons import Skeleton, get_skeleton

if TYPE_CHECKING:
    from liftpose.datamodules.images import ImageDataModule

__all__ = ["check_ranges", "joint_order"]


def check_ranges(module: ImageDataModule) -> None:
    """Refuse options with which nothing could be cut out or learnt.

    Args:
        module: The data module, whose options are set.

    Raises:
        LiftposeError: A number is out of range; the message names the option.
    """
    if module.batch_size < 1:
        raise LiftposeError(f"data.batch_size: expected a number from 1 up, found {module.batch_size}")
    if module.num_workers < 0:
        raise LiftposeError(f"data.num_workers: expected a number from 0 up, found {module.num_workers}")
    if not 0 <= module.seed < 2**32:
        raise LiftposeError(f"data.seed: expected a number from 0 to {2**32 - 1}, found {module.seed}")
    if module.patch_size is not None and min(module.patch_size) < 1:
        raise LiftposeError(f"data.patch_size: expected pixels from 1 up, found {tuple(module.patch_size)}")
    for name in ("rotation_probability", "flip_probability", "occlusion_probability"):
        if not 0 <= getattr(module, name) <= 1:
            raise LiftposeError(f"data.{name}: expected a share from 0 to 1, found {getattr(module, name)}")
    for name in ("scale_factor", "colour"):
        if not 0 <= getattr(module, name) < 1:
            raise LiftposeError(f"data.{name}: expected a number from 0 to below 1, found {getattr(module, name)}")
    if not 0 <= module.rotation <= 180:
        raise LiftposeError(f"data.rotation: expected degrees from 0 to 180, found {module.rotation}")
    if not 0 < module.depth_extent < math.inf:
        raise LiftposeError(f"data.depth_extent: expected metres above 0, found {module.depth_extent}")


def joint_order(name: str) -> Skeleton:
    """Return the joint order that the option ``joints`` names.

    Args:
        name: The option.

    Raises:
        LiftposeError: There is no such joint order.
    """
    try:
        return get_skeleton(name)
    except LiftposeError as error:
        raise LiftposeError(f"data.joints: {str(error).removeprefix('skeleton: ')}") from error
