"""The training sequences of MPI-INF-3DHP (Mehta et al., 3DV 2017).

``S1/Seq1/annot.mat`` to S8/Seq2, MATLAB 7: cells of 14 cameras with one row per frame, ``annot2`` (28 x 2 numbers,
pixels), ``annot3`` and ``univ_annot3`` (28 x 3, millimetres, the camera's own frame). Beside it ``camera.calibration``,
a text file with the cameras of the sequence.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from liftpose.errors import LiftposeError
from liftpose.formats.matlab import read_matlab
from liftpose.formats.mpi_inf_3dhp_files import AnnotatedSequence, check_finite, numbers
from liftpose.geometry import Camera, fit_intrinsics, rigid_alignment
from liftpose.skeletons import MPI_INF_3DHP_28

__all__ = ["TRAIN_CAMERAS", "TRAIN_PEOPLE", "read_calibration", "read_train_sequence"]

TRAIN_PEOPLE = ("S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8")
"""Names of the people."""

TRAIN_CAMERAS = (0, 1, 2, 4, 5, 6, 7, 8)
"""The cameras that the field uses of the 14: not those at the ceiling and at the knees."""

_CAMERAS = 14
_SIZE = (2048, 2048)
_FAST = {("S1", "Seq2"), ("S3", "Seq1"), ("S3", "Seq2"), ("S5", "Seq1"), ("S5", "Seq2")}  # 50 frames per second
_LARGEST_RESIDUAL = 1.0  # pixels in the median
_LARGEST_MISFIT = 0.001  # metres between the poses of two cameras in one world
_FRAMES_TO_ALIGN = 256  # more give the same motion: it is exact
_UP_AXES = ("x", "y", "z", "-x", "-y", "-z")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Calibration:
    """A camera of a calibration file: world to camera, metres; pixels."""

    rotation: Floats
    translation: Floats
    intrinsics: Floats
    size: tuple[float, float]


def read_train_sequence(
    directory: str | os.PathLike[str],
    person: str,
    sequence: str,
    *,
    poses: str = "annot3",
    cameras: Sequence[int] = TRAIN_CAMERAS,
) -> AnnotatedSequence:
    """Read an official training sequence at 25 frames per second: of those filmed at 50, every second frame.

    The world frame is that of ``camera.calibration``, which is held against the annotation. Without that file, or for
    scaled poses, it is the frame of the first camera: the other cameras follow from the rigid motion between their
    poses, the intrinsics from a least-squares fit.

    Args:
        directory: Folder with ``S1`` to ``S8``.
        person: One of these.
        sequence: ``"Seq1"`` or ``"Seq2"``.
        poses: ``"annot3"``, people in their size, or ``"univ_annot3"``, scaled to one height for all.
        cameras: Numbers of the cameras, 0 to 13.

    Returns:
        The sequence.

    Raises:
        LiftposeError: A file is missing, broken or of other shapes; the poses of two cameras are not the same pose; or
            the keypoints are not their projection (more than a pixel in the median; for scaled poses the intrinsics
            then stay unknown).
    """
    folder = Path(directory) / person / sequence
    path = folder / "annot.mat"
    content = read_matlab(path, ["annot2", poses])
    step = 2 if (person, sequence) in _FAST else 1
    seen = [_rows(path, content, "annot2", number, 2)[::step] for number in cameras]
    placed = [_rows(path, content, poses, number, 3)[::step] / 1000 for number in cameras]
    lengths = sorted({len(array) for array in (*seen, *placed)})
    if len(lengths) != 1 or not lengths[0]:
        raise LiftposeError(f"{path}: expected the same number of frames in every camera, found {lengths}")
    calibration = folder / "camera.calibration"
    name = f"{person}/{sequence}"
    if poses == "annot3" and calibration.is_file():
        known = read_calibration(calibration)
        missing = [number for number in cameras if number not in known]
        if missing:
            raise LiftposeError(f"{calibration}: expected the camera {missing[0]}, found {', '.join(map(str, known))}")
        models = [known[number] for number in cameras]
        world = (placed[0] - models[0].translation) @ models[0].rotation
        remark = _check_calibration(calibration, cameras, models, world, placed, seen)
    else:
        world = placed[0]
        models, remark = _calibrate(path, cameras, placed, seen, exact=poses == "annot3")
    return AnnotatedSequence(
        subject=name,
        action=sequence,
        person=person,
        skeleton=MPI_INF_3DHP_28,
        poses=world.astype(np.float32),
        keypoints=tuple(array.astype(np.float32) for array in seen),
        frames=np.arange(lengths[0]),
        cameras=tuple(_camera(model) for model in models),
        up_axis=_up_axis(world),
        remarks=(f"{name}: {lengths[0]} frames, every one from {len(models)} cameras; {remark}",),
    )


def read_calibration(path: str | os.PathLike[str]) -> dict[int, _Calibration]:
    """Read a calibration file (Skeletool Camera Calibration File V1.0).

    Args:
        path: ``camera.calibration``.

    Returns:
        Number of the camera -> its rotation and translation (world to camera, metres), its intrinsics and image size.

    Raises:
        LiftposeError: The file is missing, cut, or of another kind, or a camera is none without skew and distortion.
    """
    try:
        lines = Path(path).read_text(encoding="ascii", errors="replace").splitlines()
    except OSError as error:
        raise LiftposeError(f"{path}: expected a text file, found: {(error.strerror or str(error)).lower()}") from error
    if not lines or not lines[0].startswith("Skeletool Camera Calibration File"):
        raise LiftposeError(f"{path}: expected a Skeletool Camera Calibration File, found something else")
    cameras: dict[int, dict[str, list[float]]] = {}
    current: dict[str, list[float]] = {}
    for number, line in enumerate(lines[1:], start=2):
        key, *words = line.split() or [""]
        try:
            values = [float(word) for word in words]
            if key == "name":
                current = cameras.setdefault(int(words[0]), {})
        except (ValueError, IndexError) as error:
            raise LiftposeError(f"{path}, line {number}: expected a name and numbers, found {line[:60]!r}") from error
        current[key] = values
    return {number: _calibration_of(f"{path}, camera {number}", entries) for number, entries in cameras.items()}


def _calibration_of(where: str, entries: dict[str, list[float]]) -> _Calibration:
    for key, count in (("size", 2), ("intrinsic", 16), ("extrinsic", 16)):
        values = entries.get(key, [])
        if len(values) != count or not all(map(math.isfinite, values)):
            raise LiftposeError(f"{where}: expected {count} numbers of {key}, found {len(values)}")
    if any(entries.get("radial", [])):
        raise LiftposeError(f"{where}: expected a camera without lens distortion, found {entries['radial']}")
    inner, outer = (np.array(entries[key]).reshape(4, 4) for key in ("intrinsic", "extrinsic"))
    turn = outer[:3, :3]
    if np.abs(turn @ turn.T - np.eye(3)).max() > 1e-4 or np.linalg.det(turn) < 0:
        raise LiftposeError(f"{where}: expected a rotation in extrinsic, found {turn.tolist()}")
    if inner[0, 0] <= 0 or inner[1, 1] <= 0 or inner[2, :3].tolist() != [0, 0, 1]:
        raise LiftposeError(f"{where}: expected focal lengths above 0 in intrinsic, found {inner[:3, :3].tolist()}")
    width, height = entries["size"]
    return _Calibration(turn, outer[:3, 3] / 1000, inner[:3, :3], (width, height))


def _rows(path: Path, content: dict[str, Any], name: str, camera: int, channels: int) -> Floats:
    """Return the annotation of a camera, (frames, 28, channels), as it is stored."""
    cells = content[name]
    if not isinstance(cells, np.ndarray) or cells.dtype != object or cells.size != _CAMERAS:
        found = f"{cells.size}" if isinstance(cells, np.ndarray) and cells.dtype == object else "no cells"
        raise LiftposeError(f"{path}: {name}: expected a cell for each of {_CAMERAS} cameras, found {found}")
    where = f"{name} of camera {camera}"
    joints = len(MPI_INF_3DHP_28)
    array = numbers(path, {where: cells.ravel()[camera]}, where)
    if array.ndim != 2 or array.shape[1] != joints * channels:
        raise LiftposeError(f"{path}: {where}: expected {joints * channels} numbers per frame, found {array.shape}")
    rows: Floats = np.ascontiguousarray(array, dtype=np.float64).reshape(-1, joints, channels)
    check_finite(path, where, rows)
    return rows


def _check_calibration(
    path: Path,
    cameras: Sequence[int],
    models: list[_Calibration],
    world: Floats,
    placed: list[Floats],
    seen: list[Floats],
) -> str:
    """Hold a calibration file against the annotation; return how well it fits."""
    residuals = []
    for number, model, points, pixels in zip(cameras, models, placed, seen, strict=True):
        _check_misfit(str(path), cameras[0], number, world @ model.rotation.T + model.translation, points)
        image = points @ model.intrinsics.T
        residuals.append(float(np.median(np.linalg.norm(image[..., :2] / image[..., 2:] - pixels, axis=-1))))
        _check_residual(f"{path}, camera {number}", residuals[-1])
    return f"keypoints lie {max(residuals):.2f} px from the calibrated projection in the median of the worst camera"


def _calibrate(
    path: Path, cameras: Sequence[int], placed: list[Floats], seen: list[Floats], *, exact: bool
) -> tuple[list[_Calibration], str]:
    """Find the cameras from the annotation, in the frame of the first one; return how well they fit."""
    models = []
    residuals = []
    some = slice(None, None, max(1, len(placed[0]) // _FRAMES_TO_ALIGN))
    world = torch.from_numpy(placed[0][some].reshape(-1, 3))
    for number, points, pixels in zip(cameras, placed, seen, strict=True):
        flat = torch.from_numpy(points.reshape(-1, 3))
        motion = rigid_alignment(world, torch.from_numpy(points[some].reshape(-1, 3)))
        turn, shift = motion.rotation.numpy(), motion.translation.numpy()
        _check_misfit(str(path), cameras[0], number, placed[0] @ turn.T + shift, points)
        try:
            fit = fit_intrinsics(flat, torch.from_numpy(pixels.reshape(-1, 2)))
        except ValueError as error:
            raise LiftposeError(f"{path}, camera {number}: {error}") from error
        if exact:
            _check_residual(f"{path}, camera {number}", fit.residual)
        residuals.append(fit.residual)
        intrinsics = fit.intrinsics.numpy() if fit.residual <= _LARGEST_RESIDUAL else np.full((3, 3), np.nan)
        models.append(_Calibration(turn, shift, intrinsics, _SIZE))
    unknown = sum(residual > _LARGEST_RESIDUAL for residual in residuals)
    return models, (
        f"cameras found from the annotation, which lies {max(residuals):.2f} px from the best projection in the median "
        "of the worst camera" + (f"; intrinsics of {unknown} cameras unknown" if unknown else "")
    )


def _check_misfit(where: str, first: int, camera: int, found: Floats, expected: Floats) -> None:
    misfit = float(np.abs(found - expected).max())
    if misfit > _LARGEST_MISFIT:
        raise LiftposeError(
            f"{where}: expected the cameras {first} and {camera} to see one pose, found {1000 * misfit:.1f} mm between"
        )


def _check_residual(where: str, residual: float) -> None:
    if residual > _LARGEST_RESIDUAL:
        raise LiftposeError(
            f"{where}: expected keypoints that are the projection of the poses, found them {residual:.1f} px apart in "
            "the median"
        )


def _camera(model: _Calibration) -> Camera:
    return Camera(
        R=torch.from_numpy(model.rotation),
        t=torch.from_numpy(model.translation),
        intrinsics=torch.from_numpy(model.intrinsics),
        distortion=torch.zeros(5, dtype=torch.float64),
        distortion_model="none",
        image_size=torch.tensor(model.size, dtype=torch.float64),
    )


def _up_axis(world: Floats) -> str:
    """Return the axis to which people's heads point from their ankles, over all frames."""
    head, left, right = (MPI_INF_3DHP_28.index(name) for name in ("head_top", "left_ankle", "right_ankle"))
    up = (world[:, head] - (world[:, left] + world[:, right]) / 2).mean(axis=0)
    return _UP_AXES[int(np.argmax(np.concatenate((up, -up))))]
