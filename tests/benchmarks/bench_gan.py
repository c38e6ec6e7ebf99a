"""Benchmarks of DH-AUG's training; ``make bench BENCH='-k gan'`` runs them."""

from __future__ import annotations

import pytest
from gan_work import gan_iterations
from measuring import Measure
from peer_dh_aug import load_dh_aug


@pytest.mark.parametrize("width", [256])
def test_gan_iterations(measure: Measure, width: int) -> None:
    work = gan_iterations(load_dh_aug(), 1024, width)
    measure(f"DH-AUG: 5 iterations (20 critic steps, 1 of the generator), batch 1024, width {width}", work, 8, 1.3)
