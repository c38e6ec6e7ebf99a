"""The benchmark of the evaluation of pictures compares two ways to the same numbers."""

from __future__ import annotations

import pytest
from image_evaluation_work import NUMBERS, image_evaluation


def test_both_ways_give_the_same_numbers() -> None:
    work = image_evaluation(30, batch=7)
    assert work.theirs is not None
    overall = work.ours().overall
    found = overall._asdict() | {one.name: one.value for one in overall.further}
    expected = work.theirs()
    assert {name: found[name] for name in NUMBERS} == pytest.approx(expected, rel=1e-5)
