"""MPII Human Pose in the layout of the field: ``annot/<set>.json`` and, for PCKh, ``annot/gt_<set>.mat``.

The layout is that of B. Xiao, H. Wu, Y. Wei, "Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018. The
data set: M. Andriluka, L. Pishchulin, P. Gehler, B. Schiele, "2D Human Pose Estimation: New Benchmark and State of the
Art Analysis", CVPR 2014. Its pixels count from 1; here, as everywhere in the package, from 0.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from liftpose.data.images import ImageSet
from liftpose.errors import LiftposeError
from liftpose.formats.image_checks import check_image_set, check_picture_folder, check_picture_names
from liftpose.formats.matlab import read_matlab
from liftpose.skeletons import MPII_16

__all__ = [
    "HEAD_SHARE",
    "MPII_EVALUATION_NAMES",
    "MPIIPictures",
    "mpii_boxes_from_scale",
    "read_mpii",
    "read_mpii_counted",
]

MPII_EVALUATION_NAMES = (
    *("rank", "rkne", "rhip", "lhip", "lkne", "lank", "pelv", "thor"),
    *("neck", "head", "rwri", "relb", "rsho", "lsho", "lelb", "lwri"),
)
"""Names of the 16 joints in the files of the official evaluation, in the order of :data:`MPII_16`."""

HEAD_SHARE = 0.6
"""Share of the diagonal of a head box that PCKh counts in."""

_JOINTS = len(MPII_16)
_FEWEST = 2  # joints that a box can be drawn around
_PADDING = 1.25
_UNIT = 200.0  # pixels of a person's height at scale 1
_LOWERED = 15.0  # pixels at scale 1 by which the field moves centres down, so that feet are not cut off

_Floats = npt.NDArray[np.float64]


class MPIIPictures(NamedTuple):
    """What was read.

    Args:
        images: The people that can be used.
        skipped: Number of people left out because fewer than two of their joints, or none apart, are annotated.
    """

    images: ImageSet
    skipped: int


def read_mpii(root: str | os.PathLike[str], name: str, box: Literal["joints", "scale"] = "joints") -> ImageSet:
    """Read the people of one set.

    Those of whom fewer than two joints are annotated are left out, as published; :func:`read_mpii_counted` says how
    many they are.

    Args:
        root: Folder with ``annot`` and ``images``.
        name: Name of the set: ``train`` for ``annot/train.json``.
        box: ``"joints"``: a square around the annotated joints, 1.25 times as large as they need, as published.
            ``"scale"``: from the annotated centre and scale, as other programs of the field have it and as they are
            known for the test set too.

    Returns:
        The people in the order of the file, 16 joints. Where ``annot/gt_<set>.mat`` is there, positions, missing joints
        and head sizes are those of the official evaluation.

    Raises:
        LiftposeError: A file or the folder of the pictures is missing, is something else, cut or damaged, the two files
            disagree in the number of people, or a record has other joints, numbers that are not finite or a box
            without an area.
    """
    return read_mpii_counted(root, name, box).images


def read_mpii_counted(
    root: str | os.PathLike[str], name: str, box: Literal["joints", "scale"] = "joints"
) -> MPIIPictures:
    """Read the people of one set, and count those who cannot be used.

    Args:
        root: As for :func:`read_mpii`.
        name: As for :func:`read_mpii`.
        box: As for :func:`read_mpii`.

    Returns:
        The people, and how many are left out.

    Raises:
        LiftposeError: As :func:`read_mpii`.
    """
    path = Path(root) / "annot" / f"{name}.json"
    records = _records(path)
    joints, visible = _joints(path, records)
    names = [record["image"] for record in records]
    check_picture_names(str(path), names)
    boxes = _joint_boxes(joints, visible) if box == "joints" else _scale_boxes(path, records)
    heads: _Floats | None = None
    usable = ((visible > 0).sum(axis=1) >= _FEWEST) & ((boxes[:, 2] > 0) | (box == "scale"))
    truth = path.with_name(f"gt_{name}.mat")
    if truth.exists():
        joints, visible, heads = _evaluation(truth, path, len(records))
        usable &= (visible > 0).sum(axis=1) >= _FEWEST
    keep = np.flatnonzero(usable)
    nothing = ("",) * len(keep)
    images = ImageSet(
        root=Path(root),
        files=tuple(f"images/{names[row]}" for row in keep),
        skeleton=MPII_16,
        boxes=boxes[keep].astype(np.float32),
        keypoints_2d=np.where(visible[keep, :, None] > 0, joints[keep], np.nan).astype(np.float32),
        visible=visible[keep].astype(np.float32),
        subjects=nothing,
        actions=nothing,
        views=np.zeros(len(keep), np.int64),
        frames=np.zeros(len(keep), np.int64),
        head_sizes=None if heads is None else heads[keep].astype(np.float32),
    )
    check_image_set(str(path), images)
    check_picture_folder(str(path), root, images.files)
    return MPIIPictures(images, len(records) - len(keep))


def mpii_boxes_from_scale(centers: _Floats, scales: _Floats) -> _Floats:
    """Return the boxes that the field cuts out around MPII's annotated centres.

    Args:
        centers: (N, 2) pixels as in the annotations, which count from 1.
        scales: (N,) height of the person over 200 pixels.

    Returns:
        (N, 4) centre x and y, counted from 0, width and height: a square of 1.25 times the person's height, whose
        centre is moved down by 15 pixels at scale 1.
    """
    lowered = centers - 1 + np.stack((np.zeros_like(scales), _LOWERED * scales), axis=-1)
    side = (_PADDING * _UNIT * scales)[:, None]
    return np.concatenate((lowered, side, side), axis=-1)


def _records(path: Path) -> list[dict[str, Any]]:
    try:
        records = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise LiftposeError(
            f"{path}: expected annotations of MPII (liftpose data mpii writes them), found no such file"
        ) from error
    except OSError as error:
        raise LiftposeError(f"{path}: expected annotations of MPII, found: {(error.strerror or '').lower()}") from error
    except (ValueError, RecursionError) as error:
        raise LiftposeError(f"{path}: expected JSON, found it cut or damaged ({error})") from error
    if not isinstance(records, list) or not records or not all(isinstance(record, dict) for record in records):
        raise LiftposeError(f"{path}: expected a list of people, found something else")
    for number, record in enumerate(records):
        missing = [key for key in ("image", "joints", "joints_vis") if key not in record]
        if missing:
            found = ", ".join(sorted(map(str, record))) or "nothing"
            raise LiftposeError(f"{path}: expected {missing[0]} of person {number}, found {found[:200]}")
    return records


def _numbers(path: Path, values: Sequence[Any], what: str, shape: tuple[int, ...]) -> _Floats:
    """Turn one entry of every record into an array; the first that does not fit is named."""
    for number, value in enumerate(values):
        found = _shape(value)
        if found != shape:
            raise LiftposeError(
                f"{path}: expected {what} of shape {shape}, found {found or 'something else'} of person {number}"
            )
    try:
        array = np.array(values, dtype=np.float64).reshape(len(values), *shape)
    except (ValueError, TypeError, OverflowError) as error:
        raise LiftposeError(f"{path}: expected {what} to be numbers, found others ({error})") from error
    wrong = ~np.isfinite(array.reshape(len(values), -1)).all(axis=1)
    if wrong.any():
        raise LiftposeError(f"{path}: expected finite {what}, found others of person {int(np.argmax(wrong))}")
    return array


def _shape(value: Any) -> tuple[int, ...]:
    """Return the shape of nested lists; empty for a number, and for what is ragged."""
    if not isinstance(value, list):
        return ()
    inner = {_shape(each) for each in value}
    return (len(value), *inner.pop()) if len(inner) == 1 else (len(value), -1) if inner else (0,)


def _joints(path: Path, records: Sequence[Mapping[str, Any]]) -> tuple[_Floats, _Floats]:
    """Return (N, 16, 2) pixels from 0 and (N, 16) whether each is annotated."""
    joints = _numbers(path, [record["joints"] for record in records], "joints", (_JOINTS, 2))
    visible = _numbers(path, [record["joints_vis"] for record in records], "joints_vis", (_JOINTS,))
    return joints - 1, (visible > 0).astype(np.float64)


def _joint_boxes(joints: _Floats, visible: _Floats) -> _Floats:
    """Return squares around the annotated joints."""
    seen = visible[..., None] > 0
    enough = seen.any(axis=1)
    low = np.where(enough, np.where(seen, joints, np.inf).min(axis=1), 0)
    high = np.where(enough, np.where(seen, joints, -np.inf).max(axis=1), 0)
    side = _PADDING * (high - low).max(axis=1, keepdims=True)
    return np.concatenate(((low + high) / 2, side, side), axis=1)


def _scale_boxes(path: Path, records: Sequence[Mapping[str, Any]]) -> _Floats:
    centers = _numbers(path, [record.get("center") for record in records], "center", (2,))
    scales = _numbers(path, [record.get("scale") for record in records], "scale", ())
    return mpii_boxes_from_scale(centers, scales)


def _evaluation(truth: Path, path: Path, count: int) -> tuple[_Floats, _Floats, _Floats]:
    """Return (N, 16, 2) pixels from 0, (N, 16) whether each counts, and (N,) head sizes of the official evaluation."""
    content = read_matlab(truth, ["dataset_joints", "jnt_missing", "pos_gt_src", "headboxes_src"])
    names = content["dataset_joints"]
    listed = names.ravel().tolist() if isinstance(names, np.ndarray) else []
    if sorted(map(str, listed)) != sorted(MPII_EVALUATION_NAMES):
        raise LiftposeError(
            f"{truth}: expected dataset_joints to name the 16 joints {', '.join(MPII_EVALUATION_NAMES)}, "
            f"found {', '.join(map(str, listed[:20])) or 'something else'}"
        )
    order = [listed.index(name) for name in MPII_EVALUATION_NAMES]
    arrays = {}
    for name, inner in {"pos_gt_src": (_JOINTS, 2), "jnt_missing": (_JOINTS,), "headboxes_src": (2, 2)}.items():
        array = content[name]
        shape = array.shape if isinstance(array, np.ndarray) and array.dtype.kind in "fiu" else None
        if shape is None or shape[:-1] != inner or len(shape) != len(inner) + 1:
            if shape != inner or count != 1:  # MATLAB leaves out a last dimension of one
                raise LiftposeError(
                    f"{truth}: expected {name} of shape {(*inner, 'people')}, found {shape or 'something else'}"
                )
            array = array[..., None]
        if array.shape[-1] != count:
            raise LiftposeError(
                f"{truth}: expected the {count} people of {path.name}, found {array.shape[-1]} in {name}"
            )
        arrays[name] = np.moveaxis(array.astype(np.float64), -1, 0)
    corners = arrays["headboxes_src"]
    heads: _Floats = HEAD_SHARE * np.linalg.norm(corners[:, 1] - corners[:, 0], axis=-1)
    counts = (arrays["jnt_missing"][:, order] == 0).astype(np.float64)
    return arrays["pos_gt_src"][:, order] - 1, counts, heads
