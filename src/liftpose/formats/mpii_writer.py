"""People in pictures, written in the layout of the field for MPII Human Pose."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from liftpose.formats.atomic import write_text
from liftpose.formats.matlab_5_writer import write_matlab
from liftpose.formats.mpii import MPII_EVALUATION_NAMES
from liftpose.skeletons import MPII_16

__all__ = ["MPIIPeople", "write_mpii"]

_Floats = npt.NDArray[np.float64]
_JOINTS = len(MPII_16)
_NOWHERE = -1.0  # what the field's files have as the place of a joint that is not annotated


class MPIIPeople(NamedTuple):
    """Annotated people, N of them; pixels have their origin at the centre of the top-left pixel.

    Args:
        files: (N) names of the pictures in the folder ``images``.
        joints: (N, 16, 2) pixels, joints of ``mpii_16``; anything where a joint is not annotated.
        annotated: (N, 16) bool.
        centers: (N, 2) pixels, where about the middle of the person is.
        scales: (N,) height of the person over 200 pixels.
        heads: (N, 2, 2) pixels, two opposite corners of the box of the head; NaN where it is not known.
    """

    files: Sequence[str]
    joints: _Floats
    annotated: npt.NDArray[np.bool_]
    centers: _Floats
    scales: _Floats
    heads: _Floats

    def take(self, rows: npt.NDArray[np.int64]) -> MPIIPeople:
        """Return some of the people.

        Args:
            rows: (M,) their numbers.
        """
        return MPIIPeople(
            files=[self.files[row] for row in rows.tolist()],
            joints=self.joints[rows],
            annotated=self.annotated[rows],
            centers=self.centers[rows],
            scales=self.scales[rows],
            heads=self.heads[rows],
        )


def write_mpii(root: str | os.PathLike[str], name: str, people: MPIIPeople, *, evaluation: bool = False) -> list[Path]:
    """Write ``annot/<set>.json``, and for the evaluation ``annot/gt_<set>.mat``, each all or nothing.

    Args:
        root: Folder of the data set; made if need be.
        name: Name of the set, such as ``train`` or ``valid``.
        people: Who is in it.
        evaluation: Whether to write what PCKh is computed from too; everybody has to have the box of a head then.

    Returns:
        The files written.

    Raises:
        LiftposeError: A file cannot be written.
        ValueError: A number that is needed is not finite.
    """
    annotated = people.annotated[..., None]
    joints = np.where(annotated, people.joints + 1, _NOWHERE)
    records = [
        {
            "joints_vis": visible,
            "joints": places,
            "image": file,
            "scale": scale,
            "center": center,
        }
        for file, places, visible, center, scale in zip(
            people.files,
            joints.tolist(),
            people.annotated.astype(int).tolist(),
            (people.centers + 1).tolist(),
            people.scales.tolist(),
            strict=True,
        )
    ]
    folder = Path(root) / "annot"
    files = []
    if evaluation:
        if not np.isfinite(people.heads).all():
            raise ValueError("expected the box of everybody's head for the evaluation, found NaN")
        truth = {
            "dataset_joints": list(MPII_EVALUATION_NAMES),
            "jnt_missing": (~people.annotated).astype(np.uint8).T,
            "pos_gt_src": np.moveaxis(np.where(annotated, joints, 0.0), 0, -1),
            "headboxes_src": np.moveaxis(people.heads + 1, 0, -1),
        }
        files.append(folder / f"gt_{name}.mat")
        write_matlab(files[-1], truth, compress=True)
    files.append(folder / f"{name}.json")
    write_text(files[-1], json.dumps(records, allow_nan=False))
    return files
