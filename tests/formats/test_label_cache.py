"""Files of labels and 2D joints: everything comes back, and what is damaged is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from liftpose.data.epipolar_labels import Detections, EpipolarLabels
from liftpose.errors import LiftposeError
from liftpose.formats.label_cache import read_detections, read_labels, write_detections, write_labels
from liftpose.geometry import h36m_cameras
from liftpose.skeletons import MPII_16


def some_labels() -> EpipolarLabels:
    random = np.random.default_rng(0)
    weights = (random.random((5, 16)) < 0.7).astype(np.float32)
    keypoints = random.normal(500, 100, (5, 16, 2)).astype(np.float32)
    keypoints[weights == 0] = np.nan
    return EpipolarLabels(
        files=tuple(f"images/Ä{number}.jpg" for number in range(5)),
        subjects=("S1", "S1", "S5", "S5", "S1"),
        skeleton=MPII_16,
        keypoints_2d=keypoints,
        depths=random.normal(size=(5, 16)).astype(np.float32) * weights,
        root_depths=random.normal(5, 1, 5).astype(np.float32),
        weights=weights,
        residuals=np.where(weights > 0, 1.5, np.nan).astype(np.float32),
        rigs={"S1": h36m_cameras("S1"), "S5": h36m_cameras("S5")[:2]},
        views={"S1": (0, 1, 2, 3), "S5": (1, 3)},
        report=("S1: cameras 0 and 1: 640 joints agree",),
        source={"key": "abc", "fusion": "robust"},
    )


def test_labels_come_back_as_they_were(tmp_path: Path) -> None:
    path, labels = tmp_path / "labels.npz", some_labels()
    write_labels(path, labels)
    found = read_labels(path)
    for name in ("keypoints_2d", "depths", "root_depths", "weights", "residuals"):
        np.testing.assert_array_equal(getattr(found, name), getattr(labels, name))
    for name in ("files", "subjects", "skeleton", "views", "report", "source"):
        assert getattr(found, name) == getattr(labels, name)
    for person, rig in labels.rigs.items():
        for name in ("R", "t", "intrinsics", "distortion"):
            torch.testing.assert_close(getattr(found.rigs[person], name), getattr(rig, name))
    with np.load(path, allow_pickle=False) as plain:  # somebody without this package reads it, too
        assert json.loads(str(plain["metadata"]))["skeleton"] == "mpii_16"
        np.testing.assert_array_equal(plain["weights"], labels.weights)
    first = path.read_bytes()
    write_labels(path, labels)
    assert path.read_bytes() == first


def test_detections_come_back_as_they_were(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    joints = Detections("key", MPII_16, random.random((3, 16, 2), np.float32), random.random((3, 16), np.float32))
    joints.keypoints_2d[1] = np.nan
    write_detections(tmp_path / "joints.npz", joints)
    found = read_detections(tmp_path / "joints.npz")
    assert (found.key, found.skeleton) == ("key", MPII_16)
    np.testing.assert_array_equal(found.keypoints_2d, joints.keypoints_2d)
    np.testing.assert_array_equal(found.confidence, joints.confidence)


def rewrite(path: Path, **changes: Any) -> None:
    """Write a file of labels with some of its arrays changed; None leaves one out."""
    with np.load(path) as file:
        content = {name: file[name] for name in file.files} | changes
    np.savez(path, **{name: array for name, array in content.items() if array is not None})


def broken(number: float, name: str) -> np.ndarray:
    column: np.ndarray = np.array(getattr(some_labels(), name))
    column[some_labels().weights > 0] = number
    return column


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": None}, "expected weights of float32 and shape"),
        ({"depths": np.zeros((5, 17), np.float32)}, "expected depths of float32 and shape"),
        ({"depths": broken(np.inf, "depths")}, "expected finite depths of valid labels"),
        ({"keypoints_2d": np.full((5, 16, 2), np.nan, np.float32)}, "expected finite keypoints_2d of valid labels"),
        ({"root_depths": np.full(5, np.nan, np.float32)}, "expected finite depths of the roots"),
        ({"weights": broken(np.nan, "weights")}, "expected weights from 0 to 1"),
        ({"weights": broken(-1, "weights")}, "expected weights from 0 to 1"),
        ({"weights": broken(1e9, "weights")}, "expected weights from 0 to 1"),
        ({"files": np.array(["a", "b", "c", "c", "a"])}, "expected one row of labels per person and picture"),
        ({"subjects": np.array([0, 1, 2, 0, 0], np.int32)}, "expected numbers of 2 people"),
        ({"subjects": np.zeros(3, np.int32)}, "expected the people of 5 pictures"),
        ({"files": np.zeros(5)}, "expected the names of the pictures"),
        ({"metadata": np.array("{")}, "expected metadata in JSON"),
        ({"metadata": np.array('{"format": "liftpose 2d joints of pictures"}')}, "expected a file of epipolar labels"),
        ({"metadata": None}, "expected a file of epipolar labels"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = tmp_path / "labels.npz"
    write_labels(path, some_labels())
    rewrite(path, **changes)
    with pytest.raises(LiftposeError, match=message) as error:
        read_labels(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_metadata_that_miss_something_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.npz"
    write_labels(path, some_labels())
    with np.load(path) as file:
        metadata = json.loads(str(file["metadata"]))
    for change, message in (
        ({"skeleton": "nobody"}, "nobody"),
        ({"version": 9}, "expected version 1, found 9"),
        ({"rigs": 3}, "expected the cameras and the source"),
        ({"rigs": {"S1": [{}]}}, "camera 0 of S1"),
        ({"views": {"S1": "x"}}, "expected the cameras and the source"),
        ({"views": {"S1": [1e999]}}, "expected the cameras and the source"),
    ):
        rewrite(path, metadata=np.array(json.dumps({**metadata, **change})))
        with pytest.raises(LiftposeError, match=message):
            read_labels(path)


def test_a_missing_file_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(LiftposeError, match=r"no such file \(liftpose data epipolar-labels makes it\)"):
        read_labels(tmp_path / "labels.npz")
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(LiftposeError, match="cut"):
        read_detections(tmp_path / "cut.npz")


def test_nothing_half_written_stays(tmp_path: Path) -> None:
    labels = replace(some_labels(), source={"bad": object()})  # type: ignore[dict-item]
    with pytest.raises(TypeError):
        write_labels(tmp_path / "labels.npz", labels)
    assert list(tmp_path.iterdir()) == []
