"""The published calibration of the four cameras of Human3.6M."""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

import torch

from liftpose.errors import LiftposeError
from liftpose.geometry.camera import Camera
from liftpose.geometry.rotations import quaternion_conjugate, quaternion_to_matrix, rotate

__all__ = ["H36M_CAMERA_IDS", "H36M_CAMERA_SUBJECTS", "h36m_cameras"]

H36M_CAMERA_IDS = ("54138969", "55011271", "58860488", "60457274")
"""Serial numbers of the cameras as they are part of video names, in the order of every list of cameras."""

H36M_CAMERA_SUBJECTS = ("S1", "S5", "S6", "S7", "S8", "S9", "S11")
"""Subjects with published camera positions."""

_WITHOUT_EXTRINSICS = ("S2", "S3", "S4")


@functools.cache
def _calibration() -> dict[str, Any]:
    """Read the table: pixels and millimetres, orientation (w, x, y, z) from camera to world, camera centres."""
    text = resources.files("liftpose.geometry").joinpath("h36m_cameras.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def h36m_cameras(subject: str, dtype: torch.dtype = torch.float32) -> Camera:
    """Return the four calibrated cameras that filmed a subject of Human3.6M.

    The published numbers are a quaternion from camera to world and the camera's centre in the world, in millimetres;
    here they are turned into ``x_cam = R x_world + t`` in metres. World frame: z up.

    Args:
        subject: ``"S1"``, ``"S5"``, ``"S6"``, ``"S7"``, ``"S8"``, ``"S9"`` or ``"S11"``.
        dtype: float32 or float64; the conversion is done in float64.

    Returns:
        Cameras of batch shape (4,) in the order of :data:`H36M_CAMERA_IDS`, distortion model ``"h36m"``.

    Raises:
        LiftposeError: Unknown subject, or one whose camera positions were not published (S2, S3, S4).
    """
    content = _calibration()
    known = ", ".join(H36M_CAMERA_SUBJECTS)
    if subject in _WITHOUT_EXTRINSICS:
        raise LiftposeError(
            f"Human3.6M cameras: expected one of the subjects {known}, found {subject}, "
            "whose camera positions were never published"
        )
    if subject not in content["extrinsics"]:
        raise LiftposeError(f"Human3.6M cameras: expected one of the subjects {known}, found {subject!r}")

    inner, outer = content["intrinsics"], content["extrinsics"][subject]

    def table(entries: list[dict[str, Any]], *keys: str) -> torch.Tensor:
        """Collect numbers of every camera as (4, n)."""
        rows = [torch.tensor([entry[key] for key in keys], dtype=torch.float64).flatten() for entry in entries]
        return torch.stack(rows)

    R = quaternion_to_matrix(quaternion_conjugate(table(outer, "orientation")))
    t = -rotate(R, table(outer, "translation") / 1000)
    K = torch.diag_embed(torch.nn.functional.pad(table(inner, "focal_length"), (0, 1), value=1.0))
    K[:, :2, 2] = table(inner, "center")
    radial, tangential = table(inner, "radial_distortion"), table(inner, "tangential_distortion")
    camera = Camera(
        R=R,
        t=t,
        intrinsics=K,
        distortion=torch.cat((radial, tangential), dim=-1),
        distortion_model="h36m",
        image_size=table(inner, "res_w", "res_h"),
    )
    return camera.to(dtype=dtype)
