"""The published positions of the three colour cameras of HumanEva-I."""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

import torch

from liftpose.errors import LiftposeError
from liftpose.geometry.camera import Camera
from liftpose.geometry.rotations import quaternion_conjugate, quaternion_to_matrix, rotate

__all__ = ["HUMANEVA_CAMERA_IDS", "HUMANEVA_CAMERA_SUBJECTS", "humaneva_cameras"]

HUMANEVA_CAMERA_IDS = ("C1", "C2", "C3")
"""Names of the cameras as they are part of video names, in the order of every list of cameras."""

HUMANEVA_CAMERA_SUBJECTS = ("S1", "S2", "S3")
"""Subjects with published camera positions."""


@functools.cache
def _calibration() -> dict[str, Any]:
    """Read the table: millimetres, orientation (w, x, y, z) from camera to world, camera centres."""
    text = resources.files("liftpose.geometry").joinpath("humaneva_cameras.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def humaneva_cameras(subject: str, dtype: torch.dtype = torch.float32) -> Camera:
    """Return the three cameras that filmed a subject of HumanEva-I, without intrinsics, which were not published.

    They stand around the person at 3.8 to 4.1 m, 1.4 to 1.6 m above the floor, and look slightly down. World frame: z
    up, the floor at 0. Keypoints come from the data set's own toolbox, so nothing has to be projected.

    Args:
        subject: ``"S1"``, ``"S2"`` or ``"S3"``.
        dtype: float32 or float64; the conversion is done in float64.

    Returns:
        Cameras of batch shape (3,) in the order of :data:`HUMANEVA_CAMERA_IDS`, intrinsics NaN, images of 640 x 480.

    Raises:
        LiftposeError: Unknown subject, or S4, whose camera positions are not among the published ones.
    """
    content = _calibration()
    if subject not in content["extrinsics"]:
        raise LiftposeError(
            f"HumanEva cameras: expected one of the subjects {', '.join(HUMANEVA_CAMERA_SUBJECTS)}, found {subject!r}"
        )
    entries = content["extrinsics"][subject]
    orientation, centers = (
        torch.tensor([entry[key] for entry in entries], dtype=torch.float64) for key in ("orientation", "translation")
    )
    R = quaternion_to_matrix(quaternion_conjugate(orientation))
    count = len(entries)
    camera = Camera(
        R=R,
        t=-rotate(R, centers / 1000),
        intrinsics=torch.full((count, 3, 3), torch.nan, dtype=torch.float64),
        distortion=torch.zeros(count, 5, dtype=torch.float64),
        distortion_model="none",
        image_size=torch.tensor([content["res_w"], content["res_h"]], dtype=torch.float64).repeat(count, 1),
    )
    return camera.to(dtype=dtype)
