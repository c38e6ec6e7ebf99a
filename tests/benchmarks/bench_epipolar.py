"""Benchmarks of labels made of several views; ``make bench BENCH='-k epipolar'`` runs them."""

from __future__ import annotations

import pytest
from epipolar_work import encoding, label_making, rig_of_a_person
from measuring import Measure

from liftpose.geometry import ViewFusion


@pytest.mark.parametrize(("views", "fusion"), [(2, "pair"), (4, "vector_median"), (4, "robust"), (4, "dlt")], ids=str)
def test_epipolar_labels(measure: Measure, views: int, fusion: ViewFusion) -> None:
    measure(f"labels of {views} views, {fusion}, against a loop", label_making(1000, views, fusion), 3, 200)


def test_epipolar_encoding(measure: Measure) -> None:
    measure("labels of world joints, against a loop", encoding(1000), 3, 200)


def test_epipolar_rig(measure: Measure) -> None:
    measure("cameras of a person, 4 views, 6 pairs", rig_of_a_person(4000), 3)
