import math

import numpy as np
import pytest
import torch
from torch import Tensor

from liftpose.metrics import PoseEvaluation, functional, pool_scores

RECORDINGS = [
    ("S9", "Walking 1", 0),
    ("S9", "Walking 1", 1),
    ("S9", "Sitting", 0),
    ("S11", "Walking", 0),
    ("S11", "Photo", 0),
]
LENGTHS = (6, 6, 1, 9, 0)


def rows() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    frames = sum(LENGTHS)
    target = 0.3 * torch.randn(frames, 17, 3, generator=generator, dtype=torch.float64)
    prediction = target + 0.1 * torch.randn(frames, 17, 3, generator=generator, dtype=torch.float64)
    sequence = torch.cat([torch.full((n,), i) for i, n in enumerate(LENGTHS)])
    return prediction, target, sequence, torch.cat([torch.arange(n) for n in LENGTHS])


def evaluate(*, order: Tensor | None = None, batch: int = 1000, **options: object) -> PoseEvaluation:
    evaluation = PoseEvaluation(RECORDINGS, storage_dtype=torch.float64, **options)
    columns = rows()
    order = torch.arange(len(columns[0])) if order is None else order
    for indices in order.split(batch):
        evaluation.update(*(column[indices] for column in columns))
    return evaluation


def test_every_recording_has_the_metrics_of_its_poses() -> None:
    prediction, target, sequence, _ = rows()
    result = evaluate().compute()
    assert [(r.subject, r.action, r.view) for r in result.recordings] == RECORDINGS
    for index, recording in enumerate(result.recordings[:4]):
        p, t, score = prediction[sequence == index], target[sequence == index], recording.score
        assert score.frames == LENGTHS[index] and score.velocities == LENGTHS[index] - 1 and score.degenerate == 0
        found = (score.mpjpe, score.p_mpjpe, score.n_mpjpe, score.mpjve, score.pck_with_root, score.auc_with_root)
        functions = (
            functional.mpjpe,
            functional.p_mpjpe,
            functional.n_mpjpe,
            functional.mpjve,
            functional.pck,
            functional.auc,
        )
        np.testing.assert_allclose(found, [float(function(p, t)) for function in functions], rtol=1e-12)
        np.testing.assert_allclose(score.joint_errors, functional.joint_errors(p, t).mean(0), rtol=1e-12)
    empty = result.recordings[4].score
    assert empty.frames == 0 and math.isnan(empty.mpjpe) and math.isnan(empty.mpjve) and empty.joint_errors == ()


def test_order_batches_and_repeated_poses_change_no_digit() -> None:
    rng = np.random.default_rng(0)
    order = torch.tensor(np.concatenate((rng.permutation(sum(LENGTHS)), [3, 3, 20])))
    for batch in (1, 5, 100):
        assert repr(evaluate(order=order, batch=batch).compute()) == repr(evaluate().compute())


def test_the_overall_score_is_that_of_all_poses() -> None:
    prediction, target, _, _ = rows()
    overall = evaluate().compute().overall
    np.testing.assert_allclose(overall.mpjpe, float(functional.mpjpe(prediction, target)))
    np.testing.assert_allclose(overall.p_mpjpe, float(functional.p_mpjpe(prediction, target)))
    np.testing.assert_allclose(overall.auc_with_root, float(functional.auc(prediction, target)))
    np.testing.assert_allclose(overall.joint_errors, functional.joint_errors(prediction, target).mean(0))
    assert (overall.frames, overall.velocities) == (22, 18)


def test_velocities_are_weighted_by_frames_as_published() -> None:
    prediction, target, sequence, _ = rows()
    parts = [float(functional.mpjve(prediction[sequence == i], target[sequence == i])) for i in (0, 1, 3)]
    expected = np.average(parts, weights=[LENGTHS[i] for i in (0, 1, 3)])
    np.testing.assert_allclose(evaluate().compute().overall.mpjve, expected)


def test_a_gap_has_no_velocity() -> None:
    prediction, target, _, _ = rows()
    evaluation = PoseEvaluation(RECORDINGS, storage_dtype=torch.float64)
    evaluation.update(prediction[:4], target[:4], torch.zeros(4).long(), torch.tensor([0, 1, 3, 4]))
    score = evaluation.compute().recordings[0].score
    expected = [float(functional.mpjve(prediction[i : i + 2], target[i : i + 2])) for i in (0, 2)]
    np.testing.assert_allclose(score.mpjve, np.mean(expected))
    assert score.velocities == 2


def test_degenerate_poses_are_counted_and_do_not_hide() -> None:
    prediction, target, sequence, frame = rows()
    prediction[2] = 0
    evaluation = PoseEvaluation(RECORDINGS, storage_dtype=torch.float64)
    evaluation.update(prediction, target, sequence, frame)
    score = evaluation.compute().recordings[0].score
    good = [0, 1, 3, 4, 5]
    assert score.degenerate == 1
    np.testing.assert_allclose(score.p_mpjpe, float(functional.p_mpjpe(prediction[good], target[good])))
    np.testing.assert_allclose(score.mpjpe, float(functional.mpjpe(prediction[:6], target[:6])))
    pooled = pool_scores([score, evaluation.compute().recordings[3].score])
    keep = [*good, *range(13, 22)]
    np.testing.assert_allclose(pooled.p_mpjpe, float(functional.p_mpjpe(prediction[keep], target[keep])))


def test_a_pose_that_is_not_finite_spoils_its_recording_visibly() -> None:
    prediction, target, sequence, frame = rows()
    prediction[2, 3, 1] = torch.nan
    evaluation = PoseEvaluation(RECORDINGS)
    evaluation.update(prediction, target, sequence, frame)
    score = evaluation.compute().recordings[0].score
    assert (
        math.isnan(score.mpjpe)
        and math.isnan(score.pck_no_root)
        and math.isnan(score.auc_with_root)
        and score.degenerate == 1
    )


@pytest.mark.parametrize("root", [0, 3, 16])
def test_pck_and_auc_are_there_without_the_root_and_with_it(root: int) -> None:
    prediction, target, _, _ = rows()
    overall = evaluate(root=root).compute().overall
    others = [joint for joint in range(17) if joint != root]
    p, t = prediction[:, others], target[:, others]
    np.testing.assert_allclose(overall.pck_no_root, float(functional.pck(p, t)))
    np.testing.assert_allclose(overall.auc_no_root, float(functional.auc(p, t)))
    np.testing.assert_allclose(overall.pck_with_root, float(functional.pck(prediction, target)))


def test_a_root_that_is_always_right_makes_the_share_larger() -> None:
    """1 of 17 joints: what the published numbers gain from it."""
    prediction, target, sequence, frame = rows()
    prediction[:, 0] = target[:, 0]
    evaluation = PoseEvaluation(RECORDINGS, storage_dtype=torch.float64)
    evaluation.update(prediction, target, sequence, frame)
    overall = evaluation.compute().overall
    np.testing.assert_allclose(overall.pck_with_root, (16 * overall.pck_no_root + 100) / 17)
    np.testing.assert_allclose(overall.auc_with_root, (16 * overall.auc_no_root + 100 * 30 / 31) / 17)


def test_a_sequence_without_a_recording_is_named() -> None:
    evaluation = PoseEvaluation(RECORDINGS[:2])
    evaluation.update(*rows())
    with pytest.raises(ValueError, match="2 recordings, 0 to 1, found 0 to 3"):
        evaluation.compute()


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_an_evaluation_without_poses_has_recordings_without_numbers() -> None:
    result = PoseEvaluation(RECORDINGS).compute()
    assert len(result.recordings) == len(RECORDINGS) and result.overall.frames == 0
    assert all(math.isnan(recording.score.pck_no_root) for recording in result.recordings)


def test_nothing_pools_to_nothing() -> None:
    assert pool_scores([]).frames == 0 and math.isnan(pool_scores([]).mpjpe)
