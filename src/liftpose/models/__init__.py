"""Networks: tensors in, tensors out."""

from __future__ import annotations

from liftpose.models.lifter import Lifter
from liftpose.models.linear import LinearLifter, MeanPose
from liftpose.models.poseformer import PoseFormer
from liftpose.models.rie import RIE
from liftpose.models.semgcn import SemGCN
from liftpose.models.simple_baseline import SimpleBaseline
from liftpose.models.stgcn import STGCN
from liftpose.models.videopose import VideoPose

__all__ = [
    "RIE",
    "STGCN",
    "Lifter",
    "LinearLifter",
    "MeanPose",
    "PoseFormer",
    "SemGCN",
    "SimpleBaseline",
    "VideoPose",
]
