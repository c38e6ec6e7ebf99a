"""SemGCN: 3D pose of a single frame by graph convolutions with learned weights of the bones.

Source: L. Zhao, X. Peng, Y. Tian, M. Kapadia, D. N. Metaxas, "Semantic Graph Convolutional Networks for 3D Human Pose
Regression", CVPR 2019, without its non-local layers, as PoseAug (Gong et al., CVPR 2021) and DH-AUG (Huang et al., ECCV
2022) train it ("gcn").
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from liftpose.models.graphs import neighbours
from liftpose.models.lifter import Lifter
from liftpose.models.rows import RowNorm
from liftpose.models.temporal import check_probabilities, check_sizes
from liftpose.skeletons import Skeleton, get_skeleton

__all__ = ["SemGCN"]


class SemGCN(Lifter):
    """A small lifter of single frames: every layer mixes each joint with its neighbours along the bones.

    The weights have the public code's names.

    Args:
        skeleton: Joint order of keypoints and poses, or its name; its bones are the graph.
        channels: Channels of every joint between the layers, C.
        stages: Number of residual blocks of two layers.
        dropout: Probability of dropout.

    Raises:
        LiftposeError: An argument is out of range.

    Example:
        >>> model = SemGCN(channels=8).eval()
        >>> model(torch.zeros(4, 1, 16, 2)).shape
        torch.Size([4, 1, 16, 3])
    """

    def __init__(
        self, skeleton: str | Skeleton = "h36m_16", channels: int = 128, stages: int = 4, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.skeleton = get_skeleton(skeleton)
        self.receptive_field = 1
        check_sizes(channels=channels, stages=stages)
        check_probabilities(dropout=dropout)
        graph = neighbours(self.skeleton)
        self.gconv_input = nn.ModuleList([_Unit(2, channels, graph, dropout)])
        self.gconv_layers = nn.ModuleList(_Pair(channels, graph, dropout) for _ in range(stages))
        self.gconv_output = _GraphConv(channels, 3, graph)

    def forward(self, keypoints_2d: Tensor) -> Tensor:
        """Estimate the pose of every frame.

        Args:
            keypoints_2d: (B, N, J, 2) normalised screen coordinates (x in [-1, 1], y scaled alike).

        Returns:
            (B, N, J, 3) metres, camera frame, relative to the root, which is estimated with the others.

        Raises:
            LiftposeError: The shape of the input is another.
        """
        self.check_keypoints(keypoints_2d)
        # Joints first: then mixing joints and mixing channels are one product of matrices each.
        hidden = keypoints_2d.flatten(0, 1).transpose(0, 1).contiguous()
        hidden = self.gconv_input[0](hidden)
        for pair in self.gconv_layers:
            hidden = pair(hidden)
        pose: Tensor = self.gconv_output(hidden).view(len(self.skeleton), -1, 3)
        return pose.transpose(0, 1).reshape(*keypoints_2d.shape[:3], 3)


class _GraphConv(nn.Module):
    """The semantic graph convolution: a joint's own features and those of its neighbours have weights of their own.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        graph: (J, J) bool, the neighbours of each joint.
    """

    places: Tensor

    def __init__(self, in_channels: int, out_channels: int, graph: Tensor) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.empty(2, in_channels, out_channels))
        self.e = nn.Parameter(torch.ones(1, int(graph.sum())))
        self.bias = nn.Parameter(torch.empty(out_channels))
        nn.init.xavier_uniform_(self.W, gain=1.414)  # as published
        nn.init.uniform_(self.bias, -1 / math.sqrt(out_channels), 1 / math.sqrt(out_channels))
        self.joints = len(graph)
        self.register_buffer("places", graph.flatten().nonzero()[:, 0], persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map (J, rows, in_channels) to (J * rows, out_channels)."""
        count = self.joints
        scores = self.e.new_full((count * count,), -math.inf).scatter(0, self.places, self.e[0])
        share = scores.view(count, count).softmax(1)
        own = share.diagonal()
        others = share - torch.diag(own)
        around = (others @ features.flatten(1)).view(-1, features.shape[2])
        centre = (own[:, None, None] * features).flatten(0, 1)
        return torch.addmm(torch.addmm(self.bias, centre, self.W[0]), around, self.W[1])


class _Unit(nn.Module):
    """A graph convolution with normalisation, ReLU and dropout."""

    def __init__(self, in_channels: int, out_channels: int, graph: Tensor, dropout: float) -> None:
        super().__init__()
        self.gconv = _GraphConv(in_channels, out_channels, graph)
        self.bn = RowNorm(out_channels, dropout)

    def forward(self, features: Tensor, residual: Tensor | None = None) -> Tensor:
        """Map (J, rows, in_channels) to (J, rows, out_channels), and add a residual of that shape."""
        added = None if residual is None else residual.flatten(0, 1)
        result: Tensor = self.bn(self.gconv(features), added)
        return result.view(*features.shape[:2], -1)


class _Pair(nn.Module):
    """Two graph convolutions, added to their input."""

    def __init__(self, channels: int, graph: Tensor, dropout: float) -> None:
        super().__init__()
        self.gconv1 = _Unit(channels, channels, graph, dropout)
        self.gconv2 = _Unit(channels, channels, graph, dropout)

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self.gconv2(self.gconv1(features), features)
        return result
