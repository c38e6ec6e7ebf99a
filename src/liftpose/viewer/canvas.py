"""Figures without a window: make them, save them, turn them into pixels.

Everything goes through matplotlib's objects and the Agg canvas, never through ``pyplot``: no display is needed, no
figure is kept alive by a global list, and the settings of a notebook in which this is called stay as they are.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from liftpose.errors import LiftposeError
from liftpose.formats.atomic import write_atomically

__all__ = ["INK", "MUTED", "PAPER", "figure_to_array", "new_figure", "save_figure"]

PAPER: Final = "#ffffff"
"""Background of every picture."""

INK: Final = "#222222"
"""Titles and labels."""

MUTED: Final = "#6b6b6b"
"""Numbers and notes; 5.3 : 1 against the background."""

_SUFFIXES: Final = (".png", ".pdf", ".svg")


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure with an Agg canvas.

    Args:
        width: Inches.
        height: Inches.

    Returns:
        The figure, 100 dots per inch until it is saved with another resolution.
    """
    # The layout engine that a user may have set for all figures would move the panels.
    figure = Figure(figsize=(width, height), dpi=100, facecolor=PAPER, edgecolor=PAPER)
    figure.set_layout_engine("none")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: str | os.PathLike[str], dpi: float = 150) -> None:
    """Write a figure as PNG, PDF or SVG, chosen by the suffix; all or nothing.

    Args:
        figure: The picture.
        path: The file to write; missing folders are made.
        dpi: Dots per inch of a PNG.

    Raises:
        LiftposeError: The suffix is another one, or the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _SUFFIXES:
        found = f"'{suffix}'" if suffix else "no suffix"
        raise LiftposeError(f"{path}: expected a picture name that ends in {', '.join(_SUFFIXES)}, found {found}")
    with write_atomically(path) as temporary:
        figure.savefig(temporary, format=suffix[1:], dpi=dpi, facecolor=PAPER, edgecolor=PAPER)


def figure_to_array(figure: Figure) -> NDArray[np.uint8]:
    """Draw a figure and return its pixels, for loggers that take images.

    Args:
        figure: The picture.

    Returns:
        (H, W, 3) uint8, RGB, at the figure's own resolution.
    """
    canvas = figure.canvas
    if not isinstance(canvas, FigureCanvasAgg):
        canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]  # matplotlib has not typed its canvas
    pixels = canvas.buffer_rgba()  # type: ignore[no-untyped-call]
    return np.array(pixels, dtype=np.uint8)[..., :3].copy()
