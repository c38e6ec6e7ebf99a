"""Finding the files that a detector has written, one per video, and what their names say."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from liftpose.errors import LiftposeError
from liftpose.formats.archives import Archive, open_archive
from liftpose.formats.detector_files import Detector
from liftpose.geometry import H36M_CAMERA_IDS

__all__ = ["HUMANEVA_CAMERAS", "Video", "canonical_action", "open_videos"]

HUMANEVA_CAMERAS = ("C1", "C2", "C3")
"""Colour cameras of HumanEva as they are part of video names, in the order of every list of cameras."""

_SUBJECT = re.compile(r"S\d+")
_H36M_VIDEO = re.compile(r"(?P<action>.+)\.(?P<camera>\d+)(\.mp4)?\.(npz|h5)")
_HUMANEVA_VIDEO = re.compile(r"(?P<action>.+) \((?P<camera>[^()]+)\)(\.avi)?\.npz")
_ALL = "_ALL"  # videos of all takes in one, which Human3.6M has beside the others
_HOURGLASS = "StackedHourglass"
_OFFICIAL_NAMES = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}


@dataclass(frozen=True)
class Video:
    """A file of keypoints of one video.

    Args:
        where: The file, for messages and, outside an archive, for reading.
        subject: Name of the person, such as ``"S9"``.
        action: Name of the take as the field writes it, such as ``"Photo 1"``.
        view: Index of the camera.
        member: Name in the archive; None outside of one.
    """

    where: str
    subject: str
    action: str
    view: int
    member: str | None = None


def canonical_action(name: str) -> str:
    """Return the field's name of a take.

    Args:
        name: Name of a video without camera and suffix.

    Example:
        >>> canonical_action("TakingPhoto_1")
        'Photo 1'
    """
    for official, short in _OFFICIAL_NAMES.items():
        name = name.replace(official, short)
    return name.replace("_", " ")


@contextmanager
def open_videos(
    source: str | os.PathLike[str], detector: Detector, humaneva: bool
) -> Iterator[tuple[list[Video], Archive | None]]:
    """List the files of a folder or an archive.

    Args:
        source: Folder with a folder for each person (Stacked Hourglass: and in it one for the detector), or for Stacked
            Hourglass a zip or tar archive of such a folder.
        detector: Whose files they are.
        humaneva: The videos are HumanEva's, not Human3.6M's.

    Yields:
        The videos, sorted by person, take and camera, without those of all takes in one; and the archive, None for a
        folder.

    Raises:
        LiftposeError: The source is missing, holds no such files, or has files of unknown people or cameras, of other
            names, or two of one video.
    """
    root = Path(source)
    suffix = ".h5" if detector == "sh" else ".npz"
    if root.is_dir():
        names = [path.relative_to(root).as_posix() for path in root.rglob(f"*{suffix}") if path.is_file()]
        yield _videos(root, names, detector, humaneva, packed=False), None
    elif not root.exists():
        raise LiftposeError(f"{root}: expected a folder with the files of a detector, found nothing of that name")
    elif detector != "sh":
        raise LiftposeError(f"{root}: expected a folder with the files of {detector}, found a file")
    else:
        with open_archive(root) as archive:
            names = [name for name in archive.names if name.endswith(suffix)]
            yield _videos(root, names, detector, humaneva, packed=True), archive


def _videos(root: Path, names: list[str], detector: Detector, humaneva: bool, *, packed: bool) -> list[Video]:
    videos: dict[tuple[str, str, int], Video] = {}
    for name in sorted(names):
        path = PurePosixPath(name)
        if _ALL in path.name or path.name.startswith("."):
            continue
        if detector == "sh" and not path.parent.name.startswith(_HOURGLASS):
            continue  # the archive of the 3D baseline holds poses too
        video = _video(root, path, humaneva, packed)
        key = (video.subject, video.action, video.view)
        if key in videos:
            raise LiftposeError(
                f"{video.where}: expected one file of {video.subject}/{video.action} of this camera, found "
                f"{videos[key].where} too"
            )
        videos[key] = video
    if not videos:
        example = "S1/StackedHourglass/Walking_1.54138969.h5" if detector == "sh" else _example(humaneva)
        raise LiftposeError(f"{root}: expected files such as {example}, found none")
    return [videos[key] for key in sorted(videos, key=lambda key: (int(key[0][1:]), *key))]


def _example(humaneva: bool) -> str:
    return "S1/Walking_1_(C1).avi.npz" if humaneva else "S1/Walking 1.54138969.mp4.npz"


def _video(root: Path, path: PurePosixPath, humaneva: bool, packed: bool) -> Video:
    where = f"{root}: {path}" if packed else str(root / path)
    people = [part for part in path.parts[:-1] if _SUBJECT.fullmatch(part)]
    if len(people) != 1:
        found = path.parent.as_posix() if path.parts[:-1] else "none"
        raise LiftposeError(f"{where}: expected a folder of a person, such as S1, found {found}")
    pattern = _HUMANEVA_VIDEO if humaneva else _H36M_VIDEO
    match = pattern.fullmatch(path.name.replace("_", " ") if humaneva else path.name)
    if match is None:
        raise LiftposeError(f"{where}: expected a name such as {PurePosixPath(_example(humaneva)).name}, found another")
    cameras = HUMANEVA_CAMERAS if humaneva else H36M_CAMERA_IDS
    if match["camera"] not in cameras:
        raise LiftposeError(f"{where}: expected one of the cameras {', '.join(cameras)}, found {match['camera']}")
    view = cameras.index(match["camera"])
    action = match["action"] if humaneva else canonical_action(match["action"])
    return Video(where, people[0], action, view, str(path) if packed else None)
