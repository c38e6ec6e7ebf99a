"""Files of predicted poses: one npz file per recording, plain arrays and a JSON text, no pickle."""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from liftpose.data.recording import Recording, RecordingKey
from liftpose.errors import LiftposeError
from liftpose.formats.npz import read_npz, write_npz
from liftpose.geometry import Camera
from liftpose.skeletons import Skeleton, get_skeleton

__all__ = ["Predictions", "predictions_file_name", "read_predictions", "write_predictions"]

FloatArray = npt.NDArray[np.float32]

_FORMAT = "liftpose-predictions"
_VERSION = 1
_FRAME = "camera, root-relative"
_MAX_NAME = 200  # bytes; file systems allow 255, and a temporary name beside it needs some


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predicted poses of one recording, with all that is needed to use them.

    Args:
        subject: Name of the person.
        action: Full name of the take.
        view: Index of the camera.
        skeleton: Joint order of the poses, and of the keypoints unless ``keypoint_skeleton`` says another.
        fps: Frames per second.
        poses_3d: (N, J, 3) metres, camera frame (x right, y down, z forward), relative to the root.
        keypoints_2d: (N, K, 2) pixels that they were predicted from.
        camera: The camera, by which poses can be turned into the world frame, or None.
        model: What predicted them: name of the network, checkpoint.
        keypoint_skeleton: Joint order of the keypoints where it is not that of the poses. None, which becomes
            ``skeleton``, where it is.
    """

    subject: str
    action: str
    view: int
    skeleton: Skeleton
    fps: float
    poses_3d: FloatArray
    keypoints_2d: FloatArray
    camera: Camera | None
    model: str
    keypoint_skeleton: Skeleton = None  # type: ignore[assignment]  # never None afterwards

    def __post_init__(self) -> None:
        """Let the keypoints have the joints of the poses where nothing else is said."""
        if self.keypoint_skeleton is None:
            object.__setattr__(self, "keypoint_skeleton", self.skeleton)


def predictions_file_name(recording: Recording | RecordingKey) -> str:
    """Return the file name for the predictions of a recording.

    Letters, digits and ``-`` stay, a space becomes ``_`` and everything else ``%`` and its number, so that the names
    are safe on every system and those of different recordings differ. A very long name is cut and gets a hash.

    Args:
        recording: The recording, or what names it.

    Returns:
        ``<subject>.<action>.<view>.npz``.

    Example:
        >>> predictions_file_name(RecordingKey("S9", "Walking 1", 2))
        'S9.Walking_1.2.npz'
    """
    name = f"{_safe(recording.subject)}.{_safe(recording.action)}.{recording.view}"
    if len(name) > _MAX_NAME:
        name = f"{name[: _MAX_NAME - 17]}.{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return f"{name}.npz"


def write_predictions(
    path: str | os.PathLike[str], recording: Recording, poses_3d: npt.ArrayLike, *, model: str = ""
) -> None:
    """Write the predicted poses of one recording, all or nothing.

    ``numpy.load(path)`` reads the file without pickle: ``poses_3d``, ``keypoints_2d`` and ``metadata``, a JSON text
    with skeleton, joint names, parents, unit, frame, frame rate, subject, action, view, camera and model; where the
    keypoints have other joints than the poses also their skeleton and joint names.

    Args:
        path: The file to write, in a folder of predictions under the name :func:`predictions_file_name` gives.
        recording: What the poses were predicted from.
        poses_3d: (N, J, 3) metres, camera frame, relative to the root.
        model: What predicted them.

    Raises:
        ValueError: The shape is not that of the recording, or a coordinate is not finite.
        LiftposeError: The file cannot be written.
    """
    poses = np.asarray(poses_3d, dtype=np.float32)
    skeleton = recording.skeleton
    if poses.shape != (len(recording), len(skeleton), 3):
        raise ValueError(
            f"expected poses of shape {(len(recording), len(skeleton), 3)} for {recording.name}, found {poses.shape}"
        )
    if not np.isfinite(poses).all():
        raise ValueError(f"expected finite poses for {recording.name}, found others")
    metadata = {
        "format": _FORMAT,
        "version": _VERSION,
        "subject": recording.subject,
        "action": recording.action,
        "view": recording.view,
        "skeleton": skeleton.name,
        "joint_names": list(skeleton.joint_names),
        "parents": list(skeleton.parents),
        "unit": "m",
        "frame": _FRAME,
        "fps": recording.fps,
        "camera": None if recording.camera is None else recording.camera.to_dict(),
        "model": model,
    }
    seen = recording.keypoint_skeleton
    if seen != skeleton:
        metadata |= {"keypoint_skeleton": seen.name, "keypoint_joint_names": list(seen.joint_names)}
    text = json.dumps(metadata, ensure_ascii=False, allow_nan=False)
    write_npz(
        path, {"poses_3d": poses, "keypoints_2d": recording.keypoints_2d.astype(np.float32), "metadata": np.array(text)}
    )


def read_predictions(path: str | os.PathLike[str]) -> Predictions:
    """Read a file of predicted poses.

    Args:
        path: A file written by :func:`write_predictions`.

    Returns:
        Its content.

    Raises:
        LiftposeError: The file is missing or broken, is no file of predictions, or its joints are not those that the
            skeleton has here.
    """
    content = read_npz(path)
    metadata = _read_metadata(path, content)
    skeleton = _known_skeleton(path, metadata["skeleton"], metadata["joint_names"])
    other = metadata.get("keypoint_skeleton")
    seen = skeleton if other is None else _known_skeleton(path, other, metadata.get("keypoint_joint_names"))
    poses = _read_array(path, content, "poses_3d", (len(skeleton), 3))
    keypoints = _read_array(path, content, "keypoints_2d", (len(seen), 2))
    if len(poses) != len(keypoints):
        raise LiftposeError(
            f"{path}: expected as many frames of poses as of keypoints, found {len(poses)} and {len(keypoints)}"
        )
    camera = metadata["camera"]
    return Predictions(
        subject=metadata["subject"],
        action=metadata["action"],
        view=metadata["view"],
        skeleton=skeleton,
        fps=float(metadata["fps"]),
        poses_3d=poses,
        keypoints_2d=keypoints,
        camera=None if camera is None else Camera.from_dict(camera, f"{path}: camera"),
        model=metadata["model"],
        keypoint_skeleton=seen,
    )


def _known_skeleton(path: str | os.PathLike[str], name: Any, joint_names: Any) -> Skeleton:
    """Return the skeleton of that name, if its joints are those of the file."""
    try:
        skeleton = get_skeleton(str(name))
    except (LiftposeError, KeyError) as error:
        raise LiftposeError(f"{path}: expected a skeleton that is known here, found {name!r}") from error
    if joint_names != list(skeleton.joint_names):
        raise LiftposeError(f"{path}: expected the joints of {skeleton.name}, found {joint_names}")
    return skeleton


def _safe(name: str) -> str:
    escaped = quote(name, safe=" ").replace("_", "%5F").replace(".", "%2E").replace("~", "%7E")
    return escaped.replace(" ", "_")


# Entries of the metadata with their types and what a message calls them; those with a fixed value can have no other.
_ENTRIES: dict[str, tuple[tuple[type, ...], str]] = {
    "subject": ((str,), "text"),
    "action": ((str,), "text"),
    "view": ((int,), "a whole number"),
    "skeleton": ((str,), "text"),
    "joint_names": ((list,), "a list"),
    "parents": ((list,), "a list"),
    "fps": ((int, float), "a number above 0"),
    "camera": ((dict, type(None)), "an object or null"),
    "model": ((str,), "text"),
}
_FIXED = {"format": _FORMAT, "version": _VERSION, "unit": "m", "frame": _FRAME}


def _read_metadata(path: str | os.PathLike[str], content: dict[str, Any]) -> dict[str, Any]:
    text = content.get("metadata")
    try:
        if not isinstance(text, np.ndarray) or text.shape != () or text.dtype.kind != "U":
            raise ValueError("no text")
        metadata = json.loads(str(text))
    except (ValueError, RecursionError) as error:
        found = "an npz file of other things" if "metadata" not in content else f"metadata that are no JSON ({error})"
        raise LiftposeError(f"{Path(path)}: expected a file of predictions, found {found}") from error
    if not isinstance(metadata, dict):
        raise LiftposeError(f"{path}: expected a file of predictions, found metadata that are no JSON object")
    for key, fixed in _FIXED.items():
        if metadata.get(key) != fixed:
            raise LiftposeError(f"{path}: metadata: {key}: expected {fixed!r}, found {metadata.get(key)!r}")
    for key, (kinds, words) in _ENTRIES.items():
        value: Any = metadata.get(key)
        wrong = key not in metadata or not isinstance(value, kinds) or isinstance(value, bool)
        if wrong or (key == "fps" and not 0 < value < math.inf):
            raise LiftposeError(f"{path}: metadata: {key}: expected {words}, found {value!r}")
    return metadata


def _read_array(path: str | os.PathLike[str], content: dict[str, Any], name: str, shape: tuple[int, ...]) -> FloatArray:
    array = content.get(name)
    if (
        not isinstance(array, np.ndarray)
        or array.shape[1:] != shape
        or array.ndim != 1 + len(shape)
        or array.dtype.kind != "f"
    ):
        found = f"{array.shape} of {array.dtype}" if isinstance(array, np.ndarray) else "none"
        raise LiftposeError(f"{path}: expected {name} of shape (frames, {shape[0]}, {shape[1]}), found {found}")
    return array.astype(np.float32)
