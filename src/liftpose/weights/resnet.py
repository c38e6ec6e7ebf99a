"""Residual trunks in files of torchvision and of pose networks: how deep they are, and taking their weights over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from os import PathLike
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from liftpose.errors import LiftposeError
from liftpose.models.resnet import DEPTHS, ResNet
from liftpose.weights.torch_files import public_weights, read_checkpoint

__all__ = ["TakenOver", "load_resnet", "plain_weights", "take_over", "trunk_layers"]

_BOTTLENECK = 50
_SHOWN = 3


class TakenOver(NamedTuple):
    """What became of two sets of weights that were laid over each other by name.

    Attributes:
        matched: Names of the network's weights that were taken from the file.
        missing: Those that the file does not have; they stay as they are.
        mismatched: Those that have another shape in the file; they stay as they are.
        left_out: Names of weights in the file that the network does not have.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    mismatched: tuple[str, ...]
    left_out: tuple[str, ...]

    def __str__(self) -> str:
        """Say it in one line."""
        parts = [f"{len(self.matched)} tensors taken over"]
        for what, names in (
            ("not in the file", self.missing),
            ("of another shape", self.mismatched),
            ("left out", self.left_out),
        ):
            if names:
                more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
                parts.append(f"{len(names)} {what} ({', '.join(names[:_SHOWN])}{more})")
        return ", ".join(parts)


def plain_weights(content: Mapping[str, Any], where: str) -> dict[str, Tensor]:
    """Return the weights in a file of other people: a bare state dict, or one in an entry ``state_dict``.

    Args:
        content: What :func:`liftpose.weights.read_checkpoint` gives.
        where: What it was read from, for messages.

    Returns:
        The weights under their names without ``DataParallel``'s prefix; empty where there are none. Counters of batch
        normalisation, which torch before 0.4.1 did not write, are completed.

    Raises:
        LiftposeError: A weight is not of finite numbers.
    """
    saved = content.get("state_dict", content)
    if not isinstance(saved, Mapping) or not saved or not all(isinstance(value, Tensor) for value in saved.values()):
        return {}
    weights = public_weights(saved, where)
    for name in [name for name in weights if name.endswith(".running_mean")]:
        weights.setdefault(name.replace("running_mean", "num_batches_tracked"), torch.tensor(0))
    return weights


def trunk_layers(weights: Mapping[str, Any], where: str) -> int:
    """Return the number of layers of the residual trunk that weights belong to, as their names tell it.

    Args:
        weights: The weights under torchvision's names.
        where: What they were read from, for messages.

    Returns:
        18, 34, 50, 101 or 152.

    Raises:
        LiftposeError: They are those of no such network.
    """
    stages = tuple(
        next(block for block in count() if f"layer{stage}.{block}.conv1.weight" not in weights) for stage in range(1, 5)
    )
    bottleneck = "layer1.0.conv3.weight" in weights
    for layers, blocks in DEPTHS.items():
        if blocks == stages and (layers >= _BOTTLENECK) == bottleneck:
            return layers
    kind = "bottlenecks" if bottleneck else "blocks"
    raise LiftposeError(
        f"{where}: expected the weights of a ResNet of {', '.join(map(str, DEPTHS))} layers, found "
        f"{', '.join(map(str, stages))} {kind} in its four stages"
    )


def take_over(network: nn.Module, weights: Mapping[str, Tensor], left_out: Sequence[str] = ()) -> TakenOver:
    """Give a network all weights that fit it by name and shape; the others stay as they are.

    Args:
        network: The network, which is changed.
        weights: The weights.
        left_out: Names of further weights that were in the file.

    Returns:
        What became of every weight.
    """
    own = network.state_dict()
    fitting = {name: tensor for name, tensor in weights.items() if name in own and own[name].shape == tensor.shape}
    network.load_state_dict(fitting, strict=False)
    return TakenOver(
        tuple(name for name in own if name in fitting),
        tuple(name for name in own if name not in weights),
        tuple(name for name in own if name in weights and name not in fitting),
        (*left_out, *(name for name in weights if name not in own)),
    )


def load_resnet(path: str | PathLike[str]) -> ResNet:
    """Build a residual network with weights in torchvision's names, such as those trained on ImageNet.

    Args:
        path: The file: a state dict of torchvision, or a pose network's. What is not of the trunk is left out.

    Returns:
        The network in evaluation mode, float32, on the CPU.

    Raises:
        LiftposeError: The file cannot be read, or does not hold the whole trunk of such a network.
    """
    where = str(path)
    weights = plain_weights(read_checkpoint(path), where)
    network = ResNet(trunk_layers(weights, where))  # type: ignore[arg-type]  # one of the depths
    found = take_over(network, weights)
    if found.missing or found.mismatched:
        raise LiftposeError(f"{where}: expected the whole trunk of a ResNet-{network.layers}, found {found}")
    return network.eval()
