"""Times of two things that take turns, and what the machine could do at best in the meantime."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode
from work import Work

__all__ = ["Measure", "Row", "count_flops", "machine", "rates", "table"]


Measure = Callable[..., "Row"]
"""The fixture that measures some work: a name, the work, a number of rounds, and the ratio that is wanted."""


def clock() -> float:
    """Seconds: of this process where it has one thread, which other processes disturb less; else of the wall."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def seconds(run: Callable[[], Any]) -> float:
    """Time one run."""
    start = clock()
    run()
    return clock() - start


_FACTORS = torch.rand(3, 768, 768)
_MEMORY = torch.zeros(2, 2**24)


def rates() -> tuple[float, float]:
    """Measure what the machine does now: float32 operations per second of a matrix product, bytes per second copied.

    The better of three runs of a few milliseconds each; a copy reads and writes, and both count.
    """
    product = min(seconds(lambda: torch.mm(_FACTORS[0], _FACTORS[1], out=_FACTORS[2])) for _ in range(3))
    copy = min(seconds(lambda: _MEMORY[0].copy_(_MEMORY[1])) for _ in range(3))
    return 2 * 768**3 / product, 2 * _MEMORY[0].nbytes / copy


def count_flops(run: Callable[[], Any]) -> int:
    """Count the operations of the matrix products of one run; a product and a sum are two."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


@dataclass
class Row:
    """One line of the table.

    Args:
        name: What was measured.
        work: What was done.
        wanted: Ratio that is aimed at, or None.
        flops: Operations of the matrix products of one run of ours.
        repeats: How often the work is done for one time, because it is short; a cold cache is not what it finds in use.
        ours: Seconds of each run.
        theirs: Seconds of each run, by turns with ours; empty without the public implementation.
        machine: Rates of the machine, by turns with the runs.
    """

    name: str
    work: Work
    wanted: float | None = None
    flops: int = 0
    repeats: int = 1
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    machine: list[tuple[float, float]] = field(default_factory=list)

    def before_each(self) -> None:
        """Measure the machine and the public implementation, between two runs of ours."""
        self.machine.append(rates())
        if self.work.theirs is not None:
            self.theirs.append(self._seconds(self.work.theirs))

    def once(self) -> None:
        """Measure ours."""
        self.ours.append(self._seconds(self.work.ours))

    def _seconds(self, run: Callable[[], Any]) -> float:
        start = clock()
        for _ in range(self.repeats):
            run()
        return (clock() - start) / self.repeats

    def ratios(self) -> list[float]:
        """Their time over ours, of neighbouring runs, in ascending order."""
        return sorted(theirs / ours for theirs, ours in zip(self.theirs, self.ours, strict=True))

    def share(self) -> str:
        """Share of the machine's own rate that our fastest run reaches, of sgemm or of a copy."""
        best = min(self.ours)
        if self.flops:
            return f"{self.flops / best / max(rate for rate, _ in self.machine):.0%} sgemm"
        if self.work.moved:
            return f"{2 * self.work.moved / best / max(rate for _, rate in self.machine):.0%} copy"
        return ""

    def cells(self) -> list[str]:
        """Return the cells of the line."""
        best = min(self.ours)
        cells = [self.name, _milliseconds(best), "", "", "", f"{self.work.count / best:,.0f} {self.work.unit}/s"]
        if self.theirs:
            ratios = self.ratios()
            cells[2] = _milliseconds(min(self.theirs))
            cells[3] = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        cells[4] = "" if self.wanted is None else f"{self.wanted:.1f}"
        return [*cells, self.share()]


def table(rows: list[Row]) -> list[str]:
    """Return the lines of a table in Markdown: best times, median and range of the ratios of neighbouring runs."""
    header = ["work", "ours, ms", "public, ms", "ratio (range)", "ratio wanted", "ours", "share of the machine's"]
    cells = [header, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return lines


def machine() -> str:
    """Describe the machine in general terms."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    threads, kernels = torch.get_num_threads(), torch.backends.cpu.get_cpu_capability()
    return f"{model}, {threads} thread(s), torch {torch.__version__}, {kernels}"


def _milliseconds(value: float) -> str:
    return f"{1000 * value:,.2f}" if value < 0.1 else f"{1000 * value:,.0f}"
