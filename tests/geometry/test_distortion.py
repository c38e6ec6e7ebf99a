from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from liftpose.geometry import (
    DistortionModel,
    distort,
    distort_h36m,
    distort_opencv,
    h36m_cameras,
    undistort,
)

# Coefficients in OpenCV's order and the radius up to which rays are tried.
LENSES = {
    "phone": ((0.12, -0.25, 0.0007, -0.0004, 0.11), 0.7),
    "action camera": ((-0.3, 0.1, 0.001, -0.001, 0.0), 0.75),
    "pincushion": ((0.3, 0.1, 0.002, -0.003, 0.0), 1.0),
}


def _disc(radius: float) -> torch.Tensor:
    """(N, 2) rays that fill a disc."""
    line = torch.linspace(-radius, radius, 31, dtype=torch.float64)
    rays = torch.stack(torch.meshgrid(line, line, indexing="ij"), dim=-1).reshape(-1, 2)
    return rays[rays.norm(dim=-1) <= radius]


@pytest.mark.parametrize("lens", LENSES)
def test_the_opencv_model_is_that_of_opencv(lens: str) -> None:
    coefficients, radius = LENSES[lens]
    rays = _disc(radius)
    points = torch.nn.functional.pad(rays, (0, 1), value=1.0).numpy()
    expected = cv2.projectPoints(points, np.zeros(3), np.zeros(3), np.eye(3), np.array(coefficients))[0][:, 0]
    bent = distort_opencv(rays, torch.tensor(coefficients, dtype=torch.float64))
    np.testing.assert_allclose(bent, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("lens", LENSES)
def test_undistort_agrees_with_opencv(lens: str) -> None:
    coefficients, radius = LENSES[lens]
    bent = distort_opencv(_disc(radius), torch.tensor(coefficients, dtype=torch.float64))
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 500, 1e-14)
    iterate = getattr(cv2, "undistortPointsIter", cv2.undistortPoints)  # OpenCV 4, OpenCV 5
    eye = np.eye(3)
    expected = iterate(bent.numpy(), eye, np.array(coefficients), R=eye, P=eye, criteria=criteria)
    rays = undistort(bent, torch.tensor(coefficients, dtype=torch.float64), "opencv")
    np.testing.assert_allclose(rays, expected[:, 0], rtol=0, atol=1e-10)


def test_the_h36m_model_is_the_authors_written_with_opencv_names() -> None:
    k1, k2, k3, t0, t1 = coefficients = h36m_cameras("S1", torch.float64).distortion[1].tolist()
    p1, p2 = t1, t0
    rays = _disc(0.6).numpy()
    x, y = rays.T
    r2 = x**2 + y**2
    factor = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + p1 * y + p2 * x
    expected = np.stack((x * factor + p2 * r2, y * factor + p1 * r2), axis=-1)
    bent = distort_h36m(torch.from_numpy(rays), torch.tensor(coefficients, dtype=torch.float64))
    np.testing.assert_allclose(bent, expected, rtol=0, atol=1e-15)


def test_no_reading_of_the_h36m_coefficients_as_opencvs_gives_the_same_pixels() -> None:
    rays = _disc(0.4)
    for k1, k2, k3, t0, t1 in h36m_cameras("S1", torch.float64).distortion.tolist():
        ours = distort_h36m(rays, torch.tensor([k1, k2, k3, t0, t1], dtype=torch.float64))
        for p1, p2 in ((t0, t1), (t1, t0), (t0 / 2, t1 / 2), (t1 / 2, t0 / 2)):
            other = distort_opencv(rays, torch.tensor([k1, k2, p1, p2, k3], dtype=torch.float64))
            assert 1145 * (ours - other).abs().max() > 0.1


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-6)], ids=["float64", "float32"]
)
def test_undistort_is_the_inverse_over_the_whole_image(dtype: torch.dtype, tolerance: float) -> None:
    cases: list[tuple[torch.Tensor, DistortionModel, float]] = [
        (torch.tensor(values, dtype=torch.float64), "opencv", radius) for values, radius in LENSES.values()
    ]
    # The corners of a Human3.6M picture are 0.63 away from the optical axis.
    cases += [(values, "h36m", 0.65) for values in h36m_cameras("S11", torch.float64).distortion]
    for values, model, radius in cases:
        rays, coefficients = _disc(radius).to(dtype), values.to(dtype)
        back = undistort(distort(rays, coefficients, model), coefficients, model)
        assert (back - rays).abs().max() < tolerance


def test_undistort_can_be_differentiated() -> None:
    rays = _disc(0.5)[::37].clone().requires_grad_()
    coefficients = torch.tensor(LENSES["action camera"][0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda r, c: undistort(r, c, "opencv"), (rays, coefficients))
    assert torch.autograd.gradcheck(lambda r, c: undistort(r, c, "h36m"), (rays, coefficients))


def test_no_distortion_and_an_unknown_one() -> None:
    rays = _disc(0.5)
    nothing = torch.zeros(5, dtype=torch.float64)
    for model in ("none", "h36m", "opencv"):
        assert torch.equal(distort(rays, nothing, model), rays)
        torch.testing.assert_close(undistort(rays, nothing, model), rays, rtol=0, atol=1e-15)
    for function in (distort, undistort):
        with pytest.raises(ValueError, match="expected one of none, h36m, opencv, found 'fisheye'"):
            function(rays, nothing, "fisheye")  # type: ignore[arg-type]
