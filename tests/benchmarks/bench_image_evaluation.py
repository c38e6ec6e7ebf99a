"""Benchmark of the evaluation of pictures; ``make bench BENCH='-k pictures'`` runs it."""

from __future__ import annotations

from image_evaluation_work import image_evaluation
from measuring import Measure

SAMPLES = 2000


def test_evaluation_of_pictures(measure: Measure) -> None:
    measure(f"evaluation of {SAMPLES} pictures", image_evaluation(SAMPLES), 8, 20.0)
