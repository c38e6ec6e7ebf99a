"""Labels of several views, by this package and by a loop over samples, pairs and joints."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from rig_work import Scene, make_scene
from triangulation_work import loop_iterative
from work import Work

from liftpose.data.view_labels import LabelOptions, label_views
from liftpose.geometry import ViewFusion, encode_labels, patch_to_image
from liftpose.geometry.rigs import estimate_rig

__all__ = ["encoding", "label_making", "rig_of_a_person"]

Array = npt.NDArray[np.float64]

_SIDE = 256


def _label_loop(scene: Scene, pixels: Array, pairs: list[tuple[int, int]]) -> Array:
    """Make labels (F, V, J, 3), pixels and depth less that of the root, of one frame after the other.

    Of several pairs the vector median counts.
    """
    cameras = scene.cameras
    projections = cameras.projection_matrix.numpy()
    R, t, K = (tensor.numpy() for tensor in (cameras.R, cameras.t, cameras.intrinsics))
    labels = np.zeros((*pixels.shape[:-1], 3))
    for frame, seen in enumerate(pixels):
        places = np.stack([loop_iterative(seen[None, list(pair)], projections[list(pair)])[0] for pair in pairs])
        pose = places[0]
        if len(pairs) > 1:
            for joint in range(seen.shape[1]):
                distances = np.linalg.norm(places[:, None, joint] - places[None, :, joint], axis=-1).sum(axis=0)
                pose[joint] = places[distances.argmin(), joint]
        for view in range(seen.shape[0]):
            local = pose @ R[view].T + t[view]
            projected = local @ K[view].T
            labels[frame, view, :, :2] = projected[:, :2] / projected[:, 2:]
            labels[frame, view, :, 2] = local[:, 2] - local[0, 2]
    return labels


def label_making(frames: int, views: int, fusion: ViewFusion) -> Work:
    """Make labels, validity and residuals of all frames at once, and labels alone in a loop.

    Args:
        frames: Number of frames.
        views: 2, where the loop has one pair, or 4, where it takes the vector median of all six.
        fusion: What this package does with the views.
    """
    scene = make_scene(frames, views=4)
    scene = scene._replace(cameras=scene.cameras[:views], keypoints_2d=scene.keypoints_2d[:, :views])
    pixels = scene.noisy(2.0)
    pairs = [(i, j) for i in range(views) for j in range(i + 1, views)]
    confidence = torch.ones(pixels.shape[:-1])
    cameras, single = scene.cameras.to(dtype=torch.float32), pixels.float()
    # The people's bones differ from frame to frame.
    options = LabelOptions(fusion=fusion, max_residual=1e4, bone_tolerance=1e3, min_angle=0)

    def ours() -> torch.Tensor:
        labels = label_views(single, confidence, cameras, scene.skeleton, options)
        return torch.cat((labels.keypoints_2d, labels.depths.unsqueeze(-1)), -1)

    def theirs() -> torch.Tensor:
        return torch.from_numpy(_label_loop(scene, pixels.numpy(), pairs))

    return Work(ours, theirs, moved=0, count=frames * views, unit="samples")


def _encoding_loop(scene: Scene, boxes: Array) -> Array:
    """Make what a network is taught, (F, V, J, 3) label units, of world joints, one after the other."""
    cameras = scene.cameras
    R, t, K = (tensor.numpy() for tensor in (cameras.R, cameras.t, cameras.intrinsics))
    labels = np.zeros((*scene.keypoints_2d.shape[:-1], 3))
    for frame, pose in enumerate(scene.poses_3d.numpy()):
        for view in range(len(R)):
            local = np.array([R[view] @ joint + t[view] for joint in pose])
            projected = np.array([K[view] @ joint for joint in local])
            x, y, width, height = boxes[frame, view]
            to_image = [[width / _SIDE, 0, x - width / 2], [0, height / _SIDE, y - height / 2], [0, 0, 1]]
            to_patch = np.linalg.inv(np.array(to_image))[:2]
            for joint, (u, v, depth) in enumerate(projected):
                column, row = to_patch @ np.array([u / depth, v / depth, 1])
                labels[frame, view, joint] = column / _SIDE - 0.5, row / _SIDE - 0.5, (depth - local[0, 2]) / 2
    return labels


def encoding(frames: int) -> Work:
    """Make what a network is taught of world joints: projection, patch and label units, at once and in a loop."""
    scene = make_scene(frames)
    cameras, poses = scene.cameras.to(dtype=torch.float32), scene.poses_3d.float().unsqueeze(0)
    low, high = scene.keypoints_2d.amin(2), scene.keypoints_2d.amax(2)
    boxes = torch.cat(((low + high) / 2, 1.25 * (high - low)), -1)
    visible, around = torch.ones(4, frames, 17), boxes.movedim(1, 0).float()

    def ours() -> torch.Tensor:
        local = cameras.to_camera(poses.expand(4, -1, -1, -1))
        depths = local[..., 2] - local[..., :1, 2]
        to_image = patch_to_image(around, (_SIDE, _SIDE))
        labels, _ = encode_labels(cameras.project(local), visible, depths, to_image, (_SIDE, _SIDE), 2.0)
        return labels.movedim(0, 1)

    return Work(
        ours,
        lambda: torch.from_numpy(_encoding_loop(scene, boxes.numpy())),
        moved=0,
        count=4 * frames,
        unit="samples",
    )


def rig_of_a_person(frames: int) -> Work:
    """Find four cameras from what they have seen of one person: RANSAC for all six pairs, chain, bundle adjustment."""
    scene = make_scene(frames)
    pixels = scene.noisy(3.0, outliers=0.1)
    confidence = torch.ones(pixels.shape[:-1], dtype=torch.float64)
    return Work(
        lambda: estimate_rig(scene.cameras, pixels, confidence, scene.skeleton),
        None,
        moved=0,
        count=frames,
        unit="frames",
    )
