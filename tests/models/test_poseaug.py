"""PoseAug's networks: the public code's numbers, what each generator leaves alone, the parts that the critic sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from liftpose.errors import LiftposeError
from liftpose.geometry import rigid_alignment
from liftpose.geometry.bones import POSEAUG_BONES, bone_lengths, bone_vectors
from liftpose.models.dh_critics import PoseCritic2D
from liftpose.models.poseaug import (
    BoneAngleGenerator,
    BoneLengthGenerator,
    CameraGenerator,
    PartCritic3D,
    PoseAugGenerator,
    PoseAugNoise,
    initialize,
)
from liftpose.skeletons import H36M_16
from liftpose.weights import read_checkpoint
from liftpose.weights.dh_aug_gan import load_dh_aug_critic, load_poseaug_generator

EXACT = {"rtol": 0, "atol": 1e-12}
TRUNK = [POSEAUG_BONES[6], POSEAUG_BONES[7]]


@pytest.fixture
def golden(reference: Path) -> Callable[[str], dict[str, Any]]:
    """A file with numbers of the public code."""
    return lambda name: read_checkpoint(reference / "golden" / "dh_aug" / f"{name}.pt")


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_numbers_of_the_public_generator(golden: Callable[[str], Any], mode: str) -> None:
    case = golden("poseaug_generator")
    generator = load_poseaug_generator(case["state_dict"]).double().train(mode == "train")
    draws = (case[mode][f"noise_{kind}"].double() for kind in ("ba", "bl", "r", "t"))
    made = generator(case["pose"].double(), PoseAugNoise(*draws))
    keys = ("pose_ba", "ba_diff", "pose_bl", "blr", "pose_rt", "axis_angle", "trans")
    for found, key in zip(made, keys, strict=True):
        torch.testing.assert_close(found, case[mode][key].view_as(found), **EXACT)


def test_the_numbers_of_the_public_critics(golden: Callable[[str], Any]) -> None:
    case = golden("poseaug_discriminators")
    for weights, pose, expected, kind in (
        ("D3", "pose3d", "out3", PartCritic3D),
        ("D2", "pose2d", "out2", PoseCritic2D),
    ):
        critic = load_dh_aug_critic(case[weights]).double()
        assert isinstance(critic, kind)
        torch.testing.assert_close(critic(case[pose].double()), case[expected], **EXACT)


# ---------------------------------------------------------------------------------------------------------- generators
def people(count: int = 6) -> Tensor:
    return torch.randn(count, 16, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def noise(seed: int = 0, count: int = 6) -> Tensor:
    return torch.randn(count, 48, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def made(kind: type[nn.Module]) -> Any:
    torch.manual_seed(0)
    network = kind(16)
    initialize(network)
    return network.double()


def directions(poses: Tensor) -> Tensor:
    return torch.nn.functional.normalize(bone_vectors(poses), dim=-1)


def test_bones_are_turned_and_nothing_else() -> None:
    poses = people()
    angled, change = made(BoneAngleGenerator)(poses, noise())
    torch.testing.assert_close(bone_lengths(angled), bone_lengths(poses), **EXACT)
    torch.testing.assert_close(angled[:, 0], poses[:, 0], **EXACT)
    cosine = (directions(angled) * directions(poses)).sum(-1)
    torch.testing.assert_close(change, (1 - cosine)[:, list(POSEAUG_BONES)], **EXACT)
    assert (cosine[:, TRUNK] > 1 - 1e-12).all()
    others = [bone for bone in range(15) if bone not in TRUNK]
    assert (cosine[:, others] < 1 - 1e-6).all()


def test_bones_are_lengthened_alike_on_both_sides_and_nothing_else() -> None:
    poses = people()
    resized, ratios = made(BoneLengthGenerator)(poses, poses, noise())
    torch.testing.assert_close(directions(resized), directions(poses), **EXACT)
    torch.testing.assert_close(resized[:, 0], poses[:, 0], **EXACT)
    growth = bone_lengths(resized) / bone_lengths(poses) - 1
    torch.testing.assert_close(
        growth[:, 0:14:2][:, [0, 1, 2, 4, 5, 6]], growth[:, 1:14:2][:, [0, 1, 2, 4, 5, 6]], **EXACT
    )
    assert growth.abs().max() <= 0.2
    assert (growth[:, 7].abs() < 1e-12).all()
    assert (growth[:, [0, 2, 4, 6, 8, 10, 12, 14]].abs() > 1e-9).all()
    assert (ratios[:, 4] == 0).all()


def test_the_whole_body_is_turned_and_moved_before_the_camera() -> None:
    poses = people()
    moved, axis_angle, translation = made(CameraGenerator)(poses, poses, noise(1), noise(2))
    torch.testing.assert_close(moved[:, 0], translation, **EXACT)
    assert (translation[:, 2] >= 0).all()
    fitted = rigid_alignment(poses, moved)
    x, y, z = axis_angle.detach().unbind(-1)
    o = torch.zeros_like(x)
    cross = torch.stack((o, -z, y, z, o, -x, -y, x, o), dim=-1).view(-1, 3, 3)
    torch.testing.assert_close(fitted.rotation.detach(), torch.linalg.matrix_exp(cross), rtol=0, atol=1e-9)
    assert axis_angle.abs().max() <= 3.1415


def test_every_noise_has_its_own_effect() -> None:
    generator, poses = made(PoseAugGenerator).eval(), people()
    still = PoseAugNoise(*(noise(seed) for seed in range(4)))
    before = generator(poses, still)
    steps = {"angles": "angled", "lengths": "resized", "rotation": "axis_angle", "translation": "translation"}
    for name, first in steps.items():
        after = generator(poses, still._replace(**{name: noise(9)}))
        changed = {field for field in after._fields if not torch.equal(getattr(before, field), getattr(after, field))}
        assert first in changed
        assert "moved" in changed
        assert not changed & set(list(steps.values())[: list(steps).index(name)])


def test_bones_without_length_are_no_trouble() -> None:
    generator = made(PoseAugGenerator)
    found = generator(torch.zeros(4, 16, 3).double(), PoseAugNoise(*(noise(k, 4) for k in range(4))))
    assert all(tensor.isfinite().all() for tensor in found)
    total = torch.stack([tensor.square().mean() for tensor in found]).sum()
    for gradient in torch.autograd.grad(total, list(generator.parameters()), allow_unused=True):
        assert gradient is None or gradient.isfinite().all()


def test_the_published_size() -> None:
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in PoseAugGenerator().parameters())
    assert count / 1e6 == pytest.approx(1.18, rel=5e-3)


def test_weights_are_drawn_as_published() -> None:
    torch.manual_seed(0)
    generator = PoseAugGenerator(512)
    bias = generator.BAprocess.linear_stages[0].w1.bias.clone()
    initialize(generator)
    weight = generator.BAprocess.linear_stages[0].w1.weight
    assert weight.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.01)
    torch.testing.assert_close(generator.BAprocess.linear_stages[0].w1.bias, bias)


@pytest.mark.parametrize("shape", [(4, 17, 3), (4, 48), (4, 1, 16, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    draws = PoseAugNoise(*(noise(k, 4) for k in range(4)))
    with pytest.raises(ValueError, match=r"\(B, 16, 3\)"):
        made(PoseAugGenerator)(torch.zeros(shape).double(), draws)
    with pytest.raises(ValueError, match=r"noise: expected the shape \(6, 48\), found \(4, 48\)"):
        made(PoseAugGenerator)(people(), draws)
    for kind in (PoseAugGenerator, BoneAngleGenerator, PartCritic3D):
        with pytest.raises(LiftposeError, match="width: expected at least 1, found 0"):
            kind(0)


# -------------------------------------------------------------------------------------------------------------- critic
def test_each_part_is_seen_by_its_own_critic() -> None:
    critic, pose = made(PartCritic3D), people(1)
    seen: dict[str, set[int]] = {}
    for joint, name in enumerate(H36M_16.joint_names):
        other = pose.clone()
        other[:, joint] += torch.tensor([0.3, -0.2, 0.5])
        changed = ((critic(other) - critic(pose)).abs() > 1e-9)[0]
        seen[name] = set(changed.nonzero().flatten().tolist())
    left_arm, right_arm, right_leg, left_leg, trunk = range(5)
    assert seen["left_wrist"] == {left_arm}
    assert seen["right_wrist"] == {right_arm}
    assert seen["right_ankle"] == {right_leg}
    assert seen["left_ankle"] == {left_leg}
    assert seen["head"] == {trunk}
    assert seen["left_hip"] == {right_leg, left_leg, trunk}
    assert seen["pelvis"] == {right_leg, left_leg, trunk}


def test_the_critic_of_parts_sees_neither_size_nor_heading_nor_place() -> None:
    critic, poses = made(PartCritic3D), people()
    scores = critic(poses)
    assert scores.shape == (6, 5)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))
    torch.testing.assert_close(critic(2.5 * poses @ turn + 7), scores)
    torch.testing.assert_close(critic(poses[:, None])[:, 0], scores)
