"""Random numbers that belong to a global batch."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from liftpose.data.draws import BatchPlace, Draws

SHARES = st.lists(st.integers(0, 9), min_size=1, max_size=4)


@given(SHARES, st.integers(0, 2**32 - 1), st.integers(0, 500), st.integers(0, 5000))
def test_the_shares_make_up_the_numbers_of_one_process(shares: list[int], seed: int, epoch: int, step: int) -> None:
    total, stop = sum(shares), 0
    whole = Draws(seed, BatchPlace(epoch, step, 0, total, total))
    expected = (whole.normal(3), whole.uniform(), whole.common_integers(10**6, 1), whole.integers(7, 2, 2))
    parts = []
    for share in shares:
        start, stop = stop, stop + share
        own = Draws(seed, BatchPlace(epoch, step, start, stop, total))
        assert len(own) == share
        parts.append((own.normal(3), own.uniform(), own.common_integers(10**6, 1), own.integers(7, 2, 2)))
    normal, uniform, common, integers = zip(*parts, strict=True)
    assert torch.equal(torch.cat(normal), expected[0])
    assert torch.equal(torch.cat(uniform), expected[1])
    assert all(torch.equal(one, expected[2]) for one in common)
    assert torch.equal(torch.cat(integers), expected[3])


def test_other_seeds_epochs_and_steps_give_other_numbers() -> None:
    places = [(seed, epoch, step) for seed in (0, 1, 2**32 - 1) for epoch in (0, 1, 400) for step in (0, 1, 99999)]
    drawn = {Draws(seed, BatchPlace(epoch, step, 0, 1, 1)).uniform().item() for seed, epoch, step in places}
    assert len(drawn) == len(places)


def test_the_distributions() -> None:
    draws = Draws(5, BatchPlace(2, 3, 0, 40000, 40000), dtype=torch.float64)
    normal, uniform, integers = draws.normal(), draws.uniform(), draws.integers(4)
    assert normal.dtype == uniform.dtype == torch.float64
    assert abs(normal.mean().item()) < 0.02
    assert abs(normal.std().item() - 1) < 0.02
    assert abs(uniform.mean().item() - 0.5) < 0.01
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert (integers.bincount(minlength=4) / 40000 - 0.25).abs().max() < 0.02
