"""Pictures of the joints that were found in photographs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from liftpose.skeletons import Skeleton
from liftpose.viewer.bones import LEFT, MIDDLE, RIGHT, as_joints, bone_colours, draw_bones
from liftpose.viewer.sheet import Row, Sheet, Window

__all__ = ["draw_keypoints"]

_BONE: Final = 2.2  # points


def draw_keypoints(
    keypoints_2d: torch.Tensor | ArrayLike,
    truth: torch.Tensor | ArrayLike | None,
    skeleton: Skeleton,
    pictures: ArrayLike,
    *,
    headings: Sequence[str],
    title: str | None = None,
) -> Figure:
    """Draw joints that were found in photographs of one size, above the true ones.

    Args:
        keypoints_2d: (N, J, 2) pixels, origin at the centre of the top-left pixel.
        truth: (N, J, 2) true joints, NaN where unknown; None where there are none.
        skeleton: The joint order of both.
        pictures: (N, H, W, 3) uint8 RGB.
        headings: N texts, one above each photograph.
        title: A line above all.

    Returns:
        The figure. Its axes are labelled ``found/<column>`` and ``truth/<column>``.

    Raises:
        ValueError: A shape does not fit the others, or there is nothing to draw.
    """
    found = as_joints(keypoints_2d, skeleton, 2, "keypoints_2d")
    drawn = {"found": found}
    if truth is not None:
        drawn["truth"] = as_joints(truth, skeleton, 2, "truth")
    photographs = np.asarray(pictures)
    if found.ndim != 3 or not len(found) or any(joints.shape != found.shape for joints in drawn.values()):
        shapes = ", ".join(str(joints.shape) for joints in drawn.values())
        raise ValueError(f"expected one photograph with joints (N, J, 2) or more, found {shapes}")
    if photographs.ndim != 4 or photographs.shape[-1] != 3 or not len(photographs) == len(headings) == len(found):
        raise ValueError(
            f"expected {len(found)} pictures (H, W, 3) and headings, found {photographs.shape} and {len(headings)}"
        )
    height, width = photographs.shape[1:3]
    window = Window(width, height, np.full((len(found), 2), -0.5), downwards=True)
    sheet = Sheet(
        [Row(name, name.capitalize(), "joints", window) for name in drawn], list(headings), title, panel_width=1.6
    )
    colours = bone_colours(skeleton)
    for name, joints in drawn.items():
        for column, (photograph, points) in enumerate(zip(photographs, joints, strict=True)):
            axes = sheet.panels[f"{name}/{column}"]
            axes.imshow(photograph, extent=(-0.5, width - 0.5, height - 0.5, -0.5), aspect="auto")
            draw_bones(axes, points, skeleton, colours=colours, width=_BONE)
    sheet.add_legend((("left", LEFT, _BONE), ("right", RIGHT, _BONE), ("torso", MIDDLE, _BONE)))
    return sheet.figure
