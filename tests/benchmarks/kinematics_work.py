"""The Denavit-Hartenberg body and random poses, by this package and by the public DH-AUG (see ``peer_dh_aug``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from peer_dh_aug import PeerDHAug, dh_aug_arguments, dh_aug_body
from torch import Tensor
from work import Work

from liftpose.data.draws import BatchPlace, Draws
from liftpose.geometry import (
    bone_length_templates,
    bone_lengths,
    forward_kinematics,
    random_bone_lengths,
    random_joint_angles,
)
from liftpose.geometry.kinematics import CHAINS

__all__ = ["body_backward", "body_forward", "random_poses"]

# Where the 16 joints are among the 32 that the public body makes, and what it calls chains and bones.
_JOINTS = [0, 1, 2, 3, 6, 7, 8, 12, 13, 15, 17, 18, 19, 25, 26, 27]
_CHAINS = {"right_arm": "right_hand", "left_arm": "left_hand"}
_BONES = (
    *("left_small_leg", "right_small_leg", "left_big_leg", "right_big_leg", "left_hip", "right_hip", "waist"),
    *("thorax", "left_shoulder", "right_shoulder", "left_big_arm", "right_big_arm", "left_small_arm"),
    *("right_small_arm", "neck"),
)


def _inputs(batch: int) -> tuple[Tensor, ...]:
    """Angles and rotations in degrees, lengths and roots."""
    random = torch.Generator().manual_seed(0)
    angles, rotation = (100 * torch.rand(batch, size, generator=random) - 50 for size in (33, 3))
    return angles, 0.1 + torch.rand(batch, 15, generator=random), rotation, torch.rand(batch, 3, generator=random)


def _ours(angles: Tensor, lengths: Tensor, rotation: Tensor, root: Tensor) -> Tensor:
    return forward_kinematics(angles.deg2rad(), lengths, rotation.deg2rad(), root)


def _their_body(peer: PeerDHAug, batch: int) -> Callable[..., Tensor]:
    body = dh_aug_body(peer, dh_aug_arguments(batch, 1))

    def run(angles: Tensor, lengths: Tensor, rotation: Tensor, root: Tensor) -> Tensor:
        chains = {f"{_CHAINS.get(name, name)}_joints_angle": angles[:, part] for name, part in CHAINS.items()}
        bones = {f"{name}_len": length for name, length in zip(_BONES, lengths.unbind(1), strict=True)}
        joints: Tensor = body.change_3d_joint_angle(
            generator_global_rot_3d_pos_angle=rotation, root_3d_pos=root, **chains, **bones
        )
        return joints[:, _JOINTS]

    return run


def body_forward(peer: PeerDHAug | None, batch: int) -> Work:
    """Joints from angles in degrees, lengths, rotations and roots, without gradients, in float32."""
    inputs = _inputs(batch)
    theirs = None
    if peer is not None:
        run = _their_body(peer, batch)
        theirs = torch.no_grad()(lambda: run(*inputs))
    return Work(torch.no_grad()(lambda: _ours(*inputs)), theirs, moved=0, count=batch, unit="poses")


def body_backward(peer: PeerDHAug | None, batch: int) -> Work:
    """The same with the gradients of what a generator makes: angles, rotations and roots."""
    angles, lengths, rotation, root = _inputs(batch)
    weight = torch.randn(batch, 16, 3, generator=torch.Generator().manual_seed(1))

    def gradients(run: Callable[..., Tensor]) -> tuple[Tensor, ...]:
        made = [given.clone().requires_grad_() for given in (angles, rotation, root)]
        return torch.autograd.grad((run(made[0], lengths, made[1], made[2]) * weight).sum(), made)

    theirs = None
    if peer is not None:
        run = _their_body(peer, batch)

        def theirs() -> Any:
            return gradients(run)

    return Work(lambda: gradients(_ours), theirs, moved=0, count=batch, unit="poses")


def random_poses(peer: PeerDHAug | None, count: int) -> Work:
    """Poses at random within limits, with the lengths and places of real people: no network, no cameras."""
    random = torch.Generator().manual_seed(0)
    lengths = bone_length_templates()[torch.randint(5, (500,), generator=random)]
    root = torch.rand(500, 3, generator=random)
    people = forward_kinematics(torch.zeros(33), lengths, torch.zeros(3), root)
    done = 0

    def ours() -> Any:
        nonlocal done
        done += 1
        draws = Draws(0, BatchPlace(0, done, 0, count, count))
        of_lengths, of_places = people[draws.integers(len(people))], people[draws.integers(len(people))]
        scaled = random_bone_lengths(bone_lengths(of_lengths), draws)
        angles, rotation = random_joint_angles(draws)
        return forward_kinematics(angles, scaled, rotation, of_places[:, 0])

    theirs = None
    if peer is not None:
        body = dh_aug_body(peer, dh_aug_arguments(count, 1, generator_whole_number=count))
        body.dataSet_world_3d_pos = {"S1": {"Walking": {0: people.numpy()}}}
        body.dataSet_2d_pos = {"S1": {"Walking": {0: people[..., :2].numpy()}}}

        def theirs() -> Any:
            return body.handler_but_generater()[0][:, _JOINTS]

    return Work(ours, theirs, moved=0, count=count, unit="bodies")
