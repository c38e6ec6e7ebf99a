from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from liftpose.errors import LiftposeError
from liftpose.geometry import (
    H36M_CAMERA_IDS,
    H36M_CAMERA_SUBJECTS,
    h36m_cameras,
    intrinsic_vector,
    normalize_screen,
    project_published,
)


@pytest.mark.parametrize("subject", ["S1", "S9"])
def test_the_published_float32_chain_is_repeated(reference: Path, subject: str) -> None:
    cameras = h36m_cameras(subject)
    assert cameras.dtype == torch.float32
    vectors = intrinsic_vector(cameras)
    with np.load(reference / "golden/rie/camera.npz") as golden:
        world = torch.from_numpy(golden["h36m_world"])
        for view in range(4):
            expected = {
                name: torch.from_numpy(golden[f"h36m_{subject}_{view}_{name}"])
                for name in ("intrinsic", "translation", "camera", "normalized_2d", "pixels")
            }
            camera = cameras[view]
            points = camera.to_camera(world)
            near = {"rtol": 0, "atol": 1e-5}
            torch.testing.assert_close(camera.center, expected["translation"], **near)
            torch.testing.assert_close(points, expected["camera"], **near)
            torch.testing.assert_close(vectors[view], expected["intrinsic"], **near)
            torch.testing.assert_close(project_published(points, vectors[view]), expected["normalized_2d"], **near)
            pixels = camera.project(points)
            torch.testing.assert_close(pixels, expected["pixels"], rtol=0, atol=1e-3)
            torch.testing.assert_close(normalize_screen(pixels, camera.image_size), expected["normalized_2d"], **near)


@pytest.mark.parametrize("subject", H36M_CAMERA_SUBJECTS)
def test_cameras_are_the_published_numbers_in_metres(reference: Path, subject: str) -> None:
    content = json.loads((reference / "spec/h36m_cameras.json").read_text())
    assert [entry["id"] for entry in content["intrinsics"]] == list(H36M_CAMERA_IDS)
    cameras = h36m_cameras(subject, torch.float64)
    assert cameras.batch_shape == (4,)
    assert cameras.distortion_model == "h36m"
    for camera, inner, outer in zip(cameras, content["intrinsics"], content["extrinsics"][subject], strict=True):
        (fx, fy), (cx, cy) = inner["focal_length"], inner["center"]
        assert camera.intrinsics.tolist() == [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]
        assert camera.distortion.tolist() == inner["radial_distortion"] + inner["tangential_distortion"]
        assert camera.image_size.tolist() == [inner["res_w"], inner["res_h"]]
        np.testing.assert_allclose(camera.center * 1000, outer["translation"], rtol=0, atol=1e-9)
        to_world = Rotation.from_quat(outer["orientation"], scalar_first=True).as_matrix()
        np.testing.assert_allclose(camera.R.T, to_world, rtol=0, atol=1e-14)


def test_the_four_cameras_look_at_the_middle_of_the_room_from_above_the_floor() -> None:
    cameras = h36m_cameras("S1", torch.float64)
    person = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(4, 1, 3)
    points = cameras.to_camera(person)
    pixels = cameras.project(points)
    assert (points[..., 2] > 3).all()
    assert ((pixels > 0) & (pixels < cameras.image_size[:, None])).all()
    head_above_feet = cameras.project(cameras.to_camera(person + torch.tensor([0, 0, 0.5]))) - pixels
    assert (head_above_feet[..., 1] < -50).all()


def test_a_change_of_the_result_does_not_reach_the_next_call() -> None:
    h36m_cameras("S5").R.zero_()
    assert h36m_cameras("S5").R.abs().max() > 0.5


@pytest.mark.parametrize("subject", ["S2", "S3", "S4", "S99"])
def test_subjects_without_cameras(subject: str) -> None:
    with pytest.raises(
        LiftposeError, match=rf"expected one of the subjects S1, S5, S6, S7, S8, S9, S11, found .?{subject}"
    ):
        h36m_cameras(subject)
