"""PoseAug's losses: the public code's numbers, ranges, feedback."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from liftpose.losses import diff_range, feedback_loss, modification_loss
from liftpose.metrics.functional import joint_errors
from liftpose.weights import load_dh_aug, read_checkpoint


def test_the_numbers_of_the_public_code(reference: Path) -> None:
    golden = read_checkpoint(reference / "golden" / "dh_aug" / "poseaug_losses.pt")
    assert diff_range(golden["gamma"].double(), 0.0, 0.1).item() == pytest.approx(golden["rect_l2_limit01"], rel=1e-12)
    found = diff_range(golden["a"].double(), 0.205, 0.165).item()
    assert found == pytest.approx(golden["diff_range_m0205_w0165"], rel=1e-12)
    found = modification_loss(golden["ba_diff"].double(), golden["blr"].double()).item()
    assert found == pytest.approx(golden["diff_loss"], rel=1e-12)

    lifter = load_dh_aug(golden["posenet_state"]).double()

    def errors(kind: str) -> Tensor:
        poses = golden[f"p3d_{kind}"].double()
        predicted = lifter(golden[f"p2d_{kind}"].double()[:, None])[:, 0]
        return joint_errors(predicted, poses - poses[:, :1])

    config = golden["config"]
    found = feedback_loss(errors("orig"), errors("ba"), errors("rt"), config["epoch"] / config["epochs"]).item()
    assert found == pytest.approx(golden["feedback"], rel=1e-12)


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=9), st.floats(-5, 5), st.floats(0, 5))
def test_what_lies_in_the_range_does_not_count(values: list[float], centre: float, width: float) -> None:
    square = (np.array(values) - centre) ** 2
    expected = np.where(square > width**2, square, 0).mean()
    given_values = torch.tensor(values, dtype=torch.float64)
    assert diff_range(given_values, centre, width).item() == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_feedback_wants_poses_that_are_harder_but_not_too_hard() -> None:
    easy = torch.full((3, 16), 0.1, dtype=torch.float64)
    losses = [feedback_loss(easy, ratio * easy, 17 * easy, 0.0).item() for ratio in (0.5, 3, 4.9, 8)]
    assert losses[1] == losses[2] == 0
    assert losses[0] == pytest.approx(0.1 * (0.5 - 3) ** 2)
    assert losses[3] == pytest.approx(0.1 * (8 - 3) ** 2)
    # Seen from elsewhere, and at the end of the training.
    assert feedback_loss(easy, 3 * easy, 33 * easy, 0.0).item() == pytest.approx(0.01 * 16**2)
    assert feedback_loss(easy, 8 * easy, 17 * easy, 1.0).item() == pytest.approx(0.1 * (8 - 5) ** 2)


def test_feedback_of_a_lifter_that_makes_no_error_is_finite() -> None:
    moved = torch.rand(3, 16, requires_grad=True)
    loss = feedback_loss(torch.zeros(3, 16), torch.rand(3, 16), moved, 0.5)
    loss.backward()
    assert loss.isfinite()
    assert moved.grad is not None
    assert moved.grad.isfinite().all()


def test_another_number_of_joints_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(B, 16\), found \(3, 17\)"):
        feedback_loss(torch.ones(3, 17), torch.ones(3, 17), torch.ones(3, 17), 0.0)
