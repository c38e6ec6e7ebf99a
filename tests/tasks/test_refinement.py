"""The training of the network that corrects poses, against its equations and the reference numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from liftpose.data.pose_pairs import PosePairs
from liftpose.datamodules import PosePairsDataModule
from liftpose.errors import LiftposeError
from liftpose.models import Refiner
from liftpose.skeletons import H36M_MPII_ORDER_16
from liftpose.tasks import RefinementTask

ROOT = H36M_MPII_ORDER_16.root
RUN: dict[str, Any] = {
    "accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False,
    "enable_model_summary": False, "max_epochs": 1, "num_sanity_val_steps": 0,
}  # fmt: skip


def pairs(poses: Tensor, truth: Tensor, name: str = "some") -> PosePairs:
    count = len(poses)
    subjects = tuple(("S9", "S11")[row % 2] for row in range(count))
    return PosePairs.from_columns(
        name, H36M_MPII_ORDER_16, poses, truth, subjects, ("Walking",) * count, np.zeros(count, np.int64),
        np.arange(count),
    )  # fmt: skip


def module(batch_size: int = 64, **splits: PosePairs) -> PosePairsDataModule:
    """A data module that has its poses already."""
    data = PosePairsDataModule(batch_size=batch_size)
    data._pairs.update(splits)
    return data


def with_root(rows: Tensor) -> Tensor:
    joints = rows.view(len(rows), 15, 3)
    return torch.cat((joints[:, :ROOT], torch.zeros(len(rows), 1, 3), joints[:, ROOT:]), 1)


class Plain(Refiner):
    """A network that does not standardise."""

    def fit_statistics(self, poses_3d: Tensor, targets_3d: Tensor) -> None:
        """Leave the coordinates as they are."""


class Fixed(Refiner):
    """A network that gives what it is told to, by the first coordinate of what it sees."""

    def tell(self, given: Tensor, answers: Tensor) -> None:
        self.keys, self.answers = given[:, 0, 0], answers

    def forward(self, poses_3d: Tensor) -> Tensor:
        rows = (poses_3d[:, None, 0, 0] - self.keys).abs().argmin(1)
        return self.answers[rows]


def test_one_step_is_adam_on_the_clipped_gradient_of_the_loss() -> None:
    torch.manual_seed(0)
    poses, truth = 0.3 * torch.randn(9, 16, 3), 0.3 * torch.randn(9, 16, 3)
    data = module(train=pairs(poses, truth), validation=pairs(poses, truth))
    task = RefinementTask(Refiner(channels=8, dropout=0.0))
    before = {name: tensor.clone() for name, tensor in task.network.state_dict().items()}
    trainer = pl.Trainer(**RUN, gradient_clip_val=1, limit_val_batches=0)
    trainer.fit(task, data)

    columns = {}
    for name, joints in (("input", poses), ("target", truth)):
        rows = np.delete((joints - joints[:, ROOT : ROOT + 1]).numpy().astype(np.float64), ROOT, 1).reshape(9, 45)
        columns[name] = torch.from_numpy((rows - rows.mean(0)) / rows.std(0)).float()
        np.testing.assert_allclose(getattr(task.network, f"{name}_mean"), rows.mean(0), atol=1e-6)
        np.testing.assert_allclose(getattr(task.network, f"{name}_std"), rows.std(0), rtol=1e-5)
    again = Plain(channels=8, dropout=0.0)
    again.load_state_dict(before)
    estimates = again.estimates(with_root(columns["input"]))
    sum(((estimate - columns["target"]) ** 2).mean() for estimate in estimates).backward()  # type: ignore[union-attr]
    norm = torch.nn.utils.clip_grad_norm_(again.parameters(), 1)
    assert norm > 1.5
    (optimizer,) = trainer.optimizers
    for (name, weight), own in zip(task.network.named_parameters(), again.parameters(), strict=True):
        assert own.grad is not None
        torch.testing.assert_close(optimizer.state[weight]["exp_avg"], 0.1 * own.grad, rtol=1e-3, atol=1e-6)
        # The first step of Adam goes the whole learning rate along the sign.
        sure = own.grad.abs() > 1e-5
        step = (weight - before[name])[sure] / -torch.sign(own.grad[sure])
        torch.testing.assert_close(step, torch.full_like(step, 0.001 * 0.96**1e-5), rtol=0.02, atol=1e-6)


def test_the_reference_step(by_rule: Callable[..., Any], reference: Path) -> None:
    golden = np.load(reference / "golden/epipolar/refiner.npz")
    shift = int(np.load(reference / "golden/epipolar/model.npz")["shift"])
    network = by_rule(Plain(channels=24, dropout=0.0), shift, leave=("input_", "target_"))
    rows, truth = (with_root(torch.from_numpy(golden[name])) for name in ("small_x", "small_train_y"))
    losses: list[float] = []

    class Watched(RefinementTask):
        def training_step(self, *batch: Any) -> Tensor:
            loss = super().training_step(*batch)
            losses.append(loss.item())
            return loss

    trainer = pl.Trainer(**RUN, gradient_clip_val=1, limit_val_batches=0)
    data = module(train=pairs(rows, truth), validation=pairs(rows, truth))
    task = Watched(network)
    trainer.fit(task, data)
    assert losses == pytest.approx([float(golden["small_train_loss"])], rel=1e-5)
    moments = trainer.optimizers[0].state[network.w1.weight]["exp_avg"]
    np.testing.assert_allclose(10 * moments, golden["small_train_grad_w1_clipped"], rtol=1e-3, atol=1e-5)


def as_they_are(golden: Any, name: str) -> PosePairs:
    """Return the reference's poses, which are not relative to a root, without a root."""
    poses, truth = (torch.from_numpy(golden[f"{name}_{part}"] / 1000).float() for part in ("inp", "out"))
    poses[:, ROOT], truth[:, ROOT] = 0, 0
    sequence = torch.zeros(len(poses), dtype=torch.int64)
    return PosePairs(name, H36M_MPII_ORDER_16, poses, truth, (("", "", 0),), sequence, torch.arange(len(poses)))


def test_the_reference_statistics_and_errors(reference: Path) -> None:
    golden = np.load(reference / "golden/epipolar/refiner.npz")
    valid = as_they_are(golden, "valid")
    data = module(train=as_they_are(golden, "train"), validation=valid, test=valid)
    network = Fixed(channels=8)
    task = RefinementTask(network)
    network.tell(torch.zeros(1, 16, 3), torch.zeros(1, 16, 3))
    pl.Trainer(**RUN, limit_train_batches=1, limit_val_batches=0).fit(task, data)
    for own, name in (("input", "data"), ("target", "labels")):
        np.testing.assert_allclose(1000 * getattr(network, f"{own}_mean"), golden[f"{name}_mean"], atol=1e-3)
        np.testing.assert_allclose(1000 * getattr(network, f"{own}_std"), golden[f"{name}_std"], rtol=1e-4)
    given = network._standardised(valid.poses_3d, network.input_mean, network.input_std)
    np.testing.assert_allclose(given, golden["valid_data"], atol=2e-4)
    np.testing.assert_allclose(
        1000 * np.delete(valid.truth_3d.numpy(), ROOT, 1).reshape(15, 45), golden["valid_labels"], atol=1e-2
    )

    predictions = golden["eval_preds"] * golden["labels_std"] + golden["labels_mean"]
    network.tell(valid.poses_3d, with_root(torch.from_numpy(predictions / 1000).float()))
    metrics = pl.Trainer(**RUN).validate(task, data, verbose=False)[0]
    with_a_root = 15 / 16  # the reference leaves the root out, whose error is 0
    assert metrics["val_mpjpe_mm"] == pytest.approx(with_a_root * float(golden["eval_mpjpe"]), rel=1e-4)
    pl.Trainer(**RUN).test(task, data, verbose=False)
    overall = task.test_results["test"].overall
    wanted = dict(zip(golden["eval_names"], golden["eval_values"].tolist(), strict=True))
    further = {score.name: 1000 * score.value for score in overall.further}
    assert 1000 * overall.mpjpe == pytest.approx(with_a_root * wanted["hm36_17j"], rel=1e-4)
    for axis in "xyz":
        assert further[axis] == pytest.approx(with_a_root * wanted[f"hm36_17j_{axis}"], rel=1e-4)


def test_validation_tells_the_error_before_and_after() -> None:
    torch.manual_seed(1)
    given, truth, answers = (0.3 * torch.randn(10, 16, 3) for _ in range(3))
    given[:, 0, 0] = torch.arange(10) / 10
    given, truth, answers = (joints - joints[:, ROOT : ROOT + 1] for joints in (given, truth, answers))
    network = Fixed(channels=8)
    network.tell(given, answers)
    data = module(4, validation=pairs(given, truth))
    metrics = pl.Trainer(**RUN).validate(RefinementTask(network), data, verbose=False)[0]
    for name, joints in (("val_mpjpe_mm", answers), ("val_uncorrected_mpjpe_mm", given)):
        wanted = np.linalg.norm((joints - truth).numpy(), axis=-1).mean()
        assert metrics[name] == pytest.approx(1000 * wanted, rel=1e-5)


def test_the_learning_rate_falls_at_multiples_of_its_steps() -> None:
    task = RefinementTask(Refiner(channels=8), learning_rate=0.01, learning_rate_decay=0.5, decay_steps=3)
    optimizers: Any = task.configure_optimizers()
    optimizer, schedule = optimizers["optimizer"], optimizers["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(8):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    wanted = [0.01 * 0.5 ** (exponent / 3) for exponent in (1, 1, 3, 3, 3, 6, 6, 6)]
    assert rates == pytest.approx(wanted)
    assert optimizers["lr_scheduler"]["interval"] == "step"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0}, "model.learning_rate: expected a number above 0, found 0"),
        ({"decay_steps": 0}, "model.decay_steps: expected a number from 1 up, found 0"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LiftposeError, match=message):
        RefinementTask(Refiner(channels=8), **options)
