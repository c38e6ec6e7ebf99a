"""What detectors have written for one video: keypoints of every frame.

The layouts are those that the field's preparation scripts read (VideoPose3D, Pavllo et al., CVPR 2019; Martinez et al.,
ICCV 2017).
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from liftpose.errors import LiftposeError
from liftpose.formats.npz import read_npz
from liftpose.formats.optional import import_optional

__all__ = ["DETECTORS", "Detector", "Filling", "VideoKeypoints", "fill_missing", "read_detector_file"]

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Detector = Literal["detectron", "cpn", "hr", "sh"]
Filling = Literal["repeat", "interpolate"]

DETECTORS: tuple[Detector, ...] = get_args(Detector)
"""Detectors whose files can be read: Mask R-CNN of Detectron, CPN, HRNet, Stacked Hourglass."""

_MAX_BYTES = 2**30
_PERSON = 1  # Detectron keeps its results by class; 0 is the background
_ROWS = {4: (slice(0, 2), 3), 6: (slice(4, 6), 3), 7: (slice(4, 6), 3)}


@dataclass(frozen=True, eq=False)
class VideoKeypoints:
    """Keypoints of one video.

    Args:
        points: (N, J, 2) pixels; anything where nobody was found.
        found: (N,) frames in which somebody was found.
        confidence: (N, J) scores; None where the detector gives none.
    """

    points: FloatArray
    found: BoolArray
    confidence: FloatArray | None = None


def read_detector_file(
    path: str | os.PathLike[str], detector: Detector, joints: int, content: bytes | None = None
) -> VideoKeypoints:
    """Read the file of one video.

    Args:
        path: The file; with ``content``, what messages call it.
        detector: "detectron": npz with ``boxes`` and ``keypoints``, lists by frame and class of (boxes, 5) with the
            score last and of (boxes, rows, joints); the box with the best score counts, with the rows 4 and 5 (soft
            arg-max) of Detectron's six or seven, or 0 and 1 of the four that others write. "cpn", "hr": npz with
            ``keypoints`` (frames, joints, 2 or 3), the score last. "sh": HDF5 with ``poses`` (frames, joints, 2).
        joints: Number of joints that are expected.
        content: Bytes of the file where it does not lie on the disk.

    Returns:
        The keypoints. Frames with coordinates that are not finite count as those in which nobody was found.

    Raises:
        LiftposeError: The file is missing or broken, is one of another detector, or of other joints.
    """
    if detector == "sh":
        video = VideoKeypoints(*_with_found(_read_hourglass(path, content, joints)))
    elif detector == "detectron":
        video = _read_detectron(path, joints)
    else:
        video = _read_plain(path, joints)
    if len(video.points) == 0:
        raise LiftposeError(f"{path}: expected keypoints of at least one frame, found none")
    if not video.found.any():
        raise LiftposeError(f"{path}: expected a person in at least one frame, found none in {len(video.found)} frames")
    return video


def fill_missing(video: VideoKeypoints, filling: Filling) -> VideoKeypoints:
    """Fill the frames in which nobody was found.

    Args:
        video: Keypoints of one video, at least one frame of which is found.
        filling: "repeat" takes the frame found last before, as the field's files have it; "interpolate" draws straight
            lines between the frames found before and after. At the ends both take the nearest found frame.

    Returns:
        Keypoints of the same frames; the confidence of filled ones is 0.
    """
    if video.found.all():
        return video
    there = np.flatnonzero(video.found)
    frames = np.arange(len(video.found))
    before = there[np.clip(np.searchsorted(there, frames, side="right") - 1, 0, None)]
    points = video.points[before]
    if filling == "interpolate":
        after = there[np.clip(np.searchsorted(there, frames), None, len(there) - 1)]
        gap = np.maximum(after - before, 1)
        share = np.clip((frames - before) / gap, 0, 1)[:, None, None]
        points = (points + share * (video.points[after] - points)).astype(np.float32)
    confidence = None
    if video.confidence is not None:
        confidence = np.where(video.found[:, None], video.confidence, 0).astype(np.float32)
    return replace(video, points=points, confidence=confidence)


def _with_found(points: FloatArray) -> tuple[FloatArray, BoolArray]:
    found: BoolArray = np.asarray(np.isfinite(points).all(axis=(1, 2)))
    return points, found


def _read_plain(path: str | os.PathLike[str], joints: int) -> VideoKeypoints:
    array = _entry(path, read_npz(path), "keypoints")
    if not _is_numbers(array) or array.shape[1:] not in {(joints, 2), (joints, 3)}:
        raise LiftposeError(
            f"{path}: expected keypoints of shape (frames, {joints}, 2 or 3), found {_shape(array)}{_hint(array)}"
        )
    values = array.astype(np.float32)
    points, found = _with_found(np.ascontiguousarray(values[..., :2]))
    return VideoKeypoints(points, found, values[..., 2] if values.shape[2] == 3 else None)


def _hint(array: Any) -> str:
    if isinstance(array, np.ndarray) and array.dtype == np.dtype(object):
        return "; lists by frame are Detectron's (--detector detectron)"
    return "; the joint order of the files is set by --layout" if isinstance(array, np.ndarray) else ""


def _read_detectron(path: str | os.PathLike[str], joints: int) -> VideoKeypoints:
    content = read_npz(path)
    boxes, keypoints = _entry(path, content, "boxes"), _entry(path, content, "keypoints")
    if not _is_list(boxes) or not _is_list(keypoints) or _is_numbers(keypoints):
        raise LiftposeError(
            f"{path}: expected boxes and keypoints as lists by frame and class, found {_shape(boxes)} and "
            f"{_shape(keypoints)}; arrays of numbers are those of --detector cpn or hr"
        )
    if len(boxes) != len(keypoints):
        raise LiftposeError(
            f"{path}: expected as many frames of boxes as of keypoints, found {len(boxes)} and {len(keypoints)}"
        )
    points = np.zeros((len(boxes), joints, 2), np.float32)
    confidence = np.zeros((len(boxes), joints), np.float32)
    found = np.zeros(len(boxes), bool)
    for frame in range(len(boxes)):
        where = f"{path}: frame {frame}"
        person = _of_class(where, boxes[frame])
        if len(person) == 0:
            continue
        if not _is_numbers(person) or person.ndim != 2 or person.shape[1] != 5:
            raise LiftposeError(f"{where}: expected boxes of shape (number, 5), found {_shape(person)}")
        poses = _of_class(where, keypoints[frame])
        best = int(np.argmax(person[:, 4]))
        if not _is_person(poses, len(person), joints):
            found_words = _shape(poses) if isinstance(poses, np.ndarray) else f"{len(poses)} of another kind"
            raise LiftposeError(
                f"{where}: expected keypoints of shape ({len(person)}, 4, 6 or 7, {joints}), found {found_words}; "
                "the joint order of the files is set by --layout"
            )
        pose = np.asarray(poses[best])
        rows, score = _ROWS[len(pose)]
        points[frame], confidence[frame] = pose[rows].T, pose[score]
        found[frame] = bool(np.isfinite(points[frame]).all())
    return VideoKeypoints(points, found, confidence)


def _of_class(where: str, frame: Any) -> Any:
    """Return what a frame has of the class of people."""
    if _is_list(frame) and len(frame) > _PERSON and _is_list(frame[_PERSON]):
        return frame[_PERSON]
    raise LiftposeError(f"{where}: expected a list by class, background and people, found something else")


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _is_person(poses: Any, count: int, joints: int) -> bool:
    """Return whether there are (count, rows, joints) numbers, as one array or as a list of arrays."""
    if len(poses) != count:
        return False
    return all(
        _is_numbers(pose) and pose.ndim == 2 and pose.shape[0] in _ROWS and pose.shape[1] == joints for pose in poses
    )


def _read_hourglass(path: str | os.PathLike[str], content: bytes | None, joints: int) -> FloatArray:
    h5py: ModuleType = import_optional("h5py", f"{path}")
    try:
        with h5py.File(io.BytesIO(content) if content is not None else Path(path), "r") as file:
            return _read_poses(path, h5py, file, joints)
    except FileNotFoundError as error:
        raise LiftposeError(f"{path}: expected an HDF5 file, found no such file") from error
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise LiftposeError(f"{path}: expected an HDF5 file, found it cut or damaged, or another kind") from error


def _read_poses(path: str | os.PathLike[str], h5py: ModuleType, file: Any, joints: int) -> FloatArray:
    # A link could lead into another file of this machine.
    own = "poses" in file and isinstance(file.get("poses", getlink=True), h5py.HardLink)
    poses = file["poses"] if own else None
    if not isinstance(poses, h5py.Dataset) or poses.external or poses.is_virtual:
        raise LiftposeError(f"{path}: expected a data set poses, found {', '.join(file) or 'nothing'}")
    if poses.dtype.kind not in "fiu" or poses.ndim != 3 or poses.shape[1:] != (joints, 2) or poses.nbytes > _MAX_BYTES:
        raise LiftposeError(
            f"{path}: expected poses of shape (frames, {joints}, 2), found {poses.shape} of {poses.dtype}; "
            "the joint order of the files is set by --layout"
        )
    values: FloatArray = poses[()].astype(np.float32)
    return values


def _entry(path: str | os.PathLike[str], content: dict[str, Any], name: str) -> Any:
    if name not in content:
        found = ", ".join(content) or "nothing"
        raise LiftposeError(f"{path}: expected an array {name} of a detector, found {found}")
    return content[name]


def _is_numbers(array: Any) -> bool:
    return isinstance(array, np.ndarray) and array.dtype.kind in "fiu" and array.ndim > 0


def _shape(array: Any) -> str:
    return f"{array.shape} of {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
