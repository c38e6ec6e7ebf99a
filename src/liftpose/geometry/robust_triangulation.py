"""Points in space from several views of which some are wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from typing import Final, Literal, get_args

import torch
from torch import Tensor

from liftpose.geometry.precision import full_precision
from liftpose.geometry.triangulation import per_depth, solve_per_depth
from liftpose.geometry.view_systems import (
    Moments,
    Solution,
    Triangulation,
    Views,
    misses,
    moments,
    solve,
    triangulate_with,
)

__all__ = ["ViewFusion", "fuse_views"]

ViewFusion = Literal["pair", "vector_median", "dlt", "robust"]
"""How :func:`fuse_views` makes a point of more than two views."""

_PASSES: Final = 2  # of weights per depth before a point is used: the third changes nothing that noise does not hide
_OUTLIER: Final = 3.0  # scales from the point: a view that counts less than a third of a good one


@full_precision
def fuse_views(
    points: Tensor,
    projections: Tensor,
    weights: Tensor | None = None,
    *,
    fusion: ViewFusion = "robust",
    pairs: Sequence[tuple[int, int]] | None = None,
    scale: float = 6.0,
    steps: int = 6,
    max_residual: float | None = None,
    min_angle: float = 0.0,
) -> Triangulation:
    r"""Find the points in space that several views see, some of which may see something else.

    - "pair": only the first of ``pairs``.
    - "vector_median": of the points that the pairs of views give, the one whose distances from the others have the
      least sum (Kocabas, Karagoz and Akbas, "Self-Supervised Learning of 3D Human Pose using Multi-view Geometry",
      CVPR 2019).
    - "dlt": least squares over all views with errors in pixels; the solver "iterative" of
      :func:`liftpose.geometry.triangulate`.
    - "robust": the same, with views that are r pixels off counting :math:`1 / (1 + (r / s)^2)` of the others (the
      weights of Cauchy's distribution, by reweighted least squares), from the vector median on. Needs three views to
      tell which of them is wrong. Views more than three scales off are not among the views used.

    Precision, gradients and what is not used are as in :func:`liftpose.geometry.triangulate`.

    Args:
        points: (*batch, V, J, 2) pixels of V views, without lens distortion.
        projections: (V, 3, 4) or (*batch, V, 3, 4) projection matrices from metres, world frame, to pixels, as
            K [R | t].
        weights: (*batch, V, J), or what broadcasts to it: confidences that multiply the equations of a view; 0 where a
            view is not to be used. None for ones.
        fusion: As above.
        pairs: Numbers of views that are fused in pairs; None for all pairs. "dlt" has no use for them.
        scale: Pixels, s of "robust": about twice the usual error of a good pixel.
        steps: How often "robust" weighs the views anew.
        max_residual: Pixels; points further than this from the pixel of a used view are not valid. None for no limit.
        min_angle: Radians; points whose rays meet at a smaller angle are not valid.

    Returns:
        Points, validity, residuals in pixels, angles and the views used, each (*batch, ...).

    Raises:
        ValueError: A shape does not fit, the fusion is unknown, or a pair is not one of two different views.

    Example:
        >>> projections = torch.eye(3, 4).repeat(4, 1, 1)
        >>> projections[:, 0, 3] = torch.tensor([0.0, -1.0, -2.0, -3.0])  # a row of cameras, one metre apart
        >>> pixels = torch.tensor([[[0.5, 0.0]], [[0.0, 0.0]], [[-0.5, 0.0]], [[4.0, 0.0]]])  # the last one is wrong
        >>> fuse_views(pixels, projections, scale=0.01).points.round(decimals=2) + 0
        tensor([[1., 0., 2.]])
    """
    if fusion not in get_args(ViewFusion):
        raise ValueError(f"fusion: expected one of {', '.join(get_args(ViewFusion))}, found {fusion!r}")
    if not scale > 0:
        raise ValueError(f"scale: expected a number of pixels above 0, found {scale}")
    chosen = _check_pairs(pairs, points.shape[-3] if points.ndim >= 3 else 0)
    fusions: dict[ViewFusion, Callable[[Views], Solution]] = {
        "pair": partial(_pair, pair=chosen[0]) if chosen else _all_views,
        "vector_median": partial(_vector_median, pairs=chosen),
        "dlt": _all_views,
        "robust": partial(_robust, pairs=chosen, scale=scale, steps=steps),
    }
    return triangulate_with(
        fusions[fusion], points, projections, weights, max_residual=max_residual, min_angle=min_angle
    )


def _check_pairs(pairs: Sequence[tuple[int, int]] | None, views: int) -> list[tuple[int, int]]:
    """Return the pairs of views, all of them for None."""
    if pairs is None:
        return list(combinations(range(views), 2))
    for pair in pairs:
        if len(pair) != 2 or pair[0] == pair[1] or not all(0 <= view < views for view in pair):
            raise ValueError(f"pairs: expected two different views from 0 to {views - 1}, found {tuple(pair)}")
    if not pairs:
        raise ValueError("pairs: expected at least one pair of views, found none")
    return [(int(first), int(second)) for first, second in pairs]


def _all_views(views: Views) -> Solution:
    return solve_per_depth(views, moments(views), _PASSES)


def _pair(views: Views, pair: tuple[int, int]) -> Solution:
    return _solve_pair(views, moments(views), pair, _PASSES)


def _solve_pair(views: Views, products: Moments, pair: tuple[int, int], passes: int) -> Solution:
    """Solve with two of the views."""
    i, j = pair
    rows = slice(i, None, j - i) if i < j else slice(j, None, i - j)  # a slice is no copy
    two = Views(views.u[rows][:2], views.v[rows][:2], views.weights[rows][:2], views.matrices[:, :, rows][:, :, :2])
    found = solve_per_depth(two, tuple(product[rows][:2] for product in products), passes)
    used = torch.zeros_like(views.weights, dtype=torch.bool)
    used[rows][:2] = found.used
    return found._replace(used=used)


def _vector_median(views: Views, pairs: list[tuple[int, int]]) -> Solution:
    return _median(views, moments(views), pairs, _PASSES)


def _median(views: Views, products: Moments, pairs: list[tuple[int, int]], passes: int) -> Solution:
    """Choose, for every point, the pair whose solution is nearest to those of the other pairs."""
    if not pairs:
        return solve(products, views.weights)
    found = [_solve_pair(views, products, pair, passes) for pair in pairs]
    with torch.no_grad():
        sums = [torch.zeros_like(one.points[0]) for one in found]
        for i, j in combinations(range(len(pairs)), 2):
            x, y, z = (a - b for a, b in zip(found[i].points, found[j].points, strict=True))
            squares = torch.addcmul(torch.addcmul(x * x, y, y), z, z)
            distance = squares.sqrt() * (found[i].determined & found[j].determined)
            sums[i] += distance
            sums[j] += distance
    chosen, least = found[0], torch.where(found[0].determined, sums[0], torch.inf)
    for one, total in zip(found[1:], sums[1:], strict=True):
        better = one.determined & (total < least)
        least = torch.where(better, total, least)
        x, y, z = (torch.where(better, a, b) for a, b in zip(one.points, chosen.points, strict=True))
        used = torch.where(better, one.used, chosen.used)
        chosen = Solution((x, y, z), chosen.determined | one.determined, used)
    return chosen


def _robust(views: Views, pairs: list[tuple[int, int]], scale: float, steps: int) -> Solution:
    """Solve with weights that fall with the residuals of the solution before."""
    products = moments(views)
    found = _median(views, products, pairs, passes=0)
    for _ in range(steps):
        share = 1 / (1 + (misses(views, found)[0] / scale).square())
        found = solve(products, per_depth(views, found) * share.sqrt())
    good = found.used & (misses(views, found)[0].detach() <= _OUTLIER * scale)
    # Where hardly any view agrees with the point, all of them are what it is made of, and the residuals tell.
    return found._replace(used=torch.where(good.sum(0) >= 2, good, found.used))
