"""Two views of the same points: fundamental and essential matrices, and how far points are from agreeing with them.

A pair of points (x1, x2) of two views agrees with a matrix M when ``x2^T M x1 = 0``, with x = (u, v, 1). For the
fundamental matrix the points are pixels; for the essential matrix they are rays, points of a camera's plane at depth 1:
``x_camera / z_camera``. The solvers are those of kornia; here they get masks, refuse what cannot be solved and never
return NaN.

Sources: Hartley and Zisserman, "Multiple View Geometry in Computer Vision", 2nd edition, chapters 9 and 11; Nistér,
"An efficient solution to the five-point relative pose problem", PAMI 2004.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal, NamedTuple

import torch
from kornia.geometry import RANSAC
from kornia.geometry import epipolar as solvers
from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.geometry.camera import Camera
from liftpose.geometry.precision import full_precision
from liftpose.geometry.rotations import matrix_product, rotate

__all__ = [
    "MatrixFit",
    "RansacFit",
    "check_points",
    "epipolar_lines",
    "essential_from_fundamental",
    "essential_from_pose",
    "fit_essential_ransac",
    "fit_fundamental",
    "fit_fundamental_ransac",
    "fundamental_from_cameras",
    "sampson_distance",
]

_MINIMAL: Final = {"fundamental": 7, "essential": 5}
_EIGHT: Final = 8
_SAMPLES: Final = 4096  # find five inliers with 98 % probability where a quarter of the points are such


class MatrixFit(NamedTuple):
    """Matrices and whether they mean anything.

    Attributes:
        matrix: (..., 3, 3), of norm 1; zeros where it is not valid.
        valid: (...) bool.
    """

    matrix: Tensor
    valid: Tensor


class RansacFit(NamedTuple):
    """A matrix that most of the points agree with.

    Attributes:
        matrix: (3, 3), of norm 1.
        inliers: (N,) bool, the points that are within the threshold.
    """

    matrix: Tensor
    inliers: Tensor


def _skew(vectors: Tensor) -> Tensor:
    """Return the matrices (..., 3, 3) of the cross product with vectors (..., 3)."""
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).reshape(*vectors.shape, 3)


@full_precision
def essential_from_pose(R: Tensor, t: Tensor) -> Tensor:
    """Return the essential matrix of two cameras, [t]x R.

    Args:
        R: (..., 3, 3) rotation from the first camera's frame to the second's.
        t: (..., 3) any unit, the first camera's position in the second's frame: ``x_second = R x_first + t``.

    Returns:
        (..., 3, 3), unit of ``t``.

    Example:
        >>> essential_from_pose(torch.eye(3), torch.tensor([1.0, 0.0, 0.0]))[2]
        tensor([0., 1., 0.])
    """
    return matrix_product(_skew(t), R)


@full_precision
def essential_from_fundamental(fundamental: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return the nearest essential matrices to K2^T F K1: two equal singular values and a zero.

    Args:
        fundamental: (..., 3, 3) for pixels.
        first: (..., 3, 3) intrinsics of the first view, pixels.
        second: (..., 3, 3) intrinsics of the second view, which may be another camera.

    Returns:
        (..., 3, 3) of norm 1, for rays. A matrix of zeros stays one.
    """
    product = matrix_product(second.mT, matrix_product(fundamental, first))
    return _unit(solvers.project_to_essential(_unit(product)))


def _unit(matrix: Tensor) -> Tensor:
    """Scale matrices (..., 3, 3) to norm 1; zeros stay zeros."""
    norm = matrix.square().sum((-2, -1), keepdim=True).sqrt()
    return matrix / torch.where(norm > 0, norm, 1)


@full_precision
def fundamental_from_cameras(first: Camera, second: Camera) -> Tensor:
    """Return the fundamental matrix of two calibrated cameras, for pixels without lens distortion.

    Args:
        first: Cameras of batch shape (...).
        second: Cameras of the same batch shape.

    Returns:
        (..., 3, 3) of norm 1; zeros for cameras at one place, which have none.

    Raises:
        ValueError: The intrinsics are unknown.
    """
    if not (first.has_intrinsics and second.has_intrinsics):
        raise ValueError("cameras: expected known intrinsics, found none")
    R = matrix_product(second.R, first.R.mT)
    t = second.t - rotate(R, first.t)
    inside = matrix_product(essential_from_pose(R, t), first.intrinsics.inverse())
    return _unit(matrix_product(second.intrinsics.inverse().mT, inside))


@full_precision
def epipolar_lines(matrix: Tensor, points: Tensor) -> Tensor:
    """Return the lines in the second view on which points of the first view must be seen.

    Args:
        matrix: (..., 3, 3) fundamental (pixels) or essential (rays) matrix; transposed, it takes points of the second
            view to lines in the first.
        points: (..., N, 2) points of the first view.

    Returns:
        (..., N, 3) lines (a, b, c) with a u + b v + c = 0 and a^2 + b^2 = 1, so that a u + b v + c is the distance of a
        point (u, v); zeros for a point that is the epipole, which has no line.
    """
    lines = _apply(matrix, points)
    norm = lines[..., :2].square().sum(-1, keepdim=True).sqrt()
    flat = norm == 0
    return torch.where(flat, 0, lines / torch.where(flat, 1, norm))


def _apply(matrix: Tensor, points: Tensor) -> Tensor:
    """Multiply matrices (..., 3, 3) with points (..., N, 2) to which 1 is appended."""
    m = matrix.unsqueeze(-3)
    return m[..., 0] * points[..., :1] + m[..., 1] * points[..., 1:] + m[..., 2]


@full_precision
def sampson_distance(matrix: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return how far pairs of points are from agreeing with a matrix, to first order.

    It is about the distance by which the four coordinates of a pair have to move together until they agree. Source:
    Hartley and Zisserman, equation 11.9 (its square).

    Args:
        matrix: (..., 3, 3) fundamental (pixels) or essential (rays) matrix.
        first: (..., N, 2) points of the first view.
        second: (..., N, 2) points of the second view.

    Returns:
        (..., N) unit of the points; the batch dimensions of all three broadcast. 0 for two epipoles, on which every
        line lies; NaN for what is NaN.
    """
    right, left = _apply(matrix, first), _apply(matrix.mT, second)
    value = right[..., 0] * second[..., 0] + right[..., 1] * second[..., 1] + right[..., 2]
    slope = (right[..., :2].square().sum(-1) + left[..., :2].square().sum(-1)).sqrt()
    flat = slope == 0
    return torch.where(flat, 0, value.abs() / torch.where(flat, 1, slope))


def check_points(first: Tensor, second: Tensor, weights: Tensor | None = None) -> Tensor:
    """Refuse points of different shapes, and say which of them are known.

    Args:
        first: (..., N, 2) points of the first view.
        second: (..., N, 2) points of the second view.
        weights: (..., N) weights from 0, or None.

    Returns:
        (..., N) bool: the points that are finite in both views and have a weight above 0.

    Raises:
        ValueError: The shapes differ.
    """
    if first.shape != second.shape or first.ndim < 2 or first.shape[-1] != 2:
        raise ValueError(f"expected points (..., N, 2) of two views, found {tuple(first.shape)}, {tuple(second.shape)}")
    if weights is not None and weights.shape != first.shape[:-1]:
        raise ValueError(f"weights: expected shape {tuple(first.shape[:-1])}, found {tuple(weights.shape)}")
    known = first.isfinite().all(-1) & second.isfinite().all(-1)
    return known if weights is None else known & (weights > 0)


@full_precision
def fit_fundamental(first: Tensor, second: Tensor, weights: Tensor | None = None) -> MatrixFit:
    """Fit fundamental matrices by the normalised eight-point algorithm, one for each set of points.

    All points count, so one wrong point spoils its matrix: :func:`fit_fundamental_ransac` is for those.

    Args:
        first: (..., N, 2) pixels of the first view; not finite where unknown.
        second: (..., N, 2) pixels of the second view.
        weights: (..., N) weights from 0; None for equal ones.

    Returns:
        Matrices (..., 3, 3) and whether they are valid: not so with fewer than 8 points.

    Raises:
        ValueError: The shapes differ.
    """
    used = check_points(first, second, weights)
    batch, count = first.shape[:-2], first.shape[-2]
    valid = used.sum(-1) >= _EIGHT
    if count < _EIGHT:
        return MatrixFit(first.new_zeros(*batch, 3, 3), valid)
    strength = used.to(first.dtype) if weights is None else torch.where(used, weights, 0).to(first.dtype)
    # Sets that cannot be solved are replaced by one that can: the solver's decomposition refuses or spreads NaN.
    stand_in = torch.linspace(0, 6, count, dtype=first.dtype, device=first.device)
    stand_in = torch.stack((stand_in.cos() * stand_in, stand_in.sin() * stand_in.square()), -1)
    solved = (valid.unsqueeze(-1) & used).unsqueeze(-1)
    x1, x2 = (torch.where(solved, points, stand_in).reshape(-1, count, 2) for points in (first, second))
    strength = torch.where(valid.unsqueeze(-1), strength, 1).reshape(-1, count)
    matrix = solvers.find_fundamental(x1, x2, strength).reshape(*batch, 3, 3)
    valid = valid & matrix.isfinite().all(-1).all(-1)
    return MatrixFit(_unit(torch.where(valid[..., None, None], matrix, 0)), valid)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one thread: the many small operations of RANSAC take many times longer when threads wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fit_essential_ransac(
    first: Tensor, second: Tensor, *, threshold: float, seed: int = 0, where: str = "two views"
) -> RansacFit:
    """Find the essential matrix that most of the points of two views agree with.

    Made for the joints of many frames of one pair of cameras that do not move: seventeen joints of one frame are too
    few against noise, and more of them cost little. The same points and seed give the same matrix.

    Args:
        first: (N, 2) rays of the first view; not finite where unknown.
        second: (N, 2) rays of the second view.
        threshold: Largest Sampson distance of an inlier, unit of the rays: two to three times the noise in pixels over
            the focal length.
        seed: Seed of the samples.
        where: What the two views are, the start of a message.

    Returns:
        The matrix and its inliers, on the device and of the type of the points.

    Raises:
        LiftposeError: There are fewer than five points in both views, or no six agree with one matrix.
        ValueError: The shapes differ or the threshold is not above 0.
    """
    return _ransac("essential", first, second, threshold, seed, where)


def fit_fundamental_ransac(
    first: Tensor, second: Tensor, *, threshold: float, seed: int = 0, where: str = "two views"
) -> RansacFit:
    """Find the fundamental matrix that most of the points of two views agree with.

    Where the intrinsics are known, :func:`fit_essential_ransac` is far more exact: it has two unknowns fewer, and the
    points of a person hardly fix those.

    Args:
        first: (N, 2) pixels of the first view; not finite where unknown.
        second: (N, 2) pixels of the second view.
        threshold: Largest Sampson distance of an inlier, pixels.
        seed: Seed of the samples.
        where: What the two views are, the start of a message.

    Returns:
        The matrix and its inliers.

    Raises:
        LiftposeError: There are fewer than seven points in both views, or no eight agree with one matrix.
        ValueError: The shapes differ or the threshold is not above 0.
    """
    return _ransac("fundamental", first, second, threshold, seed, where)


@full_precision
def _ransac(
    kind: Literal["essential", "fundamental"], first: Tensor, second: Tensor, threshold: float, seed: int, where: str
) -> RansacFit:
    if first.ndim != 2:
        raise ValueError(f"expected points (N, 2), found {tuple(first.shape)}")
    if not threshold > 0:
        raise ValueError(f"threshold: expected a number above 0, found {threshold}")
    used = check_points(first, second)
    minimal, found = _MINIMAL[kind], int(used.sum())
    if found < minimal:
        raise LiftposeError(f"{where}: expected at least {minimal} points that both see, found {found}")
    x1, x2 = (points[used].detach().double().cpu() for points in (first, second))
    with _one_thread(), torch.no_grad():
        matrix, agreeing = RANSAC(kind, inl_th=threshold, max_samples=_SAMPLES, seed=seed)(x1, x2)
    if not bool(agreeing.any()) or not bool(matrix.isfinite().all()):
        raise LiftposeError(
            f"{where}: expected points that agree with one {kind} matrix within {threshold:.2g}, found no "
            f"{minimal + 1} of {found}"
        )
    inliers = torch.zeros_like(used)
    inliers[used] = agreeing.to(used.device)
    return RansacFit(_unit(matrix).to(first), inliers)
