"""The published conventions for 2D input: screen coordinates, the 9 intrinsic numbers and the clamped projection."""

from __future__ import annotations

import torch
from torch import Tensor

from liftpose.geometry.camera import Camera
from liftpose.geometry.distortion import distort_h36m
from liftpose.geometry.precision import full_precision

__all__ = [
    "denormalize_screen",
    "intrinsic_vector",
    "normalize_screen",
    "project_published",
    "project_published_linear",
]

_NEAREST = 1e-12  # metres, of z


def _screen_offset(image_size: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the width (*batch, 1..., 1) and the offset (1, h / w) (*batch, 1..., 2), to broadcast against pixels."""
    extra = pixels.ndim - image_size.ndim
    if extra < 0:
        raise ValueError(
            f"expected the dimensions {tuple(image_size.shape[:-1])} of image_size to lead those of the pixels, "
            f"found {tuple(pixels.shape)}"
        )
    size = image_size.reshape(*image_size.shape[:-1], *(1,) * extra, 2)
    width = size[..., :1]
    return width, torch.cat((torch.ones_like(width), size[..., 1:] / width), dim=-1)


@full_precision
def normalize_screen(pixels: Tensor, image_size: Tensor) -> Tensor:
    """Map pixels to screen coordinates: x to [-1, 1], y by the same factor, so the shape of a pose is kept.

    X * 2 / w - (1, h / w), as in VideoPose3D (Pavllo et al., CVPR 2019) and what follows it. The convention puts -1 at
    pixel 0 and 1 at pixel w, although pixel coordinates here have their origin at the centre of the top-left pixel.

    Args:
        pixels: (*batch, ..., 2) pixels.
        image_size: (*batch, 2) width and height in pixels.

    Returns:
        (*batch, ..., 2) screen coordinates, no unit.

    Raises:
        ValueError: ``image_size`` has more dimensions than ``pixels``.

    Example:
        >>> normalize_screen(torch.tensor([640.0, 240.0]), torch.tensor([640.0, 480.0]))
        tensor([1., 0.])
    """
    width, offset = _screen_offset(image_size, pixels)
    return pixels * 2 / width - offset


@full_precision
def denormalize_screen(coordinates: Tensor, image_size: Tensor) -> Tensor:
    """Map screen coordinates back to pixels: the inverse of :func:`normalize_screen`.

    Args:
        coordinates: (*batch, ..., 2) screen coordinates.
        image_size: (*batch, 2) width and height in pixels.

    Returns:
        (*batch, ..., 2) pixels.

    Raises:
        ValueError: ``image_size`` has more dimensions than ``coordinates``.
    """
    width, offset = _screen_offset(image_size, coordinates)
    return (coordinates + offset) * width / 2


def _clamped_ray(points_camera: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
    """Return x / z and y / z clamped to [-1, 1] (*batch, ..., 2), and the vector as (*batch, 1..., 9).

    Of the millions of poses that a generator makes some joint lies in the plane of the camera, where the quotient and
    its derivative are not numbers, and one of them would spoil all weights: z counts as 1e-12 m at least.
    """
    extra = points_camera.ndim - vector.ndim
    if extra < 0:
        raise ValueError(
            f"expected the dimensions {tuple(vector.shape[:-1])} of the intrinsic vector to lead those of the points, "
            f"found {tuple(points_camera.shape)}"
        )
    vector = vector.reshape(*vector.shape[:-1], *(1,) * extra, 9)
    z = points_camera[..., 2:]
    z = torch.where(z.abs() < _NEAREST, torch.copysign(torch.full_like(z, _NEAREST), z), z)
    return (points_camera[..., :2] / z).clamp(-1, 1), vector


@full_precision
def project_published(points_camera: Tensor, vector: Tensor) -> Tensor:
    """Project to screen coordinates exactly as the public code of the Human3.6M lifters does.

    x / z and y / z are clamped to [-1, 1] before the distortion of :func:`liftpose.geometry.distortion.distort_h36m` is
    applied. The clamp keeps a training loss finite when a predicted point comes near the camera, but moves every point
    further than 45 degrees from the optical axis to a pixel where it is not seen; :meth:`Camera.project` is the
    projection for anything else.

    Args:
        points_camera: (*batch, ..., 3) metres, camera frame.
        vector: (*batch, 9) fx, fy, cx, cy, k1, k2, k3, t0, t1 in screen coordinates, see
            :func:`intrinsic_vector`.

    Returns:
        (*batch, ..., 2) screen coordinates.

    Raises:
        ValueError: ``vector`` has more dimensions than ``points_camera``.
    """
    ray, numbers = _clamped_ray(points_camera, vector)
    return numbers[..., 0:2] * distort_h36m(ray, numbers[..., 4:9]) + numbers[..., 2:4]


@full_precision
def project_published_linear(points_camera: Tensor, vector: Tensor) -> Tensor:
    """Project as :func:`project_published` does, without lens distortion.

    Args:
        points_camera: (*batch, ..., 3) metres, camera frame.
        vector: (*batch, 9) as there; the last five numbers are not used.

    Returns:
        (*batch, ..., 2) screen coordinates.

    Raises:
        ValueError: ``vector`` has more dimensions than ``points_camera``.
    """
    ray, numbers = _clamped_ray(points_camera, vector)
    return numbers[..., 0:2] * ray + numbers[..., 2:4]


def intrinsic_vector(camera: Camera) -> Tensor:
    """Return the nine intrinsic numbers that the published lifters pass about, in screen coordinates.

    Focal lengths times 2 / w, principal point as :func:`liftpose.geometry.screen.normalize_screen` maps it, then the
    distortion of the Human3.6M authors' model. A skew in the intrinsics has no place there and is lost.

    Args:
        camera: Cameras of the model ``"h36m"`` or ``"none"``.

    Returns:
        (*batch, 9) fx, fy, cx, cy, k1, k2, k3, t0, t1.

    Raises:
        ValueError: The distortion model is ``"opencv"``, whose coefficients mean something else, or the intrinsics are
            unknown.
    """
    if not camera.has_intrinsics:
        raise ValueError("camera: expected known intrinsics, found none")
    if camera.distortion_model == "opencv":
        raise ValueError("camera: expected the distortion model h36m or none, found opencv")
    width = camera.image_size[..., :1]
    focal = camera.intrinsics.diagonal(dim1=-2, dim2=-1)[..., :2] * 2 / width
    offset = torch.cat((torch.ones_like(width), camera.image_size[..., 1:] / width), dim=-1)
    center = camera.intrinsics[..., :2, 2] * 2 / width - offset
    plain = camera.distortion_model == "none"
    distortion = torch.zeros_like(camera.distortion) if plain else camera.distortion
    return torch.cat((focal, center, distortion), dim=-1)
