"""What a generator and its critics compute in a step needs nothing from the host: a GPU does not wait for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from liftpose.geometry import ScreenCameras, h36m_cameras
from liftpose.geometry.bones import bone_lengths, scale_bones
from liftpose.losses import (
    feedback_loss,
    lsgan_generator_loss,
    modification_loss,
    wgan_critic_loss,
    wgan_generator_loss,
)
from liftpose.models.dh_aug import DHGenerator
from liftpose.models.dh_critics import MotionCritic2D, MotionCritic3D, PoseCritic2D, PoseCritic3D
from liftpose.models.poseaug import PartCritic3D, PoseAugGenerator, PoseAugNoise

# Numbers and lists of Python become tensors by the first, which on a GPU is a copy; the second is indexing by a list.
FROM_THE_HOST = {"aten.lift_fresh.default", "aten.index.Tensor"}
BATCH = 4


class Operators(TorchDispatchMode):
    """Notes which of torch's operators run."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self.seen.add(str(func))
        return func(*args, **(kwargs or {}))


def cameras() -> ScreenCameras:
    return ScreenCameras.of(h36m_cameras("S1"))


def poseaug() -> Callable[[], Tensor]:
    generator, critic_3d, critic_2d, views = PoseAugGenerator(8), PartCritic3D(8, 8), PoseCritic2D(8), cameras()
    poses = torch.randn(BATCH, 16, 3)

    def step() -> Tensor:
        made = generator(poses, PoseAugNoise(*torch.randn(4, BATCH, 48).unbind()))
        keypoints = views.project(made.moved)
        errors = [(made.moved - other).square().sum(-1).sqrt() for other in (poses, made.angled, made.resized)]
        loss = lsgan_generator_loss(critic_3d(made.angled)) + lsgan_generator_loss(critic_2d(keypoints))
        return loss + modification_loss(made.angle_change, made.length_ratios) + feedback_loss(*errors, progress=0.5)

    return step


def dh_aug() -> Callable[[], Tensor]:
    generator, views, clips = DHGenerator(3, 8), cameras(), torch.randn(BATCH, 3, 16, 3)
    flat, moving = (PoseCritic3D(8), PoseCritic2D(8)), (MotionCritic3D(3, 8), MotionCritic2D(3, 8))

    def step() -> Tensor:
        lengths = scale_bones(bone_lengths(clips), 0.1 * torch.rand(BATCH, 1, 8))
        world = generator.poses(torch.randn(BATCH, 128), lengths)
        fakes = world - world[:, :, :1], views.project(views.to_camera(world))
        reals = clips - clips[:, :, :1], views.project(views.to_camera(clips))
        losses = []
        for critics, shape in ((flat, (BATCH, 3)), (moving, (BATCH,))):
            for critic, real, fake in zip(critics, reals, fakes, strict=True):
                losses.append(wgan_critic_loss(critic, real, fake, torch.rand(shape)).loss)
                losses.append(wgan_generator_loss(critic(fake)))
        return torch.stack(losses).sum()

    return step


@pytest.mark.parametrize("make", [poseaug, dh_aug])
def test_a_step_takes_nothing_from_the_host(make: Callable[[], Callable[[], Tensor]]) -> None:
    step = make()
    step().backward()  # tables of constants are copied at the first step
    with Operators() as operators:
        step().backward()
    assert len(operators.seen) > 30
    assert not operators.seen & FROM_THE_HOST
