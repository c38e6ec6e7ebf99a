import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from liftpose.metrics import (
    EvaluationResult,
    PoseEvaluation,
    RecordingScore,
    Score,
    action_table,
    action_tables_by_subject,
    subject_table,
)

SHARE_COLUMNS = [
    *("pck150_no_root_percent", "auc_no_root_percent"),
    *("pck150_with_root_percent", "auc_with_root_percent"),
]
LENGTH_COLUMNS = ["mpjpe_mm", "p_mpjpe_mm", "n_mpjpe_mm", "mpjve_mm"]


def score(frames: int, metres: float, *, degenerate: int = 0) -> Score:
    velocities = max(frames - 1, 0)
    mpjve = metres / 10 if velocities else math.nan
    lengths = (metres, 0.8 * metres, 0.9 * metres, mpjve)
    return Score(frames, degenerate, velocities, *lengths, 90 - 100 * metres, 40.0, 100 - 100 * metres, 50.0, (metres,))


RESULT = EvaluationResult(
    (
        RecordingScore("S9", "Walking 1", 0, score(100, 0.050)),
        RecordingScore("S9", "Walking", 0, score(300, 0.030)),
        RecordingScore("S9", "Sitting 2", 0, score(100, 0.080)),
        RecordingScore("S9", "Photo", 0, score(0, math.nan)),
        RecordingScore("S11", "Sitting", 0, score(300, 0.100)),
        RecordingScore("S11", "WalkTogether", 0, score(1, 0.0123)),
    )
)


def test_rows_are_action_groups_in_order_of_first_appearance() -> None:
    table = action_table(RESULT)
    assert [(row.name, row.frames) for row in table.rows] == [("Walking", 400), ("Sitting", 400), ("WalkTogether", 1)]
    np.testing.assert_allclose([row.values[0] for row in table.rows], [35.0, 95.0, 12.3])
    np.testing.assert_allclose(table.rows[0].values, [35.0, 28.0, 31.5, 3.5, 86.5, 40.0, 96.5, 50.0])


def test_the_three_means() -> None:
    table = action_table(RESULT)
    np.testing.assert_allclose(table.mean_over_groups.values[:2], [(35 + 95 + 12.3) / 3, 0.8 * (35 + 95 + 12.3) / 3])
    assert math.isnan(table.mean_over_groups.values[3])  # one action has no velocity: its mean is not made up
    np.testing.assert_allclose(table.mean_over_frames.values[0], (400 * 35 + 400 * 95 + 12.3) / 801)
    np.testing.assert_allclose(table.mean_over_frames.values[3], (400 * 3.5 + 400 * 9.5) / 800)
    np.testing.assert_allclose(table.mean_over_recordings.values[0], (50 + 30 + 80 + 100 + 12.3) / 5)
    assert math.isnan(table.mean_over_recordings.values[3]) and table.mean_over_recordings.frames == 801


def test_the_mean_over_recordings_is_that_of_the_public_code(reference: Path) -> None:
    """DH-AUG's public code averages whole videos, each counting the same."""
    data = np.load(reference / "golden/dh_aug/metrics.npz")
    lengths = np.diff(data["seq_bounds"])
    evaluation = PoseEvaluation([("TS", f"Video {i}", 0) for i in range(len(lengths))], storage_dtype=torch.float64)
    evaluation.update(
        torch.tensor(data["pred"]),
        torch.tensor(data["gt"]),
        torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths)),
        torch.cat([torch.arange(length) for length in lengths]),
    )
    table = action_table(evaluation.compute())
    np.testing.assert_allclose(table.mean_over_recordings.values[0], 1000 * data["mpjpe_per_seq"].mean(), rtol=1e-12)
    shares = [data[name] for name in ("pck150_no_root", "auc_no_root", "pck150", "auc")]
    np.testing.assert_allclose(table.mean_over_frames.values[4:], shares, rtol=1e-12)


def test_one_table_per_subject() -> None:
    tables = action_tables_by_subject(RESULT)
    assert list(tables) == ["S9", "S11"]
    assert [row.name for row in tables["S9"].rows] == ["Walking", "Sitting"]
    np.testing.assert_allclose(tables["S9"].mean_over_groups.values[0], (35 + 80) / 2)
    np.testing.assert_allclose(tables["S11"].mean_over_groups.values[0], (100 + 12.3) / 2)


def test_subjects_as_rows() -> None:
    table = subject_table(RESULT)
    assert [(row.name, row.frames) for row in table.rows] == [("S9", 500), ("S11", 301)]
    np.testing.assert_allclose(table.rows[0].values[0], 44.0)
    assert table.mean_over_groups.name == "mean over subjects"


def test_text() -> None:
    assert action_table(RESULT).to_text().splitlines() == [
        "subjects S9, S11",
        "                      MPJPE  P-MPJPE  N-MPJPE  MPJVE  PCK@150      AUC    PCK@150        AUC  frames",
        "                                                      no root  no root  with root  with root",
        "action                   mm       mm       mm     mm        %        %          %          %",
        "-" * 100,
        "Walking                35.0     28.0     31.5    3.5     86.5     40.0       96.5       50.0     400",
        "Sitting                95.0     76.0     85.5    9.5     80.5     40.0       90.5       50.0     400",
        "WalkTogether           12.3      9.8     11.1      -     88.8     40.0       98.8       50.0       1",
        "-" * 100,
        "mean over actions      47.4     37.9     42.7      -     85.3     40.0       95.3       50.0     801",
        "mean over recordings   54.5     43.6     49.0      -     84.6     40.0       94.6       50.0     801",
        "mean over frames       64.9     51.9     58.4    6.5     83.5     40.0       93.5       50.0     801",
    ]


def test_csv_rows() -> None:
    header, *rows = action_table(RESULT).to_csv_rows()
    assert header == ["action", *LENGTH_COLUMNS, *SHARE_COLUMNS, "frames"]
    assert [row[0] for row in rows] == [
        "Walking",
        "Sitting",
        "WalkTogether",
        "mean over actions",
        "mean over recordings",
        "mean over frames",
    ]
    assert rows[2][4] == "" and float(rows[0][1]) == pytest.approx(35.0, abs=1e-12) and rows[0][-1] == "400"


def test_json() -> None:
    found = json.loads(json.dumps(action_table(RESULT).to_dict(), allow_nan=False))
    assert list(found) == ["title", "rows", "mean_over_actions", "mean_over_recordings", "mean_over_frames", "notes"]
    assert found["rows"][1]["action"] == "Sitting" and found["rows"][1]["mpjpe_mm"] == pytest.approx(95.0)
    assert found["rows"][2]["mpjve_mm"] is None
    assert list(found["rows"][0]) == ["action", *LENGTH_COLUMNS, *SHARE_COLUMNS, "frames"]
    assert found["mean_over_frames"]["frames"] == 801 and "action" not in found["mean_over_frames"]


def test_degenerate_poses_are_noted() -> None:
    table = action_table(EvaluationResult((RecordingScore("S1", "Photo", 0, score(10, 0.1, degenerate=3)),)))
    assert "3 of 10 poses" in table.to_text().splitlines()[-1]
    assert table.to_dict()["notes"] == list(table.notes)
    assert action_table(RESULT).notes == ()


def test_an_evaluation_without_poses_has_an_empty_table() -> None:
    table = action_table(EvaluationResult(()))
    assert table.rows == () and math.isnan(table.mean_over_groups.values[0])
    assert "mean over actions" in table.to_text() and action_tables_by_subject(EvaluationResult(())) == {}
