"""MATLAB files of version 5, written: numbers, text, cells and structures (The MathWorks, "MAT-File Format")."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from liftpose.formats.atomic import write_atomically

__all__ = ["write_matlab"]

_HEADER: Final = b"MATLAB 5.0 MAT-file".ljust(116) + bytes(8) + b"\x00\x01IM"
_MATRIX, _COMPRESSED = 14, 15
_INT8, _INT32, _UINT32, _UTF16 = 1, 5, 6, 17
_CELL, _STRUCT, _CHAR = 1, 2, 4
# The class of an array and the kind of its numbers.
_NUMBERS: Final = {
    "f8": (6, 9), "f4": (7, 7), "i1": (8, 1), "u1": (9, 2), "i2": (10, 3),
    "u2": (11, 4), "i4": (12, 5), "u4": (13, 6), "i8": (14, 12), "u8": (15, 13),
}  # fmt: skip
_LOGICAL: Final = 0x0200
_NAME_LENGTH: Final = 63
_MOST_BYTES: Final = 2**31 - 1


def write_matlab(path: str | os.PathLike[str], variables: Mapping[str, Any], *, compress: bool = False) -> None:
    """Write variables as a MATLAB file of version 5 (compressed: 7), all or nothing; scipy reads it too.

    Args:
        path: The file to write.
        variables: Name -> value. Arrays of numbers and booleans keep their type; those of fewer than two dimensions
            become a row, as MATLAB has no others. A string is text of one row, a list or tuple a row of cells, a
            dictionary a structure. An array of objects is an array of structures if all of them are dictionaries of
            the same keys, else one of cells: what :func:`liftpose.formats.matlab.read_matlab` reads comes back the
            same.
        compress: Deflate each variable.

    Raises:
        LiftposeError: The file cannot be written.
        ValueError: A name that MATLAB does not have, a value of another kind, or one of 2 GiB or more.
    """
    elements = []
    for name, value in variables.items():
        _check_name(name)
        element = _array(value, name)
        if compress:
            packed = zlib.compress(element)
            element = struct.pack("<2I", _COMPRESSED, len(packed)) + packed  # the one kind that is not padded
        elements.append(element)
    with write_atomically(path) as temporary, temporary.open("wb") as stream:
        stream.write(_HEADER)
        for element in elements:
            stream.write(element)


def _check_name(name: str) -> None:
    if not (name.isascii() and name.isidentifier() and not name.startswith("_") and len(name) <= _NAME_LENGTH):
        raise ValueError(f"expected a name of at most {_NAME_LENGTH} letters, digits and underscores, found {name!r}")


def _element(kind: int, content: bytes) -> bytes:
    """Return a tag, the content, and zeros up to a multiple of eight bytes."""
    if len(content) > _MOST_BYTES:
        raise ValueError(f"expected values below 2 GiB, found one of {len(content) / 2**30:.1f} GiB")
    return struct.pack("<2I", kind, len(content)) + content + bytes(-len(content) % 8)


def _matrix(kind: int, shape: Sequence[int], name: str, content: bytes) -> bytes:
    """Return an array of any kind: what it is, its shape, its name and what is in it."""
    head = _element(_UINT32, struct.pack("<2I", kind, 0)) + _element(_INT32, struct.pack(f"<{len(shape)}i", *shape))
    return _element(_MATRIX, head + _element(_INT8, name.encode("ascii")) + content)


def _array(value: Any, name: str = "") -> bytes:
    if isinstance(value, str):
        units = value.encode("utf-16-le")
        shape = (1, len(units) // 2) if value else (0, 0)
        return _matrix(_CHAR, shape, name, _element(_UTF16, units))
    if isinstance(value, Mapping):
        return _structs(np.array([[value]], dtype=object), name)
    if isinstance(value, (list, tuple)):
        row = np.empty((1, len(value)), dtype=object)
        row[0, :] = value
        return _cells(row, name)
    array = np.asarray(value)
    array = array.reshape(1, -1) if array.ndim < 2 else array
    if array.dtype == object and isinstance(value, np.ndarray):
        return _structs(array, name) if _is_structs(array) else _cells(array, name)
    flags = _LOGICAL if array.dtype == bool else 0
    array = array.astype(np.uint8) if array.dtype == bool else array
    code = array.dtype.str[1:]
    if code not in _NUMBERS:
        raise ValueError(f"{name or 'a value'}: expected numbers, text, cells or structures, found {array.dtype}")
    kind, stored = _NUMBERS[code]
    numbers = array.astype(array.dtype.newbyteorder("<")).tobytes(order="F")
    return _matrix(kind | flags, array.shape, name, _element(stored, numbers))


def _is_structs(array: npt.NDArray[Any]) -> bool:
    values = array.ravel().tolist()
    return bool(values) and all(isinstance(value, Mapping) and list(value) == list(values[0]) for value in values)


def _cells(cells: npt.NDArray[Any], name: str) -> bytes:
    return _matrix(_CELL, cells.shape, name, b"".join(_array(value) for value in cells.ravel(order="F")))


def _structs(structs: npt.NDArray[Any], name: str) -> bytes:
    rows = structs.ravel(order="F").tolist()
    fields = list(rows[0])
    for field in fields:
        _check_name(field)
    size = max(32, *(len(field) + 1 for field in fields)) if fields else 32
    names = b"".join(field.encode("ascii").ljust(size, b"\0") for field in fields)
    # The length of the names has to lie within its tag: MATLAB reads it in no other form.
    content = struct.pack("<2Hi", _INT32, 4, size) + _element(_INT8, names)
    content += b"".join(_array(row[field]) for row in rows for field in fields)
    return _matrix(_STRUCT, structs.shape, name, content)
