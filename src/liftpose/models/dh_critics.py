"""DH-AUG's critics: networks that tell real poses and clips from generated ones, in 3D and in the image.

Source: L. Huang, J. Liang, W. Deng, "DH-AUG: DH Forward Kinematics Model Driven Augmentation for 3D Human Pose
Estimation", ECCV 2022. The names of the weights are the published ones. All take the 16 joints of
``liftpose.skeletons.H36M_16``. Scores have no bounds: the higher, the more like a real one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from liftpose.errors import LiftposeError
from liftpose.geometry.bones import kcs_features
from liftpose.models.dh_aug import ResidualLayer
from liftpose.models.temporal import check_sizes

__all__ = ["MotionCritic2D", "MotionCritic3D", "PoseCritic2D", "PoseCritic3D"]

_JOINTS: Final = 16
_BONES: Final = 15
_MERGED: Final = 100
_BLOCKS: Final = 3
_SLOPE: Final = 0.01  # below zero


class _Critic(nn.Module, ABC):
    """A network of linear layers and rectifiers behind features of a pose.

    A gradient penalty differentiates twice. Past the features the gradient is a product of weights and of the
    rectifiers' zeros and ones, and is computed as such: autograd would keep the graph of a graph, and send zeros back
    through all of it because a rectifier has no second derivative.
    """

    def forward(self, poses: Tensor) -> Tensor:
        """Score poses, (..., 1)."""
        features = self._features(poses)
        scores = self._score([_rows(feature) for feature in features])
        return scores.view(*features[0].shape[:-1], 1)

    def input_gradient(self, poses: Tensor) -> Tensor:
        """Return the gradient of the sum of all scores with respect to what is scored.

        Args:
            poses: What the critic scores.

        Returns:
            The gradient, same shape. It can be differentiated by the weights.

        Raises:
            ValueError: The poses have another shape.
        """
        with torch.enable_grad():
            poses = poses.detach().requires_grad_()
            features = self._features(poses)
        slopes = self._slopes([_rows(feature.detach()) for feature in features])
        slopes = [slope.view_as(feature) for slope, feature in zip(slopes, features, strict=True)]
        return torch.autograd.grad(features, poses, slopes, create_graph=True)[0]

    @abstractmethod
    def _features(self, poses: Tensor) -> list[Tensor]:
        """Return what the layers see of poses, (..., F) each."""

    @abstractmethod
    def _score(self, features: Sequence[Tensor]) -> Tensor:
        """Map features (N, F) to scores (N, 1)."""

    @abstractmethod
    def _slopes(self, features: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the gradient of the scores of features (N, F) with respect to each of them."""


class _Stem(NamedTuple):
    """A layer for features of one or several kinds, and residual layers behind it."""

    first: nn.Linear
    blocks: Sequence[ResidualLayer]

    def begin(self, features: Sequence[Tensor]) -> Tensor:
        """Return the first layer's result (N, W) for features (N, F1), (N, F2), ..., which are not put together."""
        weights = torch.split(self.first.weight, [feature.shape[1] for feature in features], dim=1)
        result = F.linear(features[0], weights[0], self.first.bias)
        for feature, weight in zip(features[1:], weights[1:], strict=True):
            result = torch.addmm(result, feature, weight.t())
        return result.relu_()

    def run(self, *features: Tensor) -> Tensor:
        """Map features (N, F1), (N, F2), ... to (N, W)."""
        result = self.begin(features)
        for block in self.blocks:
            result = block(result)
        return result

    def record(self, *features: Tensor) -> list[Tensor]:
        """Return the results of all rectifiers on the way from the features, the last one being that of `run`."""
        results = [self.begin(features)]
        for block in self.blocks:
            hidden = block.fc1(results[-1]).relu_()
            results += [hidden, block.fc2(hidden).add_(results[-1]).relu_()]
        return results

    def back(self, gradient: Tensor, results: list[Tensor], parts: int = 1) -> list[Tensor]:
        """Lead a gradient (N, W) back to the features, which are as wide as each other, from what `record` returned."""
        *results, result = results
        for block in reversed(self.blocks):
            *results, before, hidden = results
            gradient = _gate(gradient, result)
            inner = _gate(gradient @ block.fc2.weight, hidden)
            gradient, result = torch.addmm(gradient, inner, block.fc1.weight), before
        gradient = _gate(gradient, result)
        return [gradient @ weight for weight in self.first.weight.chunk(parts, dim=1)]


def _rows(features: Tensor) -> Tensor:
    """Put features (..., F) below each other: (N, F)."""
    return features.reshape(-1, features.shape[-1])


def _gate(gradient: Tensor, result: Tensor) -> Tensor:
    """Lead a gradient back through a rectifier."""
    gated: Tensor = torch.ops.aten.threshold_backward(gradient, result, 0)
    return gated


def _leaky_gate(gradient: Tensor, result: Tensor) -> Tensor:
    """Lead a gradient back through a leaky rectifier."""
    gated: Tensor = torch.ops.aten.leaky_relu_backward(gradient, result, _SLOPE, True)
    return gated


class _StemCritic(_Critic):
    """A critic whose features go through a stem each, and together to one score.

    Args:
        stems: Beginning of the names of each stem's weights -> number of its features.
        width: Width of the stems.
        merge: Beginning of the names of the layers that join the stems.
        output: Name of the last layer.
    """

    def __init__(self, stems: Mapping[str, int], width: int, merge: str, output: str) -> None:
        super().__init__()
        check_sizes(width=width)
        self._names, self._merge, self._output = tuple(stems), merge, output
        for name, features in stems.items():
            self._add(name, features, width, _BLOCKS)
        self._add(merge, len(stems) * width, _MERGED, 1)
        self.add_module(output, nn.Linear(_MERGED, 1))

    def _add(self, name: str, features: int, width: int, blocks: int) -> None:
        self.add_module(f"{name}previous", nn.Sequential(nn.Linear(features, width)))
        for number in range(blocks):
            self.add_module(f"{name}block{number + 1}", ResidualLayer(width))

    def _stem(self, name: str, blocks: int) -> _Stem:
        first: nn.Linear = self.get_submodule(f"{name}previous.0")  # type: ignore[assignment]
        layers: list[ResidualLayer] = [self.get_submodule(f"{name}block{k + 1}") for k in range(blocks)]  # type: ignore[misc]
        return _Stem(first, layers)

    def _layers(self) -> tuple[list[_Stem], _Stem, nn.Linear]:
        """Return the stems, what joins them, and the last layer."""
        output: nn.Linear = self.get_submodule(self._output)  # type: ignore[assignment]
        return [self._stem(name, _BLOCKS) for name in self._names], self._stem(self._merge, 1), output

    def _score(self, features: Sequence[Tensor]) -> Tensor:
        stems, merge, output = self._layers()
        hidden = [stem.run(feature) for stem, feature in zip(stems, features, strict=True)]
        scores: Tensor = output(merge.run(*hidden))
        return scores

    def _slopes(self, features: Sequence[Tensor]) -> Sequence[Tensor]:
        stems, merge, output = self._layers()
        with torch.no_grad():
            records = [stem.record(feature) for stem, feature in zip(stems, features, strict=True)]
            merged = merge.record(*(results[-1] for results in records))
        parts = merge.back(output.weight.expand_as(merged[-1]), merged, len(stems))
        return [stem.back(part, results)[0] for stem, part, results in zip(stems, parts, records, strict=True)]


class PoseCritic3D(_StemCritic):
    """Scores 3D poses by their joints, and by the angles between their bones and the bones' lengths.

    ``critic(poses)`` maps (..., 16, 3), metres relative to the pelvis in the axes of the world, to (..., 1).

    Args:
        width: Width of the layers.

    Raises:
        LiftposeError: The width is less than 1.
    """

    def __init__(self, width: int = 1000) -> None:
        super().__init__({"special_KCS_": 2 * _BONES, "": 3 * _JOINTS}, width, "merge_", "output")

    def _features(self, poses: Tensor) -> list[Tensor]:
        _check_poses(poses, 3)
        return [torch.cat(kcs_features(poses), dim=-1), poses.flatten(-2)]


class PoseCritic2D(_Critic):
    """Scores poses in the image by their keypoints.

    ``critic(keypoints_2d)`` maps (..., 16, 2), normalised screen coordinates (x in [-1, 1], y scaled alike) with the
    person's place in the image, to (..., 1). It is DH-AUG's 2D critic, and with a width of 100 that of PoseAug (Gong,
    Zhang, Feng, CVPR 2021).

    Args:
        width: Width of the layers.

    Raises:
        LiftposeError: The width is less than 1.
    """

    def __init__(self, width: int = 1000) -> None:
        super().__init__()
        check_sizes(width=width)
        self.pose_layer_1 = nn.Linear(2 * _JOINTS, width)
        self.pose_layer_2 = nn.Linear(width, width)
        self.pose_layer_3 = nn.Linear(width, width)
        self.pose_layer_4 = nn.Linear(width, width)
        self.layer_last = nn.Linear(width, width)
        self.layer_pred = nn.Linear(width, 1)

    def _features(self, poses: Tensor) -> list[Tensor]:
        _check_poses(poses, 2)
        return [poses.flatten(-2)]

    def _record(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the results of the four rectifiers.

        Nothing is between the fourth layer and the last but one, so their matrices are multiplied, not their results.
        """
        first = F.leaky_relu_(self.pose_layer_1(features), _SLOPE)
        second = F.leaky_relu_(self.pose_layer_2(first), _SLOPE)
        third = F.leaky_relu_(self.pose_layer_3(second).add_(first), _SLOPE)
        bias = torch.mv(self.layer_last.weight, self.pose_layer_4.bias) + self.layer_last.bias
        last = F.leaky_relu_(F.linear(third, self.layer_last.weight @ self.pose_layer_4.weight, bias), _SLOPE)
        return first, second, third, last

    def _score(self, features: Sequence[Tensor]) -> Tensor:
        scores: Tensor = self.layer_pred(self._record(features[0])[-1])
        return scores

    def _slopes(self, features: Sequence[Tensor]) -> Sequence[Tensor]:
        with torch.no_grad():
            first, second, third, last = self._record(features[0])
        gradient = _leaky_gate(self.layer_pred.weight.expand_as(last), last)
        gradient = _leaky_gate(gradient @ (self.layer_last.weight @ self.pose_layer_4.weight), third)
        inner = _leaky_gate(gradient @ self.pose_layer_3.weight, second)
        return [_leaky_gate(torch.addmm(gradient, inner, self.pose_layer_2.weight), first) @ self.pose_layer_1.weight]


class MotionCritic3D(_StemCritic):
    """Scores clips of 3D poses: the angles between bones, how they change from frame to frame, and the joints.

    ``critic(clips)`` maps (..., T, 16, 3), metres, every frame relative to its own pelvis, in the axes of the world, to
    (..., 1).

    Args:
        frames: Number T of frames of a clip.
        width: Width of the layers.
        positions: Whether the joints themselves are seen too.
        differences: Whether the changes of the joints from frame to frame are seen too.

    Raises:
        LiftposeError: The width is less than 1, or a clip has one frame only.
    """

    def __init__(self, frames: int, width: int = 1000, positions: bool = True, differences: bool = True) -> None:
        _check_frames(frames)
        stems = {"special_KCS_": _BONES * frames, "diff_special_KCS_": _BONES * (frames - 1)}
        if positions:
            stems["pos_3d_"] = 3 * _JOINTS * frames
        if differences:
            stems["diff_pos_3d_"] = 3 * _JOINTS * (frames - 1)
        super().__init__(stems, width, "kcs_merge_", "kcs_output")
        self.frames, self.positions, self.differences = frames, positions, differences

    def _features(self, poses: Tensor) -> list[Tensor]:
        _check_poses(poses, 3, self.frames)
        cosines, _ = kcs_features(poses)
        joints = poses.flatten(-2)
        features = [cosines, cosines.diff(dim=-2)]
        if self.positions:
            features.append(joints)
        if self.differences:
            features.append(joints.diff(dim=-2))
        return [feature.flatten(-2) for feature in features]


class MotionCritic2D(_StemCritic):
    """Scores clips of keypoints: the keypoints, and how the pelvis moves from frame to frame.

    ``critic(clips)`` maps (..., T, 16, 2), normalised screen coordinates (x in [-1, 1], y scaled alike), to (..., 1).

    Args:
        frames: Number T of frames of a clip.
        width: Width of the layers.

    Raises:
        LiftposeError: The width is less than 1, or a clip has one frame only.
    """

    def __init__(self, frames: int, width: int = 1000) -> None:
        _check_frames(frames)
        stems = {"pos_2d_": 2 * _JOINTS * frames, "root_diff_2d_": 2 * (frames - 1)}
        super().__init__(stems, width, "merge_", "merge_output")
        self.frames = frames

    def _features(self, poses: Tensor) -> list[Tensor]:
        _check_poses(poses, 2, self.frames)
        return [poses.flatten(-3), poses[..., 0, :].diff(dim=-2).flatten(-2)]


def _check_frames(frames: int) -> None:
    if frames < 2:
        raise LiftposeError(f"frames: expected at least 2 for a critic of motions, found {frames}")


def _check_poses(poses: Tensor, coordinates: int, frames: int | None = None) -> None:
    """Raise a ValueError for anything but poses of 16 joints, or clips of them."""
    wanted = (_JOINTS, coordinates) if frames is None else (frames, _JOINTS, coordinates)
    if poses.shape[-len(wanted) :] != wanted:
        spelled = ", ".join(("...", *map(str, wanted)))
        raise ValueError(f"expected poses of the shape ({spelled}), found {tuple(poses.shape)}")
