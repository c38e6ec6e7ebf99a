"""Loaders that yield the numbers of windows, not their contents.

The order of an epoch, the cut into batches and the draws of augmentation belong to the *global* batch and follow from
(seed, epoch, step) alone; a process takes its share of each batch. So the same batches are seen whatever the number of
processes, and a run that is resumed needs nothing but the two counters.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from liftpose.data.draws import BatchPlace
from liftpose.data.epoch_order import epoch_order

__all__ = ["EpochSteps", "IndexBatch", "IndexBatches", "index_loader"]


class IndexBatch(NamedTuple):
    """Numbers of the windows of one batch.

    Attributes:
        split: The split that the numbers refer to.
        indices: (B,) int64 numbers of windows.
        flip: (B,) bool, which of them to mirror, or None for none.
        weight: Factor of this process's mean loss in the mean over all processes that makes every window of the global
            batch weigh the same; 1 where all processes have equally many.
        place: Place of the batch in a training, or None outside one.
    """

    split: str
    indices: Tensor
    flip: Tensor | None
    weight: float = 1.0
    place: BatchPlace | None = None


class IndexBatches(Dataset[IndexBatch]):
    """The batches of all epochs, found by (epoch, step).

    Args:
        split: Name of the split, handed on with every batch.
        windows: Number of windows.
        batch_size: Number of windows of a global batch. Training windows that would be left over without being two for
            every process join the batch before them, since batch normalisation cannot work on one.
        seed: Seed of the order and of the flips, or None for the windows in their own order.
        flip_by_chance: Whether each window is mirrored with probability one half.
        rank: Number of this process.
        world_size: Number of processes; each takes a contiguous share of every global batch.
    """

    def __init__(
        self,
        split: str,
        windows: int,
        batch_size: int,
        *,
        seed: int | None = None,
        flip_by_chance: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.split = split
        self.windows = windows
        self.batch_size = batch_size
        self.seed = seed
        self.flip_by_chance = flip_by_chance
        self.rank = rank
        self.world_size = world_size
        self._order: tuple[int, Tensor] | None = None

    def __len__(self) -> int:
        """Number of batches of an epoch."""
        full, rest = divmod(self.windows, self.batch_size)
        least = 1 if self.seed is None else 2 * self.world_size
        return full + (rest >= least or (rest > 0 and full == 0))

    def __getitem__(self, place: tuple[int, int]) -> IndexBatch:
        """Return this process's share of the batch at (epoch, step)."""
        epoch, step = place
        start = step * self.batch_size
        stop = self.windows if step == len(self) - 1 else start + self.batch_size
        indices = torch.arange(start, stop) if self.seed is None else self._epoch(epoch)[start:stop]
        flip = None
        if self.flip_by_chance:
            generator = torch.Generator().manual_seed(_mix(self.seed or 0, epoch, step))
            flip = torch.rand(len(indices), generator=generator) < 0.5
        share = slice(len(indices) * self.rank // self.world_size, len(indices) * (self.rank + 1) // self.world_size)
        weight = (share.stop - share.start) * self.world_size / len(indices)
        where = BatchPlace(epoch, step, share.start, share.stop, len(indices))
        return IndexBatch(self.split, indices[share], None if flip is None else flip[share], weight, where)

    def _epoch(self, epoch: int) -> Tensor:
        """Return the order of an epoch, made once."""
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, epoch_order(self.windows, self.seed or 0, epoch)
        return self._order[1]


class EpochSteps(Sampler[tuple[int, int]]):
    """The places (epoch, step) of one epoch; Lightning tells the epoch.

    Args:
        steps: Number of batches of an epoch.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.epoch = 0
        self._start = 0

    def start_at(self, step: int) -> None:
        """Tell with which batch the passes of this epoch begin; the next epoch begins at its first one again.

        Args:
            step: Number of batches to leave out.
        """
        self._start = step

    def set_epoch(self, epoch: int) -> None:
        """Tell which epoch comes next."""
        if epoch != self.epoch:
            self.epoch, self._start = epoch, 0

    def __len__(self) -> int:
        """Number of batches of an epoch."""
        return self.steps

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield the places of the epoch in order."""
        # The epoch is looked up with each batch: Lightning tells it after it has asked for this.
        return ((self.epoch, step) for step in range(self._start, self.steps))


def index_loader(batches: IndexBatches) -> DataLoader[IndexBatch]:
    """Return the loader of some batches; it needs no workers, since a batch is a slice.

    Args:
        batches: The batches of all epochs.

    Returns:
        A loader whose epoch Lightning sets through its sampler.
    """
    # A generator of its own: otherwise every pass draws from the one that dropout uses.
    return DataLoader(batches, batch_size=None, sampler=EpochSteps(len(batches)), generator=torch.Generator())


def _mix(seed: int, epoch: int, step: int) -> int:
    """Return one seed for (seed, epoch, step), without collisions below 2^20 epochs and 2^24 steps."""
    return ((seed << 44) ^ (epoch << 24) ^ step) % 2**63
