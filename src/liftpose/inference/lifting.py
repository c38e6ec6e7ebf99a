"""Lifters from their checkpoints alone, and the poses that they predict; no trainer, no configuration."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from liftpose.data.lifting_windows import lifting_windows
from liftpose.data.recording import Recording
from liftpose.errors import LiftposeError
from liftpose.inference.checkpoints import build_part, task_options
from liftpose.models.lifter import Lifter, flip_averaged, following, predict_windows, relative_to_root
from liftpose.weights.lifters import lifter_weights_of
from liftpose.weights.published import published_lifter
from liftpose.weights.torch_files import read_checkpoint

__all__ = ["LoadedLifter", "build_lifter", "load_lifter", "predict_poses"]


@dataclass(frozen=True, eq=False)
class LoadedLifter:
    """A lifter that is ready to predict.

    Attributes:
        lifter: The network with its weights, in evaluation mode.
        flip_test: Whether its predictions are averaged with those of mirrored windows, as in its training.
        name: What it is and where it comes from, for people to read.
        subtract_root: Whether the root of a prediction is subtracted from it, as in its training.
    """

    lifter: Lifter
    flip_test: bool
    name: str
    subtract_root: bool = False

    def to(self, device: torch.device | str) -> LoadedLifter:
        """Move the network to a device and return this object."""
        self.lifter.to(device)
        return self


def load_lifter(path: str | os.PathLike[str]) -> LoadedLifter:
    """Build a lifter from a checkpoint that liftpose or a paper's public code has written.

    A checkpoint of liftpose says which network it holds and with which options; the shapes of published weights tell it
    but for what ``liftpose weights import`` can be told. Nothing that lies in the file is run, and only networks of
    liftpose are built.

    Args:
        path: The checkpoint.

    Returns:
        The lifter, on the CPU.

    Raises:
        LiftposeError: The file is missing or broken, does not say what it holds, names a class that is no lifter of
            liftpose, or its weights do not fit.
    """
    where = f"--ckpt_path {path}"
    content = read_checkpoint(path)
    published = published_lifter(content, where)
    if published is not None:
        lifter = published.build(where).requires_grad_(False)
        return LoadedLifter(lifter, True, f"{published.system} of its authors ({path})")
    task = task_options(content, where, "lifter", "which says what lifter it holds")
    lifter = build_lifter(task, where)
    weights = lifter_weights_of(content, where)
    lifter.check_identity(weights.identity, where)
    try:
        lifter.load_state_dict(weights.state_dict)
    except RuntimeError as error:
        reason = str(error).partition("\n")[2].strip().split("\n")[0].strip() or str(error)
        raise LiftposeError(
            f"{where}: expected weights that fit its own {type(lifter).__name__}, found: {reason}"
        ) from error
    lifter.eval().requires_grad_(False)
    name = type(lifter).__name__ + (f" stage {lifter.stage}" if lifter.encoder_names else "")
    flip_test, subtract_root = bool(task.get("flip_test", True)), bool(task.get("subtract_root", False))
    return LoadedLifter(lifter, flip_test, f"{name} ({path})", subtract_root)


def predict_poses(
    loaded: LoadedLifter,
    recording: Recording,
    *,
    batch_size: int = 1024,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Predict the pose of every frame of a recording: the same numbers that ``liftpose predict`` writes.

    Args:
        loaded: The lifter; the work is done on its device.
        recording: Keypoints in pixels, with a camera that says how large its pictures are.
        batch_size: Number of windows that are predicted at once.
        progress: Called with the number of frames done and of all frames.

    Returns:
        (N, J, 3) metres relative to the root, camera frame.

    Raises:
        LiftposeError: The joints are not those of the lifter, there is no camera or no frame, or a keypoint or a
            predicted coordinate is not finite.
        ValueError: ``batch_size`` is less than 1.
    """
    if batch_size < 1:
        raise ValueError(f"expected a batch_size from 1 up, found {batch_size}")
    lifter = loaded.lifter
    if recording.skeleton != lifter.skeleton:
        raise LiftposeError(
            f"{recording.name}: expected the skeleton {lifter.skeleton.name} of the lifter {loaded.name}, found "
            f"{recording.skeleton.name}"
        )
    if recording.keypoint_skeleton != lifter.keypoint_skeleton:
        raise LiftposeError(
            f"{recording.name}: expected keypoints of {lifter.keypoint_skeleton.name} for the lifter {loaded.name}, "
            f"found those of {recording.keypoint_skeleton.name}"
        )
    state = next(iter((*lifter.parameters(), *lifter.buffers())), torch.empty(0))
    windows = lifting_windows([recording], lifter.receptive_field, causal=lifter.causal).to(state.device)
    lifter.eval()
    poses = []
    with torch.inference_mode():
        for first in range(0, len(windows), batch_size):
            numbers = torch.arange(first, min(first + batch_size, len(windows)))
            batch = windows.gather(numbers)
            predict = flip_averaged if loaded.flip_test else predict_windows
            pose = predict(lifter, batch.keypoints_2d.to(state.dtype), following(batch.sequence, batch.frame))
            pose = relative_to_root(pose, lifter.skeleton) if loaded.subtract_root else pose
            poses.append(pose[:, 0].float().cpu().numpy())
            if progress is not None:
                progress(int(numbers[-1]) + 1, len(windows))
    result: NDArray[np.float32] = np.concatenate(poses)
    if not np.isfinite(result).all():
        raise LiftposeError(f"{loaded.name}: expected finite poses of {recording.name}, found others")
    return result


def build_lifter(task: Mapping[str, Any], where: str) -> Lifter:
    """Build the network that a checkpoint names, if it is one of liftpose.

    Args:
        task: The options of the task of the checkpoint.
        where: What the checkpoint was read from, for messages.

    Returns:
        The network with random weights.

    Raises:
        LiftposeError: It is no lifter of liftpose, or its options are not what its class takes.
    """
    return build_part(task.get("lifter"), Lifter, where, "liftpose.models")
