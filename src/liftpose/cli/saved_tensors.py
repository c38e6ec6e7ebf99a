"""Tensors in a checkpoint, compared with those of the task that is to take them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from liftpose.errors import LiftposeError

__all__ = ["compare_optimizer", "compare_weights"]


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


def compare_optimizer(path: Path, parameters: Iterable[Tensor], states: Sequence[Any]) -> None:
    """Refuse a checkpoint whose optimiser has other parameters: torch's fused one would write beyond their memory.

    Args:
        path: File of the checkpoint.
        parameters: What is trained, in the order of the task.
        states: The ``optimizer_states`` of the checkpoint; those of several optimisers are not compared.

    Raises:
        LiftposeError: A shape differs, or what is saved is no state of an optimiser.
    """
    if len(states) != 1:
        return
    where = f"--ckpt_path {path}: optimizer_states"
    moments = states[0].get("state") if isinstance(states[0], Mapping) else None
    if not isinstance(moments, Mapping) or not all(isinstance(state, Mapping) for state in moments.values()):
        raise LiftposeError(f"{where}: expected the state of an optimiser, found {type(states[0]).__name__}")
    for number, parameter in enumerate(parameters):
        for name, value in moments.get(number, {}).items():
            shape = _shape(value)
            if shape not in {_shape(parameter), ()}:  # numbers without a shape count steps
                raise LiftposeError(
                    f"{where}: expected {name} of the shape {_shape(parameter)} for parameter {number}, found {shape}"
                )


def _shape(value: Any) -> tuple[int, ...] | str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    return tuple(value.shape) if value.layout == torch.strided else str(value.layout)
