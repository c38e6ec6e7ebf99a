from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from liftpose.errors import LiftposeError
from liftpose.formats import find_dataset_files, read_h36m, read_predictions, write_predictions
from liftpose.inference import find_take, find_take_of_predictions, recording_of_predictions


def find(root: Path, subject: str = "S11", action: str = "Walking", camera: int = 1) -> tuple[object, str]:
    return find_take(root, "h36m", "gt", subject=subject, action=action, camera=camera)


def test_a_take_is_the_recording_that_the_reader_of_all_gives(h36m_root: Path) -> None:
    recordings = read_h36m(*find_dataset_files(h36m_root, "h36m", "gt"))
    for expected in recordings[::7]:
        take = find_take(
            h36m_root, "h36m", "gt", subject=expected.subject, action=expected.action, camera=expected.view
        )
        assert take.recording.key == expected.key
        assert take.up_axis == "z"
        np.testing.assert_array_equal(take.recording.keypoints_2d, expected.keypoints_2d)
        assert take.recording.poses_3d is not None and expected.poses_3d is not None
        np.testing.assert_array_equal(take.recording.poses_3d, expected.poses_3d)


@pytest.mark.parametrize(
    ("action", "found"),
    [("Walking", "Walking"), ("Dir", "Directions 1"), ("Sitting", "Sitting"), ("SittingD", "SittingDown 2")],
)
def test_a_beginning_is_enough_if_it_names_one_take(action: str, found: str, h36m_root: Path) -> None:
    assert find_take(h36m_root, "h36m", "gt", subject="S9", action=action, camera=0).recording.action == found


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"subject": "S99"}, "--subject: expected one of S1, S5, S6, S7, S8, S9, S11, found S99"),
        (
            {"action": "Jump"},
            "--action: expected one of S11's takes Directions 1, Sitting, SittingDown 2, Walking; found Jump",
        ),
        ({"action": "Sit"}, "--action: expected the name of one take, found Sit, which may be Sitting, SittingDown 2"),
        ({"camera": 4}, "--camera: expected one of 0, 1, 2, 3, found 4"),
        ({"camera": -1}, "--camera: expected one of 0, 1, 2, 3, found -1"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(options: dict[str, object], words: str, h36m_root: Path) -> None:
    with pytest.raises(LiftposeError) as caught:
        find(h36m_root, **options)  # type: ignore[arg-type]
    assert words in str(caught.value)


@pytest.fixture
def with_stranger(h36m_root: Path, tmp_path: Path) -> Path:
    """The data set with somebody who has keypoints only, as S2 of Human3.6M, and a take of S9 without truth."""
    content = dict(np.load(h36m_root / "data_2d_h36m_gt.npz", allow_pickle=True))
    people = content["positions_2d"].item()
    people["S2"] = {"Unlabelled 1": people["S9"]["Walking"]}
    people["S9"]["Extra"] = people["S9"]["Walking"]
    np.savez(
        tmp_path / "data_2d_h36m_gt.npz", positions_2d=np.array(people, dtype=object), metadata=content["metadata"]
    )
    (tmp_path / "data_3d_h36m.npz").symlink_to(h36m_root / "data_3d_h36m.npz")
    return tmp_path


def test_somebody_without_truth_is_shown_all_the_same(with_stranger: Path) -> None:
    recording = find_take(with_stranger, "h36m", "gt", subject="S2", action="Unlabelled", camera=2).recording
    assert recording.poses_3d is None
    assert len(recording) == 43
    assert recording.camera is not None
    assert recording.camera.t.tolist() == [0, 0, 0]
    first = find_take(with_stranger, "h36m", "gt", subject="S1", action="Walking", camera=2).recording.camera
    assert first is not None
    assert recording.camera.R.equal(first.R)
    assert recording.camera.image_size.equal(first.image_size)
    other = find_take(with_stranger, "h36m", "gt", subject="S9", action="Extra", camera=2).recording
    assert other.poses_3d is None
    assert other.camera is not None and bool(other.camera.t.any())


def test_predictions_find_their_recording(h36m_root: Path, tmp_path: Path) -> None:
    recording = find_take(h36m_root, "h36m", "gt", subject="S9", action="Walking", camera=3).recording
    poses = np.random.default_rng(0).normal(size=(len(recording), 17, 3))
    write_predictions(tmp_path / "file.npz", recording, poses, model="a model")
    predictions = read_predictions(tmp_path / "file.npz")
    found = find_take_of_predictions(h36m_root, "h36m", "gt", predictions).recording
    assert found.key == recording.key
    assert found.poses_3d is not None
    alone = recording_of_predictions(predictions)
    assert (alone.key, alone.poses_3d, alone.fps) == (recording.key, None, recording.fps)
    np.testing.assert_array_equal(alone.keypoints_2d, recording.keypoints_2d)


def test_predictions_of_another_version_of_the_data_are_refused(h36m_root: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    recording = find_take(h36m_root, "h36m", "gt", subject="S9", action="Walking", camera=3).recording
    short = replace(recording, keypoints_2d=recording.keypoints_2d[:-3], poses_3d=None)
    write_predictions(tmp_path / "file.npz", short, np.zeros((len(short), 17, 3)))
    with pytest.raises(
        LiftposeError, match=r"--predictions: expected the 43 frames of S9/Walking\.3 in --data, found 40"
    ):
        find_take_of_predictions(h36m_root, "h36m", "gt", read_predictions(tmp_path / "file.npz"))
