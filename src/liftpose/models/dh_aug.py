"""DH-AUG's generator: noise in, joint angles of the Denavit-Hartenberg body out, for one pose or a clip.

Source: L. Huang, J. Liang, W. Deng, "DH-AUG: DH Forward Kinematics Model Driven Augmentation for 3D Human Pose
Estimation", ECCV 2022.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from liftpose.errors import LiftposeError
from liftpose.geometry.joint_angles import ANGLE_OUTPUTS, ArmColumns, angles_from_unit
from liftpose.geometry.kinematics import BONES, forward_kinematics, forward_kinematics_17
from liftpose.geometry.precision import full_precision
from liftpose.models.temporal import check_sizes

__all__ = ["OUTPUTS", "DHGenerator", "DHParameters", "ResidualLayer"]

OUTPUTS: Final = ANGLE_OUTPUTS + 3
"""Numbers that the network gives for each frame: the angles and the root."""

_ROOT_LIMIT: Final = 10.0  # metres


class DHParameters(NamedTuple):
    """What moves the body, for clips of T frames.

    Args:
        angles: (B, T, 33) radians, laid out as in ``liftpose.geometry.kinematics.CHAINS``.
        rotation: (B, T, 3) radians, the turns of the whole body about the axes of the world.
        root: (B, T, 3) metres, position of the pelvis in the world frame.
    """

    angles: Tensor
    rotation: Tensor
    root: Tensor


class ResidualLayer(nn.Module):
    """Two linear layers beside which the input is carried past.

    Args:
        width: Number of inputs and outputs.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, width)
        self.fc2 = nn.Linear(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """Map (..., width) to (..., width)."""
        hidden = self.fc1(features).relu_()
        result: Tensor = self.fc2(hidden).add_(features).relu_()
        return result


class DHGenerator(nn.Module):
    """Makes poses of people by moving the joints of a body within limits.

    One noise vector makes one clip; there are no temporal layers. The names of the weights are the published ones.

    Args:
        frames: Number T of frames of a clip; 1 makes single poses.
        width: Width of the layers.
        noise_dim: Length of a noise vector.
        limits: Whether the angles keep within the ranges of ``liftpose.geometry.joint_limits("intended")``; otherwise
            every joint turns by up to 180 degrees either way.
        global_rotation: Whether the body turns as a whole.
        arm_columns: Which outputs move the arms. ``"released"`` is what the published code does, where they are off by
            one: no twist of the upper arms, and elbows that bend backwards by up to 100 degrees.

    Raises:
        LiftposeError: An argument is out of range.

    Example:
        >>> generator = DHGenerator(frames=9, width=16)
        >>> generator.poses(torch.randn(4, 128), torch.full((4, 9, 15), 0.3)).shape
        torch.Size([4, 9, 16, 3])
    """

    def __init__(
        self,
        frames: int = 1,
        width: int = 1000,
        noise_dim: int = 128,
        limits: bool = True,
        global_rotation: bool = True,
        arm_columns: ArmColumns = "intended",
    ) -> None:
        super().__init__()
        check_sizes(frames=frames, width=width, noise_dim=noise_dim)
        if arm_columns not in ("intended", "released"):
            raise LiftposeError(f"arm_columns: expected intended or released, found {arm_columns}")
        self.frames = frames
        self.noise_dim = noise_dim
        self.limits = limits
        self.global_rotation = global_rotation
        self.arm_columns: ArmColumns = arm_columns
        self.preprocess = nn.Sequential(nn.Linear(noise_dim, width), nn.ReLU())
        self.block1 = ResidualLayer(width)
        self.block2 = ResidualLayer(width)
        self.block3 = ResidualLayer(width)
        self.deconv_out = nn.Linear(width, frames * OUTPUTS)

    def forward(self, noise: Tensor) -> DHParameters:
        """Map noise to what moves the body.

        Args:
            noise: (B, noise_dim) numbers of the standard normal distribution.

        Returns:
            Angles, rotation and root of B clips, float32 or float64.

        Raises:
            ValueError: The noise has another shape.
        """
        if noise.ndim != 2 or noise.shape[1] != self.noise_dim:
            raise ValueError(f"noise: expected the shape (B, {self.noise_dim}), found {tuple(noise.shape)}")
        hidden = self.block3(self.block2(self.block1(self.preprocess(noise))))
        outputs = self.deconv_out(hidden).view(len(noise), self.frames, OUTPUTS)
        return _parameters(outputs, self.limits, self.global_rotation, self.arm_columns)

    def poses(self, noise: Tensor, bone_lengths: Tensor, joints: int = 16) -> Tensor:
        """Map noise to poses of people of a given build.

        Args:
            noise: (B, noise_dim) numbers of the standard normal distribution.
            bone_lengths: (B, T, 15) metres, in the order ``liftpose.geometry.kinematics.BONES``; B or T may be 1, for
                lengths that serve all.
            joints: 16, or 17 for the joints of ``liftpose.skeletons.H36M_17``.

        Returns:
            (B, T, joints, 3) metres, world frame, z up.

        Raises:
            ValueError: A shape or the number of joints is another.
        """
        kinematics = {16: forward_kinematics, 17: forward_kinematics_17}.get(joints)
        if kinematics is None:
            raise ValueError(f"joints: expected 16 or 17, found {joints}")
        shape = (len(noise), self.frames, len(BONES))
        if bone_lengths.ndim != 3 or any(
            size not in {1, own} for size, own in zip(bone_lengths.shape, shape, strict=True)
        ):
            raise ValueError(f"bone_lengths: expected the shape {shape}, found {tuple(bone_lengths.shape)}")
        moved: DHParameters = self(noise)
        return kinematics(moved.angles, bone_lengths, moved.rotation, moved.root)


@full_precision
def _parameters(outputs: Tensor, limits: bool, global_rotation: bool, arm_columns: ArmColumns) -> DHParameters:
    """Map the outputs (B, T, 35) of the last layer to what they stand for."""
    unit = outputs.tanh()
    angles, rotation = angles_from_unit(unit[..., :ANGLE_OUTPUTS], limited=limits, arm_columns=arm_columns)
    if not global_rotation:
        rotation = torch.zeros_like(rotation)
    return DHParameters(angles, rotation, _ROOT_LIMIT * unit[..., ANGLE_OUTPUTS:])
