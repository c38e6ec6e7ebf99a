"""Pose metrics as pure functions of torch tensors.

All take a prediction and a target of shape (..., J, 3) in one frame and unit (metres in this package). Nothing is
subtracted or aligned unless the function says so: give both relative to the root joint, as the papers do. Every metric
has a form per pose, shape (...), and a mean over all poses.

Not finite input gives NaN (or infinity) in its pose and in every mean over it: nothing is left out silently.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from liftpose.geometry.alignment import similarity_errors

__all__ = [
    "AUC_THRESHOLDS",
    "PCK_THRESHOLD",
    "auc",
    "auc_of_errors",
    "auc_per_pose",
    "joint_errors",
    "mpjpe",
    "mpjpe_per_pose",
    "mpjve",
    "n_mpjpe",
    "n_mpjpe_per_pose",
    "p_mpjpe",
    "p_mpjpe_per_pose",
    "pck",
    "pck_of_errors",
    "pck_per_pose",
    "velocity_errors",
]

PCK_THRESHOLD = 0.15
"""Threshold of the 3D PCK in metres (Mehta et al., "Monocular 3D human pose estimation in the wild using improved CNN
supervision", 3DV 2017)."""

AUC_THRESHOLDS = tuple(5 * step / 1000 for step in range(31))
"""Thresholds of the AUC in metres: 0, 5, ..., 150 mm, as in the evaluation code of MPI-INF-3DHP."""


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
    prediction, target = _checked(prediction, target)
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
    prediction, target = _checked(prediction, target)
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
    prediction, target = _checked(prediction, target)
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
    prediction, target = _checked(prediction, target)
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


def pck_of_errors(errors: Tensor, threshold: float = PCK_THRESHOLD) -> Tensor:
    """Share of the joints of each pose with an error strictly below the threshold.

    Args:
        errors: (..., J) metres, as from `joint_errors`.
        threshold: Metres.

    Returns:
        (...) per cent; NaN where an error of the pose is NaN.

    Example:
        >>> pck_of_errors(torch.tensor([0.05, 0.10, 0.15, 0.20]))
        tensor(50.)
    """
    return _keep_nan(100 * (errors < threshold).to(errors.dtype).mean(-1), errors)


def pck_per_pose(prediction: Tensor, target: Tensor, threshold: float = PCK_THRESHOLD) -> Tensor:
    """Percentage of correct keypoints of every pose, in 3D: joints that are closer than the threshold.

    All joints that are given count. The root of a root-relative pose is always correct; leave it out by indexing
    (``prediction[..., 1:, :]``) for the stricter number. The evaluation code of MPI-INF-3DHP uses 14 joints: head top,
    neck, shoulders, elbows, wrists, hips, knees and ankles.

    Args:
        prediction: (..., J, 3) metres.
        target: (..., J, 3) metres, same shape and frame.
        threshold: Metres; an error equal to it is a miss.

    Returns:
        (...) per cent.

    Raises:
        ValueError: The shapes differ or are not (..., J, 3).

    Example:
        >>> pck_per_pose(torch.tensor([[0.1, 0.0, 0.0], [0.2, 0.0, 0.0]]), torch.zeros(2, 3))
        tensor(50.)
    """
    return pck_of_errors(joint_errors(prediction, target), threshold)


def pck(prediction: Tensor, target: Tensor, threshold: float = PCK_THRESHOLD) -> Tensor:
    """Mean of `pck_per_pose` over all poses.

    Args:
        prediction: (..., J, 3) metres.
        target: (..., J, 3) metres, same shape and frame.
        threshold: Metres; an error equal to it is a miss.

    Returns:
        Scalar, per cent.

    Raises:
        ValueError: The shapes differ or are not (..., J, 3).

    Example:
        >>> pck(torch.zeros(4, 17, 3), torch.zeros(4, 17, 3))
        tensor(100.)
    """
    return pck_per_pose(prediction, target, threshold).mean()


def auc_of_errors(errors: Tensor, thresholds: Sequence[float] = AUC_THRESHOLDS) -> Tensor:
    """Mean of `pck_of_errors` over several thresholds, in one pass.

    Args:
        errors: (..., J) metres, as from `joint_errors`.
        thresholds: Metres, ascending.

    Returns:
        (...) per cent; NaN where an error of the pose is NaN.

    Example:
        >>> round(float(auc_of_errors(torch.zeros(17))), 2)
        96.77
    """
    edges = torch.tensor(thresholds, dtype=errors.dtype, device=errors.device)
    missed = torch.bucketize(errors.detach(), edges, right=True)  # thresholds that are not above the error
    return _keep_nan(100 * (1 - missed.to(errors.dtype) / len(edges)).mean(-1), errors)


def auc_per_pose(prediction: Tensor, target: Tensor, thresholds: Sequence[float] = AUC_THRESHOLDS) -> Tensor:
    """Area under the curve of the 3D PCK over its threshold, for every pose: the mean of the PCK over the thresholds.

    As in the evaluation code of MPI-INF-3DHP the default thresholds begin with 0, which nothing can undercut: a perfect
    prediction has an AUC of 30/31 = 96.77 %. Pass ``AUC_THRESHOLDS[1:]`` for a scale that ends at 100 %. For the choice
    of joints see `pck_per_pose`.

    Args:
        prediction: (..., J, 3) metres.
        target: (..., J, 3) metres, same shape and frame.
        thresholds: Metres, ascending.

    Returns:
        (...) per cent.

    Raises:
        ValueError: The shapes differ or are not (..., J, 3).

    Example:
        >>> auc_per_pose(torch.zeros(17, 3), torch.zeros(17, 3), AUC_THRESHOLDS[1:])
        tensor(100.)
    """
    return auc_of_errors(joint_errors(prediction, target), thresholds)


def auc(prediction: Tensor, target: Tensor, thresholds: Sequence[float] = AUC_THRESHOLDS) -> Tensor:
    """Mean of `auc_per_pose` over all poses.

    Args:
        prediction: (..., J, 3) metres.
        target: (..., J, 3) metres, same shape and frame.
        thresholds: Metres, ascending.

    Returns:
        Scalar, per cent.

    Raises:
        ValueError: The shapes differ or are not (..., J, 3).

    Example:
        >>> round(float(auc(torch.zeros(2, 17, 3), torch.zeros(2, 17, 3))), 2)
        96.77
    """
    return auc_per_pose(prediction, target, thresholds).mean()


def _keep_nan(values: Tensor, errors: Tensor) -> Tensor:
    """Replace the values of poses with a NaN among their errors by NaN: a comparison would hide it."""
    return values.masked_fill(errors.isnan().any(-1), torch.nan)


def _checked(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both as float32 or float64 tensors of one shape (..., J, 3)."""
    if prediction.shape != target.shape or prediction.ndim < 2 or prediction.shape[-1] != 3:
        raise ValueError(
            "expected prediction and target of one shape (..., J, 3), "
            f"found {tuple(prediction.shape)} and {tuple(target.shape)}"
        )
    dtype = torch.promote_types(torch.promote_types(prediction.dtype, target.dtype), torch.float32)
    return prediction.to(dtype), target.to(dtype)
