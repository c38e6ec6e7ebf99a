"""The place that a volume of scores stands for: its expectation, which has a gradient.

Source: X. Sun, B. Xiao, F. Wei, S. Liang, Y. Wei, "Integral Human Pose Regression", ECCV 2018, equation 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["Peaked", "soft_argmax", "soft_argmax_with_peak"]

_IN_CACHE: Final = 2**20  # scores that a CPU works on at once


class Peaked(NamedTuple):
    """Places, and how sure a network is of them.

    Attributes:
        coordinates: (..., 3) label units: x, y, z.
        confidence: (...) the largest probability that one cell of the picture plane has, above 0 and at most 1.
    """

    coordinates: Tensor
    confidence: Tensor


def soft_argmax(volumes: Tensor, half_pixel: bool = False) -> Tensor:
    """Return the place that each volume of scores expects its joint at.

    The scores become probabilities by a softmax over the whole volume, in float32 or float64 also under mixed
    precision. Probabilities are summed to their marginals once, and neither they nor the exponentials are kept for the
    gradient, which needs the scores alone.

    Args:
        volumes: (..., D, H, W) scores: depth, rows and columns.
        half_pixel: Whether bin i of N stands for its centre, (i + 0.5) / N - 0.5. By default it stands for its left
            edge, i / N - 0.5, as in the published code: its weights need that.

    Returns:
        (..., 3) x, y and z in label units: -0.5 is the left, upper and front edge of the volume, 0.5 the opposite one.

    Raises:
        ValueError: There are fewer than three axes or no bins.

    Example:
        >>> volume = torch.full((1, 4, 4, 4), -500.0)
        >>> volume[0, 0, 2, 1] = 50.0
        >>> soft_argmax(volume)[0].tolist()
        [-0.25, 0.0, -0.5]
    """
    return _expectation(volumes, half_pixel).coordinates


def soft_argmax_with_peak(volumes: Tensor, half_pixel: bool = False) -> Peaked:
    """Return the place that each volume of scores expects its joint at, and how sure it is of it.

    Args:
        volumes: (..., D, H, W) scores: depth, rows and columns.
        half_pixel: See :func:`soft_argmax`.

    Returns:
        The places, and the peak of each joint's marginal over the picture plane, which has no gradient.

    Raises:
        ValueError: There are fewer than three axes or no bins.
    """
    return _expectation(volumes, half_pixel)


def _expectation(volumes: Tensor, half_pixel: bool) -> Peaked:
    if volumes.ndim < 3 or 0 in volumes.shape[-3:]:
        raise ValueError(f"expected volumes of scores (..., D, H, W), found shape {tuple(volumes.shape)}")
    return Peaked(*_Expectation.apply(volumes, half_pixel))  # type: ignore[no-untyped-call]


def _bins(size: int, half_pixel: bool, like: Tensor) -> Tensor:
    """Return the label coordinates of the bins of one axis."""
    steps = torch.arange(size, device=like.device, dtype=like.dtype)
    return (steps + 0.5 * half_pixel) / size - 0.5


def _pieces(volumes: Tensor) -> Iterator[slice]:
    """Cut a batch into parts whose intermediate results stay in the cache of a CPU; other devices get it whole."""
    samples = len(volumes)
    at_once = samples
    if volumes.device.type == "cpu" and volumes.ndim > 3 and not torch.compiler.is_compiling():
        at_once = max(1, _IN_CACHE * samples // max(1, volumes.numel()))
    for start in range(0, samples, max(1, at_once)):
        yield slice(start, start + at_once)


class _Expectation(torch.autograd.Function):
    """Expectations of the three coordinates under the softmax of a volume.

    With p the probabilities, i the coordinate of a bin and E its expectation, dE/dscore = p (i - E). So the gradient is
    p times a sum of one term for the place in the picture and one for the depth, and p comes back from the scores and
    one number per volume.
    """

    @staticmethod
    def forward(ctx: Any, volumes: Tensor, half_pixel: bool) -> tuple[Tensor, Tensor]:
        exact = torch.promote_types(volumes.dtype, torch.float32)
        top = volumes.new_empty((*volumes.shape[:-3], 1, 1, 1), dtype=exact)
        plane = volumes.new_empty((*volumes.shape[:-3], *volumes.shape[-2:]), dtype=exact)
        depth = volumes.new_empty(volumes.shape[:-2], dtype=exact)
        for piece in _pieces(volumes):
            scores = volumes[piece].to(exact)
            top[piece] = scores.amax((-3, -2, -1), keepdim=True)
            powers = (scores - top[piece]).exp_()
            plane[piece], depth[piece] = powers.sum(-3), powers.sum((-2, -1))
        total = depth.sum(-1)
        marginals = (plane.sum(-2), plane.sum(-1), depth)
        places = [_bins(marginal.shape[-1], half_pixel, marginal) for marginal in marginals]
        sums = [(marginal * place).sum(-1) for marginal, place in zip(marginals, places, strict=True)]
        coordinates = torch.stack(sums, -1) / total[..., None]
        confidence = plane.amax((-2, -1)) / total
        ctx.save_for_backward(volumes, top + total.log()[..., None, None, None], coordinates)
        ctx.half_pixel = half_pixel
        ctx.mark_non_differentiable(confidence)
        return coordinates, confidence

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, None]:
        volumes, log_total, coordinates = ctx.saved_tensors
        sizes = reversed(volumes.shape[-3:])
        x, y, z = (
            gradient[..., axis, None] * (_bins(size, ctx.half_pixel, gradient) - coordinates[..., axis, None])
            for axis, size in enumerate(sizes)
        )
        plane, depth = (y[..., :, None] + x[..., None, :])[..., None, :, :], z[..., :, None, None]
        result = torch.empty_like(volumes)
        for piece in _pieces(volumes):
            probabilities = (volumes[piece] - log_total[piece]).exp_()
            result[piece] = (probabilities * plane[piece]).addcmul_(probabilities, depth[piece])
        return result, None
