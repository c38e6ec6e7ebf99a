"""Tensors of checkpoints compared with those of a task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from liftpose.cli.saved_tensors import compare_optimizers, compare_weights
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


def trained(*shapes: tuple[int, ...]) -> tuple[list[torch.Tensor], dict[str, Any]]:
    """Parameters of some shapes, and the state of an optimiser that has taken a step with them."""
    parameters = [torch.nn.Parameter(torch.ones(shape)) for shape in shapes]
    optimizer = torch.optim.AdamW(parameters, amsgrad=True)
    sum(parameter.sum() for parameter in parameters).backward()
    optimizer.step()
    return parameters, optimizer.state_dict()


def test_the_optimiser_is_that_of_the_parameters() -> None:
    """torch's fused AdamW takes what it is given for as large as the parameters."""
    parameters, state = trained((2, 3), (4,))
    compare_optimizers(Path("x.ckpt"), [parameters], [state])
    message = r"x.ckpt: optimizer_states: expected exp_avg of the shape \(2, 3\) for parameter 0, found \(4,\)"
    turned = state | {"state": dict(enumerate([*state["state"].values()][::-1]))}
    with pytest.raises(LiftposeError, match=message):
        compare_optimizers(Path("x.ckpt"), [parameters], [turned])
    for broken in (3, {"state": [1]}, {"state": {0: 1}}, {"state": {}}, {"state": {}, "param_groups": [{"params": 0}]}):
        with pytest.raises(LiftposeError, match="optimizer_states: expected the state of an optimiser, found"):
            compare_optimizers(Path("x.ckpt"), [parameters], [broken])


def test_every_one_of_several_optimisers_is_compared() -> None:
    lifter, state = trained((2, 3), (4,))
    critic, other = trained((5, 1))
    compare_optimizers(Path("x.ckpt"), [lifter, critic], [state, other])
    with pytest.raises(LiftposeError, match="optimizer_states: expected the states of 2 optimisers, found 1"):
        compare_optimizers(Path("x.ckpt"), [lifter, critic], [state])
    with pytest.raises(LiftposeError, match="optimiser 0: expected 2 parameters, found 1"):
        compare_optimizers(Path("x.ckpt"), [lifter, critic], [other, state])
    message = r"optimiser 1: expected exp_avg of the shape \(5, 1\) for parameter 0, found \(1, 5\)"
    with pytest.raises(LiftposeError, match=message):
        compare_optimizers(Path("x.ckpt"), [lifter, critic], [state, trained((1, 5))[1]])


def test_moments_that_another_list_of_places_hands_to_a_parameter_are_found() -> None:
    """Torch goes by the numbers in ``params``, not by their order: these would reach the other parameter."""
    parameters, state = trained((2, 3), (4,))
    crossed = state | {"param_groups": [state["param_groups"][0] | {"params": [1, 0]}]}
    with pytest.raises(LiftposeError, match=r"of the shape \(4,\) for parameter 0, found \(2, 3\)"):
        compare_optimizers(Path("x.ckpt"), [parameters], [crossed])
    optimizer = torch.optim.AdamW(parameters)
    optimizer.load_state_dict(crossed)
    assert optimizer.state[parameters[0]]["exp_avg"].shape == (4,)  # which is what the comparison stands before


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (torch.tensor(0.0), r"found \(\)"),
        (torch.zeros(1).expand(2, 3), r"found strides \(0, 0\)"),
        (torch.zeros(2, 3, device="meta"), "found no values"),
        (torch.eye(2, 3).to_sparse(), "found torch.sparse_coo"),
        ("text", "found str"),
    ],
)
def test_moments_with_less_memory_than_their_parameter_are_refused(value: object, found: str) -> None:
    parameters, state = trained((2, 3))
    state["state"][0]["exp_avg"] = value
    with pytest.raises(LiftposeError, match=found):
        compare_optimizers(Path("x.ckpt"), [parameters], [state])
