"""Objects cut out of Pascal VOC, to be pasted over people.

Source: I. Sárándi, T. Linder, K. O. Arras, B. Leibe, "How Robust is 3D Human Pose Estimation to Occlusion?", IROS
Workshops 2018; the pictures: M. Everingham et al., "The PASCAL Visual Object Classes Challenge 2012".
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple
from xml.etree import ElementTree

import cv2
import numpy as np
import numpy.typing as npt

from liftpose.errors import LiftposeError
from liftpose.formats.image_checks import check_picture_names
from liftpose.formats.images import open_picture, read_picture
from liftpose.formats.npz import read_npz, write_npz

__all__ = ["OCCLUDERS_FILE", "cut_voc_occluders", "read_voc_occluders"]

Crop = npt.NDArray[np.uint8]

OCCLUDERS_FILE: Final = "liftpose_occluders.npz"
"""Name of the cache in a folder of Pascal VOC."""

_FORMAT: Final = "liftpose occluders"
_VERSION: Final = 1
_FEWEST: Final = 500  # pixels of an object
_RIM: Final = 8  # pixels of the ellipse by which the rim of an object is found
_RIM_OPACITY: Final = 192
_FACTOR: Final = 0.5
_LARGEST_XML: Final = 2**20


class _Object(NamedTuple):
    """An object of a picture: its number in the mask, and its box, left, top, right, bottom."""

    label: int
    box: tuple[int, int, int, int]


def read_voc_occluders(
    path: str | os.PathLike[str], progress: Callable[[int, int, str], None] | None = None
) -> list[Crop]:
    """Read the objects of Pascal VOC 2012, the second time from a cache.

    Args:
        path: The folder ``VOC2012``, with ``Annotations``, ``JPEGImages`` and ``SegmentationObject``, or one that holds
            it; or the cache, a file by itself. The cache is written into the folder where that can be done; it is made
            anew when the annotations have changed.
        progress: Called before each picture with its number from 0, the number of pictures, and its name.

    Returns:
        Each object (H, W, 4) uint8, RGB and opacity, in the order of the pictures' names.

    Raises:
        LiftposeError: There is no such folder or file, it holds no objects, or something in it is missing or broken.
    """
    path = Path(path)
    if path.is_file():
        return _read_cache(path)[0]
    folder = _find(path)
    files = sorted((folder / "Annotations").glob("*.xml"))
    digest = _digest(files)
    cache = folder / OCCLUDERS_FILE
    if cache.exists():
        with suppress(LiftposeError):  # a broken cache is never needed
            crops, known = _read_cache(cache)
            if known == digest:
                return crops
    crops = list(cut_voc_occluders(folder, progress))
    if not crops:
        raise LiftposeError(f"{folder}: expected objects that are segmented, found none in {len(files)} annotations")
    with suppress(LiftposeError):  # data sets often lie where nobody may write
        _write_cache(cache, crops, digest)
    return crops


def cut_voc_occluders(
    folder: str | os.PathLike[str], progress: Callable[[int, int, str], None] | None = None
) -> Iterator[Crop]:
    """Cut the objects out of the pictures of Pascal VOC.

    As published: everything segmented that is no person, not difficult and not cut off by the border, of at least 500
    pixels; opaque, but for the rim that an ellipse of 8 pixels takes off, whose opacity is 192; half as large.

    Args:
        folder: ``VOC2012``.
        progress: As for :func:`read_voc_occluders`.

    Yields:
        Each object (H, W, 4) uint8, RGB and opacity.

    Raises:
        LiftposeError: A file is missing or broken.
    """
    folder = Path(folder)
    files = sorted((folder / "Annotations").glob("*.xml"))
    for number, file in enumerate(files):
        if progress:
            progress(number, len(files), file.stem)
        name, objects = _annotation(file)
        if not objects:
            continue
        picture = read_picture(folder / "JPEGImages" / name)
        labels = _labels(folder / "SegmentationObject" / f"{Path(name).stem}.png")
        if labels.shape != picture.shape[:2]:
            raise LiftposeError(
                f"{file}: expected a mask of the picture's shape {picture.shape[:2]}, found {labels.shape}"
            )
        for each in objects:
            left, top, right, bottom = each.box
            mask = (labels[top:bottom, left:right] == each.label).astype(np.uint8) * 255
            if np.count_nonzero(mask) >= _FEWEST:
                yield _crop(picture[top:bottom, left:right], mask)
    if progress:
        progress(len(files), len(files), "objects")


def _crop(picture: Crop, mask: Crop) -> Crop:
    """Return an object with a softer rim, half as large."""
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_RIM, _RIM))
    opacity = np.where(np.asarray(cv2.erode(mask, ellipse)) < mask, _RIM_OPACITY, mask).astype(np.uint8)
    both = np.concatenate((picture, opacity[..., None]), axis=-1)
    height, width = (max(1, round(side * _FACTOR)) for side in mask.shape)
    return np.asarray(cv2.resize(both, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _find(path: Path) -> Path:
    """Return the folder that was named, or the one inside it, that holds the pictures."""
    for folder in (path, path / "VOC2012", path / "VOCdevkit" / "VOC2012"):
        if all((folder / name).is_dir() for name in ("Annotations", "JPEGImages", "SegmentationObject")):
            return folder
    found = "no such folder" if not path.exists() else "a folder without them"
    raise LiftposeError(
        f"{path}: expected the folder VOC2012 with Annotations, JPEGImages and SegmentationObject, found {found}"
    )


def _digest(files: list[Path]) -> str:
    """Say by names, sizes and times of change which annotations there are."""
    states = [(file.name, state.st_size, state.st_mtime_ns) for file in files for state in [file.stat()]]
    return hashlib.sha256(repr(states).encode()).hexdigest()


def _annotation(file: Path) -> tuple[str, list[_Object]]:
    """Return the name of the picture, and the objects that can be used."""
    root = _parsed(file)
    if _flag(file, root, "segmented") == 0:
        return "", []
    name = root.findtext("filename") or ""
    check_picture_names(str(file), [name])
    if Path(name).name != name:
        raise LiftposeError(f"{file}: expected the name of a picture, found {name}")
    objects = []
    for number, each in enumerate(root.findall("object")):
        if each.findtext("name") == "person" or _flag(file, each, "difficult") or _flag(file, each, "truncated"):
            continue
        corners = [_number(file, each.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")]
        left, top, right, bottom = (max(0, corner) for corner in corners)
        objects.append(_Object(number + 1, (left, top, right, bottom)))
    return name, objects


def _parsed(file: Path) -> ElementTree.Element:
    """Parse an annotation; declarations, by which a small file can be made to grow without end, are refused."""
    try:
        with file.open("rb") as stream:
            content = stream.read(_LARGEST_XML + 1)
        text = content.decode("utf-8")
        if len(content) > _LARGEST_XML or "<!" in text.replace("<!--", ""):
            raise LiftposeError(
                f"{file}: expected an annotation of Pascal VOC, found one with declarations or too long"
            )
        return ElementTree.fromstring(text)  # noqa: S314 - without declarations there are no entities
    except OSError as error:
        raise LiftposeError(f"{file}: expected a file, found: {(error.strerror or str(error)).lower()}") from error
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise LiftposeError(f"{file}: expected XML, found it cut or damaged ({error})") from error


def _flag(file: Path, element: ElementTree.Element, name: str) -> int:
    return _number(file, element.findtext(name, "0"))


def _number(file: Path, text: str | None) -> int:
    try:
        return int(float(text or ""))
    except (ValueError, OverflowError) as error:
        raise LiftposeError(f"{file}: expected a number, found {text!r:.80}") from error


def _labels(path: Path) -> npt.NDArray[np.uint8]:
    """Return (H, W) numbers of the objects from a mask, a picture with a palette."""
    with open_picture(path) as image:
        if image.mode not in {"P", "L"}:
            raise LiftposeError(f"{path}: expected a mask with a palette, found one of the mode {image.mode}")
        return np.array(image, dtype=np.uint8)


def _write_cache(path: Path, crops: list[Crop], digest: str) -> None:
    metadata = {"format": _FORMAT, "version": _VERSION, "annotations": digest}
    write_npz(
        path,
        {
            "pixels": np.concatenate([crop.reshape(-1, 4) for crop in crops]),
            "sizes": np.array([crop.shape[:2] for crop in crops], dtype=np.int64),
            "metadata": np.array(json.dumps(metadata)),
        },
    )


def _read_cache(path: Path) -> tuple[list[Crop], str]:
    """Return the objects, and which annotations they were cut out by."""
    content = read_npz(path)
    try:
        metadata: dict[str, Any] = json.loads(str(content["metadata"]))
        fits = metadata["format"] == _FORMAT and metadata["version"] == _VERSION
        pixels, sizes = content["pixels"], content["sizes"]
        fits = fits and pixels.dtype == np.uint8 and sizes.dtype == np.int64 and sizes.ndim == 2 and len(sizes) > 0
        fits = fits and sizes.shape[1] == 2 and int(sizes.min()) > 0 and int(sizes.max()) < 2**15
        fits = fits and pixels.shape == (int(sizes.prod(axis=1).sum()), 4)
        known = str(metadata["annotations"])
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        fits = False
    if not fits:
        raise LiftposeError(f"{path}: expected objects cut out of Pascal VOC, found another npz file")
    ends = sizes.prod(axis=1).cumsum()
    parts = np.split(pixels, ends[:-1])
    return [part.reshape(*size, 4) for part, size in zip(parts, sizes.tolist(), strict=True)], known
