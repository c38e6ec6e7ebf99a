"""What a run leaves behind, and where: one folder whose name does not change on restart."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pytorch_lightning.callbacks import Callback, LearningRateMonitor
from pytorch_lightning.loggers import Logger, WandbLogger

from liftpose.callbacks import (
    ConfigFile,
    EarlierRun,
    PosePicture,
    PredictionFiles,
    ResultTables,
    RunCheckpoint,
    RunCSVLogger,
    TrainingCurves,
)
from liftpose.errors import LiftposeError
from liftpose.tasks import BaseTask

__all__ = ["LoggingOptions", "callbacks_of_a_run", "check_run_folder", "loggers_of_a_run", "make_run_folder"]


@dataclass
class LoggingOptions:
    """Where a run is logged besides the CSV file in its folder.

    Args:
        wandb: Weights & Biases: "offline" writes its files to the run folder, to be sent with ``wandb sync``; "online"
            needs an account; "disabled" leaves it out.
        project: Project name in Weights & Biases.
        name: Name of the run; the name of its folder by default.
    """

    wandb: Literal["offline", "online", "disabled"] = "offline"
    project: str = "liftpose"
    name: str | None = None


def check_run_folder(folder: str | None) -> None:
    """Refuse a folder that a run could not write to, without making it.

    Args:
        folder: Folder of the run.

    Raises:
        LiftposeError: It, or the nearest folder above it that exists, is no folder or cannot be written to.
    """
    if not folder:
        raise LiftposeError("trainer.default_root_dir: expected the folder of the run, found nothing")
    path = Path(folder).absolute()
    existing = next(place for place in (path, *path.parents) if os.path.lexists(place))
    if not existing.is_dir():
        raise LiftposeError(f"trainer.default_root_dir {folder}: expected a folder, found the file {existing}")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise LiftposeError(
            f"trainer.default_root_dir {folder}: expected a folder that can be written to, found no permission to "
            f"write to {existing}"
        )


def make_run_folder(folder: Path) -> None:
    """Make the folder of a run, which Weights & Biases does not do itself.

    Args:
        folder: Folder of the run.

    Raises:
        LiftposeError: The folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LiftposeError(
            f"trainer.default_root_dir: expected a folder that can be made, found: {folder}: {error.strerror}"
        ) from error


def loggers_of_a_run(verb: str, folder: Path, options: LoggingOptions, resumed_step: int | None) -> list[Logger]:
    """Return the loggers of a run.

    Args:
        verb: "fit" or "test"; the other verbs log nothing.
        folder: Folder of the run.
        options: What the user chose.
        resumed_step: Optimiser steps of the checkpoint that training is resumed from, if any.

    Returns:
        The CSV log of a training, and Weights & Biases unless it is disabled.
    """
    loggers: list[Logger] = []
    if verb == "fit":
        loggers.append(RunCSVLogger(folder, resumed_step))
    if verb in {"fit", "test"} and options.wandb != "disabled":
        os.environ.setdefault("WANDB_SILENT", "true")  # its banner would break the one-line messages
        logger = WandbLogger(
            name=f"{options.name or folder.name}" + ("" if verb == "fit" else f"-{verb}"),
            save_dir=str(folder),
            project=options.project,
            offline=options.wandb == "offline",
            job_type=verb,
        )
        logger._wandb_init.pop("anonymous", None)  # Lightning passes what wandb no longer knows, and wandb warns of it
        loggers.append(logger)
    return loggers


def callbacks_of_a_run(
    verb: str, folder: Path, model: BaseTask, config: str, options: Mapping[str, Any]
) -> list[Callback]:
    """Return the callbacks that every run of a verb has.

    Args:
        verb: "fit", "validate", "test" or "predict".
        folder: Folder of the run.
        model: The task; says by which metric the best checkpoint is chosen.
        config: The configuration as YAML, written to the folder.
        options: The options of the verb.

    Returns:
        The callbacks.
    """
    if verb == "test":
        return [ResultTables(folder, by_subject=options["by_subject"]), PosePicture(folder)]
    if verb == "predict":
        return [PredictionFiles(folder)]
    if verb != "fit":
        return []
    trainer = options["trainer"]
    callbacks: list[Callback] = [EarlierRun(folder)] if options["overwrite"] else []
    callbacks += [ConfigFile(folder, config), TrainingCurves(folder), PosePicture(folder)]
    if trainer.get("enable_checkpointing") is not False:
        if trainer.get("limit_val_batches") != 0:
            callbacks.append(_checkpoint(folder, "best", model.monitor, model.mode))
        callbacks.append(_checkpoint(folder, "last"))  # after "best", whose state it holds
    if trainer.get("logger") is not False:
        callbacks.append(LearningRateMonitor("epoch"))
    return callbacks


def _checkpoint(folder: Path, name: str, monitor: str | None = None, mode: str = "min") -> RunCheckpoint:
    """Return the callback that keeps one checkpoint: the best by a metric, or that of the last epoch.

    Two callbacks, because Lightning's ``save_last`` only writes when the best one has changed.
    """
    return RunCheckpoint(
        dirpath=folder / "checkpoints",
        filename=name,
        monitor=monitor,
        mode=mode,
        save_on_train_epoch_end=True,  # after validation, so that the file holds the whole epoch
        enable_version_counter=False,  # a run folder is one run: "best" is always this file
    )
