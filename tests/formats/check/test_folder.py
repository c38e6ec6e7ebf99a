"""A data set that is as it should be, seen through OpenCV's projection, and spoilt in every way that happens."""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liftpose.errors import LiftposeError
from liftpose.formats.check import FolderReport, check_folder
from liftpose.skeletons import get_skeleton

Content = dict[str, Any]
Spoil = Callable[[Content], None]

# Metres, z up, facing y: pelvis, right leg, left leg, spine to head, left arm, right arm.
FIGURE = np.array(
    [
        *([0, 0, 0.95], [0.13, 0, 0.95], [0.13, 0.02, 0.5], [0.13, 0, 0.08]),
        *([-0.13, 0, 0.95], [-0.13, 0.02, 0.5], [-0.13, 0, 0.08]),
        *([0, 0, 1.2], [0, 0, 1.45], [0, 0.05, 1.55], [0, 0.02, 1.7]),
        *([-0.17, 0, 1.43], [-0.25, 0.05, 1.15], [-0.3, 0.2, 0.95]),
        *([0.17, 0, 1.43], [0.25, 0.05, 1.15], [0.3, 0.2, 0.95]),
    ]
)
SLOTS = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]  # of the 17 among the 32
LEFT, RIGHT = [4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]
EXCHANGED = [
    {**dict(zip(LEFT, RIGHT, strict=True)), **dict(zip(RIGHT, LEFT, strict=True))}.get(j, j) for j in range(17)
]
PEOPLE = {"anna": "train", "bert": "validation", "carl": "test"}
TAKES = {"Walk 1": 40, "Sit 1": 55}
VIEWS = 4
WIDTH, HEIGHT = 1000, 1002
K = np.array([[1145.0, 0, 512], [0, 1143, 515], [0, 0, 1]])
DISTORTION = np.array([-0.2, 0.24, -0.001, 0.002, -0.003])  # k1, k2, p1, p2, k3


def rig() -> list[tuple[np.ndarray, np.ndarray]]:
    """Rotation and translation of four cameras that look at the middle from the corners."""
    cameras = []
    for angle in np.radians([40, 140, 215, 320]):
        centre = np.array([4.5 * np.cos(angle), 4.6 * np.sin(angle), 1.6])
        forward = np.array([0, 0, 1.0]) - centre
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0, 0, 1])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        cameras.append((rotation, -rotation @ centre))
    return cameras


def see(poses: np.ndarray) -> list[np.ndarray]:
    """Project by OpenCV."""
    views = []
    for rotation, translation in rig():
        pixels, _ = cv2.projectPoints(poses.reshape(-1, 3), cv2.Rodrigues(rotation)[0], translation, K, DISTORTION)
        views.append(pixels.reshape(*poses.shape[:2], 2).astype(np.float32))
    return views


def walk(frames: int, random: np.random.Generator) -> np.ndarray:
    yaw = random.uniform(0, 6) + np.linspace(0, 5, frames)
    turn = np.zeros((frames, 3, 3))
    turn[:, 0, 0] = turn[:, 1, 1] = np.cos(yaw)
    turn[:, 0, 1], turn[:, 1, 0], turn[:, 2, 2] = -np.sin(yaw), np.sin(yaw), 1
    limbs = FIGURE + 0.02 * random.standard_normal((frames, 17, 3))
    path = np.stack([np.linspace(-0.5, 0.5, frames), 0.3 * np.sin(yaw), np.zeros(frames)], axis=1)
    return (np.einsum("nij,nkj->nki", turn, limbs) + path[:, None]).astype(np.float32)


def sidecar() -> Content:
    camera = [
        {
            "R": rotation.tolist(),
            "t": translation.tolist(),
            "intrinsics": K.tolist(),
            "distortion": DISTORTION.tolist(),
            "distortion_model": "opencv",
            "image_size": [WIDTH, HEIGHT],
        }
        for rotation, translation in rig()
    ]
    return {
        "format": "liftpose-dataset",
        "version": 1,
        "name": "gym",
        "skeleton": "h36m_17",
        "storage_skeleton": "h36m_32",
        "unit": "m",
        "up_axis": "z",
        "fps": 50,
        "cameras": {name: [dict(entry) for entry in camera] for name in PEOPLE},
        "splits": {split: [name for name, own in PEOPLE.items() if own == split] for split in PEOPLE.values()},
        "source": "a test",
        "licence": "none",
        "notes": {},
    }


def make() -> Content:
    random = np.random.default_rng(0)
    poses, gt, det = ({name: {} for name in PEOPLE} for _ in range(3))
    for name in PEOPLE:
        for take, frames in TAKES.items():
            world = walk(frames, random)
            stored = np.zeros((frames, 32, 3), np.float32)
            stored[:, SLOTS] = world
            poses[name][take] = stored
            gt[name][take] = see(world.astype(np.float64))
            det[name][take] = [
                np.concatenate((view + random.normal(0, 4, view.shape), random.uniform(0, 1, (frames, 17, 1))), -1)
                .astype(np.float32)
                for view in gt[name][take]
            ]  # fmt: skip
    metadata = {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": [LEFT, RIGHT]}
    return {"poses": poses, "gt": gt, "det": det, "meta": {"gt": metadata, "det": dict(metadata)}, "json": sidecar()}


GOOD = make()


@pytest.fixture
def content() -> Content:
    return copy.deepcopy(GOOD)


def save(root: Path, content: Content) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    np.savez(root / "data_3d_gym.npz", positions_3d=np.array(content["poses"], dtype=object))
    for name in ("gt", "det"):
        if name in content:
            np.savez(
                root / f"data_2d_gym_{name}.npz",
                positions_2d=np.array(content[name], dtype=object),
                metadata=np.array(content["meta"][name], dtype=object),
            )
    (root / "data_3d_gym.json").write_text(json.dumps(content["json"]))
    return root


def problems(report: FolderReport, root: Path) -> list[str]:
    """The lines about what is wrong, without the folder."""
    lines = [line for line in report.lines() if line.startswith(("error: ", "warning: ", "note: "))]
    return [line.replace(f"{root}/", "") for line in lines]


def every(content: Content, name: str) -> list[tuple[str, str, list[np.ndarray]]]:
    return [(person, take, views) for person, takes in content[name].items() for take, views in takes.items()]


# ---------------------------------------------------------------------------------------------------- as it should be
def test_nothing_is_found_where_nothing_is_wrong(tmp_path: Path, content: Content) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/README.md").write_text("hello")
    report = check_folder(save(tmp_path / "data", content))
    lines = [line.removeprefix(f"{tmp_path}/data/") for line in report.lines()]
    assert lines[0] == (
        "data_3d_gym.json: description of gym: h36m_17, 50 frames per second, z up, 4 cameras for 3 subjects, "
        "train anna; validation bert; test carl"
    )
    assert lines[1].startswith(
        "data_3d_gym.npz: 3D poses of gym: 3 subjects (anna, bert, carl), 6 takes of 2 actions, 285 frames at 50 per "
        "second, 32 joints (h36m_32, used as h36m_17), metres, world frame, "
    )
    assert lines[2].startswith(
        "data_2d_gym_det.npz: det keypoints of gym: 3 subjects (anna, bert, carl), 6 takes of 2 actions, 4 cameras, "
        "1,140 frames in all views, 17 joints (h36m_17), pixels, with confidence, "
    )
    assert lines[3].startswith("data_2d_gym_det.npz: reprojection error, median in pixels: camera 0 4.")
    assert lines[4].startswith("data_2d_gym_gt.npz: gt keypoints of gym")
    assert "pixels, with" not in lines[4]
    medians = [float(part.split(" ")[2]) for part in lines[5].split(": ")[2].split(" (")[0].split(", ")]
    assert len(medians) == 4 and max(medians) < 1e-3
    assert lines[6] == "README.md: no file of a data set, not looked at, 5 bytes"
    assert lines[7:] == ["5 files: 0 errors, 0 warnings, 0 notes"]


# ------------------------------------------------------------------------------------------------------------ spoiling
def longer(content: Content) -> None:
    views = content["det"]["bert"]["Sit 1"]
    views[1] = np.concatenate((views[1], views[1][-2:]))


def shorter(content: Content) -> None:
    content["gt"]["anna"]["Walk 1"][2] = content["gt"]["anna"]["Walk 1"][2][:-3]


def another_rate(content: Content) -> None:
    for _, _, views in every(content, "gt"):
        views[:] = [
            np.repeat(view, 2, axis=0) + np.float32(0.001) * np.arange(2 * len(view))[:, None, None] for view in views
        ]


def order(name: str, takes: tuple[str, ...] = tuple(TAKES)) -> Spoil:
    def spoil(content: Content) -> None:
        for _, take, views in every(content, name):
            if take in takes:
                views[:] = [views[view] for view in (2, 0, 1, 3)]

    return spoil


def view_twice(content: Content) -> None:
    for _, _, views in every(content, "gt"):
        views[3] = views[0].copy()


def normalised(content: Content) -> None:
    for _, _, views in every(content, "gt"):
        views[:] = [(view / WIDTH * 2 - [1, HEIGHT / WIDTH]).astype(np.float32) for view in views]


def shares(content: Content) -> None:
    for _, _, views in every(content, "det"):
        for view in views:
            view[..., :2] /= [WIDTH, HEIGHT]


def sides_2d(name: str) -> Spoil:
    def spoil(content: Content) -> None:
        for _, _, views in every(content, name):
            views[:] = [view[:, EXCHANGED] for view in views]

    return spoil


def sides_of_one_take(content: Content) -> None:
    content["gt"]["carl"]["Walk 1"] = [view[:, EXCHANGED] for view in content["gt"]["carl"]["Walk 1"]]


def sides_3d(content: Content) -> None:
    for _, _, poses in every(content, "poses"):
        poses[:, SLOTS] = poses[:, SLOTS][:, EXCHANGED]


def times(factor: float) -> Spoil:
    def spoil(content: Content) -> None:
        for _, _, poses in every(content, "poses"):
            np.multiply(poses, np.float32(factor), out=poses)

    return spoil


def nan_3d(content: Content) -> None:
    content["poses"]["bert"]["Walk 1"][7:9, 2] = np.nan


def nan_unused(content: Content) -> None:
    content["poses"]["bert"]["Walk 1"][7:9, 4] = np.nan  # a slot that no reader uses


def infinite_2d(content: Content) -> None:
    content["det"]["bert"]["Walk 1"][3][11, 4, 0] = np.inf


def lost(content: Content) -> None:
    for _, _, views in every(content, "det"):
        for view in views:
            view[5:9, 3:6, :2] = 0


def only_2d(content: Content) -> None:
    del content["poses"]["anna"]["Sit 1"]


def only_3d(content: Content) -> None:
    del content["gt"]["anna"]["Sit 1"]


def no_keypoints(content: Content) -> None:
    del content["gt"]["anna"]


def no_poses(content: Content) -> None:
    content["gt"]["dora"] = copy.deepcopy(content["gt"]["anna"])


def nobody(name: str) -> Spoil:
    def spoil(content: Content) -> None:
        for kind in ("poses", "gt", "det"):
            del content[kind][name]

    return spoil


def sixteen(content: Content) -> None:
    for _, _, views in every(content, "gt"):
        views[:] = [np.delete(view, 9, axis=1) for view in views]


def other_slots(content: Content) -> None:
    content["poses"]["anna"]["Walk 1"] = content["poses"]["anna"]["Walk 1"][:, SLOTS]


COCO = [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]]


def called_coco(content: Content) -> None:
    content["meta"]["det"] = {"layout_name": "coco", "num_joints": 17, "keypoints_symmetry": COCO}


def coco_called_h36m(content: Content) -> None:
    coco = get_skeleton("coco_17").joint_names
    own = get_skeleton("h36m_17").joint_names
    joints = [own.index(name) if name in own else 9 for name in coco]  # eyes and ears: about the nose
    for _, _, views in every(content, "det"):
        views[:] = [view[:, joints] for view in views]


def three_views(content: Content) -> None:
    for _, _, views in every(content, "gt"):
        del views[2]


def of_other_poses(content: Content) -> None:
    random = np.random.default_rng(5)
    for _, _, views in every(content, "gt"):
        views[:] = see(walk(len(views[0]), random).astype(np.float64))


def far_off_in_one_take(content: Content) -> None:
    """Of carl, whose poses of one take in three are of another moment; the true keypoints fit them."""
    random = np.random.default_rng(6)
    for name in PEOPLE:
        world, other = walk(40, random), walk(40, random)
        content["poses"][name]["Run 1"] = np.zeros((40, 32, 3), np.float32)
        content["poses"][name]["Run 1"][:, SLOTS] = world
        content["gt"][name]["Run 1"] = see(world.astype(np.float64))
        content["det"][name]["Run 1"] = see((other if name == "carl" else world).astype(np.float64))


def halved(content: Content) -> None:
    for _, _, views in every(content, "gt"):
        views[:] = [view / 2 for view in views]


def mirrored(content: Content) -> None:
    for _, _, views in every(content, "gt"):
        for view in views:
            view[..., 0] = WIDTH - 1 - view[..., 0]


def rounded(content: Content) -> None:
    for _, _, views in every(content, "gt"):
        views[:] = [view.round() for view in views]


def moved_camera(content: Content) -> None:
    for cameras in content["json"]["cameras"].values():
        cameras[1] = {**cameras[1], "t": [*cameras[1]["t"][:2], cameras[1]["t"][2] + 1.5]}


def frozen(content: Content) -> None:
    content["poses"]["anna"]["Sit 1"][2:53] = content["poses"]["anna"]["Sit 1"][2]
    content["gt"]["anna"]["Sit 1"] = see(content["poses"]["anna"]["Sit 1"][:, SLOTS].astype(np.float64))
    content["det"]["anna"]["Sit 1"] = [
        np.concatenate((view + np.random.default_rng(1).normal(0, 4, view.shape), np.ones((55, 17, 1))), -1)
        for view in content["gt"]["anna"]["Sit 1"]
    ]


def twins(of: str) -> Spoil:
    def spoil(content: Content) -> None:
        for kind in ("poses", "gt", "det"):
            content[kind][of]["Copy 1"] = content[kind]["anna"]["Walk 1"]

    return spoil


def lying_axis(content: Content) -> None:
    content["json"]["up_axis"] = "-y"


def long_legs(content: Content) -> None:
    """Everything half as large again, the cameras' distances too: the pictures stay."""
    times(1.5)(content)
    for cameras in content["json"]["cameras"].values():
        cameras[:] = [{**camera, "t": [1.5 * x for x in camera["t"]]} for camera in cameras]


def wrong_sidecar(content: Content) -> None:
    content["json"]["unit"] = "mm"


def no_cameras(content: Content) -> None:
    for kind in ("poses", "gt", "det"):
        content[kind]["dora"] = copy.deepcopy(content[kind]["anna"])
    for take in TAKES:
        content["poses"]["dora"][take] += np.float32(0.1)


def bad_confidence(content: Content) -> None:
    content["det"]["anna"]["Walk 1"][0][3, 3, 2] = 17.5


CASES: list[tuple[Spoil, list[str]]] = [
    (longer, ["note: data_2d_gym_det.npz: bert/Sit 1.1: expected keypoints for the 55 frames of 3D, found 57, 2 more"]),
    (shorter, ["error: data_2d_gym_gt.npz: anna/Walk 1.2: expected keypoints for the 40 frames of 3D, found 37, "]),
    (another_rate, ["error: data_2d_gym_gt.npz: anna/Walk 1.0 (and 23 more): expected keypoints for the 40 frames of "
                    "3D, found 80, 2.00 times as many; bring both to one frame rate"]),
    (order("gt"), ["error: data_2d_gym_gt.npz: anna/Walk 1 (and 5 more): expected views of the cameras 0, 1, 2, 3, "
                   "found of 2, 0, 1, 3; put the views into the order 1, 2, 0, 3"]),
    (order("det"), ["error: data_2d_gym_det.npz: anna/Walk 1 (and 5 more): expected views of the cameras 0, 1, 2, 3, "
                    "found of 2, 0, 1, 3; put the views into the order 1, 2, 0, 3"]),
    (order("det", ("Sit 1",)), ["error: data_2d_gym_det.npz: anna/Sit 1 (and 2 more): expected views of the cameras"]),
    (view_twice, ["error: data_2d_gym_gt.npz: anna/Walk 1 (and 5 more): expected views of the cameras 0, 1, 2, 3, "
                  "found of 0, 1, 2, 0; make the file again from the videos: a view is there twice"]),
    (normalised, ["error: data_2d_gym_gt.npz: anna/Walk 1.0 (and 23 more): expected pixels, found screen coordinates "
                  "from -1 to 1; the readers normalise themselves: pixels are (x + 1) w / 2 and (y + h / w) w / 2"]),
    (shares, ["error: data_2d_gym_det.npz: anna/Walk 1.0 (and 23 more): expected pixels, found shares of the picture"]),
    (sides_2d("gt"), ["error: data_2d_gym_gt.npz: anna/Walk 1.0 (and 23 more): expected left and right as in the 3D"]),
    (sides_2d("det"), ["error: data_2d_gym_det.npz: anna/Walk 1.0 (and 23 more): expected left and right as in t"]),
    (sides_of_one_take, ["error: data_2d_gym_gt.npz: carl/Walk 1.0 (and 3 more): expected left and right as in t"]),
    (sides_3d, ["error: data_2d_gym_det.npz: anna/Walk 1.0 (and 23 more): expected left and right as in the 3D poses",
                "error: data_2d_gym_gt.npz: anna/Walk 1.0 (and 23 more): expected left and right as in the 3D poses"]),
    (times(1000), ["error: data_3d_gym.npz: anna/Walk 1 (and 5 more): expected metres, found millimetres (legs of 87"]),
    (times(100), ["error: data_3d_gym.npz: anna/Walk 1 (and 5 more): expected metres, found centimetres (legs of 87"]),
    (long_legs, ["warning: data_3d_gym.npz: anna/Walk 1 (and 5 more): expected legs of 0.5 to 1.2 m, found legs "]),
    (nan_3d, ["error: data_3d_gym.npz: bert/Walk 1: expected finite coordinates, found others in 2 of 40 frames, first "
              "in frame 7 at joint 2"]),
    (nan_unused, []),
    (infinite_2d, ["error: data_2d_gym_det.npz: bert/Walk 1.3: expected finite coordinates, found others in 1 of 40 "
                   "frames, first in frame 11 at joint 4"]),
    (lost, ["warning: data_2d_gym_det.npz: anna/Walk 1.0 (and 23 more): expected joints in the picture, found 1."]),
    (only_2d, ["error: data_2d_gym_det.npz: anna/Sit 1: expected the take in both files, found it in the 2D file only",
               "error: data_2d_gym_gt.npz: anna/Sit 1: expected the take in both files, found it in the 2D file only"]),
    (only_3d, ["error: data_2d_gym_gt.npz: anna/Sit 1: expected the take in both files, found it in the 3D file only"]),
    (no_keypoints, ["error: data_2d_gym_gt.npz: anna: expected keypoints of everybody with 3D poses, found none"]),
    (no_poses, ["note: data_2d_gym_gt.npz: dora: expected 3D poses, found keypoints only"]),
    (nobody("carl"), ["error: data_3d_gym.npz: expected carl, on whom gym tests, found nobody of that name"]),
    (nobody("anna"), ["warning: data_3d_gym.npz: expected anna, on whom gym trains, found nobody of that name"]),
    (sixteen, ["error: data_2d_gym_gt.npz: anna/Walk 1.0 (and 23 more): expected keypoints of shape (frames, 17, 2 or "
               "3), found (40, 16, 2) of float32"]),
    (other_slots, ["error: data_3d_gym.npz: anna/Walk 1: expected poses of shape (frames, 32, 3), found (40, 17, 3)"]),
    (called_coco, ["error: data_2d_gym_det.npz: expected joints of coco_17, found keypoints that fit as h36m_17; "
                   "layout_name of the metadata must be h36m"]),
    (coco_called_h36m, ["error: data_2d_gym_det.npz: expected joints of h36m_17, found keypoints that fit as coco_17"]),
    (three_views, ["error: data_2d_gym_gt.npz: anna/Walk 1 (and 5 more): expected 4 views, found 3"]),
    (of_other_poses, ["error: data_2d_gym_gt.npz: anna/Walk 1.0 (and 23 more): expected projections of the 3D poses "
                      "within 1 pixels, found a median distance of"]),
    (far_off_in_one_take, ["warning: data_2d_gym_det.npz: carl/Run 1.0 (and 3 more): expected projections of the 3D"]),
    (halved, ["error: data_2d_gym_gt.npz: anna/Walk 1.0 (and 23 more): expected projections of the 3D poses within 1 "
              "pixels, found a median distance of"]),
    (mirrored, ["error: data_2d_gym_gt.npz: anna/Walk 1.0 (and 23 more): expected projections of the 3D poses wi"]),
    (rounded, ["warning: data_2d_gym_gt.npz: anna/Walk 1.0 (and 23 more): expected projections of the 3D poses within "
               "0.1 pixels, found a median distance of 0."]),
    (moved_camera, ["error: data_2d_gym_det.npz: anna/Walk 1.1 (and 5 more): expected projections of the 3D poses",
                    "error: data_2d_gym_gt.npz: anna/Walk 1.1 (and 5 more): expected projections of the 3D poses"]),
    (frozen, ["warning: data_3d_gym.npz: anna/Sit 1: expected motion, found 51 equal frames in a row from frame 2 on",
              "warning: data_2d_gym_gt.npz: anna/Sit 1.0 (and 3 more): expected motion, found 51 equal frames"]),
    (twins("anna"), ["warning: data_3d_gym.npz: anna/Walk 1: expected poses of its own, found the same in anna/C"]),
    (twins("carl"), ["error: data_3d_gym.npz: anna/Walk 1: expected poses that only one split has, found the sam"]),
    (lying_axis, ["warning: data_3d_gym.npz: expected people who stand along -y, found people who stand along z"]),
    (no_cameras, ["error: data_3d_gym.npz: dora: expected cameras of everybody with 3D poses, found none"]),
    (bad_confidence, ["note: data_2d_gym_det.npz: anna/Walk 1.0: expected confidences from 0 to 1, found numbers"]),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "expected"), CASES, ids=[f"{i}" for i in range(len(CASES))])
def test_what_is_spoilt_is_named_and_nothing_else(
    tmp_path: Path, content: Content, spoil: Spoil, expected: list[str]
) -> None:
    spoil(content)
    report = check_folder(save(tmp_path, content))
    found = problems(report, tmp_path)
    assert len(found) == len(expected), found
    for line, start in zip(sorted(found), sorted(expected), strict=True):
        assert line.startswith(start), found


def test_pixels_of_resized_or_mirrored_pictures_get_their_formula(tmp_path: Path, content: Content) -> None:
    whole = copy.deepcopy(content)
    halved(content)
    (line,) = problems(check_folder(save(tmp_path / "a", content)), tmp_path)
    assert line.endswith("the pixels wanted are x' = 2.000 x +0.000 y +0.0, y' = 0.000 x +2.000 y +0.0")
    mirrored(whole)
    (line,) = problems(check_folder(save(tmp_path / "b", whole)), tmp_path)
    assert "the pixels wanted are x' = -1.000 x" in line and "y +999.0, y' =" in line


def test_the_cures_cure(tmp_path: Path, content: Content) -> None:
    order("gt")(content)
    (line,) = problems(check_folder(save(tmp_path / "a", content)), tmp_path)
    wanted = [int(number) for number in line.split("into the order ")[1].split(" (")[0].split(", ")]
    for _, _, views in every(content, "gt"):
        views[:] = [views[view] for view in wanted]
    assert problems(check_folder(save(tmp_path / "b", content)), tmp_path) == []


@settings(max_examples=15)
@given(order=st.permutations(range(VIEWS)), exchange=st.booleans(), millimetres=st.booleans(), screen=st.booleans())
def test_several_things_at_once(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], exchange: bool, millimetres: bool, screen: bool
) -> None:
    content = copy.deepcopy(GOOD)
    del content["det"]
    for _, _, views in every(content, "gt"):
        views[:] = [views[view][:, EXCHANGED] if exchange else views[view] for view in order]
    if millimetres:
        times(1000)(content)
    if screen:
        normalised(content)
    root = tmp_path_factory.mktemp("several")
    found = problems(check_folder(save(root, content)), root)
    expected = {
        "expected metres, found millimetres": millimetres,
        "found screen coordinates": screen,
        "found keypoints that fit with the sides exchanged": exchange,
        f"found of {', '.join(map(str, order))};": order != list(range(VIEWS)),
    }
    for words, there in expected.items():
        assert sum(words in line for line in found) == there, (words, found)
    assert len(found) == sum(expected.values()), found


def test_true_keypoints_of_another_camera_have_to_fit_it(tmp_path: Path, content: Content) -> None:
    """In reverse order in time a take may be nearer to another camera, by a few pixels that are not to be explained."""
    for _, _, views in every(content, "gt"):
        views[:] = [view[::-1].copy() for view in views]
    found = problems(check_folder(save(tmp_path, content)), tmp_path)
    assert found and all("expected projections of the 3D poses within 1 pixels" in line for line in found), found


def test_poses_without_their_place(tmp_path: Path, content: Content) -> None:
    for poses in content["poses"]["bert"].values():
        poses[:] = poses - poses[:, :1]
    (line,) = problems(check_folder(save(tmp_path, content)), tmp_path)
    assert line.startswith(
        "warning: data_3d_gym.npz: bert/Walk 1 (and 1 more): expected poses with their place in the world, found poses "
        "relative to their root; "
    )


def test_pictures_of_another_size(tmp_path: Path, content: Content) -> None:
    """Where the camera is unknown, nothing but the picture's size says that pixels are those of a larger one."""
    for cameras in content["json"]["cameras"].values():
        for camera in cameras:
            camera["intrinsics"] = None
    for _, _, views in every(content, "gt"):
        views[:] = [view * 3 for view in views]
    (line,) = problems(check_folder(save(tmp_path, content)), tmp_path)
    assert line.startswith("warning: data_2d_gym_gt.npz: anna/Walk 1.0 (and 23 more): expected people in pictures of ")
    assert "1000 x 1002, found 1" in line and "% of joints outside; compare image_size" in line


def test_a_mirrored_picture_of_an_unknown_camera(tmp_path: Path, content: Content) -> None:
    """A free projection would fit it as well as a picture that is as it should be."""
    for cameras in content["json"]["cameras"].values():
        del cameras[1:]
        cameras[0]["intrinsics"] = None
    for name in ("gt", "det"):
        for _, _, views in every(content, name):
            del views[1:]
            if name == "gt":
                views[0][..., 0] = WIDTH - 1 - views[0][..., 0]
    found = problems(check_folder(save(tmp_path, content)), tmp_path)
    assert any("gt.npz" in line and "expected projections of the 3D poses" in line for line in found), found
    assert all("gt.npz" in line for line in found), found


def test_cameras_without_intrinsics_in_another_place(tmp_path: Path, content: Content) -> None:
    for cameras in content["json"]["cameras"].values():
        for camera in cameras:
            camera.update(intrinsics=None, R=(np.array(camera["R"])[[0, 2, 1]] * [[1], [-1], [1]]).tolist())
            camera["t"] = [0, 0, 6]
    del content["det"]
    found = problems(check_folder(save(tmp_path, content)), tmp_path)
    assert found and all(
        line.startswith("warning: ") and "expected the cameras where the description says" in line for line in found
    ), found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda json: json["splits"]["test"].append("anna"), "found anna; correct splits"),
        (
            lambda json: json["notes"].update(same_side=[["carl", "anna"]]),
            "found carl, who may be anna; correct splits",
        ),
    ],
)
def test_somebody_on_both_sides_of_a_split(
    tmp_path: Path, content: Content, change: Callable[[Content], None], words: str
) -> None:
    change(content["json"])
    (line,) = problems(check_folder(save(tmp_path, content)), tmp_path)
    assert line.startswith("error: data_3d_gym.npz: expected validation and test on people who are not trained on, ")
    assert words in line


# ------------------------------------------------------------------------------------------------------------- folders
def test_linked_folders_are_looked_at_once_and_dead_links_named(tmp_path: Path, content: Content) -> None:
    real = save(tmp_path / "elsewhere/gym", content)
    root = tmp_path / "data"
    root.mkdir()
    (root / "gym").symlink_to(real)
    (root / "again").symlink_to(real)
    (real / "loop").symlink_to(root)
    (root / "data_3d_far.npz").symlink_to(tmp_path / "disk/data_3d_far.npz")
    (root / "h36m").symlink_to(tmp_path / "disk/h36m")
    report = check_folder(root)
    expected, cure = "expected a file or a folder, found a link to", "bring it back, or remove the link"
    assert problems(report, root) == [
        f"error: data_3d_far.npz: {expected} {tmp_path}/disk/data_3d_far.npz, which is not there; {cure}",
        f"warning: h36m: {expected} {tmp_path}/disk/h36m, which is not there; {cure}",
    ]
    assert report.lines()[-1] == "6 files: 1 error, 1 warning, 0 notes"


def test_a_folder_that_may_not_be_read_is_named(
    tmp_path: Path, content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, content)
    (tmp_path / "secret").mkdir()
    scan = os.scandir

    def refuse(path: Any) -> Any:  # root may read everything, so that a mode would say nothing here
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert problems(check_folder(tmp_path), tmp_path) == ["error: secret: expected files, found: permission denied"]


# ------------------------------------------------------------------------------------------------------- broken files
class Touch:
    """Pickled, it creates a file when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch owned",)


def hostile(path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("positions_2d.npy", header.getvalue() + pickle.dumps(Touch()))


def test_a_broken_file_does_not_end_the_check(
    tmp_path: Path, content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = save(tmp_path / "data", content)
    hostile(root / "data_2d_gym_bad.npz")
    (root / "data_2d_gym_cut.npz").write_bytes((root / "data_2d_gym_gt.npz").read_bytes()[:-300])
    (root / "data_2d_gym_empty.npz").write_bytes(b"")
    np.savez(root / "data_2d_gym_other.npz", a=np.zeros(3))
    (root / "other.npz").write_text("version https://git-lfs.github.com/spec/v1\n")
    np.savez(root / "arrays.npz", a=np.zeros(3), b=np.zeros(2))
    np.savez(root / "Walking.54138969.mp4.npz", keypoints=np.zeros((2, 17, 2)))
    (root / ".hidden.npz").write_text("")
    report = check_folder(root)
    found = problems(report, root)
    assert [line.split(": ")[1] for line in found if line.startswith("error: ")] == [
        "data_2d_gym_bad.npz", "data_2d_gym_cut.npz", "data_2d_gym_empty.npz", *["data_2d_gym_other.npz"] * 2,
        "other.npz",
    ]  # fmt: skip
    assert "posix.system" in found[0] and "cut" in found[1] and "an empty file" in found[2]
    assert "keypoints_symmetry" in found[3] and "expected a dictionary positions_2d, found none" in found[4]
    assert "a pointer of git-lfs" in found[5]
    assert len(found) == 6
    lines = [line.removeprefix(f"{root}/") for line in report.lines()]
    assert any(line.startswith("arrays.npz: an npz file of a, b, no file of a data set") for line in lines)
    assert any(line.startswith("Walking.54138969.mp4.npz: keypoints of a detector for one video") for line in lines)
    assert sum("reprojection error" in line for line in lines) == 2, "the good files were compared all the same"
    assert not (tmp_path / "owned").exists()


def test_a_broken_description_or_3d_file(tmp_path: Path, content: Content) -> None:
    wrong_sidecar(content)
    found = problems(check_folder(save(tmp_path / "a", content)), tmp_path)
    (line,) = found  # once, though the 3D file needs the description too
    assert "data_3d_gym.json: unit: expected 'm', found mm" in line
    root = save(tmp_path / "b", GOOD)
    (root / "data_3d_gym.npz").write_bytes(b"PK")
    found = problems(check_folder(root), root)
    assert len(found) == 1 and found[0].startswith("error: data_3d_gym.npz: expected an npz file"), found
    (root / "data_3d_gym.npz").unlink()
    found = problems(check_folder(root), root)
    assert [line.split(": ")[0] for line in found] == ["warning"] * 3
    assert all("expected data_3d_gym.npz beside it, found none" in line for line in found)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(LiftposeError, match="nix: expected a folder with data sets, found nothing of that name"):
        check_folder(tmp_path / "nix")
    (tmp_path / "file").write_text("")
    with pytest.raises(LiftposeError, match="file: expected a folder with data sets, found a file"):
        check_folder(tmp_path / "file")
    assert check_folder(tmp_path).lines()[-1] == "1 file: 0 errors, 0 warnings, 0 notes"


# What may stand in a pickled dictionary where an array or a dictionary belongs.
ODD = st.sampled_from(
    [
        None, 3, "text", b"bytes", [], {}, [[1, 2], [3]], {"a": 1}, np.array(5.0), np.zeros(0),
        np.zeros((0, 32, 3)),
        np.zeros((3, 32, 3), complex), np.zeros((2, 17, 2), bool), np.array(["a", "b"]),
        np.array([None, 3], dtype=object),
        np.zeros((4, 17, 2)), np.zeros((40, 17, 2), np.int64), np.full((40, 32, 3), np.nan),
        np.full((40, 17, 2), np.nan), np.full((40, 17, 3), np.inf), np.zeros((40, 32, 3)), np.zeros((1, 32, 3)),
        np.full((40, 17, 2), 1e300),
        [np.full((40, 17, 2), np.nan)] * 4, [np.zeros((40, 17, 2))] * 4, [np.full((40, 17, 3), np.nan)] * 4, [None] * 4,
        (np.zeros((1, 17, 2)),) * 4, np.zeros((4, 40, 17, 2)),
    ]
)  # fmt: skip
PLACES = st.sampled_from(
    [
        ("poses", "anna", "Walk 1"), ("gt", "anna", "Walk 1"), ("det", "carl", "Sit 1"), ("poses", "bert"),
        ("gt", "bert"),
        ("poses",), ("gt",), ("meta", "gt"), ("meta", "gt", "layout_name"), ("meta", "gt", "num_joints"),
        ("meta", "gt", "keypoints_symmetry"), ("poses", 7), ("gt", None), ("poses", "anna", 3), ("gt", "anna", 3),
    ]
)  # fmt: skip


@settings(max_examples=40)
@given(spoilt=st.lists(st.tuples(PLACES, ODD), min_size=1, max_size=3))
def test_whatever_a_file_holds_the_check_comes_to_its_end(
    tmp_path_factory: pytest.TempPathFactory, spoilt: list[tuple[tuple[Any, ...], Any]]
) -> None:
    content = copy.deepcopy(GOOD)
    for place, value in spoilt:
        inner = content
        for key in place[:-1]:
            inner = inner[key] if isinstance(inner.get(key), dict) else {}
        inner[place[-1]] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = check_folder(save(tmp_path_factory.mktemp("odd"), content))
    assert len(report.files) == 4
    assert all("\n" not in line for line in report.lines())
