"""Losses on poses.

A loss that is also a metric has its formula in `liftpose.metrics.functional` and only its role here.
"""

from __future__ import annotations

from torch import Tensor

from liftpose.metrics.functional import mpjpe

__all__ = ["mpjpe_loss"]


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
