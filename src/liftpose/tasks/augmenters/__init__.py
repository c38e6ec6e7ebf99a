"""Augmentations: ways of making training poses for any lifter."""

from liftpose.tasks.augmenters.base import Augmenter, FakePoses, RealPoses, Step, in_sight
from liftpose.tasks.augmenters.dh_aug import DHAug
from liftpose.tasks.augmenters.poseaug import PoseAug
from liftpose.tasks.augmenters.random_poses import RandomPoses
from liftpose.tasks.augmenters.templates import BoneTemplates

__all__ = [
    "Augmenter",
    "BoneTemplates",
    "DHAug",
    "FakePoses",
    "PoseAug",
    "RandomPoses",
    "RealPoses",
    "Step",
    "in_sight",
]
