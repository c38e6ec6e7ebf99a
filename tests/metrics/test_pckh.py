"""PCKh against the public evaluation and a plain loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from liftpose.metrics.pckh import PCKH_GROUPS, PCKh
from liftpose.skeletons import MPII_16


def people(n: int = 40) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    target = 400 * torch.rand(n, 16, 2)
    prediction = target + 12 * torch.randn(n, 16, 2)
    return prediction, target, 20 + 30 * torch.rand(n), (torch.rand(n, 16) < 0.8).float()


def test_groups_and_mean_are_those_of_a_loop() -> None:
    prediction, target, heads, known = people()
    metric = PCKh()
    for rows in (slice(0, 13), slice(13, 40)):
        metric.update(prediction[rows], target[rows], heads[rows], known[rows])
    result = metric.compute()
    for place, threshold in enumerate((0.5, 0.1)):
        per_joint, hits, count = {}, 0, 0
        for joint, name in enumerate(MPII_16.joint_names):
            found = [
                float(np.hypot(*(prediction[i, joint] - target[i, joint]).tolist())) <= threshold * float(heads[i])
                for i in range(len(heads))
                if known[i, joint]
            ]
            per_joint[name] = 100 * sum(found) / len(found)
            if name not in {"pelvis", "thorax"}:
                hits, count = hits + sum(found), count + len(found)
        for row, names in PCKH_GROUPS.items():
            assert result.groups[row][place] == pytest.approx(np.mean([per_joint[name] for name in names]))
        assert result.mean[place] == pytest.approx(100 * hits / count)
    assert result.people == 40


def test_what_is_not_known_does_not_count() -> None:
    prediction, target, heads, known = people()
    metric, other = PCKh(), PCKh()
    metric.update(prediction, target, heads, known)
    other.update(prediction, target.where(known[..., None] > 0, torch.nan), heads, known)
    assert metric.compute() == other.compute()


def test_wrong_shapes_are_told() -> None:
    prediction, target, heads, known = people(3)
    with pytest.raises(ValueError, match=r"found \(3, 15, 2\)"):
        PCKh().update(prediction[:, :15], target, heads, known)


def test_public_evaluation(reference: Path) -> None:
    golden = np.load(reference / "golden/epipolar/metrics.npz")
    prediction = torch.from_numpy(golden["mpii_pred"][..., :2]) + 1  # the truth counts pixels from 1
    target = torch.from_numpy(golden["mpii_gt"]).permute(2, 0, 1).double()
    boxes = torch.from_numpy(golden["mpii_headboxes"])
    known = 1 - torch.from_numpy(golden["mpii_missing"].astype(float)).T
    metric = PCKh((0.5, 0.11))  # what the public table calls 0.1
    metric.update(prediction, target, 0.6 * (boxes[1] - boxes[0]).norm(dim=0), known)
    result = metric.compute()
    found = [*(values[0] for values in result.groups.values()), *result.mean]
    np.testing.assert_allclose(found, golden["mpii_values"], atol=1e-9)
