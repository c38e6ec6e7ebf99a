"""The benchmarks do what they say, at small sizes; nothing is timed here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from measuring import Row, count_flops, rates, table
from metrics_work import public_metrics, share_within
from peer import load_peer, why_not
from preparation import preparation, public_script
from videopose_work import public_videopose, videopose_evaluation, videopose_training_step
from work import Size, Work, epoch, evaluation, gather, metric, training_step

TINY = Size(channels=4, latent_dim=4, sequences=2, length=12)


def pieces() -> dict[str, Callable[..., Work]]:
    return {
        "gather": lambda peer: gather(peer, TINY, 9, 5),
        "training step": lambda peer: training_step(peer, TINY, 9, 3, 4),
        "evaluation": lambda peer: evaluation(peer, TINY, 9, 4),
        "p_mpjpe": lambda peer: metric(peer, "p_mpjpe", 10),
        "n_mpjpe": lambda peer: metric(peer, "n_mpjpe", 10),
        "mpjve": lambda peer: metric(peer, "mpjve", 10),
        "epoch": lambda peer: epoch(peer, TINY._replace(length=3), 3, 4),
    }


@pytest.mark.parametrize("name", pieces())
def test_work_runs_again_and_again(name: str) -> None:
    work = pieces()[name](None)
    for _ in range(12 if name == "gather" else 2):  # more often than there are batches
        work.ours()
    assert work.theirs is None and work.count > 0


@pytest.mark.parametrize("name", ["gather", "p_mpjpe", "n_mpjpe", "mpjve"])
def test_both_have_the_same_result(name: str) -> None:
    peer = load_peer()
    if peer is None:
        pytest.skip(str(why_not()))
    work = pieces()[name](peer)
    assert work.theirs is not None
    for _ in range(9):  # the full batches of an epoch
        ours, theirs = work.ours(), work.theirs()
        if name == "gather":
            torch.testing.assert_close(ours.keypoints_2d, theirs[0], rtol=0, atol=0)
            assert ours.poses_3d.shape == theirs[1].shape
        else:
            assert float(ours) == pytest.approx(float(theirs), rel=1e-5)


def test_preparation_runs_again_and_again(write_official: Any, tmp_path: Path) -> None:
    write_official("cdf", tmp_path / "source")
    work = preparation(public_script(), tmp_path / "source", tmp_path / "made", 1)
    for _ in range(2):
        work.ours()
        if work.theirs is not None:
            work.theirs()
    names = ["data_2d_h36m_gt.npz", "data_3d_h36m.npz"]
    assert sorted(path.name for path in (tmp_path / "made" / "ours").iterdir()) == names
    if work.theirs is None:
        pytest.skip("LIFTPOSE_PEERS: expected the public script of VideoPose3D, found none")
    poses = []
    for folder in ("ours", "data"):
        with np.load(tmp_path / "made" / folder / names[1], allow_pickle=True) as file:
            poses.append(file["positions_3d"].item()["S9"]["Walking"])
    np.testing.assert_array_equal(*poses)


def test_videopose_does_what_the_public_code_does() -> None:
    peer = public_videopose()
    for joined in (True, False):
        work = videopose_evaluation(peer, (3, 3, 3), 30, 4, joined=joined)
        assert work.ours().shape == (30, 1, 17, 3)
    step = videopose_training_step(peer, (3, 3), 6, 4)
    losses = [float(step.ours()) for _ in range(5)]
    assert losses[-1] < losses[0]
    if peer is None:
        pytest.skip("LIFTPOSE_PEERS: expected the public code of VideoPose3D, found none")
    assert work.theirs is not None and step.theirs is not None
    assert work.theirs().shape == (1, 30, 17, 3)
    assert min(float(step.theirs()) for _ in range(5)) < losses[0] + 1


@pytest.mark.parametrize("name", ["pck", "auc"])
def test_the_share_of_joints_is_that_of_the_public_code(name: str) -> None:
    peer = public_metrics()
    work = share_within(peer, name, 20)
    assert 0 < float(work.ours()) < 100
    if peer is None:
        pytest.skip("LIFTPOSE_PEERS: expected the public code of DH-AUG, found none")
    assert work.theirs is not None and float(work.ours()) == pytest.approx(work.theirs(), rel=1e-5)


def test_the_operations_of_a_product_are_counted() -> None:
    a, b = torch.rand(3, 4), torch.rand(4, 5)
    assert count_flops(lambda: a @ b) == 2 * 3 * 4 * 5


def test_the_table_shows_ratio_and_share() -> None:
    row = Row("some work", metric(None, "mpjpe", 4), wanted=2.0, flops=1000)
    row.ours, row.theirs, row.machine = [0.5, 1.0], [1.5, 2.0], [(4000.0, 1.0), (2000.0, 1.0)]
    header, rule, line = table([row])
    assert header.count("|") == rule.count("|") == line.count("|")
    assert "2.50 (2.00 to 3.00)" in line and "50% sgemm" in line and "8 poses/s" in line


def test_runs_take_turns() -> None:
    seen: list[str] = []
    work = Work(lambda: seen.append("ours"), lambda: seen.append("theirs"), moved=0, count=1, unit="poses")
    row = Row("turns", work, repeats=2)
    for _ in range(2):
        row.before_each()
        row.once()
    assert seen == ["theirs", "theirs", "ours", "ours"] * 2
    assert len(row.ours) == len(row.theirs) == len(row.machine) == len(row.ratios()) == 2


def test_the_rates_of_the_machine_are_positive() -> None:
    assert all(rate > 0 for rate in rates())


def test_a_missing_copy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFTPOSE_PEERS", "/nowhere")
    assert load_peer() is None
    assert "/nowhere" in str(why_not())
