"""Loaders of indices: the global batches follow from (seed, epoch, step), whatever the number of processes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from liftpose.datamodules import IndexBatches, index_loader


def test_an_epoch_is_the_published_permutation() -> None:
    batches = IndexBatches("train", 100, 32, seed=1234)
    state = np.random.RandomState(1234)
    for epoch in range(3):
        expected = state.permutation(100)
        found = torch.cat([batches[epoch, step].indices for step in range(len(batches))])
        assert np.array_equal(found.numpy(), expected)


@pytest.mark.parametrize(
    ("windows", "batch_size", "sizes"),
    [(64, 32, [32, 32]), (70, 32, [32, 32, 6]), (65, 32, [32, 33]), (1, 32, [1]), (33, 32, [33])],
)
def test_a_single_window_joins_the_batch_before(windows: int, batch_size: int, sizes: list[int]) -> None:
    batches = IndexBatches("train", windows, batch_size, seed=1)
    assert [len(batches[0, step].indices) for step in range(len(batches))] == sizes


@pytest.mark.parametrize("world_size", [2, 3, 5])
def test_processes_share_the_global_batch(world_size: int) -> None:
    alone = IndexBatches("train", 115, 20, seed=7, flip_by_chance=True)
    shares = [
        IndexBatches("train", 115, 20, seed=7, flip_by_chance=True, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    for step in range(len(alone)):
        parts = [share[2, step] for share in shares]
        assert torch.equal(torch.cat([part.indices for part in parts]), alone[2, step].indices)
        assert torch.equal(torch.cat([part.flip for part in parts]), alone[2, step].flip)


@pytest.mark.parametrize(("windows", "last"), [(1024 + 3, 1027), (1024 + 4, 4)])
def test_every_process_gets_two_training_windows(windows: int, last: int) -> None:
    shares = [IndexBatches("train", windows, 1024, seed=1, rank=rank, world_size=2) for rank in range(2)]
    ends = [share[0, len(share) - 1].indices for share in shares]
    assert sum(map(len, ends)) == last
    assert min(map(len, ends)) >= 2
    assert len(IndexBatches("test", 1025, 1024, world_size=2)) == 2  # evaluation takes any batch


def test_flips_are_even_and_differ_between_steps_and_epochs() -> None:
    batches = IndexBatches("train", 40_000, 10_000, seed=3, flip_by_chance=True)
    draws = {place: batches[place].flip for place in ((0, 0), (0, 1), (1, 0))}
    for flips in draws.values():
        assert flips is not None
        assert abs(float(flips.float().mean()) - 0.5) < 0.02  # four standard deviations
    assert not torch.equal(draws[0, 0], draws[0, 1])
    assert not torch.equal(draws[0, 0], draws[1, 0])
    assert torch.equal(draws[0, 0], batches[0, 0].flip)


def test_without_a_seed_the_windows_come_in_order() -> None:
    batches = IndexBatches("test", 10, 4)
    assert [batches[5, step].indices.tolist() for step in range(3)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_lightning_sets_the_epoch_through_the_sampler() -> None:
    loader = index_loader(IndexBatches("train", 50, 50, seed=9))
    loader.sampler.set_epoch(4)  # type: ignore[attr-defined]
    (batch,) = loader
    assert torch.equal(batch.indices, IndexBatches("train", 50, 50, seed=9)[4, 0].indices)
