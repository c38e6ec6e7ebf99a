"""The cache against reading without one, through everything that can happen to its files."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from liftpose.data import Recording
from liftpose.datamodules import H36MDataModule, WindowShape
from liftpose.errors import LiftposeError
from liftpose.formats import cache as cache_module
from liftpose.formats import h36m_info, read_h36m
from liftpose.formats.cache import read_h36m_cached
from liftpose.formats.dataset_info import write_dataset_info
from liftpose.skeletons import COCO_17, H36M_16, H36M_17, Skeleton

SUBJECTS = ["S1", "S9", "S5"]
SIDES = {"h36m": (H36M_17.left, H36M_17.right), "coco": (COCO_17.left, COCO_17.right)}
Files = tuple[Path, Path]


def save(folder: Path, layout: str = "h36m", name: str = "h36m", seed: int = 0) -> Files:
    """Write a data set with numpy alone: confidences in some views only, other types, detections that run on."""
    random = np.random.default_rng(seed)
    poses: dict[str, dict[str, Any]] = {}
    keypoints: dict[str, dict[str, list[Any]]] = {}
    for subject in ("S5", "S1", "S9"):
        poses[subject], keypoints[subject] = {}, {}
        for action, frames in (("Walking 1", 7), ("Eating", 4)):
            poses[subject][action] = random.normal(size=(frames, 32, 3)).astype("f8" if action == "Eating" else "f4")
            keypoints[subject][action] = [
                random.uniform(0, 1000, (frames + view, 17, 3 if view == 2 else 2)).astype(">f4" if view else "f4")
                for view in range(4)
            ]
    metadata = {
        "layout_name": layout,
        "num_joints": 17,
        "keypoints_symmetry": [list(side) for side in SIDES[layout]],
    }
    folder.mkdir(exist_ok=True)
    path_3d, path_2d = folder / f"data_3d_{name}.npz", folder / f"data_2d_{name}_det.npz"
    np.savez(path_3d, positions_3d=np.array(poses, dtype=object))
    np.savez(path_2d, positions_2d=np.array(keypoints, dtype=object), metadata=np.array(metadata, dtype=object))
    return path_3d, path_2d


def check_same(found: list[Recording], expected: list[Recording]) -> None:
    assert [r.key for r in found] == [r.key for r in expected]
    for one, other in zip(found, expected, strict=True):
        assert (one.skeleton, one.keypoint_skeleton, one.fps) == (other.skeleton, other.keypoint_skeleton, other.fps)
        for name in ("keypoints_2d", "poses_3d", "confidence"):
            array, wanted = getattr(one, name), getattr(other, name)
            assert (array is None) == (wanted is None), name
            if wanted is not None:
                assert type(array) is np.ndarray and array.dtype == np.float32 and array.flags.writeable, name
                assert array.tobytes() == wanted.tobytes() and array.shape == wanted.shape, name
        assert one.camera is not None and other.camera is not None
        for name in ("R", "t", "intrinsics", "distortion", "image_size"):
            assert torch.equal(getattr(one.camera, name), getattr(other.camera, name)), name


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Who has been read from the files themselves."""
    calls: list[list[str]] = []

    def counted(*paths: Any, subjects: list[str], **options: Any) -> list[Recording]:
        calls.append(list(subjects))
        return read_h36m(*paths, subjects=subjects, **options)

    monkeypatch.setattr(cache_module, "read_h36m", counted)
    return calls


@pytest.mark.parametrize(("layout", "skeleton"), [("h36m", None), ("h36m", H36M_16), ("coco", None)])
def test_the_second_time_nothing_is_read_and_all_is_the_same(
    tmp_path: Path, reads: list[list[str]], layout: str, skeleton: Skeleton | None
) -> None:
    files = save(tmp_path / "data", layout)
    expected = read_h36m(*files, subjects=SUBJECTS, skeleton=skeleton)
    assert {r.confidence is None for r in expected} == {True, False}
    for _ in range(3):
        check_same(read_h36m_cached(tmp_path / "cache", *files, subjects=SUBJECTS, skeleton=skeleton), expected)
    assert reads == [SUBJECTS]
    again = read_h36m_cached(tmp_path / "cache", *files, subjects=SUBJECTS, skeleton=skeleton)
    assert again[0].poses_3d is again[3].poses_3d, "the views share the poses"
    assert again[0].poses_3d is not again[4].poses_3d


def test_people_are_cached_one_by_one_and_joint_orders_apart(tmp_path: Path, reads: list[list[str]]) -> None:
    files = save(tmp_path / "data")
    folder = tmp_path / "cache"
    read_h36m_cached(folder, *files, subjects=["S9"])
    found = read_h36m_cached(folder, *files, subjects=SUBJECTS)
    check_same(found, read_h36m(*files, subjects=SUBJECTS))
    read_h36m_cached(folder, *files, subjects=["S9"], skeleton=H36M_16)
    read_h36m_cached(folder, *files, subjects=["S5", "S9"])
    assert reads == [["S9"], ["S1", "S5"], ["S9"]]


def test_the_arrays_are_plain(tmp_path: Path) -> None:
    read_h36m_cached(tmp_path / "cache", *save(tmp_path / "data"), subjects=["S1"])
    arrays = {path.stem.split("-")[-1]: np.load(path, allow_pickle=False) for path in tmp_path.glob("cache/*.npy")}
    assert {name: (array.dtype.str, array.shape) for name, array in arrays.items()} == {
        "keypoints_2d": ("<f4", (44, 17, 2)),
        "poses_3d": ("<f4", (11, 17, 3)),
        "confidence": ("<f4", (11, 17)),
    }
    assert len(list(tmp_path.glob("cache/*"))) == 4, "and one index"


def test_writing_into_the_recordings_changes_no_file(tmp_path: Path, reads: list[list[str]]) -> None:
    files = save(tmp_path / "data")
    for _ in range(2):
        for recording in read_h36m_cached(tmp_path / "cache", *files, subjects=["S1"]):
            recording.keypoints_2d[:] = 7
    check_same(read_h36m_cached(tmp_path / "cache", *files, subjects=["S1"]), read_h36m(*files, subjects=["S1"]))
    assert len(reads) == 1


# -------------------------------------------------------------------------------------------------- changed sources
def same_size_and_time(files: Files) -> None:
    """Exchange the content for another of the same size, with the old times."""
    for path in files:
        state = path.stat()
        (other,) = (p for p in save(path.parent / "other", seed=1) if p.name == path.name)
        other.replace(path)
        assert path.stat().st_size == state.st_size
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def newer(files: Files) -> None:
    os.utime(files[0], ns=(1, 1))


def other_keypoints(files: Files) -> None:
    other = save(files[0].parent / "other", layout="coco")
    other[1].replace(files[1])


@pytest.mark.parametrize("change", [same_size_and_time, newer, other_keypoints])
def test_changed_files_are_read_again(tmp_path: Path, reads: list[list[str]], change: Callable[[Files], None]) -> None:
    files = save(tmp_path / "data")
    folder = tmp_path / "cache"
    read_h36m_cached(folder, *files, subjects=SUBJECTS)
    before = set(folder.glob("*.npy"))
    change(files)
    for _ in range(2):
        check_same(read_h36m_cached(folder, *files, subjects=SUBJECTS), read_h36m(*files, subjects=SUBJECTS))
    assert reads == [SUBJECTS] * 2
    after = set(folder.glob("*.npy"))
    assert len(after) == len(before) and not after & before, "the old arrays are gone"


def test_a_changed_description_counts(tmp_path: Path, reads: list[list[str]]) -> None:
    files = save(tmp_path / "data", name="mine")
    info = replace(h36m_info(), name="mine")
    for fps in (50.0, 25.0):
        write_dataset_info(files[0].with_suffix(".json"), replace(info, fps=fps))
        for _ in range(2):
            found = read_h36m_cached(tmp_path / "cache", *files, subjects=["S1"])
            assert {r.fps for r in found} == {fps}
    assert reads == [["S1"]] * 2


def test_files_that_are_exchanged_while_they_are_read_are_not_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = save(tmp_path / "data")
    expected = read_h36m(*files, subjects=["S1"])
    others = save(tmp_path / "others", seed=1)

    def exchange() -> None:
        for path, other in zip(files, others, strict=True):
            away = path.with_suffix(".away")
            path.rename(away)
            other.rename(path)
            away.rename(other)

    def read_others(*arguments: Any, **options: Any) -> list[Recording]:
        exchange()
        return read_h36m(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(cache_module, "read_h36m", read_others)
        found = read_h36m_cached(tmp_path / "cache", *files, subjects=["S1"])
        check_same(found, read_h36m(*files, subjects=["S1"]))
    exchange()  # back again
    check_same(read_h36m_cached(tmp_path / "cache", *files, subjects=["S1"]), expected)


# -------------------------------------------------------------------------------------------------- damaged caches
def array_of(folder: Path, name: str = "keypoints_2d") -> Path:
    (path,) = folder.glob(f"*-{name}.npy")
    return path


def index_of(folder: Path) -> Path:
    (path,) = folder.glob("*.json")
    return path


def flip_a_bit(folder: Path) -> None:
    content = bytearray(array_of(folder).read_bytes())
    content[-1000] ^= 1
    array_of(folder).write_bytes(content)


def change_index(**values: Any) -> Callable[[Path], None]:
    """Change what the index says, its digest too, as somebody would who makes one up."""

    def function(folder: Path) -> None:
        index = json.loads(index_of(folder).read_text())
        del index["digest"]
        for name, value in values.items():
            index[name] = value(index[name]) if callable(value) else value
        index["digest"] = hashlib.sha256(json.dumps(index).encode()).hexdigest()[:16]
        index_of(folder).write_text(json.dumps(index))

    return function


def with_array(array: Any, **options: Any) -> Callable[[Path], None]:
    def function(folder: Path) -> None:
        path = array_of(folder)
        np.save(path, array(np.load(path)), **options)

    return function


DAMAGE: dict[str, Callable[[Path], None]] = {
    "cut": lambda folder: os.truncate(array_of(folder), 5000),
    "empty": lambda folder: array_of(folder, "poses_3d").write_bytes(b""),
    "a bit": flip_a_bit,
    "gone": lambda folder: array_of(folder, "confidence").unlink(),
    "longer": with_array(lambda a: np.concatenate((a, a))),
    "another type": with_array(lambda a: a.astype(np.float64)),
    "another byte order": with_array(lambda a: a.astype(">f4")),
    "another order": with_array(np.asfortranarray),
    "a pickle": with_array(lambda a: np.array([{}], dtype=object), allow_pickle=True),
    "no JSON": lambda folder: index_of(folder).write_text("{"),
    "no text": lambda folder: index_of(folder).write_bytes(b"\xff\x00"),
    "a letter": lambda folder: index_of(folder).write_text(index_of(folder).read_text().replace("Eating", "Heating")),
    "a list": lambda folder: index_of(folder).write_text("[]"),
    "another format": change_index(format=2),
    "another version": change_index(package="0.0.1"),
    "other arrays": change_index(arrays=lambda arrays: {k: v for k, v in arrays.items() if k != "confidence"}),
    "an unknown array": change_index(arrays=lambda arrays: {**arrays, "../../secret": [1, 2]}),
    "made up, but all right": change_index(),
    "no recordings": change_index(recordings=[]),
    "fewer recordings": change_index(recordings=lambda recordings: recordings[:-1]),
    "another camera": change_index(recordings=lambda recordings: [{**r, "view": 4} for r in recordings]),
    "other lengths": change_index(
        recordings=lambda rs: [{**r, "frames": r["frames"] + (1, -1)[i % 2]} for i, r in enumerate(rs)]
    ),
    "other joints": change_index(keypoint_skeleton="h36m_16"),
    "unknown joints": change_index(keypoint_skeleton="martian"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_does_not_fit_is_made_anew(tmp_path: Path, reads: list[list[str]], name: str) -> None:
    files = save(tmp_path / "data")
    folder = tmp_path / "cache"
    expected = read_h36m_cached(folder, *files, subjects=["S1"])
    DAMAGE[name](folder)
    for _ in range(2):
        check_same(read_h36m_cached(folder, *files, subjects=["S1"]), expected)
    assert len(reads) == (1 if name == "made up, but all right" else 2), "once before the damage, once after it"


def test_another_version_of_the_package_does_not_trust_it(
    tmp_path: Path, reads: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = save(tmp_path / "data")
    read_h36m_cached(tmp_path / "cache", *files, subjects=["S1"])
    monkeypatch.setattr("liftpose.__version__", "99")
    read_h36m_cached(tmp_path / "cache", *files, subjects=["S1"])
    assert len(reads) == 2


# -------------------------------------------------------------------------------------------------- what can go wrong
def test_mistakes_are_told_as_without_a_cache(tmp_path: Path) -> None:
    files = save(tmp_path / "data")
    folder = tmp_path / "cache"
    read_h36m_cached(folder, *files, subjects=["S1"])
    with pytest.raises(LiftposeError, match="expected the subject S4"):
        read_h36m_cached(folder, *files, subjects=["S1", "S4"])
    os.truncate(files[1], 20_000)
    for _ in range(2):
        with pytest.raises(LiftposeError, match=r"data_2d_h36m_det\.npz: expected an npz file, found an npz file that"):
            read_h36m_cached(folder, *files, subjects=["S1"])
    files[1].unlink()
    with pytest.raises(LiftposeError, match=r"data_2d_h36m_det\.npz: expected an npz file, found no such file"):
        read_h36m_cached(folder, *files, subjects=["S1"])


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    files = save(tmp_path / "data")
    (tmp_path / "cache").write_text("no folder")
    with pytest.raises(LiftposeError, match=r"cache: expected the folder of the cache, found a file"):
        read_h36m_cached(tmp_path / "cache", *files, subjects=["S1"])
    with pytest.raises(LiftposeError, match=r"keypoints_2d\.npy: expected to write the file, found: "):
        read_h36m_cached(tmp_path / "cache" / "in a file", *files, subjects=["S1"])


def test_an_interrupted_writing_leaves_no_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[list[str]]
) -> None:
    files = save(tmp_path / "data")
    folder = tmp_path / "cache"

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cache_module, "write_json", interrupt)
        with pytest.raises(KeyboardInterrupt):
            read_h36m_cached(folder, *files, subjects=["S1"])
    assert not list(folder.glob("*.json")) and not list(folder.glob(".*"))
    for _ in range(2):
        check_same(read_h36m_cached(folder, *files, subjects=["S1"]), read_h36m(*files, subjects=["S1"]))
    assert len(reads) == 2


def test_several_can_start_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = save(tmp_path / "data")
    expected = read_h36m(*files, subjects=SUBJECTS)
    together = threading.Barrier(4)

    def wait_for_all(*arguments: Any, **options: Any) -> list[Recording]:
        together.wait(timeout=30)
        recordings = read_h36m(*arguments, **options)
        together.wait(timeout=30)
        return recordings

    monkeypatch.setattr(cache_module, "read_h36m", wait_for_all)
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(read_h36m_cached, tmp_path / "cache", *files, subjects=SUBJECTS) for _ in range(4)]
    for run in runs:
        check_same(run.result(), expected)
    assert len(list((tmp_path / "cache").iterdir())) == 3 * 4, "of each person one entry"
    check_same(read_h36m_cached(tmp_path / "cache", *files, subjects=SUBJECTS), expected)  # and nobody reads again


def test_the_option_of_the_data_module(tmp_path: Path, h36m_root: Path, reads: list[list[str]]) -> None:
    def frames(**options: Any) -> list[torch.Tensor]:
        data = H36MDataModule(str(h36m_root), window=WindowShape(9, False), **options)
        data.setup("fit")
        batch = data.windows("train").gather(torch.arange(0, 800, 7))
        assert batch.poses_3d is not None
        return [batch.keypoints_2d, batch.poses_3d]

    expected = frames()
    assert reads == []
    for _ in range(2):
        for found, wanted in zip(frames(cache=str(tmp_path / "cache")), expected, strict=True):
            assert torch.equal(found, wanted)
    assert reads == [["S1", "S5", "S6", "S7", "S8", "S9", "S11"]]
