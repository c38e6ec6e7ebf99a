"""The files of poses that a network predicts from the pictures of a split, or that another one has corrected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from liftpose.datamodules.images import ImageDataModule
from liftpose.datamodules.pose_pairs import PosePairsDataModule
from liftpose.errors import LiftposeError
from liftpose.formats.picture_predictions import (
    PicturePredictions,
    read_picture_predictions,
    write_picture_predictions,
)
from liftpose.tasks.image import ImageTask, PicturePoses

__all__ = ["CorrectedPredictionFile", "PicturePredictionFile"]


class PicturePredictionFile(pl.Callback):
    """Write the poses of all pictures of a prediction to ``predictions/<split>.npz``, with the truth where it is known.

    Args:
        folder: Folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "predictions"
        self._batches: list[PicturePoses] = []

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse several processes, over which pictures would be spread."""
        if trainer.world_size > 1:
            raise LiftposeError(f"--trainer.devices: expected 1 for predict, found {trainer.world_size} processes")
        self._batches = []

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the poses of a batch."""
        poses: PicturePoses = outputs
        moved: dict[str, Any] = {name: part.cpu() for name, part in poses._asdict().items() if isinstance(part, Tensor)}
        self._batches.append(poses._replace(**moved))

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the file."""
        data, task = trainer.datamodule, pl_module  # type: ignore[attr-defined]  # Lightning sets it late
        if not isinstance(data, ImageDataModule) or not isinstance(task, ImageTask) or not self._batches:
            return
        rows = torch.cat([batch.indices for batch in self._batches]).numpy()
        truths = [batch.truth_3d for batch in self._batches if batch.truth_3d is not None]
        poses = torch.cat([batch.poses_3d for batch in self._batches]).float().numpy()
        if not np.isfinite(poses).all():
            raise LiftposeError(f"--ckpt_path {trainer.ckpt_path}: expected finite poses, found others")
        pictures = data.images("predict").take(rows)
        write_picture_predictions(
            self.folder / f"{data.predict_split}.npz",
            PicturePredictions(
                skeleton=task.network.skeleton,
                files=pictures.files,
                boxes=pictures.boxes,
                poses_3d=poses,
                keypoints_2d=torch.cat([batch.keypoints_2d for batch in self._batches]).float().numpy(),
                confidence=torch.cat([batch.confidence for batch in self._batches]).float().numpy(),
                model=str(trainer.ckpt_path or ""),
                scale=self._batches[0].scale,
                subjects=pictures.subjects,
                actions=pictures.actions,
                views=pictures.views,
                frames=pictures.frames,
                truth_3d=torch.cat(truths).float().numpy() if len(truths) == len(self._batches) else None,
            ),
        )
        self._batches = []


class CorrectedPredictionFile(pl.Callback):
    """Write corrected poses to ``predictions/<name of the file that they are from>``, all else as it is there.

    Args:
        folder: Folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "predictions"
        self._poses: list[Tensor] = []

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin anew."""
        self._poses = []

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the poses of a batch."""
        self._poses.append(outputs[0].float().cpu())

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the file."""
        data: PosePairsDataModule = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it late
        path = Path(data.files["test"])
        given = read_picture_predictions(path)
        poses = torch.cat(self._poses).numpy()
        self._poses = []
        if not np.isfinite(poses).all():
            raise LiftposeError(f"--ckpt_path {trainer.ckpt_path}: expected finite poses, found others")
        model = f"{given.model}, corrected by {trainer.ckpt_path}"
        corrected = replace(given.take(np.arange(len(poses))), poses_3d=poses, model=model)
        write_picture_predictions(self.folder / path.name, corrected)
