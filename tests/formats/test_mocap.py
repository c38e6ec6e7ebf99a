from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import liftpose.formats.mocap as mocap_module
from liftpose.errors import LiftposeError
from liftpose.formats.asf_amc import read_amc, read_asf
from liftpose.formats.h36m import read_h36m
from liftpose.formats.mocap import convert_mocap, read_clip
from liftpose.formats.mocap_description import read_collection
from liftpose.formats.mocap_report import MocapReport
from liftpose.geometry import h36m_cameras
from liftpose.skeletons import H36M_17

Array = np.ndarray
ROOT = Path(__file__).parents[2]

# A figure in centimetres, y up, facing +z, so that left is at +x: (name, parent, offset).
FIGURE = [
    ("Hips", None, (0, 0, 0)),
    ("LeftUpLeg", "Hips", (10, -10, 0)),
    ("LeftLeg", "LeftUpLeg", (0, -40, 0)),
    ("LeftFoot", "LeftLeg", (0, -40, 0)),
    ("RightUpLeg", "Hips", (-10, -10, 0)),
    ("RightLeg", "RightUpLeg", (0, -40, 0)),
    ("RightFoot", "RightLeg", (0, -40, 0)),
    ("Spine", "Hips", (0, 15, 0)),
    ("Neck", "Spine", (0, 25, 0)),
    ("Head", "Neck", (0, 20, 0)),
    ("Head/end", "Head", (0, 15, 0)),
    ("LeftArm", "Neck", (18, 0, 0)),
    ("LeftForeArm", "LeftArm", (28, 0, 0)),
    ("LeftHand", "LeftForeArm", (25, 0, 0)),
    ("RightArm", "Neck", (-18, 0, 0)),
    ("RightForeArm", "RightArm", (-28, 0, 0)),
    ("RightHand", "RightForeArm", (-25, 0, 0)),
]

# The same at rest by hand: metres, z up, the hips 1 m above the floor, facing -y.
REST = {
    "pelvis": (0, 0, 0.9), "left_hip": (0.1, 0, 0.9), "left_knee": (0.1, 0, 0.5), "left_ankle": (0.1, 0, 0.1),
    "right_hip": (-0.1, 0, 0.9), "right_knee": (-0.1, 0, 0.5), "right_ankle": (-0.1, 0, 0.1),
    "spine": (0, 0, 1.15), "thorax": (0, 0, 1.4), "neck": (0, 0, 1.5), "head": (0, 0, 1.75),
    "left_shoulder": (0.18, 0, 1.4), "left_elbow": (0.46, 0, 1.4), "left_wrist": (0.71, 0, 1.4),
    "right_shoulder": (-0.18, 0, 1.4), "right_elbow": (-0.46, 0, 1.4), "right_wrist": (-0.71, 0, 1.4),
}  # fmt: skip


def bvh(positions: Array, fps: float = 100.0) -> str:
    """The figure, stiff, with its hips at ``positions`` (frames, 3), centimetres."""
    lines = ["HIERARCHY"]

    def node(name: str, indent: str) -> None:
        offset = next(offset for other, _, offset in FIGURE if other == name)
        lines.append(
            f"{indent}End Site" if name.endswith("/end") else f"{indent}{'JOINT' if indent else 'ROOT'} {name}"
        )
        lines.append(f"{indent}{{")
        lines.append(f"{indent} OFFSET {' '.join(map(str, offset))}")
        if not name.endswith("/end"):
            place = "6 Xposition Yposition Zposition" if not indent else "3"
            lines.append(f"{indent} CHANNELS {place} Zrotation Xrotation Yrotation")
        for child, parent, _ in FIGURE:
            if parent == name:
                node(child, indent + " ")
        lines.append(f"{indent}}}")

    node("Hips", "")
    zeros = "0 " * 3 * sum(not name.endswith("/end") for name, _, _ in FIGURE)
    lines += ["MOTION", f"Frames: {len(positions)}", f"Frame Time: {1 / fps:.7f}"]
    lines += [f"{x} {y} {z} {zeros}" for x, y, z in positions]
    return "\n".join(lines) + "\n"


def still(frames: int = 101) -> Array:
    return np.tile([300.0, 100.0, -200.0], (frames, 1))


def walk(metres: float, frames: int = 401) -> Array:
    positions = still(frames)
    positions[:, 2] += np.linspace(0, 100 * metres, frames)
    return positions


def example() -> dict[str, Any]:
    """The description in the documentation."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "mocap.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    content: dict[str, Any] = yaml.safe_load(blocks[0])
    return content


def anybody() -> dict[str, Any]:
    """The same for whoever is in the files."""
    content = example()
    del content["same_side"]
    return content


def folder(tmp_path: Path, files: dict[str, str], description: Any = None) -> Path:
    directory = tmp_path / "mocap"
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")
    (directory / "mocap.yaml").write_text(
        yaml.safe_dump(anybody() if description is None else description), encoding="utf-8"
    )
    return directory


def first_rule(**changes: Any) -> dict[str, Any]:
    content = anybody()
    content["clips"][0].update(changes)
    return content


def pixels_by_hand(points: Array, subject: str, view: int) -> Array:
    """Projection by the formulas of the Human3.6M authors, in numpy."""
    camera = h36m_cameras(subject, torch.float64)[view]
    seen = points @ camera.R.numpy().T + camera.t.numpy()
    x, y = np.moveaxis(seen[..., :2] / seen[..., 2:], -1, 0)
    k1, k2, k3, t0, t1 = camera.distortion.numpy()
    r2 = x**2 + y**2
    factor = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + t0 * x + t1 * y
    focal, centre = camera.intrinsics.numpy().diagonal()[:2], camera.intrinsics.numpy()[:2, 2]
    return np.stack([x * factor + t0 * r2, y * factor + t1 * r2], axis=-1) * focal + centre


def test_the_example_of_the_documentation_makes_a_data_set(tmp_path: Path) -> None:
    files = {
        "anna_walk_01.bvh": bvh(walk(1)),
        "sub/ben_walk_02.bvh": bvh(walk(12)),
        "carla_stand up_1.bvh": bvh(still(31), fps=30),
    }
    calls: list[tuple[int, int, str]] = []
    report = convert_mocap(
        folder(tmp_path, files, example()), tmp_path / "out", "studio", progress=lambda *call: calls.append(call)
    )

    assert calls == [
        (0, 3, "anna_walk_01.bvh"),
        (1, 3, "sub/ben_walk_02.bvh"),
        (2, 3, "carla_stand up_1.bvh"),
        (3, 3, ""),
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in report.files)
    recordings = read_h36m(tmp_path / "out" / "data_3d_studio.npz", tmp_path / "out" / "data_2d_studio_gt.npz")
    by_name = {recording.name: recording for recording in recordings}
    assert {"anna/Walk 01.0", "ben/Walk 02.1.3", "ben/Walk 02.2.0", "carla/StandUp 1.2"} <= set(by_name)

    # 401 frames at 100 Hz, one of which is left out: 200 at 50 Hz. 31 at 30 Hz: 50 in (0, 29/30 s).
    assert len(by_name["anna/Walk 01.0"]) == 200
    assert len(by_name["carla/StandUp 1.0"]) == 49
    assert {recording.fps for recording in recordings} == {50}
    assert report.source_frames == 400 + 400 + 30
    assert report.frames == report.kept == 200 + 200 + 49
    assert report.seen == report.pairs == 4 * report.kept
    assert report.clips == 3
    assert report.whole == 2

    # Anna is the first: her heading stays. Heights stay, left stays left, and she walks towards -y.
    anna = by_name["anna/Walk 01.0"].poses_3d
    rest = np.array([REST[name] for name in H36M_17.joint_names])
    np.testing.assert_allclose(anna[0] - anna[0, 0] * [1, 1, 0], rest, atol=1e-5)
    np.testing.assert_allclose(anna[-1, 0] - anna[0, 0], [0, -100 * 199 / 200 / 100 * 400 / 400, 0], atol=0.01)

    # Ben is in pieces, turned, but his walk is all there.
    ben = [piece for piece in report.pieces if piece.subject == "ben"]
    assert len(ben) > 1
    assert [piece.start for piece in ben] == list(np.cumsum([0, *[piece.frames for piece in ben[:-1]]]))
    step = np.diff(by_name["ben/Walk 02.1.0"].poses_3d[:, 0], axis=0)
    np.testing.assert_allclose(np.linalg.norm(step, axis=1), 12 / 400 * 2, rtol=1e-3)

    for recording in recordings:
        expected = pixels_by_hand(recording.poses_3d.astype(np.float64), "S1", recording.view)
        np.testing.assert_allclose(recording.keypoints_2d, expected, atol=1e-3)
        assert 0 <= recording.keypoints_2d.min() <= recording.keypoints_2d.max() <= 1000

    info = json.loads((tmp_path / "out" / "data_3d_studio.json").read_text())
    assert info["licence"] == "CC BY 4.0"
    assert info["up_axis"] == "z"
    assert info["fps"] == 50
    assert sorted(person for side in info["splits"].values() for person in side) == ["anna", "ben", "carla"]
    assert sum({"anna", "ben"} <= set(side) for side in info["splits"].values()) == 1
    assert {note["file"] for note in info["notes"]["recordings"]} == set(files)


def test_options_change_rate_cameras_heading_and_split(tmp_path: Path) -> None:
    files = {f"{name}_walk_1.bvh": bvh(still()) for name in ("anna", "ben", "07", "38")}
    content = first_rule()
    content["same_side"] = [["07", "38"]]
    directory = folder(tmp_path, files, content)
    convert_mocap(
        directory, tmp_path, "x", cameras="S9", fps=25, heading_step=0, validation=["anna"], test=["07", "S38"]
    )
    recordings = read_h36m(tmp_path / "data_3d_x.npz", tmp_path / "data_2d_x_gt.npz")
    info = json.loads((tmp_path / "data_3d_x.json").read_text())
    assert info["splits"] == {"train": ["ben"], "validation": ["anna"], "test": ["S07", "S38"]}
    for recording in recordings:
        assert recording.fps == 25
        assert len(recording) == 25
        facing = np.cross(recording.poses_3d[0, 4] - recording.poses_3d[0, 1], [0, 0, 1])
        np.testing.assert_allclose(facing, [0, -0.2, 0], atol=1e-6)
        np.testing.assert_allclose(
            recording.keypoints_2d,
            pixels_by_hand(recording.poses_3d.astype(np.float64), "S9", recording.view),
            atol=1e-3,
        )
    with pytest.raises(LiftposeError, match="expected S07 and S38 on one side"):
        convert_mocap(directory, tmp_path, "x", test=["07"])


def test_headings_are_spread_over_the_circle(tmp_path: Path) -> None:
    directory = folder(tmp_path, {f"anna_walk_{i}.bvh": bvh(still(11)) for i in range(8)})
    report = convert_mocap(directory, tmp_path, "x")
    headings = np.sort([piece.heading for piece in report.pieces])
    gaps = np.diff(np.append(headings, headings[0] + 360))
    assert gaps.max() < 2 * 360 / 8


def camera_file(tmp_path: Path, height: float) -> Path:
    """Two cameras 6 m from the origin on either side, level, the given height above the floor, 53 degrees of view."""
    cameras = []
    for side in (1, -1):
        rotation = np.array([[side, 0, 0], [0, 0, -1], [0, side, 0]])
        centre = np.array([0, -6 * side, height])
        cameras.append(
            {
                "R": rotation.tolist(),
                "t": (-rotation @ centre).tolist(),
                "intrinsics": [[800, 0, 399.5], [0, 800, 399.5], [0, 0, 1]],
                "distortion": [],
                "distortion_model": "none",
                "image_size": [800, 800],
            }
        )
    path = tmp_path / "cameras.json"
    path.write_text(json.dumps(cameras))
    return path


def test_a_wrong_unit_shows_in_the_report(tmp_path: Path) -> None:
    for unit, end in ((0.01, "% of the frames"), (0.001, "expected 0.5 to 1.2 m: look at `unit`")):
        directory = folder(tmp_path, {"anna_walk_1.bvh": bvh(still(50))}, first_rule(unit=unit))
        line = next(line for line in convert_mocap(directory, tmp_path, "x").lines() if line.startswith("people:"))
        assert line.endswith(end)


def test_people_who_lie_upside_down_show_in_the_report() -> None:
    joints = np.zeros((4, 17, 3))
    joints[:, 10, 2] = [0.6, -0.6, -0.6, -0.6]  # the head
    joints[:, 2, 2], joints[:, 3, 2] = -0.4, -0.8  # right knee and ankle
    report = MocapReport(fps=50, frames=4)
    report.add_people(joints)
    assert report.people_line() == (
        "people: legs of 0.80 m from hip to ankle, head above the pelvis in 25 % of the frames; "
        "expected above in 50 % or more: look at `up`"
    )


def test_frames_that_no_camera_sees_are_cut_and_the_rest_is_parted_there(tmp_path: Path) -> None:
    jump = still(202)
    jump[101:151, 1] += 350  # three and a half metres up for half a second
    directory = folder(tmp_path, {"anna_jump_1.bvh": bvh(jump)})
    report = convert_mocap(directory, tmp_path, "x", cameras=str(camera_file(tmp_path, 1.0)))
    # Without the first frame 201 at 100 Hz are 101 at 50 Hz.
    assert report.frames == 101
    assert report.unseen == 25
    assert report.invalid == report.short == 0
    assert [(piece.action, piece.start, piece.frames) for piece in report.pieces] == [
        ("Jump 1.1", 0, 50),
        ("Jump 1.2", 75, 26),
    ]
    assert "cut: 25 frames (25 seen by no camera" in "\n".join(report.lines())
    shift = np.hypot(*report.pieces[0].shift)
    assert f"re-centred: every recording, {shift:.2f} m on the ground in the median" in "\n".join(report.lines())


def test_nobody_behind_a_camera_gets_into_the_2d_file(tmp_path: Path) -> None:
    # A walk so wide that the figure cannot be before both cameras: 14 m tall.
    directory = folder(tmp_path, {"anna_walk_1.bvh": bvh(walk(1))}, first_rule(unit=0.08))
    with pytest.raises(LiftposeError, match="expected frames that a camera sees, found none in 1 clips"):
        convert_mocap(directory, tmp_path / "out", "x", cameras=str(camera_file(tmp_path, 1.0)))
    assert not (tmp_path / "out").exists()


def test_presets_can_be_corrected_by_a_rule(tmp_path: Path) -> None:
    directory = folder(
        tmp_path,
        {"07_1.bvh": bvh(still())},
        {"clips": [{"files": "*.bvh", "preset": "cmu_bvh", "offsets": {"Neck": [0, 2, 0]}}]},
    )
    (clip,) = read_collection(directory).clips
    assert clip.subject == "S07"
    assert clip.activity == "Motion"
    assert clip.unit == pytest.approx(0.0254 / 0.45)
    assert clip.offsets["Neck"].vector == (0, 2, 0)
    assert clip.offsets["LeftFingerBase"].of == "LeftHand"
    with pytest.raises(LiftposeError, match="expected one node called 'LeftFingerBase'"):
        read_clip(clip)


def test_offsets_are_corrected_by_vectors_and_by_multiples(tmp_path: Path) -> None:
    offsets = {"Head": [0, 30, 0], "LeftHand": {"of": "LeftForeArm", "times": 0.5}}
    (clip,) = read_collection(folder(tmp_path, {"a_b_1.bvh": bvh(still())}, first_rule(offsets=offsets))).clips
    joints, fps = read_clip(clip)
    assert fps == 100
    names = H36M_17.joint_names
    assert joints[0, names.index("head"), 1] == pytest.approx(1.85)
    assert joints[0, names.index("left_wrist"), 0] - joints[0, names.index("left_elbow"), 0] == pytest.approx(0.14)


JOINTS = example()["clips"][0]["joints"]


def without(key: str) -> dict[str, Any]:
    content = anybody()
    del content["clips"][0][key]
    return content


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ([], r"mocap\.yaml: expected a mapping with keys out of .*, found list"),
        ({"clip": []}, r"mocap\.yaml: expected keys out of clips, .*, found clip"),
        ({"clips": []}, r"mocap\.yaml, clips: expected a list of at least one rule, found \[\]"),
        (first_rule(units=1), r"clips\[0\]: expected keys out of .*, found units"),
        (first_rule(files="../*.bvh"), r"files: expected a pattern .* inside the folder"),
        (first_rule(files="*.fbx"), r"files: expected '\*\.fbx' to match files in .*, found none"),
        (first_rule(files="mocap.yaml"), r"expected a file called \.bvh, .*, found mocap\.yaml"),
        (first_rule(preset="mixamo"), r"preset: expected one of cmu_bvh, cmu_asf_amc, cmu_bvh_daz, found 'mixamo'"),
        (without("unit"), r"unit: expected the metres in one unit of the file, a number above 0, found None"),
        (first_rule(unit=-1), r"unit: .* found -1"),
        (first_rule(up="up"), r"up: expected one of x, y, z, found 'up'"),
        (first_rule(skip=1.5), r"skip: expected a whole number from 0, found 1\.5"),
        (first_rule(skip=500), r"a_b_1\.bvh: expected some frames after the first 500, found 0"),
        (first_rule(frames=7), r"a_b_1\.bvh: expected 7 frames after the first 1, found 100"),
        (first_rule(retargeted="no"), r"retargeted: expected true or false, found 'no'"),
        (first_rule(joints={"pelvis": "Hips"}), r"joints: expected nodes for each of .*missing or unknown: head"),
        (first_rule(joints={**JOINTS, "head": []}), r"joints\.head: expected the name of a node"),
        (first_rule(joints={**JOINTS, "head": "Nose"}), r"expected one node called 'Nose', found only Hips"),
        (first_rule(offsets={"Neck": [1, 2]}), r"offsets\.Neck: expected \[x, y, z\] or"),
        (first_rule(name="{person}"), r"name: expected a pattern of {subject}, {activity} and {trial}"),
        (first_rule(name="{subject}-{trial}"), r"expected a subject, .* like {subject}-{trial}, found a_b_1"),
        (example(), r"mocap\.yaml, same_side: expected some of a, found anna, ben"),
        ({**example(), "same_side": [["a", "Zoë B."]]}, r"same_side: expected some of a, found ZoB"),
        (first_rule(subject=8), r"a_b_1\.bvh, subject: expected text, in quotes .*, found 8"),
        (first_rule(activity=True), r"a_b_1\.bvh, activity: expected text, in quotes .*, found True"),
        (first_rule(trial=8), r"a_b_1\.bvh, trial: expected text, in quotes .*, found 8"),
        (first_rule(subject=None), r"a_b_1\.bvh, subject: expected text, in quotes .*, found None"),
        (first_rule(skeleton="../a.asf"), r"skeleton: expected a path inside the folder .*, found '\.\./a\.asf'"),
        (first_rule(skeleton="/etc/passwd"), r"skeleton: expected a path inside the folder .*, found '/etc/passwd'"),
        (
            first_rule(skeleton="{subject}.asf", subject="../a"),
            r"skeleton: expected a path inside .*, found '\.\./a\.asf'",
        ),
        (first_rule(skeleton="a\0b"), r"skeleton: expected a path inside the folder"),
        (first_rule(skeleton=7), r"skeleton: expected text, in quotes"),
        ({**example(), "same_side": ["ab"]}, r"same_side: expected a list of subjects in quotes"),
        ({**anybody(), "split": {"test": [7]}}, r"split\.test: expected a list of subjects in quotes, .*found \[7\]"),
        ({**anybody(), "split": {"tests": []}}, r"split: expected keys out of test, validation, found tests"),
        ({**anybody(), "split": {"test": ["zoe"]}}, r"test subjects: expected some of a, found zoe"),
        ({**first_rule(retargeted=True), "split": {"test": ["a"]}}, r"people with a body of their own, found a"),
    ],
)  # fmt: skip
def test_a_wrong_description_is_told_in_one_line_and_nothing_is_written(
    tmp_path: Path, description: Any, message: str
) -> None:
    directory = folder(tmp_path, {"a_b_1.bvh": bvh(still())}, description)
    with pytest.raises(LiftposeError, match=message) as caught:
        convert_mocap(directory, tmp_path / "out", "x")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject: 010", "subject: expected text, in quotes .*, found 8"),
        ("subject: no", "subject: expected text, in quotes .*, found False"),
        ("activity: yes", "activity: expected text, in quotes .*, found True"),
        ("trial: 1_0", "trial: expected text, in quotes .*, found 10"),
    ],
)
def test_what_yaml_would_change_is_refused_and_quotes_help(tmp_path: Path, text: str, message: str) -> None:
    key, value = text.split(": ")
    directory = folder(tmp_path, {"a_b_1.bvh": bvh(still())})
    description = directory / "mocap.yaml"
    plain = yaml.safe_dump({k: v for k, v in anybody().items() if k != "clips"})
    rules = yaml.safe_dump({"clips": anybody()["clips"]}) + f"- files: '*.bvh'\n  {key}: "
    description.write_text(plain + rules + value + "\n", encoding="utf-8")
    with pytest.raises(LiftposeError, match=message):
        read_collection(directory)
    description.write_text(f'{plain}{rules}"{value}"\n', encoding="utf-8")
    (clip,) = read_collection(directory).clips
    expected = {"010": "S010", "no": "no", "yes": "Yes", "1_0": "1_0"}[value]
    assert getattr(clip, key) == expected


def test_broken_yaml_is_told_in_one_line(tmp_path: Path) -> None:
    directory = folder(tmp_path, {"a_b_1.bvh": bvh(still())})
    (directory / "mocap.yaml").write_text("clips: [\nfiles: {", encoding="utf-8")
    with pytest.raises(LiftposeError, match=r"mocap\.yaml: expected YAML or JSON, found: while parsing") as caught:
        read_collection(directory)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("one", "other"), [("Anna K.", "AnnaK"), ("02", "S02")])
def test_two_people_do_not_become_one(tmp_path: Path, one: str, other: str) -> None:
    directory = folder(tmp_path, {f"{one}_walk_1.bvh": bvh(still()), f"{other}_walk_2.bvh": bvh(still())})
    with pytest.raises(LiftposeError, match="one name for each person") as caught:
        read_collection(directory)
    assert repr(one) in str(caught.value)
    assert repr(other) in str(caught.value)
    # One person under two spellings is named by the description.
    content = anybody()
    content["clips"].append({"files": "*.bvh", "subject": one})
    collection = read_collection(folder(tmp_path, {}, content))
    assert len({clip.subject for clip in collection.clips}) == 1


def manifest(directory: Path, **changes: str) -> None:
    row = {"file": "01_1.bvh", "subject": "01", "trial": "1", "activity": "walk", "frames": "100", "fps": "120"}
    row |= {"format": "bvh", "skip": "1", "skeleton": "", "thorax_x": "0", "thorax_y": "1", "thorax_z": "0", **changes}
    directory.mkdir(exist_ok=True)
    with (directory / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row)
        writer.writeheader()
        writer.writerow(row)


def test_the_manifest_of_a_part_of_the_cmu_clips_need_not_have_everybody(tmp_path: Path) -> None:
    manifest(tmp_path)
    collection = read_collection(tmp_path)
    assert [(clip.subject, clip.given_subject) for clip in collection.clips] == [("S01", "01")]
    assert ("S07", "S38") in collection.same_side


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file": "../a.bvh"}, r"line 2, file: expected a path inside the folder .*, found '\.\./a\.bvh'"),
        ({"file": "/home/a.bvh"}, r"line 2, file: expected a path inside the folder .*, found '/home/a\.bvh'"),
        ({"file": "link/a.bvh"}, r"line 2, file: expected a path inside the folder .*, found 'link/a\.bvh'"),
        ({"file": "loop/a.bvh"}, r"line 2, file: expected a path inside the folder .*, found 'loop/a\.bvh'"),
        (
            {"file": "01_1.amc", "format": "asf/amc", "skeleton": "x/../../01.asf"},
            r"line 2, skeleton: expected a path inside the folder .*, found 'x/\.\./\.\./01\.asf'",
        ),
    ],
)
def test_a_manifest_names_nothing_outside_its_folder(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.bvh").write_text(bvh(still()))
    manifest(tmp_path / "cmu", **changes)
    (tmp_path / "cmu" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "cmu" / "loop").symlink_to(tmp_path / "cmu" / "loop")
    with pytest.raises(LiftposeError, match=message) as caught:
        read_collection(tmp_path / "cmu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "h36m"}, r"--name: expected letters, .* found 'h36m'"),
        ({"name": "../x"}, r"--name: expected letters, .* found '\.\./x'"),
        ({"fps": 0.0}, r"--fps: expected a number above 0, found 0"),
        ({"cameras": "S2"}, r"--cameras: expected one of S1, .* or a JSON file, found 'S2'"),
        ({"cameras": __file__}, r"test_mocap\.py: expected JSON, found"),
        ({"description": Path("none.yaml")}, r"none\.yaml: expected a readable text file, found: No such file"),
    ],
)
def test_a_wrong_option_is_told(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    directory = folder(tmp_path, {"a_b_1.bvh": bvh(still())})
    with pytest.raises(LiftposeError, match=message):
        convert_mocap(directory, tmp_path / "out", **{"name": "x", **options})


def test_folders_without_a_description_and_missing_folders_are_told(tmp_path: Path) -> None:
    with pytest.raises(
        LiftposeError, match=r"expected a description \(mocap\.yaml, .*\), a manifest\.csv .*found none of them"
    ):
        convert_mocap(tmp_path, tmp_path / "out")
    with pytest.raises(LiftposeError, match="expected a folder with motion capture, found nothing"):
        convert_mocap(tmp_path / "none", tmp_path / "out")
    (tmp_path / "manifest.csv").write_text("file,subject\na.bvh,1\n")
    with pytest.raises(
        LiftposeError, match=r"manifest\.csv: expected a table with the columns .*found none called trial, activity"
    ):
        convert_mocap(tmp_path, tmp_path / "out")


def test_two_clips_of_one_name_are_told(tmp_path: Path) -> None:
    directory = folder(tmp_path, {"a_b_1.bvh": bvh(still()), "again/a_b_1.bvh": bvh(still())})
    with pytest.raises(LiftposeError, match="expected one clip of a called 'B 1', found two"):
        convert_mocap(directory, tmp_path / "out", "x")


def test_every_reference_joint_of_the_cmu_clips_is_met(reference: Path) -> None:
    cmu = reference / "data_real" / "cmu"
    expected: dict[str, dict[int, Array]] = {}
    with (cmu / "reference_joints.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            frames = expected.setdefault(row["file"], {})
            joint = frames.setdefault(int(row["frame"]), np.full((17, 3), np.nan))[int(row["joint_index"])]
            joint[:] = [float(row[column]) for column in ("x_m", "y_m", "z_m")]
    clips = {clip.file: clip for clip in read_collection(cmu).clips}
    assert len(clips) == 147
    assert len(expected) == 11
    for name, frames in expected.items():
        joints, _ = read_clip(clips[name])
        for frame, truth in frames.items():
            # The table has five digits.
            np.testing.assert_allclose(joints[frame], truth, rtol=0, atol=6e-6, err_msg=f"{name} frame {frame}")


def test_the_corrected_bvh_agrees_with_the_original_recording(reference: Path) -> None:
    cmu = reference / "data_real" / "cmu"
    clips = {clip.file: clip for clip in read_collection(cmu).clips}
    converted, fps = read_clip(clips["bvh/05_13.bvh.xz"])
    original = read_amc(cmu / "reference" / "05_13.amc.xz", read_asf(cmu / "skeletons" / "05.asf"))
    joints = clips["amc/16_24.amc.xz"].joints
    nodes = original.positions() * 0.0254 / 0.45
    truth = np.stack([nodes[:, [original.index(name) for name in names]].mean(axis=1) for names in joints], axis=1)
    assert fps == 120
    assert np.abs(converted - truth).max() < 1e-5


def test_the_cmu_manifest_is_a_description(reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cmu = reference / "data_real" / "cmu"
    collection = read_collection(cmu)
    by_file = {clip.file: clip for clip in collection.clips}
    assert by_file["bvh_daz/60_01.bvh.xz"].fps == 60
    assert {clip.subject for clip in collection.clips if clip.retargeted} == {"S60", "S61", "S135"}
    assert {("S07", "S38"), ("S08", "S39")} <= set(collection.same_side)
    # One clip of each format, the whole way: a walk, an original recording and a dance on the other figure.
    chosen = ("bvh/02_01.bvh.xz", "amc/39_01.amc.xz", "bvh_daz/61_10.bvh.xz", "bvh/06_14.bvh.xz")
    split = {"validation": ("S06",), "test": ("S02", "S39")}
    subset = replace(collection, clips=tuple(by_file[file] for file in chosen), split=split)
    monkeypatch.setattr(mocap_module, "read_collection", lambda *_: subset)
    report = convert_mocap(cmu, tmp_path, "cmu")
    assert report.source_frames == 343 + 378 + 1188 + 479
    assert report.kept == report.frames
    for recording in read_h36m(tmp_path / "data_3d_cmu.npz", tmp_path / "data_2d_cmu_gt.npz"):
        pose = recording.poses_3d
        heights = pose[..., 2]
        assert -0.1 < heights.min(axis=1).max() < 0.4
        assert 1.45 < np.median(heights[:, 10]) < 1.75
        # People walk the way they face.
        if recording.action_group == "Walk":
            facing = np.cross(pose[:-1, 4] - pose[:-1, 1], [0, 0, 1])
            assert (np.sum(facing * np.diff(pose[:, 0], axis=0), axis=1) > 0).all()
    info = json.loads((tmp_path / "data_3d_cmu.json").read_text())
    assert info["splits"] == {"train": ["S61"], "validation": ["S06"], "test": ["S02", "S39"]}
    assert "NSF EIA-0196217" in info["notes"]["credit"]
    assert [note["retargeted"] for note in info["notes"]["recordings"]].count(True) == 1
