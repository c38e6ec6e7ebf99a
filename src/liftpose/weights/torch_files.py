"""The one place where files written by ``torch.save`` are read."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch.serialization import safe_globals

from liftpose.errors import LiftposeError

__all__ = ["Inert", "read_checkpoint"]

# What pickles of a numpy.random.RandomState refer to. numpy 2 moved `core` to `_core`, and before 1.17 the constructor
# was `numpy.random.__RandomState_ctor`.
_RANDOM_STATE_NAMES = (
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.dtype",
    "numpy.dtypes.UInt32DType",
    "numpy.ndarray",
    "numpy.random.RandomState",
    "numpy.random.__RandomState_ctor",
    "numpy.random._mt19937.MT19937",
    "numpy.random._pickle.__bit_generator_ctor",
    "numpy.random._pickle.__randomstate_ctor",
)


class Inert:
    """Stands where a file holds the state of a numpy random generator, and forgets it."""

    def __init__(self, *_: Any) -> None:
        """Accept whatever the pickled object was made from."""

    def __setstate__(self, state: Any) -> None:
        """Forget the pickled object's state."""


def read_checkpoint(path: str | PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint without running anything that the file may contain.

    Tensors, plain Python values and containers of them are read. The numpy random generator that published checkpoints
    carry is replaced by an :class:`Inert` object; everything else is refused.

    Args:
        path: A file written by ``torch.save``.

    Returns:
        The dictionary in the file, tensors on the CPU.

    Raises:
        LiftposeError: There is no such file, it is damaged, it is no checkpoint, or it refers to code.
    """
    stand_ins: list[Any] = [(Inert, name) for name in _RANDOM_STATE_NAMES]
    try:
        file = Path(path).open("rb")
    except OSError as error:
        raise LiftposeError(f"{path}: expected a checkpoint, found {(error.strerror or str(error)).lower()}") from error
    with file, safe_globals(stand_ins), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch comments on the pickle protocol; the file is read or refused below
        try:
            checkpoint = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file can make the unpickler raise anything
            raise LiftposeError(f"{path}: expected a checkpoint, found {_reason(error)}") from error
    if not isinstance(checkpoint, dict):
        raise LiftposeError(f"{path}: expected a checkpoint (a dictionary), found a {type(checkpoint).__name__}")
    for tensor in _tensors(checkpoint):
        held = 0 if tensor.is_meta else tensor.untyped_storage().nbytes() if tensor.layout == torch.strided else None
        if held is not None and tensor.numel() * tensor.itemsize > held:
            # A few bytes that repeat without end would fill the memory as soon as they are copied.
            raise LiftposeError(
                f"{path}: expected a checkpoint, found a tensor {tuple(tensor.shape)} with {held} bytes of data"
            )
    return checkpoint


def _tensors(content: Any) -> Iterator[torch.Tensor]:
    """Yield all tensors in dictionaries and lists within each other."""
    left, seen = [content], set()
    while left:
        value = left.pop()
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:  # a file may hold a circle
            seen.add(id(value))
            left.extend(value.values() if isinstance(value, Mapping) else value)


def _reason(error: Exception) -> str:
    """Say in a few words why torch did not read a file; its own messages are advice to programmers."""
    name = re.search(r"(?:GLOBAL|global|class|function) ([A-Za-z_][\w.]*\.\w+)", str(error))
    if name and "nsupported" in str(error):
        return f"a reference to {name[1]}, which is not allowed in one"
    return "a damaged file or one of another kind"
