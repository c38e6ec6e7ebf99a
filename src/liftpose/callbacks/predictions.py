"""Prediction files: one per recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
from torch import Tensor

from liftpose.datamodules import LiftingDataModule
from liftpose.errors import LiftposeError
from liftpose.formats import predictions_file_name, write_predictions

__all__ = ["PredictionFiles"]


class PredictionFiles(pl.Callback):
    """Write the predicted poses of every recording to ``predictions/<subject>.<action>.<camera>.npz``.

    The windows arrive in the order of the recordings, so that no more than one recording is held.

    Args:
        folder: Folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "predictions"
        self._poses: list[npt.NDArray[np.float32]] = []
        self._sequence = 0

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse several processes, over which frames would be spread; remove what another checkpoint has predicted."""
        if trainer.world_size > 1:
            raise LiftposeError(f"--trainer.devices: expected 1 for predict, found {trainer.world_size} processes")
        for path in self.folder.glob("*.npz"):
            path.unlink()
        self._poses, self._sequence = [], 0

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take the poses of a batch and write the recordings that are complete."""
        poses, sequences, _ = outputs
        for sequence in sequences.unique_consecutive().tolist():
            if sequence != self._sequence:
                self._write(trainer)
                self._sequence = sequence
            self._poses.append(_array(poses[sequences == sequence]))

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the last recording."""
        self._write(trainer)

    def _write(self, trainer: pl.Trainer) -> None:
        """Write the recording that is held."""
        if not self._poses:
            return
        data: LiftingDataModule = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it late
        recording = data.recordings("predict")[self._sequence]
        poses = np.concatenate(self._poses)
        self._poses = []
        if len(poses) < len(recording):
            return  # a run that was limited to some batches ends within a recording
        if not np.isfinite(poses).all():
            raise LiftposeError(
                f"--ckpt_path {trainer.ckpt_path}: expected finite poses of {recording.name}, found others"
            )
        path = self.folder / predictions_file_name(recording)
        write_predictions(path, recording, poses, model=str(trainer.ckpt_path or ""))


def _array(poses: Tensor) -> npt.NDArray[np.float32]:
    return poses.float().cpu().numpy()
