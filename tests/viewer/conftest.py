"""A person who stands and sways, written by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

FRAMES = 21


@pytest.fixture
def standing() -> NDArray[np.float64]:
    """(17, 3) metres, camera frame relative to the pelvis; facing the camera, so the left side is at the right."""
    return np.array(
        [
            [0.0, 0.0, 0.0],
            [-0.13, 0.0, 0.0],
            [-0.14, 0.45, -0.02],
            [-0.14, 0.90, 0.03],
            [0.13, 0.0, 0.0],
            [0.14, 0.45, -0.02],
            [0.14, 0.90, 0.03],
            [0.0, -0.24, 0.02],
            [0.0, -0.49, 0.03],
            [0.0, -0.60, -0.02],
            [0.0, -0.72, 0.0],
            [0.15, -0.46, 0.03],
            [0.22, -0.18, 0.05],
            [0.24, 0.06, -0.08],
            [-0.15, -0.46, 0.03],
            [-0.22, -0.18, 0.05],
            [-0.24, 0.06, -0.08],
        ]
    )


@pytest.fixture
def motion(standing: NDArray[np.float64]) -> NDArray[np.float64]:
    """(21, 17, 3) metres: small smooth motions around the standing pose, the root at rest."""
    generator = np.random.default_rng(7)
    phase, size = generator.uniform(0, 6, (17, 3)), generator.uniform(0, 0.06, (17, 3))
    sway = size * np.sin(np.linspace(0, 5, FRAMES)[:, None, None] + phase)
    sway[:, 0] = 0
    return standing + sway


@pytest.fixture
def keypoints(motion: NDArray[np.float64]) -> NDArray[np.float64]:
    """(21, 17, 2) pixels: a pinhole camera sees the motion from 5 m, the person crossing its picture."""
    root = np.stack([np.linspace(-0.8, 0.8, FRAMES), np.zeros(FRAMES), np.full(FRAMES, 5.0)], -1)
    seen = motion + root[:, None]
    return seen[..., :2] / seen[..., 2:] * 1145 + 512


@pytest.fixture
def one_bone(keypoints: NDArray[np.float64]) -> NDArray[np.float64]:
    """(21, 17, 2) pixels in the order of coco_17: only the left shoulder and hip are seen, which a bone joins there.

    In the order of h36m_17 no bone joins the two.
    """
    seen = np.full_like(keypoints, np.nan)
    seen[:, [5, 11]] = keypoints[:, [11, 4]]
    return seen
