"""Weights of published and own models: reading, writing, converting."""

from __future__ import annotations

from liftpose.weights.dh_aug_gan import load_dh_aug_critic, load_dh_aug_generator, load_poseaug_generator
from liftpose.weights.lifters import (
    CONFIG_ENTRY,
    IDENTITY_ENTRY,
    SOURCE_ENTRY,
    LifterWeights,
    as_checkpoint,
    read_lifter_weights,
    write_lifter_checkpoint,
)
from liftpose.weights.published import load_dh_aug, load_videopose, published_lifter, read_published
from liftpose.weights.published_lifter import PublishedLifter
from liftpose.weights.rie import load_rie
from liftpose.weights.torch_files import read_checkpoint

__all__ = [
    "CONFIG_ENTRY",
    "IDENTITY_ENTRY",
    "SOURCE_ENTRY",
    "LifterWeights",
    "PublishedLifter",
    "as_checkpoint",
    "load_dh_aug",
    "load_dh_aug_critic",
    "load_dh_aug_generator",
    "load_poseaug_generator",
    "load_rie",
    "load_videopose",
    "published_lifter",
    "read_checkpoint",
    "read_lifter_weights",
    "read_published",
    "write_lifter_checkpoint",
]
