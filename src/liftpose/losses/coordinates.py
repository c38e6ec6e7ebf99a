"""Losses on coordinates in label units, each coordinate with a weight of its own.

Source: X. Sun, B. Xiao, F. Wei, S. Liang, Y. Wei, "Integral Human Pose Regression", ECCV 2018, section 3; the published
reductions are those of the training of M. Kocabas, S. Karagoz, E. Akbas, CVPR 2019.
"""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor, nn

from liftpose.geometry.precision import full_precision

__all__ = [
    "Reduction",
    "coordinate_l1_loss",
    "coordinate_mse_loss",
    "coordinate_smooth_l1_loss",
    "over_batch_norm",
]

Reduction = Literal["weights", "batch", "sum"]
"""What a weighted sum of errors is divided by: the sum of the weights, the number of samples (published), nothing."""


@full_precision
def coordinate_l1_loss(
    prediction: Tensor, target: Tensor, weights: Tensor | None = None, reduction: Reduction = "weights"
) -> Tensor:
    """Absolute difference of coordinates, in float32 or float64 also under mixed precision.

    Args:
        prediction: (B, J, C) label units, or any other shape that begins with the samples.
        target: The same shape; finite wherever the weight is not 0.
        weights: Factor of each coordinate, broadcast to the same shape; all 1 when None.
        reduction: What the sum is divided by: "weights" (their sum; the loss is 0 where that is 0), "batch" (the number
            of samples, as published) or "sum" (nothing).

    Returns:
        Scalar, label units.

    Raises:
        ValueError: The shapes differ, or there is no such reduction.

    Example:
        >>> import torch
        >>> coordinate_l1_loss(torch.zeros(2, 17, 3), torch.ones(2, 17, 3))
        tensor(1.)
    """
    _check(prediction, target, reduction)
    return _reduced(_difference(prediction, target, weights).abs(), weights, reduction)


@full_precision
def coordinate_smooth_l1_loss(
    prediction: Tensor,
    target: Tensor,
    weights: Tensor | None = None,
    reduction: Reduction = "weights",
    switch: float = 5 / 256,
) -> Tensor:
    """Absolute difference of coordinates, squared where it is small.

    An error d costs d^2 / (2 s) below the switch point s, and d - s / 2 from there on, so that the slope of large
    errors is 1 whatever s is. The published training has s = 1 in label units, which span 1 in all: its loss is half
    the squared error.

    Args:
        prediction: (B, J, C) label units, or any other shape that begins with the samples.
        target: The same shape; finite wherever the weight is not 0.
        weights: Factor of each coordinate, broadcast to the same shape; all 1 when None.
        reduction: See :func:`coordinate_l1_loss`.
        switch: The error s from which on the loss is linear, label units. The default is 5 pixels of a picture of 256.

    Returns:
        Scalar, label units.

    Raises:
        ValueError: The shapes differ, there is no such reduction, or the switch point is not above 0.
    """
    _check(prediction, target, reduction)
    if not switch > 0:
        raise ValueError(f"expected a switch point above 0, found {switch}")
    difference = _difference(prediction, target, weights)
    errors = nn.functional.smooth_l1_loss(
        difference, difference.new_zeros(()).expand_as(difference), reduction="none", beta=switch
    )
    return _reduced(errors, weights, reduction)


@full_precision
def coordinate_mse_loss(
    prediction: Tensor, target: Tensor, weights: Tensor | None = None, reduction: Reduction = "weights"
) -> Tensor:
    """Squared difference of coordinates, in float32 or float64 also under mixed precision.

    Args:
        prediction: (B, J, C) label units, or any other shape that begins with the samples.
        target: The same shape; finite wherever the weight is not 0.
        weights: Factor of each coordinate, broadcast to the same shape; all 1 when None.
        reduction: See :func:`coordinate_l1_loss`.

    Returns:
        Scalar, square label units.

    Raises:
        ValueError: The shapes differ, or there is no such reduction.
    """
    _check(prediction, target, reduction)
    return _reduced(_difference(prediction, target, weights).square(), weights, reduction)


@full_precision
def over_batch_norm(coordinates: Tensor) -> Tensor:
    """Divide coordinates by the sum of the absolute values of the whole batch, the published option ``LOSS.NORM``.

    It is here for comparisons only: it ties the samples of a batch together, and the loss changes with their number.

    Args:
        coordinates: Predictions or targets of a batch, any shape.

    Returns:
        The same shape; absolute values sum to 1.
    """
    return coordinates / coordinates.abs().sum()


def _check(prediction: Tensor, target: Tensor, reduction: str) -> None:
    if prediction.shape != target.shape or not prediction.ndim:
        raise ValueError(f"expected two arrays of one shape, found {tuple(prediction.shape)} and {tuple(target.shape)}")
    if reduction not in get_args(Reduction):
        raise ValueError(f"expected a reduction {', '.join(get_args(Reduction))}, found {reduction!r}")


def _difference(prediction: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
    """Return the differences, 0 where the weight is 0: a label without meaning may be anything, even not a number."""
    difference = prediction - target
    return difference if weights is None else difference.masked_fill(weights == 0, 0)


def _reduced(errors: Tensor, weights: Tensor | None, reduction: Reduction) -> Tensor:
    total = errors.sum() if weights is None else (errors * weights).sum()
    if reduction == "sum":
        return total
    if reduction == "batch":
        return total / len(errors)
    if weights is None:
        return total / errors.numel()
    weight = weights.expand_as(errors).sum()
    return total / weight.masked_fill(weight == 0, 1)
