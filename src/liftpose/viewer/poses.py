"""Pictures of poses: a predicted sequence beside the truth, and a single pose from two sides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from liftpose.metrics.functional import mpjpe_per_pose
from liftpose.skeletons import Skeleton
from liftpose.viewer.bones import (
    GHOST,
    LEFT,
    MIDDLE,
    RIGHT,
    as_float64,
    as_joints,
    bone_colours,
    draw_bones,
    project_upright,
)
from liftpose.viewer.canvas import MUTED
from liftpose.viewer.sheet import Row, Sheet, Window

__all__ = ["draw_pose", "draw_sequence"]

_BONE: Final = 2.2  # points
_GHOST_BONE: Final = 4.4
_RIM: Final = 1.8
_LEGEND: Final = (("left", LEFT, _BONE), ("right", RIGHT, _BONE), ("torso", MIDDLE, _BONE))
_TRUTH_LEGEND: Final = ("truth", GHOST, _GHOST_BONE)


@dataclass(frozen=True)
class _View:
    """Where the viewer stands: radians around and above the root, and the words for it."""

    words: str
    azimuth: float
    elevation: float


_FRONT: Final = _View("camera view", 0.0, 0.0)
_TURNED: Final = _View("turned by 35°", math.radians(35), math.radians(10))
# From the side the camera's depth lies across the page: there the errors of a lifter show, and its own view hides them.
_SIDE: Final = _View("side view", math.radians(90), 0.0)


def draw_sequence(
    prediction: torch.Tensor | ArrayLike,
    truth: torch.Tensor | ArrayLike | None,
    keypoints_2d: torch.Tensor | ArrayLike | None,
    skeleton: Skeleton,
    *,
    title: str | None = None,
    label: str = "Prediction",
    errors_mm: torch.Tensor | ArrayLike | None = None,
    frames: int = 8,
    fps: float | None = None,
    headings: Sequence[str] | None = None,
    image_size: tuple[float, float] | None = None,
    keypoint_skeleton: Skeleton | None = None,
    pictures: ArrayLike | None = None,
) -> Figure:
    """Draw moments of a sequence side by side: keypoints, predicted pose, true pose, and both poses from the side.

    All poses are drawn to one scale, all keypoints to another one, so that sizes can be compared along and down the
    page.

    Args:
        prediction: (N, J, 3) metres, camera frame (x right, y down, z forward) relative to the root.
        truth: (N, J, 3), same unit and frame, or None where it is not known; its row is then left out.
        keypoints_2d: (N, K, 2) pixels, or None to leave the row out. Joints that are not finite are not drawn, here and
            in the poses.
        skeleton: The joint order of the poses, and of the keypoints unless ``keypoint_skeleton`` says another.
        title: A line above the picture.
        label: What the first poses are, at the left of their rows.
        errors_mm: N errors in millimetres, written under the predicted poses. None writes the mean per-joint error
            where there is a truth.
        frames: Number of moments, spread evenly from the first frame to the last; shorter sequences show every frame.
        fps: Frames per second, to write the time of each moment; without it its frame number is written, from 0.
        headings: N short texts to write instead, for poses that are no sequence in time.
        image_size: (width, height) in pixels: the keypoint panels show the whole image. Without it they follow the
            person.
        keypoint_skeleton: The joint order of the keypoints where it is not that of the poses.
        pictures: (N, H, W, 3) uint8 RGB, drawn under the keypoints, which are pixels of them; None for white paper.

    Returns:
        The figure. Its axes are labelled ``<row>/<column>``, rows being "input", "prediction", "truth" and "both", or
        "side" without a truth.

    Raises:
        ValueError: A shape does not fit the skeleton or the other arrays, or there is nothing to draw.
    """
    poses = as_joints(prediction, skeleton, 3, "prediction")
    if poses.ndim != 3 or not len(poses) or frames < 1:
        raise ValueError(
            f"expected one frame of shape (N, J, 3) or more, found shape {poses.shape} and frames={frames}"
        )
    true_poses = None if truth is None else _companion(truth, skeleton, 3, "truth", len(poses))
    seen = skeleton if keypoint_skeleton is None else keypoint_skeleton
    keypoints = None if keypoints_2d is None else _companion(keypoints_2d, seen, 2, "keypoints_2d", len(poses))
    photographs = None if pictures is None else _photographs(pictures, len(poses))
    if photographs is not None:
        image_size = (float(photographs.shape[2]), float(photographs.shape[1]))
    errors = _errors_mm(poses, true_poses, errors_mm)
    if headings is None:
        headings = [f"frame {frame}" if fps is None else f"{frame / fps:.2f} s" for frame in range(len(poses))]
    elif len(headings) != len(poses):
        raise ValueError(f"headings: expected {len(poses)} texts as in the prediction, found {len(headings)}")

    shown = np.unique(np.linspace(0, len(poses) - 1, min(frames, len(poses))).round().astype(int))
    poses = poses[shown]
    true_poses = None if true_poses is None else true_poses[shown]
    together = [poses] if true_poses is None else [poses, true_poses]
    window = _space_window(together, [_TURNED, _SIDE], len(shown))
    notes = () if errors is None else tuple(_in_millimetres(errors[frame]) for frame in shown)
    rows = [Row("prediction", label, _TURNED.words, window, notes)]
    if true_poses is None:
        rows.append(Row("side", label, _SIDE.words, window))
    else:
        rows.append(Row("truth", "Truth", _TURNED.words, window))
        rows.append(Row("both", "Both", _SIDE.words, window))
    if keypoints is not None:
        rows.insert(0, Row("input", "Input", "keypoints", _image_window(keypoints[shown], image_size)))

    sheet = Sheet(rows, [headings[frame] for frame in shown], title, panel_width=1.25)
    colours = bone_colours(seen)
    for column, frame in enumerate(shown):
        if keypoints is not None:
            photograph = None if photographs is None else photographs[frame]
            _draw_input(sheet.panels[f"input/{column}"], keypoints[frame], seen, colours, photograph)
        _draw_view(sheet.panels[f"prediction/{column}"], poses[column], skeleton, _TURNED)
        if true_poses is None:
            _draw_view(sheet.panels[f"side/{column}"], poses[column], skeleton, _SIDE)
        else:
            _draw_view(sheet.panels[f"truth/{column}"], true_poses[column], skeleton, _TURNED)
            _draw_both(sheet.panels[f"both/{column}"], poses[column], true_poses[column], skeleton, _SIDE)
    _draw_scale(sheet.panels["prediction/0"])
    sheet.add_legend(_LEGEND if true_poses is None else (*_LEGEND, _TRUTH_LEGEND))
    return sheet.figure


def draw_pose(
    prediction: torch.Tensor | ArrayLike,
    truth: torch.Tensor | ArrayLike | None,
    skeleton: Skeleton,
    *,
    title: str | None = None,
) -> Figure:
    """Draw one pose over the truth, as the camera sees it and from its right.

    Args:
        prediction: (J, 3) metres, camera frame (x right, y down, z forward) relative to the root.
        truth: (J, 3), same unit and frame, or None where it is not known.
        skeleton: The joint order of both.
        title: A line above the picture.

    Returns:
        The figure. Its axes are labelled "pose/0" and "pose/1"; the mean per-joint error in millimetres stands under
        the first.

    Raises:
        ValueError: A shape does not fit the skeleton.
    """
    pose = as_joints(prediction, skeleton, 3, "prediction")
    if pose.ndim != 2:
        raise ValueError(f"prediction: expected one pose of shape (J, 3), found shape {pose.shape}")
    true_pose = None if truth is None else as_joints(truth, skeleton, 3, "truth")
    if true_pose is not None and true_pose.ndim != 2:
        raise ValueError(f"truth: expected one pose of shape (J, 3), found shape {true_pose.shape}")
    views = [_FRONT, _SIDE]
    window = _space_window([pose] if true_pose is None else [pose, true_pose], views, len(views))
    errors = _errors_mm(pose[None], None if true_pose is None else true_pose[None], None)
    notes = () if errors is None else (_in_millimetres(errors[0]), "")

    words = "prediction" if true_pose is None else "over the truth"
    sheet = Sheet([Row("pose", "Prediction", words, window, notes)], [view.words for view in views], title, 2.2)
    for column, view in enumerate(views):
        axes = sheet.panels[f"pose/{column}"]
        if true_pose is None:
            _draw_view(axes, pose, skeleton, view)
        else:
            _draw_both(axes, pose, true_pose, skeleton, view)
    _draw_scale(sheet.panels["pose/0"])
    sheet.add_legend(_LEGEND if true_pose is None else (*_LEGEND, _TRUTH_LEGEND))
    return sheet.figure


def _photographs(pictures: ArrayLike, length: int) -> NDArray[Any]:
    """Check the pictures that go with N predicted poses."""
    array = np.asarray(pictures)
    if array.ndim != 4 or len(array) != length or array.shape[-1] != 3:
        raise ValueError(f"pictures: expected shape ({length}, H, W, 3), found {array.shape}")
    return array


def _draw_input(
    axes: Axes, keypoints: NDArray[np.float64], skeleton: Skeleton, colours: list[str], photograph: NDArray[Any] | None
) -> None:
    """Draw keypoints, over the picture that they were found in where there is one."""
    if photograph is not None:
        height, width = photograph.shape[:2]
        axes.imshow(photograph, extent=(-0.5, width - 0.5, height - 0.5, -0.5), aspect="auto")
    draw_bones(axes, keypoints, skeleton, colours=colours, width=_BONE)


def _companion(
    values: torch.Tensor | ArrayLike, skeleton: Skeleton, channels: int, name: str, length: int
) -> NDArray[np.float64]:
    """Check an array that goes with N predicted poses."""
    array = as_joints(values, skeleton, channels, name)
    if array.ndim != 3 or len(array) != length:
        raise ValueError(f"{name}: expected {length} frames as in the prediction, found shape {array.shape}")
    return array


def _errors_mm(
    poses: NDArray[np.float64],
    true_poses: NDArray[np.float64] | None,
    given: torch.Tensor | ArrayLike | None,
) -> NDArray[np.float64] | None:
    """Return the errors to write, (N,) millimetres, or None."""
    if given is not None:
        errors = as_float64(given)
        if errors.shape != (len(poses),):
            raise ValueError(
                f"errors_mm: expected {len(poses)} numbers as in the prediction, found shape {errors.shape}"
            )
        return errors
    if true_poses is None:
        return None
    computed: NDArray[np.float64] = mpjpe_per_pose(torch.from_numpy(poses), torch.from_numpy(true_poses)).numpy() * 1000
    return computed


def _in_millimetres(error: float) -> str:
    return f"{error:.0f} mm" if math.isfinite(error) else "error unknown"


def _extent(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smallest and largest coordinates of the finite (..., 2) points; those of the unit square if there are none."""
    finite = points[np.isfinite(points).all(-1)]
    if not len(finite):
        return np.zeros(2), np.ones(2)
    return finite.min(0), finite.max(0)


def _space_window(sets_of_poses: list[NDArray[np.float64]], views: list[_View], panels: int) -> Window:
    """Find one window, in metres around the root, that holds all poses in all views."""
    seen = [
        project_upright(poses, view.azimuth, view.elevation)[0].reshape(-1, 2)
        for poses in sets_of_poses
        for view in views
    ]
    low, high = _extent(np.concatenate(seen))
    height = 1.1 * max(high[1] - low[1], 0.1)
    # The root stays in the middle of every panel, so that a lean can be told from a shift.
    width = max(2.2 * max(high[0], -low[0]), 0.55 * height)
    height = max(height, 0.75 * width)  # leaves room for the words beside a row of people lying down
    corner = np.array([-width / 2, (low[1] + high[1] - height) / 2])
    return Window(width, height, np.tile(corner, (panels, 1)))


def _image_window(keypoints: NDArray[np.float64], image_size: tuple[float, float] | None) -> Window:
    """Find the pixels that each keypoint panel shows: the image, or equally large parts of it around the person."""
    if image_size is not None:
        width, height = (float(side) for side in image_size)
        # The first pixel's centre is the origin, so the image begins half a pixel before it.
        return Window(width, height, np.full((len(keypoints), 2), -0.5), downwards=True)
    boxes = np.array([_extent(frame) for frame in keypoints])  # (panels, low and high, 2)
    width, height = 1.15 * (boxes[:, 1] - boxes[:, 0]).max(0)
    width, height = max(width, 0.55 * height, 1.0), max(height, 0.5 * width, 1.0)
    return Window(width, height, boxes.mean(1) - np.array([width, height]) / 2, downwards=True)


def _draw_view(axes: Axes, pose: NDArray[np.float64], skeleton: Skeleton, view: _View) -> None:
    """Draw one pose from one side."""
    points, depth = project_upright(pose, view.azimuth, view.elevation)
    draw_bones(axes, points, skeleton, colours=bone_colours(skeleton), width=_BONE, depth=depth, rim=_RIM)


def _draw_both(
    axes: Axes, pose: NDArray[np.float64], true_pose: NDArray[np.float64], skeleton: Skeleton, view: _View
) -> None:
    """Draw one pose over the truth, which is grey; rims would cut the grey into pieces."""
    points, depth = project_upright(true_pose, view.azimuth, view.elevation)
    draw_bones(axes, points, skeleton, colours=[GHOST] * len(skeleton), width=_GHOST_BONE, depth=depth)
    points, depth = project_upright(pose, view.azimuth, view.elevation)
    draw_bones(axes, points, skeleton, colours=bone_colours(skeleton), width=_BONE, depth=depth)


def _draw_scale(axes: Axes) -> None:
    """Draw half a metre into a corner of a panel."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    x, y = left + 0.05 * (right - left), bottom + 0.03 * (top - bottom)
    axes.plot([x, x + 0.5], [y, y], color=MUTED, linewidth=1.2, marker="", solid_capstyle="butt")
    axes.annotate("0.5 m", (x, y), (0, 2.5), textcoords="offset points", fontsize=6.5, color=MUTED)
