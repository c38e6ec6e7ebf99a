"""The pictures of a film: input, prediction and truth side by side, one picture after the other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from liftpose.viewer.bones import LEFT, MIDDLE, RIGHT, bone_colours
from liftpose.viewer.canvas import INK, MUTED, PAPER
from liftpose.viewer.raster import Box, Raster
from liftpose.viewer.scene import Scene
from liftpose.viewer.stage import Stage

__all__ = ["Film", "image_place"]

_PANEL: Final = "#f4f4f7"
_FLOOR: Final = "#dedee5"
_SHADOW: Final = "#d3d3dc"
_BAR: Final = "#e3e3e9"
_REFERENCE: Final = 480.0  # lines and letters are as given below in panels of this height, and grow with it
_NARROW: Final = 400.0  # or of this width, where that is less
_BONE: Final = 5.0
_RIM: Final = 3.0
_TEXT: Final = 16.0
_MARGIN: Final = 14.0
_HEADER: Final = 46.0
_ROOM: Final = 1.25  # times what the keypoints take
_FOOTER: Final = 14.0
_SHORTER: Final = np.array([[0.85, 0.15], [0.15, 0.85]])  # rims leave the joints free, as in pictures of poses
_LEGEND: Final = (("left", LEFT), ("right", RIGHT), ("torso", MIDDLE))

Points = NDArray[np.float64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class _Person:
    """One panel with a person: everything that changes from frame to frame, already in pixels of the film."""

    box: Box
    points: Points
    depth: Points | None
    shadows: Points | None
    bones: NDArray[np.int_]
    colours: list[str]


class Film:
    """A film of a scene; pictures are drawn when they are asked for.

    From left to right: keypoints, predicted pose, true pose, whatever there is. Poses are seen from where the camera
    stands, somewhat from above, all to one scale, over a floor with a line every half metre that stays in place. The
    error of each frame stands in the corner of the prediction.

    Args:
        scene: What is shown.
        width: Pixels of each panel.
        height: Pixels of each panel.
        turn: Radians by which the viewer walks around the people, towards the camera's right.
        backdrop: Whether the keypoints lie over pictures that are given with each frame.
    """

    def __init__(
        self, scene: Scene, width: int = 480, height: int = 480, *, turn: float = 0.0, backdrop: bool = False
    ) -> None:
        self.scene = scene
        self._unit = min(height / _REFERENCE, width / _NARROW)
        self._panel = (width, height)
        margin, header = self._px(_MARGIN), self._px(_HEADER)
        names = [
            name
            for name, values in (
                ("Input", scene.keypoints_2d),
                ("Prediction", scene.prediction),
                ("Truth", scene.truth),
            )
            if values is not None
        ]
        self._boxes = {
            name: Box(margin + place * (width + margin), header, width, height) for place, name in enumerate(names)
        }
        total = margin + len(names) * (width + margin)
        rows = header + height + self._px(_FOOTER)
        self.size = total + total % 2, rows + rows % 2
        self._raster = Raster(*self.size, PAPER)
        self._shift, self._scale = (0.0, 0.0), 1.0
        if scene.keypoints_2d is not None:
            self._shift, self._scale = self._fit_keypoints(scene.keypoints_2d, backdrop)
        self._stage = None if set(names) <= {"Input"} else Stage(scene, width, height, turn)
        self._people = self._place_people()
        self._draw_background(backdrop)

    def _px(self, length: float) -> int:
        return max(1, round(length * self._unit))

    @property
    def backdrop(self) -> Box | None:
        """Where pictures under the keypoints lie, in pixels of the film; None where there are no keypoints.

        The pictures have this size when they are drawn: scale them to it.
        """
        box = self._boxes.get("Input")
        if box is None or self.scene.image_size is None:
            return None
        left, top = (math.floor(shift) for shift in self._shift)
        wide, high = (round(self._scale * side) for side in self.scene.image_size)
        return Box(box.left + left, box.top + top, wide, high)

    def pictures(self, backdrops: Iterator[Pixels] | None = None) -> Iterator[Pixels]:
        """Draw the frames one after the other.

        Args:
            backdrops: For every frame the (H, W, 3) uint8 RGB picture that the keypoints lie in, of the size of
                :attr:`backdrop`; or None.

        Yields:
            (H, W, 4) uint8, RGBA without transparency, :attr:`size` large; a new array each.

        Raises:
            ValueError: There are fewer pictures than frames, or one of another size.
        """
        for frame in range(len(self.scene)):
            self._raster.clear()
            if backdrops is not None:
                self._lay_under(next(backdrops, None))
            self._draw_frame(frame, over_picture=backdrops is not None)
            yield self._raster.pixels.copy()

    # ----------------------------------------------------------------------------------------------------- preparation
    def _place_people(self) -> dict[str, _Person]:
        """Find the pixels of all joints in all frames."""
        people: dict[str, _Person] = {}
        poses_in = np.array(self.scene.skeleton.bones), bone_colours(self.scene.skeleton)
        keypoints_in = np.array(self.scene.keypoint_skeleton.bones), bone_colours(self.scene.keypoint_skeleton)
        for name, box in self._boxes.items():
            corner = np.array([box.left, box.top], dtype=np.float64)
            poses = {"Prediction": self.scene.prediction, "Truth": self.scene.truth}.get(name)
            if poses is None or self._stage is None:
                points = self._keypoint_pixels(self.scene.keypoints_2d) + corner
                people[name] = _Person(box, points, None, None, *keypoints_in)
            else:
                points, depth = self._stage.place(poses)
                shadows = self._stage.shadows(poses) + corner
                people[name] = _Person(box, points + corner, depth, shadows, *poses_in)
        return people

    def _fit_keypoints(self, keypoints: Points, whole_picture: bool) -> tuple[tuple[float, float], float]:
        """Return where pixel 0 of the picture is in the panel, and the scale: the whole picture, or the person's part.

        The part is the same in all frames, so that the person moves as in the picture.
        """
        if whole_picture and self.scene.image_size is not None:
            left, top, scale = image_place(self.scene.image_size, self._panel)
            return (left, top), scale
        finite = keypoints[np.isfinite(keypoints).all(-1)]
        low, high = (finite.min(0), finite.max(0)) if len(finite) else (np.zeros(2), np.ones(2))
        wide, tall = np.maximum(_ROOM * (high - low), 1.0)
        left, top, scale = image_place((float(wide), float(tall)), self._panel)
        corner = (low + high) / 2 - np.array([wide, tall]) / 2
        return (left - scale * float(corner[0]), top - scale * float(corner[1])), scale

    def _keypoint_pixels(self, keypoints: Points | None) -> Points:
        """Return where keypoints are in their panel; the picture begins half a pixel before its first pixel."""
        points: Points = (np.asarray(keypoints, dtype=np.float64) + 0.5) * self._scale + np.array(self._shift)
        return points

    def _draw_background(self, backdrop: bool) -> None:
        """Draw once what is the same in all frames."""
        raster, scene = self._raster, self.scene
        margin, line = self._px(_MARGIN), round(0.62 * self._px(_HEADER))
        size = _TEXT * self._unit
        clock = raster.number(
            self.size[0] - margin, line, self._clock(len(scene) - 1), size=size, colour=PAPER, right=True
        )
        place = self.size[0] - margin - clock - 2 * margin
        for words, colour in reversed(_LEGEND):
            if len(self._boxes) > 1:
                place -= raster.text(place, line, words, size=size, colour=MUTED, right=True) + self._px(6)
                end = np.array([place, line - 0.32 * size])
                raster.lines(np.array([[end - [self._px(16), 0], end]]), colour, _BONE * self._unit)
                place -= self._px(16) + margin
        title = raster.shorten(scene.title, place - margin, size=size, bold=True)
        raster.text(margin, line, title, size=size, colour=INK, bold=True)
        for name, box in self._boxes.items():
            raster.fill(box, _PANEL)
            if name == "Input" and (picture := self.backdrop) is not None and not backdrop:
                self._draw_edge(picture, box)
            moving = name != "Input" and self._stage is not None and not self._stage.is_still
            if name != "Input" and self._stage is not None and not moving:
                self._draw_floor(self._stage, box, 0)
            if not moving and not (name == "Input" and backdrop):  # else with every frame, over the floor
                self._name(name)
        raster.keep_background()

    def _draw_edge(self, picture: Box, panel: Box) -> None:
        """Draw the edge of the picture that the keypoints lie in."""
        left, top = picture.left, picture.top
        right, bottom = left + picture.width, top + picture.height
        corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]], dtype=np.float64)
        self._raster.lines(np.stack([corners[:-1], corners[1:]], axis=1), _FLOOR, self._unit, panel)

    def _name(self, name: str) -> None:
        box = self._boxes[name]
        edge = self._px(12)
        self._raster.text(
            box.left + edge, box.top + edge + self._px(_TEXT), name, size=_TEXT * self._unit, colour=INK, bold=True
        )

    # ------------------------------------------------------------------------------------------------------- each frame
    def _lay_under(self, picture: Pixels | None) -> None:
        """Put a picture where the keypoints are drawn."""
        place, panel = self.backdrop, self._boxes["Input"]
        if picture is None or place is None or picture.shape[:2] != (place.height, place.width):
            found = "none" if picture is None else f"one of shape {picture.shape}"
            raise ValueError(f"backdrops: expected a picture for every frame and of the size {place}, found {found}")
        bottom = min(place.top + place.height, panel.top + panel.height)
        right = min(place.left + place.width, panel.left + panel.width)
        part = picture[: bottom - place.top, : right - place.left]
        self._raster.pixels[place.top : bottom, place.left : right, :3] = part

    def _draw_frame(self, frame: int, over_picture: bool) -> None:
        size, edge = _TEXT * self._unit, self._px(12)
        for name, person in self._people.items():
            box = person.box
            if person.shadows is not None and self._stage is not None:
                if not self._stage.is_still:
                    self._draw_floor(self._stage, box, frame)
                    self._name(name)
                shadow = person.shadows[frame][person.bones]
                self._raster.lines(shadow, _SHADOW, 1.2 * _BONE * self._unit, box)
            if name == "Input" and over_picture:
                self._draw_halo(person, frame)
            self._draw_person(person, frame, rim=not (name == "Input" and over_picture))
            if name == "Prediction" and self.scene.errors_mm is not None:
                right, line = box.left + box.width - edge, box.top + edge + self._px(_TEXT)
                self._raster.number(
                    right, line, _millimetres(float(self.scene.errors_mm[frame])), size=size, colour=INK, right=True
                )
        margin, line = self._px(_MARGIN), round(0.62 * self._px(_HEADER))
        self._raster.number(self.size[0] - margin, line, self._clock(frame), size=size, colour=MUTED, right=True)
        self._draw_progress(frame)

    def _clock(self, frame: int) -> str:
        digits = len(str(len(self.scene) - 1))
        return f"frame {frame:0{digits}d}   {frame / self.scene.fps:.2f} s"

    def _draw_floor(self, stage: Stage, box: Box, frame: int) -> None:
        lines = stage.floor(frame) + np.array([box.left, box.top])
        self._raster.lines(lines, _FLOOR, max(1.0, self._unit), box)

    def _draw_halo(self, person: _Person, frame: int) -> None:
        """Draw white lines under the bones, so that dark ones are seen over a dark picture."""
        self._raster.lines(person.points[frame][person.bones], PAPER, (_BONE + _RIM) * self._unit, person.box)

    def _draw_person(self, person: _Person, frame: int, rim: bool) -> None:
        """Draw bones, far ones first, each with a rim in the colour of the panel where it passes before another."""
        points = person.points[frame]
        order = list(range(len(person.bones)))
        if person.depth is not None:
            depth = person.depth[frame][person.bones].sum(1)
            order = [int(place) for place in np.argsort(-depth, kind="stable")]
        for place in order:
            ends = points[person.bones[place]]
            if rim and person.depth is not None:
                self._raster.lines((_SHORTER @ ends)[None], _PANEL, (_BONE + _RIM) * self._unit, person.box)
            colour = person.colours[int(person.bones[place, 1])]
            self._raster.lines(ends[None], colour, _BONE * self._unit, person.box)

    def _draw_progress(self, frame: int) -> None:
        """Draw a thin line at the lower edge that grows with the film."""
        margin, height = self._px(_MARGIN), self._px(3)
        top = self.size[1] - self._px(_FOOTER) + (self._px(_FOOTER) - height) // 2
        width = self.size[0] - 2 * margin
        done = round(width * (frame + 1) / len(self.scene))
        self._raster.fill(Box(margin, top, width, height), _BAR)
        self._raster.fill(Box(margin, top, done, height), LEFT)


def image_place(image_size: tuple[float, float], panel: tuple[int, int]) -> tuple[float, float, float]:
    """Fit a picture into a panel, as large as possible and in its middle.

    Args:
        image_size: Width and height of the picture in pixels.
        panel: Width and height of the panel in pixels.

    Returns:
        Column and row of the picture's corner in the panel, and the scale.

    Example:
        >>> image_place((1000, 500), (480, 480))
        (0.0, 120.0, 0.48)
    """
    scale = min(panel[0] / image_size[0], panel[1] / image_size[1])
    return (panel[0] - scale * image_size[0]) / 2, (panel[1] - scale * image_size[1]) / 2, scale


def _millimetres(error: float) -> str:
    return f"{error:.0f} mm" if math.isfinite(error) else "error unknown"
