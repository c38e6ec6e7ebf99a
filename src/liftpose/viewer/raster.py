"""A picture of plain pixels that lines and words are drawn on, hundreds of times per second.

Films need a thousand pictures and more. A matplotlib figure takes tens of milliseconds each; here its Agg renderer is
used directly, so lines are as smooth as in figures, what does not move is drawn once, and words that change are put
together from letters that have been drawn before.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any, Final, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import to_rgba
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.transforms import Bbox, IdentityTransform
from numpy.typing import NDArray

__all__ = ["Box", "Raster"]

_DPI: Final = 72  # at which a point is a pixel
_FAMILY: Final = "DejaVu Sans"  # comes with matplotlib; its digits are equally wide
_PLACE: Final = IdentityTransform()

Pixels = NDArray[np.uint8]


class Box(NamedTuple):
    """A rectangle in pixels, from the top left corner of the picture.

    Attributes:
        left: First column.
        top: First row.
        width: Number of columns.
        height: Number of rows.
    """

    left: int
    top: int
    width: int
    height: int


class Raster:
    """A picture to draw on. Places are pixels from the top left corner, to fractions of a pixel.

    Args:
        width: Pixels.
        height: Pixels.
        paper: Colour of the empty picture.
    """

    def __init__(self, width: int, height: int, paper: str) -> None:
        renderer: Any = RendererAgg
        self._renderer = renderer(width, height, _DPI)  # matplotlib has not typed it
        self._height = height
        self.pixels: Pixels = np.asarray(self._renderer.buffer_rgba())
        """(H, W, 4) uint8, RGBA without transparency: the picture itself, not a copy."""
        self.fill(Box(0, 0, width, height), paper)
        self.keep_background()

    def fill(self, box: Box, colour: str) -> None:
        """Fill a rectangle.

        Args:
            box: The rectangle.
            colour: Any colour that matplotlib knows.
        """
        self.pixels[box.top : box.top + box.height, box.left : box.left + box.width] = _bytes(colour)

    def keep_background(self) -> None:
        """Remember the picture as it is: :meth:`clear` goes back to it."""
        height, width = self.pixels.shape[:2]
        everything = Bbox.from_bounds(0, 0, width, height)
        self._background = self._renderer.copy_from_bbox(everything)

    def clear(self) -> None:
        """Go back to the background."""
        self._renderer.restore_region(self._background)

    def lines(self, segments: NDArray[np.float64], colour: str, width: float, clip: Box | None = None) -> None:
        """Draw straight lines with round ends, anti-aliased.

        Args:
            segments: (M, 2, 2) both ends of each line, x and y in pixels. Lines with an end that is not finite are left
                out.
            colour: Any colour that matplotlib knows.
            width: Pixels.
            clip: Nothing is drawn outside of it.
        """
        segments = segments[np.isfinite(segments).all((1, 2))]
        if not len(segments):
            return
        pen = self._renderer.new_gc()
        pen.set_foreground(_rgba(colour), isRGBA=True)
        pen.set_linewidth(width)
        pen.set_capstyle("round")
        pen.set_snap(False)
        if clip is not None:
            bottom = self._height - clip.top - clip.height
            pen.set_clip_rectangle(Bbox.from_bounds(clip.left, bottom, clip.width, clip.height))
        vertices = segments.reshape(-1, 2).copy()
        vertices[:, 1] = self._height - vertices[:, 1]  # the renderer counts from below
        path = Path(vertices, _codes(len(segments)))
        path.should_simplify = False
        self._renderer.draw_path(pen, path, _PLACE)

    def text(
        self, x: float, y: float, words: str, *, size: float, colour: str, bold: bool = False, right: bool = False
    ) -> float:
        """Write a line of text.

        Args:
            x: Column where it begins, or ends with ``right``.
            y: Row of its base line.
            words: The text; no sign in it has a special meaning.
            size: Height of the font in pixels.
            colour: Any colour that matplotlib knows.
            bold: Whether the letters are thick.
            right: Whether ``x`` is where it ends.

        Returns:
            Its width in pixels.
        """
        letters = _letters(words, size, bold)
        left = round(x) - (letters.mask.shape[1] if right else 0)
        self._blend(letters, left, round(y), colour)
        return float(letters.mask.shape[1])

    def number(self, x: float, y: float, words: str, *, size: float, colour: str, right: bool = False) -> float:
        """Write a short text that changes from picture to picture: as :meth:`text`, letter by letter and quicker.

        Args:
            x: Column where it begins, or ends with ``right``.
            y: Row of its base line.
            words: The text.
            size: Height of the font in pixels.
            colour: Any colour that matplotlib knows.
            right: Whether ``x`` is where it ends.

        Returns:
            Its width in pixels.
        """
        letters = [_letters(letter, size, False) for letter in words]
        width = sum(letter.advance for letter in letters)
        place = x - width if right else x
        for letter in letters:
            self._blend(letter, round(place), round(y), colour)
            place += letter.advance
        return width

    @staticmethod
    def shorten(words: str, room: float, *, size: float, bold: bool = False) -> str:
        """Cut a text so that it fits.

        Args:
            words: The text.
            room: Pixels.
            size: Height of the font in pixels.
            bold: Whether the letters are thick.

        Returns:
            The text, or its beginning with an ellipsis.
        """
        ends = np.cumsum([_letters(letter, size, bold).advance for letter in words])
        if not len(ends) or ends[-1] <= room:
            return words
        kept = int(np.searchsorted(ends, room - _letters("…", size, bold).advance, side="right"))
        return words[:kept].rstrip() + "…"

    def _blend(self, letters: _Letters, left: int, baseline: int, colour: str) -> None:
        """Put drawn letters on the picture; what lies outside is cut off."""
        top = baseline - letters.ascent
        height, width = letters.mask.shape
        rows = slice(max(top, 0), min(top + height, self.pixels.shape[0]))
        columns = slice(max(left, 0), min(left + width, self.pixels.shape[1]))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        mask = letters.mask[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left, None]
        under = self.pixels[rows, columns, :3]
        under[:] = (under + mask * (_bytes(colour)[:3] - under.astype(np.float32)) + 0.5).astype(np.uint8)


class _Letters(NamedTuple):
    """Letters as they were drawn: (H, W) cover in [0, 1], rows above the base line, pixels to the next letter."""

    mask: NDArray[Any]
    ascent: int
    advance: float


@functools.lru_cache(maxsize=512)
def _letters(words: str, size: float, bold: bool) -> _Letters:
    """Draw letters once."""
    font = FontProperties(family=_FAMILY, size=size, weight="bold" if bold else "normal")
    renderer: Any = RendererAgg
    measure = renderer(1, 1, _DPI)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a letter that the font lacks, a box is drawn
        extent = measure.get_text_width_height_descent(words, font, ismath=False)
        advance, height, descent = (float(number) for number in extent)
        margin = 2
        ascent, rows = round(size) + margin, round(max(size, height) + descent) + 2 * margin
        paper = renderer(max(1, round(advance) + 2 * margin), rows, _DPI)
        pen = paper.new_gc()
        pen.set_foreground((0.0, 0.0, 0.0, 1.0), isRGBA=True)
        paper.draw_text(pen, 0, ascent, words, font, 0)
    cover = np.asarray(paper.buffer_rgba())[..., 3].astype(np.float32) / np.float32(255)
    return _Letters(cover, ascent, advance)


@functools.lru_cache(maxsize=256)
def _codes(lines: int) -> NDArray[np.uint8]:
    return np.array([Path.MOVETO, Path.LINETO] * lines, dtype=np.uint8)


@functools.lru_cache(maxsize=256)
def _rgba(colour: str) -> tuple[float, float, float, float]:
    return to_rgba(colour)


@functools.lru_cache(maxsize=256)
def _bytes(colour: str) -> Pixels:
    return np.round(np.array(to_rgba(colour)) * 255).astype(np.uint8)
