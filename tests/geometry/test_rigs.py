"""Rigs found from what cameras see, against the cameras that saw it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.geometry import Camera, rotate
from liftpose.geometry.camera_pairs import camera_rays, fit_pair
from liftpose.geometry.rigs import estimate_rig, skeleton_size
from liftpose.skeletons import H36M_17


def turn_between(first: Tensor, second: Tensor) -> float:
    """Return the largest angle in degrees between rotations (..., 3, 3)."""
    cosine = ((first @ second.mT).diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    return math.degrees(float(cosine.clamp(-1, 1).acos().max()))


def relative(cameras: Camera) -> tuple[Tensor, Tensor]:
    """Return the poses of cameras in the frame of the first one."""
    R = cameras.R @ cameras.R[0].T
    return R, cameras.t - rotate(R, cameras.t[0])


def known(scene: Any) -> Tensor:
    return torch.ones(scene.keypoints_2d.shape[:-1], dtype=torch.float64)


@pytest.fixture(scope="module")
def scene(make_scene: Callable[..., Any]) -> Any:
    return make_scene(100)


def test_a_rig_without_noise_is_exact_up_to_its_size(scene: Any) -> None:
    size = float(skeleton_size(scene.poses_3d, torch.ones(100, 17, dtype=torch.bool), H36M_17))
    rig = estimate_rig(scene.cameras, scene.keypoints_2d, known(scene), H36M_17, target_size=size)
    R, t = relative(scene.cameras)
    torch.testing.assert_close(rig.cameras.R, R, rtol=0, atol=1e-7)
    torch.testing.assert_close(rig.cameras.t, t, rtol=0, atol=1e-6)
    assert rig.residual < 1e-6
    half = estimate_rig(scene.cameras, scene.keypoints_2d, known(scene), H36M_17, target_size=size / 2)
    torch.testing.assert_close(half.cameras.t, t / 2, rtol=0, atol=1e-6)


def test_pooled_frames_leave_tenths_of_a_degree_of_noise(scene: Any) -> None:
    seen = scene.noisy(3.0, outliers=0.1)
    rig = estimate_rig(scene.cameras, seen, known(scene), H36M_17)
    R, t = relative(scene.cameras)
    told = known(scene)
    told[(seen - scene.keypoints_2d).norm(dim=-1) > 25] = 0
    best = estimate_rig(scene.cameras, seen, told, H36M_17)  # without the outliers
    assert turn_between(rig.cameras.R, R) < min(1.0, 1.2 * turn_between(best.cameras.R, R) + 0.05)
    directions = (vectors[1:] / vectors[1:].norm(dim=-1, keepdim=True) for vectors in (rig.cameras.t, t))
    assert float(torch.linalg.vector_norm(next(directions) - next(directions), dim=-1).max()) < 0.01
    ratios = rig.cameras.t[1:].norm(dim=-1) / t[1:].norm(dim=-1)
    assert float(ratios.max() / ratios.min()) < 1.02
    opposite = [pair for pair in rig.pairs if "opposite" in pair.refused]
    assert {(pair.first, pair.second) for pair in opposite} == {(0, 2), (1, 3)}
    for pair in rig.pairs:
        assert pair.points == 1700 and 0.75 < pair.inliers / pair.points < 0.9
        assert 1.5 < pair.residual < 2.5  # 0.67 of the noise


def test_the_same_input_gives_the_same_rig(scene: Any) -> None:
    first, second = (estimate_rig(scene.cameras, scene.noisy(1.0), known(scene), H36M_17) for _ in range(2))
    # Products of matrices may differ in the last digit with the place of the numbers in memory.
    for name in ("R", "t"):
        torch.testing.assert_close(getattr(first.cameras, name), getattr(second.cameras, name), rtol=0, atol=1e-12)


def test_lens_distortion_is_undone(scene: Any) -> None:
    coefficients = torch.tensor([-0.2, 0.24, -0.002, -0.0009, -0.0014], dtype=torch.float64).expand(4, -1)
    bent = replace(scene.cameras, distortion=coefficients, distortion_model="h36m")
    seen = bent.project(bent.to_camera(scene.poses_3d.expand(4, -1, -1, -1))).movedim(0, 1)
    rig = estimate_rig(bent, seen, known(scene), H36M_17)
    assert turn_between(rig.cameras.R, relative(bent)[0]) < 1e-3
    straight = estimate_rig(scene.cameras, seen, known(scene), H36M_17)
    assert turn_between(straight.cameras.R, relative(bent)[0]) > 1e-2


def test_joints_that_a_view_lacks_do_not_count(scene: Any) -> None:
    weights, seen = known(scene), scene.noisy(1.0)
    hidden = torch.rand(weights.shape) < 0.3
    weights[hidden] = 0
    seen[hidden] = torch.nan
    weights[:20, 1] = 0  # a camera that starts late
    rig = estimate_rig(scene.cameras, seen, weights, H36M_17)
    assert turn_between(rig.cameras.R, relative(scene.cameras)[0]) < 0.3
    assert bool(rig.cameras.t.isfinite().all())


def test_two_cameras_opposite_each_other_are_refused(make_scene: Callable[..., Any]) -> None:
    scene = make_scene(40)
    with pytest.raises(LiftposeError, match=r"S1: expected pairs that link camera 1 with camera 0.*opposite") as error:
        estimate_rig(scene.cameras[[0, 2]], scene.noisy(1.0)[:, [0, 2]], known(scene)[:, :2], H36M_17, where="S1: ")
    assert "\n" not in str(error.value)


def test_cameras_at_one_place_are_refused(make_scene: Callable[..., Any]) -> None:
    scene = make_scene(40)
    turned = scene.cameras[[0, 0]]
    angle = torch.tensor([0.0, 0.1]).double()
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    rows = (angle.cos(), zero, -angle.sin(), zero, one, zero, angle.sin(), zero, angle.cos())
    turn = torch.stack(rows, -1).reshape(2, 3, 3)
    turned = replace(turned, R=turn @ turned.R, t=rotate(turn, turned.t))
    seen = turned.project(turned.to_camera(scene.poses_3d.expand(2, -1, -1, -1))).movedim(0, 1)
    for noise in (0.0, 1.0, 3.0):
        noisy = seen + noise * torch.randn_like(seen)
        with pytest.raises(LiftposeError, match=r"rotation alone|same way|agree"):
            estimate_rig(turned, noisy, known(scene)[:, :2], H36M_17)


def test_a_camera_that_sees_nothing_is_named(scene: Any) -> None:
    weights = known(scene)
    weights[:, 2] = 0
    with pytest.raises(
        LiftposeError, match=r"camera 2 with camera 0.*expected at least 5 points that both see, found 0"
    ):
        estimate_rig(scene.cameras, scene.keypoints_2d, weights, H36M_17)
    weights[:] = 0
    with pytest.raises(LiftposeError, match="camera 1 and 2 and 3"):
        estimate_rig(scene.cameras, scene.keypoints_2d, weights, H36M_17)


def test_cameras_that_see_other_people_are_refused(scene: Any) -> None:
    seen = scene.noisy(1.0)[:30, :2]
    seen[:, 1] = 1000 * torch.rand_like(seen[:, 1])
    with pytest.raises(LiftposeError, match="camera 1 with camera 0"):
        estimate_rig(scene.cameras[:2], seen, known(scene)[:30, :2], H36M_17)


def test_a_pair_says_what_it_found(scene: Any) -> None:
    rays = camera_rays(scene.cameras, scene.noisy(1.0)).movedim(1, 0).flatten(1, 2)
    pair = fit_pair(rays[0], rays[1], focal=1145.0, views=(0, 1))
    assert str(pair.fit).startswith("cameras 0 and 1: ") and "px" in str(pair.fit) and "refused" not in str(pair.fit)
    camera = scene.cameras.to_camera(scene.poses_3d.expand(4, -1, -1, -1))[:2, ..., 2].flatten(1)
    distance = (scene.cameras.center[0] - scene.cameras.center[1]).norm()
    seen = pair.depths[0] > 0
    ratio = pair.depths[:, seen] * distance / camera[:, seen]
    assert float((ratio - 1).abs().median()) < 0.01


def test_the_size_of_a_skeleton_takes_missing_joints_from_other_frames() -> None:
    poses = torch.randn(1, 17, 3, dtype=torch.float64).expand(5, -1, -1)
    whole = torch.ones(5, 17, dtype=torch.bool)
    parents = list(H36M_17.parents)
    total = sum((poses[0, joint] - poses[0, parent]).norm() for joint, parent in enumerate(parents) if parent >= 0)
    part = whole.clone()
    part[0, 3] = part[1, 16] = False
    for valid in (whole, part):
        torch.testing.assert_close(skeleton_size(poses, valid, H36M_17), torch.as_tensor(total))
    part[:, 3] = False
    assert bool(skeleton_size(poses, part, H36M_17).isnan())


def test_shapes_that_do_not_fit_are_refused(scene: Any) -> None:
    with pytest.raises(ValueError, match="V cameras"):
        estimate_rig(scene.cameras[:3], scene.keypoints_2d, known(scene), H36M_17)
