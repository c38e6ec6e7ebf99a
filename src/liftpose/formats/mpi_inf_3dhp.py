"""MPI-INF-3DHP (Mehta et al., 3DV 2017) in the field's layout, from its official files or SPIN's annotation."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from liftpose.errors import LiftposeError
from liftpose.formats.dataset_info import DatasetInfo
from liftpose.formats.h36m_writer import write_h36m
from liftpose.formats.known_datasets import known_info
from liftpose.formats.mpi_inf_3dhp_files import (
    TEST_SEQUENCES,
    AnnotatedSequence,
    Floats,
    read_spin,
    read_test_sequence,
    turn_up,
)
from liftpose.formats.mpi_inf_3dhp_train import TRAIN_CAMERAS, TRAIN_PEOPLE, read_train_sequence
from liftpose.formats.prepared import Prepared, refuse_existing
from liftpose.skeletons import H36M_16, H36M_17, MPI_INF_3DHP_17, Skeleton, adapt, adapter_targets, get_skeleton

__all__ = ["SOURCES_3DHP", "convert_mpi_inf_3dhp"]

SOURCES_3DHP = ("valid", "test", "train")
"""What MPI-INF-3DHP can be prepared from: SPIN's annotation, the official test files, the official training files."""

_FPS = 25.0
_SHORT_RUN = 9  # frames, the shortest receptive field in use
_NAMES = {("valid",): "3dhp_valid", ("test",): "3dhp_test", ("train",): "3dhp_train", ("test", "train"): "3dhp"}

Progress = Callable[[int, int, str], None]


def convert_mpi_inf_3dhp(
    sources: Sequence[tuple[str, str | os.PathLike[str]]],
    out: str | os.PathLike[str],
    *,
    name: str | None = None,
    skeleton: str = "mpi_inf_3dhp_17",
    poses: Literal["annot3", "univ_annot3"] = "annot3",
    gaps: Literal["join", "split"] = "join",
    cameras: Sequence[int] = TRAIN_CAMERAS,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Prepare MPI-INF-3DHP in the field's layout, with its description beside it.

    Training sequences are subjects of their own (``S1/Seq1``), since their cameras differ; the two of a person are
    never put on two sides of a split. Test sequences are ``TS1`` to ``TS6``.

    Args:
        sources: What to read: pairs of one of :data:`SOURCES_3DHP` and a file or folder. ``train`` and ``test``
            together give one data set.
        out: Folder for the files.
        name: Name of the data set in the file names; None for ``3dhp_valid``, ``3dhp_test``, ``3dhp_train``, or
            ``3dhp`` for training and test together.
        skeleton: Joint order to write, for poses and keypoints alike: ``mpi_inf_3dhp_17``, or one that it can be
            brought into, such as ``h36m_17`` and ``h36m_16`` (spine, thorax, neck and head are then stand-ins).
        poses: ``annot3``, people in their size, or ``univ_annot3``, scaled to one height for all, which the published
            tables are of. SPIN's annotation has the scaled poses only.
        gaps: What a test sequence becomes that lacks frames: one recording in which neighbours may be apart in time
            (``join``, as published), or a new recording behind each gap (``split``).
        cameras: Numbers of the training cameras.
        overwrite: Replace files that are there.
        progress: Called with the number of sequences read, their number and the next one's name.

    Returns:
        Counts, remarks and the files written.

    Raises:
        LiftposeError: A file is missing, broken or contradicts another one, an option does not fit, or there are such
            files already.
    """
    kinds = tuple(sorted(kind for kind, _ in sources))
    unknown = [kind for kind in kinds if kind not in SOURCES_3DHP]
    if unknown or kinds not in _NAMES:
        found = unknown[0] if unknown else " and ".join(kinds) or "nothing"
        raise LiftposeError(f"--from: expected valid, test, train, or test and train, found {found}")
    dataset = _NAMES[kinds] if name is None else name
    if known_info(dataset) is not None or not re.fullmatch(r"[A-Za-z0-9-]+(_[A-Za-z0-9-]+)*", dataset):
        raise LiftposeError(f"--name: expected a name of letters and digits that is not taken, found {dataset!r}")
    target = _target(skeleton)
    if not cameras or len(set(cameras)) != len(cameras) or not set(cameras) <= set(range(14)):
        raise LiftposeError(f"--cameras: expected different numbers from 0 to 13, found {list(cameras)}")
    if not overwrite:
        refuse_existing(out, dataset)
    read = list(_read(sources, poses, cameras, progress))
    sequences = [turn_up(sequence, read[0].up_axis) for sequence in read]
    info = _describe(dataset, target, sequences, poses if "valid" not in kinds else "univ_annot3", gaps)
    people: dict[str, dict[str, Floats]] = {}
    views: dict[str, dict[str, list[Floats]]] = {}
    for sequence in sequences:
        poses_of = _convert(sequence, sequence.poses, target)
        views_of = [_convert(sequence, view, target) for view in sequence.keypoints]
        runs = _runs(sequence, gaps)
        people[sequence.subject] = {action: poses_of[run] for action, run in runs.items()}
        views[sequence.subject] = {action: [view[run] for view in views_of] for action, run in runs.items()}
    files = write_h36m(out, dataset, people, {"gt": views}, info)
    lines = [remark for sequence in sequences for remark in sequence.remarks]
    lines += [line for sequence in sequences if (line := _gaps_line(sequence, gaps))]
    lines.append(_limbs_line(sequences))
    frames = sum(len(sequence.frames) for sequence in sequences)
    recordings = sum(map(len, people.values()))
    lines.append(f"{dataset}: {len(people)} subjects, {recordings} recordings, {frames} frames, joints {target.name}")
    return Prepared(lines, files)


def _target(name: str) -> Skeleton:
    """Return the joint order to write."""
    try:
        target = get_skeleton(name)
    except LiftposeError as error:
        raise LiftposeError(f"--skeleton: {str(error).removeprefix('skeleton: ')}") from error
    possible = (MPI_INF_3DHP_17.name, *adapter_targets(MPI_INF_3DHP_17), H36M_16.name)
    if name not in possible:
        raise LiftposeError(f"--skeleton: expected one of {', '.join(possible)}, found {name}")
    return target


def _convert(sequence: AnnotatedSequence, array: Floats, target: Skeleton) -> Floats:
    """Bring an array into the joint order to write; the 16 joints of Human3.6M are 17 of them without one."""
    joints = array
    source = sequence.skeleton
    if target == H36M_16:
        joints, source = adapt(joints, source, H36M_17), H36M_17
    result: Floats = adapt(joints, source, target)
    return result


def _read(
    sources: Sequence[tuple[str, str | os.PathLike[str]]],
    poses: str,
    cameras: Sequence[int],
    progress: Progress | None,
) -> Iterator[AnnotatedSequence]:
    """Read the sequences of all sources, training before test."""
    wanted: list[tuple[str, str]] = []
    folders = {kind: Path(path) for kind, path in sources}
    if "train" in folders:
        wanted += [(person, sequence) for person in TRAIN_PEOPLE for sequence in ("Seq1", "Seq2")]
        _check_there(folders["train"], [f"{person}/{sequence}/annot.mat" for person, sequence in wanted])
    if "test" in folders:
        folders["test"] = _inner(folders["test"])
        _check_there(folders["test"], [f"{name}/annot_data.mat" for name in TEST_SEQUENCES])
        wanted += [("", name) for name in TEST_SEQUENCES]
    for number, (person, name) in enumerate(wanted):
        if progress is not None:
            progress(number, len(wanted), f"{person}/{name}".strip("/"))
        if person:
            yield read_train_sequence(folders["train"], person, name, poses=poses, cameras=cameras)
        else:
            yield read_test_sequence(folders["test"], name, poses)
    if "valid" in folders:
        yield from read_spin(folders["valid"])
    if progress is not None and wanted:
        progress(len(wanted), len(wanted), "")


def _inner(folder: Path) -> Path:
    """Return the folder with the test sequences, which the official archive holds in one of its own."""
    inner = folder / "mpi_inf_3dhp_test_set"
    return inner if inner.is_dir() and not (folder / TEST_SEQUENCES[0]).is_dir() else folder


def _check_there(folder: Path, names: list[str]) -> None:
    """Refuse a folder without all its files before anything is read."""
    if not folder.is_dir():
        raise LiftposeError(f"{folder}: expected a folder with {names[0]}, found no such folder")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        others = f" and {len(missing) - 1} others" if len(missing) > 1 else ""
        raise LiftposeError(
            f"{folder}: expected {len(names)} files of annotations, found {len(names) - len(missing)}, without "
            f"{missing[0]}{others}"
        )


def _runs(sequence: AnnotatedSequence, gaps: str) -> dict[str, slice]:
    """Return the recordings of a sequence: name -> frames."""
    breaks = (np.flatnonzero(np.diff(sequence.frames) != 1) + 1).tolist() if gaps == "split" else []
    runs = [slice(start, end) for start, end in pairwise([0, *breaks, len(sequence.frames)])]
    if len(runs) == 1:
        return {sequence.action: runs[0]}
    return {f"{sequence.action} chunk{number}": run for number, run in enumerate(runs)}


def _gaps_line(sequence: AnnotatedSequence, gaps: str) -> str | None:
    """Say what the gaps of a sequence mean for a network that sees several frames."""
    runs = [run.stop - run.start for run in _runs(sequence, "split").values()]
    middle = float(np.median(runs))
    if len(runs) == 1:
        return None
    if gaps == "join":
        return (
            f"{sequence.subject}: {len(runs) - 1} gaps between its frames, as published: neighbours there are apart in "
            "time, and velocities mean nothing; --gaps split begins a recording behind each"
        )
    if middle >= _SHORT_RUN:
        return None
    return (
        f"{sequence.subject}: {len(runs)} recordings, half of them of {middle:g} or fewer frames, in which a network "
        "of several frames sees little besides its own; --gaps join makes them one, as published"
    )


def _limbs_line(sequences: Sequence[AnnotatedSequence]) -> str:
    """Say how equal limbs are on both sides and over time: they are in the right joint order, and in no other."""
    sides, changes = [0.0], [0.0]
    for sequence in sequences:
        for limb in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")):
            left, right = (
                np.linalg.norm(
                    np.subtract(*(sequence.poses[:, sequence.skeleton.index(f"{side}_{j}")] for j in limb)), axis=1
                )
                for side in ("left", "right")
            )
            sides.append(float(np.median(np.abs(left - right))))
            changes += [float(left.std()), float(right.std())]
    return (
        f"arms and legs: the sides differ by {1000 * max(sides):.1f} mm in the median of the worst limb, lengths "
        f"change by {1000 * max(changes):.1f} mm (standard deviation of the worst)"
    )


def _describe(
    dataset: str, target: Skeleton, sequences: Sequence[AnnotatedSequence], poses: str, gaps: str
) -> DatasetInfo:
    """Return the description of the data set."""
    test = tuple(sequence.subject for sequence in sequences if sequence.person in TEST_SEQUENCES)
    train = tuple(sequence.subject for sequence in sequences if sequence.person in TRAIN_PEOPLE)
    together = {person: [s.subject for s in sequences if s.person == person] for person in TRAIN_PEOPLE}
    return DatasetInfo(
        name=dataset,
        skeleton=target,
        storage_skeleton=target.name,
        fps=_FPS,
        cameras={sequence.subject: sequence.cameras for sequence in sequences},
        splits={"train": train, "validation": test, "test": test},
        up_axis=sequences[0].up_axis,
        source="MPI-INF-3DHP, Mehta et al., 3DV 2017",
        licence="for research; see the licence of the data set",
        notes={
            "poses": poses,
            "gaps": gaps,
            "same_side": [subjects for subjects in together.values() if len(subjects) > 1],
            "remarks": [remark for sequence in sequences for remark in sequence.remarks],
        },
    )
