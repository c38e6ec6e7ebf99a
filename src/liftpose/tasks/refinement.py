"""Training of the network that corrects poses that another network has estimated from pictures."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from liftpose.data.pose_pairs import PosePairBatch, PosePairs
from liftpose.datamodules.pose_pairs import PosePairsDataModule
from liftpose.errors import LiftposeError
from liftpose.metrics import MPJPE, EvaluationResult, ImagePoseEvaluation, action_table
from liftpose.models.refiner import Refiner, refiner_learning_rate_factor
from liftpose.tasks.base import BaseTask

__all__ = ["RefinementTask"]


class RefinementTask(BaseTask):
    """Train and test a network that corrects 3D poses, with the recipe of Kocabas et al. (CVPR 2019).

    It learns from estimated poses beside true ones, so it is no part of what is learnt without 3D labels. The loss is
    the mean square of both its estimates over standardised coordinates; the means and deviations are those of the
    training poses.

    Args:
        network: The network.
        learning_rate: Learning rate of Adam at the start.
        learning_rate_decay: Factor by which it falls with every ``decay_steps`` batches.
        decay_steps: Number of batches between two changes of the learning rate.
    """

    architecture: ClassVar[tuple[str, ...]] = ("network",)
    monitor: str = "val_mpjpe_mm"
    data_modules: ClassVar[tuple[type[pl.LightningDataModule], ...]] = (PosePairsDataModule,)

    def __init__(
        self,
        network: Refiner,
        learning_rate: float = 1e-3,
        learning_rate_decay: float = 0.96,
        decay_steps: int = 100_000,
    ) -> None:
        super().__init__()
        self.network = network
        self.learning_rate = learning_rate
        self.learning_rate_decay = learning_rate_decay
        self.decay_steps = decay_steps
        self.test_results: dict[str, EvaluationResult] = {}
        for name in ("learning_rate", "learning_rate_decay"):
            if not getattr(self, name) > 0:
                raise LiftposeError(f"model.{name}: expected a number above 0, found {getattr(self, name)}")
        if decay_steps < 1:
            raise LiftposeError(f"model.decay_steps: expected a number from 1 up, found {decay_steps}")
        self.configure()

    @property
    def main_network(self) -> Refiner:
        """The network."""
        return self.network

    def configure_models(self) -> None:
        """Do nothing: the network is given."""

    def configure_metrics(self) -> None:
        """Prepare the metric of the validation; that of the test depends on its poses."""
        self.val_mpjpe = MPJPE()
        self.val_before = MPJPE()
        self.evaluation: ImagePoseEvaluation | None = None

    def _pairs(self, split: str) -> PosePairs:
        data: PosePairsDataModule = self.trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it late
        return data.pairs(split)

    def on_fit_start(self) -> None:
        """Take the statistics of the training poses, unless the run is resumed."""
        if self.trainer.ckpt_path is None:
            pairs = self._pairs("train")
            self.network.fit_statistics(pairs.poses_3d, pairs.truth_3d)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return Adam and its learning rates, one per batch."""
        parameters = list(self.network.parameters())
        optimizer = torch.optim.Adam(parameters, lr=self.learning_rate, fused=self.may_fuse(parameters))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: refiner_learning_rate_factor(step + 1, self.learning_rate_decay, self.decay_steps),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: PosePairBatch, batch_idx: int) -> Tensor:
        """Return the loss of one batch.

        Args:
            batch: Poses with their truth.
            batch_idx: Number of the batch in the epoch.

        Returns:
            () sum of the mean squares of both estimates, without unit.
        """
        targets = self.network.standardised_targets(batch.truth_3d)
        estimates = self.network.estimates(batch.poses_3d)
        loss = sum(((estimate - targets).square().mean() for estimate in estimates), start=targets.new_zeros(()))
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: PosePairBatch, batch_idx: int) -> None:
        """Add a batch to the validation errors, after and before the correction."""
        self.val_mpjpe.update(self.network(batch.poses_3d), batch.truth_3d)
        self.val_before.update(batch.poses_3d, batch.truth_3d)

    def on_validation_epoch_end(self) -> None:
        """Log the validation errors: the mean over all poses."""
        self.log("val_mpjpe_mm", 1000 * self.val_mpjpe.compute(), prog_bar=True)
        self.log("val_uncorrected_mpjpe_mm", 1000 * self.val_before.compute())
        self.val_mpjpe.reset()
        self.val_before.reset()

    def on_test_start(self) -> None:
        """Prepare the evaluation for the recordings of the test."""
        pairs = self._pairs("test")
        self.test_results = {}
        self.evaluation = ImagePoseEvaluation(pairs.recordings, pairs.skeleton).to(self.device)

    def test_step(self, batch: PosePairBatch, batch_idx: int) -> None:
        """Add a batch to the table."""
        sequence = self._pairs("test").sequence.to(batch.indices.device)[batch.indices]
        cast(ImagePoseEvaluation, self.evaluation).update(
            self.network(batch.poses_3d), batch.truth_3d, sequence, batch.indices
        )

    def on_test_epoch_end(self) -> None:
        """Compute the table's numbers and log their means over actions."""
        result = cast(ImagePoseEvaluation, self.evaluation).compute()
        self.test_results = {"test": result}
        means: dict[str, Any] = action_table(result).to_dict()["mean_over_actions"]
        self.log_dict({f"test_{key}": value for key, value in means.items() if value is not None and key != "frames"})

    def predict_step(self, batch: PosePairBatch, batch_idx: int) -> tuple[Tensor, Tensor]:
        """Return the corrected poses of a batch, (B, J, 3) metres, and their numbers, (B,)."""
        return self.network(batch.poses_3d), batch.indices
