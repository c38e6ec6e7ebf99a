"""One training at a time in a run folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from liftpose.cli.run_folder import make_run_folder
from liftpose.errors import LiftposeError
from liftpose.processes import is_first_process

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["sole_run"]


@contextmanager
def sole_run(folder: Path) -> Iterator[None]:
    """Keep other trainings out of the folder of a run; the system forgets it with the process, however that ends.

    Args:
        folder: Folder of the run, made if it is missing.

    Raises:
        LiftposeError: Another process trains in the folder.
    """
    if fcntl is None or not is_first_process():
        yield
        return
    make_run_folder(folder)
    with (folder / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise LiftposeError(
                f"trainer.default_root_dir {folder}: expected a folder in which nothing else trains, found process "
                f"{file.read() or 'unknown'} at work there"
            ) from None
        except OSError:  # a network disk without locks
            pass
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
