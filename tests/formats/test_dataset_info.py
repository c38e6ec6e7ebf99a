"""The description of a data set: what is written is read, and every mistake in it is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from liftpose.errors import LiftposeError
from liftpose.formats import DatasetInfo, find_dataset_info, h36m_info, read_dataset_info, write_dataset_info
from liftpose.geometry import h36m_cameras

# Written by hand after the description of the format, not by the writer.
EXAMPLE: dict[str, Any] = {
    "format": "liftpose-dataset",
    "version": 1,
    "name": "gym",
    "skeleton": "h36m_17",
    "storage_skeleton": "h36m_32",
    "unit": "m",
    "up_axis": "z",
    "fps": 60,
    "cameras": {
        "anna": [
            {
                "R": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
                "t": [0.1, 1.0, 4.0],
                "intrinsics": [[1100, 0, 640], [0, 1110, 360], [0, 0, 1]],
                "distortion": [-0.2, 0.1, 0.001, 0.002, 0.0],
                "distortion_model": "opencv",
                "image_size": [1280, 720],
            }
        ]
    },
    "splits": {"train": ["anna"], "validation": [], "test": ["anna"]},
    "source": "a gym",
    "licence": "CC0",
    "notes": {"who": ["knows"]},
}


def example() -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(EXAMPLE))
    return copy


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_reads_the_format(tmp_path: Path) -> None:
    info = read_dataset_info(write(tmp_path / "data_3d_gym.json", EXAMPLE))
    assert (info.name, info.skeleton.name, info.storage_skeleton, info.fps) == ("gym", "h36m_17", "h36m_32", 60.0)
    assert info.splits == {"train": ("anna",), "validation": (), "test": ("anna",)}
    assert (info.up_axis, info.source, info.licence, info.notes) == ("z", "a gym", "CC0", {"who": ["knows"]})
    assert [len(cameras) for cameras in info.cameras.values()] == [1] * len(info.cameras)
    (camera,) = info.cameras["anna"]
    expected = EXAMPLE["cameras"]["anna"][0]
    for name in ("R", "t", "intrinsics", "distortion", "image_size"):
        np.testing.assert_array_equal(getattr(camera, name), expected[name])
    assert camera.distortion_model == "opencv"
    # A point one metre above the world's origin is one metre further down the axis that points away from "down".
    np.testing.assert_allclose(camera.to_camera(torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)), [0.1, 0.0, 4.0])


def test_writes_the_format(tmp_path: Path) -> None:
    info = read_dataset_info(write(tmp_path / "a.json", EXAMPLE))
    write_dataset_info(tmp_path / "b.json", info)
    assert json.loads((tmp_path / "b.json").read_text(encoding="utf-8")) == EXAMPLE


def test_cameras_survive_to_the_last_bit(tmp_path: Path) -> None:
    info = replace(h36m_info(), name="other")
    write_dataset_info(tmp_path / "a.json", info)
    found = read_dataset_info(tmp_path / "a.json")
    for subject, cameras in info.cameras.items():
        for one, other in zip(cameras, found.cameras[subject], strict=True):
            assert one.to_dict() == other.to_dict()


def test_a_description_that_contradicts_itself_is_not_written(tmp_path: Path) -> None:
    info = replace(h36m_info(), splits={"train": ("S2",), "validation": (), "test": ()})
    with pytest.raises(LiftposeError, match="expected subjects with cameras"):
        write_dataset_info(tmp_path / "a.json", info)
    assert not (tmp_path / "a.json").exists()


def change(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def function(content: dict[str, Any]) -> None:
        place: Any = content
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = to

    return function


@pytest.mark.parametrize("key", sorted(EXAMPLE))
def test_every_entry_is_needed(tmp_path: Path, key: str) -> None:
    content = example()
    del content[key]
    with pytest.raises(LiftposeError, match=rf"a\.json: expected an entry '{key}', found none"):
        read_dataset_info(write(tmp_path / "a.json", content))


@pytest.mark.parametrize("key", sorted(EXAMPLE))
def test_every_entry_has_its_type(tmp_path: Path, key: str) -> None:
    for wrong in (None, True, [1, 2], "nonsense" if key not in {"name", "source", "licence"} else 5):
        with pytest.raises(LiftposeError, match=rf"a\.json: {key}: expected .*, found ") as error:
            read_dataset_info(write(tmp_path / "a.json", example() | {key: wrong}))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (change("skeleton", to="h36m_18"), "skeleton: expected one of h36m_17, .*, found h36m_18"),
        (change("storage_skeleton", to="h36m"), "storage_skeleton: expected one of .*, found h36m$"),
        (change("version", to=2), "version: expected 1, found 2"),
        (change("unit", to="mm"), "unit: expected 'm', found mm"),
        (change("up_axis", to="up"), "up_axis: expected one of x, y, z, -x, -y, -z, found up"),
        (change("fps", to=0), "fps: expected a number above 0, found 0"),
        (change("fps", to="50"), "fps: expected a number above 0, found 50"),
        (change("colour", to="red"), "expected what is not foreseen under notes, found the entry 'colour'"),
        (change("splits", "test", to=["bert"]), r"splits: test: expected subjects with cameras \(anna\), found bert"),
        (change("splits", "test", to="anna"), "splits: test: expected a list of subjects, found anna"),
        (change("splits", "dev", to=[]), "splits: expected train, validation, test, found .*dev"),
        (change("cameras", "anna", to=[]), "cameras of anna: expected a list of cameras"),
        (change("cameras", "anna", 0, "R", to=[[1, 0], [0, 1]]), "camera 0 of anna: expected R to be"),
        (change("cameras", "anna", 0, "R", 0, 0, to=2), "camera 0 of anna: expected R to be a rotation"),
        (change("cameras", "anna", 0, "t", to="here"), "camera 0 of anna: expected t to be numbers"),
        (change("cameras", "anna", 0, "distortion_model", to="fisheye"), "camera 0 of anna: expected distortion_model"),
        (change("cameras", "anna", 0, to=None), "camera 0 of anna: expected an object"),
        (change("notes", "same_side", to="anna"), "notes: same_side: expected a list of lists of subjects, found anna"),
        (change("notes", "same_side", to=["anna"]), "notes: same_side: expected a list of lists of subjects"),
        (change("notes", "same_side", to=[[["anna"]]]), "notes: same_side: expected a list of lists of subjects"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, mistake: Callable[[dict[str, Any]], None], message: str) -> None:
    content = example()
    mistake(content)
    with pytest.raises(LiftposeError, match=rf"a\.json: {message}"):
        read_dataset_info(write(tmp_path / "a.json", content))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "expected a JSON file, found a mistake in it"),
        (b'{"format": ', "expected a JSON file, found a mistake in it"),
        (b"\xff\xfe", "expected a JSON file, found a mistake in it"),
        (b"[" * 100_000, "expected a JSON file, found a mistake in it"),
        (b'{"fps": NaN}', "the number NaN"),
        (b"[1, 2]", r"expected a JSON object, found \[1, 2\]"),
    ],
)
def test_files_that_are_no_description(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(LiftposeError, match=rf"a\.json: .*{message}"):
        read_dataset_info(tmp_path / "a.json")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(LiftposeError, match="found no such file"):
        read_dataset_info(tmp_path / "a.json")
    with pytest.raises(LiftposeError, match="is a directory"):
        read_dataset_info(tmp_path)


def test_human36m_is_known_without_a_file(tmp_path: Path) -> None:
    info = find_dataset_info(tmp_path / "data_3d_h36m.npz")
    assert isinstance(info, DatasetInfo)
    assert (info.name, info.fps, {len(own) for own in info.cameras.values()}) == ("h36m", 50.0, {4})
    assert info.splits["train"] == ("S1", "S5", "S6", "S7", "S8")
    assert info.splits["validation"] == info.splits["test"] == ("S9", "S11")
    assert list(info.cameras) == ["S1", "S5", "S6", "S7", "S8", "S9", "S11"]
    np.testing.assert_allclose(info.cameras["S11"][3].R, h36m_cameras("S11")[3].R, atol=1e-6)


def test_every_other_data_set_needs_its_file(tmp_path: Path) -> None:
    with pytest.raises(LiftposeError, match=r"data_3d_gym\.npz: expected .* in data_3d_gym\.json beside it"):
        find_dataset_info(tmp_path / "data_3d_gym.npz")
    write(tmp_path / "data_3d_gym.json", EXAMPLE)
    assert find_dataset_info(tmp_path / "data_3d_gym.npz").name == "gym"
    write(tmp_path / "data_3d_h36m.json", EXAMPLE)
    with pytest.raises(LiftposeError, match=r"data_3d_h36m\.json: name: expected h36m, found gym"):
        find_dataset_info(tmp_path / "data_3d_h36m.npz")
