"""Annotated pictures in a file of this package: plain columns that are read in a moment, whatever their number."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from liftpose.data.images import ImageSet
from liftpose.errors import LiftposeError
from liftpose.formats.image_checks import check_image_set, check_picture_folder, check_picture_names
from liftpose.formats.npz import read_npz, write_npz
from liftpose.geometry import Camera
from liftpose.skeletons import get_skeleton

__all__ = ["annotation_file", "read_image_notes", "read_image_set", "write_image_set"]

_FORMAT = "liftpose image set"
_VERSION = 1
_NUMBERS = {"boxes": "f4", "keypoints_2d": "f4", "visible": "f4", "views": "i8", "frames": "i8"}
_OPTIONAL = {"depths": "f4", "root_depths": "f4", "camera_index": "i8", "head_sizes": "f4"}
_WORDS = ("subjects", "actions")


def annotation_file(root: str | os.PathLike[str], name: str) -> Path:
    """Return where the annotations of a set lie in a folder of Human3.6M pictures.

    Args:
        root: The folder, which holds ``images`` too.
        name: Name of the set: ``train``, ``validation``, ``test`` or another one.
    """
    return Path(root) / "annotations" / f"{name}.npz"


def write_image_set(path: str | os.PathLike[str], image_set: ImageSet, notes: Mapping[str, Any] | None = None) -> None:
    """Write annotations of pictures, all or nothing; the pictures themselves stay where they are.

    The file is an npz of plain arrays, which ``numpy.load`` reads without pickle, with a JSON text ``metadata``. The
    folder of the pictures is not in it, so that the two can be moved together.

    Args:
        path: The npz file to write.
        image_set: The annotations; the names of their pictures are relative to a folder.
        notes: What is worth knowing of where they come from, anything that JSON holds.

    Raises:
        LiftposeError: The file cannot be written, or the annotations are such as no reader takes
            (:func:`liftpose.formats.image_checks.check_image_set`).
        TypeError: A note has no form in JSON.
        ValueError: A note is a number that is not finite.
    """
    check_picture_names(str(path), image_set.files)
    check_image_set(str(path), image_set)
    columns: dict[str, npt.NDArray[Any]] = {"files": np.array(image_set.files, dtype=np.str_)}
    metadata: dict[str, Any] = {"format": _FORMAT, "version": _VERSION, "skeleton": image_set.skeleton.name}
    for name, kind in {**_NUMBERS, **_OPTIONAL}.items():
        column = getattr(image_set, name)
        if column is not None:
            columns[name] = np.asarray(column, dtype=kind)
    for name in _WORDS:
        words = sorted(set(getattr(image_set, name)))
        numbers = {word: number for number, word in enumerate(words)}
        metadata[name] = words
        columns[name] = np.array([numbers[word] for word in getattr(image_set, name)], dtype=np.int32)
    if image_set.cameras is not None:
        metadata["cameras"] = [image_set.cameras[number].to_dict() for number in range(len(image_set.cameras))]
        metadata["cameras_in_double"] = image_set.cameras.dtype == torch.float64
    metadata["notes"] = dict(notes or {})
    text = json.dumps(metadata, ensure_ascii=False, allow_nan=False)
    write_npz(path, {**columns, "metadata": np.array(text)})


def read_image_set(path: str | os.PathLike[str], root: str | os.PathLike[str] | None = None) -> ImageSet:
    """Read annotations of pictures that :func:`write_image_set` wrote.

    Args:
        path: The npz file.
        root: Folder that the names of the pictures are relative to; None for the one that holds the file's folder.

    Returns:
        The annotations.

    Raises:
        LiftposeError: There is no such file, it is another one, cut or damaged, its columns do not belong together, it
            holds numbers that nobody can train on, or the folder of the pictures is missing.
    """
    where, folder = str(path), Path(path).parent.parent if root is None else Path(root)
    content = read_npz(path)
    metadata = _metadata(where, content)
    files = content.get("files")
    if not isinstance(files, np.ndarray) or files.ndim != 1 or (files.dtype.kind != "U" and files.size):
        raise LiftposeError(f"{where}: expected the names of the pictures, found none")
    names = tuple(str(name) for name in files.tolist())
    check_picture_names(where, names)
    columns: dict[str, Any] = {name: _column(where, content, name, kind) for name, kind in _NUMBERS.items()}
    columns |= {name: _column(where, content, name, kind) for name, kind in _OPTIONAL.items() if name in content}
    for word in _WORDS:
        columns[word] = _words(where, content, metadata, word)
    if "cameras" in metadata:
        columns["cameras"] = _cameras(where, metadata)
    skeleton = _skeleton(where, metadata)
    try:
        images = ImageSet(root=folder, files=names, skeleton=skeleton, **columns)
    except LiftposeError as error:  # which names the folder, not the file that is wrong
        raise LiftposeError(f"{where}: {str(error).removeprefix(f'{folder}: ')}") from error
    check_image_set(where, images)
    check_picture_folder(where, folder, names)
    return images


def read_image_notes(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what :func:`write_image_set` was told of where the annotations come from.

    Args:
        path: The npz file.

    Raises:
        LiftposeError: There is no such file, it is another one, cut or damaged.
    """
    notes = _metadata(str(path), read_npz(path)).get("notes")
    return notes if isinstance(notes, dict) else {}


def _metadata(where: str, content: Mapping[str, Any]) -> dict[str, Any]:
    text = content.get("metadata")
    try:
        metadata = json.loads(str(text)) if isinstance(text, np.ndarray) and text.shape == () else None
    except (ValueError, RecursionError) as error:
        raise LiftposeError(f"{where}: expected metadata in JSON, found them broken ({error})") from error
    if not isinstance(metadata, dict) or metadata.get("format") != _FORMAT:
        raise LiftposeError(
            f"{where}: expected annotations of pictures (liftpose data h36m-images writes them), found another npz file"
        )
    if metadata.get("version") != _VERSION:
        raise LiftposeError(f"{where}: expected version {_VERSION}, found {metadata.get('version')!r}")
    return metadata


def _skeleton(where: str, metadata: Mapping[str, Any]) -> Any:
    try:
        return get_skeleton(str(metadata.get("skeleton")))
    except LiftposeError as error:
        raise LiftposeError(f"{where}: {error}") from error


def _column(where: str, content: Mapping[str, Any], name: str, kind: str) -> npt.NDArray[Any]:
    column = content.get(name)
    if not isinstance(column, np.ndarray) or column.dtype.str[1:] != kind:
        found = f"{column.dtype}" if isinstance(column, np.ndarray) else "none"
        raise LiftposeError(f"{where}: expected a column {name} of {np.dtype(kind)}, found {found}")
    return column.astype(kind, copy=False)  # a file may have the other order of bytes


def _words(where: str, content: Mapping[str, Any], metadata: Mapping[str, Any], name: str) -> tuple[str, ...]:
    words, column = metadata.get(name), _column(where, content, name, "i4")
    known: Sequence[Any] = words if isinstance(words, list) else ()
    if not all(isinstance(word, str) for word in known) or column.ndim != 1:
        raise LiftposeError(f"{where}: expected names as {name}, found something else")
    if len(column) and not 0 <= int(column.min()) <= int(column.max()) < len(known):
        raise LiftposeError(f"{where}: expected numbers of {len(known)} {name}, found up to {int(column.max())}")
    return tuple(known[number] for number in column.tolist())


def _cameras(where: str, metadata: Mapping[str, Any]) -> Camera:
    listed = metadata["cameras"]
    if not isinstance(listed, list) or not listed:
        raise LiftposeError(f"{where}: expected a list of cameras, found something else")
    dtype = torch.float64 if metadata.get("cameras_in_double") else torch.float32
    cameras = [Camera.from_dict(each, f"{where}: camera {number}", dtype) for number, each in enumerate(listed)]
    try:
        return Camera.stack(cameras)
    except ValueError as error:
        raise LiftposeError(f"{where}: expected cameras of one kind, found: {error}") from error
