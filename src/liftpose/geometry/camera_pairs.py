"""How two cameras stand to each other, from the joints of many frames, or why that cannot be told."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import torch
from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.geometry.camera import Camera
from liftpose.geometry.epipolar import fit_essential_ransac, sampson_distance
from liftpose.geometry.precision import full_precision
from liftpose.geometry.relative_pose import pose_from_essential, ray_depths, rotation_between_rays

__all__ = ["CameraPair", "PairFit", "camera_rays", "fit_pair"]

FEWEST: Final = 16
"""Least number of inliers of a pair, and of joints that two pairs have to share."""

_WIDEST: Final = 0.02  # on the plane at depth 1: 23 pixels of Human3.6M's cameras
_NARROWEST: Final = 0.5  # pixels
_SIGMAS: Final = 3.0
_MEDIAN_TO_SIGMA: Final = 1.4826
_TURN: Final = 0.75  # of the threshold: noise alone leaves about half of it between rays that a rotation has turned
_SHARE: Final = 0.25  # of the points that have to agree with a pair's matrix
_ANGLES: Final = (5.0, 150.0)  # degrees, between the rays of a joint


@dataclass(frozen=True)
class PairFit:
    """What was found out about two cameras.

    Args:
        first: Index of the first camera.
        second: Index of the second camera.
        points: Number of joints that both see.
        inliers: Number of those that agree with the pair's essential matrix.
        residual: Pixels, median Sampson distance of the inliers.
        angle: Radians, median angle between the two rays of an inlier.
        refused: Why the rig is not built on this pair; empty where it is.
    """

    first: int
    second: int
    points: int
    inliers: int = 0
    residual: float = math.nan
    angle: float = math.nan
    refused: str = ""

    def __str__(self) -> str:
        """Say it in one line."""
        start = f"cameras {self.first} and {self.second}: "
        if not self.inliers:
            return f"{start}refused, {self.refused}"
        end = f"; refused, {self.refused}" if self.refused else ""
        return (
            f"{start}{self.inliers} of {self.points} joints agree, {self.residual:.2f} px, "
            f"rays at {math.degrees(self.angle):.0f} degrees{end}"
        )


class CameraPair(NamedTuple):
    """A pair of cameras, how the second stands to the first, and the depths of the points that both see.

    Attributes:
        fit: What was found out, and why the pair is refused if it is.
        R: (3, 3) rotation from the first camera's frame to the second's; the identity where the pair is refused early.
        t: (3,) of length 1, the first camera's position in the second's frame; zeros where the pair is refused early.
        inliers: (N,) bool, the points that agree with the pair and lie in front of both cameras.
        depths: (2, N) depths of the points in the first and the second camera, in distances between the two; 0 where
            unknown.
    """

    fit: PairFit
    R: Tensor
    t: Tensor
    inliers: Tensor
    depths: Tensor


@full_precision
def camera_rays(cameras: Camera, keypoints_2d: Tensor) -> Tensor:
    """Return where the plane at depth 1 of each camera is hit by what it sees, lens distortion undone.

    Args:
        cameras: Batch shape (V,).
        keypoints_2d: (F, V, J, 2) pixels.

    Returns:
        (F, V, J, 2) ``x_camera / z_camera``.

    Raises:
        ValueError: The intrinsics are unknown.
    """
    pixels = keypoints_2d.movedim(1, 0)
    return cameras.unproject(pixels, torch.ones_like(pixels[..., 0]))[..., :2].movedim(0, 1)


@full_precision
def fit_pair(
    first: Tensor,
    second: Tensor,
    *,
    focal: float,
    views: tuple[int, int] = (0, 1),
    threshold: float | None = None,
    seed: int = 0,
    where: str = "",
) -> CameraPair:
    """Find how two cameras stand to each other from pooled points, or say why that cannot be told.

    Args:
        first: (N, 2) rays of the first camera; not finite where unknown.
        second: (N, 2) rays of the second camera.
        focal: Pixels per unit of the rays.
        views: Indices of the two cameras, for messages.
        threshold: Pixels, largest Sampson distance of an inlier; None for three times the noise, which is estimated.
        seed: Seed of RANSAC.
        where: What the cameras belong to, the start of a message.

    Returns:
        The pair. It is refused if fewer than five points are seen by both or too few of them agree, if a rotation alone
        explains the points (cameras at one place), or if the rays of most points meet at less than 5 or more than 150
        degrees (cameras that look the same way or at each other, whose points are not fixed by them).

    Raises:
        ValueError: The shapes differ.
    """
    known = first.isfinite().all(-1) & second.isfinite().all(-1)
    fit = PairFit(*views, points=int(known.sum()))
    refusal = CameraPair(
        fit, torch.eye(3).to(first), first.new_zeros(3), torch.zeros_like(known), first.new_zeros(2, len(first))
    )
    name = f"{where}cameras {views[0]} and {views[1]}"
    try:
        limit = threshold / focal if threshold is not None else _WIDEST
        found = fit_essential_ransac(first, second, threshold=limit, seed=seed, where=name)
        if threshold is None:
            noise = _MEDIAN_TO_SIGMA * float(sampson_distance(found.matrix, first, second)[found.inliers].median())
            limit = min(max(_SIGMAS * noise, _NARROWEST / focal), _WIDEST)
            found = fit_essential_ransac(first, second, threshold=limit, seed=seed, where=name)
    except LiftposeError as error:
        return refusal._replace(fit=replace(fit, refused=str(error).removeprefix(f"{name}: ")))
    pose = pose_from_essential(found.matrix, first, second, found.inliers)
    inliers = found.inliers & pose.in_front
    agreeing = int(inliers.sum())
    if not bool(pose.valid) or agreeing < max(FEWEST, _SHARE * fit.points):
        reason = f"expected a quarter of the joints, and {FEWEST}, to agree with one pose, found {agreeing}"
        return refusal._replace(fit=replace(fit, refused=f"{reason} of {fit.points}"))
    residual = float(sampson_distance(found.matrix, first, second)[inliers].median())
    fit = replace(fit, inliers=agreeing, residual=residual * focal, angle=float(pose.angle))
    x1, x2 = (torch.where(known.unsqueeze(-1), rays, 0) for rays in (first, second))
    _, left = rotation_between_rays(x1, x2, inliers)
    depths = ray_depths(pose.R, pose.t, x1, x2)
    degrees = math.degrees(fit.angle)
    if float(left) < _TURN * limit:
        fit = replace(fit, refused="expected cameras at two places, found rays that a rotation alone explains")
    elif not _ANGLES[0] <= degrees <= _ANGLES[1]:
        how = "that look the same way" if degrees < _ANGLES[0] else "opposite each other"
        fit = replace(fit, refused=f"expected cameras that see the joints from different sides, found cameras {how}")
    sharp = inliers & (depths.angle > math.radians(_ANGLES[0])) & (depths.angle < math.radians(180 - _ANGLES[0]))
    seen = torch.where(sharp, torch.stack((depths.first, depths.second)), 0)
    return CameraPair(fit, pose.R, pose.t, inliers, seen)
