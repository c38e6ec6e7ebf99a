"""The benchmarks of the network of pictures do what they say, at small sizes; nothing is timed here."""

from __future__ import annotations

import pytest
import torch
from integral_work import expectation, training_step


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_both_expectations_have_one_gradient(dtype: torch.dtype) -> None:
    work = expectation(2, 4, 6, dtype)
    assert work.theirs is not None
    ours, theirs = (run().clone() for run in (work.ours, work.theirs))
    assert ours.dtype == dtype and ours.abs().max() > 1e-4
    torch.testing.assert_close(ours, theirs, rtol=1e-5 if dtype == torch.float32 else 2e-2, atol=1e-7)


def test_both_training_steps_have_one_loss() -> None:
    work = training_step(4, 64, 4, 8)
    assert work.theirs is not None
    torch.testing.assert_close(work.ours(), work.theirs(), rtol=0.05, atol=0)
