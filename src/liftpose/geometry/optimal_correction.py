"""The least move of the pixels of two views that lets their rays meet."""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor

from liftpose.geometry.precision import full_precision
from liftpose.geometry.view_systems import Views

__all__ = ["CorrectedMatches", "correct_matches"]

_PASSES: Final = 10


class CorrectedMatches(NamedTuple):
    """Pixels of two views whose rays meet.

    Attributes:
        first: (*batch, N, 2) pixels of the first view.
        second: (*batch, N, 2) pixels of the second view.
        valid: (*batch, N) bool; where it is False (pixels or the matrix not finite, a matrix of zeros, both pixels on
            the epipoles), the pixels are as they were.
    """

    first: Tensor
    second: Tensor
    valid: Tensor


@full_precision
def correct_matches(first: Tensor, second: Tensor, fundamental: Tensor) -> CorrectedMatches:
    """Move the pixels of two views by the least sum of squares that brings them onto each other's epipolar lines.

    The optimum of Hartley and Sturm, "Triangulation", CVIU 1997, found without a polynomial by the iteration of
    Lindstrom, "Triangulation made easy", CVPR 2010: the moves are along the normals of the epipolar lines, the normals
    those of the pixels moved before, and every pass meets the constraint exactly. Works in float64 where the device has
    it.

    Args:
        first: (*batch, N, 2) pixels of the first view.
        second: (*batch, N, 2) pixels of the second view, same shape.
        fundamental: (3, 3) or (*batch, 3, 3) with ``second^T fundamental first = 0`` in homogeneous pixels.

    Returns:
        The moved pixels, in the dtype of the inputs.

    Raises:
        ValueError: A shape does not fit.

    Example:
        >>> sideways = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
        >>> correct_matches(torch.tensor([[3.0, 1.0]]), torch.tensor([[2.0, 2.0]]), sideways).first
        tensor([[3.0000, 1.5000]])
    """
    if first.shape != second.shape or first.ndim < 2 or first.shape[-1] != 2:
        raise ValueError(
            f"expected points of one shape (*batch, N, 2), found {tuple(first.shape)} and {tuple(second.shape)}"
        )
    if fundamental.ndim < 2 or fundamental.shape[-2:] != (3, 3):
        raise ValueError(f"fundamental: expected (*batch, 3, 3), found {tuple(fundamental.shape)}")
    dtype = torch.float32 if first.device.type == "mps" else torch.float64
    matrix = fundamental.to(dtype).unsqueeze(-3)  # one for all points of a batch
    entries = tuple(tuple(matrix[..., i, j] for j in range(3)) for i in range(3))
    pixels = (*first.to(dtype).unbind(-1), *second.to(dtype).unbind(-1))
    usable = torch.stack([part.isfinite() for part in pixels]).all(0) & matrix.isfinite().flatten(-2).all(-1)
    moves, valid = _moves(
        tuple(torch.where(usable, part, 0) for part in pixels),
        tuple(tuple(torch.where(matrix.isfinite().flatten(-2).all(-1), entry, 0) for entry in row) for row in entries),
    )
    valid = valid & usable
    du, dv, du_second, dv_second = (torch.where(valid, move, 0) for move in moves)
    return CorrectedMatches(
        first - torch.stack((du, dv), -1).to(first),
        second - torch.stack((du_second, dv_second), -1).to(second),
        valid,
    )


def corrected_views(views: Views) -> Views:
    """Return two views with the pixels moved, where both are used."""
    matrices = views.matrices
    moves, valid = _moves(
        (views.u[0], views.v[0], views.u[1], views.v[1]), _fundamental(matrices[:, :, 0], matrices[:, :, 1])
    )
    valid = valid & (views.weights > 0).all(0)
    du, dv, du_second, dv_second = (torch.where(valid, move, 0) for move in moves)
    return views._replace(u=views.u - torch.stack((du, du_second)), v=views.v - torch.stack((dv, dv_second)))


def _fundamental(first: Tensor, second: Tensor) -> tuple[tuple[Tensor, ...], ...]:
    """Return the entries of the matrices with ``second^T F first = 0`` of projection matrices (3, 4, ...).

    Each is the determinant of two rows of one and two rows of the other (Hartley and Zisserman, section 17.1).
    """
    others = ((1, 2), (2, 0), (0, 1))
    return tuple(tuple(_determinant(first[a], first[b], second[c], second[d]) for a, b in others) for c, d in others)


def _determinant(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Return the determinants of matrices of four rows (4, ...), from the minors of two rows and the other two."""

    def minor(p: Tensor, q: Tensor, i: int, j: int) -> Tensor:
        return p[i] * q[j] - p[j] * q[i]

    signed = ((0, 1, 2, 3, 1), (0, 2, 1, 3, -1), (0, 3, 1, 2, 1), (1, 2, 0, 3, 1), (1, 3, 0, 2, -1), (2, 3, 0, 1, 1))
    return torch.stack([sign * minor(a, b, i, j) * minor(c, d, k, m) for i, j, k, m, sign in signed]).sum(0)


def _moves(
    pixels: tuple[Tensor, ...], fundamental: tuple[tuple[Tensor, ...], ...]
) -> tuple[tuple[Tensor, ...], Tensor]:
    """Return what is to be taken from u, v of the first and u, v of the second view, and where that is known."""
    u, v, u_second, v_second = pixels
    size = torch.stack([entry.detach().abs() for row in fundamental for entry in row]).amax(0)
    (a, b, c), (d, e, f), (g, h, i) = (
        tuple(entry / torch.where(size > 0, size, 1) for entry in row) for row in fundamental
    )
    # Normals of the epipolar lines: in the second view of the first view's pixel, and the other way round.
    p0, q0 = a * u + b * v + c, d * u + e * v + f
    r0, s0 = a * u_second + d * v_second + g, b * u_second + e * v_second + h
    gap = u_second * p0 + v_second * q0 + g * u + h * v + i
    p, q, r, s = p0, q0, r0, s0
    zero = torch.zeros_like(gap)
    moves = (zero, zero, zero, zero)
    valid = torch.ones_like(gap, dtype=torch.bool)
    for _ in range(_PASSES):
        half = (p * p0 + q * q0 + r * r0 + s * s0) / 2
        bent = p * (a * r + b * s) + q * (d * r + e * s)
        inside = half.square() - bent * gap
        valid = valid & (half.detach() > 0) & (inside.detach() > 0)
        root = torch.where(valid, inside, 1).sqrt()
        step = gap / torch.where(valid, half + root, 1)
        moves = (step * r, step * s, step * p, step * q)
        p, q = p0 - a * moves[0] - b * moves[1], q0 - d * moves[0] - e * moves[1]
        r, s = r0 - a * moves[2] - d * moves[3], s0 - b * moves[2] - e * moves[3]
    return moves, valid
