"""Weights of lifters, whoever has written the file."""

from __future__ import annotations

import os
from collections.abc import Mapping

from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.weights.rie import rie_state_dict_from_public
from liftpose.weights.torch_files import read_checkpoint

__all__ = ["read_lifter_weights"]

PREFIX = "lifter."  # the name of the network in a task


def read_lifter_weights(path: str | os.PathLike[str]) -> Mapping[str, Tensor]:
    """Read the weights of a lifter from a checkpoint of liftpose or from a file of RIE's authors.

    Args:
        path: The file.

    Returns:
        Weights under the names that liftpose uses.

    Raises:
        LiftposeError: The file is missing or broken, or holds no lifter.
    """
    content = read_checkpoint(path)
    if isinstance(content.get("model_pos"), Mapping):
        return rie_state_dict_from_public(content["model_pos"], str(path))
    weights = {
        name.removeprefix(PREFIX): value
        for name, value in content.get("state_dict", {}).items()
        if name.startswith(PREFIX)
    }
    if not weights:
        raise LiftposeError(
            f"{path}: expected the checkpoint of a lifter, found {', '.join(map(str, content)) or 'nothing'}"
        )
    return weights
