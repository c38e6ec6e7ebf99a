"""From the files of a detector to the field's 2D file, ``data_2d_<data set>_<name>.npz``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from liftpose.errors import LiftposeError
from liftpose.formats.archives import Archive
from liftpose.formats.detection_videos import HUMANEVA_CAMERAS, Video, open_videos
from liftpose.formats.detector_files import Detector, Filling, fill_missing, read_detector_file
from liftpose.formats.humaneva import humaneva_chunks, humaneva_first_rows
from liftpose.formats.keypoint_layouts import KEYPOINT_LAYOUTS, keypoint_metadata, keypoint_skeleton_of
from liftpose.formats.npz import read_npz, write_npz_objects
from liftpose.formats.prepared import Prepared
from liftpose.geometry import H36M_CAMERA_IDS
from liftpose.skeletons import H36M_17, MPII_16, SKELETONS, Skeleton, adapt, get_adapter, get_skeleton

__all__ = ["convert_detections", "convert_keypoints"]

FloatArray = npt.NDArray[np.float32]
Progress = Callable[[int, int, str], None]
People = dict[str, dict[str, list[FloatArray]]]
Lengths = dict[str, dict[str, int]]

_CORRUPT = ("S11", "Directions")  # its video is broken, and the field leaves the take out
_HUMANEVA = "humaneva"


def convert_detections(
    source: Path,
    out: Path,
    name: str,
    detector: Detector,
    *,
    dataset: str = "h36m",
    layout: str | None = None,
    joints: str | None = None,
    missing: Filling = "repeat",
    confidence: bool = False,
    export: Path | None = None,
    overwrite: bool = False,
    compress: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Make one file of keypoints from the files that a detector has written, one per video.

    Args:
        source: Folder of the files, S1/Walking 1.54138969.mp4.npz and so on; for Stacked Hourglass also its archive.
        out: Folder to write to, where the data set's 3D file lies if there is one: takes and lengths are compared.
        name: Name of the keypoints: the file is data_2d_DATASET_NAME.npz.
        detector: Whose files they are.
        dataset: Data set that the videos are of: h36m, humaneva15 or humaneva20.
        layout: Joint order of the files, such as h36m, coco or mpii; without it, the one that the name contains.
        joints: Joint order to bring them into, such as h36m_16; without it, that of the files.
        missing: How frames in which nobody was found are filled: repeat takes the frame before, interpolate draws lines
            between the frames before and after.
        confidence: Keep the detector's scores as a third channel.
        export: For HumanEva the folder of the MATLAB export, whose frames say which rows of a video belong to a
            recording.
        overwrite: Replace a file of that name.
        compress: Write the file compressed; it is written and read many times faster without.
        progress: Called with the number of files read, their number and the next one's name.

    Returns:
        Counts and the file written.

    Raises:
        LiftposeError: A file or a video is missing, broken, of other joints or shorter than the poses, or an option is
            wrong. Nothing is written then.
    """
    humaneva = dataset.startswith(_HUMANEVA)
    path = _path(out, dataset, name, overwrite)
    if dataset not in {"h36m", "humaneva15", "humaneva20"}:
        raise LiftposeError(f"--dataset: expected h36m, humaneva15 or humaneva20, found {dataset}")
    if humaneva != (export is not None):
        wanted = "the folder of the MATLAB export for HumanEva" if humaneva else "no export for Human3.6M"
        raise LiftposeError(f"--export: expected {wanted}, found {export or 'none'}")
    if confidence and detector == "sh":
        raise LiftposeError("--confidence: expected a detector with scores, found sh, whose files have none")
    stored = _stored_layout(layout, name, detector)
    target = _target(stored, joints)
    chunks = humaneva_chunks(export) if export is not None else {}
    lengths = _lengths(out, dataset)
    lines: list[str] = []
    people: People = {}
    filled = 0
    with open_videos(source, detector, humaneva) as (listed, archive):
        left_out = [video for video in listed if not humaneva and (video.subject, video.action) == _CORRUPT]
        videos = [video for video in listed if video not in left_out]
        _check_cameras(source, videos, HUMANEVA_CAMERAS if humaneva else H36M_CAMERA_IDS)
        for number, video in _in_archive_order(videos, archive):
            if progress is not None:
                progress(number, len(videos), f"{video.subject}/{video.action}.{video.view}")
            found = read_detector_file(video.where, detector, len(stored), _content(video, archive))
            filled += int((~found.found).sum())
            full = fill_missing(found, missing)
            array = full.points
            if confidence:
                if full.confidence is None:
                    raise LiftposeError(f"{video.where}: expected a third channel with scores, found coordinates only")
                array = np.concatenate((array, full.confidence[..., None]), axis=-1)
            array = adapt(array, stored, target)
            for subject, action, run in _recordings(video, array, chunks) if humaneva else [_whole(video, array)]:
                people.setdefault(subject, {}).setdefault(action, [])
                views = people[subject][action]
                views.extend([np.empty(0, np.float32)] * (video.view + 1 - len(views)))
                views[video.view] = run
    if progress is not None:
        progress(len(videos), len(videos), "")
    people = _sorted(people)
    surplus = _check_lengths(str(source), people, lengths)
    lines += _counts(people)
    if filled:
        lines.append(f"{filled:,} frames in which nobody was found, filled ({missing})")
    if left_out:
        lines.append("left out: Directions of S11, whose video is broken")
    lines += _about_lengths(people, lengths, surplus, out, dataset)
    write_npz_objects(path, {"positions_2d": people, "metadata": keypoint_metadata(target)}, compress=compress)
    return Prepared(lines, [path])


def convert_keypoints(
    source: Path,
    out: Path,
    name: str,
    *,
    dataset: str = "h36m",
    joints: str | None = None,
    overwrite: bool = False,
    compress: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Make a file of keypoints in another joint order from one that is ready, such as 16 joints from 17.

    Where the data set's 3D file lies in the folder to write to, or beside the source, every recording is cut to its
    length: programs that read 16 joints (DH-AUG, PoseAug) do not do that themselves.

    Args:
        source: ``data_2d_<dataset>_<keypoints>.npz``.
        out: Folder to write to.
        name: Name of the new keypoints.
        dataset: Name of the data set in the file names.
        joints: Joint order wanted, such as h36m_16.
        overwrite: Replace a file of that name.
        compress: Write the file compressed; it is written and read many times faster without.
        progress: Called with the number of people done, their number and the next one.

    Returns:
        Counts and the file written.

    Raises:
        LiftposeError: The source is missing or broken, or its joints are only approximately those that are wanted; or
            keypoints are shorter than the poses. Nothing is written then.
    """
    if not source.name.startswith(f"data_2d_{dataset}_"):
        raise LiftposeError(f"{source}: expected a file data_2d_{dataset}_….npz (--dataset {dataset}), found another")
    if (out / f"data_2d_{dataset}_{name}.npz").resolve() == source.resolve():
        raise LiftposeError(f"--name: expected another name than that of the source, found {name}")
    path = _path(out, dataset, name, overwrite)
    if joints is None:
        raise LiftposeError(f"{source}: expected --joints with the joint order wanted, such as h36m_16, found none")
    content = read_npz(source)
    metadata, keypoints = content.get("metadata"), content.get("positions_2d")
    if not isinstance(metadata, dict) or not isinstance(keypoints, dict):
        found = ", ".join(content) or "nothing"
        raise LiftposeError(f"{source}: expected dictionaries positions_2d and metadata, found {found}")
    stored = keypoint_skeleton_of(source, metadata, H36M_17)
    target = _target(stored, joints)
    lengths = _lengths(out, dataset) or _lengths(source.parent, dataset)
    people: People = {}
    for number, (subject, takes) in enumerate(keypoints.items()):
        if progress is not None:
            progress(number, len(keypoints), str(subject))
        people[str(subject)] = {}
        for action, views in _items(source, subject, takes):
            arrays = [_checked(f"{source}: {subject}/{action}.{i}", view, stored) for i, view in enumerate(views)]
            people[str(subject)][str(action)] = [adapt(array, stored, target) for array in arrays]
    if progress is not None:
        progress(len(keypoints), len(keypoints), "")
    surplus = _check_lengths(str(source), people, lengths, complete=False)
    for subject, takes in (lengths or {}).items():
        for action, frames in takes.items():
            if action in people.get(subject, {}):
                people[subject][action] = [view[:frames] for view in people[subject][action]]
    lines = [f"{stored.name} -> {target.name}", *_counts(people)]
    lines.append(
        f"{surplus:,} frames beyond the 3D poses were cut"
        if lengths is not None
        else f"lengths were kept: there is no data_3d_{dataset}.npz in {out} to cut them by"
    )
    write_npz_objects(path, {"positions_2d": people, "metadata": keypoint_metadata(target)}, compress=compress)
    return Prepared(lines, [path])


def _path(out: Path, dataset: str, name: str, overwrite: bool) -> Path:
    """The file to write."""
    if not re.fullmatch(r"\w[\w-]*", name, flags=re.ASCII) or name == "gt":
        raise LiftposeError(f"--name: expected letters, digits, - and _, and not gt, found {name!r}")
    path = out / f"data_2d_{dataset}_{name}.npz"
    if path.exists() and not overwrite:
        raise LiftposeError(f"{path}: expected no such file, found one (--overwrite replaces it)")
    return path


def _stored_layout(layout: str | None, name: str, detector: Detector) -> Skeleton:
    """The joint order of the files: as said, Stacked Hourglass's, or as the name of the keypoints says."""
    if layout is not None:
        known = {**SKELETONS, **KEYPOINT_LAYOUTS}
        if layout not in known:
            raise LiftposeError(f"--layout: expected one of {', '.join(known)}, found {layout}")
        return known[layout]
    if detector == "sh":
        return MPII_16  # also after it was trained on Human3.6M
    inside = [known for known in KEYPOINT_LAYOUTS if known in name]
    if len(inside) != 1:
        raise LiftposeError(
            f"--layout: expected the joint order of the files ({', '.join(KEYPOINT_LAYOUTS)}), since the name {name} "
            f"does not contain one of them, found none"
        )
    return KEYPOINT_LAYOUTS[inside[0]]


def _target(stored: Skeleton, joints: str | None) -> Skeleton:
    if joints is None:
        return stored
    try:
        target = KEYPOINT_LAYOUTS[joints] if joints in KEYPOINT_LAYOUTS else get_skeleton(joints)
        adapter = get_adapter(stored, target)
    except LiftposeError as error:
        raise LiftposeError(f"--joints: {error}") from error
    if adapter.approximate:
        made_up = ", ".join(adapter.approximate)
        raise LiftposeError(f"--joints: expected joints that {stored.name} has, found {target.name}, with {made_up}")
    return target


def _check_cameras(source: Path, videos: Iterable[Video], cameras: tuple[str, ...]) -> None:
    seen: dict[tuple[str, str], set[int]] = {}
    for video in videos:
        seen.setdefault((video.subject, video.action), set()).add(video.view)
    for (subject, action), views in seen.items():
        lacking = [camera for view, camera in enumerate(cameras) if view not in views]
        if lacking:
            raise LiftposeError(
                f"{source}: {subject}/{action}: expected files of the cameras {', '.join(cameras)}, found none of "
                f"{', '.join(lacking)}"
            )


def _in_archive_order(videos: list[Video], archive: Archive | None) -> Iterable[tuple[int, Video]]:
    """Number the videos; those of an archive come in its order, in which a compressed one is read in one go."""
    if archive is not None:
        places = {name: place for place, name in enumerate(archive.names)}
        videos = sorted(videos, key=lambda video: places[video.member or ""])
    return enumerate(videos)


def _content(video: Video, archive: Archive | None) -> bytes | None:
    return None if archive is None or video.member is None else archive.read(video.member)


def _whole(video: Video, array: FloatArray) -> tuple[str, str, FloatArray]:
    return video.subject, video.action, array


def _recordings(video: Video, array: FloatArray, chunks: Mapping[str, Any]) -> list[tuple[str, str, FloatArray]]:
    """Cut a video of HumanEva into the runs of frames that its poses have; without any it stays whole, unlabelled."""
    first = humaneva_first_rows(video.subject, video.action)
    result = []
    for split in ("Train", "Validate"):
        for chunk in chunks.get(f"{split}/{video.subject}", {}).get(video.action, ()):
            offset = 0 if first is None else first[video.view] - 1
            run = array[chunk.start + offset : chunk.end + offset]
            if len(run) != chunk.end - chunk.start:
                raise LiftposeError(
                    f"{video.where}: expected the rows {chunk.start + offset} to {chunk.end + offset - 1} of "
                    f"{chunk.action}, found {len(array)} rows"
                )
            subject = f"{split}/{video.subject}"
            result.append((subject if chunk.valid else f"Unlabeled/{subject}", chunk.action, run))
    return result or [(f"Unlabeled/{video.subject}", video.action, array)]


def _sorted(people: People) -> People:
    """Put takes into the order of their names; an archive may have had another."""

    def key(subject: str) -> tuple[str, int]:
        digits = re.search(r"\d+$", subject)
        return subject.rpartition("/")[0], int(digits[0]) if digits else 0

    return {subject: dict(sorted(people[subject].items())) for subject in sorted(people, key=key)}


def _lengths(folder: Path, dataset: str) -> Lengths | None:
    """Number of frames of the poses; None where there is no 3D file."""
    path = folder / f"data_3d_{dataset}.npz"
    if not path.is_file():
        return None
    poses = read_npz(path).get("positions_3d")
    if not isinstance(poses, dict) or not all(isinstance(takes, dict) for takes in poses.values()):
        raise LiftposeError(f"{path}: expected a dictionary positions_3d, found something else")
    return {subject: {action: len(array) for action, array in takes.items()} for subject, takes in poses.items()}


def _check_lengths(source: str, people: People, lengths: Lengths | None, *, complete: bool = True) -> int:
    """Compare keypoints with poses; returns the number of frames of keypoints beyond the poses."""
    surplus = 0
    for subject, takes in (lengths or {}).items():
        if subject not in people:
            continue
        for action, frames in takes.items():
            if action not in people[subject]:
                if complete:
                    raise LiftposeError(f"{source}: expected the take {subject}/{action} of the 3D file, found none")
                continue
            for view, array in enumerate(people[subject][action]):
                if len(array) < frames:
                    raise LiftposeError(
                        f"{source}: {subject}/{action}.{view}: expected keypoints for the {frames} frames of the 3D "
                        f"poses, found {len(array)}"
                    )
                surplus += len(array) - frames
        if complete and (more := [action for action in people[subject] if action not in takes]):
            raise LiftposeError(f"{source}: expected the takes of {subject} in the 3D file, found {more[0]} too")
    return surplus


def _about_lengths(people: People, lengths: Lengths | None, surplus: int, out: Path, dataset: str) -> list[str]:
    if lengths is None:
        return [f"not compared with poses: there is no data_3d_{dataset}.npz in {out}"]
    lines = [f"{surplus:,} frames beyond the 3D poses, which readers leave out"] if surplus else []
    lacking = [subject for subject in lengths if subject not in people]
    return lines + ([f"no keypoints of {', '.join(lacking)}, of whom there are 3D poses"] if lacking else [])


def _counts(people: People) -> list[str]:
    lines = []
    for subject, takes in people.items():
        frames = sum(len(views[0]) for views in takes.values())
        cameras = max((len(views) for views in takes.values()), default=0)
        lines.append(f"{subject}: {len(takes)} takes, {cameras} cameras, {frames:,} frames of the first")
    return lines


def _items(source: Path, subject: Any, takes: Any) -> list[tuple[Any, Any]]:
    if not isinstance(takes, dict) or not all(isinstance(views, list | tuple | np.ndarray) for views in takes.values()):
        raise LiftposeError(f"{source}: {subject}: expected a dictionary of takes with lists of views, found another")
    return list(takes.items())


def _checked(where: str, array: Any, skeleton: Skeleton) -> FloatArray:
    shapes = {(len(skeleton), 2), (len(skeleton), 3)}
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu" or array.shape[1:] not in shapes:
        found = f"{array.shape} of {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise LiftposeError(f"{where}: expected keypoints of shape (frames, {len(skeleton)}, 2 or 3), found {found}")
    return array.astype(np.float32)
