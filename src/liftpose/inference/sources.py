"""Where the poses to show come from: a take of a data set, a file of predictions, or both."""

from __future__ import annotations

import os
from typing import NamedTuple

from liftpose.data.recording import Recording
from liftpose.errors import LiftposeError
from liftpose.formats import Predictions, find_dataset_files, find_dataset_info
from liftpose.formats.h36m import read_h36m_take
from liftpose.skeletons import Skeleton, adapter_targets, get_skeleton

__all__ = ["Take", "find_take", "find_take_of_predictions", "recording_of_predictions"]


class Take(NamedTuple):
    """A recording, and what its data set says about the room.

    Attributes:
        recording: Keypoints, and the truth where it is known.
        up_axis: Axis of the world frame that points up.
    """

    recording: Recording
    up_axis: str


def find_take(
    root: str | os.PathLike[str],
    dataset: str,
    keypoints: str,
    *,
    subject: str,
    action: str,
    camera: int,
    skeleton: Skeleton | None = None,
) -> Take:
    """Find one recording in a data folder.

    Args:
        root: Folder of the files.
        dataset: Name of the data set in the file names.
        keypoints: Name of the set of keypoints in the file name.
        subject: Name of the person.
        action: Full name of the take, or a beginning that names exactly one.
        camera: Index of the camera.
        skeleton: Joint order that the recording is brought into where its data set can be, as for
            :func:`liftpose.formats.read_h36m`; None for that of the data set.

    Returns:
        The recording.

    Raises:
        LiftposeError: A file is missing or broken, or there is no such person, take or camera; the message lists what
            there is.
    """
    path_3d, path_2d = find_dataset_files(root, dataset, keypoints)
    info = find_dataset_info(path_3d)
    stored = get_skeleton(info.storage_skeleton)
    joints = skeleton if skeleton is not None and skeleton.name in (stored.name, *adapter_targets(stored)) else None
    views = read_h36m_take(path_3d, path_2d, subject, action, info=info, skeleton=joints)
    if not 0 <= camera < len(views):
        raise LiftposeError(f"--camera: expected one of {', '.join(map(str, range(len(views))))}, found {camera}")
    return Take(views[camera], info.up_axis)


def find_take_of_predictions(
    root: str | os.PathLike[str], dataset: str, keypoints: str, predictions: Predictions
) -> Take:
    """Find the recording that predictions were made from.

    Args:
        root: Folder of the files.
        dataset: Name of the data set in the file names.
        keypoints: Name of the set of keypoints in the file name.
        predictions: The predictions.

    Returns:
        The recording.

    Raises:
        LiftposeError: The data set has no such recording, or one with other joints or another number of frames.
    """
    take = find_take(
        root,
        dataset,
        keypoints,
        subject=predictions.subject,
        action=predictions.action,
        camera=predictions.view,
        skeleton=predictions.skeleton,
    )
    recording = take.recording
    if recording.skeleton != predictions.skeleton:
        raise LiftposeError(
            f"--predictions: expected the skeleton {recording.skeleton.name} of {recording.name} in --data, found "
            f"{predictions.skeleton.name}"
        )
    if len(recording) != len(predictions.poses_3d):
        raise LiftposeError(
            f"--predictions: expected the {len(recording)} frames of {recording.name} in --data, found "
            f"{len(predictions.poses_3d)}"
        )
    return take


def recording_of_predictions(predictions: Predictions) -> Recording:
    """Return what a file of predictions says about its recording: keypoints and camera, no truth.

    Args:
        predictions: The predictions.

    Returns:
        The recording.
    """
    return Recording(
        subject=predictions.subject,
        action=predictions.action,
        view=predictions.view,
        skeleton=predictions.skeleton,
        fps=predictions.fps,
        keypoints_2d=predictions.keypoints_2d,
        camera=predictions.camera,
        keypoint_skeleton=predictions.keypoint_skeleton,
    )
