"""Benchmarks of the Denavit-Hartenberg body; ``make bench BENCH='-k kinematics'`` runs them."""

from __future__ import annotations

import pytest
from kinematics_work import body_backward, body_forward, random_poses
from measuring import Measure
from peer_dh_aug import load_dh_aug


@pytest.mark.parametrize("batch", [1024])
def test_kinematics_forward(measure: Measure, batch: int) -> None:
    measure(f"DH body: forward, batch {batch}", body_forward(load_dh_aug(), batch), 10, 10)


@pytest.mark.parametrize("batch", [1024])
def test_kinematics_backward(measure: Measure, batch: int) -> None:
    measure(f"DH body: forward and backward, batch {batch}", body_backward(load_dh_aug(), batch), 10, 15)


@pytest.mark.parametrize("count", [1000])
def test_kinematics_of_random_poses(measure: Measure, count: int) -> None:
    measure(f"random poses without a network, {count}", random_poses(load_dh_aug(), count), 8, 100)
