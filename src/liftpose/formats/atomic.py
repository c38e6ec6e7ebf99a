"""Writing a file so that nobody ever finds half of it under its name."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from liftpose.errors import LiftposeError

__all__ = ["write_atomically", "write_json", "write_text"]


@contextmanager
def write_atomically(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside a file; its content gets the file's name when the block ends well.

    The block writes the whole content to the path it is given. Then the content is forced to the disk and moved over
    ``path`` in one step, so that a reader, another process or a machine that loses power finds the old file or the new
    one and nothing between. When the block raises, Ctrl-C included, the temporary file is removed and the old file
    stays. Missing folders are made. A link is followed, not replaced.

    Args:
        path: The file to write.

    Yields:
        A path in the same folder, with the same suffix because many writers choose their format by it.

    Raises:
        LiftposeError: The disk is full, or the folder or file cannot be written.
        RuntimeError: The block ended without writing anything to the path it was given.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise LiftposeError(f"{path}: expected the name of a file to write, found a folder")
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.partial{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if not temporary.exists():
            raise RuntimeError(f"{path}: nothing was written to the temporary path")
        _force_to_disk(temporary)
        temporary.replace(target)
        _force_folder_to_disk(target.parent)
    except OSError as error:
        if not _is_about(error, temporary):
            raise
        raise LiftposeError(f"{path}: expected to write the file, found: {_reason(error)}") from error
    finally:
        if temporary.exists():
            temporary.unlink()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file in UTF-8, all or nothing.

    Args:
        path: The file to write.
        text: Its whole content; line ends are written as they are.

    Raises:
        LiftposeError: The file cannot be written.
    """
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a value as indented JSON, all or nothing.

    Args:
        path: The file to write.
        value: Dictionaries, lists, strings, finite numbers, booleans and None.

    Raises:
        LiftposeError: The file cannot be written.
        ValueError: A number is not finite: other people's JSON readers refuse ``NaN``.
        TypeError: A value has no form in JSON.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _force_to_disk(file: Path) -> None:
    descriptor = os.open(file, os.O_RDWR)  # Windows forces only files that are open for writing
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _force_folder_to_disk(folder: Path) -> None:
    """Force the new name to the disk too, where the system can open a folder (not on Windows)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # some network file systems know no such thing
            raise
    finally:
        os.close(descriptor)


def _is_about(error: OSError, temporary: Path) -> bool:
    """Whether the error is about the file being written, not about something else that the block reads."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return True
    names = {
        os.fspath(name) for name in (error.filename, error.filename2) if name is not None and not isinstance(name, int)
    }
    return any(name == str(temporary) or Path(os.fsdecode(name)) in temporary.parents for name in names)


def _reason(error: OSError) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "no space left on the disk"
    return (error.strerror or str(error)).lower()
