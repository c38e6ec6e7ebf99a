"""Closed-form training of the linear baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, cast

import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torchmetrics import Metric

from liftpose.data.windows import WindowBatch
from liftpose.models.linear import LinearLifter
from liftpose.tasks.lifting import LiftingTask

__all__ = ["RegressionTask"]


class RegressionTask(LiftingTask):
    """Fit a linear lifter in closed form: one epoch sums the second moments, its last batch solves for the weights.

    Evaluation and prediction are those of :class:`LiftingTask`, so a baseline stands in the same tables as a network.

    Args:
        lifter: The linear lifter.
        flip_test: Whether evaluation averages the prediction with that of the mirrored window.
    """

    single_process: ClassVar[tuple[str, ...]] = ("fit", "predict")  # Lightning cannot spread what has no gradient

    def __init__(self, lifter: LinearLifter, flip_test: bool = True) -> None:
        super().__init__(lifter, init_from=None, flip_test=flip_test)
        self.automatic_optimization = False

    @property
    def linear(self) -> LinearLifter:
        """The lifter, known to be linear."""
        return cast(LinearLifter, self.lifter)

    def configure_metrics(self) -> None:
        """Prepare the sums of the regression besides the metrics."""
        super().configure_metrics()
        self.moments = _SecondMoments(self.linear.features_per_frame + 1 + 3 * len(self.linear.skeleton))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the closed form as an optimiser of one step, so that Lightning counts it and keeps a checkpoint."""
        return _ClosedForm(self.linear.buffers(), self._solve)

    def on_train_epoch_start(self) -> None:
        """Start the sums anew."""
        super().on_train_epoch_start()
        self.moments.reset()

    def training_step(self, batch: WindowBatch, batch_idx: int) -> None:  # type: ignore[override]  # no loss
        """Add a batch to the sums; after the last batch, and so before validation, solve for the weights."""
        features = self.linear.features(batch.keypoints_2d).double()
        pose = self.target(batch).flatten(1).double()
        self.moments.update(torch.cat((features, torch.ones_like(pose[:, :1]), pose), dim=1))
        if self.trainer.is_last_batch:
            cast(LightningOptimizer, self.optimizers()).step()

    def on_train_epoch_end(self) -> None:
        """Log nothing: there is no error of training before the weights are known."""

    def _solve(self) -> None:
        """Solve for the weights."""
        place = self.linear.features_per_frame
        total = self.moments.compute()
        self.linear.fit(total[place, place], total)


class _SecondMoments(Metric):
    """The sum of z z^T over all rows z, in float64 whatever the precision of the trainer.

    A metric, so that a run that is stopped within its epoch keeps the sum.

    Args:
        size: Length of a row.
    """

    full_state_update = False

    total: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(size, size, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, rows: Tensor) -> None:
        """Add rows (N, size)."""
        self.total = self.total + rows.T @ rows

    def compute(self) -> Tensor:
        """Return the sum, (size, size)."""
        return self.total


class _ClosedForm(torch.optim.Optimizer):
    """An optimiser whose only step is the solution."""

    def __init__(self, parameters: Iterable[Tensor], solve: Callable[[], None]) -> None:
        super().__init__(parameters, {"lr": 1.0})  # a Newton step of full length
        self._solve = solve

    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # no loss
        """Solve; the closure of a manual optimisation computes nothing."""
        if closure is not None:
            closure()
        self._solve()
