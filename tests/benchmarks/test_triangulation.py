"""The benchmarks of triangulation do what they say, at small sizes; nothing is timed here."""

from __future__ import annotations

import pytest
import torch
from triangulation_work import accuracy, against_kornia, against_loop, fusion

from liftpose.geometry import Solver


@pytest.mark.parametrize("solver", ["linear", "iterative"])
def test_the_loop_finds_the_same_points(solver: Solver) -> None:
    work = against_loop(solver, 10)
    assert work.theirs is not None
    torch.testing.assert_close(work.ours(), work.theirs(), rtol=0, atol=1e-6)


def test_kornia_finds_points_as_good() -> None:
    """At equal accuracy: the ways differ by far less than the noise of one pixel, about 6 mm, moves the points."""
    for solver in ("eigh", "cofactor"):
        work = against_kornia(solver, 100, torch.float64)
        assert work.theirs is not None
        apart = (work.ours() - work.theirs()).norm(dim=-1)
        assert 0 < apart.mean() < 0.001
    single, double = (
        against_kornia("cofactor", 100, dtype).ours().double() for dtype in (torch.float32, torch.float64)
    )
    assert (single - double).norm(dim=-1).max() < 3e-6


def test_four_views_are_fused() -> None:
    assert fusion("robust", 5).ours().points.shape == (5, 17, 3)


def test_errors_are_of_the_right_size_and_in_order() -> None:
    """About 6.5 mm for each pixel of noise, four times that between opposite cameras; a wrong view spoils means."""
    rows = accuracy(300)
    near = {name.split(": ")[1]: row for name, row in rows.items() if name.startswith("neighbours")}
    far = {name.split(": ")[1]: row for name, row in rows.items() if name.startswith("opposite")}
    for row in near.values():
        assert 5.5 < row["1 px"] < 8 and 17 < row["3 px"] < 23 and row["3 px, outliers"] > 2.5 * row["3 px"]
    for name, row in far.items():
        assert row["3 px"] > 3.5 * near[name]["3 px"]
    assert far["homogeneous, SVD"]["3 px"] > far["least squares"]["3 px"]
    clean = [
        rows[name]["3 px"] for name in ("least squares of 4 views", "robust, 4 views", "vector median of all pairs")
    ]
    assert 12 < clean[0] <= clean[1] < clean[2] < near["least squares"]["3 px"]
    names = ("robust, 4 views", "vector median of all pairs", "vector median of neighbours", "least squares of 4 views")
    wrong = [rows[name]["3 px, outliers"] for name in names]
    assert 18 < wrong[0] < 30 and wrong == sorted(wrong) and wrong[3] < near["least squares"]["3 px, outliers"]
