"""Reader of ASF skeletons and AMC motions (Acclaim, as written by Vicon), with their forward kinematics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from liftpose.errors import LiftposeError
from liftpose.formats.motion_files import Float64Array, axis_rotations, parse_numbers, read_lines

__all__ = ["AMC", "ASF", "Bone", "read_amc", "read_asf"]

_ROOT_CHANNELS = ("TX", "TY", "TZ", "RX", "RY", "RZ")


@dataclass(frozen=True, eq=False)
class Bone:
    """One bone of an ASF file.

    Args:
        name: Its name.
        direction: (3,) unit vector from the near to the far end, in the world frame of the rest pose.
        length: File units.
        axis: (3, 3) rotation from the bone's own axes to the world frame of the rest pose.
        dof: The angles that the motion has for this bone, out of "rx", "ry", "rz", in the order of the motion's
            numbers.
    """

    name: str
    direction: Float64Array
    length: float
    axis: Float64Array
    dof: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ASF:
    """An ASF file: a tree of bones below the node ``root``, in the units and axes of the file.

    Args:
        path: The file, for messages.
        bones: The bones, each after its parent.
        parents: Index into ``names`` of each node's parent: -1 for the root.
        root_order: Order of the six numbers of the root in the motion.
    """

    path: Path
    bones: tuple[Bone, ...]
    parents: tuple[int, ...]
    root_order: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Node names: ``root`` first, then the bones. The point of a bone is its far end."""
        return ("root", *(bone.name for bone in self.bones))

    def index(self, name: str) -> int:
        """Index of the node of that name.

        Raises:
            LiftposeError: There is none.
        """
        if name not in self.names:
            raise LiftposeError(f"{self.path}: expected a bone called {name!r}, found only {', '.join(self.names)}")
        return self.names.index(name)


@dataclass(frozen=True, eq=False)
class AMC:
    """An AMC file on its skeleton.

    Args:
        path: The file, for messages.
        skeleton: The skeleton that it moves.
        motion: For the root and each bone with degrees of freedom: (frames, numbers) file units and degrees, in the
            order of the file.
        frames: Number of frames.
    """

    path: Path
    skeleton: ASF
    motion: Mapping[str, Float64Array]
    frames: int

    def __len__(self) -> int:
        """Number of frames."""
        return self.frames

    @property
    def names(self) -> tuple[str, ...]:
        """Node names, in the order of ``positions``."""
        return self.skeleton.names

    def index(self, name: str) -> int:
        """Index of the node of that name.

        Raises:
            LiftposeError: There is none.
        """
        return self.skeleton.index(name)

    def positions(self) -> Float64Array:
        """Positions of the root and of the far ends of all bones in all frames, by forward kinematics.

        With the bone's axis C and the rotation of the frame ``M = Rz Ry Rx``: ``R = R_parent C M C^T`` and
        ``position = position_parent + R (length * direction)``.

        Returns:
            (frames, nodes, 3) positions, file units and axes, float64.
        """
        skeleton = self.skeleton
        root = dict(zip(skeleton.root_order, self.motion["root"].T, strict=True))
        positions = np.empty((self.frames, len(skeleton.names), 3))
        positions[:, 0] = np.stack([root["TX"], root["TY"], root["TZ"]], axis=-1)
        rotations = [axis_rotations("ZYX", np.stack([root["RZ"], root["RY"], root["RX"]], axis=-1))]
        for node, (bone, parent) in enumerate(zip(skeleton.bones, skeleton.parents[1:], strict=True), start=1):
            rotation = rotations[parent]
            if bone.dof:
                angles = dict(zip(bone.dof, self.motion[bone.name].T, strict=True))
                turned = [axis for axis in ("rz", "ry", "rx") if axis in angles]
                local = axis_rotations(
                    "".join(axis[1].upper() for axis in turned), np.stack([angles[axis] for axis in turned], axis=-1)
                )
                rotation = rotation @ (bone.axis @ local @ bone.axis.T)
            rotations.append(rotation)
            positions[:, node] = positions[:, parent] + rotation @ (bone.length * bone.direction)
        return positions


def read_asf(path: str | Path) -> ASF:
    """Read an ASF skeleton; ``.asf.xz`` is decompressed.

    Args:
        path: The file.

    Returns:
        The skeleton.

    Raises:
        LiftposeError: The file cannot be read or does not follow the format; the message names the line.
    """
    path = Path(path)
    lines = read_lines(path)
    bones: dict[str, Bone] = {}
    links: dict[str, str] = {}
    root_order: tuple[str, ...] = _ROOT_CHANNELS
    section = ""
    fields: dict[str, list[str]] = {}
    started = 0
    for number, line in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0].startswith(":"):
            section = words[0][1:].lower()
        elif section == "units" and words[0] == "angle" and words[1:] != ["deg"]:
            raise LiftposeError(f"{where}: expected angles in deg, found {' '.join(words[1:])}")
        elif section == "root":
            root_order = _parse_root(words, where) or root_order
        elif section == "bonedata":
            if words[0] == "begin":
                fields, started = {}, number
            elif words[0] == "end":
                bone = _make_bone(fields, f"{path}, line {started}")
                bones[bone.name] = bone
            else:
                fields.setdefault(words[0], words[1:])
        elif section == "hierarchy" and words[0] not in {"begin", "end"}:
            links.update(dict.fromkeys(words[1:], words[0]))
    if not bones or not links:
        found = "neither" if not bones and not links else "one of them"
        raise LiftposeError(f"{path}: expected the sections :bonedata and :hierarchy, found {found}")
    return _make_tree(path, bones, links, root_order)


def _parse_root(words: list[str], where: str) -> tuple[str, ...] | None:
    """The order of the root's numbers, where the line of the section says it; a root that is not at 0 is refused."""
    if words[0] == "order":
        order = tuple(word.upper() for word in words[1:])
        if sorted(order) != sorted(_ROOT_CHANNELS):
            raise LiftposeError(
                f"{where}: expected the order of {' '.join(_ROOT_CHANNELS)}, found {' '.join(words[1:])}"
            )
        return order
    if words[0] in {"position", "orientation"} and any(parse_numbers(words[1:], 3, where)):
        raise LiftposeError(f"{where}: expected a root {words[0]} of 0 0 0, found {' '.join(words[1:])}")
    return None


def _make_bone(fields: Mapping[str, list[str]], where: str) -> Bone:
    """A bone from the lines between ``begin`` and ``end``."""
    for key in ("name", "direction", "length", "axis"):
        if not fields.get(key):
            raise LiftposeError(f"{where}: expected a bone with {key}, found only {', '.join(fields) or 'nothing'}")
    axis = fields["axis"]
    order = axis[3].upper() if len(axis) == 4 else ""
    if sorted(order) != ["X", "Y", "Z"]:
        raise LiftposeError(f"{where}: expected 'axis A B C XYZ', found {' '.join(['axis', *axis])!r}")
    dof = tuple(word.lower() for word in fields.get("dof", []))
    if len(set(dof)) != len(dof) or not set(dof) <= {"rx", "ry", "rz"}:
        raise LiftposeError(f"{where}: expected a dof out of rx, ry, rz, found {' '.join(dof)}")
    # "XYZ" turns about x first: its matrix stands on the right.
    angles = np.array(parse_numbers(axis[:3], 3, where))[::-1]
    return Bone(
        name=fields["name"][0],
        direction=np.array(parse_numbers(fields["direction"], 3, where)),
        length=parse_numbers(fields["length"], 1, where)[0],
        axis=axis_rotations(order[::-1], angles),
        dof=dof,
    )


def _make_tree(path: Path, bones: Mapping[str, Bone], links: Mapping[str, str], root_order: tuple[str, ...]) -> ASF:
    """Sort the bones so that each comes after its parent."""
    for child, parent in links.items():
        for name in (child, parent):
            if name not in bones and (name != "root" or name == child):
                raise LiftposeError(f"{path}: expected :hierarchy to name bones of :bonedata, found {name!r}")
    ordered = ["root"]
    for name in ordered:  # grows while it is walked through
        ordered.extend(child for child, parent in links.items() if parent == name)
    missing = [name for name in bones if name not in ordered]
    if missing:
        raise LiftposeError(f"{path}: expected every bone to hang on the root, found {', '.join(missing)} elsewhere")
    parents = (-1, *(ordered.index(links[name]) for name in ordered[1:]))
    return ASF(path, tuple(bones[name] for name in ordered[1:]), parents, root_order)


def read_amc(path: str | Path, skeleton: ASF) -> AMC:
    """Read an AMC motion; ``.amc.xz`` is decompressed.

    Args:
        path: The file.
        skeleton: The skeleton that belongs to it; it says how many numbers each bone has.

    Returns:
        The motion.

    Raises:
        LiftposeError: The file cannot be read, is truncated, or does not fit the skeleton; the message names the line.
    """
    path = Path(path)
    counts = {"root": 6} | {bone.name: len(bone.dof) for bone in skeleton.bones if bone.dof}
    values: dict[str, list[list[float]]] = {name: [] for name in counts}
    frames = 0
    degrees = False
    number = 0
    for number, line in enumerate(read_lines(path), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0].startswith(":"):
            degrees = degrees or words[0].upper() == ":DEGREES"
            continue
        if not degrees:
            raise LiftposeError(
                f"{path}, line {number}: expected :DEGREES before the first frame, found {line.strip()[:40]!r}"
            )
        if len(words) == 1 and words[0].isdecimal():
            _check_complete(values, frames, f"{path}, line {number}")
            frames += 1
            continue
        if words[0] not in counts or not frames or len(values[words[0]]) >= frames:
            raise LiftposeError(
                f"{path}, line {number}: expected one line per bone of {skeleton.path.name} after a frame number, "
                f"found {line.strip()[:40]!r}"
            )
        if len(words) != counts[words[0]] + 1:
            raise LiftposeError(
                f"{path}, line {number}: expected {counts[words[0]]} numbers for {words[0]}, found {len(words) - 1}"
            )
        values[words[0]].append(parse_numbers(words[1:], counts[words[0]], f"{path}, line {number}"))
    if not frames:
        raise LiftposeError(f"{path}: expected frames after :DEGREES, found none")
    _check_complete(values, frames, f"{path}, line {number}")
    motion = {name: np.array(rows) for name, rows in values.items()}
    return AMC(path, skeleton, motion, frames)


def _check_complete(values: Mapping[str, list[list[float]]], frames: int, where: str) -> None:
    """Every bone must have as many lines as there were frames."""
    missing = [name for name, rows in values.items() if len(rows) != frames]
    if missing:
        raise LiftposeError(
            f"{where}: expected frame {frames} to have a line for every bone, found none for {', '.join(missing)}"
        )
