"""``liftpose data 3dhp``: MPI-INF-3DHP in the field's layout."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from liftpose.cli.parsing import OneLineParser
from liftpose.cli.progress import progress_bar
from liftpose.formats.mpi_inf_3dhp import SOURCES_3DHP, convert_mpi_inf_3dhp

__all__ = ["run"]


def run(words: Sequence[str]) -> int:
    """Prepare MPI-INF-3DHP.

    Args:
        words: The words of the command after ``data 3dhp``.

    Returns:
        The exit code.

    Raises:
        LiftposeError: The user's files or options are wrong.
    """
    parser = OneLineParser(
        "liftpose data 3dhp", "MPI-INF-3DHP in the field's layout, from its official files or from SPIN's annotation."
    )
    parser.usage = f"liftpose data 3dhp --from {'|'.join(SOURCES_3DHP)} PATH --out FOLDER [options]"
    parser.add_argument(
        "--from",
        nargs=2,
        action="extend",
        required=True,
        metavar=("KIND", "PATH"),
        help="valid: SPIN's mpi_inf_3dhp_valid.npz; test: folder with TS1 … TS6; train: folder with S1 … S8. Given "
        "twice, for test and train, they become one data set.",
    )
    parser.add_function_arguments(convert_mpi_inf_3dhp, skip={"sources", "overwrite", "progress"})
    parser.add_argument("--overwrite", action="store_true", help="Replace files that are there.")
    options = parser.parse_args(list(words)).as_dict()
    given = options.pop("from")
    sources = [(given[place], given[place + 1]) for place in range(0, len(given), 2)]
    with progress_bar() as show:
        report = convert_mpi_inf_3dhp(sources, progress=show, **options)
    sys.stdout.write("\n".join([*report.lines, *(f"wrote {path}" for path in report.files)]) + "\n")
    return 0
