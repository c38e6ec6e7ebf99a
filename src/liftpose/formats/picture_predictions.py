"""Files of poses that were predicted from pictures: one npz file for many pictures, plain arrays and a JSON text."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from liftpose.errors import LiftposeError
from liftpose.formats.npz import read_npz, write_npz
from liftpose.skeletons import Skeleton, get_skeleton

__all__ = ["PicturePredictions", "read_picture_predictions", "write_picture_predictions"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

_FORMAT = "liftpose-picture-predictions"
_FIXED = {"format": _FORMAT, "version": 1, "unit": "m", "frame": "camera, root-relative"}


@dataclass(frozen=True, eq=False)
class PicturePredictions:
    """Poses of N people that were predicted from pictures.

    Args:
        skeleton: Joint order.
        files: (N) names of the pictures' files, as the data set or the user named them.
        boxes: (N, 4) pixels: centre x, centre y, width and height of what the network saw.
        poses_3d: (N, J, 3) metres, camera frame (x right, y down, z forward), relative to the root.
        keypoints_2d: (N, J, 2) pixels of the picture, origin at the centre of the top-left pixel.
        confidence: (N, J) comparable within one network only.
        model: What predicted them: name of the network, checkpoint.
        scale: What the lengths rest on, for people to read: the depth of the root that is known, or a guess.
        subjects: (N) names of the people; empty where they have none.
        actions: (N) names of the takes; empty where there are none.
        views: (N,) index of the camera.
        frames: (N,) number of the frame in the take.
        truth_3d: (N, J, 3) true poses, as ``poses_3d``; None where they are unknown.
    """

    skeleton: Skeleton
    files: tuple[str, ...]
    boxes: FloatArray
    poses_3d: FloatArray
    keypoints_2d: FloatArray
    confidence: FloatArray
    model: str
    scale: str
    subjects: tuple[str, ...]
    actions: tuple[str, ...]
    views: IntArray
    frames: IntArray
    truth_3d: FloatArray | None = None

    def __len__(self) -> int:
        """Number of poses."""
        return len(self.files)

    def take(self, rows: IntArray) -> PicturePredictions:
        """Return some of the poses.

        Args:
            rows: (M,) their numbers.
        """
        columns: dict[str, Any] = {name: getattr(self, name) for name in _shapes(0, 0)}
        chosen: dict[str, Any] = {name: None if array is None else array[rows] for name, array in columns.items()}
        for name in _NAMES:
            chosen[name] = tuple(getattr(self, name)[row] for row in rows)
        return replace(self, **chosen)


def _shapes(rows: int, joints: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the numbers in a file."""
    return {
        "boxes": (rows, 4),
        "poses_3d": (rows, joints, 3),
        "keypoints_2d": (rows, joints, 2),
        "confidence": (rows, joints),
        "views": (rows,),
        "frames": (rows,),
        "truth_3d": (rows, joints, 3),
    }


_NAMES = ("files", "subjects", "actions")
_WHOLE = ("views", "frames")


def write_picture_predictions(path: str | os.PathLike[str], predictions: PicturePredictions) -> None:
    """Write predicted poses, all or nothing.

    ``numpy.load(path)`` reads the file without pickle: the arrays of :class:`PicturePredictions` under their names, and
    ``metadata``, a JSON text with skeleton, joint names, parents, unit, frame, model and scale.

    Args:
        path: The file to write.
        predictions: The poses.

    Raises:
        ValueError: A shape is wrong, or a predicted coordinate is not finite.
        LiftposeError: The file cannot be written.
    """
    skeleton = predictions.skeleton
    content: dict[str, Any] = {}
    for name, shape in _shapes(len(predictions), len(skeleton)).items():
        array = getattr(predictions, name)
        if array is None:
            continue
        if array.shape != shape:
            raise ValueError(f"{name}: expected shape {shape}, found {array.shape}")
        if name != "truth_3d" and not np.isfinite(array).all():
            raise ValueError(f"{name}: expected finite numbers, found others")
        content[name] = np.asarray(array, dtype=np.int64 if name in _WHOLE else np.float32)
    for name in _NAMES:
        content[name] = np.array(getattr(predictions, name), dtype=np.str_)
    metadata = _FIXED | {
        "skeleton": skeleton.name,
        "joint_names": list(skeleton.joint_names),
        "parents": list(skeleton.parents),
        "model": predictions.model,
        "scale": predictions.scale,
    }
    write_npz(path, content | {"metadata": np.array(json.dumps(metadata, ensure_ascii=False, allow_nan=False))})


def read_picture_predictions(path: str | os.PathLike[str]) -> PicturePredictions:
    """Read a file of poses that were predicted from pictures.

    Args:
        path: A file written by :func:`write_picture_predictions`.

    Returns:
        Its content.

    Raises:
        LiftposeError: The file is missing or broken, or is no such file.
    """
    content = read_npz(path)
    metadata = _read_metadata(path, content)
    try:
        skeleton = get_skeleton(str(metadata["skeleton"]))
    except LiftposeError as error:
        raise LiftposeError(f"{path}: metadata: {error}") from error
    if list(skeleton.joint_names) != metadata["joint_names"]:
        raise LiftposeError(f"{path}: expected the joints of {skeleton.name}, found {metadata['joint_names']}")
    rows = len(content["files"]) if isinstance(content.get("files"), np.ndarray) and content["files"].ndim else 0
    arrays: dict[str, Any] = {}
    for name, shape in _shapes(rows, len(skeleton)).items():
        array = content.get(name)
        if array is None and name == "truth_3d":
            continue
        kind = "i" if name in _WHOLE else "f"
        if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype.kind != kind:
            found = f"{array.shape} of {array.dtype}" if isinstance(array, np.ndarray) else "none"
            raise LiftposeError(f"{path}: expected {name} of shape {shape}, found {found}")
        if name != "truth_3d" and not np.isfinite(array).all():
            raise LiftposeError(f"{path}: expected finite numbers as {name}, found others")
        arrays[name] = array.astype(np.int64 if kind == "i" else np.float32)
    for name in _NAMES:
        texts = content.get(name)
        if not isinstance(texts, np.ndarray) or texts.shape != (rows,) or texts.dtype.kind != "U":
            raise LiftposeError(f"{path}: expected {rows} {name}, found others")
        arrays[name] = tuple(texts.tolist())
    return PicturePredictions(skeleton=skeleton, model=str(metadata["model"]), scale=str(metadata["scale"]), **arrays)


def _read_metadata(path: str | os.PathLike[str], content: dict[str, Any]) -> dict[str, Any]:
    """Return the description of the file, whose fixed entries are what they have to be."""
    text = content.get("metadata")
    try:
        if not isinstance(text, np.ndarray) or text.shape != () or text.dtype.kind != "U":
            raise ValueError("no text")
        metadata = json.loads(str(text))
    except (ValueError, RecursionError) as error:
        raise LiftposeError(f"{path}: expected a file of poses from pictures, found one of another kind") from error
    if not isinstance(metadata, dict):
        raise LiftposeError(f"{path}: expected a file of poses from pictures, found metadata that are no JSON object")
    for key, fixed in _FIXED.items():
        if metadata.get(key) != fixed:
            raise LiftposeError(f"{path}: metadata: {key}: expected {fixed!r}, found {metadata.get(key)!r}")
    for key in ("skeleton", "joint_names", "model", "scale"):
        if key not in metadata:
            raise LiftposeError(f"{path}: metadata: expected {key}, found none")
    return metadata
