"""The pose of one camera to another, against OpenCV, the reference data and closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from liftpose.geometry import axis_angle_to_matrix
from liftpose.geometry.camera_pairs import camera_rays
from liftpose.geometry.epipolar import essential_from_pose
from liftpose.geometry.moving_pairs import fit_pair_frames
from liftpose.geometry.relative_pose import pose_from_essential, ray_depths, rotation_between_rays


def two_cameras(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return R, t and points in front of both cameras, in their frames, and the depths in both."""
    random = torch.Generator().manual_seed(seed)
    R = axis_angle_to_matrix(0.6 * torch.randn(3, generator=random, dtype=torch.float64))
    points = torch.randn(12, 3, generator=random, dtype=torch.float64) * 0.5 + torch.tensor([0.0, 0.0, 5.0])
    middle = points.mean(0)
    t = torch.tensor([0.0, 0.0, 5.0]).double() - R @ middle + 0.3 * torch.randn(3, generator=random).double()
    other = points @ R.T + t
    return R, t, points, other, torch.stack((points[:, 2], other[:, 2]))


@given(seed=st.integers(0, 2**31), sign=st.sampled_from([-1.0, 1.0]), size=st.floats(1e-3, 1e3))
def test_the_one_pose_is_found_whatever_sign_and_size_the_matrix_has(seed: int, sign: float, size: float) -> None:
    R, t, points, other, depths = two_cameras(seed)
    first, second = points[:, :2] / points[:, 2:], other[:, :2] / other[:, 2:]
    pose = pose_from_essential(sign * size * essential_from_pose(R, t), first, second)
    assert bool(pose.valid) and bool(pose.in_front.all())
    torch.testing.assert_close(pose.R, R, rtol=0, atol=1e-7)
    torch.testing.assert_close(pose.t, t / t.norm(), rtol=0, atol=1e-7)
    found = ray_depths(R, t, first, second)
    torch.testing.assert_close(torch.stack((found.first, found.second)), depths, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("pair", [0, 1, 2])
def test_poses_are_those_of_the_reference(reference: Path, pair: int) -> None:
    golden = np.load(reference / "golden/epipolar/two_view.npz")
    first, second = golden["pairs"][pair]
    for noise in (0, 1):
        points, intrinsics = torch.from_numpy(golden[f"u_s{noise}"]), torch.from_numpy(golden["K"])
        rays = [
            torch.linalg.solve(intrinsics[view], torch.cat((points[view], torch.ones(10, 17, 1)), -1).mT).mT[..., :2]
            for view in (first, second)
        ]
        pose = pose_from_essential(torch.from_numpy(golden[f"E8_s{noise}_p{pair}"]), *rays)
        clear = torch.from_numpy(golden[f"cheir_count_s{noise}_p{pair}"] >= 15) & pose.valid
        assert int(clear.sum()) >= 5
        for found, name in ((pose.R, "R"), (pose.t, "t")):
            wanted = torch.from_numpy(golden[f"{name}_s{noise}_p{pair}"])
            torch.testing.assert_close(found[clear], wanted[clear], rtol=0, atol=1e-9)


def test_poses_are_those_of_opencv(make_scene: Callable[..., Any]) -> None:
    scene = make_scene(10)
    rays = camera_rays(scene.cameras, scene.noisy(0.5))
    for frame in range(10):
        a, b = rays[frame, 0].numpy(), rays[frame, 1].numpy()
        matrix, _ = cv2.findEssentialMat(a, b, np.eye(3), method=cv2.RANSAC, threshold=0.002)
        count, R, t, _ = cv2.recoverPose(matrix[:3], a, b, np.eye(3))
        pose = pose_from_essential(torch.from_numpy(matrix[:3]), rays[frame, 0], rays[frame, 1])
        assert count > 8 and bool(pose.valid)
        torch.testing.assert_close(pose.R, torch.from_numpy(R), rtol=0, atol=1e-9)
        torch.testing.assert_close(pose.t, torch.from_numpy(t[:, 0]), rtol=0, atol=1e-9)


def test_what_is_no_essential_matrix_has_no_pose() -> None:
    rays = torch.randn(3, 9, 2, dtype=torch.float64)
    matrix = torch.stack((torch.zeros(3, 3), torch.full((3, 3), torch.nan), torch.eye(3))).double()
    pose = pose_from_essential(matrix[:2], rays[:2], rays[:2])
    assert not bool(pose.valid.any()) and not bool(pose.in_front.any())
    assert torch.equal(pose.R, torch.eye(3).double().expand(2, -1, -1)) and bool((pose.t == 0).all())
    unknown = torch.full((1, 9, 2), torch.nan, dtype=torch.float64)
    nobody = pose_from_essential(essential_from_pose(torch.eye(3), torch.ones(3)).double()[None], unknown, unknown)
    assert not bool(nobody.valid.any()) and bool(nobody.t.isfinite().all())


def test_a_rotation_alone_is_recognised() -> None:
    R, _, points, _, _ = two_cameras(3)
    turned = points @ R.T
    first, second = points[:, :2] / points[:, 2:], turned[:, :2] / turned[:, 2:]
    rotation, left = rotation_between_rays(first, second)
    torch.testing.assert_close(rotation, R, rtol=0, atol=1e-9)
    assert float(left) < 1e-9
    shifted = points @ R.T + torch.tensor([2.0, 0.0, 0.0])
    _, left = rotation_between_rays(first, shifted[:, :2] / shifted[:, 2:])
    assert float(left) > 0.005
    frames = fit_pair_frames(first[None], second[None], threshold=0.002)
    assert not bool(frames.valid.any()) and bool(frames.points.isfinite().all())


def test_parallel_rays_have_no_depth() -> None:
    same = torch.zeros(1, 2, dtype=torch.float64)
    depths = ray_depths(torch.eye(3).double(), torch.tensor([1.0, 0, 0]).double(), same, same)
    assert depths.first.tolist() == depths.second.tolist() == depths.angle.tolist() == [0]


def test_frames_by_themselves_are_as_exact_as_noise_lets_them(make_scene: Callable[..., Any]) -> None:
    scene = make_scene(60)
    R = scene.cameras.R[1] @ scene.cameras.R[0].T
    errors = {}
    for noise in (0.0, 1.0):
        rays = camera_rays(scene.cameras, scene.noisy(noise))
        found = fit_pair_frames(rays[:, 0], rays[:, 1], threshold=3 / 1145)
        cosine = ((found.R @ R.T).diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
        errors[noise] = math.degrees(float(cosine.clamp(-1, 1).acos()[found.valid].median()))
        assert float(found.valid.double().mean()) > 0.8
    assert errors[0.0] < 1e-4 and 1 < errors[1.0] < 30
