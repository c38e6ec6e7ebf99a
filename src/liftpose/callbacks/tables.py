"""The papers' table: printed, written, logged."""

from __future__ import annotations

import csv
import io
from math import isnan
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.loggers import WandbLogger

from liftpose.formats import write_json, write_text
from liftpose.metrics import action_table, action_tables_by_subject, subject_table
from liftpose.tasks import LiftingTask

__all__ = ["ResultTables"]


class ResultTables(pl.Callback):
    """Print the papers' table at the end of a test and write it to the run folder.

    ``test_table.csv`` holds the table over all people; ``test_results.json`` that, the one of each person and the error
    of each joint.

    Args:
        folder: Folder of the run.
        by_subject: Whether to print the table of each person too.
    """

    def __init__(self, folder: Path, by_subject: bool = False) -> None:
        self.folder = folder
        self.by_subject = by_subject

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print, write and log the tables, on the first process only."""
        if not trainer.is_global_zero or not isinstance(pl_module, LiftingTask) or pl_module.test_result is None:
            return
        result = pl_module.test_result
        whole, people = action_table(result), action_tables_by_subject(result)
        texts = [whole.to_text(), *(table.to_text() for table in people.values() if self.by_subject)]
        print("\n\n".join(texts), flush=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        rows = whole.to_csv_rows()
        lines = io.StringIO()
        csv.writer(lines).writerows(rows)
        write_text(self.folder / "test_table.csv", lines.getvalue())
        joints = dict(zip(pl_module.lifter.skeleton.joint_names, result.overall.joint_errors, strict=True))
        write_json(
            self.folder / "test_results.json",
            {
                "checkpoint": str(trainer.ckpt_path),
                "actions": whole.to_dict(),
                "subjects": subject_table(result).to_dict(),
                "actions_by_subject": {name: table.to_dict() for name, table in people.items()},
                "joints_mpjpe_mm": {name: None if isnan(error) else 1000 * error for name, error in joints.items()},
            },
        )
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_table("test_table", columns=rows[0], data=[list(row) for row in rows[1:]])
