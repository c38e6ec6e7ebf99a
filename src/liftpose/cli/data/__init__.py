"""The verb ``data``: data sets made from files of other kinds, and looked at."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple

from liftpose.errors import LiftposeError

__all__ = ["KINDS", "run"]


class Kind(NamedTuple):
    """One kind of ``liftpose data``.

    Args:
        module: Module with a function ``run(words)``, imported only when it is asked for.
        about: One line on what it does.
    """

    module: str
    about: str


KINDS = {
    "h36m": Kind("liftpose.cli.data.h36m", "Human3.6M from its official files or archives of them."),
    "humaneva": Kind("liftpose.cli.data.humaneva", "HumanEva-I from the export of its MATLAB toolbox."),
    "3dhp": Kind("liftpose.cli.data.mpi_inf_3dhp", "MPI-INF-3DHP from its official or SPIN's annotations."),
    "detections": Kind("liftpose.cli.data.detections", "Keypoints from the files of a detector, one per video."),
    "mocap": Kind("liftpose.cli.data.mocap", "Motion capture (BVH, ASF/AMC), seen by four virtual cameras."),
    "epipolar-labels": Kind("liftpose.cli.data.epipolar_labels", "3D labels of pictures from several views of them."),
    "generate": Kind("liftpose.cli.data.generate", "Poses that a trained generator or joint limits make."),
    "h36m-images": Kind("liftpose.cli.data.h36m_images", "Human3.6M as pictures with annotations."),
    "mpii": Kind("liftpose.cli.data.mpii", "MPII Human Pose from its official release."),
    "check": Kind("liftpose.cli.data.check", "What the files of a folder are, and what is wrong with them."),
}


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
        width = max(map(len, KINDS)) + 2
        sys.stdout.write("usage: liftpose data KIND [options]\n\n")
        sys.stdout.write("".join(f"  {name:<{width}}{entry.about}\n" for name, entry in KINDS.items()))
        return 0
    if kind not in KINDS:
        raise LiftposeError(f"liftpose data: expected one of {', '.join(KINDS)}, found {kind or 'nothing'}")
    function: Callable[[Sequence[str]], int] = import_module(KINDS[kind].module).run
    return function(words[2:])
