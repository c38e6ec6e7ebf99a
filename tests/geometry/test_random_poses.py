"""Random bodies against the published recipe, pose by pose in numpy, and against the censored normal distribution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp, norm

from liftpose.data.draws import BatchPlace, Draws
from liftpose.geometry.bones import SCALE_COLUMNS
from liftpose.geometry.kinematics import BONES, CHAINS, joint_limits
from liftpose.geometry.random_poses import random_bone_lengths, random_joint_angles

COUNT = 20_000


def draws(count: int = COUNT, seed: int = 0, start: int = 0, stop: int | None = None) -> Draws:
    return Draws(seed, BatchPlace(0, 0, start, count if stop is None else stop, count), dtype=torch.float64)


def published(count: int) -> np.ndarray:
    """The angles (N, 33) of the recipe, pose by pose, degrees."""
    random = np.random.default_rng(0)
    limits = np.insert(joint_limits("random", dtype=torch.float64).rad2deg().numpy(), 23, 0.0, axis=0)
    angles = np.zeros((count, 34))
    for pose in angles:
        for joint in random.choice(34, size=random.integers(0, 34), replace=False):
            low, high = limits[joint]
            pose[joint] = min(max(random.normal((low + high) / 2, 60), low), high)
    return np.delete(angles, 23, axis=1)


def test_angles_have_the_published_distribution() -> None:
    angles = random_joint_angles(draws())[0].rad2deg().numpy().round(6)  # what lies at a limit is equal
    expected = published(COUNT).round(6)
    live = expected.any(axis=0)
    assert (angles.any(axis=0) == live).all()
    for joint in live.nonzero()[0]:
        assert ks_2samp(angles[:, joint], expected[:, joint]).pvalue > 1e-4, joint
    # The number of angles that move is drawn once for all joints, so they do not move independently.
    assert ks_2samp((angles != 0).sum(1), (expected != 0).sum(1)).pvalue > 1e-4
    pairs = [
        np.corrcoef((values[:, live] != 0).T)[np.triu_indices(live.sum(), 1)].mean() for values in (angles, expected)
    ]
    assert pairs[0] == pytest.approx(pairs[1], abs=0.01)


def test_chosen_angles_are_normal_and_cut_at_the_limits() -> None:
    knee = random_joint_angles(draws())[0][:, CHAINS["right_leg"].start + 3].rad2deg().numpy()
    chosen = knee[knee != 0]
    share = norm.cdf(-67.5 / 60)  # limits -135 and 0 degrees
    assert (chosen < chosen.min() + 1e-9).mean() == pytest.approx(
        share / (1 - share), abs=0.02
    )  # 0 counts as not chosen
    inside = chosen[chosen > chosen.min() + 1e-9]
    assert np.median(inside) == pytest.approx(-67.5, abs=2)


def test_rotations_are_within_their_limits() -> None:
    rotation = random_joint_angles(draws()).rotation.rad2deg()
    torch.testing.assert_close(rotation.abs().amax(0), torch.tensor([20.0, 20, 180], dtype=torch.float64))
    for axis, limit in enumerate((20, 20, 180)):
        at_limit = (rotation[:, axis].abs() > limit - 1e-9).double().mean().item()
        assert at_limit == pytest.approx(2 * norm.cdf(-limit / 60), abs=0.02)
    assert random_joint_angles(draws(10), global_rotation=False).rotation.abs().max() == 0


def test_bone_lengths_change_by_their_shares() -> None:
    lengths = 0.1 + torch.rand(500, 3, 15, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shares = random_bone_lengths(lengths, draws(500), largest=0.2) / lengths - 1
    torch.testing.assert_close(shares, shares[:, :1].expand_as(shares))  # all frames of a clip alike
    shares = shares[:, 0]
    assert shares[:, BONES.index("thorax")].abs().max() < 1e-12
    for bone, column in enumerate(SCALE_COLUMNS):
        if column is not None:
            torch.testing.assert_close(shares[:, bone], shares[:, SCALE_COLUMNS.index(column)])
            assert 0.19 < shares[:, bone].abs().max() < 0.2
    columns = shares[:, [SCALE_COLUMNS.index(column) for column in range(8)]]
    assert (np.corrcoef(columns.T.numpy()) - np.eye(8)).max() < 0.2
    same = random_bone_lengths(lengths, draws(500), scales="same") / lengths - 1
    others = [bone for bone, column in enumerate(SCALE_COLUMNS) if column is not None]
    torch.testing.assert_close(same[..., others], same[:, :1, :1].expand(500, 3, len(others)))
    assert torch.equal(random_bone_lengths(lengths, draws(500), scales="none"), lengths)
    with pytest.raises(ValueError, match="scales: expected 'different', 'same' or 'none', found 'other'"):
        random_bone_lengths(lengths, draws(500), scales="other")  # type: ignore[arg-type]


def test_processes_share_the_draws_of_one_batch() -> None:
    whole = random_joint_angles(draws(10))
    parts = [random_joint_angles(draws(10, start=start, stop=start + 5)) for start in (0, 5)]
    for number in range(2):
        assert torch.equal(whole[number], torch.cat([part[number] for part in parts]))
    assert not torch.equal(whole.angles, random_joint_angles(draws(10, seed=1)).angles)
