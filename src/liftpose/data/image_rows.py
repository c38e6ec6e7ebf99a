"""The rows of annotated pictures that patches can be cut out by, and their boxes."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from liftpose.data.images import ImageSet
from liftpose.errors import LiftposeError
from liftpose.geometry import tight_boxes

__all__ = ["rows_with_boxes", "rows_with_people", "with_tight_boxes"]

log = logging.getLogger(__name__)

_FEWEST_JOINTS: Final = 2  # that a training picture has to show, as published for MPII


def rows_with_people(images: ImageSet) -> ImageSet:
    """Return the pictures that show enough joints to learn from, two, and say how many do not.

    Args:
        images: Annotated pictures.

    Raises:
        LiftposeError: None of them does.
    """
    known = (images.visible > 0) & np.isfinite(images.keypoints_2d).all(axis=-1)
    rows = np.flatnonzero(known.sum(axis=1) >= _FEWEST_JOINTS)
    if len(rows) < len(images):
        missing = len(images) - len(rows)
        log.info("%d of %d pictures left out: fewer than %d joints", missing, len(images), _FEWEST_JOINTS)
    return _some(images, rows)


def rows_with_boxes(images: ImageSet, skip: bool) -> ImageSet:
    """Return the pictures with a box that something can be cut out of.

    Args:
        images: Annotated pictures.
        skip: Whether the others are left out and counted.

    Raises:
        LiftposeError: There are others and they are not to be left out, or there are only others.
    """
    fine = np.isfinite(images.boxes).all(axis=1) & (images.boxes[:, 2:] > 0).all(axis=1)
    if fine.all():
        return images
    rows = np.flatnonzero(~fine)
    line = (
        f"{images.root / images.files[rows[0]]}: expected a box with sides above 0, found "
        f"{images.boxes[rows[0]].tolist()} (and {len(rows) - 1} more of {len(images)} pictures)"
    )
    if not skip:
        raise LiftposeError(f"{line}; --data.bad_images skip leaves such pictures out")
    log.warning("%d of %d pictures left out: %s", len(rows), len(images), line)
    return _some(images, np.flatnonzero(fine))


def with_tight_boxes(images: ImageSet) -> ImageSet:
    """Return the pictures with tight square boxes around their keypoints.

    Args:
        images: Annotated pictures.
    """
    boxes = tight_boxes(torch.from_numpy(images.keypoints_2d), torch.from_numpy(images.visible))
    return replace(images, boxes=boxes.numpy())


def _some(images: ImageSet, rows: npt.NDArray[np.int64]) -> ImageSet:
    """Return some rows; all of them are the pictures as they are."""
    if not len(rows):
        raise LiftposeError(f"{images.root}: expected pictures with joints and boxes, found none of {len(images)}")
    return images if len(rows) == len(images) else images.take(rows)
