import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from liftpose.metrics import MPJVE, functional
from liftpose.metrics.labelled import order_frames

LENGTHS = {0: 7, 3: 1, 12: 10}


def sequences() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    frames = sum(LENGTHS.values())
    prediction = torch.randn(frames, 17, 3, generator=generator, dtype=torch.float64)
    target = torch.randn(frames, 17, 3, generator=generator, dtype=torch.float64)
    sequence = torch.cat([torch.full((n,), i) for i, n in LENGTHS.items()])
    frame = torch.cat([torch.arange(n) + 5 for n in LENGTHS.values()])
    return prediction, target, sequence, frame


def expected_mpjve() -> float:
    """The mean over every velocity, by a plain loop over whole sequences."""
    prediction, target, _, _ = (x.numpy() for x in sequences())
    errors, start = [], 0
    for length in LENGTHS.values():
        p, t = prediction[start : start + length], target[start : start + length]
        errors += [np.linalg.norm((p[i + 1] - p[i]) - (t[i + 1] - t[i]), axis=-1) for i in range(length - 1)]
        start += length
    return float(np.mean(errors))


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), batch=st.integers(1, 20))
def test_any_order_any_batches_and_repeated_poses_give_the_value_of_whole_sequences(seed: int, batch: int) -> None:
    rows = sequences()
    frames = len(rows[0])
    rng = np.random.default_rng(seed)
    shuffled = torch.tensor(np.concatenate((rng.permutation(frames), rng.integers(0, frames, 5))))
    metric = MPJVE(storage_dtype=torch.float64)
    for indices in shuffled.split(batch):
        metric.update(*(column[indices] for column in rows))
    np.testing.assert_allclose(metric.compute(), expected_mpjve(), rtol=1e-12)


def test_float32_storage_is_exact_enough() -> None:
    metric = MPJVE()
    metric.update(*sequences())
    np.testing.assert_allclose(metric.compute(), expected_mpjve(), rtol=1e-6)
    assert metric.errors[0].dtype == torch.float32


def test_one_sequence_has_the_value_of_the_function() -> None:
    prediction, target, _, _ = sequences()
    metric = MPJVE(storage_dtype=torch.float64)
    frames = torch.arange(len(prediction))
    metric.update(prediction, target, torch.zeros_like(frames), frames)
    torch.testing.assert_close(metric.compute(), functional.mpjve(prediction, target))


def test_a_gap_has_no_velocity() -> None:
    prediction, target, _, _ = sequences()
    metric = MPJVE(storage_dtype=torch.float64)
    metric.update(prediction[:4], target[:4], torch.zeros(4).long(), torch.tensor([0, 1, 3, 4]))
    parts = [functional.mpjve(prediction[i : i + 2], target[i : i + 2]) for i in (0, 2)]
    torch.testing.assert_close(metric.compute(), torch.stack(parts).mean())


def test_without_pairs_the_value_is_nan() -> None:
    metric = MPJVE()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchmetrics warns of a compute without an update, which is the case here
        assert metric.compute().isnan()
    prediction, target, _, _ = sequences()
    metric.update(prediction[:2], target[:2], torch.tensor([0, 1]), torch.tensor([0, 1]))
    assert metric.compute().isnan()


def test_the_first_of_equal_poses_is_kept() -> None:
    order = order_frames(torch.tensor([1, 0, 1, 1, 0]), torch.tensor([2, 9, 2, 1, 9]))
    assert order.tolist() == [1, 3, 0]
    assert order_frames(torch.zeros(0).long(), torch.zeros(0).long()).tolist() == []


def test_shapes_that_do_not_belong_together_are_named() -> None:
    prediction, target, sequence, frame = sequences()
    with pytest.raises(ValueError, match=r"\(18, 17, 3\) and \(18, 16, 3\)"):
        MPJVE().update(prediction, target[:, :16], sequence, frame)
    with pytest.raises(ValueError, match=r"\(18,\) for 18 poses, found \(18,\) and \(17,\)"):
        MPJVE().update(prediction, target, sequence, frame[1:])
    with pytest.raises(ValueError, match=r"\(3,\) and \(2,\)"):
        order_frames(torch.zeros(3), torch.zeros(2))
