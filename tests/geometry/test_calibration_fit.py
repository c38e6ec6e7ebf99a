from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from liftpose.geometry import fit_intrinsics


@given(
    st.tuples(*(st.floats(200, 3000) for _ in range(4))), st.integers(0, 2**31), st.sampled_from([1e-3, 1.0, 1000.0])
)
def test_a_camera_is_found_from_its_pictures(numbers: tuple[float, ...], seed: int, unit: float) -> None:
    fx, fy, cx, cy = numbers
    rng = np.random.default_rng(seed)
    points = (rng.uniform(-1, 1, size=(50, 3)) + np.array([0, 0, 4])) * unit
    matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    image = points @ matrix.T
    fit = fit_intrinsics(torch.from_numpy(points), torch.from_numpy(image[:, :2] / image[:, 2:]))
    np.testing.assert_allclose(fit.intrinsics, matrix, rtol=1e-9, atol=1e-6)
    assert fit.residual < 1e-8


def test_noise_gives_the_solution_of_numpys_least_squares() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, size=(400, 3)) + np.array([0.3, 0.2, 4])
    ray = points[:, :2] / points[:, 2:]
    pixels = ray * [1500, 1400] + [1020, 990] + rng.normal(size=(400, 2)) * 3
    fit = fit_intrinsics(torch.from_numpy(points), torch.from_numpy(pixels))
    for axis in range(2):
        system = np.stack([ray[:, axis], np.ones(400)], axis=1)
        focal, center = np.linalg.lstsq(system, pixels[:, axis], rcond=None)[0]
        assert fit.intrinsics[axis, axis].item() == pytest.approx(focal, rel=1e-10)
        assert fit.intrinsics[axis, 2].item() == pytest.approx(center, rel=1e-10)
    # The length of a vector of two normal numbers is above 1.1774 of their deviation half of the time.
    assert fit.residual == pytest.approx(3 * np.sqrt(2 * np.log(2)), rel=0.1)


@pytest.mark.parametrize(
    ("points", "pixels", "message"),
    [
        ([[0.0, 0, 1], [0, 1, -1]], [[0.0, 0], [1, 1]], "expected points in front of the camera"),
        ([[1.0, 2, 1], [2, 4, 2]], [[0.0, 0], [1, 1]], "expected points on several rays"),
        ([[1.0, 2, 1], [2, 4, 2]], [[0.0, 0]], r"expected points \(N, 3\) and pixels \(N, 2\)"),
    ],
)
def test_what_fits_no_camera(points: list[list[float]], pixels: list[list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_intrinsics(torch.tensor(points), torch.tensor(pixels))
