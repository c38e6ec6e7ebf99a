"""Photographs with joints drawn on them, and the new options of other pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from liftpose.skeletons import H36M_17, MPII_16
from liftpose.viewer import draw_curves, draw_keypoints, draw_sequence


def panel(figure: Figure, label: str) -> Axes:
    (axes,) = (axes for axes in figure.axes if axes.get_label() == label)
    return axes


def lines(axes: Axes) -> np.ndarray:
    """The ends of all bones that are drawn, (N, 2, 2)."""
    (found,) = (artist for artist in axes.collections if isinstance(artist, LineCollection))
    return np.array([path.vertices for path in found.get_paths()])


@pytest.fixture
def photographs() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (3, 20, 30, 3)).astype(np.uint8)


def test_joints_lie_on_their_photograph(photographs: np.ndarray) -> None:
    found, truth = 20 * torch.rand(2, 3, 16, 2)
    truth[1, 9] = torch.nan  # the head top, a bone of its own
    figure = draw_keypoints(found, truth, MPII_16, photographs, headings=["a", "b", "c"], title="some")
    for row, joints in (("found", found), ("truth", truth)):
        for column in range(3):
            axes = panel(figure, f"{row}/{column}")
            (image,) = axes.get_images()
            np.testing.assert_array_equal(image.get_array(), photographs[column])
            # The centre of the top-left pixel is the origin, and y goes down.
            assert tuple(image.get_extent()) == (-0.5, 29.5, 19.5, -0.5)
            assert (axes.get_xlim(), axes.get_ylim()) == ((-0.5, 29.5), (19.5, -0.5))
            bones = [(MPII_16.parents[joint], joint) for joint in range(16) if MPII_16.parents[joint] >= 0]
            ends = joints[column].numpy()[np.array(bones)]
            ends = ends[np.isfinite(ends).all((1, 2))]
            assert sorted(map(tuple, lines(axes).reshape(-1, 4))) == sorted(
                map(tuple, ends.reshape(-1, 4).astype(float))
            )
    assert len(lines(panel(figure, "truth/1"))) == 14


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"pictures": np.zeros((2, 20, 30, 3))},
            r"expected 3 pictures \(H, W, 3\) and headings, found \(2, 20, 30, 3\)",
        ),
        ({"headings": ["a"]}, r"expected 3 pictures .* and 1"),
        ({"truth": torch.zeros(2, 16, 2)}, r"found \(3, 16, 2\), \(2, 16, 2\)"),
        ({"keypoints_2d": torch.zeros(3, 17, 2)}, r"keypoints_2d: expected shape"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], message: str, photographs: np.ndarray) -> None:
    given: dict[str, Any] = {
        "keypoints_2d": torch.zeros(3, 16, 2), "truth": None, "skeleton": MPII_16, "pictures": photographs,
        "headings": ["a", "b", "c"],
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        draw_keypoints(**given | options)


def test_a_sequence_is_drawn_over_its_photographs(photographs: np.ndarray) -> None:
    poses, keypoints = torch.randn(3, 17, 3), 20 * torch.rand(3, 17, 2)
    figure = draw_sequence(poses, None, keypoints, H36M_17, pictures=photographs, frames=2)
    for column, frame in enumerate((0, 2)):
        (image,) = panel(figure, f"input/{column}").get_images()
        np.testing.assert_array_equal(image.get_array(), photographs[frame])
        assert panel(figure, f"input/{column}").get_xlim() == (-0.5, 29.5)
    plain = draw_sequence(poses, None, keypoints, H36M_17)
    assert not panel(plain, "input/0").get_images()
    with pytest.raises(ValueError, match=r"pictures: expected shape \(3, H, W, 3\), found \(2, 20, 30, 3\)"):
        draw_sequence(poses, None, keypoints, H36M_17, pictures=photographs[:2])


@pytest.mark.parametrize(
    ("best", "text"),
    [("highest", "hits, highest 80 at epoch 2"), ("lowest", "hits, lowest 10 at epoch 1")],
)
def test_a_legend_names_the_first_of_the_best_values(best: Any, text: str) -> None:
    points = [(1, 10.0), (2, 80.0), (3, float("nan")), (4, 80.0), (5, 10.0)]
    figure = draw_curves({"hits": points}, best=best)
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [entry.get_text() for entry in legend.get_texts()] == [text]
