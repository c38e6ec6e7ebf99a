"""Pictures, films and pages of poses, and pictures of training, made without a display."""

from __future__ import annotations

from liftpose.viewer.canvas import figure_to_array, save_figure
from liftpose.viewer.curves import curves_from_csv, draw_curves
from liftpose.viewer.film import Film
from liftpose.viewer.histograms import draw_joint_angle_histograms
from liftpose.viewer.keypoints import draw_keypoints
from liftpose.viewer.page import write_page
from liftpose.viewer.poses import draw_pose, draw_sequence
from liftpose.viewer.scene import Scene, build_scene

__all__ = [
    "Film",
    "Scene",
    "build_scene",
    "curves_from_csv",
    "draw_curves",
    "draw_joint_angle_histograms",
    "draw_keypoints",
    "draw_pose",
    "draw_sequence",
    "figure_to_array",
    "save_figure",
    "write_page",
]
