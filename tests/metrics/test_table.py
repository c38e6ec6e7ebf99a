import json
import math

import numpy as np
import pytest

from liftpose.metrics import (
    EvaluationResult,
    RecordingScore,
    Score,
    action_table,
    action_tables_by_subject,
    subject_table,
)

LENGTH_COLUMNS = ["mpjpe_mm", "p_mpjpe_mm", "n_mpjpe_mm", "mpjve_mm"]


def score(frames: int, metres: float, *, degenerate: int = 0) -> Score:
    velocities = max(frames - 1, 0)
    mpjve = metres / 10 if velocities else math.nan
    return Score(
        frames, degenerate, velocities, metres, 0.8 * metres, 0.9 * metres, mpjve, 100 - 100 * metres, 50.0, (metres,)
    )


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
    np.testing.assert_allclose(table.rows[0].values, [35.0, 28.0, 31.5, 3.5, 96.5, 50.0])


def test_both_means() -> None:
    table = action_table(RESULT)
    np.testing.assert_allclose(table.mean_over_groups.values[:2], [(35 + 95 + 12.3) / 3, 0.8 * (35 + 95 + 12.3) / 3])
    assert math.isnan(table.mean_over_groups.values[3])  # one action has no velocity: its mean is not made up
    np.testing.assert_allclose(table.mean_over_frames.values[0], (400 * 35 + 400 * 95 + 12.3) / 801)
    np.testing.assert_allclose(table.mean_over_frames.values[3], (400 * 3.5 + 400 * 9.5) / 800)


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
        "                   MPJPE  P-MPJPE  N-MPJPE  MPJVE   PCK   AUC  frames",
        "action                mm       mm       mm     mm     %     %",
        "---------------------------------------------------------------------",
        "Walking             35.0     28.0     31.5    3.5  96.5  50.0     400",
        "Sitting             95.0     76.0     85.5    9.5  90.5  50.0     400",
        "WalkTogether        12.3      9.8     11.1      -  98.8  50.0       1",
        "---------------------------------------------------------------------",
        "mean over actions   47.4     37.9     42.7      -  95.3  50.0     801",
        "mean over frames    64.9     51.9     58.4    6.5  93.5  50.0     801",
    ]


def test_csv_rows() -> None:
    header, *rows = action_table(RESULT).to_csv_rows()
    assert header == ["action", *LENGTH_COLUMNS, "pck_percent", "auc_percent", "frames"]
    assert [row[0] for row in rows] == ["Walking", "Sitting", "WalkTogether", "mean over actions", "mean over frames"]
    assert rows[2][4] == "" and float(rows[0][1]) == pytest.approx(35.0, abs=1e-12) and rows[0][-1] == "400"


def test_json() -> None:
    found = json.loads(json.dumps(action_table(RESULT).to_dict(), allow_nan=False))
    assert list(found) == ["title", "rows", "mean_over_actions", "mean_over_frames", "notes"]
    assert found["rows"][1]["action"] == "Sitting" and found["rows"][1]["mpjpe_mm"] == pytest.approx(95.0)
    assert found["rows"][2]["mpjve_mm"] is None
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
