"""What the files of a data set do not say themselves (skeleton, frame rate, cameras), in a JSON file beside them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from liftpose.errors import LiftposeError
from liftpose.formats.atomic import write_json
from liftpose.geometry import Camera
from liftpose.skeletons import SKELETONS, Skeleton

__all__ = ["DatasetInfo", "read_dataset_info", "write_dataset_info"]

_FORMAT = "liftpose-dataset"
_VERSION = 1
_UP_AXES = ("x", "y", "z", "-x", "-y", "-z")
_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class DatasetInfo:
    """What the files of a data set do not say themselves.

    Args:
        name: Name of the data set in its file names.
        skeleton: Joint order that a reader gives.
        storage_skeleton: Name of the joint order of the 3D file; ``"h36m_32"`` for the field's 32 slots.
        fps: Frames per second.
        cameras: Subject -> its cameras, unbatched; world to camera in metres. The number may differ between subjects.
        splits: "train", "validation" and "test" -> subjects.
        up_axis: Axis of the world frame that points up, such as ``"z"`` or ``"-y"``.
        source: Where the data come from.
        licence: Under what terms they may be used.
        notes: Anything else that can be written as JSON.
    """

    name: str
    skeleton: Skeleton
    storage_skeleton: str
    fps: float
    cameras: Mapping[str, tuple[Camera, ...]]
    splits: Mapping[str, tuple[str, ...]]
    up_axis: str = "z"
    source: str = ""
    licence: str = ""
    notes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


def read_dataset_info(path: str | os.PathLike[str]) -> DatasetInfo:
    """Read the description of a data set.

    Args:
        path: The file ``data_3d_<name>.json``.

    Returns:
        Its content, cameras in float64.

    Raises:
        LiftposeError: The file is missing or not JSON, or an entry is missing, unknown, of a wrong type or not a
            possible value.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        content = json.loads(text, parse_constant=_refuse_constant)
    except FileNotFoundError as error:
        raise LiftposeError(f"{path}: expected the description of a data set, found no such file") from error
    except OSError as error:
        raise LiftposeError(f"{path}: expected a JSON file, found: {(error.strerror or str(error)).lower()}") from error
    except (ValueError, RecursionError) as error:
        raise LiftposeError(f"{path}: expected a JSON file, found a mistake in it ({error})") from error
    return _Fields(content, str(path)).info()


def write_dataset_info(path: str | os.PathLike[str], info: DatasetInfo) -> None:
    """Write the description of a data set, all or nothing.

    Args:
        path: The file ``data_3d_<name>.json``.
        info: What to write.

    Raises:
        LiftposeError: The file cannot be written, or it would not be read: the description contradicts itself.
    """
    content = {
        "format": _FORMAT,
        "version": _VERSION,
        "name": info.name,
        "skeleton": info.skeleton.name,
        "storage_skeleton": info.storage_skeleton,
        "unit": "m",
        "up_axis": info.up_axis,
        "fps": info.fps,
        "cameras": {subject: [camera.to_dict() for camera in cameras] for subject, cameras in info.cameras.items()},
        "splits": {split: list(subjects) for split, subjects in info.splits.items()},
        "source": info.source,
        "licence": info.licence,
        "notes": dict(info.notes),
    }
    _Fields(content, str(path)).info()
    write_json(path, content)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"the number {name}")


class _Fields:
    """Checks the entries of one description, naming the file in every message."""

    def __init__(self, content: Any, where: str) -> None:
        self.where = where
        if not isinstance(content, dict):
            raise LiftposeError(f"{where}: expected a JSON object, found {_short(content)}")
        self.content = content

    def info(self) -> DatasetInfo:
        self._fixed("format", _FORMAT)
        self._fixed("version", _VERSION)
        self._fixed("unit", "m")
        skeleton = self._skeleton("skeleton")
        cameras = self._cameras()
        info = DatasetInfo(
            name=self._text("name"),
            skeleton=skeleton,
            storage_skeleton=self._skeleton("storage_skeleton").name,
            fps=self._fps(),
            cameras=cameras,
            splits=self._splits(cameras),
            up_axis=self._one_of("up_axis", _UP_AXES),
            source=self._text("source"),
            licence=self._text("licence"),
            notes=self._notes(),
        )
        known = {
            "format",
            "version",
            "name",
            "skeleton",
            "storage_skeleton",
            "unit",
            "up_axis",
            "fps",
            "cameras",
            "splits",
        }
        unknown = sorted(set(self.content) - known - {"source", "licence", "notes"})
        if unknown:
            raise LiftposeError(
                f"{self.where}: expected what is not foreseen under notes, found the entry {unknown[0]!r}"
            )
        return info

    def _value(self, key: str) -> Any:
        if key not in self.content:
            raise LiftposeError(f"{self.where}: expected an entry {key!r}, found none")
        return self.content[key]

    def _wrong(self, key: str, expected: str, found: Any) -> LiftposeError:
        return LiftposeError(f"{self.where}: {key}: expected {expected}, found {_short(found)}")

    def _typed(self, key: str, kind: type, words: str) -> Any:
        value = self._value(key)
        if not isinstance(value, kind):
            raise self._wrong(key, words, value)
        return value

    def _text(self, key: str) -> str:
        return str(self._typed(key, str, "text"))

    def _fixed(self, key: str, expected: str | int) -> None:
        value = self._value(key)
        if type(value) is not type(expected) or value != expected:
            raise self._wrong(key, repr(expected), value)

    def _one_of(self, key: str, choices: tuple[str, ...]) -> str:
        value = self._text(key)
        if value not in choices:
            raise self._wrong(key, f"one of {', '.join(choices)}", value)
        return value

    def _skeleton(self, key: str) -> Skeleton:
        return SKELETONS[self._one_of(key, tuple(SKELETONS))]

    def _fps(self) -> float:
        value = self._value("fps")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise self._wrong("fps", "a number above 0", value)
        return float(value)

    def _cameras(self) -> dict[str, tuple[Camera, ...]]:
        cameras: dict[str, tuple[Camera, ...]] = {}
        for subject, entries in self._typed("cameras", dict, "an object with a list of cameras per subject").items():
            if not isinstance(entries, list) or not entries:
                raise self._wrong(f"cameras of {subject}", "a list of cameras", entries)
            cameras[subject] = tuple(
                Camera.from_dict(entry, f"{self.where}: camera {i} of {subject}", torch.float64)
                for i, entry in enumerate(entries)
            )
        return cameras

    def _notes(self) -> dict[str, Any]:
        notes: dict[str, Any] = self._typed("notes", dict, "an object")
        groups = notes.get("same_side", [])
        named = isinstance(groups, list) and all(isinstance(group, list) for group in groups)
        if not named or not all(isinstance(person, str) for group in groups for person in group):
            raise self._wrong("notes: same_side", "a list of lists of subjects", groups)
        return notes

    def _splits(self, cameras: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
        content = self._typed("splits", dict, "an object with a list of subjects per split")
        if set(content) != set(_SPLITS):
            raise self._wrong("splits", ", ".join(_SPLITS), ", ".join(content))
        for split, subjects in content.items():
            if not isinstance(subjects, list) or not all(isinstance(subject, str) for subject in subjects):
                raise self._wrong(f"splits: {split}", "a list of subjects", subjects)
            missing = [subject for subject in subjects if subject not in cameras]
            if missing:
                raise self._wrong(f"splits: {split}", f"subjects with cameras ({', '.join(cameras)})", missing[0])
        return {split: tuple(content[split]) for split in _SPLITS}


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=repr)
    return text if len(text) <= 80 else f"{text[:77]}..."
