"""Benchmarks of VideoPose; ``make bench BENCH='-k videopose'`` runs them."""

from __future__ import annotations

import pytest
from measuring import Measure
from videopose_work import public_videopose, videopose_evaluation, videopose_training_step


@pytest.mark.parametrize(("widths", "batch"), [((3, 3, 3), 256), ((3, 3, 3, 3, 3), 64)])
def test_videopose_training_step(measure: Measure, widths: tuple[int, ...], batch: int) -> None:
    work = videopose_training_step(public_videopose(), widths, batch, 1024)
    measure(f"VideoPose: training step, {3 ** len(widths)} frames, batch {batch}", work, 8)


@pytest.mark.parametrize(("count", "joined"), [(1024, True), (256, False)])
def test_videopose_evaluation(measure: Measure, count: int, joined: bool) -> None:
    work = videopose_evaluation(public_videopose() if joined else None, (3,) * 5, count, 1024, joined=joined)
    how = "one after the other" if joined else "each by itself"
    measure(f"VideoPose: evaluation with flip of {count} windows of 243 frames, {how}", work, 6 if joined else 3)
