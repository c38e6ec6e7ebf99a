"""Tensors of checkpoints compared with those of a task."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from liftpose.cli.saved_tensors import compare_optimizer, compare_weights
from liftpose.errors import LiftposeError


def test_weights_that_do_not_fit_are_named() -> None:
    own = {"a": torch.zeros(2, 3), "b": torch.zeros(1)}
    compare_weights(Path("a.ckpt"), own, dict(own))
    with pytest.raises(LiftposeError, match=r"weights a: expected the shape \(2, 3\), found \(3, 2\)"):
        compare_weights(Path("a.ckpt"), own, {**own, "a": torch.zeros(3, 2)})
    with pytest.raises(LiftposeError, match=r"weights c: expected the shape none, found \(1,\)"):
        compare_weights(Path("a.ckpt"), own, {**own, "c": torch.zeros(1)})
    with pytest.raises(LiftposeError, match=r"weights b: expected the shape \(1,\), found none"):
        compare_weights(Path("a.ckpt"), own, {"a": own["a"]})


def test_weights_that_are_no_tensors_are_named() -> None:
    for value, found in ((3, "int"), (torch.eye(2).to_sparse(), "torch.sparse_coo")):
        with pytest.raises(LiftposeError, match=rf"weights a: expected the shape \(2, 2\), found {found}"):
            compare_weights(Path("x"), {"a": torch.zeros(2, 2)}, {"a": value})  # type: ignore[dict-item]


def test_the_optimiser_is_that_of_the_parameters() -> None:
    """torch's fused AdamW takes what it is given for as large as the parameters."""
    parameters = [torch.nn.Parameter(torch.ones(2, 3)), torch.nn.Parameter(torch.ones(4))]
    optimizer = torch.optim.AdamW(parameters, amsgrad=True)
    sum(parameter.sum() for parameter in parameters).backward()
    optimizer.step()
    state = optimizer.state_dict()
    compare_optimizer(Path("x.ckpt"), parameters, [state])
    message = r"x.ckpt: optimizer_states: expected exp_avg of the shape \(2, 3\) for parameter 0, found \(4,\)"
    with pytest.raises(LiftposeError, match=message):
        compare_optimizer(
            Path("x.ckpt"), parameters, [state | {"state": dict(enumerate([*state["state"].values()][::-1]))}]
        )
    for broken in (3, {"state": [1]}, {"state": {0: 1}}):
        with pytest.raises(LiftposeError, match="optimizer_states: expected the state of an optimiser, found"):
            compare_optimizer(Path("x.ckpt"), parameters, [broken])
