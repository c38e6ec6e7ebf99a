"""The check of a 2D file, ``data_2d_<name>_<keypoints>.npz``, against the poses of the data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from liftpose.data.inspection import Finding, has_another_rate, inspect_keypoints, normalisation_of
from liftpose.data.misfits import DETECTION_LIMIT, judge
from liftpose.data.reprojection import PersonViews, Reprojection, median, reproject
from liftpose.errors import LiftposeError
from liftpose.formats.check.arrays import Takes2D, takes_2d
from liftpose.formats.check.expected import missing_in_other
from liftpose.formats.check.poses_file import FRAMES_PER_TAKE, PosesSummary, is_relative
from liftpose.formats.check.report import FileReport, camera_words, count_words, list_words, size_words
from liftpose.formats.dataset_info import DatasetInfo
from liftpose.formats.keypoint_layouts import KEYPOINT_LAYOUTS, keypoint_skeleton_of
from liftpose.formats.npz import read_npz
from liftpose.geometry import Camera
from liftpose.skeletons import H36M_16, H36M_17, Skeleton, adapt, adapter_targets, get_adapter

__all__ = ["check_keypoints_file", "is_exact"]

Float64Array = npt.NDArray[np.float64]

_LIMBS = tuple(
    f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
)
_BETTER = 0.5


def is_exact(keypoints: str) -> bool:
    """Return whether a set of keypoints of this name is the truth, not detections: ``gt`` or ``gt_…``."""
    return keypoints == "gt" or keypoints.startswith("gt_")


def check_keypoints_file(
    path: Path,
    name: str,
    keypoints: str,
    poses: PosesSummary | None,
    info: DatasetInfo | None,
    progress: Callable[[str], None] = lambda _: None,
) -> FileReport:
    """Check a 2D file.

    Args:
        path: ``data_2d_<name>_<keypoints>.npz``.
        name: Name of the data set.
        keypoints: Name of the set of keypoints.
        poses: What was kept of the 3D file, None where there is none.
        info: The description of the data set, None where there is none.
        progress: Called with each person whose keypoints are looked at.

    Returns:
        What was found.
    """
    report = FileReport(path)
    try:
        content = read_npz(path)
    except LiftposeError as error:
        report.failures.append(str(error))
        report.lines.append(f"{keypoints} keypoints of {name}, not readable, {size_words(path)}")
        return report
    expected = info.skeleton if info is not None else H36M_17
    metadata = content.get("metadata")
    try:
        skeleton = keypoint_skeleton_of(path, metadata if isinstance(metadata, dict) else {}, expected)
    except LiftposeError as error:
        report.failures.append(str(error))
        skeleton = expected
    cameras = {person: len(views) for person, views in info.cameras.items()} if info is not None else {}
    read = takes_2d(content.get("positions_2d"), len(skeleton), cameras)
    report.findings += read.findings
    report.lines.append(_describe(path, name, keypoints, read, skeleton))
    if poses is not None and read.names:
        report.findings += missing_in_other(poses.names, read.names)
    for person, takes in read.takes.items():
        progress(f"{path.name}: {person}")
        sizes = [camera.image_size.tolist() for camera in info.cameras.get(person, ())] if info is not None else []
        known = poses.takes.get(person, {}) if poses is not None else {}
        for take, views in takes.items():
            frames = known[take].frames if take in known else None
            for view, points in enumerate(views):
                if points is not None:
                    size = sizes[view] if view < len(sizes) else None
                    report.findings += inspect_keypoints(f"{person}/{take}.{view}", points, frames, size)
    if poses is None:
        report.lines.append("not compared with poses, since there are none of this data set that can be read")
    else:
        _compare(report, read, poses, skeleton, exact=is_exact(keypoints))
    return report


def _describe(path: Path, name: str, keypoints: str, read: Takes2D, skeleton: Skeleton) -> str:
    views = [views for takes in read.takes.values() for views in takes.values()]
    arrays = [view for several in views for view in several if view is not None]
    actions = {take.split(" ")[0] for takes in read.takes.values() for take in takes}
    numbers = sorted({len(several) for several in views})
    normalised = {found.name: None for array in arrays if (found := normalisation_of(array[..., :2])) is not None}
    unit = " or ".join(normalised) or "pixels"
    confidence = ", with confidence" if any(array.shape[2] == 3 for array in arrays) else ""
    people = f"{count_words(len(read.takes), 'subject')} ({list_words(read.takes)})"
    return (
        f"{keypoints} keypoints of {name}: {people}, {count_words(len(views), 'take')} of "
        f"{count_words(len(actions), 'action')}, {camera_words(numbers)}, "
        f"{count_words(sum(map(len, arrays)), 'frame')} in all views, {count_words(len(skeleton), 'joint')} "
        f"({skeleton.name}), {unit}{confidence}, {size_words(path)}"
    )


@dataclass(frozen=True, eq=False)
class _Comparison:
    """What the comparison of a file with the poses has given.

    Args:
        people: Every person's views and their distances from the projections.
        exact: The joints are those of the poses, and the keypoints are said to be true.
    """

    people: list[tuple[PersonViews, Reprojection]]
    exact: bool

    def findings(self) -> list[Finding]:
        """What the distances say."""
        return [finding for person, result in self.people for finding in judge(person, result, exact=self.exact)]

    def medians(self) -> list[float]:
        """Pixels, the median error of every camera over all people."""
        views = max((len(person.keypoints) for person, _ in self.people), default=0)
        medians = []
        for view in range(views):
            errors = [_own(result, view) for person, result in self.people if view < len(person.keypoints)]
            medians.append(median(np.concatenate(errors)) if errors else float("nan"))
        return medians


def _own(result: Reprojection, view: int) -> Float64Array:
    """Distances of a view in its own camera; of a fitted one, those of the fit that is the better in the median."""
    own, free = result.errors[0, view, view].ravel(), result.free[view].ravel()
    finite = [errors[~np.isnan(errors)] for errors in (own, free)]
    candidates = [errors for errors in finite if errors.size]
    return min(candidates, key=np.median) if candidates else np.empty(0)


def _compare(report: FileReport, read: Takes2D, poses: PosesSummary, skeleton: Skeleton, *, exact: bool) -> None:
    """Compare keypoints with poses and say in the report how well they fit."""
    comparison = _comparison(read, poses, skeleton, exact)
    if comparison is None:
        report.lines.append(f"not compared with the poses: {skeleton.name} has too few joints of theirs")
        return
    if not comparison.people:
        report.lines.append(
            "not compared with the poses: no take is in both files, seen by all cameras and not relative to its root"
        )
        return
    findings = comparison.findings()
    other = _other_layout(comparison, findings, read, poses, skeleton)
    if other is not None:
        metadata = f"layout_name of the metadata must be {_layout_name(other[0])}"
        found = f"keypoints that fit as {other[0].name}"
        report.findings.append(Finding("error", "layout", "", f"joints of {skeleton.name}", found, metadata))
        comparison = other[1]
        findings = comparison.findings()
    report.findings += findings
    parts = [f"camera {view} {_pixels(median)}" for view, median in enumerate(comparison.medians())]
    fitted = sum(result.fitted for _, result in comparison.people)
    how = f", cameras of {count_words(fitted, 'subject')} fitted to the keypoints, their intrinsics being unknown"
    report.lines.append(
        f"reprojection error, median in pixels: {', '.join(parts)} (up to {FRAMES_PER_TAKE} frames of each take"
        f"{how if fitted else ''})"
    )


def _pixels(value: float) -> str:
    return "unknown" if np.isnan(value) else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def _layout_name(skeleton: Skeleton) -> str:
    return next((name for name, layout in KEYPOINT_LAYOUTS.items() if layout == skeleton), skeleton.name)


def _other_layout(
    comparison: _Comparison, findings: list[Finding], read: Takes2D, poses: PosesSummary, skeleton: Skeleton
) -> tuple[Skeleton, _Comparison] | None:
    """Find a layout of as many joints in which keypoints fit that do not fit in their own."""
    if not any(finding.level == "error" and finding.kind in {"projection", "affine"} for finding in findings):
        return None
    now = float(np.mean(comparison.medians()))
    for other in (*KEYPOINT_LAYOUTS.values(), H36M_16):
        if other == skeleton or len(other) != len(skeleton):
            continue
        attempt = _comparison(read, poses, other, exact=comparison.exact)
        if attempt is None:
            continue
        limit = DETECTION_LIMIT * float(np.mean([result.heights.mean() for _, result in attempt.people]))
        if float(np.mean(attempt.medians())) < min(limit, _BETTER * now):
            return other, attempt
    return None


def _comparison(read: Takes2D, poses: PosesSummary, skeleton: Skeleton, exact: bool) -> _Comparison | None:
    info = poses.info
    shared = _shared_joints(info.skeleton, skeleton)
    if shared is None:
        return None
    joints, bring = shared
    people = []
    for subject, takes in read.takes.items():
        cameras = info.cameras.get(subject, ())
        gathered = _gather(subject, takes, poses, cameras, joints, bring)
        if gathered is not None:
            person = PersonViews(mirror=_mirror(skeleton, joints), **gathered)
            people.append((person, reproject(person, cameras)))
    return _Comparison(people, exact and joints == list(range(len(skeleton))))


def _shared_joints(
    poses: Skeleton, keypoints: Skeleton
) -> tuple[list[int], Callable[[Float64Array], Float64Array]] | None:
    """Return the joints of the keypoints that poses have too, and what brings poses into their order."""
    if poses == keypoints or (
        keypoints.name in adapter_targets(poses) and not get_adapter(poses, keypoints).approximate
    ):
        return list(range(len(keypoints))), lambda array: adapt(array, poses, keypoints)
    # Ends and middles of limbs mean the same everywhere; necks and heads do not.
    names = [name for name in _LIMBS if name in poses.joint_names and name in keypoints.joint_names]
    if len(names) < len(_LIMBS) // 2:
        return None
    columns = [poses.index(name) for name in names]
    return [keypoints.index(name) for name in names], lambda array: array[:, columns]


def _mirror(skeleton: Skeleton, joints: list[int]) -> npt.NDArray[np.int64]:
    return np.array([joints.index(skeleton.mirror_index[joint]) for joint in joints])


def _gather(
    subject: str,
    takes: Mapping[str, list[npt.NDArray[Any] | None]],
    poses: PosesSummary,
    cameras: tuple[Camera, ...],
    joints: list[int],
    bring: Callable[[Float64Array], Float64Array],
) -> dict[str, Any] | None:
    """Collect the sampled frames of a person; None where there is nothing to compare."""
    names: list[str] = []
    numbers, world, seen = [], [], []
    for take, views in takes.items():
        known = poses.takes.get(subject, {}).get(take)
        if known is None or len(views) != len(cameras) or is_relative(known.poses, poses.info.skeleton):
            continue
        points = np.full((len(views), len(known.index), len(joints), 2), np.nan)
        for place, (view, camera) in enumerate(zip(views, cameras, strict=True)):
            if view is None or has_another_rate(len(view), known.frames):
                continue  # found and said already
            there = known.index < len(view)
            sampled = view[known.index[there]][:, joints, :2].astype(np.float64)
            normalised = normalisation_of(view[..., :2])
            if normalised is not None:  # found and said already; goes on in pixels
                width, height = camera.image_size.tolist()
                sampled = normalised.pixels(sampled, (width, height))
            points[place, there] = sampled
        numbers.append(np.full(len(known.index), len(names)))
        names.append(take)
        world.append(bring(known.poses))
        seen.append(points)
    if not names:
        return None
    return {
        "subject": subject,
        "takes": tuple(names),
        "take_of": np.concatenate(numbers),
        "poses": np.concatenate(world),
        "keypoints": np.concatenate(seen, axis=1),
    }
