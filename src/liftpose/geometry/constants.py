"""Tables of constants that stay on the device where they are used, and slices that need none."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import torch
from torch import Tensor

__all__ = ["Table", "device_table", "take_slices"]

Table = tuple[float | tuple[float, ...], ...]
"""Numbers, or rows of numbers."""


def device_table(values: Table, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return a table as a tensor, the same one at every call: only the first one copies it to the device.

    A tensor that is made from Python numbers in every step makes the host wait for a GPU. The result must not be
    changed in place.

    Args:
        values: The numbers.
        dtype: Type of the result.
        device: Device of the result.

    Returns:
        (rows,) or (rows, columns).
    """
    if torch.compiler.is_compiling():  # what stands for the table in there must not be kept
        return torch.tensor(values, dtype=dtype, device=device)
    return _kept_table(values, dtype, device)


@functools.lru_cache(maxsize=256)
def _kept_table(values: Table, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # a tensor of inference mode could never be part of a backward pass
        return torch.tensor(values, dtype=dtype, device=device)


def take_slices(tensor: Tensor, places: Iterable[int], dim: int) -> Tensor:
    """Return some slices of a tensor; unlike indexing with a list, without copying that list to the device.

    Args:
        tensor: Any shape.
        places: Which slices, in the order of the result.
        dim: The dimension that they are slices of.

    Returns:
        The shape of ``tensor``, with as many slices as ``places``.

    Example:
        >>> take_slices(torch.arange(10.0), (7, 0, 7), 0)
        tensor([7., 0., 7.])
    """
    parts = tensor.unbind(dim)
    return torch.stack([parts[place] for place in places], dim=dim)
