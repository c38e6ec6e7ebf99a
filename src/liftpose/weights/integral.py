"""Networks that find joints in pictures, in files of public codes, and where a training starts from.

The files are those of M. Kocabas, S. Karagoz, E. Akbas (CVPR 2019), whose networks have the names of weights that B.
Xiao, H. Wu, Y. Wei (ECCV 2018) gave to their heat-map networks.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from os import PathLike
from typing import Any, Final, Literal, NamedTuple, cast, get_args

import torch
from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.models.pose_resnet import HeatmapPose, IntegralPose, PoseResNet
from liftpose.processes import is_first_process
from liftpose.skeletons import SKELETONS, Skeleton
from liftpose.weights.published_lifter import skeletons_of_size
from liftpose.weights.published_network import PublishedNetwork, plain
from liftpose.weights.resnet import TakenOver, plain_weights, take_over, trunk_layers
from liftpose.weights.torch_files import read_checkpoint

__all__ = ["HeadStart", "Start", "integral_network", "load_integral", "start_integral"]

log = logging.getLogger(__name__)

HeadStart = Literal["by_name", "by_index", "new"]
"""Which rows of the last layer a training starts with: joints of one name, of one index, or none."""

_PREFIX: Final = "network."
_HEAD: Final = ("final_layer.weight", "final_layer.bias")
_DEPTH_HEAD: Final = ("depth_fc.weight", "depth_fc.bias")
_DECONVOLUTION: Final = re.compile(r"deconv_layers\.(\d{1,3})\.weight")
_CLASSIFIER: Final = "fc.weight"
_DEPTH_BINS: Final = 64
_PUBLISHED_ORDERS: Final = {17: ("h36m_17",), 16: ("mpii_16", "h36m_mpii_order_16")}
"""Joint orders of the public training, the likeliest first."""

_KNOWN_COUNTS: Final = frozenset(len(skeleton) for skeleton in SKELETONS.values())


class Start(NamedTuple):
    """What a network has taken from a file to start from.

    Attributes:
        source: What the file holds.
        taken: What became of the weights.
        joints: Names of the joints whose rows of the last layer were taken from the file.
        new_joints: Names of those that start from random weights.
        order: Name of the joint order that the file's rows are in, None where no rows were taken.
    """

    source: str
    taken: TakenOver
    joints: tuple[str, ...]
    new_joints: tuple[str, ...]
    order: str | None

    def __str__(self) -> str:
        """Say it in one line."""
        head = "all joints of the last layer are new"
        if self.order is not None:
            head = f"{len(self.joints)} joints of the last layer from rows in the order {self.order}"
            head += f", {len(self.new_joints)} new ({', '.join(self.new_joints)})" if self.new_joints else ", none new"
        return f"{self.source}: {self.taken}; {head}"


def integral_network(content: Mapping[str, Any], where: str) -> PublishedNetwork | None:
    """Find a network that looks at pictures in the contents of a public code's file.

    Whether it gives volumes or heat maps, the rows of its last layer tell: below 64 there is one for each joint, and
    from 64 on, 64 (published) or as many as the options say.

    Args:
        content: What :func:`liftpose.weights.read_checkpoint` gives: a bare state dict, or one in ``state_dict``.
        where: What it was read from, for messages.

    Returns:
        The network; None if the file is no such file.

    Raises:
        LiftposeError: The weights are not whole, or for joints of no known skeleton.
    """
    saved = content.get("state_dict", content)
    names = [str(name).removeprefix("module.") for name in saved] if isinstance(saved, Mapping) else []
    if not any(name.startswith(("deconv_layers.", "final_layer.")) for name in names):
        return None
    weights = plain_weights(content, where)
    for name in (*_HEAD, "conv1.weight"):
        if name not in weights:
            raise LiftposeError(f"{where}: expected the weights of a pose network, found no tensor {name}")
    left_out = tuple(name for name in _DEPTH_HEAD if weights.pop(name, None) is not None)
    rows, _, final_kernel, _ = _shape(weights, "final_layer.weight", where)
    told: dict[str, tuple[Any, ...]] = {"layers": (trunk_layers(weights, where),)}
    numbers = sorted(int(match[1]) for match in map(_DECONVOLUTION.fullmatch, weights) if match)
    names = [f"deconv_layers.{number}.weight" for number in numbers]
    shapes = [_shape(weights, name, where) for name in names if name in weights and weights[name].ndim == 4]
    told["deconv_channels"] = (tuple(shape[1] for shape in shapes),)
    told["deconv_kernels"] = (tuple(shape[2] for shape in shapes),)
    told["final_kernel"] = (final_kernel,)
    if left_out or rows < _DEPTH_BINS:
        told["skeleton"] = _orders(rows, where)
        likely = {name: values[0] for name, values in told.items()}
        return PublishedNetwork("HeatmapPose", HeatmapPose, weights, likely, left_out, lambda _: told)

    def fitting(options: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
        skeleton = SKELETONS.get(plain(options.get("skeleton", "")))
        bins = int(options.get("depth_bins", _DEPTH_BINS))
        own = 0 if skeleton is None else len(skeleton)
        as_asked = own if own * bins == rows else 0
        # As asked for in all, the published bins, the bins asked for, the joints asked for, the published joints.
        counts = (as_asked, rows / _DEPTH_BINS, rows / bins, own, *_PUBLISHED_ORDERS)
        joints = next((int(count) for count in counts if count in _KNOWN_COUNTS and rows % count == 0), 0)
        if not joints:
            raise LiftposeError(
                f"{where}: expected {_DEPTH_BINS} maps for each joint of a known skeleton, found {rows} maps"
            )
        return told | {"skeleton": _orders(joints, where), "depth_bins": (rows // joints,)}

    likely = {name: values[0] for name, values in fitting({}).items()}
    return PublishedNetwork("IntegralPose", IntegralPose, weights, likely, left_out, fitting)


def load_integral(path: str | PathLike[str], **options: Any) -> PoseResNet:
    """Build the network in a file of the public code, ready for evaluation.

    Args:
        path: The file.
        options: Arguments of its class. One that contradicts the weights is an error.

    Returns:
        An :class:`~liftpose.models.IntegralPose` or :class:`~liftpose.models.HeatmapPose` in evaluation mode, float32,
        on the CPU.

    Raises:
        LiftposeError: The file cannot be read, its weights are those of no such network or not whole, or they
            contradict an option; the message names what differs.
    """
    found = integral_network(read_checkpoint(path), str(path))
    if found is None:
        raise LiftposeError(f"{path}: expected weights of a network that finds joints in pictures, found others")
    return cast(PoseResNet, found.build(str(path), **options))


def start_integral(network: PoseResNet, path: str | PathLike[str], head: HeadStart = "by_name") -> Start:
    """Let a network start from weights that were trained for something like its own task, and say what became of them.

    The file may be a checkpoint of liftpose, a file of the public code (volumes or heat maps), or a classifier in
    torchvision's names. Which of them it is, its contents tell. Tensors that do not fit stay as they are; rows of the
    last layer are taken joint by joint.

    Args:
        network: The network, which is changed.
        path: The file.
        head: "by_name" takes the rows of joints that have the same name in both joint orders; "by_index" those of all
            joints, whatever their names (published for MPII's network and Human3.6M joints in MPII's order); "new" none
            (published for networks of other joints). A file that does not say its joint order has that of the network
            if the number of joints is the same, else that of MPII (16) or Human3.6M (17).

    Returns:
        What became of the weights, also logged in one line.

    Raises:
        LiftposeError: The file cannot be read, holds no such network or one of another depth, or has another number of
            joints for "by_index"; nothing was changed.
    """
    where = f"model.init_from {path}"
    if head not in get_args(HeadStart):
        raise LiftposeError(f"model.init_joints: expected one of {', '.join(get_args(HeadStart))}, found {head}")
    content = read_checkpoint(path)
    weights, source, order = _pose_weights(content, where)
    if not weights:
        found = ", ".join(sorted(map(str, content))[:8]) or "nothing"
        raise LiftposeError(f"{where}: expected the weights of a network that looks at pictures, found {found}")
    layers = trunk_layers(weights, where)
    if layers != network.layers:
        raise LiftposeError(
            f"{where}: expected the weights of a ResNet-{network.layers}, found those of a ResNet-{layers} "
            f"(--model.network.layers {layers})"
        )
    final: dict[str, Tensor] = {name: weights.pop(name) for name in _HEAD if name in weights}
    order = _order_of(network, final, order)
    rows = {} if order is None or head == "new" else _joint_rows(network.skeleton, order, head, where)
    head_weights = _filled(network, final, rows) if rows else {}
    taken = take_over(network, weights | head_weights)
    if not rows and final:  # they are in the file, but not for this network
        missing = tuple(name for name in taken.missing if name not in final)
        mismatched = taken.mismatched if head == "new" else (*taken.mismatched, *final)
        left_out = (*taken.left_out, *final) if head == "new" else taken.left_out
        taken = TakenOver(taken.matched, missing, mismatched, left_out)
    names = network.skeleton.joint_names
    start = Start(
        f"{where}: {source}",
        taken,
        tuple(name for joint, name in enumerate(names) if joint in rows),
        tuple(name for joint, name in enumerate(names) if joint not in rows),
        order.name if rows and order is not None else None,
    )
    if is_first_process():
        log.warning("%s", start)
    return start


def _pose_weights(content: Mapping[str, Any], where: str) -> tuple[dict[str, Tensor], str, Skeleton | None]:
    """Return the weights in a file, what they are, and their joint order where the file says it."""
    weights = plain_weights(content, where)
    own = {name.removeprefix(_PREFIX): tensor for name, tensor in weights.items() if name.startswith(_PREFIX)}
    if own:
        weights, source, order = own, "a checkpoint of liftpose", _saved_order(content)
    else:
        source, order = "weights of a pose network", None
        if _CLASSIFIER in weights:
            source = "weights of a classifier"
    return (weights if "conv1.weight" in weights else {}), source, order


def _saved_order(content: Mapping[str, Any]) -> Skeleton | None:
    """Return the joint order that a checkpoint of liftpose was trained in, None where it does not say it."""
    options = content.get("hyper_parameters")
    network = options.get(_PREFIX.removesuffix(".")) if isinstance(options, Mapping) else None
    if not isinstance(network, Mapping):
        return None
    kind = HeatmapPose if str(network.get("class_path", "")).endswith("HeatmapPose") else IntegralPose
    default = "mpii_16" if kind is HeatmapPose else "h36m_17"
    return SKELETONS.get(str((network.get("init_args") or {}).get("skeleton", default)))


def _order_of(network: PoseResNet, final: Mapping[str, Tensor], order: Skeleton | None) -> Skeleton | None:
    """Return the joint order of the rows of a last layer, None where they are not made as those of the network.

    A file that does not say its order is taken to be one of the public training.
    """
    if len(final) < len(_HEAD) or final[_HEAD[1]].ndim != 1:
        return None
    weight, bias = (final[name] for name in _HEAD)
    rows, outputs = len(bias), network.outputs
    if weight.shape != (rows, *network.final_layer.weight.shape[1:]):
        return None
    order = order or (network.skeleton if rows == len(network.skeleton) * outputs else None)
    if order is not None:
        return order if rows == len(order) * outputs else None
    joints = rows // outputs
    return (
        SKELETONS[_PUBLISHED_ORDERS[joints][0]] if outputs in {1, _DEPTH_BINS} and joints in _PUBLISHED_ORDERS else None
    )


def _joint_rows(own: Skeleton, order: Skeleton, head: HeadStart, where: str) -> dict[int, int]:
    """Return which joint of the file each joint of the network starts from."""
    if head == "by_name":
        names = order.joint_names
        return {joint: names.index(name) for joint, name in enumerate(own.joint_names) if name in names}
    if len(order) != len(own):
        raise LiftposeError(
            f"{where}: expected the {len(own)} joints of {own.name} to take them by index, found {len(order)}"
        )
    return {joint: joint for joint in range(len(own))}


def _filled(network: PoseResNet, final: Mapping[str, Tensor], rows: Mapping[int, int]) -> dict[str, Tensor]:
    """Return the last layer of a network with the rows of some joints taken from another."""
    result = {}
    for name in _HEAD:
        own = network.state_dict()[name]
        parts, saved = (tensor.reshape(-1, network.outputs, *tensor.shape[1:]) for tensor in (own.clone(), final[name]))
        parts[list(rows)] = saved[list(rows.values())].to(own.dtype)
        result[name] = parts.reshape(own.shape)
    return result


def _shape(weights: Mapping[str, Tensor], name: str, where: str) -> torch.Size:
    tensor = weights[name]
    if tensor.ndim != 4 or not tensor.numel():
        raise LiftposeError(f"{where}: {name}: expected a convolution's weights, found shape {tuple(tensor.shape)}")
    return tensor.shape


def _orders(joints: int, where: str) -> tuple[str, ...]:
    """Return the names of the joint orders that a number of joints may mean, the likeliest first."""
    return _PUBLISHED_ORDERS.get(joints) or skeletons_of_size(where, joints)
