"""Two cameras that move against each other: a pose of its own for every frame, from the joints of that frame alone."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import torch
from kornia.geometry.epipolar import find_essential
from torch import Tensor

from liftpose.geometry.bundle import adjust_bundle
from liftpose.geometry.epipolar import check_points, sampson_distance
from liftpose.geometry.precision import full_precision
from liftpose.geometry.relative_pose import pose_from_essential, ray_depths, rotation_between_rays

__all__ = ["FrameEssentials", "FramePoses", "fit_essential_frames", "fit_pair_frames"]

_ANGLES: Final = (5.0, 150.0)  # degrees, between the rays of a joint
_TURN: Final = 0.75  # of the threshold, as for pooled frames
_FIVE: Final = 5
_SLOTS: Final = 10  # candidates of the five-point solver for one sample
_BLOCK: Final = 2**22  # distances that are held at once


class FrameEssentials(NamedTuple):
    """One essential matrix per frame.

    Attributes:
        matrix: (B, 3, 3), of norm 1; zeros where it is not valid.
        residual: (B,) median Sampson distance of the frame's points, unit of the rays; infinite where it is not valid.
        inliers: (B, J) bool, the points that are within the threshold.
        valid: (B,) bool, whether the frame has enough points within the threshold.
    """

    matrix: Tensor
    residual: Tensor
    inliers: Tensor
    valid: Tensor


class FramePoses(NamedTuple):
    """The poses of the second camera in the frame of the first, one per frame.

    Attributes:
        R: (F, 3, 3) rotations from the first camera's frame to the second's; the identity where not valid.
        t: (F, 3) of length 1, the first camera's position in the second's frame; zeros where not valid.
        points: (F, J, 3) joints in the first camera's frame, unit of ``t``; zeros where they are no inliers.
        inliers: (F, J) bool, the joints that agree with the frame's pose and lie in front of both cameras.
        residual: (F,) median Sampson distance, unit of the rays, before the refinement; infinite where not valid.
        angle: (F,) radians, median angle between the rays of a joint.
        valid: (F,) bool.
    """

    R: Tensor
    t: Tensor
    points: Tensor
    inliers: Tensor
    residual: Tensor
    angle: Tensor
    valid: Tensor


@full_precision
def fit_essential_frames(
    first: Tensor,
    second: Tensor,
    weights: Tensor | None = None,
    *,
    threshold: float,
    hypotheses: int = 64,
    min_inliers: int = 8,
    seed: int = 0,
) -> FrameEssentials:
    """Find one essential matrix per frame, for cameras that move against each other.

    Each frame gets the matrix with the least median Sampson distance among those of random samples of five of its
    points. From the points of a single frame a matrix is ten to a hundred times less exact than from pooled frames:
    cameras that stand still have :func:`fit_essential_ransac`.

    Args:
        first: (B, J, 2) rays of the first view; not finite where unknown.
        second: (B, J, 2) rays of the second view.
        weights: (B, J) weights, of which only whether they are 0 matters; None for all points.
        threshold: Largest Sampson distance of an inlier, unit of the rays.
        hypotheses: Number of samples per frame.
        min_inliers: Least number of inliers of a valid frame.
        seed: Seed of the samples.

    Returns:
        The matrices; frames with fewer than five points, or too few inliers, are not valid.

    Raises:
        ValueError: The shapes differ, or a number is out of range.
    """
    used = check_points(first, second, weights)
    if first.ndim != 3 or not threshold > 0 or hypotheses < 1:
        raise ValueError(f"expected points (B, J, 2), found {tuple(first.shape)}; threshold {threshold}, {hypotheses}")
    frames, joints = used.shape
    matrix, residual = first.new_zeros(frames, 3, 3), first.new_full((frames,), torch.inf)
    enough = used.sum(-1) >= _FIVE
    generator = torch.Generator().manual_seed(seed)
    keys = torch.rand(frames, hypotheses, joints, generator=generator).to(first.device)
    rows = enough.nonzero().squeeze(-1)
    for block in torch.split(rows, max(1, _BLOCK // (hypotheses * _SLOTS * max(joints, 1)))):
        seen, x1, x2 = used[block], first[block].double(), second[block].double()
        x1, x2 = (torch.where(seen.unsqueeze(-1), points, 0) for points in (x1, x2))
        chosen = torch.where(seen.unsqueeze(1), keys[block], -1).topk(_FIVE, dim=-1).indices.flatten(1)
        samples = [x.gather(1, chosen.unsqueeze(-1).expand(-1, -1, 2)).reshape(-1, _FIVE, 2) for x in (x1, x2)]
        candidates = find_essential(*samples).reshape(len(block), -1, 3, 3)
        distances = sampson_distance(candidates, x1.unsqueeze(1), x2.unsqueeze(1))
        middle = _masked_median(distances, seen.unsqueeze(1))
        best = middle.argmin(1)
        picked = torch.arange(len(block), device=best.device)
        residual[block] = middle[picked, best].to(first.dtype)
        matrix[block] = candidates[picked, best].to(first.dtype)
    matrix = torch.where(residual.isfinite()[:, None, None], matrix, 0)
    clean = (torch.where(used.unsqueeze(-1), points, 0) for points in (first, second))
    inliers = used & residual.isfinite().unsqueeze(-1) & (sampson_distance(matrix, *clean) <= threshold)
    valid = inliers.sum(-1) >= min_inliers
    return FrameEssentials(
        torch.where(valid[:, None, None], matrix, 0),
        torch.where(valid, residual, torch.inf),
        inliers & valid.unsqueeze(-1),
        valid,
    )


def _masked_median(values: Tensor, used: Tensor) -> Tensor:
    """Return the lower medians (...) of values (..., N) where used; infinite where one is NaN or nothing is used."""
    ranked = torch.where(used & values.isfinite(), values, torch.inf).sort(-1).values
    place = ((used.sum(-1, keepdim=True) - 1).clamp(min=0) // 2).expand(*ranked.shape[:-1], 1)
    return ranked.gather(-1, place).squeeze(-1)


@full_precision
def fit_pair_frames(
    first: Tensor,
    second: Tensor,
    weights: Tensor | None = None,
    *,
    threshold: float,
    min_inliers: int = 8,
    hypotheses: int = 64,
    refine: bool = True,
    seed: int = 0,
) -> FramePoses:
    """Find the pose of one camera to another in every frame by itself.

    Only for cameras that move: the joints of one frame fix a pose to some ten degrees at a noise of one pixel, which is
    what :func:`liftpose.geometry.camera_pairs.fit_pair` improves a hundredfold where the cameras stand still.

    Args:
        first: (F, J, 2) rays of the first camera; not finite where unknown.
        second: (F, J, 2) rays of the second camera.
        weights: (F, J) weights, of which only whether they are 0 matters.
        threshold: Largest Sampson distance of an inlier, unit of the rays.
        min_inliers: Least number of inliers of a valid frame.
        hypotheses: Number of samples of five joints per frame.
        refine: Whether the poses are refined by bundle adjustment on the inliers.
        seed: Seed of the samples.

    Returns:
        The poses. Frames are not valid that have too few joints or inliers, that a rotation alone explains (cameras at
        one place), or in which most rays meet at less than 5 or more than 150 degrees.

    Raises:
        ValueError: The shapes differ, or a number is out of range.
    """
    found = fit_essential_frames(
        first, second, weights, threshold=threshold, hypotheses=hypotheses, min_inliers=min_inliers, seed=seed
    )
    x1, x2 = (torch.where(found.inliers.unsqueeze(-1), rays, 0) for rays in (first, second))
    pose = pose_from_essential(found.matrix, x1, x2, found.inliers)
    inliers = found.inliers & pose.in_front
    R, t = pose.R, pose.t
    depths = ray_depths(R, t, x1, x2)
    points = torch.cat((x1, torch.ones_like(x1[..., :1])), -1) * depths.first.unsqueeze(-1)
    if refine:
        identity = torch.eye(3).to(R).expand_as(R)
        bundle = adjust_bundle(
            torch.stack((identity, R), 1),
            torch.stack((torch.zeros_like(t), t), 1),
            torch.where(inliers.unsqueeze(-1), points, t.new_tensor([0.0, 0.0, 1.0])),
            torch.stack((x1, x2), 2),
            inliers.unsqueeze(-1).expand(-1, -1, 2).to(x1.dtype),
            scale=threshold,
        )
        R, t, points = bundle.R[:, 1], bundle.t[:, 1], bundle.points
        depths = ray_depths(R, t, x1, x2)
        inliers = inliers & (depths.first > 0) & (depths.second > 0)
    angle = torch.where(inliers, depths.angle, torch.nan).nanmedian(-1).values.nan_to_num(0)
    _, left = rotation_between_rays(x1, x2, inliers.to(x1.dtype))
    low, high = (math.radians(limit) for limit in _ANGLES)
    valid = (
        pose.valid & (inliers.sum(-1) >= min_inliers) & (left > _TURN * threshold) & (angle >= low) & (angle <= high)
    )
    inliers = inliers & valid.unsqueeze(-1)
    return FramePoses(
        torch.where(valid[:, None, None], R, torch.eye(3).to(R)),
        torch.where(valid.unsqueeze(-1), t, 0),
        torch.where(inliers.unsqueeze(-1), points, 0),
        inliers,
        torch.where(valid, found.residual, torch.inf),
        angle,
        valid,
    )
