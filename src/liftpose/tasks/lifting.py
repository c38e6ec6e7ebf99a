"""Training of lifters: windows of 2D keypoints in, the 3D pose of the current frame out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar, Literal, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from liftpose.data.windows import WindowBatch
from liftpose.datamodules import LiftingDataModule
from liftpose.errors import LiftposeError
from liftpose.losses import mpjpe_loss, mse_loss
from liftpose.metrics import MPJPE, PMPJPE, EvaluationResult, PoseEvaluation, action_table
from liftpose.models.lifter import Lifter, flip_averaged, following, predict_windows, relative_to_root
from liftpose.tasks.base import BaseTask
from liftpose.weights import IDENTITY_ENTRY, read_lifter_weights

__all__ = ["LiftingTask"]

NOT_SAID = "not said"
LOSSES = {"mpjpe": mpjpe_loss, "mse": mse_loss}


class LiftingTask(BaseTask):
    """Train and test a lifter with the recipe of Shan et al. (ACM MM 2021), section 4, and Pavllo et al. (CVPR 2019).

    The loss is the mean per-joint position error, the optimiser AdamW with AMSGrad, the learning rate decays by a
    constant factor per epoch, and the momentum of the batch normalisation falls from 0.1 to 0.001 over the run.

    A lifter that is trained in stages starts each stage above the first from the weights of the stage before
    (``init_from``); the parts named in ``freeze`` then keep their weights.

    Args:
        lifter: The network.
        init_from: Checkpoint of the stage before: one of liftpose's or a file of the public code. Has to be given where
            the lifter's stage is above 1; ``null`` says outright that the stage starts from random weights. Not read
            when a run is resumed or evaluated.
        freeze: Names of the lifter's submodules whose parameters are not trained. ``[encoders]`` stands for all its
            encoders.
        freeze_statistics: Whether the frozen parts also run in evaluation mode. As published (false) their dropout
            stays active and the running statistics of their batch normalisation keep moving.
        learning_rate: Learning rate of the first epoch.
        learning_rate_decay: Factor between the learning rates of one epoch and the next.
        weight_decay: Decoupled weight decay of AdamW; without it (0) AdamW is Adam, the optimiser of Pavllo et al.
        batchnorm_momentum_decay: Factor by which the momentum of the encoders' batch normalisation has fallen at the
            end of the run; 1 keeps it constant.
        flip_test: Whether validation, test and prediction average the prediction with that of the mirrored window.
        subtract_root: Whether the root of a prediction is subtracted from it, as PoseAug and DH-AUG do before they
            evaluate; VideoPose3D and RIE evaluate what their networks give as it is.
        loss: "mpjpe", the mean distance of the joints, or "mse", the mean square over all coordinates.
        amsgrad: Whether the optimiser is the variant of Reddi et al. (ICLR 2018).
        linear_decay_epochs: Number of epochs n over which the learning rate falls by equal steps, to 1 / (n + 1) of
            what it was (DH-AUG); ``learning_rate_decay`` holds for the epochs after them. 0 for none.
    """

    architecture: ClassVar[tuple[str, ...]] = ("lifter",)
    not_compared: ClassVar[tuple[str, ...]] = ("init_from",)
    monitor: str = "val_mpjpe_mm"
    data_modules: ClassVar[tuple[type[pl.LightningDataModule], ...]] = (LiftingDataModule,)

    def __init__(
        self,
        lifter: Lifter,
        init_from: str | None = NOT_SAID,
        freeze: list[str] | None = None,
        freeze_statistics: bool = False,
        learning_rate: float = 1e-3,
        learning_rate_decay: float = 0.95,
        weight_decay: float = 0.01,
        batchnorm_momentum_decay: float = 0.01,
        flip_test: bool = True,
        loss: Literal["mpjpe", "mse"] = "mpjpe",
        amsgrad: bool = True,
        linear_decay_epochs: int = 0,
        subtract_root: bool = False,
    ) -> None:
        super().__init__()
        self.lifter = lifter
        self.init_from = init_from
        self.freeze_names = freeze or []
        self.freeze_statistics = freeze_statistics
        self.learning_rate = learning_rate
        self.learning_rate_decay = learning_rate_decay
        self.weight_decay = weight_decay
        self.batchnorm_momentum_decay = batchnorm_momentum_decay
        self.flip_test = flip_test
        self.loss = loss
        self.amsgrad = amsgrad
        self.linear_decay_epochs = linear_decay_epochs
        self.subtract_root = subtract_root
        self.test_results: dict[str, EvaluationResult] = {}
        self._check_ranges()
        self.configure()

    # --------------------------------------------------------------------------------------------------- preparation
    def _check_ranges(self) -> None:
        """Refuse numbers with which nothing could be learnt."""
        for name in ("learning_rate", "learning_rate_decay"):
            if not getattr(self, name) > 0:
                raise LiftposeError(f"model.{name}: expected a number above 0, found {getattr(self, name)}")
        if not self.weight_decay >= 0:
            raise LiftposeError(f"model.weight_decay: expected a number from 0 up, found {self.weight_decay}")
        if not 0 < self.batchnorm_momentum_decay <= 1:
            raise LiftposeError(
                "model.batchnorm_momentum_decay: expected a number above 0 and at most 1, found "
                f"{self.batchnorm_momentum_decay}"
            )

        if self.linear_decay_epochs < 0:
            raise LiftposeError(
                f"model.linear_decay_epochs: expected a number from 0 up, found {self.linear_decay_epochs}"
            )

    def configure_models(self) -> None:
        """Freeze the parts of the lifter that are to keep their weights."""
        for module in self.frozen_modules:
            module.requires_grad_(False)
        if self.freeze_names and not any(parameter.requires_grad for parameter in self.lifter.parameters()):
            raise LiftposeError(f"freeze: expected parts that leave something to train, found {self.freeze_names}")

    def configure_metrics(self) -> None:
        """Prepare the metrics of training and validation; that of the test depends on its recordings."""
        self.train_mpjpe = MPJPE()
        self.val_mpjpe = MPJPE()
        self.val_p_mpjpe = PMPJPE()
        self.evaluations = nn.ModuleList()

    @property
    def main_network(self) -> Lifter:
        """The lifter."""
        return self.lifter

    @property
    def test_result(self) -> EvaluationResult | None:
        """The evaluation of the last test on the data set that was trained on; None before there was one."""
        return next(iter(self.test_results.values()), None)

    @property
    def frozen_modules(self) -> list[nn.Module]:
        """The submodules of the lifter that keep their weights.

        Raises:
            LiftposeError: A name in ``freeze`` is not that of a submodule.
        """
        children = dict(self.lifter.named_children())
        names: list[str] = []
        for name in self.freeze_names:
            names += self.lifter.encoder_names if name == "encoders" else [name]
        unknown = [name for name in names if name not in children]
        if unknown:
            raise LiftposeError(
                f"freeze: expected names of submodules of {type(self.lifter).__name__} ({', '.join(children)}) or "
                f"encoders, found {', '.join(unknown)}"
            )
        return [children[name] for name in names]

    def evaluated(self, names: Iterable[str]) -> list[str]:
        """Return the names of the lifter's weights.

        Args:
            names: Names of weights.
        """
        return [name for name in names if name.startswith("lifter.")]

    def check(self, verb: str, checkpoint: str | None) -> None:
        """Refuse a later stage of training that was not told where to start from; otherwise let it start there.

        The weights are taken over here, so that a file that does not fit is told before anything is written.

        Args:
            verb: "fit", "validate", "test" or "predict".
            checkpoint: The checkpoint that was given, if any.

        Raises:
            LiftposeError: ``init_from`` was neither given nor set to null, or does not fit the lifter.
        """
        super().check(verb, checkpoint)
        if verb != "fit" or checkpoint is not None:
            return
        if self.init_from == NOT_SAID and self.lifter.stage > 1:
            raise LiftposeError(
                f"model.init_from: expected the checkpoint of stage {self.lifter.stage - 1} for a run of stage "
                f"{self.lifter.stage} (or null to start from random weights), found nothing"
            )
        self._start_from_previous_stage()

    def _start_from_previous_stage(self) -> None:
        """Take over the weights of the stage before, once."""
        path, self.init_from = self.init_from, None
        if path in {None, NOT_SAID}:
            return
        try:
            weights = read_lifter_weights(str(path))
            self.lifter.check_identity(weights.identity, str(path))
            self.lifter.load_previous_stage(weights.state_dict)
        except LiftposeError as error:
            file = "" if str(path) in str(error) else f" {path}"
            raise LiftposeError(f"model.init_from{file}: {error}") from error

    def on_fit_start(self) -> None:
        """Take over the weights of the stage before, unless the run is resumed."""
        if self.trainer.ckpt_path is None:
            self.check("fit", None)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put into the checkpoint what the shapes of the weights do not tell.

        Args:
            checkpoint: What is going to be written.
        """
        checkpoint[IDENTITY_ENTRY] = self.lifter.identity

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the checkpoint of a lifter that reads its windows in another way; an evaluation takes the lifter only.

        Args:
            checkpoint: What has been read.

        Raises:
            LiftposeError: Skeleton, padding or current frame differ.
        """
        self.lifter.check_identity(checkpoint.get(IDENTITY_ENTRY, {}), "--ckpt_path")
        if self._trainer is not None and self._trainer.state.fn != TrainerFn.FITTING:
            weights = checkpoint["state_dict"]
            checkpoint["state_dict"] = {name: weights[name] for name in self.evaluated(weights)}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return AdamW with AMSGrad over the trainable parameters and its learning rates, one per epoch."""
        parameters = [parameter for parameter in self.lifter.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(
            parameters,
            lr=self.learning_rate,
            weight_decay=self.weight_decay,
            amsgrad=self.amsgrad,
            fused=self.may_fuse(parameters),
        )
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self._learning_rate_factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "epoch"}}

    def _learning_rate_factor(self, epoch: int) -> float:
        """Return the learning rate of an epoch over that of the first one."""
        linear = min(epoch, self.linear_decay_epochs)
        return (1 - linear / (self.linear_decay_epochs + 1)) * self.learning_rate_decay ** (epoch - linear)

    # ------------------------------------------------------------------------------------------------------ training
    @property
    def lifter_epochs(self) -> tuple[int, int]:
        """How many epochs the lifter has been trained, and how many it is to be; the latter below 1 if unknown."""
        return self.current_epoch, self.trainer.max_epochs or 0

    def prepare_epoch(self) -> None:
        """Set the momentum of the batch normalisation and what runs in evaluation mode."""
        now, epochs = self.lifter_epochs
        if epochs > 0:
            share = now / epochs
            self.lifter.set_batchnorm_momentum(0.1 * math.pow(self.batchnorm_momentum_decay, share))
        if self.freeze_statistics:
            for module in self.frozen_modules:
                module.eval()

    def training_step(self, batch: WindowBatch, batch_idx: int) -> Tensor:
        """Return the loss of one batch.

        Args:
            batch: Windows with the poses of their current frames.
            batch_idx: Number of the batch in the epoch.

        Returns:
            () mean per-joint position error in metres, or mean square in square metres.

        Raises:
            LiftposeError: There is one window only, of which batch normalisation cannot take statistics.
        """
        if len(batch.keypoints_2d) < 2:
            raise LiftposeError(
                f"data.batch_size: expected at least 2 windows in a batch of each process, found "
                f"{len(batch.keypoints_2d)}"
            )
        target = self.target(batch)
        prediction = self.lifter(batch.keypoints_2d.to(self.dtype))
        loss = LOSSES[self.loss](prediction, target)
        self.train_mpjpe.update(prediction.detach(), target)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def on_train_epoch_end(self) -> None:
        """Log the error of the epoch, every window weighing the same."""
        self.log("train_mpjpe_mm", 1000 * self.train_mpjpe.compute())
        self.train_mpjpe.reset()

    # ---------------------------------------------------------------------------------------------------- evaluation
    def predict(self, keypoints_2d: Tensor, follows: Tensor | None = None) -> Tensor:
        """Predict poses, averaged with those of the mirrored windows where ``flip_test`` says so.

        Args:
            keypoints_2d: (B, T, J, 2) normalised screen coordinates.
            follows: (B,) bool, whether a window is one frame on from the window before it; None where that is not
                known.

        Returns:
            (B, 1, J, 3) metres relative to the root, camera frame.
        """
        keypoints_2d = keypoints_2d.to(self.dtype)  # that of the trainer's precision: windows are gathered in float32
        predict = flip_averaged if self.flip_test else predict_windows
        poses = predict(self.lifter, keypoints_2d, follows)
        return relative_to_root(poses, self.lifter.skeleton) if self.subtract_root else poses

    def predict_batch(self, batch: WindowBatch) -> Tensor:
        """Predict the poses of a batch of an evaluation, in which most windows follow each other.

        Args:
            batch: Windows.

        Returns:
            (B, 1, J, 3) metres relative to the root, camera frame.
        """
        return self.predict(batch.keypoints_2d, following(batch.sequence, batch.frame))

    def target(self, batch: WindowBatch) -> Tensor:
        """Return the true poses of a batch: (B, 1, J, 3) metres relative to the root, camera frame.

        Raises:
            LiftposeError: The recordings have no 3D poses.
        """
        if batch.poses_3d is None:
            raise LiftposeError("data: expected recordings with 3D poses, found keypoints only")
        return batch.poses_3d

    def validation_step(self, batch: WindowBatch, batch_idx: int) -> None:
        """Add a batch to the validation error."""
        prediction, target = self.predict_batch(batch), self.target(batch)
        self.val_mpjpe.update(prediction, target)
        self.val_p_mpjpe.update(prediction, target)

    def on_validation_epoch_end(self) -> None:
        """Log the validation errors: the mean over all frames."""
        self.log("val_mpjpe_mm", 1000 * self.val_mpjpe.compute(), prog_bar=True)
        self.log("val_p_mpjpe_mm", 1000 * self.val_p_mpjpe.compute())
        self.val_mpjpe.reset()
        self.val_p_mpjpe.reset()

    def on_test_start(self) -> None:
        """Prepare the evaluation for the recordings of each data set of the test."""
        data = cast(LiftingDataModule, self.trainer.datamodule)  # type: ignore[attr-defined]  # Lightning sets it late
        self.test_results = {}
        self.evaluations = nn.ModuleList()
        for split in data.test_splits:
            identities = [(recording.subject, recording.action, recording.view) for recording in data.recordings(split)]
            self.evaluations.append(PoseEvaluation(identities, self.lifter.skeleton.root).to(self.device))

    def test_step(self, batch: WindowBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Add a batch to the papers' table of its data set."""
        prediction, target = self.predict_batch(batch), self.target(batch)
        evaluation = cast(PoseEvaluation, self.evaluations[dataloader_idx])
        evaluation.update(prediction[:, 0], target[:, 0], batch.sequence, batch.frame)

    def on_test_epoch_end(self) -> None:
        """Compute the tables' numbers and log their means over actions, as the papers report them.

        Those of further data sets have the name of their data set before the name of the metric.
        """
        data = cast(LiftingDataModule, self.trainer.datamodule)  # type: ignore[attr-defined]  # Lightning sets it late
        for evaluation, (split, name) in zip(self.evaluations, data.test_splits.items(), strict=True):
            result = cast(PoseEvaluation, evaluation).compute()
            self.test_results[name] = result
            own = "test" if split == "test" else f"test_{name}"
            means = action_table(result).to_dict()["mean_over_actions"]
            self.log_dict(
                {f"{own}_{key}": value for key, value in means.items() if value is not None and key != "frames"}
            )

    def predict_step(self, batch: WindowBatch, batch_idx: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the poses of a batch with their places.

        Returns:
            (B, J, 3) metres relative to the root in the camera frame, (B,) numbers of the recordings, (B,) frames.
        """
        return self.predict_batch(batch)[:, 0], batch.sequence, batch.frame
