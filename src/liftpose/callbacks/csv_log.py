"""The CSV log of a run, which a resumed run goes on with."""

from __future__ import annotations

import csv
import logging
import os
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter

from liftpose.formats import write_atomically

__all__ = ["RunCSVLogger"]

log = logging.getLogger(__name__)


class RunCSVLogger(CSVLogger):
    """Write the metrics of a run to ``metrics.csv`` in its folder.

    Lightning's logger deletes the file of an earlier run in the same folder, and rewrites the file in place when a new
    column comes, so that a process that is killed meanwhile loses all rows. A run that is resumed from a checkpoint
    keeps the rows that were written before that checkpoint; the rows after it will be written again.

    Args:
        folder: Folder of the run.
        kept_rows: Number of rows that belong to the checkpoint that the run is resumed from, or None for a new run.
    """

    def __init__(self, folder: str | Path, kept_rows: int | None = None) -> None:
        super().__init__(save_dir=str(folder), name="", version="")
        self._kept_rows = kept_rows

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer, made when the first row is logged."""
        if self._experiment is None:
            self._experiment = _Writer(self.log_dir, self._kept_rows)
        return self._experiment

    def commit(self) -> int:
        """Write what has been logged and force it to the disk, so that a checkpoint can count on it.

        Returns:
            Number of rows in the file; 0 on all processes but the first.
        """
        self.save()
        return self.experiment.commit() if isinstance(self.experiment, _Writer) else 0

    def log_hyperparams(self, params: Any = None) -> None:
        """Write nothing: ``config.yaml`` beside the file holds every option."""


class _Writer(ExperimentWriter):
    """Lightning's writer, which begins with the rows of the run that is resumed and never leaves half a file."""

    def __init__(self, log_dir: str, kept_rows: int | None) -> None:
        super().__init__(log_dir=log_dir)
        self.rows = 0
        path = Path(self.metrics_file_path)
        if kept_rows is None:
            path.unlink(missing_ok=True)
            return
        rows: list[dict[str, Any]] = []
        if path.is_file():
            self.metrics_keys, rows = _read(path)
            self._write_anew(rows[:kept_rows])
        self.rows = len(rows[:kept_rows])
        if self.rows < kept_rows:
            log.warning("%s: found %d of the %d rows before the checkpoint", path, self.rows, kept_rows)

    def save(self) -> None:
        """Write the rows that have been logged since the last time."""
        if not self.metrics:
            return
        path = Path(self.metrics_file_path)
        new_columns = self._record_new_keys()
        if new_columns and path.is_file():
            self._write_anew([*_read(path)[1], *self.metrics])
        else:
            fresh = not path.is_file()
            with path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, fieldnames=self.metrics_keys)
                if fresh:
                    writer.writeheader()
                writer.writerows(self.metrics)
        self.rows += len(self.metrics)
        self.metrics = []

    def commit(self) -> int:
        """Force the file to the disk and return its number of rows."""
        path = Path(self.metrics_file_path)
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        return self.rows

    def _write_anew(self, rows: list[dict[str, Any]]) -> None:
        """Write the whole file, all or nothing."""
        with write_atomically(self.metrics_file_path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=self.metrics_keys)
            writer.writeheader()
            writer.writerows(rows)

    def _check_log_dir_exists(self) -> None:
        """Leave the files of the folder alone; Lightning would delete the metrics."""
        os.makedirs(self.log_dir, exist_ok=True)


def _read(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the columns and the whole rows of a file; a row without a step has been left half-written."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = [row for row in reader if (row.get("step") or "").isdecimal() and None not in row.values()]
        return list(reader.fieldnames or []), rows
