"""What the files of a motion capture folder mean: its description, the presets, and the manifest of the CMU clips."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from liftpose.errors import LiftposeError
from liftpose.formats.mocap_clip import CLIP_KEYS, MocapClip, make_clip, path_inside, subject_name

__all__ = ["DESCRIPTION_NAMES", "MocapCollection", "read_collection"]

DESCRIPTION_NAMES = ("mocap.yaml", "mocap.yml", "mocap.json")
"""Names under which a folder's description is looked for."""

_MANIFEST = "manifest.csv"
_MANIFEST_COLUMNS = (
    "file subject trial activity frames fps format skip skeleton thorax_x thorax_y thorax_z".split()
)  # fmt: skip
_THORAX_NODES = ("Neck", "LeftShoulder", "RightShoulder")
_COLLECTION_KEYS = {"source", "licence", "credit", "same_side", "split", "clips"}


@dataclass(frozen=True)
class MocapCollection:
    """The clips of a folder, and what belongs to all of them.

    Args:
        clips: In the order in which they are converted.
        source: Where the data come from.
        licence: Under which terms.
        credit: The line that users of the data are asked to print.
        same_side: Groups of subjects that must not be split between training, validation and test.
        split: "validation" and "test" -> subjects; all others are for training. None: the split is made by rule.
    """

    clips: tuple[MocapClip, ...]
    source: str = ""
    licence: str = ""
    credit: str = ""
    same_side: tuple[tuple[str, ...], ...] = ()
    split: Mapping[str, tuple[str, ...]] | None = None


def read_collection(directory: str | Path, description: str | Path | None = None) -> MocapCollection:
    """Find out which clips a folder holds and how they are read.

    The description is, in this order: the file that is given; ``mocap.yaml``, ``mocap.yml`` or ``mocap.json`` in the
    folder; a ``manifest.csv`` with the columns of the CMU collection. Its keys are explained in the documentation of
    motion capture.

    Args:
        directory: The folder.
        description: A YAML or JSON file.

    Returns:
        The clips, sorted by subject and file for a YAML or JSON description, in the manifest's order else.

    Raises:
        LiftposeError: There is no folder, no description, or something in it is not as expected.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise LiftposeError(
            f"{directory}: expected a folder with motion capture, found {'a file' if directory.exists() else 'nothing'}"
        )
    found = (
        [Path(description)]
        if description
        else [directory / name for name in DESCRIPTION_NAMES if (directory / name).is_file()]
    )
    if found:
        return _read_description(directory, found[0])
    if (directory / _MANIFEST).is_file():
        return _read_manifest(directory)
    raise LiftposeError(
        f"{directory}: expected a description ({', '.join(DESCRIPTION_NAMES)}), a {_MANIFEST} of the CMU clips, "
        "or --description FILE, found none of them"
    )


def _shipped() -> dict[str, Any]:
    """The presets and what is known about the CMU clips, from the package."""
    content: dict[str, Any] = json.loads(
        resources.files("liftpose.formats").joinpath("mocap_presets.json").read_text(encoding="utf-8")
    )
    return content


def _read_description(directory: Path, path: Path) -> MocapCollection:
    """A collection from a YAML or JSON file."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise LiftposeError(
            f"{path}: expected a readable text file, found: {getattr(error, 'strerror', None) or error}"
        ) from None
    except yaml.YAMLError as error:
        raise LiftposeError(f"{path}: expected YAML or JSON, found: {' '.join(str(error).split())}") from None
    _check_keys(content, _COLLECTION_KEYS, f"{path}")
    rules = content.get("clips")
    if not isinstance(rules, list) or not rules:
        raise LiftposeError(f"{path}, clips: expected a list of at least one rule, found {rules!r}")
    settings: dict[str, dict[str, Any]] = {}
    for number, rule in enumerate(rules):
        where = f"{path}, clips[{number}]"
        _check_keys(rule, CLIP_KEYS, where)
        pattern = rule.get("files")
        if not isinstance(pattern, str) or Path(pattern).is_absolute() or ".." in Path(pattern).parts:
            raise LiftposeError(
                f"{where}, files: expected a pattern such as walks/*.bvh inside the folder, found {pattern!r}"
            )
        files = sorted(file.relative_to(directory).as_posix() for file in directory.glob(pattern) if file.is_file())
        if not files:
            raise LiftposeError(f"{where}, files: expected {pattern!r} to match files in {directory}, found none")
        for file in files:
            settings.setdefault(file, {}).update(_with_preset(rule, where))
    clips = [make_clip(directory, file, values, f"{path}, {file}") for file, values in settings.items()]
    clips.sort(key=lambda clip: (clip.subject, clip.file))
    collection = _make_collection(clips, content, f"{path}")
    _check_same_side(collection, f"{path}, same_side")
    return collection


def _read_manifest(directory: Path) -> MocapCollection:
    """A collection from the manifest of the CMU clips."""
    path = directory / _MANIFEST
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    missing = [column for column in _MANIFEST_COLUMNS if rows and column not in rows[0]]
    if not rows or missing:
        raise LiftposeError(
            f"{path}: expected a table with the columns {', '.join(_MANIFEST_COLUMNS)}, "
            f"found {'no row' if not rows else 'none called ' + ', '.join(missing)}"
        )
    known = _shipped()["cmu_manifest"]
    clips = []
    for line, row in enumerate(rows, start=2):
        where = f"{path}, line {line}"
        if row["format"] not in known["formats"]:
            raise LiftposeError(
                f"{where}, format: expected one of {', '.join(known['formats'])}, found {row['format']!r}"
            )
        try:
            values: dict[str, Any] = {
                "preset": known["formats"][row["format"]],
                "skip": int(row["skip"]),
                "frames": int(row["frames"]),
                "fps": float(row["fps"]),
                "note": row.get("note") or "",
                **{key: row[key] for key in ("subject", "activity", "trial")},
            }
            if row["format"] == "bvh":
                values["offsets"] = {node: [float(row[f"thorax_{axis}"]) for axis in "xyz"] for node in _THORAX_NODES}
        except (TypeError, ValueError) as error:
            raise LiftposeError(
                f"{where}: expected numbers in skip, frames, fps and thorax_x, y, z, found: {error}"
            ) from None
        if row["format"] == "asf/amc":
            values["skeleton"] = row["skeleton"]
        file_name = row["file"] or ""  # None where a row is short
        path_inside(directory, file_name, f"{where}, file")
        clips.append(make_clip(directory, file_name, _with_preset(values, where), where))
    # The pairs are those of the whole collection; a part of it need not have everybody.
    return _make_collection(clips, known, f"{path}")


def _check_keys(content: Any, known: Set[str], where: str) -> None:
    """``content`` must be a mapping with keys out of ``known``."""
    if not isinstance(content, dict):
        raise LiftposeError(
            f"{where}: expected a mapping with keys out of {', '.join(sorted(known))}, found {type(content).__name__}"
        )
    unknown = sorted(str(key) for key in content if key not in known)
    if unknown:
        raise LiftposeError(f"{where}: expected keys out of {', '.join(sorted(known))}, found {', '.join(unknown)}")


def _with_preset(rule: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A rule's settings on top of those of its preset; offsets of both are joined."""
    name = rule.get("preset")
    if name is None:
        return dict(rule)
    presets = _shipped()["presets"]
    if name not in presets:
        raise LiftposeError(f"{where}, preset: expected one of {', '.join(presets)}, found {name!r}")
    merged = {**presets[name], **rule}
    if isinstance(rule.get("offsets"), dict):
        merged["offsets"] = {**presets[name].get("offsets", {}), **rule["offsets"]}
    return merged


def _make_collection(clips: Sequence[MocapClip], content: Mapping[str, Any], where: str) -> MocapCollection:
    """A collection from its clips and the keys that hold for all of them."""
    _check_people(clips, where)
    split = content.get("split")
    sides: dict[str, tuple[str, ...]] | None = None
    if split is not None:
        _check_keys(split, {"validation", "test"}, f"{where}, split")
        sides = {side: _subjects(split.get(side, []), f"{where}, split.{side}") for side in ("validation", "test")}
    groups = content.get("same_side", [])
    if not isinstance(groups, list):
        raise LiftposeError(f"{where}, same_side: expected a list of lists of subjects, found {groups!r}")
    return MocapCollection(
        clips=tuple(clips),
        source=str(content.get("source", "")),
        licence=str(content.get("licence", "")),
        credit=str(content.get("credit", "")),
        same_side=tuple(_subjects(group, f"{where}, same_side") for group in groups),
        split=sides,
    )


def _check_people(clips: Sequence[MocapClip], where: str) -> None:
    """Two people must not become one because their names differ only in what the result leaves out."""
    given: dict[str, str] = {}
    for clip in clips:
        other = given.setdefault(clip.subject, clip.given_subject)
        if other != clip.given_subject:
            raise LiftposeError(
                f"{where}: expected one name for each person, found {other!r} and {clip.given_subject!r}, "
                f"which would both be called {clip.subject}; the key subject of a rule names the person"
            )


def _check_same_side(collection: MocapCollection, where: str) -> None:
    """Everybody in ``same_side`` must have a clip: a name with a slip would part people unseen."""
    people = dict.fromkeys(clip.subject for clip in collection.clips)
    unknown = [person for group in collection.same_side for person in group if person not in people]
    if unknown:
        raise LiftposeError(f"{where}: expected some of {', '.join(people)}, found {', '.join(unknown)}")


def _subjects(value: Any, where: str) -> tuple[str, ...]:
    """A list of subjects, as they are named in the result."""
    if not isinstance(value, list) or not all(isinstance(subject, str) for subject in value):
        raise LiftposeError(f'{where}: expected a list of subjects in quotes, such as ["07", "38"], found {value!r}')
    return tuple(subject_name(subject) for subject in value)
