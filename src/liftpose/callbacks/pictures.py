"""Pictures of a run: training curves, a predicted sequence beside the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from pytorch_lightning.loggers import WandbLogger

from liftpose.datamodules import IndexBatch, LiftingDataModule, Split
from liftpose.tasks import LiftingTask
from liftpose.viewer import curves_from_csv, draw_curves, draw_sequence, figure_to_array, save_figure

__all__ = ["PosePicture", "TrainingCurves"]

_LOWEST: Literal["lowest", "highest"] = "lowest"
_HIGHEST: Literal["lowest", "highest"] = "highest"
SECONDS = 4.0  # a few steps or one gesture


class TrainingCurves(pl.Callback):
    """Draw the errors of training and validation over the epochs to ``training_curves.png`` at the end of a run.

    Args:
        folder: Folder of the run, which holds its ``metrics.csv``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the picture, on the first process only."""
        if not trainer.is_global_zero:
            return
        for logger in trainer.loggers:
            logger.save()
        path = self.folder / "metrics.csv"
        if not path.is_file():
            return
        curves = curves_from_csv(path)
        names = {"train_mpjpe_mm": "training", "val_mpjpe_mm": "validation", "val_p_mpjpe_mm": "validation, aligned"}
        series = {label: curves[name] for name, label in names.items() if curves.get(name)}
        y_label, best = "MPJPE (mm)", _LOWEST
        if not series and curves.get("val_pckh_percent"):
            series, y_label, best = {"validation": curves["val_pckh_percent"]}, "PCKh@0.5 (%)", _HIGHEST
        if series:
            figure = draw_curves(series, x_label="epoch", y_label=y_label, title=self.folder.name, best=best)
            save_figure(figure, self.folder / "training_curves.png")


class PosePicture(pl.Callback):
    """Draw a predicted sequence beside the truth to ``prediction.png`` at the end of a training or a test.

    Args:
        folder: Folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the first validation recording."""
        if trainer.limit_val_batches != 0:
            self._draw(trainer, pl_module, "validation")

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the first test recording."""
        self._draw(trainer, pl_module, "test")

    def _draw(self, trainer: pl.Trainer, pl_module: pl.LightningModule, split: Split) -> None:
        """Draw, write and log the picture, on the first process only."""
        data = getattr(trainer, "datamodule", None)
        if not trainer.is_global_zero or not isinstance(pl_module, LiftingTask):
            return
        if not isinstance(data, LiftingDataModule):
            return
        figure = sequence_picture(pl_module, data, split)
        save_figure(figure, self.folder / "prediction.png")
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image("prediction", [figure_to_array(figure)])


@torch.no_grad()
def sequence_picture(task: LiftingTask, data: LiftingDataModule, split: Split) -> Figure:
    """Draw the first seconds of a split's first recording that has frames: keypoints, prediction and truth.

    Args:
        task: The trained task.
        data: Its data module, set up for the split.
        split: Name of the split.

    Returns:
        The figure.
    """
    recording = next(recording for recording in data.recordings(split) if len(recording))
    frames = min(len(recording), max(1, round(SECONDS * recording.fps)))
    batch = data.gather(IndexBatch(split, torch.arange(frames, device=task.device), None))
    training = task.training
    task.eval()
    prediction = task.predict_batch(batch)[:, 0]
    task.train(training)
    target = task.target(batch)[:, 0]
    return draw_sequence(
        prediction.cpu(),
        target.cpu(),
        recording.keypoints_2d[:frames],
        recording.skeleton,
        fps=recording.fps,
        title=f"{recording.subject}, {recording.action}, camera {recording.view}",
        keypoint_skeleton=recording.keypoint_skeleton,
    )
