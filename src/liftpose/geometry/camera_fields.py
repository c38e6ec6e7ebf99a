"""What a camera is made of, and the reading of it from the plain lists of a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.geometry.distortion import DISTORTION_MODELS
from liftpose.geometry.rotations import matrix_product

__all__ = ["CAMERA_FIELDS", "read_camera_fields"]

CAMERA_FIELDS = {"R": (3, 3), "t": (3,), "intrinsics": (3, 3), "distortion": (5,), "image_size": (2,)}
"""The tensors of a camera and their shapes behind the batch dimensions."""


def _read_tensor(content: Mapping[str, Any], name: str, where: str) -> Tensor:
    """Read one entry of a camera's dict in float64."""
    shape = CAMERA_FIELDS[name]
    value = content[name]
    if name == "distortion" and value == [] and content["distortion_model"] == "none":
        value = [0.0] * 5
    if name == "intrinsics" and value is None:
        return torch.full(shape, torch.nan, dtype=torch.float64)
    try:
        tensor = torch.tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise LiftposeError(f"{where}: expected {name} to be numbers of shape {shape}, found {value!r}") from None
    if tensor.shape != shape or not bool(tensor.isfinite().all()):
        raise LiftposeError(f"{where}: expected {name} to be finite numbers of shape {shape}, found {value!r}")
    return tensor


def read_camera_fields(content: Mapping[str, Any], where: str) -> dict[str, Tensor]:
    """Read and check the tensors of a single camera from plain lists.

    Args:
        content: The six entries of :meth:`liftpose.geometry.camera.Camera.to_dict`, read from a file.
        where: What messages call it.

    Returns:
        The tensors of :data:`CAMERA_FIELDS`, float64; the intrinsics are NaN where they are unknown.

    Raises:
        LiftposeError: An entry is missing, unknown, of the wrong shape or not a possible value.
    """
    if not isinstance(content, Mapping):
        raise LiftposeError(f"{where}: expected an object with the entries of a camera, found {content!r}")
    expected = {*CAMERA_FIELDS, "distortion_model"}
    if set(content) != expected:
        raise LiftposeError(f"{where}: expected the entries {sorted(expected)}, found {sorted(map(str, content))}")
    model = content["distortion_model"]
    if model not in DISTORTION_MODELS:
        raise LiftposeError(f"{where}: expected distortion_model {', '.join(DISTORTION_MODELS)}, found {model!r}")
    values = {name: _read_tensor(content, name, where) for name in CAMERA_FIELDS}
    R, K = values["R"], values["intrinsics"]
    # 1e-4 allows for matrices that were written with few digits; metres against millimetres cannot be seen here.
    if (matrix_product(R, R.mT) - torch.eye(3)).abs().max() > 1e-4 or torch.linalg.det(R) < 0:
        raise LiftposeError(f"{where}: expected R to be a rotation matrix, found {R.tolist()}")
    known = content["intrinsics"] is not None
    if known and (K[2].tolist() != [0.0, 0.0, 1.0] or torch.linalg.det(K) <= 0):
        raise LiftposeError(
            f"{where}: expected intrinsics with positive focal lengths and last row 0, 0, 1, found {K.tolist()}"
        )
    if values["image_size"].min() <= 0:
        raise LiftposeError(f"{where}: expected a positive image_size, found {values['image_size'].tolist()}")
    if model == "none" and bool(values["distortion"].any()):
        raise LiftposeError(
            f"{where}: expected no distortion coefficients for the model none, found {values['distortion'].tolist()}"
        )
    return values
