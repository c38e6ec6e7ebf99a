"""The order in which an epoch visits the training windows."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["epoch_order"]

# Random states after some epochs, to go on from instead of starting anew: what is returned depends on the arguments
# only.
_STATES: dict[tuple[int, int], tuple[int, np.random.RandomState]] = {}
_MAX_STATES = 8


def epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    """Return the order in which an epoch visits the windows.

    The published order (VideoPose3D, RIE): one ``numpy.random.RandomState(seed)`` gives a permutation per epoch and
    runs on from epoch to epoch. Here it is a function of the epoch, so that a resumed run needs no state.

    Args:
        count: Number of windows.
        seed: Seed of the run.
        epoch: Number of the epoch, from 0.

    Returns:
        (count,) int64, a permutation.

    Raises:
        ValueError: A negative epoch.
    """
    if epoch < 0:
        raise ValueError(f"expected an epoch from 0 up, found {epoch}")
    done, state = _STATES.pop((count, seed), (0, np.random.RandomState(seed)))
    if done > epoch:
        done, state = 0, np.random.RandomState(seed)
    for _ in range(epoch - done):
        state.permutation(count)
    order = state.permutation(count)
    while len(_STATES) >= _MAX_STATES:
        _STATES.pop(next(iter(_STATES)))
    _STATES[count, seed] = epoch + 1, state
    return torch.from_numpy(order.astype(np.int64, copy=False))
