"""Tables of an evaluation, per action and per subject, in the layout of the papers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from liftpose.metrics.evaluation import EvaluationResult, RecordingScore, Score, pool_scores

__all__ = ["Table", "TableRow", "action_table", "action_tables_by_subject", "joint_table", "subject_table"]

# Name and unit of a column, the field of a score that it shows, and its factor.
_COLUMNS = (
    ("MPJPE", "mm", "mpjpe", 1000),
    ("P-MPJPE", "mm", "p_mpjpe", 1000),
    ("N-MPJPE", "mm", "n_mpjpe", 1000),
    ("MPJVE", "mm", "mpjve", 1000),
    ("PCK@150 no root", "%", "pck_no_root", 1),
    ("AUC no root", "%", "auc_no_root", 1),
    ("PCK@150 with root", "%", "pck_with_root", 1),
    ("AUC with root", "%", "auc_with_root", 1),
)


@dataclass(frozen=True)
class TableRow:
    """One line of a table.

    Args:
        name: What the line stands for: an action, a subject, a mean.
        values: One number per column of the table, in the unit of the column; NaN where there is none.
        frames: Number of poses behind the line.
    """

    name: str
    values: tuple[float, ...]
    frames: int


@dataclass(frozen=True)
class Table:
    """A table of metrics, with one row per group of recordings and three means.

    Args:
        title: Which recordings it is about.
        group: What a row stands for: "action" or "subject".
        columns: Name and unit of each column of numbers ("MPJPE", "mm").
        rows: One row per group.
        mean_over_groups: The unweighted mean of the rows: the final number of the papers.
        mean_over_recordings: The mean in which every recording (a take in one view) counts the same, as DH-AUG's public
            code averages whole videos.
        mean_over_frames: The mean in which every frame counts the same.
        notes: Sentences that belong under the table.
    """

    title: str
    group: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[TableRow, ...]
    mean_over_groups: TableRow
    mean_over_recordings: TableRow
    mean_over_frames: TableRow
    notes: tuple[str, ...] = ()

    def to_text(self) -> str:
        """The table as aligned text: one decimal, "-" where there is no number, no line break at the end."""
        words = [name.partition(" ") for name, _ in self.columns]  # the first word above the others: narrow columns
        header = ["", *(first for first, _, _ in words), "frames"]
        qualifiers = ["", *(rest for _, _, rest in words), ""]
        units = [self.group, *(unit for _, unit in self.columns), ""]
        body = [_text_cells(row) for row in self.rows]
        means = [_text_cells(row) for row in self._means()]
        widths = [max(map(len, column)) for column in zip(header, qualifiers, units, *body, *means, strict=True)]
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))

        def line(cells: Sequence[str]) -> str:
            numbers = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
            return "  ".join((cells[0].ljust(widths[0]), *numbers)).rstrip()

        lines = [line(header), line(qualifiers), line(units), rule, *map(line, body), rule, *map(line, means)]
        return "\n".join((self.title, *lines, *self.notes))

    def pick(self, columns: Iterable[str], title: str = "") -> Table:
        """Return the same table with some of its columns.

        Args:
            columns: Their names, in the order in which they are wanted.
            title: Its title; empty for that of this table.
        """
        names = [name for name, _ in self.columns]
        chosen = [names.index(name) for name in columns]

        def cut(row: TableRow) -> TableRow:
            return replace(row, values=tuple(row.values[place] for place in chosen))

        return replace(
            self,
            title=title or self.title,
            columns=tuple(self.columns[place] for place in chosen),
            rows=tuple(map(cut, self.rows)),
            mean_over_groups=cut(self.mean_over_groups),
            mean_over_recordings=cut(self.mean_over_recordings),
            mean_over_frames=cut(self.mean_over_frames),
        )

    def to_csv_rows(self) -> list[list[str]]:
        """The table as rows of a CSV file, the header first: full precision, empty where there is no number."""
        rows = [[row.name, *map(_csv_cell, row.values), str(row.frames)] for row in self._all_rows()]
        return [[self.group, *self._keys(), "frames"], *rows]

    def to_dict(self) -> dict[str, Any]:
        """The table as plain values for JSON: full precision, None where there is no number."""
        keys = self._keys()
        rows = [
            {
                self.group: row.name,
                **{key: _json_value(value) for key, value in zip(keys, row.values, strict=True)},
                "frames": row.frames,
            }
            for row in self._all_rows()
        ]
        groups, means = rows[: len(self.rows)], rows[len(self.rows) :]
        for mean in means:
            del mean[self.group]
        return {
            "title": self.title,
            "rows": groups,
            **dict(zip((f"mean_over_{self.group}s", "mean_over_recordings", "mean_over_frames"), means, strict=True)),
            "notes": list(self.notes),
        }

    def _all_rows(self) -> tuple[TableRow, ...]:
        return (*self.rows, *self._means())

    def _means(self) -> tuple[TableRow, ...]:
        return self.mean_over_groups, self.mean_over_recordings, self.mean_over_frames

    def _keys(self) -> list[str]:
        """Names of the columns as identifiers with their unit, such as "p_mpjpe_mm" and "pck150_no_root_percent"."""
        names = (f"{name}_{unit}".lower().replace("%", "percent") for name, unit in self.columns)
        return [name.replace("-", "_").replace(" ", "_").replace("@", "") for name in names]


def action_table(result: EvaluationResult, title: str = "") -> Table:
    """Make the papers' table: one row per action (all its takes, views and subjects), in order of first appearance.

    A row is the mean over the frames of its recordings; MPJVE weights recordings by their frames, as published
    (see `liftpose.metrics.evaluation.pool_scores`). Recordings without poses are left out.

    Args:
        result: The evaluation.
        title: What the title begins with, such as the name of the data set.

    Returns:
        Lengths in mm (MPJVE in mm per frame), PCK at 150 mm and AUC in per cent, each without the root and with it:
        the root's error is 0 by construction, and public code differs in whether it counts.

    Example:
        >>> score = Score(2, 0, 1, 0.05, 0.04, 0.045, 0.003, 97.3, 69.0, 97.5, 70.0, (0.05,))
        >>> walk = RecordingScore("S9", "Walking 1", 0, score)
        >>> sit = RecordingScore("S9", "Sitting", 0, score._replace(frames=6, mpjpe=0.07))
        >>> table = action_table(EvaluationResult((walk, sit)))
        >>> [round(row.values[0], 1) for row in (*table.rows, table.mean_over_groups, table.mean_over_frames)]
        [50.0, 70.0, 60.0, 65.0]
    """
    subjects = ", ".join(dict.fromkeys(recording.subject for recording in _filled(result.recordings)))
    return _table(
        result.recordings, _action_of, "action", _title(title, f"subjects {subjects}" if subjects else "no poses")
    )


def action_tables_by_subject(result: EvaluationResult, title: str = "") -> dict[str, Table]:
    """Make one `action_table` for each subject, in order of first appearance.

    Args:
        result: The evaluation.
        title: What the title begins with, such as the name of the data set.

    Returns:
        The tables by name of subject.
    """
    subjects = dict.fromkeys(recording.subject for recording in _filled(result.recordings))
    return {
        subject: _table(
            [r for r in result.recordings if r.subject == subject],
            _action_of,
            "action",
            _title(title, f"subject {subject}"),
        )
        for subject in subjects
    }


def subject_table(result: EvaluationResult, title: str = "") -> Table:
    """Make a table with one row per subject (all its recordings), in order of first appearance.

    Args:
        result: The evaluation.
        title: What the title begins with, such as the name of the data set.

    Returns:
        Units as in `action_table`.
    """
    return _table(result.recordings, lambda recording: recording.subject, "subject", _title(title, "all actions"))


def joint_table(names: Sequence[str], errors: Sequence[float]) -> str:
    """Write the mean error of every joint as aligned text, several joints in a line.

    Args:
        names: Names of the joints.
        errors: Metres, the mean position error of each.

    Returns:
        Lines of up to about 100 characters, in mm, without a line break at the end.

    Example:
        >>> print(joint_table(["pelvis", "head"], [0.0, 0.0712]))
        MPJPE of each joint, mm
        pelvis   0.0  head    71.2
    """
    numbers = ["-" if math.isnan(error) else f"{1000 * error:.1f}" for error in errors]
    width, figures = max(map(len, names)), max(map(len, numbers))
    cells = [f"{name.ljust(width)}  {number.rjust(figures)}" for name, number in zip(names, numbers, strict=True)]
    across = max(1, 102 // (width + figures + 4))
    lines = ["  ".join(cells[first : first + across]) for first in range(0, len(cells), across)]
    return "\n".join(("MPJPE of each joint, mm", *lines))


def _title(*parts: str) -> str:
    return ": ".join(filter(None, parts))


def _action_of(recording: RecordingScore) -> str:
    return recording.action_group


def _filled(recordings: Iterable[RecordingScore]) -> list[RecordingScore]:
    return [recording for recording in recordings if recording.score.frames]


def _table(recordings: Sequence[RecordingScore], key: Callable[[RecordingScore], str], group: str, title: str) -> Table:
    groups: dict[str, list[Score]] = {}
    for recording in _filled(recordings):
        groups.setdefault(key(recording), []).append(recording.score)
    every = [score for scores in groups.values() for score in scores]
    overall = pool_scores(every)
    further = [(score.name, "mm" if score.unit == "m" else score.unit) for score in overall.further]
    columns = [(name, unit) for name, unit, field, _ in _COLUMNS if _shown(field, further)]
    rows = tuple(_row(name, pool_scores(scores)) for name, scores in groups.items())
    notes = []
    if overall.degenerate:
        notes.append(
            f"P-MPJPE leaves out {overall.degenerate} of {overall.frames} poses that cannot be aligned "
            "(all joints in one place, or not finite)."
        )
    return Table(
        title=title,
        group=group,
        columns=(*columns, *further),
        rows=rows,
        mean_over_groups=_mean_row(f"mean over {group}s", rows, overall),
        mean_over_recordings=_mean_row("mean over recordings", [_row("", score) for score in every], overall),
        mean_over_frames=_row("mean over frames", overall),
        notes=tuple(notes),
    )


def _shown(field: str, further: Sequence[object]) -> bool:
    """Whether a table has a column: pictures, whose scores have further ones, are no motion with velocities."""
    return not (further and field == "mpjve")


def _mean_row(name: str, rows: Sequence[TableRow], overall: Score) -> TableRow:
    """The unweighted mean of some rows; NaN where one of them has no number: it is not made up."""
    columns = zip(*(row.values for row in rows or [_row("", overall)]), strict=True)
    return TableRow(name, tuple(math.fsum(column) / len(column) for column in columns), overall.frames)


def _row(name: str, score: Score) -> TableRow:
    values = [factor * getattr(score, field) for _, _, field, factor in _COLUMNS if _shown(field, score.further)]
    values += [(1000 if one.unit == "m" else 1) * one.value for one in score.further]
    return TableRow(name, tuple(values), score.frames)


def _text_cells(row: TableRow) -> list[str]:
    return [row.name, *("-" if math.isnan(value) else f"{value:.1f}" for value in row.values), str(row.frames)]


def _csv_cell(value: float) -> str:
    return "" if math.isnan(value) else repr(value)


def _json_value(value: float) -> float | None:
    return value if math.isfinite(value) else None
