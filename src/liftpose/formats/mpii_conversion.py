"""From the official release of MPII Human Pose to the files that the field's programs read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import numpy as np

from liftpose.errors import LiftposeError
from liftpose.formats.mpii_official import OfficialMPII, read_official_mpii, split_by_names, split_by_share
from liftpose.formats.mpii_writer import write_mpii
from liftpose.formats.prepared import Prepared

__all__ = ["convert_mpii"]

_RELEASE: Final = "mpii_human_pose_v1_u12*.mat"
_SHARE: Final = 0.1
_LONGEST_LIST: Final = 2**24  # bytes


def convert_mpii(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    valid_list: str | os.PathLike[str] | None = None,
    valid_share: float | None = None,
    separated: bool = False,
    overwrite: bool = False,
) -> Prepared:
    """Write ``annot/train.json``, ``annot/valid.json`` and ``annot/gt_valid.mat``, and link the pictures.

    Args:
        path: Folder of the release, or its file ``mpii_human_pose_v1_u12_1.mat``.
        out: Folder of the data set; made if need be.
        valid_list: Text file with the names of the pictures to validate on, as the field has it; None to divide by
            share.
        valid_share: Share of the videos to validate on, chosen by a hash of their numbers; None for a tenth.
        separated: Only people who stand apart from others.
        overwrite: Replace annotations that are there.

    Returns:
        Counts, and the files written.

    Raises:
        LiftposeError: The release is missing, cut or damaged, the list names other pictures, both a list and a share
            are given, a file is there already or cannot be written.
    """
    if valid_list is not None and valid_share is not None:
        raise LiftposeError("--valid-share: expected either --valid-list or --valid-share, found both")
    if Path(out).exists() and not Path(out).is_dir():
        raise LiftposeError(f"{out}: expected a folder to write to, found a file")
    for name in ("train.json", "valid.json", "gt_valid.mat"):
        if (Path(out) / "annot" / name).exists() and not overwrite:
            raise LiftposeError(
                f"{Path(out) / 'annot' / name}: expected no such file, found one (--overwrite replaces it)"
            )
    file = _find(Path(path))
    names = None if valid_list is None else _listed(Path(valid_list))
    release = read_official_mpii(file, separated)
    if names is not None:
        validated = split_by_names(str(valid_list), release, names)
    else:
        validated = split_by_share("--valid-share", release, _SHARE if valid_share is None else valid_share)
    files = []
    for name, chosen in {"train": ~validated, "valid": validated}.items():
        rows = np.flatnonzero(chosen).astype(np.int64)
        files += write_mpii(out, name, release.people.take(rows), evaluation=name == "valid")
    lines = _report(release, int(validated.sum()))
    if names is None:
        lines.append(
            "divided by a hash of the videos, not by the field's list: results compare only roughly with others'"
        )
    lines.append(_link(file, Path(path), Path(out)))
    return Prepared(lines, files)


def _find(path: Path) -> Path:
    if path.is_file():
        return path
    found = sorted([*path.glob(_RELEASE), *path.glob(f"*/{_RELEASE}")])
    if not found:
        instead = "a folder without it" if path.is_dir() else "no such folder"
        raise LiftposeError(f"{path}: expected the release mpii_human_pose_v1_u12_1.mat of MPII, found {instead}")
    return found[0]


def _listed(path: Path) -> list[str]:
    try:
        with path.open("rb") as stream:
            content = stream.read(_LONGEST_LIST + 1)
        names = [line.strip() for line in content.decode("utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise LiftposeError(
            f"{path}: expected a list of names of pictures, found: {(error.strerror or str(error)).lower()}"
        ) from error
    except ValueError as error:
        raise LiftposeError(f"{path}: expected a text of names of pictures, found other bytes ({error})") from error
    if not names or len(content) > _LONGEST_LIST:
        raise LiftposeError(f"{path}: expected a list of names of pictures, found {'too many' if names else 'none'}")
    return names


def _report(release: OfficialMPII, validated: int) -> list[str]:
    people = len(release.people.files)
    pictures = len(set(release.people.files))
    return [
        f"train: {people - validated:,} people, valid: {validated:,} people, in {pictures:,} pictures",
        f"left out: {release.skipped:,} people without joints, centre, scale or the box of a head, and the "
        f"{release.test_pictures:,} pictures of the official test, whose joints are not public",
    ]


def _link(file: Path, path: Path, out: Path) -> str:
    """Make the pictures appear in the data set's folder, and say where they are."""
    target = out / "images"
    if target.is_dir():
        return f"the pictures are in {target}"
    for folder in (path / "images", file.parent / "images", file.parent.parent / "images"):
        if folder.is_dir():
            try:
                target.symlink_to(folder.resolve(), target_is_directory=True)
            except OSError:  # Windows lets only some users make links
                return f"the pictures are still to be put into {target}, from {folder}"
            return f"linked {target} to {folder}"
    return f"the pictures are still to be put into {target} (mpii_human_pose_v1.tar.gz, unpacked)"
