"""Generators and critics of the public code of DH-AUG and PoseAug.

Ours have the published names of weights, so nothing is renamed. The public critics of motions own the layers of
branches that are switched off; those are left out here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from liftpose.errors import LiftposeError
from liftpose.models.dh_aug import OUTPUTS, DHGenerator
from liftpose.models.dh_critics import MotionCritic2D, MotionCritic3D, PoseCritic2D, PoseCritic3D
from liftpose.models.poseaug import PartCritic3D, PoseAugGenerator
from liftpose.models.rie_state import require_same_shapes
from liftpose.weights.torch_files import public_weights, read_checkpoint

__all__ = ["Critic", "load_dh_aug_critic", "load_dh_aug_generator", "load_poseaug_generator"]

Source = str | PathLike[str] | Mapping[str, Tensor]
Critic = PoseCritic3D | PoseCritic2D | MotionCritic3D | MotionCritic2D | PartCritic3D
"""The critics of DH-AUG, and PoseAug's critic of parts; its 2D critic is a :class:`PoseCritic2D` of width 100."""

Network = TypeVar("Network", bound=nn.Module)


def load_dh_aug_generator(path_or_state_dict: Source, **options: Any) -> DHGenerator:
    """Build DH-AUG's generator with weights of the public code, ready for making poses.

    Args:
        path_or_state_dict: A file with the network's ``state_dict()``, or the state dict itself.
        options: Arguments of :class:`~liftpose.models.dh_aug.DHGenerator` that the shapes do not tell: ``limits``,
            ``global_rotation`` and ``arm_columns``. The weights were trained with ``arm_columns="released"``, and make
            the poses that they were trained for only with it. One that contradicts the weights is an error.

    Returns:
        The network in evaluation mode, float32, on the CPU.

    Raises:
        LiftposeError: The file cannot be read, or its weights are not those of the network; the message names what
            differs.
    """
    where, weights = _read(path_or_state_dict)
    width, noise_dim = _matrix(weights, "preprocess.0.weight", where)
    outputs, _ = _matrix(weights, "deconv_out.weight", where)
    if outputs % OUTPUTS:
        raise LiftposeError(f"{where}: deconv_out.weight: expected {OUTPUTS} rows for each frame, found {outputs}")
    sizes = {"frames": outputs // OUTPUTS, "width": width, "noise_dim": noise_dim}
    for name, size in sizes.items():
        if options.get(name, size) != size:
            raise LiftposeError(f"{where}: {name}: expected {options[name]}, found {size}")
    return _build(lambda: DHGenerator(**(options | sizes)), weights, where)


def load_dh_aug_critic(
    path_or_state_dict: Source, positions: bool | None = None, differences: bool | None = None
) -> Critic:
    """Build a critic of DH-AUG or PoseAug with weights of the public code. The weights tell which one it is.

    Args:
        path_or_state_dict: A file with the network's ``state_dict()``, or the state dict itself.
        positions: For a critic of motions in 3D, whether it sees the joints; None for what the weights tell.
        differences: Whether it sees their changes from frame to frame. With three branches the weights do not tell
            which of the two is switched off.

    Returns:
        The network in evaluation mode, float32, on the CPU.

    Raises:
        LiftposeError: The file cannot be read, or its weights are not those of a critic, or they do not tell enough;
            the message names what differs.
    """
    where, weights = _read(path_or_state_dict)
    if "kcs_path_1.kcs_layer_1.weight" in weights:
        width, _ = _matrix(weights, "kcs_path_1.kcs_layer_1.weight", where)
        last_width, _ = _matrix(weights, "kcs_path_1.layer_last.weight", where)
        return _build(lambda: PartCritic3D(width, last_width), weights, where)
    if "pose_layer_1.weight" in weights:
        width, _ = _matrix(weights, "pose_layer_1.weight", where)
        return _build(lambda: PoseCritic2D(width), weights, where)
    if "pos_2d_previous.0.weight" in weights:
        width, features = _matrix(weights, "pos_2d_previous.0.weight", where)
        return _build(lambda: MotionCritic2D(features // 32, width), weights, where)
    if "diff_special_KCS_previous.0.weight" in weights:
        width, features = _matrix(weights, "special_KCS_previous.0.weight", where)
        merged = _matrix(weights, "kcs_merge_previous.0.weight", where)[1]
        joints, changes = _branches(merged // width, positions, differences, where)
        off = tuple(name for name, on in (("pos_3d_", joints), ("diff_pos_3d_", changes)) if not on)
        weights = {key: tensor for key, tensor in weights.items() if not key.startswith(off)}
        return _build(lambda: MotionCritic3D(features // 15, width, joints, changes), weights, where)
    if "special_KCS_previous.0.weight" not in weights:
        raise LiftposeError(f"{where}: expected the weights of a critic, found {next(iter(weights), 'nothing')}")
    width, _ = _matrix(weights, "special_KCS_previous.0.weight", where)
    return _build(lambda: PoseCritic3D(width), weights, where)


def load_poseaug_generator(path_or_state_dict: Source) -> PoseAugGenerator:
    """Build PoseAug's generator with weights of the public code, ready for making poses.

    Args:
        path_or_state_dict: A file with the network's ``state_dict()``, or the state dict itself.

    Returns:
        The network in evaluation mode, float32, on the CPU.

    Raises:
        LiftposeError: The file cannot be read, or its weights are not those of the network; the message names what
            differs.
    """
    where, weights = _read(path_or_state_dict)
    width, _ = _matrix(weights, "BAprocess.w1.weight", where)
    return _build(lambda: PoseAugGenerator(width), weights, where)


def _read(source: Source) -> tuple[str, dict[str, Any]]:
    """Return what weights are called in messages, and the weights."""
    where = "weights" if isinstance(source, Mapping) else str(source)
    return where, public_weights(source if isinstance(source, Mapping) else read_checkpoint(source), where)


def _matrix(weights: Mapping[str, Any], name: str, where: str) -> tuple[int, int]:
    """Return the shape of a weight."""
    tensor = weights.get(name)
    if not isinstance(tensor, Tensor) or tensor.ndim != 2 or not tensor.numel():
        found = (
            "none" if tensor is None else tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
        )
        raise LiftposeError(f"{where}: {name}: expected a matrix with numbers, found {found}")
    return tensor.shape[0], tensor.shape[1]


def _branches(stems: int, positions: bool | None, differences: bool | None, where: str) -> tuple[bool, bool]:
    """Return which branches of a critic of motions are switched on, of which the number of stems is known."""
    possible = [
        (joints, changes)
        for joints in (True, False)
        for changes in (True, False)
        if 2 + joints + changes == stems and positions in {None, joints} and differences in {None, changes}
    ]
    if len(possible) != 1:
        raise LiftposeError(
            f"{where}: expected the options positions and differences to say which of the critic's branches are "
            f"switched on, found {stems} branches with positions {positions} and differences {differences}"
        )
    return possible[0]


def _build(make: Callable[[], Network], weights: Mapping[str, Any], where: str) -> Network:
    """Build a network with its weights."""
    try:
        with torch.device("meta"):  # without memory, which is taken only for sizes that fit
            shapes = make().state_dict()
    except LiftposeError as error:
        raise LiftposeError(f"{where}: {error}") from error
    for name, tensor in weights.items():
        if not isinstance(tensor, Tensor):
            raise LiftposeError(f"{where}: {name}: expected a tensor, found {type(tensor).__name__}")
    require_same_shapes(shapes, weights, where)
    with torch.random.fork_rng(devices=[]):  # the initial weights are thrown away: no random numbers for them
        network = make()
    network.load_state_dict(weights)
    return network.eval()
