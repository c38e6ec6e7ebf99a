from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftpose.data.inspection import (
    Finding,
    inspect_keypoints,
    inspect_poses,
    leg_length,
    length_unit,
    merge_findings,
    normalisation_of,
    sample_frames,
    standing_direction,
)
from liftpose.skeletons import COCO_17, H36M_17, SKELETONS


@given(frames=st.integers(1, 5000), count=st.integers(1, 300))
def test_frames_are_spread_evenly(frames: int, count: int) -> None:
    index = sample_frames(frames, count)
    assert len(index) == min(frames, count)
    assert index[0] == 0 and (count == 1 or index[-1] == frames - 1)
    steps = [b - a for a, b in pairwise(index.tolist())]
    assert not steps or (min(steps) >= 1 and max(steps) - min(steps) <= 1)


@given(leg=st.floats(0.5, 1.2))
def test_every_human_leg_has_its_unit(leg: float) -> None:
    assert length_unit(leg).name == "metres"
    assert length_unit(leg * 100).name == "centimetres"
    assert length_unit(leg * 1000).name == "millimetres"
    assert length_unit(leg / 1000).name == "kilometres"


def standing(name: str) -> np.ndarray:
    """(1, J, 3): hips at 0.9, knees at 0.5, ankles at 0.1, everything else at 1.4 m; legs of 0.8 m."""
    skeleton = SKELETONS[name]
    heights = {"hip": 0.9, "knee": 0.5, "ankle": 0.1}
    return np.array([[[0.0, 0.0, heights.get(joint.split("_")[-1], 1.4)] for joint in skeleton.joint_names]])


@pytest.mark.parametrize("name", ["h36m_17", "h36m_32", "humaneva_15", "mpi_inf_3dhp_17", "coco_17"])
def test_legs_and_the_way_up(name: str) -> None:
    poses = standing(name)
    assert leg_length(poses, SKELETONS[name]) == pytest.approx(0.8)
    turned = poses[..., [0, 2, 1]] * [1, -1, 1]
    direction = standing_direction(turned, SKELETONS[name])
    np.testing.assert_allclose(direction, [0, -1, 0], atol=1e-12)
    lost = np.full_like(poses, np.nan)
    assert leg_length(lost, SKELETONS[name]) is None and standing_direction(lost, SKELETONS[name]) is None


def test_a_skeleton_without_knees_has_no_legs() -> None:
    assert leg_length(np.zeros((2, 20, 3)), SKELETONS["humaneva_20"]) is None
    assert leg_length(standing("coco_17"), COCO_17) is not None


@given(x=st.floats(0, 639), y=st.floats(0, 479), width=st.sampled_from([640.0, 1000.0, 2048.0]))
def test_normalised_keypoints_go_back_to_their_pixels(x: float, y: float, width: float) -> None:
    height = 0.75 * width
    pixels = np.array([[[x, y], [0.0, height], [width, 3.0], [width / 3, height / 2]]])
    assert normalisation_of(np.array([[[x + 2, y + 2], [900.0, 800.0]]])) is None
    screen = normalisation_of(pixels / width * 2 - [1, height / width])
    assert screen is not None
    np.testing.assert_allclose(
        screen.pixels(pixels / width * 2 - [1, height / width], (width, height)), pixels, atol=1e-9
    )
    shares = normalisation_of(pixels / [width, height])
    assert shares is not None
    np.testing.assert_allclose(shares.pixels(pixels / [width, height], (width, height)), pixels, atol=1e-9)


def test_findings_of_a_kind_are_one_line() -> None:
    found = [
        Finding("note", "longer", "a", "5", "6"),
        Finding("error", "unit", "a", "metres", "feet", "divide"),
        Finding("note", "longer", "b", "7", "9"),
        Finding("warning", "legs", "b", "x", "y"),
        Finding("error", "other", "", "p", "q"),
    ]
    lines = [finding.line("f.npz") for finding in merge_findings(found)]
    assert lines == [
        "error: f.npz: a: expected metres, found feet; divide",
        "error: f.npz: expected p, found q",
        "warning: f.npz: b: expected x, found y",
        "note: f.npz: a (and 1 more): expected 5, found 6",
    ]


@pytest.mark.parametrize(("count", "kinds"), [(48, []), (49, []), (50, ["frozen"]), (70, ["frozen"])])
def test_a_second_without_motion(count: int, kinds: list[str]) -> None:
    random = np.random.default_rng(0)
    poses = standing("h36m_17") + 0.01 * random.normal(size=(100, 17, 3))
    poses[20 : 20 + count] = poses[20]
    assert [finding.kind for finding in inspect_poses("a", poses, H36M_17)] == kinds
    poses[:, 0] = 0  # a pelvis that is kept at the origin is no frozen recording
    assert [finding.kind for finding in inspect_poses("a", poses, H36M_17)] == kinds
    points = 100 + poses[..., :2] * 100
    assert [finding.kind for finding in inspect_keypoints("a", points, 100)] == kinds


def test_empty_arrays_are_named() -> None:
    assert [finding.kind for finding in inspect_poses("a", np.zeros((0, 17, 3)), H36M_17)] == ["empty"]
    assert [finding.kind for finding in inspect_keypoints("a", np.zeros((0, 17, 2)), 5)] == ["shorter"]
    assert inspect_poses("a", standing("h36m_17"), H36M_17) == [], "one frame is enough"
