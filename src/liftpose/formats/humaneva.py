"""HumanEva-I, from the files that VideoPose3D's MATLAB script (Pavllo et al., CVPR 2019) exports.

The script runs in the data set's own toolbox and writes ``<Split>/<Subject>/<Action>_<Trial>.mat`` with ``poses_3d``
(frames, joints, 3), millimetres, and ``poses_2d`` (3 cameras, frames, joints, 2), pixels, NaN where the motion capture
failed.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from liftpose.errors import LiftposeError
from liftpose.formats.h36m_writer import write_h36m
from liftpose.formats.known_datasets import humaneva_info
from liftpose.formats.matlab import read_matlab
from liftpose.formats.prepared import Prepared, refuse_existing

__all__ = ["HUMANEVA_SUBJECTS", "Chunk", "convert_humaneva", "humaneva_chunks", "humaneva_first_rows"]

HUMANEVA_SUBJECTS = ("Train/S1", "Train/S2", "Train/S3", "Validate/S1", "Validate/S2", "Validate/S3")
"""Names of the people in the prepared files."""

_CAMERAS = 3
_LEFT_OUT = {("Train/S3", "ThrowCatch 1"), ("Validate/S3", "ThrowCatch 1")}  # the motion capture is damaged

FloatArray = npt.NDArray[np.float32]
Progress = Callable[[int, int, str], None]


class Chunk(NamedTuple):
    """A run of frames of a take, all with a pose or all without one.

    Args:
        action: Name of the run in the prepared files, such as ``"Walking 1 chunk0"``; runs without poses count too.
        start: First frame, as the motion capture counts.
        end: The frame after the last one.
        valid: Whether the frames have poses.
    """

    action: str
    start: int
    end: int
    valid: bool


class _Take(NamedTuple):
    """What a file holds: metres, (frames, joints, 3), and pixels, (3, frames, joints, 2), float32, and its runs."""

    poses: FloatArray
    keypoints: FloatArray
    chunks: tuple[Chunk, ...]


def convert_humaneva(
    directory: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Prepare HumanEva-I in the field's layout: every run of frames with poses is a recording.

    Only the first trial of every action is used, as the field does; the damaged ThrowCatch of S3 is left out.

    Args:
        directory: The export, a folder with ``Train`` and ``Validate``, with 15 or 20 joints.
        out: Folder for ``data_3d_humaneva15.npz`` and ``data_2d_humaneva15_gt.npz`` (or 20).
        overwrite: Replace files that are there.
        progress: Called with the number of files read, their number and the next one's name.

    Returns:
        Counts and the files written.

    Raises:
        LiftposeError: A file is missing, broken, of other joints or another number of frames than published, poses and
            keypoints are missing in different frames, or the prepared files are there already.
    """
    files, others = _find_files(directory)
    poses: dict[str, dict[str, FloatArray]] = {subject: {} for subject in HUMANEVA_SUBJECTS}
    keypoints: dict[str, dict[str, list[FloatArray]]] = {subject: {} for subject in HUMANEVA_SUBJECTS}
    lines = []
    joints = 0
    for number, ((subject, action), path) in enumerate(files.items()):
        if progress is not None:
            progress(number, len(files), f"{subject}/{action}")
        take = _read_take(path, subject, action, joints)
        joints = take.poses.shape[1]
        if number == 0 and not overwrite:  # the number of joints is part of the name
            refuse_existing(out, humaneva_info(joints).name)
        start = take.chunks[0].start
        for chunk in take.chunks:
            if chunk.valid:
                run = slice(chunk.start - start, chunk.end - start)
                poses[subject][chunk.action] = take.poses[run]
                keypoints[subject][chunk.action] = list(take.keypoints[:, run])
    if progress is not None:
        progress(len(files), len(files), "")
    info = humaneva_info(joints)
    written = write_h36m(out, info.name, poses, {"gt": keypoints}, info)
    for subject, takes in poses.items():
        frames = sum(len(take) for take in takes.values())
        all_frames = sum(end - start for start, end in _ranges(subject).values())
        lines.append(f"{subject}: {len(takes)} recordings, {frames} frames with poses of {all_frames}")
    if any((subject, action) in _LEFT_OUT for subject, action in others):
        lines.append("left out: ThrowCatch of S3, whose motion capture is damaged")
    trials = [path for (subject, action), path in others.items() if (subject, action) not in _LEFT_OUT]
    if trials:
        lines.append(f"left out: {len(trials)} of other trials, such as {trials[0].name}")
    return Prepared(lines, written)


def humaneva_chunks(directory: str | os.PathLike[str]) -> dict[str, dict[str, tuple[Chunk, ...]]]:
    """Find which frames of HumanEva-I have poses: what keypoints of videos are cut by.

    Args:
        directory: The export, as for :func:`convert_humaneva`.

    Returns:
        Subject, such as ``"Train/S1"`` -> take, such as ``"Walking 1"`` -> its runs of frames in order, without gaps.

    Raises:
        LiftposeError: As for :func:`convert_humaneva`.
    """
    result: dict[str, dict[str, tuple[Chunk, ...]]] = {subject: {} for subject in HUMANEVA_SUBJECTS}
    joints = 0
    for (subject, action), path in _find_files(directory)[0].items():
        take = _read_take(path, subject, action, joints)
        joints = take.poses.shape[1]
        result[subject][action] = take.chunks
    return result


def humaneva_first_rows(person: str, take: str) -> tuple[int, int, int] | None:
    """Return where the videos of a take start: frame f of the motion capture is row ``f + first - 1`` of a video.

    Args:
        person: ``"S1"``, ``"S2"`` or ``"S3"``.
        take: Such as ``"Walking 1"``.

    Returns:
        ``first`` of the cameras C1, C2 and C3; None where no videos were synchronised.
    """
    rows = _table()["first_video_rows"].get(person, {}).get(take)
    return None if rows is None else tuple(rows)


@functools.cache
def _table() -> dict[str, Any]:
    """Read the published frame ranges and starts of videos."""
    text = resources.files("liftpose.formats").joinpath("humaneva_frames.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def _ranges(subject: str) -> Mapping[str, list[int]]:
    """Return first frame and frame after the last one of the takes of a person, those that are left out too."""
    ranges: Mapping[str, list[int]] = _table()["frame_ranges"][subject]
    return {action: limits for action, limits in ranges.items() if (subject, action) not in _LEFT_OUT}


def _find_files(
    directory: str | os.PathLike[str],
) -> tuple[dict[tuple[str, str], Path], dict[tuple[str, str], Path]]:
    """Return the files of (subject, action) that are used, sorted by action within a subject, and all others."""
    root = Path(directory)
    files: dict[tuple[str, str], Path] = {}
    others: dict[tuple[str, str], Path] = {}
    for subject in HUMANEVA_SUBJECTS:
        folder = root / subject
        if not folder.is_dir():
            found = ", ".join(sorted(path.name for path in root.iterdir())[:5]) if root.is_dir() else "no such folder"
            raise LiftposeError(
                f"{folder}: expected a folder of the MATLAB export (Train and Validate, each with S1, S2, S3), "
                f"found {found or 'an empty folder'} in {root}"
            )
        for path in sorted(folder.glob("*.mat")):
            key = (subject, path.stem.replace("_", " "))
            (files if key[1] in _ranges(subject) else others)[key] = path
        missing = [action for action in _ranges(subject) if (subject, action) not in files]
        if missing:
            names = ", ".join(action.replace(" ", "_") + ".mat" for action in missing)
            count = len(_ranges(subject))
            raise LiftposeError(
                f"{folder}: expected {count} files of the first trial, found {count - len(missing)}, without {names}"
            )
    return files, others


def _read_take(path: Path, subject: str, action: str, joints: int) -> _Take:
    """Read a file and find its runs; ``joints`` is the number that the files before had, 0 for the first one."""
    content = read_matlab(path, ["poses_3d", "poses_2d"])
    poses = _array(path, content, "poses_3d")
    frames, count = poses.shape[:2]
    if poses.shape[2:] != (3,) or count not in ({joints} if joints else {15, 20}):
        raise LiftposeError(
            f"{path}: expected poses_3d of shape (frames, {joints or '15 or 20'}, 3), found {poses.shape}"
        )
    keypoints = _array(path, content, "poses_2d")
    if keypoints.shape != (_CAMERAS, frames, count, 2):
        raise LiftposeError(
            f"{path}: expected poses_2d of shape {(_CAMERAS, frames, count, 2)}, found {keypoints.shape}"
        )
    start, end = _ranges(subject)[action]
    if frames != end - start:
        raise LiftposeError(
            f"{path}: expected the {end - start} frames of {subject}/{action} as published, found {frames}"
        )
    valid = np.isfinite(poses).all(axis=(1, 2))
    if not np.array_equal(valid, np.isfinite(keypoints).all(axis=(0, 2, 3))):
        raise LiftposeError(f"{path}: expected poses_3d and poses_2d in the same frames, found them in different ones")
    return _Take(
        np.ascontiguousarray(poses, dtype=np.float32) / np.float32(1000),
        np.ascontiguousarray(keypoints, dtype=np.float32),
        _chunks(valid, start, action),
    )


def _array(path: Path, content: Mapping[str, Any], name: str) -> npt.NDArray[Any]:
    array = content[name]
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu" or array.ndim < 3:
        found = f"the shape {array.shape}" if isinstance(array, np.ndarray) else "text"
        raise LiftposeError(f"{path}: expected {name} to be numbers of three or four dimensions, found {found}")
    return array


def _chunks(valid: npt.NDArray[np.bool_], start: int, action: str) -> tuple[Chunk, ...]:
    """Cut frames into maximal runs with poses and without."""
    borders = [0, *(np.flatnonzero(np.diff(valid)) + 1).tolist(), len(valid)]
    return tuple(
        Chunk(f"{action} chunk{number}", start + begin, start + end, bool(valid[begin]))
        for number, (begin, end) in enumerate(itertools.pairwise(borders))
    )
