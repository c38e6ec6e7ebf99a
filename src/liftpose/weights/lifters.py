"""Weights of networks, lifters above all, whoever has written the file."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from liftpose.errors import LiftposeError
from liftpose.formats.atomic import write_atomically
from liftpose.models import Lifter
from liftpose.weights.public_files import published_network
from liftpose.weights.published import published_lifter
from liftpose.weights.torch_files import read_checkpoint

__all__ = [
    "CONFIG_ENTRY",
    "IDENTITY_ENTRY",
    "SOURCE_ENTRY",
    "LifterWeights",
    "as_checkpoint",
    "lifter_weights_of",
    "read_lifter_weights",
    "write_lifter_checkpoint",
    "write_network_checkpoint",
]

PREFIX = "lifter."  # the name of the network in a task
TASK = "liftpose.tasks.LiftingTask"
CONFIG_ENTRY = "liftpose_config"
"""Name of the entry in which a checkpoint holds the configuration of its run as YAML."""

IDENTITY_ENTRY = "liftpose_lifter"
"""Name of the entry in which a checkpoint says what the shapes of its weights do not tell."""

SOURCE_ENTRY = "liftpose_imported"
"""Name of the entry in which a checkpoint says what file of other people's its weights come from."""

_LIGHTNING = "pytorch-lightning_version"  # without it Lightning takes a checkpoint for an ancient one


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
    """Read the weights of a lifter from a checkpoint of liftpose or a file of a paper's public code.

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
    published = published_lifter(content, where)
    if published is not None:
        return LifterWeights(published.state_dict, {})
    saved = content.get("state_dict", {})
    weights = {
        name.removeprefix(PREFIX): value
        for name, value in (saved.items() if isinstance(saved, Mapping) else ())
        if str(name).startswith(PREFIX)
    }
    if not weights:
        raise LiftposeError(
            f"{where}: expected the checkpoint of a lifter, found {', '.join(map(str, content)) or 'nothing'}"
        )
    identity = content.get(IDENTITY_ENTRY, {})
    if not isinstance(identity, Mapping):
        raise LiftposeError(f"{where}: {IDENTITY_ENTRY}: expected a dictionary, found {type(identity).__name__}")
    return LifterWeights(weights, identity)


def as_checkpoint(content: dict[str, Any], where: str, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Import the contents of a public code's file; those of a checkpoint of liftpose stay as they are.

    Args:
        content: What :func:`liftpose.weights.read_checkpoint` gives.
        where: What it was read from, for messages.
        path: The file, beside which there may be another that belongs to it.

    Returns:
        What a checkpoint of liftpose would hold for an evaluation with these weights.

    Raises:
        LiftposeError: It is a public code's file, and its weights are not whole.
    """
    published = published_network(content, where, path)
    if published is None:
        return content
    return {
        "state_dict": {f"{published.argument}.{name}": tensor for name, tensor in published.state_dict.items()},
        _LIGHTNING: version("pytorch-lightning"),
        SOURCE_ENTRY: published.system,
    }


def write_lifter_checkpoint(
    path: str | os.PathLike[str], lifter: Lifter, options: Mapping[str, Any], *, source: str
) -> None:
    """Write a lifter as a checkpoint for evaluation, and to start trainings from.

    It has no state of a training, so that no training can go on with it.

    Args:
        path: The file to write.
        lifter: The network.
        options: Options of its class, by which it can be built again: plain values.
        source: What file its weights come from.

    Raises:
        LiftposeError: The file cannot be written.
    """
    content = {
        **_description(lifter, "lifter", options, source),
        IDENTITY_ENTRY: lifter.identity,
    }
    content["hyper_parameters"]["_class_path"] = TASK
    _write(path, content)


def write_network_checkpoint(
    path: str | os.PathLike[str], network: nn.Module, options: Mapping[str, Any], *, source: str
) -> None:
    """Write a network that is no lifter as a checkpoint for evaluation, and to start trainings from.

    It has no state of a training, so that no training can go on with it.

    Args:
        path: The file to write.
        network: The network, of a class in ``liftpose.models``.
        options: Options of its class, by which it can be built again: plain values.
        source: What file its weights come from.

    Raises:
        LiftposeError: The file cannot be written.
    """
    _write(path, _description(network, "network", options, source))


def _description(network: nn.Module, argument: str, options: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return what every checkpoint without a training holds."""
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
    class_path = f"liftpose.models.{type(network).__name__}"
    return {
        "state_dict": {f"{argument}.{name}": tensor for name, tensor in network.state_dict().items()},
        "hyper_parameters": {argument: {"class_path": class_path, "init_args": plain}},
        SOURCE_ENTRY: source,
        _LIGHTNING: version("pytorch-lightning"),
    }


def _write(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with write_atomically(path) as beside, beside.open("wb") as file:
        file.write(buffer.getbuffer())
