"""How well keypoints fit the projections of poses: given arrays, no files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from liftpose.geometry import Camera

__all__ = ["FEWEST_POINTS", "PersonViews", "Reprojection", "fit_projection", "median", "project_person", "reproject"]

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

_SINGLE_TAKES = 6
_NEAR = 0.1  # metres: what is nearer to a camera, or behind it, has no projection that means anything
FEWEST_POINTS = 24
"""Fewer do not determine the eleven numbers of a projection well."""


@dataclass(frozen=True, eq=False)
class PersonViews:
    """Frames of one person, as sampled for the comparison of poses and keypoints.

    Args:
        subject: The person.
        takes: Names of the takes.
        take_of: (F,) index of the take of every frame.
        poses: (F, J, 3) metres, world frame; not finite where unknown.
        keypoints: (V, F, J, 2) pixels of every view; not finite where unknown.
        mirror: (J,) the joint of the other side of each joint, itself for those without a side.
    """

    subject: str
    takes: tuple[str, ...]
    take_of: IntArray
    poses: Float64Array
    keypoints: Float64Array
    mirror: IntArray


@dataclass(frozen=True, eq=False)
class Reprojection:
    """Distances between keypoints and projections.

    Args:
        errors: (2, V, C, F, J) pixels: keypoints of view v against the projection into camera c, as they are and with
            the sides exchanged.
        projections: (C, F, J, 2) pixels.
        heights: (V,) pixels, median size of the person in each view: of the projections, or with fitted cameras of the
            keypoints.
        fitted: The cameras have no intrinsics; those that fit the keypoints best were used.
        free: (V, F, J) pixels, distances after any projection at all was fitted to the view; NaN where the cameras are
            known, infinite where only a mirror fits.
    """

    errors: Float64Array
    projections: Float64Array
    heights: Float64Array
    fitted: bool
    free: Float64Array


def project_person(poses: Float64Array, cameras: Sequence[Camera]) -> Float64Array:
    """Project poses into every camera.

    Args:
        poses: (F, J, 3) metres, world frame.
        cameras: C cameras with intrinsics.

    Returns:
        (C, F, J, 2) pixels, with lens distortion; NaN for what is behind a camera or nearer than 10 cm.
    """
    world = torch.from_numpy(np.ascontiguousarray(poses, np.float64))
    projections = []
    for camera in cameras:
        exact = camera.to(dtype=torch.float64)
        points = exact.to_camera(world)
        pixels = exact.project(points).numpy()
        projections.append(np.where(points[..., 2:].numpy() > _NEAR, pixels, np.nan))
    return np.stack(projections)


def reproject(person: PersonViews, cameras: Sequence[Camera]) -> Reprojection:
    """Compare keypoints with the projections of the poses, every view with every camera.

    Cameras without intrinsics (HumanEva's are not published) are fitted: focal lengths, principal point and two
    radial coefficients of each axis by linear least squares, given the extrinsics; and beside it a free projection of
    eleven numbers (:func:`fit_projection`), which asks only whether a camera can have seen the view at all.

    Args:
        person: Poses and keypoints.
        cameras: As many cameras as there are views.

    Returns:
        The distances.
    """
    sides = np.stack([person.keypoints, person.keypoints[:, :, person.mirror]])
    fitted = not all(bool(torch.isfinite(camera.intrinsics).all()) for camera in cameras)
    projections = _fit_lenses(person, sides, cameras) if fitted else project_person(person.poses, cameras)
    errors = np.linalg.norm(sides[:, :, None] - projections, axis=-1)
    free = np.full(person.keypoints.shape[:3], np.nan)
    if fitted:
        free = np.stack([fit_projection(person.poses, view) for view in person.keypoints])
    extent = _extent(person.keypoints if fitted else projections)
    heights = np.array([median(np.fmax(view[:, 0], view[:, 1])) for view in extent])
    return Reprojection(errors, projections, heights, fitted, free)


def fit_projection(poses: Float64Array, keypoints: Float64Array) -> Float64Array:
    """Fit the projection of a camera to a view by the direct linear transformation, leaving out what fits worst.

    Hartley and Zisserman, Multiple View Geometry, algorithm 7.1, with normalised points; lens distortion is not part of
    it.

    Args:
        poses: (F, J, 3) any unit, world frame.
        keypoints: (F, J, 2) pixels.

    Returns:
        (F, J) pixels between keypoints and projections; NaN for points that are not finite, or for all of them where
        there are too few, infinite where only a mirrored projection fits.
    """
    world, seen = poses.reshape(-1, 3), keypoints.reshape(-1, 2)
    good = np.isfinite(world).all(axis=-1) & np.isfinite(seen).all(axis=-1)
    distances = np.full(len(world), np.nan)
    kept = good.copy()
    for _ in range(3):
        if kept.sum() < FEWEST_POINTS:
            return np.full(keypoints.shape[:2], np.nan)
        projection = _direct_linear_transformation(world[kept], seen[kept])
        image = world[good] @ projection[:, :3].T + projection[:, 3]
        with np.errstate(divide="ignore", invalid="ignore"):
            distances[good] = np.linalg.norm(image[:, :2] / image[:, 2:] - seen[good], axis=-1)
        kept = good & (distances <= 3 * median(distances) + 1e-9)
    if np.linalg.det(projection[:, :3]) * np.median(image[:, 2]) < 0:  # a mirror, no camera
        return np.full(keypoints.shape[:2], np.inf)
    return distances.reshape(keypoints.shape[:2])


def _direct_linear_transformation(world: Float64Array, seen: Float64Array) -> Float64Array:
    """The (3, 4) projection that maps (n, 3) points to (n, 2) pixels best."""
    to_unit_3d, to_unit_2d = _normalisation(world), _normalisation(seen)
    points = np.c_[world, np.ones(len(world))] @ to_unit_3d.T
    pixels = np.c_[seen, np.ones(len(seen))] @ to_unit_2d.T
    nothing = np.zeros_like(points)
    rows = np.concatenate(
        [np.c_[points, nothing, -pixels[:, :1] * points], np.c_[nothing, points, -pixels[:, 1:2] * points]]
    )
    # The eigenvector of the 12 x 12 product is the singular vector of the tall matrix, at a fraction of the cost.
    solution = np.linalg.eigh(rows.T @ rows)[1][:, 0].reshape(3, 4)
    result: Float64Array = np.linalg.inv(to_unit_2d) @ solution @ to_unit_3d
    return result


def _normalisation(points: Float64Array) -> Float64Array:
    """The matrix that moves points to the origin and gives them a mean distance of the root of their dimension."""
    dimension = points.shape[1]
    middle = points.mean(axis=0)
    spread = float(np.linalg.norm(points - middle, axis=1).mean())
    scale = np.sqrt(dimension) / spread if spread > 0 else 1.0
    matrix = np.eye(dimension + 1) * scale
    matrix[:-1, -1] = -scale * middle
    matrix[-1, -1] = 1
    return matrix


def _rays(poses: Float64Array, camera: Camera) -> Float64Array:
    """(F, J, 2) x / z and y / z in the frame of a camera, NaN behind it."""
    exact = camera.to(dtype=torch.float64)
    points = exact.to_camera(torch.from_numpy(np.ascontiguousarray(poses, np.float64))).numpy()
    depth = points[..., 2:]
    return np.where(depth > _NEAR, points[..., :2] / np.where(depth > _NEAR, depth, 1.0), np.nan)


def _fit_lenses(person: PersonViews, sides: Float64Array, cameras: Sequence[Camera]) -> Float64Array:
    """Project poses, (C, F, J, 2), by the lens that fits each camera best to any view, whichever its sides.

    Some takes may be spoilt. So lenses are fitted to all frames and to single takes, and the one counts that fits most
    frames; it is fitted once more to what it fits.

    Args:
        person: The poses.
        sides: (2, V, F, J, 2) pixels, as they are and with the sides exchanged.
        cameras: C cameras, of which only the extrinsics are used.
    """
    sizes = np.bincount(person.take_of, minlength=len(person.takes))
    single = [person.take_of == take for take in np.argsort(-sizes)[:_SINGLE_TAKES]]
    choices = [np.ones(len(person.take_of), bool), *single]
    views = sides.reshape(-1, *sides.shape[2:])
    projections = []
    for camera in cameras:
        terms = _lens_terms(_rays(person.poses, camera))
        best, least = np.full(views.shape[1:], np.nan), np.inf
        for view in views:
            for frames in choices:
                image = _fit_lens(terms, view, np.broadcast_to(frames[:, None], view.shape[:2]))
                distances = np.linalg.norm(image - view, axis=-1)
                distance = median(distances)
                if distance < least:
                    least = distance
                    best = _fit_lens(terms, view, distances <= 3 * distance)
        projections.append(best)
    return np.stack(projections)


def _lens_terms(rays: Float64Array) -> Float64Array:
    """(2, F, J, 4): what u = f x (1 + k1 r2 + k2 r4) + c is linear in, for each axis of rays (F, J, 2)."""
    x = np.moveaxis(rays, -1, 0)
    square = (rays**2).sum(axis=-1)
    return np.stack([x, x * square, x * square**2, np.ones_like(x)], axis=-1)


def _fit_lens(terms: Float64Array, keypoints: Float64Array, chosen: BoolArray) -> Float64Array:
    """(F, J, 2) pixels that the lens sees which fits chosen points, (F, J), best; each axis has its own numbers."""
    nothing = np.full(keypoints.shape, np.nan)
    kept = chosen & np.isfinite(terms[0]).all(axis=-1) & np.isfinite(keypoints).all(axis=-1)
    if kept.sum() < FEWEST_POINTS:
        return nothing
    image = []
    for own, seen in zip(terms, np.moveaxis(keypoints, -1, 0), strict=True):
        rows = own[kept]
        numbers = np.linalg.lstsq(rows.T @ rows, rows.T @ seen[kept], rcond=None)[0]
        if numbers[0] <= 0:  # a focal length below 0 is a mirror, no camera
            return nothing
        image.append(own @ numbers)
    return np.stack(image, axis=-1)


def _extent(points: Float64Array) -> Float64Array:
    """(V, F, 2) width and height of the box round the joints, NaN where no joint is finite."""
    finite = np.isfinite(points)
    low = np.where(finite, points, np.inf).min(axis=2)
    high = np.where(finite, points, -np.inf).max(axis=2)
    return np.where(np.isfinite(high - low), high - low, np.nan)


def median(values: Float64Array) -> float:
    """The median of the values that are numbers, NaN without any; infinite ones count."""
    numbers = values[~np.isnan(values)]
    return float(np.median(numbers)) if numbers.size else float("nan")
