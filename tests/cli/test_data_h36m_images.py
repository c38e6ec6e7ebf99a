"""``liftpose data h36m-images``: released annotations and official videos, written here in their layouts."""

from __future__ import annotations

import pickle
import sys
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from liftpose.formats import h36m_images_conversion
from liftpose.formats.h36m_camera_file import read_h36m_cameras
from liftpose.formats.h36m_images import read_image_notes, read_image_set
from liftpose.formats.video import write_mp4
from liftpose.geometry import H36M_CAMERA_IDS, H36M_CAMERA_SUBJECTS, h36m_cameras, picture_poses
from liftpose.skeletons import H36M_17, H36M_32, H36M_MPII_ORDER_16, MPII_16

ARCHIVE = "data/annot/{}.pkl"


# --------------------------------------------------------------------------------------------- the released annotations
def annotations(monkeypatch: pytest.MonkeyPatch, joints: int) -> bytes:
    """Two pictures, pickled with a class of the published name that only exists while they are written."""
    module: Any = types.ModuleType("lib.utils.cameras")
    module.Camera = type("Camera", (), {"__module__": module.__name__})
    camera: Any = module.Camera()
    camera.R, camera.T = np.eye(3), np.array([[100.0], [200], [-5000]])
    camera.f, camera.c, camera.k, camera.p = np.array([1145.0, 1143]), np.array([512.0, 515]), None, None
    rows = [
        {
            "image": f"images/S1/Photo_1.54138969/{frame:06d}.jpg", "center_x": 500.0, "center_y": 501.0,
            "width": 400.0, "height": 400.0, "joints_3d": np.full((joints, 3), float(frame)),
            "joints_3d_vis": np.ones((joints, 3)), "pelvis": np.array([0, 0, 5000.0]), "cam": camera,
        }
        for frame in (1, 6)
    ]  # fmt: skip
    with monkeypatch.context() as patched:
        for name in ("lib", "lib.utils"):
            patched.setitem(sys.modules, name, types.ModuleType(name))
        patched.setitem(sys.modules, module.__name__, module)
        return pickle.dumps(rows)


@pytest.fixture
def released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for name, joints in {"train-fs": 17, "train-ss": 16, "valid": 17}.items():
            archive.writestr(ARCHIVE.format(name), annotations(monkeypatch, joints))
        archive.writestr("data/README", "x")
    return tmp_path / "data.zip"


def test_released_annotations_become_ours(tmp_path: Path, released: Path, liftpose: Callable[..., Any]) -> None:
    out = tmp_path / "out"
    answer = liftpose("data", "h36m-images", "--from", released, "--out", out)
    assert (answer.code, answer.err) == (0, "")
    assert "train-fs, train: 2 pictures of S1 (h36m_17)" in answer.out
    assert f"the pictures are still to be put into {out / 'images'}" in answer.out
    (out / "images" / "S1" / "Photo_1.54138969").mkdir(parents=True)
    sets = {name: read_image_set(out / "annotations" / f"{name}.npz") for name in ("train", "validation", "train-ss")}
    assert sets["train"].skeleton is sets["validation"].skeleton is H36M_17
    assert sets["train-ss"].skeleton is H36M_MPII_ORDER_16
    assert sets["train"].actions == ("Photo 1", "Photo 1")
    assert sets["train"].frames.tolist() == [1, 6]
    assert sets["train"].cameras is not None
    np.testing.assert_allclose(sets["train"].cameras.center, [[0.1, 0.2, -5.0]], atol=1e-6)
    assert read_image_notes(out / "annotations" / "train.npz")["source"] == "released annotations train-fs.pkl"
    again = liftpose("data", "h36m-images", "--from", released, "--out", out)
    assert again.code == 2
    assert "--overwrite replaces it" in again.err


def test_the_training_set_and_sixteen_joints_are_chosen(
    tmp_path: Path, released: Path, liftpose: Callable[..., Any]
) -> None:
    folder, out = tmp_path / "annot", tmp_path / "out"
    folder.mkdir()
    with zipfile.ZipFile(released) as archive:
        for name in ("train-ss", "valid"):
            (folder / f"{name}.pkl").write_bytes(archive.read(ARCHIVE.format(name)))
    words = ("data", "h36m-images", "--from", folder, "--out", out)
    answer = liftpose(*words)
    assert "no train.npz: train-fs.pkl is not among train-ss.pkl, valid.pkl (--train)" in answer.out
    assert not (out / "annotations" / "train.npz").exists()
    assert liftpose(*words, "--train", "train-ss", "--joints16", "mpii_16", "--overwrite").code == 0
    (out / "images" / "S1" / "Photo_1.54138969").mkdir(parents=True)
    assert read_image_set(out / "annotations" / "train.npz").skeleton is MPII_16


def test_mistakes_are_one_line(tmp_path: Path, released: Path, liftpose: Callable[..., Any]) -> None:
    (tmp_path / "empty").mkdir()
    for words, message in (
        (("--from", tmp_path / "none"), "expected a zip or tar archive, found no such file"),
        (("--from", tmp_path / "empty"), "expected annotations such as annot/train-fs.pkl and annot/valid.pkl, found"),
        (("--from", released, "--train", "valid"), "--train: expected train-fs or train-ss, found valid"),
        (("--from", released, "--joints16", "coco_17"), "--joints16: expected h36m_mpii_order_16 or mpii_16"),
        (("--from", released, "--box", "large"), "--box: expected pelvis or tight, found large"),
        (("--from", released, "--box", "tight"), "--box: expected it with official videos, found released annotations"),
    ):
        answer = liftpose("data", "h36m-images", *words, "--out", tmp_path / "out")
        assert answer.code == 2
        assert message in answer.err
        assert answer.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_when_one_of_the_sets_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, liftpose: Callable[..., Any]
) -> None:
    folder, content = tmp_path / "annot", annotations(monkeypatch, 17)
    folder.mkdir()
    (folder / "train-fs.pkl").write_bytes(content)
    (folder / "valid.pkl").write_bytes(content[:-50])
    answer = liftpose("data", "h36m-images", "--from", folder, "--out", tmp_path / "out")
    assert answer.code == 2 and "valid.pkl: expected annotations of Human3.6M pictures, found" in answer.err
    assert not (tmp_path / "out").exists()


def test_a_pickle_that_would_run_something_is_refused(tmp_path: Path, liftpose: Callable[..., Any]) -> None:
    folder = tmp_path / "annot"
    folder.mkdir()
    (folder / "valid.pkl").write_bytes(b"cos\nsystem\n(S'touch " + bytes(tmp_path / "mark") + b"'\ntR.")
    answer = liftpose("data", "h36m-images", "--from", tmp_path, "--out", tmp_path / "out")
    assert answer.code == 2
    assert "valid.pkl: expected annotations of Human3.6M pictures, found the name os.system, which could" in answer.err
    assert not (tmp_path / "mark").exists()
    assert not (tmp_path / "out").exists()


# -------------------------------------------------------------------------------------------------- the official videos
FRAMES = 13
EVERY = ("--every", "5", "4")
WANTED = {"train": [1, 6, 11], "validation": [1, 5, 9, 13]}


def film(path: Path, height: int, frames: int = FRAMES) -> Path:
    """A grey film whose frames can be told apart by their brightness."""
    write_mp4(path, (np.full((height, 1000, 3), 40 + 15 * number, np.uint8) for number in range(frames)), 50)
    return path


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("films")
    return {height: film(folder / f"{height}.mp4", height) for height in (1000, 1002)}


@pytest.fixture
def official(tmp_path: Path, films: dict[int, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Videos of one take of everybody; the reader of the poses, which wants all thirty, gives one."""
    rng = np.random.default_rng(0)
    pose = (rng.normal(0, 0.3, (FRAMES, 32, 3)) + [0, 0, 1]).astype(np.float32)  # noqa: RUF005
    poses = {subject: {"Photo 1": pose + number / 50} for number, subject in enumerate(H36M_CAMERA_SUBJECTS)}
    monkeypatch.setattr(h36m_images_conversion, "read_official_h36m", lambda *_: poses)
    for subject in H36M_CAMERA_SUBJECTS:
        folder = tmp_path / "h36m" / subject / "Videos"
        folder.mkdir(parents=True)
        sizes = h36m_cameras(subject).image_size[:, 1].int().tolist()
        for camera, height in zip(H36M_CAMERA_IDS, sizes, strict=True):
            (folder / f"TakingPhoto 1.{camera}.mp4").symlink_to(films[height])
            (folder / f"_ALL 1.{camera}.mp4").symlink_to(films[height])
    (tmp_path / "h36m" / "S1" / "MyPoseFeatures" / "D3_Positions").mkdir(parents=True)
    (tmp_path / "h36m" / "S1" / "MyPoseFeatures" / "D3_Positions" / "a.cdf").touch()
    return tmp_path / "h36m"


def test_videos_become_pictures_with_annotations(tmp_path: Path, official: Path, liftpose: Callable[..., Any]) -> None:
    out = tmp_path / "out"
    answer = liftpose("data", "h36m-images", "--from", official, "--out", out, *EVERY)
    assert (answer.code, answer.err) == (0, "")
    assert "train: 60 pictures of S1, S5, S6, S7, S8 (h36m_17)" in answer.out
    assert "validation: 32 pictures of S9, S11 (h36m_17)" in answer.out
    assert "92 pictures written, 0 were there already" in answer.out
    poses = h36m_images_conversion.read_official_h36m("cdf", official)
    rows = [H36M_32.index(name) for name in H36M_17.joint_names]
    for name, wanted in WANTED.items():
        images = read_image_set(out / "annotations" / f"{name}.npz")
        assert images.files[1] == f"images/{images.subjects[0]}/Photo_1.54138969/{wanted[1]:06d}.jpg"
        assert set(images.frames.tolist()) == set(wanted)
        for row in range(0, len(images), 7):
            with Image.open(out / images.files[row]) as picture:
                height = int(h36m_cameras("S1").image_size[images.views[row], 1])
                assert picture.size == (1000, height)
                assert abs(np.asarray(picture).mean() - (40 + 15 * (int(images.frames[row]) - 1))) < 4
        # Back-projected without distortion and moved into the world, the annotations are the poses.
        assert images.cameras is not None
        assert images.depths is not None
        assert images.root_depths is not None
        cameras = images.cameras[torch.from_numpy(images.camera_index)].to(dtype=torch.float64)
        columns = (images.keypoints_2d, images.depths, images.root_depths)
        found = picture_poses(*(torch.from_numpy(column).double() for column in columns), cameras.intrinsics)
        truth = np.stack(
            [
                poses[subject]["Photo 1"][frame - 1, rows]
                for subject, frame in zip(images.subjects, images.frames, strict=True)
            ]
        )
        np.testing.assert_allclose(cameras.to_world(found), truth, atol=2e-6)
        # The published box: 2 m at the depth of the pelvis around it.
        focal = torch.stack((cameras.intrinsics[:, 0, 0], cameras.intrinsics[:, 1, 1]), -1).numpy()
        np.testing.assert_allclose(images.boxes[:, :2], images.keypoints_2d[:, 0], atol=1e-3)
        np.testing.assert_allclose(images.boxes[:, 2:], 2 * focal / images.root_depths[:, None], rtol=1e-5)


def test_a_second_run_keeps_the_pictures_and_adds_those_that_are_missing(
    tmp_path: Path, official: Path, liftpose: Callable[..., Any]
) -> None:
    out = tmp_path / "out"
    words = ("data", "h36m-images", "--from", official, "--out", out, *EVERY)
    liftpose(*words)
    kept = out / "images" / "S5" / "Photo_1.54138969" / "000001.jpg"
    time = kept.stat().st_mtime_ns
    (out / "images" / "S1" / "Photo_1.54138969" / "000006.jpg").unlink()
    answer = liftpose(*words, "--overwrite", "--box", "tight")
    assert "3 pictures written, 89 were there already" in answer.out
    assert kept.stat().st_mtime_ns == time
    assert sorted(file.name for file in (out / "images" / "S1").rglob("*") if file.name.startswith(".")) == []
    images = read_image_set(out / "annotations" / "train.npz")
    low, high = images.keypoints_2d.min(axis=1), images.keypoints_2d.max(axis=1)
    np.testing.assert_allclose(images.boxes[:, 2], 1.25 * (high - low).max(axis=1), rtol=1e-4)
    np.testing.assert_allclose(images.boxes[:, :2], (low + high) / 2, rtol=1e-4)


def test_videos_that_do_not_fit_are_named(
    tmp_path: Path, official: Path, films: dict[int, Path], liftpose: Callable[..., Any]
) -> None:
    video = official / "S1" / "Videos" / "TakingPhoto 1.54138969.mp4"
    whole = video.resolve().read_bytes()

    def refused(message: str) -> None:
        answer = liftpose("data", "h36m-images", "--from", official, "--out", tmp_path / "out", *EVERY)
        assert answer.code == 2
        assert message in answer.err
        assert answer.err.count("\n") == 1
        assert not (tmp_path / "out" / "annotations").exists()
        assert not list((tmp_path / "out").rglob(".*"))

    video.unlink()
    refused("expected the video Photo 1.54138969.mp4, found 3 others")
    film(video, 1002, frames=9)
    refused(f"{video}: expected 13 frames, as many as there are poses, found 9 (a video that is cut?)")
    video.unlink()
    video.symlink_to(films[1000])
    refused(f"{video}: expected pictures of 1000 x 1002 pixels, found 1000 x 1000")
    video.unlink()
    video.write_bytes(whole[: len(whole) // 2])
    refused(f"{video}: expected a video, found")


def test_poses_are_asked_for_where_there_are_none(tmp_path: Path, official: Path, liftpose: Callable[..., Any]) -> None:
    (official / "S1" / "MyPoseFeatures" / "D3_Positions" / "a.cdf").unlink()
    words = ("data", "h36m-images", "--from", official, "--out", tmp_path / "out", *EVERY)
    assert "expected the 3D poses of the videos" in liftpose(*words).err
    assert "--poses: expected cdf, mat, archive before the path, found x" in liftpose(*words, "--poses", "x", "y").err
    wrong = liftpose(*words[:-2], "0", "3", "--poses", "cdf", "elsewhere")
    assert "--every: expected whole numbers of 1 or more, found 0 3" in wrong.err
    assert liftpose(*words, "--poses", "cdf", "elsewhere").code == 0


# ----------------------------------------------------------------------------------------------------------- cameras.h5
def write_cameras(path: Path, subjects: tuple[str, ...] = H36M_CAMERA_SUBJECTS) -> Path:
    """The cameras of the package in the layout of the 3D pose baseline, the last camera first."""
    with h5py.File(path, "w") as file:
        for subject in subjects:
            cameras = h36m_cameras(subject, torch.float64)
            for number, view in enumerate((3, 0, 1, 2)):
                group = file.create_group(f"subject{subject[1:]}/camera{number + 1}")
                K, bend = cameras.intrinsics[view].numpy(), cameras.distortion[view].numpy()
                group["R"] = cameras.R[view].numpy().T
                group["T"] = 1000 * cameras.center[view].numpy()[None]
                group["f"], group["c"] = np.array([[K[0, 0], K[1, 1]]]), K[None, :2, 2]
                group["k"], group["p"] = bend[None, :3], bend[None, [4, 3]]
                group["Name"] = np.array([[ord(letter)] for letter in H36M_CAMERA_IDS[view]], dtype=np.uint16)
    return path


def test_cameras_of_the_baseline_are_the_same(tmp_path: Path) -> None:
    found = read_h36m_cameras(write_cameras(tmp_path / "cameras.h5"))
    assert set(found) == set(H36M_CAMERA_SUBJECTS)
    for subject, cameras in found.items():
        known = h36m_cameras(subject)
        for name in ("R", "t", "intrinsics", "distortion", "image_size"):
            torch.testing.assert_close(getattr(cameras, name), getattr(known, name), rtol=1e-6, atol=1e-6)


def test_cameras_that_do_not_fit_are_named(tmp_path: Path, official: Path, liftpose: Callable[..., Any]) -> None:
    path = write_cameras(tmp_path / "cameras.h5", ("S1", "S5"))

    def refused(message: str) -> None:
        answer = liftpose(
            "data", "h36m-images", "--from", official, "--out", tmp_path / "out", "--cameras", path, *EVERY
        )
        assert answer.code == 2
        assert message in answer.err
        assert answer.err.count("\n") == 1

    refused("cameras.h5: expected the cameras of S6, found those of S1, S5")
    with h5py.File(path, "r+") as file:
        file["subject1/camera2/Name"][0] = ord("7")
    refused("subject1/camera2: expected one of 54138969, 55011271, 58860488, 60457274, each once, found '74138969'")
    with h5py.File(path, "r+") as file:
        del file["subject1/camera1/T"]
        file["subject1/camera1/T"] = h5py.ExternalLink("/etc/passwd", "x")
    refused("subject1/camera1: expected an array T, found none")
    write_cameras(tmp_path / "other.h5")
    with h5py.File(path, "r+") as file:
        del file["subject1/camera1"]
        file["subject1/camera1"] = h5py.ExternalLink("other.h5", "subject1/camera1")
    refused("subject1/camera1: expected an array R, found none")
    path.write_bytes(path.read_bytes()[:500])
    refused("cameras.h5: expected an HDF5 file, found it cut or damaged")
    path.unlink()
    refused("cameras.h5: expected the cameras of Human3.6M, found no such file")
