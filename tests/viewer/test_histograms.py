"""Pictures of joint angles: which panels there are, what their bars say, and that their names tell the direction."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from liftpose.geometry import bone_length_templates, forward_kinematics, inverse_kinematics, joint_limits
from liftpose.geometry.kinematics import CHAINS
from liftpose.skeletons import H36M_16
from liftpose.viewer import draw_joint_angle_histograms, figure_to_array
from liftpose.viewer.histograms import JOINT_VARIABLE_NAMES

KNEE = CHAINS["right_leg"].start + 3

RIGHT, LEFT, FORWARD, DOWN = ("x", 1), ("x", -1), ("y", 1), ("z", -1)
# Which joint goes where when a variable grows, of somebody who stands with bent knees, elbows and neck.
GOES = {
    "thigh twist": ("ankle", RIGHT),
    "thigh to the left": ("knee", LEFT),
    "thigh forward": ("knee", FORWARD),
    "knee flexion (-)": ("ankle", FORWARD),  # less than nothing is flexion
    "upper arm twist": ("wrist", LEFT),
    "upper arm to the left": ("elbow", LEFT),
    "upper arm forward": ("elbow", FORWARD),
    "elbow flexion (+)": ("wrist", FORWARD),
    "lower trunk twist to the left": ("shoulder", FORWARD),
    "lower trunk forward": ("spine", FORWARD),
    "lower trunk to the right": ("spine", RIGHT),
    "upper trunk twist to the left": ("shoulder", FORWARD),
    "upper trunk forward": ("thorax", FORWARD),
    "upper trunk to the right": ("thorax", RIGHT),
    "shoulders twist to the left": ("shoulder", FORWARD),
    "shoulders forward": ("head", FORWARD),
    "shoulders to the right": ("shoulder", DOWN),
    "head twist to the left": ("head", LEFT),
    "head forward": ("head", FORWARD),
    "head to the right": ("head", RIGHT),
}


def panels(figure: Figure) -> dict[str, object]:
    return {axes.get_title("left"): axes for axes in figure.axes}


def random_angles(count: int = 500, seed: int = 0) -> torch.Tensor:
    low, high = joint_limits("random").unbind(-1)
    return low + (high - low) * torch.rand(count, 33, generator=torch.Generator().manual_seed(seed))


def test_every_variable_that_moves_something_has_a_name() -> None:
    limits = joint_limits("intended")
    assert [bool(name) for name in JOINT_VARIABLE_NAMES] == [bool(low < high) for low, high in limits]
    assert len(set(JOINT_VARIABLE_NAMES)) == 28 + 1
    assert JOINT_VARIABLE_NAMES[KNEE] == "right knee flexion (-)"


@pytest.mark.parametrize("number", [number for number, name in enumerate(JOINT_VARIABLE_NAMES) if name])
def test_names_tell_which_way_a_joint_moves(number: int) -> None:
    """Move one variable of somebody who stands, and look where the next joint goes."""
    name = JOINT_VARIABLE_NAMES[number]
    angles = torch.zeros(2, 33, dtype=torch.float64)
    lengths, origin = bone_length_templates(dtype=torch.float64)[0], torch.zeros(3, dtype=torch.float64)
    for chain in ("right_leg", "left_leg"):
        angles[:, CHAINS[chain].start + 3] = -0.5
    for chain in ("right_arm", "left_arm"):
        angles[:, CHAINS[chain].start + 3] = 0.5
    angles[:, CHAINS["body"].start + 10] = 0.5  # so that a twist of the head shows
    angles[1, number] += 0.3
    still, moved = forward_kinematics(angles, lengths, origin, origin)
    side, _, move = name.partition(" ") if name.startswith(("right ", "left ")) else ("right", "", name)
    joint, (axis, sign) = GOES[move]
    shift = (moved - still)[H36M_16.index(joint if joint in H36M_16.joint_names else f"{side}_{joint}")]
    assert sign * shift["xyz".index(axis)] > 0.01


def test_panels_show_shares_and_limits() -> None:
    angles = torch.zeros(100, 33)
    angles[:25, KNEE] = torch.deg2rad(torch.tensor(-90.0))
    angles[25:, KNEE] = torch.deg2rad(torch.tensor(-30.0))
    figure = draw_joint_angle_histograms({"first": angles, "second": angles[:25]}, title="knees")
    assert list(panels(figure)) == ["right knee flexion (-)"], "the others never move"
    axes = figure.axes[0]
    for patch, shares in zip(axes.patches, ({-90: 0.25, -30: 0.75}, {-90: 1.0}), strict=True):
        values, edges = patch.get_data().values, patch.get_data().edges
        for degrees, share in shares.items():
            found = np.searchsorted(edges, degrees) - 1
            assert edges[found] < degrees < edges[found + 1]
            assert values[found] ** 2 == pytest.approx(share)
        assert (values**2).sum() == pytest.approx(1)
    marks = sorted(round(line.get_xdata()[0]) for line in axes.lines)
    assert marks == [-135, 0, 0], "the wide limit of -180 is outside"
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words[:2] == ["first", "second"]
    figure_to_array(figure)


def test_rare_angles_count_at_the_ends() -> None:
    """A few angles far out do not stretch the axis, but stand in its first and last bar."""
    angles = torch.zeros(2000, 33)
    angles[:3, KNEE], angles[3:5, KNEE] = torch.deg2rad(torch.tensor([-179.0, 120.0]))
    bars = draw_joint_angle_histograms({"poses": angles}).axes[0].patches[0].get_data()
    assert bars.edges[0] > -170
    assert bars.edges[-1] < 100
    np.testing.assert_allclose(bars.values[[0, -1]] ** 2, [3 / 2000, 2 / 2000])
    assert (bars.values**2).sum() == pytest.approx(1)


def test_poses_of_inverse_kinematics_fill_six_lines() -> None:
    lengths, origin = bone_length_templates()[0], torch.zeros(3)
    angles = inverse_kinematics(forward_kinematics(random_angles(), lengths, origin, origin)).angles
    found = panels(draw_joint_angle_histograms({"poses": angles}))
    assert len(found) == 23
    heights = sorted({round(axes.get_position().y0, 6) for axes in found.values()}, reverse=True)
    lines = [[name for name, axes in found.items() if round(axes.get_position().y0, 6) == y] for y in heights]
    assert [len(line) for line in lines] == [4, 4, 4, 3, 4, 4]
    assert all(name.startswith("left") for name in (*lines[1], *lines[5]))


def test_odd_sets_are_drawn() -> None:
    broken = random_angles(3)
    broken[1, 4] = torch.nan
    figure = draw_joint_angle_histograms({"none": torch.zeros(0, 33), "broken": broken})
    figure_to_array(figure)
    assert len(panels(figure)) == 27  # all that the random limits leave room to
    values = next(iter(figure.axes)).patches[-1].get_data().values
    assert (values**2).max() == pytest.approx(0.5), "two poses are left"
    empty = draw_joint_angle_histograms({"none": torch.zeros(0, 33)})
    assert "no angles" in [text.get_text() for text in empty.texts]
    with pytest.raises(ValueError, match=r"angles of a: expected the shape \(N, 33\), found \(4, 37\)"):
        draw_joint_angle_histograms({"a": torch.zeros(4, 37)})
