"""Many cameras at once, as lifters see them: places in the world, pictures in screen coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from liftpose.geometry.camera import Camera
from liftpose.geometry.precision import full_precision
from liftpose.geometry.rotations import rotate
from liftpose.geometry.screen import intrinsic_vector, project_published

__all__ = ["ScreenCameras"]

NEAREST = 0.1
"""Metres from the camera's plane within which a point is not seen."""


class ScreenCameras(NamedTuple):
    """Cameras of samples: where they stand and what they show in normalised screen coordinates.

    Attributes:
        vector: (..., 9) fx, fy, cx, cy, k1, k2, k3, t0, t1 in screen coordinates (:func:`intrinsic_vector`).
        rotation: (..., 3, 3) from world to camera frame.
        position: (..., 3) metres, world frame: x_cam = rotation (x_world - position).
        height: (...) height of the picture over its width; screen coordinates lie in [-1, 1] x [-height, height].
    """

    vector: Tensor
    rotation: Tensor
    position: Tensor
    height: Tensor

    @staticmethod
    def of(cameras: Sequence[Camera]) -> ScreenCameras:
        """Collect single cameras.

        Args:
            cameras: N cameras, each without batch dimensions, of the model ``"h36m"`` or ``"none"``.

        Returns:
            (N, ...) float32; positions are computed in float64.

        Raises:
            ValueError: The lens of a camera has no place in nine numbers, or its intrinsics are unknown.
        """
        exact = [camera.to(dtype=torch.float64) for camera in cameras]
        rows = (
            torch.stack([intrinsic_vector(camera) for camera in exact]),
            torch.stack([camera.R for camera in exact]),
            torch.stack([camera.center for camera in exact]),
            torch.stack([camera.image_size[1] / camera.image_size[0] for camera in exact]),
        )
        return ScreenCameras(*(row.float() for row in rows))

    def take(self, index: Tensor) -> ScreenCameras:
        """Return the cameras with the numbers ``index`` (B,) of the first dimension."""
        return ScreenCameras(*(row[index] for row in self))

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> ScreenCameras:
        """Return the same cameras on another device or with another type."""
        return ScreenCameras(*(row.to(device=device, dtype=dtype) for row in self))

    @full_precision
    def to_camera(self, points_world: Tensor) -> Tensor:
        """Bring points into the camera frame.

        Args:
            points_world: (*batch, ..., 3) metres.

        Returns:
            The same shape, metres.
        """
        return rotate(_spread(self.rotation, points_world, 2), points_world - _spread(self.position, points_world, 1))

    @full_precision
    def to_world(self, points_camera: Tensor) -> Tensor:
        """Bring points of the camera frame into the world frame.

        Args:
            points_camera: (*batch, ..., 3) metres.

        Returns:
            The same shape, metres.
        """
        back = _spread(self.rotation.transpose(-1, -2), points_camera, 2)
        return rotate(back, points_camera) + _spread(self.position, points_camera, 1)

    def project(self, points_camera: Tensor) -> Tensor:
        """Project points of the camera frame as the public code of the lifters does (:func:`project_published`).

        Args:
            points_camera: (*batch, ..., 3) metres.

        Returns:
            (*batch, ..., 2) screen coordinates; those of points that :meth:`sees` denies mean nothing.
        """
        return project_published(points_camera, self.vector)

    def sees(self, points_camera: Tensor, screen: Tensor) -> Tensor:
        """Tell which points are in front of the camera and in the picture.

        Args:
            points_camera: (*batch, ..., 3) metres.
            screen: (*batch, ..., 2) their projections.

        Returns:
            (*batch, ...) bool.
        """
        inside = (screen[..., 0].abs() <= 1) & (screen[..., 1].abs() <= _spread(self.height, screen[..., 1], 0))
        return inside & (points_camera[..., 2] > NEAREST)


def _spread(value: Tensor, points: Tensor, own: int) -> Tensor:
    """Give a value (*batch, own dimensions) room for the dimensions of the points behind the batch."""
    batch = value.ndim - own
    extra = points.ndim - min(own, 1) - batch
    return value.reshape(*value.shape[:batch], *(1,) * extra, *value.shape[batch:])
