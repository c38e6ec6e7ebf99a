from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from scipy.spatial.transform import Rotation

from liftpose.datamodules import H36MDataModule
from liftpose.errors import LiftposeError
from liftpose.formats import find_dataset_info, read_h36m
from liftpose.formats.mpi_inf_3dhp import convert_mpi_inf_3dhp
from liftpose.formats.mpi_inf_3dhp_files import read_test_sequence, turn_up
from liftpose.formats.mpi_inf_3dhp_train import read_train_sequence
from liftpose.geometry import normalize_screen
from liftpose.skeletons import H36M_16, H36M_17, MPI_INF_3DHP_17, MPI_INF_3DHP_28, Skeleton

Save = Callable[[Path, dict[str, Any]], Path]

# The joints of the test files among those of the training files, as spec/skeletons.md has them.
RELEVANT = [7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19, 20, 4, 3, 6]
FAST = [("S1", "Seq2"), ("S3", "Seq1"), ("S3", "Seq2"), ("S5", "Seq1"), ("S5", "Seq2")]
SEQUENCES = [(f"S{person}", f"Seq{sequence}") for person in range(1, 9) for sequence in (1, 2)]

# Millimetres from the parent to each joint of a standing person; x to the left, y up, z forward.
OFFSETS = {
    "spine": (0, 120, 0), "spine2": (0, 100, 0), "spine3": (0, 100, 0), "spine4": (0, 90, 0), "neck": (0, 90, 0),
    "head": (0, 80, 20), "head_top": (0, 150, 0), "clavicle": (30, 0, 0), "shoulder": (150, 0, 0),
    "elbow": (20, -280, 0), "wrist": (0, -240, 20), "hand": (0, -80, 0), "hip": (110, -20, 0), "knee": (0, -420, 10),
    "ankle": (0, -400, 0), "foot": (0, -60, 80), "toe": (0, 0, 70),
}  # fmt: skip


def body(frames: int, seed: int) -> np.ndarray:
    """Millimetres (frames, 28, 3): limbs of constant and equal lengths, y up, feet near 0, moving about the origin."""
    rng = np.random.default_rng(seed)
    skeleton = MPI_INF_3DHP_28
    joints: dict[int, np.ndarray] = {}
    turns: dict[int, Rotation] = {}

    def place(joint: int) -> None:
        parent = skeleton.parents[joint]
        name = skeleton.joint_names[joint]
        if parent < 0:
            joints[joint] = np.array([0, 950, 0]) + np.cumsum(rng.normal(size=(frames, 3)) * [9, 1, 9], axis=0)
            turns[joint] = Rotation.from_rotvec(np.cumsum(rng.normal(size=(frames, 3)) * [0.01, 0.1, 0.01], axis=0))
            return
        if parent not in joints:
            place(parent)
        side, _, plain = name.partition("_")
        offset = np.array(OFFSETS[plain if side in {"left", "right"} else name], dtype=float)
        if side == "right":
            offset[0] *= -1
        joints[joint] = joints[parent] + turns[parent].apply(offset)
        turns[joint] = turns[parent] * Rotation.from_rotvec(0.2 * rng.normal(size=(frames, 3)))

    for joint in range(len(skeleton)):
        if joint not in joints:
            place(joint)
    return np.stack([joints[joint] for joint in range(len(skeleton))], axis=1)


def rig(seed: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Fourteen cameras around the person, y of the world down: rotation, translation (mm), intrinsics."""
    rng = np.random.default_rng(seed)
    cameras = []
    for number in range(14):
        turn = (Rotation.from_euler("x", 0.1) * Rotation.from_euler("y", number * 0.45)).as_matrix()
        center = turn.T @ np.array([0, 0, -4200.0]) + rng.normal(size=3) * 50 + [0, -900, 0]
        matrix = np.array([[1497 + number, 0, 1024.7], [0, 1496.0, 1051.4 - number], [0, 0, 1]])
        cameras.append((turn, -turn @ center, matrix))
    return cameras


def project(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    image = points @ matrix.T
    return image[..., :2] / image[..., 2:]


def column(arrays: Sequence[np.ndarray]) -> np.ndarray:
    cells = np.empty((len(arrays), 1), dtype=object)
    for number, array in enumerate(arrays):
        cells[number, 0] = array
    return cells


def calibration(cameras: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> str:
    lines = ["Skeletool Camera Calibration File V1.0"]
    for number, (turn, shift, matrix) in enumerate(cameras):
        inner, outer = np.eye(4), np.eye(4)
        inner[:3, :3], outer[:3, :3], outer[:3, 3] = matrix, turn, shift
        lines += [
            f"name          {number}", "  sensor      10 10", "  size        2048 2048", "  animated    0",
            f"  intrinsic   {' '.join(f'{x:.9g}' for x in inner.ravel())} ",
            f"  extrinsic   {' '.join(f'{x:.9g}' for x in outer.ravel())} ", "  radial      0 ",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


def write_train(
    root: Path, *, with_calibration: bool = True, frames: int = 12, only: str = "", y_up: bool = False
) -> Path:
    """Write the training annotation: scipy's MATLAB 7, as the layout is described; the studio's world has y up."""
    for number, (person, sequence) in enumerate(SEQUENCES):
        if only not in f"{person}/{sequence}":
            continue
        folder = root / person / sequence
        folder.mkdir(parents=True)
        cameras = rig(number)
        world = body(frames * (2 if (person, sequence) in FAST else 1), number) * [1, -1, -1]
        placed = [world @ turn.T + shift for turn, shift, _ in cameras]
        seen = [project(points, matrix) for points, (_, _, matrix) in zip(placed, cameras, strict=True)]
        content = {
            "annot2": column([pixels.reshape(len(world), -1) for pixels in seen]),
            "annot3": column([points.reshape(len(world), -1) for points in placed]),
            "univ_annot3": column([1.1 * points.reshape(len(world), -1) for points in placed]),
            "cameras": np.arange(14)[None],
            "frames": np.arange(len(world))[:, None],
        }
        scipy.io.savemat(folder / "annot.mat", content, do_compression=True)
        if with_calibration:
            stored = [(turn * [1, -1, -1] if y_up else turn, shift, matrix) for turn, shift, matrix in cameras]
            (folder / "camera.calibration").write_text(calibration(stored))
    return root


TEST_MATRIX = np.array([[1500.0, 0, 1020], [0, 1499, 1030], [0, 0, 1]])


def write_test(root: Path, save: Save, frames: int = 14) -> Path:
    """Write the test annotation: h5py's MATLAB 7.3; frames 4, 5 and 9 of every sequence are not valid."""
    for number in range(1, 7):
        folder = root / f"TS{number}"
        folder.mkdir(parents=True)
        points = body(frames, 50 + number)[:, RELEVANT] * [1, -1, -1] + [100, 900, 4000]
        pixels = project(points, TEST_MATRIX)
        if number == 6:
            pixels += np.random.default_rng(0).normal(size=pixels.shape) * 20
        valid = np.ones((1, frames))
        valid[0, [4, 5, 9]] = 0
        content = {
            "annot2": pixels.transpose(2, 1, 0)[:, :, None],
            "annot3": points.transpose(2, 1, 0)[:, :, None],
            "univ_annot3": 0.9 * points.transpose(2, 1, 0)[:, :, None],
            "valid_frame": valid,
            "activity_annotation": np.ones((frames, 1)),
        }
        assert content["annot3"].shape == (3, 17, 1, frames)
        save(folder / "annot_data.mat", content)
    return root


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_train(tmp_path_factory.mktemp("train"))


@pytest.fixture(scope="module")
def official_test(tmp_path_factory: pytest.TempPathFactory, save_matlab_73: Save) -> Path:
    return write_test(tmp_path_factory.mktemp("test"), save_matlab_73)


def limbs(poses: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Lengths (N, sides, limbs) of upper and lower arms and legs."""
    pairs = [("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")]
    return np.stack([
        np.stack([
            np.linalg.norm(poses[:, skeleton.index(f"{s}_{a}")] - poses[:, skeleton.index(f"{s}_{b}")], axis=1)
            for a, b in pairs
        ], axis=-1)
        for s in ("left", "right")
    ], axis=1)  # fmt: skip


def test_spins_annotation_gives_the_published_arrays(reference: Path, tmp_path: Path) -> None:
    with np.load(reference / "golden/dh_aug/mpi3dhp_convert.npz") as golden:
        names = golden["imgname"]
        expected = {name: (golden["pose3d"][names == name], golden["pose2d"][names == name]) for name in names}
        source = {name: golden[name] for name in ("imgname", "part", "S")}
    np.savez(tmp_path / "mpi_inf_3dhp_valid.npz", **source)
    done = convert_mpi_inf_3dhp([("valid", tmp_path / "mpi_inf_3dhp_valid.npz")], tmp_path / "data", skeleton="h36m_16")
    assert [path.name for path in done.files][-1] == "data_3d_3dhp_valid.npz"
    module = H36MDataModule(str(tmp_path / "data"), dataset="3dhp_valid")
    seen = 0
    for recording in module.recordings("test"):
        assert recording.skeleton == recording.keypoint_skeleton == H36M_16
        assert recording.camera is not None
        assert not recording.camera.has_intrinsics
        rows = [name for name in expected if f"/{recording.subject}/" in name]
        pixels = torch.from_numpy(recording.keypoints_2d).double()
        normalised = normalize_screen(pixels, recording.camera.image_size).numpy()
        camera_frame = recording.camera.to_camera(torch.from_numpy(recording.poses_3d).double()).numpy()
        for row, name in enumerate(rows):
            np.testing.assert_allclose(camera_frame[row], expected[name][0][0], rtol=0, atol=1e-6)
            np.testing.assert_allclose(normalised[row], expected[name][1][0], rtol=0, atol=1e-6)
            seen += 1
    assert seen == len(names) == 12


def test_gaps_in_time_part_recordings_unless_they_are_joined(reference: Path, tmp_path: Path) -> None:
    frames = [1, 2, 3, 7, 8, 20]
    images = [f"mpi_inf_3dhp_test_set/TS2/imageSequence/img_{frame:06d}.jpg" for frame in frames]
    part, placed = np.ones((6, 24, 3)), np.ones((6, 24, 4))
    part[:, :, 0] = np.array(frames)[:, None]
    np.savez(tmp_path / "v.npz", imgname=images, part=part, S=placed)
    convert_mpi_inf_3dhp([("valid", tmp_path / "v.npz")], tmp_path / "split", gaps="split")
    done = convert_mpi_inf_3dhp([("valid", tmp_path / "v.npz")], tmp_path / "join", name="spin")
    assert any(line.startswith("TS2: 2 gaps between its frames, as published") for line in done.lines)
    split = read_h36m(tmp_path / "split/data_3d_3dhp_valid.npz", tmp_path / "split/data_2d_3dhp_valid_gt.npz")
    found = {recording.action: recording.keypoints_2d[:, 0, 0].tolist() for recording in split}
    assert found == {"TS2 chunk0": [1, 2, 3], "TS2 chunk1": [7, 8], "TS2 chunk2": [20]}
    (whole,) = read_h36m(tmp_path / "join/data_3d_spin.npz", tmp_path / "join/data_2d_spin_gt.npz")
    assert (whole.action, len(whole)) == ("TS2", 6)


def test_both_sources_of_the_test_set_give_the_same(official_test: Path, tmp_path: Path) -> None:
    # SPIN (Kolotouros et al., ICCV 2019): order of the 17 joints, and their places among its 24.
    order = [14, 11, 12, 13, 8, 9, 10, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4]
    places = [14, 3, 4, 5, 2, 1, 0, 16, 12, 17, 18, 9, 10, 11, 8, 7, 6]
    images, part, placed = [], [], []
    for number in range(1, 7):
        with h5py.File(official_test / f"TS{number}/annot_data.mat") as file:
            for frame in np.flatnonzero(file["valid_frame"][:, 0]):
                pose = file["univ_annot3"][frame, 0][order] / 1000
                part.append(np.zeros((24, 3)))
                part[-1][places] = np.c_[file["annot2"][frame, 0][order], np.ones(17)]
                placed.append(np.zeros((24, 4)))
                placed[-1][places] = np.c_[pose - pose[0], np.ones(17)]
                images.append(f"mpi_inf_3dhp_test_set/TS{number}/imageSequence/img_{frame + 1:06d}.jpg")
    np.savez(tmp_path / "v.npz", imgname=images, part=part, S=placed)
    found = []
    for kind, path in (("valid", tmp_path / "v.npz"), ("test", official_test)):
        convert_mpi_inf_3dhp([(kind, path)], tmp_path / kind, name="x", poses="univ_annot3", gaps="split")
        found.append(read_h36m(tmp_path / kind / "data_3d_x.npz", tmp_path / kind / "data_2d_x_gt.npz"))
    assert len(found[0]) == len(found[1]) == 18
    for spin, official in zip(*found, strict=True):
        assert spin.key == official.key
        np.testing.assert_array_equal(spin.keypoints_2d, official.keypoints_2d)
        relative = official.poses_3d - official.poses_3d[:, MPI_INF_3DHP_17.root, None]
        np.testing.assert_allclose(spin.poses_3d, relative, rtol=0, atol=1e-6)


def test_training_files_are_seen_where_they_should_be(train: Path, tmp_path: Path) -> None:
    done = convert_mpi_inf_3dhp([("train", train)], tmp_path, skeleton="mpi_inf_3dhp_17")
    assert any("keypoints lie 0.00 px from the calibrated projection" in line for line in done.lines)
    assert any("the sides differ by 0.0 mm" in line and "change by 0.0 mm" in line for line in done.lines)
    recordings = read_h36m(tmp_path / "data_3d_3dhp_train.npz", tmp_path / "data_2d_3dhp_train_gt.npz")
    assert len(recordings) == 16 * 8
    for recording in recordings:
        number = [f"{person}/{sequence}" for person, sequence in SEQUENCES].index(recording.subject)
        camera_number = (0, 1, 2, 4, 5, 6, 7, 8)[recording.view]
        turn, shift, matrix = rig(number)[camera_number]
        fast = tuple(recording.subject.split("/")) in FAST
        world = (body(24 if fast else 12, number) * [1, -1, -1])[:: 2 if fast else 1][:, RELEVANT] / 1000
        assert recording.fps == 25
        np.testing.assert_allclose(recording.poses_3d, world, rtol=0, atol=1e-5)
        camera = recording.camera
        assert camera is not None
        points = camera.to_camera(torch.from_numpy(world))
        np.testing.assert_allclose(points, world @ turn.T + shift / 1000, rtol=0, atol=1e-5)
        np.testing.assert_allclose(camera.project(points), recording.keypoints_2d, rtol=0, atol=0.02)
        np.testing.assert_allclose(recording.keypoints_2d, project(world * 1000 @ turn.T + shift, matrix), atol=1e-3)
    info = find_dataset_info(tmp_path / "data_3d_3dhp_train.npz")
    assert info.up_axis == "-y"
    assert info.splits["test"] == ()
    assert ["S5/Seq1", "S5/Seq2"] in info.notes["same_side"]


def test_cameras_are_found_without_the_calibration_file(tmp_path: Path) -> None:
    bare = write_train(tmp_path / "bare", with_calibration=False, frames=2)
    for poses, scale in (("annot3", 1.0), ("univ_annot3", 1.1)):
        out = tmp_path / poses
        done = convert_mpi_inf_3dhp([("train", bare)], out, poses=poses, cameras=[3, 0], name="found")  # type: ignore[arg-type]
        assert any("cameras found from the annotation, which lies 0.00 px" in line for line in done.lines)
        for recording in read_h36m(out / "data_3d_found.npz", out / "data_2d_found_gt.npz"):
            number = [f"{person}/{sequence}" for person, sequence in SEQUENCES].index(recording.subject)
            cameras = rig(number)
            camera = recording.camera
            assert camera is not None
            first, other = cameras[3], cameras[(3, 0)[recording.view]]
            np.testing.assert_allclose(camera.R, other[0] @ first[0].T, rtol=0, atol=1e-6)
            expected = scale * (other[1] - other[0] @ first[0].T @ first[1]) / 1000
            np.testing.assert_allclose(camera.t, expected, rtol=0, atol=1e-5)
            np.testing.assert_allclose(camera.intrinsics, other[2], rtol=1e-5, atol=1e-3)
            pixels = camera.project(camera.to_camera(torch.from_numpy(recording.poses_3d).double()))
            np.testing.assert_allclose(pixels, recording.keypoints_2d, rtol=0, atol=0.02)


def test_official_test_files_lose_their_invalid_frames(official_test: Path, tmp_path: Path) -> None:
    done = convert_mpi_inf_3dhp([("test", official_test)], tmp_path, gaps="split")
    assert "TS1: 11 of 14 frames are valid; intrinsics fitted: annot2 lies 0.00 px" in " ".join(done.lines)
    assert "TS6: 11 of 14 frames are valid; intrinsics unknown" in " ".join(done.lines)
    assert (
        "TS2: 3 recordings, half of them of 4 or fewer frames, in which a network of several frames sees little "
        "besides its own; --gaps join makes them one, as published"
    ) in done.lines
    recordings = read_h36m(tmp_path / "data_3d_3dhp_test.npz", tmp_path / "data_2d_3dhp_test_gt.npz")
    assert [(r.action, len(r)) for r in recordings[:3]] == [("TS1 chunk0", 4), ("TS1 chunk1", 3), ("TS1 chunk2", 4)]
    for recording in recordings:
        number = int(recording.subject[2])
        rows = {"chunk0": slice(0, 4), "chunk1": slice(6, 9), "chunk2": slice(10, 14)}[recording.action.split()[1]]
        expected = (body(14, 50 + number)[:, RELEVANT] * [1, -1, -1] + [100, 900, 4000])[rows] / 1000
        np.testing.assert_allclose(recording.poses_3d, expected, rtol=0, atol=1e-6)
        camera = recording.camera
        assert camera is not None
        assert camera.image_size.tolist() == ([1920, 1080] if number > 4 else [2048, 2048])
        assert camera.has_intrinsics == (number != 6)
        if camera.has_intrinsics:
            np.testing.assert_allclose(camera.intrinsics, TEST_MATRIX, rtol=1e-9, atol=1e-6)
            pixels = camera.project(camera.to_camera(torch.from_numpy(recording.poses_3d).double()))
            np.testing.assert_allclose(pixels, recording.keypoints_2d, rtol=0, atol=1e-3)


def test_only_the_right_joint_order_has_equal_limbs(official_test: Path, tmp_path: Path) -> None:
    convert_mpi_inf_3dhp([("test", official_test)], tmp_path)
    poses = read_h36m(tmp_path / "data_3d_3dhp_test.npz", tmp_path / "data_2d_3dhp_test_gt.npz")[0].poses_3d
    assert poses is not None
    lengths = limbs(poses, MPI_INF_3DHP_17)
    assert np.ptp(lengths, axis=0).max() < 1e-5
    np.testing.assert_allclose(lengths[:, 0], lengths[:, 1], atol=1e-5)
    for other in ([14, 15, 16, *range(14)], [*range(8), 11, 8, 9, 10, 12, 13, 14, 15, 16]):
        left, right = limbs(poses[:, other], MPI_INF_3DHP_17).swapaxes(0, 1)
        assert np.abs(left - right).max() > 0.05


def test_the_studio_and_the_test_cameras_get_one_axis_that_points_up(official_test: Path, tmp_path: Path) -> None:
    write_train(tmp_path / "train", y_up=True)
    convert_mpi_inf_3dhp([("train", tmp_path / "train"), ("test", official_test)], tmp_path / "data", gaps="split")
    assert find_dataset_info(tmp_path / "data/data_3d_3dhp.npz").up_axis == "y"
    recordings = read_h36m(tmp_path / "data/data_3d_3dhp.npz", tmp_path / "data/data_2d_3dhp_gt.npz")
    trained = next(recording for recording in recordings if recording.subject == "S1/Seq1")
    np.testing.assert_allclose(trained.poses_3d, body(12, 0)[:, RELEVANT] / 1000, rtol=0, atol=1e-6)
    for recording in recordings:
        poses, skeleton = recording.poses_3d, recording.skeleton
        assert poses is not None
        assert (poses[:, skeleton.index("head_top"), 1] > poses[:, skeleton.index("left_ankle"), 1]).all()
    tested = next(recording for recording in recordings if recording.action == "TS2 chunk1")
    expected = (body(14, 52)[:, RELEVANT] * [1, -1, -1] + [100, 900, 4000])[6:9] / 1000
    assert tested.camera is not None
    seen = tested.camera.to_camera(torch.from_numpy(tested.poses_3d).double())
    np.testing.assert_allclose(seen, expected, rtol=0, atol=1e-6)
    assert np.linalg.det(tested.camera.R) == pytest.approx(1)
    np.testing.assert_allclose(tested.camera.project(seen), tested.keypoints_2d, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("old", "new"), list(itertools.product(["x", "y", "z", "-x", "-y", "-z"], repeat=2)))
def test_a_world_is_turned_and_not_mirrored(old: str, new: str, official_test: Path) -> None:
    sequence = replace(read_test_sequence(official_test, "TS1"), up_axis=old)
    turned = turn_up(sequence, new)
    up = {name: (-1 if name[0] == "-" else 1) * np.eye(3)["xyz".index(name[-1])] for name in (old, new)}
    np.testing.assert_allclose(turned.poses @ up[new], sequence.poses @ up[old], rtol=0, atol=1e-9)
    (camera,) = turned.cameras
    assert np.linalg.det(camera.R) == pytest.approx(1)
    np.testing.assert_allclose(camera.to_camera(torch.from_numpy(turned.poses)), sequence.poses, rtol=0, atol=1e-9)


def test_training_and_test_files_become_one_data_set(train: Path, official_test: Path, tmp_path: Path) -> None:
    convert_mpi_inf_3dhp([("test", official_test), ("train", train)], tmp_path, skeleton="h36m_17", poses="univ_annot3")
    module = H36MDataModule(str(tmp_path), dataset="3dhp")
    module.check("fit")
    trained, tested = module.recordings("train"), module.recordings("test")
    assert {recording.subject for recording in tested} == {f"TS{number}" for number in range(1, 7)}
    assert len(trained) == 16 * 8
    assert trained[0].skeleton == trained[0].keypoint_skeleton == H36M_17
    expected = 0.9 * (body(14, 51) * [1, -1, -1] + [100, 900, 4000])[:4] / 1000
    for joint, official in (("thorax", "neck"), ("neck", "head"), ("head", "head_top"), ("left_wrist", "left_wrist")):
        found = tested[0].poses_3d[:4, H36M_17.index(joint)]
        np.testing.assert_allclose(found, expected[:, MPI_INF_3DHP_28.index(official)], rtol=0, atol=1e-6)
    with pytest.raises(
        LiftposeError, match="expected people who are not trained on, found S5/Seq2, who may be the same"
    ):
        H36MDataModule(
            str(tmp_path), dataset="3dhp", train_subjects=["S1/Seq1", "S5/Seq1"], validation_subjects=["S5/Seq2"]
        ).check("fit")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"skeleton": "coco_17"}, "--skeleton: expected one of mpi_inf_3dhp_17, h36m_17, h36m_16, found coco_17"),
        ({"skeleton": "h37m"}, "--skeleton: expected one of h36m_17, .*, found 'h37m'"),
        ({"cameras": [0, 14]}, r"--cameras: expected different numbers from 0 to 13, found \[0, 14\]"),
        ({"name": "h36m"}, "--name: expected a name of letters and digits that is not taken, found 'h36m'"),
        ({"name": "../x"}, "--name: expected a name of letters"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(LiftposeError, match=f"^{message}"):
        convert_mpi_inf_3dhp([("train", tmp_path)], tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def damage_annotation(folder: Path, function: Callable[[dict[str, Any]], None]) -> Path:
    path = folder / "S2/Seq1/annot.mat"
    content = {name: value for name, value in scipy.io.loadmat(path).items() if not name.startswith("__")}
    function(content)
    scipy.io.savemat(path, content)
    return path


def shift_a_pixel(content: dict[str, Any]) -> None:
    content["annot2"][5, 0][:, ::2] += 3


def move_a_pose(content: dict[str, Any]) -> None:
    content["annot3"][4, 0][1, 5] += 30


def lose_a_number(content: dict[str, Any]) -> None:
    content["annot3"][4, 0][1, 5] = np.nan


def lose_a_camera(content: dict[str, Any]) -> None:
    content["annot2"] = content["annot2"][:13]


def other_joints(content: dict[str, Any]) -> None:
    content["annot2"][0, 0] = content["annot2"][0, 0][:, :34]


def lose_a_frame(content: dict[str, Any]) -> None:
    content["annot2"][7, 0] = content["annot2"][7, 0][:-1]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (shift_a_pixel, "camera 5: expected keypoints that are the projection of the poses, found them 3.0 px apart"),
        (move_a_pose, "expected the cameras 0 and 4 to see one pose, found (30.0|29.8) mm between"),
        (lose_a_number, "annot3 of camera 4: expected finite numbers, found others in 1 of 12 frames"),
        (lose_a_camera, "annot2: expected a cell for each of 14 cameras, found 13"),
        (other_joints, r"annot2 of camera 0: expected 56 numbers per frame, found \(12, 34\)"),
        (lose_a_frame, r"expected the same number of frames in every camera, found \[11, 12\]"),
        (lambda content: content.pop("annot2"), "expected the variable annot2, found annot3, univ_annot3"),
    ],
)
@pytest.mark.parametrize("with_calibration", [True, False])
def test_an_annotation_that_contradicts_itself_is_refused(
    function: Callable[[dict[str, Any]], None],
    message: str,
    with_calibration: bool,
    tmp_path: Path,
) -> None:
    root = write_train(tmp_path, with_calibration=with_calibration, only="S2/Seq1")
    damage_annotation(root, function)
    # A shift of all pixels of a camera is another principal point where nobody says which it is.
    if function is shift_a_pixel and not with_calibration:
        camera = read_train_sequence(root, "S2", "Seq1", cameras=[5]).cameras[0]
        assert float(camera.intrinsics[0, 2]) == pytest.approx(1024.7 + 3, abs=1e-3)
        return
    with pytest.raises(LiftposeError, match=f"S2/Seq1/.*{message}"):
        read_train_sequence(root, "S2", "Seq1")


def test_missing_and_broken_files_are_named(
    train: Path, official_test: Path, save_matlab_73: Save, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(
        LiftposeError, match=r"expected 6 files of annotations, found 0, without TS1/annot_data\.mat and 5"
    ):
        convert_mpi_inf_3dhp([("test", train)], out)
    with pytest.raises(LiftposeError, match="found no such folder"):
        convert_mpi_inf_3dhp([("train", tmp_path / "nothing")], out)
    good = {"annot2": np.zeros((2, 17, 1, 3)), "annot3": np.zeros((3, 17, 1, 3)), "valid_frame": np.ones((1, 3))}
    for name, change, message in (
        (
            "shape",
            {"annot3": np.zeros((3, 28, 1, 3))},
            r"annot3: expected the shape \(3, 17, 1, 3\), found \(3, 28, 1, 3\)",
        ),
        ("valid", {"valid_frame": np.zeros((1, 3))}, "expected valid frames, found none of 3"),
    ):
        root = tmp_path / name
        for number in range(1, 7):
            (root / f"TS{number}").mkdir(parents=True)
            save_matlab_73(root / f"TS{number}/annot_data.mat", good | change)
        with pytest.raises(LiftposeError, match=rf"{name}/TS1/annot_data\.mat: .*{message}"):
            convert_mpi_inf_3dhp([("test", root)], out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"imgname": ["a.jpg"]},
            "imgname: expected names such as mpi_inf_3dhp_test_set/TS1/.*, found 'a.jpg' in frame 0",
        ),
        ({"part": np.ones((1, 17, 3))}, r"part: expected the shape \(1, 24, 3\), found \(1, 17, 3\)"),
        ({"S": np.zeros((1, 24, 4))}, "S: expected all 17 joints of every frame, found no head_top in frame 0"),
        ({"S": np.full((1, 24, 4), np.nan)}, "S: expected finite numbers, found others in 1 of 1 frames"),
    ],
)
def test_a_wrong_annotation_of_spin_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    content = {
        "imgname": ["mpi_inf_3dhp_test_set/TS1/imageSequence/img_000001.jpg"],
        "part": np.ones((1, 24, 3)),
        "S": np.ones((1, 24, 4)),
    }
    np.savez(tmp_path / "v.npz", **(content | change))
    with pytest.raises(LiftposeError, match=rf"v\.npz: {message}"):
        convert_mpi_inf_3dhp([("valid", tmp_path / "v.npz")], tmp_path / "out")
    np.savez(tmp_path / "v.npz", S=np.ones(3))
    with pytest.raises(LiftposeError, match="expected an array imgname, found S"):
        convert_mpi_inf_3dhp([("valid", tmp_path / "v.npz")], tmp_path / "out")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Skeletool", "Other", "expected a Skeletool Camera Calibration File"),
        ("name          6", "name          x", "line 44: expected a name and numbers, found 'name"),
        ("  extrinsic   1 0", "  extrinsic   1", "camera 0: expected 16 numbers of extrinsic, found 15"),
        ("  radial      0", "  radial      0.1", "camera 0: expected a camera without lens distortion"),
        ("name          8", "name          18", "expected the camera 8, found 0, 1"),
    ],
)
def test_a_wrong_calibration_file_is_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    root = write_train(tmp_path, frames=2, only="S1/Seq1")
    path = root / "S1/Seq1/camera.calibration"
    text = path.read_text()
    if old.startswith("  extrinsic"):
        text = text.replace(text.splitlines()[6], " ".join(text.splitlines()[6].split()[:-1]), 1)
    else:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text)
    with pytest.raises(LiftposeError, match=rf"camera\.calibration.*{message}"):
        read_train_sequence(root, "S1", "Seq1")


def test_json_of_the_description_holds_null_for_unknown_intrinsics(official_test: Path, tmp_path: Path) -> None:
    convert_mpi_inf_3dhp([("test", official_test)], tmp_path)
    content = json.loads((tmp_path / "data_3d_3dhp_test.json").read_text(), parse_constant=pytest.fail)
    assert content["cameras"]["TS6"][0]["intrinsics"] is None
    assert content["cameras"]["TS1"][0]["intrinsics"][0][0] == pytest.approx(1500)
    with h5py.File(official_test / "TS1/annot_data.mat") as file:
        assert file["annot2"].shape == (14, 1, 17, 2)  # how the field's programs see the file
