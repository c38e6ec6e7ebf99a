"""The dictionaries of the field's files, read without stopping at what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from liftpose.data.inspection import Finding

__all__ = ["Takes2D", "Takes3D", "is_poses", "is_view", "takes_2d", "takes_3d"]


@dataclass
class Takes3D:
    """Person -> take -> poses, with what is wrong with the dictionary.

    Args:
        takes: Arrays (N, slots, 3), all of one number of slots.
        findings: What is no such array and was left out.
        names: Person -> all takes, those that were left out too.
    """

    takes: dict[str, dict[str, npt.NDArray[Any]]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    names: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Takes2D:
    """Person -> take -> view -> keypoints, with what is wrong with the dictionary.

    Args:
        takes: Arrays (M, J, 2 or 3) of every view; None for a view that is none.
        findings: What is no such array.
        names: Person -> all takes, those that were left out too.
    """

    takes: dict[str, dict[str, list[npt.NDArray[Any] | None]]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    names: dict[str, list[str]] = field(default_factory=dict)


def takes_3d(content: Any, slots: int) -> Takes3D:
    """Read ``positions_3d``.

    Args:
        content: The entry of the file.
        slots: Number of joints of the storage skeleton.
    """
    result = Takes3D()
    for person, takes in _people(content, "positions_3d", result.findings):
        result.takes[person] = {}
        result.names[person] = [str(take) for take in takes]
        for take, array in takes.items():
            if is_poses(array, slots):
                result.takes[person][str(take)] = array
                continue
            expected = f"poses of shape (frames, {slots}, 3)"
            cure = "make the file again; another joint order needs a description (data_3d_<name>.json) that names it"
            place = f"{person}/{take}"
            result.findings.append(Finding("error", "shape", place, expected, _shape(array), cure))
    return result


def takes_2d(content: Any, joints: int, cameras: Mapping[str, int]) -> Takes2D:
    """Read ``positions_2d``.

    Args:
        content: The entry of the file.
        joints: Number of joints of the keypoints.
        cameras: Person -> number of cameras; people that are not in it may have any.
    """
    result = Takes2D()
    for person, takes in _people(content, "positions_2d", result.findings):
        result.takes[person] = {}
        result.names[person] = [str(take) for take in takes]
        for take, views in takes.items():
            place = f"{person}/{take}"
            if not _is_list(views) or len(views) == 0:
                found = "an empty one" if _is_list(views) else type(views).__name__
                cure = "make the file again"
                result.findings.append(Finding("error", "views", place, "a list of views", found, cure))
                continue
            wanted = cameras.get(person, len(views))
            if len(views) != wanted:
                cure = "make the file again with the videos of all cameras"
                found = f"{len(views)}"
                result.findings.append(Finding("error", "views", place, f"{wanted} views", found, cure))
            result.takes[person][str(take)] = [_view(place, i, view, joints, result) for i, view in enumerate(views)]
    return result


def _view(place: str, number: int, view: Any, joints: int, result: Takes2D) -> npt.NDArray[Any] | None:
    if is_view(view, joints):
        checked: npt.NDArray[Any] = view
        return checked
    expected = f"keypoints of shape (frames, {joints}, 2 or 3)"
    cure = "make the file again; another joint layout needs metadata that say so"
    result.findings.append(Finding("error", "shape", f"{place}.{number}", expected, _shape(view), cure))
    return None


def _is_list(views: Any) -> bool:
    return isinstance(views, list | tuple) or (isinstance(views, np.ndarray) and views.ndim > 0)


def is_poses(array: Any, slots: int) -> bool:
    """Return whether something is an array of poses, (N, slots, 3)."""
    return isinstance(array, np.ndarray) and array.dtype.kind in "fiu" and array.shape[1:] == (slots, 3)


def is_view(array: Any, joints: int) -> bool:
    """Return whether something is an array of keypoints, (M, joints, 2 or 3)."""
    shapes: Sequence[tuple[int, int]] = ((joints, 2), (joints, 3))
    return isinstance(array, np.ndarray) and array.dtype.kind in "fiu" and array.shape[1:] in shapes


def _people(content: Any, name: str, findings: list[Finding]) -> list[tuple[str, Mapping[Any, Any]]]:
    if not isinstance(content, dict):
        found = "none" if content is None else type(content).__name__
        findings.append(Finding("error", "dictionary", "", f"a dictionary {name}", found, "make the file again"))
        return []
    people: list[tuple[str, Mapping[Any, Any]]] = []
    for person, takes in content.items():
        if isinstance(takes, dict) and takes:
            people.append((str(person), takes))
        else:
            found = "none" if isinstance(takes, dict) else type(takes).__name__
            cure = "make the file again, or leave the person out"
            findings.append(Finding("error", "takes", str(person), "a dictionary of takes", found, cure))
    return people


def _shape(array: Any) -> str:
    return f"{array.shape} of {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
