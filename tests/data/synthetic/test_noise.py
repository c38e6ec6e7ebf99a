"""The model of a detector: what it does to keypoints, measured."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import spearmanr

from liftpose.data.synthetic import DetectorNoise, derive_generator, detector_noise
from liftpose.skeletons import H36M_17

SIZE = (1000.0, 1002.0)
CALM = DetectorNoise(hardness=0.0, outlier_rate=0.0, dropout_rate=0.0, swap_rate=0.0)


def somebody(frames: int, height: float = 400.0) -> npt.NDArray[np.float64]:
    """Somebody who stands still, of a known height in the picture."""
    points = np.random.default_rng(0).uniform(400.0, 600.0, (17, 2))
    points[0], points[1] = (500.0, 300.0), (500.0, 300.0 + height)
    return np.broadcast_to(points, (frames, 17, 2)).copy()


def rng(name: str = "") -> np.random.Generator:
    return derive_generator(7, name)


def test_jitter_has_the_stated_size_and_memory() -> None:
    truth = somebody(40_000)
    points, _ = detector_noise(truth, rng(), SIZE, CALM)
    error = points - truth
    expected = np.broadcast_to(400.0 * CALM.standard_deviations(H36M_17)[:, None], (17, 2))
    np.testing.assert_allclose(error.std(axis=0), expected, rtol=0.05)
    np.testing.assert_allclose(error.mean(axis=0), 0.0, atol=0.5)
    next_frame = (error[1:] * error[:-1]).mean(axis=0) / error.var(axis=0)
    np.testing.assert_allclose(next_frame, CALM.memory * np.exp(-1.0 / CALM.duration), atol=0.04)


def test_wrists_and_ankles_are_the_hardest() -> None:
    deviations = dict(zip(H36M_17.joint_names, CALM.standard_deviations(H36M_17), strict=True))
    assert min(deviations[f"{side}_{end}"] for side in ("left", "right") for end in ("wrist", "ankle")) > max(
        value for name, value in deviations.items() if "wrist" not in name and "ankle" not in name
    )


def test_jitter_grows_with_the_person() -> None:
    small, large = (
        detector_noise(somebody(4000, height), rng(), SIZE, CALM)[0] - somebody(4000, height)
        for height in (320.0, 640.0)
    )
    # The other joints lie between, so that the first two set the height.
    assert large.std() / small.std() == pytest.approx(2.0, rel=0.05)


def test_outliers_have_the_stated_rate_and_size() -> None:
    noise = dataclasses.replace(CALM, jitter=0.0, outlier_rate=0.004, outlier_duration=3.0, outlier_size=0.2)
    truth = somebody(20_000)
    points, confidence = detector_noise(truth, rng(), SIZE, noise)
    error = np.linalg.norm(points - truth, axis=-1)
    away = error > 1.0
    # Spells begin at the rate and last three frames in the mean; overlaps make it a little less than their product.
    assert away.mean() == pytest.approx(0.012, rel=0.1)
    assert error.max() <= 0.2 * 400.0 + 0.01
    assert confidence[away].mean() < 0.4
    assert confidence[~away].mean() > 0.9


def test_lost_joints_are_held_finite_and_doubted() -> None:
    noise = dataclasses.replace(CALM, jitter=0.0, dropout_rate=0.01, dropout_duration=8.0)
    truth = somebody(10_000) + np.linspace(0.0, 100.0, 10_000)[:, None, None]
    points, confidence = detector_noise(truth, rng(), SIZE, noise)
    assert np.isfinite(points).all()
    lost = confidence < 0.11
    # A spell of mean length 8 begins in a frame with probability 0.01: lost is 1 - the chance that none lasts.
    assert lost.mean() == pytest.approx(1.0 - np.exp(-0.01 * 8.0), rel=0.08)
    held = lost[1:]
    np.testing.assert_array_equal(points[1:][held], points[:-1][held])
    assert (np.abs(points - truth)[~lost] < 1e-3).all()


def test_swaps_exchange_whole_limbs() -> None:
    noise = dataclasses.replace(CALM, jitter=0.0, swap_rate=0.01)
    truth = somebody(40_000)
    points, _ = detector_noise(truth, rng(), SIZE, noise)
    moved = np.linalg.norm(points - truth, axis=-1) > 1.0
    legs, arms = [1, 2, 3, 4, 5, 6], [11, 12, 13, 14, 15, 16]
    torso = [0, 7, 8, 9, 10]
    assert not moved[:, torso].any()
    for limb in (legs, arms):
        when = moved[:, limb].any(axis=1)
        assert moved[when][:, limb].all()
        assert when.mean() == pytest.approx(1.0 - np.exp(-0.05), rel=0.25)
        np.testing.assert_allclose(points[when][:, limb], truth[when][:, limb[3:] + limb[:3]], atol=1e-3)


def test_confidence_follows_the_error() -> None:
    truth = somebody(5000)
    points, confidence = detector_noise(truth, rng(), SIZE)
    error = np.linalg.norm(points - truth, axis=-1)
    assert spearmanr(error.ravel(), confidence.ravel()).statistic < -0.6
    assert confidence.min() >= 0.0
    assert confidence.max() <= 1.0
    # It does not give the error away either.
    assert spearmanr(error.ravel(), confidence.ravel()).statistic > -0.98


def test_points_stay_in_the_picture() -> None:
    truth = somebody(500) - (400.0, 290.0)
    points, _ = detector_noise(truth, rng(), SIZE)
    assert points.min() >= 0.0
    assert points[..., 0].max() <= SIZE[0] - 1.0
    assert points[..., 1].max() <= SIZE[1] - 1.0


def test_equal_generators_give_equal_noise() -> None:
    truth = somebody(50)
    first, second, other = (detector_noise(truth, rng(name), SIZE) for name in ("a", "a", "b"))
    assert first[0].tobytes() == second[0].tobytes()
    assert first[1].tobytes() == second[1].tobytes()
    assert not np.array_equal(first[0], other[0])
    np.testing.assert_array_equal(truth, somebody(50))


def test_the_wrong_number_of_joints_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected the shape \(frames, 17, 2\), found \(5, 16, 2\)"):
        detector_noise(somebody(5)[:, 1:], rng(), SIZE)
