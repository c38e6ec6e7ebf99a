"""Networks: tensors in, tensors out."""

from __future__ import annotations

from liftpose.models.lifter import Lifter
from liftpose.models.linear import LinearLifter, MeanPose
from liftpose.models.pose_resnet import HeatmapPose, IntegralPose
from liftpose.models.poseformer import PoseFormer
from liftpose.models.refiner import Refiner
from liftpose.models.resnet import ResNet
from liftpose.models.rie import RIE
from liftpose.models.semgcn import SemGCN
from liftpose.models.simple_baseline import SimpleBaseline
from liftpose.models.stgcn import STGCN
from liftpose.models.videopose import VideoPose

__all__ = [
    "RIE",
    "STGCN",
    "HeatmapPose",
    "IntegralPose",
    "Lifter",
    "LinearLifter",
    "MeanPose",
    "PoseFormer",
    "Refiner",
    "ResNet",
    "SemGCN",
    "SimpleBaseline",
    "VideoPose",
]
