"""What stands round the synthetic people: rooms with textures and furniture, lamps, and what a camera adds."""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch

from liftpose.data.synthetic.rendering import Light, Picture, View
from liftpose.data.synthetic.signals import FloatArray

__all__ = ["Room", "make_light", "make_room", "paint_room", "take_photograph"]

_CLOUDS: Final = 12
_NEAREST: Final = 0.3  # metres between people and furniture, as the camera sees it: people are never hidden by it


class Room(NamedTuple):
    """A room: six planes with textures, and boxes on the floor.

    Attributes:
        low: (3,) metres, corner of the room with the smallest coordinates; the floor is at 0.
        high: (3,) metres, the opposite corner.
        colours: (6, 2, 3) two colours of each plane: low x, high x, low y, high y, floor, ceiling; 0 to 255.
        patterns: (6,) texture of each plane: 0 plain, 1 stripes along one axis, 2 the other, 3 checks, 4 clouds.
        periods: (6,) metres, size of the texture.
        clouds: (K, K) smooth noise from 0 to 1, for uneven surfaces.
        boxes: (M, 7) centre x and y, half sides x and y, bottom, top in metres, and angle in radians.
        box_colours: (M, 3) 0 to 255.
    """

    low: FloatArray
    high: FloatArray
    colours: FloatArray
    patterns: npt.NDArray[np.int64]
    periods: FloatArray
    clouds: Picture
    boxes: FloatArray
    box_colours: FloatArray


def make_room(rng: np.random.Generator, centre: tuple[float, float], clear: float) -> Room:
    """Return a random room.

    Args:
        rng: Source of all draws.
        centre: Metres, middle of the floor that people use.
        clear: Metres, radius of the floor that is kept free of furniture.
    """
    half = rng.uniform(6.5, 10.0, (2, 2))
    low = np.array([centre[0] - half[0, 0], centre[1] - half[0, 1], 0.0])
    high = np.array([centre[0] + half[1, 0], centre[1] + half[1, 1], rng.uniform(3.2, 5.0)])
    base = rng.uniform(40.0, 235.0, (6, 1)) + rng.normal(0.0, 22.0, (6, 3))
    if rng.random() < 0.5:  # the walls of most rooms are alike
        base[1:4] = base[0]
    colours = np.clip(np.stack((base, base + rng.normal(0.0, 28.0, (6, 3)) + rng.normal(0.0, 20.0, (6, 1))), 1), 5, 250)
    patterns = rng.choice(5, 6, p=(0.3, 0.1, 0.1, 0.15, 0.35))
    clouds = _clouds()[rng.integers(_CLOUDS)]
    count = int(rng.integers(2, 9))
    angle, far = rng.uniform(0.0, 2.0 * np.pi, count), rng.uniform(clear + 0.4, 6.0, count)
    flat = rng.random(count) < 0.3  # pictures, shelves and windows do not stand on the floor
    bottom = np.where(flat, rng.uniform(0.8, 1.8, count), 0.0)
    boxes = np.stack(
        (
            centre[0] + far * np.cos(angle), centre[1] + far * np.sin(angle), rng.uniform(0.15, 0.7, count),
            rng.uniform(0.1, 0.5, count), bottom, bottom + rng.uniform(0.35, 1.9, count), rng.uniform(0.0, 3.1, count),
        ),
        axis=1,
    )  # fmt: skip
    box_colours = np.clip(rng.uniform(20.0, 235.0, (count, 1)) + rng.normal(0.0, 35.0, (count, 3)), 5, 250)
    return Room(low, high, colours, patterns, rng.uniform(0.25, 1.2, 6), clouds, boxes, box_colours)


@cache
def _clouds() -> Picture:
    """Return smooth noise from 0 to 1 that surfaces share: (_CLOUDS, 256, 256)."""
    rng = np.random.default_rng(20260102)
    layers = ((5, 0.5), (17, 0.3), (67, 0.2))
    return np.stack(
        [
            sum(
                (
                    share * cv2.resize(rng.random((n, n), np.float32), (256, 256), interpolation=cv2.INTER_CUBIC)
                    for n, share in layers
                ),
                np.zeros((256, 256), np.float32),
            )
            for _ in range(_CLOUDS)
        ]
    )


def make_light(rng: np.random.Generator) -> Light:
    """Return a random lamp, at 25 degrees above the horizon or higher."""
    azimuth, height = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.45, 1.4)
    direction = np.array([np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height)])
    warmth = rng.normal(0.0, 0.04)
    colour = rng.uniform(0.95, 1.3) * np.array([1.0 + warmth, 1.0, 1.0 - warmth])
    return Light(direction, float(rng.uniform(0.25, 0.5)), colour, float(rng.uniform(0.2, 0.6)))


def paint_room(view: View, room: Room, light: Light, farther: float) -> Picture:
    """Return the picture of an empty room.

    It is painted at half the size and enlarged, as if the camera were focused on the people.

    Args:
        view: The camera, inside the room.
        room: The room.
        light: The lamp; it shades the furniture.
        farther: Metres; furniture that is not farther from the camera than that is left out, as is what it would hide.

    Returns:
        (H, W, 3) float32, RGB from 0 to 255.
    """
    height, width = view.rays.shape[:2]
    rays = view.rays[::2, ::2]
    eye = view.camera.center.numpy()
    directions = rays.reshape(-1, 3) @ view.camera.R.numpy().astype(np.float32)
    # The wall, floor or ceiling that a ray meets first.
    upward = directions > 0
    with np.errstate(divide="ignore"):
        ahead = np.where(upward, (room.high - eye).astype(np.float32), (room.low - eye).astype(np.float32)) / directions
    axis = ahead.argmin(axis=1)
    row = np.arange(len(axis))
    points = ahead[row, axis, None] * directions + eye.astype(np.float32)
    plane = 2 * axis + upward[row, axis]
    u = np.where(axis == 0, points[:, 1], points[:, 0])
    v = np.where(axis == 2, points[:, 1], points[:, 2])
    period = (1.0 / room.periods).astype(np.float32)[plane]
    first, second = (np.floor(place * period).astype(np.int32) & 1 for place in (u, v))
    side = room.clouds.shape[0]
    cloud = room.clouds[(v * 24).astype(np.int32) % side, (u * 24).astype(np.int32) % side]
    share = np.choose(room.patterns[plane], (0.15 * cloud, first, second, first ^ second, 1.6 * cloud - 0.3))
    # Planes that are turned away from the lamp are darker.
    lit = 0.78 + 0.22 * np.stack((light.direction, -light.direction), axis=1).ravel()
    colours = (room.colours * lit[:, None, None]).astype(np.float32)
    pixels = colours[plane, 0] + share[:, None].astype(np.float32) * (colours[:, 1] - colours[:, 0])[plane]
    pixels *= 0.93 + 0.14 * cloud[:, None]
    picture = np.ascontiguousarray(pixels.reshape(rays.shape), np.float32)
    _paint_boxes(picture, view, room, light, farther)
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


# A box on the floor: its corners in half sides, with 0 for the bottom and 1 for the top, and its faces.
_CORNERS: Final = np.array([[x, y, z] for z in (0, 1) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))], np.float64)
_FACES: Final = np.array([[0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7], [4, 5, 6, 7], [0, 1, 2, 3]])


def _paint_boxes(picture: Picture, view: View, room: Room, light: Light, farther: float) -> None:
    """Paint furniture, the farthest first."""
    eye = view.camera.center.numpy()
    cx, cy, hx, hy, bottom, top, angle = room.boxes.T[:, :, None]
    x, y = _CORNERS[:, 0] * hx, _CORNERS[:, 1] * hy
    cos, sin = np.cos(angle), np.sin(angle)
    world = np.stack((cx + x * cos - y * sin, cy + x * sin + y * cos, bottom + _CORNERS[:, 2] * (top - bottom)), -1)
    seen = view.camera.to_camera(torch.from_numpy(world))
    depths = seen[..., 2].numpy()
    # Pictures of half the size have their first pixel's centre where four pixels of the whole one meet.
    pixels = (view.camera.project(seen).numpy() + 0.5) / 2.0 - 0.5
    for index in np.argsort(-depths.mean(axis=1)):
        # The lens model has no meaning far outside the picture.
        if depths[index].min() < farther + _NEAREST or np.abs(pixels[index]).max() > 10 * max(picture.shape):
            continue
        centres = world[index, _FACES].mean(axis=1)
        normals = centres - world[index].mean(axis=0)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        shades = light.ambient + (1.0 - light.ambient) * (0.5 + 0.5 * (normals @ light.direction))
        for face in np.flatnonzero((normals * (eye - centres)).sum(axis=1) > 0):
            polygon = np.round(pixels[index, _FACES[face]] * 8).astype(np.int32)
            cv2.fillConvexPoly(picture, polygon, (room.box_colours[index] * shades[face]).tolist(), cv2.LINE_AA, 3)


def take_photograph(
    picture: Picture, rng: np.random.Generator, noise: npt.NDArray[np.float32], grain: float, blur: float
) -> npt.NDArray[np.uint8]:
    """Return what the camera makes of a picture: unsharp and noisy.

    Args:
        picture: (H, W, 3) RGB from 0 to 255.
        rng: Source of the place in the noise.
        noise: (K, K, 3) standard normal noise, larger than the picture by 16 at least.
        grain: Standard deviation of the noise, grey levels.
        blur: Standard deviation of the unsharpness, pixels; 0 for none.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    if blur > 0.0:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), blur), np.float32)
    y, x = rng.integers(noise.shape[0] - picture.shape[0]), rng.integers(noise.shape[1] - picture.shape[1])
    part = noise[y : y + picture.shape[0], x : x + picture.shape[1]]
    mixed = cv2.addWeighted(picture, 1.0, part, grain, 0.5)
    return np.clip(mixed, 0.0, 255.0).astype(np.uint8)
