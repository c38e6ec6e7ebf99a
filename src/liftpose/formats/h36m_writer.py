"""Writing the field's files for Human3.6M and data sets like it, so that the field's programs read them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from liftpose.errors import LiftposeError
from liftpose.formats.atomic import write_atomically
from liftpose.formats.dataset_info import DatasetInfo, write_dataset_info
from liftpose.formats.keypoint_layouts import keypoint_metadata
from liftpose.formats.known_datasets import known_info
from liftpose.formats.npz import Deferred, write_npz_objects
from liftpose.skeletons import get_adapter, get_skeleton

__all__ = ["write_h36m", "write_h36m_files"]

FloatArray = npt.NDArray[np.float32]
Poses = Mapping[str, Mapping[str, npt.NDArray[Any]]]
Keypoints = Mapping[str, Mapping[str, Sequence[npt.NDArray[Any]]]]
Stored = Mapping[str, Mapping[str, Any]]


def write_h36m(
    root: str | os.PathLike[str],
    name: str,
    poses: Poses,
    keypoints: Mapping[str, Keypoints],
    info: DatasetInfo,
) -> list[Path]:
    """Write a data set in the field's files, with its description beside them.

    There is no description beside those that the field knows by name (:func:`liftpose.formats.known_info`).

    Slots of the storage skeleton that the skeleton does not fill are zero: the field's programs drop them unseen, and
    zeros, unlike NaN, stay harmless in whatever else somebody computes over all slots. The order of writing is that of
    :func:`write_h36m_files`.

    Args:
        root: Folder of the files, made if need be.
        name: Name of the data set in the file names, that of ``info``.
        poses: Subject -> action -> (N, J, 3) metres, world frame.
        keypoints: Name of a set of keypoints -> subject -> action -> per camera (N or more, J, 2) pixels, or (…, J, 3)
            with confidences.
        info: The description.

    Returns:
        The files written.

    Raises:
        ValueError: Arrays of a wrong shape or with coordinates that are not finite, or a name other than that of
            ``info``.
        LiftposeError: A file cannot be written, or an old one not removed.
    """
    if name != info.name:
        raise ValueError(f"expected the data set's name {info.name}, found {name}")
    slots, count = _storage_slots(info)
    joints = len(info.skeleton)
    checked = _map_arrays(poses, lambda array: _checked(array, joints, (3,)))
    stored = _map_arrays(checked, lambda array: Deferred(lambda: _spread(array, slots, count)))
    metadata = keypoint_metadata(info.skeleton)
    views = {
        keypoint_name: (
            _map_arrays(people, lambda arrays: [_checked(array, joints, (2, 3)) for array in arrays]),
            metadata,
        )
        for keypoint_name, people in keypoints.items()
    }
    return write_h36m_files(root, info, stored, views)


def write_h36m_files(
    root: str | os.PathLike[str],
    info: DatasetInfo,
    poses: Stored,
    keypoints: Mapping[str, tuple[Stored, Mapping[str, Any]]],
    *,
    compress: bool = True,
) -> list[Path]:
    """Write what is already as the field's files hold it; nothing is checked.

    Everything is written beside its place first; then the old 3D file, by which a data set is found, is removed, and
    the new files get their names, the 3D file last. So where there is a 3D file, the data set is complete and all of it
    was written together, and one that cannot be written leaves the old one as it was. Keypoints under names that are
    not written now stay.

    Args:
        root: Folder of the files, made if need be.
        info: The description, written beside the files unless the field knows the data set by its name.
        poses: Subject -> action -> float32 (N, slots of the storage skeleton, 3) metres, world frame. Here and below,
            an array may be a :class:`liftpose.formats.Deferred` that makes it.
        keypoints: Name of a set of keypoints -> (subject -> action -> list with one (N or more, J, 2 or 3) for each
            camera, pixels; the metadata of the file).
        compress: Deflate the arrays, as for :func:`liftpose.formats.write_npz_objects`.

    Returns:
        The files written, the 3D file last.

    Raises:
        LiftposeError: A file cannot be written, or an old one not removed.
    """
    folder = Path(root)
    views = {folder / f"data_2d_{info.name}_{name}.npz": content for name, content in keypoints.items()}
    path_3d, sidecar = folder / f"data_3d_{info.name}.npz", folder / f"data_3d_{info.name}.json"
    written = [*views, path_3d] if known_info(info.name) is not None else [*views, sidecar, path_3d]
    with ExitStack() as stack:  # left in reverse: the 3D file, entered first, gets its name last
        beside = {path: stack.enter_context(write_atomically(path)) for path in reversed(written)}
        for path, (people, metadata) in views.items():
            write_npz_objects(beside[path], {"positions_2d": people, "metadata": dict(metadata)}, compress=compress)
        if sidecar in written:
            write_dataset_info(beside[sidecar], info)
        write_npz_objects(beside[path_3d], {"positions_3d": poses}, compress=compress)
        # The old 3D file goes before the first new one comes, so that old and new never look like one data set.
        for old in (path_3d, sidecar):
            if old in written:
                _remove(old)
    return written


def _remove(path: Path) -> None:
    """Remove a file if it is there; a link stays, since it is followed when the file is written again."""
    try:
        Path(os.path.realpath(path)).unlink(missing_ok=True)
    except NotADirectoryError:
        return  # The folder is a file; writing says so.
    except OSError as error:
        raise LiftposeError(f"{path}: expected to remove the old file, found: {error.strerror}") from error


def _storage_slots(info: DatasetInfo) -> tuple[list[int], int]:
    """Return the places of the skeleton's joints in the storage skeleton and the number of places there."""
    storage = get_skeleton(info.storage_skeleton)
    rows = get_adapter(storage, info.skeleton).rows
    if any(len(row) != 1 for row in rows):
        raise ValueError(f"expected a storage skeleton that holds every joint, found {storage.name}")
    return [row[0] for row in rows], len(storage)


def _spread(array: FloatArray, slots: list[int], count: int) -> FloatArray:
    spread = np.zeros((len(array), count, 3), dtype=np.float32)
    spread[:, slots] = array
    return spread


def _map_arrays(people: Mapping[str, Mapping[str, Any]], function: Any) -> dict[str, dict[str, Any]]:
    return {subject: {action: function(value) for action, value in takes.items()} for subject, takes in people.items()}


def _checked(array: npt.NDArray[Any], joints: int, channels: tuple[int, ...]) -> FloatArray:
    result = np.asarray(array, dtype=np.float32)
    if result.ndim != 3 or result.shape[1] != joints or result.shape[2] not in channels:
        raise ValueError(
            f"expected an array (frames, {joints}, {' or '.join(map(str, channels))}), found {result.shape}"
        )
    if not np.isfinite(result).all():
        raise ValueError("expected finite coordinates, found others")
    return result
