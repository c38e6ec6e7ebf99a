"""Benchmarks of the lifters of DH-AUG and PoseAug; ``make bench BENCH='-k dh_aug_lifters'`` runs them."""

from __future__ import annotations

import pytest
from lifters_work import LIFTERS, lifter_evaluation, lifter_training_step
from measuring import Measure


@pytest.mark.parametrize("name", LIFTERS)
def test_lifter_training_step(measure: Measure, name: str) -> None:
    measure(f"{name}: training step, batch {LIFTERS[name].batch}", lifter_training_step(name), 8, 1.0)


@pytest.mark.parametrize("name", LIFTERS)
def test_lifter_evaluation(measure: Measure, name: str) -> None:
    work = lifter_evaluation(name)
    measure(f"{name}: evaluation with flip of {LIFTERS[name].batch} successive windows", work, 8, 1.0)
