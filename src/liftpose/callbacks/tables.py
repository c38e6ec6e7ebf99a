"""The papers' tables: printed, written, logged."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import WandbLogger

from liftpose.formats import write_json, write_text
from liftpose.formats.pose_clusters import write_pose_clusters
from liftpose.metrics import (
    EvaluationResult,
    PCKhResult,
    PoseClusters,
    action_table,
    action_tables_by_subject,
    joint_table,
    subject_table,
)
from liftpose.metrics.image_evaluation import PUBLISHED_SUFFIX
from liftpose.tasks import BaseTask

__all__ = ["ResultTables"]


class ResultTables(pl.Callback):
    """Print the papers' table of each data set at the end of a test and write them to the run folder.

    ``test_table.csv`` holds the tables over all people; ``test_results.json`` those, the one of each person and the
    error of each joint. What was tested besides the data set that was trained on stands behind it: in the CSV file with
    the name of the data set in a last column, in the JSON file under ``test_sets``. Of a test on pictures the published
    variants are printed as a table of their own, and the clusters of PSS are written to ``pss_<number>.npz``; their
    SHA-256 is in the JSON file. Of a test of 2D joints the table is that of PCKh.

    Args:
        folder: Folder of the run.
        by_subject: Whether to print the table of each person too.
    """

    def __init__(self, folder: Path, by_subject: bool = False) -> None:
        self.folder = folder
        self.by_subject = by_subject

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print, write and log the tables, on the first process only."""
        if not trainer.is_global_zero or not isinstance(pl_module, BaseTask):
            return
        checkpoint = {"checkpoint": str(trainer.ckpt_path)}
        pckh = getattr(pl_module, "pckh", None)
        if isinstance(pckh, PCKhResult):
            print(_pckh_text(pckh), flush=True)
            rows = _pckh_rows(pckh)
            self._write({"test_table": rows}, rows, checkpoint | {"pckh": _pckh_content(pckh)}, trainer)
            return
        results: Mapping[str, EvaluationResult] = getattr(pl_module, "test_results", {})
        if not results:
            return
        network: Any = pl_module.main_network
        joints = network.skeleton.joint_names
        own, *others = (
            _Tables(result, result.joint_names or joints, name if len(results) > 1 else "")
            for name, result in results.items()
        )
        print("\n\n".join(text for tables in (own, *others) for text in tables.printed(self.by_subject)), flush=True)
        content = checkpoint | own.content()
        if others:
            content |= {"data_set": own.name, "test_sets": {tables.name: tables.content() for tables in others}}
        clusters: Sequence[PoseClusters] = getattr(pl_module, "clusters", ())
        if clusters:
            content["pss_clusters_sha256"] = {f"pss{len(found)}": found.digest for found in clusters}
        for found in clusters:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_pose_clusters(self.folder / f"pss_{len(found)}.npz", found)
        logged = {f"test_table{f'_{tables.name}' if tables is not own else ''}": tables for tables in (own, *others)}
        self._write(
            {name: tables.csv_rows() for name, tables in logged.items()},
            [*own.csv_rows(), *(row for tables in others for row in tables.csv_rows()[1:])],
            content,
            trainer,
        )

    def _write(
        self,
        tables: Mapping[str, list[list[str]]],
        rows: list[list[str]],
        content: dict[str, Any],
        trainer: pl.Trainer,
    ) -> None:
        """Write the rows of the CSV file and the JSON file, and log the tables under their names."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = io.StringIO()
        csv.writer(lines).writerows(rows)
        write_text(self.folder / "test_table.csv", lines.getvalue())
        write_json(self.folder / "test_results.json", content)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                for name, (header, *body) in tables.items():
                    logger.log_table(name, columns=header, data=[list(row) for row in body])


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

    def printed(self, by_subject: bool) -> list[str]:
        """Return what is printed."""
        tables = [self.actions, *(self.people.values() if by_subject else ())]
        names = [name for name, _ in self.actions.columns]
        published = [name for name in names if name.endswith(PUBLISHED_SUFFIX)]
        if not published:
            return [table.to_text() for table in tables]
        few = [name for name in names if name.endswith("14 joints")]
        main = [name for name in names if name not in {*published, *few}]
        title = f"{self.actions.title}: 14 joints, and as the public code computes them"
        return [
            *(table.pick(main).to_text() for table in tables),
            self.actions.pick([*few, *published], title).to_text(),
            joint_table(list(self.joints), list(self.joints.values())),
        ]

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


# ---------------------------------------------------------------------------------------------------------------- PCKh
def _pckh_table(result: PCKhResult) -> list[tuple[str, tuple[float, ...]]]:
    """Return the lines of the table: the groups, then their mean."""
    return [*((name.capitalize(), shares) for name, shares in result.groups.items()), ("Mean", result.mean)]


def _pckh_text(result: PCKhResult) -> str:
    """Return MPII's table as aligned text, with the joints apart, which its groups join."""
    header = ["PCKh, %", *(f"@{threshold:g}" for threshold in result.thresholds)]
    body = [[name, *map(_share, shares)] for name, shares in _pckh_table(result)]
    joints = [[name, *map(_share, shares)] for name, shares in result.joints.items()]
    widths = [max(map(len, column)) for column in zip(header, *body, *joints, strict=True)]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))

    def line(cells: Sequence[str]) -> str:
        return "  ".join((cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])))

    return "\n".join(
        (
            f"{result.people} people",
            *(line(header), rule, *map(line, body), rule, *map(line, joints), rule),
            'Mean at 0.11, which public evaluation code prints as "Mean@0.1": '
            + _share(result.mean_at_tenth_published),
        )
    )


def _share(value: float) -> str:
    return "-" if isnan(value) else f"{value:.1f}"


def _pckh_keys(result: PCKhResult) -> list[str]:
    return [f"pckh_at_{threshold:g}_percent" for threshold in result.thresholds]


def _pckh_rows(result: PCKhResult) -> list[list[str]]:
    """Return the rows of the CSV file, the header first."""
    rows = [[name, *("" if isnan(share) else repr(share) for share in shares)] for name, shares in _pckh_table(result)]
    return [["joints", *_pckh_keys(result)], *rows]


def _pckh_content(result: PCKhResult) -> dict[str, Any]:
    """Return what the JSON file holds."""

    def numbers(shares: Sequence[float]) -> dict[str, float | None]:
        return dict(zip(_pckh_keys(result), (None if isnan(share) else share for share in shares), strict=True))

    published = result.mean_at_tenth_published
    return {
        "people": result.people,
        "groups": {name: numbers(shares) for name, shares in result.groups.items()},
        "joints": {name: numbers(shares) for name, shares in result.joints.items()},
        "mean": numbers(result.mean),
        "mean_at_0.1_published_percent": None if isnan(published) else published,
    }
