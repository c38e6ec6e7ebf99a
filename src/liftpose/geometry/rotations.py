"""Rotations: quaternions, matrices, Euler angles and axis-angle vectors, for any batch shape."""

from __future__ import annotations

import torch
from torch import Tensor

from liftpose.geometry.precision import full_precision

__all__ = [
    "axis_angle_to_matrix",
    "euler_to_matrix",
    "matrix_product",
    "matrix_to_axis_angle",
    "matrix_to_quaternion",
    "quaternion_conjugate",
    "quaternion_to_matrix",
    "rotate",
    "rotate_by_quaternion",
]


def _square(entries: tuple[Tensor, ...]) -> Tensor:
    """Put the nine entries (...) of matrices, row by row, together as (..., 3, 3)."""
    return torch.stack(entries, dim=-1).reshape(*entries[0].shape, 3, 3)


def _cross(first: Tensor, second: Tensor) -> Tensor:
    """Return first x second, (..., 3), for any dimensions that broadcast (torch's own wants as many in both)."""
    (a, b, c), (x, y, z) = first.unbind(-1), second.unbind(-1)
    return torch.stack((b * z - c * y, c * x - a * z, a * y - b * x), dim=-1)


@full_precision
def matrix_product(first: Tensor, second: Tensor) -> Tensor:
    """Multiply small matrices by element-wise products, which no setting of TF32 can round.

    Args:
        first: (..., m, k).
        second: (..., k, n), batch dimensions broadcast against those of ``first``.

    Returns:
        (..., m, n), the product ``first @ second``.
    """
    return (first.unsqueeze(-1) * second.unsqueeze(-3)).sum(-2)


@full_precision
def rotate(matrix: Tensor, vectors: Tensor) -> Tensor:
    """Apply 3 x 3 matrices to vectors.

    Args:
        matrix: (..., 3, 3).
        vectors: (..., 3), any unit; batch dimensions broadcast against those of ``matrix``.

    Returns:
        (..., 3), the product ``matrix @ vector``, unit of ``vectors``.
    """
    x, y, z = vectors.unsqueeze(-2).unbind(-1)
    return x * matrix[..., 0] + y * matrix[..., 1] + z * matrix[..., 2]


def quaternion_conjugate(quaternion: Tensor) -> Tensor:
    """Return the quaternions of the inverse rotations.

    Args:
        quaternion: (..., 4) unit quaternions (w, x, y, z).

    Returns:
        (..., 4), (w, -x, -y, -z).
    """
    return torch.cat((quaternion[..., :1], -quaternion[..., 1:]), dim=-1)


@full_precision
def rotate_by_quaternion(quaternion: Tensor, vectors: Tensor) -> Tensor:
    """Rotate vectors by unit quaternions, in the form in which the published code for Human3.6M does it.

    With u = q_xyz x v the result is v + 2 (w u + q_xyz x u). The quaternion is not normalised again: one whose norm is
    off by e gives vectors that are off by about 2 e.

    Args:
        quaternion: (..., 4) unit quaternions (w, x, y, z), batch dimensions broadcast against those of ``vectors``.
        vectors: (..., 3), any unit.

    Returns:
        (..., 3), unit of ``vectors``.
    """
    axis = quaternion[..., 1:]
    first = _cross(axis, vectors)
    return vectors + 2 * (quaternion[..., :1] * first + _cross(axis, first))


@full_precision
def quaternion_to_matrix(quaternion: Tensor) -> Tensor:
    """Turn quaternions into rotation matrices.

    The quaternion is normalised first, so the matrix is a rotation to the last digit even where a file holds the
    quaternion with few digits.

    Args:
        quaternion: (..., 4), (w, x, y, z), not zero.

    Returns:
        (..., 3, 3) rotation matrices.

    Example:
        >>> quaternion_to_matrix(torch.tensor([0.0, 0.0, 0.0, 2.0])).diagonal()
        tensor([-1., -1.,  1.])
    """
    w, x, y, z = (quaternion / quaternion.norm(dim=-1, keepdim=True)).unbind(-1)
    rows = (
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    )  # fmt: skip
    return _square(rows)


@full_precision
def matrix_to_quaternion(matrix: Tensor) -> Tensor:
    """Turn rotation matrices into unit quaternions with a real part that is not negative.

    Each of the four components can be the divisor (Shepperd, J. Guidance and Control 1(3), 1978); the largest is
    taken, so the result is accurate for every rotation, half turns included.

    Args:
        matrix: (..., 3, 3) rotation matrices.

    Returns:
        (..., 4) unit quaternions (w, x, y, z), w >= 0.
    """
    m = matrix.flatten(-2).unbind(-1)
    trace = m[0] + m[4] + m[8]
    # Row i is 4 q_i (w, x, y, z): every row is the quaternion up to a factor, and the best is that of the largest q_i.
    candidates = torch.stack(
        (
            torch.stack((1 + trace, m[7] - m[5], m[2] - m[6], m[3] - m[1]), dim=-1),
            torch.stack((m[7] - m[5], 1 + 2 * m[0] - trace, m[1] + m[3], m[2] + m[6]), dim=-1),
            torch.stack((m[2] - m[6], m[1] + m[3], 1 + 2 * m[4] - trace, m[5] + m[7]), dim=-1),
            torch.stack((m[3] - m[1], m[2] + m[6], m[5] + m[7], 1 + 2 * m[8] - trace), dim=-1),
        ),
        dim=-2,
    )
    best = candidates.diagonal(dim1=-2, dim2=-1).argmax(-1, keepdim=True)
    row = torch.take_along_dim(candidates, best.unsqueeze(-1), dim=-2).squeeze(-2)
    quaternion = row / row.norm(dim=-1, keepdim=True)
    return torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)


def _axis_rotation(axis: str, angle: Tensor) -> Tensor:
    """Return the rotation matrices (..., 3, 3) about one axis of the frame, angle (...) in radians."""
    sine, cosine = angle.sin(), angle.cos()
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    entries = {
        "X": (one, zero, zero, zero, cosine, -sine, zero, sine, cosine),
        "Y": (cosine, zero, sine, zero, one, zero, -sine, zero, cosine),
        "Z": (cosine, -sine, zero, sine, cosine, zero, zero, zero, one),
    }[axis]
    return _square(entries)


@full_precision
def euler_to_matrix(angles: Tensor, order: str) -> Tensor:
    """Turn Euler angles into rotation matrices, the matrices multiplied in the order of the letters.

    ``order="ZYX"`` with angles (a, b, c) is Rz(a) Ry(b) Rx(c). That is the order of the channels of a BVH file, and
    what scipy calls intrinsic (capital letters).

    Args:
        angles: (..., n) radians, one angle for each letter of ``order``.
        order: Letters out of X, Y and Z, for example ``"ZYX"``; at least one.

    Returns:
        (..., 3, 3) rotation matrices.

    Raises:
        ValueError: Another letter, or another number of angles than of letters.
    """
    if not order or set(order) - set("XYZ"):
        raise ValueError(f"order: expected letters out of X, Y and Z, found {order!r}")
    if angles.shape[-1] != len(order):
        raise ValueError(f"angles: expected {len(order)} angles for the order {order}, found {angles.shape[-1]}")
    matrices = [_axis_rotation(axis, angles[..., i]) for i, axis in enumerate(order)]
    product = matrices[0]
    for matrix in matrices[1:]:
        product = matrix_product(product, matrix)
    return product


@full_precision
def axis_angle_to_matrix(vector: Tensor) -> Tensor:
    """Turn rotation vectors (axis times angle) into rotation matrices by Rodrigues' formula.

    The gradient is finite everywhere, at the zero vector too.

    Args:
        vector: (..., 3), direction = axis, length = angle in radians.

    Returns:
        (..., 3, 3) rotation matrices.
    """
    square = vector.square().sum(-1, keepdim=True).unsqueeze(-1)
    small = square < 1e-6  # there the next term of the series is below 1e-20, out of reach of float64
    safe = torch.where(small, torch.ones_like(square), square)
    angle = safe.sqrt()
    sine = torch.where(small, 1 - square / 6 + square * square / 120, angle.sin() / angle)
    half = (angle / 2).sin() / angle  # 1 - cos loses half of the digits for small angles, 2 sin^2(angle / 2) does not
    cosine = torch.where(small, 0.5 - square / 24 + square * square / 720, 2 * half * half)
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    cross = _square((zero, -z, y, z, zero, -x, -y, x, zero))
    identity = torch.eye(3, dtype=vector.dtype, device=vector.device)
    return identity + sine * cross + cosine * matrix_product(cross, cross)


@full_precision
def matrix_to_axis_angle(matrix: Tensor) -> Tensor:
    """Turn rotation matrices into rotation vectors (axis times angle).

    Args:
        matrix: (..., 3, 3) rotation matrices.

    Returns:
        (..., 3), direction = axis, length = angle in [0, pi] radians.
    """
    quaternion = matrix_to_quaternion(matrix)
    w, axis = quaternion[..., :1], quaternion[..., 1:]
    sine_square = axis.square().sum(-1, keepdim=True)
    small = sine_square < 1e-12
    sine = torch.where(small, torch.ones_like(sine_square), sine_square).sqrt()
    return torch.where(small, 2 * axis, 2 * torch.atan2(sine, w) / sine * axis)
