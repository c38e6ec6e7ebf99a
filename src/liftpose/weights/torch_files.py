"""The one place where files written by ``torch.save`` are read."""

from __future__ import annotations

import os
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import IO, Any

import torch
from torch.serialization import safe_globals

from liftpose.errors import LiftposeError

__all__ = ["PREFIX", "Inert", "public_weights", "read_checkpoint"]

PREFIX = "module."
"""What torch.nn.DataParallel, in which the published scripts train, puts before the names of weights."""

# What pickles of a numpy.random.RandomState and of a number refer to. numpy 2 moved `core` to `_core`, and before 1.17
# the constructor was `numpy.random.__RandomState_ctor`.
_NUMPY_NAMES = (
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "numpy.dtypes.Float32DType",
    "numpy.dtypes.Float64DType",
    "numpy.dtypes.UInt32DType",
    "numpy.ndarray",
    "numpy.random.RandomState",
    "numpy.random.__RandomState_ctor",
    "numpy.random._mt19937.MT19937",
    "numpy.random._pickle.__bit_generator_ctor",
    "numpy.random._pickle.__randomstate_ctor",
)

_FLOATS = {torch.float64, torch.float32, torch.float16, torch.bfloat16}
_WHOLE = {torch.int64, torch.int32}
_SMALL = 2**24
_MAX_RATIO = 4


class Inert:
    """Stands where a file holds the state of a numpy random generator or a numpy number, and forgets it."""

    def __init__(self, *_: Any) -> None:
        """Accept whatever the pickled object was made from."""

    def __setstate__(self, state: Any) -> None:
        """Forget the pickled object's state."""


def read_checkpoint(path: str | PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint without running anything that the file may contain.

    Tensors, plain Python values and containers of them are read. The numpy random generator and the numpy
    numbers (an error, a score) that published checkpoints carry are replaced by :class:`Inert` objects; everything else
    is refused.

    Args:
        path: A file written by ``torch.save``.

    Returns:
        The dictionary in the file, tensors on the CPU.

    Raises:
        LiftposeError: There is no such file, it is damaged, it is no checkpoint, or it refers to code.
    """
    stand_ins: list[Any] = [(Inert, name) for name in _NUMPY_NAMES]
    try:
        file = Path(path).open("rb")
    except OSError as error:
        raise LiftposeError(f"{path}: expected a checkpoint, found {(error.strerror or str(error)).lower()}") from error
    with file, safe_globals(stand_ins), warnings.catch_warnings():
        _check_packing(file, path)
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


def _check_packing(file: IO[bytes], path: str | PathLike[str]) -> None:
    """Refuse a file that unpacks to much more than it is: torch packs nothing, but unpacks what somebody has packed."""
    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        unpacked = 0  # of another kind, or damaged; torch says so
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if unpacked > max(_SMALL, _MAX_RATIO * size):
        raise LiftposeError(f"{path}: expected a checkpoint, found {size} bytes that unpack to {unpacked}")


def public_weights(state_dict: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Name the weights of a public code's network as they are without ``DataParallel``, and refuse what is no numbers.

    Args:
        state_dict: The network's ``state_dict()``; whether everything in it is a tensor is left to those who need it.
        where: What it is, the start of an error message.

    Returns:
        Name -> the same tensor.

    Raises:
        LiftposeError: Two weights have one name, or one is not of ordinary floating point numbers or not finite, or a
            variance is negative.
    """
    weights: dict[str, Any] = {}
    for given, tensor in state_dict.items():
        name = str(given).removeprefix(PREFIX)
        if name in weights:
            raise LiftposeError(f"{where}: expected weights with names of their own, found {name} twice")
        weights[name] = tensor
        if not isinstance(tensor, torch.Tensor):
            continue
        kind, allowed = "floating point numbers", _FLOATS
        if name.endswith(".num_batches_tracked"):
            kind, allowed = "a whole number", _WHOLE
        if tensor.layout != torch.strided or tensor.dtype not in allowed:
            found = tensor.dtype if tensor.layout == torch.strided else tensor.layout
            raise LiftposeError(f"{where}: {name}: expected {kind}, found {found}")
        if not tensor.isfinite().all():
            raise LiftposeError(f"{where}: {name}: expected finite numbers, found others (the training has diverged)")
        if name.endswith(".running_var") and (tensor < 0).any():
            raise LiftposeError(f"{where}: {name}: expected variances, found {float(tensor.min()):g}")
    return weights


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
