from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning_utilities.core.apply_func import apply_to_collection

from liftpose.geometry import Camera, DistortionModel, axis_angle_to_matrix, h36m_cameras

MODELS: tuple[DistortionModel, ...] = ("none", "h36m", "opencv")
COEFFICIENTS = {
    "none": (0.0, 0.0, 0.0, 0.0, 0.0),
    "h36m": (-0.207, 0.247, -0.003, -0.004, -0.006),
    "opencv": (-0.25, 0.12, 0.004, -0.006, -0.02),
}


def make(model: DistortionModel, seed: int = 0, skew: float = 3.0) -> Camera:
    """A camera 5 m from the origin, looking at it, in float64."""
    rng = torch.Generator().manual_seed(seed)
    vector = 2 * torch.rand(3, dtype=torch.float64, generator=rng) - 1
    return Camera(
        R=axis_angle_to_matrix(vector),
        t=torch.tensor([0.1, -0.2, 5.0], dtype=torch.float64),
        intrinsics=torch.tensor([[1145.0, skew, 512.5], [0.0, 1143.0, 515.25], [0.0, 0.0, 1.0]], dtype=torch.float64),
        distortion=torch.tensor(COEFFICIENTS[model], dtype=torch.float64),
        distortion_model=model,
        image_size=torch.tensor([1000.0, 1002.0], dtype=torch.float64),
    )


def people(*shape: int) -> torch.Tensor:
    """(*shape, 17, 3) points within 1 m of the origin, world frame."""
    rng = torch.Generator().manual_seed(1)
    return 2 * torch.rand(*shape, 17, 3, dtype=torch.float64, generator=rng) - 1


def test_world_to_camera_is_r_x_plus_t() -> None:
    camera, points = make("none"), people(4)
    expected = points.numpy() @ camera.R.numpy().T + camera.t.numpy()
    np.testing.assert_allclose(camera.to_camera(points), expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(camera.to_camera(camera.center), torch.zeros(3, dtype=torch.float64))


@pytest.mark.parametrize("model", ["none", "opencv"])
def test_projection_agrees_with_opencv(model: DistortionModel) -> None:
    camera, points = make(model, skew=0.0), people(4)
    rotation, _ = cv2.Rodrigues(camera.R.numpy())
    args = (rotation, camera.t.numpy(), camera.intrinsics.numpy(), camera.distortion.numpy())
    expected = cv2.projectPoints(points.reshape(-1, 3).numpy(), *args)[0].reshape(4, 17, 2)
    pixels = camera.project(camera.to_camera(points))
    np.testing.assert_allclose(pixels, expected, rtol=0, atol=1e-10)
    iterate = getattr(cv2, "undistortPointsIter", cv2.undistortPoints)  # OpenCV 4, OpenCV 5
    criteria = (cv2.TERM_CRITERIA_COUNT, 200, 0)
    undistorted = iterate(expected.reshape(-1, 2), args[2], args[3], R=np.eye(3), P=args[2], criteria=criteria)
    np.testing.assert_allclose(camera.undistort(pixels), undistorted.reshape(4, 17, 2), rtol=0, atol=1e-8)


@pytest.mark.parametrize("model", MODELS)
def test_undistorted_pixels_belong_to_the_projection_matrix(model: DistortionModel) -> None:
    camera, points = make(model), people(4)
    homogeneous = torch.nn.functional.pad(points, (0, 1), value=1.0) @ camera.projection_matrix.T
    expected = homogeneous[..., :2] / homogeneous[..., 2:]
    pixels = camera.undistort(camera.project(camera.to_camera(points)))
    torch.testing.assert_close(pixels, expected, rtol=0, atol=1e-9)


@settings(max_examples=40)
@given(
    st.sampled_from(MODELS),
    st.tuples(st.floats(0, 999), st.floats(0, 1001)),
    st.floats(0.5, 50),
    st.integers(0, 1000),
)
def test_every_pixel_comes_back_from_its_point(
    model: DistortionModel, pixel: tuple[float, float], depth: float, seed: int
) -> None:
    camera = make(model, seed)
    pixels, z = torch.tensor(pixel, dtype=torch.float64), torch.tensor(depth, dtype=torch.float64)
    point = camera.unproject(pixels, z)
    assert point[2] == z
    torch.testing.assert_close(camera.project(point), pixels, rtol=0, atol=1e-8)
    torch.testing.assert_close(camera.to_camera(camera.to_world(point)), point, rtol=0, atol=1e-12)


def test_points_at_wide_angles_are_not_clamped() -> None:
    camera = make("none", skew=0.0)
    pixels = camera.project(torch.tensor([3.0, 0.0, 1.0], dtype=torch.float64, requires_grad=True))
    torch.testing.assert_close(pixels.detach()[0], torch.tensor(3 * 1145 + 512.5, dtype=torch.float64))


@pytest.mark.parametrize("model", MODELS)
def test_projection_can_be_differentiated(model: DistortionModel) -> None:
    camera = make(model)
    points = camera.to_camera(people()[:2]).requires_grad_()
    pixels = camera.project(points.detach()).requires_grad_()
    assert torch.autograd.gradcheck(camera.project, (points,))
    assert torch.autograd.gradcheck(camera.unproject, (pixels, torch.full((2,), 3.0, dtype=torch.float64)))


def test_the_batch_of_cameras_leads_the_dimensions_of_points() -> None:
    cameras = h36m_cameras("S1", torch.float64)
    points = people(4, 6)
    pixels = cameras.project(cameras.to_camera(points))
    assert pixels.shape == (4, 6, 17, 2)
    for view in range(4):
        single = cameras[view]
        expected = single.project(single.to_camera(points[view]))
        torch.testing.assert_close(pixels[view], expected, rtol=0, atol=1e-10)
    same = cameras.to_camera(points[:1])  # one set of points in all views
    torch.testing.assert_close(same[3], cameras[3].to_camera(points[0]), rtol=0, atol=1e-12)
    torch.testing.assert_close(cameras.to_world(cameras.to_camera(points)), points, rtol=0, atol=1e-12)
    back = cameras.unproject(pixels, cameras.to_camera(points)[..., 2])
    torch.testing.assert_close(back, cameras.to_camera(points), rtol=0, atol=1e-9)
    with pytest.raises(ValueError, match="to lead those of the points"):
        cameras.to_camera(torch.zeros(3))


def test_indexing_and_stacking() -> None:
    cameras = h36m_cameras("S1")
    assert len(cameras) == 4
    assert cameras[1:3].batch_shape == (2,)
    assert cameras[None].batch_shape == (1, 4)
    stacked = Camera.stack(list(cameras))
    for name in ("R", "t", "intrinsics", "distortion", "image_size"):
        assert torch.equal(getattr(stacked, name), getattr(cameras, name))
    assert Camera.stack([cameras, cameras]).batch_shape == (2, 4)
    for use in (len, lambda camera: camera[0]):
        with pytest.raises(TypeError, match="a single camera"):
            use(cameras[0])
    with pytest.raises(IndexError):
        cameras[4]


def test_cameras_without_distortion_can_stand_beside_others() -> None:
    plain = replace(make("opencv"), distortion_model="none")
    bent, points = make("opencv"), people()
    stacked = Camera.stack([plain, bent])
    assert stacked.distortion_model == "opencv"
    expected = torch.stack([camera.project(camera.to_camera(points)) for camera in (plain, bent)])
    torch.testing.assert_close(stacked.project(stacked.to_camera(points.expand(2, 17, 3))), expected)
    assert Camera.stack([plain, plain]).distortion_model == "none"
    for cameras in ([], [make("h36m"), make("opencv")]):
        with pytest.raises(ValueError, match="expected at least one and one distortion model"):
            Camera.stack(cameras)


def test_cameras_move_with_a_batch() -> None:
    camera = make("h36m")
    assert camera.to(dtype=torch.float32).dtype == torch.float32
    assert camera.to("meta").device.type == "meta"
    moved = apply_to_collection({"camera": camera}, Camera, lambda value: value.to(torch.device("meta")))
    assert moved["camera"].t.device.type == "meta"


PICTURES: dict[str, tuple[Callable[[Camera], Camera], Callable[[torch.Tensor], torch.Tensor]]] = {
    "crop": (lambda camera: camera.crop(200, 150, 640, 480), lambda image: image[:, 150:630, 200:840]),
    "crop beyond the border": (
        lambda camera: camera.crop(-30, -20, 1100, 1050),
        lambda image: torch.nn.functional.pad(image, (30, 70, 20, 28), value=torch.nan),
    ),
    "resize": (
        lambda camera: camera.resize(500, 334),
        lambda image: torch.nn.functional.interpolate(image[None], (334, 500), mode="bilinear", align_corners=False)[0],
    ),
    "flip": (Camera.flip, lambda image: image.flip(-1)),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("change", PICTURES)
def test_the_changed_camera_sees_the_changed_picture(change: str, model: DistortionModel) -> None:
    # The picture holds, in every pixel, the coordinates of that pixel: it says where its content came from.
    camera, points = make(model), people(10)
    change_camera, change_picture = PICTURES[change]
    v, u = torch.meshgrid(torch.arange(1002.0), torch.arange(1000.0), indexing="ij")
    picture = change_picture(torch.stack((u, v)).double())
    changed = change_camera(camera)
    assert changed.image_size.tolist() == [picture.shape[2], picture.shape[1]]
    mirror = torch.tensor([-1.0 if change == "flip" else 1.0, 1.0, 1.0])
    before = camera.project(camera.to_camera(points))
    after = changed.project(changed.to_camera(points * mirror))
    size = changed.image_size
    inside = ((after > 2) & (after < size - 3)).all(-1)
    assert inside.sum() > 100
    grid = (2 * after[inside] + 1) / size - 1  # grid_sample counts from the outer border of the picture
    content = torch.nn.functional.grid_sample(picture[None], grid[None, None], align_corners=False)[0, :, 0].T
    torch.testing.assert_close(content, before[inside], rtol=0, atol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_flip_mirrors_pixels_and_camera_frame_and_is_its_own_inverse(model: DistortionModel) -> None:
    camera, points = make(model), people(3)
    mirror = torch.tensor([-1.0, 1.0, 1.0])
    flipped = camera.flip()
    seen, mirrored = camera.to_camera(points), flipped.to_camera(points * mirror)
    torch.testing.assert_close(mirrored, seen * mirror, rtol=0, atol=1e-14)
    pixels = camera.project(seen)
    pixels[..., 0] = 999 - pixels[..., 0]
    torch.testing.assert_close(flipped.project(mirrored), pixels, rtol=0, atol=1e-9)
    assert torch.linalg.det(flipped.R) > 0
    for name in ("R", "t", "intrinsics", "distortion"):
        torch.testing.assert_close(getattr(flipped.flip(), name), getattr(camera, name), rtol=0, atol=1e-12)


def test_each_camera_of_a_batch_has_its_own_crop() -> None:
    cameras = h36m_cameras("S1")
    x0, y0 = torch.tensor([0.0, 10.0, 20.0, 30.5]), torch.tensor([5.0, 0.0, 0.0, 0.0])
    cropped = cameras.crop(x0, y0, torch.tensor([100.0, 200.0, 300.0, 400.0]), 50)
    points = cameras.to_camera(people(4).float())
    shift = torch.stack((x0, y0), dim=-1)[:, None]
    torch.testing.assert_close(cropped.project(points), cameras.project(points) - shift, rtol=0, atol=1e-3)
    assert cropped.image_size.tolist() == [[100, 50], [200, 50], [300, 50], [400, 50]]


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("R", torch.eye(3).half(), TypeError),
        ("t", torch.zeros(3).double(), TypeError),
        ("t", torch.zeros(1, 3), ValueError),
        ("intrinsics", torch.zeros(3, 4), ValueError),
        ("distortion", torch.zeros(4), ValueError),
        ("image_size", torch.zeros(()), ValueError),
        ("distortion_model", "fisheye", ValueError),
    ],
)
def test_impossible_cameras_cannot_be_made(name: str, value: Any, error: type[Exception]) -> None:
    camera = make("h36m").to(dtype=torch.float32)
    with pytest.raises(error, match="expected"):
        replace(camera, **{name: value})
