"""A picture of the joint angles of made-up training poses beside those of the real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from pytorch_lightning.loggers import WandbLogger
from torch import Tensor

from liftpose.datamodules import LiftingDataModule
from liftpose.geometry import inverse_kinematics
from liftpose.skeletons import H36M_16, adapt
from liftpose.tasks import AugmentedLiftingTask
from liftpose.tasks.augmenters import Augmenter
from liftpose.viewer import draw_joint_angle_histograms, figure_to_array, save_figure

__all__ = ["JointAnglePicture"]

COUNT = 5_000


class JointAnglePicture(pl.Callback):
    """Draw the joint angles of an augmentation's poses and of the training poses to ``joint_angles.png`` after a fit.

    Both come from the joints by inverse kinematics, so they are compared by the same measure. Nothing is drawn for a
    task without an augmentation, or with one that makes no poses out of nothing.

    Args:
        folder: Folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw, write and log the picture, on the first process only."""
        data = getattr(trainer, "datamodule", None)
        if not trainer.is_global_zero or not isinstance(pl_module, AugmentedLiftingTask):
            return
        if not isinstance(data, LiftingDataModule) or not _makes_poses(pl_module.augmenter):
            return
        figure = joint_angle_picture(pl_module, data)
        save_figure(figure, self.folder / "joint_angles.png")
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image("joint_angles", [figure_to_array(figure)])


def _makes_poses(augmenter: Augmenter | None) -> bool:
    """Tell whether an augmentation makes poses out of nothing."""
    return augmenter is not None and type(augmenter).sample is not Augmenter.sample


def joint_angle_picture(task: AugmentedLiftingTask, data: LiftingDataModule, count: int = COUNT) -> Figure:
    """Draw the joint angles of made-up poses and of training poses.

    Args:
        task: The trained task, whose augmentation makes poses out of nothing; attached to a trainer.
        data: Its data module, set up for training.
        count: Number of made-up poses, and about that of the training poses.

    Returns:
        The figure.
    """
    name = type(task.augmenter).__name__
    sets = {"training poses": training_poses(data, count), f"made by {name}": task.sample_poses(count)}
    angles = {label: inverse_kinematics(poses).angles for label, poses in sets.items()}
    epochs = task.current_epoch
    return draw_joint_angle_histograms(angles, title=f"Joint angles after {epochs} epoch{'s' if epochs != 1 else ''}")


def training_poses(data: LiftingDataModule, count: int) -> Tensor:
    """Return poses from all parts of the training data, equally far from each other.

    Args:
        data: The data module, set up for training.
        count: About how many poses are wanted.

    Returns:
        (N, 16, 3) metres, world frame, N at most twice ``count``, or all there are if there are fewer.
    """
    poses = [(recording.poses_3d, recording.skeleton) for recording in data.recordings("train")]
    total = sum(len(values) for values, _ in poses if values is not None)
    every, skip = max(1, total // count), 0
    chosen = []
    for values, skeleton in poses:
        if values is None:
            continue
        chosen.append(adapt(np.ascontiguousarray(values[skip::every]), skeleton, H36M_16))
        skip = (skip - len(values)) % every
    return torch.from_numpy(np.concatenate(chosen))
