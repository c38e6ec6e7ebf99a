"""Pictures of Human3.6M with annotations, from released annotations or from the official files."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Final, Literal

from liftpose.data.images import ImageSet
from liftpose.errors import LiftposeError
from liftpose.formats.archives import open_archive
from liftpose.formats.h36m_camera_file import read_h36m_cameras
from liftpose.formats.h36m_image_pickles import read_image_pickle
from liftpose.formats.h36m_images import annotation_file, write_image_set
from liftpose.formats.h36m_official import OFFICIAL_H36M, read_official_h36m
from liftpose.formats.h36m_videos import BoxKind, annotate_videos, extract_pictures, find_videos
from liftpose.formats.prepared import Prepared
from liftpose.geometry import h36m_cameras
from liftpose.skeletons import H36M_MPII_ORDER_16, Skeleton

__all__ = ["TEST_SUBJECTS", "TRAIN_SUBJECTS", "convert_image_annotations", "convert_videos"]

TRAIN_SUBJECTS: Final = ("S1", "S5", "S6", "S7", "S8")
"""Who is trained on, as everywhere."""

TEST_SUBJECTS: Final = ("S9", "S11")
"""Who is validated and tested on, as everywhere."""

_PICKLE = re.compile(r"(?:.*/)?([A-Za-z0-9][A-Za-z0-9_-]*)\.pkl")
_PUBLISHED_NAMES: Final = {"valid": "validation"}
_SHOWN: Final = 5

Progress = Callable[[int, int, str], None]


def convert_image_annotations(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    train: Literal["train-fs", "train-ss"] = "train-fs",
    sixteen: Skeleton = H36M_MPII_ORDER_16,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Convert the released annotations once into files that are read in a moment.

    Args:
        path: ``data.zip``, a folder with ``annot/*.pkl`` or the folder ``annot`` itself.
        out: Folder of the data set; the pictures belong into its folder ``images``.
        train: Which of the two released training sets becomes ``annotations/train.npz``; all sets keep a file under
            their own name besides. ``valid`` becomes ``validation``.
        sixteen: What the joints of sets with 16 of them are, see
            :func:`liftpose.formats.h36m_image_pickles.read_image_pickle`.
        overwrite: Replace files that are there.
        progress: Called before each file with its number from 0, the number of files, and its name.

    Returns:
        Counts of every set, and the files written.

    Raises:
        LiftposeError: There are no annotations, one of them is not as expected, a file is there already or cannot be
            written.
    """
    names = _pickles(Path(path))
    targets = {name: [_PUBLISHED_NAMES.get(name, name), *(["train"] if name == train else [])] for name in names}
    _refuse_existing(out, [target for each in targets.values() for target in each], overwrite)
    lines, files = [], []
    pictures = Path(out) / "images"
    sets: dict[str, ImageSet] = {}  # all of them, so that nothing is written when the last one is broken
    for number, (name, content) in enumerate(_contents(Path(path), names)):
        if progress:
            progress(number, len(names), f"{name}.pkl")
        sets[name] = read_image_pickle(f"{path}: {names[name]}", out, stream=content, sixteen=sixteen)
    for name, images in sets.items():
        notes = {"source": f"released annotations {name}.pkl", "pixels": "without distortion"}
        for target in targets[name]:
            files.append(annotation_file(out, target))
            write_image_set(files[-1], images, notes)
        lines.append(f"{', '.join(targets[name])}: {_count(images)}")
    if progress:
        progress(len(names), len(names), "annotations")
    if not any("train" in each for each in targets.values()):
        lines.append(f"no train.npz: {train}.pkl is not among {', '.join(f'{name}.pkl' for name in names)} (--train)")
    if not pictures.is_dir():
        lines.append(f"the pictures are still to be put into {pictures}, as S1/Photo_1.58860488/000781.jpg and so on")
    return Prepared(lines, files)


def convert_videos(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    poses: tuple[str, str | os.PathLike[str]] | None = None,
    cameras: str | os.PathLike[str] | None = None,
    every: tuple[int, int] = (5, 64),
    box: BoxKind = "pelvis",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Make pictures and annotations from the official videos and 3D poses.

    Args:
        path: Folder that holds ``S1/Videos``, ``S5/Videos`` and so on.
        out: Folder of the data set; made if need be.
        poses: Kind and path of the 3D poses, see :func:`liftpose.formats.h36m_official.read_official_h36m`; None if
            they lie in ``path`` too.
        cameras: ``cameras.h5`` of the 3D pose baseline; None for the calibration that is part of the package, which
            has the same numbers.
        every: n, to take every n-th frame, for those who are trained on and those who are tested on.
        box: See :func:`liftpose.formats.h36m_videos.annotate_videos`.
        overwrite: Replace annotations that are there. Pictures that are there are kept in any case.
        progress: Called with the number done, the number of all, and what is being done.

    Returns:
        Counts of every set, and the files written.

    Raises:
        LiftposeError: A file is missing, cut or damaged, is there already or cannot be written, ``every`` is below 1,
            or a package that is needed is not installed.
    """
    if min(every) < 1:
        raise LiftposeError(f"--every: expected whole numbers of 1 or more, found {' '.join(map(str, every))}")
    _refuse_existing(out, ["train", "validation"], overwrite)
    kind, place = poses or (_kind_of_poses(Path(path)), path)
    found = read_official_h36m(kind, place, progress)
    known = {} if cameras is None else read_h36m_cameras(cameras)
    missing = [subject for subject in found if cameras is not None and subject not in known]
    if missing:
        raise LiftposeError(f"{cameras}: expected the cameras of {missing[0]}, found those of {', '.join(known)}")
    rigs = {subject: known.get(subject) or h36m_cameras(subject) for subject in found}
    parts = {"train": dict.fromkeys(TRAIN_SUBJECTS, every[0]), "validation": dict.fromkeys(TEST_SUBJECTS, every[1])}
    videos = {name: find_videos(path, found, steps) for name, steps in parts.items()}
    sets = {name: annotate_videos(out, each, found, rigs, box) for name, each in videos.items()}
    written = extract_pictures(out, [video for each in videos.values() for video in each], rigs, progress)
    lines, files = [], []
    for name, images in sets.items():
        files.append(annotation_file(out, name))
        step = next(iter(parts[name].values()))
        notes = {"source": f"official videos, every frame of {step}", "boxes": box, "pixels": "without distortion"}
        write_image_set(files[-1], images, notes)
        lines.append(f"{name}: {_count(images)}")
    lines.append(f"{written} pictures written, {sum(map(len, sets.values())) - written} were there already")
    if box == "pelvis":
        lines.append("boxes: 2 m around the pelvis, as published; they need its true depth (--box tight does not)")
    return Prepared(lines, files)


def _refuse_existing(out: str | os.PathLike[str], names: list[str], overwrite: bool) -> None:
    if Path(out).exists() and not Path(out).is_dir():
        raise LiftposeError(f"{out}: expected a folder to write to, found a file")
    for name in names:
        file = annotation_file(out, name)
        if file.exists() and not overwrite:
            raise LiftposeError(f"{file}: expected no such file, found one (--overwrite replaces it)")


def _pickles(path: Path) -> dict[str, str]:
    """Find the released sets: name -> file in the folder or the archive."""
    if path.is_dir():
        folder = path / "annot" if (path / "annot").is_dir() else path
        listed = [file.relative_to(path).as_posix() for file in sorted(folder.glob("*.pkl"))]
    else:
        with open_archive(path) as archive:
            listed = [name for name in archive.names if name.endswith(".pkl") and "__MACOSX" not in name]
    found: dict[str, str] = {}
    for name in listed:
        match = _PICKLE.fullmatch(name)
        if match is None or match[1] in found or match[1] in {"train", "validation", "test"}:
            raise LiftposeError(
                f"{path}: expected sets with names of their own such as train-fs.pkl and valid.pkl, found {name}"
            )
        found[match[1]] = name
    if not found:
        raise LiftposeError(f"{path}: expected annotations such as annot/train-fs.pkl and annot/valid.pkl, found none")
    return found


def _contents(path: Path, names: Mapping[str, str]) -> Iterator[tuple[str, IO[bytes]]]:
    """Open one set after the other."""
    if path.is_dir():
        for name, file in names.items():
            with (path / file).open("rb") as stream:
                yield name, stream
    else:
        with open_archive(path) as archive:
            for name, member in names.items():
                yield name, io.BytesIO(archive.read(member))


def _kind_of_poses(path: Path) -> str:
    for kind, source in OFFICIAL_H36M.items():
        if any(path.glob(f"S*/{source.folder}/*{source.suffix}")):
            return kind
    kinds = ", ".join(f"S1/{source.folder}/*{source.suffix}" for source in OFFICIAL_H36M.values())
    raise LiftposeError(
        f"{path}: expected the 3D poses of the videos ({kinds}), found none (--poses says where they are)"
    )


def _count(images: ImageSet) -> str:
    people = sorted(set(images.subjects), key=lambda name: (len(name), name))
    named = ", ".join(people[:_SHOWN]) + (", ..." if len(people) > _SHOWN else "")
    return f"{len(images):,} pictures of {named} ({images.skeleton.name})"
