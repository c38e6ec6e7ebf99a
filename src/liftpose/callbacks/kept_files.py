"""The files of the checkpoints that a run keeps: which there are, and in which order they change."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from liftpose.formats import write_atomically

__all__ = ["KeptFiles", "same_file"]


class KeptFiles:
    """``last.ckpt``, ``previous.ckpt`` and ``best.ckpt`` in a folder, of which one can always be gone on with.

    Whatever moment the process is killed at, ``last.ckpt`` is whole or, before the first one, missing. A ``last.ckpt``
    that this process has neither written nor gone on from may be damaged and never takes the place of
    ``previous.ckpt``.

    Args:
        folder: The folder, made when the first file is written.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.last, self.previous, self.best = (self.folder / f"{name}.ckpt" for name in ("last", "previous", "best"))
        self._good_last = False

    def holds(self, path: str | os.PathLike[str] | None) -> bool:
        """Return whether a file lies in the folder.

        Args:
            path: A file, or None.
        """
        return path is not None and Path(path).absolute().parent.resolve() == self.folder.resolve()

    def begin(self, resumed: Path | None, is_best: bool) -> None:
        """Prepare the folder for a run that begins or goes on.

        What killed processes have left half-written is removed. The checkpoint that a run goes on from becomes
        ``last.ckpt``: the log of the run is that of this checkpoint from now on.

        Args:
            resumed: The checkpoint that the run goes on from, or None.
            is_best: Whether it holds the best weights so far.
        """
        for path in self.folder.glob(".*.partial.ckpt"):
            path.unlink(missing_ok=True)
        if resumed is None or not self.holds(resumed):
            return
        if not _same(resumed, self.last):
            same_file(resumed, self.last)
        if is_best and not _same(resumed, self.best):
            same_file(self.last, self.best)  # the process was killed after the one and before the other
        self._good_last = True

    def write(self, write: Callable[[Path], None], best: bool) -> None:
        """Write a checkpoint.

        Args:
            write: Writes the content to a path, all or nothing.
            best: Whether it holds the best weights so far.

        Raises:
            LiftposeError: A file cannot be written.
        """
        if self._good_last:
            same_file(self.last, self.previous)
        write(self.last)
        self._good_last = True
        if best:
            same_file(self.last, self.best)


def same_file(source: Path, target: Path) -> None:
    """Give the content of a file a second name, all or nothing; a copy where the disk knows no links.

    Args:
        source: An existing file, which is never changed in place.
        target: The other name; a file that has it is replaced.

    Raises:
        LiftposeError: The file cannot be written.
    """
    with write_atomically(target) as beside:
        try:
            os.link(source, beside)
        except OSError:
            shutil.copyfile(source, beside)


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and os.path.samefile(one, other)
