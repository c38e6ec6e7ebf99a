"""Descriptions of data sets: those that the field knows by name, and those that lie beside the files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch

from liftpose.errors import LiftposeError
from liftpose.formats.dataset_info import DatasetInfo, read_dataset_info
from liftpose.geometry import H36M_CAMERA_SUBJECTS, h36m_cameras
from liftpose.skeletons import H36M_17

__all__ = ["find_dataset_info", "h36m_info", "known_info"]

_PREFIX = "data_3d_"


def h36m_info() -> DatasetInfo:
    """Describe Human3.6M as the field uses it.

    Returns:
        50 frames per second, the published cameras in float64, training on S1, S5, S6, S7, S8, validation and test both
        on S9, S11. There are no cameras of S2, S3 and S4, whose 3D poses were never published.
    """
    test = ("S9", "S11")
    cameras = {subject: h36m_cameras(subject, torch.float64) for subject in H36M_CAMERA_SUBJECTS}
    return DatasetInfo(
        name="h36m",
        skeleton=H36M_17,
        storage_skeleton="h36m_32",
        fps=50.0,
        cameras={subject: tuple(batch[i] for i in range(len(batch))) for subject, batch in cameras.items()},
        splits={"train": ("S1", "S5", "S6", "S7", "S8"), "validation": test, "test": test},
        source="Human3.6M, Ionescu et al., TPAMI 2014",
        licence="for academic use after registration with its authors",
    )


_KNOWN: dict[str, Callable[[], DatasetInfo]] = {"h36m": h36m_info}


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
