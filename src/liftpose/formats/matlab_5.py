"""MATLAB files of version 5 to 7 (The MathWorks, "MAT-File Format"): a header, then one element per variable.

Read here and not by scipy, whose compiled reader trusts the lengths in a file: a few wrong bytes end the process.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterator
from typing import IO, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from liftpose.errors import LiftposeError

__all__ = ["HEADER_BYTES", "Matlab5"]

HEADER_BYTES = 128
"""Text, then the version and the order of bytes in the last four."""

# The largest variable of the field, a training annotation of MPI-INF-3DHP, has an eighth of this.
_MAX_BYTES = 2**30
_MAX_VALUES = 100_000
_MAX_FIELDS = 8_000_000  # values within structures; the people of MPII have two million
_MAX_DEPTH = 8
_HEAD_BYTES = 4096  # kind, shape and name of a variable lie within this

_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXT = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CELL, _STRUCT, _CHAR = 1, 2, 4
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_OTHERS = {_STRUCT: "a structure", 3: "an object", 5: "a sparse matrix", 16: "a function", 17: "an object"}
_COMPLEX = 0x0800


class _Place(NamedTuple):
    """Where a variable lies in the file: its bytes without the tag, compressed or not."""

    start: int
    length: int
    compressed: bool


class _Head(NamedTuple):
    """What an array says about itself before its numbers; ``end`` is where those begin."""

    kind: int
    is_complex: bool
    shape: tuple[int, ...]
    name: str
    end: int


class Matlab5:
    """The variables of a file of version 5 to 7.

    Args:
        path: The file, for messages.
        stream: The file, open for reading.
        structures: Whether structures are read too.

    Raises:
        LiftposeError: The file is cut or damaged.
    """

    def __init__(self, path: str | os.PathLike[str], stream: IO[bytes], structures: bool = False) -> None:
        self.path = path
        self.stream = stream
        self.structures = structures
        stream.seek(HEADER_BYTES - 2)
        self.order: Literal["<", ">"] = "<" if stream.read(2) == b"IM" else ">"
        self._dtypes = {kind: np.dtype(code).newbyteorder(self.order) for kind, code in _NUMBERS.items()}
        self._tag = struct.Struct(f"{self.order}2I")
        self._places: dict[str, _Place] = {}
        self._values = self._sum = 0  # cells and bytes of the variable that is read
        size = stream.seek(0, os.SEEK_END)
        start = HEADER_BYTES
        while start < size:
            start = self._find(start, size)

    def names(self) -> tuple[str, ...]:
        """Return the names of the variables in the order of the file."""
        return tuple(self._places)

    def read(self, name: str) -> Any:
        """Read a variable.

        Args:
            name: One of :meth:`names`.

        Returns:
            An array of numbers, an object array of values or a string; of structures an object array of dictionaries.

        Raises:
            LiftposeError: The variable is damaged or of another kind.
        """
        self._values = self._sum = 0
        try:
            return self._array(memoryview(self._bytes(self._places[name], _MAX_BYTES)), 0)
        except _DAMAGE as error:
            raise self._damaged(error, f"{self.path}: {name}") from error
        except _OtherKind as error:
            wanted = "numbers, text, cells or structures" if self.structures else "numbers, text or cells"
            raise LiftposeError(f"{self.path}: {name}: expected {wanted} of them, found {error}") from error

    def _find(self, start: int, size: int) -> int:
        """Note the name and the place of the variable whose tag is at ``start``; return where the next one begins."""
        self.stream.seek(start)
        tag = self.stream.read(8)
        kind, length = struct.unpack(f"{self.order}2I", tag) if len(tag) == 8 else (_MATRIX, size)
        if start + 8 + length > size:
            raise LiftposeError(f"{self.path}: expected a whole MATLAB file, found it cut after {size} bytes")
        if kind in {_MATRIX, _COMPRESSED}:
            place = _Place(start + 8, length, kind == _COMPRESSED)
            try:
                head = self._head(memoryview(self._bytes(place, _HEAD_BYTES)))
            except _DAMAGE as error:
                raise self._damaged(error, str(self.path)) from error
            if head.name:  # without a name it is the file's own table of objects
                self._places[head.name] = place
        return start + 8 + int(length)

    def _bytes(self, place: _Place, limit: int) -> bytes:
        """Return at most ``limit`` bytes of a variable without its tag; a longer one is refused if all are wanted."""
        self.stream.seek(place.start)
        if not place.compressed:
            if limit < place.length and limit == _MAX_BYTES:
                raise ValueError(f"a variable of {place.length} bytes")
            return self.stream.read(min(place.length, limit))
        inflate = zlib.decompressobj()
        packed = self.stream.read(place.length if limit == _MAX_BYTES else min(place.length, limit))
        kind, length = struct.unpack(f"{self.order}2I", inflate.decompress(packed, 8))
        if kind != _MATRIX:
            raise ValueError(f"a compressed element of the kind {kind}")
        if limit < _MAX_BYTES:
            return inflate.decompress(inflate.unconsumed_tail, min(length, limit))
        if length > _MAX_BYTES:
            raise ValueError(f"a variable of {length} bytes")
        # One byte more than announced, so that zlib comes to its checksum.
        data = inflate.decompress(inflate.unconsumed_tail, length + 1)
        if len(data) != length or not inflate.eof:
            raise ValueError("a variable of another length than it says")
        return data

    def _element(self, data: memoryview, start: int) -> tuple[int, memoryview, int]:
        """Return the kind and the bytes of the element at ``start``, and where the next one begins."""
        if len(data) < start + 8:
            raise ValueError("an element without its tag")
        first, second = self._tag.unpack_from(data, start)
        if first >> 16:  # up to four bytes lie within the tag
            kind, length, begin, end = first & 0xFFFF, first >> 16, start + 4, start + 8
        else:
            kind, length, begin = first, second, start + 8
            end = begin + length + (-length) % 8
        content = data[begin : begin + length]
        if len(content) < length or (first >> 16 and length > 4):
            raise ValueError("an element that ends too early")
        return kind, content, end

    def _numbers(self, kind: int, content: memoryview) -> npt.NDArray[Any]:
        if kind not in self._dtypes:
            raise ValueError(f"numbers of the kind {kind}")
        return np.frombuffer(content, dtype=self._dtypes[kind])

    def _head(self, data: memoryview) -> _Head:
        kind, content, end = self._element(data, 0)
        flags = self._numbers(kind, content)
        kind, content, end = self._element(data, end)
        shape = tuple(map(int, self._numbers(kind, content).tolist()))
        kind, content, end = self._element(data, end)
        if not len(flags) or not 2 <= len(shape) <= 32 or min(shape) < 0:
            raise ValueError(f"an array of the shape {shape}")
        name = bytes(content).decode("latin-1")
        return _Head(int(flags[0]) & 0xFF, bool(int(flags[0]) & _COMPLEX), shape, name, end)

    def _array(self, data: memoryview, depth: int) -> Any:
        """Read an array from its bytes without the tag."""
        if not len(data):
            return np.empty((0, 0))  # an empty cell
        head = self._head(data)
        count = math.prod(head.shape)
        if head.kind == _CELL:
            return self._cells(data, head, count, depth)
        if head.kind == _STRUCT and self.structures:
            return self._structs(data, head, count, depth)
        if head.kind == _CHAR and (head.shape[0] == 1 or not count) and len(head.shape) == 2:
            if not count:
                return ""
            kind, content, _ = self._element(data, head.end)
            text = bytes(content).decode(self._encoding(kind))
            if len(text) != count:
                raise ValueError(f"{count} characters where {len(text)} are stored")
            return text
        if head.kind not in _CLASSES or head.is_complex:
            found = "text of several rows" if head.kind == _CHAR else "complex numbers"
            raise _OtherKind(_OTHERS.get(head.kind, found))
        numbers = self._numbers(*self._element(data, head.end)[:2])
        if len(numbers) != count:
            raise ValueError(f"a shape {head.shape} where {len(numbers)} numbers are stored")
        self._sum += count * np.dtype(_CLASSES[head.kind]).itemsize  # eight times what is stored, at the most
        if self._sum > _MAX_BYTES:
            raise _OtherKind(f"more than {_MAX_BYTES / 2**30:g} GiB")
        return numbers.astype(_CLASSES[head.kind]).reshape(head.shape, order="F")

    def _encoding(self, kind: int) -> str:
        if kind not in _TEXT:
            raise ValueError(f"text of the kind {kind}")
        encoding = _TEXT[kind]
        return f"{encoding}-{'le' if self.order == '<' else 'be'}" if encoding in {"utf-16", "utf-32"} else encoding

    def _cells(self, data: memoryview, head: _Head, count: int, depth: int) -> npt.NDArray[Any]:
        self._claim(count, len(data), depth)
        cells = np.empty(count, dtype=object)
        for number, value in enumerate(self._inner(data, head.end, count, depth)):
            cells[number] = value
        return cells.reshape(head.shape, order="F")

    def _structs(self, data: memoryview, head: _Head, count: int, depth: int) -> npt.NDArray[Any]:
        """Read structures: the names of the fields, then those of the first structure, of the second, and so on."""
        kind, content, end = self._element(data, head.end)
        sizes = self._numbers(kind, content)
        kind, content, end = self._element(data, end)
        size = int(sizes[0]) if len(sizes) == 1 else 0
        if size < 1 or len(content) % size:
            raise ValueError(f"names of fields in {len(content)} bytes, {size} each")
        text = bytes(content)
        names = [
            text[begin : begin + size].partition(b"\0")[0].decode("latin-1") for begin in range(0, len(text), size)
        ]
        if len(set(names)) != len(names) or not all(name.isidentifier() for name in names) or (count > 1 and not names):
            raise ValueError(f"fields of the names {names}")
        self._claim(count * len(names), len(data), depth)
        structs = np.empty(count, dtype=object)
        values = self._inner(data, end, count * len(names), depth)
        for number in range(count):
            structs[number] = {name: next(values) for name in names}
        return structs.reshape(head.shape, order="F")

    def _claim(self, count: int, length: int, depth: int) -> None:
        """Refuse more cells or fields than there can be."""
        if depth >= _MAX_DEPTH:
            raise _OtherKind("cells within cells without end")
        if count * 8 > length:  # every value has a tag
            raise ValueError(f"{count} cells in {length} bytes")
        self._values += count
        limit = _MAX_FIELDS if self.structures else _MAX_VALUES
        if self._values > limit:
            raise _OtherKind(f"more than {limit} cells")

    def _inner(self, data: memoryview, place: int, count: int, depth: int) -> Iterator[Any]:
        """Read what lies in cells or fields, one after the other."""
        for _ in range(count):
            kind, content, place = self._element(data, place)
            if kind != _MATRIX:
                raise ValueError(f"a cell of the kind {kind}")
            yield self._array(content, depth + 1)

    @staticmethod
    def _damaged(error: Exception, where: str) -> LiftposeError:
        return LiftposeError(f"{where}: expected a whole MATLAB file, found it cut or damaged ({error})")


class _OtherKind(Exception):
    """A variable that is no numbers, text or cells; says what it is."""


_DAMAGE = (ValueError, OverflowError, MemoryError, struct.error, zlib.error)
