"""Variables of CDF files (Common Data Format of NASA), in which Human3.6M was published; read by cdflib."""

from __future__ import annotations

import os
import struct
import tempfile
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
    """Check what cdflib does not: of a cut file it returns zeros for what is missing, and wrong counts it follows.

    The file begins with a magic number, then the record of the file (CDR) with the place of the global record (GDR),
    which holds the number of bytes of the whole file, and how many variables and dimensions there are (CDF Internal
    Format Description, version 3.9, sections 2.1 to 2.3).
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            start = stream.read(28)
            word = _WORDS.get(start[:4])
            if word is None:
                raise LiftposeError(f"{path}: expected a CDF file, found {_describe(start)}")
            if start[4:8] != _NOT_COMPRESSED:
                return  # what is cut out of a compressed stream, zlib misses
            width = struct.calcsize(word)
            (record,) = struct.unpack_from(f">{word}", start, 12 + width)
            stream.seek(max(0, record + 4 * width + 4))
            layout = f">{word}5i"
            whole, *counts = struct.unpack(layout, stream.read(struct.calcsize(layout)))
    except struct.error as error:
        raise LiftposeError(f"{path}: expected a CDF file, found it cut or damaged ({size} bytes)") from error
    except FileNotFoundError as error:
        raise LiftposeError(f"{path}: expected a CDF file, found no such file") from error
    except OSError as error:
        raise LiftposeError(f"{path}: expected a CDF file, found: {(error.strerror or str(error)).lower()}") from error
    if size < whole:
        raise LiftposeError(f"{path}: expected a CDF file of {whole} bytes, found it cut after {size}")
    r_variables, _, _, r_dimensions, z_variables = counts
    if not all(0 <= count <= _MAX_COUNT for count in (r_variables, r_dimensions, z_variables)):
        raise LiftposeError(
            f"{path}: expected a CDF file, found it damaged ({r_variables} and {z_variables} variables, "
            f"{r_dimensions} dimensions)"
        )


def _describe(start: bytes) -> str:
    known = {b"\x89HDF": "an HDF5 file", b"MATLAB": "a MATLAB file", b"PK": "a zip archive", b"\x1f\x8b": "a gzip file"}
    for prefix, words in known.items():
        if start.startswith(prefix):
            return words
    return "something else" if start else "an empty file"
