"""Linear lifters: the baselines that a network has to beat."""

from __future__ import annotations

import torch
from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.models.lifter import Lifter
from liftpose.skeletons import Skeleton, get_skeleton

__all__ = ["LinearLifter", "MeanPose"]


class LinearLifter(Lifter):
    r"""An affine map from the keypoints of the current frame to its pose.

    The weights have no gradient: they are the closed-form minimum of the ridge regression

    .. math:: \sum_i \lVert W x_i + b - y_i \rVert^2 + \lambda \lVert W \rVert^2

    which :class:`liftpose.tasks.RegressionTask` computes from one pass over the training windows.

    Args:
        skeleton: Joint order of input and output, or its name.
        ridge: Strength :math:`\lambda` of the penalty, per training window, in the units of the normalised screen.

    Raises:
        LiftposeError: The penalty is negative.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, skeleton: str | Skeleton = "h36m_17", ridge: float = 1e-6) -> None:
        super().__init__()
        self.skeleton = get_skeleton(skeleton)
        if ridge < 0:
            raise LiftposeError(f"ridge: expected a penalty from 0 up, found {ridge}")
        self.receptive_field = 1
        self.ridge = ridge
        joints = len(self.skeleton)
        self.register_buffer("weight", torch.zeros(3 * joints, self.features_per_frame))
        self.register_buffer("bias", torch.zeros(3 * joints))

    @property
    def features_per_frame(self) -> int:
        """Number of inputs of the affine map."""
        return 2 * len(self.skeleton)

    def features(self, keypoints_2d: Tensor) -> Tensor:
        """Return the inputs of the affine map.

        Args:
            keypoints_2d: (B, 1, J, 2) normalised screen coordinates.

        Returns:
            (B, F) the keypoints of the frame, joint after joint.
        """
        return keypoints_2d.flatten(1)

    def forward(self, keypoints_2d: Tensor) -> Tensor:
        """Predict the pose of the frame.

        Args:
            keypoints_2d: (B, 1, J, 2) normalised screen coordinates.

        Returns:
            (B, 1, J, 3) metres relative to the root, camera frame.
        """
        pose = torch.nn.functional.linear(self.features(keypoints_2d), self.weight, self.bias)
        return pose.view(len(pose), 1, len(self.skeleton), 3)

    @torch.no_grad()
    def fit(self, count: Tensor, moments: Tensor) -> None:
        """Set the weights from the second moments of the training windows.

        Args:
            count: () number of windows.
            moments: (F + 1 + 3 J, F + 1 + 3 J) sum of z z^T in float64, where z holds the features, a one and the pose
                of a window.
        """
        size = self.features_per_frame
        mean = moments[size] / count
        centred = moments / count - torch.outer(mean, mean)
        penalty = self.ridge * torch.eye(size, dtype=moments.dtype, device=moments.device)
        weight = torch.linalg.solve(centred[:size, :size] + penalty, centred[:size, size + 1 :]).T
        self.weight.copy_(weight)
        self.bias.copy_(mean[size + 1 :] - weight @ mean[:size])


class MeanPose(LinearLifter):
    """The mean pose of the training windows, whatever is seen: the error that costs nothing.

    Args:
        skeleton: Joint order of input and output, or its name.
    """

    def __init__(self, skeleton: str | Skeleton = "h36m_17") -> None:
        super().__init__(skeleton)

    @property
    def features_per_frame(self) -> int:
        """Number of inputs of the affine map: none."""
        return 0

    def features(self, keypoints_2d: Tensor) -> Tensor:
        """Return no inputs.

        Args:
            keypoints_2d: (B, 1, J, 2) normalised screen coordinates.

        Returns:
            (B, 0) nothing.
        """
        return keypoints_2d.new_zeros(len(keypoints_2d), 0)
