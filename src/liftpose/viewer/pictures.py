"""Pictures with the poses that were seen in them, for the page: beside the 3D view, under the joints."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from liftpose.formats.picture_predictions import PicturePredictions
from liftpose.viewer.scene import Scene, upright_rotation

__all__ = ["ScenePicture", "picture_scene"]

_ROOM: Final = 1.7  # what is shown of a picture is so many times the side of the box
_LONGEST_SIDE: Final = 1000  # pixels of a picture in the page
_QUALITY: Final = 88


@dataclass(frozen=True, eq=False)
class ScenePicture:
    """A part of a picture around a person.

    Attributes:
        name: Name of the picture's file, without its folders.
        jpeg: The part as a JPEG file.
        place: Pixels of the picture: left, top, right and bottom edge of the part, a pixel's edges being half a pixel
            from its centre.
        box: Pixels of the picture: the edges of what the network saw.
    """

    name: str
    jpeg: bytes
    place: tuple[float, float, float, float]
    box: tuple[float, float, float, float]

    def to_dict(self) -> dict[str, Any]:
        """Return it as the page takes it: the JPEG file as an address that holds it."""
        address = f"data:image/jpeg;base64,{base64.b64encode(self.jpeg).decode()}"
        return {"name": self.name, "source": address, "place": list(self.place), "box": list(self.box)}


def picture_scene(predictions: PicturePredictions, pictures: Iterable[NDArray[np.uint8]]) -> Scene:
    """Put poses that were seen in pictures into a room, one after the other.

    A pose is turned upright as if the camera had been level, and set on the floor by its lowest joint.

    Args:
        predictions: The poses.
        pictures: The picture of each, (H, W, 3) uint8 RGB; only one at a time is kept.

    Returns:
        The scene: each person is a frame of it.

    Raises:
        ValueError: There are not as many pictures as poses.
    """
    parts = tuple(
        _part(name, picture, box)
        for picture, name, box in zip(pictures, predictions.files, predictions.boxes.tolist(), strict=True)
    )
    turn, azimuth = upright_rotation(None)
    pose = predictions.poses_3d.astype(np.float64) @ turn.T
    pose = pose - np.array([0.0, 0.0, 1.0]) * pose[..., 2].min(1)[:, None, None]
    names = list(dict.fromkeys(predictions.files))
    heading = _last(names[0]) if len(names) == 1 else f"{len(names)} pictures"
    if len(predictions) > 1:
        heading += f", {len(predictions)} people"
    return Scene(
        subject="",
        action="",
        view=0,
        skeleton=predictions.skeleton,
        keypoint_skeleton=predictions.skeleton,
        fps=1.0,
        keypoints_2d=predictions.keypoints_2d.astype(np.float64),
        image_size=None,
        prediction=pose,
        truth=None,
        errors_mm=None,
        azimuth=azimuth,
        in_world=False,
        heading=heading,
        pictures=parts,
    )


def _last(path: str) -> str:
    """Return the name of a file without its folders."""
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def _part(name: str, picture: NDArray[np.uint8], box: Sequence[float]) -> ScenePicture:
    """Cut out the part of a picture that is shown."""
    rows, columns = picture.shape[:2]
    x, y, width, height = box
    side = _ROOM / 2 * max(width, height)
    left, right = (int(np.clip(edge, 0, columns)) for edge in (np.floor(x - side), np.ceil(x + side) + 1))
    top, bottom = (int(np.clip(edge, 0, rows)) for edge in (np.floor(y - side), np.ceil(y + side) + 1))
    image = Image.fromarray(picture[top:bottom, left:right])
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    return ScenePicture(
        name=_last(name),
        jpeg=stream.getvalue(),
        place=(left - 0.5, top - 0.5, right - 0.5, bottom - 0.5),
        box=(x - width / 2, y - height / 2, x + width / 2, y + height / 2),
    )
