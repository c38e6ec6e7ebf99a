"""What PoseAug asks of its generator besides deceiving the critics: poses that are changed, but not too much.

Source: K. Gong, J. Zhang, J. Feng, "PoseAug: A Differentiable Pose Augmentation Framework for 3D Human Pose
Estimation", CVPR 2021, and its public code.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from liftpose.geometry.constants import device_table
from liftpose.geometry.precision import full_precision

__all__ = ["diff_range", "feedback_loss", "modification_loss"]

_ANGLE_CENTRE: Final = 0.205
_ANGLE_WIDTH: Final = 0.165
_LENGTH_WIDTH: Final = 0.1

_JOINT_WEIGHTS: Final = (1, 5, 2, 1, 5, 2, 1, 1, 1, 1, 5, 2, 1, 5, 2, 1)
_JOINT_GROUPS: Final = ((1, 4, 10, 13), (2, 5, 9, 11, 14), (3, 6, 12, 15))
# Each joint's part in the mean of each group.
_GROUP_SHARES: Final = tuple(
    tuple(weight / len(group) * (joint in group) for joint, weight in enumerate(_JOINT_WEIGHTS))
    for group in _JOINT_GROUPS
)
_LEAST_ERROR: Final = 1e-8  # metres

# How many times as hard for the lifter as the pose they were made from: at the start of the training, at its end, the
# width of what is accepted, and the weight. First the poses with other angles, then those seen from elsewhere.
_ANGLES_HARDER: Final = (3.0, 5.0, 2.0, 0.1)
_MOVED_HARDER: Final = (17.0, 17.0, 15.0, 0.01)


@full_precision
def diff_range(values: Tensor, centre: float, width: float) -> Tensor:
    """Mean square of the distances from a centre, those within a range around it counting as 0.

    Args:
        values: (...) numbers.
        centre: Middle of the range.
        width: Half of its length.

    Returns:
        () the mean over all values.

    Example:
        >>> diff_range(torch.tensor([1.0, 2.0, 4.0]), centre=1.0, width=2.0)
        tensor(3.)
    """
    square = (values - centre).square()
    return torch.where(square > width**2, square, 0.0).mean()


def modification_loss(angle_change: Tensor, length_ratios: Tensor) -> Tensor:
    """Keep the changes of a pose within what people's poses differ by.

    Args:
        angle_change: (B, 15) one less the cosine of the angle between the old and the new direction of each bone.
        length_ratios: (B, 9) relative changes of the bones' lengths.

    Returns:
        () the loss.
    """
    angles = diff_range(angle_change.mean(-1), _ANGLE_CENTRE, _ANGLE_WIDTH)
    return angles + diff_range(length_ratios, 0.0, _LENGTH_WIDTH)


@full_precision
def feedback_loss(original: Tensor, angled: Tensor, moved: Tensor, progress: float) -> Tensor:
    """Make poses that are harder for the lifter than those they were made from, to a certain degree.

    The lifter's joint errors are averaged in three groups of joints, from the trunk to the hands and feet, and compared
    with those on the original pose. The errors' ratio is to lie in a range which moves up during the training.

    Args:
        original: (B, 16) metres, the lifter's error of every joint of the original poses.
        angled: (B, 16) metres, its errors on the poses whose bones were turned.
        moved: (B, 16) metres, its errors on the poses that were turned and moved as a whole as well.
        progress: Share of the training that is over, in [0, 1].

    Returns:
        () the loss.

    Raises:
        ValueError: A shape is not (B, 16).
    """
    easier = _grouped(original).clamp_min(_LEAST_ERROR)
    loss = original.new_zeros(())
    for errors, (start, end, width, weight) in ((angled, _ANGLES_HARDER), (moved, _MOVED_HARDER)):
        ratio = _grouped(errors) / easier
        loss = loss + weight * diff_range(ratio, start + (end - start) * progress, width)
    return loss


def _grouped(errors: Tensor) -> Tensor:
    """Average the weighted errors (B, 16) of groups of joints: (B, 3)."""
    if errors.ndim != 2 or errors.shape[1] != len(_JOINT_WEIGHTS):
        raise ValueError(f"expected errors of the shape (B, {len(_JOINT_WEIGHTS)}), found {tuple(errors.shape)}")
    shares = device_table(_GROUP_SHARES, errors.dtype, errors.device)
    return (errors.unsqueeze(1) * shares).sum(-1)
