"""The pool of generated items: what a loop over single items would do."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.models.fake_pool import FakePool

BATCHES = st.lists(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=1, max_size=9), max_size=5)


class Loop:
    """The published pool, with its draws from outside."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.items = capacity, []

    def exchange(self, given: list[float], swap: list[bool], places: list[int]) -> list[float]:
        shown = []
        for item, swaps, place in zip(given, swap, places, strict=True):
            if len(self.items) < self.capacity:
                self.items.append(item)
                shown.append(item)
            elif swaps:
                shown.append(self.items[place])
                self.items[place] = item
            else:
                shown.append(item)
        return shown


@given(BATCHES)
def test_it_does_what_the_loop_does(batches: list[list[tuple[bool, int]]]) -> None:
    pool, loop, made = FakePool((2,), capacity=5), Loop(5), 0
    for batch in batches:
        swap, places = [swaps for swaps, _ in batch], [place for _, place in batch]
        numbers = [float(made + k + 1) for k in range(len(batch))]
        made += len(batch)
        items = torch.tensor(numbers)[:, None].repeat(1, 2)
        shown = pool.exchange(items, torch.tensor(swap), torch.tensor(places))
        assert shown.tolist() == [[number] * 2 for number in loop.exchange(numbers, swap, places)]
        stored = [[number] * 2 for number in loop.items]
        assert pool.items[: len(stored)].tolist() == stored
        assert pool.count.item() == len(stored)


def fill(pool: FakePool, seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    items = torch.rand(6, 2, generator=random)
    return pool.exchange(items, torch.rand(6, generator=random) > 0.5, torch.randint(4, (6,), generator=random))


def test_a_checkpoint_goes_on_where_the_pool_was() -> None:
    whole, stopped = FakePool((2,), 4), FakePool((2,), 4)
    for pool in (whole, stopped):
        fill(pool, 0)
    resumed = FakePool((2,), 4)
    resumed.load_state_dict(stopped.state_dict())
    torch.testing.assert_close(fill(resumed, 1), fill(whole, 1), rtol=0, atol=0)


def test_nothing_flows_back_to_the_generator() -> None:
    items = torch.rand(3, 2, requires_grad=True)
    shown = FakePool((2,), 4).exchange(items, torch.ones(3, dtype=torch.bool), torch.zeros(3, dtype=torch.long))
    assert not shown.requires_grad


def test_wrong_shapes_and_sizes() -> None:
    with pytest.raises(LiftposeError, match="capacity: expected at least 1, found 0"):
        FakePool((2,), 0)
    swap, places = torch.ones(3, dtype=torch.bool), torch.zeros(3, dtype=torch.long)
    for items, chosen in ((torch.rand(3, 3), swap), (torch.rand(3, 2), swap[:2])):
        with pytest.raises(ValueError, match="expected items of the shape"):
            FakePool((2,), 4).exchange(items, chosen, places)
