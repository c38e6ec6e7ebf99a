"""The papers' tables: printed, written, logged."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import WandbLogger

from liftpose.formats import write_json, write_text
from liftpose.metrics import EvaluationResult, Table, action_table, action_tables_by_subject, subject_table
from liftpose.tasks import LiftingTask

__all__ = ["ResultTables"]


class ResultTables(pl.Callback):
    """Print the papers' table of each data set at the end of a test and write them to the run folder.

    ``test_table.csv`` holds the tables over all people; ``test_results.json`` those, the one of each person and the
    error of each joint. What was tested besides the data set that was trained on stands behind it: in the CSV file with
    the name of the data set in a last column, in the JSON file under ``test_sets``.

    Args:
        folder: Folder of the run.
        by_subject: Whether to print the table of each person too.
    """

    def __init__(self, folder: Path, by_subject: bool = False) -> None:
        self.folder = folder
        self.by_subject = by_subject

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print, write and log the tables, on the first process only."""
        if not trainer.is_global_zero or not isinstance(pl_module, LiftingTask) or not pl_module.test_results:
            return
        results = pl_module.test_results
        joints = pl_module.lifter.skeleton.joint_names
        own, *others = (_Tables(result, joints, name if len(results) > 1 else "") for name, result in results.items())
        texts = [table.to_text() for tables in (own, *others) for table in tables.printed(self.by_subject)]
        print("\n\n".join(texts), flush=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = io.StringIO()
        csv.writer(lines).writerows([*own.csv_rows(), *(row for tables in others for row in tables.csv_rows()[1:])])
        write_text(self.folder / "test_table.csv", lines.getvalue())
        content = {"checkpoint": str(trainer.ckpt_path), **own.content()}
        if others:
            content |= {"data_set": own.name, "test_sets": {tables.name: tables.content() for tables in others}}
        write_json(self.folder / "test_results.json", content)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                for tables in (own, *others):
                    header, *rows = tables.csv_rows()
                    name = "test_table" if tables is own else f"test_table_{tables.name}"
                    logger.log_table(name, columns=header, data=[list(row) for row in rows])


class _Tables:
    """The tables of one data set.

    Args:
        result: The evaluation.
        joints: Names of the joints.
        name: Name of the data set where there are several, else nothing.
    """

    def __init__(self, result: EvaluationResult, joints: Sequence[str], name: str) -> None:
        self.name = name
        self.actions = action_table(result, name)
        self.people = action_tables_by_subject(result, name)
        self.subjects = subject_table(result, name)
        self.joints = dict(zip(joints, result.overall.joint_errors, strict=True))

    def printed(self, by_subject: bool) -> list[Table]:
        """Return the tables to print."""
        return [self.actions, *(self.people.values() if by_subject else ())]

    def csv_rows(self) -> list[list[str]]:
        """Return the rows of the CSV file, the header first."""
        header, *rows = self.actions.to_csv_rows()
        if not self.name:
            return [header, *rows]
        return [[*header, "data_set"], *([*row, self.name] for row in rows)]

    def content(self) -> dict[str, Any]:
        """Return what the JSON file holds."""
        return {
            "actions": self.actions.to_dict(),
            "subjects": self.subjects.to_dict(),
            "actions_by_subject": {name: table.to_dict() for name, table in self.people.items()},
            "joints_mpjpe_mm": {name: None if isnan(error) else 1000 * error for name, error in self.joints.items()},
        }
