"""How often which joint angle occurs: one panel for each joint variable, several sources of poses side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MultipleLocator
from numpy.typing import NDArray
from torch import Tensor

from liftpose.geometry import joint_limits
from liftpose.geometry.kinematics import CHAINS, JOINT_VARIABLES
from liftpose.viewer.canvas import INK, MUTED, PAPER, new_figure

__all__ = ["JOINT_VARIABLE_NAMES", "draw_joint_angle_histograms"]

_COLOURS: Final = ("#b8bcc6", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", INK)
_BIN: Final = 5  # degrees
_COLUMNS: Final = 4
_PANEL: Final = (2.2, 1.0)  # inches, with the labels around it
_HEAD, _FOOT, _SIDE = 0.75, 0.05, 0.15
_INSET: Final = 0.06  # of a panel in its place; title and legend begin there too
_TRUNK_PARTS: Final = ("lower trunk", "upper trunk", "shoulders", "head")


def _names() -> tuple[str, ...]:
    """Name the variables, with the direction in which they grow."""
    names = [""] * JOINT_VARIABLES
    for side in ("right", "left"):
        for limb, upper, joint, flexion in (("leg", "thigh", "knee", "-"), ("arm", "upper arm", "elbow", "+")):
            moves = (f"{upper} twist", f"{upper} to the left", f"{upper} forward", f"{joint} flexion ({flexion})")
            for number, move in enumerate(moves, start=CHAINS[f"{side}_{limb}"].start):
                names[number] = f"{side} {move}"
    for part, place in enumerate(_TRUNK_PARTS):
        for number, move in enumerate(("twist to the left", "forward", "to the right")):
            names[CHAINS["body"].start + 3 * part + number] = f"{place} {move}"
    return tuple(names)


JOINT_VARIABLE_NAMES: Final = _names()
"""What each of the 33 joint variables turns, and which way it grows; empty for those that move nothing."""


def draw_joint_angle_histograms(angles: Mapping[str, Tensor], *, title: str | None = None) -> Figure:
    """Draw how often the joint angles of several sets of poses occur, with the limits of each joint.

    A variable that moves nothing has no panel, nor has one that is 0 in all poses, such as those that
    ``inverse_kinematics`` leaves at 0. The heights are square roots of shares, so that the many poses at one angle do
    not hide the few at others. Solid ticks mark the limits ``joint_limits("random")``, what people can do; dotted ones
    the wide limits ``"intended"``.

    Args:
        angles: Name of a set -> (N, 33) radians, laid out as in ``liftpose.geometry.kinematics.CHAINS``. The first set
            is drawn as an area, the others as lines. Poses with an angle that is not finite are left out.
        title: A line above the picture.

    Returns:
        The figure.

    Raises:
        ValueError: A set has another shape.
    """
    degrees: dict[str, NDArray[np.float64]] = {}
    for name, values in angles.items():
        if values.ndim != 2 or values.shape[1] != JOINT_VARIABLES:
            raise ValueError(
                f"angles of {name}: expected the shape (N, {JOINT_VARIABLES}), found {tuple(values.shape)}"
            )
        rows = values.detach().to("cpu", torch.float64).rad2deg().numpy()
        degrees[name] = rows[np.isfinite(rows).all(axis=1)]
    places = _places([np.asarray(rows.any(axis=0)) for rows in degrees.values()])
    lines = 1 + max((line for line, _ in places.values()), default=0)
    width, height = _SIDE * 2 + _COLUMNS * _PANEL[0], _HEAD + _FOOT + lines * _PANEL[1]
    figure = new_figure(width, height)
    if title:
        place = (_SIDE + _INSET) / width, 1 - 0.28 / height
        figure.text(*place, title, color=INK, fontsize=11, fontweight="bold", parse_math=False)
    _legend(figure, list(degrees), ((_SIDE + _INSET) / width, 1 - 0.56 / height))
    note = "heights: square roots of shares"
    figure.text(1 - _SIDE / width, 1 - 0.28 / height, note, color=MUTED, fontsize=8, ha="right")
    if not places:
        figure.text(0.5, 0.3, "no angles", ha="center", color=MUTED, fontsize=10)
    limits = {name: joint_limits(name, dtype=torch.float64).rad2deg().numpy() for name in ("intended", "random")}
    for number, (line, column) in places.items():
        left, bottom = _SIDE + column * _PANEL[0] + _INSET, height - _HEAD - (line + 1) * _PANEL[1] + 0.3
        box = (left / width, bottom / height, (_PANEL[0] - 0.3) / width, (_PANEL[1] - 0.52) / height)
        axes = figure.add_axes(box, facecolor=PAPER)
        own = {name: tuple(map(float, table[number])) for name, table in limits.items()}
        _draw_panel(axes, [rows[:, number] for rows in degrees.values()], own)
        axes.set_title(JOINT_VARIABLE_NAMES[number], loc="left", color=INK, fontsize=8, pad=3)
    return figure


def _places(moved: list[NDArray[np.bool_]]) -> dict[int, tuple[int, int]]:
    """Return line and column of the panel of each variable that moves in one of the sets; each limb begins a line."""
    places: dict[int, tuple[int, int]] = {}
    line = 0
    for chain in CHAINS.values():
        variables = range(chain.start, chain.stop)
        shown = [number for number in variables if JOINT_VARIABLE_NAMES[number] and any(rows[number] for rows in moved)]
        for place, number in enumerate(shown):
            places[number] = (line + place // _COLUMNS, place % _COLUMNS)
        line += math.ceil(len(shown) / _COLUMNS)
    return places


def _draw_panel(axes: Axes, sets: list[NDArray[np.float64]], limits: Mapping[str, tuple[float, ...]]) -> None:
    """Draw the histograms of one variable, degrees."""
    filled = [values for values in sets if len(values)]
    ends = np.concatenate([np.asarray(limits["random"]), *(np.quantile(values, (0.002, 0.998)) for values in filled)])
    first, last = _BIN * math.floor(ends.min() / _BIN - 1), _BIN * math.ceil(ends.max() / _BIN + 1)
    # Limits are multiples of the width: half a bin of shift keeps what lies at a limit from falling on two sides.
    edges = np.arange(first, last + 3 * _BIN / 2, _BIN, dtype=np.float64) - _BIN / 2
    for number, values in enumerate(sets):
        if not len(values):
            continue
        counts, _ = np.histogram(np.clip(values, first, last), bins=edges)
        heights = np.sqrt(counts / len(values))
        colour = _COLOURS[number % len(_COLOURS)]
        axes.stairs(heights, edges, color=colour, fill=number == 0, linewidth=1.2)
    top = axes.get_ylim()[1]
    axes.set_ylim(0, top * 1.05)
    for name, style in (("random", "-"), ("intended", ":")):
        for limit in limits[name]:
            if first < limit < last:
                axes.axvline(limit, color=INK, linewidth=0.8, linestyle=style, alpha=0.8)
    axes.set_xlim(edges[0], edges[-1])
    axes.xaxis.set_major_locator(MultipleLocator(90 if last - first > 200 else 45 if last - first > 90 else 20))
    axes.xaxis.set_major_formatter("{x:.0f}°")
    axes.set_yticks([])
    axes.tick_params(colors=MUTED, labelsize=7, length=2, pad=1)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)


def _legend(figure: Figure, names: list[str], place: tuple[float, float]) -> None:
    """Say which colour is which, and what the ticks are."""
    handles: list[Patch | Line2D] = [
        Patch(color=_COLOURS[0], label=name)
        if number == 0
        else Line2D([], [], color=_COLOURS[number % len(_COLOURS)], label=name)
        for number, name in enumerate(names)
    ]
    handles.append(Line2D([], [], color=INK, linewidth=0.8, label="limits of random poses"))
    handles.append(Line2D([], [], color=INK, linewidth=0.8, linestyle=":", label="limits of the generator"))
    figure.legend(
        handles=handles,
        loc="center left",
        bbox_to_anchor=place,
        borderaxespad=0.0,
        borderpad=0.0,
        ncols=len(handles),
        fontsize=8,
        labelcolor=INK,
        frameon=False,
    )
