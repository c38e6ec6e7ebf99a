"""Selections against the published rules and the golden numbers of the public code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftpose.data import Recording, downsample, select_actions, subset
from liftpose.data.selection import displaced_frames, hashed_integer, keep_displaced, subset_range
from liftpose.errors import LiftposeError
from liftpose.skeletons import H36M_17


def recording(action: str = "Walking", subject: str = "S1", frames: int = 57) -> Recording:
    """A recording whose every coordinate is the number of its frame."""
    number = np.arange(frames, dtype=np.float32)[:, None, None]
    return Recording(
        subject=subject,
        action=action,
        view=0,
        skeleton=H36M_17,
        fps=50.0,
        keypoints_2d=np.broadcast_to(number, (frames, 17, 2)),
        poses_3d=np.broadcast_to(number, (frames, 17, 3)),
        confidence=np.broadcast_to(number[..., 0], (frames, 17)),
    )


ACTIONS = ("Sitting", "Sitting 1", "SittingDown", "Walking 1", "WalkDog", "WalkTogether 2", "Photo")


@pytest.mark.parametrize(
    ("names", "exact", "expected"),
    [
        (None, False, ACTIONS),
        (["Sitting"], False, ("Sitting", "Sitting 1", "SittingDown")),
        (["Walk"], False, ("Walking 1", "WalkDog", "WalkTogether 2")),
        (["Photo", "Sitting 1"], False, ("Sitting 1", "Photo")),
        (["Sitting"], True, ("Sitting", "Sitting 1")),
        (["Sitting 1"], True, ("Sitting 1",)),
        (["Walking"], True, ("Walking 1",)),
    ],
)
def test_actions(names: list[str] | None, exact: bool, expected: tuple[str, ...]) -> None:
    found = select_actions([recording(action) for action in ACTIONS], names, exact=exact)
    assert tuple(r.action for r in found) == expected


@pytest.mark.parametrize(("names", "exact"), [(["Sitting", "Jog"], False), (["Jog"], True), (["Walk", "Jog"], False)])
def test_unknown_actions(names: list[str], exact: bool) -> None:
    with pytest.raises(LiftposeError, match=r"expected some of Sitting, SittingDown, Walking, .*, found Jog$"):
        select_actions([recording(action) for action in ACTIONS], names, exact=exact)


def test_no_action_at_all() -> None:
    with pytest.raises(LiftposeError, match="expected at least one recording, found none"):
        select_actions([recording()], [])


def frames_of(part: Recording) -> list[float]:
    assert part.poses_3d is not None and part.confidence is not None
    np.testing.assert_array_equal(part.poses_3d[:, 3, 1], part.keypoints_2d[:, 0, 0])
    np.testing.assert_array_equal(part.confidence[:, 3], part.keypoints_2d[:, 0, 0])
    return list(part.keypoints_2d[:, 0, 0])


def test_downsample() -> None:
    part = downsample(recording(frames=10), 3)
    assert frames_of(part) == [0, 3, 6, 9]
    assert part.fps == pytest.approx(50 / 3)
    with pytest.raises(LiftposeError, match="at least 1, found 0"):
        downsample(recording(), 0)


def test_subset_is_the_published_one(reference: Path) -> None:
    with np.load(reference / "golden" / "rie" / "subset.npz") as golden:
        columns = list(golden["subset_columns"])
        assert columns == ["length", "stride", "subset", "n_frames", "start", "result_length"]
        for length, k, fraction, n_frames, start, result_length in golden["subset_table"].tolist():
            assert subset_range(int(length), fraction, int(k)) == (start, n_frames)
            part = subset(recording(frames=int(length)), fraction, int(k))
            assert frames_of(part) == list(range(int(start), int(start + n_frames), int(k)))
            assert len(part) == result_length
            assert part.fps == 50 / k
        for text, (low, high, result) in zip(golden["raw_strings"], golden["raw_values"].tolist(), strict=True):
            assert hashed_integer(low, high, str(text)) == result


def test_the_hash_by_hand() -> None:
    """SHA-256("abc") starts with ba 78 16 bf (FIPS 180-2, appendix B.1)."""
    assert hashed_integer(0, 2**32 - 1, "abc") == 0xBF1678BA


def test_a_whole_subset_is_the_recording_downsampled() -> None:
    assert frames_of(subset(recording(frames=7), 1.0, 2)) == [0, 2, 4, 6]


@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.5])
def test_impossible_fractions(fraction: float) -> None:
    with pytest.raises(LiftposeError, match="above 0 and at most 1"):
        subset(recording(), fraction)


# -------------------------------------------------------------------------------------------------- movement
@given(steps=st.lists(st.sampled_from([0.0, 0.05, 0.1, 0.3]), max_size=90), joint=st.integers(0, 16))
def test_displaced_frames_are_those_of_a_loop(steps: list[float], joint: int) -> None:
    """One joint moves along x, by more or less than the wanted distance."""
    poses = np.zeros((len(steps), 17, 3))
    poses[:, joint, 0] = np.cumsum(steps)
    expected: list[int] = []
    for frame, pose in enumerate(poses):
        if not expected or np.linalg.norm(pose - poses[expected[-1]], axis=-1).max() >= 0.125:
            expected.append(frame)
    assert displaced_frames(poses, 0.125).tolist() == expected
    assert displaced_frames(poses, 0).tolist() == list(range(len(poses)))


def test_a_joint_that_moved_exactly_so_far_counts() -> None:
    poses = np.zeros((4, 2, 3), dtype=np.float32)
    poses[:, 1, 2] = [0, 0.125, 0.25, 0.375]
    assert displaced_frames(poses, 0.25).tolist() == [0, 2]
    assert displaced_frames(poses[:, :, ::-1] + 7, 0.25).tolist() == [0, 2]


def test_the_frames_of_movement_are_those_of_all_that_belongs_to_them() -> None:
    one = recording(frames=9)
    views = [one, replace(one, view=1, keypoints_2d=one.keypoints_2d + 1)]
    first, second = keep_displaced(views, 3)  # a joint moves by the root of 3 metres per frame
    assert frames_of(first) == [0, 2, 4, 6, 8]
    np.testing.assert_array_equal(second.keypoints_2d, first.keypoints_2d + 1)
    assert second.poses_3d is first.poses_3d and second.view == 1
    assert first.fps == 50


def test_movement_needs_poses_and_a_distance() -> None:
    with pytest.raises(LiftposeError, match=r"S1/Walking\.0: expected 3D poses to see who moves, found none"):
        keep_displaced([replace(recording(), poses_3d=None)], 0.2)
    with pytest.raises(LiftposeError, match="expected metres from 0 up, found -1"):
        keep_displaced([recording()], -1)
