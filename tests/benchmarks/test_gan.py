"""The benchmark of the GAN does what it says, at small sizes; nothing is timed here."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from gan_work import ITERATIONS, gan_iterations
from peer_dh_aug import load_dh_aug, why_not_dh_aug


def updates_of(monkeypatch: pytest.MonkeyPatch, run: Callable[[], Any]) -> Counter[int]:
    """Count the steps that networks of so many weights have taken."""
    counted: Counter[int] = Counter()
    step = torch.optim.Adam.step

    def counting(self: torch.optim.Adam, *rest: Any) -> Any:
        counted[sum(weight.numel() for group in self.param_groups for weight in group["params"])] += 1
        return step(self, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(torch.optim.Adam, "step", counting)
        run()
    return counted


def test_a_run_has_twenty_steps_of_critics_and_one_of_the_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    work = gan_iterations(None, 6, 4)
    assert work.theirs is None
    for _ in range(2):
        assert sorted(updates_of(monkeypatch, work.ours).values()) == [1, 2 * ITERATIONS, 2 * ITERATIONS]


def test_both_train_networks_of_the_same_size_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(sys.modules)
    peer = load_dh_aug()
    if peer is None:
        pytest.skip(str(why_not_dh_aug()))
    assert not {name for name in set(sys.modules) - before if name.startswith(("models_Fk_GAN", "common.", "utils."))}
    work = gan_iterations(peer, 6, 4)
    assert work.theirs is not None
    for _ in range(2):
        assert updates_of(monkeypatch, work.theirs) == updates_of(monkeypatch, work.ours)
