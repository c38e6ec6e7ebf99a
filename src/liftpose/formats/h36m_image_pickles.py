"""The published annotations of Human3.6M pictures: pickled lists of records, read without running anything in them.

Source of the layout: M. Kocabas, S. Karagoz, E. Akbas, "Self-Supervised Learning of 3D Human Pose using Multi-view
Geometry", CVPR 2019: one dictionary per picture, with a box, joints as pixels and millimetres of depth relative to the
pelvis, and a camera, which is the object of a class of the authors' program. Here that object is read as a dictionary
of its attributes; the class is neither needed nor looked for.
"""

from __future__ import annotations

import math
import os
import pickle
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from liftpose.data.images import ImageSet
from liftpose.errors import LiftposeError
from liftpose.formats.h36m_camera_file import h36m_camera
from liftpose.formats.image_checks import check_image_set, check_picture_names
from liftpose.formats.pickled import load_pickled
from liftpose.geometry import H36M_CAMERA_IDS, Camera
from liftpose.skeletons import H36M_17, H36M_MPII_ORDER_16, Skeleton

__all__ = ["H36M_PICTURE", "read_image_pickle"]

H36M_PICTURE = re.compile(r"(?:.*/)?(S\d+)/([^/]+)\.(\d+)/(\d+)\.\w+")
"""Published names of pictures: subject, action and number of the take, serial number of the camera, frame."""

_CAMERA = ("lib.utils.cameras", "Camera")
_VIEWS = len(H36M_CAMERA_IDS)
_NEEDED = ("image", "center_x", "center_y", "width", "height", "joints_3d", "joints_3d_vis", "pelvis", "cam")
_BOX = ("center_x", "center_y", "width", "height")

_Record = Mapping[str, Any]
_Floats = npt.NDArray[np.float64]


def read_image_pickle(
    path: str | os.PathLike[str],
    root: str | os.PathLike[str],
    *,
    stream: IO[bytes] | None = None,
    sixteen: Skeleton = H36M_MPII_ORDER_16,
) -> ImageSet:
    """Read one published file of annotations, such as ``annot/valid.pkl``.

    Args:
        path: The file; its name in messages if ``stream`` is given.
        root: Folder that the names of the pictures are relative to.
        stream: Its content, where it is not a file by itself.
        sixteen: What the joints of records with 16 of them are: those of Human3.6M in MPII's order, or MPII's own,
            which a network trained on MPII finds. The file does not say.

    Returns:
        The annotations in the order of the file, with 17 joints (``h36m_17``) or 16. Pixels are those of cameras
        without distortion, as published; the cameras have their distortion where the file has it. The numbers of the
        frames are those in the names of the pictures.

    Raises:
        LiftposeError: There is no such file, it is cut or damaged, it names anything that could run, the lists of the
            cameras differ in length, or a record lacks something, has another number of joints, numbers that are not
            finite or a box without an area.
    """
    where = str(path)
    records, lists = _records(where, _load(Path(path), stream))
    names = [record["image"] for record in records]
    check_picture_names(where, names)
    joints, weights = _joints(where, records)
    skeleton = H36M_17 if joints.shape[1] == len(H36M_17) else sixteen
    _check_sides(where, records[0], skeleton)
    places = [_place(record, name, position) for record, name, position in zip(records, names, lists, strict=True)]
    views = np.array([view for _, _, view, _ in places], dtype=np.int64)
    cameras, camera_index = _cameras(where, records, views)
    root_depths = _numbers(where, records, "pelvis")[:, 2] / 1000
    boxes = np.stack([_numbers(where, records, name, ()) for name in _BOX], axis=1)
    images = ImageSet(
        root=Path(root),
        files=tuple(names),
        skeleton=skeleton,
        boxes=boxes.astype(np.float32),
        keypoints_2d=joints[..., :2].astype(np.float32),
        visible=weights[..., :2].min(axis=-1).astype(np.float32),
        subjects=tuple(subject for subject, _, _, _ in places),
        actions=tuple(action for _, action, _, _ in places),
        views=views,
        frames=np.array([frame for _, _, _, frame in places], dtype=np.int64),
        depths=np.where(weights[..., 2] > 0, joints[..., 2] / 1000, np.nan).astype(np.float32),
        root_depths=root_depths.astype(np.float32),
        cameras=cameras,
        camera_index=camera_index,
    )
    check_image_set(where, images)
    return images


def _load(path: Path, stream: IO[bytes] | None) -> Any:
    try:
        if stream is not None:
            return load_pickled(stream, [_CAMERA])
        with path.open("rb") as file:
            return load_pickled(file, [_CAMERA])
    except FileNotFoundError as error:
        raise LiftposeError(f"{path}: expected annotations of Human3.6M pictures, found no such file") from error
    except OSError as error:
        raise LiftposeError(f"{path}: expected a file, found: {(error.strerror or str(error)).lower()}") from error
    except MemoryError as error:
        raise LiftposeError(f"{path}: expected annotations of pictures, found more than fits into memory") from error
    except pickle.UnpicklingError as error:
        raise LiftposeError(f"{path}: expected annotations of Human3.6M pictures, found {error}") from error


def _records(where: str, content: Any) -> tuple[list[_Record], list[tuple[int, int]]]:
    """Return the records, and the list and the position in it that each comes from."""
    if isinstance(content, dict):
        if set(content) != set(range(1, _VIEWS + 1)) or not all(isinstance(each, list) for each in content.values()):
            raise LiftposeError(
                f"{where}: expected lists of records under 1 to {_VIEWS}, found {', '.join(map(str, content))[:100]}"
            )
        lengths = [len(content[view]) for view in sorted(content)]
        if len(set(lengths)) > 1:
            raise LiftposeError(
                f"{where}: expected as many pictures of every camera, found {', '.join(map(str, lengths))}"
            )
        lists = [content[view] for view in sorted(content)]
    elif isinstance(content, list):
        lists = [content]
    else:
        raise LiftposeError(f"{where}: expected a list of records, found {_kind(content)}")
    records = [record for each in lists for record in each]
    if not records:
        raise LiftposeError(f"{where}: expected annotations of pictures, found none")
    for number, record in enumerate(records):
        if not isinstance(record, dict):
            raise LiftposeError(f"{where}: expected a record of picture {number}, found {_kind(record)}")
        for name in _NEEDED:
            if name not in record:
                raise LiftposeError(
                    f"{where}: expected {name} of picture {number}, found {', '.join(map(str, record))[:200]}"
                )
    return records, [(view, position) for view, each in enumerate(lists) for position in range(len(each))]


def _joints(where: str, records: Sequence[_Record]) -> tuple[_Floats, _Floats]:
    """Return (N, J, 3) pixels and millimetres, and (N, J, 3) weights."""
    first = records[0]["joints_3d"]
    count = first.shape[0] if isinstance(first, np.ndarray) and first.ndim == 2 else 0
    if count not in {len(H36M_17), len(H36M_MPII_ORDER_16)}:
        raise LiftposeError(f"{where}: expected joints_3d of 16 or 17 joints, found {_kind(first)} of picture 0")
    joints = _numbers(where, records, "joints_3d", (count, 3), finite=False)
    weights = _numbers(where, records, "joints_3d_vis", (count, 3))
    _check_finite(where, records, "joints_3d", np.isfinite(joints) | (weights == 0))
    return joints, weights


def _numbers(
    where: str, records: Sequence[_Record], name: str, shape: tuple[int, ...] = (3,), finite: bool = True
) -> _Floats:
    """Turn one entry of every record into an array; the first that does not fit is named."""
    size = math.prod(shape)
    values = [record[name] for record in records]
    for number, value in enumerate(values):
        if isinstance(value, np.ndarray):
            fits = value.size == size and value.dtype.kind in "fiub" and (value.ndim < 2 or value.shape == shape)
        else:
            fits = shape == () and isinstance(value, (int, float, np.integer, np.floating))
        if not fits:
            raise LiftposeError(
                f"{where}: expected {name} of shape {shape}, found {_kind(value)} of picture {number} "
                f"({records[number]['image']})"
            )
    try:
        flat = [value.ravel() if isinstance(value, np.ndarray) else value for value in values]
        array = np.array(flat, dtype=np.float64).reshape(len(values), *shape)
    except OverflowError as error:
        raise LiftposeError(f"{where}: expected {name} to be numbers, found one without end ({error})") from error
    if finite:
        _check_finite(where, records, name, np.isfinite(array))
    return array


def _check_finite(where: str, records: Sequence[_Record], name: str, fine: npt.NDArray[np.bool_]) -> None:
    wrong = ~fine.reshape(len(records), -1).all(axis=1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise LiftposeError(
            f"{where}: expected finite {name}, found others of picture {row} ({records[row]['image']}), the first of "
            f"{int(wrong.sum())} such"
        )


def _check_sides(where: str, record: _Record, skeleton: Skeleton) -> None:
    """Compare the pairs of joints that change sides in a mirror, where the file has them, with the skeleton's."""
    pairs = record.get("flip_pairs")
    if pairs is None:
        return
    try:
        found = sorted(sorted(int(joint) for joint in pair) for pair in pairs)
    except (TypeError, ValueError, OverflowError) as error:
        raise LiftposeError(f"{where}: expected pairs of joints as flip_pairs, found {_kind(pairs)}") from error
    expected = sorted(sorted(pair) for pair in zip(skeleton.left, skeleton.right, strict=True))
    if found != expected:
        raise LiftposeError(f"{where}: expected flip_pairs {expected} of {skeleton.name}, found {str(found)[:200]}")


def _place(record: _Record, name: str, position: tuple[int, int]) -> tuple[str, str, int, int]:
    """Return subject, take, view and frame: from the name of the picture, else from the record and its list."""
    match = H36M_PICTURE.fullmatch(name)
    if match and match[3] in H36M_CAMERA_IDS:
        return match[1], match[2].replace("_", " "), H36M_CAMERA_IDS.index(match[3]), int(match[4][:18])
    subject, action = record.get("subject", ""), record.get("action", "")
    named = f"S{subject}" if isinstance(subject, (int, np.integer)) else str(subject)
    return named, str(action), *position


def _cameras(
    where: str, records: Sequence[_Record], views: npt.NDArray[np.int64]
) -> tuple[Camera, npt.NDArray[np.int64]]:
    """Return the different cameras, and the index of each record's."""
    numbers: dict[bytes, int] = {}
    known: dict[tuple[int, int], int] = {}  # pictures of one camera share its object
    rows: list[tuple[_Floats, int]] = []
    index = np.empty(len(records), dtype=np.int64)
    for row, (record, view) in enumerate(zip(records, views.tolist(), strict=True)):
        identity = (id(record["cam"]), view)
        if identity not in known:
            values = _camera(f"{where}: camera of picture {row}", record["cam"])
            key = values.tobytes() + bytes([view % 256])
            if key not in numbers:
                numbers[key] = len(rows)
                rows.append((values, view))
            known[identity] = numbers[key]
        index[row] = known[identity]
    made = [
        h36m_camera(
            f"{where}: camera {number}",
            R=values[:9].reshape(3, 3),
            center=values[9:12],
            focal=values[12:14],
            principal=values[14:16],
            radial=values[16:19],
            tangential=values[19:],
            view=view,
        )
        for number, (values, view) in enumerate(rows)
    ]
    return Camera.stack(made), index


def _camera(where: str, camera: Any) -> _Floats:
    """Return R (9), T (3), f (2), c (2), k (3) and p (2) of a record's camera."""
    if not isinstance(camera, dict):
        raise LiftposeError(f"{where}: expected an object of the published class Camera, found {_kind(camera)}")
    parts = []
    for name, size in {"R": 9, "T": 3, "f": 2, "c": 2, "k": 3, "p": 2}.items():
        value = camera.get(name)
        if value is None and name in {"k", "p"}:
            value = np.zeros(size)
        if not isinstance(value, np.ndarray) or value.size != size or value.dtype.kind not in "fiu":
            raise LiftposeError(f"{where}: expected {size} numbers as {name}, found {_kind(value)}")
        parts.append(value.astype(np.float64).ravel())
    return np.concatenate(parts)


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    return "nothing" if value is None else f"a {type(value).__name__}"
