"""What annotated pictures of any format are checked for before anybody trains on them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from liftpose.data.images import ImageSet
from liftpose.errors import LiftposeError

__all__ = ["check_image_set", "check_picture_folder", "check_picture_names"]

_UNSAFE = re.compile(r"^/|^[A-Za-z]:|\\|(?:^|/)\.\.(?:/|$)|[\x00-\x1f\x7f\ud800-\udfff]")


def check_picture_names(where: str, names: Sequence[Any]) -> None:
    """Refuse names of pictures that lead out of their folder.

    Args:
        where: The file that they come from, for messages.
        names: Paths relative to the folder, parts separated by ``/``.

    Raises:
        LiftposeError: A name is no text, empty, absolute, leads upwards, or has letters that cannot be shown.
    """
    if all(isinstance(name, str) for name in names) and _harmless("\n".join(names), len(names)):
        return
    for row, name in enumerate(names):
        if not isinstance(name, str) or not name or _UNSAFE.search(name):
            raise LiftposeError(
                f"{where}: expected the path of picture {row} inside the folder of the pictures, found {name!a}"
            )


def _harmless(text: str, count: int) -> bool:
    """Say of lines at once that none of them needs a closer look; of hundreds of thousands that takes a moment."""
    lines = f"\n{text}\n"
    suspicious = any(part in lines for part in ("\n/", "\n\n", "..", "\\", ":"))
    return not suspicious and text.count("\n") == count - 1 and text.replace("\n", "").isprintable()


def check_picture_folder(where: str, root: str | os.PathLike[str], files: Sequence[str]) -> None:
    """Refuse annotations whose pictures are not there at all, judged by the folder of the first one.

    Args:
        where: The file of annotations, for messages.
        root: Folder that the names are relative to.
        files: Names of the pictures.

    Raises:
        LiftposeError: The folder is missing.
    """
    if files and not (Path(root) / files[0]).parent.is_dir():
        raise LiftposeError(
            f"{where}: expected its pictures in {root}, such as {files[0]}, found no folder "
            f"{(Path(root) / files[0]).parent}"
        )


def check_image_set(where: str, images: ImageSet) -> None:
    """Refuse numbers that nobody can train on or measure with.

    Args:
        where: The file of annotations, for messages.
        images: What was read from it.

    Raises:
        LiftposeError: A box without an area, a weight outside 0 to 1, a joint that counts but has no place, an infinite
            depth, or a root that is not in front of the camera. The message names the first picture that has it.
    """
    counts = images.visible > 0
    areas = np.isfinite(images.boxes).all(-1) & (images.boxes[:, 2:] > 0).all(-1)
    _refuse(where, images, areas, "a box with an area", images.boxes)
    weights = (images.visible >= 0) & (images.visible <= 1)
    _refuse(where, images, weights, "weights of joints from 0 to 1", images.visible)
    placed = np.isfinite(images.keypoints_2d).all(-1) | ~counts
    _refuse(where, images, placed, "finite pixels of every joint that counts", images.keypoints_2d)
    if images.depths is not None and images.root_depths is not None:
        deep = ~np.isinf(images.depths)
        _refuse(where, images, deep, "depths that are numbers or NaN where unknown", images.depths)
        front = np.isfinite(images.root_depths) & (images.root_depths > 0)
        _refuse(where, images, front, "a root in front of the camera", images.root_depths)
    if images.head_sizes is not None:
        heads = np.isfinite(images.head_sizes) & (images.head_sizes > 0)
        _refuse(where, images, heads, "a head box with a diagonal", images.head_sizes)


def _refuse(where: str, images: ImageSet, fine: Any, expected: str, column: npt.NDArray[np.float32]) -> None:
    """Name the first row that is not fine, in any of its joints, with its values."""
    wrong = np.zeros(len(images), dtype=bool)
    wrong[np.nonzero(~np.asarray(fine))[0]] = True
    if not wrong.any():
        return
    row = int(np.argmax(wrong))
    value = np.array2string(column[row].ravel(), precision=4, threshold=8, separator=", ")
    raise LiftposeError(
        f"{where}: expected {expected}, found {value} in picture {row} ({images.files[row]}), the first of "
        f"{int(wrong.sum())} such of {len(images)}"
    )
