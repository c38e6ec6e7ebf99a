"""Reader of BVH motion capture files, with their forward kinematics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from liftpose.errors import LiftposeError
from liftpose.formats.motion_files import Float64Array, axis_rotations, parse_number, parse_numbers, read_lines

__all__ = ["BVH", "read_bvh"]

_AXES = "XYZ"


@dataclass(frozen=True, eq=False)
class BVH:
    """A BVH file: a tree of nodes and their motion, in the units and axes of the file.

    Args:
        path: The file, for messages.
        names: One name per node, in the order of the file. The end site below the joint ``Head`` is called
            ``Head/end``.
        parents: Index of each node's parent, -1 for a root.
        offsets: (nodes, 3) position of each node in its parent's frame at rest, file units.
        channels: For each node the names of its channels in the order of the file, such as ``("Zrotation", "Xrotation",
            "Yrotation")``; empty for end sites.
        frame_time: Seconds from one frame to the next, as the file says.
        motion: (frames, channels) numbers of the motion: file units for positions, degrees for rotations.
    """

    path: Path
    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Float64Array
    channels: tuple[tuple[str, ...], ...]
    frame_time: float
    motion: Float64Array

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.motion)

    def index(self, name: str) -> int:
        """Index of the node of that name.

        Args:
            name: A joint, or ``<joint>/end`` for the end site below it.

        Returns:
            Its index in ``names``.

        Raises:
            LiftposeError: No node, or more than one, has the name.
        """
        count = self.names.count(name)
        if count != 1:
            known = (
                f"two or more of them (the file has {len(self.names)} nodes)"
                if count
                else f"only {', '.join(self.names)}"
            )
            raise LiftposeError(f"{self.path}: expected one node called {name!r}, found {known}")
        return self.names.index(name)

    def positions(self, offsets: Mapping[str, Sequence[float]] | None = None) -> Float64Array:
        """Positions of all nodes in all frames, by forward kinematics.

        For a node with parent p: ``position = position_p + R_p offset`` and ``R = R_p R_local``, where ``R_local`` is
            the product of the
        rotations about the axes in the order in which the channels are listed. Position channels take the place of the
        offset (of that axis), which is how a root is placed; files that give such channels to other joints too mean the
        same.

        Args:
            offsets: Offsets to use instead of those of the file, by node name, file units.

        Returns:
            (frames, nodes, 3) positions, file units and axes, float64.

        Raises:
            LiftposeError: ``offsets`` names a node that is not in the file.
        """
        rest = self.offsets.copy()
        for name, offset in (offsets or {}).items():
            rest[self.index(name)] = offset
        frames = len(self.motion)
        positions = np.empty((frames, len(self.names), 3))
        rotations: list[Float64Array] = []
        first = 0
        for node, (parent, channels) in enumerate(zip(self.parents, self.channels, strict=True)):
            columns = {channel: first + i for i, channel in enumerate(channels)}
            first += len(channels)
            local = np.broadcast_to(rest[node], (frames, 3)).copy()
            for axis, letter in enumerate(_AXES):
                if f"{letter}position" in columns:
                    local[:, axis] = self.motion[:, columns[f"{letter}position"]]
            turns = [channel for channel in channels if channel.endswith("rotation")]
            angles = self.motion[:, [columns[channel] for channel in turns]]
            rotation = axis_rotations("".join(channel[0] for channel in turns), angles)
            if parent < 0:
                positions[:, node] = local
            else:
                positions[:, node] = positions[:, parent] + np.einsum("fij,fj->fi", rotations[parent], local)
                rotation = rotations[parent] @ rotation if turns else rotations[parent]
            rotations.append(rotation)
        return positions


class _Lines:
    """The lines of a file that are not empty, one after the other, with their numbers for messages."""

    def __init__(self, path: Path, lines: Sequence[str]) -> None:
        self.path = path
        self.rows = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
        self.at = 0

    @property
    def where(self) -> str:
        """File and line of the row that was read last."""
        return f"{self.path}, line {self.rows[max(self.at - 1, 0)][0]}" if self.rows else f"{self.path}"

    def next(self, expected: str) -> list[str]:
        """The words of the next row; the end of the file is an error that says what was ``expected``."""
        if self.at >= len(self.rows):
            raise LiftposeError(f"{self.where}: expected {expected}, found the end of the file")
        self.at += 1
        return self.rows[self.at - 1][1].split()

    def keyword(self, word: str) -> list[str]:
        """The words after ``word``, with which the next row must begin (in upper or lower case)."""
        found = self.next(word)
        if found[0].upper() != word.upper():
            raise LiftposeError(f"{self.where}: expected {word}, found {' '.join(found)[:40]!r}")
        return found[1:]


def read_bvh(path: str | Path) -> BVH:
    """Read a BVH file: any hierarchy, any order of channels, LF or CR LF; ``.bvh.xz`` is decompressed.

    The grammar is that of the Biovision format: ``HIERARCHY`` with ``ROOT``, ``JOINT`` and ``End Site`` blocks, then
    ``MOTION`` with one line of numbers per frame.

    Args:
        path: The file.

    Returns:
        The tree and its motion.

    Raises:
        LiftposeError: The file cannot be read, is truncated, or does not follow the grammar; the message names the
            line.
    """
    path = Path(path)
    lines = _Lines(path, read_lines(path))
    names, parents, offsets, channels = _read_hierarchy(lines)
    total = sum(map(len, channels))
    frame_time, motion = _read_motion(lines, total)
    return BVH(path, tuple(names), tuple(parents), np.array(offsets), tuple(channels), frame_time, motion)


def _read_hierarchy(lines: _Lines) -> tuple[list[str], list[int], list[list[float]], list[tuple[str, ...]]]:
    """Names, parents, offsets and channels of all nodes, from ``HIERARCHY`` to the line before ``MOTION``."""
    lines.keyword("HIERARCHY")
    names: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    channels: list[tuple[str, ...]] = []
    stack: list[int] = []
    while True:
        words = lines.next("MOTION")
        word = words[0].upper()
        if word == "MOTION" and not stack and names:
            return names, parents, offsets, channels
        if word == "}" and stack:
            stack.pop()
        elif word in {"ROOT", "JOINT"} and (word == "ROOT") == (not stack):
            # A name may hold spaces, since it is all that stands on its line.
            _open_node(lines, " ".join(words[1:]), names, parents, stack)
            offsets.append(parse_numbers(lines.keyword("OFFSET"), 3, lines.where))
            channels.append(_parse_channels(lines.keyword("CHANNELS"), lines.where))
        elif word == "END" and stack:
            _open_node(lines, f"{names[stack[-1]]}/end", names, parents, stack)
            offsets.append(parse_numbers(lines.keyword("OFFSET"), 3, lines.where))
            channels.append(())
        else:
            expected = "JOINT, End Site or }" if stack else "ROOT or MOTION"
            raise LiftposeError(f"{lines.where}: expected {expected}, found {' '.join(words)[:40]!r}")


def _open_node(lines: _Lines, name: str, names: list[str], parents: list[int], stack: list[int]) -> None:
    """Start the block of a node below the one that is open."""
    parents.append(stack[-1] if stack else -1)
    stack.append(len(names))
    names.append(name)
    lines.keyword("{")


def _parse_channels(words: Sequence[str], where: str) -> tuple[str, ...]:
    """The names of a node's channels from ``3 Zrotation Xrotation Yrotation``."""
    known = {f"{axis}{kind}".lower(): f"{axis}{kind}" for axis in _AXES for kind in ("position", "rotation")}
    channels = tuple(known.get(word.lower(), "") for word in words[1:])
    if not words or words[0] != str(len(channels)) or "" in channels:
        found = " ".join(words)[:80]
        raise LiftposeError(f"{where}: expected the number of channels and names such as Zrotation, found {found!r}")
    if len(set(channels)) != len(channels):
        raise LiftposeError(f"{where}: expected different channels, found {' '.join(words)[:80]!r}")
    return channels


def _read_motion(lines: _Lines, total: int) -> tuple[float, Float64Array]:
    """Frame time and numbers, from the line after ``MOTION`` to the end of the file."""
    words = lines.keyword("Frames:")
    frames = int(words[0]) if len(words) == 1 and words[0].isdecimal() else 0
    if frames < 1:
        raise LiftposeError(f"{lines.where}: expected a number of frames above 0, found {' '.join(words)[:40]!r}")
    words = lines.keyword("Frame")
    if len(words) != 2 or words[0].lower() != "time:":
        raise LiftposeError(
            f"{lines.where}: expected 'Frame Time: SECONDS', found {' '.join(['Frame', *words])[:40]!r}"
        )
    frame_time = parse_number(words[1], lines.where)
    if frame_time <= 0:
        raise LiftposeError(f"{lines.where}: expected a frame time above 0 s, found {frame_time}")
    rows = lines.rows[lines.at :]
    if len(rows) != frames:
        last = lines.rows[-1][0]
        raise LiftposeError(f"{lines.path}, line {last}: expected the end of {frames} frames, found {len(rows)} frames")
    motion = np.empty((frames, total))
    for frame, (number, line) in enumerate(rows):
        motion[frame] = _parse_frame(line.split(), total, f"{lines.path}, line {number}")
    return frame_time, motion


def _parse_frame(words: list[str], total: int, where: str) -> Float64Array:
    """The numbers of one frame: numpy reads them at once, and what it cannot read is looked at word by word."""
    if len(words) == total:
        try:
            numbers = np.array(words, dtype=np.float64)
        except ValueError:
            pass
        else:
            if np.isfinite(numbers).all():
                return numbers
    return np.array(parse_numbers(words, total, where))
