"""The 3D panels of a film: from where people are seen, which part of the room is shown, floor and shadows."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from liftpose.viewer.bones import project_upright
from liftpose.viewer.scene import Scene

__all__ = ["ELEVATION", "Stage", "follow", "see_from"]

ELEVATION: Final = math.radians(15)
"""How far above the horizon the viewer stands; as published."""

_STILL: Final = 1.0  # metres: somebody who stays within is not followed
_TILE: Final = 0.5  # metres between the lines of the floor
_SMALLEST: Final = 1.9  # metres that a panel is high at least, so that the size of a person means something
_MARGIN: Final = 1.12
_ON_FLOOR: Final = np.array([1.0, 1.0, 0.0])
_SHARE: Final = (
    99.5  # per cent of the frames whose joints all lie inside the panels: one wild pose shall not shrink all
)

Points = NDArray[np.float64]


def see_from(points: Points, azimuth: float, elevation: float) -> tuple[Points, Points]:
    """See points of the room from a side, orthographically.

    Args:
        points: (..., 3) metres, z up.
        azimuth: Radians; the viewer's right is (cos, sin, 0).
        elevation: Radians above the horizon.

    Returns:
        (..., 2) right and up in the picture, and (...) distance away from the viewer, larger is farther; metres.

    Example:
        >>> seen, depth = see_from(np.array([1.0, 2.0, 3.0]), azimuth=0.0, elevation=0.0)
        >>> seen.tolist(), float(depth)
        ([1.0, 3.0], 2.0)
    """
    camera_like = np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1)
    return project_upright(camera_like, azimuth, elevation)


def follow(roots: Points, fps: float) -> Points:
    """Return the middle of the picture for every frame: still for people who stay in place, else along their path.

    Args:
        roots: (N, 2) metres, place of the root on the floor.
        fps: Frames per second.

    Returns:
        (N, 2) metres. A path is smoothed over one second, so that the picture does not sway with every step.
    """
    low, high = roots.min(0), roots.max(0)
    if (high - low).max() <= _STILL:
        return np.tile((low + high) / 2, (len(roots), 1))
    reach = min(round(fps / 2), len(roots) - 1)
    padded = np.pad(roots, ((reach, reach), (0, 0)), "reflect", reflect_type="odd")
    sums = np.cumsum(np.concatenate([np.zeros((1, 2)), padded]), axis=0)
    window = 2 * reach + 1
    smooth: Points = (sums[window:] - sums[:-window]) / window
    return smooth


class Stage:
    """What all 3D panels of a film have in common: side, scale and the middle of the picture, found from all frames.

    Args:
        scene: What is shown; a pose at least.
        width: Pixels of a panel.
        height: Pixels of a panel.
        turn: Radians by which the viewer walks around the people, from where the camera stands towards its right.

    Attributes:
        centres: (N, 2) metres, what is in the middle of the picture, on the floor.
        scale: Pixels per metre.
    """

    def __init__(self, scene: Scene, width: int, height: int, turn: float = 0.0) -> None:
        self.width, self.height = width, height
        self._azimuth = scene.azimuth + turn
        shown = [poses for poses in (scene.truth, scene.prediction) if poses is not None]
        self.centres = follow(shown[0][:, scene.skeleton.root, :2], scene.fps)
        lowest, highest, widest = 0.0, 0.0, 0.0
        on_floor = [poses * _ON_FLOOR for poses in shown]
        for poses in (*shown, *on_floor):
            right, up = np.moveaxis(self._seen(poses)[0], -1, 0)
            lowest = min(lowest, float(np.percentile(up.min(1), 100 - _SHARE)))
            highest = max(highest, float(np.percentile(up.max(1), _SHARE)))
            widest = max(widest, float(np.percentile(np.abs(right).max(1), _SHARE)))
        tall = max(_MARGIN * (highest - lowest), _SMALLEST)
        self.scale = min(height / tall, width / (2 * _MARGIN * widest + 1e-9))
        self._bottom = (highest + lowest) / 2 - height / self.scale / 2  # metres, at the lower edge

    @property
    def is_still(self) -> bool:
        """Whether the floor stays where it is in all frames."""
        return bool((self.centres == self.centres[0]).all())

    def _seen(self, poses: Points) -> tuple[Points, Points]:
        """See poses (N, J, 3) in metres around the middle of the picture."""
        middle = np.pad(self.centres, ((0, 0), (0, 1)))
        return see_from(poses - middle[:, None], self._azimuth, ELEVATION)

    def _pixels(self, seen: Points) -> Points:
        x = self.width / 2 + self.scale * seen[..., 0]
        y = self.height - self.scale * (seen[..., 1] - self._bottom)
        return np.stack([x, y], axis=-1)

    def place(self, poses: Points) -> tuple[Points, Points]:
        """Return where joints are in a panel.

        Args:
            poses: (N, J, 3) metres, the room.

        Returns:
            (N, J, 2) pixels from the panel's top left corner, and (N, J) distance from the viewer in metres.
        """
        seen, depth = self._seen(poses)
        return self._pixels(seen), depth

    def shadows(self, poses: Points) -> Points:
        """Return where the shadows of joints are that a light straight above casts: (N, J, 2) pixels."""
        return self.place(poses * _ON_FLOOR)[0]

    def floor(self, frame: int) -> Points:
        """Return the lines of the floor around the people: (M, 2, 2) pixels. They stay in place as people move."""
        x0, y0 = self.centres[frame]
        radius = max(1.1 * self.width, 0.8 * self.height) / self.scale
        lines = []
        for axis, middle, along in ((0, x0, y0), (1, y0, x0)):
            first, last = math.ceil((middle - radius) / _TILE), math.floor((middle + radius) / _TILE)
            at = np.arange(first, last + 1) * _TILE
            reach = np.sqrt(np.maximum(radius**2 - (at - middle) ** 2, 0))
            ends = np.stack([along - reach, along + reach], axis=1)
            line = np.zeros((len(at), 2, 3))
            line[..., axis], line[..., 1 - axis] = at[:, None], ends
            lines.append(line)
        points = np.concatenate(lines) - np.array([x0, y0, 0.0])
        return self._pixels(see_from(points, self._azimuth, ELEVATION)[0])
