"""Somebody's keypoints in, 3D poses out."""

from __future__ import annotations

from liftpose.inference.lifting import LoadedLifter, load_lifter, predict_poses
from liftpose.inference.sources import Take, find_take, find_take_of_predictions, recording_of_predictions

__all__ = [
    "LoadedLifter",
    "Take",
    "find_take",
    "find_take_of_predictions",
    "load_lifter",
    "predict_poses",
    "recording_of_predictions",
]
