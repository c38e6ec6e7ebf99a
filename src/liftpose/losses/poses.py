"""Losses between a predicted and a true pose."""

from __future__ import annotations

from torch import Tensor

from liftpose.geometry.precision import full_precision
from liftpose.metrics.functional import mpjpe

__all__ = ["mpjpe_loss", "mse_loss"]


def mpjpe_loss(prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean distance of the predicted joints from their targets, for training.

    The value of `liftpose.metrics.functional.mpjpe`, in float32 or float64 also under mixed precision. Where a joint is
    predicted exactly, its gradient is 0 instead of undefined (a subgradient of the norm).

    Args:
        prediction: (..., J, 3) metres.
        target: (..., J, 3) metres, same shape and frame.
        weights: Factor of each joint's error, broadcast to (..., J); all 1 when None. The result is divided by the
            number of joints, not by their sum.

    Returns:
        Scalar, metres.

    Raises:
        ValueError: The shapes differ or are not (..., J, 3), or the weights do not broadcast to (..., J).

    Example:
        >>> import torch
        >>> mpjpe_loss(torch.zeros(2, 17, 3), torch.zeros(2, 17, 3))
        tensor(0.)
    """
    return mpjpe(prediction, target, weights)


@full_precision
def mse_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of the coordinates, for training.

    In float32 or float64 also under mixed precision.

    Args:
        prediction: (..., J, 3) metres.
        target: (..., J, 3) metres, same shape and frame.

    Returns:
        Scalar, square metres: the mean over all coordinates, a third of the mean squared distance of the joints.

    Raises:
        ValueError: The shapes differ.
    """
    if prediction.shape != target.shape:
        raise ValueError(f"expected two arrays of one shape, found {tuple(prediction.shape)} and {tuple(target.shape)}")
    return (prediction - target).square().mean()
