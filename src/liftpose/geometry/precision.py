"""The numerical rule of this package: geometry runs in float32 or float64, whatever the network around it uses."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

__all__ = ["full_precision"]

P = ParamSpec("P")
T = TypeVar("T")


def _raised(value: Any) -> Any:
    """Return a 16-bit floating-point tensor as float32 and anything else as it is."""
    if isinstance(value, Tensor) and value.is_floating_point() and value.dtype.itemsize < 4:
        return value.float()
    return value


def full_precision(function: Callable[P, T]) -> Callable[P, T]:
    """Make a function of tensors run with autocast switched off and its 16-bit arguments raised to float32.

    A coordinate of 1000 pixels has a resolution of 4 pixels in bfloat16, so a projection that a network's mixed
    precision reaches into is wrong without any sign of it. Functions that need products of small matrices should also
    use sums of element-wise products (:func:`liftpose.geometry.rotations.matrix_product`): TF32 is not a matter of
    autocast, and a matrix product of float32 tensors is allowed to use it.

    Args:
        function: Any function or method; only its direct arguments that are tensors matter.

    Returns:
        A function with the same signature.
    """

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
        device = tensors[0].device.type if tensors else "cpu"
        raised_args = [_raised(value) for value in args]
        raised_kwargs = {name: _raised(value) for name, value in kwargs.items()}
        if not torch.amp.is_autocast_available(device):  # for example the meta device
            return function(*raised_args, **raised_kwargs)
        with torch.autocast(device, enabled=False):
            return function(*raised_args, **raised_kwargs)

    return wrapper
