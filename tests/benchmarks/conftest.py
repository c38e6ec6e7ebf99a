"""What the benchmarks share: where their modules are, the public implementation, and the table at the end."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from measuring import Measure, Row, count_flops, machine, table
from peer import FOLDER, Peer, load_peer, why_not
from work import Work

ROWS: list[Row] = []


@pytest.fixture(scope="session")
def peer() -> Peer | None:
    """The public implementation, or None where there is no copy of it."""
    return load_peer()


@pytest.fixture(scope="session", autouse=True)
def _threads() -> Iterator[None]:
    """Use as many threads as ``LIFTPOSE_BENCH_THREADS`` says, by default one."""
    before = torch.get_num_threads()
    torch.set_num_threads(int(os.environ.get("LIFTPOSE_BENCH_THREADS", "1")))
    yield
    torch.set_num_threads(before)


@pytest.fixture
def measure(benchmark: Any) -> Measure:
    """Measure some work with pytest-benchmark, the public implementation's runs between ours."""

    def run(name: str, work: Work, rounds: int, wanted: float | None = None) -> Row:
        flops = count_flops(work.ours) if work.unit == "windows" and not work.moved else 0
        row = Row(name, work, wanted, flops, repeats=20 if work.unit == "poses" else 1)
        work.ours()
        if work.theirs is not None:
            work.theirs()
        benchmark.pedantic(row.once, setup=row.before_each, rounds=rounds)
        benchmark.extra_info["public_seconds"] = row.theirs
        benchmark.extra_info["machine_rates"] = row.machine
        ROWS.append(row)
        return row

    return run


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if not ROWS:
        return
    found = load_peer()
    products, copies = zip(*(rate for row in ROWS for rate in row.machine), strict=True)
    for line in (
        "",
        machine(),
        f"sgemm {min(products) / 1e9:.0f} to {max(products) / 1e9:.0f} GFLOP/s, copy {min(copies) / 1e9:.0f} to "
        f"{max(copies) / 1e9:.0f} GB/s, measured between the runs",
        why_not() or f"public implementation: {FOLDER}, files {found.digest if found else ''}",
        "",
        *table(ROWS),
    ):
        terminalreporter.write_line(line)
