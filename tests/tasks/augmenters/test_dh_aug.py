"""The GAN of DH-AUG: what is trained when, on what, and what comes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from liftpose.data.draws import BatchPlace, Draws
from liftpose.errors import LiftposeError
from liftpose.geometry.bones import bone_length_templates, bone_lengths, dress
from liftpose.losses.adversarial import wgan_critic_loss
from liftpose.skeletons import H36M_16, mirror
from liftpose.tasks import DHAug
from liftpose.tasks.augmenters import RealPoses, Step

SMALL = {
    "generator_width": 8,
    "critic_3d_width": 8,
    "critic_2d_width": 8,
    "motion_critic_3d_width": 8,
    "motion_critic_2d_width": 8,
}


def dh_aug(**options: Any) -> DHAug:
    return DHAug(**(SMALL | options))


def names(augmenter: DHAug, updates: Any) -> list[str]:
    """The names of the networks in the order of their steps."""
    known = {id(module): name for name, module in augmenter.named_children()}
    return [known[id(network)] for network, _, _ in updates.of]


def test_the_order_of_the_steps(
    make_real: Callable[..., RealPoses], make_step: Callable[..., Step], build: Callable[..., Any], updates: Any
) -> None:
    augmenter = build(dh_aug(critic_steps=3), (3,))
    real = make_real(8, frames=3)
    for iteration in range(3):
        augmenter.augment(real, make_step(iteration))
    single = ["critic_3d"] * 2 + ["critic_2d"] * 2  # as they are and mirrored
    assert names(augmenter, updates) == [*single, *single, *single, "generator"]
    updates.of.clear()
    augmenter.augment(real, make_step(3, epoch=4))
    assert names(augmenter, updates) == [*single, *["motion_critic_3d"] * 4, *["motion_critic_2d"] * 4]


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"mirrored": "joint"}, [1, 1, 1, 1]),
        ({"mirrored": "none"}, [1, 1, 2, 2]),
        ({"reversed_time": False}, [2, 2, 2, 2]),
        ({"mirrored": "none", "reversed_time": False}, [1, 1, 1, 1]),
    ],
)
def test_the_number_of_steps_of_each_critic(
    options: dict[str, Any],
    steps: list[int],
    make_real: Callable[..., RealPoses],
    make_step: Callable[..., Step],
    build: Callable[..., Any],
    updates: Any,
) -> None:
    augmenter = build(dh_aug(motion_critics_from=0, **options), (3,))
    augmenter.augment(make_real(8, frames=3), make_step())
    taken = names(augmenter, updates)
    critics = ("critic_3d", "critic_2d", "motion_critic_3d", "motion_critic_2d")
    assert [taken.count(critic) for critic in critics] == steps


def test_the_first_step_of_the_critic_of_poses(
    make_real: Callable[..., RealPoses], make_step: Callable[..., Step], build: Callable[..., Any], updates: Any
) -> None:
    options = {"templates": False, "bone_scales": "none"}
    augmenter, twin = build(dh_aug(**options)), build(dh_aug(**options))
    real = make_real(8)
    augmenter.augment(real, make_step())
    draws = make_step().draws
    draws.integers(4)  # the cameras
    fake = twin.generator.poses(draws.normal(128), bone_lengths(real.poses_world))
    relative = [poses - poses[:, :, :1] for poses in (real.poses_world, fake)]
    expected = wgan_critic_loss(twin.critic_3d, *relative, draws.uniform(1))
    torch.testing.assert_close(updates.of[0][1], expected.loss.detach())
    updates(twin.critic_3d, expected.loss)
    expected = wgan_critic_loss(twin.critic_3d, *(mirror(poses, H36M_16) for poses in relative), draws.uniform(1))
    torch.testing.assert_close(updates.of[1][1], expected.loss.detach())


def test_bone_lengths_are_those_of_the_real_person_within_a_fifth(
    make_real: Callable[..., RealPoses], make_step: Callable[..., Step], build: Callable[..., Any]
) -> None:
    real = make_real(200, frames=3)
    for scales, changed in (("different", True), ("same", True), ("none", False)):
        augmenter = build(dh_aug(bone_scales=scales, templates=False, visible=False), (3,))
        made = bone_lengths(augmenter.augment(real, make_step(count=200)).poses_camera)
        ratio = made / bone_lengths(real.poses_world)
        torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), rtol=0, atol=1e-4)  # one build a clip
        assert ratio.min() > 0.8 - 1e-4
        assert ratio.max() < 1.2 + 1e-4
        assert (ratio[..., 7] - 1).abs().max() < 1e-4  # the thorax is never scaled
        assert bool(ratio.std() > 0.05) == changed
        limbs = ratio[:, 0, [0, 2, 4, 8, 10, 12]]
        assert bool((limbs.std(1) < 1e-4).all()) == (scales != "different")


def test_the_templates_dress_what_the_critics_see(
    make_real: Callable[..., RealPoses], make_step: Callable[..., Step], build: Callable[..., Any]
) -> None:
    augmenter, real = build(dh_aug()), make_real(64)
    seen = augmenter._real_examples(real, make_step(count=64).draws)
    lengths, rows = bone_lengths(seen.poses_world)[:, 0], bone_length_templates()
    distance = (lengths[:, None] - rows).abs().amax(-1)
    assert distance.amin(1).max() < 1e-5
    assert len(set(distance.argmin(1).tolist())) == 5
    expected = dress(real.poses_world, rows[distance.argmin(1), None])
    torch.testing.assert_close(seen.poses_world, expected)
    projected = real.cameras.project(real.cameras.to_camera(expected))
    torch.testing.assert_close(seen.keypoints_2d, projected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("joints", [16, 17])
def test_the_windows_are_seen_whole(
    joints: int, make_real: Callable[..., RealPoses], make_step: Callable[..., Step], build: Callable[..., Any]
) -> None:
    real = make_real(100, frames=3, joints=joints)
    augmenter = build(dh_aug(), (3,), f"h36m_{joints}")
    made = augmenter.augment(real, make_step(count=100))
    assert made.poses_camera.shape == (100, 3, joints, 3)
    assert not made.poses_camera.requires_grad
    assert (made.poses_camera[..., 2] > 0.1).all()
    assert made.keypoints_2d[..., 0].abs().max() <= 1
    assert made.keypoints_2d[..., 1].abs().max() <= 1.002
    rough = build(dh_aug(visible=False), (3,), f"h36m_{joints}").augment(real, make_step(count=100))
    assert not (rough.poses_camera[..., 2] > 0.1).all()


def test_one_camera_for_the_batch_or_one_for_each(
    make_real: Callable[..., RealPoses], make_step: Callable[..., Step], build: Callable[..., Any]
) -> None:
    real = make_real(32)
    each = build(dh_aug())._draw_cameras(real.all_cameras, make_step(count=32).draws)
    one = build(dh_aug(cameras="batch"))._draw_cameras(real.all_cameras, make_step(count=32).draws)
    assert len(each.position.unique(dim=0)) == 4
    assert len(one.position.unique(dim=0)) == 1


def test_mirrored_fakes_that_are_detached_halve_the_generators_gradient(
    make_real: Callable[..., RealPoses], make_step: Callable[..., Step], build: Callable[..., Any]
) -> None:
    real = make_real(8, dtype=torch.float64)
    gradients = {}
    for name, options in {
        "attached": {"mirrored_fakes": "attached"},
        "detached": {"mirrored_fakes": "detached"},
        "none": {"mirrored": "none"},
    }.items():
        augmenter = build(dh_aug(**options)).double()
        draws = make_step(dtype=torch.float64).draws
        lengths = bone_lengths(real.poses_world)
        fake = augmenter._examples(augmenter._make(lengths, draws), real.cameras)
        loss = augmenter.generator_loss(fake, 0)
        gradients[name] = torch.cat([g.flatten() for g in torch.autograd.grad(loss, augmenter.generator.parameters())])
    torch.testing.assert_close(gradients["detached"], gradients["none"] / 2)
    assert not torch.allclose(gradients["attached"], gradients["none"])


def test_the_generators_loss_is_the_weighted_sum(
    make_real: Callable[..., RealPoses], build: Callable[..., Any]
) -> None:
    real = make_real(8, frames=3)
    augmenter = build(dh_aug(weight_3d=3, weight_2d=0.5, weight_motion_3d=7, weight_motion_2d=0, mirrored="none"), (3,))
    fake = augmenter._examples(real.poses_world, real.cameras)
    relative = real.poses_world - real.poses_world[:, :, :1]
    screen = real.cameras.project(real.poses_camera)
    early = -3 * augmenter.critic_3d(relative).mean() - 0.5 * augmenter.critic_2d(screen).mean()
    torch.testing.assert_close(augmenter.generator_loss(fake, 0), early, rtol=1e-4, atol=1e-5)
    motion = (augmenter.motion_critic_3d(relative) + augmenter.motion_critic_3d(relative.flip(1))).mean() / 2
    torch.testing.assert_close(augmenter.generator_loss(fake, 4), early - 7 * motion, rtol=1e-4, atol=1e-5)


def test_coincident_joints_give_finite_steps(
    make_real: Callable[..., RealPoses], make_step: Callable[..., Step], build: Callable[..., Any], updates: Any
) -> None:
    real = make_real(8)
    flat = real._replace(poses_world=torch.ones_like(real.poses_world), poses_camera=torch.ones_like(real.poses_world))
    augmenter = build(dh_aug(critic_steps=1))
    augmenter.augment(flat, make_step())
    assert all(loss.isfinite() for _, loss, _ in updates.of)
    assert all(parameter.isfinite().all() for parameter in augmenter.parameters())


def test_samples_are_the_generators_poses(make_real: Callable[..., RealPoses], build: Callable[..., Any]) -> None:
    augmenter = build(dh_aug(), (3,))
    lengths = bone_length_templates()
    draws = [Draws(1, BatchPlace(0, 0, 0, 5, 5)) for _ in range(2)]
    made = augmenter.sample(lengths, draws[0])
    assert made.shape == (5, 3, 16, 3)
    ratio = bone_lengths(made) / lengths[:, None]
    scales = draws[1].uniform(1, 8)
    torch.testing.assert_close(ratio[:, 0, 0], 1 + 0.2 * (2 * scales[:, 0, 0] - 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("generator_width", 0, "a number from 1 up, found 0"),
        ("noise_dim", 0, "a number from 1 up, found 0"),
        ("motion_critic_2d_width", -1, "a number from 1 up, found -1"),
        ("critic_steps", 0, "a number from 1 up, found 0"),
        ("penalty_weight", -10.0, "a number from 0 up, found -10.0"),
        ("weight_2d", float("nan"), "a number from 0 up, found nan"),
        ("weight_motion_3d", float("inf"), "a number from 0 up, found inf"),
        ("learning_rate", float("inf"), "a number above 0, found inf"),
        ("learning_rate", 0.0, "a number above 0, found 0.0"),
        ("bone_scale", -0.1, "a share from 0 up and below 1, found -0.1"),
        ("bone_scale", 1.0, "a share from 0 up and below 1, found 1.0"),
    ],
)
def test_options_out_of_range(option: str, value: float, message: str) -> None:
    with pytest.raises(LiftposeError) as caught:
        DHAug(**{option: value})  # type: ignore[arg-type]
    assert str(caught.value) == f"model.augmenter.{option}: expected {message}"
