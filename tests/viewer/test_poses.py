from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from liftpose.skeletons import COCO_17, COCO_18, H36M_17
from liftpose.viewer import draw_pose, draw_sequence, figure_to_array
from liftpose.viewer.bones import GHOST, LEFT, MIDDLE, RIGHT

HEAD, RIGHT_ANKLE, LEFT_ANKLE = (H36M_17.joint_names.index(name) for name in ("head", "right_ankle", "left_ankle"))
TURNED, SIDE, FRONT = (math.radians(35), math.radians(10)), (math.radians(90), 0.0), (0.0, 0.0)


def panels(figure: Figure) -> dict[str, Axes]:
    return {axes.get_label(): axes for axes in figure.axes}


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def bones(axes: Axes, colours: set[str], collection: int = 0) -> set[tuple[float, ...]]:
    """The drawn lines of some colours, as rounded numbers, in no order."""
    lines = axes.collections[collection]
    wanted = [to_rgb(colour) for colour in colours]
    return {
        tuple(np.round(segment, 9).ravel() + 0.0)
        for segment, colour in zip(lines.get_segments(), lines.get_colors(), strict=True)
        if any(np.allclose(colour[:3], one) for one in wanted)
    }


def expected_bones(points: NDArray[np.float64], joints: set[int]) -> set[tuple[float, ...]]:
    pairs = [(H36M_17.parents[joint], joint) for joint in joints if H36M_17.parents[joint] >= 0]
    return {tuple(np.round(points[list(pair)], 9).ravel() + 0.0) for pair in pairs}


def seen_from(pose: NDArray[np.float64], view: tuple[float, float]) -> NDArray[np.float64]:
    return Rotation.from_euler("yx", view).apply(pose)[:, :2] * [1, -1]


def side(name: str) -> set[int]:
    return {index for index, joint in enumerate(H36M_17.joint_names) if joint.startswith(name)}


def points_per_unit(axes: Axes) -> NDArray[np.float64]:
    origin, right, up = axes.transData.transform([[0, 0], [1, 0], [0, 1]])
    return np.array([right[0] - origin[0], abs(up[1] - origin[1])])


def count_pixels(figure: Figure, colour: str) -> int:
    pixels = figure_to_array(figure).astype(int)
    return int((np.abs(pixels - np.round(np.array(to_rgb(colour)) * 255)).max(-1) <= 2).sum())


def test_every_panel_shows_its_pose_from_its_side_in_the_colours_of_left_and_right(
    motion: NDArray[np.float64], keypoints: NDArray[np.float64]
) -> None:
    prediction = motion + np.random.default_rng(1).normal(0, 0.03, motion.shape)
    figure = draw_sequence(prediction, motion, keypoints, H36M_17, frames=5)
    shown = panels(figure)
    assert list(shown) == [f"{row}/{column}" for row in ("input", "prediction", "truth", "both") for column in range(5)]
    everything = set(range(17))
    sides = {LEFT: side("left"), RIGHT: side("right"), MIDDLE: everything - side("left") - side("right")}
    for column, frame in enumerate([0, 5, 10, 15, 20]):
        for row, points, layer in [
            ("input", keypoints[frame], 0),
            ("prediction", seen_from(prediction[frame], TURNED), 0),
            ("truth", seen_from(motion[frame], TURNED), 0),
            ("both", seen_from(prediction[frame], SIDE), 1),
        ]:
            for colour, joints in sides.items():
                assert bones(shown[f"{row}/{column}"], {colour}, layer) == expected_bones(points, joints), (row, frame)
        under = bones(shown[f"both/{column}"], {GHOST})
        assert under == expected_bones(seen_from(motion[frame], SIDE), everything), (
            "the truth lies under the prediction"
        )


def test_keypoints_are_drawn_in_the_skeleton_of_their_own(
    motion: NDArray[np.float64], keypoints: NDArray[np.float64], one_bone: NDArray[np.float64]
) -> None:
    shown = panels(draw_sequence(motion, None, one_bone, H36M_17, frames=1, keypoint_skeleton=COCO_17))
    bone = {tuple(np.round(keypoints[0, [11, 4]], 9).ravel())}
    assert bones(shown["input/0"], {LEFT}) == bone
    assert bones(shown["input/0"], {RIGHT, MIDDLE}) == set()
    assert len(bones(shown["prediction/0"], {LEFT, RIGHT, MIDDLE})) == 16
    assert (
        len(panels(draw_sequence(motion, None, one_bone, H36M_17, frames=1))["input/0"].collections[0].get_segments())
        == 0
    )
    with pytest.raises(ValueError, match=r"keypoints_2d: expected shape \(..., 18, 2\) for skeleton coco_18"):
        draw_sequence(motion, None, one_bone, H36M_17, keypoint_skeleton=COCO_18)


def test_people_stand_upright_in_every_panel(motion: NDArray[np.float64], keypoints: NDArray[np.float64]) -> None:
    figure = draw_sequence(motion, motion, keypoints, H36M_17, frames=2)
    for label, axes in panels(figure).items():
        points = keypoints[0] if label.startswith("input") else seen_from(motion[0], SIDE)
        on_page = axes.transData.transform(points)  # from the lower left corner of the page
        assert on_page[HEAD, 1] > on_page[0, 1] > on_page[[LEFT_ANKLE, RIGHT_ANKLE], 1].max(), label
    front = panels(draw_pose(motion[0], None, H36M_17))["pose/0"].transData.transform(seen_from(motion[0], FRONT))
    assert front[LEFT_ANKLE, 0] > front[RIGHT_ANKLE, 0], "somebody who faces the camera has the left side at the right"


@pytest.mark.parametrize("image_size", [None, (1000, 1002)])
def test_one_scale_for_all_poses_and_one_for_all_keypoints(
    motion: NDArray[np.float64], keypoints: NDArray[np.float64], image_size: tuple[float, float] | None
) -> None:
    shown = panels(draw_sequence(motion * 1.2, motion, keypoints, H36M_17, frames=4, image_size=image_size))
    pictures = [points_per_unit(axes) for label, axes in shown.items() if label.startswith("input")]
    poses = [points_per_unit(axes) for label, axes in shown.items() if not label.startswith("input")]
    np.testing.assert_allclose(pictures, np.full((4, 2), pictures[0][0]))
    np.testing.assert_allclose(poses, np.full((12, 2), poses[0][0]))


def test_everything_drawn_lies_inside_its_panel(motion: NDArray[np.float64], keypoints: NDArray[np.float64]) -> None:
    lying = motion[..., [1, 0, 2]] * 1.3
    for truth in (motion, lying):
        for axes in panels(draw_sequence(motion, truth, keypoints, H36M_17)).values():
            low, high = (np.sort(limits) for limits in (axes.get_xlim(), axes.get_ylim()))
            for lines in axes.collections:
                points = np.concatenate(lines.get_segments())
                assert (low[0] < points[:, 0]).all()
                assert (points[:, 0] < low[1]).all()
                assert (high[0] < points[:, 1]).all()
                assert (points[:, 1] < high[1]).all()


def test_panels_of_keypoints_follow_the_person_or_show_the_image(
    motion: NDArray[np.float64], keypoints: NDArray[np.float64]
) -> None:
    follow = panels(draw_sequence(motion, None, keypoints, H36M_17, frames=2))
    whole = panels(draw_sequence(motion, None, keypoints, H36M_17, frames=2, image_size=(1000, 1002)))
    for column, frame in enumerate((0, 20)):
        person = keypoints[frame]
        middle = (person.min(0) + person.max(0)) / 2
        axes = follow[f"input/{column}"]
        np.testing.assert_allclose([np.mean(axes.get_xlim()), np.mean(axes.get_ylim())], middle)
        assert whole[f"input/{column}"].get_xlim() == (-0.5, 999.5)
        assert whole[f"input/{column}"].get_ylim() == (1001.5, -0.5)


def test_the_error_under_each_prediction_is_the_mean_distance_of_its_joints(motion: NDArray[np.float64]) -> None:
    prediction = motion.copy()
    prediction[..., 2] += np.linspace(0, 0.04, 21)[:, None]  # every joint off by the same length: 0, 20 and 40 mm
    figure = draw_sequence(prediction, motion, None, H36M_17, frames=3, fps=50)
    assert [text for text in texts(figure) if text.endswith(" mm")] == ["0 mm", "20 mm", "40 mm"]
    assert [text for text in texts(figure) if text.endswith(" s")] == ["0.00 s", "0.20 s", "0.40 s"]


def test_errors_that_are_given_are_written_as_they_are(motion: NDArray[np.float64]) -> None:
    figure = draw_sequence(motion, motion, None, H36M_17, frames=3, errors_mm=[*range(20), math.nan])
    written = [text for text in texts(figure) if text.endswith(" mm") or "error" in text]
    assert written == ["0 mm", "10 mm", "error unknown"]
    assert [text for text in texts(figure) if text.startswith("frame")] == ["frame 0", "frame 10", "frame 20"]


def test_the_columns_can_be_called_otherwise(motion: NDArray[np.float64]) -> None:
    figure = draw_sequence(motion, None, None, H36M_17, frames=3, headings=[f"{frame}°" for frame in range(21)])
    assert [text for text in texts(figure) if text.endswith("°") and len(text) < 4] == ["0°", "10°", "20°"]
    assert not any(text.startswith("frame") for text in texts(figure))


def test_the_rows_can_be_called_otherwise(motion: NDArray[np.float64]) -> None:
    named = draw_sequence(motion, motion, None, H36M_17, frames=2, label="Nearest neighbour")
    assert "Nearest neighbour" in texts(named)
    assert "Prediction" not in texts(named)
    assert texts(draw_sequence(motion, None, None, H36M_17, frames=2, label="Detector")).count("Detector") == 2


def test_without_truth_and_keypoints_the_prediction_is_shown_from_two_sides(motion: NDArray[np.float64]) -> None:
    figure = draw_sequence(motion[:2], None, None, H36M_17, title=r"no $\formula{$")
    assert list(panels(figure)) == ["prediction/0", "prediction/1", "side/0", "side/1"]
    assert r"no $\formula{$" in texts(figure)
    assert not any(text.endswith(" mm") for text in texts(figure))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["left", "right", "torso"]
    assert count_pixels(figure, GHOST) == 0


def test_joints_that_are_not_known_are_not_drawn(motion: NDArray[np.float64], keypoints: NDArray[np.float64]) -> None:
    keypoints[0, HEAD] = np.nan
    keypoints[20] = np.nan
    prediction = motion.copy()
    prediction[20, LEFT_ANKLE] = np.nan
    shown = panels(figure := draw_sequence(prediction, motion, keypoints, H36M_17, frames=2))
    assert len(shown["input/0"].collections[0].get_segments()) == 15
    assert len(shown["input/1"].collections[0].get_segments()) == 0
    assert len(shown["both/1"].collections[1].get_segments()) == 15
    assert [text for text in texts(figure) if "mm" in text or "error" in text] == ["0 mm", "error unknown"]
    figure_to_array(figure)


def test_tensors_and_arrays_give_the_same_picture(motion: NDArray[np.float64]) -> None:
    backwards = motion[::-1]
    tensor = torch.from_numpy(backwards.copy()).requires_grad_()
    before = backwards.copy()
    first = figure_to_array(draw_sequence(backwards, backwards, None, H36M_17, frames=2))
    second = figure_to_array(draw_sequence(tensor, tensor, None, H36M_17, frames=2))
    assert np.array_equal(first, second)
    assert np.array_equal(before, backwards)


def test_the_pixels_have_the_colours_of_both_sides_and_of_the_truth(motion: NDArray[np.float64]) -> None:
    shifted = motion + np.array([0.1, 0, 0.1])
    legend_only = draw_sequence(motion * np.nan, motion * np.nan, None, H36M_17, frames=2)
    figure = draw_sequence(shifted, motion, None, H36M_17, frames=2)
    for colour in (LEFT, RIGHT, MIDDLE, GHOST):
        assert count_pixels(figure, colour) > count_pixels(legend_only, colour) + 300, colour


def test_a_pose_is_drawn_over_the_truth_from_the_front_and_from_the_side(motion: NDArray[np.float64]) -> None:
    pose, truth = motion[3] + np.array([0, 0, 0.05]), motion[3]
    figure = draw_pose(pose, truth, H36M_17, title="epoch 3")
    shown = panels(figure)
    assert list(shown) == ["pose/0", "pose/1"]
    for axes, view in zip(shown.values(), (FRONT, SIDE), strict=True):
        joints = set(range(17))
        assert bones(axes, {GHOST}, 0) == expected_bones(seen_from(truth, view), joints)
        assert bones(axes, {LEFT, RIGHT, MIDDLE}, 1) == expected_bones(seen_from(pose, view), joints)
    assert {"50 mm", "epoch 3"} <= set(texts(figure))
    alone = draw_pose(pose, None, H36M_17)
    assert count_pixels(alone, GHOST) == 0
    assert not any(text.endswith(" mm") for text in texts(alone))


def test_arrays_that_do_not_belong_together_are_refused(
    motion: NDArray[np.float64], keypoints: NDArray[np.float64]
) -> None:
    with pytest.raises(ValueError, match=r"truth: expected 21 frames as in the prediction, found shape \(20, 17, 3\)"):
        draw_sequence(motion, motion[1:], None, H36M_17)
    with pytest.raises(ValueError, match=r"keypoints_2d: expected 21 frames .* found shape \(1, 17, 2\)"):
        draw_sequence(motion, None, keypoints[:1], H36M_17)
    with pytest.raises(ValueError, match=r"keypoints_2d: expected shape \(\.\.\., 17, 2\)"):
        draw_sequence(motion, None, motion, H36M_17)
    with pytest.raises(ValueError, match=r"errors_mm: expected 21 numbers .* found shape \(1,\)"):
        draw_sequence(motion, None, None, H36M_17, errors_mm=[1])
    with pytest.raises(ValueError, match="headings: expected 21 texts as in the prediction, found 3"):
        draw_sequence(motion, None, None, H36M_17, headings=["a", "b", "c"])
    with pytest.raises(ValueError, match=r"found shape \(0, 17, 3\)"):
        draw_sequence(motion[:0], None, None, H36M_17)
    with pytest.raises(ValueError, match="frames=0"):
        draw_sequence(motion, None, None, H36M_17, frames=0)
    with pytest.raises(ValueError, match=r"prediction: expected one pose of shape \(J, 3\), found shape \(21, 17, 3\)"):
        draw_pose(motion, None, H36M_17)
    with pytest.raises(ValueError, match=r"truth: expected one pose"):
        draw_pose(motion[0], motion, H36M_17)
