"""Files of detectors, written by numpy and h5py in the layouts that the field's preparation scripts read."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from liftpose.errors import LiftposeError
from liftpose.formats import find_dataset_files, h36m_info, read_h36m
from liftpose.formats.detections import convert_detections, convert_keypoints
from liftpose.formats.detector_files import VideoKeypoints, fill_missing, read_detector_file
from liftpose.skeletons import get_skeleton

CAMERAS = ("54138969", "55011271", "58860488", "60457274")
ACTIONS = ("Directions", "TakingPhoto 1", "Walking")
FRAMES = 6

Points = dict[tuple[str, str, int], np.ndarray]
Answer = Callable[..., Any]


def load(path: Path, name: str) -> Any:
    with np.load(path, allow_pickle=True) as content:  # written by this test's own command
        return content[name].item()


def seen(joints: int = 17, channels: int = 2, seed: int = 0) -> Points:
    random = np.random.default_rng(seed)
    return {
        (subject, action, view): random.uniform(0, 1000, (FRAMES, joints, channels)).astype(np.float32)
        for subject in ("S1", "S11")
        for action in ACTIONS
        for view in range(4)
    }


def write_plain(root: Path, points: Points) -> Path:
    """CPN's and HRNet's: one array."""
    for (subject, action, view), array in points.items():
        (root / subject).mkdir(parents=True, exist_ok=True)
        np.savez_compressed(root / subject / f"{action}.{CAMERAS[view]}.mp4.npz", keypoints=array)
    return root


def python_2_npz(path: Path, values: Mapping[str, np.ndarray]) -> None:
    """An npz file as Python 2 and numpy 1 wrote it: protocol 2, names of numpy 1, bytes as text."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in values.items():
            stream = io.BytesIO()
            header = {"descr": "|O", "fortran_order": False, "shape": value.shape}
            np.lib.format.write_array_header_1_0(stream, header)
            pickled = pickle.dumps(value, protocol=2)
            for new in (b"numpy._core.multiarray", b"numpy._core.numeric"):
                pickled = pickled.replace(new, new.replace(b"_core", b"core"))
            archive.writestr(f"{name}.npy", stream.getvalue() + pickled)


def detectron_frame(pose: np.ndarray | None, random: np.random.Generator, rows: int) -> tuple[list[Any], list[Any]]:
    """Boxes and keypoints of a frame: by class; the wanted person is the second of three, with the best score."""
    if pose is None:
        return [[], np.zeros((0, 5), np.float32)], [[], []]
    boxes = np.concatenate((random.uniform(0, 900, (3, 4)), [[0.4], [0.99], [0.7]]), axis=1).astype(np.float32)
    people = random.uniform(0, 900, (3, rows, len(pose))).astype(np.float32)
    first = 4 if rows > 4 else 0
    people[1, first : first + 2] = pose[:, :2].T
    people[1, 3] = pose[:, 2]
    return [[], boxes], [[], people]


def write_detectron(root: Path, points: Points, lost: tuple[int, ...] = (), rows: int = 6, python: int = 3) -> Path:
    random = np.random.default_rng(1)
    for (subject, action, view), array in points.items():
        frames = [detectron_frame(None if i in lost else pose, random, rows) for i, pose in enumerate(array)]
        boxes, keypoints = (np.empty((len(array), 2), dtype=object) for _ in range(2))
        for i, (box, keypoint) in enumerate(frames):
            boxes[i, 0], boxes[i, 1] = box
            keypoints[i, 0], keypoints[i, 1] = keypoint
        (root / subject).mkdir(parents=True, exist_ok=True)
        path = root / subject / f"{action}.{CAMERAS[view]}.mp4.npz"
        if python == 2:
            python_2_npz(path, {"boxes": boxes, "keypoints": keypoints})
        else:
            np.savez_compressed(path, boxes=boxes, keypoints=keypoints)
    return root


def write_hourglass(root: Path, points: Points, folder: str = "StackedHourglass") -> Path:
    for (subject, action, view), array in points.items():
        place = root / subject / folder
        place.mkdir(parents=True, exist_ok=True)
        name = action.replace("TakingPhoto", "Photo").replace(" ", "_")
        with h5py.File(place / f"{name}.{CAMERAS[view]}.h5", "w") as file:
            file["poses"] = array.astype(np.float64)
    return root


def check_people(path: Path, points: Points, expected: Callable[[np.ndarray], np.ndarray]) -> None:
    people = load(path, "positions_2d")
    assert list(people) == ["S1", "S11"]
    assert set(people["S1"]) == {"Directions", "Photo 1", "Walking"}
    assert set(people["S11"]) == {"Photo 1", "Walking"}, "the take with the broken video"
    for (subject, action, view), array in points.items():
        if (subject, action) != ("S11", "Directions"):
            found = people[subject][action.replace("TakingPhoto", "Photo")]
            assert isinstance(found, list) and len(found) == 4
            assert found[view].dtype == np.float32
            np.testing.assert_array_equal(found[view], expected(array))


# ---------------------------------------------------------------------------------------------------------- detectors
@pytest.mark.parametrize(("detector", "channels"), [("cpn", 2), ("cpn", 3), ("hr", 3)])
def test_arrays_of_one_video_each(tmp_path: Path, detector: Any, channels: int) -> None:
    points = seen(channels=channels)
    for action in ("_ALL", "_ALL 1"):
        (tmp_path / "in/S1").mkdir(parents=True, exist_ok=True)
        np.savez(tmp_path / f"in/S1/{action}.{CAMERAS[0]}.mp4.npz", keypoints=np.zeros((3, 17, 2)))
    report = convert_detections(write_plain(tmp_path / "in", points), tmp_path / "out", "x_h36m", detector)
    assert report.files == [tmp_path / "out/data_2d_h36m_x_h36m.npz"]
    check_people(report.files[0], points, lambda array: array[..., :2])
    symmetry = [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]
    metadata = {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": symmetry}
    assert load(report.files[0], "metadata") == metadata
    assert "left out: Directions of S11, whose video is broken" in report.lines
    assert "S11: 2 takes, 4 cameras, 12 frames of the first" in report.lines


@pytest.mark.parametrize(("rows", "python"), [(4, 3), (6, 3), (7, 2), (6, 2)])
def test_the_best_box_of_detectron(tmp_path: Path, rows: int, python: int) -> None:
    points = seen(channels=3)
    source = write_detectron(tmp_path / "in", points, rows=rows, python=python)
    report = convert_detections(source, tmp_path, "detectron_pt_coco", "detectron")
    check_people(report.files[0], points, lambda array: array[..., :2])
    assert load(report.files[0], "metadata")["layout_name"] == "coco"


def test_frames_without_a_person_repeat_the_one_before(tmp_path: Path) -> None:
    points = seen(channels=3)
    source = write_detectron(tmp_path / "in", points, lost=(0, 2, 3))
    report = convert_detections(source, tmp_path, "d_coco", "detectron", confidence=True)
    expected = [1, 1, 1, 1, 4, 5]

    def repeated(array: np.ndarray) -> np.ndarray:
        result = array[expected].copy()
        result[[0, 2, 3], :, 2] = 0
        return result

    check_people(report.files[0], points, repeated)
    assert "60 frames in which nobody was found, filled (repeat)" in report.lines  # 3 in each of 20 videos


def test_lines_between_the_frames_that_were_found(tmp_path: Path) -> None:
    points = seen(channels=3)
    source = write_detectron(tmp_path / "in", points, lost=(2, 3, 5))
    report = convert_detections(source, tmp_path, "d_coco", "detectron", missing="interpolate")
    people = load(report.files[0], "positions_2d")
    for (subject, action, view), array in points.items():
        if (subject, action) == ("S11", "Directions"):
            continue
        found = people[subject][action.replace("TakingPhoto", "Photo")][view]
        for joint in range(17):
            for axis in range(2):  # numpy's own interpolation, which holds the ends too
                expected = np.interp(np.arange(6), [0, 1, 4], array[[0, 1, 4], joint, axis])
                np.testing.assert_allclose(found[:, joint, axis], expected, rtol=1e-5, atol=1e-3)


@given(
    found=arrays.arrays(bool, st.integers(1, 12)).filter(lambda found: bool(found.any())),
    filling=st.sampled_from(["repeat", "interpolate"]),
)
def test_found_frames_are_never_changed(found: np.ndarray, filling: Any) -> None:
    times = np.arange(len(found), dtype=np.float32)
    points = np.where(found, times, np.nan)[:, None, None] * np.ones((1, 3, 2), np.float32)
    video = VideoKeypoints(points.astype(np.float32), found, np.ones((len(found), 3), np.float32))
    filled = fill_missing(video, filling)
    np.testing.assert_array_equal(filled.points[found], points[found])
    there = np.flatnonzero(found)
    held = [max((i for i in there if i <= frame), default=there[0]) for frame in range(len(found))]
    line = np.interp(times, there, there)
    expected = held if filling == "repeat" else line
    np.testing.assert_allclose(filled.points[:, 0, 0], expected, rtol=1e-6)
    assert filled.confidence is not None
    np.testing.assert_array_equal(filled.confidence[:, 0], found.astype(np.float32))


@pytest.mark.parametrize("packing", ["folder", "zip", "tar", "tar.gz"])
def test_stacked_hourglass(tmp_path: Path, packing: str) -> None:
    points = seen(joints=16)
    root = write_hourglass(tmp_path / "h36m", points)
    other = tmp_path / "h36m/S1/MyPoses/3D_positions/Walking.h5"  # the zip archive of the 3D baseline holds these too
    other.parent.mkdir(parents=True)
    with h5py.File(other, "w") as file:
        file["3D_positions"] = np.zeros((96, 4))
    source = root
    if packing != "folder":
        source = tmp_path / f"h36m.{packing}"
        if packing == "zip":
            with zipfile.ZipFile(source, "w") as archive:
                for path in root.rglob("*.h5"):
                    archive.write(path, path.relative_to(tmp_path))
        else:
            with tarfile.open(source, "w:gz" if packing == "tar.gz" else "w") as archive_tar:
                archive_tar.add(root, "h36m")
    report = convert_detections(source, tmp_path / "out", "sh_ft_h36m", "sh")
    check_people(report.files[0], points, lambda array: array)
    metadata = load(report.files[0], "metadata")
    assert (metadata["layout_name"], metadata["num_joints"]) == ("mpii", 16)
    left, right = metadata["keypoints_symmetry"]
    assert sorted(left) == [3, 4, 5, 13, 14, 15] and sorted(right) == [0, 1, 2, 10, 11, 12]


# ---------------------------------------------------------------------------------------------- the published scripts
@pytest.fixture
def public(tmp_path: Path) -> Path:
    folder = os.environ.get("LIFTPOSE_PEERS")
    if not folder or not (Path(folder) / "VideoPose3D").is_dir():
        pytest.skip("LIFTPOSE_PEERS names no folder with VideoPose3D: the public code is not part of the repository")
    for part in ("common", "data"):
        shutil.copytree(Path(folder) / "VideoPose3D" / part, tmp_path / "VideoPose3D" / part)
    return tmp_path / "VideoPose3D/data"


# What the scripts need to run today: numpy no longer unpickles unasked, and h5py has no `value` any more.
DRIVER = """
import runpy, sys
import h5py, numpy
load = numpy.load
numpy.load = lambda path, **options: load(path, allow_pickle=True, **options)
h5py.Dataset.value = property(lambda self: self[()])
script, sys.argv = sys.argv[1], sys.argv[1:]
sys.path.insert(0, ".")
runpy.run_path(script, run_name="__main__")
"""


def run_public(folder: Path, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def same_people(ours: Any, theirs: Any) -> None:
    assert set(ours) == set(theirs)
    for subject, takes in theirs.items():
        assert set(ours[subject]) == set(takes)
        for action, views in takes.items():
            for own, other in zip(ours[subject][action], views, strict=True):
                np.testing.assert_array_equal(own, other)
                assert own.dtype == other.dtype == np.float32


@pytest.mark.parametrize("detector", ["cpn", "detectron"])
def test_the_published_script_writes_the_same(tmp_path: Path, public: Path, detector: Any) -> None:
    points = seen(channels=3)
    source = (
        write_plain(tmp_path / "in", points)
        if detector == "cpn"
        else write_detectron(tmp_path / "in", points, lost=(2, 3, 5), python=2)
    )
    name = f"{detector}_ft_h36m"
    run_public(public, "prepare_data_2d_h36m_generic.py", "-i", str(source), "-o", name)
    report = convert_detections(source, tmp_path / "out", name, detector)
    theirs = public / f"data_2d_h36m_{name}.npz"
    same_people(load(report.files[0], "positions_2d"), load(theirs, "positions_2d"))
    assert load(report.files[0], "metadata") == load(theirs, "metadata")


def test_the_published_script_for_stacked_hourglass_writes_the_same(tmp_path: Path, public: Path) -> None:
    """It asks for 120 files of each of seven people, 119 of S11."""
    random = np.random.default_rng(2)
    points = {
        (subject, f"{action} {take}", view): random.uniform(0, 999, (1, 16, 2)).astype(np.float32)
        for subject in ("S1", "S5", "S6", "S7", "S8", "S9", "S11")
        for action in ("Directions", *(f"Action{i}" for i in range(14)))
        for take in (1, 2)
        for view in range(4)
    }
    # The official archive lacks one video of S11 and holds three of its broken take.
    for view in range(4):
        points["S11", "Directions", view] = points.pop(("S11", "Directions 1", view))
    del points["S11", "Directions", 3]
    root = write_hourglass(tmp_path / "h36m", points)
    with zipfile.ZipFile(public / "h36m.zip", "w") as archive:
        for path in root.rglob("*.h5"):
            archive.write(path, path.relative_to(tmp_path))
    run_public(public, "prepare_data_2d_h36m_sh.py", "-pt", "h36m.zip")
    report = convert_detections(public / "h36m.zip", tmp_path / "out", "sh_pt_mpii", "sh")
    theirs = public / "data_2d_h36m_sh_pt_mpii.npz"
    same_people(load(report.files[0], "positions_2d"), load(theirs, "positions_2d"))


@pytest.fixture
def humaneva_videos(tmp_path: Path) -> tuple[Path, Points]:
    random = np.random.default_rng(3)
    points: Points = {}
    for subject in ("S1", "S2", "S3", "S4"):
        actions = ("Walking_1", "Jog_1", "Gestures_1", "Box_1", "ThrowCatch_1", "Combo_1")
        for action in actions:
            for view in range(3):
                array = random.uniform(0, 480, (1400, 17, 2)).astype(np.float32)
                points[subject, action, view] = array
                (tmp_path / "videos" / subject).mkdir(parents=True, exist_ok=True)
                path = tmp_path / "videos" / subject / f"{action}_(C{view + 1}).avi.npz"
                np.savez(path, keypoints=array)
    return tmp_path / "videos", points


def test_the_published_script_cuts_the_videos_of_humaneva_alike(
    tmp_path: Path, public: Path, humaneva_videos: tuple[Path, Points], humaneva_export: Path
) -> None:
    source, _ = humaneva_videos
    words = ["-p", str(humaneva_export), "--convert-3d", "--convert-2d", str(source), "-o", "cpn_coco"]
    run_public(public, "prepare_data_humaneva.py", *words)
    report = convert_detections(
        source, tmp_path / "out", "cpn_coco", "cpn", dataset="humaneva15", export=humaneva_export
    )
    theirs = public / "data_2d_humaneva15_cpn_coco.npz"
    same_people(load(report.files[0], "positions_2d"), load(theirs, "positions_2d"))
    assert load(report.files[0], "metadata") == load(theirs, "metadata")


def test_frames_of_humaneva_are_rows_of_its_videos(
    tmp_path: Path, humaneva_videos: tuple[Path, Points], humaneva_export: Path
) -> None:
    """Frame f of the motion capture is row f + first - 1; S1's second camera starts a frame before the others."""
    source, points = humaneva_videos
    report = convert_detections(
        source, tmp_path / "out", "cpn_coco", "cpn", dataset="humaneva15", export=humaneva_export
    )
    people = load(report.files[0], "positions_2d")
    np.testing.assert_array_equal(
        people["Validate/S1"]["Walking 1 chunk0"][1][0], points["S1", "Walking_1", 1][5 + 81 - 1]
    )
    np.testing.assert_array_equal(
        people["Validate/S1"]["Walking 1 chunk0"][2][0], points["S1", "Walking_1", 2][5 + 82 - 1]
    )
    np.testing.assert_array_equal(people["Unlabeled/S4"]["Combo 1"][2], points["S4", "Combo_1", 2])
    last = points["S1", "Walking_1", 0][-1:]
    np.savez(source / "S1/Walking_1_(C1).avi.npz", keypoints=np.repeat(last, 700, axis=0))
    with pytest.raises(LiftposeError, match=r"S1/Walking_1_\(C1\)\.avi\.npz: expected the rows .* found 700 rows"):
        convert_detections(source, tmp_path / "b", "cpn_coco", "cpn", dataset="humaneva15", export=humaneva_export)


# --------------------------------------------------------------------------------------------------- beside a 3D file
def write_3d(root: Path, frames: Mapping[str, int]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    poses: dict[str, dict[str, np.ndarray]] = {}
    for place, count in frames.items():
        subject, action = place.split("/")
        poses.setdefault(subject, {})[action] = np.zeros((count, 32, 3), np.float32)
    np.savez(root / "data_3d_h36m.npz", positions_3d=np.array(poses, dtype=object))


TAKES = {"S1/Directions": 6, "S1/Photo 1": 4, "S1/Walking": 5, "S11/Photo 1": 6, "S11/Walking": 6}


def test_keypoints_may_run_on_after_the_poses(tmp_path: Path) -> None:
    write_3d(tmp_path, TAKES)
    points = seen()
    report = convert_detections(write_plain(tmp_path / "in", points), tmp_path, "cpn_h36m", "cpn")
    assert "12 frames beyond the 3D poses, which readers leave out" in report.lines  # (2 + 1) x 4 cameras
    check_people(report.files[0], points, lambda array: array)
    recordings = read_h36m(*find_dataset_files(tmp_path, "h36m", "cpn_h36m"), info=h36m_info())
    assert {len(r) for r in recordings if r.action == "Photo 1" and r.subject == "S1"} == {4}


@pytest.mark.parametrize(
    ("takes", "message"),
    [
        ({**TAKES, "S1/Walking": 7}, r"S1/Walking\.0: expected keypoints for the 7 frames of the 3D poses, found 6"),
        ({**TAKES, "S1/Eating 2": 3}, r"expected the take S1/Eating 2 of the 3D file, found none"),
        ({k: v for k, v in TAKES.items() if k != "S11/Walking"}, r"takes of S11 in the 3D file, found Walking too"),
    ],
)
def test_keypoints_that_do_not_fit_the_poses(tmp_path: Path, takes: Mapping[str, int], message: str) -> None:
    write_3d(tmp_path / "out", takes)
    source = write_plain(tmp_path / "in", seen())
    with pytest.raises(LiftposeError, match=message):
        convert_detections(source, tmp_path / "out", "cpn_h36m", "cpn")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["data_3d_h36m.npz"]


def test_sixteen_joints_from_seventeen(tmp_path: Path) -> None:
    """Index 9 is left out, and every recording has the length of its poses (DH-AUG's specification, section 7.1)."""
    points = seen(channels=3)
    made = convert_detections(write_plain(tmp_path / "in", points), tmp_path, "cpn_h36m", "cpn", confidence=True)
    kept = convert_keypoints(made.files[0], tmp_path / "none", "cpn16", joints="h36m_16")
    check_people(kept.files[0], points, lambda array: np.delete(array, 9, axis=1))
    assert "lengths were kept" in kept.lines[-1]
    write_3d(tmp_path, TAKES)
    report = convert_keypoints(made.files[0], tmp_path, "cpn16", joints="h36m_16")
    people = load(report.files[0], "positions_2d")
    for place, frames in TAKES.items():
        subject, action = place.split("/")
        for view in range(4):
            whole = points[subject, action.replace("Photo", "TakingPhoto"), view]
            np.testing.assert_array_equal(people[subject][action][view], np.delete(whole[:frames], 9, axis=1))
    symmetry = [[4, 5, 6, 10, 11, 12], [1, 2, 3, 13, 14, 15]]  # the same section of the specification, section 1.1
    metadata = load(report.files[0], "metadata")
    assert (metadata["num_joints"], metadata["keypoints_symmetry"]) == (16, symmetry)
    recording = read_h36m(*find_dataset_files(tmp_path, "h36m", "cpn16"), skeleton=get_skeleton("h36m_16"))[0]
    assert recording.keypoint_skeleton.name == recording.skeleton.name == "h36m_16"


def test_joints_are_changed_on_the_way(tmp_path: Path) -> None:
    points = seen()
    report = convert_detections(write_plain(tmp_path / "in", points), tmp_path, "cpn_h36m", "cpn", joints="h36m_16")
    check_people(report.files[0], points, lambda array: np.delete(array, 9, axis=1))


def test_sixteen_joints_of_the_golden_data(tmp_path: Path, reference: Path) -> None:
    """The golden detections have up to two surplus frames, and S2 without poses."""
    toy = reference / "golden/rie/toy_h36m"
    source = toy / "data_2d_h36m_cpn_ft_h36m_dbb.npz"
    report = convert_keypoints(source, tmp_path, "cpn16", joints="h36m_16")
    ours, theirs, poses = (
        load(report.files[0], "positions_2d"),
        load(source, "positions_2d"),
        load(toy / "data_3d_h36m.npz", "positions_3d"),
    )
    for subject, takes in theirs.items():
        for action, views in takes.items():
            frames = len(poses[subject][action]) if subject in poses else None
            for own, other in zip(ours[subject][action], views, strict=True):
                np.testing.assert_array_equal(own, np.delete(other[:frames], 9, axis=1))


# ---------------------------------------------------------------------------------------------------------- bad input
class Touch:
    """Pickled, it creates a file when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch owned",)


def hostile(path: Path) -> None:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": (1, 2)})
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("boxes", "keypoints"):
            archive.writestr(f"{name}.npy", stream.getvalue() + pickle.dumps(Touch()))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def replace_by(**values: Any) -> Callable[[Path], None]:
    return lambda path: np.savez(path, **values)


def moved(name: str) -> Callable[[Path], None]:
    def move(path: Path) -> None:
        (path.parents[1] / name).parent.mkdir(parents=True, exist_ok=True)
        path.rename(path.parents[1] / name)

    return move


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (truncate, "Walking.54138969.mp4.npz: expected an npz file, found an npz file that is cut"),
        (hostile, "array 'boxes': expected numpy arrays and plain values, found the name posix.system"),
        (
            replace_by(keypoints=np.zeros((6, 16, 2))),
            "expected keypoints of shape (frames, 17, 2 or 3), found (6, 16, 2)",
        ),
        (replace_by(keypoints=np.zeros((6, 17))), "expected keypoints of shape (frames, 17, 2 or 3), found (6, 17)"),
        (replace_by(keypoints=np.zeros((0, 17, 2))), "expected keypoints of at least one frame, found none"),
        (replace_by(keypoints=np.full((6, 17, 2), np.nan)), "expected a person in at least one frame, found none in 6"),
        (replace_by(other=np.zeros(3)), "expected an array keypoints of a detector, found other"),
        (
            lambda path: path.unlink(),
            "S1/Walking: expected files of the cameras 54138969, 55011271, 58860488, 60457274, found none of 541",
        ),
        (moved("Sub1/Walking.54138969.mp4.npz"), "expected a folder of a person, such as S1, found Sub1"),
        (
            moved("S1/Walking.1234.mp4.npz"),
            "expected one of the cameras 54138969, 55011271, 58860488, 60457274, found 1234",
        ),
        (moved("S1/keypoints.npz"), "expected a name such as Walking 1.54138969.mp4.npz, found another"),
        (
            lambda path: shutil.copy(path, path.with_name("Walking.54138969.npz")),
            "expected one file of S1/Walking of this",
        ),
    ],
)
def test_bad_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], None], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    source = write_plain(tmp_path / "in", seen())
    spoil(source / "S1/Walking.54138969.mp4.npz")
    with pytest.raises(LiftposeError) as error:
        convert_detections(source, tmp_path / "out", "cpn_h36m", "cpn")
    assert message in str(error.value)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("boxes", "keypoints", "message"),
    [
        (
            [[[], np.zeros((1, 5))]],
            [[[], np.zeros((1, 6, 16))]],
            r"frame 0: expected keypoints of shape \(1, 4, 6 or 7, 17\)",
        ),
        ([[[], np.zeros((1, 4))]], [[[], np.zeros((1, 6, 17))]], r"frame 0: expected boxes of shape \(number, 5\)"),
        ([[[], np.zeros((2, 5))]], [[[], np.zeros((1, 6, 17))]], r"frame 0: expected keypoints of shape \(2,"),
        ([[[], []]], [[[], []]], r"expected a person in at least one frame, found none in 1 frames"),
        ([[3, 4]], [[3, 4]], r"frame 0: expected a list by class"),
        ([[[], []]] * 2, [[[], []]], r"expected as many frames of boxes as of keypoints, found 2 and 1"),
    ],
)
def test_bad_lists_of_detectron(tmp_path: Path, boxes: Any, keypoints: Any, message: str) -> None:
    def objects(frames: Any) -> np.ndarray:
        array = np.empty((len(frames), 2), dtype=object)
        for i, frame in enumerate(frames):
            array[i, 0], array[i, 1] = frame
        return array

    np.savez(tmp_path / "a.npz", boxes=objects(boxes), keypoints=objects(keypoints))
    with pytest.raises(LiftposeError, match=message):
        read_detector_file(tmp_path / "a.npz", "detectron", 17)


@settings(max_examples=100)
@given(
    data=st.data(),
    odd=st.sampled_from(
        [None, 3, "a", [], [[]], np.array(4.0), np.zeros(0), np.zeros((0, 5)), np.zeros((1, 5)), np.zeros((1, 6, 17)),
         [np.zeros((6, 17))], np.full((1, 6, 17), np.nan), [None], {"a": 1}, np.array([None], dtype=object)]
    ),
)  # fmt: skip
def test_whatever_stands_in_the_lists_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, odd: Any
) -> None:
    frames = [([[], np.ones((1, 5))], [[], np.ones((1, 6, 17))]) for _ in range(3)]
    boxes, keypoints = (np.empty((3, 2), dtype=object) for _ in range(2))
    for i, (box, keypoint) in enumerate(frames):
        boxes[i, 0], boxes[i, 1] = box
        keypoints[i, 0], keypoints[i, 1] = keypoint
    where = data.draw(st.sampled_from(["boxes", "keypoints", "all boxes", "all keypoints"]))
    array = boxes if where.endswith("boxes") else keypoints
    if not where.startswith("all"):
        array[data.draw(st.integers(0, 2)), data.draw(st.integers(0, 1))] = odd
    values = {"boxes": boxes, "keypoints": keypoints}
    if where.startswith("all"):
        values[where.split(" ")[1]] = np.array(odd, dtype=object)
    path = tmp_path_factory.mktemp("odd") / "a.npz"
    np.savez(path, **values)
    try:
        video = read_detector_file(path, "detectron", 17)
    except LiftposeError as error:
        assert str(error).startswith(str(path))
    else:
        assert video.points.shape == (3, 17, 2)
        assert np.isin(video.points[video.found], (0, 1)).all()


def test_another_detector_than_was_said(tmp_path: Path) -> None:
    write_plain(tmp_path / "plain", seen())
    write_detectron(tmp_path / "lists", seen(channels=3))
    name = "S1/Walking.54138969.mp4.npz"
    with pytest.raises(LiftposeError, match="expected an array boxes of a detector, found keypoints"):
        read_detector_file(tmp_path / "plain" / name, "detectron", 17)
    with pytest.raises(LiftposeError, match=r"lists by frame are Detectron's \(--detector detectron\)"):
        read_detector_file(tmp_path / "lists" / name, "cpn", 17)


def outside(path: Path) -> None:
    with h5py.File(path.with_name("other.h5"), "w") as file:
        file["poses"] = np.zeros((4, 16, 2))
    with h5py.File(path, "w") as file:
        file["poses"] = h5py.ExternalLink("other.h5", "/poses")


def wrong_h5(name: str, shape: tuple[int, ...]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            file[name] = np.zeros(shape)

    return write


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (truncate, "expected an HDF5 file, found it cut or damaged, or another kind"),
        (lambda path: path.write_text("hello"), "expected an HDF5 file, found it cut or damaged, or another kind"),
        (wrong_h5("3D_positions", (96, 4)), "expected a data set poses, found 3D_positions"),
        (wrong_h5("poses", (4, 17, 2)), r"expected poses of shape \(frames, 16, 2\), found \(4, 17, 2\)"),
        (outside, "expected a data set poses, found poses"),
    ],
)
def test_bad_files_of_stacked_hourglass(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["poses"] = np.ones((4, 16, 2))
    assert len(read_detector_file(path, "sh", 16).points) == 4
    spoil(path)
    with pytest.raises(LiftposeError, match=message):
        read_detector_file(path, "sh", 16)
    with pytest.raises(LiftposeError, match=f"in the archive: {message}" if spoil is not outside else "expected"):
        read_detector_file("in the archive", "sh", 16, path.read_bytes())


def test_an_archive_that_leads_out_of_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "h36m.zip", "w") as archive:
        archive.writestr("../S1/StackedHourglass/Walking.54138969.h5", b"")
    with pytest.raises(LiftposeError, match=r"\.\./S1"):
        convert_detections(tmp_path / "h36m.zip", tmp_path / "out", "sh", "sh")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "cpn"}, "--layout: expected the joint order of the files"),
        ({"name": "gt"}, "--name: expected letters"),
        ({"name": "../x_h36m"}, "--name: expected letters"),
        ({"dataset": "3dhp"}, "--dataset: expected h36m, humaneva15 or humaneva20, found 3dhp"),
        ({"dataset": "humaneva15"}, "--export: expected the folder of the MATLAB export for HumanEva, found none"),
        ({"joints": "coco_17"}, "--joints: joint order: expected an adapter from h36m_17 to coco_17"),
        (
            {"layout": "h36m_16", "joints": "h36m_17"},
            "--joints: expected joints that h36m_16 has, found h36m_17, with neck",
        ),
        ({"layout": "nix"}, "--layout: expected one of h36m_17,"),
        ({"confidence": True}, "expected a third channel with scores, found coordinates only"),
    ],
)
def test_bad_options(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    source = write_plain(tmp_path / "in", seen())
    with pytest.raises(LiftposeError) as error:
        convert_detections(source, tmp_path / "out", **{"name": "cpn_h36m", "detector": "cpn", **options})
    assert message in str(error.value)
    assert not (tmp_path / "out").exists()
