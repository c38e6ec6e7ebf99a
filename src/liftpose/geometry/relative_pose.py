"""How one camera stands to another, from points that both see: rotation and the direction of the way between them.

Rays are the points of a camera's plane at depth 1, ``x_camera / z_camera``. A pose is (R, t) with ``x_second = R
x_first + t``; t has length 1, because no picture tells how large the world is.

Source: Hartley and Zisserman, "Multiple View Geometry in Computer Vision", 2nd edition, section 9.6.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import torch
from kornia.geometry import epipolar as solvers
from torch import Tensor

from liftpose.geometry.precision import full_precision
from liftpose.geometry.rotations import rotate

__all__ = ["RayDepths", "RelativePose", "pose_from_essential", "ray_depths", "rotation_between_rays"]

_PARALLEL: Final = 1e-6  # radians


class RayDepths(NamedTuple):
    """Where pairs of rays pass each other.

    Attributes:
        first: (...) depth of the point in the first camera, unit of t; 0 where the rays are parallel.
        second: (...) depth in the second camera.
        angle: (...) radians, angle between the two rays at the point, 0 to pi.
    """

    first: Tensor
    second: Tensor
    angle: Tensor


class RelativePose(NamedTuple):
    """The pose of the second of two cameras in the frame of the first.

    Attributes:
        R: (..., 3, 3) rotation from the first camera's frame to the second's; the identity where it is not valid.
        t: (..., 3) of length 1, the first camera's position in the second's frame; zeros where it is not valid.
        in_front: (..., N) bool, the points that lie in front of both cameras.
        angle: (...) radians, median angle between the two rays of those points; 0 where it is not valid.
        valid: (...) bool, whether most of the points lie in front of both cameras.
    """

    R: Tensor
    t: Tensor
    in_front: Tensor
    angle: Tensor
    valid: Tensor


def _homogeneous(rays: Tensor) -> Tensor:
    return torch.cat((rays, torch.ones_like(rays[..., :1])), -1)


def _bearings(rays: Tensor) -> Tensor:
    """Return unit vectors (..., N, 3) along rays (..., N, 2)."""
    unit: Tensor = torch.nn.functional.normalize(_homogeneous(rays), dim=-1)
    return unit


@full_precision
def ray_depths(R: Tensor, t: Tensor, first: Tensor, second: Tensor) -> RayDepths:
    """Find the depths at which rays of two cameras come nearest to each other, each seen from its own camera.

    From d2 x2 = d1 R x1 + t: crossing with x2 gives d1, crossing with R x1 gives d2. With exact rays both are the
    depths of the point; with others they are good enough to tell what lies in front of a camera.

    Args:
        R: (..., 3, 3) rotation from the first camera's frame to the second's.
        t: (..., 3) position of the first camera in the second's frame, any unit.
        first: (..., N, 2) rays of the first view.
        second: (..., N, 2) rays of the second view.

    Returns:
        Depths and angles (..., N).
    """
    x1, x2 = rotate(R.unsqueeze(-3), _homogeneous(first)), _homogeneous(second)
    way = t.unsqueeze(-2) + torch.zeros_like(x2)
    x1, x2 = x1 + torch.zeros_like(way), x2 + torch.zeros_like(way)
    normal = torch.linalg.cross(x2, x1)
    power = normal.square().sum(-1)
    lengths = x1.norm(dim=-1) * x2.norm(dim=-1)
    apart = power.sqrt() > _PARALLEL * lengths
    safe = torch.where(apart, power, 1)
    depth_first = -(normal * torch.linalg.cross(x2, way)).sum(-1) / safe
    depth_second = -(normal * torch.linalg.cross(x1, way)).sum(-1) / safe
    angle = torch.atan2(power.sqrt(), (x1 * x2).sum(-1))
    return RayDepths(torch.where(apart, depth_first, 0), torch.where(apart, depth_second, 0), angle)


@full_precision
def rotation_between_rays(first: Tensor, second: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Find the rotation that brings the rays of one view nearest to those of another, as if the cameras stood together.

    What is left over says whether the two views tell anything about depth: cameras at one place, or points so far away
    that they might as well be, leave only noise.

    Args:
        first: (..., N, 2) rays of the first view.
        second: (..., N, 2) rays of the second view.
        weights: (..., N) weights from 0; rays of weight 0 may be anything.

    Returns:
        Rotations (..., 3, 3) from the first frame to the second, and the median angle (...) in radians that is left
        between the rays of a weight above 0; 0 where there are none.

    Raises:
        ValueError: The shapes differ.
    """
    if first.shape != second.shape or (weights is not None and weights.shape != first.shape[:-1]):
        raise ValueError(f"expected rays (..., N, 2) of two views, found {tuple(first.shape)}, {tuple(second.shape)}")
    strength = torch.ones_like(first[..., 0]) if weights is None else weights.to(first.dtype)
    used = strength > 0
    a, b = (_bearings(torch.where(used.unsqueeze(-1), rays, 0)) for rays in (first, second))
    covariance = (strength[..., None, None] * b.unsqueeze(-1) * a.unsqueeze(-2)).sum(-3)
    u, _, vh = torch.linalg.svd(covariance)
    sign = torch.linalg.det(u @ vh).sign()
    rotation = torch.cat((u[..., :2], u[..., 2:] * sign[..., None, None]), -1) @ vh
    turned = rotate(rotation.unsqueeze(-3), a)
    angle = 2 * torch.asin((0.5 * (turned - b).norm(dim=-1)).clamp(max=1))
    return rotation, _median(angle, used)


def _median(values: Tensor, used: Tensor) -> Tensor:
    """Return the lower median (...) of values (..., N) where used; 0 where nothing is."""
    ranked = torch.where(used, values, torch.inf).sort(-1).values
    place = ((used.sum(-1, keepdim=True) - 1) // 2).clamp(min=0)
    return torch.where(used.any(-1), ranked.gather(-1, place).squeeze(-1), 0)


@full_precision
def pose_from_essential(
    essential: Tensor, first: Tensor, second: Tensor, weights: Tensor | None = None
) -> RelativePose:
    """Find the one of the four poses of an essential matrix that puts the points in front of both cameras.

    Args:
        essential: (..., 3, 3) essential matrices, of any size and sign.
        first: (..., N, 2) rays of the first view; not finite where unknown.
        second: (..., N, 2) rays of the second view.
        weights: (..., N) weights, of which only whether they are 0 matters; None for all points that are finite.

    Returns:
        The poses. Not valid where the matrix is zero or not finite, where there is no point, or where no pose has more
        than half of the points in front.

    Raises:
        ValueError: The shapes differ.

    Example:
        >>> from liftpose.geometry.epipolar import essential_from_pose
        >>> points = torch.tensor([[0.0, 0.0, 4.0], [1.0, 0.5, 5.0], [-0.5, 1.0, 6.0]])
        >>> moved = points + torch.tensor([1.0, 0.0, 0.0])
        >>> rays = points[:, :2] / points[:, 2:], moved[:, :2] / moved[:, 2:]
        >>> matrix = essential_from_pose(torch.eye(3), torch.tensor([1.0, 0.0, 0.0]))
        >>> pose_from_essential(matrix, *rays).t.round(decimals=4)
        tensor([1., 0., 0.])
    """
    if first.shape != second.shape or (weights is not None and weights.shape != first.shape[:-1]):
        raise ValueError(f"expected rays (..., N, 2) of two views, found {tuple(first.shape)}, {tuple(second.shape)}")
    used = first.isfinite().all(-1) & second.isfinite().all(-1)
    used = used if weights is None else used & (weights > 0)
    size = essential.abs().amax((-2, -1))
    solvable = essential.isfinite().all(-1).all(-1) & (size > 0)
    stand_in = essential.new_tensor([[0.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    matrix = torch.where(
        solvable[..., None, None], essential / torch.where(solvable, size, 1)[..., None, None], stand_in
    )
    one, other, t = solvers.decompose_essential_matrix(matrix)
    t = t.squeeze(-1)
    rotations = torch.stack((one, one, other, other), -3)
    ways = torch.stack((t, -t, t, -t), -2)

    x1, x2 = (torch.where(used.unsqueeze(-1), rays, 0).unsqueeze(-3) for rays in (first, second))
    depths = ray_depths(rotations, ways, x1, x2)
    in_front = used.unsqueeze(-2) & (depths.first > 0) & (depths.second > 0)
    counts = in_front.sum(-1)
    best = counts.argmax(-1, keepdim=True)
    valid = solvable & (2 * counts.gather(-1, best).squeeze(-1) > used.sum(-1))
    R = rotations.gather(-3, best[..., None, None].expand(*best.shape, 3, 3)).squeeze(-3)
    way = ways.gather(-2, best.unsqueeze(-1).expand(*best.shape, 3)).squeeze(-2)
    pick = best.unsqueeze(-1).expand(*best.shape, used.shape[-1])
    in_front = in_front.gather(-2, pick).squeeze(-2) & valid.unsqueeze(-1)
    angle = _median(depths.angle.gather(-2, pick).squeeze(-2), in_front)
    identity = torch.eye(3, dtype=R.dtype, device=R.device)
    return RelativePose(
        torch.where(valid[..., None, None], R, identity),
        torch.where(valid.unsqueeze(-1), way / way.norm(dim=-1, keepdim=True), 0),
        in_front,
        angle.clamp(max=math.pi),
        valid,
    )
