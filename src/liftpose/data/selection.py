"""Choosing recordings and parts of them: actions, every k-th frame, frames of movement, the published subset."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from liftpose.data.recording import Recording
from liftpose.errors import LiftposeError

__all__ = [
    "displaced_frames",
    "downsample",
    "hashed_integer",
    "keep_displaced",
    "select_actions",
    "subset",
    "subset_range",
]


def select_actions(
    recordings: Sequence[Recording], names: Iterable[str] | None, *, exact: bool = False
) -> list[Recording]:
    """Keep the recordings of some actions.

    Args:
        recordings: Any recordings; their order is kept.
        names: Actions to keep, or None for all.
        exact: By default a name keeps every take whose full name starts with it, as in the public code of VideoPose3D
            and RIE: ``Sitting`` also takes SittingDown. With ``exact`` a name keeps the takes of that action only
            (``Sitting``, ``Sitting 1``) or that one take.

    Returns:
        The recordings kept, never empty.

    Raises:
        LiftposeError: A name fits no recording; the message lists the actions there are.
    """
    if names is None:
        chosen = list(recordings)
    else:
        wanted = list(names)
        unknown = [name for name in wanted if not any(_fits(recording, name, exact) for recording in recordings)]
        if unknown:
            raise LiftposeError(
                f"actions: expected some of {_listed(r.action_group for r in recordings)}, found {', '.join(unknown)}"
            )
        chosen = [recording for recording in recordings if any(_fits(recording, name, exact) for name in wanted)]
    if not chosen:
        raise LiftposeError("actions: expected at least one recording, found none")
    return chosen


def downsample(recording: Recording, k: int) -> Recording:
    """Keep every k-th frame, starting with the first.

    Args:
        recording: Any recording.
        k: At least 1.

    Returns:
        The recording with 1 / k of the frames and of the frame rate.

    Raises:
        LiftposeError: ``k`` is less than 1.
    """
    _check_step(k)
    return _slice(recording, slice(None, None, k), k)


def subset(recording: Recording, fraction: float, k: int = 1) -> Recording:
    """Keep one run of frames, at a place that depends on the number of frames only, and of it every k-th frame.

    The deterministic subset of VideoPose3D (``--subset``, ``--downsample``). A short recording may keep no frame at
    all: it then gives no training window.

    Args:
        recording: Any recording.
        fraction: Part of the frames to keep, above 0 and at most 1. With 1 the result is that of :func:`downsample`.
        k: Keep every k-th frame.

    Returns:
        The part of the recording, at 1 / k of the frame rate.

    Raises:
        LiftposeError: ``fraction`` or ``k`` is out of range.
    """
    if fraction == 1:
        return downsample(recording, k)
    start, frames = subset_range(len(recording), fraction, k)
    return _slice(recording, slice(start, start + frames, k), k)


def subset_range(length: int, fraction: float, k: int = 1) -> tuple[int, int]:
    """Find the run of frames that :func:`subset` keeps before it takes every k-th frame.

    Args:
        length: Number of frames there are.
        fraction: Part of them to keep, above 0 and at most 1.
        k: The number of frames kept is a multiple of this.

    Returns:
        First frame, number of frames.

    Raises:
        LiftposeError: ``fraction`` or ``k`` is out of range.

    Example:
        >>> subset_range(57, 0.5, 5)
        (17, 30)
    """
    _check_step(k)
    if not 0 < fraction <= 1:
        raise LiftposeError(f"subset: expected a part above 0 and at most 1, found {fraction}")
    frames = int(round(length // k * fraction) * k)
    return hashed_integer(0, length - frames + 1, str(length)), frames


def keep_displaced(recordings: Sequence[Recording], distance: float) -> list[Recording]:
    """Keep of every recording the frames of :func:`displaced_frames`: a person at rest is shown once.

    DH-AUG thins its training clips so (``video_over_200mm``, Huang et al., ECCV 2022). What is left has no even rate:
    ``fps`` stays what it was and is that of the frames as they were taken.

    Args:
        recordings: Recordings with poses. Views of a take that share their poses share those that are kept.
        distance: Metres, at least 0; with 0 all frames stay.

    Returns:
        The recordings with fewer frames, in their order.

    Raises:
        LiftposeError: A recording has no poses, or ``distance`` is negative.
    """
    if not distance >= 0:
        raise LiftposeError(f"displacement: expected metres from 0 up, found {distance}")
    done: dict[int, tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]] = {}
    kept = []
    for recording in recordings:
        poses = recording.poses_3d
        if poses is None:
            raise LiftposeError(f"{recording.name}: expected 3D poses to see who moves, found none")
        if id(poses) not in done:
            frames = displaced_frames(poses, distance)
            done[id(poses)] = frames, poses[frames]
        frames, poses = done[id(poses)]
        kept.append(
            replace(
                recording,
                keypoints_2d=recording.keypoints_2d[frames],
                poses_3d=poses,
                confidence=None if recording.confidence is None else recording.confidence[frames],
            )
        )
    return kept


def displaced_frames(poses: npt.NDArray[Any], distance: float) -> npt.NDArray[np.int64]:
    """Find the frames at which some joint has moved far enough since the last frame found; the first is always found.

    Args:
        poses: (N, J, 3) metres, in any frame that does not move. The way of the whole body counts too.
        distance: Metres; a joint that has moved exactly so far counts.

    Returns:
        (M,) int64, the frames, rising.
    """
    exact = poses.astype(np.float64)
    found = [0] if len(poses) else []
    start = 1
    while start < len(poses):
        ahead = exact[start : start + _LOOK_AHEAD]
        moved = ((ahead - exact[found[-1]]) ** 2).sum(axis=-1).max(axis=-1) >= distance**2
        if moved.any():
            found.append(start + int(moved.argmax()))
            start = found[-1] + 1
        else:
            start += len(ahead)
    return np.array(found, dtype=np.int64)


_LOOK_AHEAD = 32
"""Frames that are compared at once: a person at rest costs few steps, one who moves no needless ones."""


def hashed_integer(low: int, high: int, text: str) -> int:
    """Return an integer that looks random but depends on the arguments only.

    The first four bytes of the text's SHA-256, as a little-endian number, are scaled from [0, 2^32 - 1] to [low, high]
    and cut to an integer (the deterministic random of VideoPose3D).

    Args:
        low: Smallest result.
        high: Largest result; it comes up once in 2^32.
        text: What the result is to depend on.

    Returns:
        The integer.
    """
    value = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")
    return int(value / (2**32 - 1) * (high - low)) + low


def _fits(recording: Recording, name: str, exact: bool) -> bool:
    if exact:
        return name in {recording.action, recording.action_group}
    return recording.action.startswith(name)


def _slice(recording: Recording, frames: slice, k: int) -> Recording:
    return replace(
        recording,
        fps=recording.fps / k,
        keypoints_2d=recording.keypoints_2d[frames],
        poses_3d=None if recording.poses_3d is None else recording.poses_3d[frames],
        confidence=None if recording.confidence is None else recording.confidence[frames],
    )


def _check_step(k: int) -> None:
    if k < 1:
        raise LiftposeError(f"downsample: expected a whole number of at least 1, found {k}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names)) or "nothing"
