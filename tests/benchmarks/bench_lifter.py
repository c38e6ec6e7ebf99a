"""Benchmarks of the lifter's parts; ``make bench`` runs them.

Each piece of work is done by this package and, where ``LIFTPOSE_PEERS`` names a copy of it, by the public
implementation: by turns, in one process, on the same data, with the machine's own rates measured in between.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from measuring import Measure
from peer import Peer
from preparation import preparation, public_script
from work import PUBLISHED, epoch, evaluation, gather, metric, training_step


@pytest.mark.parametrize(("frames", "wanted"), [(27, None), (243, 6.0)])
def test_gather(measure: Measure, peer: Peer | None, frames: int, wanted: float | None) -> None:
    measure(f"1024 windows of {frames} frames with flips", gather(peer, PUBLISHED, frames, 1024), 16, wanted)


@pytest.mark.parametrize(("frames", "wanted"), [(27, 1.3), (243, 1.5)])
@pytest.mark.parametrize("stage", [1, 3])
def test_training_step(measure: Measure, peer: Peer | None, frames: int, wanted: float, stage: int) -> None:
    work = training_step(peer, PUBLISHED, frames, stage, 256)
    name = f"training step, stage {stage}, {frames} frames, batch 256"
    measure(name, work, 15 if frames == 27 else 8, wanted if stage == 3 else None)


@pytest.mark.parametrize(("frames", "batch"), [(27, 256), (27, 1024), (243, 256), (243, 1024)])
def test_evaluation(measure: Measure, peer: Peer | None, frames: int, batch: int) -> None:
    work = evaluation(peer, PUBLISHED, frames, batch)
    rounds = {27 * 256: 15, 27 * 1024: 6, 243 * 256: 8, 243 * 1024: 4}[frames * batch]
    measure(f"evaluation with flip, stage 3, {frames} frames, batch {batch}", work, rounds, 1.2)


@pytest.mark.parametrize(
    ("name", "poses", "wanted"),
    [
        ("p_mpjpe", 256, None),
        ("p_mpjpe", 1024, 3.0),
        ("p_mpjpe", 16384, 3.0),
        ("mpjpe", 1024, None),
        ("n_mpjpe", 1024, None),
        ("mpjve", 1024, None),
    ],
)
def test_metric(measure: Measure, peer: Peer | None, name: str, poses: int, wanted: float | None) -> None:
    measure(f"{name} of {poses} poses", metric(peer, name, poses), 20, wanted)


@pytest.mark.parametrize("frames", [27, 243])
def test_epoch(measure: Measure, peer: Peer | None, frames: int) -> None:
    size = PUBLISHED._replace(sequences=2, length=512 if frames == 27 else 256)
    work = epoch(peer, size, frames, 256)
    measure(f"one epoch, train and evaluate, {frames} frames, batch 256", work, 3, 2.0)


@pytest.mark.parametrize(("frames", "rounds"), [(500, 3), (2500, 1)])
def test_preparation(measure: Measure, write_official: Callable[..., dict[Any, Any]], frames: int, rounds: int) -> None:
    """The second is as large as Human3.6M itself: 1.7 GB on the disk while it runs."""
    with TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        written = write_official("cdf", source, frames)
        count = sum(map(len, written.values())) - len(written["S11", "Directions"])
        del written
        work = preparation(public_script(), source, Path(folder) / "made", count)
        measure(f"preparation of {count:,} frames of Human3.6M in CDF files", work, rounds, 5.0)
