"""DH-AUG's critics: the public code's numbers, one update, the gradient that they write down, what they refuse."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from liftpose.errors import LiftposeError
from liftpose.geometry import project_published, quaternion_conjugate, rotate_by_quaternion
from liftpose.geometry.bones import bone_lengths, kcs_features, scale_bones
from liftpose.losses import wgan_critic_loss, wgan_generator_loss
from liftpose.models.dh_aug import DHGenerator
from liftpose.models.dh_critics import MotionCritic2D, MotionCritic3D, PoseCritic2D, PoseCritic3D
from liftpose.skeletons import H36M_16, mirror
from liftpose.weights import read_checkpoint
from liftpose.weights.dh_aug_gan import load_dh_aug_critic

EXACT = {"rtol": 0, "atol": 1e-12}


@pytest.fixture
def golden(reference: Path) -> Callable[[str], dict[str, Any]]:
    """A file with numbers of the public code."""
    return lambda name: read_checkpoint(reference / "golden" / "dh_aug" / f"{name}.pt")


def check_scores(critic: nn.Module, case: dict[str, Any]) -> tuple[Tensor, Tensor]:
    real, fake = case["real"].double(), case["fake"].double()
    torch.testing.assert_close(critic(real), case["out_real"], **EXACT)
    torch.testing.assert_close(critic(fake), case["out_fake"], **EXACT)
    return real, fake


def check_update(critic: nn.Module, real: Tensor, fake: Tensor, step: dict[str, Any], mix: Tensor) -> None:
    """Take one step as published, and compare."""
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-4, betas=(0.5, 0.9))
    found = wgan_critic_loss(critic, real, fake, mix)
    found.loss.backward()
    for part, expected in (
        ("wasserstein", "wasserstein"),
        ("loss", "d_cost"),
        ("gradient_penalty", "gradient_penalty"),
    ):
        assert getattr(found, part).item() == pytest.approx(step[expected], rel=1e-11, abs=1e-12)
    for name, expected in step.get("grads", {}).items():
        torch.testing.assert_close(critic.get_parameter(name).grad, expected, **EXACT)
    optimizer.step()
    for name, parameter in critic.named_parameters():
        torch.testing.assert_close(parameter.detach(), step["state_after"][name], rtol=0, atol=1e-11)


@pytest.mark.parametrize(("name", "kind"), [("dis3d_single", PoseCritic3D), ("dis2d_single", PoseCritic2D)])
def test_critics_of_poses(golden: Callable[[str], Any], name: str, kind: type[nn.Module]) -> None:
    case = golden(name)
    critic = kind(case["config"]["dense_dim"])
    critic.load_state_dict(case["state_dict"])
    critic.double()
    real, fake = check_scores(critic, case)
    if "kcs_real" in case:
        torch.testing.assert_close(torch.cat(kcs_features(real), dim=-1), case["kcs_real"], **EXACT)
    check_update(critic, real, fake, case["step"], case["step"]["alpha"][:, 0])


@pytest.mark.parametrize("key", ["pos1_diff1", "pos1_diff0", "pos0_diff1", "pos0_diff0"])
def test_the_critic_of_motions(golden: Callable[[str], Any], key: str) -> None:
    case = golden("dis3d_motion")[key]
    positions, differences = case["config"]["use_pos_branch"], case["config"]["use_diff_branch"]
    critic = load_dh_aug_critic(case["state_dict"], positions, differences).double()
    assert isinstance(critic, MotionCritic3D)
    assert (critic.frames, critic.positions, critic.differences) == (9, positions, differences)
    real, fake = check_scores(critic, case)
    if "step" in case:
        check_update(critic, real, fake, case["step"], case["step"]["alpha"][:, 0])


def test_the_critic_of_motions_in_the_picture(golden: Callable[[str], Any]) -> None:
    case = golden("dis2d_motion")
    critic = load_dh_aug_critic(case["state_dict"]).double()
    assert isinstance(critic, MotionCritic2D)
    real, fake = check_scores(critic, case)
    per_clip, per_frame = case["step_gp_per_clip"], case["step_gp_per_frame_as_released"]
    check_update(copy.deepcopy(critic), real, fake, per_clip, per_clip["alpha"][:, 0])
    check_update(copy.deepcopy(critic), real, fake, per_frame, per_frame["alpha"].view(real.shape[:2]))


def test_the_loss_of_the_generator(golden: Callable[[str], Any]) -> None:
    case = golden("generator_loss")
    widths = case["config"]
    generator = DHGenerator(width=widths["dense_dim_g"], arm_columns="released")
    critic_3d, critic_2d = PoseCritic3D(widths["dense_dim_d3"]), PoseCritic2D(widths["dense_dim_d2"])
    for network, weights in ((generator, "G"), (critic_3d, "D3"), (critic_2d, "D2")):
        network.load_state_dict(case[weights])
        network.double()
    lengths = scale_bones(bone_lengths(case["real_pose"].double()), case["scaler"])
    world = generator.poses(case["noise"].double(), lengths[:, None])[:, 0]
    torch.testing.assert_close(world, case["fake_world"], **EXACT)
    camera = rotate_by_quaternion(quaternion_conjugate(case["quat_wxyz"]), world - case["trans_m"])
    torch.testing.assert_close(camera, case["fake_camera"], **EXACT)
    keypoints = project_published(camera, case["intrinsic9"])
    torch.testing.assert_close(keypoints, case["fake_2d"], **EXACT)

    relative = world - world[:, :1]
    scores = critic_3d(relative), critic_2d(keypoints)
    flipped = mirror(relative, H36M_16), mirror(keypoints, H36M_16)
    for found, name in zip(flipped, ("flipped_3d", "flipped_2d"), strict=True):
        torch.testing.assert_close(found, case[name], **EXACT)
    mirrored = critic_3d(flipped[0]), critic_2d(flipped[1])
    names = ("adv_3d", "adv_2d", "adv_3d_flip", "adv_2d_flip")
    for name, found in zip(names, (*scores, *mirrored), strict=True):
        assert found.mean().item() == pytest.approx(case[name], rel=1e-11)
    loss = widths["w3d"] * wgan_generator_loss(scores[0]) + widths["w2d"] * wgan_generator_loss(scores[1])
    assert loss.item() == pytest.approx(case["gen_loss"], rel=1e-11)
    gradients = torch.autograd.grad(loss, list(generator.parameters()))
    for (name, _), gradient in zip(generator.named_parameters(), gradients, strict=True):
        torch.testing.assert_close(gradient, case["grads"][name], **EXACT)


# -------------------------------------------------------------------------------------------------- critics in general
CRITICS: dict[str, tuple[Callable[[int], Any], tuple[int, ...]]] = {
    "poses 3D": (PoseCritic3D, (16, 3)),
    "poses 2D": (PoseCritic2D, (16, 2)),
    "motions 3D": (lambda width: MotionCritic3D(4, width), (4, 16, 3)),
    "motions 3D, angles only": (lambda width: MotionCritic3D(4, width, False, False), (4, 16, 3)),
    "motions 2D": (lambda width: MotionCritic2D(4, width), (4, 16, 2)),
}


def made(name: str, width: int = 12) -> tuple[Any, tuple[int, ...]]:
    torch.manual_seed(0)
    make, shape = CRITICS[name]
    return make(width).double(), shape


@pytest.mark.parametrize("name", CRITICS)
def test_the_written_gradient_is_that_of_autograd(name: str) -> None:
    critic, shape = made(name)
    items = torch.randn(3, 2, *shape, dtype=torch.float64)
    written = critic.input_gradient(items)
    leaf = items.clone().requires_grad_()
    (expected,) = torch.autograd.grad(critic(leaf).sum(), leaf, create_graph=True)
    torch.testing.assert_close(written, expected, **EXACT)
    parameters, direction = list(critic.parameters()), torch.randn_like(items)
    second = [
        torch.autograd.grad((gradient.square() * direction).sum(), parameters, allow_unused=True)
        for gradient in (written, expected)
    ]
    for parameter, one, other in zip(parameters, *second, strict=True):
        ours, theirs = (torch.zeros_like(parameter) if found is None else found for found in (one, other))
        torch.testing.assert_close(ours, theirs, **EXACT)
    assert any(found is not None and found.abs().max() > 1e-6 for found in second[0])


@pytest.mark.parametrize("name", CRITICS)
def test_scores_of_items_do_not_depend_on_each_other(name: str) -> None:
    critic, shape = made(name)
    items = torch.randn(3, 2, *shape, dtype=torch.float64)
    together = critic(items)
    assert together.shape == (3, 2, 1)
    torch.testing.assert_close(together[1, 1], critic(items[1, 1]))
    torch.testing.assert_close(critic.input_gradient(items)[2], critic.input_gradient(items[2]))


@pytest.mark.parametrize("name", [name for name in CRITICS if "3D" in name])
def test_joints_that_coincide_are_no_trouble(name: str) -> None:
    critic, shape = made(name)
    loss = wgan_critic_loss(
        critic, torch.zeros(2, *shape).double(), torch.zeros(2, *shape).double(), torch.rand(2).double()
    )
    assert loss.loss.isfinite()
    for gradient in torch.autograd.grad(loss.loss, list(critic.parameters()), allow_unused=True):
        assert gradient is None or gradient.isfinite().all()


def test_a_motion_is_seen_whichever_way_a_critic_looks() -> None:
    """A clip that stands still and one that moves, with the same joints in the middle."""
    still = torch.randn(1, 1, 16, 3, dtype=torch.float64).expand(1, 4, -1, -1)
    moved = still + torch.linspace(-1, 1, 4, dtype=torch.float64)[:, None, None] * torch.randn(16, 3).double()
    for name in ("motions 3D", "motions 3D, angles only"):
        critic, _ = made(name)
        assert (critic(still) - critic(moved)).abs() > 1e-6
    critic, _ = made("motions 2D")
    for joint, at_least in ((0, 1e-6), (1, 0)):  # the place of the pelvis counts twice
        other = still[..., :2].clone()
        other[:, 1, joint] += 1
        assert (critic(still[..., :2]) - critic(other)).abs() > at_least


def test_the_critic_of_angles_alone_does_not_see_size() -> None:
    critic, shape = made("motions 3D, angles only")
    clips = torch.randn(2, *shape, dtype=torch.float64)
    torch.testing.assert_close(critic(clips), critic(3 * clips))
    assert (made("motions 3D")[0](clips) - made("motions 3D")[0](3 * clips)).abs().min() > 1e-6


@pytest.mark.parametrize(
    ("make", "millions"),
    [
        (lambda: PoseCritic3D(256), 0.88),
        (lambda: PoseCritic3D(1000), 12.3),
        (lambda: PoseCritic2D(256), 0.27),
        (lambda: PoseCritic2D(1000), 4.04),
        (lambda: MotionCritic3D(9, 256), 1.98),
        (lambda: MotionCritic3D(27, 1000), 27.8),
        (lambda: MotionCritic2D(9, 256), 0.94),
        (lambda: MotionCritic2D(27, 1000), 13.2),
    ],
)
def test_the_published_sizes(make: Callable[[], nn.Module], millions: float) -> None:
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in make().parameters())
    assert count / 1e6 == pytest.approx(millions, rel=0.012)


@pytest.mark.parametrize("name", CRITICS)
def test_other_joints_are_refused(name: str) -> None:
    critic, shape = made(name)
    for wrong in ((*shape[:-2], 17, shape[-1]), (*shape[:-1], 4), (3, *shape[1:]) if len(shape) == 3 else (48,)):
        with pytest.raises(ValueError, match="expected poses of the shape"):
            critic(torch.zeros(2, *wrong).double())
        with pytest.raises(ValueError, match="expected poses of the shape"):
            critic.input_gradient(torch.zeros(2, *wrong).double())


def test_wrong_options() -> None:
    for make in (MotionCritic2D, MotionCritic3D):
        with pytest.raises(LiftposeError, match="frames: expected at least 2 for a critic of motions, found 1"):
            make(1)
    for make in (PoseCritic2D, PoseCritic3D, lambda width: MotionCritic2D(3, width)):
        with pytest.raises(LiftposeError, match="width: expected at least 1, found 0"):
            make(0)
