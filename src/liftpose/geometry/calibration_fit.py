"""Intrinsics from points whose place and picture are both known."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from liftpose.geometry.precision import full_precision

__all__ = ["IntrinsicsFit", "fit_intrinsics"]


class IntrinsicsFit(NamedTuple):
    """Intrinsics and how well they fit.

    Args:
        intrinsics: (3, 3) pixels, without skew.
        residual: Median distance in pixels between where the points are seen and where they should be.
    """

    intrinsics: Tensor
    residual: float


@full_precision
def fit_intrinsics(points_camera: Tensor, pixels: Tensor) -> IntrinsicsFit:
    """Find the focal lengths and the principal point of a camera without lens distortion by least squares.

    Both pixel coordinates are linear in the ray: u = fx x / z + cx, v = fy y / z + cy.

    Args:
        points_camera: (N, 3) any unit, camera frame, z > 0.
        pixels: (N, 2) pixels in which they are seen.

    Returns:
        The intrinsics and the median distance that is left.

    Raises:
        ValueError: The shapes do not fit, a point is not in front of the camera, or all points lie on one ray.
    """
    if points_camera.ndim != 2 or points_camera.shape[1] != 3 or pixels.shape != (len(points_camera), 2):
        raise ValueError(f"expected points (N, 3) and pixels (N, 2), found {points_camera.shape} and {pixels.shape}")
    if not bool((points_camera[:, 2] > 0).all()):
        raise ValueError("expected points in front of the camera, found some behind it")
    ray = points_camera[:, :2] / points_camera[:, 2:]
    spread = ray - ray.mean(0)
    power = (spread * spread).sum(0)
    if len(ray) < 2 or not bool((power > 0).all()):
        raise ValueError("expected points on several rays, found one")
    focal = (spread * pixels).sum(0) / power
    center = pixels.mean(0) - focal * ray.mean(0)
    residual = (focal * ray + center - pixels).norm(dim=1).median()
    intrinsics = torch.diag(torch.cat((focal, focal.new_ones(1))))
    intrinsics[:2, 2] = center
    return IntrinsicsFit(intrinsics, float(residual))
