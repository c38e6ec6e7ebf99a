"""Losses on poses, and those of networks that are trained against each other.

A loss that is also a metric has its formula in `liftpose.metrics.functional` and only its role here.
"""

from __future__ import annotations

from liftpose.losses.adversarial import (
    CriticLoss,
    lsgan_critic_loss,
    lsgan_generator_loss,
    wgan_critic_loss,
    wgan_generator_loss,
)
from liftpose.losses.cells import cell_loss
from liftpose.losses.coordinates import (
    coordinate_l1_loss,
    coordinate_mse_loss,
    coordinate_smooth_l1_loss,
    over_batch_norm,
)
from liftpose.losses.poseaug import diff_range, feedback_loss, modification_loss
from liftpose.losses.poses import mpjpe_loss, mse_loss

__all__ = [
    "CriticLoss",
    "cell_loss",
    "coordinate_l1_loss",
    "coordinate_mse_loss",
    "coordinate_smooth_l1_loss",
    "diff_range",
    "feedback_loss",
    "lsgan_critic_loss",
    "lsgan_generator_loss",
    "modification_loss",
    "mpjpe_loss",
    "mse_loss",
    "over_batch_norm",
    "wgan_critic_loss",
    "wgan_generator_loss",
]
