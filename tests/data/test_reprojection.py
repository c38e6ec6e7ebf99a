from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from liftpose.data.reprojection import PersonViews, fit_projection, project_person, reproject
from liftpose.geometry import Camera

K = np.array([[1100.0, 0, 480], [0, 1120, 520], [0, 0, 1]])


def camera(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and translation of a camera about 5 m before the origin, turned by up to 0.5 about any axis."""
    rotation = cv2.Rodrigues(random.uniform(-0.5, 0.5, 3))[0]
    return rotation, np.array([*random.uniform(-0.3, 0.3, 2), random.uniform(4, 6)])


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), outliers=st.floats(0, 0.15))
def test_a_projection_is_found_in_spite_of_outliers(seed: int, outliers: float) -> None:
    random = np.random.default_rng(seed)
    rotation, translation = camera(random)
    poses = random.uniform(-1, 1, (30, 15, 3))
    pixels, _ = cv2.projectPoints(poses.reshape(-1, 3), cv2.Rodrigues(rotation)[0], translation, K, None)
    pixels = pixels.reshape(30, 15, 2)
    assert fit_projection(poses, pixels).max() < 1e-6
    wrong = random.uniform(size=(30, 15)) < outliers
    noisy = pixels + random.normal(0, 1, pixels.shape)
    noisy[wrong] = random.uniform(0, 1000, (int(wrong.sum()), 2))
    distances = fit_projection(poses, noisy)
    assert np.median(distances[~wrong]) == pytest.approx(1.177, abs=0.35)  # of a Rayleigh distribution
    pixels[0, 0] = np.nan
    distances = fit_projection(poses, pixels)
    assert np.isnan(distances[0, 0]) and np.isnan(distances).sum() == 1


def test_what_no_camera_can_have_seen(tmp_path: object) -> None:
    random = np.random.default_rng(0)
    poses = random.uniform(-1, 1, (30, 15, 3))
    assert np.median(fit_projection(poses, random.uniform(0, 1000, (30, 15, 2)))) > 100
    assert np.isnan(fit_projection(poses[:1, :10], random.uniform(0, 1000, (1, 10, 2)))).all(), "too few points"


def test_points_behind_a_camera_do_not_count() -> None:
    eye = torch.eye(3, dtype=torch.float64)
    rig = Camera(
        R=eye,
        t=torch.zeros(3, dtype=torch.float64),
        intrinsics=torch.from_numpy(K),
        distortion=torch.zeros(5, dtype=torch.float64),
        distortion_model="none",
        image_size=torch.tensor([1000.0, 1000.0], dtype=torch.float64),
    )
    points = np.array([[[0.5, 0.25, 2.0], [0.5, 0.25, -2.0], [0.0, 0.0, 0.05]]])
    pixels = project_person(points, [rig])[0, 0]
    np.testing.assert_allclose(pixels[0], [1100 * 0.25 + 480, 1120 * 0.125 + 520])
    assert np.isnan(pixels[1:]).all()
    person = PersonViews("a", ("b",), np.zeros(1, np.int64), points, pixels[None, None], np.array([0, 2, 1]))
    result = reproject(person, [rig])
    assert np.nanmedian(result.errors[0, 0, 0]) == pytest.approx(0.0)
    assert not result.fitted
