"""Lifters in files of the papers' public code: which network, and which options the weights tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any, cast

from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.models import RIE, Lifter, VideoPose
from liftpose.models.rie_state import describe_state_dict
from liftpose.models.videopose import describe_videopose
from liftpose.skeletons import PARTS, SKELETONS, Skeleton
from liftpose.weights.dh_aug import poseformer, semgcn, simple_baseline, stgcn
from liftpose.weights.published_lifter import PublishedLifter, plain, skeletons_of, skeletons_of_size
from liftpose.weights.refiner import is_refiner
from liftpose.weights.rie import rie_state_dict_from_public
from liftpose.weights.torch_files import PREFIX, read_checkpoint
from liftpose.weights.videopose import videopose_state_dict_from_public

__all__ = ["SYSTEMS", "load_dh_aug", "load_videopose", "published_lifter", "read_published"]

_ENTRIES = ("model_pos", "state_dict")  # RIE, VideoPose3D and DH-AUG; PoseAug


def load_videopose(path_or_state_dict: str | PathLike[str] | Mapping[str, Tensor], **options: Any) -> VideoPose:
    """Build a VideoPose model with published weights, ready for evaluation.

    What the shapes of the weights tell (widths, channels, numbers of joints) is taken from them; which skeletons have
    these numbers of joints is guessed unless an option says it, and that the model is not causal is taken for granted.

    Args:
        path_or_state_dict: A checkpoint of the published code, or the ``model_pos`` in one.
        options: Arguments of :class:`~liftpose.models.VideoPose`. One that contradicts the weights is an error.

    Returns:
        The model in evaluation mode, float32, on the CPU.

    Raises:
        LiftposeError: The file cannot be read, or its weights are not those of VideoPose3D, or they contradict an
            option; the message names what differs.
    """
    where, found = _named(path_or_state_dict)
    if found is None or found.system != "VideoPose3D":
        raise LiftposeError(f"{where}: expected weights of VideoPose3D, found {found.system if found else 'others'}")
    return cast(VideoPose, found.build(where, **options))


def load_dh_aug(path_or_state_dict: str | PathLike[str] | Mapping[str, Tensor], **options: Any) -> Lifter:
    """Build the lifter in a file of DH-AUG or PoseAug, ready for evaluation.

    Which network it is, the names of its weights tell: SimpleBaseline, SemGCN, ST-GCN, VideoPose of one frame or
    several, or PoseFormer. What the shapes of the weights tell (sizes, numbers of joints and frames) is taken from
    them.

    Args:
        path_or_state_dict: A ``ckpt_*.pth.tar`` of the published code, or the ``model_pos`` or ``state_dict`` in one.
        options: Arguments of the network's class. One that contradicts the weights is an error.

    Returns:
        The network in evaluation mode, float32, on the CPU.

    Raises:
        LiftposeError: The file cannot be read, its weights are those of no such network or not whole, or they
            contradict an option; the message names what differs.
    """
    where, found = _named(path_or_state_dict)
    if found is None or found.system == "RIE":
        others = ", ".join(system for system in SYSTEMS if system != "RIE")
        raise LiftposeError(
            f"{where}: expected weights of one of {others}, found {found.system if found else 'others'}"
        )
    return found.build(where, **options)


def _named(path_or_state_dict: str | PathLike[str] | Mapping[str, Tensor]) -> tuple[str, PublishedLifter | None]:
    """Return what a message calls a file or some weights, and the lifter in them."""
    if isinstance(path_or_state_dict, Mapping):
        return "weights", published_lifter({"model_pos": path_or_state_dict}, "weights")
    return str(path_or_state_dict), read_published(path_or_state_dict)


def read_published(path: str | PathLike[str]) -> PublishedLifter | None:
    """Read a lifter from a file of a paper's public code.

    Args:
        path: The file.

    Returns:
        The lifter; None if the file is no such file.

    Raises:
        LiftposeError: The file cannot be read, or its weights are not whole.
    """
    return published_lifter(read_checkpoint(path), str(path))


def published_lifter(content: Mapping[str, Any], where: str) -> PublishedLifter | None:
    """Find a lifter in the contents of a file of a paper's public code.

    Args:
        content: What :func:`liftpose.weights.read_checkpoint` gives.
        where: What it was read from, for messages.

    Returns:
        The lifter; None if the file is no such file.

    Raises:
        LiftposeError: The weights are not whole, are those of another network, or are for joints of no known skeleton.
    """
    if is_refiner(content):  # which begins as SimpleBaseline does
        return None
    for entry in _ENTRIES:
        weights = content.get(entry)
        if not isinstance(weights, Mapping):
            continue
        names = [str(name).removeprefix(PREFIX) for name in weights]
        for marks, describe in _READERS.values():
            if any(name.startswith(marks) for name in names):
                others = tuple(
                    str(name)
                    for name, value in content.items()
                    if str(name).startswith("model_") and name != entry and value is not None
                )
                return describe(weights, where, others)
        if entry == "model_pos":
            found = names[0] if names else "nothing"
            known = " or ".join((", ".join(SYSTEMS[:-1]), SYSTEMS[-1]))
            raise LiftposeError(f"{where}: expected weights of {known} in model_pos, found {found}")
    return None


def _rie(public: Mapping[str, Tensor], where: str, others: tuple[str, ...]) -> PublishedLifter:
    state_dict = rie_state_dict_from_public(public, where)
    found = describe_state_dict(state_dict)
    skeletons = skeletons_of(where, lambda skeleton: _part_sizes(skeleton) == found["joints"], found["joints"])
    told: dict[str, tuple[Any, ...]] = {
        name: (found[name],) for name in ("filter_widths", "channels", "latent_dim", "hidden_dim")
    }
    told |= {"stage": tuple(reversed(found["stages"])), "skeleton": skeletons}

    def fitting(options: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
        # The public code takes the middle frame as current even in a causal network.
        return told | {"current": ("middle",) if options.get("causal") else ("auto", "middle")}

    likely = {name: values[0] for name, values in fitting({}).items()}
    return PublishedLifter("RIE", RIE, state_dict, likely, others, fitting)


def _part_sizes(skeleton: Skeleton) -> dict[str, int]:
    return {part: len(skeleton.parts.get(part, ())) for part in PARTS}


def _videopose(public: Mapping[str, Tensor], where: str, others: tuple[str, ...]) -> PublishedLifter:
    state_dict = videopose_state_dict_from_public(public, where)
    found = describe_videopose(state_dict, where)
    keypoints, joints = found["keypoints"], found["joints"]

    def fitting(options: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
        skeleton = SKELETONS.get(plain(options.get("skeleton", "")))
        size = -1 if skeleton is None else len(skeleton)
        if size in {joints, joints + 1}:
            root = size == joints
        else:  # as in the single frame networks of PoseAug and DH-AUG, whose root is not estimated
            root = keypoints != joints + 1
        poses = skeletons_of_size(where, joints if root else joints + 1)
        own = size if size in {joints, joints + 1} else len(SKELETONS[poses[0]])
        detected: tuple[str | None, ...] = skeletons_of_size(where, keypoints)
        if own == keypoints:
            detected = (None, *detected)
        elif "coco_17" in detected:  # what the usual detectors give
            detected = ("coco_17", *detected)
        return {
            "filter_widths": (found["filter_widths"],),
            "channels": (found["channels"],),
            "skeleton": poses,
            "keypoint_skeleton": detected,
            "predict_root": (root,),
        }

    likely = {name: values[0] for name, values in fitting({}).items()}
    return PublishedLifter("VideoPose3D", VideoPose, state_dict, likely, others, fitting)


_Reader = Callable[[Mapping[str, Tensor], str, tuple[str, ...]], PublishedLifter]
_READERS: dict[str, tuple[tuple[str, ...], _Reader]] = {
    "RIE": (("LocalLayer_", "GlobalInfo.", "FuseBlocks.", "Integration_"), _rie),
    "VideoPose3D": (("expand_conv.", "expand_bn.", "layers_conv.", "layers_bn.", "shrink."), _videopose),
    "SimpleBaseline": (("w1.", "batch_norm1.", "linear_stages.", "w2."), simple_baseline),
    "SemGCN": (("gconv_input.", "gconv_layers.", "gconv_output."), semgcn),
    "ST-GCN": (("stgcn.",), stgcn),
    "PoseFormer": (("Spatial_", "Temporal_"), poseformer),
}
"""Beginnings of the names of each network's weights, and what reads it."""

SYSTEMS = tuple(_READERS)
"""Names of the networks whose published files are read."""
