"""Augmentations: ways of making training poses for any lifter."""

from liftpose.tasks.augmenters.base import Augmenter, FakePoses, RealPoses, Step, in_sight

__all__ = ["Augmenter", "FakePoses", "RealPoses", "Step", "in_sight"]
