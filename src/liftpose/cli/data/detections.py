"""``liftpose data detections``: keypoints from the files of a detector, or in another joint order."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from liftpose.cli.parsing import OneLineParser
from liftpose.cli.progress import progress_bar
from liftpose.errors import LiftposeError
from liftpose.formats.detections import convert_detections, convert_keypoints
from liftpose.formats.detector_files import DETECTORS

__all__ = ["run"]

_OF_DETECTORS = ("layout", "missing", "confidence", "export")


def run(words: Sequence[str]) -> int:
    """Make a file of keypoints.

    Args:
        words: The words of the command after ``data detections``.

    Returns:
        The exit code.

    Raises:
        LiftposeError: The user's files or options are wrong.
    """
    parser = OneLineParser(
        "liftpose data detections",
        "Make data_2d_DATASET_NAME.npz from the files that a detector has written, one per video; or from such a file "
        "another one in another joint order.",
    )
    parser.usage = (
        "liftpose data detections SOURCE --detector NAME --name NAME --out FOLDER [options]\n"
        "       liftpose data detections data_2d_DATASET_KEYPOINTS.npz --joints NAME --name NAME --out FOLDER"
    )
    parser.add_argument(
        "source",
        type=str,
        help="Folder of the detector's files (S1/Walking 1.54138969.mp4.npz …), its archive for sh, or a data_2d file.",
    )
    parser.add_argument("--detector", help=f"Whose files they are: {', '.join(DETECTORS)}; not for a data_2d file.")
    parser.add_function_arguments(convert_detections, skip={"source", "detector", "overwrite", "compress", "progress"})
    parser.add_argument("--overwrite", action="store_true", help="Replace a file of that name.")
    parser.add_argument("--compress", action="store_true", help="Write the file compressed, which takes longer.")
    options = parser.parse_args(list(words)).as_dict()
    source, detector = Path(options.pop("source")), options.pop("detector")
    with progress_bar() as show:
        if source.suffix == ".npz" and detector is None:
            strange = [name for name in _OF_DETECTORS if options.pop(name) not in (None, False, "repeat")]
            if strange:
                raise LiftposeError(f"--{strange[0]}: expected the files of a detector for it, found {source}")
            report = convert_keypoints(source, progress=show, **options)
        else:
            if detector not in DETECTORS:
                raise LiftposeError(f"--detector: expected one of {', '.join(DETECTORS)}, found {detector or 'none'}")
            report = convert_detections(source, detector=detector, progress=show, **options)
    sys.stdout.write("\n".join([*report.lines, *(f"wrote {path}" for path in report.files)]) + "\n")
    return 0
