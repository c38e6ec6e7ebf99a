"""From the official files of Human3.6M to those that the field's programs read, with the true keypoints."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import torch

from liftpose.formats.h36m_official import read_official_h36m
from liftpose.formats.h36m_writer import write_h36m_files
from liftpose.formats.keypoint_layouts import keypoint_metadata
from liftpose.formats.known_datasets import h36m_info
from liftpose.formats.npz import Deferred
from liftpose.formats.prepared import Prepared, refuse_existing
from liftpose.geometry import Camera, denormalize_screen, h36m_cameras, intrinsic_vector, project_published
from liftpose.skeletons import H36M_17, H36M_32, adapt

__all__ = ["convert_h36m", "true_keypoints"]

FloatArray = npt.NDArray[np.float32]

_BLOCK = 512
"""Frames that are projected at once; more of them do not fit into a processor's cache."""


def convert_h36m(
    kind: str,
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    compress: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> Prepared:
    """Write ``data_3d_h36m.npz`` and ``data_2d_h36m_gt.npz`` from official files of Human3.6M.

    All 32 joints are stored as they are given, in metres. The keypoints are those of :func:`true_keypoints`; they are
    made take by take while they are written.

    Args:
        kind: ``"cdf"``, ``"mat"`` or ``"archive"``, see :func:`liftpose.formats.h36m_official.read_official_h36m`.
        path: The official files.
        out: Folder to write to; made if need be.
        overwrite: Replace files that are there.
        compress: Deflate the arrays: files a little smaller, but writing and reading take many times as long.
        progress: Called before each take that is read and each that is projected, with its number from 0, the number
            of takes, and its name.

    Returns:
        Numbers of takes and frames of everybody, what was left out, and the files written.

    Raises:
        LiftposeError: There are such files already, the official files are not as expected, or a file cannot be
            written. Nothing is left half-written, and old files stay until all the new ones are whole.
    """
    info = h36m_info()
    if not overwrite:
        refuse_existing(out, info.name)
    poses = read_official_h36m(kind, path, progress)
    count = sum(map(len, poses.values()))
    done = 0

    def project(subject: str, action: str) -> Deferred:
        def run() -> list[FloatArray]:
            nonlocal done
            if progress:
                progress(done, count, f"2D of {subject} {action}")
            done += 1
            return true_keypoints(poses[subject][action], cameras[subject])

        return Deferred(run)

    cameras = {subject: h36m_cameras(subject) for subject in poses}
    keypoints = {subject: {action: project(subject, action) for action in takes} for subject, takes in poses.items()}
    metadata = keypoint_metadata(info.skeleton)
    del metadata["layout_name"]  # the field's file of the true keypoints has none
    files = write_h36m_files(out, info, poses, {"gt": (keypoints, metadata)}, compress=compress)
    if progress:
        progress(count, count, "2D")
    return Prepared(_count(poses, info.fps), files)


def _count(poses: Mapping[str, Mapping[str, FloatArray]], fps: float) -> list[str]:
    """Say how much there is of everybody, and what was left out."""

    def amount(takes: list[int]) -> str:
        return f"{len(takes)} takes, {sum(takes):,} frames, {sum(takes) / fps / 60:.1f} minutes"

    lengths = {subject: [len(pose) for pose in takes.values()] for subject, takes in poses.items()}
    everything = [frames for takes in lengths.values() for frames in takes]
    return [
        *(f"{subject:<{max(map(len, lengths))}}  {amount(takes)}" for subject, takes in lengths.items()),
        f"{len(lengths)} subjects, {amount(everything)}, seen by 4 cameras",
        "left out: Directions of S11, as everywhere (its video is damaged)",
    ]


def true_keypoints(poses: npt.NDArray[np.float32], cameras: Camera) -> list[FloatArray]:
    """Project poses of Human3.6M as the field's file ``data_2d_h36m_gt.npz`` has them.

    By the published projection, which clamps x / z and y / z (:func:`liftpose.geometry.project_published`), in float32.

    Args:
        poses: (N, 32, 3) metres, world frame.
        cameras: Cameras of batch shape (C,), float32, lens model of the authors.

    Returns:
        For each camera (N, 17, 2) pixels, joints of ``h36m_17``.
    """
    joints = torch.from_numpy(np.ascontiguousarray(adapt(poses, H36M_32, H36M_17)))
    vector = intrinsic_vector(cameras)
    views = torch.empty(len(cameras), len(poses), len(H36M_17), 2)
    for start in range(0, len(poses), _BLOCK):
        block = slice(start, start + _BLOCK)
        screen = project_published(cameras.to_camera(joints[None, block]), vector)
        views[:, block] = denormalize_screen(screen, cameras.image_size)
    return list(views.numpy())
