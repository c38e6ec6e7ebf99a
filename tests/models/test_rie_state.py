"""What the shapes of weights tell."""

from __future__ import annotations

import pytest
import torch

from liftpose.errors import LiftposeError
from liftpose.models import RIE
from liftpose.models.rie_state import describe_state_dict, differences, require_same_shapes


@pytest.mark.parametrize(("stage", "stages"), [(1, (1,)), (2, (2, 3)), (3, (2, 3))])
@pytest.mark.parametrize("widths", [(1,), (3, 5), (3, 3, 3, 3)])
def test_description_repeats_the_arguments(stage: int, stages: tuple[int, ...], widths: tuple[int, ...]) -> None:
    model = RIE(filter_widths=widths, channels=4, latent_dim=6, hidden_dim=8, stage=stage)
    assert describe_state_dict(model.state_dict()) == {
        "stages": stages,
        "filter_widths": widths,
        "channels": 4,
        "latent_dim": 6,
        "hidden_dim": 8,
        "joints": {"torso": 5, "right_arm": 3, "left_arm": 3, "right_leg": 3, "left_leg": 3},
    }


def test_description_of_other_weights_is_refused() -> None:
    with pytest.raises(LiftposeError, match="found no key"):
        describe_state_dict({})


def test_differences_name_all_that_differs() -> None:
    assert differences({"a": 1, "b": (1, 2)}, {"a": 1, "b": (1, 2)}) == ""
    assert differences({"a": 1, "b": (1, 2)}, {"a": 3, "b": (1,)}) == "a: expected 1, found 3; b: expected 1,2, found 1"


def test_same_shapes() -> None:
    weights = {"a": torch.zeros(2), "b": torch.zeros(3)}
    require_same_shapes(weights, dict(weights), "file")
    with pytest.raises(LiftposeError, match="file: expected the key b, found none"):
        require_same_shapes(weights, {"a": torch.zeros(2)}, "file")
    with pytest.raises(LiftposeError, match=r"file: expected b of shape \(3,\), found \(4,\)"):
        require_same_shapes(weights, weights | {"b": torch.zeros(4)}, "file")
    with pytest.raises(LiftposeError, match="file: expected no key c"):
        require_same_shapes(weights, weights | {"c": torch.zeros(4)}, "file")
