"""Training curves: read from the CSV file of a run, drawn as a picture."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from liftpose.errors import LiftposeError
from liftpose.viewer.canvas import INK, MUTED, PAPER, new_figure

__all__ = ["curves_from_csv", "draw_curves"]

# Okabe and Ito's colours without the yellow, which is too faint for a line: told apart by readers with any colour
# vision.
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", INK)
_STYLES: Final = ("-", "--", ":")
_FEW: Final = 30  # up to so many points each gets a dot
_STEEP: Final = 10.0  # from this ratio on a linear axis shows only the first epochs


def draw_curves(
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    x_label: str = "epoch",
    y_label: str = "MPJPE in mm",
    title: str | None = None,
    best: Literal["lowest", "highest"] = "lowest",
) -> Figure:
    """Draw errors over epochs, each with its best value named in the legend.

    The vertical axis is logarithmic where the values span more than a factor of ten, as when the first epochs dwarf all
    others.

    Args:
        series: Name -> (epoch, value) pairs; values that are not finite leave a gap. Without any value the picture says
            so.
        x_label: Words under the axis.
        y_label: Words beside the axis, with the unit.
        title: A line above the picture.
        best: Which value of a curve is its best.

    Returns:
        The figure, with one axes and one line per series that has points.
    """
    figure = new_figure(7.0, 4.0)
    axes = figure.add_axes((0.1, 0.13, 0.87, 0.76 if title else 0.83), facecolor=PAPER)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(which="both", colors=MUTED, labelsize=9)
    axes.grid(axis="y", which="both", color="#e6e6ea", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(x_label, color=INK, fontsize=10)
    axes.set_ylabel(y_label, color=INK, fontsize=10)
    if title:
        axes.set_title(title, loc="left", color=INK, fontsize=11, fontweight="bold", pad=10, parse_math=False)
    for number, (name, points) in enumerate((name, points) for name, points in series.items() if len(points)):
        x, y = np.asarray(points, dtype=np.float64).T
        axes.plot(
            x,
            y,
            color=_COLOURS[number % len(_COLOURS)],
            linestyle=_STYLES[number // len(_COLOURS) % len(_STYLES)],
            linewidth=1.8,
            marker="o" if len(x) <= _FEW else "",
            markersize=3.5,
            label=name + _best(points, x_label, best),
        )
    values = [value for points in series.values() for _, value in points if math.isfinite(value)]
    if not values:
        axes.text(0.5, 0.5, "no values yet", transform=axes.transAxes, ha="center", color=MUTED, fontsize=10)
        return figure
    if 0 < min(values) * _STEEP < max(values):
        axes.set_yscale("log", subs=[1, 2, 3, 5])
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
    places = {place for points in series.values() for place, _ in points}
    if len(places) == 1:
        axes.set_xlim(min(places) - 1, max(places) + 1)  # whole epochs around a single point
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, steps=[1, 2, 5, 10], integer=True))
    axes.legend(fontsize=9, labelcolor=INK, frameon=False)
    return figure


def curves_from_csv(path: str | os.PathLike[str]) -> dict[str, list[tuple[float, float]]]:
    """Read the curves of a run from Lightning's ``metrics.csv``.

    Rows without an epoch, such as those of the learning-rate monitor, are written as an epoch begins: they count for
    the epoch of the next row that has one, and not at all after the last such row. Of several values in one epoch the
    last one counts.

    Args:
        path: A CSV file with a header that has the columns ``epoch`` and, by custom, ``step``; empty cells are skipped.

    Returns:
        Every other column that has values -> (epoch, value) pairs by rising epoch; units as in the file.

    Raises:
        LiftposeError: The file is missing or is not such a table.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            header, *lines = list(csv.reader(file, strict=True)) or [[]]
    except OSError as error:
        found = (error.strerror or str(error)).lower()
        raise LiftposeError(f"{path}: expected the metrics of a run, found: {found}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise LiftposeError(f"{path}: expected a CSV file, found: {error}") from error
    if "epoch" not in header or len(set(header)) != len(header):
        raise LiftposeError(
            f"{path}: expected a header of different names with 'epoch', found '{','.join(header)[:80]}'"
        )
    rows = [_read_row(f"{path}, row {number}", header, line) for number, line in enumerate(lines, start=2) if line]

    curves: dict[str, dict[float, float]] = {name: {} for name in header if name not in {"epoch", "step"}}
    epoch: float | None = None
    for row in reversed(rows):
        epoch = row.get("epoch", epoch)
        for name, curve in curves.items():
            if name in row and epoch is not None:
                curve.setdefault(epoch, row[name])
    return {name: sorted(curve.items()) for name, curve in curves.items() if curve}


def _read_row(where: str, header: Sequence[str], cells: Sequence[str]) -> dict[str, float]:
    """Read the numbers of one row, without the empty cells."""
    if len(cells) != len(header):
        raise LiftposeError(f"{where}: expected {len(header)} cells, found {len(cells)}")
    row: dict[str, float] = {}
    for name, cell in zip(header, cells, strict=True):
        if not cell:
            continue
        try:
            row[name] = float(cell)
        except ValueError as error:
            raise LiftposeError(f"{where}, column {name}: expected a number, found '{cell[:40]}'") from error
    if not math.isfinite(row.get("epoch", 0.0)):
        raise LiftposeError(f"{where}, column epoch: expected a finite number, found '{row['epoch']}'")
    return row


def _best(points: Sequence[tuple[float, float]], x_label: str, best: Literal["lowest", "highest"]) -> str:
    """Say where a curve is lowest or highest, for the legend."""
    sign = 1 if best == "lowest" else -1
    finite = [(sign * value, epoch) for epoch, value in points if math.isfinite(value)]
    if not finite:
        return ""
    value, epoch = min(finite)  # the first of equal ones, as the checkpoint that is kept
    return f", {best} {sign * value:.4g} at {x_label} {epoch:g}"
