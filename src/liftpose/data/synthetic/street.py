"""Pictures of many synthetic people, each by a camera of its own, with 2D joints only: the counterpart of MPII."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from liftpose.data.synthetic.actions import TAKES
from liftpose.data.synthetic.clothing import dress
from liftpose.data.synthetic.people import synthetic_take
from liftpose.data.synthetic.photograph import Photograph, make_build, sensor_noise
from liftpose.data.synthetic.rendering import paint_people, view_of
from liftpose.data.synthetic.scenes import make_light, make_room, paint_room, take_photograph
from liftpose.data.synthetic.shapes import SHAPES, body_shapes, mpii_joints
from liftpose.data.synthetic.signals import FloatArray, derive_generator
from liftpose.geometry import Camera

__all__ = ["Snapshot", "StreetJoints", "photograph_snapshot", "street_joints", "street_snapshots"]

_FPS: Final = 3.0
_TAKE: Final = 60  # frames
_PER_PERSON: Final = 4  # pictures of one person, each in other clothes and another place
_FREE: Final = 0.7  # metres round a person where no furniture stands
_BEHIND: Final = 0.4  # metres behind a person at which the camera begins to see furniture


class Snapshot(NamedTuple):
    """One person in front of one camera.

    Attributes:
        name: Name of the picture's file.
        person: Name of the person.
        pose: (17, 3) metres, world frame, z up, in the order of ``H36M_17``.
        camera: Camera of empty batch shape, float64, without lens distortion.
    """

    name: str
    person: str
    pose: npt.NDArray[np.float32]
    camera: Camera


class StreetJoints(NamedTuple):
    """What is annotated of N pictures.

    Attributes:
        joints: (N, 16, 2) pixels, in the order of ``MPII_16``.
        visible: (N, 16) whether the joint is in the picture.
        head_boxes: (N, 2, 2) pixels, the top left and the bottom right corner of what holds the head.
        heights: (N,) pixels, larger side of what holds all joints.
    """

    joints: FloatArray
    visible: npt.NDArray[np.bool_]
    head_boxes: FloatArray
    heights: FloatArray


def street_snapshots(crowd: str, start: int, stop: int, size: int, seed: int) -> list[Snapshot]:
    """Return people in the middle of what they do, and cameras that look at them.

    Args:
        crowd: Who they are: other names have other people.
        start: Number of the first picture.
        stop: Number after that of the last picture; which pictures are made together changes none of them.
        size: Pixels, width and height of the pictures.
        seed: Seed of the data set.
    """
    found = []
    for person in range(start // _PER_PERSON, -(-stop // _PER_PERSON)):
        name = f"{crowd} {person}"
        rng = derive_generator(seed, name, "moments")
        poses = synthetic_take(name, TAKES[rng.integers(len(TAKES))], _TAKE, seed, _FPS)
        for index, frame in enumerate(rng.permutation(_TAKE)[:_PER_PERSON]):
            number = person * _PER_PERSON + index
            if start <= number < stop:
                camera = _camera(derive_generator(seed, name, "camera", str(index)), poses[frame], size)
                found.append(Snapshot(f"{crowd}_{number:06d}.jpg", name, poses[frame], camera))
    return found


def street_joints(snapshots: Sequence[Snapshot], seed: int) -> StreetJoints:
    """Return the annotations of pictures.

    Args:
        snapshots: What is photographed, at least one.
        seed: Seed of the data set.
    """
    cameras = Camera.stack([snapshot.camera for snapshot in snapshots])
    joints = torch.from_numpy(mpii_joints(np.stack([snapshot.pose for snapshot in snapshots])))
    pixels = cameras.project(cameras.to_camera(joints)).numpy()
    inside = (pixels >= 0.0) & (pixels <= cameras.image_size[:, None].numpy() - 1.0)
    visible = np.asarray(inside.all(axis=-1))
    sides = (pixels.max(axis=1) - pixels.min(axis=1)).max(axis=-1)
    return StreetJoints(pixels, visible, np.stack([_head_box(snapshot, seed) for snapshot in snapshots]), sides)


def photograph_snapshot(snapshot: Snapshot, seed: int) -> Photograph:
    """Return a picture: each has a room, a light and clothes of its own.

    Args:
        snapshot: What is photographed.
        seed: Seed of the data set.
    """
    rng = derive_generator(seed, snapshot.name, "scene")
    view = view_of(snapshot.camera)
    root = snapshot.pose[0].astype(np.float64)
    room, light = make_room(rng, (float(root[0]), float(root[1])), _FREE), make_light(rng)
    depth = float(snapshot.camera.to_camera(torch.from_numpy(root))[2])
    picture = paint_room(view, room, light, depth + _BEHIND)
    shapes = body_shapes(snapshot.pose[None], make_build(seed, snapshot.person))
    paint_people([picture], view, shapes, dress(seed, snapshot.person, snapshot.name), light)
    grain, blur = float(rng.uniform(1.0, 9.0)), float(rng.choice((0.0, rng.uniform(0.3, 1.1))))
    pixels = take_photograph(picture, rng, sensor_noise(), grain, blur)
    return Photograph(f"images/{snapshot.name}", pixels, int(rng.integers(65, 96)))


def _camera(rng: np.random.Generator, pose: npt.NDArray[np.float32], size: int) -> Camera:
    """Return a camera that looks at somebody: from anywhere round, mostly from the height of eyes or breast."""
    middle = pose.mean(axis=0).astype(np.float64)
    distance, azimuth = rng.uniform(2.6, 7.5), rng.uniform(0.0, 2.0 * np.pi)
    height = float(np.clip(rng.normal(1.35, 0.45), 0.25, 2.7))
    eye = np.array([middle[0] + distance * np.cos(azimuth), middle[1] + distance * np.sin(azimuth), height])
    forward = (middle - eye) / np.linalg.norm(middle - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    roll = np.radians(float(np.clip(rng.normal(0.0, 5.0), -15.0, 15.0)))
    rotation = np.stack(
        (np.cos(roll) * right + np.sin(roll) * down, -np.sin(roll) * right + np.cos(roll) * down, forward)
    )
    points = (pose.astype(np.float64) - eye) @ rotation.T
    rays = points[:, :2] / points[:, 2:]
    low, high = rays.min(axis=0), rays.max(axis=0)
    # Most people fill half to nine tenths of the picture; some stand partly outside.
    focal = size * rng.uniform(0.5, 0.85) / float((high - low).max())
    spare = np.maximum(size - focal * (high - low), 0.0)
    corner = spare * rng.uniform(0.1, 0.9, 2) + size * rng.normal(0.0, 0.04, 2)
    intrinsics = np.array([[focal, 0.0, 0.0], [0.0, focal, 0.0], [0.0, 0.0, 1.0]])
    intrinsics[:2, 2] = corner - focal * low - 0.5
    return Camera(
        R=torch.from_numpy(rotation),
        t=torch.from_numpy(-rotation @ eye),
        intrinsics=torch.from_numpy(intrinsics),
        distortion=torch.zeros(5, dtype=torch.float64),
        distortion_model="none",
        image_size=torch.tensor([size, size], dtype=torch.float64),
    )


def _head_box(snapshot: Snapshot, seed: int) -> FloatArray:
    """Return the corners (2, 2), pixels, of what holds the painted head."""
    shapes = body_shapes(snapshot.pose[None], make_build(seed, snapshot.person))
    head = SHAPES.index("head")
    seen = snapshot.camera.to_camera(torch.from_numpy(np.stack((shapes.start[0, head], shapes.end[0, head]))))
    pixels = snapshot.camera.project(seen).numpy()
    reach = (shapes.radii[head] * float(snapshot.camera.intrinsics[0, 0]) / seen[:, 2].numpy())[:, None]
    return np.stack(((pixels - reach).min(axis=0), (pixels + reach).max(axis=0)))
