"""Tables of constants that stay on the device where they are used."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

__all__ = ["Table", "device_table"]

Table = tuple[float | tuple[float, ...], ...]
"""Numbers, or rows of numbers."""


@functools.lru_cache(maxsize=256)
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
    with torch.inference_mode(False):  # a tensor of inference mode could never be part of a backward pass
        return torch.tensor(values, dtype=dtype, device=device)
