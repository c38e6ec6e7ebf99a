"""The store of annotated pictures: read by numpy, back and forth, damaged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liftpose.data.images import ImageSet
from liftpose.errors import LiftposeError
from liftpose.formats.h36m_images import annotation_file, read_image_notes, read_image_set, write_image_set
from liftpose.geometry import h36m_cameras
from liftpose.skeletons import H36M_17

ROWS = 5


def image_set(root: Path) -> ImageSet:
    rng = np.random.default_rng(3)
    keypoints = rng.normal(500, 100, (ROWS, 17, 2)).astype(np.float32)
    visible = np.ones((ROWS, 17), np.float32)
    visible[1, 4], keypoints[1, 4] = 0, np.nan
    depths = rng.normal(0, 0.3, (ROWS, 17)).astype(np.float32)
    depths[2, 3] = np.nan  # the place of this joint is known, its depth is not
    (root / "images" / "S9").mkdir(parents=True, exist_ok=True)
    return ImageSet(
        root=root,
        files=tuple(f"images/S9/Zürich_{row}.jpg" for row in range(ROWS)),
        skeleton=H36M_17,
        boxes=np.full((ROWS, 4), 400, np.float32),
        keypoints_2d=keypoints,
        visible=visible,
        subjects=("S9", "S11", "S9", "", "S11"),
        actions=("Photo 1", "Waiting", "Photo 1", "Photo", ""),
        views=np.array([0, 1, 2, 3, 0]),
        frames=np.array([1, 65, 2**40, 0, 7]),
        depths=depths,
        root_depths=rng.uniform(3, 6, ROWS).astype(np.float32),
        cameras=h36m_cameras("S9"),
        camera_index=np.array([0, 1, 2, 3, 0]),
    )


def same(found: ImageSet, expected: ImageSet) -> None:
    assert (found.root, found.files, found.skeleton) == (expected.root, expected.files, expected.skeleton)
    assert (found.subjects, found.actions) == (expected.subjects, expected.actions)
    for name in ("boxes", "keypoints_2d", "visible", "views", "frames", "depths", "root_depths", "camera_index"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert found.head_sizes is expected.head_sizes is None
    assert found.cameras is not None
    assert expected.cameras is not None
    for name in ("R", "t", "intrinsics", "distortion", "image_size"):
        assert torch.equal(getattr(found.cameras, name), getattr(expected.cameras, name))
    assert found.cameras.distortion_model == expected.cameras.distortion_model


def test_what_is_written_is_read(tmp_path: Path) -> None:
    images, path = image_set(tmp_path), annotation_file(tmp_path, "train")
    write_image_set(path, images, {"source": "here"})
    same(read_image_set(path), images)
    assert read_image_notes(path) == {"source": "here"}
    double = replace(images, cameras=h36m_cameras("S9", torch.float64))
    write_image_set(path, double)
    same(read_image_set(path, tmp_path), double)


def test_others_read_it_without_pickle(tmp_path: Path) -> None:
    images, path = image_set(tmp_path), tmp_path / "annotations" / "train.npz"
    write_image_set(path, images)
    with np.load(path, allow_pickle=False) as found:
        assert found["files"].tolist() == list(images.files)
        metadata = json.loads(str(found["metadata"]))
        np.testing.assert_array_equal(np.array(metadata["actions"])[found["actions"]], images.actions)
        np.testing.assert_array_equal(found["keypoints_2d"], images.keypoints_2d)
        assert metadata["cameras"][2]["t"] == h36m_cameras("S9").t[2].tolist()


def test_no_pictures_at_all_are_a_set_too(tmp_path: Path) -> None:
    images, path = image_set(tmp_path).take(np.zeros(0, np.int64)), tmp_path / "a" / "none.npz"
    write_image_set(path, images)
    assert len(read_image_set(path)) == 0


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("boxes", 0.0, r"expected a box with an area, found \[400\., 400\., 400\., 0\.\] in picture 3 \(images/S9/"),
        ("boxes", np.nan, "expected a box with an area"),
        ("visible", 1.5, "expected weights of joints from 0 to 1"),
        ("keypoints_2d", np.nan, "expected finite pixels of every joint that counts"),
        ("depths", np.inf, "expected depths that are numbers or NaN where unknown"),
        ("root_depths", -1.0, "expected a root in front of the camera"),
    ],
)
def test_numbers_nobody_can_train_on_are_refused(tmp_path: Path, column: str, value: float, message: str) -> None:
    images = image_set(tmp_path)
    changed = getattr(images, column).copy()
    changed.reshape(ROWS, -1)[3, -1] = value
    with pytest.raises(LiftposeError, match=rf"a\.npz: {message}"):
        write_image_set(tmp_path / "a.npz", replace(images, **{column: changed}))
    assert not (tmp_path / "a.npz").exists()


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../a.jpg", "images/../../a.jpg", "a\\b.jpg", "C:/a.jpg", "a\nb.jpg", "\ud800"]
)
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    images = image_set(tmp_path)
    with pytest.raises(LiftposeError, match="expected the path of picture 2 inside the folder of the pictures"):
        write_image_set(tmp_path / "a.npz", replace(images, files=(*images.files[:2], name, *images.files[3:])))


def test_missing_pictures_and_other_files_are_told(tmp_path: Path) -> None:
    path = annotation_file(tmp_path, "train")
    write_image_set(path, image_set(tmp_path))
    with pytest.raises(LiftposeError, match=r"expected its pictures in .*elsewhere, such as images/S9/Z.rich_0\.jpg"):
        read_image_set(path, tmp_path / "elsewhere")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(LiftposeError, match=r"other\.npz: expected annotations of pictures"):
        read_image_set(tmp_path / "other.npz")
    with pytest.raises(LiftposeError, match="found no such file"):
        read_image_set(tmp_path / "none.npz")


def test_the_other_order_of_bytes_is_read(tmp_path: Path) -> None:
    path = annotation_file(tmp_path, "train")
    write_image_set(path, image_set(tmp_path))
    with np.load(path) as file:
        content = dict(file)
    np.savez(path, **{name: array.astype(array.dtype.newbyteorder(">")) for name, array in content.items()})
    found = read_image_set(path)
    same(found, image_set(tmp_path))
    assert found.boxes.dtype.isnative and found.views.dtype.isnative  # torch takes no others


def test_columns_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    path = annotation_file(tmp_path, "train")
    write_image_set(path, image_set(tmp_path))
    with np.load(path) as file:
        content = dict(file)

    def refused(message: str, **changes: np.ndarray) -> None:
        np.savez(path, **(content | changes))
        with pytest.raises(LiftposeError, match=rf"train\.npz: {message}"):
            read_image_set(path)

    refused("expected boxes of shape", boxes=content["boxes"][:3])
    refused("expected a column visible of float32, found float64", visible=content["visible"].astype(np.float64))
    refused("expected numbers of 3 subjects", subjects=content["subjects"] + 5)
    refused("expected indices of 4 cameras", camera_index=content["camera_index"] + 3)
    refused("expected metadata in JSON", metadata=np.array("{"))
    metadata = json.loads(str(content["metadata"]))
    refused("skeleton: expected one of", metadata=np.array(json.dumps(metadata | {"skeleton": "octopus"})))
    refused("expected version 1, found 2", metadata=np.array(json.dumps(metadata | {"version": 2})))
    refused("camera 0: expected the entries", metadata=np.array(json.dumps(metadata | {"cameras": [{}]})))


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damage_gives_a_set_or_one_line(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp()
    whole = folder / "annotations" / "whole.npz"
    if not whole.exists():
        write_image_set(whole, image_set(folder))
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    (folder / "annotations" / "damaged.npz").write_bytes(content)
    try:
        read_image_set(folder / "annotations" / "damaged.npz")
    except LiftposeError as error:
        assert "damaged.npz" in str(error)
