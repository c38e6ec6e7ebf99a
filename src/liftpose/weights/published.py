"""Lifters in files of the papers' public code: which network, and which options the weights tell."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.models import RIE, Lifter, VideoPose
from liftpose.models.rie_state import describe_state_dict, require_same_shapes
from liftpose.models.videopose import describe_videopose
from liftpose.skeletons import PARTS, SKELETONS, Skeleton
from liftpose.weights.rie import rie_state_dict_from_public
from liftpose.weights.torch_files import PREFIX, read_checkpoint
from liftpose.weights.videopose import videopose_state_dict_from_public

__all__ = ["Misfit", "PublishedLifter", "load_videopose", "published_lifter", "read_published"]

_ENTRIES = ("model_pos", "state_dict")  # RIE, VideoPose3D and DH-AUG; PoseAug
_MARKS = {
    "RIE": ("LocalLayer_", "GlobalInfo.", "FuseBlocks.", "Integration_"),
    "VideoPose3D": ("expand_conv.", "expand_bn.", "layers_conv.", "layers_bn.", "shrink."),
}
"""Beginnings of the names of each system's weights."""

Fitting = Callable[[Mapping[str, Any]], dict[str, tuple[Any, ...]]]


class Misfit(NamedTuple):
    """An option that the weights contradict.

    Args:
        option: Name of the constructor's option.
        value: What was asked for.
        fitting: The value that fits best.
    """

    option: str
    value: Any
    fitting: Any


@dataclass(frozen=True, eq=False)
class PublishedLifter:
    """A lifter in a file of a paper's public code.

    Attributes:
        system: "RIE" or "VideoPose3D".
        kind: The class of the network.
        state_dict: The weights under our names.
        options: Options of the class that the shapes tell, and the likeliest for what they leave open (skeletons, and
            that the network is not causal).
        left_out: Names of other networks in the file.
    """

    system: str
    kind: type[Lifter]
    state_dict: Mapping[str, Tensor]
    options: Mapping[str, Any]
    left_out: tuple[str, ...]
    _fitting: Fitting

    def misfits(self, options: Mapping[str, Any]) -> Iterator[Misfit]:
        """Yield the options that the weights contradict.

        Args:
            options: Options of the class; the defaults stand for those that are missing.

        Yields:
            One entry for each, with the value that fits best.
        """
        for name, values in self._fitting(options).items():
            value = _plain(options.get(name, _default(self.kind, name)))
            if value not in values:
                yield Misfit(name, value, values[0])

    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Complete options by those that the weights tell.

        Args:
            given: Options that are to hold.

        Returns:
            Options of the class. They may still contradict the weights in what is given (see :meth:`misfits`).
        """
        options = {**self.options, **given}
        for misfit in list(self.misfits(options)):
            if misfit.option not in given:  # what is given may make another guess the likeliest
                options[misfit.option] = misfit.fitting
        return options

    def build(self, where: str, **given: Any) -> Lifter:
        """Build the network with its weights, ready for evaluation.

        Args:
            where: What holds the weights, the start of an error message.
            given: Options that the weights do not tell, or that they are to agree with.

        Returns:
            The network in evaluation mode, float32, on the CPU.

        Raises:
            LiftposeError: An option is wrong or contradicts the weights; the message names it with both values.
        """
        options = self.complete(given)
        differing = [
            f"{name}: expected {_spell(value)}, found {_spell(fitting)}"
            for name, value, fitting in self.misfits(options)
        ]
        if differing:
            raise LiftposeError(f"{where}: {'; '.join(differing)}")
        try:
            with torch.device("meta"):  # without memory, which is taken only for sizes that fit
                shapes = self.kind(**options).state_dict()
        except LiftposeError as error:
            raise LiftposeError(f"{where}: {error}") from error
        require_same_shapes(shapes, self.state_dict, where)
        with torch.random.fork_rng(devices=[]):  # the initial weights are thrown away: no random numbers for them
            lifter = self.kind(**options)
        lifter.load_state_dict(self.state_dict)
        return lifter.eval()


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
    if isinstance(path_or_state_dict, Mapping):
        where, found = "weights", published_lifter({"model_pos": path_or_state_dict}, "weights")
    else:
        where, found = str(path_or_state_dict), read_published(path_or_state_dict)
    if found is None or found.system != "VideoPose3D":
        raise LiftposeError(f"{where}: expected weights of VideoPose3D, found {found.system if found else 'others'}")
    return cast(VideoPose, found.build(where, **options))


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
    for entry in _ENTRIES:
        weights = content.get(entry)
        if not isinstance(weights, Mapping):
            continue
        names = [str(name).removeprefix(PREFIX) for name in weights]
        for system, marks in _MARKS.items():
            if any(name.startswith(marks) for name in names):
                others = tuple(
                    str(name)
                    for name, value in content.items()
                    if str(name).startswith("model_") and name != entry and value is not None
                )
                return (_rie if system == "RIE" else _videopose)(weights, where, others)
        if entry == "model_pos":
            found = names[0] if names else "nothing"
            raise LiftposeError(f"{where}: expected weights of {' or '.join(_MARKS)} in model_pos, found {found}")
    return None


def _rie(public: Mapping[str, Tensor], where: str, others: tuple[str, ...]) -> PublishedLifter:
    state_dict = rie_state_dict_from_public(public, where)
    found = describe_state_dict(state_dict)
    skeletons = _names(where, lambda skeleton: _part_sizes(skeleton) == found["joints"], found["joints"])
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
        skeleton = SKELETONS.get(_plain(options.get("skeleton", "")))
        size = -1 if skeleton is None else len(skeleton)
        if size in {joints, joints + 1}:
            root = size == joints
        else:  # as in the single frame networks of PoseAug and DH-AUG, whose root is not estimated
            root = keypoints != joints + 1
        poses = _of_size(where, joints if root else joints + 1)
        own = size if size in {joints, joints + 1} else len(SKELETONS[poses[0]])
        detected: tuple[str | None, ...] = _of_size(where, keypoints)
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


def _of_size(where: str, joints: int) -> tuple[str, ...]:
    return _names(where, lambda skeleton: len(skeleton) == joints, joints)


def _names(where: str, fits: Callable[[Skeleton], bool], joints: Any) -> tuple[str, ...]:
    names = tuple(name for name, skeleton in SKELETONS.items() if fits(skeleton))
    if not names:
        raise LiftposeError(f"{where}: expected weights for the joints of a skeleton that is known, found {joints}")
    return names


def _default(kind: type[Lifter], option: str) -> Any:
    """Return the default of an option of a network."""
    return inspect.signature(kind).parameters[option].default


def _plain(value: Any) -> Any:
    """Return a value as the weights tell it: tuples for lists, the names of skeletons."""
    if isinstance(value, Skeleton):
        return value.name
    return tuple(value) if isinstance(value, list) else value


def _spell(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
