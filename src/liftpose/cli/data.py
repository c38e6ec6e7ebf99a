"""The verb ``data``: data sets made from files of other kinds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from liftpose.cli.parsing import OneLineParser
from liftpose.cli.progress import progress_bar
from liftpose.errors import LiftposeError

__all__ = ["run"]


def run(words: Sequence[str]) -> int:
    """Run ``liftpose data KIND …``.

    Args:
        words: The words of the command, ``data`` first.

    Returns:
        The exit code.

    Raises:
        LiftposeError: The kind is unknown, or the user's files or options are wrong.
    """
    kind = words[1] if len(words) > 1 else ""
    if kind in {"-h", "--help"}:
        sys.stdout.write("usage: liftpose data KIND [options]\n\n")
        sys.stdout.write("".join(f"  {name:<8}{_first_line(function)}\n" for name, function in KINDS.items()))
        return 0
    if kind not in KINDS:
        raise LiftposeError(f"liftpose data: expected one of {', '.join(KINDS)}, found {kind or 'nothing'}")
    return KINDS[kind](words[2:])


def mocap(words: Sequence[str]) -> int:
    """Motion capture (BVH, ASF/AMC) in the layout of Human3.6M, seen by four virtual cameras."""
    from liftpose.formats.mocap import convert_mocap

    parser = OneLineParser("liftpose data mocap", _first_line(mocap))
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


KINDS: dict[str, Callable[[Sequence[str]], int]] = {"mocap": mocap}


def _first_line(function: Callable[..., object]) -> str:
    return (function.__doc__ or "").splitlines()[0]
