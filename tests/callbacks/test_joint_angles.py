"""The picture of joint angles after a fit: real poses as they are, made-up ones as the augmentation makes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from liftpose.callbacks import JointAnglePicture
from liftpose.callbacks.joint_angles import joint_angle_picture, training_poses
from liftpose.datamodules import H36MDataModule, WindowShape
from liftpose.models import VideoPose
from liftpose.tasks import AugmentedLiftingTask
from liftpose.tasks.augmenters import Augmenter, BoneTemplates, RandomPoses


def fit(root: Path, augmenter: Augmenter | None, folder: Path, joints: str = "h36m_16") -> AugmentedLiftingTask:
    network = VideoPose(skeleton=joints, filter_widths=(1,), channels=4)
    task = AugmentedLiftingTask(network, augmenter, mirrored="none")
    data = H36MDataModule(str(root), joints=joints, batch_size=64, flip="none", actions=["Walking"])
    trainer = pl.Trainer(
        max_epochs=1,
        limit_train_batches=1,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        callbacks=[JointAnglePicture(folder)],
    )
    trainer.fit(task, data)
    return task


def test_the_picture_has_both_sets(h36m_root: Path, tmp_path: Path) -> None:
    task = fit(h36m_root, RandomPoses(), tmp_path)
    assert (tmp_path / "joint_angles.png").stat().st_size > 10_000
    data = task.trainer.datamodule  # type: ignore[attr-defined]
    data.setup("fit")
    figure = joint_angle_picture(task, data, 300)
    assert figure.texts[0].get_text() == "Joint angles after 1 epoch"
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words[:2] == ["training poses", "made by RandomPoses"]
    knee = next(axes for axes in figure.axes if axes.get_title("left").startswith("left knee"))
    values, edges = knee.patches[1].get_data().values, knee.patches[1].get_data().edges
    at_zero = values[np.searchsorted(edges, 0.0) - 1] ** 2
    assert 0.4 < at_zero < 0.75, "about half of the random knees are not bent"


@pytest.mark.parametrize("augmenter", [None, BoneTemplates()])
def test_nothing_is_drawn_where_nothing_is_made(h36m_root: Path, tmp_path: Path, augmenter: Augmenter | None) -> None:
    fit(h36m_root, augmenter, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("joints", ["h36m_16", "h36m_17"])
def test_training_poses_come_from_everywhere(h36m_root: Path, joints: str) -> None:
    data = H36MDataModule(str(h36m_root), joints=joints, flip="none", window=WindowShape(1, False))
    data.setup("fit")
    every = np.concatenate([recording.poses_3d for recording in data.recordings("train")])
    if joints == "h36m_17":
        every = np.delete(every, 9, axis=1)
    assert torch.equal(training_poses(data, len(every)), torch.from_numpy(every))
    for count in (7, 100):
        step = len(every) // count
        assert torch.equal(training_poses(data, count), torch.from_numpy(every[::step]))
