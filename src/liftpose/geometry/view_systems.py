"""What all ways of triangulating share: points in the order that is fast, the equations of views, and the checks.

The batch is the last axis here, so that every step is one operation on long rows of numbers, whatever the number of
joints. Points of a view obey ``u p3 - p1`` and ``v p3 - p2`` times (X, Y, Z, 1) = 0, where p1 to p3 are the rows of the
projection matrix (Hartley and Zisserman, "Multiple View Geometry in Computer Vision", 2nd edition, section 12.2). The
sums of products of these rows over the views, with a weight for each, are the normal equations of least squares: three
numbers are unknown, and a solution in closed form needs no library.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Final, NamedTuple

import torch
from torch import Tensor

__all__ = [
    "Moments",
    "Solution",
    "Triangulation",
    "Views",
    "homogeneous_pixels",
    "moments",
    "solve",
    "triangulate_with",
]

# Points of all views that are worked on at once: intermediate results stay in the cache of a CPU core.
_BLOCK: Final = 65_536
# The least pivot of the normal equations, as a share of their trace. Two rays that meet at an angle a have a share of
# about a^2 / 8: rays within about 3e-6 radians count as parallel.
_PARALLEL: Final = 1e-12
# Numbers from here on are as good as infinite: their powers are.
_LARGEST: Final = 1e30
# The least depth, as a share of the coordinates: less is rounding, as for cameras in one place.
_NO_DEPTH: Final = 1e-7

Moments = tuple[Tensor, ...]
"""Nine products of the rows of each view, each (V, J, B): the upper triangle of 3 x 3, then the column beside it."""


class Triangulation(NamedTuple):
    """Points from several views, and how far they can be trusted. No field is ever NaN or infinite.

    Attributes:
        points: (*batch, J, 3) in the unit (metres) and the frame of the projection matrices; zeros where two views or
            more do not determine a point.
        valid: (*batch, J) bool: at least two views are used, their rays are not parallel, the point is in front of all
            of them, and it keeps the limits that were asked for.
        residuals: (*batch, V, J) pixels between a view's point and where the view would see the point found; also for
            views that are not used but have a pixel. Zeros where there is no pixel or no point.
        angles: (*batch, J) radians from 0 to pi / 2: the widest angle between the rays of two used views, as angle
            between lines (two cameras opposite of each other do not determine a point between them). No gradient.
        used: (*batch, V, J) bool, the views that the point is made of.
    """

    points: Tensor
    valid: Tensor
    residuals: Tensor
    angles: Tensor
    used: Tensor


class Views(NamedTuple):
    """Points and cameras with the batch last; float64 where the device has it.

    Attributes:
        u: (V, J, B) pixels, columns; finite everywhere.
        v: (V, J, B) pixels, rows.
        weights: (V, J, B) from 0; 0 where a view is not used.
        matrices: (3, 4, V, 1, B or 1), third rows of length 1, so that they give depths in the unit of the world.
    """

    u: Tensor
    v: Tensor
    weights: Tensor
    matrices: Tensor


class Solution(NamedTuple):
    """Points with the batch last.

    Attributes:
        points: Three coordinates, each (J, B); zeros where they are not determined.
        determined: (J, B) bool.
        used: (V, J, B) bool.
    """

    points: tuple[Tensor, Tensor, Tensor]
    determined: Tensor
    used: Tensor


def moments(views: Views) -> Moments:
    """Return the products of the equations of every view, without weights."""
    first = views.u * views.matrices[2] - views.matrices[0]
    second = views.v * views.matrices[2] - views.matrices[1]
    pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2), (0, 3), (1, 3), (2, 3))
    return tuple(torch.addcmul(first[i] * first[j], second[i], second[j]) for i, j in pairs)


def solve(products: Moments, weights: Tensor) -> Solution:
    """Find the points that weighted least squares gives, by elimination of the three unknowns.

    Args:
        products: Of :func:`moments`.
        weights: (V, J, B) from 0, of the equations (not of their squares).

    Returns:
        The points; not determined where fewer than two views have a weight, or all rays are parallel.
    """
    used = weights > 0
    squares = weights.square()
    a, b, c, d, e, f, *right = (_sum(product, squares) for product in products)
    # Relative to the trace, so that neither the unit nor the weights matter; detached, since it is only a decision.
    least = _PARALLEL * (a + d + f).detach()
    # Every pivot is replaced before it divides: a where after a division by 0 has NaN for its gradient.
    enough = (used.sum(0) >= 2) & (a > least)
    a = torch.where(enough, a, 1)
    lower_b, lower_c = b / a, c / a
    d, e, f = d - lower_b * b, e - lower_b * c, f - lower_c * c
    enough = enough & (d > least)
    d = torch.where(enough, d, 1)
    lower_e = e / d
    f = f - lower_e * e
    enough = enough & (f > least)
    f = torch.where(enough, f, 1)
    x, y, z = (torch.where(enough, -part, 0) for part in right)
    y = y - lower_b * x
    z = z - lower_c * x - lower_e * y
    z = z / f
    y = y / d - lower_e * z
    x = x / a - lower_b * y - lower_c * z
    return Solution(tuple(torch.where(enough, part, 0) for part in (x, y, z)), enough, used & enough)  # type: ignore[arg-type]


def _sum(values: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted sums over the first axis; a few wide steps are faster than a reduction."""
    total = values[0] * weights[0]
    for value, weight in zip(values[1:], weights[1:], strict=True):
        total = torch.addcmul(total, value, weight)
    return total


def homogeneous_pixels(views: Views, points: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the columns and rows of points times their depths, and the depths, each (V, J, B)."""
    x, y, z = points
    u, v, depth = (
        torch.addcmul(torch.addcmul(torch.addcmul(row[3], row[0], x), row[1], y), row[2], z) for row in views.matrices
    )
    return u, v, depth


def triangulate_with(
    solver: Callable[[Views], Solution],
    points: Tensor,
    projections: Tensor,
    weights: Tensor | None,
    *,
    max_residual: float | None,
    min_angle: float,
) -> Triangulation:
    """Bring the points into the order of this file, solve, judge, and bring everything back.

    Args:
        solver: From views to points, for a part of the batch.
        points: (*batch, V, J, 2) pixels.
        projections: (V, 3, 4) or (*batch, V, 3, 4).
        weights: (*batch, V, J), or something that broadcasts to it; None for ones.
        max_residual: Pixels, the largest residual of a used view of a valid point, or None.
        min_angle: Radians, the smallest angle between rays of a valid point.

    Raises:
        ValueError: A shape does not fit.
    """
    weights = _check(points, projections, weights)
    batch, (views, joints) = points.shape[:-3], points.shape[-3:-1]
    dtype = torch.promote_types(points.dtype, projections.dtype)
    work = torch.float32 if points.device.type == "mps" else torch.float64
    size = batch.numel()
    flat = points.reshape(size, views, joints, 2)
    flat_weights = weights.expand(points.shape[:-1]).reshape(size, views, joints)
    shared = projections.ndim == 3 or projections.shape[:-3].numel() == 1
    matrices = projections.reshape(1, views, 3, 4) if shared else projections.expand(*batch, views, 3, 4).flatten(0, -4)
    blocks = -(-size * views * joints // _BLOCK) if points.device.type == "cpu" else 1
    step = max(1, -(-size // max(1, blocks)))  # blocks of one size: a small one at the end would cost as much
    parts = []
    for start in range(0, max(1, size), step):
        rows = slice(start, start + step)
        arranged = _arrange(flat[rows], matrices if shared else matrices[rows], flat_weights[rows], work)
        parts.append(_judge(arranged, solver(arranged), max_residual, min_angle, dtype))
    joined = (torch.cat(field) if len(field) > 1 else field[0] for field in zip(*parts, strict=True))
    return Triangulation(*(field.reshape(*batch, *field.shape[1:]) for field in joined))


def _check(points: Tensor, projections: Tensor, weights: Tensor | None) -> Tensor:
    """Return the weights, once all shapes fit."""
    if points.ndim < 3 or points.shape[-1] != 2 or points.shape[-3] == 0:
        raise ValueError(f"points: expected (*batch, V, J, 2) with V > 0, found {tuple(points.shape)}")
    batch, views = points.shape[:-3], points.shape[-3]
    if projections.ndim < 3 or projections.shape[-3:] != (views, 3, 4):
        raise ValueError(f"projections: expected (*batch, {views}, 3, 4), found {tuple(projections.shape)}")
    if weights is None:
        weights = torch.ones((), dtype=points.dtype, device=points.device)
    for name, shape, whole in (
        ("projections", projections.shape[:-3], batch),
        ("weights", weights.shape, points.shape[:-1]),
    ):
        fits = len(shape) <= len(whole) and all(
            one in (1, other) for one, other in zip(reversed(shape), reversed(whole), strict=False)
        )
        if not fits:
            raise ValueError(f"{name}: expected a batch that broadcasts to {tuple(whole)}, found {tuple(shape)}")
    return weights


def _arrange(points: Tensor, matrices: Tensor, weights: Tensor, dtype: torch.dtype) -> Views:
    """Move the batch to the end, and take views that cannot be used out of it."""
    matrices = matrices.to(dtype).permute(2, 3, 1, 0).unsqueeze(3)
    length = torch.linalg.vector_norm(matrices[2, :3].detach(), dim=0)
    usable = (matrices.abs() < _LARGEST).all(1).all(0) & (length > 0)
    length = torch.linalg.vector_norm(torch.where(usable, matrices[2, :3], 1), dim=0)
    matrices = torch.where(usable, matrices, 0) / length
    both = points.permute(3, 1, 2, 0).to(dtype, memory_format=torch.contiguous_format)
    weights = weights.permute(1, 2, 0).to(dtype)
    used = (both.abs() < _LARGEST).all(0) & (weights < _LARGEST) & (weights > 0) & usable
    u, v = torch.where(used, both, 0)
    return Views(u, v, torch.where(used, weights, 0), matrices)


def _centres(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Return the places (3, V, 1, B or 1) of cameras, and which of them have one."""
    left = matrices[:, :3]
    columns = [left[:, k] for k in range(3)]
    crossed = [torch.linalg.cross(columns[k - 2], columns[k - 1], dim=0) for k in range(3)]
    determinant = (columns[0] * crossed[0]).sum(0)
    proper = determinant.abs() > 0
    safe = torch.where(proper, determinant, 1)
    return torch.stack([-(part * matrices[:, 3]).sum(0) / safe for part in crossed]), proper


def misses(views: Views, found: Solution) -> tuple[Tensor, Tensor]:
    """Compare what views see with the points.

    Returns:
        Pixels (V, J, B) between a view's point and where it would see the point found, zeros where there is no pixel or
        no point; and the depths of the points (V, J, B), zeros where they are no more than rounding.
    """
    u, v, depth = homogeneous_pixels(views, found.points)
    # Coordinates of the size of the largest product in the depth are what it is rounded with.
    x, y, z = (part.detach().abs() for part in found.points)
    third = views.matrices[2].detach().abs()
    extent = torch.addcmul(torch.addcmul(torch.addcmul(third[3], third[0], x), third[1], y), third[2], z)
    far = depth.detach().abs() > _NO_DEPTH * extent
    depth = torch.where(far, depth, 0)
    projected = far & (views.weights > 0) & found.determined
    inverse = 1 / torch.where(projected, depth, 1)
    u, v = u * inverse - views.u, v * inverse - views.v
    squares = torch.addcmul(u * u, v, v)
    # The root of 0 has no gradient.
    apart = projected & (squares > 0)
    return torch.where(apart, torch.where(apart, squares, 1).sqrt(), 0), depth


def _judge(
    views: Views, found: Solution, max_residual: float | None, min_angle: float, dtype: torch.dtype
) -> Triangulation:
    """Compare points with what the views see, and return everything with the batch first."""
    residuals, depth = misses(views, found)
    angles = _widest_angles(views, found, depth != 0)
    good = depth > 0 if max_residual is None else (depth > 0) & (residuals <= max_residual)
    valid = found.determined & (good | ~found.used).all(0) & (angles >= min_angle)
    return Triangulation(
        torch.stack(found.points).permute(2, 1, 0).to(dtype, memory_format=torch.contiguous_format),
        valid.t().contiguous(),
        residuals.permute(2, 0, 1).to(dtype, memory_format=torch.contiguous_format),
        angles.t().to(dtype, memory_format=torch.contiguous_format),
        found.used.permute(2, 0, 1).contiguous(),
    )


@torch.no_grad()
def _widest_angles(views: Views, found: Solution, apart: Tensor) -> Tensor:
    """Return the widest angle (J, B) between the rays, as lines, of used views that are apart from the points."""
    places, proper = _centres(views.matrices)
    x, y, z = (point - place for point, place in zip(found.points, places, strict=True))
    squares = torch.addcmul(torch.addcmul(x * x, y, y), z, z)
    usable = found.used & proper & apart
    scale = squares.clamp(min=torch.finfo(squares.dtype).tiny).rsqrt()
    scale = torch.where(usable, scale, torch.inf)  # no view that is not usable makes an angle
    least = torch.ones_like(x[0])
    for i, j in combinations(range(len(x)), 2):
        cosine = torch.addcmul(torch.addcmul(x[i] * x[j], y[i], y[j]), z[i], z[j]).abs() * (scale[i] * scale[j])
        least = torch.fmin(least, cosine)
    return least.acos()
