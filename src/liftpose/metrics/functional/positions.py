"""Errors of positions and velocities as pure functions of torch tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from liftpose.geometry.alignment import similarity_errors

__all__ = [
    "as_poses",
    "joint_errors",
    "mpjpe",
    "mpjpe_per_pose",
    "mpjve",
    "n_mpjpe",
    "n_mpjpe_per_pose",
    "p_mpjpe",
    "p_mpjpe_per_pose",
    "velocity_errors",
]


def joint_errors(prediction: Tensor, target: Tensor) -> Tensor:
    r"""Euclidean distance of every predicted joint from its target, :math:`\lVert \hat p_j - p_j \rVert`.

    The gradient at distance 0 is 0 (a subgradient), so this is safe in a loss. Half precision is raised to float32.

    Args:
        prediction: (..., J, 3) metres.
        target: (..., J, 3) metres, same shape and frame.

    Returns:
        (..., J) metres.

    Raises:
        ValueError: The shapes differ or are not (..., J, 3).

    Example:
        >>> joint_errors(torch.tensor([[0.0, 0.0, 0.0], [3.0, 4.0, 0.0]]), torch.zeros(2, 3))
        tensor([0., 5.])
    """
    prediction, target = as_poses(prediction, target)
    errors: Tensor = torch.linalg.vector_norm(prediction - target, dim=-1)
    return errors


def mpjpe_per_pose(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean per joint position error of every pose (protocol 1): the mean of `joint_errors` over the joints.

    Args:
        prediction: (..., J, 3) metres.
        target: (..., J, 3) metres, same shape and frame.

    Returns:
        (...) metres.

    Raises:
        ValueError: The shapes differ or are not (..., J, 3).

    Example:
        >>> mpjpe_per_pose(torch.ones(2, 17, 3) * torch.tensor([1.0, 0.0, 0.0]), torch.zeros(2, 17, 3))
        tensor([1., 1.])
    """
    return joint_errors(prediction, target).mean(-1)


def mpjpe(prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""Mean per joint position error (protocol 1), the mean of `joint_errors` over joints and poses.

    :math:`\frac{1}{NJ} \sum_{n,j} w_{nj} \lVert \hat p_{nj} - p_{nj} \rVert`

    Args:
        prediction: (..., J, 3) metres.
        target: (..., J, 3) metres, same shape and frame.
        weights: Factor of each joint's error, broadcast to (..., J); all 1 when None. The sum is divided by the number
            of joints, not by the sum of the weights (Pavllo et al., "3D human pose estimation in video with temporal
            convolutions and semi-supervised training", CVPR 2019).

    Returns:
        Scalar, metres.

    Raises:
        ValueError: The shapes differ or are not (..., J, 3), or the weights do not broadcast to (..., J).

    Example:
        >>> mpjpe(torch.full((1, 2, 3), 2.0), torch.tensor([[[2.0, 2.0, 2.0], [2.0, 2.0, 0.0]]]))
        tensor(1.)
    """
    errors = joint_errors(prediction, target)
    if weights is None:
        return errors.mean()
    try:
        weights = weights.expand(errors.shape)
    except RuntimeError:
        raise ValueError(
            f"expected weights that broadcast to {tuple(errors.shape)}, found {tuple(weights.shape)}"
        ) from None
    return (weights * errors).mean()


def p_mpjpe_per_pose(prediction: Tensor, target: Tensor) -> Tensor:
    """Position error of every pose after the best similarity transform of the prediction (protocol 2, also PA-MPJPE).

    The prediction is moved as by `liftpose.geometry.alignment.similarity_alignment` (scale, rotation without
    reflection, translation; float64 inside), then scored as in `mpjpe_per_pose`.

    Args:
        prediction: (..., J, 3) metres.
        target: (..., J, 3) metres, same shape; the frame may differ.

    Returns:
        (...) metres; NaN for a degenerate pose: all joints of the prediction or of the target coincide, or an input is
        not finite.

    Raises:
        ValueError: The shapes differ or are not (..., J, 3).

    Example:
        >>> target = torch.eye(3)
        >>> p_mpjpe_per_pose(torch.stack((3 * target + 1, torch.ones(3, 3))), torch.stack((target, target))) < 1e-6
        tensor([ True, False])
        >>> p_mpjpe_per_pose(torch.ones(3, 3), target)
        tensor(nan)
    """
    prediction, target = as_poses(prediction, target)
    return similarity_errors(prediction, target).mean(-1)


def p_mpjpe(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of `p_mpjpe_per_pose` over all poses (protocol 2).

    Args:
        prediction: (..., J, 3) metres.
        target: (..., J, 3) metres, same shape; the frame may differ.

    Returns:
        Scalar, metres; NaN when any pose is degenerate.

    Raises:
        ValueError: The shapes differ or are not (..., J, 3).

    Example:
        >>> target = torch.eye(3, dtype=torch.float64)
        >>> bool(p_mpjpe(3 * target + 1, target) < 1e-12)
        True
    """
    return p_mpjpe_per_pose(prediction, target).mean()


def n_mpjpe_per_pose(prediction: Tensor, target: Tensor) -> Tensor:
    r"""Position error of every pose after the best scale of the prediction (protocol 3).

    The scale is :math:`s = \sum_j \langle p_j, \hat p_j \rangle / \sum_j \lVert \hat p_j \rVert^2` (Rhodin et al.,
    "Unsupervised geometry-aware representation for 3D human pose estimation", ECCV 2018); the scaled prediction is
    scored as in `mpjpe_per_pose`. A prediction that is 0 everywhere stays 0 under every scale, so its error is the one
    that it has: the mean distance of the target from the origin.

    Args:
        prediction: (..., J, 3) metres, relative to the root (the scale acts about the origin).
        target: (..., J, 3) metres, same shape and frame.

    Returns:
        (...) metres.

    Raises:
        ValueError: The shapes differ or are not (..., J, 3).

    Example:
        >>> n_mpjpe_per_pose(torch.eye(3), 2 * torch.eye(3))
        tensor(0.)
    """
    prediction, target = as_poses(prediction, target)
    size = prediction.square().sum((-2, -1), keepdim=True)
    scale = (prediction * target).sum((-2, -1), keepdim=True) / torch.where(size == 0, 1, size)
    return mpjpe_per_pose(scale * prediction, target)


def n_mpjpe(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of `n_mpjpe_per_pose` over all poses (protocol 3).

    Args:
        prediction: (..., J, 3) metres, relative to the root.
        target: (..., J, 3) metres, same shape and frame.

    Returns:
        Scalar, metres.

    Raises:
        ValueError: The shapes differ or are not (..., J, 3).

    Example:
        >>> n_mpjpe(torch.eye(3), 2 * torch.eye(3))
        tensor(0.)
    """
    return n_mpjpe_per_pose(prediction, target).mean()


def velocity_errors(prediction: Tensor, target: Tensor) -> Tensor:
    r"""Error of the joints' velocities between consecutive poses of one sequence.

    :math:`\lVert (\hat p_{t+1,j} - \hat p_{t,j}) - (p_{t+1,j} - p_{t,j}) \rVert`, the velocity being the displacement
    from one frame to the next.

    Args:
        prediction: (N, J, 3) metres, consecutive frames of one sequence.
        target: (N, J, 3) metres, same shape and frame.

    Returns:
        (N - 1, J) metres per frame.

    Raises:
        ValueError: The shapes differ or are not (N, J, 3).

    Example:
        >>> velocity_errors(torch.tensor([[[0.0, 0.0, 0.0]], [[1.0, 0.0, 0.0]]]), torch.zeros(2, 1, 3))
        tensor([[1.]])
    """
    prediction, target = as_poses(prediction, target)
    if prediction.ndim != 3:
        raise ValueError(f"expected one sequence (N, J, 3), found {tuple(prediction.shape)}")
    return joint_errors(prediction.diff(dim=0), target.diff(dim=0))


def mpjve(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean per joint velocity error of one sequence (Pavllo et al., CVPR 2019): the mean of `velocity_errors`.

    Args:
        prediction: (N, J, 3) metres, consecutive frames of one sequence.
        target: (N, J, 3) metres, same shape and frame.

    Returns:
        Scalar, metres per frame; NaN for a sequence of one pose, which has no velocity.

    Raises:
        ValueError: The shapes differ or are not (N, J, 3).

    Example:
        >>> target = torch.zeros(3, 17, 3)
        >>> mpjve(target + 1, target)  # an offset that stays the same is no error of velocity
        tensor(0.)
    """
    return velocity_errors(prediction, target).mean()


def as_poses(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return both as float32 or float64 tensors of one dtype: half precision is raised.

    Args:
        prediction: (..., J, 3).
        target: (..., J, 3), same shape.

    Returns:
        The two.

    Raises:
        ValueError: The shapes differ or are not (..., J, 3).
    """
    if prediction.shape != target.shape or prediction.ndim < 2 or prediction.shape[-1] != 3:
        raise ValueError(
            "expected prediction and target of one shape (..., J, 3), "
            f"found {tuple(prediction.shape)} and {tuple(target.shape)}"
        )
    dtype = torch.promote_types(torch.promote_types(prediction.dtype, target.dtype), torch.float32)
    return prediction.to(dtype), target.to(dtype)
