"""What the training of all networks that look at pictures has in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Literal, NamedTuple, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from liftpose.data.images import ImageSet, PatchBatch
from liftpose.datamodules.images import ImageDataModule
from liftpose.errors import LiftposeError
from liftpose.geometry.patches import labels_to_depths, labels_to_pixels, picture_poses
from liftpose.losses.cells import cell_loss
from liftpose.losses.coordinates import coordinate_l1_loss, coordinate_mse_loss, coordinate_smooth_l1_loss
from liftpose.models.lifter import relative_to_root
from liftpose.models.pose_resnet import IntegralPose, PoseResNet, predict_flip_averaged
from liftpose.models.soft_argmax import soft_argmax
from liftpose.tasks.base import BaseTask
from liftpose.weights.integral import HeadStart, start_integral

__all__ = ["ImageTask", "PicturePoses"]

TRUE_DEPTH = "the true depth of the root and the true camera"
BOX = "the longer side of the box, taken for as many metres as in training"
LOSSES = {"l1": coordinate_l1_loss, "mse": coordinate_mse_loss}


class PicturePoses(NamedTuple):
    """Poses that were predicted from a batch of patches.

    Attributes:
        poses_3d: (B, J, 3) metres, camera frame, relative to the root.
        keypoints_2d: (B, J, 2) pixels of the picture.
        confidence: (B, J) comparable within one network only.
        indices: (B,) rows of the pictures.
        scale: What the lengths rest on, for people to read.
        truth_3d: (B, J, 3) metres, the true poses; None where they are not known.
    """

    poses_3d: Tensor
    keypoints_2d: Tensor
    confidence: Tensor
    indices: Tensor
    scale: str
    truth_3d: Tensor | None = None


class ImageTask(BaseTask):
    """Training of a network that finds joints in patches of pictures, with the recipe of Kocabas et al. (CVPR 2019).

    The optimiser is Adam; the learning rate falls by a constant factor at given epochs and may rise over the first
    batches.

    Args:
        network: The network.
        init_from: Weights to start from: a checkpoint of liftpose, a file of the public code, or an ImageNet
            classifier in torchvision's names. Layers that do not fit keep their random weights, and a line says which.
            Not read when a run is resumed or evaluated.
        init_joints: Which joints of the last layer start from those weights: "by_name" those that both joint orders
            have, "by_index" all, whatever their names (published for MPII and Human3.6M in MPII's order), "new" none.
        loss: "l1", "smooth_l1" or "mse" over the coordinates.
        loss_switch: Label units: where "smooth_l1" goes over from a square to a straight line. The public code has 1,
            beyond all joints of a patch, which makes it half the mean square.
        cell_weight: How much a second loss counts beside that of the coordinates: the negative log-likelihood of the
            volume's true cells, by which a network without earlier training begins to learn; 0 for none, as published.
        loss_reduction: "weights" divides by the sum of the weights; "batch", as published, by the number of samples.
        learning_rate: Learning rate after the warm-up.
        milestones: Epochs at which the learning rate falls.
        learning_rate_decay: Factor by which it falls.
        warmup_steps: Batches over which it rises from a hundredth of its value; 0 for none.
        weight_decay: Weight decay of Adam, as a part of the gradient.
        flip_test: Whether validation, test and prediction average the coordinates with those of the mirrored patch.
    """

    architecture: ClassVar[tuple[str, ...]] = ("network",)
    not_compared: ClassVar[tuple[str, ...]] = ("init_from", "init_joints")
    data_modules: ClassVar[tuple[type[pl.LightningDataModule], ...]] = (ImageDataModule,)

    def __init__(
        self,
        network: PoseResNet,
        init_from: str | None = None,
        init_joints: HeadStart = "by_name",
        loss: Literal["l1", "smooth_l1", "mse"] = "l1",
        loss_switch: float = 10 / 256,
        cell_weight: float = 0.0,
        loss_reduction: Literal["weights", "batch"] = "weights",
        learning_rate: float = 1e-3,
        milestones: list[int] | None = None,
        learning_rate_decay: float = 0.1,
        warmup_steps: int = 0,
        weight_decay: float = 0.0,
        flip_test: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.init_from = init_from
        self.init_joints = init_joints
        self.loss = loss
        self.loss_switch = loss_switch
        self.cell_weight = cell_weight
        self.loss_reduction = loss_reduction
        self.learning_rate = learning_rate
        self.milestones = [90, 120] if milestones is None else milestones
        self.learning_rate_decay = learning_rate_decay
        self.warmup_steps = warmup_steps
        self.weight_decay = weight_decay
        self.flip_test = flip_test
        self._check_ranges()
        self.configure()

    # --------------------------------------------------------------------------------------------------- preparation
    def _check_ranges(self) -> None:
        """Refuse numbers with which nothing could be learnt."""
        for name in ("learning_rate", "learning_rate_decay", "loss_switch"):
            if not getattr(self, name) > 0:
                raise LiftposeError(f"model.{name}: expected a number above 0, found {getattr(self, name)}")
        for name in ("weight_decay", "warmup_steps", "cell_weight"):
            if not getattr(self, name) >= 0:
                raise LiftposeError(f"model.{name}: expected a number from 0 up, found {getattr(self, name)}")
        if any(epoch < 1 for epoch in self.milestones) or sorted(set(self.milestones)) != self.milestones:
            raise LiftposeError(f"model.milestones: expected rising epochs from 1 up, found {self.milestones}")

    @property
    def main_network(self) -> PoseResNet:
        """The network."""
        return self.network

    def configure_models(self) -> None:
        """Lay the weights out as convolutions are computed fastest."""
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it

    def evaluated(self, names: Iterable[str]) -> list[str]:
        """Return the names of the network's weights.

        Args:
            names: Names of weights.
        """
        return [name for name in names if name.startswith("network.")]

    def check(self, verb: str, checkpoint: str | None) -> None:
        """Let a training start from the weights that it was told to, before anything is written.

        Args:
            verb: "fit", "validate", "test" or "predict".
            checkpoint: The checkpoint that was given, if any.

        Raises:
            LiftposeError: The checkpoint is missing, the weights to start from do not fit, or the network is one of
                heat maps, for which there is no loss here.
        """
        super().check(verb, checkpoint)
        if verb == "fit" and not isinstance(self.network, IntegralPose):
            found = type(self.network).__name__
            raise LiftposeError(
                f"model.network: expected liftpose.models.IntegralPose to fit, found {found}, which can only be tested"
            )
        if verb == "fit" and checkpoint is None:
            self._start()

    def check_data(self, verb: str, data: pl.LightningDataModule) -> None:
        """Refuse pictures that are to be trained or evaluated on and lack what that needs.

        Args:
            verb: "fit", "validate", "test" or "predict".
            data: The data module, after its own check.

        Raises:
            LiftposeError: Something is missing.
        """
        if not isinstance(data, ImageDataModule) or verb == "predict":
            return
        for split in data.splits_of(verb):
            images = data.read_images(split)
            if images is not None:  # those of a program are there after the first run
                self.check_images(split, images)

    @abstractmethod
    def check_images(self, split: str, images: ImageSet) -> None:
        """Refuse pictures that lack what training or evaluating on them needs.

        Args:
            split: "train", "validation" or "test".
            images: The pictures.

        Raises:
            LiftposeError: Something is missing.
        """

    def setup(self, stage: str) -> None:
        """Check the pictures also where no command has done it.

        Args:
            stage: "fit", "validate", "test" or "predict".
        """
        data = getattr(self.trainer, "datamodule", None)
        if data is not None:
            self.check_data(stage, data)

    def _start(self) -> None:
        """Take over the weights to start from, once."""
        path, self.init_from = self.init_from, None
        if path is not None:
            start_integral(self.network, path, self.init_joints)

    def on_fit_start(self) -> None:
        """Take over the weights to start from, unless the run is resumed."""
        if self.trainer.ckpt_path is None:
            self._start()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return Adam over the network and its learning rates."""
        parameters = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        optimizer = torch.optim.Adam(
            parameters, lr=self.learning_rate, weight_decay=self.weight_decay, fused=self.may_fuse(parameters)
        )
        steps = torch.optim.lr_scheduler.MultiStepLR(optimizer, self.milestones, self.learning_rate_decay)
        schedules: list[dict[str, Any]] = [{"scheduler": steps, "interval": "epoch"}]
        if self.warmup_steps:
            rise = torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=self.warmup_steps)
            schedules.append({"scheduler": rise, "interval": "step"})
        return [optimizer], schedules  # type: ignore[return-value]  # Lightning's types know one schedule only

    # ------------------------------------------------------------------------------------------------------ training
    def on_train_batch_start(self, batch: PatchBatch, batch_idx: int) -> None:
        """Keep the loss as it is: its divisor belongs to the global batch already."""
        self.loss_weight = 1.0

    def training_step(self, batch: PatchBatch, batch_idx: int) -> Tensor:
        """Return the loss of one batch.

        Args:
            batch: Patches with labels.
            batch_idx: Number of the batch in the epoch.

        Returns:
            () loss in label units, or their square, and the likelihood's share.
        """
        network = cast(IntegralPose, self.network)
        volumes = network.volumes(batch.images.to(self.dtype))
        prediction = soft_argmax(volumes, network.half_pixel)
        if self.loss == "smooth_l1":
            total = coordinate_smooth_l1_loss(prediction, batch.labels, batch.weights, "sum", self.loss_switch)
        else:
            total = LOSSES[self.loss](prediction, batch.labels, batch.weights, "sum")
        if self.cell_weight:
            total = total + self.cell_weight * cell_loss(volumes, batch.labels, batch.weights, network.half_pixel)
        loss = total / self._divisor(batch)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def _divisor(self, batch: PatchBatch) -> Tensor:
        """Return what the sum of a process's errors is divided by, so that the mean over processes is the batch's."""
        size = batch.weights.sum() if self.loss_reduction == "weights" else batch.weights.new_tensor(len(batch.images))
        if self.trainer.world_size > 1:
            size = cast(Tensor, self.trainer.strategy.reduce(size.clone(), reduce_op="mean"))
        return size.clamp(min=torch.finfo(size.dtype).tiny)

    # ---------------------------------------------------------------------------------------------------- evaluation
    def predict_labels(self, batch: PatchBatch) -> tuple[Tensor, Tensor]:
        """Predict coordinates, averaged with those of the mirrored patches where ``flip_test`` says so.

        Args:
            batch: Patches.

        Returns:
            (B, J, 3) label units and (B, J) confidence, comparable within one network only.
        """
        images = batch.images.to(self.dtype)
        return predict_flip_averaged(self.network, images) if self.flip_test else self.network.predict(images)

    def predict_pictures(self, batch: PatchBatch) -> PicturePoses:
        """Predict the poses of a batch in the frame of the camera.

        Where the depth of the root and the camera are known they are used, as published: no single picture shows them.
        Elsewhere the longer side of the box stands for the metres that the labels' depth has it stand for, and the
        pose is seen along parallel rays.

        Args:
            batch: Patches.

        Returns:
            The poses, and the true ones where they are known.
        """
        labels, confidence = self.predict_labels(batch)
        pixels = labels_to_pixels(labels, batch.to_image, self.network.image_size)
        skeleton = self.network.skeleton
        if batch.depths is None or batch.root_depths is None or batch.intrinsics is None:
            # What the patch shows in the picture, whatever its own shape: its sides are those of the box.
            sides = batch.to_image[..., :2].norm(dim=-2) * batch.to_image.new_tensor(self.network.image_size)
            sides = sides / sides.amax(-1, keepdim=True)
            units = torch.cat((sides, torch.ones_like(sides[:, :1])), dim=-1) * batch.depth_scale.unsqueeze(-1)
            poses = labels * units.unsqueeze(1)
            return PicturePoses(relative_to_root(poses, skeleton), pixels, confidence, batch.indices, BOX)
        depths = labels_to_depths(labels, batch.depth_scale)
        poses, truth = (
            relative_to_root(picture_poses(*where, batch.root_depths, batch.intrinsics), skeleton)
            for where in ((pixels, depths), (batch.keypoints_2d, batch.depths))
        )
        return PicturePoses(poses, pixels, confidence, batch.indices, TRUE_DEPTH, truth)

    def predict_step(self, batch: PatchBatch, batch_idx: int) -> PicturePoses:
        """Return the poses of a batch."""
        return self.predict_pictures(batch)
