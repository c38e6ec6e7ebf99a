"""Bones against the published code's numbers, and what becomes of joints that coincide."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from liftpose.geometry.bones import (
    BONE_LENGTH_TEMPLATES,
    KCS_PAIRS,
    POSEAUG_BONES,
    SCALE_COLUMNS,
    bone_length_templates,
    bone_lengths,
    bone_vectors,
    dress,
    kcs_features,
    poseaug_bones,
    poses_from_bones,
    poses_from_poseaug_bones,
    scale_bones,
)
from liftpose.geometry.kinematics import BONE_JOINTS, BONES, forward_kinematics
from liftpose.skeletons import H36M_16

EXACT = {"rtol": 0.0, "atol": 1e-12}
# PoseAug's nine ratios belong to these bones, in its order.
RATIOS = [0, 1, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 6, 7, 8]
OURS = [POSEAUG_BONES.index(bone) for bone in range(15)]


@pytest.fixture
def golden(reference: Path) -> dict[str, torch.Tensor]:
    with np.load(reference / "golden" / "dh_aug" / "bones.npz") as file:
        data = {key: torch.from_numpy(file[key]) for key in file.files}
    return {key: value.double() if value.is_floating_point() else value for key, value in data.items()}


def random_poses(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, 16, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_vectors_and_lengths_equal_the_published_code(golden: dict[str, torch.Tensor]) -> None:
    poses = golden["pose"]
    torch.testing.assert_close(bone_vectors(poses), golden["bonevec_dh"], **EXACT)
    torch.testing.assert_close(poseaug_bones(poses), golden["bonevec_poseaug"], **EXACT)
    torch.testing.assert_close(bone_lengths(poses)[:, POSEAUG_BONES], golden["bonelen_poseaug"], **EXACT)
    directions = poseaug_bones(poses) / golden["bonelen_poseaug"].unsqueeze(-1)
    torch.testing.assert_close(directions, golden["boneunit_poseaug"], **EXACT)


def test_poses_from_bones_equal_the_published_code(golden: dict[str, torch.Tensor]) -> None:
    hip = torch.zeros(3, dtype=torch.float64)
    pose = poses_from_poseaug_bones(golden["bonevec_poseaug"], hip)
    torch.testing.assert_close(pose, golden["pose_from_bonevec"], **EXACT)
    torch.testing.assert_close(poses_from_bones(golden["bonevec_dh"], golden["pose"][:, 0]), golden["pose"], **EXACT)


def test_other_lengths_equal_the_published_code(golden: dict[str, torch.Tensor]) -> None:
    poses, templates = golden["pose"], golden["templates"][:, OURS]
    swapped = dress(poses, templates[golden["template_idx"]])
    torch.testing.assert_close(swapped, golden["pose_template_swap"], **EXACT)
    ratios = golden["blr9"][:, RATIOS][:, OURS]
    scaled = dress(poses, bone_lengths(poses) * (1 + ratios))
    torch.testing.assert_close(scaled, golden["pose_blaugment"], **EXACT)


def test_templates_are_the_published_ones(golden: dict[str, torch.Tensor]) -> None:
    assert list(BONE_LENGTH_TEMPLATES) == ["S1", "S5", "S6", "S7", "S8"]
    assert torch.equal(bone_length_templates(dtype=torch.float32).double(), golden["templates"][:, OURS])


def test_features_equal_the_published_code(golden: dict[str, torch.Tensor]) -> None:
    cosines, lengths = kcs_features(golden["pose"])
    torch.testing.assert_close(torch.cat((cosines, lengths), dim=-1), golden["kcs30"], **EXACT)
    torch.testing.assert_close(cosines, golden["kcs15"], **EXACT)
    assert len(set(KCS_PAIRS)) == 15
    for first, second in KCS_PAIRS:
        assert set(BONE_JOINTS[first]) & set(BONE_JOINTS[second]), "neighbours share a joint"


def test_scales_are_shared_as_published(reference: Path) -> None:
    bones = json.loads((reference / "spec" / "dh_model.json").read_text())["bones"]
    assert SCALE_COLUMNS == tuple(bone["scaler_column"] for bone in bones)
    lengths, scales = torch.rand(4, 15), torch.rand(4, 8)
    scaled = scale_bones(lengths, scales)
    for bone, column in enumerate(SCALE_COLUMNS):
        factor = 1.0 if column is None else 1 + scales[:, column]
        torch.testing.assert_close(scaled[:, bone], lengths[:, bone] * factor)


def test_bones_are_those_of_the_skeleton() -> None:
    for joint, bone in enumerate(POSEAUG_BONES, start=1):
        assert BONE_JOINTS[bone] == (H36M_16.parents[joint], joint)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.floats(0.05, 2.0))
def test_dressed_poses_have_the_lengths_and_the_old_directions(seed: int, size: float) -> None:
    poses = random_poses(3, seed=seed)
    lengths = size * torch.rand(3, 15, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.01
    dressed = dress(poses, lengths)
    torch.testing.assert_close(bone_lengths(dressed), lengths)
    torch.testing.assert_close(kcs_features(dressed)[0], kcs_features(poses)[0])
    torch.testing.assert_close(dressed[:, 0], poses[:, 0])
    torch.testing.assert_close(dress(dressed, bone_lengths(poses)), poses)
    cosine = torch.nn.functional.cosine_similarity(bone_vectors(dressed), bone_vectors(poses), dim=-1)
    torch.testing.assert_close(cosine, torch.ones_like(cosine))


def test_lengths_of_the_body_are_found_again() -> None:
    random = torch.Generator().manual_seed(0)
    lengths = 0.1 + torch.rand(50, 15, generator=random, dtype=torch.float64)
    angles = torch.randn(50, 33, generator=random, dtype=torch.float64)
    rotation, root = torch.randn(2, 50, 3, generator=random, dtype=torch.float64)
    torch.testing.assert_close(bone_lengths(forward_kinematics(angles, lengths, rotation, root)), lengths)


def test_leading_shapes_broadcast() -> None:
    poses, lengths = random_poses(2, 5), torch.rand(15, dtype=torch.float64)
    assert torch.equal(dress(poses, lengths), dress(poses, lengths.expand(2, 5, 15)))
    moved = poses_from_bones(bone_vectors(poses), torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(moved, poses - poses[..., :1, :])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_coincident_joints_give_finite_numbers(dtype: torch.dtype) -> None:
    poses = random_poses(2).to(dtype)
    poses[0, 6] = poses[0, 5]  # a shin without length
    poses[1] = 0.5  # all joints in one place
    poses.requires_grad_()
    cosines, lengths = kcs_features(poses)
    assert (cosines[0, 0], cosines[1].abs().max()) == (0, 0)
    assert lengths[0, BONES.index("left_shin")] == lengths[1].max()
    assert lengths[1].max().item() == pytest.approx(1e-8)
    assert bone_lengths(poses)[1].max() == 0
    dressed = dress(poses, torch.full((15,), 0.3, dtype=dtype))
    assert torch.equal(dressed[0, 6], dressed[0, 5])
    assert torch.equal(dressed[1], poses[1])
    for value in (cosines, lengths, bone_lengths(poses), dressed):
        (first,) = torch.autograd.grad(value.square().sum(), poses, create_graph=True)
        assert first.isfinite().all()
        # The gradient penalty of a critic takes the derivative of the norm of this gradient.
        (second,) = torch.autograd.grad(first.square().sum(), poses, retain_graph=True)
        assert second.isfinite().all()


def test_derivatives_of_the_features() -> None:
    poses = random_poses(2).requires_grad_()
    assert torch.autograd.gradcheck(kcs_features, (poses,))
    assert torch.autograd.gradgradcheck(kcs_features, (poses,))


def test_autocast_does_not_touch_bones() -> None:
    poses = random_poses(4).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = dress(poses, bone_length_templates(dtype=torch.float32)[0])
    assert torch.equal(inside, dress(poses, bone_length_templates(dtype=torch.float32)[0]))
    assert kcs_features(poses.bfloat16())[0].dtype == torch.float32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: bone_vectors(torch.zeros(4, 17, 3)),
            r"poses: expected the shape \(\.\.\., 16, 3\), found \(4, 17, 3\)",
        ),
        (lambda: kcs_features(torch.zeros(48)), r"found \(48,\)"),
        (lambda: dress(torch.zeros(4, 16, 3), torch.zeros(4, 16)), r"lengths: expected the shape \(\.\.\., 15\)"),
        (lambda: scale_bones(torch.zeros(15), torch.zeros(15)), r"scales: expected the shape \(\.\.\., 8\)"),
        (lambda: poses_from_bones(torch.zeros(16, 3), torch.zeros(3)), r"vectors: expected the shape"),
        (lambda: poses_from_poseaug_bones(torch.zeros(15, 3), torch.zeros(2)), r"root: expected the shape"),
    ],
)
def test_wrong_shapes_are_told(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]
