"""People who stand about on a spot, seen by a ring of cameras, with noise and outliers on the 2D joints."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from liftpose.geometry import Camera, rotate
from liftpose.skeletons import H36M_17, Skeleton

__all__ = ["Scene", "make_scene"]

# Somebody who stands, metres: x to the left, y to the front, z up, in the order of H36M_17.
_STANDING = (
    (0.00, 0.00, 0.95), (-0.13, 0.00, 0.95), (-0.13, 0.02, 0.50), (-0.13, -0.02, 0.06), (0.13, 0.00, 0.95),
    (0.13, 0.02, 0.50), (0.13, -0.02, 0.06), (0.00, 0.00, 1.18), (0.00, 0.01, 1.42), (0.00, 0.05, 1.54),
    (0.00, 0.02, 1.66), (0.16, 0.00, 1.40), (0.24, 0.02, 1.12), (0.26, 0.10, 0.88), (-0.16, 0.00, 1.40),
    (-0.24, 0.02, 1.12), (-0.26, 0.10, 0.88),
)  # fmt: skip


class Scene(NamedTuple):
    """People and the cameras that see them.

    Attributes:
        cameras: Batch shape (V,), float64.
        poses_3d: (F, 17, 3) metres, world frame.
        keypoints_2d: (F, V, 17, 2) pixels without noise.
        skeleton: Joint order.
    """

    cameras: Camera
    poses_3d: Tensor
    keypoints_2d: Tensor
    skeleton: Skeleton

    def noisy(self, sigma: float, seed: int = 0, outliers: float = 0.0, by: float = 60.0) -> Tensor:
        """Return the keypoints with normal noise; a share of them is moved in a random direction besides."""
        random = torch.Generator().manual_seed(seed)
        noise = sigma * torch.randn(self.keypoints_2d.shape, generator=random, dtype=torch.float64)
        angle = 2 * math.pi * torch.rand(self.keypoints_2d.shape[:-1], generator=random, dtype=torch.float64)
        wrong = torch.rand(angle.shape, generator=random) < outliers
        shift = by * torch.stack((angle.cos(), angle.sin()), -1) * wrong.unsqueeze(-1)
        return self.keypoints_2d + noise + shift


def make_scene(frames: int, views: int = 4, seed: int = 0, jitter: float = 0.09) -> Scene:
    """Make people and cameras.

    Args:
        frames: Number of poses: a standing body that faces anywhere, each joint moved by itself.
        views: Number of cameras, evenly around the people at about 5 m, focal length 1145 pixels.
        seed: Seed.
        jitter: Metres, standard deviation of each coordinate of a joint.
    """
    random = torch.Generator().manual_seed(seed)

    def uniform(*shape: int, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=random, dtype=torch.float64)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    turn = uniform(frames, low=0, high=2 * math.pi)
    zero, one = torch.zeros_like(turn), torch.ones_like(turn)
    heading = torch.stack((turn.cos(), -turn.sin(), zero, turn.sin(), turn.cos(), zero, zero, zero, one), -1)
    standing = torch.tensor(_STANDING, dtype=torch.float64)
    poses = rotate(heading.reshape(-1, 1, 3, 3), standing) + jitter * normal(frames, 17, 3)
    poses = poses + torch.cat((uniform(frames, 1, 2, low=-0.6, high=0.6), torch.zeros(frames, 1, 1)), -1)

    place = 2 * math.pi * torch.arange(views) / views + 0.1 * normal(views)
    radius, height = uniform(views, low=4.2, high=5.8), uniform(views, low=1.2, high=1.8)
    centre = torch.stack((radius * place.cos(), radius * place.sin(), height), -1)
    forward = torch.tensor([0.0, 0.0, 1.0]) + 0.05 * normal(views, 3) - centre
    forward = forward / forward.norm(dim=-1, keepdim=True)
    right = torch.linalg.cross(forward, torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64).expand_as(forward))
    right = right / right.norm(dim=-1, keepdim=True)
    R = torch.stack((right, torch.linalg.cross(forward, right), forward), -2)
    intrinsics = torch.eye(3, dtype=torch.float64).repeat(views, 1, 1)
    intrinsics[:, 0, 0] = 1145 + 3 * normal(views)
    intrinsics[:, 1, 1] = intrinsics[:, 0, 0] - 1
    intrinsics[:, :2, 2] = 512 + 4 * normal(views, 2)
    size = torch.full((views, 2), 1000.0, dtype=torch.float64)
    cameras = Camera(R, -rotate(R, centre), intrinsics, torch.zeros(views, 5, dtype=torch.float64), "none", size)
    seen = cameras.project(cameras.to_camera(poses.unsqueeze(0))).movedim(0, 1)
    return Scene(cameras, poses, seen, H36M_17)
