"""Bundle adjustment, against scipy's least squares with the same cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation
from torch import Tensor

from liftpose.geometry import axis_angle_to_matrix, rotate
from liftpose.geometry.bundle import adjust_bundle
from liftpose.geometry.camera_pairs import camera_rays

SCALE = 0.003


def start(make_scene: Callable[..., Any], views: int, noise: float = 2.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return cameras and points that are a little off, and the rays."""
    scene = make_scene(2, views=views)
    rays = camera_rays(scene.cameras, scene.noisy(noise, outliers=0.05)).movedim(1, 2).reshape(-1, views, 2)
    R, t = scene.cameras.R, scene.cameras.t
    off = 0.02 * torch.randn(views, 3, dtype=torch.float64)
    off[0] = 0
    points = scene.poses_3d.reshape(-1, 3) + 0.05 * torch.randn(34, 3, dtype=torch.float64)
    return axis_angle_to_matrix(off) @ R, t + off, points, rays


@pytest.mark.parametrize("views", [2, 3])
def test_the_cost_is_the_least_that_scipy_finds(make_scene: Callable[..., Any], views: int) -> None:
    R, t, points, rays = start(make_scene, views)
    found = adjust_bundle(R, t, points, rays, scale=SCALE, iterations=60)

    def distances(values: np.ndarray) -> np.ndarray:
        turns, ways = values[: 3 * views - 3].reshape(-1, 3), values[3 * views - 3 : 6 * views - 6].reshape(-1, 3)
        places = values[6 * views - 6 :].reshape(-1, 3)
        matrices = np.concatenate((R[:1].numpy(), Rotation.from_rotvec(turns).as_matrix() @ R[1:].numpy()))
        origins = np.concatenate((t[:1].numpy(), t[1:].numpy() + ways))
        local = np.einsum("vij,nj->nvi", matrices, places) + origins
        return np.linalg.norm(local[..., :2] / local[..., 2:] - rays.numpy(), axis=-1).ravel() / SCALE

    values = np.concatenate((np.zeros(6 * views - 6), points.numpy().ravel()))
    best = least_squares(distances, values, loss="cauchy", max_nfev=60)
    assert float(found.cost) < 0.3 * float(found.start)
    assert float(found.cost) <= 2 * best.cost * SCALE**2 * 1.001


def test_the_first_camera_and_the_size_of_the_world_stay(make_scene: Callable[..., Any]) -> None:
    R, t, points, rays = start(make_scene, 3)
    found = adjust_bundle(R, t, points, rays, scale=SCALE)
    assert torch.equal(found.R[0], R[0])
    torch.testing.assert_close(found.t[0], t[0], rtol=0, atol=1e-12)
    sizes = []
    for rotations, ways in ((R, t), (found.R, found.t)):
        centres = -rotate(rotations.mT, ways)
        sizes.append((centres - centres[0]).square().sum().sqrt())
    torch.testing.assert_close(*sizes)
    local = rotate(found.R, found.points.unsqueeze(1)) + found.t
    square = (local[..., :2] / local[..., 2:] - rays).square().sum(-1)
    torch.testing.assert_close((SCALE**2 * torch.log1p(square / SCALE**2)).sum(), found.cost)


def test_what_is_exact_stays_and_each_problem_is_solved_by_itself(make_scene: Callable[..., Any]) -> None:
    scene = make_scene(4, views=2)
    rays = camera_rays(scene.cameras, scene.keypoints_2d).movedim(1, 2)
    R, t = scene.cameras.R.expand(4, -1, -1, -1), scene.cameras.t.expand(4, -1, -1)
    off = scene.poses_3d + 0.02 * torch.randn_like(scene.poses_3d)
    together = adjust_bundle(R, t, off, rays, scale=SCALE)
    alone = adjust_bundle(R[2], t[2], off[2], rays[2], scale=SCALE)
    torch.testing.assert_close(together.points[2], alone.points, rtol=0, atol=1e-7)
    assert float(together.cost.max()) < 1e-12


def test_measurements_without_weight_do_not_count(make_scene: Callable[..., Any]) -> None:
    R, t, points, rays = start(make_scene, 3)
    weights = torch.ones(rays.shape[:-1], dtype=torch.float64)
    weights[::5, 2] = 0
    spoilt = rays.clone()
    spoilt[::5, 2] = torch.nan
    plain = adjust_bundle(R, t, points, rays, weights, scale=SCALE)
    other = adjust_bundle(R, t, points, spoilt, weights, scale=SCALE)
    assert torch.equal(plain.R, other.R) and bool(other.points.isfinite().all())


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="rays"):
        adjust_bundle(torch.eye(3).expand(2, 3, 3), torch.zeros(2, 3), torch.zeros(5, 3), torch.zeros(5, 3, 2), scale=1)
