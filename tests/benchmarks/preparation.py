"""The preparation of Human3.6M, by this package and by the public script of VideoPose3D.

``LIFTPOSE_PEERS`` names a folder that holds a work tree of it, called ``VideoPose3D``. The script is run as it is.
"""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from work import Work

from liftpose.formats.h36m_conversion import convert_h36m

__all__ = ["preparation", "public_script"]


def public_script() -> Path | None:
    """Find the public script, or return None where there is no copy of it."""
    script = Path(os.environ.get("LIFTPOSE_PEERS", "")) / "VideoPose3D" / "data" / "prepare_data_h36m.py"
    return script if os.environ.get("LIFTPOSE_PEERS") and script.is_file() else None


def preparation(script: Path | None, source: Path, out: Path, frames: int) -> Work:
    """Both files of Human3.6M from the CDF files, from the folder to the disk.

    Args:
        script: The public script, or None.
        source: Folder with the official files.
        out: Folder to write to: ours to ``ours``, theirs to ``data``.
        frames: Frames of the takes that are used.
    """
    (out / "data").mkdir(parents=True)

    def ours() -> object:
        return convert_h36m("cdf", source, out / "ours", overwrite=True)

    theirs = None
    if script is not None:

        def theirs() -> object:
            for file in (out / "data").iterdir():
                file.unlink()  # it does nothing where there is a file
            words = [script.name, "--from-source-cdf", str(source)]
            with _place_of_its_own(out / "data", script.parents[1]), mock.patch.object(sys, "argv", words):
                return runpy.run_path(str(script), run_name="__main__")

    return Work(ours, theirs, moved=0, count=frames, unit="frames")


@contextlib.contextmanager
def _place_of_its_own(folder: Path, root: Path) -> Iterator[None]:
    """Stand in a folder, quietly, with the modules of a work tree: another public code has some of the same names."""
    others = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "common"}
    try:
        with (
            contextlib.chdir(folder),
            contextlib.redirect_stdout(io.StringIO()),
            mock.patch.object(sys, "path", [str(root), *sys.path]),
        ):
            yield
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "common"]:
            del sys.modules[name]
        sys.modules.update(others)
