"""Lens distortion: the model of the Human3.6M authors and that of OpenCV, and the inverse of both.

The two have the same radial part and differ in the tangential part: OpenCV counts the cross terms twice. With the
coefficients of Human3.6M no reading of one model gives the pixels of the other (0.4 pixels apart), so each has its own
function and neither stands for the other.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from liftpose.geometry.precision import full_precision

__all__ = ["DISTORTION_MODELS", "DistortionModel", "distort", "distort_h36m", "distort_opencv", "undistort"]

DistortionModel = Literal["none", "h36m", "opencv"]

DISTORTION_MODELS: tuple[DistortionModel, ...] = ("none", "h36m", "opencv")

# Newton's method doubles the digits each time: five steps reach the last digit of float64 all over the image of lenses
# with k1 up to 0.4 either way, three with those of Human3.6M. The rest are for images that come near the lens's fold.
_NEWTON_STEPS = 8


@full_precision
def distort_h36m(ray: Tensor, coefficients: Tensor) -> Tensor:
    """Distort viewing rays as the Human3.6M authors' own script does.

    With r2 = x^2 + y^2: n (1 + k1 r2 + k2 r2^2 + k3 r2^3 + t0 x + t1 y) + (t0, t1) r2 for n = (x, y). The pair
    (t0, t1) is (p2, p1) in OpenCV's naming, but OpenCV has 2 (t0 x + t1 y).

    Args:
        ray: (..., 2) x / z and y / z in the camera frame, no unit.
        coefficients: (..., 5) k1, k2, k3, t0, t1, batch dimensions broadcast against those of ``ray``.

    Returns:
        (..., 2) distorted rays, no unit.
    """
    radial, tangential = coefficients[..., :3], coefficients[..., 3:]
    square = ray.square().sum(-1, keepdim=True)
    factor = 1 + square * (radial[..., 0:1] + square * (radial[..., 1:2] + square * radial[..., 2:3]))
    return ray * (factor + (tangential * ray).sum(-1, keepdim=True)) + tangential * square


@full_precision
def distort_opencv(ray: Tensor, coefficients: Tensor) -> Tensor:
    """Distort viewing rays by OpenCV's model with five coefficients (Brown and Conrady).

    With r2 = x^2 + y^2: n (1 + k1 r2 + k2 r2^2 + k3 r2^3 + 2 (p2 x + p1 y)) + (p2, p1) r2 for n = (x, y).

    Args:
        ray: (..., 2) x / z and y / z in the camera frame, no unit.
        coefficients: (..., 5) k1, k2, p1, p2, k3 in OpenCV's order, batch dimensions broadcast against ``ray``'s.

    Returns:
        (..., 2) distorted rays, no unit.
    """
    k1, k2, _, _, k3 = coefficients.unsqueeze(-2).unbind(-1)
    tangential = coefficients[..., 2:4].flip(-1)
    square = ray.square().sum(-1, keepdim=True)
    factor = 1 + square * (k1 + square * (k2 + square * k3))
    return ray * (factor + 2 * (tangential * ray).sum(-1, keepdim=True)) + tangential * square


def distort(ray: Tensor, coefficients: Tensor, model: DistortionModel) -> Tensor:
    """Distort viewing rays by the named model.

    Args:
        ray: (..., 2) x / z and y / z in the camera frame, no unit.
        coefficients: (..., 5) in the order of the model, batch dimensions broadcast against those of ``ray``.
        model: ``"none"``, ``"h36m"`` or ``"opencv"``.

    Returns:
        (..., 2) distorted rays, no unit.

    Raises:
        ValueError: Another model.
    """
    match model:
        case "none":
            return ray
        case "h36m":
            return distort_h36m(ray, coefficients)
        case "opencv":
            return distort_opencv(ray, coefficients)
    raise ValueError(f"model: expected one of {', '.join(DISTORTION_MODELS)}, found {model!r}")


def _common_form(coefficients: Tensor, model: DistortionModel) -> tuple[Tensor, Tensor, Tensor]:
    """Write both models as n (1 + k1 r2 + ... + c a.n) + a r2: return k (..., 3), a (..., 2) and c a (..., 2)."""
    if model == "h36m":
        tangential = coefficients[..., 3:]
        return coefficients[..., :3], tangential, tangential
    tangential = coefficients[..., 2:4].flip(-1)
    return coefficients[..., [0, 1, 4]], tangential, 2 * tangential


@full_precision
def undistort(distorted: Tensor, coefficients: Tensor, model: DistortionModel) -> Tensor:
    """Find the viewing rays that a lens distorts to the given ones.

    Solved by a fixed number of Newton steps that start at the distorted ray. It is the inverse of :func:`distort` to
    1e-9 in float64 (1e-6 in float32) as long as the ray lies where the distortion is one-to-one, that is where the
    distorted radius still grows with the radius; every pixel of an ordinary calibrated lens does. Calibration
    polynomials with k1 < 0 fold back further out: there, no ray (or the wrong one) has that image, and what comes back
    means nothing. Distort the result again to find out. The result can be differentiated.

    Args:
        distorted: (..., 2) distorted rays, no unit.
        coefficients: (..., 5) in the order of the model, batch dimensions broadcast against those of ``distorted``.
        model: ``"none"``, ``"h36m"`` or ``"opencv"``.

    Returns:
        (..., 2) x / z and y / z in the camera frame, no unit.

    Raises:
        ValueError: Another model.
    """
    if model == "none":
        return distorted
    if model not in DISTORTION_MODELS:
        raise ValueError(f"model: expected one of {', '.join(DISTORTION_MODELS)}, found {model!r}")
    radial, offset, slope = _common_form(coefficients, model)
    k1, k2, k3 = radial.unsqueeze(-2).unbind(-1)
    ray = distorted
    for _ in range(_NEWTON_STEPS):
        square = ray.square().sum(-1, keepdim=True)
        factor = 1 + square * (k1 + square * (k2 + square * k3)) + (slope * ray).sum(-1, keepdim=True)
        error = ray * factor + offset * square - distorted
        # Jacobian: factor I + n g^T + a (2 n)^T with g the gradient of the factor.
        gradient = 2 * ray * (k1 + square * (2 * k2 + 3 * square * k3)) + slope
        x, y = ray[..., 0], ray[..., 1]
        j00 = factor[..., 0] + x * gradient[..., 0] + 2 * offset[..., 0] * x
        j01 = x * gradient[..., 1] + 2 * offset[..., 0] * y
        j10 = y * gradient[..., 0] + 2 * offset[..., 1] * x
        j11 = factor[..., 0] + y * gradient[..., 1] + 2 * offset[..., 1] * y
        determinant = j00 * j11 - j01 * j10
        e0, e1 = error[..., 0], error[..., 1]
        step = torch.stack((j11 * e0 - j01 * e1, j00 * e1 - j10 * e0), dim=-1)
        ray = ray - step / determinant.unsqueeze(-1)
    return ray
