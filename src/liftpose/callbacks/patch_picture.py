"""A picture of what a network has found in some pictures, beside the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from pytorch_lightning.loggers import WandbLogger

from liftpose.datamodules import IndexBatches, PatchBatches
from liftpose.datamodules.images import ImageDataModule
from liftpose.geometry import to_patch
from liftpose.tasks import ImageTask, IntegralKeypointsTask
from liftpose.viewer import draw_keypoints, draw_sequence, figure_to_array, save_figure

__all__ = ["PatchPicture"]

PICTURES = 8


class PatchPicture(pl.Callback):
    """Draw what is found in some pictures to ``prediction.png`` at the end of a training or a test.

    Args:
        folder: Folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw pictures of the validation."""
        if trainer.limit_val_batches != 0:
            self._draw(trainer, pl_module, "validation")

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw pictures of the test."""
        self._draw(trainer, pl_module, "test")

    def _draw(self, trainer: pl.Trainer, pl_module: pl.LightningModule, split: str) -> None:
        """Draw, write and log the picture, on the first process only."""
        data = getattr(trainer, "datamodule", None)
        if not trainer.is_global_zero or not isinstance(pl_module, ImageTask) or not isinstance(data, ImageDataModule):
            return
        figure = patches_picture(pl_module, data, split)
        if figure is None:
            return
        save_figure(figure, self.folder / "prediction.png")
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image("prediction", [figure_to_array(figure)])


@torch.no_grad()
def patches_picture(task: ImageTask, data: ImageDataModule, split: str) -> Figure | None:
    """Draw what a network finds in pictures that are spread evenly over a split: joints, and the poses of 3D networks.

    Args:
        task: The trained task.
        data: Its data module, set up for the split.
        split: Name of the split.

    Returns:
        The figure; None where no picture can be read.
    """
    images = data.images(split)
    size = task.network.image_size
    cut = PatchBatches(IndexBatches(split, len(images), 1), images, size, bad_images="skip")
    training = task.training
    task.eval()
    rows, poses, truths, pixels, true_pixels, patches = [], [], [], [], [], []
    for row in np.unique(np.linspace(0, len(images) - 1, min(PICTURES, len(images))).round().astype(int)):
        one = cut[0, int(row)]
        if not len(one.indices):
            continue
        batch = data.gather(data.transfer_batch_to_device(one, task.device, 0))
        found = task.predict_pictures(batch)
        rows.append(int(row))
        patches.append(one.patches[0].numpy())
        poses.append(found.poses_3d[0].float().cpu())
        pixels.append(to_patch(found.keypoints_2d, batch.to_image)[0].float().cpu())
        true_pixels.append(to_patch(batch.keypoints_2d, batch.to_image)[0].float().cpu())
        truths.append(None if found.truth_3d is None else found.truth_3d[0].float().cpu())
    task.train(training)
    if not rows:
        return None
    headings = [" ".join(filter(None, (images.subjects[row], images.actions[row]))) or f"no. {row}" for row in rows]
    skeleton, pictures = task.network.skeleton, np.stack(patches)
    if isinstance(task, IntegralKeypointsTask):
        title = f"{split}: found joints"
        return draw_keypoints(
            torch.stack(pixels), torch.stack(true_pixels), skeleton, pictures, headings=headings, title=title
        )
    known = [truth for truth in truths if truth is not None]
    return draw_sequence(
        torch.stack(poses),
        torch.stack(known) if len(known) == len(rows) else None,
        torch.stack(pixels),
        skeleton,
        title=f"{split}: found joints and poses",
        headings=headings,
        pictures=pictures,
    )
