"""The benchmarks and the accuracy table of several views do what they say, at small sizes; nothing is timed here."""

from __future__ import annotations

import pytest
import torch
from epipolar_accuracy import NAMES, accuracy
from epipolar_work import encoding, label_making, rig_of_a_person

from liftpose.geometry import ViewFusion


@pytest.mark.parametrize(("views", "fusion"), [(2, "pair"), (4, "vector_median")])
def test_the_loop_makes_the_same_labels(views: int, fusion: ViewFusion) -> None:
    work = label_making(6, views, fusion)
    assert work.theirs is not None and work.count == 6 * views
    torch.testing.assert_close(work.ours().double(), work.theirs(), rtol=1e-5, atol=1e-3)


def test_the_loop_encodes_the_same_labels() -> None:
    work = encoding(3)
    assert work.theirs is not None
    torch.testing.assert_close(work.ours().double(), work.theirs(), rtol=0, atol=1e-5)


def test_the_rig_is_found() -> None:
    assert rig_of_a_person(60).ours().residual < 6


def test_pooled_frames_are_far_better_than_single_ones_and_essential_better_than_fundamental_matrices() -> None:
    rows = accuracy(noises=(1.0,), single=30, pooled=(10, 100))
    turns = {name: {frames: row.rotation for frames, row in rows[1.0][name].items()} for name in NAMES}
    for name in ("1 frame, F by RANSAC", "1 frame, F by 8 points", "1 frame, E by 5 points"):
        assert 2 < turns[name][1] < 40
        assert turns["pooled, E by RANSAC"][10] < 0.5 * turns[name][1]
    for frames in (10, 100):
        assert turns["pooled, E by RANSAC"][frames] < turns["pooled, F by RANSAC (OpenCV)"][frames]
        assert turns["pooled, E by RANSAC and bundle adjustment"][frames] < 1
    errors = rows[1.0]["pooled, E by RANSAC and bundle adjustment"][100]
    assert errors.p_mpjpe < errors.n_mpjpe < 0.012 < rows[1.0]["1 frame, E by 5 points"][1].n_mpjpe
