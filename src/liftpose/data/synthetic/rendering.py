"""Pictures of the synthetic people: rounded cones met by the rays of a camera, shaded and painted back to front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch

from liftpose.data.synthetic.clothing import Outfit
from liftpose.data.synthetic.shapes import Shapes
from liftpose.data.synthetic.signals import FloatArray
from liftpose.geometry import Camera

__all__ = ["Light", "Picture", "View", "paint_people", "view_of"]

Picture = npt.NDArray[np.float32]
"""(H, W, 3) RGB from 0 to 255, while it is being painted."""

_ZERO: Final = np.float32(0.0)
_TINY: Final = np.float32(1e-12)
_NEAR: Final = 0.2  # metres from the camera that a shape has to keep to be painted
_SWALLOWED: Final = 1.001
_SHADOW_BLUR: Final = 0.008  # share of the picture's width
_FIXED: Final = 8  # cv2 takes eighths of a pixel
_FAR_AWAY: Final = 30000  # eighths of a pixel beyond which cv2's lines are not to be trusted


class Light(NamedTuple):
    """What shines on a scene.

    Attributes:
        direction: (3,) unit vector to the lamp, world frame.
        ambient: Share of the light that comes from everywhere, 0 to 1.
        colour: (3,) factor on red, green and blue.
        shadow: Darkness of the shadow on the floor, 0 to 1.
    """

    direction: FloatArray
    ambient: float
    colour: FloatArray
    shadow: float


class View(NamedTuple):
    """One camera and the rays through its pixels.

    Attributes:
        camera: The camera, of empty batch shape and with float64 numbers.
        rays: (H, W, 3) unit vectors, camera frame, lens distortion included.
        focal: Pixels in one unit of x / z.
    """

    camera: Camera
    rays: Picture
    focal: float


def view_of(camera: Camera) -> View:
    """Return a camera with its rays.

    Args:
        camera: Of empty batch shape; its intrinsics have no entry below the diagonal.
    """
    camera = camera.to(dtype=torch.float64)
    width, height = (round(side) for side in camera.image_size.tolist())
    u, v = np.arange(width, dtype=np.float64)[None], np.arange(height, dtype=np.float64)[:, None]
    if camera.distortion_model != "none":
        pixels = np.stack(np.broadcast_arrays(u, v), axis=-1)
        u, v = np.moveaxis(camera.undistort(torch.from_numpy(pixels)).numpy(), -1, 0)
    (fx, skew, cx), (_, fy, cy), _ = camera.intrinsics.tolist()
    y = (v - cy) / fy
    x = (u - cx - skew * y) / fx
    shorter = 1.0 / np.sqrt(x * x + y * y + 1.0)
    return View(camera, np.stack((x * shorter, y * shorter, shorter), axis=-1, dtype=np.float32), fx)


def paint_people(pictures: Sequence[Picture], view: View, shapes: Shapes, outfit: Outfit, light: Light) -> None:
    """Paint a person into pictures, one frame into each, with the shadow on the floor.

    Args:
        pictures: N pictures of the size of the view, changed in place.
        view: The camera.
        shapes: The person in N frames.
        outfit: What the person wears.
        light: What shines.
    """
    cones = _prepare(view, shapes, light)
    order = np.argsort(-cones.depths, axis=1)
    shadows = _shadow_lines(view, shapes, light)
    for frame, picture in enumerate(pictures):
        _paint_shadow(picture, shadows, frame, light)
        nearest = np.full(picture.shape[:2], np.inf, np.float32)
        for shape in order[frame]:
            _paint_cone(picture, nearest, view, cones, frame, int(shape), outfit, light)


class _Cones(NamedTuple):
    """The rounded cones of all frames in the camera frame, ready to be met by rays.

    With L the stretch, A and e the stretched start and axis, r and g the first radius and its growth:

    Attributes:
        boxes: (N, P, 4) int, first column and row, last column and row + 1 of what the shape can cover.
        depths: (N, P) metres, of the middle.
        linear: (N, P, 3, 3) columns L A, L e, and the direction of the flattening: a ray's products with A, e, itself.
        scalars: (N, P, 8) A.A, A.e, e.e, r, g, the flatness, and with m = e.e - g^2 and k = r g - A.e: k / m and
            A.A - r^2 - k^2 / m, which is negative where the camera is inside the endless cone.
        moved: (N, P, 3, 4) columns L L q for the lamp, the sky, the front and the direction of the flattening as q.
        offsets: (N, P, 2, 4) A.(L q) and e.(L q).
    """

    boxes: npt.NDArray[np.int64]
    depths: FloatArray
    linear: Picture
    scalars: FloatArray
    moved: Picture
    offsets: Picture


def _prepare(view: View, shapes: Shapes, light: Light) -> _Cones:
    """Move shapes into the camera frame and compute what does not depend on the pixel."""
    rotation, origin = view.camera.R.numpy(), view.camera.t.numpy()
    start, end = (points @ rotation.T + origin for points in (shapes.start, shapes.end))
    across, front = (vectors @ rotation.T for vectors in (shapes.across, shapes.front))
    stretch = np.eye(3) + (shapes.flatness - 1.0)[:, None, None] * (across[..., :, None] * across[..., None, :])
    a, e = ((stretch @ vectors[..., None])[..., 0] for vectors in (start, end - start))
    r, last = np.broadcast_to(shapes.radii.T[:, None], (2, *a.shape[:2]))
    g = last - r
    # Where one ball holds the other, the larger one is all there is to see: a cone of nearly no length.
    swallowed = (e * e).sum(-1) <= _SWALLOWED * g * g
    a += np.where(swallowed & (g > 0), 1.0, 0.0)[..., None] * e
    e = np.where(swallowed[..., None], 1e-4, e)
    r, g = np.where(swallowed, np.maximum(r, r + g), r), np.where(swallowed, 0.0, g)
    lamp = np.broadcast_to(rotation @ light.direction, front.shape)
    sky = np.broadcast_to(rotation[:, 2], front.shape)
    targets = stretch @ np.stack((lamp, sky, front, across), axis=-1)
    flatness = np.broadcast_to(shapes.flatness, r.shape)
    aa, ae, ee = (a * a).sum(-1), (a * e).sum(-1), (e * e).sum(-1)
    k, m = r * g - ae, ee - g * g
    scalars = np.stack((aa, ae, ee, r, g, flatness, k / m, aa - r * r - k * k / m), axis=-1)
    linear = np.concatenate((stretch @ np.stack((a, e), axis=-1), across[..., None]), axis=-1)
    return _Cones(
        boxes=_bounding_boxes(view, start, end, shapes),
        depths=0.5 * (start + end)[..., 2],
        linear=linear.astype(np.float32),
        scalars=scalars,
        moved=(stretch @ targets).astype(np.float32),
        offsets=(np.stack((a, e), axis=-2) @ targets).astype(np.float32),
    )


def _bounding_boxes(view: View, start: FloatArray, end: FloatArray, shapes: Shapes) -> npt.NDArray[np.int64]:
    """Return (N, P, 4) first column and row, last column and row + 1 of what each shape can cover."""
    height, width = view.rays.shape[:2]
    points = np.stack((start, end))
    radii = shapes.radii.T[:, None]
    pixels = view.camera.project(torch.from_numpy(points)).numpy()
    reach = (1.06 * view.focal * radii / np.maximum(points[..., 2] - radii, _NEAR))[..., None] + 2.0
    low, high = (pixels - reach).min(axis=0), (pixels + reach).max(axis=0) + 1.0
    corners = np.nan_to_num(np.concatenate((low, high), axis=-1))
    boxes: npt.NDArray[np.int64] = np.clip(corners, 0, np.array([width, height] * 2)).astype(np.int64)
    boxes[points[..., 2].min(axis=0) < 2 * _NEAR] = 0
    return boxes


def _paint_cone(
    picture: Picture,
    nearest: Picture,
    view: View,
    cones: _Cones,
    frame: int,
    shape: int,
    outfit: Outfit,
    light: Light,
) -> None:
    """Paint one rounded cone where nothing nearer has been painted.

    A point t d of a ray lies on the surface where |t d - A - s e|^2 = (r + s g)^2 and the derivative of that by s
    holds too: then s is linear in t, and t the root of a quadratic. Beyond an end, the ball of that end is met instead.
    A flat cone is met in the space that is stretched along its direction, where it is round; t stays the same.
    """
    x0, y0, x1, y1 = cones.boxes[frame, shape].tolist()
    if x0 >= x1 or y0 >= y1:
        return
    aa, ae, ee, r, g, flatness, start, outside = cones.scalars[frame, shape].tolist()
    rays = view.rays[y0:y1, x0:x1].reshape(-1, 3)
    da, de, du = (rays @ cones.linear[frame, shape]).T
    dd = 1.0 + (flatness * flatness - 1.0) * du * du if flatness != 1.0 else np.float32(1.0)
    slope = de * (1.0 / (ee - g * g))
    if outside <= 0.0 < r + g * start:  # seen along the axis from the thick side: the nearer end hides the rest
        s = np.full_like(da, 1.0 if start > 0.5 else 0.0)
    else:
        qa, qb = dd - de * slope, da + de * start
        root = np.sqrt(np.maximum(qb * qb - qa * outside, _ZERO))
        if outside > 0.0:  # the nearer root of qa t^2 - 2 qb t + outside, in the form that bears a qa of 0 or less
            t = outside / (qb + root + _TINY)
        else:  # from within the cone's mirror image beyond its tip: the farther root, of rays that find the cone
            t = (qb - root) / np.minimum(qa, -_TINY)
        s = np.minimum(np.maximum(t * slope + start, _ZERO), np.float32(1.0))
    # The ball at s: the same root between the ends, the ball of the end beyond them.
    radius = r + s * g
    dc = da + s * de
    inside = dc * dc - dd * (aa + s * (2.0 * ae + s * ee) - radius * radius)
    t = (dc - np.sqrt(np.maximum(inside, _ZERO))) / dd
    # How far inside the outline a ray passes, in pixels: the edge is one pixel wide.
    cover = inside / (dd * radius * t) * np.float32(0.5 * view.focal) + np.float32(0.5)
    window = nearest[y0:y1, x0:x1]
    hit = np.flatnonzero((cover > 0.0) & (t < window.ravel()))
    if not hit.size:
        return
    cover, t, s, radius = np.minimum(cover[hit], np.float32(1.0)), t[hit], s[hit], radius[hit]

    # Cosines between the normal and the lamp, the sky, the front and the direction of the flattening.
    offsets = cones.offsets[frame, shape]
    cosines = (rays[hit] @ cones.moved[frame, shape]) * t[:, None] - offsets[0] - s[:, None] * offsets[1]
    cosines /= radius[:, None]
    if flatness != 1.0:
        cosines /= np.sqrt(1.0 + (1.0 - flatness**-2) * cosines[:, 3:] ** 2)
    edges, sectors = outfit.bounds[shape], outfit.sectors[shape]
    facing = cosines[:, 2]
    index = (len(edges) + 1) * ((facing > sectors[0]).astype(np.int64) + (facing > sectors[1]))
    if len(edges):
        index += np.searchsorted(edges, s)
    soft = np.clip(0.5 + 0.5 * cosines[:, 0], 0.0, 1.0)
    shade = light.ambient * (0.8 + 0.2 * cosines[:, 1]) + (1.0 - light.ambient) * soft * np.sqrt(soft)
    colours = (outfit.colours[shape] * light.colour.astype(np.float32))[index] * shade[:, None]

    rows, columns = np.divmod(hit, x1 - x0)
    target = picture[y0:y1, x0:x1]
    old = target[rows, columns]
    target[rows, columns] = old + cover[:, None] * (colours - old)
    solid = cover > 0.5
    window[rows[solid], columns[solid]] = t[solid]


class _Shadows(NamedTuple):
    """The shadows of all shapes on the floor: lines in eighths of a pixel of a picture of half the size.

    Attributes:
        ends: (N, P, 4) x and y of both ends.
        widths: (N, P) whole pixels; 0 where there is none.
    """

    ends: npt.NDArray[np.int64]
    widths: npt.NDArray[np.int64]


def _shadow_lines(view: View, shapes: Shapes, light: Light) -> _Shadows:
    """Return where the lamp throws the shapes."""
    points = np.stack((shapes.start, shapes.end), axis=-2)
    on_floor = points - points[..., 2:] * (light.direction / light.direction[2])
    seen = view.camera.to_camera(torch.from_numpy(on_floor))
    depths = seen[..., 2].numpy()
    pixels = (view.camera.project(seen).numpy() + 0.5) / 2.0 - 0.5
    ends = np.clip(np.nan_to_num(pixels * _FIXED), -_FAR_AWAY, _FAR_AWAY).astype(np.int64)
    widths = np.round(0.7 * shapes.radii.mean(axis=1) * view.focal / np.maximum(depths.mean(axis=-1), _NEAR))
    widths = np.where(depths.min(axis=-1) < 2 * _NEAR, 0, np.maximum(widths, 1)).astype(np.int64)
    return _Shadows(ends.reshape(*ends.shape[:2], 4), widths)


def _paint_shadow(picture: Picture, shadows: _Shadows, frame: int, light: Light) -> None:
    """Darken the floor where the person keeps the lamp's light away, softly."""
    height, width = picture.shape[:2]
    mask = np.zeros((-(-height // 2), -(-width // 2)), np.uint8)
    for (x0, y0, x1, y1), thick in zip(shadows.ends[frame].tolist(), shadows.widths[frame].tolist(), strict=True):
        if thick:
            cv2.line(mask, (x0, y0), (x1, y1), 255, thick, cv2.LINE_AA, 3)
    mask = cv2.GaussianBlur(mask, (0, 0), 1.2 + 0.5 * _SHADOW_BLUR * width)
    x, y, w, h = cv2.boundingRect(mask)
    if w and h:
        soft = cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)
        part = (slice(max(2 * y - 1, 0), 2 * (y + h) + 1), slice(max(2 * x - 1, 0), 2 * (x + w) + 1))
        picture[part] *= 1.0 - soft[part][..., None] * np.float32(light.shadow / 255.0)
