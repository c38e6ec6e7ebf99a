"""``liftpose data mpii``: MPII Human Pose in the layout of the field."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from liftpose.cli.parsing import OneLineParser
from liftpose.formats.mpii_conversion import convert_mpii

__all__ = ["run"]


def run(words: Sequence[str]) -> int:
    """Convert the official release of MPII Human Pose.

    Args:
        words: The words of the command after ``data mpii``.

    Returns:
        The exit code.

    Raises:
        LiftposeError: The user's files or options are wrong.
    """
    parser = OneLineParser(
        "liftpose data mpii",
        "MPII Human Pose: FOLDER/annot/train.json, valid.json and gt_valid.mat, and FOLDER/images.",
    )
    parser.usage = (
        "liftpose data mpii --from DIR --out FOLDER [--valid-list FILE | --valid-share SHARE] [--separated] "
        "[--overwrite]"
    )
    parser.add_argument(
        "--from",
        type=str,
        required=True,
        metavar="DIR",
        help="The release: a folder with mpii_human_pose_v1_u12_1.mat, in it or in a folder of it, and images; or "
        "that file.",
    )
    parser.add_argument("--out", type=str, required=True, help="Folder to write to; made if it does not exist.")
    parser.add_argument(
        "--valid-list",
        type=str,
        help="Text file with the names of the pictures to validate on, one in a line. The field has such a list; it is "
        "not part of the release.",
    )
    parser.add_argument(
        "--valid-share",
        type=float,
        help="Share of the videos to validate on where there is no list, always the same ones (default 0.1).",
    )
    parser.add_argument("--separated", action="store_true", help="Only people who stand apart from others.")
    parser.add_argument("--overwrite", action="store_true", help="Replace annotations that are there.")
    options = parser.parse_args(list(words)).as_dict()
    report = convert_mpii(
        options["from"],
        options["out"],
        valid_list=options["valid_list"],
        valid_share=options["valid_share"],
        separated=options["separated"],
        overwrite=options["overwrite"],
    )
    sys.stdout.write("\n".join([*report.lines, *(f"wrote {file}" for file in report.files)]) + "\n")
    return 0
