"""A cache of data sets in the field's files: plain float32 arrays that are mapped into memory, not unpacked and copied.

Per person there are the arrays (``.npy``, never pickled) and an index (``.json``) of what lies where in them. The index
also says of which files they were made: name, size, time of change, and the check sums that these files hold of
their own content. Whatever does not fit, down to one bit, is made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import liftpose
from liftpose.data.recording import Recording
from liftpose.errors import LiftposeError
from liftpose.formats.atomic import write_atomically, write_json
from liftpose.formats.dataset_info import DatasetInfo
from liftpose.formats.h36m import read_h36m
from liftpose.formats.known_datasets import find_dataset_info
from liftpose.skeletons import Skeleton, get_skeleton

__all__ = ["read_h36m_cached"]

FloatArray = npt.NDArray[np.float32]

# To be raised when the arrays get another layout, or are converted otherwise than before.
_FORMAT = 1


def read_h36m_cached(
    cache: str | os.PathLike[str],
    path_3d: str | os.PathLike[str],
    path_2d: str | os.PathLike[str],
    *,
    subjects: Sequence[str],
    skeleton: Skeleton | None = None,
) -> list[Recording]:
    """Read a data set as :func:`liftpose.formats.read_h36m` does, the second time from a cache.

    The recordings are the same to the last bit. Those from the cache are mapped into memory: their pages belong to the
    files, are shared by all processes that read them and can be dropped by the system at any time. Writing into them
    changes the memory of this process alone.

    A person is read anew, and the cache with it, when one of the data set's files was changed or the cache does not
    fit: another version of this package, a file cut, missing or with one bit changed. Several processes may do that at
    the same time.

    Args:
        cache: Folder of the cache, made if need be. It can be deleted at any time.
        path_3d: ``data_3d_<name>.npz``.
        path_2d: ``data_2d_<name>_<keypoints>.npz``.
        subjects: Subjects to read, in this order.
        skeleton: Joint order of the poses, as there.

    Returns:
        Recordings, as there.

    Raises:
        LiftposeError: As there; or ``cache`` is no folder, or cannot be written.
    """
    if Path(cache).exists() and not Path(cache).is_dir():
        raise LiftposeError(f"{cache}: expected the folder of the cache, found a file")
    info = find_dataset_info(path_3d)
    sources = _sources(path_3d, path_2d)
    if sources is None:  # missing or broken: reading says so
        return read_h36m(path_3d, path_2d, subjects=subjects, info=info, skeleton=skeleton)
    poses = info.skeleton if skeleton is None else skeleton
    entries = {subject: _Entry(Path(cache), path_3d, path_2d, subject, poses, sources) for subject in subjects}
    found = {subject: entry.read(info) for subject, entry in entries.items()}
    missing = [subject for subject, recordings in found.items() if recordings is None]
    if missing:
        new: dict[str, list[Recording]] = {subject: [] for subject in missing}
        for recording in read_h36m(path_3d, path_2d, subjects=missing, info=info, skeleton=skeleton):
            new[recording.subject].append(recording)
        for subject, recordings in new.items():
            # Files that were exchanged in the meantime are not what the index would say.
            if any(map(len, recordings)) and _sources(path_3d, path_2d) == sources:
                entries[subject].write(recordings)
        found.update(new)
    return [recording for subject in subjects for recording in found[subject] or ()]


def _sources(path_3d: str | os.PathLike[str], path_2d: str | os.PathLike[str]) -> list[dict[str, Any]] | None:
    """Describe the files of a data set, so that no two different ones have the same description; None if it fails.

    A zip file holds the check sum of each of its members, which are read here and checked whenever a member is read.
    """
    sources = []
    sidecar = Path(path_3d).with_suffix(".json")
    try:
        for path in (Path(path_3d), Path(path_2d), *([sidecar] if sidecar.exists() else [])):
            state = path.stat()
            if path.suffix == ".json":
                digest = hashlib.sha256(path.read_bytes())
            else:
                with zipfile.ZipFile(path) as archive:
                    members = [(m.filename, m.CRC, m.file_size, m.compress_size) for m in archive.infolist()]
                digest = hashlib.sha256(repr(members).encode())
            sources.append(
                {
                    "name": path.name,
                    "bytes": state.st_size,
                    "modified_ns": state.st_mtime_ns,
                    "digest": digest.hexdigest(),
                }
            )
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return None
    return sources


class _Entry:
    """What the cache holds of one person.

    Args:
        folder: Folder of the cache.
        path_3d: The 3D file.
        path_2d: The 2D file.
        subject: The person.
        poses: Joint order of the poses.
        sources: What :func:`_sources` says of the files.
    """

    def __init__(
        self,
        folder: Path,
        path_3d: str | os.PathLike[str],
        path_2d: str | os.PathLike[str],
        subject: str,
        poses: Skeleton,
        sources: list[dict[str, Any]],
    ) -> None:
        self.folder = folder
        self.subject = subject
        self.poses = poses
        self.sources = sources
        key = [os.path.realpath(path_3d), os.path.realpath(path_2d), subject, poses.name]
        readable = re.sub(r"[^A-Za-z0-9_-]", "_", f"{Path(path_2d).stem}-{subject}-{poses.name}")[:100]
        self.stem = f"{readable}-{_digest(key)}"
        # Processes that make the same entry at the same time write the same bytes to the same names, and those that
        # make it of other files write to other names.
        self.arrays_stem = f"{self.stem}-{_digest([_FORMAT, liftpose.__version__, sources])}"

    @property
    def index(self) -> Path:
        """Path of the index."""
        return self.folder / f"{self.stem}.json"

    def array(self, name: str) -> Path:
        """Return the path of an array."""
        return self.folder / f"{self.arrays_stem}-{name}.npy"

    def read(self, info: DatasetInfo) -> list[Recording] | None:
        """Return the recordings, or None if there are none that fit."""
        try:
            index = json.loads(self.index.read_bytes())
            if index.pop("digest") != _digest(index):
                return None
            head = {name: index[name] for name in ("format", "package", "sources")}
            if head != {"format": _FORMAT, "package": liftpose.__version__, "sources": self.sources}:
                return None
            return self._recordings(index, info)
        except Exception:  # anything may lie in the folder in place of an entry; it is never needed
            return None

    def _recordings(self, index: dict[str, Any], info: DatasetInfo) -> list[Recording]:
        keypoint_skeleton = get_skeleton(index["keypoint_skeleton"])
        shapes = _frame_shapes(self.poses, keypoint_skeleton)
        arrays = {name: self._map(name, *sums, shape=shapes[name]) for name, sums in index["arrays"].items()}
        places = dict.fromkeys(arrays, 0)

        def take(name: str, frames: int) -> FloatArray:
            start = places[name]
            places[name] += frames
            return arrays[name][start : places[name]]

        poses: list[FloatArray] = []
        recordings = []
        for entry in index["recordings"]:
            frames: int = entry["frames"]
            if entry["pose"] == len(poses):
                poses.append(take("poses_3d", frames))
            recordings.append(
                Recording(
                    subject=self.subject,
                    action=entry["action"],
                    view=entry["view"],
                    skeleton=self.poses,
                    fps=info.fps,
                    keypoints_2d=take("keypoints_2d", frames),
                    poses_3d=poses[entry["pose"]],
                    camera=info.cameras[self.subject][entry["view"]],
                    confidence=take("confidence", frames) if entry["confidence"] else None,
                    keypoint_skeleton=keypoint_skeleton,
                )
            )
        if places != {name: len(array) for name, array in arrays.items()}:
            raise ValueError("the arrays hold other frames")
        return recordings

    def _map(self, name: str, frames: int, check_sum: int, *, shape: tuple[int, ...]) -> FloatArray:
        """Map an array into memory, as a private copy that is made page by page when it is written to."""
        mapped = np.load(self.array(name), mmap_mode="c", allow_pickle=False)
        if mapped.dtype != np.dtype("<f4") or mapped.shape != (frames, *shape) or not mapped.flags.c_contiguous:
            raise ValueError(f"{name} has another shape or type")
        array = np.asarray(mapped, dtype=np.float32)
        if zlib.crc32(_bytes(array)) != check_sum:
            raise ValueError(f"{name} is damaged")
        return array

    def write(self, recordings: Sequence[Recording]) -> None:
        """Write the recordings of the person: the arrays, then the index, then what is of no use any more goes."""
        poses = {id(recording.poses_3d): recording.poses_3d for recording in recordings}
        numbers = {key: number for number, key in enumerate(poses)}
        content: dict[str, list[Any]] = {
            "keypoints_2d": [recording.keypoints_2d for recording in recordings],
            "poses_3d": list(poses.values()),
            "confidence": [recording.confidence for recording in recordings if recording.confidence is not None],
        }
        first = recordings[0]
        shapes = _frame_shapes(self.poses, first.keypoint_skeleton)
        index = {
            "format": _FORMAT,
            "package": liftpose.__version__,
            "sources": self.sources,
            "keypoint_skeleton": first.keypoint_skeleton.name,
            "arrays": {
                name: _write_array(self.array(name), arrays, shapes[name]) for name, arrays in content.items() if arrays
            },
            "recordings": [
                {
                    "action": recording.action,
                    "view": recording.view,
                    "frames": len(recording),
                    "pose": numbers[id(recording.poses_3d)],
                    "confidence": recording.confidence is not None,
                }
                for recording in recordings
            ],
        }
        write_json(self.index, {**index, "digest": _digest(index)})
        for old in self.folder.glob(f"{self.stem}-*.npy"):
            if not old.name.startswith(f"{self.arrays_stem}-"):
                with suppress(OSError):  # another process has removed it, or still maps it on Windows
                    old.unlink()


def _frame_shapes(poses: Skeleton, keypoints: Skeleton) -> dict[str, tuple[int, ...]]:
    return {"keypoints_2d": (len(keypoints), 2), "poses_3d": (len(poses), 3), "confidence": (len(keypoints),)}


def _write_array(path: Path, parts: Iterable[Any], shape: tuple[int, ...]) -> tuple[int, int]:
    """Write arrays (N_i, *shape) one behind the other; return the number of frames and the check sum of the bytes."""
    frames, check_sum = 0, 0
    arrays = [np.ascontiguousarray(part, dtype="<f4") for part in parts]
    with write_atomically(path) as temporary, temporary.open("wb") as stream:
        header = {"descr": "<f4", "fortran_order": False, "shape": (sum(map(len, arrays)), *shape)}
        np.lib.format.write_array_header_1_0(stream, header)
        for array in arrays:
            stream.write(_bytes(array))
            check_sum = zlib.crc32(_bytes(array), check_sum)
            frames += len(array)
    return frames, check_sum


def _bytes(array: FloatArray) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
