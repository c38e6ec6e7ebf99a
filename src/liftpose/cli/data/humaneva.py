"""``liftpose data humaneva``: HumanEva-I in the field's layout."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from liftpose.cli.parsing import OneLineParser
from liftpose.cli.progress import progress_bar
from liftpose.formats.humaneva import convert_humaneva

__all__ = ["run"]


def run(words: Sequence[str]) -> int:
    """Prepare HumanEva-I.

    Args:
        words: The words of the command after ``data humaneva``.

    Returns:
        The exit code.

    Raises:
        LiftposeError: The user's files or options are wrong.
    """
    parser = OneLineParser("liftpose data humaneva", "HumanEva-I in the field's layout, from the MATLAB export.")
    parser.usage = "liftpose data humaneva DIR --out FOLDER [--overwrite]"
    parser.add_argument("directory", type=str, help="The export: a folder with Train and Validate.")
    parser.add_argument("--out", type=str, required=True, help="Folder to write to; made if it does not exist.")
    parser.add_argument("--overwrite", action="store_true", help="Replace files that are there.")
    options = parser.parse_args(list(words))
    with progress_bar() as show:
        report = convert_humaneva(options.directory, options.out, overwrite=options.overwrite, progress=show)
    sys.stdout.write("\n".join([*report.lines, *(f"wrote {path}" for path in report.files)]) + "\n")
    return 0
