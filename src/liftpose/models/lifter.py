"""What every lifter has in common: keypoints of a window in, the pose of its current frame out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from liftpose.errors import LiftposeError
from liftpose.models.branches import BranchNorm
from liftpose.models.rie_state import require_same_shapes
from liftpose.skeletons import Skeleton, mirror

__all__ = [
    "Lifter",
    "flip_averaged",
    "following",
    "join_windows",
    "keep_statistics",
    "predict_windows",
    "relative_to_root",
]


class Lifter(nn.Module):
    """A network that turns a window of 2D keypoints into the 3D pose of the window's current frame.

    A subclass sets the attributes below in its constructor and maps ``keypoints_2d`` (B, T, J, 2), normalised screen
    coordinates with T = ``receptive_field``, to (B, 1, J, 3), metres relative to the root in the camera frame.

    Attributes:
        skeleton: Joint order of the poses, and of the keypoints unless :attr:`keypoint_skeleton` is another.
        receptive_field: Number of frames T of a window.
        causal: Whether a window holds the current frame and the past only, so that its padding is all on the left.
        current_frame: Index of the frame in the window that the pose belongs to.
        encoder_names: Names of the submodules that a later stage of training takes over and may freeze.
        stage: Stage of a training in several stages; above 1 a run starts from the weights of the stage before.
    """

    skeleton: Skeleton
    receptive_field: int
    causal: bool = False
    current_frame: int = 0
    encoder_names: tuple[str, ...] = ()
    stage: int = 1

    @property
    def keypoint_skeleton(self) -> Skeleton:
        """Joint order of the keypoints: that of the poses, unless the network was made for others."""
        return self.skeleton

    @property
    def identity(self) -> dict[str, str | bool]:
        """What the shapes of the weights do not tell; kept in checkpoints."""
        return {
            "skeleton": self.skeleton.name,
            "keypoint_skeleton": self.keypoint_skeleton.name,
            "causal": self.causal,
            "current": "last" if self.current_frame == self.receptive_field - 1 else "middle",
        }

    def check_identity(self, other: Mapping[str, str | bool], where: str) -> None:
        """Refuse weights of a lifter that reads its windows in another way.

        Args:
            other: The :attr:`identity` of the lifter that the weights come from; what it does not say is not compared.
            where: What holds the weights, for the message.

        Raises:
            LiftposeError: Skeleton, padding or current frame differ.
        """
        for name, value in self.identity.items():
            if name in other and other[name] != value:
                raise LiftposeError(f"{where}: expected a lifter with {name} {value}, found {other[name]}")

    def check_keypoints(self, keypoints_2d: Tensor) -> None:
        """Refuse keypoints that the network was not made for.

        Args:
            keypoints_2d: What was given.

        Raises:
            LiftposeError: The shape is not (B, N, J, 2) with at least the frames of a window.
        """
        joints, shape = len(self.keypoint_skeleton), tuple(keypoints_2d.shape)
        if len(shape) != 4 or shape[2:] != (joints, 2):
            raise LiftposeError(
                f"keypoints_2d: expected the shape (batch, frames, {joints} joints, 2) for the skeleton "
                f"{self.keypoint_skeleton.name}, found {shape}"
            )
        if shape[1] < self.receptive_field:
            raise LiftposeError(f"keypoints_2d: expected {self.receptive_field} frames or more, found {shape[1]}")

    def as_sequence(self, keypoints_2d: Tensor, follows: Tensor) -> tuple[Tensor, Tensor] | None:
        """Lay the windows of an evaluation out as one sequence, where that saves work.

        A lifter whose intermediate results are the same in overlapping windows, and which takes sequences longer than a
        window, overrides this.

        Args:
            keypoints_2d: (B, T, J, 2) windows.
            follows: (B,) bool from :func:`following`.

        Returns:
            What :func:`join_windows` does, or None where nothing is saved.
        """
        return None

    def load_previous_stage(self, state_dict: Mapping[str, Tensor]) -> None:
        """Take over the weights that this stage of training starts from.

        Args:
            state_dict: Weights of the lifter that the stage before has trained.

        Raises:
            LiftposeError: The weights do not fit this network.
        """
        require_same_shapes(self.state_dict(), state_dict, "weights to start from")
        self.load_state_dict(state_dict)

    def set_batchnorm_momentum(self, momentum: float) -> None:
        """Set the momentum of the batch normalisation layers that follow the schedule of the recipe.

        Args:
            momentum: Share of the new batch in the running statistics, in [0, 1].
        """
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm | BranchNorm):
                module.momentum = momentum


def following(sequence: Tensor, frame: Tensor) -> Tensor:
    """Tell which windows are one frame on from the window before them, as almost all are in an evaluation.

    Args:
        sequence: (B,) numbers of the windows' sequences.
        frame: (B,) their frames within the sequence.

    Returns:
        (B,) bool; that of the first window is False.

    Example:
        >>> following(torch.tensor([0, 0, 1, 1]), torch.tensor([7, 8, 0, 2])).tolist()
        [False, True, False, False]
    """
    follows = torch.zeros_like(sequence, dtype=torch.bool)
    follows[1:] = (sequence[1:] == sequence[:-1]) & (frame[1:] == frame[:-1] + 1)
    return follows


def join_windows(keypoints_2d: Tensor, follows: Tensor) -> tuple[Tensor, Tensor]:
    """Lay windows out as one sequence in which neighbours share their frames.

    Args:
        keypoints_2d: (B, T, J, 2) windows.
        follows: (B,) bool, whether a window is one frame on from the window before it.

    Returns:
        (N, J, 2) frames: all of a window that does not follow another, the last one of each that does; and (B,) where
        in it each window begins.

    Example:
        >>> windows = torch.tensor([[1.0, 2, 3], [2, 3, 4], [7, 8, 9]])[..., None, None]
        >>> frames, places = join_windows(windows, torch.tensor([False, True, False]))
        >>> frames.flatten().tolist(), places.tolist()
        ([1.0, 2.0, 3.0, 4.0, 7.0, 8.0, 9.0], [0, 1, 4])
    """
    length = keypoints_2d.shape[1]
    new = (~follows)[:, None].expand(-1, length).clone()
    new[:, -1] = True
    return keypoints_2d[new], new.sum(1).cumsum(0) - length


@contextmanager
def keep_statistics(network: nn.Module) -> Iterator[None]:
    """Leave the running statistics of batch normalisation as they are while a network is trained.

    Args:
        network: The network; within a batch it goes on normalising by that batch.
    """
    norms = [module for module in network.modules() if isinstance(getattr(module, "running_mean", None), Tensor)]
    before = [module.momentum for module in norms]
    for module in norms:
        module.momentum = 0.0  # type: ignore[assignment]  # the share of the newest batch
    try:
        yield
    finally:
        for module, momentum in zip(norms, before, strict=True):
            module.momentum = momentum


def predict_windows(lifter: Lifter, keypoints_2d: Tensor, follows: Tensor | None = None) -> Tensor:
    """Predict the poses of windows, what overlapping windows share once where the lifter can.

    Args:
        lifter: The network.
        keypoints_2d: (B, T, J, 2) normalised screen coordinates.
        follows: (B,) bool from :func:`following`, or None where it is not known.

    Returns:
        (B, 1, J, 3) metres relative to the root, camera frame.
    """
    joined = None if follows is None else lifter.as_sequence(keypoints_2d, follows)
    if joined is None:
        poses: Tensor = lifter(keypoints_2d)
        return poses
    frames, places = joined
    of_all: Tensor = lifter(frames[None])
    return of_all[0, places, None]


def flip_averaged(lifter: Lifter, keypoints_2d: Tensor, follows: Tensor | None = None) -> Tensor:
    """Predict poses, averaged with those of the mirrored windows (Pavllo et al., CVPR 2019, test-time augmentation).

    Args:
        lifter: The network.
        keypoints_2d: (B, T, J, 2) normalised screen coordinates.
        follows: (B,) bool from :func:`following`, or None where it is not known.

    Returns:
        (B, 1, J, 3) metres relative to the root, camera frame.
    """
    joined = None if follows is None else lifter.as_sequence(keypoints_2d, follows)
    sequences = keypoints_2d if joined is None else joined[0][None]
    both: Tensor = lifter(torch.cat((sequences, mirror(sequences, lifter.keypoint_skeleton))))
    straight, mirrored = both.chunk(2)
    poses = (straight + mirror(mirrored, lifter.skeleton)) / 2
    return poses if joined is None else poses[0, joined[1], None]


def relative_to_root(poses: Tensor, skeleton: Skeleton) -> Tensor:
    """Subtract the root of poses.

    Args:
        poses: (..., J, 3) any unit.
        skeleton: Their joint order.

    Returns:
        (..., J, 3), the root at 0.
    """
    return poses - poses[..., skeleton.root, None, :]
