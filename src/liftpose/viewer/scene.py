"""What films and pages show: keypoints, predicted and true poses of a recording, in a room with the floor at z = 0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from liftpose.data.recording import Recording
from liftpose.errors import LiftposeError
from liftpose.geometry import Camera
from liftpose.metrics.functional import mpjpe_per_pose
from liftpose.skeletons import Skeleton
from liftpose.viewer.bones import as_joints

if TYPE_CHECKING:
    from liftpose.viewer.pictures import ScenePicture

__all__ = ["Scene", "average_blocks", "build_scene", "upright_rotation"]

_NEAR_FLOOR: Final = 0.3  # metres
_LEVEL: Final = 0.1  # below this the camera looks straight down or up

# Rows: x, y and z of the room, for each axis of a world frame that may point up.
_UP: Final = {
    "z": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "-z": ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
    "y": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "-y": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "x": ((0, 0, -1), (0, 1, 0), (1, 0, 0)),
    "-x": ((0, 0, 1), (0, 1, 0), (-1, 0, 0)),
}


@dataclass(frozen=True, eq=False)
class Scene:
    """What a film or a page shows of one recording.

    Attributes:
        subject: Name of the person.
        action: Full name of the take.
        view: Index of the camera.
        skeleton: Joint order of the poses.
        keypoint_skeleton: Joint order of the keypoints.
        fps: Frames per second.
        keypoints_2d: (N, K, 2) pixels, K joints of their own skeleton, or None.
        image_size: Width and height in pixels of the pictures that the keypoints lie in, or None where unknown.
        prediction: (N, J, 3) metres in the room: z up, floor at z = 0; or None.
        truth: (N, J, 3), same frame, or None.
        errors_mm: (N,) mean distance of the predicted joints from the true ones in millimetres, or None.
        azimuth: Radians; the camera's right is (cos, sin, 0) in the room.
        in_world: Whether the room is the world frame of the recording, where people move about; otherwise the root
            stays in place.
        heading: The title; empty for subject, action and camera.
        pictures: The picture behind the keypoints of each frame, for people in single pictures; None for a recording.
    """

    subject: str
    action: str
    view: int
    skeleton: Skeleton
    keypoint_skeleton: Skeleton
    fps: float
    keypoints_2d: NDArray[np.float64] | None
    image_size: tuple[float, float] | None
    prediction: NDArray[np.float64] | None
    truth: NDArray[np.float64] | None
    errors_mm: NDArray[np.float64] | None
    azimuth: float
    in_world: bool
    heading: str = ""
    pictures: tuple[ScenePicture, ...] | None = None

    def __len__(self) -> int:
        """Number of frames."""
        arrays = (self.prediction, self.truth, self.keypoints_2d)
        return len(next(array for array in arrays if array is not None))

    @property
    def title(self) -> str:
        """The heading, or subject, action and camera."""
        return self.heading or f"{self.subject}, {self.action}, camera {self.view}"


def build_scene(
    recording: Recording,
    prediction: ArrayLike | None,
    *,
    up_axis: str = "z",
    skip: int = 0,
    limit: int = -1,
    k: int = 1,
) -> Scene:
    """Put a recording and its predicted poses into a room.

    With a camera, poses stand in the world frame, turned so that z is up. Where the truth is known, its root trajectory
    is added to the prediction, which is relative to the root. Where it is not, every predicted pose is set on the floor
    by its lowest joint. Without a camera, the camera frame is turned upright and set on the floor.

    Args:
        recording: Keypoints, and truth in the world frame where it is known. A truth needs a camera to be shown beside
            a prediction.
        prediction: (N, J, 3) metres, camera frame relative to the root, or None.
        up_axis: Axis of the world frame that points up, such as "z" or "-y".
        skip: Frames to leave out at the beginning.
        limit: Largest number of frames, after averaging; -1 for all.
        k: Frames to average; the frame rate becomes 1 / k of it.

    Returns:
        The scene.

    Raises:
        LiftposeError: ``skip``, ``limit`` or ``k`` is out of range, or leaves no frame.
        ValueError: The prediction does not fit the recording, or there is no such axis.
    """
    skeleton = recording.skeleton
    frames = _chosen_frames(len(recording), skip, limit, k)

    def cut(array: ArrayLike, order: Skeleton, channels: int, name: str) -> NDArray[np.float64]:
        joints = as_joints(array, order, channels, name)
        if joints.shape[0] != len(recording) or joints.ndim != 3:
            raise ValueError(f"{name}: expected the {len(recording)} frames of the recording, found {joints.shape}")
        return average_blocks(joints[frames], k)

    keypoints = cut(recording.keypoints_2d, recording.keypoint_skeleton, 2, "keypoints_2d")
    true_world = None if recording.poses_3d is None else cut(recording.poses_3d, skeleton, 3, "truth")
    pose = None if prediction is None else cut(prediction, skeleton, 3, "prediction")
    turn, azimuth = upright_rotation(recording.camera, up_axis)
    truth = errors = None
    if true_world is not None:
        room = np.array(_UP[up_axis], dtype=np.float64)
        truth = true_world @ room.T
        floor = np.array([0.0, 0.0, _floor_height(truth)])
        if pose is not None:
            pose = pose @ turn.T
            pose = pose - pose[:, skeleton.root, None] + truth[:, skeleton.root, None]
            errors = 1000 * mpjpe_per_pose(torch.from_numpy(pose), torch.from_numpy(truth)).numpy()
            pose = pose - floor
        truth = truth - floor
    elif pose is not None:
        pose = pose @ turn.T
        pose = pose - np.array([0.0, 0.0, 1.0]) * pose[..., 2].min(1)[:, None, None]
    size = None if recording.camera is None else tuple(float(side) for side in recording.camera.image_size)
    return Scene(
        subject=recording.subject,
        action=recording.action,
        view=recording.view,
        skeleton=skeleton,
        keypoint_skeleton=recording.keypoint_skeleton,
        fps=recording.fps / k,
        keypoints_2d=keypoints,
        image_size=None if size is None else (size[0], size[1]),
        prediction=pose,
        truth=truth,
        errors_mm=errors,
        azimuth=azimuth,
        in_world=truth is not None,
    )


def average_blocks(values: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Average blocks of k frames that follow each other; a last block that is not full is left out.

    Args:
        values: (N, ...) any unit.
        k: At least 1.

    Returns:
        (N // k, ...) means.

    Example:
        >>> average_blocks(np.array([0.0, 2.0, 4.0, 6.0, 9.0]), 2).tolist()
        [1.0, 5.0]
    """
    count = len(values) // k
    mean: NDArray[np.float64] = values[: count * k].reshape(count, k, *values.shape[1:]).mean(1)
    return mean


def upright_rotation(camera: Camera | None, up_axis: str = "z") -> tuple[NDArray[np.float64], float]:
    """Return the rotation from the camera frame to a room with z up, and where the camera looks from.

    Args:
        camera: The camera, or None: then y of the camera frame is taken to point straight down.
        up_axis: Axis of the camera's world frame that points up.

    Returns:
        (3, 3) rotation, and the azimuth in radians: (cos, sin, 0) in the room is the camera's right, as far as it is
        level.

    Raises:
        ValueError: There is no such axis.

    Example:
        >>> rotation, azimuth = upright_rotation(None)
        >>> (rotation @ [0.0, -1.0, 0.0]).tolist(), azimuth
        ([0.0, 0.0, 1.0], 0.0)
    """
    if up_axis not in _UP:
        raise ValueError(f"up_axis: expected one of {', '.join(_UP)}, found {up_axis!r}")
    if camera is None:
        return np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]), 0.0
    rotation = np.array(_UP[up_axis], dtype=np.float64) @ camera.R.double().numpy().T
    right, forward = rotation[:, 0], rotation[:, 2]
    if math.hypot(forward[0], forward[1]) > _LEVEL:
        return rotation, math.atan2(-forward[0], forward[1])
    return rotation, math.atan2(right[1], right[0])


def _floor_height(truth: NDArray[np.float64]) -> float:
    """Return where the floor is: z = 0 of the world, unless the people are nowhere near it."""
    lowest = float(truth[..., 2].min())
    return 0.0 if abs(lowest) < _NEAR_FLOOR else lowest


def _chosen_frames(length: int, skip: int, limit: int, k: int) -> slice:
    """Return the frames to show, before averaging."""
    for name, value, least in (("skip", skip, 0), ("downsample", k, 1)):
        if value < least:
            raise LiftposeError(f"--{name}: expected a whole number from {least} up, found {value}")
    if limit == 0 or limit < -1:
        raise LiftposeError(f"--limit: expected a number of frames from 1 up, or -1 for all, found {limit}")
    count = (length - skip) // k
    if count < 1:
        raise LiftposeError(
            f"--skip: expected frames left to show, found none of {length} with --skip {skip} and --downsample {k}"
        )
    return slice(skip, skip + (count if limit < 0 else min(count, limit)) * k)
