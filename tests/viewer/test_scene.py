from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from liftpose.data import Recording
from liftpose.errors import LiftposeError
from liftpose.geometry import Camera, h36m_cameras
from liftpose.skeletons import H36M_17
from liftpose.viewer.scene import average_blocks, build_scene, upright_rotation

FRAMES, FPS = 21, 50.0
CAMERA = h36m_cameras("S9", torch.float64)[1]
PATH = np.stack([np.linspace(-0.5, 0.9, FRAMES), np.linspace(0.2, 1.0, FRAMES), np.full(FRAMES, 0.95)], -1)


def recording_of(
    motion: NDArray[np.float64], camera: Camera | None = CAMERA, *, truth: bool = True, turn: Rotation | None = None
) -> Recording:
    """The person of the fixtures, upright in a world with z up (or turned), walking along PATH."""
    world = np.stack([motion[..., 0], motion[..., 2], -motion[..., 1]], -1) + PATH[:, None]
    world = world if turn is None else turn.apply(world.reshape(-1, 3)).reshape(world.shape)
    keypoints = np.zeros((len(motion), 17, 2), dtype=np.float32)
    poses = world.astype(np.float32) if truth else None
    return Recording("S9", "Walking 1", 1, H36M_17, FPS, keypoints, poses, camera)


def in_camera(recording: Recording) -> NDArray[np.float64]:
    """What a perfect lifter would say."""
    assert recording.camera is not None
    pose = recording.camera.to_camera(torch.tensor(recording.poses_3d, dtype=torch.float64)).numpy()
    return np.asarray(pose - pose[:, :1])


def test_a_perfect_prediction_stands_where_the_truth_stands(motion: NDArray[np.float64]) -> None:
    recording = recording_of(motion)
    scene = build_scene(recording, in_camera(recording))
    np.testing.assert_allclose(scene.truth, recording.poses_3d, atol=1e-6)
    np.testing.assert_allclose(scene.prediction, recording.poses_3d, atol=1e-5)
    np.testing.assert_allclose(scene.errors_mm, np.zeros(FRAMES), atol=0.01)
    assert scene.in_world
    assert scene.image_size == (1000.0, 1000.0)
    assert (scene.title, len(scene)) == ("S9, Walking 1, camera 1", FRAMES)


def test_the_error_is_the_distance_of_the_joints_in_the_camera_frame(motion: NDArray[np.float64]) -> None:
    recording = recording_of(motion)
    wrong = in_camera(recording) + np.random.default_rng(0).normal(0, 0.05, (FRAMES, 17, 3))
    wrong[:, 0] = 0
    scene = build_scene(recording, wrong)
    distances = np.sqrt(((wrong - in_camera(recording)) ** 2).sum(-1))
    np.testing.assert_allclose(scene.errors_mm, 1000 * distances.mean(1), rtol=1e-5)
    assert scene.prediction is not None and scene.truth is not None
    np.testing.assert_allclose(np.linalg.norm(scene.prediction - scene.truth, axis=-1), distances, atol=1e-5)


def test_without_truth_every_pose_stands_on_the_floor_and_is_upright(motion: NDArray[np.float64]) -> None:
    known = recording_of(motion)
    scene = build_scene(recording_of(motion, truth=False), in_camera(known))
    assert scene.prediction is not None
    np.testing.assert_allclose(scene.prediction[..., 2].min(1), np.zeros(FRAMES), atol=1e-12)
    expected = np.asarray(known.poses_3d, dtype=np.float64) - np.asarray(known.poses_3d)[:, :1]
    np.testing.assert_allclose(scene.prediction - scene.prediction[:, :1], expected, atol=1e-5)
    assert (scene.errors_mm, scene.truth, scene.in_world) == (None, None, False)


def test_without_a_camera_the_camera_frame_is_turned_upright(motion: NDArray[np.float64]) -> None:
    scene = build_scene(recording_of(motion, None, truth=False), motion)
    assert scene.prediction is not None
    np.testing.assert_allclose(
        scene.prediction[:, 10, 2] - scene.prediction[:, 3, 2], motion[:, 3, 1] - motion[:, 10, 1]
    )
    np.testing.assert_allclose(scene.prediction[..., 0], motion[..., 0])
    assert (scene.azimuth, scene.image_size) == (0.0, None)


@pytest.mark.parametrize("view", range(4))
def test_the_azimuth_is_that_of_the_cameras_right(view: int) -> None:
    camera = h36m_cameras("S11", torch.float64)[view]
    rotation, azimuth = upright_rotation(camera)
    right = camera.R[0].numpy()
    np.testing.assert_allclose(rotation, camera.R.numpy().T)
    cosine = (right[0] * math.cos(azimuth) + right[1] * math.sin(azimuth)) / math.hypot(right[0], right[1])
    assert cosine > 0.999


@pytest.mark.parametrize(
    ("axis", "turn"),
    [
        ("y", Rotation.from_euler("x", -90, degrees=True)),
        ("-y", Rotation.from_euler("x", 90, degrees=True)),
        ("x", Rotation.from_euler("y", 90, degrees=True)),
        ("-x", Rotation.from_euler("y", -90, degrees=True)),
        ("-z", Rotation.from_euler("x", 180, degrees=True)),
    ],
)
def test_a_world_with_another_axis_up_gives_the_same_room(
    axis: str, turn: Rotation, motion: NDArray[np.float64]
) -> None:
    plain = build_scene(recording_of(motion), None)
    matrix = torch.from_numpy(turn.as_matrix())
    fields = {**vars(CAMERA), "R": CAMERA.R @ matrix.T}
    turned = recording_of(motion, Camera(**fields), turn=turn)
    scene = build_scene(turned, in_camera(turned), up_axis=axis)
    np.testing.assert_allclose(scene.truth, plain.truth, atol=1e-5)
    np.testing.assert_allclose(scene.prediction, plain.truth, atol=1e-5)
    assert math.isclose(scene.azimuth, plain.azimuth, abs_tol=1e-6)


def test_a_floor_far_from_zero_is_found(motion: NDArray[np.float64]) -> None:
    recording = recording_of(motion)
    assert recording.poses_3d is not None
    recording.poses_3d[..., 2] -= 5
    scene = build_scene(recording, in_camera(recording))
    assert scene.truth is not None and scene.prediction is not None
    assert math.isclose(scene.truth[..., 2].min(), 0, abs_tol=1e-5)
    np.testing.assert_allclose(scene.prediction, scene.truth, atol=1e-5)


def test_frames_are_left_out_then_averaged_then_limited(motion: NDArray[np.float64]) -> None:
    recording = recording_of(motion)
    recording.keypoints_2d[:] = np.arange(FRAMES)[:, None, None]
    scene = build_scene(recording, in_camera(recording), skip=2, limit=3, k=4)
    assert (len(scene), scene.fps) == (3, 12.5)
    assert scene.keypoints_2d is not None
    assert scene.keypoints_2d[:, 0, 0].tolist() == [3.5, 7.5, 11.5]
    truth = np.asarray(recording.poses_3d)
    expected = np.stack([truth[2 + 4 * block : 6 + 4 * block].mean(0) for block in range(3)])
    np.testing.assert_allclose(scene.truth, expected, atol=1e-6)
    np.testing.assert_allclose(scene.prediction, expected, atol=1e-5)
    assert len(build_scene(recording, None, skip=2, k=4)) == 4, "a last block of 3 frames is left out"
    assert len(build_scene(recording, None, limit=100)) == FRAMES


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"skip": 21}, "--skip: expected frames left to show, found none of 21"),
        ({"skip": 18, "k": 4}, "with --skip 18 and --downsample 4"),
        ({"skip": -1}, "--skip: expected a whole number from 0 up, found -1"),
        ({"k": 0}, "--downsample: expected a whole number from 1 up, found 0"),
        ({"limit": 0}, "--limit: expected a number of frames from 1 up, or -1 for all, found 0"),
    ],
)
def test_a_choice_that_leaves_nothing_is_refused(
    options: dict[str, int], words: str, motion: NDArray[np.float64]
) -> None:
    with pytest.raises(LiftposeError, match=words):
        build_scene(recording_of(motion), None, **options)


def test_arrays_that_do_not_belong_together_are_refused(motion: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="prediction: expected the 21 frames"):
        build_scene(recording_of(motion), motion[1:])
    with pytest.raises(ValueError, match="up_axis"):
        upright_rotation(None, "up")


def test_averages_are_those_of_numpy() -> None:
    values = np.random.default_rng(0).normal(size=(23, 4, 2))
    np.testing.assert_allclose(average_blocks(values, 5), [values[i : i + 5].mean(0) for i in range(0, 20, 5)])
    np.testing.assert_array_equal(average_blocks(values, 1), values)
