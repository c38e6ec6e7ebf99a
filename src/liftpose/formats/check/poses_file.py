"""The check of a 3D file, ``data_3d_<name>.npz``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from liftpose.data.inspection import (
    Finding,
    inspect_poses,
    leg_length,
    length_unit,
    sample_frames,
    standing_direction,
)
from liftpose.errors import LiftposeError
from liftpose.formats.check.arrays import takes_3d
from liftpose.formats.check.expected import expected_takes, missing_people
from liftpose.formats.check.report import FileReport, count_words, list_words, size_words
from liftpose.formats.dataset_info import DatasetInfo
from liftpose.formats.known_datasets import find_dataset_info
from liftpose.formats.npz import read_npz
from liftpose.skeletons import Skeleton, adapt, get_skeleton

__all__ = ["FRAMES_PER_TAKE", "PosesSummary", "SampledTake", "check_poses_file", "is_relative"]

FRAMES_PER_TAKE = 32
"""Frames of each take that are compared with the keypoints."""

_LEANING, _UPRIGHT = 0.3, 0.7
_AT_ORIGIN = 1e-6  # metres


@dataclass(frozen=True, eq=False)
class SampledTake:
    """What is kept of a take: some of its frames.

    Args:
        frames: Number of all frames.
        index: (F,) the frames that are kept.
        poses: (F, J, 3) metres, world frame, in the joint order of the description.
    """

    frames: int
    index: npt.NDArray[np.int64]
    poses: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PosesSummary:
    """What is kept of a 3D file for the comparison with its 2D files.

    Args:
        info: The description of the data set.
        takes: Person -> take -> frames of it.
        names: Person -> all takes of the file, those that could not be read too.
    """

    info: DatasetInfo
    takes: dict[str, dict[str, SampledTake]]
    names: dict[str, list[str]]


def check_poses_file(path: Path, name: str) -> tuple[PosesSummary | None, FileReport]:
    """Check a 3D file.

    Args:
        path: ``data_3d_<name>.npz``.
        name: Name of the data set.

    Returns:
        What is kept of it, None where the file or its description cannot be read; and what was found.
    """
    report = FileReport(path)
    info = None
    try:
        info = find_dataset_info(path)
    except LiftposeError as error:
        report.failures.append(str(error))
    try:
        content = read_npz(path)
    except LiftposeError as error:
        report.failures.append(str(error))
        report.lines.append(f"3D poses of {name}, not readable, {size_words(path)}")
        return None, report
    if info is None:
        report.lines.append(f"3D poses of {name}, of unknown joints, {size_words(path)}")
        return None, report
    storage = get_skeleton(info.storage_skeleton)
    read = takes_3d(content.pop("positions_3d", None), len(storage))
    report.findings += read.findings
    summary = PosesSummary(info, {}, read.names)
    standing, frames = np.zeros(3), 0
    units: dict[str, None] = {}
    seen: dict[tuple[Any, ...], list[tuple[str, str]]] = {}
    for person, takes in read.takes.items():
        summary.takes[person] = {}
        for take in list(takes):
            poses = adapt(takes.pop(take), storage, info.skeleton)
            place = f"{person}/{take}"
            report.findings += inspect_poses(place, poses, info.skeleton)
            frames += len(poses)
            if len(poses) == 0:
                continue
            key = (len(poses), hashlib.blake2b(np.ascontiguousarray(poses).data, digest_size=16).digest())
            seen.setdefault(key, []).append((person, place))
            index = sample_frames(len(poses), FRAMES_PER_TAKE)
            sampled = poses[index].astype(np.float64)
            leg = leg_length(sampled, info.skeleton)
            unit = length_unit(leg or 1.0)
            units[unit.name] = None
            sampled /= unit.per_metre  # another one is found and said above; goes on in metres
            report.findings += _relative(person, place, sampled, info)
            direction = standing_direction(sampled, info.skeleton)
            standing += len(poses) * direction if direction is not None else 0
            summary.takes[person][take] = SampledTake(len(poses), index, sampled)
    report.findings += [*_twins(seen, info), *missing_people(read.names, info), *expected_takes(read.names, info)]
    report.findings += _up_axis(standing / max(1, frames), info)
    report.lines.append(_describe(path, summary, frames, " or ".join(units) or "metres"))
    return summary, report


def _describe(path: Path, summary: PosesSummary, frames: int, unit: str) -> str:
    info, takes = summary.info, [take for takes in summary.takes.values() for take in takes]
    actions = {take.split(" ")[0] for take in takes}
    joints = count_words(len(get_skeleton(info.storage_skeleton)), "joint")
    if info.storage_skeleton != info.skeleton.name:
        joints += f" ({info.storage_skeleton}, used as {info.skeleton.name})"
    else:
        joints += f" ({info.skeleton.name})"
    people = f"{count_words(len(summary.takes), 'subject')} ({list_words(summary.takes)})"
    counts = f"{count_words(len(takes), 'take')} of {count_words(len(actions), 'action')}"
    return (
        f"3D poses of {info.name}: {people}, {counts}, {count_words(frames, 'frame')} at {info.fps:g} per second, "
        f"{joints}, {unit}, world frame, {size_words(path)}"
    )


def _twins(seen: dict[tuple[Any, ...], list[tuple[str, str]]], info: DatasetInfo) -> list[Finding]:
    """Find takes that are there twice."""
    findings = []
    tested = {*info.splits["validation"], *info.splits["test"]}
    for owners in seen.values():
        if len(owners) < 2:
            continue
        places = [place for _, place in owners]
        sides = {person in tested for person, _ in owners}
        cure = "keep one of them"
        found = f"the same in {list_words(places[1:])}"
        if len(sides) == 2:
            findings.append(
                Finding("error", "twins across splits", places[0], "poses that only one split has", found, cure)
            )
        else:
            findings.append(Finding("warning", "twins", places[0], "poses of its own", found, cure))
    return findings


def is_relative(poses: npt.NDArray[np.float64], skeleton: Skeleton) -> bool:
    """Return whether poses (F, J, 3), metres, are relative to their root and so have no place before a camera."""
    return bool((np.abs(poses[:, skeleton.root]) < _AT_ORIGIN).all())


def _relative(person: str, place: str, poses: npt.NDArray[np.float64], info: DatasetInfo) -> list[Finding]:
    """Find poses without their place in the world where the cameras could see them."""
    known = any(bool(torch.isfinite(camera.intrinsics).all()) for camera in info.cameras.get(person, ()))
    if not known or not is_relative(poses, info.skeleton):
        return []
    found, cure = "poses relative to their root", "give them their place again, without which nothing can be projected"
    return [Finding("warning", "relative", place, "poses with their place in the world", found, cure)]


def _up_axis(standing: npt.NDArray[np.float64], info: DatasetInfo) -> list[Finding]:
    """Compare the way people stand with the axis that is said to point up."""
    axis = int(np.argmax(np.abs(standing)))
    along = standing["xyz".index(info.up_axis[-1])] * (-1 if info.up_axis.startswith("-") else 1)
    if not (along < _LEANING and abs(standing[axis]) > _UPRIGHT):
        return []
    found = f"people who stand along {'-' if standing[axis] < 0 else ''}{'xyz'[axis]}"
    cure = "correct up_axis in the description, or turn poses and cameras together"
    return [Finding("warning", "up axis", "", f"people who stand along {info.up_axis}", found, cure)]
