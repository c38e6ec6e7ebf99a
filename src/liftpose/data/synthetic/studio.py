"""Pictures of the synthetic people by the four calibrated cameras of Human3.6M, with 3D truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch

from liftpose.data.images import ImageSet
from liftpose.data.synthetic.actions import TAKES
from liftpose.data.synthetic.clothing import dress
from liftpose.data.synthetic.people import CAPTURE_CENTRE, synthetic_take
from liftpose.data.synthetic.photograph import Photograph, make_build, sensor_noise
from liftpose.data.synthetic.rendering import View, paint_people, view_of
from liftpose.data.synthetic.scenes import make_light, make_room, paint_room, take_photograph
from liftpose.data.synthetic.shapes import body_shapes
from liftpose.data.synthetic.signals import FloatArray, derive_generator
from liftpose.geometry import H36M_CAMERA_IDS, Camera, h36m_cameras, pelvis_boxes
from liftpose.skeletons import H36M_17

__all__ = ["StudioTake", "photograph_take", "studio_cameras", "studio_images", "studio_takes"]

_CAMERAS_OF: Final = "S9"  # the published calibration of this person's recordings stands around the synthetic people
_FPS: Final = 50.0
_TAKE: Final = 600  # frames
_FREE: Final = 1.7  # metres round the middle of the floor where no furniture stands
_BEHIND: Final = 1.2  # metres behind the middle of the floor at which a camera begins to see furniture
_QUALITY: Final = 90


class StudioTake(NamedTuple):
    """A take and its moments that all cameras photograph.

    Attributes:
        subject: Name of the person.
        action: Name of the take.
        frames: Numbers of the frames, ascending.
    """

    subject: str
    action: str
    frames: tuple[int, ...]


def studio_takes(subjects: Sequence[str], moments: int, seed: int) -> list[StudioTake]:
    """Spread photographed moments evenly over all takes of some people, and over each take.

    Args:
        subjects: Names of the people.
        moments: Number of moments over all takes; a take has 600 frames.
        seed: Seed of the data set.
    """
    takes = [(subject, action) for subject in subjects for action in TAKES]
    found = []
    for number, (subject, action) in enumerate(takes):
        count = min(moments * (number + 1) // len(takes) - moments * number // len(takes), _TAKE)
        offset = derive_generator(seed, subject, action, "moments").random()
        frames = tuple(int((index + offset) * _TAKE / count) for index in range(count))
        if frames:
            found.append(StudioTake(subject, action, frames))
    return found


def studio_cameras(size: int) -> Camera:
    """Return the four cameras for pictures of another size.

    Args:
        size: Pixels, width and height.

    Returns:
        Cameras of batch shape (4,), float64.
    """
    return h36m_cameras(_CAMERAS_OF, dtype=torch.float64).resize(size, size)


def studio_images(root: Path, takes: Sequence[StudioTake], size: int, seed: int) -> ImageSet:
    """Return the annotations of what :func:`photograph_take` paints, in its order.

    Boxes are the published ones of Human3.6M: squares of two metres round the pelvis.

    Args:
        root: Folder of the set.
        takes: What is photographed.
        size: Pixels, width and height of the pictures.
        seed: Seed of the data set.

    Returns:
        17 joints; for each take its frames by the first camera, then those by the second and so on.
    """
    cameras = studio_cameras(size)
    parts: list[tuple[FloatArray, ...]] = []
    for take in takes:
        poses = torch.from_numpy(synthetic_take(take.subject, take.action, _TAKE, seed, _FPS)[list(take.frames)])
        points = cameras.to_camera(poses.double().expand(len(cameras), *poses.shape))
        boxes = pelvis_boxes(points[:, :, 0], cameras.intrinsics[:, None].expand(-1, len(poses), -1, -1))
        seen = (cameras.project(points), points[..., 2], boxes)
        parts.append(tuple(part.flatten(0, 1).numpy() for part in seen))
    pixels, depths, squares = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    rows = [(take, view, frame) for take in takes for view in range(len(cameras)) for frame in take.frames]
    views = np.array([view for _, view, _ in rows], np.int64)
    return ImageSet(
        root=root,
        files=tuple(_file(*row) for row in rows),
        skeleton=H36M_17,
        boxes=squares.astype(np.float32),
        keypoints_2d=pixels.astype(np.float32),
        visible=np.ones(pixels.shape[:2], np.float32),
        subjects=tuple(take.subject for take, _, _ in rows),
        actions=tuple(take.action for take, _, _ in rows),
        views=views,
        frames=np.array([frame for _, _, frame in rows], np.int64),
        depths=(depths - depths[:, :1]).astype(np.float32),
        root_depths=depths[:, 0].astype(np.float32),
        cameras=cameras,
        camera_index=views,
    )


def photograph_take(take: StudioTake, size: int, seed: int) -> Iterator[Photograph]:
    """Yield the pictures of a take: all cameras see the same person in the same clothes, room and light.

    Args:
        take: Who and when.
        size: Pixels, width and height of the pictures.
        seed: Seed of the data set.
    """
    poses = synthetic_take(take.subject, take.action, _TAKE, seed, _FPS)[list(take.frames)]
    shapes = body_shapes(poses, make_build(seed, take.subject))
    outfit = dress(seed, take.subject, take.action)
    rng = derive_generator(seed, take.subject, take.action, "scene")
    room, light = make_room(rng, CAPTURE_CENTRE, _FREE), make_light(rng)
    centre = torch.tensor([*CAPTURE_CENTRE, 1.0], dtype=torch.float64)
    for index, view in enumerate(_views(size)):
        sensor = derive_generator(seed, take.subject, take.action, "sensor", H36M_CAMERA_IDS[index])
        grain, blur = float(sensor.uniform(1.5, 5.0)), float(sensor.uniform(0.35, 0.7))
        empty = paint_room(view, room, light, float(view.camera.to_camera(centre)[2]) + _BEHIND)
        pictures = [empty.copy() for _ in take.frames]
        paint_people(pictures, view, shapes, outfit, light)
        for picture, frame in zip(pictures, take.frames, strict=True):
            pixels = take_photograph(picture, sensor, sensor_noise(), grain, blur)
            yield Photograph(_file(take, index, frame), pixels, _QUALITY)


@lru_cache(maxsize=2)
def _views(size: int) -> list[View]:
    """Return the cameras with their rays."""
    cameras = studio_cameras(size)
    return [view_of(cameras[index]) for index in range(len(cameras))]


def _file(take: StudioTake, view: int, frame: int) -> str:
    """Return the name of a picture, in Human3.6M's manner."""
    return f"images/{take.subject}/{take.action.replace(' ', '_')}.{H36M_CAMERA_IDS[view]}/{frame:06d}.jpg"
