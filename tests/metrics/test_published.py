"""The standard errors and their published variants against the public evaluation, and against plain loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch

from liftpose.geometry import picture_poses
from liftpose.metrics import functional
from liftpose.metrics.functional.published import fourteen_joints, published_errors, published_fourteen_joints
from liftpose.skeletons import COCO_17, H36M_17, H36M_MPII_ORDER_16, MPII_16, Skeleton


def loop(prediction: np.ndarray, target: np.ndarray, root: int) -> tuple[np.ndarray, np.ndarray]:
    """The published errors of one pose with scipy's Procrustes."""
    x, y = prediction - prediction.mean(0), target - target.mean(0)
    u, s, vt = np.linalg.svd(x.T @ y)
    flip = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation, trace = u @ flip @ vt, (s * np.diag(flip)).sum()
    scale = trace / (x**2).sum()
    aligned, truth = scale * x @ rotation + target.mean(0), target - target[root]
    scaled = scale * (prediction - prediction[root])
    return np.linalg.norm(aligned - aligned[root] - truth, axis=1), np.linalg.norm(scaled - truth, axis=1)


@pytest.mark.parametrize("root", [0, 6])
def test_same_as_a_loop(root: int) -> None:
    target = torch.randn(20, 17, 3, dtype=torch.float64)
    prediction = target + 0.3 * torch.randn(20, 17, 3, dtype=torch.float64)
    prediction[3] = target[3] @ torch.diag(torch.tensor([-1.0, 1, 1], dtype=torch.float64))  # a mirror image
    errors = published_errors(prediction, target, root)
    for one, other, aligned, scaled in zip(prediction, target, errors.aligned, errors.scaled, strict=True):
        expected = loop(one.numpy(), other.numpy(), root)
        np.testing.assert_allclose(aligned, expected[0], atol=1e-10)
        np.testing.assert_allclose(scaled, expected[1], atol=1e-10)
    rotation, scale = scipy.linalg.orthogonal_procrustes(
        prediction[0] - prediction[0].mean(0), target[0] - target[0].mean(0)
    )
    assert np.linalg.det(rotation) > 0 and scale > 0  # the loop's rotation is scipy's where none is a reflection


def test_published_errors_are_no_smaller_than_the_standard_ones() -> None:
    target = torch.randn(200, 17, 3, dtype=torch.float64)
    target = target - target[:, :1]
    prediction = target + 0.5 * torch.randn(200, 17, 3, dtype=torch.float64)
    prediction = prediction - prediction[:, :1]
    found = published_errors(prediction, target, 0)
    aligned = functional.p_mpjpe_per_pose(prediction, target)
    np.testing.assert_allclose(found.standard.mean(-1), aligned, atol=1e-12)
    assert float(found.aligned.mean()) > float(aligned.mean())
    # the best scale leaves the smallest sum of squares
    best = (prediction * target).sum((1, 2), keepdim=True) / prediction.square().sum((1, 2), keepdim=True)
    squares = (best * prediction - target).square().sum((1, 2))
    assert bool((found.scaled.square().sum(1) >= squares - 1e-12).all())


def test_poses_without_an_alignment_have_no_error() -> None:
    target = torch.randn(2, 17, 3)
    errors = published_errors(torch.stack((torch.ones(17, 3), target[1])), target, 0)
    assert bool(errors.aligned[0].isnan().all()) and bool((errors.aligned[1] < 1e-5).all())


def test_lists_of_fourteen_joints() -> None:
    for skeleton in (H36M_17, H36M_MPII_ORDER_16):
        names = {skeleton.joint_names[joint] for joint in fourteen_joints(skeleton)}
        assert len(names) == 14 and {"head", "thorax", "left_wrist", "right_ankle"} <= names
        assert not names & {"pelvis", "spine", "neck"}
    left_out = set(range(17)) - set(published_fourteen_joints(H36M_17))
    assert {H36M_17.joint_names[joint] for joint in left_out} == {"right_ankle", "left_wrist", "right_wrist"}
    left_out = set(range(16)) - set(published_fourteen_joints(H36M_MPII_ORDER_16))
    assert {H36M_MPII_ORDER_16.joint_names[joint] for joint in left_out} == {"neck", "head"}
    assert fourteen_joints(MPII_16) == fourteen_joints(COCO_17) == published_fourteen_joints(COCO_17) == ()


@pytest.mark.parametrize(("name", "skeleton"), [("h36m", H36M_17), ("mpii", H36M_MPII_ORDER_16)])
def test_public_evaluation(reference: Path, name: str, skeleton: Skeleton) -> None:
    golden = {key: torch.from_numpy(value) for key, value in np.load(reference / "golden/epipolar/metrics.npz").items()
              if value.dtype.kind == "f"}  # fmt: skip
    intrinsics = torch.zeros(len(golden["fl"]), 3, 3, dtype=torch.float64)
    intrinsics[:, [0, 1], [0, 1]], intrinsics[:, :2, 2], intrinsics[:, 2, 2] = golden["fl"], golden["c_p"], 1
    truth = golden["gt_uvd"]
    if skeleton is H36M_MPII_ORDER_16:
        truth = truth[:, [3, 2, 1, 4, 5, 6, 0, 8, 9, 10, 16, 15, 14, 11, 12, 13]]
    target, prediction = (
        1e-3 * picture_poses(uvd[..., :2], uvd[..., 2], golden["pelvis"][:, 2], intrinsics)
        for uvd in (truth, golden[f"pred_{name}"])
    )
    root = skeleton.root
    target, prediction = target - target[:, root, None], prediction - prediction[:, root, None]
    _, aligned, scaled = published_errors(prediction, target, root)
    plain, few = functional.joint_errors(prediction, target), list(published_fourteen_joints(skeleton))
    found = [errors[:, joints].mean() for joints in (slice(None), few) for errors in (plain, aligned, scaled)]
    found += [axis.mean() for axis in (prediction - target).abs().unbind(-1)]
    np.testing.assert_allclose(1000 * torch.stack(found), golden[f"values_{name}"], rtol=1e-10)


def test_public_evaluation_of_the_refiner(reference: Path) -> None:
    golden = np.load(reference / "golden/epipolar/refiner.npz")
    # It has no root, is not moved to have one, and its "14" joints are 13: neck and head are missing.
    standardised = golden["eval_preds"] * golden["labels_std"] + golden["labels_mean"]
    prediction = 1e-3 * torch.from_numpy(standardised.reshape(15, 15, 3))
    target = 1e-3 * torch.from_numpy(np.delete(golden["valid_out"], 6, axis=1))
    few = [joint for joint in range(15) if joint not in {7, 8}]
    standard = published_errors(prediction, target, 0).standard
    found = [
        functional.mpjpe(prediction, target),
        functional.p_mpjpe(prediction, target),
        functional.mpjpe(prediction[:, few], target[:, few]),
        standard[:, few].mean(),
        *(prediction - target).abs().mean((0, 1)),
    ]
    np.testing.assert_allclose(1000 * torch.stack(found), golden["eval_values"], rtol=1e-6)
