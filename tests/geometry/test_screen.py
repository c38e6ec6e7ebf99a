from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from liftpose.geometry import (
    Camera,
    denormalize_screen,
    distort_h36m,
    h36m_cameras,
    intrinsic_vector,
    normalize_screen,
    project_published,
    project_published_linear,
    quaternion_conjugate,
    rotate_by_quaternion,
)

Golden = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def golden(reference: Path) -> Golden:
    with np.load(reference / "golden/rie/camera.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files if file[name].dtype.kind == "f"}


@pytest.mark.parametrize("size", [(1000, 1002), (1000, 1000), (640, 480)])
def test_screen_coordinates_are_the_published_ones(golden: Golden, size: tuple[int, int]) -> None:
    image_size = torch.tensor(size, dtype=torch.float64)
    name = f"{size[0]}x{size[1]}"
    normalized = normalize_screen(golden["pixels"], image_size)
    torch.testing.assert_close(normalized, golden[f"normalized_{name}"], rtol=0, atol=1e-12)
    back = denormalize_screen(normalized, image_size)
    torch.testing.assert_close(back, golden[f"pixels_back_{name}"], rtol=0, atol=1e-12 * 1000)


def test_the_cameras_of_dh_aug(reference: Path) -> None:
    with np.load(reference / "golden/dh_aug/camera.npz") as file:
        data = {name: torch.from_numpy(file[name]) for name in file.files if file[name].dtype.kind == "f"}
        names = list(zip(file["subject"].tolist(), file["cam_id"].tolist(), strict=True))
    near = {"rtol": 0, "atol": 1e-12}
    for i, (subject, number) in enumerate(names):
        vector, seen = data["intrinsic9"][i], data["camera"][i]
        torch.testing.assert_close(project_published(seen, vector), data["proj2d"][i], **near)
        torch.testing.assert_close(project_published_linear(seen, vector), data["proj2d_linear"][i], **near)
        moved = rotate_by_quaternion(quaternion_conjugate(data["quat_wxyz"][i]), data["world"] - data["trans_m"][i])
        torch.testing.assert_close(moved, seen, **near)
        # The calibration there went through float32.
        camera = h36m_cameras(subject, torch.float64)[number]
        torch.testing.assert_close(camera.to_camera(data["world"]), seen, rtol=0, atol=1e-6)
        torch.testing.assert_close(intrinsic_vector(camera), vector, rtol=0, atol=1e-6)
    size = torch.tensor([1000, 1002], dtype=torch.float64)
    torch.testing.assert_close(normalize_screen(data["pixels"], size), data["pixels_norm_1000x1002"], **near)
    back = denormalize_screen(data["pixels_norm_1000x1002"], size)
    torch.testing.assert_close(back, data["pixels_back"], rtol=0, atol=1e-9)
    # Behind the camera and 0.3 m before it; those points are float32, and so was their fraction.
    extreme = project_published(data["extreme_camera"].double(), data["intrinsic9"][0])
    torch.testing.assert_close(extreme, data["extreme_proj2d"], rtol=0, atol=1e-6)


def test_image_sizes_of_a_batch_belong_to_its_leading_dimensions() -> None:
    sizes = torch.tensor([[640.0, 480.0], [1000.0, 1002.0]], dtype=torch.float64)
    pixels = torch.rand(2, 5, 17, 2, dtype=torch.float64) * 500
    normalized = normalize_screen(pixels, sizes)
    for i in range(2):
        assert torch.equal(normalized[i], normalize_screen(pixels[i], sizes[i]))
        torch.testing.assert_close(denormalize_screen(normalized, sizes)[i], pixels[i], rtol=0, atol=1e-10)
    for function in (normalize_screen, denormalize_screen):
        with pytest.raises(ValueError, match="of image_size to lead those of the pixels"):
            function(torch.zeros(2), sizes)


def test_the_projection_is_the_published_one(golden: Golden) -> None:
    points, vectors = golden["points_camera"], golden["camera_params"]
    torch.testing.assert_close(project_published(points, vectors), golden["project_to_2d"], rtol=0, atol=1e-12)
    linear = project_published_linear(points, vectors)
    torch.testing.assert_close(linear, golden["project_to_2d_linear"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("project", [project_published, project_published_linear])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_joints_in_the_plane_of_the_camera_have_numbers_and_gradients(golden: Golden, project: Any, dtype: Any) -> None:
    """Of a generator's millions of poses some joint is there, and its gradient must not spoil the weights."""
    points = torch.tensor([[0.0, 0, 0], [3, -2, 0], [3, -2, -0.0], [0, 1, 1e-20], [1, 1, 1e-7]], dtype=dtype)
    vector = golden["camera_params"][0].to(dtype)
    points.requires_grad_()
    screen = project(points, vector)
    # The sign of zero counts as that of a depth; what is on the centre stays there.
    near = torch.tensor([[0.0, 0, 1], [3, -2, 1e-3], [3, -2, -1e-3], [0, 1, 1e-3], [1, 1, 1e-3]], dtype=dtype)
    torch.testing.assert_close(screen.detach(), project(near, vector), rtol=0, atol=1e-6)
    (gradient,) = torch.autograd.grad(screen.square().sum(), points)
    assert gradient.isfinite().all()


def test_the_golden_data_test_the_clamp(golden: Golden) -> None:
    points, vectors = golden["points_camera"], golden["camera_params"][:, None, None]
    ray = points[..., :2] / points[..., 2:]
    clamped = (ray.abs() > 1).double().mean()
    torch.testing.assert_close(clamped, golden["clamped_fraction"])
    without = vectors[..., :2] * distort_h36m(ray, vectors[..., 4:]) + vectors[..., 2:4]
    differs = (without - golden["project_to_2d"]).abs().amax(-1) > 1e-3
    assert torch.equal(differs, (ray.abs() > 1).any(-1))


def test_a_vector_of_more_dimensions_than_the_points_is_refused() -> None:
    with pytest.raises(ValueError, match="of the intrinsic vector to lead"):
        project_published(torch.ones(3), torch.ones(4, 9))


def test_inside_the_picture_both_projections_are_one() -> None:
    cameras = h36m_cameras("S9", torch.float64)
    points = torch.rand(4, 100, 3, dtype=torch.float64) * 2 - 1
    points[..., 2] += 4
    screen = project_published(points, intrinsic_vector(cameras))
    pixels = denormalize_screen(screen, cameras.image_size)
    torch.testing.assert_close(cameras.project(points), pixels, rtol=0, atol=1e-9)


def test_the_vector_of_another_lens_model_is_refused_or_zero() -> None:
    single = h36m_cameras("S1")[0]
    fields = (single.R, single.t, single.intrinsics, single.distortion)
    plain = Camera(*fields, distortion_model="none", image_size=single.image_size)
    assert torch.equal(intrinsic_vector(plain)[4:], torch.zeros(5))
    with pytest.raises(ValueError, match="found opencv"):
        intrinsic_vector(Camera(*fields, distortion_model="opencv", image_size=single.image_size))
