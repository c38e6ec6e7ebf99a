"""Files of labels that were made of several views, and of the 2D joints that a network has found in pictures."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from liftpose.data.epipolar_labels import Detections, EpipolarLabels
from liftpose.errors import LiftposeError
from liftpose.formats.npz import read_npz, write_npz
from liftpose.geometry import Camera
from liftpose.skeletons import Skeleton, get_skeleton

__all__ = ["read_detections", "read_label_source", "read_labels", "write_detections", "write_labels"]

_LABELS = "liftpose epipolar labels"
_DETECTIONS = "liftpose 2d joints of pictures"
_VERSION = 1
_COLUMNS = {"keypoints_2d": ("J", 2), "depths": ("J",), "root_depths": (), "weights": ("J",), "residuals": ("J",)}


def write_labels(path: str | os.PathLike[str], labels: EpipolarLabels) -> None:
    """Write labels, all or nothing, to an npz of plain arrays with a JSON text ``metadata``.

    Args:
        path: The npz file to write.
        labels: The labels.

    Raises:
        LiftposeError: The file cannot be written.
    """
    people = sorted(set(labels.subjects))
    numbers = {name: number for number, name in enumerate(people)}
    metadata = {
        "format": _LABELS,
        "version": _VERSION,
        "skeleton": labels.skeleton.name,
        "subjects": people,
        "rigs": {name: [rig[view].to_dict() for view in range(len(rig))] for name, rig in labels.rigs.items()},
        "views": {name: list(views) for name, views in labels.views.items()},
        "report": list(labels.report),
        "source": dict(labels.source),
    }
    write_npz(
        path,
        {
            "files": np.array(labels.files, dtype=np.str_),
            "subjects": np.array([numbers[name] for name in labels.subjects], dtype=np.int32),
            **{name: np.asarray(getattr(labels, name), dtype=np.float32) for name in _COLUMNS},
            "metadata": np.array(json.dumps(metadata, ensure_ascii=False, allow_nan=False)),
        },
    )


def read_labels(path: str | os.PathLike[str]) -> EpipolarLabels:
    """Read labels that :func:`write_labels` wrote.

    Args:
        path: The npz file.

    Returns:
        The labels; their cameras in float32.

    Raises:
        LiftposeError: There is no such file, it is another one, cut or damaged, its columns do not belong together, a
            valid label is not finite, or a picture has several.
    """
    where = str(path)
    content = _content(path, "liftpose data epipolar-labels makes it")
    metadata = _metadata(where, content, _LABELS)
    skeleton = _skeleton(where, metadata)
    files, people = content.get("files"), content.get("subjects")
    if not isinstance(files, np.ndarray) or files.ndim != 1 or (files.dtype.kind != "U" and files.size):
        raise LiftposeError(f"{where}: expected the names of the pictures, found none")
    names = metadata.get("subjects")
    if not isinstance(names, list) or not isinstance(people, np.ndarray) or people.shape != files.shape:
        raise LiftposeError(f"{where}: expected the people of {len(files)} pictures, found others")
    if people.dtype.kind != "i" or (len(people) and not 0 <= int(people.min()) <= int(people.max()) < len(names)):
        raise LiftposeError(f"{where}: expected numbers of {len(names)} people, found others")
    columns = {name: _column(where, content, name, len(files), skeleton) for name in _COLUMNS}
    valid = columns["weights"] > 0
    for name in ("keypoints_2d", "depths"):
        if not np.isfinite(columns[name][valid]).all():
            raise LiftposeError(f"{where}: expected finite {name} of valid labels, found others")
    if not np.isfinite(columns["root_depths"]).all():
        raise LiftposeError(f"{where}: expected finite depths of the roots, found others")
    if not ((columns["weights"] >= 0) & (columns["weights"] <= 1)).all():  # below 0 would teach to be wrong
        raise LiftposeError(f"{where}: expected weights from 0 to 1, found others")
    keys = set(zip(files.tolist(), people.tolist(), strict=True))
    if len(keys) < len(files):
        raise LiftposeError(f"{where}: expected one row of labels per person and picture, found several")
    try:
        rigs = {
            str(name): Camera.stack(
                [Camera.from_dict(camera, f"{where}: camera {number} of {name}") for number, camera in enumerate(rig)]
            )
            for name, rig in dict(metadata["rigs"]).items()
        }
        views = {str(name): tuple(int(view) for view in listed) for name, listed in dict(metadata["views"]).items()}
        report = tuple(str(line) for line in metadata["report"])
        source = {str(name): str(value) for name, value in dict(metadata["source"]).items()}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise LiftposeError(f"{where}: expected the cameras and the source of the labels, found none") from error
    return EpipolarLabels(
        files=tuple(str(name) for name in files.tolist()),
        subjects=tuple(str(names[number]) for number in people.tolist()),
        skeleton=skeleton,
        rigs=rigs,
        views=views,
        report=report,
        source=source,
        **columns,
    )


def read_label_source(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read what labels were made of, and how.

    Args:
        path: A file of :func:`write_labels`.

    Returns:
        Names and values.

    Raises:
        LiftposeError: As :func:`read_labels`.
    """
    return dict(read_labels(path).source)


def write_detections(path: str | os.PathLike[str], detections: Detections) -> None:
    """Write 2D joints, all or nothing.

    Args:
        path: The npz file to write.
        detections: The joints.

    Raises:
        LiftposeError: The file cannot be written.
    """
    metadata = {"format": _DETECTIONS, "version": _VERSION, "skeleton": detections.skeleton.name, "key": detections.key}
    write_npz(
        path,
        {
            **{name: np.asarray(getattr(detections, name), dtype=np.float32) for name in _detected()},
            "metadata": np.array(json.dumps(metadata)),
        },
    )


def read_detections(path: str | os.PathLike[str]) -> Detections:
    """Read 2D joints that :func:`write_detections` wrote.

    Args:
        path: The npz file.

    Returns:
        The joints.

    Raises:
        LiftposeError: There is no such file, it is another one, cut or damaged.
    """
    where = str(path)
    content = _content(path, "it is made with labels")
    metadata = _metadata(where, content, _DETECTIONS)
    skeleton = _skeleton(where, metadata)
    columns = {name: content.get(name) for name in _detected()}
    for name, column in columns.items():
        if not isinstance(column, np.ndarray) or column.dtype != np.float32:
            raise LiftposeError(f"{where}: expected {name} of float32, found others")
    try:
        return Detections(key=str(metadata.get("key")), skeleton=skeleton, **columns)  # type: ignore[arg-type]
    except ValueError as error:
        raise LiftposeError(f"{where}: {error}") from error


def _detected() -> list[str]:
    """Return the names of the columns of detections."""
    return [entry.name for entry in fields(Detections) if entry.name not in {"key", "skeleton"}]


def _content(path: str | os.PathLike[str], hint: str) -> dict[str, Any]:
    try:
        return read_npz(path)
    except LiftposeError as error:
        if "no such file" in str(error):
            raise LiftposeError(f"{error} ({hint})") from error
        raise


def _metadata(where: str, content: Mapping[str, Any], kind: str) -> dict[str, Any]:
    text = content.get("metadata")
    try:
        metadata = json.loads(str(text)) if isinstance(text, np.ndarray) and text.shape == () else None
    except (ValueError, RecursionError) as error:
        raise LiftposeError(f"{where}: expected metadata in JSON, found them broken ({error})") from error
    if not isinstance(metadata, dict) or metadata.get("format") != kind:
        raise LiftposeError(f"{where}: expected a file of {kind.removeprefix('liftpose ')}, found another npz file")
    if metadata.get("version") != _VERSION:
        raise LiftposeError(f"{where}: expected version {_VERSION}, found {metadata.get('version')!r}")
    return metadata


def _skeleton(where: str, metadata: Mapping[str, Any]) -> Skeleton:
    try:
        return get_skeleton(str(metadata.get("skeleton")))
    except LiftposeError as error:
        raise LiftposeError(f"{where}: {error}") from error


def _column(
    where: str, content: Mapping[str, Any], name: str, rows: int, skeleton: Skeleton
) -> npt.NDArray[np.float32]:
    column = content.get(name)
    shape = (rows, *(len(skeleton) if size == "J" else size for size in _COLUMNS[name]))
    if not isinstance(column, np.ndarray) or column.dtype != np.float32 or column.shape != shape:
        found = f"{column.dtype} {column.shape}" if isinstance(column, np.ndarray) else "none"
        raise LiftposeError(f"{where}: expected {name} of float32 and shape {shape}, found {found}")
    return column
