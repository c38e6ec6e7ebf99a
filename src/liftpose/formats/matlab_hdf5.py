"""MATLAB files of version 7.3: HDF5 with transposed arrays, cells as references, text as numbers of characters."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from liftpose.errors import LiftposeError
from liftpose.formats.optional import import_optional

__all__ = ["MatlabHdf5"]

_MAX_BYTES = 2**30
_MAX_VALUES = 100_000
_MAX_DEPTH = 8


class MatlabHdf5:
    """The variables of a file of version 7.3.

    Args:
        path: The file.

    Raises:
        LiftposeError: The file is cut or damaged, or h5py is not installed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        self._h5py = import_optional("h5py", str(path))
        self._values = 0
        self._bytes = 0
        try:
            self._file = self._h5py.File(os.fspath(path), "r")
        except _DAMAGE as error:
            raise self._damaged(error) from error

    def __enter__(self) -> MatlabHdf5:
        """Return the open file."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()

    def names(self) -> tuple[str, ...]:
        """Return the names of the variables in the order of the file."""
        try:
            return tuple(str(name) for name in self._file if not name.startswith("#"))
        except _DAMAGE as error:
            raise self._damaged(error) from error

    def read(self, name: str) -> Any:
        """Read a variable.

        Args:
            name: One of :meth:`names`.

        Returns:
            An array of numbers, an object array of values or a string.

        Raises:
            LiftposeError: The variable is damaged or of another kind.
        """
        try:
            if not isinstance(self._file.get(name, getlink=True), self._h5py.HardLink):
                raise _OtherKind("a link")
            return self._value(self._file[name], 0)
        except _OtherKind as error:
            raise LiftposeError(
                f"{self.path}: {name}: expected numbers, text or cells of them, found {error}"
            ) from error
        except _DAMAGE as error:
            raise self._damaged(error) from error

    def _value(self, item: Any, depth: int) -> Any:
        if not isinstance(item, self._h5py.Dataset):
            raise _OtherKind("a structure, an object or a sparse matrix")
        if item.shape is None or item.external or item.is_virtual:
            raise _OtherKind("an array that is not in this file")
        self._count(item, depth)
        kind = item.attrs.get("MATLAB_class", b"")
        kind = kind.decode("latin-1") if isinstance(kind, bytes) else str(kind)
        if kind not in _CLASSES:
            raise _OtherKind(f"something else ({kind})")
        array = self._empty(item, kind) if item.attrs.get("MATLAB_empty", 0) else np.asarray(item[()]).T
        if kind == "char":
            if array.dtype.kind != "u" or (array.size and len(array) != 1):
                raise _OtherKind("text of several rows")
            return "".join(map(chr, array.ravel().tolist()))
        if array.dtype == object and self._h5py.check_ref_dtype(item.dtype) is self._h5py.Reference:
            return self._cells(array, depth)
        if array.dtype.kind not in "fiu" and not (kind == "cell" and not array.size):
            raise _OtherKind(f"something else ({item.dtype})")
        return array

    def _empty(self, item: Any, kind: str) -> npt.NDArray[Any]:
        """Return an empty array, in whose place the file holds its shape."""
        shape = tuple(int(n) for n in np.asarray(item[()]).ravel())
        if len(shape) > 32 or 0 not in shape:
            raise ValueError(f"an empty array of the shape {shape}")
        return np.empty(shape, dtype=_CLASSES[kind] or item.dtype)

    def _cells(self, references: npt.NDArray[Any], depth: int) -> npt.NDArray[Any]:
        cells = np.empty(references.shape, dtype=object)
        for index in np.ndindex(*references.shape):
            if not references[index]:
                raise ValueError("a cell that refers to nothing")
            cells[index] = self._value(self._file[references[index]], depth + 1)
        return cells

    def _count(self, item: Any, depth: int) -> None:
        """Refuse what would not end, such as a cell that holds itself, and arrays larger than any of the field."""
        self._values += 1
        self._bytes += int(item.size) * int(item.dtype.itemsize)
        if depth > _MAX_DEPTH or self._values > _MAX_VALUES:
            raise _OtherKind("cells within cells without end")
        if self._bytes > _MAX_BYTES:
            raise _OtherKind(f"more than {_MAX_BYTES / 2**30:g} GiB")

    def _damaged(self, error: Exception) -> LiftposeError:
        return LiftposeError(f"{self.path}: expected a whole MATLAB file, found it cut or damaged ({error})")


class _OtherKind(Exception):
    """A variable that is no numbers, text or cells; says what it is."""


_DAMAGE = (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError, MemoryError)

# What MATLAB calls the kinds that are read, and numpy's type of an empty one; without a name it is somebody's HDF5.
_CLASSES = {
    "": "",
    "cell": "object",
    "char": "uint16",
    "double": "float64",
    "single": "float32",
    "logical": "uint8",
    **{f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
