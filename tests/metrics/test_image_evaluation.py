"""The evaluation of pictures against the metrics that it is made of."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from liftpose.metrics import (
    EvaluationResult,
    ImagePoseEvaluation,
    PoseEvaluation,
    Score,
    action_table,
    cluster_poses,
    functional,
    joint_table,
    pss,
    takes_of_pictures,
)
from liftpose.metrics.functional.published import published_errors
from liftpose.skeletons import H36M_17, HUMANEVA_15

TAKES = [("S9", "Walking 1", 0), ("S9", "Sitting", 1), ("S11", "Walking", 0)]
OWN_14 = [1, 2, 3, 4, 5, 6, 8, 10, 11, 12, 13, 14, 15, 16]


def poses(count: int = 30) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    target = 0.3 * torch.randn(count, 17, 3)
    prediction = 1.2 * target + 0.05 * torch.randn(count, 17, 3)
    sequence = torch.arange(count) % 3
    return prediction - prediction[:, :1], target - target[:, :1], sequence, torch.arange(count)


def further(score: Score) -> dict[str, float]:
    return {one.name: one.value for one in score.further}


def test_every_number_is_that_of_its_own_function() -> None:
    prediction, target, sequence, row = poses()
    clusters = cluster_poses(target, 4, H36M_17)
    evaluation = ImagePoseEvaluation(TAKES, H36M_17, [clusters], storage_dtype=torch.float64)
    evaluation.update(prediction, target, sequence, row)
    result = evaluation.compute()
    assert result.joint_names == H36M_17.joint_names
    for take, recording in enumerate(result.recordings):
        mine, true = prediction[sequence == take], target[sequence == take]
        numbers = further(recording.score)
        few, few_true = mine[:, OWN_14], true[:, OWN_14]
        standard, aligned, scaled = published_errors(mine, true, 0)
        expected = {
            **dict(zip("xyz", (mine - true).abs().mean((0, 1)).tolist(), strict=True)),
            "MPJPE 14 joints": functional.mpjpe(few, few_true),
            "P-MPJPE 14 joints": functional.p_mpjpe(few, few_true),
            "N-MPJPE 14 joints": functional.n_mpjpe(few, few_true),
            "PSS@4": pss(mine, true, clusters),
            "P-MPJPE as published": aligned.mean(),
            "N-MPJPE as published": scaled.mean(),
            "MPJPE 14 as published": (mine - true).norm(dim=-1)[:, [0, 1, 2, *range(4, 13), 14, 15]].mean(),
            "P-MPJPE 14 as published": aligned[:, [0, 1, 2, *range(4, 13), 14, 15]].mean(),
            "N-MPJPE 14 as published": scaled[:, [0, 1, 2, *range(4, 13), 14, 15]].mean(),
        }
        assert list(numbers) == list(expected)
        np.testing.assert_allclose(list(numbers.values()), [float(value) for value in expected.values()], rtol=1e-5)
        assert recording.score.p_mpjpe == pytest.approx(float(standard.mean()), rel=1e-5)
        assert math.isnan(recording.score.mpjve) and recording.score.velocities == 0
        assert recording.score.mpjpe == pytest.approx(float(functional.mpjpe(mine, true)), rel=1e-5)


def test_any_batches_any_order_and_copies() -> None:
    prediction, target, sequence, row = poses()
    whole, parts = (ImagePoseEvaluation(TAKES, H36M_17) for _ in range(2))
    whole.update(prediction, target, sequence, row)
    order = torch.cat((torch.randperm(30), torch.tensor([4, 4, 17])))
    for rows in order.split(7):
        parts.update(prediction[rows], target[rows], sequence[rows], row[rows])
    one, other = whole.compute().overall, parts.compute().overall
    assert one.frames == other.frames == 30
    np.testing.assert_allclose(list(further(one).values()), list(further(other).values()), rtol=1e-6)


def test_what_it_shares_with_the_evaluation_of_sequences() -> None:
    prediction, target, sequence, row = poses()
    image, plain = ImagePoseEvaluation(TAKES, HUMANEVA_15), PoseEvaluation(TAKES, HUMANEVA_15.root)
    for evaluation in (image, plain):
        evaluation.update(prediction[:, :15], target[:, :15], sequence, row)
    for one, other in zip(image.compute().recordings, plain.compute().recordings, strict=True):
        mine = one.score._replace(further=(), mpjve=0.0, velocities=0)
        theirs = other.score._replace(mpjve=0.0, velocities=0)
        assert mine.p_mpjpe == pytest.approx(theirs.p_mpjpe, rel=1e-5)
        assert mine._replace(p_mpjpe=0.0) == theirs._replace(p_mpjpe=0.0)


def test_poses_that_cannot_be_aligned_are_left_out_where_p_mpjpe_leaves_them_out() -> None:
    prediction, target, sequence, row = poses()
    prediction[5] = 0
    evaluation = ImagePoseEvaluation(TAKES, H36M_17)
    evaluation.update(prediction, target, sequence, row)
    overall = evaluation.compute().overall
    counts = {one.name: one.poses for one in overall.further}
    assert overall.degenerate == 1 and counts["x"] == counts["MPJPE 14 joints"] == 30
    assert counts["P-MPJPE as published"] == counts["P-MPJPE 14 joints"] == 29
    assert all(math.isfinite(value) for value in further(overall).values())


def test_a_prediction_that_is_not_finite_shows() -> None:
    prediction, target, sequence, row = poses()
    prediction[5, 3] = torch.nan
    evaluation = ImagePoseEvaluation(TAKES, H36M_17, [cluster_poses(target, 4, H36M_17)])
    evaluation.update(prediction, target, sequence, row)
    numbers = further(evaluation.compute().overall)
    assert math.isnan(numbers["x"]) and math.isnan(numbers["PSS@4"]) and math.isnan(numbers["MPJPE 14 joints"])


def test_table() -> None:
    prediction, target, sequence, row = poses()
    clusters = cluster_poses(target, 4, H36M_17)
    evaluation = ImagePoseEvaluation(TAKES, H36M_17, [clusters])
    evaluation.update(prediction, target, sequence, row)
    result = evaluation.compute()
    table = action_table(result, "pictures")
    means = table.to_dict()["mean_over_frames"]
    np.testing.assert_allclose(means["x_mm"], 1000 * further(result.overall)["x"])
    np.testing.assert_allclose(means["pss4_percent"], float(pss(prediction, target, clusters)), rtol=1e-6)
    assert "mpjve_mm" not in means and "p_mpjpe_as_published_mm" in means
    rows = {row["action"]: row for row in table.to_dict()["rows"]}
    walking = sequence != 1
    np.testing.assert_allclose(
        rows["Walking"]["mpjpe_mm"], 1000 * functional.mpjpe(prediction[walking], target[walking]), rtol=1e-6
    )
    picked = table.pick(["x", "MPJPE"], "two columns")
    assert picked.columns == (("x", "mm"), ("MPJPE", "mm"))
    assert picked.rows[0].values == (rows["Walking"]["x_mm"], rows["Walking"]["mpjpe_mm"])
    assert "two columns" in picked.to_text() and "PSS" not in picked.to_text()
    assert action_table(EvaluationResult(())).rows == ()  # nothing was tested
    lines = joint_table(result.joint_names, result.overall.joint_errors).splitlines()
    assert max(map(len, lines)) <= 102 and all(name in "\n".join(lines) for name in H36M_17.joint_names)


def test_takes_of_pictures() -> None:
    takes, index = takes_of_pictures(["S1", "S1", "S2", "S1"], ["a", "b", "a", "a"], [0, 0, 0, 1])
    assert takes == [("S1", "a", 0), ("S1", "b", 0), ("S2", "a", 0), ("S1", "a", 1)]
    assert index.tolist() == [0, 1, 2, 3]


def test_clusters_of_other_joints_are_refused() -> None:
    clusters = cluster_poses(torch.randn(9, 15, 3), 3, HUMANEVA_15)
    with pytest.raises(ValueError, match="clusters of h36m_17"):
        ImagePoseEvaluation(TAKES, H36M_17, [clusters])
