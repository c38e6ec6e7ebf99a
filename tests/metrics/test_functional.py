import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from torch import Tensor

from liftpose.metrics import functional as F

PER_POSE = (F.mpjpe_per_pose, F.p_mpjpe_per_pose, F.n_mpjpe_per_pose, F.pck_per_pose, F.auc_per_pose)
MEANS = (F.mpjpe, F.p_mpjpe, F.n_mpjpe, F.pck, F.auc)
Metric = Callable[[Tensor, Tensor], Tensor]


def poses(seed: int, *shape: int) -> Tensor:
    return 0.3 * torch.randn(*shape, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("case", ["noisy", "similarity", "mirrored", "random", "scaled"])
def test_the_public_code_of_rie_agrees(reference: Path, case: str) -> None:
    data = np.load(reference / "golden/rie/metrics.npz")
    prediction, target = torch.tensor(data[f"{case}_pred"]), torch.tensor(data["target"])
    found = {
        "mpjpe": F.mpjpe(prediction, target),
        "weighted_mpjpe": F.mpjpe(prediction, target, torch.tensor(data["weights"])),
        "p_mpjpe": F.p_mpjpe(prediction, target),
        "p_mpjpe_per_pose": F.p_mpjpe_per_pose(prediction, target),
        "n_mpjpe": F.n_mpjpe(prediction, target),
        "n_mpjpe_per_pose": F.n_mpjpe_per_pose(prediction, target),
        "mpjve": F.mpjve(prediction, target),
    }
    for name, value in found.items():
        np.testing.assert_allclose(value, data[f"{case}_{name}"], rtol=0, atol=1e-10, err_msg=name)


def test_the_public_code_of_dh_aug_agrees(reference: Path) -> None:
    data = np.load(reference / "golden/dh_aug/metrics.npz")
    prediction, target = torch.tensor(data["pred"]), torch.tensor(data["gt"])
    found = {
        "mpjpe_m": F.mpjpe(prediction, target),
        "mpjpe_byjoint": F.joint_errors(prediction, target).mean(0),
        "p_mpjpe_m": F.p_mpjpe(prediction, target),
        "p_mpjpe_per_pose": F.p_mpjpe_per_pose(prediction, target),
        "n_mpjpe_m": F.n_mpjpe(prediction, target),
        "velocity": F.mpjve(prediction, target),
        "pck150": F.pck(prediction, target),
        "auc": F.auc(prediction, target),
        "pck_curve": torch.stack([F.pck(prediction, target, threshold) for threshold in F.AUC_THRESHOLDS]),
        "pck150_no_root": F.pck(prediction[:, 1:], target[:, 1:]),
        "auc_no_root": F.auc(prediction[:, 1:], target[:, 1:]),
        "auc_perfect": F.auc(target, target),
        "mpjpe_per_seq": torch.stack(
            [F.mpjpe(prediction[a:b], target[a:b]) for a, b in itertools.pairwise(data["seq_bounds"])]
        ),
    }
    for name, value in found.items():
        np.testing.assert_allclose(value, data[name], rtol=0, atol=1e-10, err_msg=name)


def test_numpy_loops_agree() -> None:
    prediction, target = poses(0, 6, 17), poses(1, 6, 17)
    p, t = prediction.numpy(), target.numpy()
    distances = np.sqrt(((p - t) ** 2).sum(-1))
    np.testing.assert_allclose(F.mpjpe(prediction, target), distances.mean())
    scaled = [(x * y).sum() / (x * x).sum() * x for x, y in zip(p, t, strict=True)]
    np.testing.assert_allclose(F.n_mpjpe(prediction, target), np.linalg.norm(scaled - t, axis=-1).mean())
    errors = [np.linalg.norm((p[i + 1] - p[i]) - (t[i + 1] - t[i]), axis=-1) for i in range(5)]
    np.testing.assert_allclose(F.velocity_errors(prediction, target), errors)
    curve = [100 * (distances < 0.005 * k).mean() for k in range(31)]
    np.testing.assert_allclose(F.auc(prediction, target), np.mean(curve))
    np.testing.assert_allclose(F.pck(prediction, target), curve[30])


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 100))
def test_a_similarity_of_the_prediction_changes_p_mpjpe_not_at_all_and_a_scale_not_n_mpjpe(
    seed: int, scale: float
) -> None:
    prediction, target = poses(seed, 17), poses(seed + 1, 17)
    turn = torch.tensor(Rotation.random(rng=seed).as_matrix())
    moved = scale * prediction @ turn + poses(seed + 2, 1)
    torch.testing.assert_close(F.p_mpjpe(moved, target), F.p_mpjpe(prediction, target), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(F.n_mpjpe(scale * prediction, target), F.n_mpjpe(prediction, target))
    torch.testing.assert_close(F.mpjpe(prediction @ turn, target @ turn), F.mpjpe(prediction, target))
    assert F.p_mpjpe(moved, moved) < 1e-9 * scale


@pytest.mark.parametrize(("per_pose", "mean"), list(zip(PER_POSE, MEANS, strict=True)))
def test_the_mean_is_that_of_the_poses_and_batches_may_have_any_shape(per_pose: Metric, mean: Metric) -> None:
    prediction, target = poses(2, 2, 5, 17), poses(3, 2, 5, 17)
    single = torch.stack([per_pose(a, b) for a, b in zip(prediction.flatten(0, 1), target.flatten(0, 1), strict=True)])
    found = per_pose(prediction, target)
    assert found.shape == (2, 5)
    torch.testing.assert_close(found.flatten(), single)
    torch.testing.assert_close(mean(prediction, target), single.mean())
    torch.testing.assert_close(per_pose(prediction.float(), target.float()).double(), found, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_error_on_the_threshold_is_a_miss(dtype: torch.dtype) -> None:
    distances = torch.tensor(F.AUC_THRESHOLDS, dtype=dtype)
    prediction = torch.stack((distances, torch.zeros_like(distances), torch.zeros_like(distances)), -1)
    target = torch.zeros_like(prediction)
    assert len(F.AUC_THRESHOLDS) == 31 and F.AUC_THRESHOLDS[-1] == 0.15
    for k, threshold in enumerate(F.AUC_THRESHOLDS):
        torch.testing.assert_close(F.pck(prediction, target, threshold), torch.tensor(100 * k / 31, dtype=dtype))
    torch.testing.assert_close(F.auc(prediction, target), torch.tensor(100 * 15 / 31, dtype=dtype))


def test_degenerate_poses_are_nan_per_pose_and_in_the_mean() -> None:
    prediction, target = poses(4, 4, 17), poses(5, 4, 17)
    prediction[1] = 0
    target[2] = 0.7
    prediction[3, 4, 1] = torch.nan
    assert F.p_mpjpe_per_pose(prediction, target).isnan().tolist() == [False, True, True, True]
    assert F.p_mpjpe(prediction[:2], target[:2]).isnan()
    for metric in PER_POSE:
        assert metric(prediction, target)[3].isnan()


def test_n_mpjpe_of_a_zero_prediction_is_the_size_of_the_target() -> None:
    target = poses(6, 17)
    zero = torch.zeros_like(target).requires_grad_()
    found = F.n_mpjpe(zero, target)
    found.backward()
    torch.testing.assert_close(found.detach(), target.norm(dim=-1).mean())
    assert zero.grad is not None and zero.grad.isfinite().all()


@pytest.mark.parametrize("metric", [F.mpjpe, F.p_mpjpe, F.n_mpjpe, F.mpjve])
def test_gradients_are_those_of_finite_differences(metric: Metric) -> None:
    assert torch.autograd.gradcheck(metric, (poses(7, 3, 5).requires_grad_(), poses(8, 3, 5).requires_grad_()))


def test_a_sequence_of_one_pose_has_no_velocity() -> None:
    assert F.mpjve(poses(9, 1, 17), poses(10, 1, 17)).isnan()


@pytest.mark.parametrize("metric", [*PER_POSE, *MEANS, F.joint_errors, F.velocity_errors, F.mpjve])
@pytest.mark.parametrize(("first", "second"), [((5, 17, 3), (5, 16, 3)), ((17, 2), (17, 2)), ((3,), (3,))])
def test_shapes_that_do_not_belong_together_are_named(
    metric: Metric, first: tuple[int, ...], second: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError) as error:
        metric(torch.zeros(first), torch.zeros(second))
    assert str(first) in str(error.value) and str(second) in str(error.value)


def test_weights_and_sequences_of_the_wrong_shape_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(5, 17\).*\(5, 16\)"):
        F.mpjpe(torch.zeros(5, 17, 3), torch.zeros(5, 17, 3), torch.ones(5, 16))
    with pytest.raises(ValueError, match=r"\(N, J, 3\).*\(2, 5, 17, 3\)"):
        F.mpjve(torch.zeros(2, 5, 17, 3), torch.zeros(2, 5, 17, 3))
