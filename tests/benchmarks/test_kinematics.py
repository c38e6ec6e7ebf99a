"""The benchmarks of the body do what they say, at small sizes; nothing is timed here."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from kinematics_work import body_backward, body_forward, random_poses
from peer_dh_aug import load_dh_aug, why_not_dh_aug

from liftpose.geometry import bone_lengths


def test_joints_and_gradients_are_those_of_the_public_code() -> None:
    peer = load_dh_aug()
    forward, backward = body_forward(peer, 6), body_backward(peer, 6)
    assert forward.ours().shape == (6, 16, 3)
    if peer is None:
        pytest.skip(str(why_not_dh_aug()))
    assert forward.theirs is not None and backward.theirs is not None
    torch.testing.assert_close(forward.ours(), forward.theirs(), rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(backward.ours(), backward.theirs(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


def test_random_poses_are_like_those_of_the_public_code() -> None:
    peer = load_dh_aug()
    work = random_poses(peer, 1000)
    first, second = work.ours(), work.ours()
    assert first.shape == (1000, 16, 3)
    assert not torch.equal(first, second)
    if peer is None:
        pytest.skip(str(why_not_dh_aug()))
    assert work.theirs is not None
    theirs = torch.from_numpy(np.asarray(work.theirs()))
    assert theirs.shape == (1000, 16, 3)
    for poses in (first, theirs):
        lengths = bone_lengths(poses)
        assert 0.9 < lengths.mean() / bone_lengths(first).mean() < 1.1
    relative = [poses - poses[:, :1] for poses in (first, theirs)]
    torch.testing.assert_close(relative[0].norm(dim=-1).mean(0), relative[1].norm(dim=-1).mean(0), rtol=0, atol=0.05)
