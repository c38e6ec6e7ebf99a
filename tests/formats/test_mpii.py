"""MPII in the layout of the field (written here by json and scipy), and its official release (written by scipy)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liftpose.errors import LiftposeError
from liftpose.formats.mpii import HEAD_SHARE, MPII_EVALUATION_NAMES, read_mpii, read_mpii_counted
from liftpose.formats.mpii_conversion import convert_mpii
from liftpose.formats.mpii_official import read_official_mpii
from liftpose.skeletons import MPII_16

PEOPLE = 6


def records(seed: int = 0) -> list[dict[str, Any]]:
    """Six people; of the third one joint is annotated, of the fourth none, of the second the right ankle is not."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(PEOPLE):
        joints = rng.integers(1, 600, (16, 2)).astype(float)
        visible = np.ones(16, int)
        if number == 1:
            visible[0] = 0
        elif number in {2, 3}:
            visible[3 - number :] = 0
        joints[visible == 0] = -1
        found.append(
            {
                "image": f"{number:09d}.jpg", "center": [300.5, 200.0], "scale": 2.0 + number,
                "joints": joints.tolist(), "joints_vis": visible.tolist(),
            }
        )  # fmt: skip
    return found


def write(root: Path, people: list[dict[str, Any]], name: str = "train") -> Path:
    (root / "images").mkdir(parents=True, exist_ok=True)
    (root / "annot").mkdir(exist_ok=True)
    (root / "annot" / f"{name}.json").write_text(json.dumps(people))
    return root


def write_truth(root: Path, people: list[dict[str, Any]], name: str = "valid", **changes: Any) -> None:
    names = np.empty((1, 16), dtype=object)
    names[0] = MPII_EVALUATION_NAMES
    boxes = np.stack([np.array([[10.0, 20.0], [10.0 + 3 * n, 20.0 + 4 * n]]) for n in range(1, len(people) + 1)], -1)
    content = {
        "dataset_joints": names,
        "jnt_missing": 1.0 - np.array([person["joints_vis"] for person in people]).T,
        "pos_gt_src": np.array([person["joints"] for person in people]).transpose(1, 2, 0),
        "headboxes_src": boxes,
    }
    scipy.io.savemat(root / "annot" / f"gt_{name}.mat", content | changes)


def test_people_have_boxes_around_their_joints(tmp_path: Path) -> None:
    people = records()
    found = read_mpii_counted(write(tmp_path, people), "train")
    images = found.images
    assert found.skipped == 2
    assert images.skeleton is MPII_16
    kept = [0, 1, 4, 5]
    assert images.files == tuple(f"images/{number:09d}.jpg" for number in kept)
    assert images.head_sizes is None
    assert images.depths is None
    for row, number in enumerate(kept):
        annotated = np.array(people[number]["joints_vis"]) > 0
        joints = np.array(people[number]["joints"])[annotated] - 1
        np.testing.assert_allclose(images.keypoints_2d[row, annotated], joints)
        assert np.isnan(images.keypoints_2d[row, ~annotated]).all()
        low, high = joints.min(0), joints.max(0)
        side = 1.25 * (high - low).max()
        np.testing.assert_allclose(images.boxes[row], [*(low + high) / 2, side, side])
    assert images.visible[1, 0] == 0
    assert images.visible.sum() == 4 * 16 - 1


def test_boxes_from_centre_and_scale(tmp_path: Path) -> None:
    images = read_mpii(write(tmp_path, records()), "train", box="scale")
    np.testing.assert_allclose(images.boxes[0], [299.5, 199 + 15 * 2, 500, 500])
    np.testing.assert_allclose(images.boxes[2], [299.5, 199 + 15 * 6, 1500, 1500])


def test_the_official_evaluation_says_what_counts(tmp_path: Path) -> None:
    people = records()
    write(tmp_path, people, "valid")
    missing = 1.0 - np.array([person["joints_vis"] for person in people]).T
    missing[5, 4] = 1
    write_truth(tmp_path, people, jnt_missing=missing)
    images = read_mpii(tmp_path, "valid")
    assert images.head_sizes is not None
    np.testing.assert_allclose(images.head_sizes, [HEAD_SHARE * 5 * n for n in (1, 2, 5, 6)])
    assert images.visible[2].tolist() == [1] * 5 + [0] + [1] * 10
    np.testing.assert_allclose(images.keypoints_2d[0], np.array(people[0]["joints"]) - 1)


def test_joints_of_the_evaluation_are_found_by_their_names(tmp_path: Path) -> None:
    people = records()
    write(tmp_path, people, "valid")
    order = np.random.default_rng(1).permutation(16)
    names = np.empty((16, 1), dtype=object)
    names[:, 0] = [MPII_EVALUATION_NAMES[joint] for joint in order]
    missing = 1.0 - np.array([person["joints_vis"] for person in people]).T
    joints = np.array([person["joints"] for person in people]).transpose(1, 2, 0)
    write_truth(tmp_path, people, dataset_joints=names, jnt_missing=missing[order], pos_gt_src=joints[order])
    straight = read_mpii(tmp_path, "valid")
    write_truth(tmp_path, people)
    np.testing.assert_array_equal(straight.keypoints_2d, read_mpii(tmp_path, "valid").keypoints_2d)


def with_entry(name: str, value: Any) -> Callable[[list[dict[str, Any]]], None]:
    def change(people: list[dict[str, Any]]) -> None:
        people[4][name] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_entry("joints", [[1, 2]] * 15), r"expected joints of shape \(16, 2\), found \(15, 2\) of person 4"),
        (with_entry("joints", [[1, 2], [3]] * 8), r"expected joints of shape \(16, 2\), found \(16, -1\) of person 4"),
        (with_entry("joints", [[1, float("nan")]] * 16), "expected finite joints, found others of person 4"),
        (with_entry("joints", [["a", 2]] * 16), "expected joints to be numbers"),
        (with_entry("joints_vis", None), r"expected joints_vis of shape \(16,\), found something else of person 4"),
        (with_entry("image", "../a.jpg"), "expected the path of picture 4 inside"),
        (lambda people: people[2].pop("image"), "expected image of person 2, found center, joints"),
        (lambda people: people.clear(), "expected a list of people, found something else"),
    ],
)
def test_records_that_do_not_fit_are_named(
    tmp_path: Path, change: Callable[[list[dict[str, Any]]], None], message: str
) -> None:
    people = records()
    change(people)
    with pytest.raises(LiftposeError, match=rf"train\.json: {message}"):
        read_mpii(write(tmp_path, people), "train")


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    people = records()
    write(tmp_path, people, "valid")
    with pytest.raises(LiftposeError, match=r"train\.json: expected annotations of MPII .* found no such file"):
        read_mpii(tmp_path, "train")
    for changes, message in (
        ({"headboxes_src": np.ones((2, 2, 5))}, "expected the 6 people of valid.json, found 5 in headboxes_src"),
        ({"pos_gt_src": np.ones((14, 2, 6))}, "expected pos_gt_src of shape"),
        ({"dataset_joints": "rank"}, "expected dataset_joints to name the 16 joints"),
        ({"headboxes_src": np.ones((2, 2, 6))}, "expected a head box with a diagonal"),
    ):
        write_truth(tmp_path, people, **changes)
        with pytest.raises(LiftposeError, match=message):
            read_mpii(tmp_path, "valid")
    write_truth(tmp_path, people)
    (tmp_path / "images").rmdir()
    with pytest.raises(
        LiftposeError, match=r"expected its pictures in .*, such as images/000000000\.jpg, found no fol"
    ):
        read_mpii(tmp_path, "valid")


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damage_gives_people_or_one_line(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = write(tmp_path_factory.getbasetemp() / "mpii", records())
    content = bytearray(json.dumps(records()).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    (root / "annot" / "train.json").write_bytes(content)
    try:
        read_mpii(root, "train")
    except LiftposeError as error:
        assert "train.json" in str(error)


# ------------------------------------------------------------------------------------------------- the official release
def structs(rows: list[dict[str, Any]]) -> np.ndarray:
    """An array of structures as scipy writes one."""
    array = np.zeros((1, len(rows)), dtype=[(name, object) for name in rows[0]])
    for number, row in enumerate(rows):
        array[0, number] = tuple(row.values())
    return array


def annotation(person: dict[str, Any], number: int) -> dict[str, Any]:
    points = [
        {"x": x, "y": y, "id": float(joint), "is_visible": np.zeros((0, 0)) if joint > 7 else 1.0}
        for joint, ((x, y), seen) in enumerate(zip(person["joints"], person["joints_vis"], strict=True))
        if seen
    ]
    center = dict(zip("xy", person["center"], strict=True))
    return {
        "x1": 10.0, "y1": 20.0, "x2": 13.0 + number, "y2": 24.0, "scale": person["scale"], "objpos": structs([center]),
        "annopoints": structs([{"point": structs(points)}]) if points else np.zeros((0, 0)),
    }  # fmt: skip


def release(people: list[dict[str, Any]]) -> dict[str, Any]:
    """Two people in each picture, then a picture without anybody, and one of the test; a video has two pictures."""
    pictures = [
        {
            "image": structs([{"name": f"{number:09d}.jpg"}]),
            "annorect": structs([annotation(people[2 * number + inner], inner) for inner in range(2)]),
            "frame_sec": np.zeros((0, 0)),
            "vididx": float(number // 2),
        }
        for number in range(len(people) // 2)
    ]
    count = len(pictures)
    pictures += [
        {**pictures[0], "image": structs([{"name": "empty.jpg"}]), "annorect": np.zeros((0, 0))},
        {**pictures[0], "image": structs([{"name": "test.jpg"}]), "annorect": structs([{"scale": 3.0}])},
    ]
    apart = np.empty((count + 2, 1), dtype=object)
    apart[:, 0] = [np.array([[1.0]]) for _ in range(count)] + [np.zeros((0, 0))] * 2
    return {
        "RELEASE": {
            "annolist": structs(pictures),
            "img_train": np.array([[1] * (count + 1) + [0]], dtype=np.uint8),
            "version": "12",
            "single_person": apart,
        }
    }


def many(count: int = 40) -> list[dict[str, Any]]:
    people = [person for seed in range(count // PEOPLE + 1) for person in records(seed)]
    return people[:count]


@pytest.fixture
def official(tmp_path: Path) -> Path:
    folder = tmp_path / "official"
    (folder / "mpii_human_pose_v1_u12_2").mkdir(parents=True)
    (folder / "images").mkdir()
    scipy.io.savemat(
        folder / "mpii_human_pose_v1_u12_2" / "mpii_human_pose_v1_u12_1.mat", release(many()), do_compression=True
    )
    return folder


def of_picture(number: int) -> list[dict[str, Any]]:
    return [person for person in many()[2 * number : 2 * number + 2] if sum(person["joints_vis"]) > 0]


def test_the_release_becomes_the_fields_files(tmp_path: Path, official: Path) -> None:
    names = [f"{number:09d}.jpg" for number in (1, 4, 7)]
    (tmp_path / "valid.txt").write_text("\n".join(names) + "\n")
    out = tmp_path / "mpii"
    report = convert_mpii(official, out, valid_list=tmp_path / "valid.txt")
    valid = json.loads((out / "annot" / "valid.json").read_text())
    train = json.loads((out / "annot" / "train.json").read_text())
    assert {record["image"] for record in valid} <= set(names)
    assert not {record["image"] for record in train} & set(names)
    expected = [person for number in (1, 4, 7) for person in of_picture(number)]
    for record, person in zip(valid, expected, strict=True):
        np.testing.assert_allclose(record["joints"], person["joints"])
        assert record["joints_vis"] == person["joints_vis"]
        assert (record["center"], record["scale"]) == (person["center"], person["scale"])
    # The evaluation's file, read by scipy as the field's programs do.
    truth = scipy.io.loadmat(out / "annot" / "gt_valid.mat")
    assert [str(name.item()) for name in truth["dataset_joints"].ravel()] == list(MPII_EVALUATION_NAMES)
    assert truth["pos_gt_src"].shape == (16, 2, len(valid))
    np.testing.assert_array_equal(truth["jnt_missing"], 1 - np.array([record["joints_vis"] for record in valid]).T)
    np.testing.assert_allclose(truth["headboxes_src"][0].T, [[10, 20]] * len(valid))
    assert read_mpii(out, "valid").head_sizes is not None
    people = [person for person in many() if sum(person["joints_vis"]) > 0]
    assert len(valid) + len(train) == len(people)
    assert (out / "images").resolve() == (official / "images").resolve()
    assert any(f"{len(many()) - len(people)} people without joints" in line for line in report.lines)
    assert any("1 pictures of the official test" in line for line in report.lines)


def test_a_share_divides_whole_videos_the_same_way_always(tmp_path: Path, official: Path) -> None:
    found = []
    for name in ("one", "two"):
        convert_mpii(official, tmp_path / name, valid_share=0.4)
        found.append(json.loads((tmp_path / name / "annot" / "valid.json").read_text()))
    assert found[0] == found[1]
    train = json.loads((tmp_path / "one" / "annot" / "train.json").read_text())
    videos = [{int(record["image"][:9]) // 2 for record in part} for part in (train, found[0])]
    assert videos[0]
    assert videos[1]
    assert not videos[0] & videos[1]


def test_people_who_stand_apart(official: Path) -> None:
    path = official / "mpii_human_pose_v1_u12_2" / "mpii_human_pose_v1_u12_1.mat"
    everybody, apart = read_official_mpii(path), read_official_mpii(path, separated=True)
    firsts = [person for person in many()[::2] if sum(person["joints_vis"]) > 0]
    assert len(apart.people.files) == len(firsts) < len(everybody.people.files)
    np.testing.assert_allclose(apart.people.scales, [person["scale"] for person in firsts])


def test_lists_and_shares_that_do_not_fit(tmp_path: Path, official: Path) -> None:
    listed = tmp_path / "valid.txt"
    for text, message in (
        ("a.jpg\n", r"valid\.txt: expected names of pictures of the release .* found 'a.jpg'"),
        ("test.jpg\n", r"valid\.txt: expected names of pictures of the release that are not in its test"),
        ("empty.jpg\n", "expected people to train on and others to validate on, found 0 of"),
        ("\n", "expected a list of names of pictures, found none"),
    ):
        listed.write_text(text)
        with pytest.raises(LiftposeError, match=message):
            convert_mpii(official, tmp_path / "out", valid_list=listed)
    for share in (0.0, 1.0, float("nan")):
        with pytest.raises(LiftposeError, match="--valid-share: expected a share above 0 and below 1"):
            convert_mpii(official, tmp_path / "out", valid_share=share)
    with pytest.raises(LiftposeError, match="expected either --valid-list or --valid-share, found both"):
        convert_mpii(official, tmp_path / "out", valid_list=listed, valid_share=0.5)
    with pytest.raises(LiftposeError, match=r"expected the release .* found no such folder"):
        convert_mpii(tmp_path / "none", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_files_that_are_there_stay(tmp_path: Path, official: Path) -> None:
    convert_mpii(official, tmp_path / "out", valid_share=0.4)
    with pytest.raises(LiftposeError, match=r"expected no such file, found one \(--overwrite replaces it\)"):
        convert_mpii(official, tmp_path / "out", valid_share=0.4)
    convert_mpii(official, tmp_path / "out", valid_share=0.4, overwrite=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"annolist": 3.0}, "expected structures as annolist in picture 1 of RELEASE, found an array"),
        ({"img_train": np.ones((1, 3))}, "expected 22 numbers as img_train"),
        ({"annolist": None}, "expected a field annolist in picture 1 of RELEASE, found the fields img_train"),
    ],
)
def test_another_release_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    content = release(many())
    content["RELEASE"] |= change
    content["RELEASE"] = {name: value for name, value in content["RELEASE"].items() if value is not None}
    scipy.io.savemat(tmp_path / "a.mat", content)
    with pytest.raises(LiftposeError, match=message):
        read_official_mpii(tmp_path / "a.mat")


def test_a_joint_of_another_number_is_named(tmp_path: Path) -> None:
    content = release(many(4))
    rect = content["RELEASE"]["annolist"][0, 1]["annorect"]
    rect[0, 1]["annopoints"] = structs([{"point": structs([{"x": 1.0, "y": 2.0, "id": 16.0}])}])
    scipy.io.savemat(tmp_path / "a.mat", content)
    message = r"expected ids of joints from 0 to 15 in picture 2 of RELEASE, found 16"
    with pytest.raises(LiftposeError, match=message):
        read_official_mpii(tmp_path / "a.mat")


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_damaged_release_gives_people_or_one_line(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    whole = folder / "release.mat"
    if not whole.exists():
        scipy.io.savemat(whole, release(many(4)))
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(128, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "damaged_release.mat").write_bytes(content)
    try:
        read_official_mpii(folder / "damaged_release.mat")
    except LiftposeError as error:
        assert "damaged_release.mat" in str(error)
