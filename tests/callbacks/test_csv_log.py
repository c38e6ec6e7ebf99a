"""The CSV log: nothing is lost when a run is resumed, nothing is left of another run."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from liftpose.callbacks import RunCSVLogger


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def write(folder: Path, steps: range, kept_rows: int | None = None, extra: bool = False) -> None:
    logger = RunCSVLogger(folder, kept_rows)
    for step in steps:
        logger.log_metrics({"loss": float(step), **({"val": 2.0 * step} if extra else {})}, step=step)
    logger.save()


def test_a_resumed_run_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    write(tmp_path, range(10))
    write(tmp_path, range(6, 12), kept_rows=6, extra=True)
    found = rows(tmp_path)
    assert [int(row["step"]) for row in found] == list(range(12))
    assert [float(row["loss"]) for row in found] == [float(step) for step in range(12)]
    assert [row["val"] for row in found[:6]] == [""] * 6
    assert found[7]["val"] == "14.0"


def test_rows_are_kept_even_if_the_resumed_run_writes_none(tmp_path: Path) -> None:
    write(tmp_path, range(10))
    RunCSVLogger(tmp_path, 4).log_metrics({"loss": 0.0}, step=4)  # killed before it saves
    assert [int(row["step"]) for row in rows(tmp_path)] == [0, 1, 2, 3]


def test_a_new_run_starts_a_new_file_and_leaves_other_files_alone(tmp_path: Path) -> None:
    write(tmp_path, range(10))
    (tmp_path / "prediction.png").write_bytes(b"picture")
    write(tmp_path, range(2))
    assert [int(row["step"]) for row in rows(tmp_path)] == [0, 1]
    assert (tmp_path / "prediction.png").read_bytes() == b"picture"


def test_rows_of_one_step_are_told_apart(tmp_path: Path) -> None:
    logger = RunCSVLogger(tmp_path)
    assert logger.commit() == 0
    logger.log_metrics({"loss": 1.0}, step=5)
    assert logger.commit() == 1
    logger.log_metrics({"val": 2.0}, step=5)
    assert logger.commit() == 2
    RunCSVLogger(tmp_path, 1).log_metrics({"val": 2.0}, step=5)
    assert [row["loss"] for row in rows(tmp_path)] == ["1.0"]


def test_a_row_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    write(tmp_path, range(3), extra=True)
    path = tmp_path / "metrics.csv"
    path.write_text(path.read_text()[:-5])  # a process was killed while it wrote
    write(tmp_path, range(2, 4), kept_rows=3, extra=True)
    assert [(row["step"], row["val"]) for row in rows(tmp_path)][2:] == [("2", "4.0"), ("3", "6.0")]


def test_a_new_column_keeps_what_was_written_before(tmp_path: Path) -> None:
    logger = RunCSVLogger(tmp_path)
    for values in ({"loss": 1.0}, {"val": 2.0}, {"loss": 3.0}):
        logger.log_metrics(values, step=len(values))
        logger.save()
    assert [(row["loss"], row["val"]) for row in rows(tmp_path)] == [("1.0", ""), ("", "2.0"), ("3.0", "")]
    assert logger.commit() == 3
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


def test_rows_that_are_missing_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, range(4))
    assert RunCSVLogger(tmp_path, 4).commit() == 4
    assert not caplog.text
    assert RunCSVLogger(tmp_path, 6).commit() == 4
    assert "found 4 of the 6 rows before the checkpoint" in caplog.text
