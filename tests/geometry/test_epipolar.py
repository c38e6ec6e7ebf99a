"""Fundamental and essential matrices, against OpenCV, the epipolar equation and the reference data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kornia.geometry.epipolar import sampson_epipolar_distance
from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.geometry import h36m_cameras
from liftpose.geometry.camera_pairs import camera_rays
from liftpose.geometry.epipolar import (
    epipolar_lines,
    essential_from_fundamental,
    essential_from_pose,
    fit_essential_ransac,
    fit_fundamental,
    fit_fundamental_ransac,
    fundamental_from_cameras,
    sampson_distance,
)
from liftpose.geometry.moving_pairs import fit_essential_frames


def signed(matrix: Tensor, like: Tensor) -> Tensor:
    """Return matrices of norm 1 with the sign of others."""
    matrix = matrix / matrix.norm(dim=(-2, -1), keepdim=True)
    return matrix * (matrix * like).sum((-2, -1), keepdim=True).sign()


def homogeneous(points: Tensor) -> Tensor:
    return torch.cat((points, torch.ones_like(points[..., :1])), -1)


@pytest.fixture(scope="module")
def scene(make_scene: Callable[..., Any]) -> Any:
    return make_scene(60)


def truth(scene: Any, first: int = 0, second: int = 1) -> Tensor:
    """Return the essential matrix of two cameras of a scene."""
    cameras = scene.cameras
    R = cameras.R[second] @ cameras.R[first].T
    return signed(essential_from_pose(R, cameras.t[second] - R @ cameras.t[first]), torch.ones(3, 3))


def test_eight_points_are_those_of_opencv(scene: Any) -> None:
    noisy = scene.noisy(1.0)
    fit = fit_fundamental(noisy[:20, 0], noisy[:20, 1])
    assert bool(fit.valid.all())
    for frame in range(20):
        matrix, _ = cv2.findFundamentalMat(noisy[frame, 0].numpy(), noisy[frame, 1].numpy(), cv2.FM_8POINT)
        torch.testing.assert_close(
            fit.matrix[frame], signed(torch.from_numpy(matrix), fit.matrix[frame]), rtol=0, atol=1e-6
        )


@pytest.mark.parametrize("noise", [0, 1])
@pytest.mark.parametrize("pair", [0, 1, 2])
def test_eight_points_are_those_of_the_reference(reference: Path, noise: int, pair: int) -> None:
    golden = np.load(reference / "golden/epipolar/two_view.npz")
    points = torch.from_numpy(golden[f"u_s{noise}"])
    first, second = golden["pairs"][pair]
    fit = fit_fundamental(points[first], points[second])
    wanted = torch.from_numpy(golden[f"F8_s{noise}_p{pair}"])
    torch.testing.assert_close(fit.matrix, signed(wanted, fit.matrix), rtol=0, atol=1.4e-6)
    intrinsics = torch.from_numpy(golden["K"])
    essential = essential_from_fundamental(fit.matrix, intrinsics[first], intrinsics[second])
    theirs = torch.from_numpy(golden[f"E8_s{noise}_p{pair}"])
    u, s, vh = torch.linalg.svd(theirs)
    middle = s[:, :2].mean(1)
    nearest = u @ torch.diag_embed(torch.stack((middle, middle, torch.zeros_like(middle)), -1)) @ vh
    torch.testing.assert_close(essential, signed(nearest, essential), rtol=0, atol=1e-5)


@pytest.mark.parametrize("pair", [0, 1, 2])
def test_fundamental_matrices_of_cameras_are_those_of_the_reference(reference: Path, pair: int) -> None:
    from liftpose.geometry import Camera

    golden = np.load(reference / "golden/epipolar/two_view.npz")
    tensors = {name: torch.from_numpy(golden[name]) for name in ("R", "tvec", "K")}
    size, none = torch.full((4, 2), 1000.0).double(), torch.zeros(4, 5).double()
    cameras = Camera(tensors["R"], tensors["tvec"].squeeze(-1), tensors["K"], none, "none", size)
    first, second = golden["pairs"][pair]
    found = fundamental_from_cameras(cameras[first], cameras[second])
    torch.testing.assert_close(found, signed(torch.from_numpy(golden[f"F_from_P_p{pair}"]), found), rtol=0, atol=1e-9)


def test_points_of_cameras_lie_on_their_epipolar_lines() -> None:
    cameras = h36m_cameras("S9").to(dtype=torch.float64)
    points = torch.randn(30, 3, dtype=torch.float64) * 0.4 + torch.tensor([0.0, 0.0, 1.0])
    pixels = cameras.undistort(cameras.project(cameras.to_camera(points.expand(4, -1, -1))))
    matrix = fundamental_from_cameras(cameras[0], cameras[2])
    lines = epipolar_lines(matrix, pixels[0])
    torch.testing.assert_close(lines[:, :2].norm(dim=-1), torch.ones(30, dtype=torch.float64))
    # The published rotations are such to seven digits only.
    assert float((lines * homogeneous(pixels[2])).sum(-1).abs().max()) < 1e-4
    moved = pixels[2] + 3 * lines[:, :2]  # three pixels off the line, at a right angle to it
    torch.testing.assert_close((lines * homogeneous(moved)).sum(-1), torch.full((30,), 3.0).double(), rtol=0, atol=1e-4)


@given(seed=st.integers(0, 2**31), scale=st.floats(1e-3, 1e3))
def test_sampson_distances_are_those_of_kornia_and_do_not_depend_on_the_size_of_the_matrix(
    seed: int, scale: float
) -> None:
    random = torch.Generator().manual_seed(seed)
    matrix = torch.randn(2, 3, 3, generator=random, dtype=torch.float64)
    first, second = (torch.randn(2, 9, 2, generator=random, dtype=torch.float64) for _ in range(2))
    found = sampson_distance(matrix, first, second)
    torch.testing.assert_close(found.square(), sampson_epipolar_distance(first, second, matrix), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(found, sampson_distance(scale * matrix, first, second), rtol=1e-9, atol=1e-12)


def test_a_sampson_distance_of_nan_stays_nan() -> None:
    matrix = torch.full((3, 3), torch.nan)
    assert bool(sampson_distance(matrix, torch.zeros(4, 2), torch.zeros(4, 2)).isnan().all())


def test_unknown_points_and_points_without_weight_do_not_count(scene: Any) -> None:
    noisy = scene.noisy(1.0)
    first, second = noisy[:5, 0].clone(), noisy[:5, 1].clone()
    alone = fit_fundamental(first[:, :12], second[:, :12]).matrix
    first[:, 12:14] = torch.nan
    second[:, 14:] = 1e5
    weights = torch.ones(5, 17, dtype=torch.float64)
    weights[:, 14:] = 0
    torch.testing.assert_close(fit_fundamental(first, second, weights).matrix, alone, rtol=0, atol=1e-9)


def test_too_few_points_are_said_to_be_no_matrix(scene: Any) -> None:
    first, second = scene.keypoints_2d[:3, 0].clone(), scene.keypoints_2d[:3, 1].clone()
    first[1, :10] = torch.nan  # seven are left
    fit = fit_fundamental(first, second)
    assert fit.valid.tolist() == [True, False, True]
    assert bool((fit.matrix[1] == 0).all()) and bool(fit.matrix.isfinite().all())
    fewer = fit_fundamental(first[:, :7], second[:, :7])
    assert not bool(fewer.valid.any()) and fewer.matrix.shape == (3, 3, 3)


def test_ransac_finds_the_matrix_of_most_points(scene: Any) -> None:
    rays = camera_rays(scene.cameras, scene.noisy(1.0, outliers=0.2))
    wrong = (scene.noisy(1.0, outliers=0.2) - scene.keypoints_2d).norm(dim=-1)[:, :2].amax(1).flatten() > 30
    threads = torch.get_num_threads()
    fit = fit_essential_ransac(rays[:, 0].flatten(0, 1), rays[:, 1].flatten(0, 1), threshold=3 / 1145)
    assert torch.get_num_threads() == threads
    assert float((signed(fit.matrix, truth(scene)) - truth(scene)).abs().max()) < 0.003
    assert float(fit.inliers[~wrong].double().mean()) > 0.95
    singular = torch.linalg.svdvals(fit.matrix)
    torch.testing.assert_close(singular, torch.tensor([0.5**0.5, 0.5**0.5, 0]).double(), rtol=0, atol=1e-6)
    again = fit_essential_ransac(rays[:, 0].flatten(0, 1), rays[:, 1].flatten(0, 1), threshold=3 / 1145)
    assert torch.equal(fit.matrix, again.matrix)


def test_ransac_of_fundamental_matrices_agrees_with_the_cameras(scene: Any) -> None:
    pixels = scene.noisy(0.2, outliers=0.1)
    fit = fit_fundamental_ransac(pixels[:, 0].flatten(0, 1), pixels[:, 1].flatten(0, 1), threshold=1.0)
    exact = scene.keypoints_2d
    distances = sampson_distance(fit.matrix, exact[:, 0].flatten(0, 1), exact[:, 1].flatten(0, 1))
    assert float(distances.median()) < 0.1


def test_ransac_names_the_pair_that_has_too_few_points() -> None:
    points = torch.randn(9, 2)
    points[4:] = torch.nan
    with pytest.raises(LiftposeError, match="S1: cameras 0 and 2: expected at least 5 points that both see, found 4"):
        fit_essential_ransac(points, points, threshold=0.01, where="S1: cameras 0 and 2")
    with pytest.raises(LiftposeError, match="expected at least 7 points"):
        fit_fundamental_ransac(points, points, threshold=1.0)
    with pytest.raises(ValueError, match="threshold"):
        fit_essential_ransac(torch.randn(9, 2), torch.randn(9, 2), threshold=0)


def test_single_frames_without_noise_give_the_true_matrix(scene: Any) -> None:
    rays = camera_rays(scene.cameras, scene.keypoints_2d)
    fit = fit_essential_frames(rays[:8, 0], rays[:8, 1], threshold=1e-3)
    assert bool(fit.valid.all()) and bool(fit.inliers.all())
    wanted = truth(scene).expand(8, -1, -1)
    torch.testing.assert_close(signed(fit.matrix, wanted), wanted, rtol=0, atol=1e-6)


def test_frames_with_too_few_points_or_without_agreement_are_not_valid(scene: Any) -> None:
    rays = camera_rays(scene.cameras, scene.keypoints_2d)
    first, second = rays[:4, 0].clone(), rays[:4, 1].clone()
    first[0, 4:] = torch.nan  # four joints
    first[1] = torch.nan
    second[2] = torch.randn(17, 2, dtype=torch.float64)
    fit = fit_essential_frames(first, second, threshold=1e-3)
    assert fit.valid.tolist() == [False, False, False, True]
    assert bool(fit.matrix.isfinite().all()) and bool((fit.matrix[:3] == 0).all())
    assert not bool(fit.inliers[:3].any()) and bool(fit.residual[:3].isinf().all())


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="two views"):
        fit_fundamental(torch.zeros(9, 2), torch.zeros(8, 2))
    with pytest.raises(ValueError, match="weights"):
        fit_fundamental(torch.zeros(9, 2), torch.zeros(9, 2), torch.ones(8))
