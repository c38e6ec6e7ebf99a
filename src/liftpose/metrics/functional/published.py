"""Errors of Human3.6M as the public code of Kocabas et al. (CVPR 2019) computes them, beside the standard ones.

They differ from the standard in two ways, and only numbers that are to be compared with that code's should use them:
after the similarity alignment both poses are moved so that their roots coincide again, which makes the alignment worse
(the error is larger than P-MPJPE); and the scale of N-MPJPE is the one of the similarity alignment, which was found
together with a rotation, so that it is not the best one (the error is no smaller than N-MPJPE).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from liftpose.geometry.alignment import similarity_alignment
from liftpose.metrics.functional.positions import as_poses
from liftpose.skeletons import Skeleton

__all__ = ["PublishedErrors", "fourteen_joints", "published_errors", "published_fourteen_joints"]

_FOURTEEN = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")


class PublishedErrors(NamedTuple):
    """The published errors of every joint, and the standard one that comes with them.

    Args:
        standard: (..., J) metres, after the similarity alignment of the prediction: their mean is P-MPJPE.
        aligned: (..., J) metres, after the similarity alignment of the prediction and a shift that brings the roots
            together again.
        scaled: (..., J) metres, after the scale of the similarity alignment alone.

    All are NaN in poses that cannot be aligned.
    """

    standard: Tensor
    aligned: Tensor
    scaled: Tensor


def published_errors(prediction: Tensor, target: Tensor, root: int) -> PublishedErrors:
    """Compute the aligned and the scaled errors of every joint as the public code does.

    Args:
        prediction: (..., J, 3) metres.
        target: (..., J, 3) metres, same shape and frame.
        root: Index of the root joint.

    Returns:
        The errors of every joint.

    Raises:
        ValueError: The shapes differ or are not (..., J, 3).

    Example:
        >>> target = torch.eye(3)
        >>> errors = published_errors(2 * target + 1, target, root=0)
        >>> bool((errors.aligned < 1e-6).all()), bool((errors.scaled < 1e-6).all())
        (True, True)
    """
    prediction, target = as_poses(prediction, target)
    found = similarity_alignment(prediction, target)
    offsets = found.apply(prediction) - target
    scaled = found.scale[..., None, None] * prediction - target
    return PublishedErrors(
        standard=torch.linalg.vector_norm(offsets, dim=-1),
        aligned=torch.linalg.vector_norm(offsets - offsets[..., root : root + 1, :], dim=-1),
        scaled=torch.linalg.vector_norm(scaled - scaled[..., root : root + 1, :], dim=-1),
    )


def published_fourteen_joints(skeleton: Skeleton) -> tuple[int, ...]:
    """Return the joints behind the numbers "14" of the public code.

    Args:
        skeleton: Joint order of the poses.

    Returns:
        Indices of the joints. In Human3.6M's order the public list leaves out an ankle and both wrists by mistake; in
        MPII's it leaves out neck and head. Empty for other skeletons, for which it has none.
    """
    if skeleton.name == "h36m_17":
        return (0, 1, 2, *range(4, 13), 14, 15)
    return (*range(8), *range(10, 16)) if skeleton.name in {"h36m_mpii_order_16", "mpii_16"} else ()


def fourteen_joints(skeleton: Skeleton) -> tuple[int, ...]:
    """Return the 14 joints that the data sets have in common: limbs, thorax and head.

    Args:
        skeleton: Joint order of the poses.

    Returns:
        Indices of the joints, ascending: hips, knees, ankles, shoulders, elbows, wrists, thorax and head. Empty for a
        skeleton that lacks one of them.
    """
    names = {"thorax", "head", *(f"{side}_{joint}" for side in ("left", "right") for joint in _FOURTEEN)}
    chosen = tuple(joint for joint, name in enumerate(skeleton.joint_names) if name in names)
    return chosen if len(chosen) == len(names) else ()
