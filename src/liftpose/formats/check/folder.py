"""The check of a folder: every file in it, and those of one data set against each other."""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from liftpose.data.inspection import Finding, Level, inspect_poses
from liftpose.errors import LiftposeError
from liftpose.formats.check.keypoints_file import check_keypoints_file
from liftpose.formats.check.poses_file import PosesSummary, check_poses_file
from liftpose.formats.check.report import FileReport, camera_words, count_words, list_words, size_words
from liftpose.formats.dataset_info import DatasetInfo, read_dataset_info
from liftpose.formats.known_datasets import known_info
from liftpose.formats.npz import read_npz
from liftpose.formats.predictions import read_predictions

__all__ = ["FolderReport", "check_folder"]

_POSES, _KEYPOINTS = "data_3d_", "data_2d_"
_MOST_OTHERS = 10


@dataclass
class FolderReport:
    """What the check of a folder has to say.

    Args:
        files: One report per file, those of a data set together.
    """

    files: list[FileReport] = field(default_factory=list)

    def count(self, level: str) -> int:
        """Number of lines of a level: "error", "warning" or "note"."""
        return sum(found == level for report in self.files for found, _ in report.problems())

    def lines(self) -> list[str]:
        """What every file is, then what is wrong, the worst first, and a line that sums up."""
        lines = [f"{report.path}: {line}" for report in self.files for line in report.lines]
        problems = [problem for report in self.files for problem in report.problems()]
        for level in ("error", "warning", "note"):
            lines += [line for found, line in problems if found == level]
        counts = ", ".join(count_words(self.count(level), level) for level in ("error", "warning", "note"))
        return [*lines, f"{count_words(len(self.files), 'file')}: {counts}"]


def check_folder(
    folder: str | os.PathLike[str], progress: Callable[[int, int, str], None] | None = None
) -> FolderReport:
    """Say what the files of a folder and of the folders in it are, and what is wrong with them.

    Nothing in the folder is changed. A file that cannot be read is one more problem; the others are looked at all the
    same. All frames are looked at, but only some of each take are compared with the projections of the poses. Hidden
    files are left out.

    Args:
        folder: The folder.
        progress: Called with the number of files done, the number of all, and what is being looked at.

    Returns:
        What was found.

    Raises:
        LiftposeError: There is no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing of that name"
        raise LiftposeError(f"{root}: expected a folder with data sets, found {found}")
    report = FolderReport()
    places = _find_files(root, report)
    steps = _Steps(sum(map(len, places.values())), progress)
    with np.errstate(all="ignore"):  # broken numbers are found by looking, not by numpy's warnings
        for paths in places.values():
            report.files += _check_place(paths, steps)
    steps.end()
    return report


def _find_files(root: Path, report: FolderReport) -> dict[Path, list[Path]]:
    """List the files of every folder, those of linked folders once; say which folders and links lead nowhere."""

    def refuse(error: OSError) -> None:
        reason = (error.strerror or str(error)).lower()
        report.files.append(
            FileReport(Path(error.filename), failures=[f"{error.filename}: expected files, found: {reason}"])
        )

    places: dict[Path, list[Path]] = {}
    seen = set()
    for name, folders, files in os.walk(root, onerror=refuse, followlinks=True):
        real = os.path.realpath(name)
        if real in seen:  # a link to a folder above, or a second one to the same
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
        present = []
        for path in (Path(name, file) for file in sorted(files) if not file.startswith(".")):
            if path.is_file():
                present.append(path)
            elif path.is_symlink() and not path.exists():
                level: Level = "error" if path.suffix in {".npz", ".json"} else "warning"
                found, cure = f"a link to {path.readlink()}, which is not there", "bring it back, or remove the link"
                dead = Finding(level, "link", "", "a file or a folder", found, cure)
                report.files.append(FileReport(path, findings=[dead]))
        if present:
            places[Path(name)] = present
    return places


class _Steps:
    """Counts the files that are done."""

    def __init__(self, count: int, show: Callable[[int, int, str], None] | None) -> None:
        self._done, self._count, self._show = 0, count, show

    def say(self, what: str) -> None:
        if self._show is not None:
            self._show(self._done, self._count, what)

    def begin(self, path: Path) -> None:
        self.say(path.name)
        self._done += 1

    def end(self) -> None:
        self._done = self._count
        if self._count:
            self.say("")


def _check_place(paths: Sequence[Path], steps: _Steps) -> list[FileReport]:
    """Check the files of one folder: data set by data set, then the others."""
    named = {
        path.stem.removeprefix(_POSES)
        for path in paths
        if path.name.startswith(_POSES) and path.suffix in {".npz", ".json"}
    }
    reports = []
    rest = list(paths)
    sets: dict[str, list[tuple[Path, str]]] = {name: [] for name in sorted(named)}
    for path in paths:
        if path.name.startswith(_KEYPOINTS) and path.suffix == ".npz":
            name, keypoints = _split_name(path.stem.removeprefix(_KEYPOINTS), named)
            sets.setdefault(name, []).append((path, keypoints))
            rest.remove(path)
    for name, keypoint_paths in sets.items():
        poses: PosesSummary | None = None
        path_3d, sidecar = (_path_of(paths, f"{_POSES}{name}{suffix}") for suffix in (".npz", ".json"))
        if sidecar is not None:
            steps.begin(sidecar)
            reports.append(_check_sidecar(sidecar, alone=path_3d is None))
            rest.remove(sidecar)
        if path_3d is not None:
            steps.begin(path_3d)
            poses, report = check_poses_file(path_3d, name)
            said = reports[-1].failures if sidecar is not None else []
            report.failures = [failure for failure in report.failures if failure not in said]
            reports.append(report)
            rest.remove(path_3d)
        info = poses.info if poses is not None else _description(sidecar, name)
        for path, keypoints in keypoint_paths:
            steps.begin(path)
            report = check_keypoints_file(path, name, keypoints, poses, info, steps.say)
            if path_3d is None:
                cure = "put the 3D file beside it, without which no run can use it"
                expected = f"{_POSES}{name}.npz beside it"
                report.findings.append(Finding("warning", "alone", "", expected, "none", cure))
            reports.append(report)
    return reports + _check_others(rest, steps)


def _path_of(paths: Sequence[Path], name: str) -> Path | None:
    """Return the path with that file name, None where there is none."""
    return next((path for path in paths if path.name == name), None)


def _split_name(stem: str, named: set[str]) -> tuple[str, str]:
    """Split ``<name>_<keypoints>``; the name is that of a 3D file in the folder, or what stands before the ``_``."""
    for name in sorted(named, key=len, reverse=True):
        if stem.startswith(f"{name}_"):
            return name, stem.removeprefix(f"{name}_")
    name, _, keypoints = stem.partition("_")
    return name, keypoints


def _description(sidecar: Path | None, name: str) -> DatasetInfo | None:
    if sidecar is not None:
        try:
            return read_dataset_info(sidecar)
        except LiftposeError:
            return None  # said where the file is checked
    return known_info(name)


def _check_sidecar(path: Path, alone: bool) -> FileReport:
    report = FileReport(path)
    try:
        info = read_dataset_info(path)
    except LiftposeError as error:
        report.failures.append(str(error))
        report.lines.append(f"description of a data set, not readable, {size_words(path)}")
        return report
    cameras = sorted({len(cameras) for cameras in info.cameras.values()})
    splits = "; ".join(f"{split} {list_words(people) or 'nobody'}" for split, people in info.splits.items())
    report.lines.append(
        f"description of {info.name}: {info.skeleton.name}, {info.fps:g} frames per second, {info.up_axis} up, "
        f"{camera_words(cameras)} for {count_words(len(info.cameras), 'subject')}, {splits}"
    )
    if alone:
        cure = "make the data set again, or remove the file"
        report.findings.append(
            Finding("warning", "alone", "", f"{path.stem}.npz beside it", "none: an interrupted conversion", cure)
        )
    return report


def _check_others(paths: Sequence[Path], steps: _Steps) -> list[FileReport]:
    """Check prediction files, and name what is neither that nor part of a data set."""
    reports = []
    unknown = Counter(path.suffix for path in paths if path.suffix != ".npz")
    for path in paths:
        if path.suffix == ".npz":
            steps.begin(path)
            reports.append(_check_npz(path))
    for suffix, count in unknown.items():
        some = [path for path in paths if path.suffix == suffix]
        for path in some:
            steps.begin(path)
        what = "no file of a data set, not looked at"
        if count <= _MOST_OTHERS:
            reports += [FileReport(path, [f"{what}, {size_words(path)}"]) for path in some]
        else:
            reports.append(
                FileReport(some[0], [f"{what}; so are {count - 1:,} more {suffix or 'nameless'} files here"])
            )
    return reports


def _check_npz(path: Path) -> FileReport:
    report = FileReport(path)
    names = _member_names(path)
    if "keypoints" in names:  # there are hundreds of them, and they are slow to read
        what = "keypoints of a detector for one video (liftpose data detections makes data sets of them)"
        report.lines.append(f"{what}, {size_words(path)}")
        return report
    if {"poses_3d", "metadata"} <= names:
        return _check_predictions(path, report)
    try:
        content = read_npz(path)
    except LiftposeError as error:
        report.failures.append(str(error))
        report.lines.append(f"an npz file, not readable, {size_words(path)}")
        return report
    report.lines.append(f"an npz file of {list_words(content) or 'nothing'}, no file of a data set, {size_words(path)}")
    return report


def _member_names(path: Path) -> set[str]:
    """Names of the arrays in an npz file; none where it is broken, which its reader will say better."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError):
        return set()


def _check_predictions(path: Path, report: FileReport) -> FileReport:
    try:
        predictions = read_predictions(path)
    except LiftposeError as error:
        report.failures.append(str(error))
        report.lines.append(f"predicted poses, not readable, {size_words(path)}")
        return report
    name = f"{predictions.subject}/{predictions.action}.{predictions.view}"
    by = f" by {predictions.model}" if predictions.model else ""
    report.lines.append(
        f"predicted poses of {name}{by}: {count_words(len(predictions.poses_3d), 'frame')} at {predictions.fps:g} per "
        f"second, {len(predictions.skeleton)} joints ({predictions.skeleton.name}), metres, camera frame, "
        f"{size_words(path)}"
    )
    poses: Any = predictions.poses_3d.astype(np.float64)
    # A network may well predict a person who stands still or has strange legs: only what makes the file useless counts.
    report.findings += [
        finding for finding in inspect_poses("", poses, predictions.skeleton) if finding.level == "error"
    ]
    return report
