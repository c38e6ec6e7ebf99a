"""Files of poses that were predicted from pictures."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from liftpose.errors import LiftposeError
from liftpose.formats.picture_predictions import (
    PicturePredictions,
    read_picture_predictions,
    write_picture_predictions,
)
from liftpose.skeletons import MPII_16


def some(rows: int = 3, truth: bool = True) -> PicturePredictions:
    rng = np.random.default_rng(0)

    def numbers(*shape: int) -> Any:
        return rng.normal(size=shape).astype(np.float32)

    poses = numbers(rows, 16, 3)
    return PicturePredictions(
        skeleton=MPII_16, files=tuple(f"bilder/straße {row}.jpg" for row in range(rows)), boxes=numbers(rows, 4),
        poses_3d=poses, keypoints_2d=numbers(rows, 16, 2), confidence=numbers(rows, 16) ** 2, model="a.ckpt",
        scale="a guess", subjects=("S9",) * rows, actions=("Walking 1",) * rows, views=np.arange(rows),
        frames=10 * np.arange(rows), truth_3d=poses + 1 if truth else None,
    )  # fmt: skip


def assert_same(one: PicturePredictions, other: PicturePredictions) -> None:
    for field in fields(PicturePredictions):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(mine, theirs)
            assert mine.dtype == theirs.dtype
        else:
            assert mine == theirs, field.name


@pytest.mark.parametrize("truth", [True, False])
def test_a_file_comes_back_as_it_was(tmp_path: Path, truth: bool) -> None:
    given = some(truth=truth)
    if truth:
        assert given.truth_3d is not None
        given.truth_3d[1, 4] = np.nan  # a joint that nobody knows
    write_picture_predictions(tmp_path / "sub/x.npz", given)
    assert_same(given, read_picture_predictions(tmp_path / "sub/x.npz"))


def test_anybody_can_read_it(tmp_path: Path) -> None:
    given = some()
    write_picture_predictions(tmp_path / "x.npz", given)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as content:
        np.testing.assert_array_equal(content["poses_3d"], given.poses_3d)
        assert content["files"].tolist() == list(given.files)
        metadata = json.loads(str(content["metadata"]))
    assert (metadata["unit"], metadata["frame"]) == ("m", "camera, root-relative")
    assert metadata["joint_names"] == list(MPII_16.joint_names)
    assert (metadata["model"], metadata["scale"]) == ("a.ckpt", "a guess")


def test_some_rows() -> None:
    given = some(5)
    taken = given.take(np.array([4, 0]))
    assert taken.files == (given.files[4], given.files[0])
    np.testing.assert_array_equal(taken.poses_3d, given.poses_3d[[4, 0]])
    np.testing.assert_array_equal(taken.frames, [40, 0])
    assert some(truth=False).take(np.array([1])).truth_3d is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": np.zeros((2, 4), np.float32)}, r"boxes: expected shape \(3, 4\), found \(2, 4\)"),
        ({"poses_3d": np.full((3, 16, 3), np.nan, np.float32)}, r"poses_3d: expected finite numbers"),
    ],
)
def test_what_does_not_fit_is_not_written(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_picture_predictions(tmp_path / "x.npz", replace(some(), **change))
    assert not list(tmp_path.iterdir())


def changed(path: Path, **entries: Any) -> Path:
    """Write a file of which some arrays are others, or none."""
    write_picture_predictions(path, some())
    with np.load(path) as content:
        arrays = {**content, **entries}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"metadata": None}, "expected a file of poses from pictures, found one of another kind"),
        ({"metadata": np.array("{")}, "expected a file of poses from pictures, found one of another kind"),
        (
            {"metadata": np.array("[1]")},
            "expected a file of poses from pictures, found metadata that are no JSON object",
        ),
        ({"metadata": np.array('{"format": "x"}')}, "metadata: format: expected 'liftpose-picture-predictions'"),
        ({"poses_3d": np.zeros((3, 17, 3))}, r"expected poses_3d of shape \(3, 16, 3\), found \(3, 17, 3\) of float64"),
        ({"poses_3d": np.zeros((3, 16, 3), int)}, r"expected poses_3d of shape \(3, 16, 3\), found .* of int64"),
        ({"boxes": np.full((3, 4), np.nan)}, "expected finite numbers as boxes, found others"),
        ({"views": np.zeros(3)}, r"expected views of shape \(3,\), found \(3,\) of float64"),
        ({"confidence": None}, r"expected confidence of shape \(3, 16\), found none"),
        ({"subjects": np.array(["S1"])}, "expected 3 subjects, found others"),
        ({"files": None}, "expected"),
    ],
)
def test_a_broken_file_is_one_line(tmp_path: Path, entries: dict[str, Any], message: str) -> None:
    path = changed(tmp_path / "x.npz", **entries)
    with pytest.raises(LiftposeError, match=message) as caught:
        read_picture_predictions(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_skeleton_is_named_with_the_file(tmp_path: Path) -> None:
    with np.load(changed(tmp_path / "x.npz")) as file:
        metadata = json.loads(str(file["metadata"])) | {"skeleton": "octopus"}
    path = changed(tmp_path / "x.npz", metadata=np.array(json.dumps(metadata)))
    with pytest.raises(LiftposeError, match=r"x\.npz: metadata: .*octopus"):
        read_picture_predictions(path)


def test_other_joint_names_under_a_known_name(tmp_path: Path) -> None:
    write_picture_predictions(tmp_path / "x.npz", some())
    with np.load(tmp_path / "x.npz") as content:
        metadata = json.loads(str(content["metadata"]))
    metadata["joint_names"][0] = "nose"
    with pytest.raises(LiftposeError, match="expected the joints of mpii_16, found"):
        read_picture_predictions(changed(tmp_path / "x.npz", metadata=np.array(json.dumps(metadata))))
