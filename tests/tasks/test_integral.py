"""The evaluation of networks of pictures: validation, test and the clusters of poses."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from liftpose.data.images import ImageSet
from liftpose.datamodules import H36MImagesDataModule, MPIIDataModule
from liftpose.errors import LiftposeError
from liftpose.geometry import patch_to_image, to_patch
from liftpose.models import IntegralPose
from liftpose.models.soft_argmax import Peaked
from liftpose.skeletons import MPII_16
from liftpose.tasks import IntegralKeypointsTask, IntegralPoseTask
from liftpose.tasks.integral import true_poses

RUN: dict[str, Any] = {
    "accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False,
    "enable_model_summary": False, "max_epochs": 1,
}  # fmt: skip


class Knowing(IntegralPose):
    """A network that gives the labels it was told, in the order of the pictures of a loader that does not shuffle."""

    def __init__(self, skeleton: str, labels: Tensor) -> None:
        super().__init__(skeleton, 18, (32, 32), 4, (4, 4, 4))
        self.labels, self.row = labels.float(), 0

    def predict(self, images: Tensor) -> Peaked:
        found = self.labels[self.row : self.row + len(images)]
        self.row += len(images)
        return Peaked(found, torch.ones(found.shape[:2]))


class Pictures(H36MImagesDataModule):
    """Pictures some of whose joints nobody knows."""

    hidden: tuple[tuple[int, int], ...] = ()
    train_lost = False

    def load_images(self, split: str) -> ImageSet:
        if split == "train" and self.train_lost:
            raise LiftposeError("lost")
        images = super().load_images(split)
        assert images.depths is not None
        keypoints, depths = images.keypoints_2d.copy(), images.depths.copy()
        for row, joint in self.hidden:
            keypoints[row, joint], depths[row, joint] = np.nan, np.nan
        return replace(images, keypoints_2d=keypoints, depths=depths)


def labels_of(images: ImageSet) -> Tensor:
    """The labels with which a network makes no mistake."""
    assert images.depths is not None
    boxes = torch.from_numpy(images.boxes).double()
    pixels = to_patch(torch.from_numpy(images.keypoints_2d).double(), patch_to_image(boxes, (32, 32)))
    return torch.cat((pixels / 32 - 0.5, torch.from_numpy(images.depths)[..., None].double() / 2), -1)


def expected(images: ImageSet, labels: Tensor) -> np.ndarray:
    """Mean error of each picture in millimetres, by the equations alone."""
    assert images.depths is not None and images.root_depths is not None
    assert images.cameras is not None and images.camera_index is not None
    matrices = images.cameras.intrinsics.numpy()[images.camera_index].astype(np.float64)

    def poses(pixels: np.ndarray, depths: np.ndarray) -> np.ndarray:
        z = depths + images.root_depths[:, None]  # type: ignore[index]
        rays = np.einsum("nij,nkj->nki", np.linalg.inv(matrices), np.dstack((pixels, np.ones(z.shape))))
        return rays * z[..., None] - (rays * z[..., None])[:, :1]

    found = labels.double().numpy()
    centre, side = images.boxes[:, None, :2], images.boxes[:, None, 2:]
    seen = poses(centre + found[..., :2] * side, 2 * found[..., 2])
    errors = np.linalg.norm(seen - poses(images.keypoints_2d, images.depths), axis=-1)
    return 1000 * errors.mean(-1)


def test_validation_and_test_are_means_over_the_pictures_whose_truth_is_known(
    painted: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = Pictures(root=str(painted / "h36m"), batch_size=3, num_workers=0)
    labels = labels_of(data.load_images("validation"))
    labels = labels + 0.05 * torch.randn(labels.shape, generator=torch.Generator().manual_seed(0))
    data.hidden = ((1, 4), (3, 0), (4, 2), (5, 16))
    known = [row for row in range(8) if row not in {1, 3, 4, 5}]  # none of the second batch
    wanted = expected(data.load_images("validation"), labels)[known]
    task = IntegralPoseTask(Knowing("h36m_17", labels))
    metrics = pl.Trainer(**RUN).validate(task, data, verbose=False)[0]
    assert metrics["val_mpjpe_mm"] == pytest.approx(wanted.mean(), rel=1e-4)
    assert metrics["val_p_mpjpe_mm"] < metrics["val_n_mpjpe_mm"] <= metrics["val_mpjpe_mm"] * 1.1

    data = Pictures(root=str(painted / "h36m"), batch_size=3, num_workers=0)
    labels = labels_of(data.load_images("test")) + 0.03
    data.hidden, data.train_lost = ((2, 7),), True
    task = IntegralPoseTask(Knowing("h36m_17", labels))
    with caplog.at_level(logging.WARNING):
        pl.Trainer(**RUN).test(task, data, verbose=False)
    assert "PSS is left out, which needs the poses of the training: lost" in caplog.text
    overall = task.test_results["test"].overall
    wanted = np.delete(expected(data.load_images("test"), labels), 2)
    assert 1000 * overall.mpjpe == pytest.approx(wanted.mean(), rel=1e-4)
    assert overall.frames == 7


def test_clusters_are_those_of_the_training_poses_that_are_known(painted: Path) -> None:
    data = Pictures(root=str(painted / "h36m"), batch_size=8, num_workers=0)
    labels = labels_of(data.load_images("test"))
    data.hidden = ((0, 3),)
    task = IntegralPoseTask(Knowing("h36m_17", labels))
    pl.Trainer(**RUN).test(task, data, verbose=False)
    (clusters,) = task.clusters
    assert (len(clusters), clusters.poses) == (50, 51)  # of 52
    further = {score.name: score.value for score in task.test_results["test"].overall.further}
    assert further["PSS@50"] == 100


def test_true_poses_are_seen_where_the_joints_are(painted: Path) -> None:
    images = H36MImagesDataModule(root=str(painted / "h36m")).load_images("test")
    assert images.cameras is not None and images.camera_index is not None and images.root_depths is not None
    poses = true_poses(images).double().numpy()
    matrices = images.cameras.intrinsics.numpy()[images.camera_index]
    seen = np.einsum("nij,nkj->nki", matrices, poses)
    np.testing.assert_allclose(seen[..., :2] / seen[..., 2:], images.keypoints_2d, atol=1e-2)
    np.testing.assert_allclose(poses[:, 0, 2], images.root_depths, rtol=1e-5)
    with pytest.raises(LiftposeError, match="expected pictures with 3D poses and cameras, found none"):
        true_poses(replace(images, cameras=None, camera_index=None))


def test_poses_that_nobody_knows_are_refused_before_the_run(painted: Path) -> None:
    data = Pictures(root=str(painted / "h36m"), num_workers=0)
    data.hidden = tuple((row, 5) for row in range(8))
    task = IntegralPoseTask(Knowing("h36m_17", torch.zeros(8, 17, 3)))
    with pytest.raises(LiftposeError, match="expected a whole pose for the validation, found none"):
        pl.Trainer(**RUN).validate(task, data, verbose=False)


@pytest.mark.parametrize(("best_by", "monitor"), [("mpjpe", "val_mpjpe_mm"), ("n_mpjpe", "val_n_mpjpe_mm")])
def test_what_chooses_the_best_checkpoint(best_by: Any, monitor: str) -> None:
    task = IntegralPoseTask(Knowing("h36m_17", torch.zeros(1, 17, 3)), best_by=best_by)
    assert (task.monitor, task.mode) == (monitor, "min")
    assert (IntegralKeypointsTask.monitor, IntegralKeypointsTask.mode) == ("val_pckh_percent", "max")


def test_pckh_counts_joints_within_half_a_head(painted: Path) -> None:
    data = MPIIDataModule(root=str(painted / "mpii"), batch_size=4, num_workers=0)
    images = data.load_images("test")
    assert images.head_sizes is not None and images.skeleton == MPII_16
    random = np.random.default_rng(0)
    moved = random.normal(0, 0.5, (6, 16, 2)) * images.head_sizes[:, None, None]
    shifted = replace(images, keypoints_2d=(images.keypoints_2d + moved).astype(np.float32), depths=np.zeros((6, 16)),
                      root_depths=np.ones(6))  # fmt: skip
    labels = labels_of(shifted).nan_to_num()
    task = IntegralKeypointsTask(Knowing("mpii_16", labels))
    pl.Trainer(**RUN).test(task, data, verbose=False)
    assert task.pckh is not None
    hits = (np.linalg.norm(moved, axis=-1) <= 0.5 * images.head_sizes[:, None])[images.visible > 0]
    counted = np.broadcast_to(~np.isin(np.arange(16), (6, 7)), (6, 16))[images.visible > 0]
    assert task.pckh.mean[0] == pytest.approx(100 * hits[counted].mean(), abs=1e-3)
    metrics = pl.Trainer(**RUN).validate(_again(task), data, verbose=False)[0]
    assert metrics["val_pckh_percent"] == pytest.approx(task.pckh.mean[0])


def _again(task: IntegralKeypointsTask) -> IntegralKeypointsTask:
    """Let the network begin with its first answer."""
    network: Any = task.network
    network.row = 0
    return task


def test_a_measure_of_mpii_needs_its_joints() -> None:
    with pytest.raises(LiftposeError, match=r"model.network.skeleton: expected mpii_16, found h36m_17"):
        IntegralKeypointsTask(Knowing("h36m_17", torch.zeros(1, 17, 3)))
