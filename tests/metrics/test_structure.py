"""PSS and its clusters against scipy, closed cases and plain loops."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import scipy.cluster.vq
import torch

from liftpose.errors import LiftposeError
from liftpose.formats.pose_clusters import read_pose_clusters, write_pose_clusters
from liftpose.metrics import PoseClusters, cluster_poses, pose_directions, pss, pss_per_pose
from liftpose.skeletons import H36M_16, H36M_17


def families(count: int, each: int, spread: float = 0.02) -> tuple[torch.Tensor, torch.Tensor]:
    """Poses around a few very different ones, of all sizes and places, and which one each is near."""
    base = pose_directions(torch.randn(count, 17, 3), 0)
    family = torch.arange(count).repeat(each)
    near = base[family] + spread / 7 * torch.randn(len(family), 17, 3, dtype=torch.float64)
    return near * (0.2 + torch.rand(len(family), 1, 1)) + torch.randn(len(family), 1, 3), family


def test_families_are_found() -> None:
    poses, family = families(12, 60)
    clusters = cluster_poses(poses, 12, H36M_17)
    index = clusters.assign(poses)
    assert len({(int(a), int(b)) for a, b in zip(index, family, strict=True)}) == 12
    assert clusters.spread < 0.03**2 * 3


def test_as_good_as_scipy_and_its_own_fixed_point() -> None:
    poses = torch.randn(1500, 17, 3) @ torch.diag(torch.tensor([1.0, 2.0, 0.3]))
    clusters = cluster_poses(poses, 8, H36M_17, restarts=10)
    points = pose_directions(poses, 0).flatten(1).numpy()
    others = []
    for seed in range(10):
        centres, _ = scipy.cluster.vq.kmeans2(points, 8, minit="++", iter=60, rng=seed)
        others.append(scipy.cluster.vq.vq(points, centres)[1].__pow__(2).mean())
    assert clusters.spread <= 1.003 * min(others)
    index, distances = scipy.cluster.vq.vq(points, clusters.centres.flatten(1).double().numpy())
    np.testing.assert_array_equal(clusters.assign(poses), index)
    assert clusters.spread == pytest.approx((distances**2).mean(), rel=1e-4)


def test_more_poses_than_the_sample() -> None:
    poses, _ = families(6, 500, spread=0.5)
    few, all_of_them = (cluster_poses(poses, 6, H36M_17, sample=sample) for sample in (200, 3000))
    assert few.spread == pytest.approx(all_of_them.spread, rel=2e-3)
    assert few.poses == 3000


def test_the_seed_decides() -> None:
    poses = torch.randn(300, 17, 3)
    one, same, other = (cluster_poses(poses, 9, H36M_17, seed=seed, restarts=2) for seed in (1, 1, 2))
    assert one.digest == same.digest != other.digest


def test_as_many_clusters_as_poses_and_fewer_different_poses() -> None:
    poses = torch.randn(5, 17, 3)
    assert cluster_poses(poses, 5, H36M_17).spread < 1e-6
    same = cluster_poses(poses[:1].expand(10, -1, -1), 3, H36M_17)
    assert same.spread < 1e-6 and bool(same.centres.isfinite().all())
    assert len({int(index) for index in same.assign(poses[:1].expand(10, -1, -1))}) == 1


def test_score_of_closed_cases() -> None:
    poses, family = families(4, 5)
    clusters = cluster_poses(poses, 4, H36M_17)
    assert float(pss(3 * poses + 1, poses, clusters)) == 100  # size and place are no structure
    assert float(pss(poses.roll(1, 0), poses, clusters)) == 0  # the next one is of another family
    mixed = torch.where((torch.arange(len(poses)) % 4 == 0)[:, None, None], poses, poses.roll(1, 0))
    assert float(pss(mixed, poses, clusters)) == 25
    turned = poses * torch.tensor([-1.0, 1.0, -1.0])  # by half a turn
    loop = [
        100.0 * bool(np.argmin([np.linalg.norm(unit(p) - c) for c in clusters.centres.numpy()])
        == np.argmin([np.linalg.norm(unit(t) - c) for c in clusters.centres.numpy()]))
        for p, t in zip(turned.numpy(), poses.numpy(), strict=True)
    ]  # fmt: skip
    assert pss_per_pose(turned, poses, clusters).tolist() == loop
    assert family.shape == (20,)


def unit(pose: np.ndarray) -> np.ndarray:
    return (pose - pose[0]) / np.linalg.norm(pose - pose[0])


def test_poses_without_structure() -> None:
    poses, _ = families(3, 2)
    clusters = cluster_poses(poses, 3, H36M_17)
    prediction, target = poses[:4].clone(), poses[:4].clone()
    prediction[0], prediction[1, 2, 0], target[2] = 1.0, torch.nan, 0.0
    scores = pss_per_pose(prediction, target, clusters)
    assert scores[0] == 0 and scores[3] == 100 and bool(scores[1:3].isnan().all())


def test_wrong_poses_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 4 poses"):
        cluster_poses(torch.randn(3, 17, 3), 4, H36M_17)
    with pytest.raises(ValueError, match="more than one place"):
        cluster_poses(torch.zeros(9, 17, 3), 4, H36M_17)
    with pytest.raises(ValueError, match=r"\(\.\.\., 17, 3\)"):
        cluster_poses(torch.randn(3, 17, 3), 2, H36M_17).assign(torch.randn(3, 16, 3))


def test_file(tmp_path: Path) -> None:
    clusters = cluster_poses(torch.randn(40, 16, 3), 5, H36M_16, seed=3, restarts=2)
    path = tmp_path / "pss_5.npz"
    write_pose_clusters(path, clusters)
    back = read_pose_clusters(path)
    for field in dataclasses.fields(PoseClusters):
        one, other = getattr(clusters, field.name), getattr(back, field.name)
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
    content = dict(np.load(path, allow_pickle=False))
    content["centres"][0, 1, 2] += 1e-3
    np.savez(path, **content)
    with pytest.raises(LiftposeError, match="SHA-256"):
        read_pose_clusters(path)
    np.savez(path, centres=content["centres"])
    with pytest.raises(LiftposeError, match="another kind"):
        read_pose_clusters(path)
