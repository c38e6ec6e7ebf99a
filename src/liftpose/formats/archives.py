"""Reading zip and tar archives member by member in memory: nothing is extracted, and hostile ones are refused."""

from __future__ import annotations

import gzip
import lzma
import os
import re
import stat
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from liftpose.errors import LiftposeError

__all__ = ["Archive", "open_archive"]

# The archives of the field hold some thousand files of a few megabytes.
_MAX_MEMBERS = 20_000
_MAX_MEMBER_BYTES = 2**30
_MAX_BYTES = 16 * 2**30
# Coordinates shrink to a half at best. Small members may be all zeros, which deflate packs a thousandfold.
_MAX_RATIO = 200
_SMALL = 16 * 2**20
_CHUNK = 2**20

_DRIVE = re.compile(r"[A-Za-z]:")
_DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError),
    *(EOFError, ValueError, OverflowError, RecursionError),
)


class Archive(ABC):
    """The files in an archive.

    Args:
        path: The archive, for messages.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._members: dict[str, Any] = {}
        self._bytes = 0
        self._entries = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the files, parts separated by ``/``, in the order of the archive.

        In a compressed tar archive, members are reached fastest in this order.
        """
        return tuple(self._members)

    def read(self, name: str) -> bytes:
        """Read one file.

        Args:
            name: One of :attr:`names`.

        Returns:
            Its content.

        Raises:
            KeyError: There is no such file.
            LiftposeError: It is cut or damaged, encrypted, or compressed in a way that Python does not know.
        """
        member = self._members[name]
        with self._mistakes(f"{self.path}: {name}", "a whole file"):
            return self._content(member)

    @abstractmethod
    def _content(self, member: Any) -> bytes:
        """Read one member."""

    def _count(self) -> None:
        """Count an entry, file or folder."""
        self._entries += 1
        if self._entries > _MAX_MEMBERS:
            raise LiftposeError(
                f"{self.path}: expected at most {_MAX_MEMBERS} files and folders in an archive, found more"
            )

    def _add(self, name: str, size: int, packed: int, member: Any) -> None:
        """Take in one file that the archive claims to hold.

        Args:
            name: As in the archive.
            size: Bytes that it claims to have.
            packed: Bytes in the archive from which they come, and for tar those of all files before it.
            member: What it is read by.
        """
        where = f"{self.path}: {name}"
        clean = _checked_name(where, name)
        if not clean:
            raise LiftposeError(f"{where}: expected files with names of their own, found one without a name")
        if clean in self._members:
            raise LiftposeError(f"{where}: expected files with names of their own, found two of this name")
        if size < 0:
            raise LiftposeError(f"{where}: expected the size of a file, found {size} bytes")
        self._bytes += size
        if size > _MAX_MEMBER_BYTES or self._bytes > _MAX_BYTES:
            limit, found = (
                (f"{_MAX_MEMBER_BYTES / 2**30:g} GiB", size)
                if size > _MAX_MEMBER_BYTES
                else (f"{_MAX_BYTES / 2**30:g} GiB together with those before it", self._bytes)
            )
            raise LiftposeError(f"{where}: expected a file of at most {limit}, found {found / 2**30:.1f} GiB")
        self._members[clean] = member
        unpacked = size if isinstance(member, zipfile.ZipInfo) else self._bytes
        if unpacked > max(_SMALL, _MAX_RATIO * packed):
            raise LiftposeError(
                f"{where}: expected a file packed at most {_MAX_RATIO}-fold, found {unpacked} bytes from {packed}"
            )

    @contextmanager
    def _mistakes(self, where: str, expected: str) -> Iterator[None]:
        """Turn what the readers raise for damaged archives into a message."""
        try:
            yield
        except _DAMAGE as error:
            reason = str(error) or "it ends too early"
            raise LiftposeError(f"{where}: expected {expected}, found it cut or damaged ({reason})") from error
        except MemoryError as error:
            raise LiftposeError(f"{where}: expected {expected}, found more than fits into memory") from error
        except NotImplementedError as error:
            raise LiftposeError(f"{where}: expected a common kind of compression, found {error}") from error
        except RuntimeError as error:  # zipfile's word for an encrypted member
            raise LiftposeError(f"{where}: expected a file that is not encrypted, found: {error}") from error
        except OSError as error:
            raise LiftposeError(
                f"{where}: expected {expected}, found: {(error.strerror or str(error)).lower()}"
            ) from error


class _ZipArchive(Archive):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self._mistakes(str(path), "a zip archive"):
            self._file = zipfile.ZipFile(path)

    def scan(self) -> None:
        """List the members."""
        for member in self._file.infolist():
            self._count()
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.filename.endswith("/"):
                _checked_name(f"{self.path}: {member.filename}", member.filename)
                continue
            if kind not in {0, stat.S_IFREG}:
                raise LiftposeError(f"{self.path}: {member.filename}: expected a file, found {_kind(kind)}")
            self._add(member.filename, member.file_size, member.compress_size, member)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _content(self, member: zipfile.ZipInfo) -> bytes:
        with self._file.open(member) as stream:
            return stream.read()


class _TarArchive(Archive):
    def __init__(self, path: Path, opener: Callable[[Path], Any]) -> None:
        super().__init__(path)
        self._size = path.stat().st_size
        self._stream: IO[bytes] = opener(path)

    def scan(self) -> None:
        """List the members; the size of each is looked at before its content is passed over."""
        guarded: Any = _Guarded(self._stream)
        with self._mistakes(str(self.path), "a tar archive"):
            self._file = tarfile.TarFile(fileobj=guarded, mode="r")
            while (member := self._file.next()) is not None:
                self._count()
                name = member.name.removeprefix("./")
                if member.isdir():
                    _checked_name(f"{self.path}: {member.name}", name)
                    continue
                if not member.isreg() or member.issparse():
                    kind = "a link" if member.issym() or member.islnk() else "something else"
                    raise LiftposeError(f"{self.path}: {member.name}: expected a file, found {kind}")
                self._add(name, member.size, self._size, member)
            self._read_to_the_end()

    def _read_to_the_end(self) -> None:
        """Read what follows the last file: there gzip has its checksum of everything."""
        left = max(_SMALL, _MAX_RATIO * self._size)
        while left > 0 and (chunk := self._stream.read(_CHUNK)):
            left -= len(chunk)
        if left <= 0:
            raise tarfile.ReadError("more after the last file than the archive can hold")

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _content(self, member: tarfile.TarInfo) -> bytes:
        stream = self._file.extractfile(member)
        chunks = [] if stream is None else list(iter(lambda: stream.read(_CHUNK), b""))
        content = b"".join(chunks)
        if len(content) != member.size:
            raise EOFError(f"{len(content)} of {member.size} bytes")
        return content


class _Guarded:
    """A stream that is never asked for much at once: a header of a tar archive can claim any length of a name."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.tell, self.seek = stream.tell, stream.seek

    def read(self, size: int) -> bytes:
        """Read at most ``size`` bytes."""
        if not 0 <= size <= _CHUNK:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._stream.read(size)


@contextmanager
def open_archive(path: str | os.PathLike[str]) -> Iterator[Archive]:
    """Open a zip or tar archive, the latter as it is or compressed by gzip, and look through its list of members.

    Args:
        path: The archive; its kind is told from its first bytes.

    Yields:
        Its files, to be read one by one into memory.

    Raises:
        LiftposeError: There is no such file, it is not such an archive, it is cut or damaged, or it is made to do harm:
            names that lead out of a folder or cannot be shown, links, devices, two files of one name, more than 20,000
            files and folders, files or all of them larger than any of the field's, or packed more than 200-fold. The
            message names the archive and the member.
    """
    archive = _open(Path(path))
    try:
        archive.scan()
        yield archive
    finally:
        archive.close()


def _open(path: Path) -> _ZipArchive | _TarArchive:
    try:
        with path.open("rb") as stream:
            start = stream.read(512)
    except FileNotFoundError as error:
        raise LiftposeError(f"{path}: expected a zip or tar archive, found no such file") from error
    except OSError as error:
        raise LiftposeError(
            f"{path}: expected a zip or tar archive, found: {(error.strerror or '').lower()}"
        ) from error
    if start.startswith(b"PK"):
        return _ZipArchive(path)
    if start.startswith(b"\x1f\x8b"):
        return _TarArchive(path, lambda file: gzip.open(file, "rb"))
    if start[257:262] == b"ustar":
        return _TarArchive(path, lambda file: file.open("rb"))
    found = "an empty file" if not start else "a web page" if start.lstrip().startswith(b"<") else "something else"
    raise LiftposeError(f"{path}: expected a zip or tar archive, found {found}")


def _checked_name(where: str, name: str) -> str:
    parts = name.split("/")
    if not name.isprintable():
        raise LiftposeError(f"{ascii(where)[1:-1]}: expected names of letters that can be shown, found one of others")
    if name.startswith("/") or ".." in parts or "\\" in name or _DRIVE.match(name) or "\0" in name:
        raise LiftposeError(f"{where}: expected names of files inside a folder, found one that may lead out of it")
    return "/".join(part for part in parts if part not in {"", "."})


def _kind(mode: int) -> str:
    return "a link" if mode == stat.S_IFLNK else "something else"
