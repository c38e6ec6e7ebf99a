"""The evaluation of a test on pictures, by this package and by a loop over the samples."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from work import Work

from liftpose.geometry import picture_poses
from liftpose.metrics import EvaluationResult, ImagePoseEvaluation
from liftpose.skeletons import H36M_17

__all__ = ["NUMBERS", "image_evaluation"]

NUMBERS = (
    *("mpjpe", "p_mpjpe", "n_mpjpe", "pck_no_root", "auc_no_root", "pck_with_root", "auc_with_root", "x", "y", "z"),
    *("MPJPE 14 joints", "P-MPJPE 14 joints", "N-MPJPE 14 joints"),
    *("P-MPJPE as published", "N-MPJPE as published"),
    *("MPJPE 14 as published", "P-MPJPE 14 as published", "N-MPJPE 14 as published"),
)
"""What both compute, in the order of the loop."""

_OWN = [1, 2, 3, 4, 5, 6, 8, 10, 11, 12, 13, 14, 15, 16]
_PUBLISHED = [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15]

Floats = NDArray[np.float64]


def image_evaluation(poses: int, batch: int = 256) -> Work:
    """From pixels with depths, predicted and true, to the numbers of a test.

    Args:
        poses: Number of samples.
        batch: Number of samples of a batch of this package.
    """
    generator = torch.Generator().manual_seed(4)
    truth = torch.cat(
        (
            500 + 150 * torch.randn(poses, 17, 2, generator=generator),
            0.3 * torch.randn(poses, 17, 1, generator=generator),
        ),
        dim=-1,
    )
    prediction = truth + torch.tensor([12, 12, 0.06]) * torch.randn(poses, 17, 3, generator=generator)
    truth[:, 0, 2] = 0
    depths = 4 + torch.rand(poses, generator=generator)
    intrinsics = torch.tensor([[1145.0, 0, 512], [0, 1145.0, 512], [0, 0, 1]]).expand(poses, 3, 3).contiguous()

    def ours() -> EvaluationResult:
        evaluation = ImagePoseEvaluation([("S9", "Walking", 0)], H36M_17, storage_dtype=torch.float64)
        for rows in torch.arange(poses).split(batch):
            found = []
            for points in (prediction[rows], truth[rows]):
                pose = picture_poses(points[..., :2], points[..., 2], depths[rows], intrinsics[rows])
                found.append(pose - pose[:, :1])
            evaluation.update(*found, torch.zeros_like(rows), rows)
        return evaluation.compute()

    own, true = prediction.double().numpy(), truth.double().numpy()
    where, lenses = depths.double().numpy(), intrinsics.double().numpy()

    def theirs() -> dict[str, float]:
        rows = [_sample(own[i], true[i], float(where[i]), lenses[i]) for i in range(poses)]
        return dict(zip(NUMBERS, np.mean(rows, axis=0).tolist(), strict=True))

    return Work(ours, theirs, 0, poses, "samples")


def _sample(own: Floats, true: Floats, depth: float, lens: Floats) -> list[float]:
    """The numbers of one sample, as code writes them that takes one after the other."""
    mine, target = _pose(own, depth, lens), _pose(true, depth, lens)
    mine, target = mine - mine[0], target - target[0]
    plain = _distances(mine, target)
    aligned, scale = _procrustes(mine, target)
    near, few, few_true = plain[1:], mine[_OWN], target[_OWN]
    numbers = [float(plain.mean()), float(_distances(aligned, target).mean()), _scaled(mine, target)]
    for distances in (near, plain):
        curve = [100 * float((distances < 0.005 * step).mean()) for step in range(31)]
        numbers += [curve[-1], sum(curve) / len(curve)]
    numbers += np.abs(mine - target).mean(0).tolist()
    numbers += [
        float(_distances(few, few_true).mean()),
        float(_distances(_procrustes(few, few_true)[0], few_true).mean()),
    ]
    numbers.append(_scaled(few, few_true))
    published = [_distances(aligned - aligned[0], target), _distances(scale * mine, target)]
    numbers += [float(distances.mean()) for distances in published]
    return numbers + [float(distances[_PUBLISHED].mean()) for distances in (plain, *published)]


def _distances(one: Floats, other: Floats) -> Floats:
    distances: Floats = np.sqrt(((one - other) ** 2).sum(1))
    return distances


def _scaled(one: Floats, other: Floats) -> float:
    """N-MPJPE."""
    return float(_distances((one * other).sum() / (one * one).sum() * one, other).mean())


def _pose(points: Floats, depth: float, lens: Floats) -> Floats:
    pose = np.zeros((len(points), 3))
    pose[:, 2] = points[:, 2] + depth
    pose[:, 0] = (points[:, 0] - lens[0, 2]) / lens[0, 0] * pose[:, 2]
    pose[:, 1] = (points[:, 1] - lens[1, 2]) / lens[1, 1] * pose[:, 2]
    return pose


def _procrustes(source: Floats, target: Floats) -> tuple[Floats, float]:
    """The source after the best similarity, and its scale."""
    source_mean, target_mean = source.mean(0), target.mean(0)
    x, y = source - source_mean, target - target_mean
    u, s, vt = np.linalg.svd(x.T @ y)
    if np.linalg.det(u @ vt) < 0:
        u[:, -1] *= -1
        s[-1] *= -1
    scale = s.sum() / (x**2).sum()
    return scale * x @ u @ vt + target_mean, float(scale)
