"""The task against runs of the public code on its toy data set: evaluations, and three epochs of training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from liftpose.data.lifting_windows import lifting_windows
from liftpose.datamodules import H36MDataModule
from liftpose.metrics import MPJPE, Table, action_table, action_tables_by_subject
from liftpose.models import RIE
from liftpose.tasks import LiftingTask
from liftpose.weights import load_rie

SUBJECTS = {"train_subjects": ["S1", "S5"], "validation_subjects": ["S9", "S11"], "test_subjects": ["S9", "S11"]}
RUNS: dict[str, tuple[dict[str, Any], bool]] = {
    "gt_tta": ({}, True),
    "gt_no_tta": ({}, False),
    "cpn_tta": ({"keypoints": "cpn_ft_h36m_dbb"}, True),
    "gt_by_subject": ({}, True),
    "gt_downsample3": ({"downsample": 3}, True),
    "gt_action_Sitting": ({"actions": ["Sitting"]}, True),
    "gt_batch7": ({"batch_size": 7}, True),
}


@pytest.fixture(scope="module")
def toy(reference: Path) -> Path:
    return reference / "golden/rie/toy_h36m"


@pytest.fixture(scope="module")
def expected(toy: Path) -> dict[str, Any]:
    return json.loads((toy / "expected.json").read_text())


def quiet_trainer(**options: Any) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, use_distributed_sampler=False, num_sanity_val_steps=0, **options,
    )  # fmt: skip


def run_test(task: LiftingTask, data: H36MDataModule) -> list[Table]:
    """Test and return the table over all people, then those of each person."""
    quiet_trainer().test(task, data, verbose=False)
    assert task.test_result is not None
    return [action_table(task.test_result), *action_tables_by_subject(task.test_result).values()]


def check_rows(tables: list[Table], per_action: list[dict[str, Any]], **tolerance: float) -> None:
    rows = [row for table in tables for row in table.rows]
    if len(tables) == 1:  # the public code lists actions in the order of the 3D file, the table in that of the 2D file
        rows = sorted(rows, key=lambda row: row.name)
        per_action = sorted(per_action, key=lambda entry: entry["action"])
    assert [row.name for row in rows] == [entry["action"] for entry in per_action]
    for row, entry in zip(rows, per_action, strict=True):
        assert row.values[0] == pytest.approx(entry["mpjpe_mm"], **tolerance)
        assert row.values[1] == pytest.approx(entry["p_mpjpe_mm"], **tolerance)


@pytest.mark.parametrize("name", RUNS)
def test_evaluations_give_the_published_numbers(name: str, toy: Path, expected: dict[str, Any]) -> None:
    options, flip_test = RUNS[name]
    task = LiftingTask(load_rie(toy / "stage_1_epoch_10.bin"), flip_test=flip_test)
    data = H36MDataModule(root=str(toy), **SUBJECTS, **options)
    tables = run_test(task, data)
    tables = tables[1:] if name == "gt_by_subject" else tables[:1]
    golden = expected["runs"][name]
    check_rows(tables, golden["per_action"], abs=1e-3)
    means = [value for table in tables for value in table.mean_over_groups.values[:2]]
    assert means == pytest.approx(golden["action_wise_rounded"], abs=0.051)
    assert [frames_reported(data, copies=2 if flip_test else 1)] == golden["frames_reported"]


def frames_reported(data: H36MDataModule, split: Any = "test", copies: int = 1) -> int:
    """What the public code's log calls the number of frames: that of full batches, mirrored copies included."""
    frames = copies * sum(map(len, data.recordings(split)))
    return -(-frames // data.batch_size) * data.batch_size


def test_all_metrics_of_whole_sequences(toy: Path, expected: dict[str, Any]) -> None:
    table = run_test(LiftingTask(load_rie(toy / "stage_1_epoch_10.bin")), H36MDataModule(root=str(toy), **SUBJECTS))[0]
    for row in table.rows:
        golden = expected["whole_sequence_metrics_gt_tta"][row.name]
        names = ("mpjpe_mm", "p_mpjpe_mm", "n_mpjpe_mm", "mpjve_mm")
        assert row.values[:4] == pytest.approx([golden[name] for name in names], abs=1e-3)
        assert row.frames == golden["frames"]


class PublishedEvaluation(pl.Callback):
    """After every epoch, the errors that the public code logs: mirrored copies are samples, nothing is averaged."""

    def __init__(self) -> None:
        self.entries: list[dict[str, float]] = []
        self.learning_rate = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.learning_rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, LiftingTask)
        data = trainer.datamodule  # type: ignore[attr-defined]
        entry = {"lr": self.learning_rate}
        pl_module.lifter.eval()
        for name, split in (("train_eval_mm", "train"), ("valid_mm", "validation")):
            windows = lifting_windows(data.recordings(split), pl_module.lifter.receptive_field, flip_copies=True)
            batch = windows.gather(torch.arange(len(windows)))
            metric = MPJPE()
            with torch.no_grad():
                metric.update(pl_module.lifter(batch.keypoints_2d), pl_module.target(batch))
            entry[name] = 1000 * float(metric.compute())
        pl_module.lifter.train()
        self.entries.append(entry)


class TrainingError(pl.Callback):
    """The running mean of every epoch's training error."""

    def __init__(self) -> None:
        self.errors: list[float] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if "train_mpjpe_mm" in trainer.logged_metrics:
            self.errors.append(float(trainer.logged_metrics["train_mpjpe_mm"]))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.errors.append(float(trainer.logged_metrics["train_mpjpe_mm"]))


@pytest.mark.parametrize(
    ("name", "epochs", "options"), [("training", 3, {}), ("training_subset", 2, {"subset": 0.5, "downsample": 2})]
)
def test_training_follows_the_published_run(
    name: str, epochs: int, options: dict[str, Any], toy: Path, expected: dict[str, Any]
) -> None:
    golden = expected[name]
    weights = load_rie(toy / "stage_1_epoch_10.bin").state_dict()
    lifter = RIE(filter_widths=(3, 3), channels=16, latent_dim=16, hidden_dim=24, stage=1, dropout=0, fc_dropout=0)
    lifter.load_state_dict(weights)
    task = LiftingTask(lifter, init_from=None)
    data = H36MDataModule(root=str(toy), batch_size=64, **SUBJECTS, **options)
    published, training = PublishedEvaluation(), TrainingError()
    quiet_trainer(max_epochs=epochs, callbacks=[published, training], limit_val_batches=0).fit(task, data)
    assert len(training.errors) == epochs
    for entry, error, line in zip(published.entries, training.errors, golden["training_log"], strict=True):
        assert entry["lr"] == pytest.approx(line["lr"], rel=1e-3)
        assert error == pytest.approx(line["train_mm"], rel=5e-3)
        assert entry["train_eval_mm"] == pytest.approx(line["train_eval_mm"], rel=1e-2)
        assert entry["valid_mm"] == pytest.approx(line["valid_mm"], rel=1e-2)
    tables = run_test(task, H36MDataModule(root=str(toy), batch_size=64, **SUBJECTS, **{**options, "subset": 1.0}))
    check_rows(tables[:1], golden["per_action"], rel=1e-2)
    assert [frames_reported(data, copies=2), frames_reported(data, "train", copies=2)] == golden["frames_reported"]
