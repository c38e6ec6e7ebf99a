"""A sheet of panels: rows with labels, columns with headings, a title and a legend, all sized in inches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from liftpose.viewer.canvas import INK, MUTED, new_figure

__all__ = ["Row", "Sheet", "Window"]

_PANEL: Final = "#f4f4f7"
_MARGIN: Final = 0.12
_GAP: Final = 0.06
_LABELS: Final = 0.42  # column of row labels
_TITLE: Final = 0.28
_HEADINGS: Final = 0.2
_NOTES: Final = 0.2
_LEGEND: Final = 0.3
_NARROWEST: Final = 4.0  # so that title and legend fit beside a single column


@dataclass(frozen=True)
class Window:
    """The part of the plane that the panels of a row show.

    Args:
        width: Width in data units, the same for every panel of the row.
        height: Height in data units.
        corners: (panels, 2) first x and first y of each panel, at its lower left.
        downwards: Whether y grows downwards, as in images; the corner is then the upper left one.
    """

    width: float
    height: float
    corners: NDArray[np.float64]
    downwards: bool = False


@dataclass(frozen=True)
class Row:
    """One row of panels.

    Args:
        name: First half of the panels' labels.
        title: Large words at the left.
        subtitle: Small words beside them.
        window: What its panels show.
        notes: A short text under each panel, or none.
    """

    name: str
    title: str
    subtitle: str
    window: Window
    notes: Sequence[str] = ()


class Sheet:
    """A figure of ``len(rows)`` times ``len(headings)`` panels, every one as wide as the others.

    Args:
        rows: From top to bottom.
        headings: A short text above each column.
        title: A line above everything, or None.
        panel_width: Inches.
    """

    def __init__(self, rows: Sequence[Row], headings: Sequence[str], title: str | None, panel_width: float) -> None:
        heights = [panel_width * row.window.height / row.window.width for row in rows]
        below = [(_NOTES if row.notes else 0.0) + _GAP for row in rows]
        top = _MARGIN + (_TITLE if title else 0.0)
        self._height = top + _HEADINGS + sum(heights) + sum(below) + _LEGEND
        self._width = max(2 * _MARGIN + _LABELS + len(headings) * (panel_width + _GAP) - _GAP, _NARROWEST)
        self.figure = new_figure(self._width, self._height)
        self.panels: dict[str, Axes] = {}

        if title:
            self._text(_MARGIN, _MARGIN, title, size=11, weight="bold", va="top")
        left = [_MARGIN + _LABELS + column * (panel_width + _GAP) for column in range(len(headings))]
        for x, heading in zip(left, headings, strict=True):
            self._text(x + panel_width / 2, top + _HEADINGS - 0.06, heading, color=MUTED, ha="center", va="baseline")
        y = top + _HEADINGS
        for row, height, space in zip(rows, heights, below, strict=True):
            middle = y + height / 2
            self._text(_MARGIN, middle, row.title, size=9.5, weight="bold", rotation=90, va="center")
            self._text(_MARGIN + 0.19, middle, row.subtitle, size=7.5, color=MUTED, rotation=90, va="center")
            for column, x in enumerate(left):
                self._add_panel(row, column, (x, y, panel_width, height))
            for x, note in zip(left, row.notes, strict=bool(row.notes)):
                self._text(x + panel_width / 2, y + height + 0.14, note, ha="center", va="baseline")
            y += height + space

    def add_legend(self, entries: Sequence[tuple[str, str, float]]) -> None:
        """Write what the lines mean, at the bottom left.

        Args:
            entries: (words, colour, width of the line in points) each.
        """
        self.figure.legend(
            handles=[Line2D([], [], color=colour, linewidth=width, marker="") for _, colour, width in entries],
            labels=[words for words, _, _ in entries],
            loc="lower left",
            bbox_to_anchor=((_MARGIN + _LABELS) / self._width, 0.04 / self._height),
            ncols=len(entries),
            fontsize=8,
            labelcolor=INK,
            frameon=False,
            borderaxespad=0.0,
            borderpad=0.2,
            handlelength=1.3,
            handletextpad=0.5,
            columnspacing=1.4,
        )

    def _add_panel(self, row: Row, column: int, box: tuple[float, float, float, float]) -> None:
        x, y, width, height = box
        place = (
            x / self._width,
            1 - (y + height) / self._height,
            width / self._width,
            height / self._height,
        )
        axes = self.figure.add_axes(place, facecolor=_PANEL, label=f"{row.name}/{column}")
        axes.set(xticks=[], yticks=[], autoscale_on=False)
        axes.spines[:].set_visible(False)
        first_x, first_y = row.window.corners[column]
        last_y = first_y + row.window.height
        axes.set_xlim(first_x, first_x + row.window.width)
        axes.set_ylim((last_y, first_y) if row.window.downwards else (first_y, last_y))
        self.panels[f"{row.name}/{column}"] = axes

    def _text(self, x: float, y: float, words: str, *, size: float = 8, color: str = INK, **options: Any) -> None:
        """Write at a place given in inches from the top left corner; dollar signs are no formulas here."""
        place = x / self._width, 1 - y / self._height
        self.figure.text(*place, words, fontsize=size, color=color, parse_math=False, **options)
