"""RIE's published weights: into our model and back.

The published network has five modules of each kind, one per body part, under names whose left and right are exchanged;
ours holds them in one tensor with the part as its first axis. The conversion only reorders numbers, so it is exact both
ways.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import torch
from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.models import RIE
from liftpose.models.rie_state import describe_state_dict, differences, require_same_shapes
from liftpose.skeletons import PARTS
from liftpose.weights.torch_files import public_weights, read_checkpoint

__all__ = ["load_rie", "rie_state_dict_from_public", "rie_state_dict_to_public"]

_PUBLIC_PARTS = ("Torso", "LArm", "RArm", "LLeg", "RLeg")
"""The published names in the order of PARTS: published left is the person's right."""


@dataclass(frozen=True)
class _Layout:
    """How one branch's tensor is laid out in the published file and here."""

    from_public: Callable[[Tensor], Tensor]
    to_public: Callable[[Tensor], Tensor]


_SAME = _Layout(lambda t: t, lambda t: t)
_LINEAR = _Layout(lambda t: t.t(), lambda t: t.t())  # (out, in) <-> (in, out)
_CONV = _Layout(lambda t: t.permute(2, 1, 0), lambda t: t.permute(2, 1, 0))  # (out, in, width) <-> (width, in, out)
_POINTWISE = _Layout(lambda t: t.squeeze(2).t(), lambda t: t.t().unsqueeze(2))  # (out, in, 1) <-> (in, out)


@dataclass(frozen=True)
class _Row:
    """One tensor of a module: its key there, its key here, and whether here each part has its own key."""

    public: str
    own: str
    layout: _Layout
    by_part: bool = False


@dataclass(frozen=True)
class _Module:
    """Modules of one kind: a published prefix for each branch, our prefix, and the tensors in published order."""

    public: tuple[str, ...]
    own: str
    rows: tuple[_Row, ...]

    def keys(self) -> Iterator[tuple[str, str, int, _Row]]:
        """Yield published key, our key, branch and row, in published order."""
        for branch, prefix in enumerate(self.public):
            for row in self.rows:
                own = f"{self.own}.{row.own}"
                yield f"{prefix}.{row.public}", f"{own}.{PARTS[branch]}" if row.by_part else own, branch, row


def load_rie(path_or_state_dict: str | PathLike[str] | Mapping[str, Tensor], **options: Any) -> RIE:
    """Build a RIE model with published weights, ready for evaluation.

    What the shapes of the weights tell (widths, sizes, whether there is a fusion network) is taken from them. Stages 2
    and 3 have the same shapes; the model says 3 unless told otherwise.

    Args:
        path_or_state_dict: A checkpoint of the authors' code (``*.bin``), or the ``model_pos`` in one.
        options: Arguments of :class:`~liftpose.models.RIE`. ``current`` is "middle" unless given, as published. One
            that contradicts the weights is an error.

    Returns:
        The model in evaluation mode, float32, on the CPU.

    Raises:
        LiftposeError: The file cannot be read, or its weights are not those of a RIE model, or they contradict an
            option or the skeleton; the message names what differs.
    """
    if isinstance(path_or_state_dict, Mapping):
        where, public = "weights", path_or_state_dict
    else:
        where, public = str(path_or_state_dict), _published_weights(path_or_state_dict)
    state_dict = rie_state_dict_from_public(public, where)
    found = describe_state_dict(state_dict)
    arguments = {key: found[key] for key in ("filter_widths", "channels", "latent_dim", "hidden_dim")}
    arguments |= {"stage": found["stages"][-1], "current": "middle"} | options
    with torch.device("meta"):  # without memory, which is taken only for sizes that fit
        shapes = RIE(**arguments).state_dict()
    if differing := differences(describe_state_dict(shapes), found):
        raise LiftposeError(f"{where}: {differing}")
    require_same_shapes(shapes, state_dict, where)
    with torch.random.fork_rng(devices=[]):  # the initial weights are thrown away: no random numbers for them
        model = RIE(**arguments)
    model.load_state_dict(state_dict)
    return model.eval()


def rie_state_dict_from_public(state_dict: Mapping[str, Tensor], where: str = "weights") -> dict[str, Tensor]:
    """Convert published weights to the keys and layouts of :class:`~liftpose.models.RIE`.

    Args:
        state_dict: The published model's ``state_dict()``; keys may start with ``module.``.
        where: What the weights are, the start of an error message.

    Returns:
        A state dict for ``RIE.load_state_dict``; the tensors are copies.

    Raises:
        LiftposeError: A key is missing, unknown, or differs in shape from that of another body part, or a weight is not
            finite.
    """
    given = public_weights(state_dict, where)
    modules = _modules(
        widths=1 + sum(key.startswith("LocalLayer_Torso.layers_conv.") for key in given) // 2,
        fusion=any(key.startswith("FuseBlocks.") for key in given),
    )
    known = [key for module in modules for key, *_ in module.keys()]
    for key in known:
        if not isinstance(given.get(key), Tensor):
            raise LiftposeError(f"{where}: expected the weights of RIE, found no tensor {key}")
    if unknown := sorted(given.keys() - set(known)):
        raise LiftposeError(f"{where}: expected the weights of RIE only, found {unknown[0]} too")
    branches: dict[str, list[Tensor]] = {}
    for module in modules:
        for key, own, _, row in module.keys():
            first = branches.setdefault(own, [])
            try:
                converted = row.layout.from_public(given[key])
            except (RuntimeError, IndexError) as error:
                raise LiftposeError(
                    f"{where}: expected a weight of RIE, found {key} of shape {tuple(given[key].shape)}"
                ) from error
            if first and first[0].shape != converted.shape:
                raise LiftposeError(
                    f"{where}: expected {key} to be as large as in other parts, found {tuple(given[key].shape)}"
                )
            first.append(converted)
    by_part = {own for module in modules for _, own, _, row in module.keys() if row.by_part}
    return {own: _own_copy(tensors, own in by_part) for own, tensors in branches.items()}


def rie_state_dict_to_public(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert weights of :class:`~liftpose.models.RIE` to the published keys, layouts and order.

    Args:
        state_dict: The ``state_dict()`` of a RIE model.

    Returns:
        A state dict for the published network; the tensors are copies.

    Raises:
        LiftposeError: These are not the weights of a RIE model.
    """
    found = describe_state_dict(state_dict)
    public = {}
    for module in _modules(widths=len(found["filter_widths"]), fusion=3 in found["stages"]):
        for key, own, branch, row in module.keys():
            if own not in state_dict:
                raise LiftposeError(f"weights of a RIE model: expected the key {own}, found none")
            tensor = state_dict[own] if row.by_part else state_dict[own][branch]
            public[key] = row.layout.to_public(tensor).clone(memory_format=torch.contiguous_format)
    return public


def _own_copy(branches: list[Tensor], by_part: bool) -> Tensor:
    return branches[0].clone(memory_format=torch.contiguous_format) if by_part else torch.stack(branches)


def _published_weights(path: str | PathLike[str]) -> Mapping[str, Tensor]:
    """Return the weights in a checkpoint of the authors' code."""
    weights = read_checkpoint(path).get("model_pos")
    if not isinstance(weights, Mapping):
        raise LiftposeError(f"{path}: expected a checkpoint of the published RIE with the key model_pos, found none")
    return weights


def _modules(widths: int, fusion: bool) -> list[_Module]:
    """List what a network with that many filter widths consists of, in published order."""
    local = tuple(f"LocalLayer_{part}" for part in _PUBLIC_PARTS)
    decoder = tuple(f"Integration_{part}" for part in _PUBLIC_PARTS)
    modules = [
        _Module(local, "local_encoder", tuple(_local_rows(widths))),
        _Module(("GlobalInfo",), "global_encoder", tuple(_fc_rows(blocks=2, by_part=False))),
    ]
    if fusion:
        blocks = tuple(f"FuseBlocks.{k}" for k in range(len(PARTS)))
        modules.append(_Module(blocks, "fusion", tuple(_fc_rows(blocks=1, by_part=False))))
    return [*modules, _Module(decoder, "decoder", tuple(_fc_rows(blocks=1, by_part=True)))]


def _local_rows(widths: int) -> Iterator[_Row]:
    yield from _norm_rows("expand_bn", "expand_norm")
    yield _Row("shrink.weight", "shrink.weight", _POINTWISE)
    yield _Row("shrink.bias", "shrink.bias", _SAME)
    yield _Row("expand_conv.weight", "expand.weights", _CONV, by_part=True)
    layers = [f"blocks.{block}.{layer}" for block in range(widths - 1) for layer in ("conv", "mix")]
    for k, layer in enumerate(layers):
        yield _Row(f"layers_conv.{k}.weight", f"{layer}.weight", _CONV)
    for k, layer in enumerate(layers):
        yield from _norm_rows(f"layers_bn.{k}", f"{layer}_norm")


def _fc_rows(blocks: int, by_part: bool) -> Iterator[_Row]:
    yield from _linear_rows("fc_1", "input")
    yield from _norm_rows("bn_1", "input_norm")
    if by_part:
        yield _Row("fc_2.weight", "output.weights", _LINEAR, by_part=True)
        yield _Row("fc_2.bias", "output.biases", _SAME, by_part=True)
    else:
        yield from _linear_rows("fc_2", "output")
    for k in range(blocks):
        for number, layer in enumerate(("first", "second"), start=1):
            yield from _linear_rows(f"layers.{k}.w{number}", f"blocks.{k}.{layer}")
            yield from _norm_rows(f"layers.{k}.batch_norm{number}", f"blocks.{k}.{layer}_norm")


def _linear_rows(public: str, own: str) -> Iterator[_Row]:
    yield _Row(f"{public}.weight", f"{own}.weight", _LINEAR)
    yield _Row(f"{public}.bias", f"{own}.bias", _SAME)


def _norm_rows(public: str, own: str) -> Iterator[_Row]:
    for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
        yield _Row(f"{public}.{name}", f"{own}.{name}", _SAME)
