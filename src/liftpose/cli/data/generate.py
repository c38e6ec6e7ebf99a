"""``liftpose data generate``: poses out of nothing in the layout of Human3.6M."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from liftpose.cli.parsing import OneLineParser
from liftpose.cli.progress import progress_bar
from liftpose.errors import LiftposeError

__all__ = ["run"]


def run(words: Sequence[str]) -> int:
    """Generate a data set.

    Args:
        words: The words of the command after ``data generate``.

    Returns:
        The exit code.

    Raises:
        LiftposeError: The user's files or options are wrong.
    """
    from liftpose.inference.generated_data import generate_dataset

    parser = OneLineParser(
        "liftpose data generate", "Poses that a trained generator or joint limits make, in the layout of Human3.6M."
    )
    parser.usage = "liftpose data generate (--ckpt_path FILE | --from limits) --count N --out FOLDER [options]"
    parser.add_argument("--from", type=str, help="limits: poses that are drawn within joint limits, no network.")
    parser.add_function_arguments(generate_dataset, skip={"overwrite", "progress"})
    parser.add_argument("--overwrite", action="store_true", help="Replace files that are there.")
    options = parser.parse_args(list(words)).as_dict()
    source = options.pop("from")
    if source not in {None, "limits"}:
        raise LiftposeError(f"--from: expected limits, found {source}")
    if (source is None) == (options["ckpt_path"] is None):
        found = "neither" if source is None else "both"
        raise LiftposeError(f"liftpose data generate: expected --ckpt_path FILE or --from limits, found {found}")
    with progress_bar() as show:
        report = generate_dataset(progress=show, **options)
    sys.stdout.write("\n".join([*report.lines, *(f"wrote {path}" for path in report.files)]) + "\n")
    return 0
