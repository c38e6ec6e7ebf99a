"""The parts of pictures that training patches are cut out of, kept as small files: decoding them takes a third."""

from __future__ import annotations

import hashlib
import io
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftpose.errors import LiftposeError
from liftpose.formats.atomic import write_atomically
from liftpose.formats.images import needed_part, open_picture, picture_pixels, refuse_outside, warp_patch

__all__ = ["PictureCrops"]

Picture = npt.NDArray[np.uint8]

log = logging.getLogger(__name__)

_told: Final[set[Path]] = set()  # folders that have been warned of in this process

_VERSION: Final = 1  # counts up when the same settings keep something else
_QUALITY: Final = 95


@dataclass(frozen=True)
class PictureCrops:
    """A folder of what has been cut out around boxes, one JPEG file for each picture and box.

    A part reaches as far as any patch can, and is scaled down where no patch has a pixel for each of its own. Patches
    are always read from the part as it is kept, also when it has just been made, so that nothing depends on what the
    folder held before.

    Args:
        folder: Where they are kept; made where it is missing.
        patch_size: Width and height of the patches in pixels.
        scale_factor: Largest change of the boxes' zoom about 1.
        turned: Whether patches are turned.
    """

    folder: Path
    patch_size: tuple[int, int]
    scale_factor: float
    turned: bool

    def cut_patch(self, path: Path, box: Sequence[float], to_image: npt.NDArray[np.floating[Any]]) -> Picture:
        """Cut a patch out of the part of a picture that is kept; keep it first where it is not.

        Args:
            path: The picture file.
            box: Pixels: centre x, centre y, width, height.
            to_image: (2, 3) affine map from pixels of the patch to pixels of the picture.

        Returns:
            (H, W, 3) uint8, RGB.

        Raises:
            LiftposeError: The picture cannot be read, or the box is outside it. A part that cannot be kept is no error:
                the disk may be full, of which each process warns once.
        """
        file = self._file(path, box)
        try:
            part, corners = _read(file)
        except (LiftposeError, ValueError):  # missing, or not what was written
            content = self._make(path, box)
            self._keep(file, content)
            part, corners = _read(io.BytesIO(content))
        left, top, right, bottom = corners
        scale = np.array([[part.shape[1] / (right - left)], [part.shape[0] / (bottom - top)]])
        matrix = np.array(to_image, dtype=np.float64)
        matrix[:, 2] += 0.5 - np.array([left, top])
        matrix *= scale
        matrix[:, 2] -= 0.5
        return warp_patch(part, matrix, self.patch_size)

    def _keep(self, file: Path, content: bytes) -> None:
        """Write a part of a picture; where that fails it is made anew each time."""
        try:
            with write_atomically(file) as temporary:
                temporary.write_bytes(content)
        except LiftposeError as error:
            if self.folder not in _told:
                _told.add(self.folder)
                log.warning("data.crops: pictures whose parts cannot be kept are decoded each time (%s)", error)

    def _file(self, path: Path, box: Sequence[float]) -> Path:
        """Return where the part of a picture is kept; it depends on all that its content does."""
        try:
            state = path.stat()
        except OSError as error:
            raise LiftposeError(f"{path}: expected a picture, found no such file") from error
        settings = (_VERSION, self.patch_size, self.scale_factor, self.turned, [float(side) for side in box])
        known = repr((str(path.resolve()), state.st_size, state.st_mtime_ns, settings))
        name = hashlib.sha256(known.encode()).hexdigest()[:40]
        return self.folder / name[:2] / f"{name}.jpg"

    def _make(self, path: Path, box: Sequence[float]) -> bytes:
        """Return the part of a picture as a JPEG file, with its place in the picture as the comment."""
        x, y, width, height = (float(side) for side in box)
        reach = np.full(2, math.hypot(width, height)) if self.turned else np.array([width, height])
        across, down = (1 + self.scale_factor) * reach / self.patch_size
        left, top = x - across * self.patch_size[0] / 2, y - down * self.patch_size[1] / 2
        matrix = np.array([[across, 0, left], [0, down, top]])
        with open_picture(path) as image:
            # One pixel more: the first column is farther from the middle than the last, and may be turned to the right.
            corners = needed_part(matrix, (self.patch_size[0] + 1, self.patch_size[1] + 1), image.size)
            refuse_outside(path, corners, image.size, (x, y))
            part = Image.fromarray(picture_pixels(image.crop(corners)))
        zoom = max(self.patch_size[0] / width, self.patch_size[1] / height) / (1 - self.scale_factor)
        if zoom < 1:
            size = (math.ceil(part.width * zoom), math.ceil(part.height * zoom))
            part = part.resize(size, Image.Resampling.BILINEAR)
        written = io.BytesIO()
        part.save(written, "JPEG", quality=_QUALITY, subsampling=0, comment=" ".join(map(str, corners)))
        return written.getvalue()


def _read(file: Path | io.BytesIO) -> tuple[Picture, tuple[int, ...]]:
    """Read a part of a picture and its left, top, right and bottom."""
    with open_picture(file) as image:
        corners = tuple(int(word) for word in image.info.get("comment", b"").split())
        if len(corners) != 4 or corners[0] >= corners[2] or corners[1] >= corners[3]:
            raise ValueError(f"expected the place of the part, found {corners}")
        return picture_pixels(image), corners
