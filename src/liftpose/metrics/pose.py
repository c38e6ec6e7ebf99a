"""Pose metrics that accumulate over batches and processes: thin classes over `liftpose.metrics.functional`.

Sums are kept in float64, so that the result does not depend on how the poses were split into batches and processes.
These metrics count every pose that they are given: the loaders of an evaluation must not fill up the last batch of a
process with poses that another one scores. (`liftpose.metrics.MPJVE` and `liftpose.metrics.PoseEvaluation` count a pose
that comes twice once.)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from liftpose.metrics import functional

__all__ = ["AUC", "MPJPE", "NMPJPE", "PCK", "PMPJPE", "PerJointMPJPE"]


class _MeanOverPoses(Metric, ABC):
    """Mean of one number per pose over all poses of all batches and processes."""

    full_state_update = False

    total: Tensor
    count: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    @abstractmethod
    def _per_pose(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The number of each pose, (...)."""

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add poses.

        Args:
            prediction: (..., J, 3) metres.
            target: (..., J, 3) metres, same shape and frame.

        Raises:
            ValueError: The shapes differ or are not (..., J, 3).
        """
        self._add(self._per_pose(prediction, target))

    def _add(self, values: Tensor) -> None:
        # The sum is float64 even where a trainer in true half precision has converted the state.
        self.total = self.total + values.detach().double().sum()
        self.count = self.count + values.numel()

    def compute(self) -> Tensor:
        """Mean over all poses, float64 scalar; NaN when there were none."""
        return self.total / self.count


class MPJPE(_MeanOverPoses):
    r"""Mean per joint position error (protocol 1), :math:`\frac{1}{NJ} \sum_{n,j} \lVert \hat p_{nj} - p_{nj} \rVert`.

    As input to ``update``: ``prediction`` and ``target`` (..., J, 3) in metres, one frame, relative to the root.
    As output of ``compute``: float64 scalar in metres.

    Args:
        kwargs: Options of `torchmetrics.Metric`.

    Example:
        >>> metric = MPJPE()
        >>> metric.update(torch.zeros(4, 17, 3), torch.zeros(4, 17, 3) + torch.tensor([0.3, 0.4, 0.0]))
        >>> round(float(metric.compute()), 4)
        0.5
    """

    is_differentiable = True
    higher_is_better = False

    def _per_pose(self, prediction: Tensor, target: Tensor) -> Tensor:
        return functional.mpjpe_per_pose(prediction, target)


class PMPJPE(_MeanOverPoses):
    r"""Position error after the best similarity transform of each predicted pose (protocol 2, also PA-MPJPE).

    Each pose is aligned by scale, rotation (no reflection) and translation:
    see `liftpose.metrics.functional.p_mpjpe_per_pose`. Degenerate poses, for which no alignment exists (all joints of
    the prediction or of the target coincide, or an input is not finite), are left out of the mean and counted.

    As input to ``update``: ``prediction`` and ``target`` (..., J, 3) in metres; their frames may differ.
    As output of ``compute``: float64 scalar in metres, NaN when every pose was degenerate.

    Args:
        kwargs: Options of `torchmetrics.Metric`.

    Example:
        >>> metric = PMPJPE()
        >>> target = torch.eye(3).expand(2, 3, 3)
        >>> metric.update(torch.stack((5 * target[0] + 1, torch.zeros(3, 3))), target)
        >>> bool(metric.compute() < 1e-6), metric.degenerate_poses
        (True, 1)
    """

    is_differentiable = True
    higher_is_better = False

    degenerate: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("degenerate", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self._degenerate_poses = 0

    def _per_pose(self, prediction: Tensor, target: Tensor) -> Tensor:
        return functional.p_mpjpe_per_pose(prediction, target)

    def _add(self, values: Tensor) -> None:
        undefined = values.isnan()
        super()._add(values[~undefined])
        self.degenerate = self.degenerate + undefined.sum()

    def compute(self) -> Tensor:
        """Mean over the poses that can be aligned, float64 scalar; NaN when there were none."""
        self._degenerate_poses = int(self.degenerate)
        return super().compute()

    @property
    def degenerate_poses(self) -> int:
        """Number of poses that the last ``compute`` left out, over all processes."""
        return self._degenerate_poses

    def reset(self) -> None:
        """Forget all poses."""
        super().reset()
        self._degenerate_poses = 0


class NMPJPE(_MeanOverPoses):
    r"""Position error after the best scale of each predicted pose (protocol 3).

    The scale is :math:`\sum_j \langle p_j, \hat p_j \rangle / \sum_j \lVert \hat p_j \rVert^2`:
    see `liftpose.metrics.functional.n_mpjpe_per_pose`.

    As input to ``update``: ``prediction`` and ``target`` (..., J, 3) in metres, one frame, relative to the root.
    As output of ``compute``: float64 scalar in metres.

    Args:
        kwargs: Options of `torchmetrics.Metric`.

    Example:
        >>> metric = NMPJPE()
        >>> metric.update(2 * torch.eye(3), torch.eye(3))
        >>> metric.compute()
        tensor(0., dtype=torch.float64)
    """

    is_differentiable = True
    higher_is_better = False

    def _per_pose(self, prediction: Tensor, target: Tensor) -> Tensor:
        return functional.n_mpjpe_per_pose(prediction, target)


class PCK(_MeanOverPoses):
    r"""Percentage of correct keypoints in 3D: joints with an error strictly below a threshold.

    All joints that are given count; leave the root out by indexing (see `liftpose.metrics.functional.pck_per_pose`).

    As input to ``update``: ``prediction`` and ``target`` (..., J, 3) in metres, one frame, relative to the root.
    As output of ``compute``: float64 scalar in per cent.

    Args:
        threshold: Metres; 150 mm is the threshold of MPI-INF-3DHP.
        kwargs: Options of `torchmetrics.Metric`.

    Example:
        >>> metric = PCK()
        >>> metric.update(torch.tensor([[0.1, 0.0, 0.0], [0.2, 0.0, 0.0]]), torch.zeros(2, 3))
        >>> metric.compute()
        tensor(50., dtype=torch.float64)
    """

    is_differentiable = False
    higher_is_better = True

    def __init__(self, threshold: float = functional.PCK_THRESHOLD, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.threshold = threshold

    def _per_pose(self, prediction: Tensor, target: Tensor) -> Tensor:
        return functional.pck_per_pose(prediction, target, self.threshold)


class AUC(_MeanOverPoses):
    r"""Area under the curve of the 3D PCK: its mean over the thresholds 0, 5, ..., 150 mm.

    A perfect prediction has 30/31 = 96.77 %, because no error is below 0
    (see `liftpose.metrics.functional.auc_per_pose` for this and for the choice of joints).

    As input to ``update``: ``prediction`` and ``target`` (..., J, 3) in metres, one frame, relative to the root.
    As output of ``compute``: float64 scalar in per cent.

    Args:
        thresholds: Metres, ascending.
        kwargs: Options of `torchmetrics.Metric`.

    Example:
        >>> metric = AUC()
        >>> metric.update(torch.zeros(4, 17, 3), torch.zeros(4, 17, 3))
        >>> round(float(metric.compute()), 2)
        96.77
    """

    is_differentiable = False
    higher_is_better = True

    def __init__(self, thresholds: Sequence[float] = functional.AUC_THRESHOLDS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.thresholds = tuple(thresholds)

    def _per_pose(self, prediction: Tensor, target: Tensor) -> Tensor:
        return functional.auc_per_pose(prediction, target, self.thresholds)


class PerJointMPJPE(Metric):
    r"""Mean position error of each joint, :math:`\frac{1}{N} \sum_n \lVert \hat p_{nj} - p_{nj} \rVert`.

    As input to ``update``: ``prediction`` and ``target`` (..., J, 3) in metres, one frame, relative to the root.
    As output of ``compute``: (J,) float64 in metres, NaN when there were no poses.

    Args:
        num_joints: Number of joints J.
        kwargs: Options of `torchmetrics.Metric`.

    Example:
        >>> metric = PerJointMPJPE(num_joints=2)
        >>> metric.update(torch.tensor([[0.0, 0.0, 0.0], [3.0, 4.0, 0.0]]), torch.zeros(2, 3))
        >>> metric.compute()
        tensor([0., 5.], dtype=torch.float64)
    """

    is_differentiable = True
    higher_is_better = False
    full_state_update = False

    total: Tensor
    count: Tensor

    def __init__(self, num_joints: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_joints = num_joints
        self.add_state("total", torch.zeros(num_joints, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add poses.

        Args:
            prediction: (..., J, 3) metres.
            target: (..., J, 3) metres, same shape and frame.

        Raises:
            ValueError: The shapes differ or are not (..., J, 3) with the J of this metric.
        """
        errors = functional.joint_errors(prediction, target)
        if errors.shape[-1] != self.num_joints:
            raise ValueError(f"expected {self.num_joints} joints, found poses of shape {tuple(prediction.shape)}")
        errors = errors.detach().double().reshape(-1, self.num_joints)
        self.total = self.total + errors.sum(0)
        self.count = self.count + len(errors)

    def compute(self) -> Tensor:
        """Mean of each joint over all poses, (J,) float64."""
        return self.total / self.count
