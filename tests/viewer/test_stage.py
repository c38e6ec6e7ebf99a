from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.spatial.transform import Rotation

from liftpose.skeletons import H36M_17
from liftpose.viewer.scene import Scene
from liftpose.viewer.stage import ELEVATION, Stage, follow, see_from


def scene_of(truth: NDArray[np.float64], prediction: NDArray[np.float64] | None = None, azimuth: float = 0.4) -> Scene:
    return Scene("S9", "Walking", 0, H36M_17, H36M_17, 50.0, None, None, prediction, truth, None, azimuth, True)


def walking(motion: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    upright = np.stack([motion[..., 0], motion[..., 2], -motion[..., 1]], -1)
    path = np.stack([np.linspace(3, 3 + length, len(motion)), np.full(len(motion), -2), np.full(len(motion), 0.9)], -1)
    return np.asarray(upright + path[:, None])


def test_seeing_is_a_rotation() -> None:
    points = np.random.default_rng(0).normal(size=(5, 17, 3))
    seen, depth = see_from(points, 0.7, 0.3)
    # Turn the world until the viewer looks along +y, then tip it towards the viewer.
    turn = Rotation.from_euler("x", 0.3) * Rotation.from_euler("z", -0.7)
    expected = turn.apply(points.reshape(-1, 3)).reshape(points.shape)
    np.testing.assert_allclose(seen, expected[..., [0, 2]], atol=1e-12)
    np.testing.assert_allclose(depth, expected[..., 1], atol=1e-12)


def test_somebody_in_place_is_not_followed_and_a_path_is_smoothed() -> None:
    sway = np.array([[0.0, 0.0], [0.4, 0.1], [-0.2, 0.3]])
    np.testing.assert_allclose(follow(sway, 50), [[0.1, 0.15]] * 3)
    rng = np.random.default_rng(0)
    path = np.stack([np.linspace(0, 6, 200), rng.normal(0, 0.05, 200)], -1)
    smooth = follow(path, 50)
    np.testing.assert_allclose(smooth[25:-25], uniform_filter1d(path, 51, axis=0)[25:-25], atol=1e-12)
    assert np.abs(smooth - path).max() < 0.3
    assert follow(path[:2] * 100, 50).shape == (2, 2)


def test_the_root_stays_in_the_middle_and_everybody_inside(motion: NDArray[np.float64]) -> None:
    for length in (0.0, 5.0):
        truth = walking(motion, length)
        stage = Stage(scene_of(truth, truth * 1.05), 640, 360)
        assert stage.is_still == (length == 0)
        points, _ = stage.place(truth)
        np.testing.assert_allclose(points[10, 0, 0], 320, atol=20)
        both = np.concatenate([points, stage.place(truth * 1.05)[0], stage.shadows(truth)])
        assert (both > 0).all()
        assert (both < [640, 360]).all()


def test_pixels_are_metres_times_the_scale(motion: NDArray[np.float64]) -> None:
    truth = walking(motion, 0.0)
    stage = Stage(scene_of(truth, azimuth=0.4), 480, 480, turn=0.5)
    points, _ = stage.place(truth)
    right = np.array([math.cos(0.9), math.sin(0.9), 0.0])
    across = (truth[:, 3] - truth[:, 13]) @ right
    np.testing.assert_allclose(points[:, 3, 0] - points[:, 13, 0], stage.scale * across, atol=1e-9)
    taller = truth.copy()
    taller[..., 2] += 0.1
    rise = points[..., 1] - stage.place(taller)[0][..., 1]
    np.testing.assert_allclose(rise, np.full(rise.shape, 0.1 * stage.scale * math.cos(ELEVATION)), atol=1e-9)


def test_the_floor_lies_still_under_moving_people(motion: NDArray[np.float64]) -> None:
    truth = walking(motion, 3.0)
    stage = Stage(scene_of(truth), 480, 480)
    corner = np.array([[4.5, -2.0, 0.0]])  # a crossing of two lines
    for frame in (0, 20):
        crossing = stage.place(np.tile(corner, (len(truth), 17, 1)))[0][frame, 0]
        lines = stage.floor(frame)
        along = lines[:, 1] - lines[:, 0]
        away = crossing - lines[:, 0]
        distance = np.abs(along[:, 0] * away[:, 1] - along[:, 1] * away[:, 0]) / np.linalg.norm(along, axis=1)
        assert (distance < 1e-6).sum() == 2


def test_one_wild_pose_does_not_make_all_others_small(motion: NDArray[np.float64]) -> None:
    truth = np.tile(walking(motion, 0.0), (50, 1, 1))
    wild = truth.copy()
    wild[3] *= 40
    plain, disturbed = (Stage(scene_of(truth, poses), 480, 480).scale for poses in (truth, wild))
    assert disturbed > 0.95 * plain
