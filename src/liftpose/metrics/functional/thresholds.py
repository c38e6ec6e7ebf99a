"""Shares of joints within a threshold as pure functions of torch tensors: 3D PCK and the area under its curve."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from liftpose.metrics.functional.positions import as_poses

__all__ = [
    "AUC_THRESHOLDS",
    "PCK_THRESHOLD",
    "auc",
    "auc_of_errors",
    "auc_per_pose",
    "pck",
    "pck_of_errors",
    "pck_per_pose",
]

PCK_THRESHOLD = 0.15
"""Threshold of the 3D PCK in metres (Mehta et al., "Monocular 3D human pose estimation in the wild using improved CNN
supervision", 3DV 2017)."""

AUC_THRESHOLDS = tuple(5 * step / 1000 for step in range(31))
"""Thresholds of the AUC in metres: 0, 5, ..., 150 mm, as in the evaluation code of MPI-INF-3DHP."""


def pck_of_errors(errors: Tensor, threshold: float = PCK_THRESHOLD) -> Tensor:
    """Share of the joints of each pose with an error strictly below the threshold.

    Args:
        errors: (..., J) metres, as from `joint_errors`.
        threshold: Metres.

    Returns:
        (...) per cent; NaN where an error of the pose is NaN.

    Example:
        >>> pck_of_errors(torch.tensor([0.05, 0.10, 0.15, 0.20]))
        tensor(50.)
    """
    near = (errors < threshold).sum(-1).to(errors.dtype)
    return _keep_nan(100 * near / errors.shape[-1], errors)


def pck_per_pose(prediction: Tensor, target: Tensor, threshold: float = PCK_THRESHOLD) -> Tensor:
    """Percentage of correct keypoints of every pose, in 3D: joints that are closer than the threshold.

    All joints that are given count. The root of a root-relative pose is always correct; leave it out by indexing
    (``prediction[..., 1:, :]``) for the stricter number. The evaluation code of MPI-INF-3DHP uses 14 joints: head top,
    neck, shoulders, elbows, wrists, hips, knees and ankles.

    Args:
        prediction: (..., J, 3) metres.
        target: (..., J, 3) metres, same shape and frame.
        threshold: Metres; an error equal to it is a miss.

    Returns:
        (...) per cent.

    Raises:
        ValueError: The shapes differ or are not (..., J, 3).

    Example:
        >>> pck_per_pose(torch.tensor([[0.1, 0.0, 0.0], [0.2, 0.0, 0.0]]), torch.zeros(2, 3))
        tensor(50.)
    """
    return pck_of_errors(_distances(prediction, target), threshold)


def pck(prediction: Tensor, target: Tensor, threshold: float = PCK_THRESHOLD) -> Tensor:
    """Mean of `pck_per_pose` over all poses.

    Args:
        prediction: (..., J, 3) metres.
        target: (..., J, 3) metres, same shape and frame.
        threshold: Metres; an error equal to it is a miss.

    Returns:
        Scalar, per cent.

    Raises:
        ValueError: The shapes differ or are not (..., J, 3).

    Example:
        >>> pck(torch.zeros(4, 17, 3), torch.zeros(4, 17, 3))
        tensor(100.)
    """
    return pck_per_pose(prediction, target, threshold).mean()


def auc_of_errors(errors: Tensor, thresholds: Sequence[float] = AUC_THRESHOLDS) -> Tensor:
    """Mean of `pck_of_errors` over several thresholds, in one pass.

    Args:
        errors: (..., J) metres, as from `joint_errors`.
        thresholds: Metres, ascending.

    Returns:
        (...) per cent; NaN where an error of the pose is NaN.

    Example:
        >>> round(float(auc_of_errors(torch.zeros(17))), 2)
        96.77
    """
    edges = torch.tensor(thresholds, dtype=errors.dtype, device=errors.device)
    missed = torch.bucketize(errors.detach(), edges, right=True)  # thresholds that are not above the error
    return _keep_nan(100 * (1 - missed.to(errors.dtype) / len(edges)).mean(-1), errors)


def auc_per_pose(prediction: Tensor, target: Tensor, thresholds: Sequence[float] = AUC_THRESHOLDS) -> Tensor:
    """Area under the curve of the 3D PCK over its threshold, for every pose: the mean of the PCK over the thresholds.

    As in the evaluation code of MPI-INF-3DHP the default thresholds begin with 0, which nothing can undercut: a perfect
    prediction has an AUC of 30/31 = 96.77 %. Pass ``AUC_THRESHOLDS[1:]`` for a scale that ends at 100 %. For the choice
    of joints see `pck_per_pose`.

    Args:
        prediction: (..., J, 3) metres.
        target: (..., J, 3) metres, same shape and frame.
        thresholds: Metres, ascending.

    Returns:
        (...) per cent.

    Raises:
        ValueError: The shapes differ or are not (..., J, 3).

    Example:
        >>> auc_per_pose(torch.zeros(17, 3), torch.zeros(17, 3), AUC_THRESHOLDS[1:])
        tensor(100.)
    """
    return auc_of_errors(_distances(prediction, target), thresholds)


def auc(prediction: Tensor, target: Tensor, thresholds: Sequence[float] = AUC_THRESHOLDS) -> Tensor:
    """Mean of `auc_per_pose` over all poses.

    Args:
        prediction: (..., J, 3) metres.
        target: (..., J, 3) metres, same shape and frame.
        thresholds: Metres, ascending.

    Returns:
        Scalar, per cent.

    Raises:
        ValueError: The shapes differ or are not (..., J, 3).

    Example:
        >>> round(float(auc(torch.zeros(2, 17, 3), torch.zeros(2, 17, 3))), 2)
        96.77
    """
    return auc_per_pose(prediction, target, thresholds).mean()


def _distances(prediction: Tensor, target: Tensor) -> Tensor:
    """Joint errors (..., J) that need no gradient: three columns are added much faster than an axis of three."""
    prediction, target = as_poses(prediction.detach(), target.detach())
    squares = (prediction - target).square_()
    return (squares[..., 0] + squares[..., 1] + squares[..., 2]).sqrt_()


def _keep_nan(values: Tensor, errors: Tensor) -> Tensor:
    """Replace the values of poses with a NaN among their errors by NaN: a comparison would hide it."""
    # A sum of distances is NaN where one of them is, and only there.
    return values.masked_fill(errors.sum(-1).isnan(), torch.nan)
