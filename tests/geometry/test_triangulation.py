"""Points from several views: against OpenCV, kornia, numpy, scipy and what public code computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kornia.geometry import triangulate_points
from scipy.optimize import least_squares
from torch import Tensor

from liftpose.geometry import Camera, Solver, triangulate

SOLVERS = get_args(Solver)
MAKE = Callable[..., Any]


def matrices(scene: Any) -> Tensor:
    projections: Tensor = scene.cameras.projection_matrix
    return projections


@pytest.mark.parametrize("views", [2, 3, 5])
@pytest.mark.parametrize("solver", SOLVERS)
def test_exact_pixels_give_the_points(make_scene: MAKE, solver: Solver, views: int) -> None:
    if solver == "optimal" and views != 2:
        pytest.skip("two views only")
    scene = make_scene(6, views=views)
    found = triangulate(scene.keypoints_2d, matrices(scene), solver=solver)
    tolerance = 1e-7 if solver == "eigh" else 1e-10  # products of the equations have their error squared
    torch.testing.assert_close(found.points, scene.poses_3d, rtol=0, atol=tolerance)
    assert found.valid.all() and found.used.all()
    assert found.residuals.shape == (6, views, 17) and found.residuals.max() < 1e-3 * tolerance / 1e-10


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("batch", [(), (7,), (2, 3), (0,)])
def test_a_batch_is_what_its_parts_are(make_scene: MAKE, solver: Solver, batch: tuple[int, ...]) -> None:
    size = int(np.prod(batch))
    scenes = [make_scene(1, views=2, seed=seed) for seed in range(max(size, 1))]
    pixels = torch.cat([scene.noisy(2.0) for scene in scenes])
    each = torch.stack([matrices(scene) for scene in scenes])
    alone = torch.cat([triangulate(p, m, solver=solver).points[None] for p, m in zip(pixels, each, strict=True)])
    found = triangulate(pixels[:size].reshape(*batch, 2, 17, 2), each[:size].reshape(*batch, 2, 3, 4), solver=solver)
    if not batch:
        found = triangulate(pixels[0], each[0], solver=solver)
        size = 1
    torch.testing.assert_close(found.points, alone[:size].reshape(*batch, 17, 3), rtol=0, atol=1e-9)
    assert found.residuals.shape == (*batch, 2, 17) and found.angles.shape == (*batch, 17)
    shared = triangulate(pixels[:size].reshape(*batch, 2, 17, 2), each[0], solver=solver)
    repeated = triangulate(pixels[:size].reshape(*batch, 2, 17, 2), each[0].expand(*batch, 2, 3, 4), solver=solver)
    torch.testing.assert_close(shared.points, repeated.points, rtol=0, atol=1e-9)


def test_many_poses_at_once_are_the_same_as_few(make_scene: MAKE) -> None:
    scene = make_scene(600)  # more than fit into one block
    pixels = scene.noisy(2.0)
    few = torch.cat([triangulate(part, matrices(scene)).points for part in pixels.split(100)])
    torch.testing.assert_close(triangulate(pixels, matrices(scene)).points, few, rtol=0, atol=1e-12)


def test_linear_is_the_least_squares_of_numpy(make_scene: MAKE) -> None:
    scene = make_scene(3)
    pixels, weights = scene.noisy(5.0), torch.rand(3, 4, 17, dtype=torch.float64)
    found = triangulate(pixels, matrices(scene), weights)
    P = matrices(scene).numpy()
    for frame in range(3):
        for joint in range(17):
            uv, w = pixels[frame, :, joint].numpy(), weights[frame, :, joint].numpy()
            rows = np.concatenate([uv[:, k : k + 1] * P[:, 2] - P[:, k] for k in range(2)]) * np.tile(w, 2)[:, None]
            expected = np.linalg.lstsq(rows[:, :3], -rows[:, 3], rcond=None)[0]
            np.testing.assert_allclose(found.points[frame, joint], expected, atol=1e-11)


@pytest.mark.parametrize("solver", ["svd", "eigh"])
def test_homogeneous_solvers_are_those_of_opencv_and_kornia(make_scene: MAKE, solver: Solver) -> None:
    scene = make_scene(5, views=2)
    pixels, P = scene.noisy(3.0), matrices(scene)
    found = triangulate(pixels, P, solver=solver).points
    first, second = (pixels[:, view].reshape(-1, 2).T.numpy() for view in range(2))
    theirs = cv2.triangulatePoints(P[0].numpy(), P[1].numpy(), first, second)
    torch.testing.assert_close(found.reshape(-1, 3), torch.from_numpy((theirs[:3] / theirs[3]).T), rtol=0, atol=1e-8)
    theirs = triangulate_points(P[:1], P[1:], pixels[:, 0], pixels[:, 1], solver="svd")
    torch.testing.assert_close(found, theirs, rtol=0, atol=1e-8)


def test_optimal_is_the_least_reprojection_error_that_scipy_finds(make_scene: MAKE) -> None:
    scene = make_scene(1, views=2)
    pixels, P = scene.noisy(4.0), matrices(scene)
    found = triangulate(pixels, P, solver="optimal").points[0]
    for joint in range(17):
        seen = pixels[0, :, joint].numpy()

        def misses(point: np.ndarray, seen: np.ndarray = seen) -> np.ndarray:
            homogeneous = P.numpy() @ np.append(point, 1)
            return (homogeneous[:, :2] / homogeneous[:, 2:] - seen).ravel()

        best = least_squares(misses, scene.poses_3d[0, joint].numpy(), xtol=1e-15, ftol=1e-15, gtol=1e-15)
        np.testing.assert_allclose(found[joint], best.x, atol=1e-6)


def test_residuals_and_angles_are_what_they_say(make_scene: MAKE) -> None:
    scene = make_scene(4)
    pixels, camera = scene.noisy(3.0), scene.cameras
    found = triangulate(pixels, matrices(scene))
    points = found.points.unsqueeze(1).expand(-1, 4, -1, -1)
    projected = camera.project(camera.to_camera(points.movedim(1, 0))).movedim(0, 1)
    torch.testing.assert_close(found.residuals, (projected - pixels).norm(dim=-1), rtol=0, atol=1e-9)
    rays = points - camera.center[:, None]
    rays = (rays / rays.norm(dim=-1, keepdim=True)).movedim(1, 2)
    lines = (rays @ rays.mT).abs().flatten(-2).min(-1).values.acos()
    torch.testing.assert_close(found.angles, lines, rtol=0, atol=1e-7)


@pytest.mark.parametrize("solver", ["linear", "iterative", "svd", "eigh"])
def test_a_view_that_cannot_be_used_is_as_if_it_were_not_there(make_scene: MAKE, solver: Solver) -> None:
    scene = make_scene(6)
    pixels, P = scene.noisy(3.0), matrices(scene)
    expected = triangulate(pixels[:, [0, 1, 3]], P[[0, 1, 3]], solver=solver)
    lost = pixels.clone()
    lost[:, 2] = torch.nan
    infinite = pixels.clone()
    infinite[:, 2, :, 1] = -torch.inf
    broken = P.clone()
    broken[2, 1, 1] = torch.nan
    odd = [torch.ones(4, 1, dtype=torch.float64) for _ in range(3)]
    for weights, value in zip(odd, (0.0, -1.0, torch.nan), strict=True):
        weights[2] = value
    given = [(lost, P, None), (infinite, P, None), (pixels, broken, None), *((pixels, P, weights) for weights in odd)]
    for points, projections, weights in given:
        found = triangulate(points, projections, weights, solver=solver)
        torch.testing.assert_close(found.points, expected.points, rtol=0, atol=1e-9)
        assert found.valid.all()
        assert found.used.tolist() == torch.tensor([True, True, False, True])[:, None].expand(6, 4, 17).tolist()
        assert not found.residuals[:, 2].any()


def degenerate() -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """Pixels (2, 3, 2), matrices (2, 3, 4) and weights (2, 3) of which the first two points have no answer."""
    P = torch.eye(3, 4, dtype=torch.float64).repeat(2, 1, 1)
    apart = P.clone()
    apart[1, 0, 3] = -1.0
    good = torch.tensor([[0.5, 0.1], [0.25, 0.1]], dtype=torch.float64)
    parallel = torch.tensor([[0.5, 0.1], [0.5, 0.1]], dtype=torch.float64)
    missing = torch.tensor([[0.5, 0.1], [torch.nan, 0.1]], dtype=torch.float64)
    ones, none = torch.ones(2, 3, dtype=torch.float64), torch.ones(2, 3, dtype=torch.float64)
    none[:, 0] = 0
    none[1, 1] = 0
    return {
        "parallel rays": (torch.stack((parallel, parallel, good), 1), apart, ones),
        "missing pixels": (torch.stack((missing, torch.full_like(missing, torch.nan), good), 1), apart, ones),
        "weights of zero": (torch.stack((good, good, good), 1), apart, none),
        "one camera twice": (torch.stack((parallel, parallel, parallel), 1), P, ones),
        "one place twice": (torch.stack((good, good, good), 1), P, ones),
        "matrices of zeros": (torch.stack((good, good, good), 1), torch.zeros_like(P), ones),
        "huge pixels": (torch.stack((1e30 * good, 1e30 * parallel, good), 1), apart, ones),
    }


@pytest.mark.parametrize("solver", ["linear", "iterative", "svd", "eigh"])
def test_one_view_determines_nothing(solver: Solver) -> None:
    pixels = torch.rand(3, 1, 5, 2, requires_grad=True)
    found = triangulate(pixels, torch.eye(3, 4)[None], solver=solver)
    assert not found.valid.any() and not found.used.any()
    assert not found.points.any() and found.points.shape == (3, 5, 3)
    (gradient,) = torch.autograd.grad(found.points.sum(), pixels)
    assert not gradient.any()


def test_numbers_beyond_use_count_as_missing(make_scene: MAKE) -> None:
    scene = make_scene(1)
    pixels = scene.noisy(2.0)
    expected = triangulate(pixels[:, :3], matrices(scene)[:3])
    pixels[:, 3] = 1e200
    pixels.requires_grad_()
    found = triangulate(pixels, matrices(scene))
    torch.testing.assert_close(found.points, expected.points, rtol=0, atol=1e-12)
    (gradient,) = torch.autograd.grad(found.points.sum(), pixels)
    assert gradient.isfinite().all() and gradient[:, :3].all() and not gradient[:, 3].any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("case", degenerate())
@pytest.mark.parametrize("solver", SOLVERS)
def test_what_has_no_answer_is_said_to_have_none(solver: Solver, case: str, dtype: torch.dtype) -> None:
    given = [value.to(dtype).requires_grad_() for value in degenerate()[case]]
    found = triangulate(*given, solver=solver)
    assert not found.valid[:2].any()
    assert found.valid[2] == (case not in {"one camera twice", "one place twice", "matrices of zeros"})
    for values in (found.points, found.residuals, found.angles):
        assert values.isfinite().all()
    total = found.points.sum() + found.residuals.sum()
    gradients = torch.autograd.grad(total, given, allow_unused=True, materialize_grads=True)
    assert all(gradient.isfinite().all() for gradient in gradients)
    if found.valid[2]:
        torch.testing.assert_close(found.points[2], torch.tensor([2.0, 0.4, 4.0], dtype=dtype), rtol=1e-5, atol=0)
        assert gradients[0][:, 2].any()


def test_points_behind_a_camera_are_not_valid(reference: Path) -> None:
    golden = np.load(reference / "golden/epipolar/triangulation.npz")
    P = torch.from_numpy(golden["P"])[[int(view) for view in golden["pairs"][0]]]
    pixels = torch.from_numpy(np.stack((golden["behind_u1"], golden["behind_u2"])))
    found = triangulate(pixels, P)
    np.testing.assert_allclose(found.points, golden["behind_X"], atol=1e-6)
    assert found.valid.tolist() == (golden["behind_status"] == 1).tolist() == [False, False, True]


def test_a_point_behind_both_cameras_is_not_valid() -> None:
    P = torch.eye(3, 4, dtype=torch.float64).repeat(2, 1, 1)
    P[1, 0, 3] = -1.0
    behind = torch.tensor([[[-0.25, 0.0]], [[0.0, 0.0]]], dtype=torch.float64)  # rays that part in front
    found = triangulate(behind, P)
    torch.testing.assert_close(found.points, torch.tensor([[1.0, 0.0, -4.0]], dtype=torch.float64))
    assert not found.valid


def test_limits_make_points_invalid(make_scene: MAKE) -> None:
    scene = make_scene(20)
    pixels, P = scene.noisy(3.0, outliers=0.2), matrices(scene)
    free = triangulate(pixels, P)
    assert free.valid.all()
    near = triangulate(pixels, P, max_residual=12.0)
    assert near.valid.tolist() == (free.residuals <= 12.0).all(1).tolist()
    assert 0 < near.valid.sum() < near.valid.numel()
    opposite = triangulate(pixels[:, [0, 2]], P[[0, 2]], min_angle=0.2)
    assert opposite.valid.tolist() == (opposite.angles >= 0.2).tolist()
    assert 0 < opposite.valid.sum() < opposite.valid.numel()


@pytest.mark.parametrize("solver", SOLVERS)
def test_gradients_are_those_of_differences(make_scene: MAKE, solver: Solver) -> None:
    scene = make_scene(1, views=2)
    given = [
        value.requires_grad_() for value in (scene.noisy(3.0)[0, :, :4], matrices(scene), torch.rand(2, 4).double())
    ]

    def run(points: Tensor, projections: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        found = triangulate(points, projections, weights, solver=solver)
        return found.points, found.residuals

    torch.autograd.gradcheck(run, given, eps=1e-6, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("solver", SOLVERS)
def test_float32_loses_no_more_than_its_pixels(make_scene: MAKE, solver: Solver) -> None:
    scene = make_scene(50)
    noisy, projections = scene.noisy(1.0)[:, :2], matrices(scene)[:2]
    pixels, P = noisy.float(), projections.float()
    with torch.autocast("cpu", torch.bfloat16):
        found = triangulate(pixels, P, solver=solver)
    exact = triangulate(pixels.double(), P.double(), solver=solver)
    assert found.points.dtype == found.residuals.dtype == torch.float32
    torch.testing.assert_close(found.points.double(), exact.points, rtol=1e-7, atol=0)
    wide = triangulate(noisy, projections, solver=solver)
    assert (found.points - wide.points).norm(dim=-1).max() < 3e-6  # metres


@given(st.integers(0, 10_000), st.floats(0.2, 5.0), st.floats(-3.0, 3.0))
def test_points_move_and_grow_with_the_world(seed: int, scale: float, shift: float) -> None:
    random = torch.Generator().manual_seed(seed)
    P = torch.randn(3, 3, 4, generator=random, dtype=torch.float64)
    pixels = torch.randn(3, 2, 2, generator=random, dtype=torch.float64)
    before = triangulate(pixels, P).points
    # x_new = scale * x_old + shift, in the same cameras.
    moved = P.clone()
    moved[..., :3] = P[..., :3] / scale
    moved[..., 3] = P[..., 3] - (P[..., :3] / scale).sum(-1) * shift
    torch.testing.assert_close(triangulate(pixels, moved).points, scale * before + shift, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(triangulate(pixels, 7.0 * P).points, before, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("noise", [0, 1, 3])
@pytest.mark.parametrize("pair", [0, 1, 2])
@pytest.mark.parametrize(
    ("solver", "name", "tolerance"),
    [
        ("linear", "linls", 1e-8),
        ("svd", "eigen", 1e-7),
        ("eigh", "eigen", 1e-3),
        ("optimal", "poly", 1e-8),
        ("iterative", "textbook_iterls", 1e-6),
    ],
)
def test_golden_pairs(reference: Path, solver: Solver, name: str, tolerance: float, pair: int, noise: int) -> None:
    golden = np.load(reference / "golden/epipolar/triangulation.npz")
    views = [int(view) for view in golden["pairs"][pair]]
    pixels = torch.from_numpy(golden[f"u_s{noise}"][views]).movedim(0, 1)
    found = triangulate(pixels, torch.from_numpy(golden["P"])[views], solver=solver, passes=10)
    np.testing.assert_allclose(found.points, golden[f"{name}_s{noise}_p{pair}"], rtol=0, atol=tolerance)  # mm


def test_three_passes_are_enough(reference: Path) -> None:
    golden = np.load(reference / "golden/epipolar/triangulation.npz")
    views = [int(view) for view in golden["pairs"][0]]
    pixels = torch.from_numpy(golden["u_s3"][views]).movedim(0, 1)
    found = triangulate(pixels, torch.from_numpy(golden["P"])[views], solver="iterative")
    np.testing.assert_allclose(found.points, golden["textbook_iterls_s3_p0"], rtol=0, atol=0.001)  # mm


@pytest.mark.parametrize("noise", [0, 1, 3])
@pytest.mark.parametrize(
    ("name", "tolerance"), [("unit_v2", 1e-11), ("unit_v4", 1e-11), ("mm_v2", 1e-6), ("mm_v4", 1e-6)]
)
def test_golden_homogeneous_with_confidences(reference: Path, name: str, tolerance: float, noise: int) -> None:
    golden = np.load(reference / "golden/cdrnet/triangulation.npz")
    P = torch.from_numpy(golden[f"{name}_P"])
    pixels = torch.from_numpy(golden[f"{name}_n{noise}_x"]).movedim(0, 1).requires_grad_()  # the batch as joints
    found = triangulate(pixels, P, solver="svd")
    np.testing.assert_allclose(found.points.detach(), golden[f"{name}_n{noise}_svd"], rtol=0, atol=tolerance)
    reprojection = golden[f"{name}_n{noise}_reproj"]
    np.testing.assert_allclose(found.residuals.detach().T, 2 * reprojection, rtol=1e-6, atol=1e-7)
    if noise:
        (gradient,) = torch.autograd.grad(found.points.sum(), pixels)
        expected = golden[f"{name}_n{noise}_svd_grad"]
        np.testing.assert_allclose(gradient.movedim(1, 0), expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
    for kind in ("conf", "drop_conf"):
        if f"{name}_n{noise}_{kind}" in golden:
            weights = torch.from_numpy(golden[f"{name}_n{noise}_{kind}"]).T
            found = triangulate(pixels.detach(), P, weights, solver="svd")
            expected = golden[f"{name}_n{noise}_{kind.replace('conf', 'conf_svd') if kind == 'conf' else 'drop_svd'}"]
            np.testing.assert_allclose(found.points, expected, rtol=0, atol=tolerance)


def test_mirrored_and_cropped_cameras_have_their_points_in_front(make_scene: MAKE) -> None:
    scene = make_scene(2)
    cameras: Camera = scene.cameras.crop(100, 50, 500, 600).flip()
    pixels = cameras.project(cameras.to_camera(scene.poses_3d.unsqueeze(0).expand(4, -1, -1, -1))).movedim(0, 1)
    found = triangulate(pixels, cameras.projection_matrix)
    assert found.valid.all()
    torch.testing.assert_close(found.points, scene.poses_3d, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("points", "projections", "weights", "words"),
    [
        ((2, 17), (2, 3, 4), None, "points: expected"),
        ((2, 17, 3), (2, 3, 4), None, "points: expected"),
        ((0, 17, 2), (0, 3, 4), None, "points: expected"),
        ((3, 17, 2), (2, 3, 4), None, "projections: expected"),
        ((5, 2, 17, 2), (4, 2, 3, 4), None, "projections: expected"),
        ((2, 17, 2), (2, 3, 4), (3, 17), "weights: expected"),
        ((2, 17, 2), (2, 3, 4), (1, 2, 17), "weights: expected"),
    ],
)
def test_shapes_that_do_not_fit(points: Any, projections: Any, weights: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        triangulate(torch.zeros(points), torch.zeros(projections), None if weights is None else torch.ones(weights))


def test_solvers_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="solver: expected one of linear, iterative"):
        triangulate(torch.zeros(2, 1, 2), torch.zeros(2, 3, 4), solver="magic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected two views for the solver 'optimal', found 3"):
        triangulate(torch.zeros(3, 1, 2), torch.zeros(3, 3, 4), solver="optimal")


@pytest.mark.parametrize("solver", SOLVERS)
def test_gradients_where_other_singular_values_are_equal(solver: Solver) -> None:
    """Of these equations two singular values are the root of 2: a decomposition's own derivative divides by 0."""
    P = torch.eye(3, 4, dtype=torch.float64).repeat(2, 1, 1)
    P[1, 0, 3] = -1.0
    pixels = torch.tensor([[[1.0, 0.0]], [[-1.0, 0.0]]], dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(lambda x: triangulate(x, P, solver=solver).points, pixels, eps=1e-6, atol=1e-6)
