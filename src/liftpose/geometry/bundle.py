"""Cameras and points moved together until the points are seen where they were measured: bundle adjustment.

Source: Triggs, McLauchlan, Hartley, Fitzgibbon, "Bundle adjustment: a modern synthesis", 2000, section 6.1 (the points
are eliminated from the normal equations, so that only those of the cameras are solved) and section 4.3 (robust costs).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor

from liftpose.geometry.precision import full_precision
from liftpose.geometry.rotations import axis_angle_to_matrix, matrix_product, rotate

__all__ = ["BundleFit", "adjust_bundle"]

_NEAREST: Final = 1e-6  # of the depths: points at or behind a camera's plane are not seen
_START: Final = 1e-3
_LEAST: Final = 1e-9
_MOST: Final = 1e9


class BundleFit(NamedTuple):
    """Cameras and points after the adjustment.

    Attributes:
        R: (..., V, 3, 3) rotations from the world to the cameras.
        t: (..., V, 3) positions of the world's origin in the cameras, unit of the input.
        points: (..., N, 3) points, world frame.
        cost: (...) what is left of the sum of robust squared distances, square of the unit of the rays.
        start: (...) the same before the adjustment.
    """

    R: Tensor
    t: Tensor
    points: Tensor
    cost: Tensor
    start: Tensor


@full_precision
def adjust_bundle(
    R: Tensor,
    t: Tensor,
    points: Tensor,
    rays: Tensor,
    weights: Tensor | None = None,
    *,
    scale: float,
    iterations: int = 20,
) -> BundleFit:
    """Refine cameras with known intrinsics and the points they see, by Levenberg and Marquardt's method.

    The sum of ``scale^2 log(1 + d^2 / scale^2)`` over all measurements becomes least, d the distance between where a
    point is seen and where it was measured, on the plane at depth 1: a Cauchy cost, with which single wrong
    measurements count little. The first camera stays where it is, and so does the size of the world: the root mean
    square of the other cameras' distances from it. A problem whose cost does not fall keeps what it was given.

    Args:
        R: (..., V, 3, 3) rotations from the world to the cameras.
        t: (..., V, 3) positions of the world's origin in the cameras, any unit.
        points: (..., N, 3) points, world frame, unit of ``t``.
        rays: (..., N, V, 2) measured rays; may be anything where the weight is 0.
        weights: (..., N, V) weights from 0; None for equal ones.
        scale: Distance from which on a measurement counts less, unit of the rays.
        iterations: Number of steps.

    Returns:
        Cameras and points, in the type and on the device of the input; computed in float64.

    Raises:
        ValueError: The shapes do not fit or the scale is not above 0.
    """
    views, count = R.shape[-3], points.shape[-2]
    if rays.shape != (*R.shape[:-3], count, views, 2) or t.shape != R.shape[:-1] or not scale > 0:
        raise ValueError(
            f"expected cameras (..., V, 3, 3), points (..., N, 3), rays (..., N, V, 2) and a scale above 0, found "
            f"{tuple(R.shape)}, {tuple(points.shape)}, {tuple(rays.shape)} and {scale}"
        )
    batch, dtype = R.shape[:-3], R.dtype
    strength = torch.ones_like(rays[..., 0]) if weights is None else weights
    known = (strength > 0) & rays.isfinite().all(-1)
    problem = _Problem(
        torch.where(known.unsqueeze(-1), rays, 0).double().reshape(-1, count, views, 2),
        torch.where(known, strength, 0).double().reshape(-1, count, views),
        scale,
    )
    state = _State(
        R.double().reshape(-1, views, 3, 3), t.double().reshape(-1, views, 3), points.double().reshape(-1, count, 3)
    )
    size = _size(state)
    cost = start = problem.cost(state)
    damping = torch.full_like(cost, _START)
    for _ in range(iterations):
        trial = problem.step(state, damping)
        new = problem.cost(trial)
        better = new < cost
        state = _State(
            *(torch.where(better.reshape(-1, *(1,) * (a.ndim - 1)), b, a) for a, b in zip(state, trial, strict=True))
        )
        cost = torch.where(better, new, cost)
        damping = torch.where(better, damping / 5, damping * 10).clamp(_LEAST, _MOST)
    factor = (size / torch.where(_size(state) > 0, _size(state), 1))[:, None, None]
    centre = state.t[:, 0]  # the first camera's own pose is kept, so the world is scaled about its centre
    origin = -rotate(state.R[:, 0].mT, centre)
    moved = origin.unsqueeze(1) + factor * (state.points - origin.unsqueeze(1))
    middles = -rotate(state.R.mT, state.t)
    middles = origin.unsqueeze(1) + factor * (middles - origin.unsqueeze(1))
    ways = -rotate(state.R, middles)
    return BundleFit(
        state.R.reshape(*batch, views, 3, 3).to(dtype),
        ways.reshape(*batch, views, 3).to(dtype),
        moved.reshape(*batch, count, 3).to(dtype),
        cost.reshape(batch).to(dtype),
        start.reshape(batch).to(dtype),
    )


class _State(NamedTuple):
    """Cameras (B, V, 3, 3), (B, V, 3) and points (B, N, 3)."""

    R: Tensor
    t: Tensor
    points: Tensor


def _size(state: _State) -> Tensor:
    """Return the root mean square (B,) of the distances of the cameras from the first one."""
    middles = -rotate(state.R.mT, state.t)
    return (middles - middles[:, :1]).square().sum((1, 2)).sqrt()


def _cross_matrices(vectors: Tensor) -> Tensor:
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).reshape(*vectors.shape, 3)


class _Problem:
    """What was measured, and the steps towards it.

    Args:
        rays: (B, N, V, 2).
        weights: (B, N, V).
        scale: Of the Cauchy cost.
    """

    def __init__(self, rays: Tensor, weights: Tensor, scale: float) -> None:
        self.rays, self.weights, self.scale = rays, weights, scale

    def _seen(self, state: _State) -> tuple[Tensor, Tensor, Tensor]:
        """Return the points without the cameras' positions added, their depths and the residuals."""
        turned = rotate(state.R.unsqueeze(1), state.points.unsqueeze(2))
        local = turned + state.t.unsqueeze(1)
        depth = local[..., 2:]
        visible = depth > _NEAREST * local.norm(dim=-1, keepdim=True)
        found = local[..., :2] / torch.where(visible, depth, 1)
        # A measured point behind its camera costs as much as one that is far off.
        residual = torch.where(visible, found - self.rays, 1e3 * self.scale)
        return turned, torch.where(visible, depth, torch.inf), residual

    def cost(self, state: _State) -> Tensor:
        """Return the cost (B,)."""
        _, _, residual = self._seen(state)
        square = residual.square().sum(-1) / self.scale**2
        return (self.weights * torch.log1p(square)).sum((1, 2)) * self.scale**2

    def step(self, state: _State, damping: Tensor) -> _State:
        """Return the cameras and points after one step of Gauss and Newton's, damped."""
        turned, depth, residual = self._seen(state)
        weight = self.weights / (1 + residual.square().sum(-1) / self.scale**2)
        slopes = torch.zeros(*residual.shape, 3, dtype=residual.dtype, device=residual.device)
        near = 1 / depth.squeeze(-1)  # 0 where the point is not seen
        seen = residual + self.rays
        slopes[..., 0, 0] = slopes[..., 1, 1] = near
        slopes[..., 0, 2], slopes[..., 1, 2] = -seen[..., 0] * near, -seen[..., 1] * near
        slopes = slopes * weight.sqrt()[..., None, None]
        error = residual * (weight.sqrt() * (near > 0)).unsqueeze(-1)

        by_point = slopes @ state.R.unsqueeze(1)  # (B, N, V, 2, 3)
        by_camera = torch.cat((-slopes @ _cross_matrices(turned), slopes), -1)[:, :, 1:]  # (B, N, V - 1, 2, 6)
        grow = damping[:, None, None]
        inner = torch.einsum("bnvki,bnvkj->bnij", by_point, by_point)
        inner_right = torch.einsum("bnvki,bnvk->bni", by_point, error)
        mixed = torch.einsum("bnvki,bnvkj->bnvij", by_camera, by_point[:, :, 1:])
        outer = torch.einsum("bnvki,bnvkj->bvij", by_camera, by_camera)
        outer_right = torch.einsum("bnvki,bnvk->bvi", by_camera, error[:, :, 1:])

        batch, count, cameras = mixed.shape[:3]
        inverse = torch.linalg.inv(_damped(inner, grow))
        mixed = mixed.reshape(batch, count, cameras * 6, 3)
        carried = mixed @ inverse
        matrix = torch.zeros(batch, cameras, 6, cameras, 6, dtype=mixed.dtype, device=mixed.device)
        places = torch.arange(cameras, device=mixed.device)
        matrix[:, places, :, places] = _damped(outer, grow).transpose(0, 1)
        left = matrix.reshape(batch, cameras * 6, -1) - torch.einsum("bnij,bnkj->bik", carried, mixed)
        right = outer_right.reshape(batch, -1) - torch.einsum("bnij,bnj->bi", carried, inner_right)
        change = -torch.linalg.solve_ex(left, right.unsqueeze(-1)).result.squeeze(-1)
        shift = -(inverse @ (inner_right + torch.einsum("bnij,bi->bnj", mixed, change)).unsqueeze(-1)).squeeze(-1)

        turn, way = change.reshape(batch, cameras, 6).split(3, -1)
        R = torch.cat((state.R[:, :1], matrix_product(axis_angle_to_matrix(turn), state.R[:, 1:])), 1)
        t = torch.cat((state.t[:, :1], state.t[:, 1:] + way), 1)
        return _State(R, t, state.points + shift)


def _damped(matrix: Tensor, damping: Tensor) -> Tensor:
    """Add a share (B, 1, 1) to the diagonals of matrices (B, M, n, n), and a little so that none is 0."""
    diagonal = matrix.diagonal(dim1=-2, dim2=-1)
    largest = diagonal.amax(-1, keepdim=True)
    floor = torch.where(largest > 0, largest, 1) * 1e-12
    return matrix + torch.diag_embed(diagonal * damping + floor)
