"""The likelihood of the true cells against sums by hand."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from liftpose.losses import cell_loss


def by_hand(volumes: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, shift: float) -> float:
    total = 0.0
    samples, joints, depth, height, width = volumes.shape
    for b, j in itertools.product(range(samples), range(joints)):
        p = volumes[b, j].double().flatten().softmax(0).reshape(depth, height, width)
        plane, along = p.sum(0), p.sum((1, 2))
        x, y, z = ((float(labels[b, j, a]) + 0.5) * n - shift for a, n in enumerate((width, height, depth)))
        for row, column in itertools.product(range(height), range(width)):
            near = max(0.0, 1 - abs(row - y)) * max(0.0, 1 - abs(column - x))
            total -= min(weights[b, j, :2].tolist()) * near * math.log(plane[row, column])
        for k in range(depth):
            total -= float(weights[b, j, 2]) * max(0.0, 1 - abs(k - z)) * math.log(along[k])
    return total


@pytest.mark.parametrize("half_pixel", [False, True])
def test_it_is_the_sum_by_hand(half_pixel: bool) -> None:
    volumes = 2 * torch.randn(3, 4, 5, 6, 7)
    labels = 1.3 * (torch.rand(3, 4, 3) - 0.5)  # some beyond the border
    weights = torch.rand(3, 4, 3)
    weights[0, 1], weights[1, 2, 2] = 0, 0
    expected = by_hand(volumes, labels, weights, 0.5 if half_pixel else 0.0)
    assert float(cell_loss(volumes, labels, weights, half_pixel)) == pytest.approx(expected, rel=1e-5)


def test_a_flat_volume_costs_the_logarithm_of_its_cells() -> None:
    loss = cell_loss(torch.zeros(1, 1, 8, 16, 32), torch.zeros(1, 1, 3), torch.ones(1, 1, 3))
    assert float(loss) == pytest.approx(math.log(16 * 32) + math.log(8))


def test_it_goes_down_along_its_gradient_where_the_expectation_hardly_moves() -> None:
    volumes = torch.zeros(1, 1, 8, 16, 16, requires_grad=True)
    labels, weights = torch.tensor([[[0.25, -0.25, 0.125]]]), torch.ones(1, 1, 3)
    (gradient,) = torch.autograd.grad(cell_loss(volumes, labels, weights), volumes)
    assert int((-gradient).sum(2).argmax()) == 4 * 16 + 12  # row (-0.25 + 0.5) 16, column (0.25 + 0.5) 16
    assert int((-gradient).sum((3, 4)).argmax()) == 5


def test_wrong_shapes_are_told() -> None:
    with pytest.raises(ValueError, match=r"found \(1, 2, 8, 16\)"):
        cell_loss(torch.zeros(1, 2, 8, 16), torch.zeros(1, 2, 3), torch.zeros(1, 2, 3))
