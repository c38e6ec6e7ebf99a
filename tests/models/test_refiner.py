"""The refinement network against its equations, and the reference outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.models import Refiner
from liftpose.models.refiner import refiner_learning_rate_factor

ROOT = 6


def with_root(rows: Tensor) -> Tensor:
    """Coordinates of 15 joints (N, 45) as poses of 16, the root at 0."""
    joints = rows.view(len(rows), 15, 3)
    return torch.cat((joints[:, :ROOT], torch.zeros(len(rows), 1, 3), joints[:, ROOT:]), 1)


def by_definition(network: Refiner, rows: Tensor, slope: float) -> tuple[Tensor, Tensor]:
    """Both estimates in evaluation mode, from the weights alone."""
    weights = network.state_dict()

    def linear(values: Tensor, name: str) -> Tensor:
        return F.linear(values, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def active(values: Tensor, name: str) -> Tensor:
        parts = (weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.leaky_relu(F.batch_norm(values, *parts), slope)

    def stage(values: Tensor, name: str) -> Tensor:
        for first, second in ((1, 2), (3, 4)):
            hidden = active(linear(values, f"{name}.w{first}"), f"{name}.batch_norm{first}")
            values = values + active(linear(hidden, f"{name}.w{second}"), f"{name}.batch_norm{second}")
        return values

    given = active(linear(rows, "w1"), "batch_norm1")
    first = stage(given, "linear_stages.0")
    middle = linear(first, "w2")
    second = stage(first + active(linear(middle, "w3"), "batch_norm3") + given, "linear_stages.1")
    return middle, linear(given + second, "w4")


@pytest.mark.parametrize("slope", [0.0, 0.01])
@pytest.mark.parametrize("gradient", [True, False])
def test_the_estimates_are_those_of_the_equations(slope: float, gradient: bool, by_rule: Any) -> None:
    network = by_rule(Refiner(channels=24, negative_slope=slope), 3, leave=("input_", "target_")).eval()
    rows = torch.randn(7, 45)
    with torch.set_grad_enabled(gradient):
        found = network.estimates(with_root(rows))
    for estimate, wanted in zip(found, by_definition(network, rows, slope), strict=True):
        torch.testing.assert_close(estimate, wanted, rtol=1e-5, atol=1e-5)


def test_the_published_size() -> None:
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in Refiner().parameters()) == 8_603_738


def test_poses_are_standardised_in_and_out() -> None:
    network = Refiner("h36m_17", channels=8).eval()
    poses, truth = torch.randn(50, 17, 3) * 0.3 + 0.1, torch.randn(50, 17, 3) * 0.2
    poses[:, 0], truth[:, 0], truth[:, 4, 1] = 0, 0, 0.25  # a coordinate that never varies
    network.fit_statistics(poses, truth)
    rows = poses[:, 1:].flatten(1).double().numpy()
    np.testing.assert_allclose(network.input_mean, rows.mean(0), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(network.input_std, rows.std(0), rtol=1e-5)
    targets = network.standardised_targets(truth)
    assert targets.isfinite().all()
    assert network.target_std[3 * 3 + 1] == 1
    torch.testing.assert_close(network.poses(targets), truth, rtol=1e-5, atol=1e-6)
    assert network(poses).shape == (50, 17, 3)
    assert torch.equal(network(poses)[:, 0], torch.zeros(50, 3))


def test_the_statistics_are_in_the_state_dict() -> None:
    network, other = Refiner(channels=4), Refiner(channels=4)
    network.fit_statistics(torch.randn(9, 16, 3), torch.randn(9, 16, 3))
    other.load_state_dict(network.state_dict())
    assert torch.equal(other.target_std, network.target_std)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 0}, "channels: expected at least 1, found 0"),
        ({"dropout": 1.0}, "dropout: expected a probability"),
        ({"negative_slope": -0.1}, "negative_slope: expected a slope"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LiftposeError, match=message):
        Refiner(**options)


def test_poses_with_other_joints_are_refused() -> None:
    network = Refiner(channels=4)
    with pytest.raises(LiftposeError, match="expected the 16 joints of the skeleton h36m_mpii_order_16, found 17"):
        network(torch.zeros(2, 17, 3))
    with pytest.raises(LiftposeError, match="expected at least one, found none"):
        network.fit_statistics(torch.zeros(0, 16, 3), torch.zeros(0, 16, 3))


# -------------------------------------------------------------------------------------------------------------- golden
@pytest.fixture
def golden(reference: Path) -> Any:
    return np.load(reference / "golden/epipolar/refiner.npz")


@pytest.fixture
def shift(reference: Path) -> int:
    return int(np.load(reference / "golden/epipolar/model.npz")["shift"])


@pytest.mark.parametrize(("slope", "name"), [(0.0, "leaky0"), (0.01, "leaky1"), (0.0, "full")])
@torch.no_grad()
def test_the_public_estimates_are_reached(slope: float, name: str, golden: Any, shift: int, by_rule: Any) -> None:
    channels, names = (1024, "full_p{}") if name == "full" else (24, f"small_p{{}}_{name}")
    network = by_rule(Refiner(channels=channels, negative_slope=slope), shift, leave=("input_", "target_")).eval()
    found = network.estimates(with_root(torch.from_numpy(golden["small_x"])))
    for number, estimate in enumerate(found, start=1):
        np.testing.assert_allclose(estimate, golden[names.format(number)], rtol=1e-5, atol=6e-6)


def test_the_public_training_step_is_reached(golden: Any, shift: int, by_rule: Any) -> None:
    network = by_rule(Refiner(channels=24, dropout=0), shift, leave=("input_", "target_")).train()
    truth = with_root(torch.from_numpy(golden["small_train_y"]))
    targets = network.standardised_targets(truth)
    estimates = network.estimates(with_root(torch.from_numpy(golden["small_x"])))
    loss = sum(F.mse_loss(estimate, targets) for estimate in estimates)
    assert isinstance(loss, Tensor)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), 1)
    np.testing.assert_allclose(loss.item(), golden["small_train_loss"], rtol=1e-6)
    np.testing.assert_allclose(norm, golden["small_train_gradnorm_total"], rtol=1e-5)
    np.testing.assert_allclose(network.w1.weight.grad, golden["small_train_grad_w1_clipped"], rtol=1e-4, atol=1e-6)


def test_the_public_statistics_are_reached(golden: Any) -> None:
    network = Refiner(channels=4)
    poses, truth, others = (
        torch.from_numpy(golden[f"{name}"]) / 1000 for name in ("train_inp", "train_out", "valid_inp")
    )
    network.fit_statistics(poses, truth)
    for own, public in (("input", "data"), ("target", "labels")):
        for kind in ("mean", "std"):
            found = 1000 * getattr(network, f"{own}_{kind}").numpy()
            np.testing.assert_allclose(found, golden[f"{public}_{kind}"], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(
        network._standardised(others.float(), network.input_mean, network.input_std),
        golden["valid_data"],
        rtol=1e-5,
        atol=6e-6,
    )


def test_the_public_learning_rates_are_reached(golden: Any) -> None:
    found = [1e-3 * refiner_learning_rate_factor(int(step)) for step in golden["lr_steps"]]
    np.testing.assert_allclose(found, golden["lr_values"], rtol=1e-12)


def test_the_learning_rate_falls_in_steps() -> None:
    factors = [refiner_learning_rate_factor(step, 0.5, 10) for step in (1, 9, 10, 19, 20, 35)]
    np.testing.assert_allclose(factors, [0.5**0.1, 0.5**0.1, 0.5, 0.5, 0.25, 0.125], rtol=1e-12)
