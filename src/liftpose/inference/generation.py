"""Poses out of nothing: the generator of a checkpoint, or joint limits alone, and the cameras that see them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from liftpose.data.draws import BatchPlace, Draws
from liftpose.data.synthetic import CAPTURE_CENTRE
from liftpose.errors import LiftposeError
from liftpose.geometry import Camera
from liftpose.geometry.bones import bone_length_templates
from liftpose.geometry.kinematics import forward_kinematics
from liftpose.geometry.random_poses import random_bone_lengths, random_joint_angles
from liftpose.inference.checkpoints import build_part, task_options
from liftpose.inference.lifting import build_lifter
from liftpose.tasks.augmenters import Augmenter, RandomPoses
from liftpose.weights.torch_files import read_checkpoint

__all__ = ["GeneratedClips", "LoadedGenerator", "generate_clips", "load_generator", "poses_from_limits"]

_PREFIX: Final = "augmenter."  # the name of the augmentation in a task
_POSES_AT_ONCE: Final = 8192
_LEAST_SEEN: Final = 1e-3  # share of the poses
_NEAREST: Final = 0.1  # metres from the camera's plane
_WIDEST: Final = 1.0  # tangent of the angle to the axis; the polynomial of the lens means nothing far outside

_ROOM: Final = 1.0  # metres from the middle of the floor, along either axis

FloatArray = NDArray[np.float32]
Sample = Callable[[Tensor, Draws], Tensor]


@dataclass(frozen=True, eq=False)
class LoadedGenerator:
    """Something that makes poses out of nothing.

    Attributes:
        sample: ``sample(lengths, draws)`` -> (B, T, 16, 3) metres, world frame with z up, for bone lengths (B, 15).
        name: What it is and where it comes from, for people to read.
    """

    sample: Sample
    name: str


class GeneratedClips(NamedTuple):
    """Clips that one camera sees.

    Attributes:
        poses_3d: (N, T, 16, 3) float32, metres, world frame.
        keypoints_2d: (N, T, 16, 2) float32, pixels.
        camera: (N,) int64, number of the camera.
        tried: How many clips were made.
        seen: How many of those a camera sees, these among them.
    """

    poses_3d: FloatArray
    keypoints_2d: FloatArray
    camera: NDArray[np.int64]
    tried: int
    seen: int


def load_generator(path: str | os.PathLike[str]) -> LoadedGenerator:
    """Build the generator of a checkpoint of a training with an augmentation that makes poses.

    Nothing that lies in the file is run, and only classes of liftpose are built.

    Args:
        path: The checkpoint.

    Returns:
        The generator, on the CPU.

    Raises:
        LiftposeError: The file is missing or broken, holds no augmentation or one that makes no poses out of nothing,
            or its weights do not fit.
    """
    where = f"--ckpt_path {path}"
    content = read_checkpoint(path)
    task = task_options(content, where, "lifter", "which says what it holds")
    if task.get("augmenter") is None:
        found = "none" if "augmenter" in task else f"one of {task.get('_class_path', 'a lifter alone')}"
        raise LiftposeError(f"{where}: expected a checkpoint of a training with an augmentation, found {found}")
    package = "liftpose.tasks.augmenters"
    augmenter = build_part(task["augmenter"], Augmenter, where, package)  # type: ignore[type-abstract]
    if type(augmenter).sample is Augmenter.sample:
        raise LiftposeError(
            f"{where}: expected an augmentation that makes poses out of nothing, found {type(augmenter).__name__}"
        )
    lifter = build_lifter(task, where)
    try:
        augmenter.check(lifter)
        augmenter.build(lifter)
    except LiftposeError as error:
        raise LiftposeError(f"{where}: {error}") from error
    _load_weights(augmenter, content.get("state_dict"), where)
    augmenter.eval().requires_grad_(False)
    sample = _standing(augmenter.sample) if isinstance(augmenter, RandomPoses) else augmenter.sample
    return LoadedGenerator(sample, f"{type(augmenter).__name__} ({path})")


def _load_weights(augmenter: Augmenter, saved: Any, where: str) -> None:
    """Give the augmentation the weights of the networks that make poses; critics may be missing."""
    entries = saved.items() if isinstance(saved, Mapping) else ()
    starts = tuple(f"{_PREFIX}{maker}." for maker in augmenter.makers)
    weights = {name.removeprefix(_PREFIX): value for name, value in entries if str(name).startswith(starts)}
    try:
        missing, unexpected = augmenter.load_state_dict(weights, strict=False)
        reason = f"too many: {unexpected[0]}" if unexpected else ""
        lacking = [name for name in missing if name.partition(".")[0] in augmenter.makers]
        if lacking:
            reason = f"none of {lacking[0]} and of {len(lacking) - 1} more"
    except (RuntimeError, AttributeError) as error:
        reason = str(error).partition("\n")[2].strip().split("\n")[0].strip() or str(error)
    if reason:
        raise LiftposeError(f"{where}: expected weights that fit its own {type(augmenter).__name__}, found: {reason}")


def poses_from_limits() -> LoadedGenerator:
    """Make single poses within joint limits, without a network.

    Returns:
        DH-AUG's generator without a network (:func:`liftpose.geometry.random_poses.random_joint_angles`), its people
        standing about the middle of the floor.
    """

    def sample(lengths: Tensor, draws: Draws) -> Tensor:
        angles, rotation = random_joint_angles(draws)
        bones = random_bone_lengths(lengths, draws)
        return forward_kinematics(angles[:, None], bones[:, None], rotation[:, None], lengths.new_zeros(1, 1, 3))

    return LoadedGenerator(_standing(sample), "random poses within joint limits")


def _standing(sample: Sample) -> Sample:
    """Put poses that are made at the origin somewhere on the floor, the lowest joint of a clip at its height."""

    def place(lengths: Tensor, draws: Draws) -> Tensor:
        poses = sample(lengths, draws)
        spot = torch.tensor(CAPTURE_CENTRE, dtype=poses.dtype) + _ROOM * (2 * draws.uniform(2).to(poses) - 1)
        height = -poses[..., 2].flatten(1).amin(dim=1, keepdim=True)
        return poses + torch.cat((spot, height), dim=1)[:, None, None]

    return place


def generate_clips(
    generator: LoadedGenerator,
    cameras: Camera,
    count: int,
    *,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> GeneratedClips:
    """Make clips until enough of them are seen: each whole, by one of the cameras.

    Bone lengths begin with those of one of five people of Human3.6M, drawn for each clip. A clip belongs to one camera,
    drawn among those in whose picture all its joints are in all frames; clips that no camera sees are dropped.

    Args:
        generator: What makes the poses.
        cameras: Cameras of batch shape (C,), world to camera in metres.
        count: Number of poses; the last clip may have more frames than are missing.
        seed: Seed of everything that is drawn.
        progress: Called with the number of poses there are, the number wanted and what is done.

    Returns:
        The clips.

    Raises:
        LiftposeError: The generator makes no poses out of nothing, numbers that are not finite, or poses that hardly
            ever a camera sees.
        ValueError: ``count`` is less than 1.
    """
    if count < 1:
        raise ValueError(f"expected a count from 1 up, found {count}")
    parts: list[GeneratedClips] = []
    kept = tried = 0
    with torch.inference_mode():
        for poses, choices in _batches(generator, len(cameras), seed):
            part = _seen(poses, choices, cameras)
            parts.append(part)
            frames = poses.shape[1]
            kept, tried = kept + len(part.camera), tried + len(poses)
            if kept < _LEAST_SEEN * tried and tried >= 2 * _POSES_AT_ONCE:
                raise LiftposeError(
                    f"{generator.name}: expected poses that a camera sees, found {kept} of {tried} (its training has "
                    "not come far enough, or its data stand elsewhere)"
                )
            if progress is not None:
                progress(min(kept * frames, count), count, "poses")
            if kept * frames >= count:
                break
    clips = -(-count // frames)
    poses_3d, keypoints, camera = (np.concatenate(column)[:clips] for column in list(zip(*parts, strict=True))[:3])
    return GeneratedClips(poses_3d, keypoints, camera, tried, kept)


def _batches(generator: LoadedGenerator, cameras: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield clips (B, T, 16, 3) without end, each with a number (B, C) uniform in [0, 1) for every camera."""
    templates = bone_length_templates()
    size, step = 256, 0
    while True:
        draws = Draws(seed, BatchPlace(0, step, 0, size, size))
        lengths = templates[draws.integers(len(templates))]
        choices = draws.uniform(cameras)
        poses = generator.sample(lengths, draws).float()
        if not poses.isfinite().all():
            raise LiftposeError(f"{generator.name}: expected finite poses, found others")
        yield poses, choices
        size, step = max(1, _POSES_AT_ONCE // poses.shape[1]), step + 1


def _seen(poses: Tensor, choices: Tensor, cameras: Camera) -> GeneratedClips:
    """Give each clip (B, T, 16, 3) one of the cameras that see it, and drop the others."""
    in_camera = cameras.to_camera(poses.expand(len(cameras), *poses.shape))  # (C, B, T, 16, 3)
    pixels = cameras.project(in_camera)
    depth = in_camera[..., 2:]
    inside = (pixels >= -0.5) & (pixels <= _borders(cameras, pixels))
    ahead = (depth > _NEAREST) & (in_camera[..., :2].abs() <= _WIDEST * depth)
    visible = (inside & ahead).flatten(2).all(-1).T  # (B, C)
    camera = torch.where(visible, choices, -1.0).argmax(dim=1)
    kept = visible.any(dim=1).nonzero()[:, 0]
    camera = camera[kept]
    return GeneratedClips(poses[kept].numpy(), pixels[camera, kept].numpy(), camera.numpy(), len(poses), len(kept))


def _borders(cameras: Camera, pixels: Tensor) -> Tensor:
    """The right and lower border of each picture; the origin is the centre of the first pixel."""
    size = cameras.image_size.to(pixels.dtype) - 0.5
    return size.reshape(len(cameras), *(1,) * (pixels.ndim - 2), 2)
