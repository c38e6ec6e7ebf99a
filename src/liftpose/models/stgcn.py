"""ST-GCN for single frames: graph convolutions over the joints, then over the parts of the body.

Source: Y. Cai, L. Ge, J. Liu, J. Cai, T.-J. Cham, J. Yuan, N. Magnenat-Thalmann, "Exploiting Spatial-temporal
Relationships for 3D Pose Estimation via Graph Convolutional Networks", ICCV 2019, in the form for one frame that
PoseAug (Gong et al., CVPR 2021) trains; its attention over the joints is the non-local block of X. Wang et al.
("Non-local Neural Networks", CVPR 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liftpose.errors import LiftposeError
from liftpose.models.branches import dropout
from liftpose.models.graphs import bone_distances, partitions
from liftpose.models.lifter import Lifter
from liftpose.models.rows import Pointwise, RowNorm
from liftpose.models.temporal import check_probabilities, check_sizes
from liftpose.skeletons import H36M_16, H36M_17, Skeleton, adapt, get_skeleton

__all__ = ["STGCN"]

_PARTS = ("left_arm", "right_arm", "left_leg", "right_leg", "torso")
_DATA_EPS = 0.1  # as published, where it was meant as the momentum; weights that are trained with it need it
# Probabilities of dropout as published: blocks, the parts together, the parts, before the last layer.
_DROPOUT = (0.05, 0.25, 0.1, 0.1)


class STGCN(Lifter):
    """A lifter of single frames that works on the graph of the joints and on that of the arms, legs and torso.

    Works inside on the 17 joints of ``h36m_17``, the neck half-way between thorax and head. The weights have the public
    code's names.

    Args:
        skeleton: Joint order of keypoints and poses, or its name: ``h36m_16``.
        channels: Channels of the three layers over the joints.
        part_channels: Channels of the layers over the parts.
        dropout: Probability of all dropout; None for the published ones, which differ from layer to layer.

    Raises:
        LiftposeError: An argument is out of range, or the skeleton is another.

    Example:
        >>> model = STGCN(channels=(8, 8, 8), part_channels=8).eval()
        >>> model(torch.zeros(4, 1, 16, 2)).shape
        torch.Size([4, 1, 16, 3])
    """

    def __init__(
        self,
        skeleton: str | Skeleton = "h36m_16",
        channels: Sequence[int] = (128, 128, 256),
        part_channels: int = 512,
        dropout: float | None = None,
    ) -> None:
        super().__init__()
        self.skeleton = get_skeleton(skeleton)
        if self.skeleton != H36M_16:
            raise LiftposeError(f"skeleton: expected h36m_16 for ST-GCN, found {self.skeleton.name}")
        if len(channels) != 3 or min(channels) < 1:
            raise LiftposeError(f"channels: expected three numbers from 1 up, found {tuple(channels)}")
        check_sizes(part_channels=part_channels)
        probabilities = _DROPOUT if dropout is None else (dropout,) * len(_DROPOUT)
        check_probabilities(dropout=probabilities[0])
        self.receptive_field = 1
        self.stgcn = _Network(tuple(channels), part_channels, probabilities)

    def forward(self, keypoints_2d: Tensor) -> Tensor:
        """Estimate the pose of every frame.

        Args:
            keypoints_2d: (B, N, 16, 2) normalised screen coordinates (x in [-1, 1], y scaled alike).

        Returns:
            (B, N, 16, 3) metres, camera frame, relative to the root, which is estimated with the others.

        Raises:
            LiftposeError: The shape of the input is another.
        """
        self.check_keypoints(keypoints_2d)
        pose: Tensor = self.stgcn(adapt(keypoints_2d.flatten(0, 1), H36M_16, H36M_17))
        return adapt(pose, H36M_17, H36M_16).view(*keypoints_2d.shape[:3], 3)


class _Network(nn.Module):
    """The network over 17 joints: (R, 17, 2) to (R, 17, 3)."""

    joint_graph: Tensor
    part_graph: Tensor

    def __init__(self, channels: tuple[int, ...], part_channels: int, probabilities: tuple[float, ...]) -> None:
        super().__init__()
        block, together, parts, last = probabilities
        width = channels[-1]
        self.p = last
        self.data_bn = nn.BatchNorm1d(2 * len(H36M_17), eps=_DATA_EPS)
        self.st_gcn_networks = nn.ModuleList(
            _Block(before, after, block, residual=k > 0)
            for k, (before, after) in enumerate(zip((2, *channels), channels, strict=False))
        )
        self.st_gcn_pool = nn.ModuleList(
            [_Block(width, part_channels, block), _Block(part_channels, part_channels, block)]
        )
        self.conv4 = nn.ModuleList([Pointwise(part_channels, part_channels), RowNorm(part_channels, together)])
        self.conv2 = nn.ModuleList([Pointwise(2 * part_channels, width), RowNorm(width, parts)])
        self.non_local = _NonLocal(2 * width)
        self.fcn = nn.ModuleDict({"1": Pointwise(2 * width, 3)})
        graph = partitions(
            H36M_17.bones,
            tuple(zip(H36M_17.left, H36M_17.right, strict=True)),
            bone_distances(H36M_17, H36M_17.index("spine")),
        )
        self.register_buffer("joint_graph", graph, persistent=False)
        limbs, torso = range(4), 4
        graph = partitions([(limb, torso) for limb in limbs], [(0, 1), (2, 3)], [1, 1, 1, 1, 0])
        self.register_buffer("part_graph", graph, persistent=False)
        self.parts = tuple(H36M_17.parts[name] for name in _PARTS)
        self.part_of = tuple(
            next(k for k, part in enumerate(self.parts) if joint in part) for joint in range(len(H36M_17))
        )

    def forward(self, keypoints: Tensor) -> Tensor:
        # Joints first: then mixing joints and mixing channels are one product of matrices each.
        joints: Tensor = self.data_bn(keypoints.flatten(1)).view(keypoints.shape).transpose(0, 1).contiguous()
        graph = _shares(self.joint_graph, joints.dtype)
        for block in self.st_gcn_networks:
            joints = block(joints, graph)
        parts = torch.stack([_largest(joints, part) for part in self.parts])
        graph = _shares(self.part_graph, joints.dtype)
        for block in self.st_gcn_pool:
            parts = block(parts, graph)
        joints = torch.cat((joints, self._of_parts(parts)), dim=2)
        joints = dropout(self.non_local(joints), self.p) if self.training else self.non_local(joints)
        pose: Tensor = self.fcn["1"](joints)
        return pose.transpose(0, 1)

    def _of_parts(self, parts: Tensor) -> Tensor:
        """Map the features of the parts (5, R, C) to what each joint is told of its own: (17, R, D)."""
        conv4, norm4 = self.conv4
        conv2, norm2 = cast(Pointwise, self.conv2[0]), self.conv2[1]
        body: Tensor = norm4(conv4(_largest(parts, range(len(parts)))))
        # One product for what all parts have in common and one for what each has of its own.
        of_body, of_part = conv2.matrix.chunk(2, dim=1)
        told = F.linear(parts, of_part) + F.linear(body, of_body, conv2.bias)
        told = norm2(told.flatten(0, 1)).view(told.shape)
        return torch.stack([told[part] for part in self.part_of])


def _shares(graph: Tensor, dtype: torch.dtype) -> Tensor:
    """Return what of each node goes to which other: (K, V, V) bool to numbers that sum to 1 for each node w."""
    return graph.to(dtype) / graph.sum((0, 1))


def _largest(features: Tensor, nodes: Sequence[int]) -> Tensor:
    """Return the largest features of some nodes: (V, R, C) to (R, C)."""
    return reduce(torch.maximum, [features[node] for node in nodes])


class _GraphConv(nn.Module):
    """A graph convolution in which each partition of the neighbourhood has its own weights."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = Pointwise(in_channels, 4 * out_channels)

    def forward(self, features: Tensor, graph: Tensor) -> Tensor:
        """Map (V, R, in_channels) and shares (4, V, V) to (V * R, out_channels)."""
        nodes, rows, channels = features.shape
        heard = graph.mT.flatten(0, 1) @ features.flatten(1)
        bias = torch.einsum("kvw,ko->wo", graph, self.conv.bias.view(4, -1))  # type: ignore[union-attr]  # has one
        result = bias[:, None].expand(-1, rows, -1).flatten(0, 1)
        weights = self.conv.matrix.view(4, -1, channels)
        for part, weight in zip(heard.view(4, nodes * rows, channels), weights, strict=True):
            result = torch.addmm(result, part, weight.t())
        return result


class _Block(nn.Module):
    """A graph convolution and a layer for each node by itself, added to their input."""

    def __init__(self, in_channels: int, out_channels: int, p: float, residual: bool = True) -> None:
        super().__init__()
        self.added = residual
        self.gcn = _GraphConv(in_channels, out_channels)
        self.tcn = nn.ModuleDict(
            {
                "0": RowNorm(out_channels, p),
                "3": Pointwise(out_channels, out_channels),
                "4": RowNorm(out_channels, p, 1),
            }
        )
        self.residual = nn.ModuleList()
        if residual and in_channels != out_channels:
            self.residual = nn.ModuleList([Pointwise(in_channels, out_channels), RowNorm(out_channels, slope=1)])

    def forward(self, features: Tensor, graph: Tensor) -> Tensor:
        """Map (V, R, in_channels) and shares (4, V, V) to (V, R, out_channels)."""
        carried = features.flatten(0, 1) if self.added else None
        for layer in self.residual:
            carried = layer(carried)
        hidden = self.tcn["3"](self.tcn["0"](self.gcn(features, graph)))
        return F.relu(self.tcn["4"](hidden, carried)).view(*features.shape[:2], -1)


class _NonLocal(nn.Module):
    """Attention of the joints of a body among themselves, added to their features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.g = Pointwise(channels, channels // 2)
        self.W = nn.ModuleList([Pointwise(channels // 2, channels), RowNorm(channels, slope=1)])
        self.theta = Pointwise(channels, channels // 2)
        self.phi = Pointwise(channels, channels // 2)
        nn.init.zeros_(self.W[1].weight)  # type: ignore[arg-type]  # so that the block starts as the identity

    def forward(self, features: Tensor) -> Tensor:
        """Map (V, R, C) to the same shape."""
        query, key, value = (layer(features).transpose(0, 1)[:, None] for layer in (self.theta, self.phi, self.g))
        heard = F.scaled_dot_product_attention(query, key, value, scale=1.0)[:, 0].transpose(0, 1)
        conv, norm = self.W
        result: Tensor = norm(conv(heard.flatten(0, 1)), features.flatten(0, 1))
        return result.view(features.shape)
