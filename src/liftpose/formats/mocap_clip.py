"""One motion capture file and the settings by which it is read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from liftpose.errors import LiftposeError
from liftpose.skeletons import H36M_17

__all__ = ["CLIP_KEYS", "MocapClip", "Offset", "make_clip", "path_inside", "subject_name"]

CLIP_KEYS = frozenset(
    "files name preset subject activity trial unit up fps skip frames joints offsets skeleton retargeted note".split()
)
"""What a rule of a description may say about the files that it holds for."""


@dataclass(frozen=True)
class Offset:
    """A correction of a node's offset in a BVH file.

    Args:
        vector: Three numbers in file units, to use instead of the offset in the file; or, where ``of`` is given, None.
        of: Node whose offset in the file is taken, multiplied by ``times``.
        times: Factor.
    """

    vector: tuple[float, float, float] | None = None
    of: str | None = None
    times: float = 1.0


@dataclass(frozen=True)
class MocapClip:
    """One motion capture file and what is needed to read it.

    Args:
        path: The BVH or AMC file.
        file: Its name relative to the folder.
        subject: The person, as subjects are named in the result.
        given_subject: The person, as the description or the file's name has it.
        activity: One word; the tables of results have one row for each.
        trial: What tells the clips of a person and activity apart.
        unit: Metres in one unit of the file.
        up: Axis of the file that points up: "x", "y" or "z".
        joints: For each of the 17 joints the nodes of which it is the mean.
        fps: Frames per second; None: what the file says.
        skip: Leading frames to leave out.
        frames: Number of frames that must remain; None: any.
        offsets: Corrections of offsets, by node (BVH only).
        skeleton: The ASF file of an AMC file.
        retargeted: The motion was put on another body: for training only.
        note: Anything worth keeping.
    """

    path: Path
    file: str
    subject: str
    given_subject: str
    activity: str
    trial: str
    unit: float
    up: str
    joints: tuple[tuple[str, ...], ...]
    fps: float | None = None
    skip: int = 0
    frames: int | None = None
    offsets: Mapping[str, Offset] = field(default_factory=dict)
    skeleton: Path | None = None
    retargeted: bool = False
    note: str = ""


def subject_name(subject: str) -> str:
    """Name of a person in the result: letters, digits, - and _ only, with an S before a mere number.

    Example:
        >>> subject_name("02"), subject_name("S02"), subject_name("Anna K.")
        ('S02', 'S02', 'AnnaK')
    """
    cleaned = re.sub(r"[^\w-]", "", subject, flags=re.ASCII)
    return f"S{cleaned}" if cleaned.isdecimal() else cleaned


def path_inside(directory: Path, name: str, where: str) -> Path:
    """Path of a file of a collection, which may come from anybody, so that nothing outside its folder is opened.

    Args:
        directory: The folder of the collection.
        name: A path relative to it.
        where: What messages call the place where the path stands.

    Returns:
        The path, links not replaced.

    Raises:
        LiftposeError: The path leads out of the folder, by ``..``, as an absolute path or through a link.
    """
    path = directory / name
    try:
        inside = path.resolve().is_relative_to(directory.resolve())
    except (OSError, RuntimeError, ValueError):  # a loop of links, or a name that no file can have
        inside = False
    if not inside:
        raise LiftposeError(f"{where}: expected a path inside the folder {directory}, found {name!r}")
    return path


def _activity_word(activity: str) -> str:
    """One word from a description of an activity, without what stands in brackets: "modern dance" is "ModernDance"."""
    words = re.findall(r"[A-Za-z0-9]+", re.sub(r"\(.*?\)", "", activity))
    return "".join(word[0].upper() + word[1:] for word in words)


def make_clip(directory: Path, file: str, values: Mapping[str, Any], where: str) -> MocapClip:
    """Make a clip from the settings that hold for it.

    Args:
        directory: The folder of the collection.
        file: The file's name relative to it.
        values: The settings, out of ``CLIP_KEYS``.
        where: What messages call the place where the settings stand.

    Returns:
        The clip.

    Raises:
        LiftposeError: A setting is missing or not a possible value, or a path leads out of the folder.
    """
    path = directory / file
    stem = Path(file).name.removesuffix(".xz")
    stem, kind = Path(stem).stem, Path(stem).suffix.lower()
    if kind not in {".bvh", ".amc"}:
        raise LiftposeError(f"{where}: expected a file called .bvh, .bvh.xz, .amc or .amc.xz, found {file}")
    pattern = values.get("name", "{subject}_{trial}")
    named = _match_name(pattern, stem, where)
    given = {
        key: _text(values[key], f"{where}, {key}") if key in values else named.get(key, "")
        for key in ("subject", "activity", "trial")
    }
    subject = subject_name(given["subject"])
    if not subject:
        raise LiftposeError(
            f"{where}: expected a subject, from the key subject or from a file name like {pattern}, found {file}"
        )
    skeleton, at_skeleton = values.get("skeleton"), f"{where}, skeleton"
    if kind == ".amc" and not skeleton:
        raise LiftposeError(f"{at_skeleton}: expected the ASF file of an AMC file, found none")
    return MocapClip(
        path=path,
        file=file,
        subject=subject,
        given_subject=given["subject"],
        activity=_activity_word(given["activity"]) or "Motion",
        trial=re.sub(r"[^\w.-]", "", given["trial"] or stem, flags=re.ASCII) or "1",
        unit=_number(values.get("unit"), "unit: expected the metres in one unit of the file", where),
        up=_one_of(values.get("up", "y"), ("x", "y", "z"), f"{where}, up"),
        joints=_parse_joints(values.get("joints"), f"{where}, joints"),
        fps=None if values.get("fps") is None else _number(values["fps"], "fps: expected frames per second", where),
        skip=_count(values.get("skip", 0), f"{where}, skip"),
        frames=None if values.get("frames") is None else _count(values["frames"], f"{where}, frames"),
        offsets=_parse_offsets(values.get("offsets", {}), f"{where}, offsets"),
        skeleton=path_inside(
            directory, _text(skeleton, at_skeleton).replace("{subject}", given["subject"]), at_skeleton
        )
        if skeleton
        else None,
        retargeted=_flag(values.get("retargeted", False), f"{where}, retargeted"),
        note=str(values.get("note", "")),
    )


def _match_name(pattern: Any, stem: str, where: str) -> dict[str, str]:
    """Subject, activity and trial from a file name; nothing where the pattern does not fit."""
    parts = re.split(r"\{(subject|activity|trial)\}", str(pattern))
    if len(parts) == 1 or len(set(parts[1::2])) != len(parts[1::2]):
        raise LiftposeError(
            f"{where}, name: expected a pattern of {{subject}}, {{activity}} and {{trial}}, each at most once, "
            f"found {pattern!r}"
        )
    expression = "".join(f"(?P<{part}>.+?)" if i % 2 else re.escape(part) for i, part in enumerate(parts))
    match = re.fullmatch(expression, stem)
    return match.groupdict() if match else {}


def _text(value: Any, where: str) -> str:
    """Text: YAML reads 010 as the number 8 and yes as true, and what was written cannot be had back."""
    if not isinstance(value, str):
        raise LiftposeError(
            f'{where}: expected text, in quotes where it may be read as something else ("07"), found {value!r}'
        )
    return value


def _number(value: Any, expected: str, where: str) -> float:
    """A number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise LiftposeError(f"{where}, {expected}, a number above 0, found {value!r}")
    return float(value)


def _count(value: Any, where: str) -> int:
    """A whole number from 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise LiftposeError(f"{where}: expected a whole number from 0, found {value!r}")
    return value


def _flag(value: Any, where: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise LiftposeError(f"{where}: expected true or false, found {value!r}")
    return value


def _one_of(value: Any, known: Sequence[str], where: str) -> str:
    """A word out of ``known``."""
    if value not in known:
        raise LiftposeError(f"{where}: expected one of {', '.join(known)}, found {value!r}")
    return str(value)


def _parse_joints(value: Any, where: str) -> tuple[tuple[str, ...], ...]:
    """The nodes of each of the 17 joints, in their order."""
    names = H36M_17.joint_names
    if not isinstance(value, dict) or set(value) != set(names):
        wrong = sorted(set(names) ^ set(map(str, value))) if isinstance(value, dict) else [repr(value)]
        raise LiftposeError(
            f"{where}: expected nodes for each of {', '.join(names)}, found missing or unknown: {', '.join(wrong)}"
        )
    joints = tuple(
        (nodes,) if isinstance(nodes, str) else tuple(nodes) if isinstance(nodes, list) else ()
        for nodes in map(value.get, names)
    )
    for name, nodes in zip(names, joints, strict=True):
        if not nodes or not all(isinstance(node, str) for node in nodes):
            raise LiftposeError(
                f"{where}.{name}: expected the name of a node or a list of names, found {value[name]!r}"
            )
    return joints


def _parse_offsets(value: Any, where: str) -> dict[str, Offset]:
    """Corrections of offsets, by node."""
    offsets = {}
    for node, offset in value.items() if isinstance(value, dict) else [("", value)]:
        if isinstance(offset, list) and len(offset) == 3 and all(isinstance(x, int | float) for x in offset):
            offsets[str(node)] = Offset(vector=(float(offset[0]), float(offset[1]), float(offset[2])))
        elif isinstance(offset, dict) and set(offset) == {"of", "times"} and isinstance(offset["times"], int | float):
            offsets[str(node)] = Offset(of=str(offset["of"]), times=float(offset["times"]))
        else:
            raise LiftposeError(f"{where}.{node}: expected [x, y, z] or {{of: NODE, times: NUMBER}}, found {offset!r}")
    return offsets
