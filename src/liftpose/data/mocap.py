"""Motion capture in memory: axes, frame rate, and where a clip is put so that virtual cameras see it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import torch

from liftpose.geometry import Camera

__all__ = ["Placement", "ViewingSpace", "Visibility", "place", "project_all", "resample", "turn", "visibility", "z_up"]

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_MARGIN = 0.1
"""Metres between a clip and the borders of what the cameras see, where there is room for it."""

NEAR = 0.1
"""Metres: a point nearer to a camera than this (or behind it) has no projection that means anything."""


def z_up(positions: Float64Array, up: str) -> Float64Array:
    """Turn positions so that z points up, right-handed axes staying right-handed.

    For y up: (x, y, z) becomes (x, -z, y), a quarter turn about the x axis; for x up: (-z, y, x), a quarter turn about
    the y axis.

    Args:
        positions: (..., 3) points, any unit.
        up: The axis that points up in ``positions``: "x", "y" or "z".

    Returns:
        (..., 3) points in the same unit, z up.

    Raises:
        ValueError: ``up`` is not one of the three.

    Example:
        >>> z_up(np.array([1.0, 2.0, 3.0]), "y").tolist()
        [1.0, -3.0, 2.0]
    """
    x, y, z = np.moveaxis(positions, -1, 0)
    if up == "z":
        return positions
    if up == "y":
        return np.stack([x, -z, y], axis=-1)
    if up == "x":
        return np.stack([-z, y, x], axis=-1)
    raise ValueError(f"expected the up axis x, y or z, found {up!r}")


def turn(positions: Float64Array, degrees: float) -> Float64Array:
    """Turn positions about the vertical z axis, counter-clockwise seen from above.

    Args:
        positions: (..., 3) points, z up.
        degrees: The angle.

    Returns:
        (..., 3) turned points in the same unit.
    """
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turned: Float64Array = positions @ np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    return turned


def resample(positions: Float64Array, source_fps: float, target_fps: float) -> Float64Array:
    """Positions at another frame rate, at the times 0, 1 / target_fps, 2 / target_fps, … up to the last frame.

    Between frames each coordinate follows the cubic that the four frames around it give (Catmull-Rom: R. Keys, "Cubic
    convolution interpolation for digital image processing", 1981, a = -1/2), which is exact for quadratic motion. A
    straight line between frames would shorten the bones of fast limbs. Nothing is smoothed first: a result frame is
    what a slower system would have measured at that moment.

    Args:
        positions: (N, ..., 3) points over time.
        source_fps: Frames per second of ``positions``.
        target_fps: Frames per second of the result.

    Returns:
        (M, ..., 3) with M = floor((N - 1) * target_fps / source_fps) + 1; ``positions`` itself where the rates are
        equal.

    Raises:
        ValueError: A rate is not above 0, or there is no frame.

    Example:
        >>> resample(np.arange(5.0).reshape(-1, 1), 100.0, 50.0).ravel().tolist()
        [0.0, 2.0, 4.0]
    """
    if source_fps <= 0 or target_fps <= 0 or len(positions) == 0:
        found = f"{source_fps}, {target_fps} and {len(positions)} frames"
        raise ValueError(f"expected rates above 0 and at least one frame, found {found}")
    if source_fps == target_fps or len(positions) == 1:
        return positions
    last = len(positions) - 1
    # The small term keeps a time that is a whole number of frames in exact arithmetic from falling just short of it.
    count = int(np.floor(last * target_fps / source_fps + 1e-6)) + 1
    times = np.minimum(np.arange(count) * (source_fps / target_fps), last)
    before = np.minimum(times.astype(np.int64), last - 1)
    s = (times - before).reshape(-1, *[1] * (positions.ndim - 1))
    # One frame more at either end, on a straight line.
    padded = np.concatenate([2 * positions[:1] - positions[1:2], positions, 2 * positions[-1:] - positions[-2:-1]])
    p0, p1, p2, p3 = (padded[before + i] for i in range(4))
    result: Float64Array = p1 + 0.5 * s * (
        p2 - p0 + s * (2 * p0 - 5 * p1 + 4 * p2 - p3 + s * (3 * (p1 - p2) + p3 - p0))
    )
    return result


class ViewingSpace:
    """The part of the world that lies inside the images of all cameras: half-spaces, four for each camera.

    The borders are those of the pinhole cameras, without distortion. Four more half-spaces keep points within the
    cameras' own distance of the place they look at, so that "far away" is not the best view of cameras that all look
    the same way.

    Args:
        cameras: The cameras, batched along their first dimension.

    Attributes:
        focus: (2,) x and y in metres of the place that the cameras look at: the point nearest to their optical axes.
    """

    def __init__(self, cameras: Camera) -> None:
        rotation = cameras.R.double().numpy()
        translation = cameras.t.double().numpy()
        intrinsics = cameras.intrinsics.double().numpy()
        size = cameras.image_size.double().numpy()
        normals: list[Float64Array] = []
        distances: list[float] = []
        for r, t, k, (width, height) in zip(rotation, translation, intrinsics, size, strict=True):
            # A pixel coordinate u = (k x) / z is inside where 0 <= u <= width - 1: both are half-spaces of the camera
            # frame.
            edges = np.array([k[0], (width - 1) * k[2] - k[0], k[1], (height - 1) * k[2] - k[1]])
            edges /= np.linalg.norm(edges, axis=1, keepdims=True)
            normals.extend(edges @ r)
            distances.extend(edges @ t)
        centres = -np.einsum("cji,cj->ci", rotation, translation)
        focus = _nearest_to_axes(centres, rotation[:, 2])
        self.focus = focus[:2]
        reach = max(1.0, float(np.linalg.norm((centres - focus)[:, :2], axis=1).max()))
        for x, y in ((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)):
            normals.append(np.array([x, y, 0.0]))
            distances.append(reach - x * focus[0] - y * focus[1])
        self._normals = np.stack(normals)
        self._distances = np.array(distances)
        # The best shift is a corner of a linear programme in (x, y, margin): three half-spaces are equally near. All
        # corners are tried.
        rows = np.concatenate([self._normals[:, :2], -np.ones((len(normals), 1))], axis=1)
        triples = np.array(list(combinations(range(len(rows)), 3)))
        corners = rows[triples]
        solvable = np.abs(np.linalg.det(corners)) > 1e-6
        self._triples = triples[solvable]
        self._inverses = np.linalg.inv(corners[solvable])

    def depths(self, positions: Float64Array) -> Float64Array:
        """How far inside each half-space the outermost joint of each frame is.

        Args:
            positions: (N, J, 3) metres, world.

        Returns:
            (N, half-spaces) metres, negative outside.
        """
        nearest = np.stack([(positions @ normal).min(axis=1) for normal in self._normals], axis=1)
        depths: Float64Array = nearest + self._distances
        return depths

    def best_shift(self, depths: Float64Array) -> tuple[Float64Array, float]:
        """The horizontal shift that brings points farthest inside.

        Args:
            depths: (half-spaces,) smallest depth of the points in each half-space, metres.

        Returns:
            (2,) the shift in x and y, metres, and the distance to the nearest border after it, negative where no shift
            brings all points inside.
        """
        shift_margin = (self._inverses @ -depths[self._triples][..., None])[..., 0]
        shifts, margins = shift_margin[:, :2], shift_margin[:, 2]
        reached = (shifts @ self._normals[:, :2].T + depths).min(axis=1)
        # A corner counts where its three half-spaces are the nearest ones.
        best = int(np.where(reached >= margins - 1e-9, margins, -np.inf).argmax())
        return shifts[best], float(reached[best])

    def central_shift(self, depths: Float64Array, middle: Float64Array) -> tuple[float, float]:
        """The horizontal shift that brings points before the cameras without pushing them out of the images.

        The middle of the points is brought to the focus, and from there no farther towards :meth:`best_shift` than
        needed for a distance of 10 cm from all borders, or of what can be had where that is less.

        Args:
            depths: (half-spaces,) smallest depth of the points in each half-space, metres.
            middle: (2,) x and y of their middle, metres.

        Returns:
            The shift in x and y, metres.
        """
        best, margin = self.best_shift(depths)
        wish = self.focus - middle
        at_wish = depths + self._normals[:, :2] @ wish
        at_best = depths + self._normals[:, :2] @ best
        wanted = min(_MARGIN, margin)
        # Each depth changes linearly on the way from the wish to the best shift, which itself is deep enough.
        short = at_wish < wanted
        way = float(((wanted - at_wish[short]) / (at_best - at_wish)[short]).clip(0, 1).max()) if short.any() else 0.0
        x, y = wish + way * (best - wish)
        return float(x), float(y)


def _nearest_to_axes(centres: Float64Array, axes: Float64Array) -> Float64Array:
    """The point, (3,), nearest to the lines through ``centres`` along the unit vectors ``axes``, both (C, 3)."""
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    total = np.einsum("cij,cj->i", across, centres)
    point: Float64Array = np.linalg.lstsq(across.sum(axis=0), total, rcond=None)[0]
    return point


@dataclass(frozen=True)
class Placement:
    """A run of frames of a clip and the horizontal shift that brings it before the cameras.

    Args:
        start: First frame.
        stop: Frame after the last.
        shift: Metres in x and y to add.
    """

    start: int
    stop: int
    shift: tuple[float, float]


def place(positions: Float64Array, space: ViewingSpace) -> list[Placement]:
    """Cut a clip into as few pieces as possible, each shifted horizontally so that all cameras see all of it.

    A person who walks ten metres does not fit before cameras that stand in a room; each piece of the walk does. The
    pieces of a clip are about equally long where that costs no further piece. Frames that fit before the cameras
    nowhere take no part in the choice.

    Args:
        positions: (N, J, 3) metres, z up.
        space: What all cameras see.

    Returns:
        The pieces in order; together they are all N frames.
    """
    depths = space.depths(positions)
    if space.best_shift(depths.min(axis=0))[1] >= 0:
        return [Placement(0, len(depths), _shift(positions, depths, space))]
    fits = np.array([space.best_shift(frame)[1] >= 0 for frame in depths])
    depths[~fits] = np.inf
    fewest = _cut(depths, space, len(depths))
    # The smallest longest piece with that number of pieces, by bisection.
    low, high = -(-len(depths) // len(fewest)), max(stop - start for start, stop in fewest)
    while low < high:
        middle = (low + high) // 2
        if len(_cut(depths, space, middle)) <= len(fewest):
            high = middle
        else:
            low = middle + 1
    result = []
    for start, stop in _cut(depths, space, high):
        inside = fits[start:stop] if fits[start:stop].any() else slice(None)
        result.append(
            Placement(
                start, stop, _shift(positions[start:stop][inside], space.depths(positions[start:stop][inside]), space)
            )
        )
    return result


def _shift(positions: Float64Array, depths: Float64Array, space: ViewingSpace) -> tuple[float, float]:
    """The shift for all frames of a piece, whose middle is that of the extent of its first joint."""
    ground = positions[:, 0, :2]
    return space.central_shift(depths.min(axis=0), (ground.min(axis=0) + ground.max(axis=0)) / 2)


def _cut(depths: Float64Array, space: ViewingSpace, longest: int) -> list[tuple[int, int]]:
    """Pieces of at most ``longest`` frames, each as long as it fits, from the first frame on."""
    pieces = []
    start = 0
    while start < len(depths):
        lowest = np.minimum.accumulate(depths[start : start + longest])
        stop = start + _fitting(lowest, space)
        pieces.append((start, stop))
        start = stop
    return pieces


def _fitting(lowest: Float64Array, space: ViewingSpace) -> int:
    """How many frames fit before the cameras together, at least one.

    Args:
        lowest: (N, half-spaces) in row n the smallest depths of the frames up to n; infinite while no frame counts.
        space: What all cameras see.

    Returns:
        The number of frames, found by bisection: frames that do not fit together fit no better with more.
    """

    def fits(last: int) -> bool:
        return not np.isfinite(lowest[last]).all() or space.best_shift(lowest[last])[1] >= 0

    if fits(len(lowest) - 1):
        return len(lowest)
    low, high = 0, len(lowest) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return high


def project_all(positions: Float64Array, cameras: Camera) -> tuple[Float64Array, Float64Array]:
    """Project points into every camera, with its distortion.

    Args:
        positions: (N, J, 3) metres, world.
        cameras: The C cameras, batched along their first dimension.

    Returns:
        (C, N, J, 2) pixels and (C, N, J, 3) metres in the camera frames.
    """
    world = torch.from_numpy(np.ascontiguousarray(positions, dtype=np.float64))
    pixels, points = [], []
    for view in range(len(cameras.R)):
        camera = cameras[view].to(dtype=torch.float64)
        seen = camera.to_camera(world)
        points.append(seen.numpy())
        pixels.append(camera.project(seen).numpy())
    return np.stack(pixels), np.stack(points)


@dataclass(frozen=True, eq=False)
class Visibility:
    """Which frames which camera sees.

    Args:
        seen: (C, N) all joints of the frame lie in front of the camera and inside its image.
        valid: (N,) the projections into all cameras mean something: no joint is behind a camera or, outside the image,
            more than 45 degrees off its axis, where the distortion polynomials no longer describe a lens.
    """

    seen: BoolArray
    valid: BoolArray

    @property
    def kept(self) -> BoolArray:
        """(N,) frames that at least one camera sees and whose projections are all valid."""
        kept: BoolArray = self.seen.any(axis=0) & self.valid
        return kept


def visibility(pixels: Float64Array, points: Float64Array, cameras: Camera) -> Visibility:
    """Tell which frames which camera sees.

    Args:
        pixels: (C, N, J, 2) projections, pixels.
        points: (C, N, J, 3) the points in the camera frames, metres.
        cameras: The C cameras.

    Returns:
        The visibility of each frame.
    """
    limit = cameras.image_size.double().numpy()[:, None, None, :] - 1
    depth = points[..., 2]
    front = depth >= NEAR
    inside = front & np.all((pixels >= 0) & (pixels <= limit), axis=-1)
    central = front & np.all(np.abs(points[..., :2]) <= depth[..., None], axis=-1)
    seen: BoolArray = np.all(inside, axis=-1)
    valid: BoolArray = np.all(inside | central, axis=(0, 2))
    return Visibility(seen, valid)
