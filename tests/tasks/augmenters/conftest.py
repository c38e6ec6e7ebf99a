"""A batch of real windows and a step, without a trainer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from liftpose.data.draws import BatchPlace, Draws
from liftpose.geometry import ScreenCameras, forward_kinematics, forward_kinematics_17, h36m_cameras, joint_limits
from liftpose.geometry.bones import bone_length_templates
from liftpose.models import VideoPose
from liftpose.tasks.augmenters import Augmenter, RealPoses, Step


class Updates:
    """Takes the steps of networks by plain descent and remembers them."""

    def __init__(self) -> None:
        self.of: list[tuple[nn.Module, Tensor, float | None]] = []

    def __call__(self, network: nn.Module, loss: Tensor, clip_norm: float | None = None) -> None:
        """Move the weights against the gradients, a little."""
        parameters = list(network.parameters())
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                if gradient is not None:
                    parameter.sub_(1e-3 * gradient)
        self.of.append((network, loss.detach(), clip_norm))


@pytest.fixture
def updates() -> Updates:
    """What has been trained."""
    return Updates()


@pytest.fixture
def make_real() -> Callable[..., RealPoses]:
    """Windows of people within their joint limits who stand in the room of S1."""

    def make(count: int = 8, frames: int = 1, joints: int = 16, dtype: torch.dtype = torch.float32) -> RealPoses:
        generator = torch.Generator().manual_seed(11)
        lower, upper = joint_limits("random", dtype=torch.float64).unbind(-1)
        share = torch.rand(count, frames, 33, generator=generator, dtype=torch.float64)
        lengths = bone_length_templates(dtype=torch.float64)[torch.arange(count) % 5, None]
        turn = torch.zeros(count, frames, 3, dtype=torch.float64)
        turn[..., 2] = 6 * torch.rand(count, 1, generator=generator, dtype=torch.float64)
        root = torch.tensor([0.2, 0.1, 0.95], dtype=torch.float64).expand(count, frames, 3)
        kinematics = forward_kinematics if joints == 16 else forward_kinematics_17
        world = kinematics(lower + share * (upper - lower), lengths, turn, root).to(dtype)
        every = ScreenCameras.of(h36m_cameras("S1")).to(dtype=dtype)
        cameras = every.take(torch.arange(count) % 4)
        return RealPoses(cameras.to_camera(world), world, cameras, every)

    return make


@pytest.fixture
def make_step(updates: Updates) -> Callable[..., Step]:
    """The step of a number within an epoch."""

    def make(iteration: int = 0, count: int = 8, epoch: int = 0, **options: Any) -> Step:
        place = BatchPlace(epoch, iteration, 0, count, count)
        given: dict[str, Any] = {
            "epoch": epoch,
            "epochs": 10,
            "iteration": iteration,
            "draws": Draws(3, place, dtype=options.pop("dtype", torch.float32)),
            "update": updates,
            "lifter": VideoPose(skeleton="h36m_16", filter_widths=(1,), channels=4),
            "log": lambda name, value: None,
        }
        return Step(**(given | options))

    return make


@pytest.fixture
def build() -> Callable[..., Any]:
    """Build the networks of an augmenter for a lifter of so many frames and joints."""

    def make(augmenter: Augmenter, widths: tuple[int, ...] = (1,), skeleton: str = "h36m_16") -> Augmenter:
        torch.manual_seed(0)
        augmenter.build(VideoPose(skeleton=skeleton, filter_widths=widths, channels=4))
        return augmenter

    return make
