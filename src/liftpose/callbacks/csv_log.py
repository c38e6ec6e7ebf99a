"""The CSV log of a run, which a resumed run goes on with."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter

from liftpose.formats import write_atomically

__all__ = ["RunCSVLogger"]


class RunCSVLogger(CSVLogger):
    """Write the metrics of a run to ``metrics.csv`` in its folder.

    Lightning's logger deletes the file of an earlier run in the same folder. A run that is resumed from a checkpoint
    keeps the rows up to that checkpoint; the rows after it will be written again.

    Args:
        folder: Folder of the run.
        resumed_step: Training batches behind the checkpoint that the run is resumed from, or None for a new run.
    """

    def __init__(self, folder: str | Path, resumed_step: int | None = None) -> None:
        super().__init__(save_dir=str(folder), name="", version="")
        self._resumed_step = resumed_step

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer, made when the first row is logged."""
        if self._experiment is None:
            self._experiment = _Writer(self.log_dir, self._resumed_step)
        return self._experiment

    def log_hyperparams(self, params: Any = None) -> None:
        """Write nothing: ``config.yaml`` beside the file holds every option."""


class _Writer(ExperimentWriter):
    """Lightning's writer, which begins with the rows of the run that is resumed."""

    def __init__(self, log_dir: str, resumed_step: int | None) -> None:
        super().__init__(log_dir=log_dir)
        path = Path(self.metrics_file_path)
        if not path.is_file():
            return
        if resumed_step is None:
            path.unlink()
            return
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            # A row without a step is one that a full disk or a power cut has left half-written.
            rows = [row for row in reader if (row["step"] or "").isdecimal() and int(row["step"]) < resumed_step]
            self.metrics_keys = list(reader.fieldnames or [])
        with write_atomically(path) as beside, Path(beside).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=self.metrics_keys)
            writer.writeheader()
            writer.writerows(rows)

    def _check_log_dir_exists(self) -> None:
        """Leave the files of the folder alone; Lightning would delete the metrics."""
        os.makedirs(self.log_dir, exist_ok=True)
