"""A network that corrects the poses of another one.

Source: M. Kocabas, S. Karagoz, E. Akbas, "Self-Supervised Learning of 3D Human Pose using Multi-view Geometry", CVPR
2019 (refinement unit), which is the baseline of J. Martinez, R. Hossain, J. Romero, J. J. Little, "A simple yet
effective baseline for 3d human pose estimation", ICCV 2017, with an estimate in the middle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from liftpose.errors import LiftposeError
from liftpose.geometry.precision import full_precision
from liftpose.models.rows import RowNorm
from liftpose.models.temporal import check_probabilities, check_sizes
from liftpose.skeletons import Skeleton, get_skeleton

__all__ = ["Refiner", "refiner_learning_rate_factor"]

_LEAST_STD = 1e-6  # metres; a coordinate that does not vary tells nothing and is not divided by what it varies


class Refiner(nn.Module):
    """Correct the 3D poses that a network has estimated from pictures.

    Coordinates of all joints but the root are standardised with the mean and the deviation of the training poses, which
    lie in the network's buffers (:meth:`fit_statistics`) and so in its checkpoints. Estimates are read off after each
    of two residual stages; the second is the result.

    Args:
        skeleton: Joint order of the poses, or its name.
        channels: Width of the layers between.
        dropout: Probability of dropout.
        negative_slope: Slope below zero of the leaky ReLU; 0 is the plain one of the published weights.

    Attributes:
        skeleton: The joint order.

    Raises:
        LiftposeError: An argument is out of range.

    Example:
        >>> network = Refiner("h36m_17", channels=8).eval()
        >>> network(torch.zeros(2, 17, 3)).shape
        torch.Size([2, 17, 3])
    """

    input_mean: Tensor
    input_std: Tensor
    target_mean: Tensor
    target_std: Tensor

    def __init__(
        self,
        skeleton: str | Skeleton = "h36m_mpii_order_16",
        channels: int = 1024,
        dropout: float = 0.5,
        negative_slope: float = 0.0,
    ) -> None:
        super().__init__()
        check_sizes(channels=channels)
        check_probabilities(dropout=dropout)
        if not 0 <= negative_slope < 1:
            raise LiftposeError(f"negative_slope: expected a slope of at least 0 and below 1, found {negative_slope}")
        self.skeleton = get_skeleton(skeleton)
        size = 3 * (len(self.skeleton) - 1)
        self.w1 = nn.Linear(size, channels)
        self.batch_norm1 = RowNorm(channels, dropout, negative_slope)
        self.linear_stages = nn.ModuleList(_Stage(channels, dropout, negative_slope) for _ in range(2))
        self.w2 = nn.Linear(channels, size)
        self.w3 = nn.Linear(size, channels)
        self.batch_norm3 = RowNorm(channels, dropout, negative_slope)
        self.w4 = nn.Linear(channels, size)
        for module in self.modules():
            if isinstance(module, nn.Linear):  # as published; the biases as torch has them
                nn.init.kaiming_normal_(module.weight)
        for name, value in (("input_mean", 0.0), ("input_std", 1.0), ("target_mean", 0.0), ("target_std", 1.0)):
            self.register_buffer(name, torch.full((size,), value))

    @property
    def identity(self) -> dict[str, Any]:
        """What the shapes of the weights do not tell; kept in checkpoints."""
        return {"skeleton": self.skeleton.name}

    def forward(self, poses_3d: Tensor) -> Tensor:
        """Correct poses.

        Args:
            poses_3d: (B, J, 3) metres, camera frame, relative to the root.

        Returns:
            (B, J, 3) metres, camera frame, relative to the root, which is zero.

        Raises:
            LiftposeError: The poses have another number of joints.
        """
        return self.poses(self.estimates(poses_3d)[1])

    def estimates(self, poses_3d: Tensor) -> tuple[Tensor, Tensor]:
        """Return both estimates in standardised coordinates, on which the loss is taken.

        Args:
            poses_3d: (B, J, 3) metres, camera frame, relative to the root.

        Returns:
            Two of (B, 3 (J - 1)), comparable with :meth:`standardised_targets`; the second is the result.

        Raises:
            LiftposeError: The poses have another number of joints.
        """
        given = self._standardised(poses_3d, self.input_mean, self.input_std)
        hidden = self.batch_norm1(self.w1(given))
        first = self.linear_stages[0](hidden)
        middle: Tensor = self.w2(first)
        carried = self.batch_norm3(self.w3(middle), first + hidden)
        return middle, self.w4(hidden + self.linear_stages[1](carried))

    def standardised_targets(self, poses_3d: Tensor) -> Tensor:
        """Return true poses as :meth:`estimates` should have them.

        Args:
            poses_3d: (B, J, 3) metres, camera frame, relative to the root.

        Returns:
            (B, 3 (J - 1)) standardised coordinates.

        Raises:
            LiftposeError: The poses have another number of joints.
        """
        return self._standardised(poses_3d, self.target_mean, self.target_std)

    @full_precision
    def poses(self, estimate: Tensor) -> Tensor:
        """Return an estimate as poses.

        Args:
            estimate: (B, 3 (J - 1)) standardised coordinates, as :meth:`estimates` gives them.

        Returns:
            (B, J, 3) metres, camera frame, relative to the root, which is zero.
        """
        joints = (estimate * self.target_std + self.target_mean).reshape(len(estimate), -1, 3)
        root = self.skeleton.root
        return torch.cat((joints[:, :root], torch.zeros_like(joints[:, :1]), joints[:, root:]), dim=1)

    @torch.no_grad()
    def fit_statistics(self, poses_3d: Tensor, targets_3d: Tensor) -> None:
        """Take the mean and the deviation of the training poses.

        Args:
            poses_3d: (N, J, 3) metres, the poses to correct, relative to the root.
            targets_3d: (N, J, 3) metres, the true poses, relative to the root.

        Raises:
            LiftposeError: The poses have another number of joints, or there is none.
        """
        if not len(poses_3d) or not len(targets_3d):
            raise LiftposeError("training poses: expected at least one, found none")
        for name, poses in (("input", poses_3d), ("target", targets_3d)):
            rows = self._rows(poses).double()
            deviation = rows.std(0, correction=0)
            getattr(self, f"{name}_mean").copy_(rows.mean(0))
            getattr(self, f"{name}_std").copy_(deviation.masked_fill(deviation < _LEAST_STD, 1))

    def set_statistics(self, statistics: Mapping[str, Tensor]) -> None:
        """Take the mean and the deviation from elsewhere.

        Args:
            statistics: ``input_mean``, ``input_std``, ``target_mean`` and ``target_std``, each (3 (J - 1)) metres.

        Raises:
            ValueError: One is missing or of another shape.
        """
        for name in ("input_mean", "input_std", "target_mean", "target_std"):
            own = getattr(self, name)
            if name not in statistics or statistics[name].shape != own.shape:
                found = tuple(statistics[name].shape) if name in statistics else "none"
                raise ValueError(f"{name}: expected {tuple(own.shape)}, found {found}")
            own.copy_(statistics[name])

    def _rows(self, poses_3d: Tensor) -> Tensor:
        """Return the coordinates of all joints but the root, (B, 3 (J - 1))."""
        self.skeleton.check(poses_3d, "poses to correct")
        root = self.skeleton.root
        return torch.cat((poses_3d[:, :root], poses_3d[:, root + 1 :]), dim=1).flatten(1)

    @full_precision
    def _standardised(self, poses_3d: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        return (self._rows(poses_3d) - mean) / std


class _Stage(nn.Module):
    """Two residual blocks of two linear layers, each with normalisation, activation and dropout."""

    def __init__(self, channels: int, dropout: float, slope: float) -> None:
        super().__init__()
        for number in range(1, 5):
            self.add_module(f"w{number}", nn.Linear(channels, channels))
            self.add_module(f"batch_norm{number}", RowNorm(channels, dropout, slope))

    def forward(self, features: Tensor) -> Tensor:
        for first, second in ((1, 2), (3, 4)):
            features = self._layer(second, self._layer(first, features), features)
        return features

    def _layer(self, number: int, features: Tensor, residual: Tensor | None = None) -> Tensor:
        linear, norm = self.get_submodule(f"w{number}"), self.get_submodule(f"batch_norm{number}")
        result: Tensor = norm(linear(features), residual)
        return result


def refiner_learning_rate_factor(step: int, decay: float = 0.96, every: int = 100_000) -> float:
    """Return the published learning rate over that of the start.

    It is ``decay ** (step / every)``, but computed at the first step and at every multiple of ``every`` only.

    Args:
        step: Number of the optimiser's step, from 1 up.
        decay: Factor over ``every`` steps.
        every: Number of steps.

    Returns:
        The factor.

    Example:
        >>> [round(refiner_learning_rate_factor(step), 6) for step in (1, 99_999, 100_000, 250_000)]
        [1.0, 1.0, 0.96, 0.9216]
    """
    return float(decay ** (max(1, step // every * every) / every))
