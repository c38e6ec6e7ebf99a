"""Weights of lifters, whoever has written the file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.weights.rie import rie_state_dict_from_public
from liftpose.weights.torch_files import read_checkpoint

__all__ = ["CONFIG_ENTRY", "IDENTITY_ENTRY", "LifterWeights", "lifter_weights_of", "read_lifter_weights"]

PREFIX = "lifter."  # the name of the network in a task
CONFIG_ENTRY = "liftpose_config"
"""Name of the entry in which a checkpoint holds the configuration of its run as YAML."""

IDENTITY_ENTRY = "liftpose_lifter"
"""Name of the entry in which a checkpoint says what the shapes of its weights do not tell."""


class LifterWeights(NamedTuple):
    """What a file says about a lifter.

    Args:
        state_dict: Weights under the names that liftpose uses.
        identity: What the shapes do not tell (see :attr:`liftpose.models.Lifter.identity`); empty where the file does
            not say it.
    """

    state_dict: Mapping[str, Tensor]
    identity: Mapping[str, Any]


def read_lifter_weights(path: str | os.PathLike[str]) -> LifterWeights:
    """Read the weights of a lifter from a checkpoint of liftpose or from a file of RIE's authors.

    Args:
        path: The file.

    Returns:
        The weights, and what else the file says about the lifter.

    Raises:
        LiftposeError: The file is missing or broken, or holds no lifter.
    """
    return lifter_weights_of(read_checkpoint(path), str(path))


def lifter_weights_of(content: Mapping[str, Any], where: str) -> LifterWeights:
    """Find the weights of a lifter in the contents of a checkpoint.

    Args:
        content: What :func:`liftpose.weights.read_checkpoint` gives.
        where: What it was read from, for messages.

    Returns:
        The weights, and what else the file says about the lifter.

    Raises:
        LiftposeError: There is no lifter in it.
    """
    if isinstance(content.get("model_pos"), Mapping):
        return LifterWeights(rie_state_dict_from_public(content["model_pos"], where), {})
    weights = {
        name.removeprefix(PREFIX): value
        for name, value in content.get("state_dict", {}).items()
        if name.startswith(PREFIX)
    }
    if not weights:
        raise LiftposeError(
            f"{where}: expected the checkpoint of a lifter, found {', '.join(map(str, content)) or 'nothing'}"
        )
    return LifterWeights(weights, content.get(IDENTITY_ENTRY, {}))
