"""Random numbers of a global batch: the same for any number of processes, and again after a restart."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["BatchPlace", "Draws"]


class BatchPlace(NamedTuple):
    """Where a batch stands in a training, and which share of it this process has.

    Attributes:
        epoch: Number of the epoch, from 0.
        step: Number of the batch in the epoch, from 0.
        start: First sample of the share.
        stop: The sample behind its last one.
        total: Number of samples of the global batch.
    """

    epoch: int
    step: int
    start: int
    stop: int
    total: int


class Draws:
    """The random numbers of one global batch, in the order in which they are asked for.

    Every draw is made for the whole global batch and cut to the share of this process. So it depends on the seed, the
    place of the batch, the draws before it and the kind of the device only.

    Args:
        seed: Seed of the run.
        place: Place of the batch.
        device: Device of the numbers.
        dtype: Type of the numbers that are not whole; float32 or float64.

    Example:
        >>> whole = Draws(7, BatchPlace(0, 3, 0, 4, 4)).uniform(2)
        >>> share = Draws(7, BatchPlace(0, 3, 1, 3, 4)).uniform(2)
        >>> torch.equal(share, whole[1:3])
        True
    """

    def __init__(
        self,
        seed: int,
        place: BatchPlace,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.place = place
        self.device = torch.device(device)
        self.dtype = dtype
        # A hash, since generators with seeds that differ in few bits give numbers that resemble each other.
        digest = hashlib.sha256(f"{seed} {place.epoch} {place.step}".encode()).digest()
        self._generator = torch.Generator(self.device).manual_seed(int.from_bytes(digest[:7], "little"))

    def __len__(self) -> int:
        """Number of samples in the share of this process."""
        return self.place.stop - self.place.start

    def _share(self, whole: Tensor) -> Tensor:
        return whole[self.place.start : self.place.stop]

    def normal(self, *shape: int) -> Tensor:
        """Return (B, *shape) numbers of the standard normal distribution."""
        size = (self.place.total, *shape)
        return self._share(torch.randn(size, generator=self._generator, device=self.device, dtype=self.dtype))

    def uniform(self, *shape: int) -> Tensor:
        """Return (B, *shape) numbers uniform in [0, 1)."""
        size = (self.place.total, *shape)
        return self._share(torch.rand(size, generator=self._generator, device=self.device, dtype=self.dtype))

    def integers(self, high: int, *shape: int) -> Tensor:
        """Return (B, *shape) int64 numbers, uniform from 0 to ``high`` - 1."""
        size = (self.place.total, *shape)
        return self._share(torch.randint(high, size, generator=self._generator, device=self.device))

    def common_integers(self, high: int, *shape: int) -> Tensor:
        """Return (*shape) int64 numbers from 0 to ``high`` - 1 that all samples of the global batch have in common."""
        return torch.randint(high, shape, generator=self._generator, device=self.device)
