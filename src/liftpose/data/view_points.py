"""The places of joints that several cameras see, fused from the views in one of four ways."""

from __future__ import annotations

from itertools import combinations
from typing import Final, NamedTuple

import torch
from torch import Tensor

from liftpose.geometry import Camera, Triangulation, ViewFusion, fuse_views, rotate, triangulate
from liftpose.geometry.camera_pairs import camera_rays
from liftpose.geometry.moving_pairs import fit_pair_frames
from liftpose.skeletons import Skeleton

__all__ = ["ViewPoints", "points_of_moving_cameras", "points_of_views"]


_ENOUGH: Final = 500  # frames that tell how large the usual error is


class ViewPoints(NamedTuple):
    """The places of joints in the frame of every view.

    Attributes:
        local: (F, V, J, 3) metres, camera frame; NaN where there are none.
        used: (F, V, J) bool, the views that see a joint which has a place.
        angle: (F, V or 1, J) radians from 0 to pi / 2, the widest between two rays of the joint, those that meet at an
            obtuse angle counted by how far they are from being opposite.
        separate: Whether every view has a place of its own, made of itself and one other view.
        partner_residuals: (F, V, J) pixels between the 2D joint of that other view and where it would see the place;
            zeros where the places are not separate.
    """

    local: Tensor
    used: Tensor
    angle: Tensor
    separate: bool
    partner_residuals: Tensor


def points_of_views(cameras: Camera, keypoints_2d: Tensor, weights: Tensor, *, fusion: ViewFusion) -> ViewPoints:
    """Find the places of joints from all views, or from pairs of them.

    Args:
        cameras: Batch shape (V,), with poses.
        keypoints_2d: (F, V, J, 2) pixels; finite everywhere.
        weights: (F, V, J) from 0; 0 where a joint is unknown.
        fusion: How the views are fused (:func:`liftpose.geometry.fuse_views`); with "pair", each view with the one
            other whose rays cross its own most nearly at a right angle.

    Returns:
        The places. NaN where fewer than two views see a joint, or, with "pair", a view or its partner does not.
    """
    pixels = cameras.undistort(keypoints_2d.movedim(1, 0)).movedim(0, 1)
    matrices = cameras.projection_matrix
    if fusion == "pair" and len(cameras) > 2:
        angles = _pair_angles(cameras, weights, triangulate(pixels, matrices, weights))
        return _with_partners(cameras, pixels, weights, angles)
    if fusion == "dlt" or len(cameras) == 2:  # two views are one pair, and neither is less right than the other
        found = fuse_views(pixels, matrices, weights, fusion="dlt")
    elif fusion == "robust":
        some = slice(None, None, max(1, len(pixels) // _ENOUGH))
        scale = _usual_error(triangulate(pixels[some], matrices, weights[some]))
        found = fuse_views(pixels, matrices, weights, fusion="robust", scale=scale)
    else:
        found = fuse_views(pixels, matrices, weights, fusion=fusion)
        # A median is one pair's point, and near those of the others: opposite cameras may give it, too.
        found = found._replace(angles=triangulate(pixels, matrices, weights).angles)
    local = torch.where(found.valid[:, None, :, None], _in_views(cameras, found.points), torch.nan)
    used = (weights > 0) & found.valid.unsqueeze(1)
    return ViewPoints(local, used, found.angles.unsqueeze(1), False, torch.zeros_like(weights))


def _in_views(cameras: Camera, world: Tensor) -> Tensor:
    """Move places (F, J, 3) into the frames of all cameras, (F, V, J, 3)."""
    return cameras.to_camera(world.unsqueeze(0).expand(len(cameras), -1, -1, -1)).movedim(0, 1)


def _usual_error(found: Triangulation) -> float:
    """Return twice the median distance in pixels between what is seen and where it would be, at least one pixel."""
    measured = found.residuals[found.used & found.valid.unsqueeze(1)]
    return max(2 * float(measured.median()), 1.0) if len(measured) else 1.0


def _pair_angles(cameras: Camera, weights: Tensor, rough: Triangulation) -> Tensor:
    """Return the median angles (V, V) at which the rays of two views cross, as lines; -1 where they see nothing."""
    bearings = rough.points.unsqueeze(1) - cameras.center[:, None]
    bearings = bearings / bearings.norm(dim=-1, keepdim=True)
    angles = torch.full((len(cameras), len(cameras)), -1.0, dtype=weights.dtype)
    for i, j in combinations(range(len(cameras)), 2):
        both = rough.valid & (weights[:, i] > 0) & (weights[:, j] > 0)
        if bool(both.any()):
            angles[i, j] = angles[j, i] = _angle_between(bearings[:, i], bearings[:, j])[both].median()
    return angles


def _angle_between(first: Tensor, second: Tensor) -> Tensor:
    """Return the angle (...) between the lines along unit vectors (..., 3), 0 to pi / 2."""
    return torch.atan2(torch.linalg.cross(first, second).norm(dim=-1), (first * second).sum(-1).abs())


def _with_partners(cameras: Camera, pixels: Tensor, weights: Tensor, angles: Tensor) -> ViewPoints:
    """Fuse each view with the other one whose rays cross its own most nearly at a right angle."""
    columns: list[tuple[Tensor, ...]] = []
    alone = torch.eye(len(cameras), dtype=torch.bool)
    for view, partner in enumerate(angles.masked_fill(alone, -2).argmax(1).tolist()):
        both = [view, partner]
        pair = cameras[both]
        found = fuse_views(pixels[:, both], pair.projection_matrix, weights[:, both], fusion="dlt")
        local = torch.where(found.valid.unsqueeze(-1), _in_views(pair, found.points)[:, 0], torch.nan)
        columns.append((local, found.valid, found.angles, found.residuals[:, 1]))
    local, used, crossing, misses = (torch.stack(column, 1) for column in zip(*columns, strict=True))
    return ViewPoints(local, used, crossing, True, misses)


_INLIER: Final = 0.008  # of the focal length, 9 pixels of Human3.6M: a single frame is too little to estimate noise


def points_of_moving_cameras(
    cameras: Camera,
    keypoints_2d: Tensor,
    weights: Tensor,
    skeleton: Skeleton,
    *,
    target_size: float,
    threshold: float | None = None,
    seed: int = 0,
) -> ViewPoints:
    """Find the places of joints in every frame by itself, from the pair of views that fits best.

    Every frame of every pair gets a pose and a size of its own, by which the bones have a given total length: bones of
    which an end is missing count with the share that they have of it in all frames of the pair.

    Args:
        cameras: Batch shape (V,), of which only intrinsics and distortion are used.
        keypoints_2d: (F, V, J, 2) pixels; finite everywhere.
        weights: (F, V, J) from 0; 0 where a joint is unknown.
        skeleton: Joint order.
        target_size: Metres, total length of all bones.
        threshold: Pixels, largest Sampson distance of an inlier; None for 0.008 focal lengths.
        seed: Seed of the samples.

    Returns:
        The places of each view, from the pair with that view whose median Sampson distance is least; NaN where there is
        none.
    """
    frames, views, joints = weights.shape
    known = weights > 0
    rays = torch.where(known.unsqueeze(-1), camera_rays(cameras, keypoints_2d), torch.nan)
    focals = torch.linalg.det(cameras.intrinsics[:, :2, :2]).abs().sqrt()
    local = torch.full((frames, views, joints, 3), torch.nan, dtype=rays.dtype)
    angles, misses = (torch.zeros(frames, views, joints, dtype=rays.dtype) for _ in range(2))
    best = torch.full((frames, views), torch.inf, dtype=rays.dtype)
    for i, j in combinations(range(views), 2):
        limit = _INLIER if threshold is None else threshold / float((focals[i] * focals[j]).sqrt())
        found = fit_pair_frames(rays[:, i], rays[:, j], threshold=limit, seed=seed)
        factor = target_size / _sizes(found.points, found.inliers, skeleton)
        valid = found.valid & factor.isfinite()
        first = found.points * factor[:, None, None]
        second = rotate(found.R.unsqueeze(1), first) + (found.t * factor.unsqueeze(-1)).unsqueeze(1)
        centre = -rotate(found.R.mT, found.t * factor.unsqueeze(-1))
        angle = _angle_between(
            *(p / p.norm(dim=-1, keepdim=True).clamp(min=1e-12) for p in (first, first - centre[:, None]))
        )
        for view, place, other, seen_by in ((i, first, second, j), (j, second, first, i)):
            better = valid & (found.residual < best[:, view])
            kept = (better.unsqueeze(-1) & found.inliers).unsqueeze(-1)
            clean = torch.where(found.inliers.unsqueeze(-1), other, other.new_tensor([0.0, 0.0, 1.0]))
            miss = (cameras[seen_by].project(clean) - keypoints_2d[:, seen_by]).norm(dim=-1)
            rows = better.unsqueeze(-1)
            local[:, view] = torch.where(rows.unsqueeze(-1), torch.where(kept, place, torch.nan), local[:, view])
            angles[:, view] = torch.where(rows, angle, angles[:, view])
            misses[:, view] = torch.where(rows, miss, misses[:, view])
            best[:, view] = torch.where(better, found.residual, best[:, view])
    return ViewPoints(local, known & local.isfinite().all(-1), angles, True, misses)


def _sizes(points: Tensor, valid: Tensor, skeleton: Skeleton) -> Tensor:
    """Return the total lengths (F,) of the bones in each frame, missing ones by their usual share; NaN without any."""
    parents, children = (list(ends) for ends in zip(*skeleton.bones, strict=True))
    lengths = (points[:, parents] - points[:, children]).norm(dim=-1)
    seen = valid[:, parents] & valid[:, children]
    whole = torch.where(seen, lengths, 0).sum(-1)
    share = torch.where(seen, lengths / whole.unsqueeze(-1), torch.nan).nanmedian(0).values
    share = torch.where(share.isfinite(), share, share.nanmean())
    return whole / torch.where(seen, share / share.sum(), 0).sum(-1)
