"""``liftpose data h36m``: Human3.6M from its official files."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from liftpose.cli.parsing import OneLineParser
from liftpose.cli.progress import progress_bar
from liftpose.errors import LiftposeError
from liftpose.formats.h36m_conversion import convert_h36m
from liftpose.formats.h36m_official import OFFICIAL_H36M

__all__ = ["run"]


def run(words: Sequence[str]) -> int:
    """Convert the official files of Human3.6M.

    Args:
        words: The words of the command after ``data h36m``.

    Returns:
        The exit code.

    Raises:
        LiftposeError: The user's files or options are wrong.
    """
    kinds = "|".join(OFFICIAL_H36M)
    parser = OneLineParser(
        "liftpose data h36m",
        "Human3.6M from its official files: data_3d_h36m.npz and data_2d_h36m_gt.npz in the layout of the field.",
    )
    parser.usage = f"liftpose data h36m --from {kinds} PATH --out FOLDER [--overwrite] [--compress]"
    parser.add_argument(
        "--from",
        nargs=2,
        required=True,
        metavar=("KIND", "PATH"),
        help="cdf: folder with S1/MyPoseFeatures/D3_Positions/*.cdf, or with the archives Poses_D3_Positions_S*.tgz; "
        "mat: the same files exported by MATLAB, *.cdf.mat; archive: h36m.zip of the 3D pose baseline.",
    )
    parser.add_argument("--out", type=str, required=True, help="Folder to write to; made if it does not exist.")
    parser.add_argument("--overwrite", action="store_true", help="Replace files that are there.")
    parser.add_argument(
        "--compress", action="store_true", help="Smaller files, which take many times as long to write and read."
    )
    options = parser.parse_args(list(words)).as_dict()
    kind, path = options["from"]
    if kind not in OFFICIAL_H36M:
        raise LiftposeError(f"--from: expected {', '.join(OFFICIAL_H36M)} before the path, found {kind}")
    with progress_bar() as show:
        report = convert_h36m(
            kind,
            path,
            options["out"],
            overwrite=options["overwrite"],
            compress=options["compress"],
            progress=show,
        )
    sys.stdout.write("\n".join([*report.lines, *(f"wrote {file}" for file in report.files)]) + "\n")
    return 0
