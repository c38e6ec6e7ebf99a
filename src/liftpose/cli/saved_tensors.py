"""Tensors in a checkpoint, compared with those of the task that is to take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from liftpose.errors import LiftposeError

__all__ = ["compare_optimizers", "compare_weights"]


def compare_weights(path: Path, own: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
    """Refuse a checkpoint whose weights do not fit.

    Args:
        path: File of the checkpoint.
        own: The ``state_dict()`` of the task.
        saved: That of the checkpoint.

    Raises:
        LiftposeError: Names or shapes differ, or what is saved is no plain tensor.
    """
    for name in sorted({*own, *map(str, saved)}):
        wanted, found = (_shape(state[name]) if name in state else "none" for state in (own, saved))
        if wanted != found:
            raise LiftposeError(f"--ckpt_path {path}: weights {name}: expected the shape {wanted}, found {found}")


def compare_optimizers(path: Path, groups: Sequence[Sequence[Tensor]], states: Sequence[Any]) -> None:
    """Refuse a checkpoint whose optimisers have other parameters: torch's fused ones would write beyond their memory.

    Args:
        path: File of the checkpoint.
        groups: What each optimiser of the task trains, in the order of the optimisers and of their parameters.
        states: The ``optimizer_states`` of the checkpoint.

    Raises:
        LiftposeError: Their number or a shape differs, or what is saved is no state of an optimiser.
    """
    where = f"--ckpt_path {path}: optimizer_states"
    if len(states) != len(groups):
        raise LiftposeError(f"{where}: expected the states of {len(groups)} optimisers, found {len(states)}")
    for number, (parameters, state) in enumerate(zip(groups, states, strict=True)):
        place = where if len(groups) == 1 else f"{where}: optimiser {number}"
        places = _places(state, place)
        if len(places) != len(parameters):
            raise LiftposeError(f"{place}: expected {len(parameters)} parameters, found {len(places)}")
        # Torch goes by the saved list of places, of which the last counts where one comes twice.
        owners = dict(zip(places, parameters, strict=True))
        for key, moments in state["state"].items():
            if key in owners:
                _compare_moments(place, key, owners[key], moments)


def _places(state: Any, place: str) -> list[int]:
    """Return which of the saved moments belongs to each parameter."""
    found = type(state).__name__
    if isinstance(state, Mapping):
        moments, lists = state.get("state"), state.get("param_groups")
        found = "others"
        if (
            isinstance(moments, Mapping)
            and all(isinstance(entry, Mapping) for entry in moments.values())
            and isinstance(lists, list)
            and all(isinstance(entry, Mapping) and isinstance(entry.get("params"), list) for entry in lists)
        ):
            places = [number for entry in lists for number in entry["params"]]
            if all(isinstance(number, int) for number in places):
                return places
    raise LiftposeError(f"{place}: expected the state of an optimiser, found {found}")


def _compare_moments(place: str, number: Any, parameter: Tensor, moments: Mapping[str, Any]) -> None:
    """Refuse moments of another shape than their parameter."""
    for name, value in moments.items():
        wanted, found = _shape(parameter), _shape(value)
        if name == "step" and found == ():
            continue
        if found != wanted:
            raise LiftposeError(f"{place}: expected {name} of the shape {wanted} for parameter {number}, found {found}")
        # What is spread out over less memory than its shape says would be written to all the same.
        if not value.is_contiguous() and value.stride() != parameter.stride():
            raise LiftposeError(
                f"{place}: expected {name} of parameter {number} to lie in memory as it does, found strides "
                f"{value.stride()}"
            )


def _shape(value: Any) -> tuple[int, ...] | str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    if value.is_meta:
        return "no values"
    return tuple(value.shape) if value.layout == torch.strided else str(value.layout)
