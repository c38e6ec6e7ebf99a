from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from liftpose.errors import LiftposeError
from liftpose.geometry import Camera, h36m_cameras, intrinsic_vector

CONTENT: dict[str, Any] = {
    "R": [[0, -1, 0], [0, 0, -1], [1, 0, 0]],
    "t": [0.0, 1.0, 4.0],
    "intrinsics": [[1000, 0, 320], [0, 1000, 240], [0, 0, 1]],
    "distortion": [0.1, 0.2, 0.3, 0.4, 0.5],
    "distortion_model": "opencv",
    "image_size": [640, 480],
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_camera_comes_back_from_json_to_the_last_bit(dtype: torch.dtype) -> None:
    for camera in h36m_cameras("S6", dtype):
        back = Camera.from_dict(json.loads(json.dumps(camera.to_dict())), dtype=dtype)
        assert back.distortion_model == "h36m"
        for name in ("R", "t", "intrinsics", "distortion", "image_size"):
            assert torch.equal(getattr(back, name), getattr(camera, name))


def test_numbers_are_where_they_were_written() -> None:
    camera = Camera.from_dict(CONTENT)
    # World x is depth, world y is to the left, world z is up.
    assert camera.to_camera(torch.tensor([2.0, 0.0, 0.0])).tolist() == [0, 1, 6]
    assert camera.to_camera(torch.tensor([0.0, 1.0, 1.0])).tolist() == [-1, 0, 4]
    assert camera.distortion.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


def test_no_distortion_may_be_an_empty_list() -> None:
    camera = Camera.from_dict(CONTENT | {"distortion": [], "distortion_model": "none"})
    assert camera.distortion.tolist() == [0] * 5


def test_unknown_intrinsics_are_null_and_refuse_to_project() -> None:
    camera = Camera.from_dict(CONTENT | {"intrinsics": None})
    assert not camera.has_intrinsics
    assert Camera.from_dict(CONTENT).has_intrinsics
    assert json.loads(json.dumps(camera.to_dict(), allow_nan=False))["intrinsics"] is None
    assert camera.to_camera(torch.tensor([2.0, 0.0, 0.0])).tolist() == [0, 1, 6]
    both = Camera.stack([camera, Camera.from_dict(CONTENT)])
    assert not both.has_intrinsics
    assert both[1].has_intrinsics
    for other in (camera.flip(), camera.crop(10, 20, 100, 200), camera.resize(320, 240)):
        assert not other.has_intrinsics  # moved about, but no more known than before
    assert camera.resize(320, 240).image_size.tolist() == [320, 240]
    point, pixel = torch.tensor([0.1, 0.2, 3.0]), torch.tensor([320.0, 240.0])
    for use in (
        lambda: camera.project(point),
        lambda: camera.unproject(pixel, torch.tensor(3.0)),
        lambda: camera.undistort(pixel),
        lambda: camera.projection_matrix,
        lambda: intrinsic_vector(Camera.from_dict(CONTENT | {"intrinsics": None, "distortion_model": "h36m"})),
    ):
        with pytest.raises(ValueError, match="camera: expected known intrinsics, found none"):
            use()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"R": [[1, 0], [0, 1]]}, r"expected R to be finite numbers of shape \(3, 3\), found"),
        ({"R": [[1, 0, 0], [0, 1, 0], [0, 0, -1]]}, "expected R to be a rotation matrix"),
        ({"R": [[2, 0, 0], [0, 1, 0], [0, 0, 0.5]]}, "expected R to be a rotation matrix"),
        ({"t": [0, None, 1]}, "expected t to be numbers"),
        ({"t": "far away"}, "expected t to be numbers of shape"),
        ({"t": [0, float("nan"), 1]}, "expected t to be finite numbers"),
        ({"intrinsics": [[None, 0, 320], [0, 1000, 240], [0, 0, 1]]}, "expected intrinsics to be numbers"),
        ({"intrinsics": [[1000, 0, 0], [0, 1000, 0], [320, 240, 1]]}, "last row 0, 0, 1, found"),
        ({"intrinsics": [[-1000, 0, 320], [0, 1000, 240], [0, 0, 1]]}, "positive focal lengths"),
        ({"distortion": []}, "expected distortion to be finite numbers"),
        ({"distortion": [0.1, 0, 0, 0]}, r"expected distortion to be finite numbers of shape \(5,\)"),
        ({"distortion_model": "none"}, "expected no distortion coefficients for the model none"),
        ({"distortion_model": "fisheye"}, "expected distortion_model none, h36m, opencv, found 'fisheye'"),
        ({"distortion_model": ["h36m"]}, "expected distortion_model none, h36m, opencv, found"),
        ({"image_size": [640, 0]}, "expected a positive image_size"),
        ({"name": "left"}, "expected the entries"),
    ],
)
def test_mistakes_in_a_file_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(LiftposeError, match=f"^data.json, camera 2: .*{message}"):
        Camera.from_dict(CONTENT | change, where="data.json, camera 2")


def test_missing_entries_and_other_things() -> None:
    with pytest.raises(LiftposeError, match=r"expected the entries \['R', .*found \['R'\]"):
        Camera.from_dict({"R": CONTENT["R"]})
    with pytest.raises(LiftposeError, match="expected an object"):
        Camera.from_dict([CONTENT])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected a single camera"):
        h36m_cameras("S1").to_dict()
