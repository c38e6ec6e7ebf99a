"""Weights by a rule instead of a file, as the reference data were made."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

Fill = Callable[..., nn.Module]


@pytest.fixture(scope="session")
def by_rule() -> Fill:
    """Fill a network with numbers that depend on the names and sizes of its weights only."""

    def fill(network: nn.Module, shift: int, leave: tuple[str, ...] = ()) -> nn.Module:
        weights = {
            name: tensor
            for name, tensor in network.state_dict().items()
            if not name.endswith("num_batches_tracked") and not name.startswith(leave or "-")
        }
        filled = {name: _numbers(name, weights[name], place, shift) for place, name in enumerate(sorted(weights))}
        network.load_state_dict(filled, strict=False)
        return network

    return fill


def _numbers(name: str, like: Tensor, place: int, shift: int) -> Tensor:
    t = np.arange(like.numel(), dtype=np.int64)
    u = (7919 * t + 104729 * place + shift) % 65537
    v = ((u * u) % 65537) / 32768 - 1
    if name.endswith("running_var"):
        v = 1 + 0.1 * np.abs(v)
    elif name.endswith("running_mean"):
        v = 0.05 * v
    elif like.ndim >= 2:
        gain = 2.5 if name.startswith("final_layer") else 2.4 if name.startswith("deconv_layers") else 1.0
        v = v * np.sqrt(3 * like.shape[0] / like.numel()) * gain
    elif name.endswith("weight"):
        v = 1 + 0.2 * v
    else:
        v = 0.1 * v
    return torch.from_numpy(v.reshape(tuple(like.shape)).astype(np.float32))
