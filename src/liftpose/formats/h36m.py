"""The field's files for Human3.6M and data sets like it: ``data_3d_<name>.npz`` and ``data_2d_<name>_<keypoints>.npz``.

Both hold pickled dictionaries, subject -> action -> arrays (VideoPose3D, Pavllo et al., CVPR 2019). They are read
without running what lies in them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from liftpose.data.recording import Recording
from liftpose.errors import LiftposeError
from liftpose.formats.dataset_info import DatasetInfo
from liftpose.formats.keypoint_layouts import keypoint_skeleton_of
from liftpose.formats.known_datasets import find_dataset_info
from liftpose.formats.npz import read_npz
from liftpose.geometry import Camera
from liftpose.skeletons import Skeleton, adapt, adapter_targets, get_adapter, get_skeleton

__all__ = ["find_dataset_files", "read_h36m", "read_h36m_take"]

FloatArray = npt.NDArray[np.float32]


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
    skeleton: Skeleton | None = None,
) -> list[Recording]:
    """Read a data set in the field's files.

    Detections that run on after the motion capture are cut to its length. A 2D file may have a third channel with
    confidences, and a joint order of its own. Joint slots that the skeleton does not use may hold anything.

    Args:
        path_3d: ``data_3d_<name>.npz``: float (N, slots, 3), metres in the world frame.
        path_2d: ``data_2d_<name>_<keypoints>.npz``: per camera float (N or more, J, 2 or 3), pixels.
        subjects: Subjects to read, in this order; None for all that have 3D poses, in the order of the 3D file. People
            with keypoints only, such as S2 of Human3.6M, are left out then.
        info: Skeleton, frame rate and cameras; None for what :func:`liftpose.formats.find_dataset_info` finds.
        skeleton: Joint order of the poses, None for that of the data set. Keypoints come in it too where they
            are in the data set's own order, or where it can be had from theirs without approximation, such as 16 joints
            from 17; otherwise they stay as they are.

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
    layout = _layout_of(path_2d, content, info, skeleton)
    recordings: list[Recording] = []
    for subject in poses if subjects is None else subjects:
        recordings += _read_subject(path_3d, path_2d, subject, poses, keypoints, info, layout)
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
    skeleton: Skeleton | None = None,
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
        skeleton: Joint order of the poses, as for :func:`read_h36m`.

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
    layout = _layout_of(path_2d, content, info, skeleton)
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
    pose = None if known is None else _read_pose(f"{path_3d}: {subject}/{fitting[0]}", known, info, layout)
    return _read_take(path_2d, subject, fitting[0], pose, takes[fitting[0]], cameras, info, layout)


def _names(folder: Path, prefix: str) -> list[str]:
    return sorted(path.stem.removeprefix(prefix) for path in folder.glob("*.npz") if path.name.startswith(prefix))


def _how_to_make(folder: Path, dataset: str) -> str:
    if dataset == "h36m":
        return f"`liftpose data h36m --from cdf DIR --out {folder}` makes it from the official files (docs/data.md)"
    if dataset.startswith("humaneva"):
        return f"`liftpose data humaneva DIR --out {folder}` makes it from the official files (docs/data.md)"
    if dataset.startswith("3dhp"):
        return f"`liftpose data 3dhp --from KIND PATH --out {folder}` makes it from the official files (docs/data.md)"
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
    layout: _Layout,
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
        pose = _read_pose(f"{path_3d}: {subject}/{action}", takes[action], info, layout)
        recordings += _read_take(path_2d, subject, action, pose, views, info.cameras[subject], info, layout)
    return recordings


def _read_take(
    path_2d: str | os.PathLike[str],
    subject: str,
    action: str,
    pose: FloatArray | None,
    views: Any,
    cameras: Sequence[Camera],
    info: DatasetInfo,
    layout: _Layout,
) -> list[Recording]:
    take = f"{subject}/{action}"
    if not isinstance(views, list | tuple | np.ndarray) or len(views) != len(cameras):
        found = len(views) if isinstance(views, list | tuple | np.ndarray) else type(views).__name__
        raise LiftposeError(f"{path_2d}: {take}: expected keypoints of {len(cameras)} cameras, found {found}")
    recordings = []
    for view, camera in enumerate(cameras):
        frames = None if pose is None else len(pose)
        points, confidence = _read_view(f"{path_2d}: {take}.{view}", views[view], frames, layout)
        recordings.append(
            Recording(
                subject=subject,
                action=action,
                view=view,
                skeleton=layout.poses,
                fps=info.fps,
                keypoints_2d=points,
                poses_3d=pose,
                camera=camera,
                confidence=confidence,
                keypoint_skeleton=layout.keypoints,
            )
        )
    return recordings


class _Layout(NamedTuple):
    """Joint orders of a data set as it is read.

    Args:
        stored: That of the 2D file.
        keypoints: That in which keypoints are wanted.
        poses: That in which poses are wanted.
    """

    stored: Skeleton
    keypoints: Skeleton
    poses: Skeleton


def _layout_of(
    path_2d: str | os.PathLike[str], content: Mapping[str, Any], info: DatasetInfo, skeleton: Skeleton | None
) -> _Layout:
    stored = keypoint_skeleton_of(path_2d, _dictionary(path_2d, content, "metadata"), info.skeleton)
    poses = info.skeleton if skeleton is None else skeleton
    get_adapter(get_skeleton(info.storage_skeleton), poses)  # refused here, before anything is converted
    # Stand-ins for joints that are not there are taken for keypoints only where the poses have the same stand-ins.
    alike = poses.name in adapter_targets(stored) and (
        stored == info.skeleton or not get_adapter(stored, poses).approximate
    )
    return _Layout(stored, poses if alike else stored, poses)


def _read_pose(where: str, array: Any, info: DatasetInfo, layout: _Layout) -> FloatArray:
    storage = get_skeleton(info.storage_skeleton)
    count = len(storage)
    if not _is_numbers(array) or array.ndim != 3 or array.shape[1:] != (count, 3):
        raise LiftposeError(f"{where}: expected poses of shape (frames, {count}, 3), found {_shape(array)}")
    pose: FloatArray = adapt(array.astype(np.float32, copy=False), storage, layout.poses)
    _check_finite(where, pose)
    return pose


def _read_view(where: str, array: Any, frames: int | None, layout: _Layout) -> tuple[FloatArray, FloatArray | None]:
    joints = len(layout.stored)
    if not _is_numbers(array) or array.ndim != 3 or array.shape[1] != joints or array.shape[2] not in {2, 3}:
        raise LiftposeError(f"{where}: expected keypoints of shape (frames, {joints}, 2 or 3), found {_shape(array)}")
    if frames is not None and len(array) < frames:
        raise LiftposeError(f"{where}: expected keypoints for the {frames} frames of the 3D poses, found {len(array)}")
    view = array[:frames].astype(np.float32, copy=False)
    _check_finite(where, view)
    if layout.keypoints != layout.stored:
        view = adapt(view, layout.stored, layout.keypoints)
    return np.ascontiguousarray(view[..., :2]), view[..., 2].copy() if view.shape[2] == 3 else None


def _dictionary(path: str | os.PathLike[str], content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = content.get(name)
    if not isinstance(value, dict):
        found = f"something else ({type(value).__name__})" if name in content else ", ".join(content) or "nothing"
        raise LiftposeError(f"{path}: expected a dictionary {name}, found {found}")
    return value


def _is_numbers(array: Any) -> bool:
    return isinstance(array, np.ndarray) and array.dtype.kind in "fiu"


def _shape(array: Any) -> str:
    return f"{array.shape} of {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__


def _check_finite(where: str, array: FloatArray) -> None:
    if not np.isfinite(array).all():
        bad = ~np.isfinite(array).all(axis=-1)
        places = np.argwhere(bad)
        frame, joint = (int(i) for i in places[0])
        frames = len(np.unique(places[:, 0]))
        raise LiftposeError(
            f"{where}: expected finite coordinates, found others in {frames} of {len(array)} frames, "
            f"first in frame {frame} at joint {joint}"
        )
