"""Recordings refuse arrays that do not belong together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from liftpose.data import Recording, RecordingKey
from liftpose.errors import LiftposeError
from liftpose.metrics import RecordingScore, Score
from liftpose.skeletons import H36M_17


def recording(**changes: Any) -> Recording:
    values: dict[str, Any] = {
        "subject": "S9",
        "action": "Walking 1",
        "view": 2,
        "skeleton": H36M_17,
        "fps": 50.0,
        "keypoints_2d": np.zeros((5, 17, 2), dtype=np.float32),
        "poses_3d": np.zeros((5, 17, 3), dtype=np.float32),
        "confidence": np.ones((5, 17), dtype=np.float32),
    }
    return Recording(**(values | changes))


def test_names() -> None:
    whole = recording()
    assert len(whole) == 5
    assert whole.name == "S9/Walking 1.2"
    assert whole.key == RecordingKey("S9", "Walking 1", 2) == ("S9", "Walking 1", 2)
    assert whole.action_group == "Walking"
    assert recording(action="SittingDown").action_group == "SittingDown"


@pytest.mark.parametrize("action", ["Walking", "Walking 1", "Walking 1 2", "SittingDown", "", " x"])
def test_recordings_and_their_scores_are_grouped_alike(action: str) -> None:
    names = ("S9", action, 2)
    groups = {recording(action=action).action_group, RecordingKey(*names).action_group}
    empty = Score(*(0 for _ in Score._fields[:-1]), ())
    groups.add(RecordingScore(*names, empty).action_group)
    assert groups == {action.partition(" ")[0]}


def test_poses_and_confidence_may_be_missing() -> None:
    assert recording(poses_3d=None, confidence=None).poses_3d is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"keypoints_2d": np.zeros((5, 16, 2))},
            r"expected keypoints_2d of shape \(frames, 17, 2\) .* found \(5, 16, 2\)",
        ),
        ({"keypoints_2d": np.zeros((17, 2))}, r"found \(17, 2\)"),
        ({"poses_3d": np.zeros((5, 17, 2))}, r"expected poses_3d of shape \(frames, 17, 3\)"),
        ({"poses_3d": np.zeros((4, 17, 3))}, "expected poses_3d to have the 5 frames of keypoints_2d, found 4"),
        ({"confidence": np.zeros((5, 17, 1))}, "expected confidence of shape"),
        ({"fps": 0.0}, "expected a positive frame rate, found 0"),
        ({"fps": float("nan")}, "expected a positive frame rate, found nan"),
    ],
)
def test_what_does_not_belong_together(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(LiftposeError, match=rf"S9/Walking 1\.2: .*{message}"):
        recording(**changes)
