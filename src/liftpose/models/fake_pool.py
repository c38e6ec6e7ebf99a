"""A store of generated items, from which critics are shown older ones now and then."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from liftpose.models.temporal import check_sizes

__all__ = ["FakePool"]


class FakePool(nn.Module):
    """Keeps generated items, so that a critic does not forget what the generator made before.

    While there is room every item is stored. Then an item either passes or takes the place of a stored one, which is
    shown in its stead (A. Shrivastava et al., "Learning from Simulated and Unsupervised Images through Adversarial
    Training", CVPR 2017). The items are buffers: they are part of checkpoints.

    Args:
        shape: Shape of an item.
        capacity: Number of items.

    Raises:
        LiftposeError: The capacity is less than 1.
    """

    items: Tensor
    count: Tensor

    def __init__(self, shape: tuple[int, ...], capacity: int = 4096) -> None:
        super().__init__()
        check_sizes(capacity=capacity)
        self.capacity = capacity
        # One row more, into which everything is written that is not to stay: without looking at numbers on the device.
        self.register_buffer("items", torch.zeros(capacity + 1, *shape))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def exchange(self, given: Tensor, swap: Tensor, places: Tensor) -> Tensor:
        """Store items or swap them for stored ones, one after the other.

        Args:
            given: (B, *shape) new items.
            swap: (B,) bool, whether an item takes the place of a stored one once there is no room left.
            places: (B,) int64 from 0 to capacity - 1, which one.

        Returns:
            (B, *shape) items to show in their stead, without gradient.

        Raises:
            ValueError: A shape is another.
        """
        if given.shape[1:] != self.items.shape[1:] or not swap.shape == places.shape == given.shape[:1]:
            raise ValueError(
                f"expected items of the shape {tuple(self.items.shape[1:])} with a swap and a place for each, found "
                f"{tuple(given.shape)}, {tuple(swap.shape)} and {tuple(places.shape)}"
            )
        given = given.detach()
        free = self.count + torch.arange(len(given), device=given.device)
        fills = free < self.capacity
        passing = ~fills & ~swap
        places = torch.where(fills, free, places.masked_fill(passing, self.capacity))

        # Items with one place, in their order: each finds there the one before it, the first what was stored.
        order = places.argsort(stable=True)
        ordered, new = places[order], given[order]
        follows = torch.zeros_like(fills)
        follows[1:] = ordered[1:] == ordered[:-1]
        found = torch.where(_like(follows, new), new.roll(1, 0), self.items[ordered].to(new.dtype))
        shown = torch.empty_like(given)
        shown[order] = torch.where(_like((fills | passing)[order], new), new, found)

        last = torch.ones_like(fills)
        last[:-1] = ~follows[1:]
        self.items[torch.where(last, ordered, self.capacity)] = new.to(self.items.dtype)
        self.count += fills.sum()
        return shown


def _like(mask: Tensor, items: Tensor) -> Tensor:
    """Give a mask (B,) the dimensions of the items (B, ...)."""
    return mask.reshape(-1, *(1,) * (items.ndim - 1))
