"""Painted pictures as files: the layouts of MPII and Human3.6M, painted once, never over those of others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from PIL import Image

from liftpose.data.synthetic import SPLITS
from liftpose.data.synthetic.street import street_joints, street_snapshots
from liftpose.data.synthetic.studio import studio_images, studio_takes
from liftpose.datamodules import SyntheticH36MImagesDataModule, SyntheticMPIIDataModule
from liftpose.errors import LiftposeError

Module = SyntheticH36MImagesDataModule | SyntheticMPIIDataModule


def street(root: Path, **options: Any) -> SyntheticMPIIDataModule:
    given = {"train_pictures": 6, "valid_pictures": 5, "picture_size": 96, "num_workers": 0, "patch_size": (64, 64)}
    return SyntheticMPIIDataModule(root=str(root), **{**given, **options})


def studio(root: Path, **options: Any) -> SyntheticH36MImagesDataModule:
    given = {
        "train_moments": 2, "validation_moments": 1, "test_moments": 1, "picture_size": 96, "num_workers": 0,
        "patch_size": (64, 64),
    }  # fmt: skip
    return SyntheticH36MImagesDataModule(root=str(root), **{**given, **options})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    street(root / "mpii").prepare_data()
    studio(root / "h36m").prepare_data()
    return root


def test_mpii_files_are_those_of_the_field(made: Path) -> None:
    records = json.loads((made / "mpii" / "annot" / "valid.json").read_text())
    truth = scipy.io.loadmat(made / "mpii" / "annot" / "gt_valid.mat")
    found = street_joints(street_snapshots("valid", 0, 5, 96, 0), 0)
    assert len(records) == 5
    for row, record in enumerate(records):
        with Image.open(made / "mpii" / "images" / record["image"]) as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (96, 96))
        seen = np.array(record["joints_vis"]) > 0
        assert np.array_equal(seen, found.visible[row])
        joints = np.array(record["joints"])
        assert np.abs(joints - 1 - found.joints[row])[seen].max() < 1e-2  # MPII counts pixels from 1
        corners = truth["headboxes_src"][..., row] - 1
        assert np.abs(corners - found.head_boxes[row]).max() < 1e-2


def test_what_is_read_is_what_was_painted(made: Path) -> None:
    data = studio(made / "h36m")
    data.check("fit")
    data.check("test")
    for split, names in SPLITS.items():
        images = data.images(split)
        moments = data.settings[f"{split}_moments"]
        expected = studio_images(made / "h36m", studio_takes(names, moments, 0), 96, 0)
        assert images.files == expected.files
        assert set(images.subjects) <= set(names)
        assert np.array_equal(images.keypoints_2d, expected.keypoints_2d)
        assert len(images) == 4 * moments
        for name in images.files:
            with Image.open(made / "h36m" / name) as picture:
                assert picture.size == (96, 96)


def test_patches_show_the_person_in_the_middle(made: Path) -> None:
    data = studio(made / "h36m", batch_size=4)
    data.check("test")
    batch = next(iter(data.loader("test")))
    assert batch is not None
    images = data.images("test")
    with Image.open(made / "h36m" / images.files[0]) as picture:
        pixels = np.asarray(picture, dtype=np.float64)
    # The colour at the pelvis is that of the hips or of a hand before them, not that of the floor under the feet.
    x, y = images.boxes[0, :2].round().astype(int)
    feet = images.keypoints_2d[0, [3, 6]].max(axis=0).round().astype(int)
    floor = pixels[min(feet[1] + 6, 95), feet[0]]
    assert np.abs(pixels[y, x] - floor).max() > 15


@pytest.mark.parametrize("make", [street, studio])
def test_pictures_are_painted_once_and_again_for_other_settings(make: Any, tmp_path: Path) -> None:
    def content() -> dict[str, bytes]:
        return {str(p.relative_to(tmp_path)): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    make(tmp_path).prepare_data()
    first = content()
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    make(tmp_path).prepare_data()
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    make(tmp_path, people_seed=1).prepare_data()
    other = content()
    assert set(other) & set(first) != set()
    assert other != first
    make(tmp_path, num_workers=2).prepare_data()
    assert content() == first  # nothing is left of the others, and processes change nothing


@pytest.mark.parametrize("make", [street, studio])
def test_half_painted_pictures_are_not_read(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    make(tmp_path).prepare_data()
    first = {p: p.read_bytes() for p in tmp_path.rglob("*.*") if p.is_file()}
    with monkeypatch.context() as patched:
        patched.setattr("liftpose.datamodules.synthetic_images._paint", stop)
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path, people_seed=1).prepare_data()
    with pytest.raises(LiftposeError):
        make(tmp_path).load_images("train")
    make(tmp_path).check("fit")  # before they are made, there is nothing that could be wrong
    make(tmp_path).prepare_data()
    assert first == {p: p.read_bytes() for p in tmp_path.rglob("*.*") if p.is_file()}


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (street, "images/000001.jpg"),
        (street, "annot/train.json"),
        (studio, "images/S1/000001.jpg"),
        (studio, "annotations/train.npz"),
    ],
)
def test_pictures_of_others_are_not_overwritten(make: Any, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"somebody's")
    with pytest.raises(LiftposeError, match="expected pictures of synthetic people or none"):
        make(tmp_path).check("fit")
    with pytest.raises(LiftposeError, match="expected pictures of synthetic people or none"):
        make(tmp_path).prepare_data()
    assert path.read_bytes() == b"somebody's"


def test_options_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LiftposeError, match=r"data\.train_pictures: expected a number from 1 up, found 0"):
        street(tmp_path, train_pictures=0)
    with pytest.raises(LiftposeError, match=r"data\.test_moments: expected a number from 1 up, found -1"):
        studio(tmp_path, test_moments=-1)
    with pytest.raises(LiftposeError, match=r"data\.picture_size: expected pixels from 64 to 999, found 20"):
        studio(tmp_path, picture_size=20)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LiftposeError, match="file"):
        street(tmp_path / "file" / "mpii").prepare_data()
