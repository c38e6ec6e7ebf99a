"""Benchmarks of loading prepared files, beside numpy's own reader; ``make bench BENCH='-k loading'`` runs them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from loading import FRAMES, WAYS, measure_loading, write_full_size


@pytest.mark.parametrize("compressed", [True, False])
def test_loading(tmp_path: Path, capsys: pytest.CaptureFixture[str], compressed: bool) -> None:
    frames = int(os.environ.get("LIFTPOSE_BENCH_FRAMES", FRAMES))
    folder = write_full_size(tmp_path / "data", frames, compressed)
    costs = {way: [] for way in WAYS}
    for _ in range(3):  # by turns
        shutil.rmtree(folder / "cache", ignore_errors=True)
        for way, found in costs.items():
            found.append(measure_loading(way, folder))
    size = sum(path.stat().st_size for path in folder.glob("*.npz")) / 1e6
    base = min(cost.processor for cost in next(iter(costs.values())))
    with capsys.disabled():
        kind = "compressed" if compressed else "not compressed"
        print(f"\n\n{frames:,} frames of four cameras, {size:.0f} MB, {kind}\n")
        print("| way | processor, s | wall, s | times np.load | memory, MB |\n| --- | --- | --- | --- | --- |")
        for way, found in costs.items():
            best = min(found)
            wall, memory = min(cost.wall for cost in found), max(cost.memory for cost in found)
            print(f"| {way} | {best.processor:.2f} | {wall:.2f} | {best.processor / base:.2f} | {memory:.0f} |")
