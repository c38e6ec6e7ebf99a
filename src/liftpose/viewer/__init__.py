"""Pictures of poses and of training, made without a display."""

from __future__ import annotations

from liftpose.viewer.canvas import figure_to_array, save_figure
from liftpose.viewer.curves import curves_from_csv, draw_curves
from liftpose.viewer.poses import draw_pose, draw_sequence

__all__ = ["curves_from_csv", "draw_curves", "draw_pose", "draw_sequence", "figure_to_array", "save_figure"]
