"""Pose metrics as pure functions of torch tensors.

All take a prediction and a target of shape (..., J, 3) in one frame and unit (metres in this package). Nothing is
subtracted or aligned unless the function says so: give both relative to the root joint, as the papers do. Every metric
has a form per pose, shape (...), and a mean over all poses.

Not finite input gives NaN (or infinity) in its pose and in every mean over it: nothing is left out silently.
"""

from __future__ import annotations

from liftpose.metrics.functional.positions import (
    joint_errors,
    mpjpe,
    mpjpe_per_pose,
    mpjve,
    n_mpjpe,
    n_mpjpe_per_pose,
    p_mpjpe,
    p_mpjpe_per_pose,
    velocity_errors,
)
from liftpose.metrics.functional.thresholds import (
    AUC_THRESHOLDS,
    PCK_THRESHOLD,
    auc,
    auc_of_errors,
    auc_per_pose,
    pck,
    pck_of_errors,
    pck_per_pose,
)

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
