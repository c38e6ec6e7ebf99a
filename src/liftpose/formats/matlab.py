"""Variables of MATLAB files: numbers, text and cells of them, of versions 5 to 7.3 of the format."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from liftpose.errors import LiftposeError
from liftpose.formats.matlab_5 import HEADER_BYTES, Matlab5
from liftpose.formats.matlab_hdf5 import MatlabHdf5

__all__ = ["matlab_names", "read_matlab"]

_HDF5_START = b"\x89HDF\r\n\x1a\n"
_VERSION_5 = {b"\x00\x01IM", b"\x01\x00MI"}  # the last bytes of the header, in either order of bytes


def read_matlab(path: str | os.PathLike[str], names: Sequence[str], *, structures: bool = False) -> dict[str, Any]:
    """Read variables of a MATLAB file, of version 5, 6, 7 or 7.3.

    Nothing in the file is run: objects and function handles are refused, and so are HDF5 files that point to other
    files. Version 7.3, which is HDF5, needs the package h5py.

    Args:
        path: The file.
        names: Variables to read.
        structures: Whether structures are read, which only files up to version 7 can hold here; they are refused
            otherwise.

    Returns:
        Name -> value. Numbers are arrays with at least two dimensions in MATLAB's order of indices and of the type that
        the variable has in MATLAB, logicals are 0 and 1 (uint8); text of one row is a string; a cell array is an object
        array of such values in its shape, and an array of structures one of dictionaries, name of the field -> value.

    Raises:
        LiftposeError: There is no such file, it is not a MATLAB file, it is of another version, cut or damaged, it
            lacks a variable (the message lists those that there are), a variable is of another kind, or h5py is not
            installed.
    """
    with ExitStack() as stack:
        file = _open(path, stack, structures)
        present = file.names()
        missing = [name for name in names if name not in present]
        if missing:
            raise LiftposeError(
                f"{path}: expected the variable {missing[0]}, found {', '.join(present) or 'a file without variables'}"
            )
        return {name: file.read(name) for name in names}


def matlab_names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """List the variables of a MATLAB file.

    Args:
        path: The file.

    Returns:
        Their names in the order of the file.

    Raises:
        LiftposeError: There is no such file, it is not a MATLAB file, it is of another version, cut or damaged, or the
            package h5py, which version 7.3 needs, is not installed.
    """
    with ExitStack() as stack:
        return _open(path, stack).names()


def _open(path: str | os.PathLike[str], stack: ExitStack, structures: bool = False) -> Matlab5 | MatlabHdf5:
    """Open a file as the version that its first bytes say."""
    try:
        stream = stack.enter_context(Path(path).open("rb"))
        start = stream.read(HEADER_BYTES)
        for place in (0, 512, 1024, 2048):  # MATLAB puts a block of its own, usually 512 bytes, before the HDF5
            stream.seek(place)
            if stream.read(len(_HDF5_START)) == _HDF5_START:
                return stack.enter_context(MatlabHdf5(path))
    except FileNotFoundError as error:
        raise LiftposeError(f"{path}: expected a MATLAB file, found no such file") from error
    except OSError as error:
        raise LiftposeError(
            f"{path}: expected a MATLAB file, found: {(error.strerror or str(error)).lower()}"
        ) from error
    if start[124:] in _VERSION_5:
        return Matlab5(path, stream, structures)
    raise LiftposeError(f"{path}: expected a MATLAB file of version 5 to 7.3, found {_describe(start)}")


def _describe(start: bytes) -> str:
    """What a file looks like, judged by its first bytes."""
    if not start.strip(b"\0"):
        return "an empty file" if not start else "zeros"
    known = {
        b"MATLAB 7.3": "one of version 7.3 that is cut",
        b"MATLAB ": "one that is cut or of another version",
        b"version https://git-lfs": "a pointer of git-lfs instead of the data",
        b"PK\x03\x04": "a zip or npz file",
        b"\xcd\xf3\x00\x01": "a CDF file",
        b"<": "a web page",
        # The kind of the first variable of version 4: numbers in either order of bytes.
        b"\x00\x00\x00\x00": "one of version 4 (MATLAB: save -v7 writes it again)",
        b"\x00\x00\x03\xe8": "one of version 4 (MATLAB: save -v7 writes it again)",
    }
    words = [words for prefix, words in known.items() if start.startswith(prefix)]
    return words[0] if words else "something else"
