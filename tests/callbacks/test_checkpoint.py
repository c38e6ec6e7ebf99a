"""Checkpoints between batches: whatever a recipe needs to go on is in them, and a file that is good stays good."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    EarlyStopping,
    GradientAccumulationScheduler,
    LearningRateMonitor,
    ModelCheckpoint,
    WeightAveraging,
)
from torch import Tensor
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau
from torch.utils.data import DataLoader

from liftpose.callbacks import CheckpointFiles, RunCheckpoints, RunCSVLogger
from liftpose.datamodules import H36MDataModule
from liftpose.errors import LiftposeError, RunStopped
from liftpose.models import RIE, LinearLifter
from liftpose.tasks import LiftingTask, RegressionTask

BATCHES = 12


class OnPlateau(LiftingTask):
    """Lowers the learning rate by the validation error; impatient, so that it happens in a few epochs."""

    interval = "epoch"

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.lifter.parameters(), lr=1e-3)
        scheduler = ReduceLROnPlateau(optimizer, factor=0.5, patience=0, threshold=0.2)
        schedule = {"scheduler": scheduler, "monitor": "val_mpjpe_mm", "interval": self.interval, "frequency": 1}
        return {"optimizer": optimizer, "lr_scheduler": schedule}


class OneCycle(LiftingTask):
    """A learning rate for every step."""

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.lifter.parameters(), lr=1e-3, momentum=0.9)
        scheduler = OneCycleLR(optimizer, max_lr=0.01, total_steps=3 * BATCHES)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def rie() -> RIE:
    torch.manual_seed(0)
    return RIE(filter_widths=(3,), channels=8, latent_dim=8, hidden_dim=16, stage=1)


TASKS: dict[str, Callable[[], LiftingTask]] = {
    "published": lambda: LiftingTask(rie()),
    "plateau": lambda: OnPlateau(rie()),
    "one cycle": lambda: OneCycle(rie()),
    "closed form": lambda: RegressionTask(LinearLifter()),
}


class SignalAt(pl.Callback):
    """Sends SIGTERM to this process in a training batch, counted over the run, or in a validation, counted too."""

    def __init__(self, batch: int = -1, validation: int = -1) -> None:
        self.batch, self.validation, self.validations = batch, validation, -1

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.fit_loop.total_batch_idx == self.batch:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_validation_start(self, *_: Any) -> None:
        self.validations += 1

    def on_validation_batch_end(self, *arguments: Any) -> None:
        if self.validations == self.validation and arguments[4] == 1:
            os.kill(os.getpid(), signal.SIGTERM)


def trainer(folder: Path, epochs: int, callbacks: list[pl.Callback], kept_rows: int | None) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu", max_epochs=epochs, limit_train_batches=BATCHES, limit_val_batches=4, log_every_n_steps=2,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, use_distributed_sampler=False,
        logger=RunCSVLogger(folder, kept_rows), plugins=[CheckpointFiles()],
        callbacks=[LearningRateMonitor("step"), *callbacks,
                   RunCheckpoints(folder / "checkpoints", monitor="val_mpjpe_mm", every_n_steps=5)],
    )  # fmt: skip


def run(
    task: LiftingTask,
    root: Path,
    folder: Path,
    callbacks: list[pl.Callback] | None = None,
    resume: bool = False,
    kind: type[H36MDataModule] = H36MDataModule,
) -> pl.Trainer:
    """Train, from the beginning or from the last checkpoint, as Python users do."""
    data = kind(root=str(root), batch_size=32, train_subjects=["S1"], validation_subjects=["S9"])
    last = folder / "checkpoints/last.ckpt"
    rows = torch.load(last, weights_only=True)["liftpose_run"]["csv_rows"] if resume else None
    fitting = trainer(folder, 1 if isinstance(task, RegressionTask) else 3, callbacks or [], rows)
    fitting.fit(task, data, ckpt_path=last if resume else None)
    return fitting


def state(fitting: pl.Trainer) -> dict[str, Any]:
    """The checkpoint of a run as it stands, without what belongs to its folder."""
    return fitting._checkpoint_connector.dump_checkpoint(weights_only=False)


def assert_equal(one: Any, other: Any, name: str = "") -> None:
    """Compare trees of tensors to the last bit."""
    if isinstance(one, Tensor):
        assert torch.equal(one, other), name
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), name
        for key in one:
            assert_equal(one[key], other[key], f"{name}/{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), name
        for place, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            assert_equal(mine, theirs, f"{name}/{place}")
    else:
        wanted = pytest.approx(other, rel=0, abs=0, nan_ok=True) if isinstance(other, float) else other
        assert one == wanted, name


@pytest.mark.parametrize(
    ("kind", "stop"),
    [
        *((kind, stop) for kind in ("published", "plateau", "one cycle") for stop in (
            {"batch": 3}, {"batch": 11}, {"batch": 16}, {"validation": 1}
        )),
        ("closed form", {"batch": 6}),
        ("closed form", {"validation": 0}),
    ],
)  # fmt: skip
def test_a_stopped_run_goes_on(kind: str, stop: dict[str, int], h36m_root: Path, tmp_path: Path) -> None:
    stopping = [EarlyStopping("val_mpjpe_mm", patience=2)]
    straight = run(TASKS[kind](), h36m_root, tmp_path / "straight", [*stopping])
    with pytest.raises(RunStopped, match="143"):
        run(TASKS[kind](), h36m_root, tmp_path / "cut", [EarlyStopping("val_mpjpe_mm", patience=2), SignalAt(**stop)])
    torch.manual_seed(99)  # another process
    resumed = run(TASKS[kind](), h36m_root, tmp_path / "cut", [EarlyStopping("val_mpjpe_mm", patience=2)], resume=True)
    assert_equal(state(straight), state(resumed))
    assert (tmp_path / "straight/metrics.csv").read_text() == (tmp_path / "cut/metrics.csv").read_text()
    if kind != "closed form":
        rates = {row.split(",")[1] for row in (tmp_path / "cut/metrics.csv").read_text().splitlines()[1:]} - {""}
        assert len(rates) > 1  # the schedule has something to get wrong


def test_a_signal_is_obeyed_at_the_batch_in_which_it_comes(h36m_root: Path, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RunStopped) as stopped:
        run(TASKS["published"](), h36m_root, tmp_path, [SignalAt(batch=3)])
    assert signal.getsignal(signal.SIGTERM) == before
    assert stopped.value.message == (
        f"terminated; {tmp_path}/checkpoints/last.ckpt holds the state after 4 batches "
        "(--ckpt_path last goes on with it)"
    )


def test_the_signals_are_as_before_after_a_run(h36m_root: Path, tmp_path: Path) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    run(TASKS["closed form"](), h36m_root, tmp_path)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_save_that_fails_anywhere_leaves_a_good_checkpoint(
    h36m_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitting = run(TASKS["published"](), h36m_root, tmp_path)
    keeper = next(callback for callback in fitting.callbacks if isinstance(callback, RunCheckpoints))
    folder, contents = tmp_path / "checkpoints", {}
    for file in folder.iterdir():
        contents[file.name] = file.read_bytes()
    replace = Path.replace
    for fatal in range(4):
        for name, content in contents.items():
            (folder / name).unlink(missing_ok=True)
            (folder / name).write_bytes(content)
        count = 0

        def fail(self: Path, target: Path, fatal: int = fatal) -> Path:
            nonlocal count
            count += 1
            if count > fatal:
                raise OSError(28, "No space left on device", str(self))
            return replace(self, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", fail)
            if fatal < 3:  # previous, last, best
                with pytest.raises(
                    LiftposeError, match=r"no space left on the disk; .*last.ckpt is the last checkpoint"
                ):
                    keeper._save(fitting, best=True)
            else:
                keeper._save(fitting, best=True)
        assert {path.name for path in folder.iterdir()} == set(contents)
        for name in contents:
            assert torch.load(folder / name, weights_only=True)["global_step"] > 0


def test_the_best_epoch_is_not_the_last(h36m_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([float("nan"), 5.0, 7.0])
    monkeypatch.setattr(LiftingTask, "on_validation_epoch_end", lambda self: self.log("val_mpjpe_mm", next(scores)))
    run(TASKS["published"](), h36m_root, tmp_path)
    best, last = (torch.load(tmp_path / f"checkpoints/{name}.ckpt", weights_only=True) for name in ("best", "last"))
    assert (best["global_step"], last["global_step"]) == (2 * BATCHES, 3 * BATCHES)
    assert last["callbacks"]["RunCheckpoints"]["best_score"] == 5.0
    shutil.rmtree(tmp_path / "checkpoints")


def test_sums_that_would_be_lost_are_refused(h36m_root: Path, tmp_path: Path) -> None:
    class Careless(LiftingTask):
        """Lets Lightning add up a value over the epoch."""

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            loss = super().training_step(batch, batch_idx)
            self.log("mean_loss", loss, on_epoch=True)
            return loss

    with pytest.raises(ValueError, match="mean_loss: expected a metric for the mean over an epoch"):
        run(Careless(rie()), h36m_root, tmp_path)


# ------------------------------------------------------------------------------------------------ more ways to go on
class Averaging(WeightAveraging):
    """Averages that take the place of the weights during a validation."""

    def __init__(self) -> None:
        super().__init__(avg_fn=lambda averaged, current, _: 0.9 * averaged + 0.1 * current)


CALLBACKS: dict[str, Callable[[], pl.Callback]] = {
    "averaging": Averaging,
    "accumulation": lambda: GradientAccumulationScheduler({0: 1, 1: 3}),
    "early end": lambda: EarlyStopping("val_mpjpe_mm", patience=0, mode="max"),
    "user's checkpoints": lambda: ModelCheckpoint(monitor="val_mpjpe_mm", save_on_train_epoch_end=True),
}


@pytest.mark.parametrize("stop", [{"batch": 16}, {"validation": 1}], ids=["batch", "validation"])
@pytest.mark.parametrize("name", CALLBACKS)
def test_callbacks_go_on_too(name: str, stop: dict[str, int], h36m_root: Path, tmp_path: Path) -> None:
    straight = run(TASKS["published"](), h36m_root, tmp_path / "straight", [CALLBACKS[name]()])
    with pytest.raises(RunStopped):
        run(TASKS["published"](), h36m_root, tmp_path / "cut", [CALLBACKS[name](), SignalAt(**stop)])
    resumed = run(TASKS["published"](), h36m_root, tmp_path / "cut", [CALLBACKS[name]()], resume=True)
    one, other = (pathless(state(fitting)) for fitting in (straight, resumed))
    assert_equal(one, other)
    again = run(TASKS["published"](), h36m_root, tmp_path / "cut", [CALLBACKS[name]()], resume=True)
    assert again.global_step == straight.global_step  # a run that is over stays over, also one that has ended early


def pathless(content: dict[str, Any]) -> dict[str, Any]:
    """Leave out what names files, which lie in another folder."""
    for name, known in content["callbacks"].items():
        if name.startswith("ModelCheckpoint"):
            content["callbacks"][name] = {
                key: value
                for key, value in known.items()
                if "path" not in key and "dir" not in key and "models" not in key
            }
    return content


class Workers(H36MDataModule):
    """Batches that other processes prepare ahead of time."""

    def train_dataloader(self) -> Any:
        own = super().train_dataloader()
        return DataLoader(
            own.dataset, batch_size=None, sampler=own.sampler, generator=own.generator, num_workers=2, prefetch_factor=2
        )


def test_batches_of_workers_go_on(h36m_root: Path, tmp_path: Path) -> None:
    straight = run(TASKS["published"](), h36m_root, tmp_path / "straight", kind=Workers)
    with pytest.raises(RunStopped):
        run(TASKS["published"](), h36m_root, tmp_path / "cut", [SignalAt(batch=16)], kind=Workers)
    resumed = run(TASKS["published"](), h36m_root, tmp_path / "cut", resume=True, kind=Workers)
    assert_equal(state(straight), state(resumed))


def test_a_loader_that_cannot_begin_within_an_epoch_is_named(h36m_root: Path, tmp_path: Path) -> None:
    class Shuffled(H36MDataModule):
        """Lets torch draw the order."""

        def train_dataloader(self) -> Any:
            return DataLoader(self.windows("train"), shuffle=True)  # type: ignore[arg-type]

    with pytest.raises(RunStopped):
        run(TASKS["published"](), h36m_root, tmp_path, [SignalAt(batch=16)])
    with pytest.raises(
        LiftposeError, match="because RandomSampler cannot begin within an epoch, found one after 5 batches"
    ):
        run(TASKS["published"](), h36m_root, tmp_path, resume=True, kind=Shuffled)
