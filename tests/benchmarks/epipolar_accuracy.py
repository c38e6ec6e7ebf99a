"""How exactly two cameras are found from the joints that they see, and poses after them: single and pooled frames.

``python tests/benchmarks/epipolar_accuracy.py`` prints the table of docs/results.md, in a minute or two.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np
import torch
from rig_work import Scene, make_scene
from torch import Tensor

from liftpose.geometry import triangulate
from liftpose.geometry.bundle import adjust_bundle
from liftpose.geometry.camera_pairs import camera_rays
from liftpose.geometry.epipolar import essential_from_fundamental, fit_essential_ransac, fit_fundamental
from liftpose.geometry.moving_pairs import fit_pair_frames
from liftpose.geometry.relative_pose import pose_from_essential
from liftpose.metrics.functional import n_mpjpe_per_pose, p_mpjpe_per_pose

__all__ = ["NAMES", "Errors", "accuracy"]

NAMES: Final = (
    "1 frame, F by RANSAC",
    "1 frame, F by 8 points",
    "1 frame, E by 5 points",
    "1 frame, E by 5 points and bundle adjustment",
    "pooled, F by RANSAC (OpenCV)",
    "pooled, E by RANSAC",
    "pooled, E by RANSAC and bundle adjustment",
)
_FOCAL: Final = 1145.0
_SIGMAS: Final = 3.0

Poses = tuple[Tensor, Tensor]
"""Rotations (..., 3, 3) and directions (..., 3) of the second camera in the frame of the first."""


class Errors(NamedTuple):
    """Errors of a way to find two cameras.

    Attributes:
        rotation: Degrees.
        n_mpjpe: Metres, of the poses that are triangulated after it.
        p_mpjpe: Metres.
    """

    rotation: float
    n_mpjpe: float
    p_mpjpe: float


def _opencv_fundamental(scene: Scene, first: Tensor, second: Tensor, noise: float) -> Tensor:
    """Find F (3, 3) by OpenCV's RANSAC; zeros where it finds none."""
    matrix, _ = cv2.findFundamentalMat(first.numpy(), second.numpy(), cv2.FM_RANSAC, _SIGMAS * noise, 0.999)
    return torch.zeros(3, 3).double() if matrix is None or matrix.shape != (3, 3) else torch.from_numpy(matrix)


def _after_fundamental(scene: Scene, matrix: Tensor, rays: Tensor) -> Poses:
    intrinsics = scene.cameras.intrinsics
    pose = pose_from_essential(
        essential_from_fundamental(matrix, intrinsics[0], intrinsics[1]), rays[..., 0, :, :], rays[..., 1, :, :]
    )
    return pose.R, pose.t


def _pooled(scene: Scene, rays: Tensor, noise: float, *, refine: bool) -> Poses:
    first, second = rays[:, 0].flatten(0, 1), rays[:, 1].flatten(0, 1)
    fit = fit_essential_ransac(first, second, threshold=_SIGMAS * noise / _FOCAL)
    pose = pose_from_essential(fit.matrix, first, second, fit.inliers)
    if not refine:
        return pose.R, pose.t
    rows = pose.in_front.nonzero().squeeze(-1)
    measured = torch.stack((first, second), 1)[rows]
    R, t = torch.stack((torch.eye(3).double(), pose.R)), torch.stack((torch.zeros(3).double(), pose.t))
    points = triangulate(measured.unsqueeze(-2), torch.cat((R, t.unsqueeze(-1)), -1)).points.squeeze(-2)
    found = adjust_bundle(R, t, points, measured, scale=_SIGMAS * noise / _FOCAL)
    return found.R[1], found.t[1]


def _errors(scene: Scene, rays: Tensor, poses: Poses) -> tuple[Tensor, Tensor, Tensor]:
    """Return the errors (F,) of the rotation in degrees and of triangulated poses, N-MPJPE and P-MPJPE in metres."""
    cameras = scene.cameras
    frames = len(rays)
    R, t = poses[0].expand(frames, 3, 3), poses[1].expand(frames, 3)
    true = cameras.R[1] @ cameras.R[0].T
    cosine = ((R @ true.T).diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    matrices = torch.cat((R, t.unsqueeze(-1)), -1)
    first = torch.eye(3, 4).double().expand(frames, 3, 4)
    found = triangulate(rays, torch.stack((first, matrices), 1)).points
    truth = scene.cameras[0].to_camera(scene.poses_3d[:frames])
    found, truth = found - found[:, :1], truth - truth[:, :1]
    return cosine.clamp(-1, 1).acos().rad2deg(), n_mpjpe_per_pose(found, truth), p_mpjpe_per_pose(found, truth)


def accuracy(
    noises: Sequence[float] = (1.0, 3.0), single: int = 150, pooled: Sequence[int] = (10, 100, 400), seed: int = 0
) -> dict[float, dict[str, dict[int, Errors]]]:
    """Measure all ways.

    Args:
        noises: Pixels, standard deviation of each coordinate.
        single: Number of frames that are looked at one by one; the median over them counts.
        pooled: Numbers of frames that are pooled; the mean over them counts.
        seed: Seed of people, cameras and noise.

    Returns:
        noise -> way -> number of frames -> errors.
    """
    scene = make_scene(max(single, *pooled), views=4, seed=seed)
    scene = scene._replace(cameras=scene.cameras[:2], keypoints_2d=scene.keypoints_2d[:, :2])
    table: dict[float, dict[str, dict[int, Errors]]] = {}
    for noise in noises:
        pixels = scene.noisy(noise, seed=seed)
        rays = camera_rays(scene.cameras, pixels)
        one, first, second = rays[:single], pixels[:single, 0], pixels[:single, 1]
        sampled = torch.stack([_opencv_fundamental(scene, a, b, noise) for a, b in zip(first, second, strict=True)])
        limit = _SIGMAS * noise / _FOCAL
        frames = [fit_pair_frames(one[:, 0], one[:, 1], threshold=limit, refine=refine) for refine in (False, True)]
        ways = {
            NAMES[0]: _after_fundamental(scene, sampled, one),
            NAMES[1]: _after_fundamental(scene, fit_fundamental(first, second).matrix, one),
            NAMES[2]: (frames[0].R, frames[0].t),
            NAMES[3]: (frames[1].R, frames[1].t),
        }
        rows = {
            name: {1: Errors(*(float(error.nanmedian()) for error in _errors(scene, one, poses)))}
            for name, poses in ways.items()
        }
        for name in NAMES[4:]:
            rows[name] = {}
            for count in pooled:
                part = rays[:count]
                if name == NAMES[4]:
                    flat = [pixels[:count, view].flatten(0, 1) for view in (0, 1)]
                    matrix = _opencv_fundamental(scene, *flat, noise)
                    joined = part.movedim(1, 0).flatten(1, 2)
                    poses = _after_fundamental(scene, matrix, joined)
                else:
                    poses = _pooled(scene, part, noise, refine=name == NAMES[6])
                rows[name][count] = Errors(*(float(error.mean()) for error in _errors(scene, part, poses)))
        table[noise] = rows
    return table


def main(words: Sequence[str]) -> None:
    """Print the table in Markdown: means over several seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = parser.parse_args(list(words)).seeds
    torch.set_num_threads(1)
    tables = [accuracy(seed=seed) for seed in range(seeds)]
    lines = ["| noise | way | frames | rotation, degrees | N-MPJPE, mm | P-MPJPE, mm |", "|---|---|---|---|---|---|"]
    for noise, rows in tables[0].items():
        for name, counts in rows.items():
            for count in counts:
                cells = np.array([table[noise][name][count] for table in tables])
                mean = cells.mean(axis=0) * (1, 1000, 1000)
                turn = f"{mean[0]:.2f}" if mean[0] < 1 else f"{mean[0]:.1f}"
                lines.append(f"| {noise:g} px | {name} | {count} | {turn} | {mean[1]:.1f} | {mean[2]:.1f} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
