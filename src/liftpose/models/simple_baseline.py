"""SimpleBaseline: 3D pose of a single frame by fully connected layers.

Source: J. Martinez, R. Hossain, J. Romero, J. J. Little, "A simple yet effective baseline for 3d human pose
estimation", ICCV 2017, in the form in which PoseAug (Gong et al., CVPR 2021) and DH-AUG (Huang et al., ECCV 2022) train
it ("mlp"): the root is not estimated.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from liftpose.models.lifter import Lifter
from liftpose.models.rows import RowNorm
from liftpose.models.temporal import check_probabilities, check_sizes
from liftpose.skeletons import Skeleton, get_skeleton

__all__ = ["SimpleBaseline"]


class SimpleBaseline(Lifter):
    """The single-frame baseline: a linear layer, residual blocks of two, and a linear layer to the joints.

    The weights have the public code's names.

    Args:
        skeleton: Joint order of keypoints and poses, or its name.
        channels: Width of the layers between, C.
        stages: Number of residual blocks.
        dropout: Probability of dropout.

    Raises:
        LiftposeError: An argument is out of range.

    Example:
        >>> model = SimpleBaseline(channels=8).eval()
        >>> model(torch.zeros(4, 1, 16, 2)).shape
        torch.Size([4, 1, 16, 3])
    """

    def __init__(
        self, skeleton: str | Skeleton = "h36m_16", channels: int = 1024, stages: int = 2, dropout: float = 0.25
    ) -> None:
        super().__init__()
        self.skeleton = get_skeleton(skeleton)
        self.receptive_field = 1
        check_sizes(channels=channels, stages=stages)
        check_probabilities(dropout=dropout)
        joints = len(self.skeleton)
        self.w1 = nn.Linear(2 * joints, channels)
        self.batch_norm1 = RowNorm(channels, dropout)
        self.linear_stages = nn.ModuleList(_Stage(channels, dropout) for _ in range(stages))
        self.w2 = nn.Linear(channels, 3 * (joints - 1))
        for module in self.modules():
            if isinstance(module, nn.Linear):  # as published; the biases as torch has them
                nn.init.kaiming_normal_(module.weight)

    def forward(self, keypoints_2d: Tensor) -> Tensor:
        """Estimate the pose of every frame.

        Args:
            keypoints_2d: (B, N, J, 2) normalised screen coordinates (x in [-1, 1], y scaled alike).

        Returns:
            (B, N, J, 3) metres, camera frame, relative to the root, which is zero.

        Raises:
            LiftposeError: The shape of the input is another.
        """
        self.check_keypoints(keypoints_2d)
        hidden: Tensor = self.batch_norm1(self.w1(keypoints_2d.flatten(2).flatten(0, 1)))
        for stage in self.linear_stages:
            hidden = stage(hidden)
        pose: Tensor = self.w2(hidden).view(*keypoints_2d.shape[:2], len(self.skeleton) - 1, 3)
        root = self.skeleton.root
        return torch.cat((pose[:, :, :root], torch.zeros_like(pose[:, :, :1]), pose[:, :, root:]), dim=2)


class _Stage(nn.Module):
    """Two linear layers, each with normalisation, ReLU and dropout, added to their input."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.w1 = nn.Linear(channels, channels)
        self.batch_norm1 = RowNorm(channels, dropout)
        self.w2 = nn.Linear(channels, channels)
        self.batch_norm2 = RowNorm(channels, dropout)

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.batch_norm1(self.w1(features))
        result: Tensor = self.batch_norm2(self.w2(hidden), features)
        return result
