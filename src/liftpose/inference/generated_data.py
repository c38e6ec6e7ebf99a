"""A data set of generated poses in the layout of Human3.6M, which trainings and tests read like any other."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from liftpose.errors import LiftposeError
from liftpose.formats import DatasetInfo, write_h36m
from liftpose.formats.known_datasets import known_info
from liftpose.formats.prepared import Prepared, refuse_existing
from liftpose.geometry import H36M_CAMERA_SUBJECTS, h36m_cameras
from liftpose.inference.generation import (
    GeneratedClips,
    LoadedGenerator,
    generate_clips,
    load_generator,
    poses_from_limits,
)
from liftpose.skeletons import H36M_16

__all__ = ["generate_dataset"]

_FPS: Final = 50.0
_TAKE: Final = 1000  # single poses in a take
_MOST: Final = 10_000_000
_VIEWS: Final = 4
_ROUND: Final = 10
_SHARES: Final = {"train": [0, 1, 2, 3, 4, 5, 6, 7], "validation": [8], "test": [9]}  # of each round of clips

Progress = Callable[[int, int, str], None]
Takes = dict[str, dict[str, Any]]


def generate_dataset(
    out: str | os.PathLike[str],
    count: int,
    *,
    ckpt_path: str | None = None,
    name: str = "dh",
    cameras: str = "S1",
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Write generated poses and their projections in the layout of Human3.6M, with a description beside them.

    A subject of the data set is one camera of one split (``train1`` to ``train4``, ``validation1`` …, ``test1`` …):
    eight of ten clips are for training. The clips of a generator of several frames are recordings of their own
    (``Clip 1`` …). Single poses stand a thousand to a recording (``Poses 1`` …), where neighbours have nothing to do
    with each other.

    Args:
        out: Folder for the files.
        count: Number of poses; the frames of clips count.
        ckpt_path: Checkpoint of a training with an augmentation that makes poses; None for poses that are drawn within
            joint limits.
        name: Name of the data set in the file names.
        cameras: Person of Human3.6M whose four calibrated cameras see the poses.
        seed: Seed of everything that is drawn.
        overwrite: Replace files that are there.
        progress: Called with the number of poses there are, the number wanted and what is done.

    Returns:
        What was made, in words, and the files.

    Raises:
        LiftposeError: The checkpoint has no generator, an option is out of range, or the files are there or cannot be
            written.
    """
    _check_options(out, count, name, cameras, seed)
    if not overwrite:
        refuse_existing(out, name)
    generator = poses_from_limits() if ckpt_path is None else load_generator(ckpt_path)
    clips = generate_clips(generator, h36m_cameras(cameras), count, seed=seed, progress=progress)
    poses, keypoints = _arrange(clips, count)
    info = _describe(name, generator, clips, poses, cameras, seed)
    files = write_h36m(out, name, poses, {"gt": keypoints}, info)
    frames = clips.poses_3d.shape[1]
    made = f"{len(clips.camera)} clips of {frames} frames" if frames > 1 else f"{count} poses"
    share = f"{clips.seen / clips.tried:.1%}"
    people = ", ".join(f"{len(info.splits[split])} subjects for {split}" for split in _SHARES)
    lines = [
        f"{generator.name}: {made}, each seen whole by one of the four cameras of {cameras}; {share} of those tried",
        f"{name}: {count} frames, joints {H36M_16.name}, {people}",
    ]
    return Prepared(lines, files)


def _check_options(out: str | os.PathLike[str], count: int, name: str, cameras: str, seed: int) -> None:
    """Refuse what cannot be made before anything is made."""
    if not 1 <= count <= _MOST:
        raise LiftposeError(f"--count: expected a number from 1 to {_MOST}, found {count}")
    if known_info(name) is not None or not re.fullmatch(r"[A-Za-z0-9-]+(_[A-Za-z0-9-]+)*", name):
        raise LiftposeError(f"--name: expected a name of letters and digits that is not taken, found {name!r}")
    if cameras not in H36M_CAMERA_SUBJECTS:
        raise LiftposeError(f"--cameras: expected one of {', '.join(H36M_CAMERA_SUBJECTS)}, found {cameras}")
    if not 0 <= seed < 2**32:
        raise LiftposeError(f"--seed: expected a number from 0 to {2**32 - 1}, found {seed}")
    place = Path(out)
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        found = "one that may not be written to" if place.is_dir() else f"the file {place}"
        raise LiftposeError(f"--out {out}: expected a folder to write to, found {found}")


def _arrange(clips: GeneratedClips, count: int) -> tuple[Takes, Takes]:
    """Return subject -> take -> poses, and the same with a list of the keypoints of the one camera."""
    clip, length = len(clips.camera), clips.poses_3d.shape[1]
    surplus = clip * length - count  # frames of the last clip that are not asked for
    poses: Takes = {}
    keypoints: Takes = {}
    for split, share in _SHARES.items():
        of_split = np.isin(np.arange(clip) % _ROUND, share)
        for camera in range(_VIEWS):
            chosen = np.flatnonzero(of_split & (clips.camera == camera))
            if not len(chosen):
                continue
            takes = list(_takes(chosen, length, surplus if chosen[-1] == clip - 1 else 0))
            subject = f"{split}{camera + 1}"
            poses[subject] = {take: part(clips.poses_3d) for take, part in takes}
            keypoints[subject] = {take: [part(clips.keypoints_2d)] for take, part in takes}
    return poses, keypoints


def _takes(chosen: NDArray[np.int64], length: int, surplus: int) -> Iterator[tuple[str, _Cut]]:
    """Yield the name of each take of some clips, and what cuts it out of all clips."""
    if length == 1:
        for number, first in enumerate(range(0, len(chosen), _TAKE), start=1):
            yield f"Poses {number}", _Cut(chosen[first : first + _TAKE])
        return
    for number, clip in enumerate(chosen, start=1):
        yield f"Clip {number}", _Cut(chosen[number - 1 : number], surplus if clip == chosen[-1] else 0)


@dataclass(frozen=True)
class _Cut:
    """Cuts some clips out of all, their frames one after the other.

    Args:
        clips: (n,) numbers of clips.
        surplus: Number of frames to leave out at the end.
    """

    clips: NDArray[np.int64]
    surplus: int = 0

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (frames, 16, C) of values (N, T, 16, C)."""
        frames = values[self.clips].reshape(-1, *values.shape[2:])
        return frames[: len(frames) - self.surplus]


def _describe(
    name: str, generator: LoadedGenerator, clips: GeneratedClips, poses: Takes, cameras: str, seed: int
) -> DatasetInfo:
    """Describe the data set."""
    views = h36m_cameras(cameras)
    frames = clips.poses_3d.shape[1]
    about = (
        "the poses are independent of each other: the frame rate and the order of the frames stand for nothing"
        if frames == 1
        else f"clips of {frames} frames; their frame rate is that of the data that the generator was trained on"
    )
    return DatasetInfo(
        name=name,
        skeleton=H36M_16,
        storage_skeleton="h36m_32",
        fps=_FPS,
        cameras={subject: (views[int(subject[-1]) - 1],) for subject in poses},
        splits={split: tuple(subject for subject in poses if subject.startswith(split)) for split in _SHARES},
        up_axis="z",
        source=f"synthetic: made by liftpose with {generator.name}, seen by the cameras of Human3.6M's {cameras}",
        licence="none: made by a program",
        notes={"about": about, "seed": seed, "seen": clips.seen, "tried": clips.tried},
    )
