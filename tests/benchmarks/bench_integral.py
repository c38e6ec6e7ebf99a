"""Benchmarks of the network of pictures; ``make bench BENCH='-k integral'`` runs them."""

from __future__ import annotations

import pytest
import torch
from integral_work import expectation, training_step
from measuring import Measure

ROUNDS = 7


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("samples", "bins", "side"), [(8, 64, 64), (32, 32, 32)])
def test_integral_expectation(measure: Measure, samples: int, bins: int, side: int, dtype: torch.dtype) -> None:
    name = f"{samples} x 17 expectations of {bins} x {side} x {side}, {dtype}"
    measure(name, expectation(samples, bins, side, dtype), ROUNDS, 2)


def test_integral_training_step(measure: Measure) -> None:
    measure("training step of ResNet-18, 128 px (bf16 / float32)", training_step(32, 128, 32, 64), ROUNDS, 1.5)
