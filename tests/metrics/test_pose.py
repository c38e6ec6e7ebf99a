import copy
import pickle

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics import Metric

from liftpose.metrics import AUC, MPJPE, NMPJPE, PCK, PMPJPE, PerJointMPJPE, functional

CASES = [
    (MPJPE, functional.mpjpe),
    (PMPJPE, functional.p_mpjpe),
    (NMPJPE, functional.n_mpjpe),
    (PCK, functional.pck),
    (AUC, functional.auc),
]


def poses(seed: int, *shape: int) -> Tensor:
    return 0.3 * torch.randn(*shape, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def merge(first: Metric, second: Metric) -> Metric:
    """What the reduction of two processes does."""
    merged = copy.deepcopy(first)
    merged.merge_state(second)
    return merged


@pytest.mark.parametrize(("kind", "function"), CASES)
def test_uneven_batches_and_processes_give_the_value_of_all_poses(kind: type[Metric], function: object) -> None:
    prediction, target = poses(0, 23, 17), poses(1, 23, 17)
    first, second = kind(), kind()
    first.update(prediction[:10], target[:10])
    first.update(prediction[10], target[10])
    second.update(prediction[11:].reshape(3, 4, 17, 3), target[11:].reshape(3, 4, 17, 3))
    found = merge(first, second).compute()
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, function(prediction, target), rtol=1e-12, atol=0)
    assert first.higher_is_better is (kind in (PCK, AUC)) and first.is_differentiable is (kind not in (PCK, AUC))


@pytest.mark.parametrize(("kind", "function"), CASES)
def test_forward_reset_and_pickle(kind: type[Metric], function: object) -> None:
    metric = kind()
    metric.update(poses(2, 5, 17), poses(3, 5, 17))
    batch = metric(poses(4, 7, 17), poses(5, 7, 17))
    torch.testing.assert_close(batch, function(poses(4, 7, 17), poses(5, 7, 17)))
    everything = function(torch.cat((poses(2, 5, 17), poses(4, 7, 17))), torch.cat((poses(3, 5, 17), poses(5, 7, 17))))
    torch.testing.assert_close(metric.compute(), everything)
    torch.testing.assert_close(pickle.loads(pickle.dumps(metric)).compute(), everything)  # noqa: S301 (our own bytes)
    metric.reset()
    metric.update(poses(2, 5, 17), poses(3, 5, 17))
    torch.testing.assert_close(metric.compute(), function(poses(2, 5, 17), poses(3, 5, 17)))


def test_degenerate_poses_are_counted_and_left_out_of_the_mean() -> None:
    prediction, target = poses(6, 6, 17), poses(7, 6, 17)
    prediction[1] = 0.25
    target[4] = torch.nan
    first, second = PMPJPE(), PMPJPE()
    first.update(prediction[:3], target[:3])
    second.update(prediction[3:], target[3:])
    merged = merge(first, second)
    good = [0, 2, 3, 5]
    torch.testing.assert_close(merged.compute(), functional.p_mpjpe(prediction[good], target[good]))
    assert merged.degenerate_poses == 2
    merged.reset()
    assert merged.degenerate_poses == 0
    merged.update(prediction[1], target[1])
    assert merged.compute().isnan()


def test_millions_of_small_errors_are_summed_exactly() -> None:
    metric = MPJPE()
    metric.update(torch.full((1, 1, 3), 1e4), torch.zeros(1, 1, 3))
    small = torch.full((1000, 1, 3), 1e-4)
    for _ in range(100):
        metric.update(small, torch.zeros_like(small))
    expected = (1e4 + 100_000 * 1e-4) * np.sqrt(3) / 100_001
    np.testing.assert_allclose(metric.compute(), expected, rtol=1e-7)


def test_a_module_in_half_precision_keeps_the_sums() -> None:
    module = torch.nn.ModuleList([MPJPE(), PerJointMPJPE(2)]).to(torch.bfloat16)
    for metric in module:
        metric.update(torch.full((1, 2, 3), 1.0), torch.zeros(1, 2, 3))
        metric.update(torch.full((999, 2, 3), 1.001), torch.zeros(999, 2, 3))
        expected = np.sqrt(3) * (1 + 999 * 1.001) / 1000
        np.testing.assert_allclose(metric.compute(), np.full(metric.compute().shape, expected), rtol=1e-6)


def test_options_reach_the_formula() -> None:
    prediction, target = poses(8, 9, 17), poses(9, 9, 17)
    pck, auc = PCK(threshold=0.4), AUC(thresholds=(0.3, 0.6))
    pck.update(prediction, target)
    auc.update(prediction, target)
    torch.testing.assert_close(pck.compute(), functional.pck(prediction, target, 0.4))
    expected = (functional.pck(prediction, target, 0.3) + functional.pck(prediction, target, 0.6)) / 2
    torch.testing.assert_close(auc.compute(), expected)


def test_the_error_of_each_joint() -> None:
    prediction, target = poses(10, 9, 17), poses(11, 9, 17)
    first, second = PerJointMPJPE(17), PerJointMPJPE(17)
    first.update(prediction[:4], target[:4])
    second.update(prediction[4:], target[4:])
    expected = np.linalg.norm((prediction - target).numpy(), axis=-1).mean(0)
    np.testing.assert_allclose(merge(first, second).compute(), expected, rtol=1e-12)
    with pytest.raises(ValueError, match=r"expected 17 joints, found poses of shape \(4, 16, 3\)"):
        first.update(prediction[:4, :16], target[:4, :16])


def test_no_poses_have_no_mean() -> None:
    metric = MPJPE()
    metric.update(torch.zeros(0, 17, 3), torch.zeros(0, 17, 3))
    assert metric.compute().isnan()
