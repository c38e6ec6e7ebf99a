"""Prediction files: whole recordings, whatever the batches."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from liftpose.callbacks import PredictionFiles
from liftpose.datamodules import H36MDataModule
from liftpose.formats import read_predictions
from liftpose.models import RIE
from liftpose.tasks import LiftingTask


def predict(root: Path, folder: Path, batch_size: int) -> LiftingTask:
    torch.manual_seed(0)
    task = LiftingTask(RIE(filter_widths=(3,), channels=4, latent_dim=4, hidden_dim=8, stage=1))
    data = H36MDataModule(root=str(root), batch_size=batch_size, test_subjects=["S9"])
    pl.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[PredictionFiles(folder)], use_distributed_sampler=False,
    ).predict(task, data, return_predictions=False)  # fmt: skip
    return task


@pytest.mark.parametrize("batch_size", [7, 64, 10_000])
def test_files_hold_what_the_network_says(batch_size: int, h36m_root: Path, tmp_path: Path) -> None:
    task = predict(h36m_root, tmp_path, batch_size)
    data = H36MDataModule(root=str(h36m_root), test_subjects=["S9"])
    recordings = data.recordings("test")
    files = sorted((tmp_path / "predictions").iterdir())
    assert len(files) == len(recordings) == 16
    recording = next(r for r in recordings if (r.action, r.view) == ("SittingDown 2", 3))
    found = read_predictions(tmp_path / "predictions/S9.SittingDown_2.3.npz")
    assert (found.skeleton.name, found.fps, len(found.poses_3d)) == ("h36m_17", 50, 42)
    # Frame 10 by hand: three frames of normalised keypoints through the network, plain and mirrored.
    keypoints = torch.from_numpy(recording.keypoints_2d[9:12]) / 1000 * 2 - torch.tensor([1, 1.002])
    with torch.no_grad():
        expected = task.eval().predict(keypoints[None])[0, 0]
    assert torch.allclose(torch.as_tensor(found.poses_3d[10]), expected, atol=1e-5)
