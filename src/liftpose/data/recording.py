"""Recordings: one person doing one action, seen by one camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from liftpose.errors import LiftposeError
from liftpose.geometry import Camera
from liftpose.skeletons import Skeleton

__all__ = ["Recording", "RecordingKey"]

FloatArray = npt.NDArray[np.float32]


class RecordingKey(NamedTuple):
    """What names a recording within a data set.

    Args:
        subject: Name of the person in the data set, such as ``"S9"``.
        action: Full name of the take, such as ``"Walking 1"``.
        view: Index of the camera in the subject's list of cameras.

    Example:
        >>> RecordingKey("S9", "Walking 1", 2).action_group
        'Walking'
    """

    subject: str
    action: str
    view: int

    @property
    def action_group(self) -> str:
        """The action without the number of the take: the papers' tables have one column for each group."""
        return self.action.split(" ", maxsplit=1)[0]

    def __str__(self) -> str:
        return f"{self.subject}/{self.action}.{self.view}"


@dataclass(frozen=True, eq=False)
class Recording:
    """One person doing one action, seen by one camera.

    Args:
        subject: Name of the person in the data set, such as ``"S9"``.
        action: Full name of the take, such as ``"Walking 1"``.
        view: Index of the camera in the subject's list of cameras.
        skeleton: Joint order of the poses, and of the keypoints too unless ``keypoint_skeleton`` says another.
        fps: Frames per second.
        keypoints_2d: (N, J, 2) pixels, origin at the centre of the top-left pixel. Not finite where a joint was not
            seen.
        poses_3d: (N, J, 3) metres in the world frame, or None where there is no truth.
        camera: Calibration of the view, unbatched, or None where it is unknown.
        confidence: (N, J) in [0, 1], or None where the source has none.
        keypoint_skeleton: Joint order of keypoints and confidence where it is not that of the poses: a detector may
            know other joints than a motion capture. None, which becomes ``skeleton``, where it is.

    Raises:
        LiftposeError: The arrays disagree in their number of frames or do not have their skeleton's number of joints,
            or the frame rate is not a positive number.
    """

    subject: str
    action: str
    view: int
    skeleton: Skeleton
    fps: float
    keypoints_2d: FloatArray
    poses_3d: FloatArray | None = None
    camera: Camera | None = None
    confidence: FloatArray | None = None
    keypoint_skeleton: Skeleton = None  # type: ignore[assignment]  # never None afterwards

    def __post_init__(self) -> None:
        """Check that the arrays belong together."""
        if self.keypoint_skeleton is None:
            object.__setattr__(self, "keypoint_skeleton", self.skeleton)
        if not 0 < self.fps < np.inf:
            raise LiftposeError(f"{self.name}: expected a positive frame rate, found {self.fps}")
        expected = {
            "keypoints_2d": (self.keypoint_skeleton, (2,)),
            "poses_3d": (self.skeleton, (3,)),
            "confidence": (self.keypoint_skeleton, ()),
        }
        for field, (skeleton, channels) in expected.items():
            shape = (len(skeleton), *channels)
            array = getattr(self, field)
            if array is None:
                continue
            if array.ndim != len(shape) + 1 or array.shape[1:] != shape:
                raise LiftposeError(
                    f"{self.name}: expected {field} of shape (frames, {', '.join(map(str, shape))}) for the "
                    f"skeleton {skeleton.name}, found {array.shape}"
                )
            if len(array) != len(self.keypoints_2d):
                raise LiftposeError(
                    f"{self.name}: expected {field} to have the {len(self.keypoints_2d)} frames of keypoints_2d, "
                    f"found {len(array)}"
                )

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.keypoints_2d)

    @property
    def key(self) -> RecordingKey:
        """Subject, action and view: what tells this recording from the others of its data set."""
        return RecordingKey(self.subject, self.action, self.view)

    @property
    def name(self) -> str:
        """Subject, action and camera in one string, for messages."""
        return str(self.key)

    @property
    def action_group(self) -> str:
        """The action without the number of the take: the papers' tables have one column for each group."""
        return self.key.action_group
