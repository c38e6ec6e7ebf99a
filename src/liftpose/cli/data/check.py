"""``liftpose data check``: what the files of a folder are, and what is wrong with them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from liftpose.cli.parsing import OneLineParser
from liftpose.cli.progress import progress_bar
from liftpose.formats.check import check_folder

__all__ = ["run"]

_SPOILT = 1


def run(words: Sequence[str]) -> int:
    """Check a folder.

    Args:
        words: The words of the command after ``data check``.

    Returns:
        The exit code: 1 if something would spoil a result, else 0.

    Raises:
        LiftposeError: There is no such folder, or an option is wrong.
    """
    parser = OneLineParser(
        "liftpose data check",
        "Say what every file of a folder is and what is wrong with it. Exit code 1: something would spoil a result.",
    )
    parser.usage = "liftpose data check FOLDER"
    parser.add_argument("folder", type=str, help="Folder of data sets, such as data; folders in it are looked at too.")
    options = parser.parse_args(list(words))
    with progress_bar() as show:
        report = check_folder(options.folder, show)
    sys.stdout.write("\n".join(report.lines()) + "\n")
    return _SPOILT if report.count("error") else 0
