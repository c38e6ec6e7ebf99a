"""Joint angles from joints: there and back, what is unique, what the body cannot do, and joints that coincide."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor

from liftpose.geometry.bones import bone_lengths, bone_vectors
from liftpose.geometry.inverse_kinematics import BodyPose, inverse_kinematics
from liftpose.geometry.kinematics import BONES, CHAINS, JOINT_VARIABLES, forward_kinematics, joint_limits

# What the joints do not show, and what moves nothing.
BODY = CHAINS["body"].start
HIDDEN = [*(BODY + number for number in (0, 1, 3, 7, 9, 12)), *(part.stop - 1 for part in CHAINS.values())]
SHOWN = [number for number in range(JOINT_VARIABLES) if number not in HIDDEN]


def bodies(count: int, limits: str, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    random = torch.Generator().manual_seed(seed)
    low, high = joint_limits(limits, dtype=dtype).unbind(-1)
    angles = low + (high - low) * torch.rand(count, JOINT_VARIABLES, generator=random, dtype=dtype)
    lengths = 0.05 + 0.4 * torch.rand(count, 15, generator=random, dtype=dtype)
    rotation = torch.tensor([3.1, 1.5, 3.1], dtype=dtype) * (
        2 * torch.rand(count, 3, generator=random, dtype=dtype) - 1
    )
    return angles, lengths, rotation, torch.randn(count, 3, generator=random, dtype=dtype)


def again(body: BodyPose) -> Tensor:
    return forward_kinematics(body.angles, body.bone_lengths, body.rotation, body.root)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.sampled_from(["intended", "random"]))
def test_poses_of_the_body_come_back(seed: int, limits: str) -> None:
    angles, lengths, rotation, root = bodies(50, limits, seed)
    poses = forward_kinematics(angles, lengths, rotation, root)
    body = inverse_kinematics(poses)
    torch.testing.assert_close(again(body), poses, rtol=0, atol=1e-9)
    torch.testing.assert_close(body.bone_lengths, lengths, rtol=0, atol=1e-12)
    assert body.residual.max() < 1e-9
    assert torch.equal(body.root, poses[:, 0])


def test_single_precision_is_as_good_as_it_can_be() -> None:
    poses = forward_kinematics(*bodies(5000, "intended", dtype=torch.float32))
    body = inverse_kinematics(poses)
    assert body.angles.dtype == torch.float32
    torch.testing.assert_close(again(body), poses, rtol=0, atol=1e-5)


def test_angles_come_back_where_there_is_only_one_way() -> None:
    angles, lengths, rotation, root = bodies(2000, "random")
    angles[:, HIDDEN] = 0
    body = inverse_kinematics(forward_kinematics(angles, lengths, rotation, root))
    torch.testing.assert_close(body.angles, angles, rtol=0, atol=1e-6)
    torch.testing.assert_close(body.rotation, rotation, rtol=0, atol=1e-6)


def test_hidden_angles_are_zero() -> None:
    body = inverse_kinematics(forward_kinematics(*bodies(200, "random")))
    assert (body.angles[:, HIDDEN] == 0).all()
    assert (body.angles[:, SHOWN] != 0).any(0).all()


def test_wide_arm_and_leg_angles_stay_within_the_intended_limits() -> None:
    angles, lengths, rotation, root = bodies(3000, "intended")
    angles[:, HIDDEN] = 0
    angles[:, CHAINS["body"]] *= 0.2  # a trunk that bends by more than 90 degrees has other names for the same place
    body = inverse_kinematics(forward_kinematics(angles, lengths, rotation, root))
    limits = joint_limits("intended", dtype=torch.float64)
    assert (body.angles >= limits[:, 0] - 1e-9).all()
    assert (body.angles <= limits[:, 1] + 1e-9).all()


def test_straight_limbs_have_no_twist() -> None:
    angles, lengths, rotation, root = bodies(1000, "random")
    angles[:, HIDDEN] = 0
    for chain in ("right_leg", "left_leg", "right_arm", "left_arm"):
        angles[:, CHAINS[chain].start] = 0
        angles[:, CHAINS[chain].start + 3] = 0
    poses = forward_kinematics(angles, lengths, rotation, root)
    body = inverse_kinematics(poses)
    torch.testing.assert_close(again(body), poses, rtol=0, atol=1e-9)
    for chain in ("right_leg", "left_leg", "right_arm", "left_arm"):
        torch.testing.assert_close(body.angles[:, CHAINS[chain]], angles[:, CHAINS[chain]], rtol=0, atol=1e-6)


def test_the_body_bends_the_right_way() -> None:
    """Standing people of one metre per bone, with one joint moved by hand."""
    zero = torch.zeros(3, dtype=torch.float64)
    pose = forward_kinematics(zero.new_zeros(33), zero.new_ones(15), zero, zero)
    forward_head, bent_elbow, raised_knee = pose.clone(), pose.clone(), pose.clone()
    forward_head[9] = pose[8] + torch.tensor([0, 1, 1]) / 2**0.5
    bent_elbow[15] = pose[14] + torch.tensor([0.0, 1, 0])
    raised_knee[5:7] += torch.tensor([0.0, 1, 1])  # the left thigh points forward, the shin hangs
    expected = [
        (CHAINS["body"].start + 10, 45),
        (CHAINS["right_arm"].start + 3, 90),
        (CHAINS["left_leg"].start + 2, 90),
    ]
    for moved, (variable, degrees) in zip((forward_head, bent_elbow, raised_knee), expected, strict=True):
        found = inverse_kinematics(moved)
        assert found.angles[variable].rad2deg().item() == pytest.approx(degrees)
        assert found.residual.max() < 1e-12
    assert found.angles[CHAINS["left_leg"].start + 3].rad2deg().item() == pytest.approx(-90)


def test_any_pose_keeps_its_bones() -> None:
    """The hips and shoulders of a real body are not on one line; all other bones keep their directions."""
    poses = torch.randn(300, 16, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    body = inverse_kinematics(poses)
    torch.testing.assert_close(body.bone_lengths, bone_lengths(poses))
    bent = {BONES.index(f"{side}_{pair}") for side in ("left", "right") for pair in ("hip", "shoulder")}
    others = [bone for bone in range(15) if bone not in bent]
    torch.testing.assert_close(bone_vectors(again(body))[:, others], bone_vectors(poses)[:, others])
    distance = (again(body) - poses).norm(dim=-1)
    torch.testing.assert_close(body.residual, distance)
    assert body.residual[:, [0, 7, 8, 9]].max() < 1e-12
    for start, rest in ((1, (2, 3)), (4, (5, 6)), (10, (11, 12)), (13, (14, 15))):
        for joint in rest:  # a limb moves along with its hip or shoulder
            torch.testing.assert_close(distance[:, joint], distance[:, start])


@pytest.mark.parametrize(("right", "left", "center"), [(1, 4, 0), (13, 10, 8)])
def test_the_line_of_hips_and_shoulders_is_the_best_one(right: int, left: int, center: int) -> None:
    poses = torch.randn(5, 16, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = inverse_kinematics(poses).residual[:, [right, left]].square().sum(-1)
    for pose, squares in zip(poses.numpy(), found, strict=True):
        arms = pose[[right, left]] - pose[center]
        lengths = np.linalg.norm(arms, axis=1, keepdims=True) * [[1], [-1]]

        def cost(direction: np.ndarray, arms: np.ndarray = arms, lengths: np.ndarray = lengths) -> float:
            return float(((lengths * direction / np.linalg.norm(direction) - arms) ** 2).sum())

        best = min(minimize(cost, start).fun for start in np.vstack((np.eye(3), -np.eye(3))))
        assert squares.item() == pytest.approx(best, rel=1e-6)


def degenerate() -> dict[str, Tensor]:
    angles, lengths, rotation, root = bodies(1, "random", seed=5)
    pose = forward_kinematics(angles, lengths, rotation, root)[0]
    cases = {"everything in one place": torch.full((16, 3), 0.3, dtype=torch.float64)}
    for joint, parent in ((6, 5), (2, 1), (9, 8), (7, 0), (8, 7)):
        cases[f"no bone from {parent} to {joint}"] = pose.clone()
        cases[f"no bone from {parent} to {joint}"][joint] = pose[parent]
    for name, joints, place in (("no hips", (1, 4), 0), ("no shoulders", (10, 13), 8)):
        cases[name] = pose.clone()
        cases[name][list(joints)] = pose[place]
    cases["no trunk"] = pose.clone()
    cases["no trunk"][[7, 8]] = pose[0]
    cases["all on a line"] = torch.arange(48, dtype=torch.float64).reshape(16, 3)
    cases["both hips on one side"] = pose.clone()
    cases["both hips on one side"][4] = pose[1]
    cases["a spine along the hips"] = pose.clone()
    cases["a spine along the hips"][7] = pose[0] + 0.5 * (pose[1] - pose[0])
    return cases


@pytest.mark.parametrize("name", degenerate())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_odd_poses_give_finite_angles(name: str, dtype: torch.dtype) -> None:
    pose = degenerate()[name].to(dtype)
    body = inverse_kinematics(pose)
    for value in body:
        assert value.isfinite().all()
    end = 1e-9 if dtype == torch.float64 else 1e-4
    line = {bone for bone in range(15) if "hip" in BONES[bone] or "shoulder" in BONES[bone]}
    others = [bone for bone in range(15) if bone not in line]
    torch.testing.assert_close(bone_vectors(again(body))[others], bone_vectors(pose)[others], rtol=0, atol=end)


@pytest.mark.parametrize("joint", range(16))
def test_missing_joints_show_in_the_residual(joint: int) -> None:
    poses = forward_kinematics(*bodies(2, "random"))
    poses[1, joint, 0] = torch.nan
    residual = inverse_kinematics(poses).residual
    assert residual[0].max() < 1e-9
    assert residual[1].isnan().any()


def test_shapes_and_gradients() -> None:
    poses = forward_kinematics(*bodies(6, "random")).reshape(2, 3, 16, 3).requires_grad_()
    body = inverse_kinematics(poses)
    shapes = [tuple(value.shape) for value in body]
    assert shapes == [(2, 3, 33), (2, 3, 3), (2, 3, 3), (2, 3, 15), (2, 3, 16)]
    assert not any(value.requires_grad for value in body)
    one = inverse_kinematics(poses[1, 2])
    torch.testing.assert_close(one.angles, body.angles[1, 2])
    assert inverse_kinematics(poses[:0]).angles.shape == (0, 3, 33)
    with pytest.raises(ValueError, match=r"poses: expected the shape \(\.\.\., 16, 3\), found \(17, 3\)"):
        inverse_kinematics(torch.zeros(17, 3))
