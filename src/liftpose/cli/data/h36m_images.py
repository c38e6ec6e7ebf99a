"""``liftpose data h36m-images``: pictures of Human3.6M with annotations."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from liftpose.cli.parsing import OneLineParser
from liftpose.cli.progress import progress_bar
from liftpose.errors import LiftposeError
from liftpose.formats.h36m_images_conversion import convert_image_annotations, convert_videos
from liftpose.formats.h36m_official import OFFICIAL_H36M
from liftpose.skeletons import H36M_MPII_ORDER_16, MPII_16, get_skeleton

__all__ = ["run"]

_TRAINING_SETS = ("train-fs", "train-ss")
_BOXES = ("pelvis", "tight")
_SIXTEEN = (H36M_MPII_ORDER_16.name, MPII_16.name)
_OF_ANNOTATIONS = ("train", "joints16")
_OF_VIDEOS = ("poses", "cameras", "every", "box")
_DEFAULTS = {"train": _TRAINING_SETS[0], "joints16": _SIXTEEN[0], "every": (5, 64), "box": _BOXES[0]}


def run(words: Sequence[str]) -> int:
    """Convert released annotations, or make pictures and annotations from the official files.

    Args:
        words: The words of the command after ``data h36m-images``.

    Returns:
        The exit code.

    Raises:
        LiftposeError: The user's files or options are wrong.
    """
    parser = OneLineParser(
        "liftpose data h36m-images",
        "Human3.6M as pictures: FOLDER/images and FOLDER/annotations/train.npz and validation.npz.",
    )
    parser.usage = (
        "liftpose data h36m-images --from PATH --out FOLDER [--overwrite]\n"
        "  released annotations: [--train train-fs|train-ss] [--joints16 NAME]\n"
        "  official videos: [--poses KIND PATH] [--cameras cameras.h5] [--every N M] [--box pelvis|tight]"
    )
    parser.add_argument(
        "--from",
        type=str,
        required=True,
        metavar="PATH",
        help="data.zip or the folder annot of the released annotations (.pkl), or a folder with the official videos "
        "S1/Videos/*.mp4.",
    )
    parser.add_argument("--out", type=str, required=True, help="Folder to write to; made if it does not exist.")
    parser.add_argument("--overwrite", action="store_true", help="Replace annotations that are there.")
    parser.add_argument(
        "--train",
        type=str,
        help="Released set that becomes train.npz: train-fs (3D truth, the default) or train-ss (made from views).",
    )
    parser.add_argument(
        "--joints16",
        type=str,
        help=f"What released records of 16 joints are: {_SIXTEEN[0]} (the default) or {_SIXTEEN[1]}.",
    )
    parser.add_argument(
        "--poses",
        nargs=2,
        metavar=("KIND", "PATH"),
        help=f"3D poses of the videos where they lie elsewhere: {', '.join(OFFICIAL_H36M)} as for liftpose data h36m.",
    )
    parser.add_argument("--cameras", type=str, help="cameras.h5 in place of the calibration in the package.")
    parser.add_argument(
        "--every",
        nargs=2,
        type=int,
        metavar=("N", "M"),
        help="Take every N-th frame of S1, S5, S6, S7, S8 and every M-th of S9 and S11 (default 5 64).",
    )
    parser.add_argument(
        "--box",
        type=str,
        help="pelvis: 2 m around the pelvis, by its true depth, as published (the default); tight: around the joints.",
    )
    options = parser.parse_args(list(words)).as_dict()
    for name, choices in {"train": _TRAINING_SETS, "joints16": _SIXTEEN, "box": _BOXES}.items():
        if options[name] is not None and options[name] not in choices:
            raise LiftposeError(f"--{name}: expected {' or '.join(choices)}, found {options[name]}")
    path = Path(options["from"])
    videos = any(path.glob("S*/Videos"))
    for name in _OF_ANNOTATIONS if videos else _OF_VIDEOS:
        if options[name] is not None:
            kinds = ("released annotations", "official videos")
            raise LiftposeError(f"--{name}: expected it with {kinds[not videos]}, found {kinds[videos]} in {path}")
    options |= {name: value for name, value in _DEFAULTS.items() if options[name] is None}
    with progress_bar() as show:
        if videos:
            if options["poses"] and options["poses"][0] not in OFFICIAL_H36M:
                raise LiftposeError(
                    f"--poses: expected {', '.join(OFFICIAL_H36M)} before the path, found {options['poses'][0]}"
                )
            report = convert_videos(
                path,
                options["out"],
                poses=tuple(options["poses"]) if options["poses"] else None,
                cameras=options["cameras"],
                every=tuple(options["every"]),
                box=options["box"],
                overwrite=options["overwrite"],
                progress=show,
            )
        else:
            report = convert_image_annotations(
                path,
                options["out"],
                train=options["train"],
                sixteen=get_skeleton(options["joints16"]),
                overwrite=options["overwrite"],
                progress=show,
            )
    sys.stdout.write("\n".join([*report.lines, *(f"wrote {file}" for file in report.files)]) + "\n")
    return 0
