"""The joined steps against torch's own layers, one after the other."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from liftpose.models.branch_ops import Statistics, dropout_mask, normalise_activate_drop, strided_conv
from liftpose.models.branches import BranchNorm


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def layer_by_layer(
    features: Tensor, weight: Tensor, bias: Tensor, statistics: Statistics, p: float, residual: Tensor | None
) -> Tensor:
    """The same from torch's layers, with the mask that the current seed gives."""
    normalised = [
        F.batch_norm(x, mean, var, w, b, True, statistics.momentum, statistics.eps)
        for x, mean, var, w, b in zip(
            features, statistics.running_mean, statistics.running_var, weight, bias, strict=True
        )
    ]
    result = F.leaky_relu(torch.stack(normalised), 0.2)
    if p:
        kept, factor = dropout_mask(features.shape, p)
        result = result * kept * factor
    return result if residual is None else result + residual


@pytest.mark.parametrize("branches", [1, 3])
@pytest.mark.parametrize("p", [0.0, 0.25])
@pytest.mark.parametrize("with_residual", [False, True])
def test_values_statistics_and_gradients_are_those_of_the_layers(branches: int, p: float, with_residual: bool) -> None:
    shape = (branches, 9, 5)
    inputs = [random(0, *shape), random(1, branches, 5), random(2, branches, 5)]
    inputs += [random(3, *shape)] if with_residual else []
    results, statistics = [], []
    for step in (lambda *args: normalise_activate_drop(*args[:4], 0.2, *args[4:]), layer_by_layer):
        leaves = [value.clone().requires_grad_() for value in inputs]
        kept = Statistics(random(4, branches, 5), random(5, branches, 5).square(), 0.3, 1e-5)
        torch.manual_seed(6)
        output = step(*leaves[:3], kept, p, leaves[3] if with_residual else None)
        gradients = torch.autograd.grad((output * random(7, *shape)).sum(), leaves)
        results.append((output.detach(), *gradients))
        statistics.append(kept)
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(statistics[0].running_mean, statistics[1].running_mean)
    torch.testing.assert_close(statistics[0].running_var, statistics[1].running_var)


def test_gradients_only_where_they_are_wanted() -> None:
    features, weight, bias = random(0, 2, 6, 3), random(1, 2, 3), random(2, 2, 3)
    statistics = Statistics(torch.zeros(2, 3).double(), torch.ones(2, 3).double(), 0.1, 1e-5)
    features.requires_grad_()
    normalise_activate_drop(features, weight, bias, statistics, 0.2, 0.5).sum().backward()  # a frozen layer
    assert features.grad is not None and weight.grad is None
    trained = weight.clone().requires_grad_()
    normalise_activate_drop(features.detach(), trained, bias, statistics, 0.2, 0.0).square().sum().backward()
    assert trained.grad is not None


def test_one_row_has_no_variance() -> None:
    statistics = Statistics(torch.zeros(1, 3), torch.ones(1, 3), 0.1, 1e-5)
    with pytest.raises(ValueError, match="more than 1 value"):
        normalise_activate_drop(torch.zeros(1, 1, 3), torch.ones(1, 3), torch.zeros(1, 3), statistics, 0.2, 0.0)


def test_each_branch_draws_as_if_it_were_alone() -> None:
    torch.manual_seed(0)
    together, factor = dropout_mask(torch.Size((3, 5, 7)), 0.3)
    torch.manual_seed(0)
    alone = [dropout_mask(torch.Size((1, 5, 7)), 0.3)[0] for _ in range(3)]
    assert torch.equal(together, torch.cat(alone))
    assert set(together.unique().tolist()) == {0, 1}
    assert factor == pytest.approx(1 / 0.7, rel=1e-4)


@pytest.mark.parametrize("carried", [1, 2])
@pytest.mark.parametrize("branches", [1, 2])
def test_strided_conv_is_a_convolution_and_a_slice(branches: int, carried: int) -> None:
    features, weight = random(0, branches, 12, 4).requires_grad_(), random(1, branches, 3, 4, 5).requires_grad_()
    found = strided_conv(features, weight, carried)
    convolved = [F.conv1d(x.t(), w.permute(2, 1, 0), stride=3).t() for x, w in zip(features, weight, strict=True)]
    expected = torch.stack(convolved), features[:, carried::3]
    shares = random(2, branches, 4, 5), random(3, branches, 4, 4)
    gradients = []
    for pair in (found, expected):
        total = sum(((part * share).sum() for part, share in zip(pair, shares, strict=True)), torch.zeros(()))
        gradients.append(torch.autograd.grad(total, (features, weight)))
    for ours, theirs in zip((*found, *gradients[0]), (*expected, *gradients[1]), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        assert torch.equal(strided_conv(features, weight, carried)[0], found[0])


def test_pieces_of_a_norm_are_the_whole() -> None:
    torch.manual_seed(0)
    features, residual = torch.randn(4, 6, 3), torch.randn(4, 6, 3)
    for training in (True, False):
        whole, pieces = (BranchNorm(4, 3, p=0.0).train(training) for _ in range(2))
        expected = whole(features, residual)
        for size in (1, 2):
            found = pieces.each(torch.split(features, size), torch.split(residual, size))
            torch.testing.assert_close(torch.cat(found), expected)
            pieces.load_state_dict(BranchNorm(4, 3, p=0.0).state_dict())


def test_mixed_precision_takes_the_layers_one_by_one() -> None:
    norm = BranchNorm(2, 4, p=0.0).train()
    features = torch.randn(2, 8, 4, generator=torch.Generator().manual_seed(0))
    expected = BranchNorm(2, 4, p=0.0).train()(features)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = norm(features.bfloat16())
    torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.05)


def test_evaluation_gives_the_same_with_and_without_gradients() -> None:
    norm = BranchNorm(2, 4, p=0.5).eval()
    torch.nn.init.uniform_(norm.running_var, 0.5, 2.0)
    torch.nn.init.uniform_(norm.bias)
    features, residual = random(0, 2, 6, 4).float(), random(1, 2, 6, 4).float()
    expected = norm(features, residual)
    with torch.no_grad():
        torch.testing.assert_close(norm(features.clone(), residual), expected.detach())
