"""Weights of published and own models: reading, writing, converting."""

from __future__ import annotations

from liftpose.weights.dh_aug_gan import load_dh_aug_critic, load_dh_aug_generator, load_poseaug_generator
from liftpose.weights.integral import HeadStart, Start, integral_network, load_integral, start_integral
from liftpose.weights.lifters import (
    CONFIG_ENTRY,
    IDENTITY_ENTRY,
    SOURCE_ENTRY,
    LifterWeights,
    as_checkpoint,
    read_lifter_weights,
    write_lifter_checkpoint,
    write_network_checkpoint,
)
from liftpose.weights.public_files import published_network
from liftpose.weights.published import load_dh_aug, load_videopose, published_lifter, read_published
from liftpose.weights.published_lifter import PublishedLifter
from liftpose.weights.published_network import PublishedNetwork
from liftpose.weights.refiner import load_refiner, read_refiner_statistics
from liftpose.weights.resnet import TakenOver, load_resnet
from liftpose.weights.rie import load_rie
from liftpose.weights.torch_files import read_checkpoint

__all__ = [
    "CONFIG_ENTRY",
    "IDENTITY_ENTRY",
    "SOURCE_ENTRY",
    "HeadStart",
    "LifterWeights",
    "PublishedLifter",
    "PublishedNetwork",
    "Start",
    "TakenOver",
    "as_checkpoint",
    "integral_network",
    "load_dh_aug",
    "load_dh_aug_critic",
    "load_dh_aug_generator",
    "load_integral",
    "load_poseaug_generator",
    "load_refiner",
    "load_resnet",
    "load_rie",
    "load_videopose",
    "published_lifter",
    "published_network",
    "read_checkpoint",
    "read_lifter_weights",
    "read_published",
    "read_refiner_statistics",
    "start_integral",
    "write_lifter_checkpoint",
    "write_network_checkpoint",
]
