"""What the motion capture formats share: opening a text file, xz-compressed or not, and rotations about the axes."""

from __future__ import annotations

import lzma
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from liftpose.errors import LiftposeError

__all__ = ["MAX_BYTES", "Float64Array", "axis_rotations", "parse_number", "parse_numbers", "read_lines"]

Float64Array = npt.NDArray[np.float64]

MAX_BYTES = 256 * 1024**2
"""Largest uncompressed file that is read: a compressed file of a few kilobytes can hold more than the memory does."""


def read_lines(path: str | Path, *, max_bytes: int = MAX_BYTES) -> list[str]:
    """Read a text file, compressed where its name ends in ``.xz``, as a list of lines without their ends.

    Args:
        path: The file. Lines may end in LF or CR LF.
        max_bytes: Largest size of the uncompressed text.

    Returns:
        The lines; ``lines[i]`` is line number i + 1 of the file.

    Raises:
        LiftposeError: The file cannot be read, is not a valid xz file, or is larger than ``max_bytes``.
    """
    path = Path(path)
    try:
        with lzma.open(path, "rb") if path.suffix == ".xz" else path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise LiftposeError(f"{path}: expected a motion capture file, found no such file") from None
    except (lzma.LZMAError, EOFError) as error:
        raise LiftposeError(f"{path}: expected a whole xz-compressed file, found: {error}") from None
    except OSError as error:
        raise LiftposeError(f"{path}: expected a readable file, found: {error.strerror or error}") from None
    if len(content) > max_bytes:
        raise LiftposeError(f"{path}: expected at most {max_bytes} bytes of text, found more")
    return content.decode("utf-8", errors="replace").splitlines()


def parse_number(word: str, where: str) -> float:
    """Turn one word into a finite number.

    Args:
        word: The word, such as ``-2.4e-015``.
        where: File and line, for the message.

    Returns:
        The number.

    Raises:
        LiftposeError: The word is not a finite number.
    """
    try:
        value = float(word)
    except ValueError:
        raise LiftposeError(f"{where}: expected a number, found {word[:40]!r}") from None
    if not math.isfinite(value):
        raise LiftposeError(f"{where}: expected a finite number, found {word}")
    return value


def parse_numbers(words: Sequence[str], count: int, where: str) -> list[float]:
    """Turn words into finite numbers, of which there must be ``count``.

    Args:
        words: The words.
        count: How many are expected.
        where: File and line, for the message.

    Returns:
        The numbers.

    Raises:
        LiftposeError: There are more or fewer words, or one of them is not a finite number.
    """
    if len(words) != count:
        raise LiftposeError(f"{where}: expected {count} numbers, found {len(words)}")
    return [parse_number(word, where) for word in words]


def axis_rotations(axes: str, degrees: Float64Array) -> Float64Array:
    """Rotation matrices from successive rotations about the axes, multiplied in the order in which they are named.

    ``axes="ZYX"`` gives ``Rz(a) @ Ry(b) @ Rx(c)``, which turns column vectors.

    Args:
        axes: Letters out of X, Y, Z, any number of them, each as often as wanted.
        degrees: (..., len(axes)) angles in degrees.

    Returns:
        (..., 3, 3) rotation matrices.
    """
    rotation = np.broadcast_to(np.eye(3), (*degrees.shape[:-1], 3, 3))
    for column, axis in enumerate(axes):
        angle = np.radians(degrees[..., column])
        cosine, sine = np.cos(angle), np.sin(angle)
        one = "XYZ".index(axis)
        second, third = (one + 1) % 3, (one + 2) % 3
        single = np.zeros((*angle.shape, 3, 3))
        single[..., one, one] = 1.0
        single[..., second, second] = single[..., third, third] = cosine
        single[..., second, third] = -sine
        single[..., third, second] = sine
        rotation = single if column == 0 else rotation @ single
    return rotation
