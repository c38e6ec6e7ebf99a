"""The closed-form baselines against numpy's least squares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from liftpose.datamodules import H36MDataModule, IndexBatch
from liftpose.models import LinearLifter, MeanPose
from liftpose.tasks import RegressionTask


def fit(lifter: LinearLifter, root: Path) -> tuple[RegressionTask, np.ndarray, np.ndarray]:
    """Fit and return the task with the keypoints (N, 34) and poses (N, 51) that it has seen."""
    data = H36MDataModule(root=str(root), batch_size=100, train_subjects=["S1", "S5"], validation_subjects=["S9"])
    task = RegressionTask(lifter)
    pl.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, use_distributed_sampler=False,
    ).fit(task, data)  # fmt: skip
    data.setup("fit")
    batch = data.gather(IndexBatch("train", torch.arange(len(data.windows("train"))), None))
    assert batch.poses_3d is not None
    return task, batch.keypoints_2d.flatten(1).double().numpy(), batch.poses_3d.flatten(1).double().numpy()


def test_mean_pose_is_the_mean(h36m_root: Path) -> None:
    task, _, poses = fit(MeanPose(), h36m_root)
    prediction = task.lifter(torch.randn(2, 1, 17, 2)).flatten(1).numpy()
    assert prediction == pytest.approx(np.stack([poses.mean(0)] * 2), abs=1e-6)


@pytest.mark.parametrize("ridge", [1e-6, 0.1])
def test_ridge_is_the_minimum_of_the_penalised_squares(ridge: float, h36m_root: Path) -> None:
    task, keypoints, poses = fit(LinearLifter(ridge=ridge), h36m_root)
    # The penalty as rows of a least-squares problem without penalty; the offset is free.
    count, size = keypoints.shape
    penalty = np.concatenate([np.sqrt(ridge * count) * np.eye(size), np.zeros((size, 1))], axis=1)
    left = np.concatenate([np.concatenate([keypoints, np.ones((count, 1))], axis=1), penalty])
    right = np.concatenate([poses, np.zeros((size, 51))])
    solution = np.linalg.lstsq(left, right, rcond=None)[0]
    expected = keypoints @ solution[:-1] + solution[-1]
    prediction = task.lifter(torch.as_tensor(keypoints).float().view(-1, 1, 17, 2)).flatten(1).numpy()
    assert prediction == pytest.approx(expected, abs=2e-5)


def test_a_closed_form_run_counts_one_step(h36m_root: Path) -> None:
    task, _, _ = fit(MeanPose(), h36m_root)
    assert task.trainer.global_step == 1  # without it Lightning would keep no checkpoint
