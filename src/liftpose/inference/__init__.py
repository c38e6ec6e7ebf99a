"""Somebody's keypoints in, 3D poses out.

Poses out of nothing are made by :mod:`liftpose.inference.generation`, which is imported by itself: what it needs of the
trainer takes longer to import than a picture takes to draw.
"""

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
