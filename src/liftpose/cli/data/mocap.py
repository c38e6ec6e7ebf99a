"""``liftpose data mocap``: motion capture in the layout of Human3.6M."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from liftpose.cli.parsing import OneLineParser
from liftpose.cli.progress import progress_bar
from liftpose.formats.mocap import convert_mocap

__all__ = ["run"]


def run(words: Sequence[str]) -> int:
    """Convert motion capture.

    Args:
        words: The words of the command after ``data mocap``.

    Returns:
        The exit code.

    Raises:
        LiftposeError: The user's files or options are wrong.
    """
    parser = OneLineParser(
        "liftpose data mocap", "Motion capture (BVH, ASF/AMC) in the layout of Human3.6M, seen by four virtual cameras."
    )
    parser.usage = "liftpose data mocap DIR --out FOLDER [--name NAME] [options]"
    parser.add_argument("directory", type=str, help="Folder with the motion capture files and their description.")
    parser.add_function_arguments(convert_mocap, skip={"directory", "progress", "validation", "test"})
    for side in ("validation", "test"):
        parser.add_argument(
            f"--{side}",
            nargs="+",
            help=f"Subjects for {side}, such as S06 S09; with one of the two given, all others train.",
        )
    options = parser.parse_args(list(words)).as_dict()
    directory = Path(options.pop("directory"))
    with progress_bar() as show:
        report = convert_mocap(directory, progress=show, **options)
    lines = [*report.lines(), *(f"wrote {path}" for path in report.files)]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
