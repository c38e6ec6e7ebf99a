"""Sequences of different lengths in one tensor, one behind the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

__all__ = ["FlatFrames", "large_tensor"]


def large_tensor(shape: Sequence[int]) -> Tensor:
    """Return a float32 tensor, not filled, in memory from numpy, which asks the system for large pages.

    Small pages take the system longer than filling them takes us. The start is moved to where torch's own would be (a
    multiple of 64 bytes), since a matrix product may round by the place of its factors in memory.

    Args:
        shape: Lengths of its dimensions.
    """
    count = math.prod(shape)
    memory = np.empty(count + 16, dtype=np.float32)
    start = -memory.ctypes.data % 64 // 4
    return torch.from_numpy(memory[start : start + count]).view(*shape)


class FlatFrames(Sequence[Tensor]):
    """The frames of some sequences in one float32 tensor: a list of views of it, to be filled and to be read.

    Args:
        lengths: Number of frames N_i per sequence.
        shape: Shape of a frame.
        copies: How often all sequences have room behind each other; the list shows the first of them.

    Attributes:
        tensor: (copies * sum of N_i, *shape).
    """

    def __init__(self, lengths: Sequence[int], shape: Sequence[int], copies: int = 1) -> None:
        self.lengths = list(lengths)
        self.frames = sum(self.lengths)
        self.tensor = large_tensor((copies * self.frames, *shape))
        self._views = torch.split(self.tensor[: self.frames], self.lengths)

    @classmethod
    def of(cls, sequences: Sequence[Any], copies: int = 1) -> FlatFrames:
        """Copy sequences that lie anywhere; what is such a list already, with this room, is returned as it is.

        Args:
            sequences: At least one, each (N_i, *shape), numpy or torch.
            copies: As above.

        Raises:
            ValueError: The frames are not all of one shape.
        """
        if isinstance(sequences, FlatFrames) and len(sequences.tensor) == copies * sequences.frames:
            return sequences
        shape = tuple(sequences[0].shape[1:])
        flat = cls([len(sequence) for sequence in sequences], shape, copies)
        for place, sequence in zip(flat, sequences, strict=True):
            if tuple(sequence.shape[1:]) != shape:
                raise ValueError(f"expected sequences of frames of shape {shape}, found {tuple(sequence.shape[1:])}")
            place.copy_(torch.as_tensor(sequence))
        return flat

    def __len__(self) -> int:
        """Number of sequences."""
        return len(self._views)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Tensor]: ...
    def __getitem__(self, index: int | slice) -> Tensor | Sequence[Tensor]:
        """Return a sequence, a view (N_i, *shape) of the tensor."""
        return self._views[index]
