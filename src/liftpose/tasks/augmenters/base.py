"""What the augmentations have in common: real windows in, made-up poses with their projections out."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from liftpose.data.draws import Draws
from liftpose.errors import LiftposeError
from liftpose.geometry import ScreenCameras
from liftpose.models import Lifter
from liftpose.skeletons import H36M_16, Skeleton
from liftpose.skeletons.skeleton import join_joints, split_joints

__all__ = ["Augmenter", "FakePoses", "RealPoses", "Step", "check_from", "in_sight", "sixteen_joints", "view"]


class RealPoses(NamedTuple):
    """B windows of the training data, of T frames and J joints.

    Attributes:
        poses_camera: (B, T, J, 3) metres, camera frame, with their root.
        poses_world: (B, T, J, 3) metres, world frame.
        cameras: The camera of each window.
        all_cameras: All cameras of the training data, each once.
    """

    poses_camera: Tensor
    poses_world: Tensor
    cameras: ScreenCameras
    all_cameras: ScreenCameras


class FakePoses(NamedTuple):
    """B windows that an augmenter has made.

    Attributes:
        poses_camera: (B, T, J, 3) metres, camera frame, with their root.
        keypoints_2d: (B, T, J, 2) screen coordinates.
    """

    poses_camera: Tensor
    keypoints_2d: Tensor


@dataclass(frozen=True)
class Step:
    """What belongs to one step of a training.

    Args:
        epoch: Number of the epoch, from 0.
        epochs: Number of epochs of the training.
        iteration: Number of the step over all epochs, from 0.
        draws: The random numbers of the step; they belong to the global batch.
        update: ``update(network, loss, clip_norm=None)`` takes one step of the optimiser of a network along the
            gradients of a loss with respect to that network's parameters only, averaged over all processes; their norm
            is cut to ``clip_norm`` where it is given.
        lifter: The lifter, which an augmenter may ask how hard its poses are.
        log: Logs a value under a name.
    """

    epoch: int
    epochs: int
    iteration: int
    draws: Draws
    update: Callable[..., None]
    lifter: Lifter
    log: Callable[[str, Tensor], None]


class Augmenter(nn.Module, ABC):
    """A way of making training poses for any lifter.

    Attributes:
        skeletons: Names of the skeletons that it makes poses for.
        needs_epochs: Whether it has to know how many epochs the training has.
        makers: Names of the networks that :meth:`sample` needs; the others only train them.
    """

    skeletons: ClassVar[tuple[str, ...]] = ("h36m_16",)
    needs_epochs: ClassVar[bool] = False
    makers: ClassVar[tuple[str, ...]] = ()

    def check(self, lifter: Lifter) -> None:
        """Refuse a lifter that there are no poses for.

        Args:
            lifter: The lifter.

        Raises:
            LiftposeError: Its joints are others.
        """
        for option, skeleton in (("skeleton", lifter.skeleton), ("keypoint_skeleton", lifter.keypoint_skeleton)):
            if skeleton.name not in self.skeletons:
                wanted = " or ".join(self.skeletons)
                raise LiftposeError(
                    f"model.lifter.{option}: expected {wanted} for {type(self).__name__}, found {skeleton.name}"
                )
        if lifter.keypoint_skeleton != lifter.skeleton:
            raise LiftposeError(
                f"model.lifter.keypoint_skeleton: expected {lifter.skeleton.name} as the poses for "
                f"{type(self).__name__}, found {lifter.keypoint_skeleton.name}"
            )

    def build(self, lifter: Lifter) -> None:
        """Make the networks for a lifter whose joints and windows are known now.

        Args:
            lifter: The lifter.
        """

    def networks(self) -> list[nn.Module]:
        """Return the networks that are trained, each by an optimiser of its own, always in the same order."""
        return []

    def make_optimizer(self, network: nn.Module) -> Optimizer:
        """Return the optimiser of one of the networks.

        Args:
            network: One of :meth:`networks`.
        """
        raise NotImplementedError(f"{type(self).__name__} trains nothing")

    @abstractmethod
    def augment(self, real: RealPoses, step: Step) -> FakePoses:
        """Train the networks for one step, where there are some, and make as many windows as there are real ones.

        Args:
            real: A batch of the training data.
            step: What belongs to this step.

        Returns:
            The windows, without gradients.
        """

    def sample(self, lengths: Tensor, draws: Draws) -> Tensor:
        """Make poses alone, without cameras.

        Args:
            lengths: (B, 15) metres, bone lengths of people to begin with, in the order of
                :data:`liftpose.geometry.kinematics.BONES`.
            draws: The random numbers.

        Returns:
            (B, T, 16, 3) metres, world frame.

        Raises:
            LiftposeError: This augmentation makes no poses out of nothing.
        """
        raise LiftposeError(f"augmenter: expected one that makes poses out of nothing, found {type(self).__name__}")


def check_from(least: int, **options: float) -> None:
    """Refuse options of an augmentation that are too small, or no numbers.

    Args:
        least: The smallest number that is allowed.
        options: Numbers by the name of their option.

    Raises:
        LiftposeError: A number is smaller, infinite or not a number.
    """
    for name, number in options.items():
        if not least <= number < math.inf:
            raise LiftposeError(f"model.augmenter.{name}: expected a number from {least} up, found {number}")


def in_sight(fakes_world: Tensor, cameras: ScreenCameras, real: RealPoses) -> FakePoses:
    """Project made-up poses, and put those that their camera does not see where the real person stands.

    The published code keeps poses behind the camera and outside the picture, whose projections mean nothing. Here such
    a window keeps its pose and gets the root and the camera of the real window of the same number. If that camera does
    not see all of it either, the real window takes its place.

    Args:
        fakes_world: (B, T, J, 3) metres, world frame.
        cameras: A camera for each window.
        real: As many real windows, of the same joints.

    Returns:
        The windows.
    """
    placed = fakes_world - fakes_world[:, :, :1] + real.poses_world[:, :, :1]
    first = view(fakes_world, cameras)
    second = view(placed, real.cameras)
    last = FakePoses(real.poses_camera, real.cameras.project(real.poses_camera))
    use_second = _seen(second, real.cameras)
    use_first = _seen(first, cameras)
    chosen = [
        torch.where(use_first, of_first, torch.where(use_second, of_second, of_last))
        for of_first, of_second, of_last in zip(first, second, last, strict=True)
    ]
    return FakePoses(*chosen)


def sixteen_joints(poses: Tensor, skeleton: Skeleton) -> Tensor:
    """Return the joints of the Denavit-Hartenberg body.

    Args:
        poses: (..., J, 3) any unit.
        skeleton: Their joint order: ``h36m_16`` or one that holds its joints, such as ``h36m_17``.

    Returns:
        (..., 16, 3).
    """
    if skeleton == H36M_16:
        return poses
    joints = split_joints(poses)
    return join_joints([joints[skeleton.index(name)] for name in H36M_16.joint_names])


def view(poses_world: Tensor, cameras: ScreenCameras) -> FakePoses:
    """Bring poses into the frames of their cameras and project them, whether they are seen or not.

    Args:
        poses_world: (B, T, J, 3) metres, world frame.
        cameras: A camera for each window.

    Returns:
        The windows.
    """
    poses_camera = cameras.to_camera(poses_world)
    return FakePoses(poses_camera, cameras.project(poses_camera))


def _seen(fakes: FakePoses, cameras: ScreenCameras) -> Tensor:
    """Return (B, 1, 1, 1) bool: whether the camera sees all joints of all frames."""
    return cameras.sees(*fakes).flatten(1).all(1)[:, None, None, None]
