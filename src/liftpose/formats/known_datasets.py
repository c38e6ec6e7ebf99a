"""Descriptions of data sets: those that the field knows by name, and those that lie beside the files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch

from liftpose.errors import LiftposeError
from liftpose.formats.dataset_info import DatasetInfo, read_dataset_info
from liftpose.geometry import (
    H36M_CAMERA_SUBJECTS,
    HUMANEVA_CAMERA_SUBJECTS,
    Camera,
    h36m_cameras,
    humaneva_cameras,
)
from liftpose.skeletons import H36M_17, HUMANEVA_15, HUMANEVA_20

__all__ = ["find_dataset_info", "h36m_info", "humaneva_info", "known_info"]

_PREFIX = "data_3d_"


def h36m_info() -> DatasetInfo:
    """Describe Human3.6M as the field uses it.

    Returns:
        50 frames per second, the published cameras in float64, training on S1, S5, S6, S7, S8, validation and test both
        on S9, S11. There are no cameras of S2, S3 and S4, whose 3D poses were never published.
    """
    test = ("S9", "S11")
    return DatasetInfo(
        name="h36m",
        skeleton=H36M_17,
        storage_skeleton="h36m_32",
        fps=50.0,
        cameras={subject: _each(h36m_cameras(subject, torch.float64)) for subject in H36M_CAMERA_SUBJECTS},
        splits={"train": ("S1", "S5", "S6", "S7", "S8"), "validation": test, "test": test},
        source="Human3.6M, Ionescu et al., TPAMI 2014",
        licence="for academic use after registration with its authors",
    )


def humaneva_info(joints: int = 15) -> DatasetInfo:
    """Describe HumanEva-I as the field uses it.

    The people of the test are those of the training, filmed in other frames: ``Train/S1`` and ``Validate/S1`` are one
    person. Keypoint files may hold ``Unlabeled/Train/S1`` and the like for the frames without a pose.

    Args:
        joints: 15 or 20.

    Returns:
        60 frames per second, the published cameras (without intrinsics) in float64, training on ``Train/S1`` to
        ``Train/S3``, validation and test both on ``Validate/S1`` to ``Validate/S3``.
    """
    skeleton = {15: HUMANEVA_15, 20: HUMANEVA_20}[joints]
    cameras = {subject: _each(humaneva_cameras(subject, torch.float64)) for subject in HUMANEVA_CAMERA_SUBJECTS}
    prefixes = ("Train", "Validate", "Unlabeled/Train", "Unlabeled/Validate", "Unlabeled")
    train, test = (
        tuple(f"{split}/{subject}" for subject in HUMANEVA_CAMERA_SUBJECTS) for split in ("Train", "Validate")
    )
    return DatasetInfo(
        name=f"humaneva{joints}",
        skeleton=skeleton,
        storage_skeleton=skeleton.name,
        fps=60.0,
        cameras={f"{prefix}/{subject}": cameras[subject] for prefix in prefixes for subject in cameras},
        splits={"train": train, "validation": test, "test": test},
        source="HumanEva-I, Sigal et al., IJCV 2010",
        licence="for research after registration with its authors",
    )


def _each(cameras: Camera) -> tuple[Camera, ...]:
    return tuple(cameras[view] for view in range(len(cameras)))


_KNOWN: dict[str, Callable[[], DatasetInfo]] = {
    "h36m": h36m_info,
    "humaneva15": lambda: humaneva_info(15),
    "humaneva20": lambda: humaneva_info(20),
}


def known_info(name: str) -> DatasetInfo | None:
    """Describe a data set that the field knows by its name, whose files have no description beside them.

    Args:
        name: Name of the data set in its file names.

    Returns:
        Its description; None where the name is not one of the field's.
    """
    return _KNOWN[name]() if name in _KNOWN else None


def find_dataset_info(path_3d: str | os.PathLike[str]) -> DatasetInfo:
    """Find the description of a data set from the path of its 3D file.

    Args:
        path_3d: ``data_3d_<name>.npz``.

    Returns:
        What ``data_3d_<name>.json`` beside it says; without one, :func:`known_info` of the name.

    Raises:
        LiftposeError: There is no such JSON file, it is broken, or it describes a data set of another name.
    """
    sidecar = Path(path_3d).with_suffix(".json")
    if sidecar.exists():
        info = read_dataset_info(sidecar)
        if sidecar.stem != f"{_PREFIX}{info.name}":
            raise LiftposeError(f"{sidecar}: name: expected {sidecar.stem.removeprefix(_PREFIX)}, found {info.name}")
        return info
    known = known_info(sidecar.stem.removeprefix(_PREFIX))
    if known is not None:
        return known
    raise LiftposeError(
        f"{path_3d}: expected its description (skeleton, frame rate, cameras) in {sidecar.name} beside it, "
        "found no such file"
    )
