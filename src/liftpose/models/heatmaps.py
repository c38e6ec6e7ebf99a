"""The place that a heat map stands for: its largest value.

Source: B. Xiao, H. Wu, Y. Wei, "Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018, section 2 (the
quarter offset is that of A. Newell, K. Yang, J. Deng, "Stacked Hourglass Networks", ECCV 2016, section 3.3).
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from liftpose.models.soft_argmax import Peaked

__all__ = ["heatmap_peaks"]

_OFFSET: Final = 0.25  # cells
_FIRST: Final = 2  # the first row and column whose peaks are moved


@torch.no_grad()
def heatmap_peaks(heatmaps: Tensor) -> Peaked:
    """Return the place of the largest value of each heat map, a quarter of a cell towards the higher neighbour.

    Peaks in the first two and the last rows and columns are not moved, as published. A map that is nowhere above 0 has
    seen nothing: its joint is at the first cell, with confidence 0.

    Args:
        heatmaps: (..., H, W) rows and columns; 1 at the place of a joint, 0 far from it.

    Returns:
        The places, float32: cell i of N is i / N - 0.5 in x and y, and z is 0; and the largest values, cut to 0..1.

    Raises:
        ValueError: There are fewer than two axes or no cells.

    Example:
        >>> maps = torch.zeros(1, 8, 8)
        >>> maps[0, 4, 2], maps[0, 4, 3] = 1.0, 0.5
        >>> heatmap_peaks(maps).coordinates[0].tolist()
        [-0.21875, 0.0, 0.0]
    """
    if heatmaps.ndim < 2 or 0 in heatmaps.shape[-2:]:
        raise ValueError(f"expected heat maps (..., H, W), found shape {tuple(heatmaps.shape)}")
    height, width = heatmaps.shape[-2:]
    flat = heatmaps.float().flatten(-2)
    height_of_peak, cell = flat.max(-1)
    cell = cell.where(height_of_peak > 0, 0)
    x, y = cell % width, cell // width

    def slope(step: int) -> Tensor:
        """Return the sign of the difference of the neighbours."""
        after, before = ((cell + side).clamp(0, height * width - 1)[..., None] for side in (step, -step))
        return (flat.gather(-1, after) - flat.gather(-1, before))[..., 0].sign()

    inside = (x >= _FIRST) & (x < width - 1) & (y >= _FIRST) & (y < height - 1)
    axes = ((x, 1, width), (y, width, height))
    places = [(cells + _OFFSET * slope(step) * inside) / size - 0.5 for cells, step, size in axes]
    return Peaked(torch.stack((*places, torch.zeros_like(places[0])), -1), height_of_peak.clamp(0, 1))
