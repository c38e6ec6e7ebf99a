"""What the preparation of a data set has done, and the guard of what was there before."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from liftpose.errors import LiftposeError

__all__ = ["Prepared", "refuse_existing"]


@dataclass(frozen=True)
class Prepared:
    """What the preparation of a data set has done.

    Args:
        lines: Counts and remarks to print.
        files: What was written.
    """

    lines: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)


def refuse_existing(folder: str | os.PathLike[str], dataset: str) -> None:
    """Refuse to write true poses and keypoints of a data set where there are some.

    Args:
        folder: Folder of the files.
        dataset: Name of the data set in their names.

    Raises:
        LiftposeError: One of the files is there, or the folder is a file.
    """
    if Path(folder).exists() and not Path(folder).is_dir():
        raise LiftposeError(f"{folder}: expected a folder to write to, found a file")
    for name in (f"data_3d_{dataset}.npz", f"data_2d_{dataset}_gt.npz"):
        if (Path(folder) / name).exists():
            raise LiftposeError(f"{Path(folder) / name}: expected no such file, found one (--overwrite replaces it)")
