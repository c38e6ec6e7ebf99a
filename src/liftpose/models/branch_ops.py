"""Steps of training that are several layers at once, for networks whose activations are larger than a CPU's cache.

On a CPU the matrix products of these small networks run at the machine's own rate; what is lost is lost on memory that
is fetched, or fresh from the system, once for every small operation. So the operations that follow a product are one
step here, which writes one new tensor and keeps what its gradient needs in half a tensor more.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Statistics", "dropout_mask", "normalise_activate_drop", "strided_conv"]

_LEVELS = 2**16


class Statistics(NamedTuple):
    """What batch normalisation keeps and is told, for G branches.

    Args:
        running_mean: (G, C), updated in place.
        running_var: (G, C), updated in place.
        momentum: Weight of this batch in both.
        eps: Added to the variance.
    """

    running_mean: Tensor
    running_var: Tensor
    momentum: float
    eps: float


def dropout_mask(shape: torch.Size, p: float) -> tuple[Tensor, float]:
    """Draw which elements dropout keeps, on the CPU.

    torch draws one number per element there, which takes as long as the matrix product before it. Here four elements
    share one random 64-bit number of torch's default generator, and p is rounded to a multiple of 2 ** -16. A
    comparison of 16-bit integers that stays among them is several times faster than one that yields booleans.

    Args:
        shape: Any; every index of the first axis draws numbers of its own.
        p: Probability in [0, 1) that an element is dropped.

    Returns:
        int16 of that shape, 1 where an element is kept and 0 elsewhere, and the factor that keeps the mean.

    Example:
        >>> mask, factor = dropout_mask(torch.Size((2, 3)), 0.5)
        >>> mask.dtype, factor
        (torch.int16, 2.0)
    """
    count = shape[1:].numel()
    numbers = torch.empty(shape[0], (count + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    dropped = min(round(p * _LEVELS), _LEVELS - 1)
    kept = numbers.view(torch.int16)[:, :count].ge_(dropped - _LEVELS // 2)
    return kept.view(shape), _LEVELS / (_LEVELS - dropped)


def normalise_activate_drop(
    features: Tensor,
    weight: Tensor,
    bias: Tensor,
    statistics: Statistics,
    slope: float,
    p: float,
    residual: Tensor | None = None,
) -> Tensor:
    """Batch normalisation of each branch by itself, leaky ReLU, dropout, and the sum with a residual, for training.

    For tensors on the CPU; ``liftpose.models.branches.BranchNorm`` has the same in torch's own layers.

    Args:
        features: (G, rows, C) with at least two rows.
        weight: (G, C) factor after the normalisation.
        bias: (G, C) summand after the normalisation.
        statistics: Running statistics, which are updated.
        slope: Slope of the leaky ReLU below zero.
        p: Probability that an element is dropped, in [0, 1).
        residual: (G, rows, C) what is added at the end, or None.

    Returns:
        (G, rows, C); first derivatives with respect to all tensors but the statistics.

    Raises:
        ValueError: There is only one row, which has no variance.
    """
    if features.shape[1] < 2:
        raise ValueError(
            f"expected more than 1 value per channel when training, found features of {tuple(features.shape)}"
        )
    result: Tensor = _NormaliseActivateDrop.apply(features, weight, bias, residual, statistics, slope, p)  # type: ignore[no-untyped-call]  # torch does not type it
    return result


class _NormaliseActivateDrop(torch.autograd.Function):
    """The step of :func:`normalise_activate_drop`; the factor of dropout is part of the affine map before it."""

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor,
        residual: Tensor | None,
        statistics: Statistics,
        slope: float,
        p: float,
    ) -> Tensor:
        kept, factor = dropout_mask(features.shape, p) if p > 0 else (None, 1.0)
        weight, bias = weight * factor, bias * factor
        means, deviations, output = torch.empty_like(weight), torch.empty_like(weight), torch.empty_like(features)
        for branch, values in enumerate(output):
            torch.native_batch_norm(
                features[branch],
                weight[branch],
                bias[branch],
                statistics.running_mean[branch],
                statistics.running_var[branch],
                True,
                statistics.momentum,
                statistics.eps,
                out=(values, means[branch], deviations[branch]),
            )
            F.leaky_relu_(values, slope)
            if kept is not None:
                values.mul_(kept[branch].to(values.dtype))
            if residual is not None:
                values.add_(residual[branch])
        ctx.save_for_backward(features, weight, bias, means, deviations, kept)
        ctx.slope, ctx.factor, ctx.eps = slope, factor, statistics.eps
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, weight, bias, means, deviations, kept = ctx.saved_tensors
        scale = weight * deviations
        shift = bias - means * scale
        parts = []
        for branch, inputs in enumerate(features):
            before = torch.addcmul(shift[branch], inputs, scale[branch])
            torch.ops.aten.leaky_relu_backward.grad_input(gradient[branch], before, ctx.slope, False, grad_input=before)
            if kept is not None:
                before.mul_(kept[branch].to(before.dtype))
            parts.append(
                torch.ops.aten.native_batch_norm_backward(
                    before,
                    inputs,
                    weight[branch],
                    None,
                    None,
                    means[branch],
                    deviations[branch],
                    True,
                    ctx.eps,
                    list(ctx.needs_input_grad[:3]),
                )
            )
        inputs_gradient, weight_gradient, bias_gradient = (
            None if part[0] is None else part[0].unsqueeze(0) if len(part) == 1 else torch.stack(part)
            for part in zip(*parts, strict=True)
        )
        if weight_gradient is not None:
            weight_gradient = weight_gradient.mul_(ctx.factor)
        if bias_gradient is not None:
            bias_gradient = bias_gradient.mul_(ctx.factor)
        residual_gradient = gradient if ctx.needs_input_grad[3] else None
        return inputs_gradient, weight_gradient, bias_gradient, residual_gradient, None, None, None


def strided_conv(features: Tensor, weight: Tensor, carried: int) -> tuple[Tensor, Tensor]:
    """Temporal convolution whose stride is its width, and one frame of each group as it is.

    The gradients of the two meet in one tensor; torch would fill another of the size of the input with zeros and the
    carried frames' gradient, and add it.

    Args:
        features: (G, rows * width, Cin), time running fastest.
        weight: (G, width, Cin, Cout).
        carried: Which frame of each group is carried past, from 0.

    Returns:
        (G, rows, Cout), and a view (G, rows, Cin) of the carried frames.
    """
    separate = torch.compiler.is_compiling() or torch.is_autocast_enabled(features.device.type)
    if separate or not torch.is_grad_enabled():
        return _strided_conv(features, weight, carried)
    result: tuple[Tensor, Tensor] = _StridedConv.apply(features, weight, carried)  # type: ignore[no-untyped-call]  # torch does not type it
    return result


def _strided_conv(features: Tensor, weight: Tensor, carried: int) -> tuple[Tensor, Tensor]:
    branches, width, in_channels, _ = weight.shape
    groups = features.view(branches, -1, width, in_channels)
    return torch.bmm(groups.flatten(2), weight.flatten(1, 2)), groups[:, :, carried]


class _StridedConv(torch.autograd.Function):
    """The step of :func:`strided_conv`."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, carried: int) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(features, weight)
        ctx.carried = carried
        return _strided_conv(features, weight, carried)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, carried_gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        branches, width, in_channels, _ = weight.shape
        features_gradient = weight_gradient = None
        if ctx.needs_input_grad[0]:
            features_gradient = torch.bmm(gradient, weight.flatten(1, 2).mT).view(branches, -1, width, in_channels)
            features_gradient[:, :, ctx.carried] += carried_gradient
            features_gradient = features_gradient.view(features.shape)
        if ctx.needs_input_grad[1]:
            inputs = features.view(branches, -1, width * in_channels)
            weight_gradient = torch.bmm(inputs.mT, gradient).view(weight.shape)
        return features_gradient, weight_gradient, None
