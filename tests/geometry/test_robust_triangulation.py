"""Points from several views of which some are wrong: against scipy, plain loops, and errors that are known."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any, get_args

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from torch import Tensor

from liftpose.geometry import ViewFusion, fuse_views, triangulate

MAKE = Callable[..., Any]
FUSIONS = get_args(ViewFusion)
NEIGHBOURS = [(0, 1), (1, 2), (2, 3), (3, 0)]


def error(points: Tensor, scene: Any) -> float:
    """Mean distance in millimetres."""
    return 1000 * float((points - scene.poses_3d).norm(dim=-1).mean())


@pytest.mark.parametrize("fusion", FUSIONS)
def test_exact_pixels_give_the_points(make_scene: MAKE, fusion: ViewFusion) -> None:
    scene = make_scene(5)
    found = fuse_views(scene.keypoints_2d, scene.cameras.projection_matrix, fusion=fusion)
    torch.testing.assert_close(found.points, scene.poses_3d, rtol=0, atol=1e-10)
    assert found.valid.all()
    assert found.used.sum(1).eq(2 if fusion in {"pair", "vector_median"} else 4).all()


@pytest.mark.parametrize(
    ("sigma", "outliers", "wanted"),
    [  # mm: neighbouring pair, vector median of neighbours and of all pairs, all views, robust
        (1.0, 0.0, (6.8, 6.2, 6.1, 4.6, 4.6)),
        (3.0, 0.0, (20.5, 18.5, 18.3, 13.9, 14.3)),
        (3.0, 0.1, (59.3, 41.0, 33.5, 48.3, 23.2)),
    ],
)
def test_errors_are_as_large_as_they_have_to_be(
    make_scene: MAKE, sigma: float, outliers: float, wanted: tuple[float, ...]
) -> None:
    scene = make_scene(300, seed=3)
    pixels, P = scene.noisy(sigma, 3, outliers), scene.cameras.projection_matrix
    pair, neighbours, median, dlt, robust = (
        error(fuse_views(pixels, P, fusion=fusion, pairs=pairs).points, scene)
        for fusion, pairs in (
            ("pair", None),
            ("vector_median", NEIGHBOURS),
            ("vector_median", None),
            ("dlt", None),
            ("robust", None),
        )
    )
    np.testing.assert_allclose((pair, neighbours, median, dlt, robust), wanted, rtol=0.2)
    if outliers:
        assert robust < 0.8 * median < median < neighbours < dlt < pair
    else:
        assert dlt <= robust < 1.05 * dlt < median < neighbours * 1.02 < pair


def test_opposite_cameras_are_bad(make_scene: MAKE) -> None:
    scene = make_scene(300)
    pixels, P = scene.noisy(3.0), scene.cameras.projection_matrix
    near, opposite = (
        error(fuse_views(pixels, P, fusion="pair", pairs=[pair]).points, scene) for pair in ((0, 1), (0, 2))
    )
    assert 3 < opposite / near < 6


def test_pair_is_the_triangulation_of_that_pair(make_scene: MAKE) -> None:
    scene = make_scene(5)
    pixels, P = scene.noisy(3.0), scene.cameras.projection_matrix
    for pair in combinations(range(4), 2):
        views = list(pair)
        expected = triangulate(pixels[:, views], P[views], solver="iterative")
        for order in (pair, pair[::-1]):
            found = fuse_views(pixels, P, fusion="pair", pairs=[order])
            torch.testing.assert_close(found.points, expected.points, rtol=0, atol=1e-5)
            assert found.used.float().mean((0, 2)).nonzero().squeeze(-1).tolist() == views
            torch.testing.assert_close(found.angles, expected.angles, rtol=0, atol=1e-5)


def test_vector_median_is_the_nearest_to_all_others(make_scene: MAKE) -> None:
    scene = make_scene(3, views=4)
    pixels, P = scene.noisy(3.0, outliers=0.2), scene.cameras.projection_matrix
    pixels[0, 2, :5] = torch.nan
    found = fuse_views(pixels, P, fusion="vector_median")
    points = [fuse_views(pixels, P, fusion="pair", pairs=[pair]) for pair in combinations(range(4), 2)]
    for frame in range(3):
        for joint in range(17):
            places = np.array([p.points[frame, joint].numpy() for p in points if p.used[frame, :, joint].any()])
            sums = np.linalg.norm(places[:, None] - places, axis=-1).sum(-1)
            np.testing.assert_allclose(found.points[frame, joint], places[sums.argmin()], atol=1e-12)
            assert len(places) == (3 if frame == 0 and joint < 5 else 6)


def test_robust_is_the_least_cauchy_cost_that_scipy_finds(make_scene: MAKE) -> None:
    scene = make_scene(2)
    P = scene.cameras.projection_matrix
    pixels = scene.noisy(2.0)
    pixels[:, 3, ::3] += 80.0
    weights = 0.5 + torch.rand(2, 4, 17, dtype=torch.float64)
    found = fuse_views(pixels, P, weights, steps=30)
    for frame in range(2):
        for joint in range(17):
            seen, strength = pixels[frame, :, joint].numpy(), weights[frame, :, joint].numpy()

            def cost(point: np.ndarray, seen: np.ndarray = seen, strength: np.ndarray = strength) -> np.ndarray:
                homogeneous = P.numpy() @ np.append(point, 1)
                off = np.linalg.norm(homogeneous[:, :2] / homogeneous[:, 2:] - seen, axis=-1)
                return strength * np.sqrt(np.log1p((off / 6) ** 2))  # its square is Cauchy's cost

            best = least_squares(cost, scene.poses_3d[frame, joint].numpy(), xtol=1e-14, ftol=1e-14, gtol=1e-14)
            np.testing.assert_allclose(
                found.points[frame, joint], best.x, atol=5e-4
            )  # errors of algebra, not of pixels


def test_the_wrong_view_is_not_used_and_the_point_is_valid(make_scene: MAKE) -> None:
    scene = make_scene(20)
    pixels, P = scene.noisy(1.0), scene.cameras.projection_matrix
    pixels[:, 2, 4] += torch.tensor([70.0, 40.0])
    found = fuse_views(pixels, P, max_residual=18.0)
    assert not found.used[:, 2, 4].any()
    others = torch.ones(4, 17, dtype=torch.bool)
    others[2, 4] = False
    assert found.used[:, others].all() and found.valid.all()
    assert found.residuals[:, 2, 4].min() > 50
    assert not fuse_views(pixels, P, fusion="dlt", max_residual=18.0).valid[:, 4].any()


@pytest.mark.parametrize("fusion", FUSIONS)
def test_views_that_miss_a_joint_are_left_out(make_scene: MAKE, fusion: ViewFusion) -> None:
    scene = make_scene(6)
    pixels, P = scene.noisy(1.0), scene.cameras.projection_matrix
    pixels[:, 2:, 3] = torch.nan  # two views are left
    pixels[:, 1:, 4] = torch.nan  # one view is left
    given = pixels.requires_grad_(), P.requires_grad_(), torch.ones(6, 4, 17, dtype=torch.float64, requires_grad=True)
    found = fuse_views(*given, fusion=fusion)
    expected = triangulate(pixels[:, :2], P[:2], solver="iterative")
    torch.testing.assert_close(found.points[:, 3], expected.points[:, 3], rtol=0, atol=1e-3)
    assert found.valid[:, 3].all() and found.used[:, :2, 3].all() and not found.used[:, 2:, 3].any()
    assert not found.valid[:, 4].any() and not found.points[:, 4].any() and not found.used[:, :, 4].any()
    for values in (found.points, found.residuals, found.angles):
        assert values.isfinite().all()
    gradients = torch.autograd.grad(found.points.sum() + found.residuals.sum(), given)
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert gradients[0][:, :2, 3].all() and not gradients[0][:, :, 4].any()


@pytest.mark.parametrize("fusion", FUSIONS)
def test_one_camera_four_times_gives_nothing(make_scene: MAKE, fusion: ViewFusion) -> None:
    scene = make_scene(2)
    P = scene.cameras.projection_matrix[:1].repeat(4, 1, 1)
    for pixels in (scene.keypoints_2d[:, :1].expand(-1, 4, -1, -1), scene.noisy(2.0)):
        given = pixels.clone().requires_grad_()
        found = fuse_views(given, P, fusion=fusion)
        assert not found.valid.any()
        assert found.points.isfinite().all() and found.residuals.isfinite().all()
        (gradient,) = torch.autograd.grad(found.points.sum() + found.residuals.sum(), given)
        assert gradient.isfinite().all()


@pytest.mark.parametrize("fusion", FUSIONS)
def test_gradients_are_those_of_differences(make_scene: MAKE, fusion: ViewFusion) -> None:
    scene = make_scene(1)
    pixels = scene.noisy(3.0)[0, :, :3].requires_grad_()
    P = scene.cameras.projection_matrix
    torch.autograd.gradcheck(lambda x: fuse_views(x, P, fusion=fusion).points, pixels, eps=1e-5, atol=1e-5, rtol=1e-3)


def test_a_batch_is_what_its_parts_are(make_scene: MAKE) -> None:
    scenes = [make_scene(2, seed=seed) for seed in range(3)]
    pixels = torch.stack([scene.noisy(2.0, outliers=0.1) for scene in scenes])
    P = torch.stack([scene.cameras.projection_matrix for scene in scenes])
    for fusion in FUSIONS:
        found = fuse_views(pixels, P.unsqueeze(1), fusion=fusion)
        for row in range(3):
            expected = fuse_views(pixels[row], P[row], fusion=fusion)
            torch.testing.assert_close(found.points[row], expected.points, rtol=0, atol=1e-10)
            assert torch.equal(found.used[row], expected.used)


def test_options_that_do_not_fit() -> None:
    pixels, P = torch.zeros(3, 1, 2), torch.zeros(3, 3, 4)
    with pytest.raises(ValueError, match="fusion: expected one of pair, vector_median, dlt, robust, found 'mean'"):
        fuse_views(pixels, P, fusion="mean")  # type: ignore[arg-type]
    for pairs in ([(0, 3)], [(1, 1)], [(0, 1, 2)], [(-1, 1)]):
        with pytest.raises(ValueError, match="pairs: expected two different views from 0 to 2"):
            fuse_views(pixels, P, fusion="pair", pairs=pairs)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one pair"):
        fuse_views(pixels, P, pairs=[])
    with pytest.raises(ValueError, match="scale: expected"):
        fuse_views(pixels, P, scale=0.0)
