"""PoseAug's networks: one that turns, lengthens and moves the bones of a pose, and the critics that judge it.

Source: K. Gong, J. Zhang, J. Feng, "PoseAug: A Differentiable Pose Augmentation Framework for 3D Human Pose
Estimation", CVPR 2021. The names of the weights are the published ones. All take the 16 joints of
``liftpose.skeletons.H36M_16``. Noise is given from outside.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from liftpose.geometry.bones import POSEAUG_BONES, bone_lengths, dress, poseaug_bones, poses_from_poseaug_bones
from liftpose.geometry.constants import device_table, take_slices
from liftpose.geometry.precision import full_precision
from liftpose.geometry.rotations import axis_angle_to_matrix, rotate
from liftpose.models.temporal import check_sizes

__all__ = [
    "NOISE_DIM",
    "AugmentedPoses",
    "BoneAngleGenerator",
    "BoneLengthGenerator",
    "CameraGenerator",
    "PartCritic3D",
    "PoseAugGenerator",
    "PoseAugNoise",
    "initialize",
]

NOISE_DIM: Final = 48
"""Length of the noise vectors of PoseAug's generators."""

_JOINTS: Final = 16
_BONES: Final = 15
_LEAST: Final = 1e-8  # of a bone's length, metres or times a unit vector

# Which bones are turned: all but those from pelvis to spine and from spine to thorax, with which the whole body turned.
_TURNED: Final = (1,) * 6 + (0, 0) + (1,) * 7
_HALF_TURN: Final = 3.1415  # as published
_LENGTH_LIMIT: Final = 0.2
_FREE_RATIOS: Final = (1, 1, 1, 1, 0, 1, 1, 1, 1)
# Which of the nine ratios is each bone's; both sides share one.
_RATIO_OF_BONE: Final = (0, 1, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 6, 7, 8)

# The bones that each part of the 3D critic sees: left arm, right arm, right leg, left leg, trunk.
_PARTS: Final = (
    (7, 9, 10, 11),
    (7, 12, 13, 14),
    (0, 1, 2, 3, 6),
    (0, 3, 4, 5, 6),
    (0, 3, 6, 7, 8, 9, 12),
)


class PoseAugNoise(NamedTuple):
    """The four noise vectors of each pose, numbers of the standard normal distribution.

    Args:
        angles: (B, 48) for the directions of the bones.
        lengths: (B, 48) for their lengths.
        rotation: (B, 48) for how the body is turned before the camera.
        translation: (B, 48) for where it stands.
    """

    angles: Tensor
    lengths: Tensor
    rotation: Tensor
    translation: Tensor


class AugmentedPoses(NamedTuple):
    """Poses at every step from given ones to new ones.

    Args:
        angled: (B, 16, 3) metres, the given poses with bones in other directions; the pelvis stays.
        angle_change: (B, 15) one less the cosine of the angle by which each bone was turned, in PoseAug's order.
        resized: (B, 16, 3) metres, those with bones of other lengths; the pelvis stays.
        length_ratios: (B, 9) by how much of its length a pair of bones was lengthened.
        moved: (B, 16, 3) metres, camera frame, those turned and put elsewhere as a whole.
        axis_angle: (B, 3) radians, by which they were turned about the pelvis.
        translation: (B, 3) metres, camera frame, where the pelvis was put.
    """

    angled: Tensor
    angle_change: Tensor
    resized: Tensor
    length_ratios: Tensor
    moved: Tensor
    axis_angle: Tensor
    translation: Tensor


class _Stage(nn.Module):
    """Two layers with batch normalisation, of one width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(width, width)
        self.batch_norm1 = nn.BatchNorm1d(width)
        self.w2 = nn.Linear(width, width)
        self.batch_norm2 = nn.BatchNorm1d(width)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, width) to (B, width)."""
        hidden = leaky_relu(self.batch_norm1(self.w1(features)))
        return leaky_relu(self.batch_norm2(self.w2(hidden)))


class _Generator(nn.Module):
    """Makes perceptrons whose weights have the published names: these end with what the perceptron is for."""

    def _add(self, ending: str, inputs: int, outputs: int, width: int) -> None:
        self.add_module(f"w1{ending}", nn.Linear(inputs, width))
        self.add_module(f"batch_norm{ending or 1}", nn.BatchNorm1d(width))
        self.add_module(f"linear_stages{ending}", nn.ModuleList(_Stage(width) for _ in range(2)))
        self.add_module(f"w2{ending}", nn.Linear(width, outputs))

    def _run(self, ending: str, *features: Tensor) -> Tensor:
        hidden = self.get_submodule(f"w1{ending}")(torch.cat(features, dim=1))
        hidden = leaky_relu(self.get_submodule(f"batch_norm{ending or 1}")(hidden))
        for stage in self.get_submodule(f"linear_stages{ending}").children():
            hidden = stage(hidden)
        outputs: Tensor = self.get_submodule(f"w2{ending}")(hidden)
        return outputs


class BoneAngleGenerator(_Generator):
    """Turns bones, all but the two of the trunk.

    Args:
        width: Width of the layers.

    Raises:
        LiftposeError: The width is less than 1.
    """

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        check_sizes(width=width)
        self._add("", 3 * _JOINTS + NOISE_DIM, 3 * _BONES, width)

    def forward(self, poses: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Change poses.

        Args:
            poses: (B, 16, 3) metres.
            noise: (B, 48).

        Returns:
            (B, 16, 3) metres, bones as long as before and pelvis where it was; and (B, 15) one less the cosine of the
            angle by which each bone was turned, in PoseAug's order.

        Raises:
            ValueError: A shape is another.
        """
        steps = self._run("", _relative(poses, noise), noise).view(-1, _BONES, 3)
        return _turned(poses, steps)


@full_precision
def _turned(poses: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
    """Add steps (B, 15, 3) to the unit vectors along bones, and leave the lengths as they are."""
    bones = poseaug_bones(poses)
    lengths = _length(bones)
    old = bones / lengths
    new = old + steps
    new = new / _length(new)
    turned = device_table(_TURNED, poses.dtype, poses.device).unsqueeze(-1) > 0
    new = torch.where(turned, new, old)
    return poses_from_poseaug_bones(lengths * new, poses[:, 0]), 1 - (new * old).sum(-1)


def _length(vectors: Tensor) -> Tensor:
    """Return lengths (..., 1) of vectors (..., 3), at least 1e-8, with a finite gradient."""
    return vectors.square().sum(-1, keepdim=True).clamp_min(_LEAST**2).sqrt()


class BoneLengthGenerator(_Generator):
    """Makes bones up to a fifth longer or shorter, left and right alike; the one from spine to thorax stays.

    Args:
        width: Width of the layers.

    Raises:
        LiftposeError: The width is less than 1.
    """

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        check_sizes(width=width)
        self._add("_BL", 3 * _JOINTS + _BONES + NOISE_DIM, max(_RATIO_OF_BONE) + 1, width)

    def forward(self, poses: Tensor, angled: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Change poses.

        Args:
            poses: (B, 16, 3) metres, the given poses.
            angled: (B, 16, 3) metres, the poses to change.
            noise: (B, 48).

        Returns:
            (B, 16, 3) metres, bones in the directions of ``angled`` and pelvis where it is there; and (B, 9) relative
            changes of the lengths of pairs of bones.

        Raises:
            ValueError: A shape is another.
        """
        lengths = _published_lengths(poses)
        outputs = self._run("_BL", _relative(poses, noise), lengths.to(noise.dtype), noise)
        ratios = _LENGTH_LIMIT * outputs.tanh() * device_table(_FREE_RATIOS, outputs.dtype, outputs.device)
        return _resized(angled, ratios), ratios


def _published_lengths(poses: Tensor) -> Tensor:
    """Return the lengths (B, 15) of the bones in PoseAug's order."""
    return take_slices(bone_lengths(poses), POSEAUG_BONES, -1)


@full_precision
def _resized(poses: Tensor, ratios: Tensor) -> Tensor:
    """Lengthen the bones of poses by ratios (B, 9)."""
    of_bones = (_RATIO_OF_BONE[POSEAUG_BONES.index(bone)] for bone in range(_BONES))
    return dress(poses, bone_lengths(poses) * (1 + take_slices(ratios, of_bones, -1)))


class CameraGenerator(_Generator):
    """Turns poses as a whole, and puts them somewhere in the half-space before the camera.

    Args:
        width: Width of the layers.

    Raises:
        LiftposeError: The width is less than 1.
    """

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        check_sizes(width=width)
        for ending in ("_R", "_T"):
            self._add(ending, 3 * _JOINTS + NOISE_DIM, 3, width)

    def forward(
        self, poses: Tensor, resized: Tensor, noise_rotation: Tensor, noise_translation: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Change poses.

        Args:
            poses: (B, 16, 3) metres, the given poses.
            resized: (B, 16, 3) metres, the poses to change.
            noise_rotation: (B, 48).
            noise_translation: (B, 48).

        Returns:
            (B, 16, 3) metres, camera frame; (B, 3) radians, axis times angle of the rotation about the pelvis; (B, 3)
            metres, camera frame, the new place of the pelvis, whose depth is a square.

        Raises:
            ValueError: A shape is another.
        """
        given = _relative(poses, noise_rotation)
        return _moved(resized, self._run("_R", given, noise_rotation), self._run("_T", given, noise_translation))


@full_precision
def _moved(poses: Tensor, turn: Tensor, place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Turn poses by the outputs (B, 3) of one network and put them where those of another say."""
    axis_angle = _HALF_TURN * turn.tanh()
    translation = torch.cat((place[:, :2], place[:, 2:].square()), dim=1)
    turned = rotate(axis_angle_to_matrix(axis_angle).unsqueeze(1), poses - poses[:, :1])
    return turned + translation.unsqueeze(1), axis_angle, translation


class PoseAugGenerator(nn.Module):
    """Makes new poses out of given ones: other directions of the bones, other lengths, another view.

    Args:
        width: Width of the layers.

    Raises:
        LiftposeError: The width is less than 1.
    """

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.BAprocess = BoneAngleGenerator(width)
        self.BLprocess = BoneLengthGenerator(width)
        self.RTprocess = CameraGenerator(width)

    def forward(self, poses: Tensor, noise: PoseAugNoise) -> AugmentedPoses:
        """Change poses.

        Args:
            poses: (B, 16, 3) metres, camera frame; in training mode at least two.
            noise: The noise of each pose.

        Returns:
            The poses at every step, float32 or float64.

        Raises:
            ValueError: A shape is another.
        """
        angled, angle_change = self.BAprocess(poses, noise.angles)
        resized, length_ratios = self.BLprocess(poses, angled, noise.lengths)
        moved, axis_angle, translation = self.RTprocess(poses, resized, noise.rotation, noise.translation)
        return AugmentedPoses(angled, angle_change, resized, length_ratios, moved, axis_angle, translation)


def _relative(poses: Tensor, noise: Tensor) -> Tensor:
    """Return poses relative to the pelvis, (B, 48), once they and the noise have the right shapes."""
    if poses.ndim != 3 or poses.shape[1:] != (_JOINTS, 3):
        raise ValueError(f"poses: expected the shape (B, {_JOINTS}, 3), found {tuple(poses.shape)}")
    if noise.shape != (len(poses), NOISE_DIM):
        raise ValueError(f"noise: expected the shape ({len(poses)}, {NOISE_DIM}), found {tuple(noise.shape)}")
    return (poses - poses[:, :1]).flatten(1)


class _Part(nn.Module):
    """Scores a part of the body by the products of its bones."""

    def __init__(self, width: int, last_width: int) -> None:
        super().__init__()
        self.kcs_layer_1 = nn.Linear(_BONES * _BONES, width)
        self.kcs_layer_2 = nn.Linear(width, width)
        self.kcs_layer_3 = nn.Linear(width, width)
        self.layer_last = nn.Linear(width, last_width)
        self.layer_pred = nn.Linear(last_width, 1)

    def forward(self, products: Tensor) -> Tensor:
        """Map (..., 225) to (..., 1)."""
        first = leaky_relu(self.kcs_layer_1(products))
        second = self.kcs_layer_3(leaky_relu(self.kcs_layer_2(first))) + first
        scores: Tensor = self.layer_pred(leaky_relu(self.layer_last(second)))
        return scores


class PartCritic3D(nn.Module):
    """Scores 3D poses part by part, by the cosines between bones; the bones' lengths are not seen.

    The published code calls the two legs by each other's side; here ``kcs_path_3`` is the right leg.

    Args:
        width: Width of the layers.
        last_width: Width of the last one.

    Raises:
        LiftposeError: A width is less than 1.
    """

    masks: Tensor

    def __init__(self, width: int = 256, last_width: int = 100) -> None:
        super().__init__()
        check_sizes(width=width, last_width=last_width)
        for number in range(len(_PARTS)):
            self.add_module(f"kcs_path_{number + 1}", _Part(width, last_width))
        masks = torch.zeros(len(_PARTS), _BONES)
        for mask, bones in zip(masks, _PARTS, strict=True):
            mask[list(bones)] = 1
        self.register_buffer("masks", (masks[:, :, None] * masks[:, None]).flatten(1), persistent=False)

    def forward(self, poses: Tensor) -> Tensor:
        """Score poses.

        Args:
            poses: (..., 16, 3) metres, any frame.

        Returns:
            (..., 5) scores: left arm, right arm, right leg, left leg, trunk.

        Raises:
            ValueError: The poses have another shape.
        """
        products = _bone_products(poses).flatten(-2)
        parts = [part(products * mask) for part, mask in zip(self.children(), self.masks, strict=True)]
        return torch.cat(parts, dim=-1)


@full_precision
def _bone_products(poses: Tensor) -> Tensor:
    """Return the cosines (..., 15, 15) of the angles between all bones, in PoseAug's order."""
    bones = poseaug_bones(poses)
    units = bones / _length(bones)
    return (units.unsqueeze(-2) * units.unsqueeze(-3)).sum(-1)


def initialize(network: nn.Module) -> None:
    """Draw the weights of the linear layers as PoseAug does for all its networks: normal, scaled by their inputs.

    Args:
        network: The network; its biases stay as they are.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight)
