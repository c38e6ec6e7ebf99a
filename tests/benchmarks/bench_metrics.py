"""Benchmarks of 3D PCK and AUC; ``make bench BENCH='-k share'`` runs them."""

from __future__ import annotations

import pytest
from measuring import Measure
from metrics_work import POSES_3DHP, public_metrics, share_within


@pytest.mark.parametrize("name", ["pck", "auc"])
def test_share_within(measure: Measure, name: str) -> None:
    work = share_within(public_metrics(), name, POSES_3DHP)
    measure(f"{name.upper()} of {POSES_3DHP} poses", work, 8, 100.0)
