"""PSS: whether a predicted pose has the structure of the true one, decided by clusters of true poses.

Source: M. Kocabas, S. Karagoz, E. Akbas, "Self-Supervised Learning of 3D Human Pose using Multi-view Geometry", CVPR
2019. Poses are scaled to length 1 and clustered by k-means; a prediction scores 1 if it falls into the same cluster as
its target. The public code does not contain the score, so these choices are ours: poses are relative to the root, in
the frame of the camera (a turned person is another structure), in all joints of the skeleton, and the clusters are
found by k-means++ with ten restarts from a fixed seed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from liftpose.geometry.precision import full_precision
from liftpose.skeletons import Skeleton

__all__ = ["PoseClusters", "cluster_poses", "pose_directions", "pss", "pss_per_pose"]

# Poses whose distances to 100 centres fit into the cache of a CPU core, about.
_BLOCK = 4096
_ROUNDS = 100


@dataclass(frozen=True, eq=False)
class PoseClusters:
    """Centres of clusters of poses.

    Args:
        centres: (K, J, 3) means of poses of length 1 relative to the root, camera frame, float32, without unit.
        skeleton: Joint order.
        seed: Seed of the random numbers that they were found with.
        restarts: How often the search was begun anew.
        poses: Number of poses that they were found from.
        spread: Mean squared distance of those poses from their nearest centre.
    """

    centres: Tensor
    skeleton: Skeleton
    seed: int
    restarts: int
    poses: int
    spread: float

    def __len__(self) -> int:
        """Number of clusters."""
        return len(self.centres)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the centres' bytes (little-endian float32, row by row): the same for the same clusters."""
        return hashlib.sha256(np.ascontiguousarray(self.centres.cpu().numpy(), dtype="<f4").tobytes()).hexdigest()

    def assign(self, poses: Tensor) -> Tensor:
        """Find the cluster of every pose.

        Args:
            poses: (..., J, 3) any unit, camera frame.

        Returns:
            (...) index of the nearest centre; -1 for a pose without a direction: all its joints are in one place, or a
            coordinate is not finite.

        Raises:
            ValueError: The poses have other joints than the skeleton.
        """
        if poses.shape[-2:] != (len(self.skeleton), 3):
            raise ValueError(f"expected poses (..., {len(self.skeleton)}, 3), found {tuple(poses.shape)}")
        directions = pose_directions(poses.reshape(-1, *poses.shape[-2:]), self.skeleton.root)
        nearest, _ = _nearest(directions.flatten(1), self.centres.to(directions).flatten(1))
        lost = directions.isnan().any(-1).any(-1)
        return torch.where(lost, -1, nearest).reshape(poses.shape[:-2])


@full_precision
def pose_directions(poses: Tensor, root: int) -> Tensor:
    """Move poses so that their root is the origin and scale them so that the squares of all coordinates sum to 1.

    Args:
        poses: (..., J, 3) any unit.
        root: Index of the root joint.

    Returns:
        (..., J, 3) without unit, float64 (float32 where a device has no other); NaN for a pose whose joints are all in
        one place or that is not finite.

    Example:
        >>> pose_directions(torch.tensor([[1.0, 1.0, 1.0], [4.0, 1.0, 1.0], [1.0, 5.0, 1.0]]), root=0)[1:]
        tensor([[0.6000, 0.0000, 0.0000],
                [0.0000, 0.8000, 0.0000]], dtype=torch.float64)
    """
    # In float64 no device rounds the products that decide on a cluster, and the same pose is always in the same one.
    poses = poses.to(torch.float32 if poses.device.type == "mps" else torch.float64)
    centred = poses - poses[..., root : root + 1, :]
    size = centred.square().sum((-2, -1), keepdim=True).sqrt()
    return torch.where((size > 0) & size.isfinite(), centred / size, torch.nan)


def pss_per_pose(prediction: Tensor, target: Tensor, clusters: PoseClusters) -> Tensor:
    """Say of every predicted pose whether it is in the cluster of its target.

    Args:
        prediction: (..., J, 3) any unit, camera frame.
        target: (..., J, 3) any unit, same shape and frame.
        clusters: The clusters.

    Returns:
        (...) float32: 100 where it is, else 0, in per cent. A prediction with all joints in one place is in no cluster.
        NaN where the prediction is not finite, or the target is not or has all joints in one place.

    Raises:
        ValueError: The shapes differ or are not those of the clusters' skeleton.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            "expected prediction and target of one shape (..., J, 3), "
            f"found {tuple(prediction.shape)} and {tuple(target.shape)}"
        )
    own, true = clusters.assign(prediction), clusters.assign(target)
    unknown = (true < 0) | ~prediction.isfinite().all(-1).all(-1)
    return torch.where(unknown, torch.nan, 100.0 * (own == true).float())


def pss(prediction: Tensor, target: Tensor, clusters: PoseClusters) -> Tensor:
    """Pose structure score: the share of predictions that are in the cluster of their target.

    Args:
        prediction: (..., J, 3) any unit, camera frame.
        target: (..., J, 3) any unit, same shape and frame.
        clusters: The clusters.

    Returns:
        Scalar, per cent; NaN where `pss_per_pose` is NaN for any pose.

    Raises:
        ValueError: The shapes differ or are not those of the clusters' skeleton.
    """
    return pss_per_pose(prediction, target, clusters).mean()


# ---------------------------------------------------------------------------------------------------------- clustering
@torch.no_grad()
@full_precision
def cluster_poses(
    poses: Tensor, clusters: int, skeleton: Skeleton, seed: int = 0, restarts: int = 10, sample: int = 20_000
) -> PoseClusters:
    """Find clusters of poses by k-means++.

    Source of the seeding: D. Arthur, S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007. All
    restarts run to their end on a random sample of the poses; the best one goes on over all of them.

    Args:
        poses: (N, J, 3) true poses in the frame of their camera, any unit.
        clusters: Number of clusters.
        skeleton: Joint order.
        seed: Seed of the random numbers.
        restarts: How often the search is begun anew.
        sample: Number of poses that the restarts see.

    Returns:
        The clusters: the same for the same poses, machine and number of threads.

    Raises:
        ValueError: The poses have another shape or one of them has no direction, or there are fewer than clusters.
    """
    if poses.ndim != 3 or poses.shape[1:] != (len(skeleton), 3) or not 0 < clusters <= len(poses):
        raise ValueError(
            f"expected at least {clusters} poses of shape (N, {len(skeleton)}, 3), found {tuple(poses.shape)}"
        )
    if restarts < 1 or sample < clusters:
        raise ValueError(f"expected restarts from 1 and a sample from {clusters}, found {restarts} and {sample}")
    points = pose_directions(poses.detach().cpu(), skeleton.root).float().flatten(1)
    if not bool(points.isfinite().all()):
        raise ValueError("expected finite poses with joints in more than one place, found others")
    generator = torch.Generator().manual_seed(seed)
    seen = points
    if len(points) > sample:
        seen = points[torch.randperm(len(points), generator=generator)[:sample]]
    trials = [_settle(seen, _seeds(seen, clusters, generator)) for _ in range(restarts)]
    best = min(trials, key=lambda trial: trial.spread)
    if len(points) > sample:
        best = _settle(points, best.centres)
    return PoseClusters(
        centres=best.centres.reshape(clusters, -1, 3),
        skeleton=skeleton,
        seed=seed,
        restarts=restarts,
        poses=len(points),
        spread=best.spread,
    )


class _Trial(NamedTuple):
    """Centres (K, D) that a search found, and the mean squared distance of the points from their nearest one."""

    centres: Tensor
    spread: float


def _nearest(points: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Return the index of each point's nearest centre and the squared distance, (N,) each.

    Args:
        points: (N, D).
        centres: (K, D).
    """
    sizes = centres.square().sum(1)
    nearest, distances = [], []
    for block in torch.split(points, _BLOCK):
        # The point's own square is the same for all centres.
        partial, index = torch.addmm(sizes, block, centres.T, alpha=-2).min(1)
        nearest.append(index)
        distances.append((partial + block.square().sum(1)).clamp_(min=0))
    if not nearest:
        return points.new_zeros(0, dtype=torch.int64), points.new_zeros(0)
    return torch.cat(nearest), torch.cat(distances)


def _seeds(points: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """Draw (K, D) first centres: each next one is a point that is drawn with its squared distance from the others."""
    first = int(torch.randint(len(points), (), generator=generator))
    chosen = [first]
    distances = (points - points[first]).square().sum(1).double()
    for _ in range(clusters - 1):
        reach = distances.cumsum(0)
        place = torch.rand((), generator=generator, dtype=torch.float64) * reach[-1]
        # Where all points are taken already (there are fewer different ones), any of them will do.
        chosen.append(min(int(torch.searchsorted(reach, place, right=True)), len(points) - 1))
        distances = torch.minimum(distances, (points - points[chosen[-1]]).square().sum(1).double())
    return points[chosen]


def _settle(points: Tensor, centres: Tensor) -> _Trial:
    """Move centres to the means of their points until no point changes its centre, or hardly anything is gained."""
    clusters, spread = len(centres), torch.inf
    for _ in range(_ROUNDS):
        nearest, distances = _nearest(points, centres)
        before, spread = spread, float(distances.double().mean())
        if before - spread <= 1e-4 * spread:
            break
        counts = nearest.bincount(minlength=clusters)
        sums = torch.zeros(clusters, points.shape[1], dtype=torch.float64).index_add_(0, nearest, points.double())
        empty = (counts == 0).nonzero().squeeze(1)
        means = (sums / counts.clamp(min=1).unsqueeze(1)).float()
        if len(empty):  # a centre without points starts anew at the points that are worst off
            means[empty] = points[distances.topk(len(empty)).indices]
        centres = means
    return _Trial(centres, spread)
