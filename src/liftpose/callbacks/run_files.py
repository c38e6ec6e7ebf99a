"""Files of a run folder: configuration, checkpoints, what an earlier run has left."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import yaml
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.plugins.io import TorchCheckpointIO

from liftpose.formats import write_atomically, write_text
from liftpose.weights import CONFIG_ENTRY, as_checkpoint, read_checkpoint

__all__ = ["CheckpointFiles", "ConfigFile", "EarlierRun"]

RESULTS = ("training_curves.png", "prediction.png", "test_table.csv", "test_results.json")
"""What a run makes from its weights; the CSV log and the configuration are written anew when a run starts."""


class ConfigFile(pl.Callback):
    """Write the configuration of a run to ``config.yaml`` in its folder when the run really starts, and to checkpoints.

    Args:
        folder: Folder of the run.
        text: The configuration as YAML; ``liftpose fit --config FOLDER/config.yaml`` repeats the run.
    """

    def __init__(self, folder: Path, text: str) -> None:
        self.folder = folder
        self.text = text

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the file, on the first process only."""
        if trainer.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_text(self.folder / "config.yaml", self.text)
            for logger in trainer.loggers:
                if isinstance(logger, WandbLogger):  # Lightning logs the options of the task only
                    logger.experiment.config.update(yaml.safe_load(self.text), allow_val_change=True)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put the configuration into the checkpoint, so that a run that goes on can be compared with it."""
        checkpoint[CONFIG_ENTRY] = self.text


class EarlierRun(pl.Callback):
    """Remove the checkpoints and results of an earlier run in a folder when the run that replaces it really starts.

    Otherwise its best checkpoint would stand beside the new configuration until the new run has one.

    Args:
        folder: Folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove the files that a run makes and no others, on the first process only.

        By now the task has read the weights that it starts from, which may be among the files.
        """
        if not trainer.is_global_zero:
            return
        for path in (*(self.folder / "checkpoints").glob("*.ckpt"), *(self.folder / name for name in RESULTS)):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.folder / "predictions", ignore_errors=True)


class CheckpointFiles(TorchCheckpointIO):
    """Write checkpoints all or nothing, and read them without running what they may contain.

    Lightning writes to the folder for temporary files first; from there the move is a copy if that lies on another
    disk, of which half may remain.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write a checkpoint.

        Args:
            checkpoint: Its contents.
            path: The file.
            storage_options: Not used.

        Raises:
            LiftposeError: The file cannot be written; the one that was there before is as it was.
        """
        buffer = io.BytesIO()  # torch hides the reason when it fails to write a file itself
        torch.save(checkpoint, buffer)
        with write_atomically(path) as beside, beside.open("wb") as file:
            file.write(buffer.getbuffer())

    def load_checkpoint(
        self, path: str | os.PathLike[str], map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint, or a file of a paper's public code as one; tensors on the CPU.

        Args:
            path: The file.
            map_location: Not used: Lightning moves what it has read.
            weights_only: Not used: nothing else is ever read.

        Returns:
            Its contents.

        Raises:
            LiftposeError: There is no such file, it is damaged, or it refers to code.
        """
        return as_checkpoint(read_checkpoint(path), str(path), path)
