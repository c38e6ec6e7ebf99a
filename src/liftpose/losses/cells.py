"""A loss on the volumes of an integral network themselves: how likely they hold the true place."""

from __future__ import annotations

import torch
from torch import Tensor

from liftpose.geometry.precision import full_precision

__all__ = ["cell_loss"]


@full_precision
def cell_loss(volumes: Tensor, labels: Tensor, weights: Tensor, half_pixel: bool = False) -> Tensor:
    """Return the negative log-likelihood of the true cells of the picture plane and of the depth.

    The expectation of a flat volume hardly depends on any of its scores, so that a network without earlier training is
    slow to begin; this loss tells every score at once which way to go. A place between two cells counts for both by its
    nearness. Joints outside of the volume are left out.

    Args:
        volumes: (B, J, D, H, W) scores before the softmax.
        labels: (B, J, 3) label units: places over the volume's sides less one half.
        weights: (B, J, 3) weight of each label; the smaller of x and y counts for the picture plane.
        half_pixel: Whether a cell stands for its centre instead of its left edge.

    Returns:
        Scalar, the weighted sum, nats.

    Raises:
        ValueError: The shapes do not fit.
    """
    if volumes.ndim != 5 or labels.shape != (*volumes.shape[:2], 3) or weights.shape != labels.shape:
        raise ValueError(
            f"expected volumes (B, J, D, H, W), labels and weights (B, J, 3), found {tuple(volumes.shape)}, "
            f"{tuple(labels.shape)} and {tuple(weights.shape)}"
        )
    depth_bins, height, width = volumes.shape[2:]
    plane = volumes.logsumexp(2).flatten(2).log_softmax(-1)
    depth = volumes.logsumexp((3, 4)).log_softmax(-1)
    shift = 0.5 if half_pixel else 0.0
    x, y, z = ((labels[..., axis] + 0.5) * size - shift for axis, size in enumerate((width, height, depth_bins)))
    total = volumes.new_zeros(())
    in_plane = weights[..., :2].amin(-1)
    for row, near_row in _neighbours(y, height):
        for column, near_column in _neighbours(x, width):
            likelihood = plane.gather(2, (row * width + column).unsqueeze(-1)).squeeze(-1)
            total = total - (in_plane * near_row * near_column * likelihood).sum()
    for bin_, near in _neighbours(z, depth_bins):
        likelihood = depth.gather(2, bin_.unsqueeze(-1)).squeeze(-1)
        total = total - (weights[..., 2] * near * likelihood).sum()
    return total


def _neighbours(place: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    """Return both cells beside each place and how much each counts: by nearness, and not at all beyond the border."""
    lower = place.floor()
    share = place - lower
    cells = []
    for cell, near in ((lower, 1 - share), (lower + 1, share)):
        inside = (cell >= 0) & (cell < size)
        cells.append((cell.clamp(0, size - 1).to(torch.int64), near.where(inside, 0)))
    return cells
