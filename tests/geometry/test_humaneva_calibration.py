from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from liftpose.errors import LiftposeError
from liftpose.geometry import Camera
from liftpose.geometry.humaneva_calibration import HUMANEVA_CAMERA_IDS, HUMANEVA_CAMERA_SUBJECTS, humaneva_cameras


@pytest.mark.parametrize("subject", HUMANEVA_CAMERA_SUBJECTS)
def test_cameras_are_the_published_numbers_in_metres(reference: Path, subject: str) -> None:
    content = json.loads((reference / "spec/humaneva_cameras.json").read_text())
    assert [entry["id"] for entry in content["intrinsics"]] == list(HUMANEVA_CAMERA_IDS)
    cameras = humaneva_cameras(subject, torch.float64)
    assert cameras.batch_shape == (3,)
    for camera, inner, outer in zip(cameras, content["intrinsics"], content["extrinsics"][subject], strict=True):
        assert camera.image_size.tolist() == [inner["res_w"], inner["res_h"]]
        np.testing.assert_allclose(camera.center * 1000, outer["translation"], rtol=0, atol=1e-9)
        to_world = Rotation.from_quat(outer["orientation"], scalar_first=True).as_matrix()
        np.testing.assert_allclose(camera.R.T, to_world, rtol=0, atol=1e-14)


@pytest.mark.parametrize("subject", HUMANEVA_CAMERA_SUBJECTS)
def test_the_cameras_stand_around_the_person_with_z_up(subject: str) -> None:
    cameras = humaneva_cameras(subject, torch.float64)
    assert (cameras.center[:, 2] - 1.5).abs().max() < 0.1  # at the height of a tripod
    distance = cameras.center[:, :2].norm(dim=1)
    assert ((distance > 3.8) & (distance < 4.2)).all()
    middle = cameras.to_camera(torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(3, 1, 3))[:, 0]
    assert (middle[:, 2] > 3.5).all()
    assert (middle[:, :2].abs() / middle[:, 2:] < 0.25).all()  # near the middle of the image
    up = cameras.R[..., 2]
    assert (up[:, 1] < -0.98).all()  # the world's z is nearly the image's up


def test_points_go_between_the_frames_but_not_into_the_image() -> None:
    cameras = humaneva_cameras("S2")
    assert not cameras.has_intrinsics
    points = torch.randn(3, 7, 3)
    torch.testing.assert_close(cameras.to_world(cameras.to_camera(points)), points, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="camera: expected known intrinsics, found none"):
        cameras.project(cameras.to_camera(points))
    back = Camera.from_dict(json.loads(json.dumps(cameras[1].to_dict(), allow_nan=False)))
    assert not back.has_intrinsics
    assert torch.equal(back.R, cameras[1].R)


@pytest.mark.parametrize("subject", ["S4", "Train/S1"])
def test_subjects_without_cameras(subject: str) -> None:
    with pytest.raises(LiftposeError, match=rf"expected one of the subjects S1, S2, S3, found '{subject}'"):
        humaneva_cameras(subject)
