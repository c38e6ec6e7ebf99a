"""Layers over rows of features: those of torch, under their names."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liftpose.models.rows import Pointwise, RowNorm


def numbers(*shape: int, seed: int = 3) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


@pytest.mark.parametrize("channels", [1, 6])
def test_normalised_rows_are_those_of_torchs_layers(channels: int) -> None:
    own, theirs = RowNorm(channels).double().train(), nn.BatchNorm1d(channels).double().train()
    nn.init.uniform_(own.weight, 0.5, 1.5)
    nn.init.uniform_(own.bias)
    assert {name: value.shape for name, value in own.state_dict().items()} == {
        name: value.shape for name, value in theirs.state_dict().items()
    }
    theirs.load_state_dict(own.state_dict())
    rows, residual = numbers(9, channels), numbers(9, channels, seed=8)
    for _ in range(2):
        torch.testing.assert_close(own(rows, residual), F.relu(theirs(rows)) + residual)
    for name, value in own.state_dict().items():
        torch.testing.assert_close(value, theirs.state_dict()[name])
    own.eval(), theirs.eval()
    torch.testing.assert_close(own(rows, residual), F.relu(theirs(rows)) + residual)
    with torch.no_grad():
        torch.testing.assert_close(own(rows.clone(), residual), F.relu(theirs(rows)) + residual)
    linear = RowNorm(channels, slope=1).double().eval()
    linear.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(linear(rows), theirs(rows))


def test_dropout_of_rows() -> None:
    norm = RowNorm(50, p=0.25).train()
    values = norm(torch.randn(4000, 50))
    positive = F.relu(F.batch_norm(torch.randn(4000, 50), None, None, training=True)).gt(0).float().mean()
    torch.testing.assert_close(values.gt(0).float().mean(), 0.75 * positive, rtol=0.02, atol=0)


def test_a_pointwise_convolution_is_torchs() -> None:
    layer = Pointwise(5, 7).double()
    features = numbers(4, 3, 5)
    expected = F.conv1d(features.mT, layer.weight[..., 0], layer.bias).mT
    torch.testing.assert_close(layer(features), expected)
