"""Each branch of a batched layer is one of torch's own layers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liftpose.models.branches import (
    NEGATIVE_SLOPE,
    BranchConv,
    BranchFCBlocks,
    BranchLinear,
    BranchNorm,
    PartConv,
    PartLinear,
    dropout,
)


def features(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_linear_is_one_linear_layer_per_branch() -> None:
    layer, x = BranchLinear(3, 4, 5), features(3, 7, 4)
    expected = torch.stack([F.linear(x[k], layer.weight[k].t(), layer.bias[k]) for k in range(3)])
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("width", [1, 3])
def test_conv_is_one_strided_convolution_per_branch(width: int) -> None:
    layer, x = BranchConv(2, width, 4, 5), features(2, 6, 4)
    expected = [F.conv1d(x[k].t(), layer.weight[k].permute(2, 1, 0), stride=width).t() for k in range(2)]
    torch.testing.assert_close(layer(x), torch.stack(expected))


def test_part_conv_ignores_what_stands_beyond_a_parts_own_channels() -> None:
    layer, x = PartConv({"a": 4, "b": 2}, 3, 5), features(2, 6, 4)
    small = F.conv1d(x[1, :, :2].t(), layer.weights["b"].permute(2, 1, 0), stride=3).t()
    torch.testing.assert_close(layer(x)[1], small)
    x[1, :, 2:] = 1000.0
    torch.testing.assert_close(layer(x)[1], small)
    assert sum(p.numel() for p in layer.parameters()) == 3 * (4 + 2) * 5


def test_part_linear_pads_with_zeros() -> None:
    layer, x = PartLinear(4, {"a": 2, "b": 3}), features(2, 7, 4)
    y = layer(x)
    torch.testing.assert_close(y[0, :, :2], F.linear(x[0], layer.weights["a"].t(), layer.biases["a"]))
    torch.testing.assert_close(y[1], F.linear(x[1], layer.weights["b"].t(), layer.biases["b"]))
    assert not y[0, :, 2:].any()


def test_norm_equals_batchnorm1d_in_outputs_statistics_and_gradients() -> None:
    layer = BranchNorm(2, 5, p=0.0, momentum=0.3)
    nn.init.uniform_(layer.weight, 0.5, 1.5)
    nn.init.uniform_(layer.bias)
    references = [nn.BatchNorm1d(5, momentum=0.3) for _ in range(2)]
    for k, reference in enumerate(references):
        reference.load_state_dict({name: value[k] for name, value in layer.state_dict().items()})
    for step in range(3):
        x = (features(2, 9, 5) + step).requires_grad_()
        ours, theirs = layer(x), [F.leaky_relu(r(x[k]), NEGATIVE_SLOPE) for k, r in enumerate(references)]
        torch.testing.assert_close(ours, torch.stack(theirs))
    (ours_x, ours_w) = torch.autograd.grad((ours**2).sum(), [x, layer.weight], retain_graph=True)
    theirs_x = torch.autograd.grad(sum((y**2).sum() for y in theirs), x, retain_graph=True)[0]
    theirs_w = [torch.autograd.grad((theirs[k] ** 2).sum(), r.weight)[0] for k, r in enumerate(references)]
    torch.testing.assert_close(ours_x, theirs_x)
    torch.testing.assert_close(ours_w, torch.stack(theirs_w))
    for k, reference in enumerate(references):
        for name, value in reference.state_dict().items():
            torch.testing.assert_close(layer.state_dict()[name][k], value)
    layer.eval()
    evaluated = [F.leaky_relu(r.eval()(x[k]), NEGATIVE_SLOPE) for k, r in enumerate(references)]
    torch.testing.assert_close(layer(x), torch.stack(evaluated))


def test_norm_refuses_a_single_row_in_training() -> None:
    with pytest.raises(ValueError, match="more than 1 value"):
        BranchNorm(2, 5, p=0.0)(torch.zeros(2, 1, 5))


def test_fully_connected_block_follows_the_published_order_of_operations() -> None:
    network = BranchFCBlocks(2, 3, 6, blocks=2, output=BranchLinear(2, 6, 4), p=0.0).eval()
    for module in network.modules():
        if isinstance(module, BranchNorm):
            nn.init.uniform_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    state, x = network.state_dict(), features(2, 5, 3)

    def layer(name: str, y: Tensor, k: int) -> Tensor:
        y = F.linear(y, state[f"{name}.weight"][k].t(), state[f"{name}.bias"][k])
        norm = [state[f"{name}_norm.{part}"][k] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.leaky_relu(F.batch_norm(y, *norm), 0.2)

    for k in range(2):
        y = layer("input", x[k], k)
        for block in ("blocks.0", "blocks.1"):
            y = y + layer(f"{block}.second", layer(f"{block}.first", y, k), k)
        expected = F.linear(y, state["output.weight"][k].t(), state["output.bias"][k])
        torch.testing.assert_close(network(x)[k], expected)


@pytest.mark.parametrize("p", [0.2, 0.25, 0.5])
def test_dropout_keeps_the_mean_and_drops_with_probability_p(p: float) -> None:
    torch.manual_seed(0)
    y = dropout(torch.ones(4, 50_001), p)
    # 200 000 draws: five standard deviations of the share of zeros are below 0.006.
    assert (y == 0).double().mean().item() == pytest.approx(p, abs=0.006)
    assert y.double().mean().item() == pytest.approx(1.0, abs=0.012)
    assert y.max().item() == pytest.approx(1 / (1 - p), rel=1e-4)
    for lane in range(4):  # four elements come from one random number: each must be fair, and they must not agree
        assert (y.flatten()[lane::4] == 0).double().mean().item() == pytest.approx(p, abs=0.012)
    zeros = (y.flatten()[:200_000].view(-1, 4) == 0).double()
    assert torch.corrcoef(zeros.t()).fill_diagonal_(0).abs().max() < 0.025


def test_dropout_is_the_identity_at_zero_and_repeats_with_the_seed() -> None:
    x = features(3, 7)
    assert dropout(x, 0.0) is x
    torch.manual_seed(5)
    first = dropout(x, 0.5)
    torch.manual_seed(5)
    assert torch.equal(dropout(x, 0.5), first)
    assert not torch.equal(dropout(x, 0.5), first)


def test_dropout_passes_the_gradient_where_it_keeps() -> None:
    x = features(1000).requires_grad_()
    y = dropout(x, 0.5)
    y.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad * x, y)


def test_initial_weights_have_the_spread_of_torchs_own_layers() -> None:
    conv = BranchConv(2, 3, 20, 400).weight
    bound = nn.Conv1d(20, 1, 3).in_channels * 3
    assert conv.abs().max().item() == pytest.approx(bound**-0.5, rel=1e-3)
    assert conv.std().item() == pytest.approx((3 * bound) ** -0.5, rel=0.02)
    part = PartConv({"a": 30, "b": 18}, 3, 400).weights["b"]
    assert part.abs().max().item() == pytest.approx((18 * 3) ** -0.5, rel=1e-3)
