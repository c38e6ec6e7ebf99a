"""The lifters of DH-AUG and PoseAug in files of their public code: what the shapes of their weights tell.

SimpleBaseline, SemGCN, ST-GCN and PoseFormer have the public names and shapes in our models too, so that nothing is
converted. Their VideoPose is VideoPose3D's.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import torch
from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.models import STGCN, Lifter, PoseFormer, SemGCN, SimpleBaseline
from liftpose.weights.published_lifter import PublishedLifter, skeletons_of_size
from liftpose.weights.torch_files import public_weights

__all__ = ["poseformer", "semgcn", "simple_baseline", "stgcn"]


class _Weights:
    """Published weights of a network, asked for by name."""

    def __init__(self, system: str, public: Mapping[str, Tensor], where: str) -> None:
        self.system = system
        self.where = where
        self.state_dict = public_weights(public, where)
        for name, value in self.state_dict.items():
            if not isinstance(value, Tensor):
                raise self._lacking(name)
        for name in [name for name in self.state_dict if name.endswith(".running_mean")]:
            # versions of torch before 0.4.1 did not write it
            self.state_dict.setdefault(name.replace("running_mean", "num_batches_tracked"), torch.tensor(0))

    def _lacking(self, name: str) -> LiftposeError:
        return LiftposeError(f"{self.where}: expected the weights of {self.system}, found no tensor {name}")

    def shape(self, name: str, axes: int) -> tuple[int, ...]:
        """Return the shape of a weight that has a number of axes."""
        tensor = self.state_dict.get(name)
        if tensor is None:
            raise self._lacking(name)
        if tensor.ndim != axes or not tensor.numel():
            raise LiftposeError(
                f"{self.where}: expected a weight of {self.system}, found {name} of shape {tuple(tensor.shape)}"
            )
        return tuple(tensor.shape)

    def repeats(self, name: str) -> int:
        """Count the layers that have a weight, whose name holds their number as ``*``."""
        return next(k for k in count() if name.replace("*", str(k)) not in self.state_dict)

    def lifter(self, kind: type[Lifter], left_out: tuple[str, ...], **told: tuple[Any, ...]) -> PublishedLifter:
        """Put together what the weights tell: the values that fit each option, the likeliest first."""
        likely = {name: values[0] for name, values in told.items()}
        return PublishedLifter(self.system, kind, self.state_dict, likely, left_out, lambda _: told)


def simple_baseline(public: Mapping[str, Tensor], where: str, left_out: tuple[str, ...]) -> PublishedLifter:
    """Describe the lifter that PoseAug and DH-AUG call "mlp".

    Args:
        public: The published weights.
        where: What they were read from, for messages.
        left_out: Names of other networks in the file.

    Returns:
        The lifter.

    Raises:
        LiftposeError: The weights are not whole, or for joints of no known skeleton.
    """
    weights = _Weights("SimpleBaseline", public, where)
    channels, features = weights.shape("w1.weight", 2)
    return weights.lifter(
        SimpleBaseline,
        left_out,
        skeleton=skeletons_of_size(where, features // 2),
        channels=(channels,),
        stages=(weights.repeats("linear_stages.*.w1.weight"),),
    )


def semgcn(public: Mapping[str, Tensor], where: str, left_out: tuple[str, ...]) -> PublishedLifter:
    """Describe the lifter that PoseAug and DH-AUG call "gcn".

    Args:
        public: The published weights.
        where: What they were read from, for messages.
        left_out: Names of other networks in the file.

    Returns:
        The lifter.

    Raises:
        LiftposeError: The weights are not whole, or for joints of no known skeleton.
    """
    weights = _Weights("SemGCN", public, where)
    _, edges = weights.shape("gconv_input.0.gconv.e", 2)  # J joints with themselves, J - 1 bones both ways
    return weights.lifter(
        SemGCN,
        left_out,
        skeleton=skeletons_of_size(where, (edges + 2) // 3),
        channels=weights.shape("gconv_input.0.gconv.W", 3)[2:],
        stages=(weights.repeats("gconv_layers.*.gconv1.gconv.W"),),
    )


def stgcn(public: Mapping[str, Tensor], where: str, left_out: tuple[str, ...]) -> PublishedLifter:
    """Describe the lifter that PoseAug calls "stgcn".

    Args:
        public: The published weights.
        where: What they were read from, for messages.
        left_out: Names of other networks in the file.

    Returns:
        The lifter.

    Raises:
        LiftposeError: The weights are not whole.
    """
    weights = _Weights("ST-GCN", public, where)
    channels = tuple(weights.shape(f"stgcn.st_gcn_networks.{k}.gcn.conv.weight", 4)[0] // 4 for k in range(3))
    return weights.lifter(
        STGCN,
        left_out,
        skeleton=("h36m_16",),
        channels=(channels,),
        part_channels=weights.shape("stgcn.conv4.0.weight", 4)[:1],
    )


def poseformer(public: Mapping[str, Tensor], where: str, left_out: tuple[str, ...]) -> PublishedLifter:
    """Describe a PoseFormer, of its authors or of DH-AUG; the number of heads is not in the shapes.

    Args:
        public: The published weights.
        where: What they were read from, for messages.
        left_out: Names of other networks in the file.

    Returns:
        The lifter.

    Raises:
        LiftposeError: The weights are not whole, or for joints of no known skeleton.
    """
    weights = _Weights("PoseFormer", public, where)
    _, joints, channels = weights.shape("Spatial_pos_embed", 3)
    _, frames, _ = weights.shape("Temporal_pos_embed", 3)
    hidden, width = weights.shape("blocks.0.mlp.fc1.weight", 2)
    return weights.lifter(
        PoseFormer,
        left_out,
        skeleton=skeletons_of_size(where, joints),
        frames=(frames,),
        channels=(channels,),
        depth=(weights.repeats("blocks.*.norm1.weight"),),
        mlp_ratio=(hidden / width,),
    )
