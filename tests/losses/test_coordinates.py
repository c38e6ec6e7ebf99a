"""Losses on coordinates against numpy and the reference values."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from liftpose.losses import coordinate_l1_loss, coordinate_mse_loss, coordinate_smooth_l1_loss, over_batch_norm
from liftpose.models.soft_argmax import soft_argmax

Loss = Callable[..., Tensor]
LOSSES: dict[str, Loss] = {
    "l1": coordinate_l1_loss,
    "mse": coordinate_mse_loss,
    "smooth_l1": coordinate_smooth_l1_loss,
}


def errors(name: str, difference: Any, switch: float = 5 / 256) -> Any:
    """The error of every coordinate, in numpy."""
    size = np.abs(difference)
    if name == "l1":
        return size
    if name == "mse":
        return size**2
    return np.where(size < switch, size**2 / (2 * switch), size - switch / 2)


@pytest.mark.parametrize("name", LOSSES)
@given(st.integers(1, 5), st.sampled_from([1e-3, 1e-2, 1.0]), st.integers(0, 2**31))
def test_each_reduction_is_its_sum(name: str, samples: int, scale: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    difference = scale * generator.normal(size=(samples, 17, 3))
    weights = generator.integers(0, 3, size=(samples, 17, 1)) / 2.0 * np.ones(3)
    target = generator.normal(size=difference.shape)
    given_ = [torch.from_numpy(array) for array in (target + difference, target, weights)]
    total = float((errors(name, difference) * weights).sum())
    loss = LOSSES[name]
    assert math.isclose(loss(*given_, "sum"), total, rel_tol=1e-9, abs_tol=1e-15)
    assert math.isclose(loss(*given_, "batch"), total / samples, rel_tol=1e-9, abs_tol=1e-15)
    assert math.isclose(loss(*given_), total / max(weights.sum(), 1e-9), rel_tol=1e-9, abs_tol=1e-15)
    assert math.isclose(loss(*given_[:2]), errors(name, difference).mean(), rel_tol=1e-9)
    # a weight of each joint does for its coordinates
    torch.testing.assert_close(loss(given_[0], given_[1], given_[2][..., :1]), loss(*given_))


@pytest.mark.parametrize("name", LOSSES)
def test_a_label_without_weight_may_be_anything(name: str) -> None:
    prediction = torch.rand(3, 17, 3, requires_grad=True)
    target, weights = torch.rand(3, 17, 3), torch.ones(3, 17, 3)
    target[1, 4], weights[1, 4] = math.nan, 0
    target[0, 2, 2], weights[0, 2, 2] = math.inf, 0
    loss = LOSSES[name](prediction, target, weights)
    loss.backward()
    assert loss.isfinite()
    gradient = prediction.grad
    assert gradient is not None and gradient.isfinite().all()
    assert torch.equal(gradient == 0, weights == 0)


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_without_any_weight_has_no_loss(name: str) -> None:
    prediction = torch.rand(2, 17, 3, requires_grad=True)
    loss = LOSSES[name](prediction, torch.rand(2, 17, 3), torch.zeros(2, 17, 3))
    loss.backward()
    assert loss == 0
    assert prediction.grad is not None and not prediction.grad.any()


def test_smooth_l1_changes_from_a_square_to_a_line_without_a_step() -> None:
    switch, step = 0.1, 1e-7
    points = torch.tensor([switch - step, switch, switch + step], dtype=torch.float64, requires_grad=True)
    values = [coordinate_smooth_l1_loss(point[None], torch.zeros(1).double(), switch=switch) for point in points]
    assert math.isclose(values[1].item(), switch / 2, rel_tol=1e-12)
    slopes = torch.autograd.grad(sum(values), points)[0]
    torch.testing.assert_close(slopes, torch.tensor([1 - step / switch, 1, 1], dtype=torch.float64))
    far = coordinate_smooth_l1_loss(torch.tensor([0.5]), torch.zeros(1), switch=switch)
    torch.testing.assert_close(far, torch.tensor(0.5 - switch / 2))


def test_the_published_switch_point_makes_it_half_the_square_in_a_patch() -> None:
    prediction, target = torch.rand(4, 17, 3) - 0.5, torch.rand(4, 17, 3) - 0.5
    found = coordinate_smooth_l1_loss(prediction, target, switch=1.0)
    torch.testing.assert_close(found, coordinate_mse_loss(prediction, target) / 2)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_taken_in_32_bits_under_mixed_precision(name: str) -> None:
    prediction, target = torch.rand(4, 17, 3).bfloat16(), torch.rand(4, 17, 3)
    with torch.autocast("cpu", torch.bfloat16):
        found = LOSSES[name](prediction, target)
    torch.testing.assert_close(found, LOSSES[name](prediction.float(), target))
    assert found.dtype == torch.float32


@pytest.mark.parametrize("name", LOSSES)
def test_wrong_arguments_are_refused(name: str) -> None:
    loss = LOSSES[name]
    with pytest.raises(ValueError, match=r"expected two arrays of one shape, found \(2, 3\) and \(2, 1\)"):
        loss(torch.zeros(2, 3), torch.zeros(2, 1))
    with pytest.raises(ValueError, match=r"expected a reduction weights, batch, sum, found 'mean'"):
        loss(torch.zeros(2, 3), torch.zeros(2, 3), None, "mean")


def test_a_switch_point_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a switch point above 0, found 0"):
        coordinate_smooth_l1_loss(torch.zeros(2, 3), torch.zeros(2, 3), switch=0)


# -------------------------------------------------------------------------------------------------------------- golden
def public_loss(name: str, prediction: Tensor, target: Tensor, weights: Tensor, norm: bool, reduction: str) -> Tensor:
    if norm:
        prediction, target = over_batch_norm(prediction), over_batch_norm(target)
    more = {"switch": 1.0} if name == "smooth_l1" else {}
    return LOSSES[name](prediction, target, weights, reduction, **more)


@pytest.mark.parametrize(
    ("name", "public"), [("l1", "L1JointLocationLoss"), ("smooth_l1", "SmoothL1JointLocationLoss")]
)
@pytest.mark.parametrize("norm", [0, 1])
@pytest.mark.parametrize(("averaged", "reduction"), [(0, "sum"), (1, "batch")])
def test_the_public_losses_and_gradients_are_reached(
    name: str, public: str, norm: int, averaged: int, reduction: str, reference: Path
) -> None:
    golden = np.load(reference / "golden/epipolar/integral_loss.npz")
    volumes = torch.from_numpy(golden["vol"]).requires_grad_(True)
    prediction = soft_argmax(volumes.unflatten(1, (int(golden["num_joints"]), -1))).flatten(1)
    label, weight = (torch.from_numpy(golden[part]) for part in ("label", "weight"))
    loss = public_loss(name, prediction, label, weight, bool(norm), reduction)
    np.testing.assert_allclose(loss.item(), golden[f"loss_{public}_norm{norm}_avg{averaged}"], rtol=1e-5)
    if averaged:
        loss.backward()
        wanted = golden[f"grad_{public}_norm{norm}_avg1"]
        assert volumes.grad is not None
        np.testing.assert_allclose(volumes.grad[:, ::4], wanted, rtol=1e-4, atol=1e-6 * np.abs(wanted).max())


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("norm", [0, 1])
def test_the_public_values_beyond_the_patch_are_reached(name: str, norm: int, reference: Path) -> None:
    golden = np.load(reference / "golden/epipolar/integral_loss.npz")
    prediction, target = (torch.from_numpy(golden[f"raw_{part}"]) for part in ("pred", "target"))
    found = public_loss(name, prediction, target, torch.ones_like(target), bool(norm), "batch")
    np.testing.assert_allclose(found, golden[f"raw_weighted_{name}_loss_norm{norm}"], rtol=1e-5)
