"""That the lifters do what those of the public code do, in training too, where there is a copy of it."""

from __future__ import annotations

import pytest
import torch
from lifters_work import LIFTERS, lifter_evaluation, lifter_training_step, our_lifter, public_lifter
from torch import nn

WHY = "LIFTPOSE_PEERS: expected the public code of PoseAug and DH-AUG, found none"


@pytest.mark.parametrize("name", [name for name in LIFTERS if "27" not in name])
def test_gradients_and_statistics_are_those_of_the_public_code(name: str) -> None:
    theirs, ours = public_lifter(name, plain=True), our_lifter(name, plain=True)
    if theirs is None:
        pytest.skip(WHY)
    if name == "ST-GCN":
        nn.init.uniform_(theirs.stgcn.non_local.W[1].weight)  # zero at first, and with it the gradients before it
    ours.load_state_dict(theirs.state_dict())
    ours.double().train()
    theirs.train()  # its constants are of single precision
    inputs = torch.rand(8, ours.receptive_field, 16, 2) * 2 - 1
    weight = torch.randn(8, 1, 16, 3)
    (ours(inputs.double()) * weight).sum().backward()
    given = inputs if ours.receptive_field > 1 else inputs[:, 0]
    (theirs(given).view(weight.shape) * weight).sum().backward()
    expected = dict(theirs.named_parameters())
    largest = max(float(value.grad.abs().max()) for value in expected.values())
    for key, value in ours.named_parameters():
        torch.testing.assert_close(value.grad.float(), expected[key].grad, rtol=2e-3, atol=2e-5 * largest)
    statistics = dict(theirs.named_buffers())
    for key, value in ours.named_buffers():
        if "running" in key or "num_batches" in key:
            torch.testing.assert_close(value.to(statistics[key].dtype), statistics[key], rtol=1e-4, atol=1e-5)


def test_what_is_measured_is_done() -> None:
    step, evaluation = lifter_training_step("SimpleBaseline"), lifter_evaluation("SimpleBaseline")
    losses = [float(step.ours().detach()) for _ in range(3)]
    assert losses[-1] < losses[0]
    assert evaluation.ours().shape == (1024, 1, 16, 3)
    if evaluation.theirs is None or step.theirs is None:
        pytest.skip(WHY)
    torch.testing.assert_close(evaluation.ours(), evaluation.theirs(), rtol=1e-4, atol=1e-4)
    assert abs(float(step.theirs().detach()) - losses[0]) < 1
