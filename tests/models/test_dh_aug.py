"""DH-AUG's generator: the public code's numbers, limits, what the options change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.geometry import joint_limits
from liftpose.geometry.bones import bone_lengths, scale_bones
from liftpose.geometry.joint_angles import angles_from_columns
from liftpose.geometry.kinematics import CHAINS
from liftpose.models.dh_aug import DHGenerator
from liftpose.skeletons import H36M_16, H36M_17
from liftpose.weights import read_checkpoint

CASES = {
    "generator_single": ("default", "no_pre_angle", "no_rt", "no_scaler"),
    "generator_video": ("default", "no_pre_angle"),
}


def load(case: dict[str, Any]) -> DHGenerator:
    config = case["config"]
    generator = DHGenerator(
        frames=config["frames"],
        width=config["dense_dim"],
        noise_dim=config["noise_dim"],
        limits=config["use_pre_angle"],
        global_rotation=config["use_rt"],
        arm_columns="released",
    )
    generator.load_state_dict(case["state_dict"])
    return generator.double()


@pytest.mark.parametrize(("name", "key"), [(name, key) for name, keys in CASES.items() for key in keys])
def test_the_numbers_of_the_public_code(reference: Path, name: str, key: str) -> None:
    case = read_checkpoint(reference / "golden" / "dh_aug" / f"{name}.pt")[key]
    generator, frames = load(case), case["config"]["frames"]
    lengths = bone_lengths(case["real_pose"].double().view(-1, frames, 16, 3))
    torch.testing.assert_close(lengths.view(-1, 15), case["bone_len"], rtol=0, atol=1e-12)

    moved = generator(case["noise"].double())
    expected = angles_from_columns(case["angles37"].view(-1, frames, 37), "released")
    torch.testing.assert_close(moved.angles, expected.angles, rtol=0, atol=1e-12)
    rotation = expected.rotation if case["config"]["use_rt"] else torch.zeros_like(expected.rotation)
    torch.testing.assert_close(moved.rotation, rotation, rtol=0, atol=1e-12)

    poses = generator.poses(case["noise"].double(), scale_bones(lengths, case["scaler"][:, None]))
    torch.testing.assert_close(poses.view_as(case["out"]), case["out"], rtol=0, atol=1e-12)
    (poses.view_as(case["out"]) * case["out_weight"].double()).sum().backward()
    for layer, gradient in (("deconv_out", "grad_deconv_weight"), ("preprocess.0", "grad_pre_weight")):
        found = generator.get_parameter(f"{layer}.weight").grad
        torch.testing.assert_close(found, case[gradient], rtol=1e-11, atol=1e-11)


def test_float32_is_close(reference: Path) -> None:
    case = read_checkpoint(reference / "golden" / "dh_aug" / "generator_video.pt")["default"]
    generator = load(case).float()
    lengths = scale_bones(case["bone_len"].view(3, 9, 15), case["scaler"][:, None]).float()
    torch.testing.assert_close(
        generator.poses(case["noise"], lengths).flatten(2), case["out"].float(), rtol=0, atol=1e-4
    )


def excited(**options: Any) -> DHGenerator:
    """A generator whose outputs reach their bounds."""
    torch.manual_seed(1)
    generator = DHGenerator(**({"width": 8} | options)).double()
    torch.nn.init.normal_(generator.deconv_out.weight, std=5.0)
    return generator


def noise(batch: int = 50) -> Tensor:
    return torch.randn(batch, 128, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_angles_keep_and_use_the_intended_limits() -> None:
    moved = excited(frames=4)(noise())
    lower, upper = joint_limits("intended", dtype=torch.float64).unbind(-1)
    angles = moved.angles.flatten(0, 1)
    assert (angles >= lower - 1e-12).all()
    assert (angles <= upper + 1e-12).all()
    torch.testing.assert_close(angles.amin(0), lower, rtol=0, atol=1e-3)
    torch.testing.assert_close(angles.amax(0), upper, rtol=0, atol=1e-3)
    assert moved.rotation.abs().max() <= torch.pi
    assert 9.9 < moved.root.abs().max() <= 10


def test_released_arms_are_off_by_one() -> None:
    """The published slip: no twist of the upper arm, and an elbow that bends backwards."""
    angles = excited(frames=20, arm_columns="released")(noise()).angles.rad2deg().flatten(0, 1)
    for arm in ("right_arm", "left_arm"):
        twist, _, _, elbow, _ = angles[:, CHAINS[arm]].unbind(-1)
        assert (twist == 0).all()
        assert elbow.min().item() == pytest.approx(-100, abs=0.1)
        intended = excited(frames=20)(noise()).angles.rad2deg().flatten(0, 1)[:, CHAINS[arm]]
        assert intended[:, 3].min() >= 0
        assert intended[:, 0].abs().max() > 100


def test_without_limits_every_joint_turns_all_the_way() -> None:
    angles = excited(limits=False)(noise()).angles
    moving = joint_limits("intended").diff(dim=-1)[:, 0] > 0
    assert (angles[..., moving].abs().amax((0, 1)) > 3.1).all()
    assert (angles[..., ~moving] == 0).all()


@given(st.integers(1, 4), st.booleans(), st.sampled_from(["intended", "released"]), st.sampled_from([16, 17]))
def test_poses_have_the_bones_that_were_asked_for(frames: int, limits: bool, arm_columns: str, joints: int) -> None:
    generator = excited(frames=frames, limits=limits, arm_columns=arm_columns)
    lengths = 0.1 + torch.rand(6, frames, 15, dtype=torch.float64)
    poses = generator.poses(noise(6), lengths, joints)
    assert poses.shape == (6, frames, joints, 3)
    if joints == 17:
        poses = poses[..., [H36M_17.index(name) for name in H36M_16.joint_names], :]
    torch.testing.assert_close(bone_lengths(poses), lengths)
    torch.testing.assert_close(poses[..., 0, :], generator(noise(6)).root)


def test_bone_lengths_of_one_frame_serve_all() -> None:
    generator, lengths = excited(frames=3), torch.rand(6, 1, 15, dtype=torch.float64)
    torch.testing.assert_close(generator.poses(noise(6), lengths), generator.poses(noise(6), lengths.expand(-1, 3, -1)))


def test_the_body_can_keep_its_heading() -> None:
    moved = excited(global_rotation=False)(noise())
    assert (moved.rotation == 0).all()
    torch.testing.assert_close(moved.angles, excited()(noise()).angles)


def test_angles_are_not_rounded_by_mixed_precision() -> None:
    generator = excited().float()
    with torch.autocast("cpu", torch.bfloat16):
        moved = generator(noise().float())
    assert {tensor.dtype for tensor in moved} == {torch.float32}


@pytest.mark.filterwarnings("error:.*lru_cache")
def test_compiles_as_one_graph() -> None:
    torch._dynamo.reset()
    generator, lengths = excited(frames=2), 0.1 + torch.rand(6, 2, 15, dtype=torch.float64)
    compiled = torch.compile(generator.poses, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(noise(6), lengths), generator.poses(noise(6), lengths), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "millions"),
    [
        ({"width": 256}, 0.437),
        ({"width": 1000}, 6.17),
        ({"width": 1000, "frames": 9}, 6.45),
        ({"width": 1000, "frames": 27}, 7.08),
    ],
)
def test_the_published_sizes(options: dict[str, int], millions: float) -> None:
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in DHGenerator(**options).parameters())
    assert count / 1e6 == pytest.approx(millions, rel=2e-3)


def test_wrong_options_and_shapes() -> None:
    for option in ("frames", "width", "noise_dim"):
        with pytest.raises(LiftposeError, match=f"{option}: expected at least 1, found 0"):
            DHGenerator(**{option: 0})
    with pytest.raises(LiftposeError, match="arm_columns: expected intended or released, found swapped"):
        DHGenerator(arm_columns="swapped")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\(B, 128\), found \(4, 1, 128\)"):
        excited()(noise(4)[:, None])
    with pytest.raises(ValueError, match="16 or 17, found 32"):
        excited().poses(noise(4), torch.ones(4, 1, 15).double(), 32)
    # Lengths of poses in place of clips would go with the frames, every pose with every person's.
    for shape in ((4, 1, 16), (4, 15), (15,), (3, 1, 15), (4, 2, 15)):
        with pytest.raises(ValueError, match=r"bone_lengths: expected the shape \(4, 1, 15\), found"):
            excited().poses(noise(4), torch.ones(shape).double())
    assert excited(frames=2).poses(noise(4), torch.ones(1, 1, 15).double()).shape == (4, 2, 16, 3)
