"""The data sets that the field knows by name, and those that this package makes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from liftpose.datamodules import SyntheticDataModule
from liftpose.formats import h36m_info
from liftpose.formats.check import check_folder
from liftpose.formats.check.expected import H36M_ACTIONS, expected_takes, missing_people
from liftpose.formats.known_datasets import humaneva_info
from liftpose.skeletons import HUMANEVA_15

# ------------------------------------------------------------------------------------------------------ Human3.6M
TWICE = [f"{action}{take}" for action in H36M_ACTIONS for take in ("", " 1")]
PEOPLE = {name: list(TWICE) for name in ("S1", "S5", "S6", "S7", "S8", "S9")}
PEOPLE["S11"] = [take for take in TWICE if take != "Directions"]


def lines(takes: dict[str, list[str]]) -> list[str]:
    found = [*missing_people(takes, h36m_info()), *expected_takes(takes, h36m_info())]
    return [finding.line("x.npz") for finding in found]


def test_the_published_takes_are_complete() -> None:
    assert sum(map(len, PEOPLE.values())) == 7 * 30 - 1
    assert lines(PEOPLE) == []


@pytest.mark.parametrize(
    ("person", "take", "start"),
    [
        ("S9", "Photo 1", "error: x.npz: S9: expected 30 takes, found 29, too few of Photo (1);"),
        ("S11", "Walking", "error: x.npz: S11: expected 29 takes, found 28, too few of Walking (1);"),
        ("S5", "Eating", "warning: x.npz: S5: expected 30 takes, found 29, too few of Eating (1);"),
    ],
)
def test_one_take_less(person: str, take: str, start: str) -> None:
    takes = {**PEOPLE, person: [name for name in PEOPLE[person] if name != take]}
    (line,) = lines(takes)
    assert line.startswith(start)


def test_the_corrupt_take_and_names_of_the_official_files() -> None:
    (line,) = lines({**PEOPLE, "S11": TWICE})
    assert line.startswith("error: x.npz: S11: expected 29 takes, found more of Directions (2); leave out the take")
    old = [name.replace("Photo", "TakingPhoto") for name in PEOPLE["S8"]]
    names, missing = lines({**PEOPLE, "S8": old})
    assert names.startswith("warning: x.npz: S8: expected actions of Human3.6M, found TakingPhoto; rename them")
    assert "28, too few of Photo (0)" in missing
    (line,) = lines({name: takes for name, takes in PEOPLE.items() if name != "S9"})
    assert line.startswith("error: x.npz: expected S9, on whom h36m tests, found nobody")


def test_the_golden_toy(reference: Path) -> None:
    """What its description says: four people with some takes, noise of 4 pixels, surplus frames, S2 without poses."""
    folder = reference / "golden/rie/toy_h36m"
    report = check_folder(folder)
    text = [line.removeprefix(f"{folder}/") for line in report.lines()]
    (gt,) = [line for line in text if line.startswith("data_2d_h36m_gt.npz: reprojection")]
    assert all(float(part.split(" ")[2]) < 1e-3 for part in gt.split(": ")[2].split(" (")[0].split(", "))
    (detections,) = [line for line in text if line.startswith("data_2d_h36m_cpn_ft_h36m_dbb.npz: reprojection")]
    # The median of a Rayleigh distribution of 4 pixels is 4.71.
    assert all(
        abs(float(part.split(" ")[2]) - 4.71) < 0.3 for part in detections.split(": ")[2].split(" (")[0].split(", ")
    )
    problems = [line.replace(f"{folder}/", "") for line in text if line.startswith(("error", "warning", "note"))]
    errors = [line for line in problems if line.startswith("error")]
    assert [line.split(": ")[2] for line in errors] == ["S9", "S11"], (
        "both lack takes, and nothing else spoils a result"
    )
    assert all("too few of Directions (0)" in line for line in errors)
    notes = [line for line in problems if line.startswith("note")]
    assert "S2: expected 3D poses, found keypoints only" in notes[0]
    assert "2D" not in notes[1] and "expected keypoints for the 12 frames of 3D, found 13, 1 more" in notes[1]
    warnings = [line for line in problems if line.startswith("warning")]
    assert sum("nobody of that name" in line for line in warnings) == 3  # S6, S7, S8
    assert len(problems) == 2 + 2 + 3 + 2 + 1  # S1 and S5 lack takes; bodies of chance have legs that no human has
    assert sum("found legs of" in line for line in warnings) == 1


# -------------------------------------------------------------------------------------------------------- HumanEva
def humaneva(random: np.random.Generator, detections: float = 0.0) -> tuple[dict[str, Any], dict[str, Any]]:
    """Poses, and OpenCV's projections through the published extrinsics and lenses of this test's own."""
    standing = np.array(
        [
            *([0, 0, 0.95], [0, 0, 1.45], [-0.17, 0, 1.43], [-0.25, 0.05, 1.15], [-0.3, 0.2, 0.95]),
            *([0.17, 0, 1.43], [0.25, 0.05, 1.15], [0.3, 0.2, 0.95]),
            *([-0.13, 0, 0.95], [-0.13, 0.02, 0.5], [-0.13, 0, 0.08]),
            *([0.13, 0, 0.95], [0.13, 0.02, 0.5], [0.13, 0, 0.08], [0, 0.02, 1.7]),
        ]
    )
    info = humaneva_info()
    poses: dict[str, Any] = {}
    views: dict[str, Any] = {}
    for subject in (*info.splits["train"], *info.splits["test"]):
        poses[subject], views[subject] = {}, {}
        for action in ("Walking 1 chunk0", "Jog 1 chunk0", "Box 1 chunk2"):
            yaw = random.uniform(0, 6) + np.linspace(0, 5, 30)
            turn = np.stack([[np.cos(yaw), -np.sin(yaw), 0 * yaw], [np.sin(yaw), np.cos(yaw), 0 * yaw]])
            limbs = standing + 0.02 * random.standard_normal((30, 15, 3))
            world = np.concatenate([np.einsum("ijn,nkj->nki", turn, limbs), limbs[..., 2:]], axis=-1)
            world[..., :2] += np.stack([0.8 * np.cos(yaw), 0.5 * np.sin(yaw)], axis=-1)[:, None]
            poses[subject][action] = world.astype(np.float32)
            views[subject][action] = []
            for number, camera in enumerate(info.cameras[subject]):
                matrix = np.array([[760.0 + number, 0, 320 - number], [0, 758, 242], [0, 0, 1]])
                lens = np.array([-0.15, 0.1, 0.001, -0.0005, 0])
                R, t = camera.R.numpy(), camera.t.numpy()
                pixels, _ = cv2.projectPoints(world.reshape(-1, 3), cv2.Rodrigues(R)[0], t, matrix, lens)
                pixels = pixels.reshape(30, 15, 2) + detections * random.standard_normal((30, 15, 2))
                views[subject][action].append(pixels.astype(np.float32))
    return poses, views


def save_humaneva(root: Path, poses: Any, views: Any, name: str = "gt") -> Path:
    root.mkdir(exist_ok=True)
    symmetry = [[2, 3, 4, 8, 9, 10], [5, 6, 7, 11, 12, 13]]
    metadata = {"layout_name": "humaneva15", "num_joints": 15, "keypoints_symmetry": symmetry}
    np.savez(root / "data_3d_humaneva15.npz", positions_3d=np.array(poses, dtype=object))
    np.savez(
        root / f"data_2d_humaneva15_{name}.npz",
        positions_2d=np.array(views, dtype=object),
        metadata=np.array(metadata, dtype=object),
    )
    return root


def change(views: Any, function: Callable[[list[np.ndarray]], list[np.ndarray]], only: str = "") -> Any:
    return {
        subject: {action: function(arrays) if action.startswith(only) else arrays for action, arrays in takes.items()}
        for subject, takes in views.items()
    }


MIRROR = np.array(HUMANEVA_15.mirror_index)


@pytest.mark.parametrize(("name", "noise"), [("gt", 0.0), ("detectron_x", 2.5)])
def test_cameras_without_intrinsics_are_fitted(tmp_path: Path, name: str, noise: float) -> None:
    poses, views = humaneva(np.random.default_rng(0), noise)
    good = check_folder(save_humaneva(tmp_path / "good", poses, views, name))
    text = good.lines()
    assert text[-1] == "2 files: 0 errors, 0 warnings, 0 notes", text
    (line,) = [line for line in text if "reprojection error" in line]
    assert "cameras of 6 subjects fitted to the keypoints, their intrinsics being unknown" in line
    errors = [float(part.split(" ")[2]) for part in line.split(": ")[2].split(" (")[0].split(", ")]
    assert len(errors) == 3
    # The median of a Rayleigh distribution of 2.5 pixels is 2.94; the tangential part of the lens is not fitted.
    assert all(abs(error - 1.177 * noise) < 0.5 for error in errors)

    spoilt = {
        "expected views of the cameras 0, 1, 2, found of 1, 2, 0;": change(views, lambda v: [v[1], v[2], v[0]]),
        "found of 0, 2, 1;": change(views, lambda v: [v[0], v[2], v[1]], only="Jog"),
        "left and right as in the 3D poses": change(views, lambda v: [view[:, MIRROR] for view in v]),
        "expected left and right": change(views, lambda v: [view[:, MIRROR] for view in v], only="Box"),
        "expected projections of the 3D poses": change(views, lambda v: [view[::-1] for view in v]),
    }
    for number, (words, other) in enumerate(spoilt.items()):
        found = check_folder(save_humaneva(tmp_path / f"{number}", poses, other, name))
        problems = [line for line in found.lines() if line.startswith(("error", "warning"))]
        assert problems and all(words in line for line in problems), (words, problems)
    far = {subject: {action: array * 1000 for action, array in takes.items()} for subject, takes in poses.items()}
    (line,) = [
        line for line in check_folder(save_humaneva(tmp_path / "mm", far, views, name)).lines() if "error:" in line
    ]
    assert "expected metres, found millimetres" in line


def test_missing_takes_of_the_protocol(tmp_path: Path) -> None:
    poses, views = humaneva(np.random.default_rng(0))
    for content in (poses, views):
        del content["Validate/S2"]["Jog 1 chunk0"], content["Train/S3"]["Box 1 chunk2"]
    lines = check_folder(save_humaneva(tmp_path, poses, views)).lines()
    error, warning = [line for line in lines if line.startswith(("error:", "warning:"))]
    assert "Validate/S2: expected chunks of Walking, Jog and Box, found none of Jog" in error
    assert warning.startswith("warning: ") and "Train/S3: expected chunks of" in warning and "none of Box" in warning


# ------------------------------------------------------------------------------------------------------ made here
def test_synthetic_people_are_clean(tmp_path: Path) -> None:
    SyntheticDataModule(root=str(tmp_path), frames_per_action=12).prepare_data()
    report = check_folder(tmp_path)
    assert report.lines()[-1] == "4 files: 0 errors, 0 warnings, 0 notes", report.lines()
    (noisy,) = [line for line in report.lines() if "noisy.npz: reprojection" in line]
    assert all(1 < float(part.split(" ")[2]) < 10 for part in noisy.split(": ")[2].split(" (")[0].split(", "))


def test_predictions_are_named(tmp_path: Path) -> None:
    """The layout of prediction files, written by numpy and json themselves."""
    metadata = {
        "format": "liftpose-predictions",
        "version": 1,
        "subject": "S9",
        "action": "Walking 1",
        "view": 2,
        "skeleton": "humaneva_15",
        "joint_names": list(HUMANEVA_15.joint_names),
        "parents": list(HUMANEVA_15.parents),
        "unit": "m",
        "frame": "camera, root-relative",
        "fps": 50,
        "camera": None,
        "model": "RIE",
    }
    random = np.random.default_rng(0)
    poses, points = random.normal(size=(7, 15, 3)), random.normal(size=(7, 15, 2)).astype(np.float32)
    text = np.array(json.dumps(metadata))
    np.savez(tmp_path / "a.npz", poses_3d=poses.astype(np.float32), keypoints_2d=points, metadata=text)
    poses[3] = np.nan
    np.savez(tmp_path / "b.npz", poses_3d=poses.astype(np.float32), keypoints_2d=points, metadata=text)
    np.savez(tmp_path / "c.npz", poses_3d=poses.astype(np.float32), metadata=text)
    lines = [line.replace(f"{tmp_path}/", "") for line in check_folder(tmp_path).lines()]
    assert lines[0].startswith(
        "a.npz: predicted poses of S9/Walking 1.2 by RIE: 7 frames at 50 per second, 15 joints (humaneva_15), metres, "
        "camera frame, "
    )
    assert lines[3].startswith("error: b.npz: expected finite coordinates, found others in 1 of 7 frames"), lines
    assert lines[4].startswith("error: c.npz: expected keypoints_2d of shape")
    assert len(lines) == 6
