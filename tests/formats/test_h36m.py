"""The field's data files against numpy's own reader and writer and the reference data."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from liftpose.errors import LiftposeError
from liftpose.formats import DatasetInfo, find_dataset_files, h36m_info, read_h36m, write_h36m
from liftpose.skeletons import H36M_17, get_skeleton

# The joints that the public code removes from the 32 slots (specification of the files).
REMOVED = [4, 5, 9, 10, 11, 16, 20, 21, 22, 23, 24, 28, 29, 30, 31]
KEPT = [j for j in range(32) if j not in REMOVED]
SYMMETRY = [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]

Files = tuple[Path, Path]


def content() -> dict[str, Any]:
    """Two people, with detections that run on after the motion capture and one person without 3D poses."""
    random = np.random.default_rng(0)
    takes = {"S1": {"Walking 1": 4, "Eating": 3}, "S9": {"Photo": 5}}
    poses = {
        subject: {action: random.normal(size=(n, 32, 3)).astype(np.float32) for action, n in actions.items()}
        for subject, actions in takes.items()
    }

    def views(n: int) -> list[Any]:
        return [random.uniform(0, 1000, (n + view % 2, 17, 2)).astype(np.float32) for view in range(4)]

    # The order of the actions is another than in the 3D file.
    keypoints = {s: {action: views(actions[action]) for action in sorted(actions)} for s, actions in takes.items()}
    keypoints["S2"] = {"Eating": views(3)}
    metadata = {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": SYMMETRY}
    return {"positions_3d": poses, "positions_2d": keypoints, "metadata": metadata}


def save(folder: Path, values: dict[str, Any], name: str = "h36m") -> Files:
    """Write the two files as the field's programs do, with numpy alone."""
    path_3d, path_2d = folder / f"data_3d_{name}.npz", folder / f"data_2d_{name}_det.npz"
    np.savez_compressed(path_3d, positions_3d=values["positions_3d"])
    np.savez_compressed(path_2d, **{k: v for k, v in values.items() if k != "positions_3d"})
    return path_3d, path_2d


# -------------------------------------------------------------------------------------------------- reading
@pytest.mark.parametrize("keypoints", ["gt", "cpn_ft_h36m_dbb"])
def test_reads_the_reference_files_in_the_order_of_the_field(reference: Path, keypoints: str) -> None:
    folder = reference / "golden" / "rie" / "toy_h36m"
    path_3d, path_2d = find_dataset_files(folder, "h36m", keypoints)
    with np.load(path_3d, allow_pickle=True) as file:
        poses = file["positions_3d"].item()
    with np.load(path_2d, allow_pickle=True) as file:
        points = file["positions_2d"].item()
    expected = [(s, a, view) for s in ("S9", "S1") for a in points[s] for view in range(4)]
    recordings = read_h36m(path_3d, path_2d, subjects=["S9", "S1"])
    assert [recording.key for recording in recordings] == expected
    for recording in recordings:
        truth = poses[recording.subject][recording.action]
        seen = points[recording.subject][recording.action][recording.view]
        assert recording.poses_3d is not None and recording.camera is not None
        np.testing.assert_array_equal(recording.poses_3d, np.delete(truth, REMOVED, axis=1))
        np.testing.assert_array_equal(recording.keypoints_2d, seen[: len(truth)])
        assert recording.keypoints_2d.dtype == recording.poses_3d.dtype == np.float32
        assert recording.confidence is None
        assert recording.fps == 50
        assert recording.camera.image_size.tolist() == [1000, 1002 if recording.view in {0, 3} else 1000]


def test_true_keypoints_are_the_projections_of_the_poses(reference: Path) -> None:
    """Cameras, poses and keypoints belong together: the reference files were made by the public code."""
    import torch

    folder = reference / "golden" / "rie" / "toy_h36m"
    for recording in read_h36m(*find_dataset_files(folder, "h36m", "gt")):
        assert recording.camera is not None
        points = recording.camera.to_camera(torch.tensor(recording.poses_3d, dtype=torch.float64))
        near = (points[..., :2].abs() < 0.9 * points[..., 2:]).all(dim=-1)  # beyond, the public code clamps
        found = recording.camera.project(points)
        np.testing.assert_allclose(found[near], recording.keypoints_2d[near.numpy()], atol=0.01)


def test_all_people_with_poses_are_read_by_default(tmp_path: Path) -> None:
    recordings = read_h36m(*save(tmp_path, content()))
    assert [str(r.key) for r in recordings[::4]] == ["S1/Eating.0", "S1/Walking 1.0", "S9/Photo.0"]
    assert [len(r) for r in recordings[::4]] == [3, 4, 5]
    assert recordings[0].poses_3d is recordings[3].poses_3d, "the views share the poses"


def test_a_third_channel_is_confidence(tmp_path: Path) -> None:
    values = content()
    values["positions_2d"]["S9"]["Photo"] = [np.full((6, 17, 3), [1.0, 2.0, 0.5]) for _ in range(4)]
    recording = read_h36m(*save(tmp_path, values), subjects=["S9"])[0]
    assert recording.confidence is not None
    np.testing.assert_array_equal(recording.keypoints_2d, np.full((5, 17, 2), [1.0, 2.0]))
    np.testing.assert_array_equal(recording.confidence, np.full((5, 17), 0.5))


def test_views_may_be_one_array(tmp_path: Path) -> None:
    values = content()
    values["positions_2d"]["S9"]["Photo"] = np.zeros((4, 5, 17, 2), dtype=np.float32)
    assert len(read_h36m(*save(tmp_path, values), subjects=["S9"])) == 4


def test_slots_that_are_not_used_may_hold_anything(tmp_path: Path) -> None:
    values = content()
    values["positions_3d"]["S9"]["Photo"][:, REMOVED] = np.nan
    assert len(read_h36m(*save(tmp_path, values), subjects=["S9"])) == 4


def put(*path: Any, to: Any = None, remove: bool = False) -> Callable[[dict[str, Any]], None]:
    def function(values: dict[str, Any]) -> None:
        place: Any = values
        for key in path[:-1]:
            place = place[key]
        if remove:
            del place[path[-1]]
        else:
            place[path[-1]] = to

    return function


def spoil(*path: Any, at: tuple[int, ...]) -> Callable[[dict[str, Any]], None]:
    def function(values: dict[str, Any]) -> None:
        array: Any = values
        for key in path:
            array = array[key]
        array[at] = np.nan

    return function


PHOTO = ("positions_2d", "S9", "Photo")


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (put(*PHOTO, 2, to=np.zeros((4, 17, 2))), r"data_2d.*S9/Photo\.2: .* 5 frames of the 3D poses, found 4"),
        (put(*PHOTO, to=[np.zeros((5, 17, 2))] * 3), "S9/Photo: expected keypoints of 4 cameras, found 3"),
        (put(*PHOTO, to=np.float64(1)), "S9/Photo: expected keypoints of 4 cameras, found float64"),
        (put(*PHOTO, 1, to=np.zeros((5, 16, 2))), r"S9/Photo\.1: expected keypoints of shape .* found \(5, 16, 2\)"),
        (put(*PHOTO, 1, to=[[1.0]]), r"S9/Photo\.1: expected keypoints of shape .* found list"),
        (put("positions_3d", "S9", "Photo", to=np.zeros((5, 17, 3))), r"data_3d.*S9/Photo: .* found \(5, 17, 3\)"),
        (put("positions_3d", "S9", "Photo", to="here"), "data_3d.*S9/Photo: expected poses .* found str"),
        (put(*PHOTO, remove=True), r"data_2d_h36m_det\.npz: expected the action 'Photo' of S9 as in the other file"),
        (put("positions_3d", "S1", "Eating", remove=True), r"data_3d_h36m\.npz: expected the action 'Eating' of S1"),
        (put("positions_2d", "S9", remove=True), r"data_2d_h36m_det\.npz: expected the subject S9, found S1, S2"),
        (put("positions_3d", "S4", to={}), "data_2d.*: expected the subject S4"),
        (spoil("positions_3d", "S9", "Photo", at=(3, 6)), "S9/Photo: .* 1 of 5 frames, first in frame 3 at joint 4"),
        (spoil(*PHOTO, 1, at=(2,)), r"S9/Photo\.1: .* in 1 of 5 frames, first in frame 2 at joint 0"),
        (
            put("metadata", "layout_name", to="coco"),
            r"expected keypoints_symmetry \[\[1, 3, .* skeleton coco_17, found \[\[4",
        ),
        (put("metadata", "num_joints", to=16), r"expected keypoints_symmetry .* skeleton h36m_16, found \[\[4"),
        (put("metadata", "num_joints", to=15), "expected 17 joints of the layout h36m, found 15"),
        (put("metadata", "layout_name", to="openpose"), "expected the joint layout h36m, coco, .*, found openpose"),
        (put("metadata", "keypoints_symmetry", remove=True), "expected keypoints_symmetry in the metadata"),
        (put("metadata", "keypoints_symmetry", to=[[1], [4]]), r"expected keypoints_symmetry \[\[4, 5, .* found \[\[1"),
        (put("metadata", remove=True), "expected a dictionary metadata, found positions_2d"),
        (put("positions_2d", to=np.zeros(3)), r"expected a dictionary positions_2d, found something else \(ndarray\)"),
        (put("positions_3d", to={}), "expected at least one recording"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, mistake: Callable[[dict[str, Any]], None], message: str) -> None:
    values = content()
    mistake(values)
    with pytest.raises(LiftposeError, match=message) as error:
        read_h36m(*save(tmp_path, values))
    assert "\n" not in str(error.value)


def test_people_without_poses_are_refused_when_asked_for(tmp_path: Path) -> None:
    with pytest.raises(LiftposeError, match=r"data_3d_h36m\.npz: expected the subject S2, found S1, S9"):
        read_h36m(*save(tmp_path, content()), subjects=["S2"])


def test_mistakes_of_people_not_asked_for_do_not_matter(tmp_path: Path) -> None:
    values = content()
    del values["positions_2d"]["S1"]
    assert len(read_h36m(*save(tmp_path, values), subjects=["S9"])) == 4


def test_cameras_are_needed(tmp_path: Path) -> None:
    info = replace(h36m_info(), cameras={"S1": h36m_info().cameras["S1"]})
    with pytest.raises(LiftposeError, match="h36m: expected cameras of S9, found those of S1"):
        read_h36m(*save(tmp_path, content()), info=info)


def test_another_data_set_needs_its_description(tmp_path: Path) -> None:
    with pytest.raises(LiftposeError, match=r"data_3d_gym\.json beside it, found no such file"):
        read_h36m(*save(tmp_path, content(), "gym"))


# -------------------------------------------------------------------------------------------------- writing
def gym(**changes: Any) -> DatasetInfo:
    base = h36m_info()
    cameras = {"anna": base.cameras["S1"][:2], "bert": base.cameras["S5"][:2]}
    splits = {"train": ("anna",), "validation": ("bert",), "test": ("bert",)}
    return replace(base, name="gym", fps=60.0, cameras=cameras, splits=splits, **changes)


def people() -> tuple[dict[str, Any], dict[str, Any]]:
    random = np.random.default_rng(1)
    poses = {name: {"Squat 1": random.normal(size=(4, 17, 3)).astype(np.float32)} for name in ("anna", "bert")}
    keypoints = {
        "gt": {name: {"Squat 1": [random.normal(size=(4, 17, 2)).astype(np.float32)] * 2} for name in poses},
        "noisy": {name: {"Squat 1": [random.normal(size=(6, 17, 3)).astype(np.float32)] * 2} for name in poses},
    }
    return poses, keypoints


def test_the_programs_of_the_field_read_what_is_written(tmp_path: Path) -> None:
    poses, keypoints = people()
    written = write_h36m(tmp_path / "new", "gym", poses, keypoints, gym())
    assert sorted(path.name for path in written) == sorted(path.name for path in (tmp_path / "new").iterdir())
    assert written[-1].name == "data_3d_gym.npz", "the file by which a data set is found comes last"
    with np.load(tmp_path / "new" / "data_3d_gym.npz", allow_pickle=True) as file:
        stored = file["positions_3d"].item()
    assert list(stored) == ["anna", "bert"]
    for name, takes in stored.items():
        array = takes["Squat 1"]
        assert array.dtype == np.float32 and array.shape == (4, 32, 3)
        np.testing.assert_array_equal(np.delete(array, REMOVED, axis=1), poses[name]["Squat 1"])
        assert not array[:, REMOVED].any(), "slots that are not filled are zero"
    for kind, own in keypoints.items():
        with np.load(tmp_path / "new" / f"data_2d_gym_{kind}.npz", allow_pickle=True) as file:
            views = file["positions_2d"].item()
            metadata = file["metadata"].item()
        assert metadata == {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": SYMMETRY}
        for name, takes in own.items():
            assert isinstance(views[name]["Squat 1"], list)
            np.testing.assert_array_equal(views[name]["Squat 1"], takes["Squat 1"])


def test_written_data_sets_are_read_back(tmp_path: Path) -> None:
    poses, keypoints = people()
    write_h36m(tmp_path, "gym", poses, keypoints, gym())
    recordings = read_h36m(*find_dataset_files(tmp_path, "gym", "noisy"))
    assert [str(r.key) for r in recordings] == ["anna/Squat 1.0", "anna/Squat 1.1", "bert/Squat 1.0", "bert/Squat 1.1"]
    for recording in recordings:
        seen = keypoints["noisy"][recording.subject]["Squat 1"][recording.view][:4]
        np.testing.assert_array_equal(recording.poses_3d, poses[recording.subject]["Squat 1"])
        np.testing.assert_array_equal(recording.keypoints_2d, seen[..., :2])
        np.testing.assert_array_equal(recording.confidence, seen[..., 2])
        assert recording.fps == 60


def test_a_skeleton_can_be_stored_as_it_is(tmp_path: Path) -> None:
    poses, keypoints = people()
    write_h36m(tmp_path, "gym", poses, keypoints, gym(storage_skeleton="h36m_17"))
    with np.load(tmp_path / "data_3d_gym.npz", allow_pickle=True) as file:
        assert file["positions_3d"].item()["anna"]["Squat 1"].shape == (4, 17, 3)
    recording = read_h36m(*find_dataset_files(tmp_path, "gym", "gt"))[0]
    np.testing.assert_array_equal(recording.poses_3d, poses["anna"]["Squat 1"])


def test_a_skeleton_of_another_kind(tmp_path: Path) -> None:
    """HumanEva's files: 15 joints, stored as they are."""
    skeleton = get_skeleton("humaneva_15")
    info = gym(skeleton=skeleton, storage_skeleton=skeleton.name)
    poses = {"anna": {"Walk 1 chunk0": np.ones((3, 15, 3))}}
    write_h36m(tmp_path, "gym", poses, {"gt": {"anna": {"Walk 1 chunk0": [np.ones((3, 15, 2))] * 2}}}, info)
    with np.load(tmp_path / "data_2d_gym_gt.npz", allow_pickle=True) as file:
        metadata = file["metadata"].item()
    assert metadata["layout_name"] == "humaneva15"
    assert metadata["keypoints_symmetry"] == [[2, 3, 4, 8, 9, 10], [5, 6, 7, 11, 12, 13]]
    assert len(read_h36m(*find_dataset_files(tmp_path, "gym", "gt"))) == 2


def test_human36m_itself_gets_no_description(tmp_path: Path) -> None:
    poses, keypoints = {"S9": {"Photo": np.zeros((2, 17, 3))}}, {"gt": {"S9": {"Photo": [np.zeros((2, 17, 2))] * 4}}}
    written = write_h36m(tmp_path, "h36m", poses, keypoints, h36m_info())
    assert [path.name for path in written] == ["data_2d_h36m_gt.npz", "data_3d_h36m.npz"]


@pytest.mark.parametrize(
    ("poses", "points", "name"),
    [
        (np.zeros((4, 32, 3)), np.zeros((4, 17, 2)), "gym"),
        (np.full((4, 17, 3), np.nan), np.zeros((4, 17, 2)), "gym"),
        (np.zeros((4, 17, 3)), np.zeros((4, 17, 4)), "gym"),
        (np.zeros((4, 17, 3)), np.full((4, 17, 2), np.inf), "gym"),
        (np.zeros((4, 17, 3)), np.zeros((4, 17, 2)), "other"),
    ],
)
def test_wrong_arrays_are_not_written(tmp_path: Path, poses: Any, points: Any, name: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        write_h36m(tmp_path, name, {"anna": {"Squat": poses}}, {"gt": {"anna": {"Squat": [points, points]}}}, gym())
    assert list(tmp_path.iterdir()) == []


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("broken", ["write_npz_objects", "write_dataset_info"])
def test_an_interrupted_remake_leaves_the_old_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    poses, keypoints = people()
    write_h36m(tmp_path, "gym", poses, keypoints, gym())
    old = content_of(tmp_path)

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    poses["anna"]["Squat 1"] += 1
    with monkeypatch.context() as patch:
        patch.setattr(f"liftpose.formats.h36m_writer.{broken}", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_h36m(tmp_path, "gym", poses, keypoints, gym())
    assert content_of(tmp_path) == old


def test_a_remake_that_is_interrupted_at_its_end_does_not_look_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poses, keypoints = people()
    write_h36m(tmp_path, "gym", poses, keypoints, gym())
    kept = tmp_path / "data_2d_gym_kept.npz"
    kept.write_bytes((tmp_path / "data_2d_gym_gt.npz").read_bytes())
    replace_file, moved = Path.replace, []

    def interrupted(path: Path, target: Path) -> Path:
        if target.name.startswith("data_"):  # not the files beside their places
            moved.append(target.name)
            if len(moved) == 2:
                raise KeyboardInterrupt
        return replace_file(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_h36m(tmp_path, "gym", poses, keypoints, gym())
    assert "data_3d_gym.npz" not in moved
    assert not (tmp_path / "data_3d_gym.npz").exists(), "the 3D file says that the data set is complete"
    assert not (tmp_path / "data_3d_gym.json").exists()
    assert kept.exists()
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]
    with pytest.raises(LiftposeError, match=r"data_3d_gym\.npz: expected the 3D poses"):
        find_dataset_files(tmp_path, "gym", "gt")
    write_h36m(tmp_path, "gym", poses, keypoints, gym())
    assert len(read_h36m(*find_dataset_files(tmp_path, "gym", "gt"))) == 4


def test_wrong_arrays_leave_the_old_data_set_alone(tmp_path: Path) -> None:
    poses, keypoints = people()
    written = write_h36m(tmp_path, "gym", poses, keypoints, gym())
    before = {path: path.read_bytes() for path in written}
    keypoints["gt"]["anna"]["Squat 1"] = [np.zeros((4, 17, 2))] * 2
    keypoints["noisy"]["bert"]["Squat 1"] = [np.zeros((4, 17, 4))] * 2
    with pytest.raises(ValueError, match="expected an array"):
        write_h36m(tmp_path, "gym", poses, keypoints, gym())
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_linked_3d_file_is_written_where_the_link_points(tmp_path: Path) -> None:
    poses, keypoints = people()
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "poses.npz").write_bytes(b"old")
    (tmp_path / "data_3d_gym.npz").symlink_to(tmp_path / "disk" / "poses.npz")
    write_h36m(tmp_path, "gym", poses, keypoints, gym())
    assert (tmp_path / "data_3d_gym.npz").is_symlink()
    assert len(read_h36m(*find_dataset_files(tmp_path, "gym", "gt"))) == 4


def test_an_old_file_that_cannot_be_removed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poses, keypoints = people()
    write_h36m(tmp_path, "gym", poses, keypoints, gym())
    old, unlink = content_of(tmp_path), Path.unlink

    def kept(path: Path, missing_ok: bool = False) -> None:
        if path.name == "data_3d_gym.npz":
            raise PermissionError(errno.EPERM, "Operation not permitted", str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", kept)
    with pytest.raises(LiftposeError, match=r"data_3d_gym\.npz: expected to remove the old file, found: Operation not"):
        write_h36m(tmp_path, "gym", poses, keypoints, gym())
    assert content_of(tmp_path) == old


# -------------------------------------------------------------------------------------------------- finding files
def test_missing_files_say_what_is_there_and_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(LiftposeError, match=r"no/data_3d_cmu\.npz: .* found no such folder; `liftpose data mocap DIR"):
        find_dataset_files(tmp_path / "no", "cmu", "gt")
    with pytest.raises(LiftposeError, match=r"found no data set in this folder; .*--config synthetic\.yaml"):
        find_dataset_files(tmp_path, "synthetic", "gt")
    save(tmp_path, content(), "cmu")
    with pytest.raises(LiftposeError, match=r"found the data sets cmu; .*`liftpose data h36m --from cdf DIR"):
        find_dataset_files(tmp_path, "h36m", "gt")
    with pytest.raises(LiftposeError, match=r"data_2d_cmu_gt\.npz: expected the gt keypoints of cmu, .* keypoints det"):
        find_dataset_files(tmp_path, "cmu", "gt")
    (tmp_path / "data_2d_cmu_det.npz").unlink()
    with pytest.raises(LiftposeError, match="found no 2D file of this data set"):
        find_dataset_files(tmp_path, "cmu", "gt")


def test_the_command_names_root_and_data_set(tmp_path: Path) -> None:
    with pytest.raises(LiftposeError) as error:
        find_dataset_files(tmp_path, "cmu", "gt")
    assert f"`liftpose data mocap DIR --out {tmp_path} --name cmu`" in str(error.value)


def test_kept_joints_are_those_of_the_specification() -> None:
    assert KEPT == [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
    assert [list(H36M_17.left), list(H36M_17.right)] == SYMMETRY


COCO = [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]]


@pytest.mark.parametrize(
    ("metadata", "joints", "expected"),
    [
        ({"layout_name": "coco", "keypoints_symmetry": COCO}, 17, "coco_17"),
        ({"num_joints": 16, "keypoints_symmetry": [[3, 4, 5, 13, 14, 15], [0, 1, 2, 10, 11, 12]]}, 16, "mpii_16"),
        ({"num_joints": 16, "keypoints_symmetry": [[4, 5, 6, 10, 11, 12], [1, 2, 3, 13, 14, 15]]}, 16, "h36m_16"),
        ({"num_joints": 17, "keypoints_symmetry": SYMMETRY}, 17, "h36m_17"),
    ],
)  # fmt: skip
def test_keypoints_may_be_of_other_joints_than_the_poses(
    tmp_path: Path, metadata: dict[str, Any], joints: int, expected: str
) -> None:
    """The metadata are those of VideoPose3D's and DH-AUG's files (specifications of the files)."""
    values = content()
    values["metadata"] = metadata
    views = np.arange(5 * joints * 2, dtype=np.float32).reshape(5, joints, 2)
    values["positions_2d"]["S9"]["Photo"] = [views] * 4
    recording = read_h36m(*save(tmp_path, values), subjects=["S9"])[0]
    assert recording.keypoint_skeleton == get_skeleton(expected)
    assert recording.skeleton == H36M_17
    np.testing.assert_array_equal(recording.keypoints_2d, views)


def test_sixteen_joints_from_seventeen(tmp_path: Path) -> None:
    """The public code of DH-AUG leaves out joint 9 of both (its specification, section 7.1)."""
    values = content()
    recording = read_h36m(*save(tmp_path, values), subjects=["S9"], skeleton=get_skeleton("h36m_16"))[1]
    assert recording.skeleton == recording.keypoint_skeleton == get_skeleton("h36m_16")
    kept = [joint for joint in KEPT if joint != KEPT[9]]
    np.testing.assert_array_equal(recording.poses_3d, values["positions_3d"]["S9"]["Photo"][:, kept])
    seen = values["positions_2d"]["S9"]["Photo"][1][:5]
    np.testing.assert_array_equal(recording.keypoints_2d, np.delete(seen, 9, axis=1))


def test_keypoints_get_the_stand_ins_that_the_poses_get(tmp_path: Path) -> None:
    """MPI-INF-3DHP has no thorax: a network of Human3.6M's joints sees the neck in its place, in 2D and 3D alike."""
    own = get_skeleton("mpi_inf_3dhp_17")
    info = replace(gym(), name="3dhp", skeleton=own, storage_skeleton=own.name)
    rng = np.random.default_rng(0)
    person = next(iter(info.cameras))
    poses = {person: {"TS1": rng.normal(size=(3, 17, 3)).astype(np.float32)}}
    points = {person: {"TS1": [rng.normal(size=(3, 17, 2)).astype(np.float32) for _ in info.cameras[person]]}}
    write_h36m(tmp_path, "3dhp", poses, {"gt": points}, info)
    files = find_dataset_files(tmp_path, "3dhp", "gt")
    recording = read_h36m(*files, subjects=[person], skeleton=H36M_17)[0]
    assert recording.skeleton == recording.keypoint_skeleton == H36M_17
    thorax, neck = H36M_17.index("thorax"), own.index("neck")
    assert recording.poses_3d is not None
    np.testing.assert_array_equal(recording.poses_3d[:, thorax], poses[person]["TS1"][:, neck])
    np.testing.assert_array_equal(recording.keypoints_2d[:, thorax], points[person]["TS1"][0][:, neck])
