"""What every lifter has in common: keypoints of a window in, the pose of its current frame out."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from liftpose.errors import LiftposeError
from liftpose.skeletons import Skeleton, mirror

__all__ = ["Lifter", "flip_averaged"]


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

    def load_previous_stage(self, state_dict: Mapping[str, Tensor]) -> None:
        """Take over the weights that this stage of training starts from.

        Args:
            state_dict: Weights of the lifter that the stage before has trained.

        Raises:
            LiftposeError: The weights do not fit this network.
        """
        try:
            self.load_state_dict(state_dict)
        except RuntimeError as error:
            raise LiftposeError(f"init_from: the weights do not fit {type(self).__name__}: {error}") from error

    def set_batchnorm_momentum(self, momentum: float) -> None:
        """Set the momentum of the batch normalisation layers that follow the schedule of the recipe.

        Args:
            momentum: Share of the new batch in the running statistics, in [0, 1].
        """
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.momentum = momentum


def flip_averaged(lifter: Lifter, keypoints_2d: Tensor) -> Tensor:
    """Predict poses, averaged with those of the mirrored windows (Pavllo et al., CVPR 2019, test-time augmentation).

    Args:
        lifter: The network.
        keypoints_2d: (B, T, J, 2) normalised screen coordinates.

    Returns:
        (B, 1, J, 3) metres relative to the root, camera frame.
    """
    both: Tensor = lifter(torch.cat((keypoints_2d, mirror(keypoints_2d, lifter.keypoint_skeleton))))
    straight, mirrored = both.chunk(2)
    return (straight + mirror(mirrored, lifter.skeleton)) / 2
