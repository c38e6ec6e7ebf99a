"""Estimated poses beside the true ones: what a network learns from that corrects another network's errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from liftpose.data.draws import BatchPlace
from liftpose.errors import LiftposeError
from liftpose.skeletons import Skeleton

__all__ = ["PosePairBatch", "PosePairs"]


class PosePairBatch(NamedTuple):
    """A batch of estimated poses with their truth.

    Attributes:
        poses_3d: (B, J, 3) metres, camera frame, relative to the root: the estimates.
        truth_3d: (B, J, 3) the true poses.
        indices: (B,) numbers of the pairs.
        split: The split that they belong to.
        weight: Factor of this process's mean loss in the mean over all processes.
        place: Place of the batch in a training, or None outside one.
    """

    poses_3d: Tensor
    truth_3d: Tensor
    indices: Tensor
    split: str
    weight: float = 1.0
    place: BatchPlace | None = None


@dataclass(frozen=True, eq=False)
class PosePairs:
    """N estimated poses with their truth.

    Args:
        name: Where they come from, for messages.
        skeleton: Joint order.
        poses_3d: (N, J, 3) metres, camera frame, relative to the root: the estimates.
        truth_3d: (N, J, 3) the true poses.
        recordings: Subject, action and view of every recording.
        sequence: (N,) index into ``recordings``.
        frame: (N,) number of the frame.

    Raises:
        LiftposeError: The columns disagree in their number of rows, there is none, or a coordinate is not finite.
    """

    name: str
    skeleton: Skeleton
    poses_3d: Tensor
    truth_3d: Tensor
    recordings: tuple[tuple[str, str, int], ...]
    sequence: Tensor
    frame: Tensor

    def __post_init__(self) -> None:
        """Check that the columns belong together."""
        shape = (len(self.poses_3d), len(self.skeleton), 3)
        for what, column in (("estimated", self.poses_3d), ("true", self.truth_3d)):
            if tuple(column.shape) != shape or not len(column):
                raise LiftposeError(
                    f"{self.name}: expected {what} poses of shape {shape} with a row at least, found "
                    f"{tuple(column.shape)}"
                )
            if not column.isfinite().all():
                raise LiftposeError(f"{self.name}: expected finite {what} poses, found others")

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.poses_3d)

    def to(self, device: torch.device) -> PosePairs:
        """Return the pairs on another device."""
        moved = (column.to(device) for column in (self.poses_3d, self.truth_3d, self.sequence, self.frame))
        poses, truth, sequence, frame = moved
        return PosePairs(self.name, self.skeleton, poses, truth, self.recordings, sequence, frame)

    @staticmethod
    def from_columns(
        name: str,
        skeleton: Skeleton,
        poses_3d: npt.ArrayLike,
        truth_3d: npt.ArrayLike,
        subjects: tuple[str, ...],
        actions: tuple[str, ...],
        views: npt.NDArray[np.int64],
        frames: npt.NDArray[np.int64],
    ) -> PosePairs:
        """Make pairs from columns with the names of every row.

        Args:
            name: Where they come from, for messages.
            skeleton: Joint order.
            poses_3d: (N, J, 3) metres, camera frame; the root is subtracted.
            truth_3d: (N, J, 3) the true poses; the root is subtracted.
            subjects: (N) names of the people.
            actions: (N) names of the takes.
            views: (N,) index of the camera.
            frames: (N,) number of the frame.

        Returns:
            The pairs; recordings are numbered in the order of their names.
        """
        keys = list(zip(subjects, actions, views.tolist(), strict=True))
        recordings = sorted(set(keys))
        number = {key: place for place, key in enumerate(recordings)}
        poses, truth = (torch.as_tensor(np.asarray(column), dtype=torch.float32) for column in (poses_3d, truth_3d))
        root = skeleton.root
        return PosePairs(
            name,
            skeleton,
            poses - poses[:, root : root + 1],
            truth - truth[:, root : root + 1],
            tuple(recordings),
            torch.tensor([number[key] for key in keys], dtype=torch.int64),
            torch.as_tensor(frames, dtype=torch.int64),
        )
