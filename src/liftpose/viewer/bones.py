"""Skeletons as coloured lines: the view, the colours, the bones.

Poses are projected here, orthographically, and drawn as plain lines: with matplotlib's own 3D axes a picture takes
several times as long, and its perspective changes the length of a bone with its place in the panel.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from numpy.typing import ArrayLike, NDArray

from liftpose.skeletons import Skeleton

__all__ = [
    "DARK_PALETTE",
    "GHOST",
    "LEFT",
    "LIGHT_PALETTE",
    "MIDDLE",
    "RIGHT",
    "as_float64",
    "as_joints",
    "bone_colours",
    "bone_sides",
    "draw_bones",
    "project_upright",
]

# Published pictures use slateblue, darkseagreen and peru. The last two come close to each other for readers who see no
# red or no green (CIELAB distance 29 and 34) and the green is faint on paper (2.2 : 1). These four stay 34 or
# more apart for all readers, and left keeps its colour.
LEFT: Final = "#6a5acd"
"""Bones of the left side (slateblue)."""

RIGHT: Final = "#e07b00"
"""Bones of the right side."""

MIDDLE: Final = "#222222"
"""Bones of the torso and head."""

GHOST: Final = "#b9b9c0"
"""All bones of a truth that lies under a prediction."""

LIGHT_PALETTE: Final = {"left": LEFT, "right": RIGHT, "middle": MIDDLE, "ghost": GHOST}
"""Side of a bone -> its colour on a light background."""

DARK_PALETTE: Final = {"left": "#978afc", "right": "#f0912b", "middle": "#f2f2f6", "ghost": "#50504a"}
"""Side of a bone -> its colour on a dark background: the same hues, told apart as well."""

# A rim as long as its bone would cut the other bones that meet at its ends.
_SHORTER: Final = np.array([[0.85, 0.15], [0.15, 0.85]])


def as_float64(values: torch.Tensor | ArrayLike) -> NDArray[np.float64]:
    """Copy numbers of any kind and device into a float64 array.

    Args:
        values: Any shape and unit; a tensor may be on a device, need gradients or be of half precision.

    Returns:
        The same shape and unit.
    """
    if isinstance(values, torch.Tensor):
        values = values.detach().to("cpu", torch.float64).numpy()
    return np.array(values, dtype=np.float64, order="C")


def as_joints(values: torch.Tensor | ArrayLike, skeleton: Skeleton, channels: int, name: str) -> NDArray[np.float64]:
    """Return joints as a float64 array after a check of their shape.

    Args:
        values: (..., J, channels), any unit and frame, on any device.
        skeleton: The skeleton that gives J.
        channels: 2 or 3.
        name: What the message calls the array.

    Returns:
        (..., J, channels), unit and frame as given.

    Raises:
        ValueError: The shape does not fit the skeleton.

    Example:
        >>> from liftpose.skeletons import H36M_17
        >>> as_joints(torch.zeros(5, 16, 3), H36M_17, 3, "prediction")
        Traceback (most recent call last):
        ValueError: prediction: expected shape (..., 17, 3) for skeleton h36m_17, found (5, 16, 3)
    """
    array = as_float64(values)
    if array.ndim < 2 or array.shape[-2:] != (len(skeleton), channels):
        wanted = f"(..., {len(skeleton)}, {channels}) for skeleton {skeleton.name}"
        raise ValueError(f"{name}: expected shape {wanted}, found {array.shape}")
    return array


def project_upright(
    poses: NDArray[np.float64], azimuth: float, elevation: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """See poses of a camera frame from another side, orthographically and the right way up.

    The viewer starts where the camera stands, walks around the root by ``azimuth`` towards the camera's right, and
    rises by ``elevation``, always looking at the root.

    Args:
        poses: (..., J, 3) in the camera frame (x right, y down, z forward) relative to the root, any unit.
        azimuth: Radians; 0 is the camera's own view, pi / 2 the view from its right.
        elevation: Radians.

    Returns:
        (..., J, 2) right and up in the picture, and (..., J) distance away from the viewer, larger is farther; both in
        the unit of ``poses``.

    Example:
        >>> points, depth = project_upright(np.array([[0.0, -1.0, 2.0]]), azimuth=0.0, elevation=0.0)
        >>> points.tolist(), depth.tolist()
        ([[0.0, 1.0]], [2.0])
    """
    x, y, z = poses[..., 0], poses[..., 1], poses[..., 2]
    right = math.cos(azimuth) * x + math.sin(azimuth) * z
    ahead = math.cos(azimuth) * z - math.sin(azimuth) * x
    up = math.sin(elevation) * ahead - math.cos(elevation) * y
    depth = math.cos(elevation) * ahead + math.sin(elevation) * y
    return np.stack([right, up], axis=-1), depth


def bone_sides(skeleton: Skeleton) -> list[str]:
    """Return the side of the bone that ends in each joint.

    Args:
        skeleton: The skeleton.

    Returns:
        J times "left", "right" or "middle"; a bone has the side of the joint where it ends, so both hips count as
        sides. The root's entry stands for no bone.
    """
    sides = ["middle"] * len(skeleton)
    for joints, side in ((skeleton.left, "left"), (skeleton.right, "right")):
        for joint in joints:
            sides[joint] = side
    return sides


def bone_colours(skeleton: Skeleton) -> list[str]:
    """Return the colour of the bone that ends in each joint.

    Args:
        skeleton: The skeleton.

    Returns:
        J colours, those of :func:`bone_sides`. The root's entry stands for no bone.
    """
    return [LIGHT_PALETTE[side] for side in bone_sides(skeleton)]


def draw_bones(
    axes: Axes,
    points: NDArray[np.float64],
    skeleton: Skeleton,
    *,
    colours: list[str],
    width: float,
    depth: NDArray[np.float64] | None = None,
    rim: float = 0.0,
) -> LineCollection:
    """Draw one skeleton as lines, far bones first.

    A rim in the colour of the panel, somewhat shorter than its bone, shows where the bone passes in front of another.

    Args:
        axes: Where to draw.
        points: (J, 2) in data coordinates of ``axes``; a bone with an end that is not finite is left out.
        skeleton: The skeleton.
        colours: J colours, as from ``bone_colours``.
        width: Width of the lines in points.
        depth: (J,) distance from the viewer, larger is farther; None draws in the order of the joints.
        rim: Width of the rim in points, both sides together; 0 for none.

    Returns:
        The lines, already added to ``axes``: all bones, or with ``rim`` a rim and a bone in turn.
    """
    bones = [(parent, joint) for joint, parent in enumerate(skeleton.parents) if parent >= 0]
    bones = [bone for bone in bones if np.isfinite(points[list(bone)]).all()]
    if depth is not None:
        bones.sort(key=lambda bone: -float(depth[list(bone)].sum()))
    segments = [points[list(bone)] for bone in bones]
    line_colours = [colours[joint] for _, joint in bones]
    widths = [width] * len(bones)
    if rim > 0:
        paper = to_hex(axes.get_facecolor())
        segments = [line for segment in segments for line in (_SHORTER @ segment, segment)]
        line_colours = [colour for own in line_colours for colour in (paper, own)]
        widths = [width + rim, width] * len(bones)
    lines = LineCollection(segments, colors=line_colours, linewidths=widths, capstyle="round")
    axes.add_collection(lines, autolim=False)
    return lines
