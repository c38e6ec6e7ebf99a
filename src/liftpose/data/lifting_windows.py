"""Windows for lifters: recordings in, screen coordinates and poses in the camera frame out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from liftpose.data.flat_frames import FlatFrames
from liftpose.data.recording import Recording
from liftpose.data.windows import Sides, Windows
from liftpose.errors import LiftposeError
from liftpose.geometry import intrinsic_vector, normalize_screen

__all__ = ["lifting_windows"]


def lifting_windows(
    recordings: Sequence[Recording],
    receptive_field: int,
    *,
    causal: bool = False,
    flip_copies: bool = False,
    with_cameras: bool = False,
    whole_poses: bool = False,
) -> Windows:
    """Prepare recordings for a lifter: one window per frame, in the published normalisation.

    Keypoints are mapped to screen coordinates with the size of their camera's image, poses are moved to the camera
    frame and the root is subtracted (the root itself becomes 0), as in VideoPose3D and RIE. Computed in float64, kept
    in float32.

    Args:
        recordings: At least one; the sequence numbers of the windows count them. All have one skeleton of poses and
            one of keypoints, and all or none have poses.
        receptive_field: Number of frames of a window, odd.
        causal: Whether the window ends with the target frame; by default the target is in the middle.
        flip_copies: Whether every window is there a second time, mirrored.
        with_cameras: Whether the windows hold the intrinsics too. Nothing in lifting reads them, and gathering them
            for every batch takes time.
        whole_poses: Whether a window has the poses of all its frames where they are in the camera frame, with their
            root, which is what an augmentation begins with; by default the pose of the target frame relative to it.

    Returns:
        Windows with keypoints in screen coordinates, poses in metres in the camera frame, and, if asked for, the
        intrinsics.

    Raises:
        LiftposeError: There is no frame, an even receptive field, a recording without camera, recordings that do not
            fit together, coordinates that are not finite, or intrinsics are asked for that nine numbers do not
            describe.
    """
    if receptive_field < 1 or receptive_field % 2 == 0:
        raise LiftposeError(f"receptive field: expected an odd number of frames, found {receptive_field}")
    if not any(len(recording) for recording in recordings):
        raise LiftposeError("recordings: expected at least one frame, found none")
    skeleton, keypoint_skeleton = recordings[0].skeleton, recordings[0].keypoint_skeleton
    with_poses = recordings[0].poses_3d is not None
    lengths = [len(recording) for recording in recordings]
    keypoints = FlatFrames(lengths, (len(keypoint_skeleton), 2), copies=2)  # with room for the mirrored frames
    poses = FlatFrames(lengths, (len(skeleton), 3)) if with_poses else None
    cameras: list[Tensor] = []
    world = _WorldPoses()
    for i, recording in enumerate(recordings):
        if recording.camera is None:
            raise LiftposeError(f"{recording.name}: expected a camera with the size of its images, found none")
        for wanted, found in (
            (skeleton, recording.skeleton),
            (keypoint_skeleton, recording.keypoint_skeleton),
        ):
            if found != wanted:
                raise LiftposeError(f"{recording.name}: expected the skeleton {wanted.name}, found {found.name}")
        if (recording.poses_3d is not None) != with_poses:
            raise LiftposeError(f"{recording.name}: expected 3D poses in all recordings or in none, found both")
        camera = recording.camera.to(dtype=torch.float64)
        pixels = _finite(recording.keypoints_2d, f"{recording.name}: 2D keypoints")
        keypoints[i].copy_(normalize_screen(pixels, camera.image_size))
        if poses is not None:
            pose = camera.to_camera(world.of(recording))
            poses[i].copy_(pose if whole_poses else pose - pose[:, skeleton.root, None])
        if with_cameras:
            if camera.distortion_model == "opencv":
                raise LiftposeError(f"{recording.name}: expected a lens that nine numbers describe, found opencv's")
            cameras.append(intrinsic_vector(camera).float())
    pad = (receptive_field - 1) // 2
    return Windows(
        keypoints,
        poses,
        cameras if with_cameras else None,
        pad=pad,
        keypoint_sides=Sides(keypoint_skeleton.left, keypoint_skeleton.right),
        joint_sides=Sides(skeleton.left, skeleton.right),
        causal_shift=pad if causal else 0,
        flip_copies=flip_copies,
        pose_windows=whole_poses,
        recordings=[recording.key for recording in recordings],
    )


class _WorldPoses:
    """The poses of recordings in float64; the views of a take share theirs, which are checked and converted once."""

    def __init__(self) -> None:
        self._array: object = None
        self._poses = torch.empty(0)

    def of(self, recording: Recording) -> Tensor:
        """Return the poses (N, J, 3) of a recording that has some."""
        if recording.poses_3d is not self._array:
            self._poses = _finite(recording.poses_3d, f"{recording.name}: 3D poses")
            self._array = recording.poses_3d
        return self._poses


def _finite(coordinates: Any, what: str) -> Tensor:
    array = np.asarray(coordinates)
    if not np.isfinite(array).all():
        bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
        raise LiftposeError(
            f"{what}: expected finite numbers, found others in {bad.sum()} frames, first in frame {bad.argmax()}"
        )
    return torch.from_numpy(array.astype(np.float64))
