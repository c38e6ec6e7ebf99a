"""Prediction files: read by numpy alone, complete, and safe to name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from liftpose.data import Recording, RecordingKey
from liftpose.errors import LiftposeError
from liftpose.formats import predictions_file_name, read_predictions, write_npz, write_predictions
from liftpose.geometry import h36m_cameras
from liftpose.skeletons import COCO_18, H36M_17


def recording(**changes: Any) -> Recording:
    random = np.random.default_rng(0)
    values: dict[str, Any] = {
        "subject": "S9",
        "action": "Walking 1",
        "view": 2,
        "skeleton": H36M_17,
        "fps": 50.0,
        "keypoints_2d": random.uniform(0, 1000, (5, 17, 2)).astype(np.float32),
        "camera": h36m_cameras("S9", torch.float64)[2],
    }
    return Recording(**(values | changes))


POSES = np.random.default_rng(1).normal(size=(5, 17, 3)).astype(np.float32)


def test_numpy_reads_all_without_pickle(tmp_path: Path) -> None:
    one = recording()
    write_predictions(tmp_path / "a.npz", one, POSES, model="RIE, best.ckpt")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["poses_3d"], POSES)
        np.testing.assert_array_equal(file["keypoints_2d"], one.keypoints_2d)
        metadata = json.loads(str(file["metadata"]))
    camera = metadata.pop("camera")
    assert metadata == {
        "format": "liftpose-predictions",
        "version": 1,
        "subject": "S9",
        "action": "Walking 1",
        "view": 2,
        "skeleton": "h36m_17",
        "joint_names": list(H36M_17.joint_names),
        "parents": list(H36M_17.parents),
        "unit": "m",
        "frame": "camera, root-relative",
        "fps": 50.0,
        "model": "RIE, best.ckpt",
    }
    assert one.camera is not None
    np.testing.assert_array_equal(camera["R"], one.camera.R)


def test_keypoints_of_another_skeleton_say_so(tmp_path: Path) -> None:
    points = np.random.default_rng(2).uniform(0, 1000, (5, 18, 2)).astype(np.float32)
    write_predictions(tmp_path / "a.npz", recording(keypoints_2d=points, keypoint_skeleton=COCO_18), POSES)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        arrays = dict(file)
    metadata = json.loads(str(arrays["metadata"]))
    assert (metadata["skeleton"], metadata["keypoint_skeleton"]) == ("h36m_17", "coco_18")
    assert metadata["keypoint_joint_names"] == list(COCO_18.joint_names)
    found = read_predictions(tmp_path / "a.npz")
    assert (found.skeleton, found.keypoint_skeleton) == (H36M_17, COCO_18)
    np.testing.assert_array_equal(found.keypoints_2d, points)
    for change, message in (
        ({"keypoint_skeleton": "coco_19"}, "expected a skeleton that is known here, found 'coco_19'"),
        ({"keypoint_joint_names": ["nose"]}, r"expected the joints of coco_18, found \['nose'\]"),
        ({"keypoint_skeleton": None}, r"keypoints_2d of shape \(frames, 17, 2\), found \(5, 18, 2\)"),
    ):
        np.savez(tmp_path / "b.npz", **(arrays | {"metadata": np.array(json.dumps(metadata | change))}))
        with pytest.raises(LiftposeError, match=message):
            read_predictions(tmp_path / "b.npz")


def test_reads_what_numpy_writes(tmp_path: Path) -> None:
    metadata = {
        "format": "liftpose-predictions",
        "version": 1,
        "subject": "ä/b",
        "action": "Posing",
        "view": 0,
        "skeleton": "h36m_17",
        "joint_names": list(H36M_17.joint_names),
        "parents": [],
        "unit": "m",
        "frame": "camera, root-relative",
        "fps": 25,
        "camera": None,
        "model": "",
    }
    points = np.full((5, 17, 2), np.nan)
    np.savez(tmp_path / "a.npz", poses_3d=POSES.astype(np.float64), keypoints_2d=points, metadata=json.dumps(metadata))
    found = read_predictions(tmp_path / "a.npz")
    assert (found.subject, found.action, found.view, found.fps, found.model) == ("ä/b", "Posing", 0, 25.0, "")
    assert found.skeleton is H36M_17
    assert found.camera is None
    np.testing.assert_array_equal(found.poses_3d, POSES)
    assert found.poses_3d.dtype == np.float32
    assert np.isnan(found.keypoints_2d).all(), "a joint that was not seen has no place"


def test_the_camera_comes_back(tmp_path: Path) -> None:
    one = recording()
    write_predictions(tmp_path / "a.npz", one, torch.from_numpy(POSES))
    found = read_predictions(tmp_path / "a.npz")
    assert found.camera is not None and one.camera is not None
    torch.testing.assert_close(found.camera.R, one.camera.R.float())


@pytest.mark.parametrize("poses", [POSES[:4], POSES[:, :16], POSES[0], np.full((5, 17, 3), np.nan)])
def test_poses_of_something_else_are_not_written(tmp_path: Path, poses: Any) -> None:
    with pytest.raises(ValueError, match=r"for S9/Walking 1\.2, found"):
        write_predictions(tmp_path / "a.npz", recording(), poses)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metadata": None}, "expected a file of predictions, found an npz file of other things"),
        ({"metadata": np.zeros(3)}, "expected a file of predictions, found metadata that are no JSON"),
        ({"metadata": "{"}, "found metadata that are no JSON"),
        ({"metadata": "[]"}, "found metadata that are no JSON object"),
        ({"format": "other"}, "metadata: format: expected 'liftpose-predictions', found 'other'"),
        ({"unit": "mm"}, "metadata: unit: expected 'm', found 'mm'"),
        ({"frame": "world"}, "metadata: frame: expected 'camera, root-relative', found 'world'"),
        ({"fps": "fast"}, "metadata: fps: expected a number above 0, found 'fast'"),
        ({"fps": -1}, "metadata: fps: expected a number above 0, found -1"),
        ({"view": None}, "metadata: view: expected a whole number, found None"),
        ({"view": True}, "metadata: view: expected a whole number, found True"),
        ({"skeleton": "h36m_18"}, "'h36m_18'"),
        ({"joint_names": ["nose"]}, "expected the joints of h36m_17"),
        ({"camera": {"R": 1}}, "camera: expected the entries"),
        ({"poses_3d": np.zeros((5, 16, 3))}, r"expected poses_3d of shape \(frames, 17, 3\), found \(5, 16, 3\)"),
        ({"poses_3d": np.zeros((5, 17, 3), dtype=int)}, "expected poses_3d"),
        ({"poses_3d": None}, "expected poses_3d .*, found none"),
        ({"poses_3d": np.zeros((4, 17, 3))}, "as many frames of poses as of keypoints, found 4 and 5"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = tmp_path / "a.npz"
    write_predictions(path, recording(), POSES)
    with np.load(path) as file:
        arrays = dict(file)
    for key, value in changes.items():
        if key not in {"metadata", "poses_3d"}:
            arrays["metadata"] = np.array(json.dumps(json.loads(str(arrays["metadata"])) | {key: value}))
        elif value is None:
            del arrays[key]
        else:
            arrays[key] = value
    write_npz(path, arrays)
    with pytest.raises(LiftposeError, match=rf"a\.npz: .*{message}"):
        read_predictions(path)


def test_file_names() -> None:
    assert predictions_file_name(recording()) == "S9.Walking_1.2.npz"
    assert predictions_file_name(RecordingKey("Train/S1", "Walk_1", 0)) == "Train%2FS1.Walk%5F1.0.npz"
    assert predictions_file_name(RecordingKey("..", "", 0)) == "%2E%2E..0.npz"


names = st.text(max_size=300)


@given(st.tuples(names, names, st.integers(0, 20)), st.tuples(names, names, st.integers(0, 20)))
def test_file_names_are_safe_and_differ(one: tuple[str, str, int], other: tuple[str, str, int]) -> None:
    first, second = predictions_file_name(RecordingKey(*one)), predictions_file_name(RecordingKey(*other))
    assert (first == second) == (one == other)
    assert set(first) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.%")
    assert len(first) < 210
    assert Path(first).name == first
