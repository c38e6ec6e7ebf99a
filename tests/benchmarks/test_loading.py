"""The benchmark of loading loads what it says, at a small size; nothing is timed here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from loading import WAYS, measure_loading, write_full_size


@pytest.mark.parametrize("compressed", [True, False])
def test_all_ways_load_the_same_people(tmp_path: Path, compressed: bool) -> None:
    folder = write_full_size(tmp_path, 2100, compressed)
    poses, keypoints = WAYS["np.load(allow_pickle=True)[...].item()"](folder)()
    frames = sum(len(take) for takes in poses.values() for take in takes.values())
    assert frames == pytest.approx(2100, rel=0.2) and keypoints.keys() == poses.keys()
    for way in list(WAYS)[1:4]:
        assert sum(map(len, WAYS[way](folder)())) == 4 * frames, way
    assert (folder / "cache").is_dir()
    for way in list(WAYS)[4:]:
        data = WAYS[way](folder)()
        assert len(data.windows("train")) + 2 * len(data.windows("validation")) == 8 * frames, way


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_process_of_its_own_reports_what_it_costs(tmp_path: Path) -> None:
    cost = measure_loading("np.load(allow_pickle=True)[...].item()", write_full_size(tmp_path, 21_000, False))
    assert 0 < cost.processor < 60 and 0 < cost.wall < 60
    assert 10 < cost.memory < 200  # 20 MB of numbers
