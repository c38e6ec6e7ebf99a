"""Training of the integral network: one picture in, a 3D pose or its 2D joints out."""

from __future__ import annotations

import logging
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from liftpose.data.image_joints import bring_into_joints
from liftpose.data.images import ImageSet, PatchBatch
from liftpose.datamodules.images import ImageDataModule
from liftpose.errors import LiftposeError
from liftpose.geometry.patches import picture_poses
from liftpose.metrics import (
    MPJPE,
    NMPJPE,
    PMPJPE,
    EvaluationResult,
    ImagePoseEvaluation,
    PCKh,
    PCKhResult,
    PoseClusters,
    action_table,
    cluster_poses,
    takes_of_pictures,
)
from liftpose.models.pose_resnet import IntegralPose, PoseResNet
from liftpose.skeletons import MPII_16
from liftpose.tasks.image import ImageTask

__all__ = ["IntegralKeypointsTask", "IntegralPoseTask"]

log = logging.getLogger(__name__)

CLUSTERS = (50, 100)  # of PSS, as published


class IntegralPoseTask(ImageTask):
    """Train and test a network that sees a 3D pose in one picture (Kocabas et al., CVPR 2019; Sun et al., ECCV 2018).

    Errors are computed in the camera's frame, relative to the root. As published, prediction and truth get there by the
    true depth of the root and the true intrinsics, without the lens's distortion.

    Args:
        network: The network.
        best_by: Error of the validation that chooses the best checkpoint: "mpjpe", or "n_mpjpe", the one after the
            best scale, for labels whose scale is not known.
        options: Options of :class:`ImageTask`.
    """

    def __init__(self, network: IntegralPose, best_by: Literal["mpjpe", "n_mpjpe"] = "mpjpe", **options: Any) -> None:
        super().__init__(network, **options)
        self.monitor = f"val_{best_by}_mm"

    def configure_metrics(self) -> None:
        """Prepare the metrics of the validation; that of the test depends on its pictures."""
        self.val_errors = nn.ModuleDict({"mpjpe": MPJPE(), "n_mpjpe": NMPJPE(), "p_mpjpe": PMPJPE()})
        self.evaluation: ImagePoseEvaluation | None = None
        self.test_results: dict[str, EvaluationResult] = {}
        self.clusters: tuple[PoseClusters, ...] = ()

    def check_images(self, split: str, images: ImageSet) -> None:
        """Refuse pictures without 3D truth.

        Args:
            split: "train", "validation" or "test".
            images: The pictures.

        Raises:
            LiftposeError: Something is missing.
        """
        if split == "train":
            if images.depths is None:
                raise LiftposeError(f"{images.root}: expected pictures with depths to train on, found none")
        elif not true_poses(images).isfinite().flatten(1).all(1).any():
            raise LiftposeError(f"{images.root}: expected a whole pose for the {split}, found none")

    def _poses(self, batch: PatchBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Return the predicted and the true poses of a batch with their rows; those of which no truth is left out."""
        predicted = self.predict_pictures(batch)
        truth = cast(Tensor, predicted.truth_3d)
        known = truth.isfinite().flatten(1).all(1)
        return predicted.poses_3d[known], truth[known], batch.indices[known]

    def validation_step(self, batch: PatchBatch, batch_idx: int) -> None:
        """Add a batch to the validation errors."""
        prediction, truth, _ = self._poses(batch)
        for metric in self.val_errors.values():
            cast(MPJPE, metric).update(prediction, truth)

    def on_validation_epoch_end(self) -> None:
        """Log the validation errors: the mean over all pictures."""
        for name, metric in self.val_errors.items():
            self.log(f"val_{name}_mm", 1000 * cast(MPJPE, metric).compute(), prog_bar=name == "mpjpe")
            cast(MPJPE, metric).reset()

    def on_test_start(self) -> None:
        """Prepare the evaluation for the takes of the test, and the clusters of PSS."""
        data: ImageDataModule = self.trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it late
        images = data.images("test")
        takes, self.sequence = takes_of_pictures(images.subjects, images.actions, images.views.tolist())
        self.test_results = {}
        self.clusters = self._find_clusters(data)
        skeleton = self.network.skeleton
        self.evaluation = ImagePoseEvaluation(takes, skeleton, self.clusters).to(self.device)

    def _find_clusters(self, data: ImageDataModule) -> tuple[PoseClusters, ...]:
        """Return the clusters of the true poses of the training people; none where these are not there."""
        skeleton = self.network.skeleton
        try:
            images = bring_into_joints(data.load_images("train"), skeleton, by_index=data.joints_by_index)
        except LiftposeError as error:
            log.warning("PSS is left out, which needs the poses of the training: %s", error)
            return ()
        poses = true_poses(images)
        poses = poses[poses.isfinite().flatten(1).all(1)]
        return tuple(cluster_poses(poses, count, skeleton) for count in CLUSTERS if len(poses) >= count)

    def test_step(self, batch: PatchBatch, batch_idx: int) -> None:
        """Add a batch to the papers' table."""
        prediction, truth, rows = self._poses(batch)
        sequence = self.sequence.to(rows.device)[rows]
        cast(ImagePoseEvaluation, self.evaluation).update(prediction, truth, sequence, rows)

    def on_test_epoch_end(self) -> None:
        """Compute the table's numbers and log their means over actions, as the papers report them."""
        result = cast(ImagePoseEvaluation, self.evaluation).compute()
        self.test_results = {"test": result}
        means = action_table(result).to_dict()["mean_over_actions"]
        self.log_dict({f"test_{key}": value for key, value in means.items() if value is not None and key != "frames"})


class IntegralKeypointsTask(ImageTask):
    """Train and test the same network on pictures with 2D joints only: the depth is not supervised.

    The measure is PCKh, by the rules of MPII.

    Args:
        network: The network; one of heat maps can be tested, but not trained.
        options: Options of :class:`ImageTask`.
    """

    monitor: str = "val_pckh_percent"
    mode: ClassVar[str] = "max"

    def __init__(self, network: PoseResNet, **options: Any) -> None:
        super().__init__(network, **options)

    def configure_models(self) -> None:
        """Refuse a network of other joints than MPII's, whose measure is computed."""
        super().configure_models()
        if self.network.skeleton != MPII_16:
            raise LiftposeError(f"model.network.skeleton: expected {MPII_16.name}, found {self.network.skeleton.name}")

    def configure_metrics(self) -> None:
        """Prepare PCKh."""
        self.val_pckh = PCKh()
        self.test_pckh = PCKh()
        self.pckh: PCKhResult | None = None

    def check_images(self, split: str, images: ImageSet) -> None:
        """Refuse pictures to evaluate on that lack the unit of PCKh.

        Args:
            split: "train", "validation" or "test".
            images: The pictures.

        Raises:
            LiftposeError: Something is missing.
        """
        if split != "train" and images.head_sizes is None:
            raise LiftposeError(f"{images.root}: expected pictures with the size of the head for PCKh, found none")

    def _update(self, metric: PCKh, batch: PatchBatch) -> None:
        """Add a batch to a measure."""
        pixels = self.predict_pictures(batch).keypoints_2d
        metric.update(pixels, batch.keypoints_2d, cast(Tensor, batch.head_sizes), batch.visible)

    def validation_step(self, batch: PatchBatch, batch_idx: int) -> None:
        """Add a batch to the validation's measure."""
        self._update(self.val_pckh, batch)

    def on_validation_epoch_end(self) -> None:
        """Log the validation's measure."""
        half, tenth = self.val_pckh.compute().mean
        self.log("val_pckh_percent", half, prog_bar=True)
        self.log("val_pckh_at_01_percent", tenth)
        self.val_pckh.reset()

    def test_step(self, batch: PatchBatch, batch_idx: int) -> None:
        """Add a batch to the test's measure."""
        self._update(self.test_pckh, batch)

    def on_test_epoch_end(self) -> None:
        """Compute the table."""
        self.pckh = self.test_pckh.compute()
        self.test_pckh.reset()
        half, tenth = self.pckh.mean
        self.log_dict({"test_pckh_percent": half, "test_pckh_at_01_percent": tenth})


def true_poses(images: ImageSet) -> Tensor:
    """Return the true poses of pictures.

    Args:
        images: Annotated pictures with depths and cameras.

    Returns:
        (N, J, 3) metres, camera frame.

    Raises:
        LiftposeError: They have no depths or no cameras.
    """
    if images.depths is None or images.root_depths is None or images.cameras is None or images.camera_index is None:
        raise LiftposeError(f"{images.root}: expected pictures with 3D poses and cameras, found none")
    return picture_poses(
        torch.from_numpy(images.keypoints_2d),
        torch.from_numpy(images.depths),
        torch.from_numpy(images.root_depths),
        images.cameras.intrinsics.float()[torch.from_numpy(images.camera_index)],
    )
