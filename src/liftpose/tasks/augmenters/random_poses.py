"""Poses at random within the limits of human joints: DH-AUG without its network."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from liftpose.data.draws import Draws
from liftpose.errors import LiftposeError
from liftpose.geometry.bones import bone_length_templates, bone_lengths
from liftpose.geometry.kinematics import forward_kinematics, forward_kinematics_17
from liftpose.geometry.random_poses import BoneScales, random_bone_lengths, random_joint_angles
from liftpose.models import Lifter
from liftpose.skeletons import H36M_17
from liftpose.tasks.augmenters.base import Augmenter, FakePoses, RealPoses, Step, in_sight, sixteen_joints, view

__all__ = ["RandomPoses"]


class RandomPoses(Augmenter):
    """Poses whose joint angles are drawn at random within limits, the generator without a network of DH-AUG.

    Nothing is trained. The real windows of a batch, which come in random order, give bone lengths and places; each pose
    is seen by a camera of the training data drawn for it. In a window of several frames one pose moves along the way of
    the real person's pelvis without changing.

    Args:
        choose_bone_lengths: Whether the bones are as long as those of the real person; otherwise they have the mean
            lengths of five Human3.6M people.
        choose_root: Whether the pelvis is where the real one is; otherwise it is at the origin of the world.
        global_rotation: Whether the body turns as a whole.
        bone_scales: Whether each bone length changes by a share of its own ("different"), all by the same ("same"), or
            none does.
        bone_scale: Largest such share.
        visible: Whether poses that their camera does not see are put where the real person stands
            (:func:`liftpose.tasks.augmenters.in_sight`). As published (false) they are used with a projection that
            means nothing.

    Raises:
        LiftposeError: An argument is out of range.
    """

    skeletons: ClassVar[tuple[str, ...]] = ("h36m_16", "h36m_17")

    mean_lengths: Tensor

    def __init__(
        self,
        choose_bone_lengths: bool = True,
        choose_root: bool = True,
        global_rotation: bool = True,
        bone_scales: BoneScales = "different",
        bone_scale: float = 0.2,
        visible: bool = True,
    ) -> None:
        super().__init__()
        if not 0 <= bone_scale < 1:
            raise LiftposeError(
                f"model.augmenter.bone_scale: expected a share from 0 up and below 1, found {bone_scale}"
            )
        self.choose_bone_lengths = choose_bone_lengths
        self.choose_root = choose_root
        self.global_rotation = global_rotation
        self.bone_scales: BoneScales = bone_scales
        self.bone_scale = bone_scale
        self.visible = visible

    def build(self, lifter: Lifter) -> None:
        """Take over the joints and the windows of the lifter.

        Args:
            lifter: The lifter.
        """
        self.skeleton = lifter.skeleton
        self.frames = lifter.receptive_field
        self.current_frame = lifter.current_frame
        self.register_buffer("mean_lengths", bone_length_templates().mean(0), persistent=False)

    @torch.no_grad()
    def augment(self, real: RealPoses, step: Step) -> FakePoses:
        """Make as many windows as there are real ones.

        Args:
            real: A batch of the training data.
            step: What belongs to this step.

        Returns:
            The windows.
        """
        root = real.poses_world[:, :, self.skeleton.root]
        if not self.choose_root:
            root = torch.zeros_like(root)
        current = sixteen_joints(real.poses_world[:, self.current_frame], self.skeleton)
        cameras = real.all_cameras.take(step.draws.integers(len(real.all_cameras.vector)))
        fakes = self._make(bone_lengths(current), root, step.draws, len(self.skeleton))
        return in_sight(fakes, cameras, real) if self.visible else view(fakes, cameras)

    @torch.no_grad()
    def sample(self, lengths: Tensor, draws: Draws) -> Tensor:
        """Make poses, the pelvis at the origin of the world.

        Args:
            lengths: (B, 15) metres, bone lengths to begin with; they are changed as in training.
            draws: The random numbers.

        Returns:
            (B, T, 16, 3) metres, world frame.
        """
        return self._make(lengths, lengths.new_zeros(len(lengths), self.frames, 3), draws, 16)

    def _make(self, lengths: Tensor, root: Tensor, draws: Draws, joints: int) -> Tensor:
        """Return (B, T, joints, 3) metres of people with lengths (B, 15) and roots (B, T, 3), world frame."""
        if not self.choose_bone_lengths:
            lengths = self.mean_lengths.to(lengths).expand_as(lengths)
        lengths = random_bone_lengths(lengths, draws, scales=self.bone_scales, largest=self.bone_scale)
        angles, rotation = random_joint_angles(draws, global_rotation=self.global_rotation)
        kinematics = forward_kinematics_17 if joints == len(H36M_17) else forward_kinematics
        return kinematics(angles[:, None], lengths[:, None], rotation[:, None], root)
