"""Cameras of samples against the single cameras they were made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from liftpose.geometry import ScreenCameras, h36m_cameras, normalize_screen


@pytest.fixture
def points() -> torch.Tensor:
    """(4, 5, 3, 3) metres, around the middle of the room."""
    generator = torch.Generator().manual_seed(2)
    return torch.randn(4, 5, 3, 3, generator=generator) * torch.tensor([0.7, 0.7, 0.5]) + torch.tensor([0, 0, 1.0])


def test_it_does_what_the_single_cameras_do(points: torch.Tensor) -> None:
    single = h36m_cameras("S5")
    cameras = ScreenCameras.of(single).take(torch.tensor([2, 0, 3, 3]))
    for row, number in enumerate([2, 0, 3, 3]):
        camera = single[number].to(dtype=torch.float64)
        world = points[row].double()
        own = ScreenCameras(*(part[row].double() for part in cameras))
        expected = camera.to_camera(world)
        torch.testing.assert_close(own.to_camera(world), expected, rtol=0, atol=2e-6)
        torch.testing.assert_close(own.to_world(expected), world, rtol=0, atol=2e-6)
        screen = normalize_screen(camera.project(expected), camera.image_size)
        torch.testing.assert_close(own.project(expected), screen, rtol=0, atol=2e-6)
    together = cameras.to_camera(points)
    for row in range(4):
        alone = cameras.take(torch.tensor(row)).to_camera(points[row])
        torch.testing.assert_close(together[row], alone, rtol=0, atol=1e-6)
    torch.testing.assert_close(cameras.to_world(together), points, rtol=0, atol=1e-5)


def test_the_published_cameras(reference: Path) -> None:
    with np.load(reference / "golden/dh_aug/camera.npz") as file:
        subject = [str(name) for name in file["subject"]]
        numbers = file["cam_id"].tolist()
        world, camera, proj2d = (torch.from_numpy(file[name]) for name in ("world", "camera", "proj2d"))
        position = torch.from_numpy(file["trans_m"])
    chosen = [h36m_cameras(name)[number] for name, number in zip(subject, numbers, strict=True)]
    cameras = ScreenCameras.of(chosen)
    torch.testing.assert_close(cameras.position, position.float(), rtol=0, atol=1e-6)
    own = cameras.to_camera(world.float()[None].expand(4, -1, -1, -1))
    torch.testing.assert_close(own, camera.float(), rtol=0, atol=1e-5)
    torch.testing.assert_close(cameras.project(own), proj2d.float(), rtol=0, atol=1e-5)


def test_what_is_seen() -> None:
    cameras = ScreenCameras.of(h36m_cameras("S1")[:1])
    wide, high = cameras.vector[0, 0], cameras.height[0]
    assert high == pytest.approx(1002 / 1000)
    axis = cameras.vector[0, 2:4] / cameras.vector[0, :2]  # the ray through the middle of the picture
    ahead = torch.tensor([-axis[0], -axis[1], 1.0])
    points = torch.stack([ahead * 3, -ahead * 3, ahead * 0.05, ahead * 3 + torch.tensor([3.2 / wide, 0, 0])])
    points = torch.cat([points, (ahead * 3 + torch.tensor([0, 2.9 / wide, 0]))[None]])[None]
    assert cameras.sees(points, cameras.project(points)).tolist() == [[True, False, False, False, True]]


def test_a_lens_without_room_is_refused() -> None:
    camera = h36m_cameras("S1")[0]
    other = type(camera)(camera.R, camera.t, camera.intrinsics, camera.distortion, "opencv", camera.image_size)
    with pytest.raises(ValueError, match="expected the distortion model h36m or none, found opencv"):
        ScreenCameras.of([other])
