"""The test sequences of MPI-INF-3DHP (Mehta et al., 3DV 2017), from the official files and from SPIN's.

Official: ``TS1/annot_data.mat`` to TS6, MATLAB 7.3, with ``annot2`` (2, 17, 1, frames) pixels, ``annot3`` and
``univ_annot3`` (3, 17, 1, frames) millimetres in the camera frame, and ``valid_frame``. SPIN's (Kolotouros et al.,
ICCV 2019): ``mpi_inf_3dhp_valid.npz`` with the same frames one after another, 24 slots for joints, poses in metres
relative to the pelvis.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from liftpose.errors import LiftposeError
from liftpose.formats.matlab import read_matlab
from liftpose.formats.npz import read_npz
from liftpose.geometry import Camera, fit_intrinsics
from liftpose.skeletons import MPI_INF_3DHP_17, Skeleton

__all__ = [
    "TEST_SEQUENCES",
    "AnnotatedSequence",
    "Floats",
    "check_finite",
    "numbers",
    "read_spin",
    "read_test_sequence",
    "turn_up",
]

TEST_SEQUENCES = ("TS1", "TS2", "TS3", "TS4", "TS5", "TS6")
"""Names of the test sequences."""

_IMAGE_SIZES = {"TS5": (1920, 1080), "TS6": (1920, 1080)}  # the two that were filmed outdoors
_LARGE = (2048, 2048)
_LARGEST_RESIDUAL = 1.0  # pixels
_UNIT_VECTORS = dict(zip(("x", "y", "z", "-x", "-y", "-z"), np.vstack([np.eye(3), -np.eye(3)]), strict=True))

# Where SPIN keeps the joints of the test files, in their order.
_SPIN_SLOTS = (18, 12, 8, 7, 6, 9, 10, 11, 2, 1, 0, 3, 4, 5, 14, 16, 17)
_SPIN_JOINTS = 24
_SPIN_IMAGE = re.compile(r"(TS[1-6])[/\\]imageSequence[/\\]img_(\d{1,9})\.\w+$")

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class AnnotatedSequence:
    """A sequence of frames of one person in all its views.

    Args:
        subject: Name in the prepared files: of the person and, where a person has several sequences with different
            cameras, of the sequence.
        action: Name of the sequence.
        person: Who it is; several subjects may be one person.
        skeleton: Joint order.
        poses: (N, J, 3) metres, world frame.
        keypoints: Per camera (N, J, 2) pixels.
        frames: (N,) numbers of the frames at 25 per second, rising; a gap is a gap in time.
        cameras: Calibration of the views.
        up_axis: Axis of the world frame that points up.
        remarks: What the user ought to know.
    """

    subject: str
    action: str
    person: str
    skeleton: Skeleton
    poses: Floats
    keypoints: tuple[Floats, ...]
    frames: npt.NDArray[np.int64]
    cameras: tuple[Camera, ...]
    up_axis: str
    remarks: tuple[str, ...] = ()


def read_test_sequence(directory: str | os.PathLike[str], name: str, poses: str = "annot3") -> AnnotatedSequence:
    """Read an official test sequence, without its invalid frames.

    Intrinsics are not in the files: they are fitted to the annotation and stay unknown where no camera without lens
    distortion explains the keypoints to a pixel.

    Args:
        directory: Folder with ``TS1`` to ``TS6``.
        name: One of these.
        poses: ``"annot3"``, people in their size, or ``"univ_annot3"``, scaled to one height for all.

    Returns:
        The sequence; the world frame is the camera frame.

    Raises:
        LiftposeError: The file is missing, broken, or of other shapes.
    """
    path = Path(directory) / name / "annot_data.mat"
    content = read_matlab(path, ["annot2", poses, "valid_frame"])
    frames = numbers(path, content, "valid_frame").size
    pixels, points = (
        numbers(path, content, variable, (channels, len(MPI_INF_3DHP_17), 1, frames))[:, :, 0].T
        for variable, channels in (("annot2", 2), (poses, 3))
    )
    valid = np.flatnonzero(content["valid_frame"].ravel())
    if not len(valid):
        raise LiftposeError(f"{path}: expected valid frames, found none of {frames}")
    points, pixels = points[valid] / 1000, pixels[valid]
    check_finite(path, poses, points)
    check_finite(path, "annot2", pixels)
    camera, remark = _fitted_camera(name, points, pixels)
    return AnnotatedSequence(
        subject=name,
        action=name,
        person=name,
        skeleton=MPI_INF_3DHP_17,
        poses=points,
        keypoints=(pixels,),
        frames=valid.astype(np.int64),
        cameras=(camera,),
        up_axis="-y",
        remarks=(f"{name}: {len(valid)} of {frames} frames are valid; {remark}",),
    )


def read_spin(path: str | os.PathLike[str]) -> list[AnnotatedSequence]:
    """Read the test frames of SPIN's annotation.

    Its poses are the ``univ_annot3`` of the official files, moved so that the pelvis is the origin.

    Args:
        path: ``mpi_inf_3dhp_valid.npz``.

    Returns:
        The sequences in their order of appearance; the world frame has the directions of the camera frame.

    Raises:
        LiftposeError: The file is missing or broken, has other shapes, a name that is not that of a test image, or a
            joint that is not annotated.
    """
    content = read_npz(path)
    missing = [name for name in ("imgname", "part", "S") if not isinstance(content.get(name), np.ndarray)]
    if missing:
        raise LiftposeError(f"{path}: expected an array {missing[0]}, found {', '.join(content) or 'nothing'}")
    images = content["imgname"]
    if images.ndim != 1 or images.dtype.kind not in "US":
        raise LiftposeError(f"{path}: imgname: expected a list of names, found {images.shape} of {images.dtype}")
    seen, placed = (
        numbers(path, content, name, (len(images), _SPIN_JOINTS, channels))[:, list(_SPIN_SLOTS)]
        for name, channels in (("part", 3), ("S", 4))
    )
    for name, array in (("part", seen), ("S", placed)):
        check_finite(path, name, array)
        if not (array[..., -1] == 1).all():
            row, joint = (int(i) for i in np.argwhere(array[..., -1] != 1)[0])
            raise LiftposeError(
                f"{path}: {name}: expected all 17 joints of every frame, found no "
                f"{MPI_INF_3DHP_17.joint_names[joint]} in frame {row}"
            )
    rows: dict[str, list[tuple[int, int]]] = {}
    for row, image in enumerate(images.tolist()):
        match = _SPIN_IMAGE.search(image.decode("latin-1") if isinstance(image, bytes) else image)
        if match is None:
            raise LiftposeError(
                f"{path}: imgname: expected names such as mpi_inf_3dhp_test_set/TS1/imageSequence/img_000001.jpg, "
                f"found {image!r} in frame {row}"
            )
        rows.setdefault(match[1], []).append((row, int(match[2])))
    return [_spin_sequence(path, name, entries, seen, placed) for name, entries in rows.items()]


def turn_up(sequence: AnnotatedSequence, up_axis: str) -> AnnotatedSequence:
    """Turn the world of a sequence so that another axis points up: it is y in the studio's frame, -y in a camera's.

    Args:
        sequence: Any sequence.
        up_axis: Such as ``"y"`` or ``"-y"``.

    Returns:
        The sequence with other poses and cameras; what the cameras see is the same.
    """
    if sequence.up_axis == up_axis:
        return sequence
    old, new = _UNIT_VECTORS[sequence.up_axis], _UNIT_VECTORS[up_axis]
    axis = np.cross(old, new)
    if not axis.any():  # opposite: half a turn about an axis between them
        axis = np.roll(new, 1)
        turn = 2 * np.outer(axis, axis) - np.eye(3)
    else:
        turn = np.outer(new, old) - np.outer(old, new) + np.outer(axis, axis)
    return replace(
        sequence,
        poses=(sequence.poses @ turn.T).astype(sequence.poses.dtype),
        cameras=tuple(replace(camera, R=camera.R @ torch.from_numpy(turn.T)) for camera in sequence.cameras),
        up_axis=up_axis,
    )


def _spin_sequence(
    path: str | os.PathLike[str], name: str, entries: list[tuple[int, int]], seen: Floats, placed: Floats
) -> AnnotatedSequence:
    chosen, frames = (np.array(column, dtype=np.int64) for column in zip(*entries, strict=True))
    if not (np.diff(frames) > 0).all():
        raise LiftposeError(f"{path}: imgname: expected the images of {name} in rising order, found another")
    return AnnotatedSequence(
        subject=name,
        action=name,
        person=name,
        skeleton=MPI_INF_3DHP_17,
        poses=placed[chosen, :, :3],
        keypoints=(seen[chosen, :, :2],),
        frames=frames,
        cameras=(_camera_at_origin(_IMAGE_SIZES.get(name, _LARGE)),),
        up_axis="-y",
        remarks=(f"{name}: {len(chosen)} frames; poses relative to the pelvis, intrinsics unknown",),
    )


def _camera_at_origin(size: tuple[int, int], intrinsics: torch.Tensor | None = None) -> Camera:
    """Return a camera whose frame is the world frame."""
    return Camera(
        R=torch.eye(3, dtype=torch.float64),
        t=torch.zeros(3, dtype=torch.float64),
        intrinsics=torch.full((3, 3), torch.nan, dtype=torch.float64) if intrinsics is None else intrinsics,
        distortion=torch.zeros(5, dtype=torch.float64),
        distortion_model="none",
        image_size=torch.tensor(size, dtype=torch.float64),
    )


def _fitted_camera(name: str, points: Floats, pixels: Floats) -> tuple[Camera, str]:
    size = _IMAGE_SIZES.get(name, _LARGE)
    flat = torch.from_numpy(points.reshape(-1, 3).astype(np.float64))
    if not bool((flat[:, 2] > 0).all()):
        return _camera_at_origin(size), "intrinsics unknown: some joints lie behind the camera"
    fit = fit_intrinsics(flat, torch.from_numpy(pixels.reshape(-1, 2).astype(np.float64)))
    words = f"annot2 lies {fit.residual:.2f} px from the best projection in the median"
    if fit.residual > _LARGEST_RESIDUAL:
        return _camera_at_origin(size), f"intrinsics unknown: {words}"
    return _camera_at_origin(size, fit.intrinsics), f"intrinsics fitted: {words}"


def numbers(
    path: str | os.PathLike[str], content: Mapping[str, Any], name: str, shape: tuple[int, ...] | None = None
) -> npt.NDArray[Any]:
    """Return an array of a file after a look at its type and shape.

    Args:
        path: The file, for messages.
        content: Its variables.
        name: The variable.
        shape: The shape expected, None for any.

    Returns:
        The array.

    Raises:
        LiftposeError: It is no array of numbers, or of another shape.
    """
    array = content[name]
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise LiftposeError(f"{path}: {name}: expected numbers, found something else")
    if shape is not None and array.shape != shape:
        raise LiftposeError(f"{path}: {name}: expected the shape {shape}, found {array.shape}")
    return array


def check_finite(path: str | os.PathLike[str], name: str, array: Floats) -> None:
    """Refuse an array (frames, …) with coordinates that are not finite.

    Args:
        path: The file, for messages.
        name: The variable.
        array: What it holds.

    Raises:
        LiftposeError: There are some; the message says in how many frames.
    """
    bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if bad.any():
        raise LiftposeError(
            f"{path}: {name}: expected finite numbers, found others in {int(bad.sum())} of {len(array)} frames"
        )
