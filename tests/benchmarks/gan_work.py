"""Iterations of DH-AUG's training of generator and critics, by this package and by the public implementation."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest.mock import MagicMock

import torch
from peer_dh_aug import PeerDHAug, dh_aug_arguments, dh_aug_body
from torch import Tensor, nn
from work import Work

from liftpose.data.draws import BatchPlace, Draws
from liftpose.geometry import ScreenCameras, forward_kinematics, h36m_cameras, joint_limits, matrix_to_quaternion
from liftpose.geometry.bones import bone_length_templates
from liftpose.models import Lifter, VideoPose
from liftpose.tasks.augmenters import DHAug, RealPoses, Step

__all__ = ["ITERATIONS", "gan_iterations"]

ITERATIONS = 5
"""Iterations of one run, at the end of which is one step of the generator."""

SUBJECT = "S1"


def real_poses(batch: int) -> RealPoses:
    """People in the middle of the Human3.6M studio, their joints turned at random."""
    random = torch.Generator().manual_seed(0)
    limits = joint_limits("random")
    angles = limits[:, 0] + (limits[:, 1] - limits[:, 0]) * torch.rand(batch, 1, 33, generator=random)
    lengths = bone_length_templates()[torch.randint(5, (batch, 1), generator=random)]
    rotation = torch.randn(batch, 1, 3, generator=random) * torch.tensor([0.1, 0.1, 3.0])
    root = torch.randn(batch, 1, 3, generator=random) * torch.tensor([0.5, 0.5, 0.1]) + torch.tensor([0.0, 0.0, 0.9])
    world = forward_kinematics(angles, lengths, rotation, root)
    every = ScreenCameras.of(h36m_cameras(SUBJECT))
    cameras = every.take(torch.arange(batch) % len(every.vector))
    return RealPoses(cameras.to_camera(world), world, cameras, every)


def gan_iterations(peer: PeerDHAug | None, batch: int, width: int) -> Work:
    """Five iterations of the single-frame GAN: twenty steps of critics and one of the generator.

    Args:
        peer: The public implementation.
        batch: Poses in a batch.
        width: Width of generator and critics.
    """
    real = real_poses(batch)
    theirs = None if peer is None else _their_iterations(peer, real, batch, width)
    return Work(_our_iterations(real, width), theirs, moved=0, count=ITERATIONS, unit="iterations")


def _our_iterations(real: RealPoses, width: int) -> Callable[[], Any]:
    augmenter = DHAug(generator_width=width, critic_3d_width=width, critic_2d_width=width)
    lifter: Lifter = VideoPose("h36m_16", filter_widths=(1,), channels=4)
    augmenter.build(lifter)
    optimizers = {network: augmenter.make_optimizer(network) for network in augmenter.networks()}
    batch, done = len(real.poses_world), 0

    def update(network: nn.Module, loss: Tensor, clip_norm: float | None = None) -> None:
        parameters = list(network.parameters())
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.zeros_like(parameter) if gradient is None else gradient
        optimizers[network].step()
        optimizers[network].zero_grad(set_to_none=True)

    def run() -> Any:
        nonlocal done
        for _ in range(ITERATIONS):
            draws = Draws(0, BatchPlace(0, done, 0, batch, batch))
            fakes = augmenter.augment(real, Step(0, 1, done, draws, update, lifter, lambda *_: None))
            done += 1
        return fakes

    return run


@dataclass
class _Counters:
    """Stands for the public counters of steps."""

    epoch: int = 0
    train_iter_num: int = 0
    train_discrim_iter_num: int = 1  # at multiples of 400 it prints

    def summary_train_iter_num_update(self) -> None:
        self.train_iter_num += 1

    def summary_train_discrim_update(self) -> None:
        self.train_discrim_iter_num += 1

    def summary_train_fakepose_iter_num_update(self) -> None:
        """Nothing asks for it."""


def _their_iterations(peer: PeerDHAug, real: RealPoses, batch: int, width: int) -> Callable[[], Any]:
    options = dh_aug_arguments(batch, width)
    device = torch.device("cpu")
    generator = peer.generator.Fk_Generator(dh_aug_body(peer, options), options, device)
    networks = {
        "model_G": generator,
        "model_d3d": peer.discriminator.Fk_3D_Discriminator(device, options),
        "model_d2d": peer.discriminator.Fk_2D_Discriminator(options),
    }
    for name, network in list(networks.items()):
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, betas=(0.5, 0.9))
        networks[name.replace("model", "optimizer")] = optimizer  # type: ignore[assignment]
    quaternion = matrix_to_quaternion(real.cameras.rotation.transpose(1, 2))  # theirs turns the camera into the world
    numbers = torch.cat((real.cameras.vector, quaternion, real.cameras.position), dim=1)
    keypoints = real.cameras.project(real.poses_camera)[:, 0]
    poses = real.poses_camera[:, 0]
    counters = _Counters()

    def run() -> Any:
        data = {
            "train_gt2d3d_loader": [(poses, keypoints, None, numbers)] * ITERATIONS,
            "target_2d_loader": [keypoints] * ITERATIONS,
            "target_3d_loader": [poses] * ITERATIONS,
        }
        with contextlib.redirect_stdout(io.StringIO()):
            peer.training.GAN_solutions_FK_generator(
                options, networks, data, nn.Identity(), counters, MagicMock(), [SUBJECT]
            )
        generator.distribute_angle.clear()  # it keeps all angles it has ever made
        return data["train_fake2d3d_loader"]

    return run
