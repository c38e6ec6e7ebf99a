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
    CorrectedPredictionFile,
    EarlierRun,
    JointAnglePicture,
    PatchPicture,
    PicturePredictionFile,
    PosePicture,
    PredictionFiles,
    ResultTables,
    RunCheckpoints,
    RunCSVLogger,
    TrainingCurves,
)
from liftpose.errors import LiftposeError
from liftpose.tasks import BaseTask, ImageTask, RefinementTask

__all__ = [
    "LoggingOptions",
    "SavingOptions",
    "callbacks_of_a_run",
    "check_run_folder",
    "loggers_of_a_run",
    "make_run_folder",
]


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


@dataclass
class SavingOptions:
    """When the state of a training is saved besides the end of every epoch and of the run.

    Args:
        every_n_minutes: fit: minutes after which the state is saved within an epoch; 0 for never.
        every_n_steps: fit: batches after which it is saved, counted from the beginning of the run; 0 for never.
    """

    every_n_minutes: float = 10.0
    every_n_steps: int = 0

    def __post_init__(self) -> None:
        """Refuse negative numbers."""
        for name in ("every_n_minutes", "every_n_steps"):
            if not getattr(self, name) >= 0:
                raise LiftposeError(f"saving.{name}: expected a number from 0 up, found {getattr(self, name)}")


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


def loggers_of_a_run(
    verb: str, folder: Path, options: LoggingOptions, resumed: Mapping[str, Any] | None
) -> list[Logger]:
    """Return the loggers of a run.

    Args:
        verb: "fit" or "test"; the other verbs log nothing.
        folder: Folder of the run.
        options: What the user chose.
        resumed: What the checkpoint that training is resumed from says of its run, if there is one.

    Returns:
        The CSV log of a training, and Weights & Biases unless it is disabled.
    """
    loggers: list[Logger] = []
    if verb == "fit":
        loggers.append(RunCSVLogger(folder, None if resumed is None else int(resumed["csv_rows"])))
    if verb in {"fit", "test"} and options.wandb != "disabled":
        os.environ.setdefault("WANDB_SILENT", "true")  # its banner would break the one-line messages
        logger = WandbLogger(
            name=f"{options.name or folder.name}" + ("" if verb == "fit" else f"-{verb}"),
            save_dir=str(folder),
            project=options.project,
            offline=options.wandb == "offline",
            job_type=verb,
            id=resumed["wandb_id"] if resumed else None,  # the run that was stopped goes on under its name
        )
        logger._wandb_init.pop("anonymous", None)  # Lightning passes what wandb no longer knows, and wandb warns of it
        loggers.append(logger)
    return loggers


def callbacks_of_a_run(
    verb: str, folder: Path, model: BaseTask, config: str, options: Mapping[str, Any], saving: SavingOptions
) -> list[Callback]:
    """Return the callbacks that every run of a verb has.

    Args:
        verb: "fit", "validate", "test" or "predict".
        folder: Folder of the run.
        model: The task; says by which metric the best checkpoint is chosen.
        config: The configuration as YAML, written to the folder.
        options: The options of the verb.
        saving: When checkpoints are written.

    Returns:
        The callbacks.
    """
    if verb == "test":
        return [ResultTables(folder, by_subject=options["by_subject"]), PosePicture(folder), PatchPicture(folder)]
    if verb == "predict":
        kinds = {ImageTask: PicturePredictionFile, RefinementTask: CorrectedPredictionFile}
        return [next((file for kind, file in kinds.items() if isinstance(model, kind)), PredictionFiles)(folder)]
    if verb != "fit":
        return []
    trainer = options["trainer"]
    callbacks: list[Callback] = [EarlierRun(folder)] if options["overwrite"] else []
    callbacks += [ConfigFile(folder, config), TrainingCurves(folder), PosePicture(folder), PatchPicture(folder)]
    callbacks.append(JointAnglePicture(folder))
    if trainer.get("enable_checkpointing") is not False:
        callbacks.append(
            RunCheckpoints(
                folder / "checkpoints",
                monitor=None if trainer.get("limit_val_batches") == 0 else model.monitor,
                mode=model.mode,
                every_n_steps=saving.every_n_steps,
                every_n_minutes=saving.every_n_minutes,
            )
        )
    if trainer.get("logger") is not False:
        callbacks.append(LearningRateMonitor("epoch"))
    return callbacks
