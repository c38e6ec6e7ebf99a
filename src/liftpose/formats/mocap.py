"""From a folder of motion capture to a data set in the Human3.6M layout, filmed by virtual cameras."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from liftpose.data.mocap import (
    BoolArray,
    Float64Array,
    ViewingSpace,
    place,
    project_all,
    resample,
    turn,
    visibility,
    z_up,
)
from liftpose.data.splits import check_split, split_people
from liftpose.errors import LiftposeError
from liftpose.formats.asf_amc import AMC, read_amc, read_asf
from liftpose.formats.bvh import BVH, read_bvh
from liftpose.formats.dataset_info import DatasetInfo
from liftpose.formats.h36m_writer import write_h36m
from liftpose.formats.mocap_clip import MocapClip, Offset, subject_name
from liftpose.formats.mocap_description import MocapCollection, read_collection
from liftpose.formats.mocap_report import ClipReport, MocapReport
from liftpose.geometry import H36M_CAMERA_SUBJECTS, Camera, h36m_cameras
from liftpose.skeletons import H36M_17, H36M_32

__all__ = ["GOLDEN_ANGLE", "convert_mocap", "read_clip"]

GOLDEN_ANGLE = 137.507764
"""Degrees: multiples of it spread evenly over the circle, however many there are."""

_SHORTEST = 2
"""Frames: a shorter run has no velocity."""

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Take:
    """A piece of a clip as the cameras film it: (N, 17, 3) metres and for each camera (N, 17, 2) pixels."""

    action: str
    start: int
    poses: FloatArray
    keypoints: list[FloatArray]
    shift: tuple[float, float]


def read_clip(clip: MocapClip) -> tuple[Float64Array, float]:
    """Read one motion capture file as the 17 joints of Human3.6M.

    Args:
        clip: The file and what is needed to read it.

    Returns:
        (N, 17, 3) metres, world with the axes of the file, and the frames per second.

    Raises:
        LiftposeError: The file is broken, lacks a node, or does not have as many frames as was said.
    """
    motion: BVH | AMC
    if clip.skeleton is None:
        motion = read_bvh(clip.path)
        nodes = motion.positions({name: _corrected(motion, offset) for name, offset in clip.offsets.items()})
        # Frame times are written with few digits: 0.0083333 s is 120 Hz.
        fps = clip.fps or round(1 / motion.frame_time, 2)
    else:
        motion = read_amc(clip.path, read_asf(clip.skeleton))
        nodes = motion.positions()
        if clip.offsets:
            raise LiftposeError(
                f"{clip.path}: expected no offset corrections for an AMC file, found {', '.join(clip.offsets)}"
            )
        if clip.fps is None:
            raise LiftposeError(
                f"{clip.path}: expected fps in the description, since AMC files do not say it, found none"
            )
        fps = clip.fps
    nodes = nodes[clip.skip :]
    if len(nodes) == 0 or clip.frames not in (None, len(nodes)):
        expected = "some" if clip.frames is None else clip.frames
        raise LiftposeError(f"{clip.path}: expected {expected} frames after the first {clip.skip}, found {len(nodes)}")
    joints = [nodes[:, [motion.index(name) for name in names]].mean(axis=1) for names in clip.joints]
    return np.stack(joints, axis=1) * clip.unit, fps


def _corrected(motion: BVH, offset: Offset) -> Sequence[float]:
    """The numbers of an offset correction, file units."""
    if offset.vector is not None:
        return offset.vector
    assert offset.of is not None  # noqa: S101 - an Offset has one of the two
    return [float(x) * offset.times for x in motion.offsets[motion.index(offset.of)]]


def convert_mocap(
    directory: Path,
    out: Path,
    name: str = "mocap",
    *,
    description: Path | None = None,
    cameras: str = "S1",
    fps: float = 50.0,
    heading_step: float = GOLDEN_ANGLE,
    validation: Sequence[str] | None = None,
    test: Sequence[str] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> MocapReport:
    """Turn a folder of BVH or ASF/AMC motion capture into a data set in the Human3.6M layout.

    Every clip becomes 17 joints in metres, z up, at one frame rate. It is turned about the vertical, moved horizontally
    to where all cameras see it, cut into pieces where it travels too far for that, and projected into each camera with
    its lens distortion. Heights are not changed. A frame is cut where no camera sees all joints, or where a joint is
    behind a camera.

    Args:
        directory: Folder with the motion capture files and their description: mocap.yaml, mocap.json, or the
            manifest.csv of the CMU clips.
        out: Folder to write to; made if it does not exist.
        name: Name of the data set: the files are data_3d_NAME.npz, data_2d_NAME_gt.npz and data_3d_NAME.json.
        description: A description file that lies elsewhere.
        cameras: Subject of Human3.6M whose four calibrated cameras film the scene (S1, S5, S6, S7, S8, S9 or S11), or a
            JSON file with a list of cameras in the form of the sidecar.
        fps: Frames per second of the result.
        heading_step: Degrees by which each clip is turned further than the one before, so that people are seen from all
            sides though all were recorded walking up and down one line; 0 leaves headings as recorded.
        validation: Subjects for validation, such as S06. With this or test given, the split of the description does not
            count; all others train.
        test: Subjects for testing.
        progress: Called before each clip with its number from 0, the number of clips, and its file name; and once more
            at the end.

    Returns:
        Numbers of clips, frames, cuts and what was written.

    Raises:
        LiftposeError: Something in the folder, the description or the options is not as expected. Nothing is left
            half-written.
    """
    if not re.fullmatch(r"\w[\w-]*", name, flags=re.ASCII) or name == "h36m":
        raise LiftposeError(f"--name: expected letters, digits, - and _, and not h36m, found {name!r}")
    if not 0 < fps < float("inf"):
        raise LiftposeError(f"--fps: expected a number above 0, found {fps}")
    collection = read_collection(directory, description)
    rig = _load_cameras(cameras)
    chosen = _chosen_split(collection, validation, test)
    space = ViewingSpace(rig)
    report = MocapReport(fps=fps, clips=len(collection.clips))
    poses: dict[str, dict[str, FloatArray]] = {}
    keypoints: dict[str, dict[str, list[FloatArray]]] = {}
    for number, clip in enumerate(collection.clips):
        if progress:
            progress(number, len(collection.clips), clip.file)
        heading = (number * heading_step) % 360
        joints, source_fps = read_clip(clip)
        report.source_frames += len(joints)
        world = turn(resample(z_up(joints, clip.up), source_fps, fps), heading)
        report.frames += len(world)
        report.add_people(world)
        for take in _film(world, clip, space, rig, report):
            if take.action in poses.setdefault(clip.subject, {}):
                raise LiftposeError(
                    f"{clip.path}: expected one clip of {clip.subject} called {take.action!r}, found two"
                )
            poses[clip.subject][take.action] = take.poses
            keypoints.setdefault(clip.subject, {})[take.action] = take.keypoints
            report.pieces.append(
                ClipReport(
                    file=clip.file,
                    subject=clip.subject,
                    action=take.action,
                    start=take.start,
                    frames=len(take.poses),
                    heading=round(heading, 3),
                    shift=take.shift,
                    retargeted=clip.retargeted,
                    note=clip.note,
                )
            )
    if not report.pieces:
        raise LiftposeError(
            f"{directory}: expected frames that a camera sees, found none in {len(collection.clips)} clips "
            f"({report.people_line()})"
        )
    report.splits = chosen or _split_by_rule(collection, report)
    info = _describe(name, collection, rig, report)
    report.files = write_h36m(out, name, poses, {"gt": keypoints}, info)
    if progress:
        progress(len(collection.clips), len(collection.clips), "")
    return report


def _film(
    world: Float64Array, clip: MocapClip, space: ViewingSpace, rig: Camera, report: MocapReport
) -> Iterator[_Take]:
    """Cut, place and project a clip; yields what is kept and counts the rest in ``report``."""
    runs: list[tuple[int, FloatArray, list[FloatArray], tuple[float, float]]] = []
    pieces = place(world, space)
    for piece in pieces:
        # Pixels belong to the positions that are stored, so these are rounded first.
        moved = (world[piece.start : piece.stop] + np.array([*piece.shift, 0.0])).astype(np.float32)
        pixels, points = project_all(moved.astype(np.float64), rig)
        view = visibility(pixels, points, rig)
        report.invalid += int((~view.valid).sum())
        report.unseen += int((view.valid & ~view.kept).sum())
        for start, stop in _runs(view.kept):
            if stop - start < _SHORTEST:
                report.short += stop - start
                continue
            report.seen += int(view.seen[:, start:stop].sum())
            report.pairs += view.seen[:, start:stop].size
            # A copy: a view would keep the whole clip in memory.
            kept = [view_pixels[start:stop].astype(np.float32) for view_pixels in pixels]
            runs.append((piece.start + start, moved[start:stop].copy(), kept, piece.shift))
    report.whole += len(runs) == 1
    for number, (start, poses, keypoints, shift) in enumerate(runs, start=1):
        part = f".{number}" if len(runs) > 1 else ""
        yield _Take(f"{clip.activity} {clip.trial}{part}", start, poses, keypoints, shift)


def _runs(kept: BoolArray) -> list[tuple[int, int]]:
    """Start and end of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], kept.astype(np.int8), [0]])))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def _load_cameras(cameras: str) -> Camera:
    """The cameras of a subject of Human3.6M, or of a JSON file, in float64, batched."""
    if cameras in H36M_CAMERA_SUBJECTS:
        return h36m_cameras(cameras, dtype=torch.float64)
    path = Path(cameras)
    if not path.is_file():
        raise LiftposeError(
            f"--cameras: expected one of {', '.join(H36M_CAMERA_SUBJECTS)} or a JSON file, found {cameras!r}"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise LiftposeError(f"{path}: expected JSON, found: {error}") from None
    if not isinstance(content, list) or not content:
        raise LiftposeError(f"{path}: expected a list of cameras, found {type(content).__name__}")
    rig = [Camera.from_dict(camera, f"{path}, camera {number}", torch.float64) for number, camera in enumerate(content)]
    try:
        return Camera.stack(rig)
    except ValueError as error:
        raise LiftposeError(f"{path}: {error}") from None


def _chosen_split(
    collection: MocapCollection, validation: Sequence[str] | None, test: Sequence[str] | None
) -> dict[str, list[str]] | None:
    """The split of the options or else of the description, checked; None where neither says anything."""
    people = list(dict.fromkeys(clip.subject for clip in collection.clips))
    if validation is not None or test is not None:
        sides = {
            "validation": [subject_name(s) for s in validation or ()],
            "test": [subject_name(s) for s in test or ()],
        }
    elif collection.split is not None:
        sides = {side: list(subjects) for side, subjects in collection.split.items()}
    else:
        return None
    return check_split(people, sides["validation"], sides["test"], collection.same_side, _training_only(collection))


def _split_by_rule(collection: MocapCollection, report: MocapReport) -> dict[str, list[str]]:
    """The split where nobody chose one."""
    frames = dict.fromkeys((piece.subject for piece in report.pieces), 0)
    for piece in report.pieces:
        frames[piece.subject] += piece.frames
    return split_people(frames, collection.same_side, _training_only(collection))


def _training_only(collection: MocapCollection) -> set[str]:
    """People some of whose motion was put on another body."""
    return {clip.subject for clip in collection.clips if clip.retargeted}


def _describe(name: str, collection: MocapCollection, rig: Camera, report: MocapReport) -> DatasetInfo:
    """The sidecar of the data set."""
    cameras = tuple(rig[view] for view in range(len(rig)))
    people = dict.fromkeys(piece.subject for piece in report.pieces)
    return DatasetInfo(
        name=name,
        skeleton=H36M_17,
        storage_skeleton=H36M_32.name,
        fps=report.fps,
        cameras=dict.fromkeys(people, cameras),
        splits={
            side: tuple(person for person in members if person in people) for side, members in report.splits.items()
        },
        up_axis="z",
        source=collection.source,
        licence=collection.licence,
        notes={
            "credit": collection.credit,
            "joints": "joint centres of the motion capture's body model, not those of Human3.6M",
            "keypoints": "gt: projections of the 3D joints with the distortion of the cameras, pixels",
            "resampling": "cubic (Catmull-Rom) interpolation of joint positions at exact times, no smoothing",
            "same_side": [list(group) for group in collection.same_side],
            "report": report.lines(),
            "recordings": [asdict(piece) for piece in report.pieces],
        },
    )
