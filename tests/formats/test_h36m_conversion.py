"""The field's files of Human3.6M, made from official ones, against what the field's own script makes of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from liftpose.errors import LiftposeError
from liftpose.formats.h36m_conversion import convert_h36m, true_keypoints
from liftpose.geometry import h36m_cameras

Official = tuple[Path, dict[tuple[str, str], np.ndarray]]

KEPT = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]


def load(path: Path, name: str) -> Any:
    """Read as the field's programs do."""
    with np.load(path, allow_pickle=True) as file:
        return file[name].item()


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory, official_h36m: Callable[[str], Official]) -> Path:
    """The field's files, made from the CDF files."""
    folder = tmp_path_factory.mktemp("converted") / "data"
    convert_h36m("cdf", official_h36m("cdf")[0], folder)
    return folder


def test_the_programs_of_the_field_read_what_is_written(
    converted: Path, official_h36m: Callable[[str], Official]
) -> None:
    assert sorted(file.name for file in converted.iterdir()) == ["data_2d_h36m_gt.npz", "data_3d_h36m.npz"]
    poses = load(converted / "data_3d_h36m.npz", "positions_3d")
    numbers = official_h36m("cdf")[1]
    assert list(poses) == ["S1", "S5", "S6", "S7", "S8", "S9", "S11"]
    assert [len(takes) for takes in poses.values()] == [30] * 6 + [29]
    for subject, action, name in (("S1", "WalkDog", "WalkingDog"), ("S11", "Directions 1", "Directions 1")):
        np.testing.assert_array_equal(
            poses[subject][action], (numbers[subject, name].astype(np.float32) / 1000).reshape(-1, 32, 3)
        )
    views = load(converted / "data_2d_h36m_gt.npz", "positions_2d")
    assert {subject: list(takes) for subject, takes in views.items()} == {s: list(takes) for s, takes in poses.items()}
    for subject, takes in views.items():
        for action, arrays in takes.items():
            assert isinstance(arrays, list) and len(arrays) == 4
            for array in arrays:
                assert array.dtype == np.float32 and array.shape == (len(poses[subject][action]), 17, 2)
    assert load(converted / "data_2d_h36m_gt.npz", "metadata") == {
        "num_joints": 17,
        "keypoints_symmetry": [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]],
    }


def test_keypoints_are_those_of_the_published_script(reference: Path) -> None:
    """On a data set that it has projected itself."""
    toy = reference / "golden" / "rie" / "toy_h36m"
    poses = load(toy / "data_3d_h36m.npz", "positions_3d")
    views = load(toy / "data_2d_h36m_gt.npz", "positions_2d")
    seen = 0
    for subject, takes in poses.items():
        for action, pose in takes.items():
            found = true_keypoints(pose, h36m_cameras(subject))
            for own, published in zip(found, views[subject][action], strict=True):
                assert own.dtype == published.dtype == np.float32
                np.testing.assert_allclose(own, published, rtol=0, atol=1e-3)
                seen += 1
    assert seen > 20


def test_keypoints_of_golden_points(reference: Path) -> None:
    with np.load(reference / "golden" / "rie" / "camera.npz") as golden:
        poses = np.full((3, 32, 3), 7.0, dtype=np.float32)
        poses[:, KEPT] = golden["h36m_world"]
        for subject in map(str, golden["h36m_subjects"]):
            for number, pixels in enumerate(true_keypoints(poses, h36m_cameras(subject))):
                np.testing.assert_allclose(pixels, golden[f"h36m_{subject}_{number}_pixels"], rtol=0, atol=1e-3)


def test_long_takes_are_projected_in_blocks() -> None:
    """Frame by frame or thousands at once: the same numbers."""
    poses = np.random.default_rng(0).normal(size=(1100, 32, 3)).astype(np.float32)
    cameras = h36m_cameras("S5")
    together = true_keypoints(poses, cameras)
    for frame in (0, 511, 512, 1099):
        alone = true_keypoints(poses[frame : frame + 1], cameras)
        for one, many in zip(alone, together, strict=True):
            np.testing.assert_allclose(one[0], many[frame], rtol=1e-6)


@pytest.mark.parametrize("compress", [False, True])
def test_compression_changes_the_size_only(
    tmp_path: Path, official_h36m: Callable[[str], Official], converted: Path, compress: bool
) -> None:
    report = convert_h36m("cdf", official_h36m("cdf")[0], tmp_path, compress=compress)
    for path in report.files:
        with zipfile.ZipFile(path) as archive:
            kinds = {member.compress_type for member in archive.infolist()}
        assert kinds == {zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED}
    poses = load(tmp_path / "data_3d_h36m.npz", "positions_3d")
    np.testing.assert_array_equal(
        poses["S9"]["Walking"], load(converted / "data_3d_h36m.npz", "positions_3d")["S9"]["Walking"]
    )


def test_the_report_counts(official_h36m: Callable[[str], Official], tmp_path: Path) -> None:
    root, numbers = official_h36m("cdf")
    report = convert_h36m("cdf", root, tmp_path)
    frames = sum(len(pose) for (subject, name), pose in numbers.items() if subject == "S9")
    lines = report.lines
    assert lines[5] == f"S9   30 takes, {frames} frames, 0.0 minutes"
    everything = sum(map(len, numbers.values())) - len(numbers["S11", "Directions"])
    assert lines[7] == f"7 subjects, 209 takes, {everything} frames, {everything / 3000:.1f} minutes, seen by 4 cameras"
    assert lines[8] == "left out: Directions of S11, as everywhere (its video is damaged)"
    assert [path.name for path in report.files] == ["data_2d_h36m_gt.npz", "data_3d_h36m.npz"]


def test_files_that_are_there_stay(tmp_path: Path, official_h36m: Callable[[str], Official]) -> None:
    root = official_h36m("cdf")[0]
    for name in ("data_3d_h36m.npz", "data_2d_h36m_gt.npz"):
        (tmp_path / name).write_bytes(b"precious")
        with pytest.raises(
            LiftposeError, match=rf"{name}: expected no such file, found one \(--overwrite replaces it\)"
        ):
            convert_h36m("cdf", root, tmp_path)
        assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"precious"]
        (tmp_path / name).unlink()
    for name in ("data_3d_h36m.npz", "data_2d_h36m_gt.npz", "data_2d_h36m_cpn.npz"):
        (tmp_path / name).write_bytes(b"precious")
    convert_h36m("cdf", root, tmp_path, overwrite=True)
    assert len(load(tmp_path / "data_3d_h36m.npz", "positions_3d")) == 7
    assert (tmp_path / "data_2d_h36m_cpn.npz").read_bytes() == b"precious"


def test_an_interruption_leaves_what_was_there(tmp_path: Path, official_h36m: Callable[[str], Official]) -> None:
    def stop(number: int, _: int, name: str) -> None:
        if name.startswith("2D") and number == 100:
            raise KeyboardInterrupt

    (tmp_path / "data_3d_h36m.npz").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        convert_h36m("cdf", official_h36m("cdf")[0], tmp_path, overwrite=True, progress=stop)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("data_3d_h36m.npz", b"old")]


def test_bad_input_leaves_the_old_files_alone(tmp_path: Path, official_h36m: Callable[[str], Official]) -> None:
    root, out = tmp_path / "cdf", tmp_path / "out"
    shutil.copytree(official_h36m("cdf")[0], root)
    (root / "S11" / "MyPoseFeatures" / "D3_Positions" / "Walking.cdf").write_bytes(b"")
    with pytest.raises(LiftposeError, match=r"Walking\.cdf: expected a CDF file, found an empty file"):
        convert_h36m("cdf", root, out)
    assert not out.exists()
    out.mkdir()
    (out / "data_3d_h36m.npz").write_bytes(b"old")
    with pytest.raises(LiftposeError):
        convert_h36m("cdf", root, out, overwrite=True)
    assert [path.read_bytes() for path in out.iterdir()] == [b"old"]


# ---------------------------------------------------------------------------------------------------- the other program
@pytest.mark.parametrize("kind", ["cdf", "mat", "archive"])
def test_the_public_script_writes_the_same(
    tmp_path: Path, official_h36m: Callable[[str], Official], converted: Path, kind: str
) -> None:
    """VideoPose3D's preparation, run beside this one on the same files."""
    peers = os.environ.get("LIFTPOSE_PEERS")
    if not peers:
        pytest.skip("LIFTPOSE_PEERS is not set: the public implementation is not part of the repository")
    peer = Path(peers) / "VideoPose3D"
    script = peer / "data" / "prepare_data_h36m.py"
    if not script.is_file():
        pytest.skip(f"LIFTPOSE_PEERS: expected the public implementation in {peer}, found none")
    root = official_h36m(kind)[0]
    source = root
    if kind == "archive":
        shutil.copytree(root, tmp_path / "h36m")
        source = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "h36m"))
    (tmp_path / "data").mkdir()
    (tmp_path / "common").symlink_to(peer / "common")
    option = {"cdf": "--from-source-cdf", "mat": "--from-source", "archive": "--from-archive"}[kind]
    # It asks h5py for what h5py no longer has under that name.
    start = (
        "import h5py, runpy, sys; h5py.Dataset.value = property(lambda data: data[()]); "
        f"sys.argv = ['prepare', '{option}', {str(source)!r}]; runpy.run_path({str(script)!r}, run_name='__main__')"
    )
    subprocess.run([sys.executable, "-c", start], cwd=tmp_path / "data", check=True, capture_output=True)
    poses, own = (load(at / "data_3d_h36m.npz", "positions_3d") for at in (tmp_path / "data", converted))
    views, own_views = (load(at / "data_2d_h36m_gt.npz", "positions_2d") for at in (tmp_path / "data", converted))
    assert load(tmp_path / "data" / "data_2d_h36m_gt.npz", "metadata") == load(
        converted / "data_2d_h36m_gt.npz", "metadata"
    )
    assert list(poses) == list(own) == list(views)
    for subject, takes in poses.items():
        assert sorted(takes) == list(own[subject])
        for action, pose in takes.items():
            np.testing.assert_array_equal(own[subject][action], pose)
            np.testing.assert_allclose(own_views[subject][action], views[subject][action], rtol=0, atol=1e-3)
