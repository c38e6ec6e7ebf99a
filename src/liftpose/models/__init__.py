"""Networks: tensors in, tensors out."""

from __future__ import annotations

from liftpose.models.lifter import Lifter
from liftpose.models.linear import LinearLifter, MeanPose
from liftpose.models.rie import RIE
from liftpose.models.videopose import VideoPose

__all__ = ["RIE", "Lifter", "LinearLifter", "MeanPose", "VideoPose"]
