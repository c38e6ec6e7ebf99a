"""Weights of published and own models: reading, writing, converting."""

from __future__ import annotations

from liftpose.weights.lifters import CONFIG_ENTRY, IDENTITY_ENTRY, LifterWeights, read_lifter_weights
from liftpose.weights.rie import load_rie
from liftpose.weights.torch_files import read_checkpoint

__all__ = ["CONFIG_ENTRY", "IDENTITY_ENTRY", "LifterWeights", "load_rie", "read_checkpoint", "read_lifter_weights"]
