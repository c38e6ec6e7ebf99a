"""Benchmarks of triangulation; ``make bench BENCH='-k triangulation'`` runs them."""

from __future__ import annotations

import pytest
import torch
from measuring import Measure
from triangulation_work import against_kornia, against_loop, fusion

from liftpose.geometry import Solver, ViewFusion


@pytest.mark.parametrize("solver", ["linear", "iterative"])
def test_triangulation_against_a_loop(measure: Measure, solver: Solver) -> None:
    wanted = 100
    measure(f"triangulation, 2 views: {solver}, against a loop over samples", against_loop(solver, 1900), 3, wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("solver", "wanted"), [("eigh", 3), ("cofactor", 1)])
def test_triangulation_against_kornia(measure: Measure, solver: str, wanted: float, dtype: torch.dtype) -> None:
    bits = torch.finfo(dtype).bits
    measure(
        f"triangulation, 2 views: against kornia's {solver}, float{bits}",
        against_kornia(solver, 8192, dtype),
        10,
        wanted,
    )


@pytest.mark.parametrize("name", ["pair", "vector_median", "dlt", "robust"])
def test_triangulation_of_four_views(measure: Measure, name: ViewFusion) -> None:
    measure(f"triangulation, 4 views: {name}", fusion(name, 4096), 5)
