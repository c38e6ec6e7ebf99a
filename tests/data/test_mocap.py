from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicHermiteSpline
from scipy.optimize import linprog

from liftpose.data.mocap import ViewingSpace, place, project_all, resample, turn, visibility, z_up
from liftpose.geometry import H36M_CAMERA_SUBJECTS, Camera, h36m_cameras

Array = np.ndarray


def rig(subject: str = "S1") -> Camera:
    return h36m_cameras(subject, torch.float64)


def standing(frames: int = 1, height: float = 1.7) -> Array:
    """17 joints on a thin column, standing still at the origin."""
    column = np.zeros((17, 3))
    column[:, 2] = np.linspace(0, height, 17)
    column[:, 0] = np.tile([-0.2, 0.2], 9)[:17]
    return np.repeat(column[None], frames, axis=0)


def looking_along_y(distance: float = 5.0, size: int = 1000) -> Camera:
    """One camera without distortion at (0, -distance, 1), level, looking along +y, field of view 53 degrees."""
    rotation = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=torch.float64)
    centre = torch.tensor([0.0, -distance, 1.0], dtype=torch.float64)
    middle = (size - 1) / 2
    return Camera(
        R=rotation[None],
        t=-(rotation @ centre)[None],
        intrinsics=torch.tensor([[[size, 0.0, middle], [0, size, middle], [0, 0, 1]]], dtype=torch.float64),
        distortion=torch.zeros(1, 5, dtype=torch.float64),
        distortion_model="none",
        image_size=torch.tensor([[size, size]], dtype=torch.float64),
    )


@pytest.mark.parametrize("up", ["x", "y", "z"])
def test_the_up_axis_becomes_z_and_left_stays_left(up: str) -> None:
    turned = z_up(np.eye(3), up)
    assert turned["xyz".index(up)].tolist() == [0, 0, 1]
    assert np.linalg.det(turned) == pytest.approx(1)


def test_an_up_axis_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="found 'w'"):
        z_up(np.eye(3), "w")


def test_turning_is_counter_clockwise_from_above() -> None:
    np.testing.assert_allclose(turn(np.array([1.0, 0, 5]), 90), [0, 1, 5], atol=1e-15)
    np.testing.assert_allclose(turn(np.array([1.0, 0, 5]), 30), [np.sqrt(3) / 2, 0.5, 5])


@settings(max_examples=50)
@given(
    frames=st.integers(2, 40),
    source=st.sampled_from([24.0, 60.0, 120.0, 59.94]),
    target=st.sampled_from([25.0, 50.0, 100.0]),
)
def test_resampling_agrees_with_scipy_s_hermite_spline(frames: int, source: float, target: float) -> None:
    motion = np.random.default_rng(frames).normal(size=(frames, 2, 3))
    slopes = np.gradient(motion, axis=0) * source  # central differences, one-sided at the ends
    times = np.arange(int((frames - 1) * target / source + 1e-9) + 1) / target
    expected = CubicHermiteSpline(np.arange(frames) / source, motion, slopes)(times)
    np.testing.assert_allclose(resample(motion, source, target), expected, atol=1e-9)


def test_resampling_is_exact_for_a_falling_body_and_keeps_both_ends() -> None:
    times = np.arange(121) / 120
    fall = (2 + 3 * times - 4.9 * times**2)[:, None]
    result = resample(fall, 120, 50)
    assert len(result) == 51
    expected = 2 + 3 * np.arange(51) / 50 - 4.9 * (np.arange(51) / 50) ** 2
    # At the ends the curve has only one neighbour to go by.
    np.testing.assert_allclose(result[1:-1, 0], expected[1:-1], atol=1e-12)
    assert result[0] == fall[0]
    assert result[-1] == pytest.approx(fall[-1])


def test_resampling_to_the_same_rate_changes_nothing() -> None:
    motion = np.random.default_rng(0).normal(size=(7, 17, 3))
    np.testing.assert_array_equal(resample(motion, 50, 50), motion)
    np.testing.assert_array_equal(resample(motion[:1], 120, 50), motion[:1])
    with pytest.raises(ValueError, match="rates above 0"):
        resample(motion, 0, 50)


def test_a_limb_that_turns_keeps_its_length() -> None:
    angle = 12 * np.arange(240) / 120  # two turns a second, faster than any punch
    limb = 0.3 * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=-1)
    lengths = np.linalg.norm(resample(limb, 120, 50)[2:-2], axis=-1)
    assert np.abs(lengths - 0.3).max() < 1e-5


@pytest.mark.parametrize("subject", H36M_CAMERA_SUBJECTS)
def test_the_place_the_cameras_look_at_is_in_the_middle_of_human36m_s_room(subject: str) -> None:
    cameras = rig(subject)
    space = ViewingSpace(cameras)
    assert np.abs(space.focus).max() < 0.6
    # All four cameras see it near the middle of their images.
    pixels, _ = project_all(np.array([[[*space.focus, 0.9]]]), cameras)
    assert np.abs(pixels - 500).max() < 200


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_the_best_shift_is_that_of_scipy_s_linear_programme(seed: int) -> None:
    space = ViewingSpace(rig())
    rng = np.random.default_rng(seed)
    depths = space.depths(rng.normal(scale=1.5, size=(3, 17, 3)) + np.array([0, 0, 1])).min(axis=0)
    shift, margin = space.best_shift(depths)
    normals = space._normals[:, :2]
    solution = linprog(
        [0, 0, -1], A_ub=np.hstack([-normals, np.ones((len(normals), 1))]), b_ub=depths, bounds=[(None, None)] * 3
    )
    assert solution.success
    assert margin == pytest.approx(solution.x[2], abs=1e-7)
    assert (depths + normals @ shift).min() == pytest.approx(margin, abs=1e-9)


def test_depths_are_distances_to_the_borders_of_the_view() -> None:
    space = ViewingSpace(looking_along_y())
    depths = space.depths(np.array([[[0.0, 0, 1]]]))[0, :4]
    # The middle of the view, 5 m away; its borders are planes at half the field of view.
    np.testing.assert_allclose(depths, 5 * np.sin(np.arctan(999 / 2000)), rtol=1e-12)


def test_somebody_who_stands_still_stays_in_one_piece_where_the_cameras_look() -> None:
    space = ViewingSpace(rig())
    (piece,) = place(standing(50) + np.array([30.0, -20, 0]), space)
    assert (piece.start, piece.stop) == (0, 50)
    np.testing.assert_allclose(np.array([30, -20]) + piece.shift + np.array([-0.2, 0]), space.focus, atol=1e-9)


@pytest.mark.parametrize("heading", [0.0, 37.0, 90.0])
def test_a_long_walk_becomes_few_pieces_that_all_cameras_see(heading: float) -> None:
    cameras = rig()
    space = ViewingSpace(cameras)
    walk = standing(400)
    walk[..., 1] += np.linspace(0, 14, 400)[:, None]
    walk = turn(walk, heading)
    pieces = place(walk, space)
    assert [piece.start for piece in pieces] == [0, *[piece.stop for piece in pieces[:-1]]]
    assert pieces[-1].stop == 400
    lengths = [piece.stop - piece.start for piece in pieces]
    assert max(lengths) - min(lengths) <= max(2, 0.1 * max(lengths))
    for piece in pieces:
        moved = walk[piece.start : piece.stop] + np.array([*piece.shift, 0])
        pixels, points = project_all(moved, cameras)
        view = visibility(pixels, points, cameras)
        assert view.seen.all()
        assert view.kept.all()
    # One piece fewer would be too few: no shift brings the frames of a longer piece before all cameras.
    longest = max(lengths) * len(pieces) // (len(pieces) - 1) + 1
    assert space.best_shift(space.depths(walk[:longest]).min(axis=0))[1] < 0


def test_frames_that_fit_nowhere_do_not_spoil_the_place_of_the_others() -> None:
    space = ViewingSpace(rig())
    jump = standing(30)
    jump[10:12, :, 2] += 10
    (piece,) = place(jump, space)
    np.testing.assert_allclose(np.array(piece.shift) + np.array([-0.2, 0]), space.focus, atol=1e-9)
    everything = place(jump[10:12], space)
    assert [(piece.start, piece.stop) for piece in everything] == [(0, 2)]


def test_projection_agrees_with_the_pinhole_formula() -> None:
    pixels, points = project_all(np.array([[[0.5, 0.0, 2.0]]]), looking_along_y())
    np.testing.assert_allclose(points[0, 0, 0], [0.5, -1, 5])
    np.testing.assert_allclose(pixels[0, 0, 0], [499.5 + 1000 * 0.1, 499.5 - 1000 * 0.2])


@pytest.mark.parametrize(
    ("y", "x", "seen", "valid"),
    [
        (0.0, 0.0, True, True),
        (0.0, 3.0, False, True),
        (0.0, 9.0, False, False),
        (-8.0, 0.0, False, False),
        (-5.0, 0.0, False, False),
    ],
)
def test_a_frame_is_seen_inside_the_image_and_valid_before_the_camera(
    y: float, x: float, seen: bool, valid: bool
) -> None:
    cameras = looking_along_y()
    with np.errstate(divide="ignore"):
        pixels, points = project_all(standing() + np.array([x, y, 0]), cameras)
    view = visibility(pixels, points, cameras)
    assert view.seen.tolist() == [[seen]]
    assert view.valid.tolist() == [valid]
    assert view.kept.tolist() == [seen and valid]
