"""Reading and writing npz files, with pickled dictionaries read in a way that can run nothing."""

from __future__ import annotations

import lzma
import math
import os
import pickle
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from liftpose.errors import LiftposeError
from liftpose.formats.atomic import write_atomically
from liftpose.formats.pickled import Deferred, dump_pickled, load_pickled

__all__ = ["Deferred", "read_npz", "write_npz", "write_npz_objects"]

# The largest file of the field (2D detections of all of Human3.6M) holds 0.3 GB in a handful of members.
_MAX_MEMBERS = 4096
_MAX_BYTES = 8 * 2**30
# Coordinates shrink to a half at best; what is small may be all zeros, which deflate packs a thousandfold.
_MAX_RATIO = 200
_SMALL = 2**30

_Header = tuple[tuple[int, ...], bool, np.dtype[Any]]


def read_npz(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read an npz file with the pickled dictionaries of this field's data sets, without running anything in it.

    ``numpy.load(allow_pickle=True)`` runs whatever a file names. Here pickled members go through a reader that knows
    numpy's plain arrays and scalars, dictionaries, lists, tuples, strings and numbers, and nothing else. Files that
    Python 2 and numpy 1 wrote are read too.

    Args:
        path: The npz file.

    Returns:
        Name -> array for plain members. An object member with a shape is an object array; one without a shape (the
        field's way to keep a dictionary in a file) is the object itself.

    Raises:
        LiftposeError: There is no such file, it is not an npz file, it is cut or damaged, or it holds something else
            than arrays and plain values.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(path, members)
            return {member.filename.removesuffix(".npy"): _read_member(path, archive, member) for member in members}
    except FileNotFoundError as error:
        raise LiftposeError(f"{path}: expected an npz file, found no such file") from error
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise LiftposeError(f"{path}: expected an npz file, found {_describe_start(path)} ({error})") from error
    except OSError as error:
        raise LiftposeError(f"{path}: expected an npz file, found: {(error.strerror or str(error)).lower()}") from error


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, npt.ArrayLike]) -> None:
    """Write plain arrays to a compressed npz file, all or nothing; ``numpy.load`` reads it without pickle.

    The same arrays give the same bytes: no time of writing is stored.

    Args:
        path: The npz file to write.
        arrays: Name -> numbers, booleans or strings of any shape.

    Raises:
        LiftposeError: The file cannot be written.
        ValueError: An array holds objects.
    """
    plain = {name: np.asanyarray(array) for name, array in arrays.items()}
    with _open_for_writing(path) as archive:
        for name, array in plain.items():
            with _new_member(archive, name) as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)


def write_npz_objects(path: str | os.PathLike[str], objects: Mapping[str, Any], *, compress: bool = True) -> None:
    """Write dictionaries of arrays as this field does: pickled object arrays without a shape, in an npz file.

    For exchange with other people's programs only, which read it by ``numpy.load(path,
    allow_pickle=True)[name].item()``; the names of numpy's functions are written as every numpy version since 1.0 knows
    them. What only this package reads is written by :func:`write_npz`.

    The arrays are written one by one without a copy; with :class:`Deferred` parts, what is written can be larger than
    the memory.

    Args:
        path: The npz file to write.
        objects: Name -> dictionary, list or other value; parts of it may be :class:`Deferred`.
        compress: Deflate the arrays. Coordinates shrink by about a tenth; without it they are written and read
            many times faster.

    Raises:
        LiftposeError: The file cannot be written.
        ValueError: An array of 4 GiB or more.
    """
    with _open_for_writing(path) as archive:
        for name, value in objects.items():
            array = np.empty((), dtype=object)
            array[()] = value
            with _new_member(archive, name, compress) as stream:
                np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(array))
                dump_pickled(stream, array)


def _check_members(path: str | os.PathLike[str], members: list[zipfile.ZipInfo]) -> None:
    if len(members) > _MAX_MEMBERS:
        raise LiftposeError(f"{path}: expected at most {_MAX_MEMBERS} arrays in one file, found {len(members)}")
    size = sum(member.file_size for member in members)
    if size > _MAX_BYTES:
        raise LiftposeError(
            f"{path}: expected at most {_MAX_BYTES / 2**30:g} GiB of arrays, found {size / 2**30:.1f} GiB"
        )
    packed = sum(member.compress_size for member in members)
    if size > max(_SMALL, _MAX_RATIO * packed):
        raise LiftposeError(
            f"{path}: expected arrays packed at most {_MAX_RATIO}-fold, found {size} bytes from {packed}"
        )
    seen: set[str] = set()
    for member in members:
        name = member.filename
        if not name.endswith(".npy") or name in seen or "/" in name or "\\" in name:
            raise LiftposeError(
                f"{path}: expected members with names of their own such as positions_3d.npy, found {name!r}"
            )
        seen.add(name)


def _read_member(path: str | os.PathLike[str], archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Any:
    where = f"{path}: array {member.filename.removesuffix('.npy')!r}"
    try:
        with archive.open(member) as stream:
            shape, _, dtype = _read_header(stream)
            rest = member.file_size - stream.tell()
            if dtype.hasobject:
                if dtype != np.dtype(object):
                    raise ValueError(f"objects inside records ({dtype})")
                value = load_pickled(stream)
                return _unwrap(value, shape)
        # Checked before anything is allocated: a header of a few bytes can claim any shape.
        needed = math.prod(shape) * dtype.itemsize  # in Python's integers: numpy's product would wrap around
        if needed != rest or min(shape, default=0) < 0:
            raise ValueError(f"a shape {shape} that needs {needed} bytes where {rest} are stored")
        with archive.open(member) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)
    except pickle.UnpicklingError as error:
        raise LiftposeError(f"{where}: expected numpy arrays and plain values, found {error}") from error
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise LiftposeError(
            f"{where}: expected a whole array, found it cut or damaged ({error or 'it ends too early'})"
        ) from error
    except (ValueError, RuntimeError, NotImplementedError, MemoryError) as error:
        raise LiftposeError(f"{where}: expected an array, found {error or 'more than fits into memory'}") from error


def _read_header(stream: IO[bytes]) -> _Header:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    if version in {(2, 0), (3, 0)}:  # 3.0 differs only in letters that the names of record fields may have
        return np.lib.format.read_array_header_2_0(stream)
    raise ValueError(f"version {version} of the npy format")


def _unwrap(value: Any, shape: tuple[int, ...]) -> Any:
    if not isinstance(value, np.ndarray) or value.dtype != np.dtype(object) or value.shape != shape:
        raise pickle.UnpicklingError(f"something else than the object array of shape {shape} that the header announces")
    return value.item() if shape == () else value


def _describe_start(path: str | os.PathLike[str]) -> str:
    """What a file that is no zip archive looks like, judged by its first bytes."""
    with Path(path).open("rb") as stream:
        start = stream.read(64)
    known = {
        b"": "an empty file",
        b"PK\x03\x04": "an npz file that is cut",
        b"\x93NUMPY": "a single npy array",
        b"version https://git-lfs": "a pointer of git-lfs instead of the data",
        b"\x89HDF": "an HDF5 file",
        b"<": "a web page",
    }
    for prefix, words in known.items():
        if (prefix and start.startswith(prefix)) or start == prefix:
            return words
    return "something else"


@contextmanager
def _open_for_writing(path: str | os.PathLike[str]) -> Iterator[zipfile.ZipFile]:
    with write_atomically(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        yield archive


def _new_member(archive: zipfile.ZipFile, name: str, compress: bool = True) -> IO[bytes]:
    if not name or "/" in name or "\\" in name:
        raise ValueError(f"expected a plain name for an array, found {name!r}")
    member = zipfile.ZipInfo(f"{name}.npy")  # its default date keeps the bytes the same from run to run
    member.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    member.external_attr = 0o600 << 16
    return archive.open(member, "w", force_zip64=True)
