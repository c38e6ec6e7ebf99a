"""Pictures: decoded, and patches cut out of them.

Files are decoded by Pillow, and JPEG files that are whole by OpenCV, which is faster. The orientation that a camera
notes in EXIF is left out of account unless asked for: the annotations of the data sets, like the published readers,
count pixels as they lie in the file.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from liftpose.data.images import ImageSet
from liftpose.errors import LiftposeError

__all__ = [
    "check_some_pictures",
    "cut_patch",
    "needed_part",
    "open_picture",
    "picture_pixels",
    "read_picture",
    "refuse_outside",
    "warp_patch",
]

Picture = npt.NDArray[np.uint8]

_LONGEST_SIDE: Final = 32766  # of what OpenCV takes patches from
_MARGIN: Final = 2  # pixels around what is needed: the neighbours of interpolation, and rounding
_TRIED: Final = 64  # files that are looked for before a run
_END: Final = b"\xff\xd9"  # of a JPEG file
_TAIL: Final = 64  # bytes within which it has to be; some programs fill up the last block
# By which a JPEG can be decoded smaller, at less cost -> what OpenCV calls it.
_REDUCTIONS: Final = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def read_picture(path: Path | str, upright: bool = False) -> Picture:
    """Decode a picture file.

    Args:
        path: Any file that Pillow reads. Grey pictures, palettes and CMYK become RGB, transparency is ignored, of 16
            bits the upper eight are kept.
        upright: Whether to turn it as its EXIF orientation says, which is how other programs show it.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        LiftposeError: The file is missing, no picture, broken, or too large to be one.
    """
    with open_picture(Path(path)) as image:
        return picture_pixels(ImageOps.exif_transpose(image) if upright else image).copy()


def cut_patch(
    path: Path | str,
    to_image: npt.NDArray[np.floating[Any]],
    patch_size: Sequence[int],
    *,
    upright: bool = False,
    reduced: bool = False,
) -> Picture:
    """Cut a patch out of a picture file: bilinear, black outside the picture.

    Args:
        path: A file as in :func:`read_picture`.
        to_image: (2, 3) affine map from pixels of the patch to pixels of the picture, as
            :func:`liftpose.geometry.patch_to_image` gives it.
        patch_size: Width and height of the patch in pixels.
        upright: As in :func:`read_picture`.
        reduced: Whether a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size where the patch still has no more pixels
            than that (not together with ``upright``). It is faster, and smoother than the published bilinear reading,
            which leaves pixels out then.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        LiftposeError: As :func:`read_picture`, or the patch is wholly outside the picture.
    """
    path = Path(path)
    with open_picture(path) as opened:
        matrix = np.asarray(to_image, dtype=np.float64)
        image = ImageOps.exif_transpose(opened) if upright else opened
        corners = needed_part(matrix, patch_size, image.size)
        middle = matrix @ np.array([patch_size[0] / 2, patch_size[1] / 2, 1.0])
        refuse_outside(path, corners, image.size, (middle[0], middle[1]))
        factor = _reduction(matrix) if reduced else 1
        whole = None if upright else _whole_jpeg(opened, factor)
        if whole is not None:
            # A pixel of a smaller picture lies in the middle of those that it stands for.
            half = np.array([[0, 0, 0.5], [0, 0, 0.5]])
            return _rgb(warp_patch(whole, (matrix + half) / factor - half, patch_size))
        part = picture_pixels(image.crop(corners))
    if max(part.shape) > _LONGEST_SIDE:
        raise LiftposeError(f"{path}: expected a box of at most {_LONGEST_SIDE} pixels, found {max(part.shape)}")
    return warp_patch(part, matrix - [[0, 0, corners[0]], [0, 0, corners[1]]], patch_size)


def warp_patch(picture: Picture, to_image: npt.NDArray[np.floating[Any]], patch_size: Sequence[int]) -> Picture:
    """Cut a patch out of a decoded picture: bilinear, black outside the picture.

    Args:
        picture: (H, W, 3) uint8.
        to_image: (2, 3) affine map from pixels of the patch to pixels of the picture.
        patch_size: Width and height of the patch in pixels.

    Returns:
        (H, W, 3) uint8 patch.
    """
    size = (int(patch_size[0]), int(patch_size[1]))
    matrix = np.asarray(to_image, dtype=np.float64)
    warped = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.asarray(warped, dtype=np.uint8)


def check_some_pictures(images: ImageSet) -> None:
    """Refuse annotations one of whose files is missing; of many some are looked for, evenly spread.

    Args:
        images: Annotated pictures.

    Raises:
        LiftposeError: A file is missing.
    """
    for row in np.unique(np.linspace(0, len(images) - 1, min(_TRIED, len(images))).round().astype(int)):
        path = images.root / images.files[row]
        if not path.is_file():
            raise LiftposeError(f"{path}: expected a picture that the annotations name, found no such file")


@contextmanager
def open_picture(path: Path | io.BytesIO) -> Iterator[Image.Image]:
    """Open a picture, and turn all that can go wrong until it is decoded into one line.

    Args:
        path: The file, or its content.

    Yields:
        The picture, not decoded yet.

    Raises:
        LiftposeError: The file is missing, no picture, broken, or too large to be one.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of pictures of more than 89 million pixels, which is more than anybody stands in.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(path)
        with image:
            yield image
    except (LiftposeError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise LiftposeError(f"{path}: expected a picture, found no such file") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        raise LiftposeError(f"{path}: expected a picture of at most {limit} million pixels, found more") from error
    except Exception as error:  # each of Pillow's decoders has its own kinds
        raise LiftposeError(f"{path}: expected a picture, found a file that cannot be decoded ({error})") from error


def picture_pixels(image: Image.Image) -> Picture:
    """Decode a picture of any mode.

    Args:
        image: The picture.

    Returns:
        (H, W, 3) uint8, RGB; may not be written to.
    """
    whole = _whole_jpeg(image)
    if whole is not None:
        return _rgb(whole)
    if image.mode.startswith("I;16") or image.mode == "I":
        # Pillow would cut off at 255 what it converts itself.
        grey = (np.asarray(image).clip(0, 2**16 - 1).astype(np.uint16) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    if image.mode == "F":
        raise LiftposeError(f"{getattr(image, 'filename', 'picture')}: expected 8 or 16 bits, found decimal numbers")
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _whole_jpeg(image: Image.Image, factor: int = 1) -> Picture | None:
    """Decode a JPEG file with OpenCV, which takes less time and memory than Pillow.

    OpenCV does not tell a file that ends early from a whole one, so only those are given to it that end as they should:
    within the data of the picture, no two bytes are those of its end.

    Args:
        image: An opened picture that has not been decoded.
        factor: 1, 2, 4 or 8, by which it is decoded smaller.

    Returns:
        (H, W, 3) uint8, BGR; None for a picture that Pillow has to decode, or to refuse.
    """
    stream = getattr(image, "fp", None)
    if not isinstance(image, JpegImageFile) or image.mode not in {"L", "RGB"} or stream is None:
        return None
    stream.seek(0)
    content = stream.read()
    if _END not in content[-_TAIL:] or max(image.size) > _LONGEST_SIDE:
        return None
    flags = _REDUCTIONS[factor] | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), flags)
    size = tuple(-(-side // factor) for side in image.size)
    if pixels is None or pixels.shape != (size[1], size[0], 3):
        return None
    return np.asarray(pixels, dtype=np.uint8)


def _rgb(pixels: Picture) -> Picture:
    """Return a picture of OpenCV's in the order of all others."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _reduction(to_image: npt.NDArray[np.float64]) -> int:
    """Return by how much a picture can be decoded smaller and still have a pixel for each of the patch's."""
    step = np.linalg.norm(to_image[:, :2], axis=0).min()  # pixels of the picture from one of the patch's to the next
    return max(factor for factor in _REDUCTIONS if factor == 1 or factor <= step)


def needed_part(
    to_image: npt.NDArray[np.float64], patch_size: Sequence[int], size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Return the part of a picture that a patch sees.

    Args:
        to_image: (2, 3) affine map from pixels of the patch to pixels of the picture.
        patch_size: Width and height of the patch in pixels.
        size: Width and height of the picture.

    Returns:
        Left, top, right and bottom, the last two behind the last pixel; empty for a patch outside the picture.
    """
    width, height = patch_size
    corners = to_image @ np.array([[0, width - 1, 0, width - 1], [0, 0, height - 1, height - 1], [1, 1, 1, 1]])
    limits = np.array(size)[:, None]
    low = np.clip(np.floor(corners.min(axis=1, keepdims=True)) - _MARGIN, 0, limits)
    high = np.clip(np.ceil(corners.max(axis=1, keepdims=True)) + _MARGIN + 1, 0, limits)
    left, top, right, bottom = (int(value) for value in (*low[:, 0], *high[:, 0]))
    return left, top, right, bottom


def refuse_outside(
    path: Path, corners: tuple[int, int, int, int], size: tuple[int, int], middle: tuple[float, float]
) -> None:
    """Refuse a box of which nothing is in the picture.

    Args:
        path: The picture file.
        corners: What :func:`needed_part` has found.
        size: Width and height of the picture.
        middle: Middle of the box.

    Raises:
        LiftposeError: Nothing is.
    """
    if corners[2] <= corners[0] or corners[3] <= corners[1]:
        raise LiftposeError(
            f"{path}: expected a box within the picture of {size[0]} x {size[1]} pixels, found one around "
            f"({middle[0]:.0f}, {middle[1]:.0f})"
        )
