"""Variables of CDF files (Common Data Format of NASA), in which Human3.6M was published; read by cdflib."""

from __future__ import annotations

import math
import os
import struct
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from liftpose.errors import LiftposeError
from liftpose.formats.optional import import_optional

__all__ = ["read_cdf"]

# How versions 3 and 2.6 begin, and the format of sizes and places in them.
_WORDS = {b"\xcd\xf3\x00\x01": "q", b"\xcd\xf2\x60\x02": "i"}
_MAX_COUNT = 10_000
_MAX_DIMENSIONS = 32
_MAX_BYTES = 2**30  # the longest take has five megabytes
_LARGEST_NUMBER = 16
_INDEX, _Z_VARIABLE, _PACKED_VALUES = 6, 8, 13  # kinds of records
_GZIP = 5
_NOT_COMPRESSED = b"\x00\x00\xff\xff"


def read_cdf(path: str | os.PathLike[str], variable: str, content: bytes | None = None) -> npt.NDArray[Any]:
    """Read a variable of numbers from a CDF file.

    Args:
        path: The file; for messages only where ``content`` is given.
        variable: Name of the variable, capitals or not.
        content: The bytes of the file, where it lies in an archive.

    Returns:
        The values, the number of records first.

    Raises:
        LiftposeError: There is no such file, it is not a CDF file, it is cut or damaged, it lacks the variable (the
            message lists those that there are), the variable is not made of numbers, or cdflib is not installed.
    """
    cdflib = import_optional("cdflib", str(path))
    if content is None:
        return _read(cdflib, Path(path), path, variable)
    # cdflib reads from the disk only. The name is ours, not one that the archive has chosen.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "member.cdf"
        file.write_bytes(content)
        return _read(cdflib, file, path, variable)


def _read(cdflib: Any, file: Path, path: str | os.PathLike[str], variable: str) -> npt.NDArray[Any]:
    _check_whole(file, path)
    try:
        cdf = cdflib.CDF(file)
        info = cdf.cdf_info()
        names = [*info.rVariables, *info.zVariables]
        if variable.lower() in {name.strip().lower() for name in names}:
            values = cdf.varget(variable)
        else:
            values = None
    except MemoryError as error:
        raise LiftposeError(f"{path}: expected a CDF file, found one that does not fit into memory") from error
    except Exception as error:  # cdflib raises whatever its arithmetic with damaged numbers leads to
        reason = f"{type(error).__name__}: {error}"
        raise LiftposeError(f"{path}: expected a CDF file, found it cut or damaged ({reason})") from error
    if values is None:
        raise LiftposeError(f"{path}: expected the variable {variable}, found {', '.join(names) or 'no variable'}")
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        found = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
        raise LiftposeError(f"{path}: expected numbers in the variable {variable}, found {found}")
    return values


def _check_whole(file: Path, path: str | os.PathLike[str]) -> None:
    """Check what cdflib does not: of a cut file it returns zeros for what is missing, and wrong counts it follows."""
    try:
        size = file.stat().st_size
        if size > _MAX_BYTES:
            raise LiftposeError(
                f"{path}: expected a CDF file of at most {_MAX_BYTES / 2**30:g} GiB, found a larger one"
            )
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise LiftposeError(f"{path}: expected a CDF file, found no such file") from error
    except OSError as error:
        raise LiftposeError(f"{path}: expected a CDF file, found: {(error.strerror or str(error)).lower()}") from error
    word = _WORDS.get(content[:4])
    if word is None:
        raise LiftposeError(f"{path}: expected a CDF file, found {_describe(content)}")
    try:
        _Records(content, word).check()
    except (struct.error, zlib.error, ValueError, OverflowError) as error:
        reason = f"{size} bytes" if isinstance(error, struct.error) else error
        raise LiftposeError(f"{path}: expected a CDF file, found it cut or damaged ({reason})") from error


class _Records:
    """The records that lead to the values, as the CDF Internal Format Description (version 3.9, chapter 2) has them.

    Args:
        content: The file.
        word: Format of sizes and places.
    """

    def __init__(self, content: bytes, word: str) -> None:
        self._word, self._width = word, struct.calcsize(word)
        self._unpacked = self._visited = 0
        packed = content[4:8] != _NOT_COMPRESSED
        self._content = content[:8] + self._inflated(*self._packed_file(content)) if packed else content

    def check(self) -> None:
        """Walk through all records.

        Raises:
            ValueError: A count or a size is one that no file of the field has, or the file is cut.
            struct.error: A record lies outside the file.
            zlib.error: What is compressed is damaged.
        """
        w = self._width
        (place,) = self._fields("w", 12 + w)
        version, release = self._fields("ii", 12 + 2 * w)
        if w == 4 and (version, release) < (2, 5):
            raise ValueError(f"version {version}.{release}")
        _, _, first_r, first_z, _, whole, *counts = self._fields("wi wwww iiiii", place)
        r_count, attributes, _, dimensions, z_count = counts
        if len(self._content) < whole:
            raise ValueError(f"{len(self._content)} of {whole} bytes")
        if not all(0 <= count <= _MAX_COUNT for count in counts[:2] + counts[3:]):
            raise ValueError(f"{r_count} and {z_count} variables, {attributes} attributes, {dimensions} dimensions")
        shape = self._fields("i" * dimensions, place + (84 if w == 8 else 60))
        for first, count in ((first_r, r_count), (first_z, z_count)):
            place = first
            for _ in range(count):
                place = self._check_variable(place, shape)

    def _check_variable(self, place: int, r_shape: tuple[int, ...]) -> int:
        """Check a variable; return where the next one is described."""
        _, kind, following, _, last, index = self._fields("wi w ii w", place)
        elements_at, shape_at = (64, 340) if self._width == 8 else (48, 128)
        (elements,) = self._fields("i", place + elements_at)
        shape = r_shape
        if kind == _Z_VARIABLE:
            (dimensions,) = self._fields("i", place + shape_at)
            if not 0 <= dimensions <= _MAX_DIMENSIONS:
                raise ValueError(f"a variable of {dimensions} dimensions")
            shape = self._fields("i" * dimensions, place + shape_at + 4)
        if abs(math.prod((last + 1, elements, *shape))) * _LARGEST_NUMBER > _MAX_BYTES:
            raise ValueError(f"a variable of {last + 1} records of shape {shape}")
        if last >= 0:
            self._check_index(index)
        return int(following)

    def _check_index(self, first: int) -> None:
        """Check the tree of places of a variable's values."""
        places = [first]
        while places:
            place = places.pop()
            size, _, following, entries, used = self._fields("wi w ii", place)
            start = place + 2 * self._width + 12
            if not 0 <= used <= entries or size < start - place + entries * (8 + self._width):
                raise ValueError(f"an index of {size} bytes with {used} of {entries} entries")
            self._visited += 1 + used
            if self._visited > _MAX_COUNT:
                raise ValueError("an index that does not end")
            for inner in self._fields("w" * used, start + 8 * entries):
                length, kind = self._fields("wi", inner)
                if kind == _INDEX:
                    places.append(inner)
                elif kind == _PACKED_VALUES:
                    begin = inner + self._width + 8
                    (packed,) = self._fields("w", begin)
                    self._inflated(self._content, begin + self._width, min(packed, length))
            if following:
                places.append(following)

    def _packed_file(self, content: bytes) -> tuple[bytes, int, int]:
        """Return where the data lie in a file that is compressed as a whole, and their length."""
        self._content = content
        size, _, how = self._fields("wi w", 8)
        *_, method = self._fields("wii", how)
        if method != _GZIP:
            raise ValueError(f"compression of the kind {method}")
        head = 3 * self._width + 8
        return content, 8 + head, size - head

    def _inflated(self, content: bytes, start: int, length: int) -> bytes:
        if length < 0 or len(content) < start + length:
            raise ValueError(f"{length} compressed bytes outside the file")
        inflate = zlib.decompressobj(31)  # with gzip's header and check sum
        data = inflate.decompress(memoryview(content)[start : start + length], _MAX_BYTES - self._unpacked + 1)
        self._unpacked += len(data)
        if self._unpacked > _MAX_BYTES or not inflate.eof or inflate.unused_data.strip(b"\0"):
            raise ValueError("compressed bytes that do not end where they should")
        return data

    def _fields(self, layout: str, place: int) -> tuple[int, ...]:
        """Return numbers; w stands for a size or a place."""
        return struct.unpack_from(f">{layout.replace('w', self._word)}", self._content, max(0, place))


def _describe(start: bytes) -> str:
    known = {b"\x89HDF": "an HDF5 file", b"MATLAB": "a MATLAB file", b"PK": "a zip archive", b"\x1f\x8b": "a gzip file"}
    for prefix, words in known.items():
        if start.startswith(prefix):
            return words
    return "something else" if start else "an empty file"
