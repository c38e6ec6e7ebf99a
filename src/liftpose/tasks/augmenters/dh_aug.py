"""DH-AUG: a generator that moves a Denavit-Hartenberg body, trained against critics in 3D and in the image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from liftpose.data.draws import Draws
from liftpose.errors import LiftposeError
from liftpose.geometry import ScreenCameras
from liftpose.geometry.bones import bone_length_templates, bone_lengths, dress
from liftpose.geometry.joint_angles import ArmColumns
from liftpose.geometry.random_poses import BoneScales, random_bone_lengths
from liftpose.losses.adversarial import wgan_critic_loss, wgan_generator_loss
from liftpose.models import Lifter
from liftpose.models.dh_aug import DHGenerator
from liftpose.models.dh_critics import MotionCritic2D, MotionCritic3D, PoseCritic2D, PoseCritic3D
from liftpose.skeletons import H36M_16, mirror
from liftpose.tasks.augmenters.base import (
    Augmenter,
    FakePoses,
    RealPoses,
    Step,
    check_from,
    in_sight,
    sixteen_joints,
    view,
)

__all__ = ["DHAug"]


class DHAug(Augmenter):
    """The GAN of Huang, Liang and Deng, "DH-AUG", ECCV 2022.

    Noise becomes joint angles, rotation and place of a body whose bone lengths are those of a real person, changed at
    random. Wasserstein critics with a gradient penalty compare the bodies with real ones: the pose relative to its root
    in the world, and its picture in a camera of the training data. For lifters of several frames two more critics
    compare the motion. The lifter has no part in this.

    Args:
        generator_width: Width of the generator's layers.
        critic_3d_width: Width of the layers of the critic of poses.
        critic_2d_width: Width of the layers of the critic of pictures.
        motion_critic_3d_width: Width of the layers of the critic of motions.
        motion_critic_2d_width: Width of the layers of the critic of motions in the picture.
        motion_positions: Whether the critic of motions sees the joints besides the angles between the bones.
        motion_differences: Whether it sees their way from frame to frame.
        motion_critics_from: Epoch from which the critics of motions take part.
        noise_dim: Length of the noise.
        limits: Whether joint angles keep the limits ``intended``.
        global_rotation: Whether the body turns as a whole.
        arm_columns: "released" moves the arms as the published code does by mistake.
        bone_scales: Whether each bone length changes by a share of its own ("different"), all by the same ("same"), or
            none does.
        bone_scale: Largest such share.
        templates: Whether real poses get the bone lengths of one of five Human3.6M people before they are compared.
        learning_rate: Learning rate of all networks.
        critic_steps: Number of batches for each step of the generator.
        penalty_weight: Weight of the gradient penalty.
        weight_3d: Weight of the critic of poses in the generator's loss.
        weight_2d: Weight of the critic of pictures.
        weight_motion_3d: Weight of the critic of motions.
        weight_motion_2d: Weight of the critic of motions in the picture.
        mirrored: The critics' mirrored poses: steps of their own ("steps", as published), part of the same step
            ("joint"), or none.
        reversed_time: Whether the critics of motions see clips backwards too, in the same way.
        mirrored_fakes: Whether the generator learns from its mirrored poses ("attached"), or they only weigh in its
            loss ("detached", as published, which halves its gradient).
        motion_penalty_2d: Whether the gradient penalty of the critic of motions in the picture is one per clip, or one
            per frame as published by mistake.
        cameras: A camera for each sample, or one for the whole batch as published.
        visible: Whether poses that their camera does not see are put where the real person stands
            (:func:`liftpose.tasks.augmenters.in_sight`). As published (false) they are used with a projection that
            means nothing.

    Raises:
        LiftposeError: An argument is out of range.
    """

    skeletons: ClassVar[tuple[str, ...]] = ("h36m_16", "h36m_17")
    makers: ClassVar[tuple[str, ...]] = ("generator",)

    template_lengths: Tensor

    def __init__(
        self,
        generator_width: int = 1000,
        critic_3d_width: int = 1000,
        critic_2d_width: int = 1000,
        motion_critic_3d_width: int = 1000,
        motion_critic_2d_width: int = 1000,
        motion_positions: bool = True,
        motion_differences: bool = True,
        motion_critics_from: int = 4,
        noise_dim: int = 128,
        limits: bool = True,
        global_rotation: bool = True,
        arm_columns: ArmColumns = "intended",
        bone_scales: BoneScales = "different",
        bone_scale: float = 0.2,
        templates: bool = True,
        learning_rate: float = 1e-4,
        critic_steps: int = 5,
        penalty_weight: float = 10.0,
        weight_3d: float = 1.0,
        weight_2d: float = 0.2,
        weight_motion_3d: float = 1.0,
        weight_motion_2d: float = 1.0,
        mirrored: Literal["steps", "joint", "none"] = "steps",
        reversed_time: bool = True,
        mirrored_fakes: Literal["attached", "detached"] = "attached",
        motion_penalty_2d: Literal["clip", "frame"] = "clip",
        cameras: Literal["sample", "batch"] = "sample",
        visible: bool = True,
    ) -> None:
        super().__init__()
        check_from(1, generator_width=generator_width, noise_dim=noise_dim, critic_steps=critic_steps)
        check_from(1, critic_3d_width=critic_3d_width, critic_2d_width=critic_2d_width)
        check_from(1, motion_critic_3d_width=motion_critic_3d_width, motion_critic_2d_width=motion_critic_2d_width)
        check_from(0, penalty_weight=penalty_weight, weight_3d=weight_3d, weight_2d=weight_2d)
        check_from(0, weight_motion_3d=weight_motion_3d, weight_motion_2d=weight_motion_2d)
        if not 0 <= bone_scale < 1:
            raise LiftposeError(
                f"model.augmenter.bone_scale: expected a share from 0 up and below 1, found {bone_scale}"
            )
        if not 0 < learning_rate < math.inf:
            raise LiftposeError(f"model.augmenter.learning_rate: expected a number above 0, found {learning_rate}")
        self.widths = (critic_3d_width, critic_2d_width, motion_critic_3d_width, motion_critic_2d_width)
        self.generator_options = {
            "width": generator_width,
            "noise_dim": noise_dim,
            "limits": limits,
            "global_rotation": global_rotation,
            "arm_columns": arm_columns,
        }
        self.motion_options = {"positions": motion_positions, "differences": motion_differences}
        self.motion_critics_from = motion_critics_from
        self.noise_dim = noise_dim
        self.bone_scales: BoneScales = bone_scales
        self.bone_scale = bone_scale
        self.templates = templates
        self.learning_rate = learning_rate
        self.critic_steps = critic_steps
        self.penalty_weight = penalty_weight
        self.weights = {
            "critic_3d": weight_3d,
            "critic_2d": weight_2d,
            "motion_critic_3d": weight_motion_3d,
            "motion_critic_2d": weight_motion_2d,
        }
        self.mirrored = mirrored
        self.reversed_time = reversed_time
        self.mirrored_fakes = mirrored_fakes
        self.motion_penalty_2d = motion_penalty_2d
        self.cameras = cameras
        self.visible = visible

    def build(self, lifter: Lifter) -> None:
        """Make the generator and the critics for windows of the lifter's length.

        Args:
            lifter: The lifter.
        """
        frames = lifter.receptive_field
        self.skeleton = lifter.skeleton
        self.generator = DHGenerator(frames=frames, **self.generator_options)  # type: ignore[arg-type]  # by name
        self.critic_3d = PoseCritic3D(self.widths[0])
        self.critic_2d = PoseCritic2D(self.widths[1])
        if frames > 1:
            self.motion_critic_3d = MotionCritic3D(frames, self.widths[2], **self.motion_options)
            self.motion_critic_2d = MotionCritic2D(frames, self.widths[3])
        self.register_buffer("template_lengths", bone_length_templates(), persistent=False)

    def networks(self) -> list[nn.Module]:
        """Return the generator, the critics of single poses and, for clips, those of motions."""
        return [self.generator, *(getattr(self, name) for name in self.weights if hasattr(self, name))]

    def make_optimizer(self, network: nn.Module) -> Optimizer:
        """Return Adam as published, the same for all networks."""
        return Adam(network.parameters(), lr=self.learning_rate, betas=(0.5, 0.9), fused=True)

    def augment(self, real: RealPoses, step: Step) -> FakePoses:
        """Train the critics on a batch, every few batches the generator, and make as many windows.

        Args:
            real: A batch of the training data.
            step: What belongs to this step.

        Returns:
            The windows, without gradients.
        """
        draws = step.draws
        people = self._real_examples(real, draws)
        lengths = self._scaled(bone_lengths(people.poses_world), draws)
        cameras = self._draw_cameras(real.all_cameras, draws)
        with torch.no_grad():
            fakes_world = self._make(lengths, draws)
            fakes = in_sight(fakes_world, cameras, real) if self.visible else view(fakes_world, cameras)
            shown = self._examples(fakes_world, cameras)
        for name, critic in self._critics(step.epoch):
            self._train_critic(name, critic, people, shown, step)
        if step.iteration % self.critic_steps == self.critic_steps - 1:
            shown = self._examples(self._make(lengths, draws), cameras)
            loss = self.generator_loss(shown, step.epoch)
            step.update(self.generator, loss)
            step.log("generator_loss", loss)
        return fakes

    def sample(self, lengths: Tensor, draws: Draws) -> Tensor:
        """Make poses with the generator as it is now.

        Args:
            lengths: (B, 15) metres, bone lengths to begin with; they are changed as in training.
            draws: The random numbers.

        Returns:
            (B, T, 16, 3) metres, world frame.
        """
        lengths = self._scaled(lengths[:, None].expand(-1, self.generator.frames, -1), draws)
        return self.generator.poses(draws.normal(self.noise_dim), lengths)

    # --------------------------------------------------------------------------------------------------------- poses
    def _real_examples(self, real: RealPoses, draws: Draws) -> _Examples:
        """Return what the critics see of the real windows."""
        poses = sixteen_joints(real.poses_world, self.skeleton)
        if self.templates:
            row = draws.integers(len(self.template_lengths))
            poses = dress(poses, self.template_lengths.to(poses)[row, None])
        return _Examples(poses, real.cameras.project(real.cameras.to_camera(poses)))

    def _scaled(self, lengths: Tensor, draws: Draws) -> Tensor:
        """Change bone lengths (B, T, 15) at random, those of a clip alike."""
        return random_bone_lengths(lengths, draws, scales=self.bone_scales, largest=self.bone_scale)

    def _draw_cameras(self, cameras: ScreenCameras, draws: Draws) -> ScreenCameras:
        """Draw a camera for each sample."""
        count = len(cameras.vector)
        if self.cameras == "batch":
            return cameras.take(draws.common_integers(count, 1).expand(len(draws)))
        return cameras.take(draws.integers(count))

    def _make(self, lengths: Tensor, draws: Draws) -> Tensor:
        """Return (B, T, J, 3) metres of the generator, world frame, the joints of the lifter."""
        return self.generator.poses(draws.normal(self.noise_dim), lengths, len(self.skeleton))

    def _examples(self, poses_world: Tensor, cameras: ScreenCameras) -> _Examples:
        """Return what the critics see of made-up poses (B, T, J, 3)."""
        poses = sixteen_joints(poses_world, self.skeleton)
        return _Examples(poses, view(poses, cameras).keypoints_2d)

    # -------------------------------------------------------------------------------------------------------- critics
    def _critics(self, epoch: int) -> Iterator[tuple[str, nn.Module]]:
        """Yield the critics that take part in an epoch, by name."""
        for name in self.weights:
            if hasattr(self, name) and (not name.startswith("motion") or epoch >= self.motion_critics_from):
                yield name, getattr(self, name)

    def _train_critic(self, name: str, critic: nn.Module, real: _Examples, fake: _Examples, step: Step) -> None:
        """Take the steps of one critic."""
        views = list(zip(self._views(name, real), self._views(name, fake), strict=True))
        if self.mirrored == "joint":
            views = [(torch.cat([one for one, _ in views]), torch.cat([other for _, other in views]))]
        for number, (of_real, of_fake) in enumerate(views):
            per_frame = name == "motion_critic_2d" and self.motion_penalty_2d == "frame"
            mix = step.draws.uniform(*((of_real.shape[1],) if per_frame or not name.startswith("motion") else ()))
            copies = len(of_real) // len(mix)
            mix = mix.repeat(copies, *(1,) * (mix.ndim - 1))
            loss = wgan_critic_loss(critic, of_real, of_fake, mix, self.penalty_weight)
            step.update(critic, loss.loss)
            if number == 0:
                step.log(f"{name}_wasserstein", loss.wasserstein)
                step.log(f"{name}_penalty", loss.gradient_penalty)

    def _views(self, name: str, examples: _Examples, mirrored_detached: bool = False) -> list[Tensor]:
        """Return what a critic is shown: poses or pictures, (B, T, 16, C), as they are, mirrored, backwards, both."""
        poses = examples.relative if name.endswith("3d") else examples.keypoints_2d
        views = [poses]
        if self.mirrored != "none":
            views.append(mirror(poses.detach() if mirrored_detached else poses, H36M_16))
        if name.startswith("motion") and self.reversed_time:
            views += [clip.flip(1) for clip in views]
        return views

    def generator_loss(self, fake: _Examples, epoch: int) -> Tensor:
        """Return the loss of the generator: the weighted sum of what the critics of an epoch think of its poses.

        Args:
            fake: What the critics see.
            epoch: Number of the epoch.

        Returns:
            () the loss.
        """
        total = fake.poses_world.new_zeros(())
        for name, critic in self._critics(epoch):
            views = self._views(name, fake, mirrored_detached=self.mirrored_fakes == "detached")
            terms = torch.stack([wgan_generator_loss(critic(clip)) for clip in views])
            total = total + self.weights[name] * terms.mean()
        return total


@dataclass(frozen=True)
class _Examples:
    """What critics see of B windows.

    Args:
        poses_world: (B, T, 16, 3) metres, world frame.
        keypoints_2d: (B, T, 16, 2) screen coordinates.
    """

    poses_world: Tensor
    keypoints_2d: Tensor

    @property
    def relative(self) -> Tensor:
        """The poses, every frame relative to its own root, axes of the world."""
        return self.poses_world - self.poses_world[:, :, :1]
