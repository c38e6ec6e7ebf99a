"""LightningModules: the training recipes, one per system."""

from __future__ import annotations

from liftpose.tasks.augmented import AugmentedLiftingTask
from liftpose.tasks.augmenters import Augmenter, BoneTemplates, DHAug, PoseAug, RandomPoses
from liftpose.tasks.base import BaseTask
from liftpose.tasks.image import ImageTask
from liftpose.tasks.integral import IntegralKeypointsTask, IntegralPoseTask
from liftpose.tasks.lifting import LiftingTask
from liftpose.tasks.refinement import RefinementTask
from liftpose.tasks.regression import RegressionTask

__all__ = [
    "AugmentedLiftingTask",
    "Augmenter",
    "BaseTask",
    "BoneTemplates",
    "DHAug",
    "ImageTask",
    "IntegralKeypointsTask",
    "IntegralPoseTask",
    "LiftingTask",
    "PoseAug",
    "RandomPoses",
    "RefinementTask",
    "RegressionTask",
]
