"""Where several cameras stand, found from the joints of the people they see: no calibration but the intrinsics.

Cameras that stand still keep one pose through all frames of a subject, so the joints of many frames are pooled:
seventeen joints of a single frame fix a pair of cameras to some ten degrees, those of a hundred frames to a tenth of
one.

The idea of teaching a network from such cameras is that of Kocabas, Karagoz, Akbas, "Self-supervised learning of 3D
human pose using multi-view geometry", CVPR 2019; how the rig is found is this package's own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Final, NamedTuple

import torch
from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.geometry.bundle import adjust_bundle
from liftpose.geometry.camera import Camera
from liftpose.geometry.camera_pairs import FEWEST, CameraPair, PairFit, camera_rays, fit_pair
from liftpose.geometry.precision import full_precision
from liftpose.geometry.robust_triangulation import fuse_views
from liftpose.geometry.rotations import matrix_product
from liftpose.geometry.view_systems import Triangulation
from liftpose.skeletons import Skeleton

__all__ = ["Rig", "estimate_rig", "skeleton_size"]

_NARROWEST: Final = 0.5  # pixels
_SWEEPS: Final = 50


class Rig(NamedTuple):
    """Cameras that were found from what they see.

    Attributes:
        cameras: Batch shape (V,): the intrinsics that were given, with R and t in the frame of the first camera; metres
            as far as the size of the person is right.
        pairs: What was found out about every two of them.
        residual: Pixels, median distance between where the joints are seen and where the triangulated joints would be.
    """

    cameras: Camera
    pairs: tuple[PairFit, ...]
    residual: float


def skeleton_size(poses_3d: Tensor, valid: Tensor, skeleton: Skeleton) -> Tensor:
    """Return the median over frames of the sum of all bone lengths.

    A bone of which an end is missing counts with its median length over the frames that have it.

    Args:
        poses_3d: (F, J, 3) any unit.
        valid: (F, J) bool.
        skeleton: Joint order.

    Returns:
        () unit of the poses; NaN where a bone is seen in no frame.
    """
    lengths, seen = _bones(poses_3d, valid, skeleton)
    typical = torch.where(seen, lengths, torch.nan).nanmedian(0).values
    return torch.where(seen, lengths, typical).sum(-1)[seen.any(-1)].median() if bool(seen.any()) else typical.sum()


def _bones(poses_3d: Tensor, valid: Tensor, skeleton: Skeleton) -> tuple[Tensor, Tensor]:
    """Return the lengths (F, bones) of the bones and which are known."""
    parents, children = (list(ends) for ends in zip(*skeleton.bones, strict=True))
    seen = valid[:, parents] & valid[:, children]
    return (poses_3d[:, parents] - poses_3d[:, children]).norm(dim=-1), seen


@full_precision
def estimate_rig(
    cameras: Camera,
    keypoints_2d: Tensor,
    weights: Tensor,
    skeleton: Skeleton,
    *,
    target_size: float = 4.1,
    threshold: float | None = None,
    most_frames: int = 400,
    seed: int = 0,
    where: str = "",
) -> Rig:
    """Find where cameras that stand still are, from the joints that they see and their intrinsics.

    Every two cameras get an essential matrix from the pooled joints, a chain of pairs gives all cameras (rotations
    averaged, relative sizes of the pairs from the joints that they share), and all views together are refined by bundle
    adjustment. The size of the world is chosen so that the person's bones have a total length that is given.

    Args:
        cameras: Batch shape (V,), of which the intrinsics, the lens distortion and the image sizes are used.
        keypoints_2d: (F, V, J, 2) pixels.
        weights: (F, V, J) weights from 0; 0 where a joint is unknown.
        skeleton: Joint order.
        target_size: Metres, total length of all bones; the mean of five adults is 4.1.
        threshold: Pixels, largest Sampson distance of an inlier; None for three times the noise, which is estimated.
        most_frames: Number of frames, evenly spaced, from which the cameras are found.
        seed: Seed of RANSAC.
        where: What the cameras belong to, the start of a message, such as ``"S1: "``.

    Returns:
        The rig, in the frame of its first camera.

    Raises:
        LiftposeError: The cameras cannot be chained: the message names those that are left over and says why their
            pairs were refused.
        ValueError: The shapes do not fit, or a camera has no intrinsics.
    """
    views = keypoints_2d.shape[1]
    if keypoints_2d.ndim != 4 or weights.shape != keypoints_2d.shape[:-1] or cameras.batch_shape != (views,):
        raise ValueError(
            f"expected keypoints (F, V, J, 2) with weights and V cameras, found {tuple(keypoints_2d.shape)}, "
            f"{tuple(weights.shape)} and {tuple(cameras.batch_shape)}"
        )
    skeleton.check(keypoints_2d, f"{where}keypoints of the views")
    chosen = _evenly(_useful(weights), most_frames)
    known = (weights[chosen] > 0) & keypoints_2d[chosen].isfinite().all(-1)
    wide = cameras.to(dtype=torch.float64)
    rays = camera_rays(wide, torch.where(known.unsqueeze(-1), keypoints_2d[chosen].double(), 0))
    rays = torch.where(known.unsqueeze(-1), rays, torch.nan)
    focals = torch.linalg.det(wide.intrinsics[:, :2, :2]).abs().sqrt()
    flat = rays.movedim(1, 0).reshape(views, -1, 2)
    pairs = [
        fit_pair(
            flat[i], flat[j], focal=float((focals[i] * focals[j]).sqrt()), views=(i, j), threshold=threshold,
            seed=seed, where=where,
        )
        for i, j in combinations(range(views), 2)
    ]  # fmt: skip
    R, t = _chain(pairs, views, where)

    strength = torch.where(known, weights[chosen].double(), 0).movedim(1, 2).reshape(-1, views)
    measured = rays.movedim(1, 2).reshape(-1, views, 2)
    typical = float(torch.tensor([pair.fit.residual for pair in pairs if not pair.fit.refused]).median())
    scale = max(3 * typical, _NARROWEST) / float(focals.mean())
    start = _fuse(R, t, measured, strength, scale)
    rows = start.valid.squeeze(-1).nonzero().squeeze(-1)
    kept = torch.where(start.used.squeeze(-1), strength, 0)[rows]
    bundle = adjust_bundle(R, t, start.points.squeeze(-2)[rows], measured[rows], kept, scale=scale)
    R, t = bundle.R, bundle.t
    final = _fuse(R, t, measured, strength, scale)
    points, fixed = final.points.squeeze(-2), final.valid.squeeze(-1)
    poses = points.reshape(len(chosen), -1, 3)
    size = float(skeleton_size(poses, fixed.reshape(poses.shape[:2]), skeleton))
    if not (size > 0 and math.isfinite(size)):
        raise LiftposeError(f"{where}expected every bone of {skeleton.name} in some frame of two views, found less")
    t = t * (target_size / size)
    rig = replace(wide, R=R, t=t).to(dtype=cameras.dtype)
    miss = (final.residuals.squeeze(-1) * focals)[final.used.squeeze(-1) & fixed.unsqueeze(-1)]
    return Rig(rig, tuple(pair.fit for pair in pairs), float(miss.median()))


def _useful(weights: Tensor) -> Tensor:
    """Return the indices of the frames with joints in at least two views."""
    return ((weights > 0).any(-1).sum(1) > 1).nonzero().squeeze(-1)


def _evenly(rows: Tensor, most: int) -> Tensor:
    """Return at most that many of the rows, evenly spaced."""
    if len(rows) <= most:
        return rows
    return rows[torch.linspace(0, len(rows) - 1, most, dtype=torch.float64).round().long()]


def _fuse(R: Tensor, t: Tensor, rays: Tensor, weights: Tensor, scale: float) -> Triangulation:
    """Find points (N, 1, 3) from rays (N, V, 2), with little weight for views that disagree."""
    matrices = torch.cat((R, t.unsqueeze(-1)), -1)
    return fuse_views(rays.unsqueeze(-2), matrices, weights.unsqueeze(-1), fusion="robust", scale=scale)


def _chain(pairs: Sequence[CameraPair], views: int, where: str) -> tuple[Tensor, Tensor]:
    """Return the poses (V, 3, 3), (V, 3) of all cameras in the frame of the first, from the pairs that are not refused.

    Raises:
        LiftposeError: Some cameras are in no chain of pairs with the first one.
    """
    used = sorted((pair for pair in pairs if not pair.fit.refused), key=lambda pair: -pair.fit.inliers)
    scales = _relative_scales(used)
    used = [pair for pair, scale in zip(used, scales, strict=True) if scale > 0]
    sizes = torch.tensor([scale for scale in scales if scale > 0], dtype=torch.float64)
    R = {0: torch.eye(3, dtype=torch.float64)}
    while len(R) < views:
        link = next((pair for pair in used if (pair.fit.first in R) != (pair.fit.second in R)), None)
        if link is None:
            raise LiftposeError(_unchained(pairs, sorted(set(range(views)) - set(R)), where))
        i, j = link.fit.first, link.fit.second
        if i in R:
            R[j] = matrix_product(link.R, R[i])
        else:
            R[i] = matrix_product(link.R.mT, R[j])
    rotations = torch.stack([R[view] for view in range(views)])
    for _ in range(_SWEEPS):
        for view in range(1, views):
            votes = torch.zeros(3, 3, dtype=torch.float64)
            for pair in used:
                if pair.fit.second == view:
                    votes += pair.fit.inliers * matrix_product(pair.R, rotations[pair.fit.first])
                elif pair.fit.first == view:
                    votes += pair.fit.inliers * matrix_product(pair.R.mT, rotations[pair.fit.second])
            u, _, vh = torch.linalg.svd(votes)
            rotations[view] = (
                u @ torch.diag(torch.tensor([1.0, 1.0, float(torch.linalg.det(u @ vh).sign())]).double()) @ vh
            )
    # t_j - R_j R_i^T t_i = size of the pair times its direction, for all pairs at once; the first camera's t is 0.
    rows, right = [], []
    for pair, size in zip(used, sizes, strict=True):
        i, j = pair.fit.first, pair.fit.second
        block = torch.zeros(3, 3 * views, dtype=torch.float64)
        block[:, 3 * j : 3 * j + 3] = torch.eye(3, dtype=torch.float64)
        block[:, 3 * i : 3 * i + 3] = -matrix_product(rotations[j], rotations[i].mT)
        weight = pair.fit.inliers**0.5
        rows.append(weight * block[:, 3:])
        right.append(weight * size * pair.t)
    t = torch.linalg.lstsq(torch.cat(rows), torch.cat(right).unsqueeze(-1)).solution.reshape(views - 1, 3)
    return rotations, torch.cat((torch.zeros(1, 3, dtype=torch.float64), t))


def _relative_scales(pairs: Sequence[CameraPair]) -> list[float]:
    """Return the distances between the cameras of each pair, that of the first pair 1; 0 for pairs not linked with it.

    Two pairs with a camera in common see the same joints at depths in that camera which differ by the ratio of the
    pairs' distances; the logarithms of all these ratios are balanced by least squares.
    """
    if not pairs:
        return []
    equations: list[tuple[int, int, float, float]] = []
    for (p, one), (q, other) in combinations(enumerate(pairs), 2):
        for camera in {one.fit.first, one.fit.second} & {other.fit.first, other.fit.second}:
            depths = [pair.depths[int(pair.fit.second == camera)] for pair in (one, other)]
            both = (depths[0] > 0) & (depths[1] > 0)
            if int(both.sum()) >= FEWEST:
                ratio = float((depths[1][both] / depths[0][both]).log().median())
                equations.append((p, q, ratio, float(both.sum()) ** 0.5))
    linked = {0}
    while more := {k for p, q, *_ in equations for k in (p, q) if {p, q} & linked} - linked:
        linked |= more
    matrix = torch.zeros(len(equations) + 1, len(pairs), dtype=torch.float64)
    right = torch.zeros(len(equations) + 1, dtype=torch.float64)
    matrix[-1, 0] = 1
    for row, (p, q, ratio, weight) in enumerate(equations):
        matrix[row, p], matrix[row, q], right[row] = weight, -weight, weight * ratio
    kept = sorted(linked)
    sizes = torch.linalg.lstsq(matrix[:, kept], right.unsqueeze(-1)).solution.squeeze(-1).exp()
    found = dict(zip(kept, sizes.tolist(), strict=True))
    return [found.get(number, 0.0) for number in range(len(pairs))]


def _unchained(pairs: Sequence[CameraPair], left: list[int], where: str) -> str:
    """Say which cameras cannot be placed, and why their pairs are of no use."""
    names = " and ".join(map(str, left))
    reasons = [
        f"{pair.fit.first} and {pair.fit.second}: {pair.fit.refused or 'too few joints shared with other pairs'}"
        for pair in pairs
        if {pair.fit.first, pair.fit.second} & set(left)
    ]
    return f"{where}expected pairs that link camera {names} with camera 0, found none ({'; '.join(reasons)})"
