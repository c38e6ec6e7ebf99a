"""Points in space from the pixels of two or more calibrated views, for whole batches of poses at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, Literal, get_args

import torch
from torch import Tensor

from liftpose.geometry.optimal_correction import corrected_views
from liftpose.geometry.precision import full_precision
from liftpose.geometry.view_systems import (
    Moments,
    Solution,
    Triangulation,
    Views,
    homogeneous_pixels,
    moments,
    solve,
    triangulate_with,
)

__all__ = ["Solver", "Triangulation", "triangulate"]

Solver = Literal["linear", "iterative", "optimal", "svd", "eigh"]
"""How :func:`triangulate` finds a point."""

# cuSOLVER's batched decompositions of tiny matrices are known to fail above about 32,000 matrices in one call.
_DECOMPOSED_AT_ONCE: Final = 16_384


@full_precision
def triangulate(
    points: Tensor,
    projections: Tensor,
    weights: Tensor | None = None,
    *,
    solver: Solver = "linear",
    passes: int = 3,
    max_residual: float | None = None,
    min_angle: float = 0.0,
) -> Triangulation:
    r"""Find the points in space that several views see, with what tells good points from bad ones.

    Every view gives two equations, :math:`(u\,p_3 - p_1) \cdot \tilde X = 0` and
    :math:`(v\,p_3 - p_2) \cdot \tilde X = 0`, with the rows p of its projection matrix and
    :math:`\tilde X = (X, Y, Z, 1)`; both are multiplied by the weight of the view. The solvers differ in what they make
    of them:

    - "linear": least squares in X, Y, Z, in closed form.
    - "iterative": the same with weights divided by the depths of the points that the pass before has found, so that
      the errors are pixels (Hartley and Sturm, "Triangulation", CVIU 1997, section 4.2).
    - "optimal": two views only; moves the pixels the least that lets their rays meet (the optimum of Hartley and Sturm
      1997, section 5, where the errors of the pixels are equally normal), then "linear". Weights only mark views.
    - "svd", "eigh": :math:`\tilde X` is the unit vector that has the least squares, by a decomposition of the equations
      or of their products (the direct linear transformation, Hartley and Zisserman, section 12.2). It depends on the
      unit and the origin of the world and is slower; for comparison with what others compute.

    The computation runs in float64 (float32 on devices without it) and outside autocast; results have the dtype of the
    inputs. Points and residuals have gradients with respect to pixels, matrices and weights; they are finite, and zero
    for points that are not determined.

    Args:
        points: (*batch, V, J, 2) pixels of V views, without lens distortion (see
            :meth:`liftpose.geometry.Camera.undistort`). A view with a pixel that is not finite is not used.
        projections: (V, 3, 4) or (*batch, V, 3, 4) projection matrices from metres, world frame, to pixels; the third
            row times a point is positive in front of the camera, as in K [R | t]. A view whose matrix is not finite is
            not used.
        weights: (*batch, V, J), or what broadcasts to it: confidences that multiply the equations of a view. A view
            with weight 0, or with a weight that is negative or not finite, is not used. None for ones.
        solver: As above.
        passes: How often "iterative" solves with new depths after the first solution; three are enough.
        max_residual: Pixels; points further than this from the pixel of a used view are not valid. None for no limit.
        min_angle: Radians; points whose rays meet at a smaller angle are not valid. 5 degrees (0.087) keep out points
            whose depth is mostly noise.

    Returns:
        Points, validity, residuals in pixels, angles and the views used, each (*batch, ...).

    Raises:
        ValueError: A shape does not fit, the solver is unknown, or "optimal" is asked of more or fewer than two views.

    Example:
        >>> projections = torch.eye(3, 4).repeat(2, 1, 1)
        >>> projections[1, 0, 3] = -1.0  # one metre to the right of the first
        >>> found = triangulate(torch.tensor([[[0.5, 0.0]], [[0.0, 0.0]]]), projections)
        >>> found.points + 0, found.valid
        (tensor([[1., 0., 2.]]), tensor([True]))
    """
    if solver not in get_args(Solver):
        raise ValueError(f"solver: expected one of {', '.join(get_args(Solver))}, found {solver!r}")
    if solver == "optimal" and points.ndim >= 3 and points.shape[-3] != 2:
        raise ValueError(f"points: expected two views for the solver 'optimal', found {points.shape[-3]}")
    solvers: dict[Solver, Callable[[Views], Solution]] = {
        "linear": _linear,
        "iterative": partial(_iterative, passes=passes),
        "optimal": _optimal,
        "svd": partial(_homogeneous, decompose=_by_svd),
        "eigh": partial(_homogeneous, decompose=_by_eigh),
    }
    return triangulate_with(
        solvers[solver], points, projections, weights, max_residual=max_residual, min_angle=min_angle
    )


def per_depth(views: Views, found: Solution) -> Tensor:
    """Return the weights of views divided by the depths of points, (V, J, B): equations that are in pixels."""
    depth = homogeneous_pixels(views, found.points)[2].abs()
    # Depths that mean nothing, of points that are not determined or next to a camera, do not count more than others.
    usable = depth.detach() > 1e-3 * depth.detach().amax(0)
    return torch.where(usable, views.weights / torch.where(usable, depth, 1), views.weights)


def solve_per_depth(views: Views, products: Moments, passes: int) -> Solution:
    """Solve with weights that are divided by the depths of the solution before."""
    found = solve(products, views.weights)
    for _ in range(passes):
        found = solve(products, per_depth(views, found))
    return found


def _linear(views: Views) -> Solution:
    return solve(moments(views), views.weights)


def _iterative(views: Views, passes: int) -> Solution:
    return solve_per_depth(views, moments(views), passes)


def _optimal(views: Views) -> Solution:
    moved = corrected_views(views)
    return solve(moments(moved), (moved.weights > 0).to(moved.weights))


def _homogeneous(views: Views, decompose: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Solution:
    """Find unit vectors of four numbers by a decomposition."""
    found = _linear(views)
    if len(views.u) < 2:
        return found
    first = views.u * views.matrices[2] - views.matrices[0]
    second = views.v * views.matrices[2] - views.matrices[1]
    equations = torch.cat((first, second), 1) * torch.cat((views.weights, views.weights))
    equations = equations.permute(2, 3, 1, 0)
    # What does not determine a point has no single answer, and no gradient: four equations that have one stand in.
    rows = equations.shape[-2]
    easy = torch.zeros(rows, 4, dtype=equations.dtype, device=equations.device)
    easy[:3, :3] = torch.diag(torch.tensor([3.0, 2.0, 1.0]))
    vector = _least_vector(torch.where(found.determined[..., None, None], equations, easy), decompose)
    last = vector[..., 3]
    finite = last.detach().abs() > torch.finfo(last.dtype).eps * vector.detach().abs().amax(-1)
    points = vector[..., :3] / torch.where(finite, last, 1).unsqueeze(-1)
    determined = found.determined & finite
    x, y, z = torch.where(determined.unsqueeze(-1), points, 0).unbind(-1)
    return Solution((x, y, z), determined, found.used & determined)


def _least_vector(equations: Tensor, decompose: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Tensor:
    """Return the unit vectors (..., 4) that equations (..., 2 V, 4) make the least, differentiable once.

    The derivative of a decomposition divides by differences of all singular values, of which two that do not matter
    here may be equal. That of the last vector alone only needs its own differences, which a determined point has:
    ``v_0' = -sum_i v_i (v_i . (A^T A)' v_0) / (s_i^2 - s_0^2)``.
    """
    with torch.no_grad():
        parts = [decompose(part) for part in torch.split(equations.flatten(0, -3), _DECOMPOSED_AT_ONCE)]
        squares = torch.cat([part[0] for part in parts]).reshape(*equations.shape[:-2], 4)
        vectors = torch.cat([part[1] for part in parts]).reshape(*equations.shape[:-2], 4, 4)
    least: Tensor = vectors[..., 0]
    if not equations.requires_grad:
        return least
    slope = (equations.unsqueeze(-2) @ least[..., None, :, None]).squeeze(-1)
    slope = (equations * slope).sum(-2)
    gaps = squares[..., 1:] - squares[..., :1]
    apart = gaps > torch.finfo(gaps.dtype).eps ** 2 * squares[..., -1:]
    shares = (vectors[..., 1:] * slope.unsqueeze(-1)).sum(-2) / torch.where(apart, gaps, torch.inf)
    change = (vectors[..., 1:] * shares.unsqueeze(-2)).sum(-1)
    return least - (change - change.detach())


def _by_svd(equations: Tensor) -> tuple[Tensor, Tensor]:
    """Return squares of singular values (N, 4), the least first, and the right vectors (N, 4, 4) in columns."""
    _, values, rows = torch.linalg.svd(equations, full_matrices=False)
    return values.square().flip(-1), rows.mT.flip(-1)


def _by_eigh(equations: Tensor) -> tuple[Tensor, Tensor]:
    """Return the same from the products of the equations."""
    values = torch.linalg.eigh((equations.unsqueeze(-1) * equations.unsqueeze(-2)).sum(-3))
    return values.eigenvalues, values.eigenvectors
