"""The field's files for Human3.6M and data sets like it: ``data_3d_<name>.npz`` and ``data_2d_<name>_<keypoints>.npz``.

Both hold pickled dictionaries, subject -> action -> arrays (VideoPose3D, Pavllo et al., CVPR 2019). They are read
without running what lies in them, and written so that the field's programs read them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from liftpose.data.recording import Recording
from liftpose.errors import LiftposeError
from liftpose.formats.dataset_info import DatasetInfo, find_dataset_info, write_dataset_info
from liftpose.formats.npz import read_npz, write_npz_objects
from liftpose.geometry import Camera
from liftpose.skeletons import Skeleton, adapt, get_adapter, get_skeleton

__all__ = ["find_dataset_files", "read_h36m", "read_h36m_take", "write_h36m"]

FloatArray = npt.NDArray[np.float32]
Poses = Mapping[str, Mapping[str, npt.NDArray[Any]]]
Keypoints = Mapping[str, Mapping[str, Sequence[npt.NDArray[Any]]]]

# What the field's 2D files call the joint order of a skeleton, where it is not the skeleton's name.
_LAYOUTS = {"h36m_17": "h36m", "humaneva_15": "humaneva15"}


def find_dataset_files(root: str | os.PathLike[str], dataset: str, keypoints: str) -> tuple[Path, Path]:
    """Find the two files of a data set.

    Args:
        root: Folder of the files.
        dataset: Name of the data set in the file names.
        keypoints: Name of the set of keypoints in the file name, such as ``gt`` or ``cpn_ft_h36m_dbb``.

    Returns:
        Paths of the 3D and the 2D file.

    Raises:
        LiftposeError: One of them is missing; the message says what lies there instead and how the file is made.
    """
    folder = Path(root)
    path_3d, path_2d = folder / f"data_3d_{dataset}.npz", folder / f"data_2d_{dataset}_{keypoints}.npz"
    if not path_3d.is_file():
        others = _names(folder, "data_3d_")
        found = (
            f"the data sets {', '.join(others)}"
            if others
            else "no data set in this folder"
            if folder.is_dir()
            else "no such folder"
        )
        raise LiftposeError(
            f"{path_3d}: expected the 3D poses of {dataset}, found {found}; {_how_to_make(folder, dataset)}"
        )
    if not path_2d.is_file():
        others = _names(folder, f"data_2d_{dataset}_")
        found = f"the keypoints {', '.join(others)}" if others else "no 2D file of this data set"
        raise LiftposeError(f"{path_2d}: expected the {keypoints} keypoints of {dataset}, found {found}")
    return path_3d, path_2d


def read_h36m(
    path_3d: str | os.PathLike[str],
    path_2d: str | os.PathLike[str],
    *,
    subjects: Sequence[str] | None = None,
    info: DatasetInfo | None = None,
) -> list[Recording]:
    """Read a data set in the field's files.

    Detections that run on after the motion capture are cut to its length. A 2D file may have a third channel with
    confidences. Joint slots that the skeleton does not use may hold anything.

    Args:
        path_3d: ``data_3d_<name>.npz``: float (N, slots, 3), metres in the world frame.
        path_2d: ``data_2d_<name>_<keypoints>.npz``: per camera float (N or more, J, 2 or 3), pixels.
        subjects: Subjects to read, in this order; None for all that have 3D poses, in the order of the 3D file. People
            with keypoints only, such as S2 of Human3.6M, are left out then.
        info: Skeleton, frame rate and cameras; None for what :func:`liftpose.formats.find_dataset_info` finds.

    Returns:
        Recordings in the field's order, on which the order of training depends: subject by subject, action by action in
        the order of the 2D file, camera by camera. The views of a take share one array of poses.

    Raises:
        LiftposeError: A file is missing, broken or in another joint layout; a subject or an action is in one file only;
            there are fewer frames of keypoints than of poses, another number of cameras or joints; a coordinate is not
            finite (normal files have none).
    """
    info = find_dataset_info(path_3d) if info is None else info
    poses = _dictionary(path_3d, read_npz(path_3d), "positions_3d")
    content = read_npz(path_2d)
    keypoints = _dictionary(path_2d, content, "positions_2d")
    _check_metadata(path_2d, content, info.skeleton)
    recordings: list[Recording] = []
    for subject in poses if subjects is None else subjects:
        recordings += _read_subject(path_3d, path_2d, subject, poses, keypoints, info)
    if not recordings:
        raise LiftposeError(f"{path_2d}: expected at least one recording, found none")
    return recordings


def read_h36m_take(
    path_3d: str | os.PathLike[str],
    path_2d: str | os.PathLike[str],
    subject: str,
    action: str,
    *,
    info: DatasetInfo | None = None,
) -> list[Recording]:
    """Read one take, with its true poses where they are known.

    Somebody whose cameras are not known either, such as S2 of Human3.6M, is shown as the published code does: seen by
    the cameras of the first known person, whose centres are moved to the origin of the world.

    Args:
        path_3d: ``data_3d_<name>.npz``.
        path_2d: ``data_2d_<name>_<keypoints>.npz``.
        subject: Name of the person.
        action: Full name of the take, or a beginning that names exactly one.
        info: Skeleton, frame rate and cameras; None for what :func:`liftpose.formats.find_dataset_info` finds.

    Returns:
        The take as each camera has seen it.

    Raises:
        LiftposeError: There is no such person or take (the message lists what there is), the name fits several takes,
            or a file is missing or broken.
    """
    info = find_dataset_info(path_3d) if info is None else info
    poses = _dictionary(path_3d, read_npz(path_3d), "positions_3d")
    content = read_npz(path_2d)
    keypoints = _dictionary(path_2d, content, "positions_2d")
    _check_metadata(path_2d, content, info.skeleton)
    takes = keypoints.get(subject)
    if not isinstance(takes, dict) or not takes:
        raise LiftposeError(f"--subject: expected one of {', '.join(map(str, keypoints))}, found {subject}")
    fitting = [action] if action in takes else [name for name in takes if str(name).startswith(action)]
    if not fitting:
        raise LiftposeError(f"--action: expected one of {subject}'s takes {', '.join(takes)}; found {action}")
    if len(fitting) > 1:
        raise LiftposeError(
            f"--action: expected the name of one take, found {action}, which may be {', '.join(fitting)}"
        )
    known = poses[subject].get(fitting[0]) if isinstance(poses.get(subject), dict) else None
    cameras = info.cameras.get(subject)
    if cameras is None:
        cameras = tuple(replace(camera, t=torch.zeros_like(camera.t)) for camera in next(iter(info.cameras.values())))
    pose = None if known is None else _read_pose(f"{path_3d}: {subject}/{fitting[0]}", known, info)
    return _read_take(path_2d, subject, fitting[0], pose, takes[fitting[0]], cameras, info)


def write_h36m(
    root: str | os.PathLike[str],
    name: str,
    poses: Poses,
    keypoints: Mapping[str, Keypoints],
    info: DatasetInfo,
) -> list[Path]:
    """Write a data set in the field's files, with its description beside them unless it is called h36m.

    Slots of the storage skeleton that the skeleton does not fill are zero: the field's programs drop them unseen, and
    zeros, unlike NaN, stay harmless in whatever else somebody computes over all slots. The 3D file, by which a data set
    is found, is written last, and an old one of that name is removed before anything is written: where there is a 3D
    file, the data set is complete and all of it was written together. Keypoints under names that are not written now
    stay.

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
    folder = Path(root)
    slots, count = _storage_slots(info)
    joints = len(info.skeleton)
    stored = _map_arrays(poses, lambda array: _spread(_checked(array, joints, (3,)), slots, count))
    metadata = {
        "layout_name": _layout(info.skeleton),
        "num_joints": joints,
        "keypoints_symmetry": [list(info.skeleton.left), list(info.skeleton.right)],
    }
    views = {
        folder / f"data_2d_{name}_{keypoint_name}.npz": _map_arrays(
            people, lambda arrays: [_checked(array, joints, (2, 3)) for array in arrays]
        )
        for keypoint_name, people in keypoints.items()
    }
    path_3d, sidecar = folder / f"data_3d_{name}.npz", folder / f"data_3d_{name}.json"
    written = [*views, path_3d] if name == "h36m" else [*views, sidecar, path_3d]
    # The 3D file goes first: an interruption between the two must not leave poses without their description.
    for old in (path_3d, sidecar):
        if old in written:
            _remove(old)
    for path, people_2d in views.items():
        write_npz_objects(path, {"positions_2d": people_2d, "metadata": metadata})
    if sidecar in written:
        write_dataset_info(sidecar, info)
    write_npz_objects(path_3d, {"positions_3d": stored})
    return written


def _remove(path: Path) -> None:
    """Remove a file if it is there; a link stays, since it is followed when the file is written again."""
    try:
        Path(os.path.realpath(path)).unlink(missing_ok=True)
    except NotADirectoryError:
        return  # The folder is a file; writing says so.
    except OSError as error:
        raise LiftposeError(f"{path}: expected to remove the old file, found: {error.strerror}") from error


def _names(folder: Path, prefix: str) -> list[str]:
    return sorted(path.stem.removeprefix(prefix) for path in folder.glob("*.npz") if path.name.startswith(prefix))


def _how_to_make(folder: Path, dataset: str) -> str:
    if dataset == "h36m":
        return "VideoPose3D's data/prepare_data_h36m.py makes it from the official archives"
    if dataset == "synthetic":
        return "the synthetic people are made by a run with --config synthetic.yaml"
    return f"`liftpose data mocap DIR --out {folder} --name {dataset}` makes it from motion capture"


def _read_subject(
    path_3d: str | os.PathLike[str],
    path_2d: str | os.PathLike[str],
    subject: str,
    poses: Mapping[str, Any],
    keypoints: Mapping[str, Any],
    info: DatasetInfo,
) -> list[Recording]:
    for path, people in ((path_3d, poses), (path_2d, keypoints)):
        if not isinstance(people.get(subject), dict):
            raise LiftposeError(
                f"{path}: expected the subject {subject}, found {', '.join(map(str, people)) or 'nobody'}"
            )
    takes, views_of = poses[subject], keypoints[subject]
    for path, missing in (
        (path_2d, [action for action in takes if action not in views_of]),
        (path_3d, [action for action in views_of if action not in takes]),
    ):
        if missing:
            raise LiftposeError(
                f"{path}: expected the action {missing[0]!r} of {subject} as in the other file, found none"
            )
    if subject not in info.cameras:
        raise LiftposeError(
            f"{info.name}: expected cameras of {subject}, found those of {', '.join(info.cameras) or 'nobody'}"
        )
    recordings: list[Recording] = []
    for action, views in views_of.items():
        pose = _read_pose(f"{path_3d}: {subject}/{action}", takes[action], info)
        recordings += _read_take(path_2d, subject, action, pose, views, info.cameras[subject], info)
    return recordings


def _read_take(
    path_2d: str | os.PathLike[str],
    subject: str,
    action: str,
    pose: FloatArray | None,
    views: Any,
    cameras: Sequence[Camera],
    info: DatasetInfo,
) -> list[Recording]:
    take = f"{subject}/{action}"
    if not isinstance(views, list | tuple | np.ndarray) or len(views) != len(cameras):
        found = len(views) if isinstance(views, list | tuple | np.ndarray) else type(views).__name__
        raise LiftposeError(f"{path_2d}: {take}: expected keypoints of {len(cameras)} cameras, found {found}")
    recordings = []
    for view, camera in enumerate(cameras):
        frames = None if pose is None else len(pose)
        points, confidence = _read_view(f"{path_2d}: {take}.{view}", views[view], frames, len(info.skeleton))
        recordings.append(
            Recording(
                subject=subject,
                action=action,
                view=view,
                skeleton=info.skeleton,
                fps=info.fps,
                keypoints_2d=points,
                poses_3d=pose,
                camera=camera,
                confidence=confidence,
            )
        )
    return recordings


def _read_pose(where: str, array: Any, info: DatasetInfo) -> FloatArray:
    storage = get_skeleton(info.storage_skeleton)
    count = len(storage)
    if not _is_numbers(array) or array.ndim != 3 or array.shape[1:] != (count, 3):
        raise LiftposeError(f"{where}: expected poses of shape (frames, {count}, 3), found {_shape(array)}")
    pose: FloatArray = adapt(array.astype(np.float32), storage, info.skeleton)
    _check_finite(where, pose)
    return pose


def _read_view(where: str, array: Any, frames: int | None, joints: int) -> tuple[FloatArray, FloatArray | None]:
    if not _is_numbers(array) or array.ndim != 3 or array.shape[1] != joints or array.shape[2] not in {2, 3}:
        raise LiftposeError(f"{where}: expected keypoints of shape (frames, {joints}, 2 or 3), found {_shape(array)}")
    if frames is not None and len(array) < frames:
        raise LiftposeError(f"{where}: expected keypoints for the {frames} frames of the 3D poses, found {len(array)}")
    view = array[:frames].astype(np.float32)
    _check_finite(where, view)
    return np.ascontiguousarray(view[..., :2]), view[..., 2].copy() if view.shape[2] == 3 else None


def _check_metadata(path: str | os.PathLike[str], content: Mapping[str, Any], skeleton: Skeleton) -> None:
    metadata = _dictionary(path, content, "metadata")
    layout = metadata.get("layout_name", _layout(skeleton))
    if layout != _layout(skeleton):
        raise LiftposeError(f"{path}: expected the joint layout {_layout(skeleton)}, found {layout}")
    if metadata.get("num_joints", len(skeleton)) != len(skeleton):
        raise LiftposeError(f"{path}: expected {len(skeleton)} joints, found {metadata['num_joints']}")
    try:
        left, right = metadata["keypoints_symmetry"]
        pairs = {frozenset((int(a), int(b))) for a, b in zip(left, right, strict=True)}
    except (KeyError, TypeError, ValueError) as error:
        raise LiftposeError(
            f"{path}: expected keypoints_symmetry in the metadata, two lists of joints, found none"
        ) from error
    if pairs != {frozenset(pair) for pair in zip(skeleton.left, skeleton.right, strict=True)}:
        raise LiftposeError(
            f"{path}: expected keypoints_symmetry {[list(skeleton.left), list(skeleton.right)]} for the "
            f"skeleton {skeleton.name}, found {[list(left), list(right)]}"
        )


def _dictionary(path: str | os.PathLike[str], content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = content.get(name)
    if not isinstance(value, dict):
        found = f"something else ({type(value).__name__})" if name in content else ", ".join(content) or "nothing"
        raise LiftposeError(f"{path}: expected a dictionary {name}, found {found}")
    return value


def _layout(skeleton: Skeleton) -> str:
    return _LAYOUTS.get(skeleton.name, skeleton.name)


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


def _is_numbers(array: Any) -> bool:
    return isinstance(array, np.ndarray) and array.dtype.kind in "fiu"


def _shape(array: Any) -> str:
    return f"{array.shape} of {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__


def _check_finite(where: str, array: FloatArray) -> None:
    bad = ~np.isfinite(array).all(axis=-1)
    if bad.any():
        places = np.argwhere(bad)
        frame, joint = (int(i) for i in places[0])
        frames = len(np.unique(places[:, 0]))
        raise LiftposeError(
            f"{where}: expected finite coordinates, found others in {frames} of {len(array)} frames, "
            f"first in frame {frame} at joint {joint}"
        )
