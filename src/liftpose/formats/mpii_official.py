"""MPII Human Pose as its authors release it: ``mpii_human_pose_v1_u12_1.mat``.

Source: M. Andriluka, L. Pishchulin, P. Gehler, B. Schiele, "2D Human Pose Estimation: New Benchmark and State of the
Art Analysis", CVPR 2014. The release divides its pictures into those with public joints and the official test; how the
field divides the former into training and validation is a list of names that is not part of it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from liftpose.errors import LiftposeError
from liftpose.formats.image_checks import check_picture_names
from liftpose.formats.matlab import read_matlab
from liftpose.formats.mpii_writer import MPIIPeople
from liftpose.skeletons import MPII_16

__all__ = ["OfficialMPII", "read_official_mpii", "split_by_names", "split_by_share"]

_JOINTS = len(MPII_16)
_DIGITS = 8  # bytes of a hash that decide about a picture


class OfficialMPII(NamedTuple):
    """What a release holds.

    Args:
        people: Everybody with public joints.
        videos: (N) for everybody, the video that the picture is from, or the picture's name where that is not said.
        pictures: Names of all pictures that have or could have public joints.
        test_pictures: Number of the official test's pictures, which have none.
        skipped: Number of annotated people without joints, centre, scale or the box of a head.
    """

    people: MPIIPeople
    videos: list[str]
    pictures: frozenset[str]
    test_pictures: int
    skipped: int


class _Odd(Exception):
    """Something in the file that is not as it should be; says what was expected and found."""


def read_official_mpii(path: str | os.PathLike[str], separated: bool = False) -> OfficialMPII:
    """Read everybody with public joints.

    Args:
        path: The release, a MATLAB file of version 5 to 7.
        separated: Only people who stand apart from others, as the release lists them.

    Returns:
        The people in the order of the release.

    Raises:
        LiftposeError: There is no such file, it is cut or damaged, or it is not that release.
    """
    where = str(path)
    release = read_matlab(path, ["RELEASE"], structures=True)["RELEASE"]
    rows: list[tuple[Any, ...]] = []
    pictures: list[str] = []
    tested = skipped = number = 0
    try:
        content = _one(release, "RELEASE")
        pictures_list = _structs(_get(content, "annolist"), "annolist")
        trained = _vector(_get(content, "img_train"), "img_train", len(pictures_list))
        apart = _apart(content, len(pictures_list)) if separated else None
        for number, entry in enumerate(pictures_list):
            if not trained[number]:
                tested += 1
                continue
            name = _get(_one(_get(entry, "image"), "image"), "name")
            if not isinstance(name, str):
                raise _Odd("a picture's name", name)
            pictures.append(name)
            video = _number(entry.get("vididx"))
            group = name if video is None else f"video {video:g}"
            for person, annotation in enumerate(_structs(_get(entry, "annorect"), "annorect")):
                if apart is not None and person + 1 not in apart[number]:
                    continue
                row = _person(annotation)
                if row is None:
                    skipped += 1
                else:
                    rows.append((name, group, *row))
    except _Odd as error:
        expected, found = error.args
        raise LiftposeError(
            f"{where}: expected {expected} in picture {number + 1} of RELEASE, found {_kind(found)}"
        ) from error
    check_picture_names(where, pictures)
    if not rows:
        raise LiftposeError(f"{where}: expected people with joints, found none")
    files, videos, joints, annotated, centers, scales, heads = zip(*rows, strict=True)
    people = MPIIPeople(
        list(files), np.stack(joints), np.stack(annotated), np.array(centers), np.array(scales), np.array(heads)
    )
    return OfficialMPII(people, list(videos), frozenset(pictures), tested, skipped)


def split_by_names(where: str, release: OfficialMPII, names: Collection[str]) -> npt.NDArray[np.bool_]:
    """Return who is in pictures of a list.

    Args:
        where: What holds the list, for messages.
        release: What was read.
        names: Names of pictures.

    Returns:
        (N,) bool.

    Raises:
        LiftposeError: A name is not that of a picture with public joints, or nobody or everybody is in these.
    """
    unknown = sorted(set(names) - release.pictures)
    if unknown:
        raise LiftposeError(
            f"{where}: expected names of pictures of the release that are not in its test, found {unknown[0]!r} "
            f"and {len(unknown) - 1} other unknown ones"
        )
    chosen = set(names)
    return _checked(where, np.array([name in chosen for name in release.people.files]))


def split_by_share(where: str, release: OfficialMPII, share: float) -> npt.NDArray[np.bool_]:
    """Return who is validated on where there is no list: the same on every machine, and whole videos.

    Args:
        where: What says the share, for messages.
        release: What was read.
        share: About which part of the videos, above 0 and below 1.

    Returns:
        (N,) bool.

    Raises:
        LiftposeError: The share is no such number, or leaves nobody on one of the sides.
    """
    if not 0 < share < 1:
        raise LiftposeError(f"{where}: expected a share above 0 and below 1, found {share:g}")
    limit = share * 256**_DIGITS
    groups = {group: _hash(group) < limit for group in release.videos}
    return _checked(where, np.array([groups[group] for group in release.videos]))


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:_DIGITS], "big")


def _checked(where: str, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    if chosen.all() or not chosen.any():
        raise LiftposeError(
            f"{where}: expected people to train on and others to validate on, found {int(chosen.sum())} of "
            f"{len(chosen)} to validate on"
        )
    return chosen


def _person(annotation: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Return joints (16, 2), whether each is annotated, centre, scale and head box; pixels count from 0."""
    points = annotation.get("annopoints")
    place = annotation.get("objpos")
    scale = _number(annotation.get("scale"))
    corners = [_number(annotation.get(name)) for name in ("x1", "y1", "x2", "y2")]
    if _empty(points) or _empty(place) or scale is None or scale <= 0 or None in corners:
        return None
    center = [_number(_get(_one(place, "objpos"), axis)) for axis in ("x", "y")]
    head = np.array(corners, dtype=np.float64).reshape(2, 2) - 1
    joints, annotated = np.zeros((_JOINTS, 2)), np.zeros(_JOINTS, dtype=bool)
    for point in _structs(_get(_one(points, "annopoints"), "point"), "point"):
        joint, x, y = (_number(_get(point, name)) for name in ("id", "x", "y"))
        if joint is None or joint not in range(_JOINTS):
            raise _Odd(f"ids of joints from 0 to {_JOINTS - 1}", joint)
        if x is not None and y is not None:
            joints[int(joint)], annotated[int(joint)] = (x - 1, y - 1), True
    if not annotated.any() or None in center or not (head[0] != head[1]).any():
        return None
    return joints, annotated, np.array(center, dtype=np.float64) - 1, scale, head


def _apart(content: Mapping[str, Any], count: int) -> list[set[float]]:
    """Return, for every picture, the numbers of the people who stand apart, from 1."""
    cells = _get(content, "single_person")
    if not isinstance(cells, np.ndarray) or cells.dtype != object or cells.size != count:
        raise _Odd(f"single_person of {count} cells", cells)
    apart: list[set[float]] = []
    for cell in cells.ravel():
        if not isinstance(cell, np.ndarray) or cell.dtype.kind not in "fiu":
            raise _Odd("numbers in single_person", cell)
        apart.append(set(cell.ravel().tolist()))
    return apart


def _get(content: Mapping[str, Any], name: str) -> Any:
    if name not in content:
        raise _Odd(f"a field {name}", content)
    return content[name]


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, np.ndarray) and not value.size)


def _structs(value: Any, name: str) -> list[Mapping[str, Any]]:
    """Return an array of structures as a list; an empty array of any kind has none."""
    found = value.ravel().tolist() if isinstance(value, np.ndarray) else [value]
    if not all(isinstance(each, dict) for each in found):
        raise _Odd(f"structures as {name}", value)
    return found


def _one(value: Any, name: str) -> Mapping[str, Any]:
    found = _structs(value, name)
    if len(found) != 1:
        raise _Odd(f"one structure as {name}", value)
    return found[0]


def _vector(value: Any, name: str, count: int) -> npt.NDArray[Any]:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu" or value.size != count:
        raise _Odd(f"{count} numbers as {name}", value)
    return value.ravel()


def _number(value: Any) -> float | None:
    """Return a single finite number; None for an empty array and for what is not there."""
    if _empty(value):
        return None
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu" or value.size != 1:
        raise _Odd("a number", value)
    number = float(value.item())
    if not np.isfinite(number):
        raise _Odd("a finite number", number)
    return number


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    if isinstance(value, Mapping):
        return f"the fields {', '.join(list(value)[:10]) or 'of nothing'}"
    return f"{value!r}"[:80] if isinstance(value, (str, int, float)) else f"a {type(value).__name__}"
