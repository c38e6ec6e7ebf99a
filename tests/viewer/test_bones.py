from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from liftpose.skeletons import H36M_17
from liftpose.viewer.bones import (
    DARK_PALETTE,
    GHOST,
    LEFT,
    LIGHT_PALETTE,
    MIDDLE,
    RIGHT,
    as_float64,
    as_joints,
    bone_colours,
    draw_bones,
    project_upright,
)

ANGLES = st.floats(-math.pi, math.pi)

# Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision deficiency" (2009):
# what readers see who lack one kind of cone, in linear RGB.
NO_RED = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
NO_GREEN = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
NO_BLUE = [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]]
COLOUR_VISION = {"usual": np.eye(3), "no red": NO_RED, "no green": NO_GREEN, "no blue": NO_BLUE}
SRGB_TO_XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]


def linear(colour: str) -> NDArray[np.float64]:
    encoded = np.array(to_rgb(colour))
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    ratio = np.array(SRGB_TO_XYZ) @ rgb / [0.95047, 1, 1.08883]
    root = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


@given(azimuth=ANGLES, elevation=ANGLES)
def test_the_view_is_a_rotation_about_the_vertical_and_then_about_the_picture_s_own_horizontal(
    azimuth: float, elevation: float
) -> None:
    points = np.random.default_rng(0).normal(size=(2, 5, 3))
    expected = Rotation.from_euler("yx", [azimuth, elevation]).apply(points.reshape(-1, 3)).reshape(2, 5, 3)
    seen, depth = project_upright(points, azimuth, elevation)
    np.testing.assert_allclose(seen, expected[..., :2] * [1, -1], atol=1e-12)
    np.testing.assert_allclose(depth, expected[..., 2], atol=1e-12)


def test_a_viewer_at_the_camera_s_right_sees_what_is_far_from_the_camera_at_the_right() -> None:
    far, near = np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.0, -1.0])
    seen, _ = project_upright(np.stack([far, near]), math.pi / 2, 0.0)
    np.testing.assert_allclose(seen, [[1, 0], [-1, 0]], atol=1e-12)
    _, depth = project_upright(np.array([[1.0, 0.0, 0.0]]), math.pi / 2, 0.0)
    assert depth[0] == pytest.approx(-1)  # the camera's right is near that viewer


def test_a_raised_viewer_sees_the_far_floor_above_the_near_floor() -> None:
    floor = np.array([[0.0, 1.0, 2.0], [0.0, 1.0, -2.0]])
    seen, _ = project_upright(floor, 0.0, 0.3)
    assert seen[0, 1] > seen[1, 1]


def test_a_bone_has_the_side_of_its_far_end() -> None:
    sides = {"left": LEFT, "right": RIGHT}
    expected = [sides.get(name.split("_")[0], MIDDLE) for name in H36M_17.joint_names]
    assert bone_colours(H36M_17) == expected


@pytest.mark.parametrize("palette", [LIGHT_PALETTE, DARK_PALETTE], ids=["light", "dark"])
@pytest.mark.parametrize("vision", COLOUR_VISION)
def test_the_colours_can_be_told_apart_by_all_readers(vision: str, palette: dict[str, str]) -> None:
    assert (LIGHT_PALETTE["left"], LIGHT_PALETTE["ghost"]) == (LEFT, GHOST)
    seen = {colour: lab(np.clip(np.array(COLOUR_VISION[vision]) @ linear(colour), 0, 1)) for colour in palette.values()}
    assert len(seen) == 4
    for first, second in itertools.combinations(seen, 2):
        assert np.linalg.norm(seen[first] - seen[second]) >= 34, (first, second)


def test_bones_are_drawn_from_far_to_near_in_their_own_colours(standing: NDArray[np.float64]) -> None:
    axes = Figure().add_axes((0, 0, 1, 1))
    points, depth = project_upright(standing, 0.6, 0.2)
    lines = draw_bones(axes, points, H36M_17, colours=bone_colours(H36M_17), width=2, depth=depth)
    assert lines in axes.collections
    drawn = [np.asarray(segment) for segment in lines.get_segments()]
    bones = {
        (tuple(points[parent]), tuple(points[joint])): joint
        for joint, parent in enumerate(H36M_17.parents)
        if parent >= 0
    }
    joints = [bones.pop((tuple(segment[0]), tuple(segment[1]))) for segment in drawn]
    assert not bones, "every bone once"
    np.testing.assert_allclose(lines.get_colors()[:, :3], [to_rgb(bone_colours(H36M_17)[joint]) for joint in joints])
    middles = [depth[joint] + depth[H36M_17.parents[joint]] for joint in joints]
    assert middles == sorted(middles, reverse=True)
    assert middles[0] > middles[-1]


def test_a_rim_lies_under_the_middle_of_each_bone(standing: NDArray[np.float64]) -> None:
    axes = Figure().add_axes((0, 0, 1, 1), facecolor="#abcdef")
    lines = draw_bones(axes, standing[:, :2], H36M_17, colours=bone_colours(H36M_17), width=2, rim=1.5)
    rims, bones = np.array(lines.get_segments()[0::2]), np.array(lines.get_segments()[1::2])
    assert len(rims) == len(bones) == 16
    np.testing.assert_allclose(rims.mean(1), bones.mean(1), atol=1e-12)
    np.testing.assert_allclose(
        np.linalg.norm(np.diff(rims, axis=1), axis=-1), 0.7 * np.linalg.norm(np.diff(bones, axis=1), axis=-1)
    )
    np.testing.assert_allclose(lines.get_colors()[0::2, :3], np.tile(to_rgb("#abcdef"), (16, 1)))
    assert list(lines.get_linewidths()[:2]) == [3.5, 2]


def test_bones_without_a_finite_end_are_left_out(standing: NDArray[np.float64]) -> None:
    points = standing[:, :2].copy()
    points[H36M_17.joint_names.index("left_knee"), 0] = np.nan
    points[H36M_17.joint_names.index("head"), 1] = np.inf
    lines = draw_bones(Figure().add_subplot(), points, H36M_17, colours=bone_colours(H36M_17), width=2)
    assert len(lines.get_segments()) == 16 - 3  # two bones meet in a knee, one in the head
    assert np.isfinite(lines.get_segments()).all()
    nothing = draw_bones(
        Figure().add_subplot(), points * np.nan, H36M_17, colours=bone_colours(H36M_17), width=2, rim=1
    )
    assert len(nothing.get_segments()) == 0


def test_numbers_of_any_kind_are_copied() -> None:
    source = np.arange(4.0)[::-1]
    source.flags.writeable = False
    copy = as_float64(source)
    copy[0] = 9
    assert source.tolist() == [3, 2, 1, 0]
    assert as_float64(torch.ones(2, dtype=torch.bfloat16, requires_grad=True)).tolist() == [1, 1]
    assert as_float64([1, 2]).dtype == np.float64


@pytest.mark.parametrize("shape", [(17, 2), (5, 16, 3), (17,), (3,)])
def test_an_array_that_does_not_fit_the_skeleton_is_refused_with_both_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ValueError, match=r"truth: expected shape \(\.\.\., 17, 3\) for skeleton h36m_17, found \(.*\)"
    ) as caught:
        as_joints(np.zeros(shape), H36M_17, 3, "truth")
    assert str(shape) in str(caught.value)
