"""The checkpoints of a run: saved where nothing is half done, and gone on with as if the run had never stopped."""

from __future__ import annotations

import copy
import logging
import signal
import time
from collections.abc import Mapping
from math import inf, isnan
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.callbacks import Checkpoint, WeightAveraging
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.loops.progress import _ProcessedTracker
from pytorch_lightning.trainer.call import _call_callbacks_state_dict
from pytorch_lightning.trainer.states import TrainerFn
from torch import distributed

from liftpose.callbacks.csv_log import RunCSVLogger
from liftpose.callbacks.kept_files import KeptFiles
from liftpose.callbacks.loops import use_run_loops
from liftpose.callbacks.run_state import (
    RUN_ENTRY,
    changed_surroundings,
    process_state,
    restore_process_state,
    surroundings,
)
from liftpose.callbacks.stop import Agreement, StopSignals, own_group
from liftpose.errors import LiftposeError, RunStopped

__all__ = ["RunCheckpoints"]

log = logging.getLogger(__name__)


class RunCheckpoints(Checkpoint):
    """Keep ``last.ckpt``, ``previous.ckpt`` (the one before) and ``best.ckpt`` in a folder.

    ``last.ckpt`` is written at the end of every epoch, now and then within one, and when the run is stopped: by SIGTERM
    (then the process ends with exit code 143) or Ctrl-C (130), whichever process of the run gets the signal. A run that
    goes on from it ends with the same weights, optimiser states and logged metrics, bit for bit, as one that was never
    stopped, on the same machine with the same libraries, processes and threads.

    A checkpoint is written between two batches, never in the middle of a gradient accumulation; one that a signal asks
    for during a validation holds the state from before that validation. The training data have to start anywhere
    (:class:`liftpose.datamodules.index_loader.EpochSteps`), and what a task sums up over an epoch has to be in metrics.

    Args:
        folder: Folder of the checkpoints.
        monitor: Name of the logged metric that chooses the best epoch, or None to keep no best checkpoint.
        mode: Whether the best value of ``monitor`` is the smallest ("min") or the largest ("max").
        every_n_steps: Batches between two savings within an epoch, or 0 for none at certain batches.
        every_n_minutes: Minutes after which the state is saved within an epoch, or 0 for none at certain times.
    """

    def __init__(
        self,
        folder: str | Path,
        monitor: str | None = None,
        mode: str = "min",
        every_n_steps: int = 0,
        every_n_minutes: float = 0,
    ) -> None:
        self.files = KeptFiles(folder)
        self.monitor = monitor
        self.sign = 1 if mode == "min" else -1
        self.every_n_steps = every_n_steps
        self.every_n_minutes = every_n_minutes
        self.best_score: float | None = None
        self.best_place: Place | None = None
        self.signals = StopSignals()
        self._resumed: Mapping[str, Any] | None = None
        self._saved_place: Place | None = None
        self._saved_time = time.monotonic()
        self._group: Any = None
        self._in_training = self._in_validation = Agreement()
        self._before_validation: Snapshot | None = None
        self._common_batches = 0.0

    # -------------------------------------------------------------------------------------------- hooks of Lightning
    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Exchange the loops of the trainer for those that tell where a run can be saved."""
        if stage == TrainerFn.FITTING:
            use_run_loops(trainer, self)

    def state_dict(self) -> dict[str, Any]:
        """Return the best score so far and where it was reached."""
        return {"best_score": self.best_score, "best_place": None if self.best_place is None else [*self.best_place]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the best score so far."""
        self.best_score = state_dict["best_score"]
        self.best_place = None if state_dict["best_place"] is None else Place(*state_dict["best_place"])

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep what the checkpoint holds of the processes until the run is where it was saved."""
        self._resumed = checkpoint.get(RUN_ENTRY)
        if self._resumed is not None and trainer.state.fn == TrainerFn.FITTING:
            trainer.should_stop = self._resumed["should_stop"]
            if trainer.should_stop:
                log.warning("a callback has stopped this run early; it is over")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note signals from now on; say what has changed since the run was saved."""
        self._group = own_group()
        self._in_training = Agreement(self._group)
        self.signals.install()
        self._saved_time = time.monotonic()
        self._saved_place = None
        resumed = None if trainer.ckpt_path is None else Path(trainer.ckpt_path)
        if trainer.is_global_zero:
            self.files.begin(resumed, is_best=resumed is not None and _place(trainer) == self.best_place)
        if self._resumed is None:
            # Processes that draw the same numbers would drop the same features of different people.
            if trainer.global_rank > 0:
                torch.manual_seed(torch.initial_seed() + trainer.global_rank)
            return
        if self.files.holds(resumed):
            self._saved_place = _place(trainer, self._resumed["in_validation"])
        changes = changed_surroundings(self._resumed["surroundings"], surroundings(trainer))
        if changes and trainer.is_global_zero:
            log.warning("the run goes on, but no longer bit for bit as it would have: %s", "; ".join(changes))

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Find out how long all processes validate: none may wait for one that has nothing left."""
        if self._before_validation is None:
            return
        self._in_validation = Agreement(self._group)
        self._common_batches = float(sum(trainer.num_val_batches))
        if self._group is not None:
            least = torch.tensor(self._common_batches)
            distributed.all_reduce(least, distributed.ReduceOp.MIN, group=self._group)
            self._common_batches = float(least)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop during a validation if a signal has asked for it."""
        if self._before_validation is None or self._common_batches <= 0:
            return
        self._common_batches -= 1
        decision = self._in_validation.decide(self.signals.received, save=False)
        if decision.stop:
            self._stop(trainer, decision.stop)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the state from before the validation."""
        self._before_validation = None
        self._in_training = Agreement(self._group)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give the signals back: the training is over and saved."""
        self.signals.remove()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give the signals back; nothing is saved, since the state may be half of a step."""
        self.signals.remove()

    # ------------------------------------------------------------------------------------------------- the run loops
    def before_epoch(self, trainer: pl.Trainer) -> None:
        """Save the epoch that has ended, or take up the state in which a run was saved here."""
        self.resume(trainer)
        place = _place(trainer)
        if place.epochs > 0 and place != self._saved_place:
            self._save(trainer, best=self._is_best(trainer))
        if stop := self._decide_now():
            self._stop(trainer, stop)

    def before_validation(self, trainer: pl.Trainer) -> None:
        """Remember the state from before a validation, with which the run goes on if it is stopped during it."""
        # Averaged weights take the place of the others during a validation, which then has to come to its end.
        callbacks = trainer.callbacks  # type: ignore[attr-defined]  # Lightning sets it late
        if not any(isinstance(callback, WeightAveraging) for callback in callbacks):
            self._before_validation = Snapshot(
                process_state(trainer.lightning_module),
                copy.deepcopy(_call_callbacks_state_dict(trainer)),
                copy.deepcopy(trainer.fit_loop.state_dict()),
            )

    def before_batch(self, trainer: pl.Trainer) -> None:
        """Save within an epoch when it is time, or stop."""
        epoch = trainer.fit_loop.epoch_loop
        if epoch.batch_progress.current.completed == 0 or epoch._should_accumulate():
            return
        minutes = (time.monotonic() - self._saved_time) / 60
        decision = self._in_training.decide(self.signals.received, 0 < self.every_n_minutes <= minutes)
        if decision.stop:
            self._stop(trainer, decision.stop)
        place = _place(trainer)
        due = decision.save or (self.every_n_steps > 0 and place.batches % self.every_n_steps == 0)
        if due and place != self._saved_place:
            self._save(trainer)

    def resume(self, trainer: pl.Trainer) -> bool:
        """Take up the state in which the run was saved, once.

        Args:
            trainer: The trainer, at the place where the checkpoint was written.

        Returns:
            Whether the run was stopped in a validation.
        """
        if self._resumed is None:
            return False
        saved, self._resumed = self._resumed, None
        restore_process_state(trainer.lightning_module, saved["processes"], trainer.global_rank, trainer.world_size)
        # What schedulers and the choice of the best epoch look at, until the next validation.
        metrics = {name: value.to(trainer.strategy.root_device) for name, value in saved["callback_metrics"].items()}
        trainer._logger_connector._callback_metrics.update(metrics)
        trainer.accumulate_grad_batches = saved["accumulate_grad_batches"]  # a callback may have changed it
        return bool(saved["in_validation"])

    # -------------------------------------------------------------------------------------------------------- saving
    def _is_best(self, trainer: pl.Trainer) -> bool:
        """Return whether the epoch that has ended is the best so far, and remember its score."""
        if self.monitor is None or self.monitor not in trainer.callback_metrics:
            return False
        value = float(trainer.callback_metrics[self.monitor])
        score = self.sign * inf if isnan(value) else value
        if self.best_score is not None and self.sign * score >= self.sign * self.best_score:
            return False
        self.best_score, self.best_place = score, _place(trainer)
        return True

    def _save(self, trainer: pl.Trainer, best: bool = False) -> None:
        """Write ``last.ckpt``, and ``best.ckpt`` too if the weights are the best so far."""
        checkpoint = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
        if self._before_validation is not None:
            checkpoint["callbacks"] = self._before_validation.callbacks
            checkpoint["loops"]["fit_loop"] = self._before_validation.loops
        checkpoint[RUN_ENTRY] = self._run_entry(trainer)
        failure = ""
        try:
            if trainer.is_global_zero:
                save = trainer.strategy.checkpoint_io.save_checkpoint
                self.files.write(lambda path: save(checkpoint, path), best)
        except LiftposeError as error:
            failure = str(error)
        failure = self._told_by_first(failure)
        if failure and not trainer.is_global_zero:
            raise RunStopped("", _code_beside_first(trainer, 2))
        if failure:
            kept = f"; {self.files.last} is the last checkpoint (--ckpt_path last goes on with it)"
            raise LiftposeError(failure + (kept if self.files.last.is_file() else ""))
        self._saved_place = _place(trainer, self._before_validation is not None)
        self._saved_time = time.monotonic()

    def _run_entry(self, trainer: pl.Trainer) -> dict[str, Any]:
        """Return what belongs to the run and its processes."""
        before = self._before_validation
        own = process_state(trainer.lightning_module) if before is None else before.process
        processes: list[Any] = [own]
        if self._group is not None:
            processes = [None] * trainer.world_size
            distributed.all_gather_object(processes, own, group=self._group)
        csv_log = next((logger for logger in trainer.loggers if isinstance(logger, RunCSVLogger)), None)
        wandb = next((logger for logger in trainer.loggers if isinstance(logger, WandbLogger)), None)
        metrics = trainer.callback_metrics
        return {
            "processes": processes,
            "surroundings": surroundings(trainer),
            "callback_metrics": {name: torch.as_tensor(value).detach().cpu() for name, value in metrics.items()},
            "accumulate_grad_batches": trainer.accumulate_grad_batches,
            "should_stop": trainer.should_stop,
            "in_validation": before is not None,
            "csv_rows": csv_log.commit() if csv_log else 0,
            "wandb_id": wandb.version if wandb else None,
        }

    def _told_by_first(self, text: str) -> str:
        """Return what the first process says."""
        told = [text]
        if self._group is not None:
            distributed.broadcast_object_list(told, src=0, group=self._group)
        return told[0]

    # ------------------------------------------------------------------------------------------------------ stopping
    def _decide_now(self) -> int:
        """Return the signal that any process has received, 0 for none."""
        return Agreement(self._group).decide(self.signals.received, save=False).stop

    def _stop(self, trainer: pl.Trainer, stop: int) -> None:
        """Save the state and end the run.

        Raises:
            RunStopped: Always.
        """
        if _place(trainer, self._before_validation is not None) != self._saved_place:
            self._save(trainer)
        if not trainer.is_global_zero:
            raise RunStopped("", _code_beside_first(trainer, 128 + stop))
        word = "interrupted" if stop == signal.SIGINT else "terminated"
        message = f"{word}; {self.files.last} holds the state after {_place(trainer).batches} batches"
        raise RunStopped(f"{message} (--ckpt_path last goes on with it)", 128 + stop)


def _code_beside_first(trainer: pl.Trainer, code: int) -> int:
    """Return the exit code of a process whose end the first one explains."""
    # A process that Lightning has started is watched: it would take an exit code for a crash.
    return 0 if isinstance(getattr(trainer.strategy, "cluster_environment", None), LightningEnvironment) else code


class Snapshot(NamedTuple):
    """The state from before a validation, as far as a validation changes it.

    Attributes:
        process: Random number generators and metrics of this process.
        callbacks: What the callbacks know.
        loops: The counters of the training.
    """

    process: dict[str, Any]
    callbacks: dict[str, Any]
    loops: dict[str, Any]


class Place(NamedTuple):
    """A place at which a run can be saved.

    Attributes:
        epochs: Epochs that have ended.
        batches: Batches that have been trained with, over all epochs.
        in_validation: Whether a validation has begun.
    """

    epochs: int
    batches: int
    in_validation: bool


def _place(trainer: pl.Trainer, in_validation: bool = False) -> Place:
    """Return where a training is."""
    loop = trainer.fit_loop
    batches = loop.epoch_loop.batch_progress.total.completed
    return Place(cast(_ProcessedTracker, loop.epoch_progress.current).processed, batches, in_validation)
