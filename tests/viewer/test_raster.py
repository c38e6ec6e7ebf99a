from __future__ import annotations

import cv2
import numpy as np

from liftpose.viewer.raster import Box, Raster

WHITE, RED = "#ffffff", "#ff0000"


def ink(raster: Raster) -> np.ndarray:
    """How much of each pixel is covered by red on white."""
    return 1 - raster.pixels[..., 1].astype(float) / 255


def test_lines_are_where_opencv_draws_them_and_as_wide() -> None:
    rng = np.random.default_rng(0)
    for width in (1.0, 4.0):
        segments = rng.uniform(10, 110, (5, 2, 2))
        raster = Raster(160, 120, WHITE)
        raster.lines(segments, RED, width)
        other = np.zeros((120, 160), np.uint8)
        # Agg counts from the corner of a pixel, OpenCV from its centre, here in 1/16 of a pixel.
        for start, end in np.round((segments - 0.5) * 16).astype(int):
            cv2.line(other, start.tolist(), end.tolist(), 255, round(width), cv2.LINE_AA, 4)
        lengths = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1).sum()
        assert abs(ink(raster).sum() / (width * lengths) - 1) < 0.15
        near = cv2.dilate(other, np.ones((3, 3), np.uint8)) > 0
        assert (ink(raster)[~near] == 0).all()


def test_lines_are_smooth() -> None:
    raster = Raster(60, 60, WHITE)
    raster.lines(np.array([[[5.0, 5.0], [50.0, 20.0]]]), RED, 2.0)
    assert len(np.unique(ink(raster))) > 10


def test_what_is_not_known_or_outside_is_not_drawn() -> None:
    raster = Raster(60, 60, WHITE)
    raster.lines(np.array([[[5.0, np.nan], [50.0, 20.0]]]), RED, 2.0)
    raster.lines(np.empty((0, 2, 2)), RED, 2.0)
    assert not ink(raster).any()
    raster.lines(np.array([[[-20.0, 30.0], [80.0, 30.0]]]), RED, 4.0, Box(10, 10, 20, 40))
    covered = np.argwhere(ink(raster) > 0)
    assert covered.min(0).tolist() == [28, 10]
    assert covered.max(0).tolist() == [31, 29]


def test_the_background_comes_back() -> None:
    raster = Raster(60, 40, WHITE)
    raster.fill(Box(10, 5, 20, 10), RED)
    raster.keep_background()
    before = raster.pixels.copy()
    assert (before[5:15, 10:30] == [255, 0, 0, 255]).all()
    assert (before[:5] == 255).all()
    raster.lines(np.array([[[0.0, 0.0], [59.0, 39.0]]]), "#0000ff", 3.0)
    assert (raster.pixels != before).any()
    raster.clear()
    assert np.array_equal(raster.pixels, before)


def test_text_stands_on_its_line_and_ends_where_it_should() -> None:
    raster = Raster(200, 60, WHITE)
    width = raster.text(20, 40, "Hm 12", size=16, colour=RED)
    rows, columns = np.nonzero(ink(raster) > 0.5)
    assert 39 >= rows.max() >= 37
    assert 24 <= rows.min() <= 30
    assert columns.min() >= 20
    assert 20 + width >= columns.max() > 20 + 0.8 * width
    raster.clear()
    raster.text(180, 40, "Hm 12", size=16, colour=RED, right=True)
    assert 180 >= np.nonzero(ink(raster) > 0.5)[1].max() > 170


def test_numbers_look_like_text() -> None:
    one, other = Raster(200, 60, WHITE), Raster(200, 60, WHITE)
    one.text(20, 40, "frame 123", size=16, colour=RED)
    other.number(20, 40, "frame 123", size=16, colour=RED)
    # Letters are put on whole pixels one by one, so the two may differ by half a pixel.
    assert abs(ink(one).sum() / ink(other).sum() - 1) < 0.1
    ends = [np.nonzero(ink(raster) > 0.5)[1].max() for raster in (one, other)]
    assert abs(int(ends[0]) - int(ends[1])) <= 2


def test_signs_that_mean_something_elsewhere_or_are_not_in_the_font_do_no_harm() -> None:
    raster = Raster(300, 60, WHITE)
    raster.text(10, 40, r"$\alpha_{ % \u6b69\U0001f3c3 <b>", size=16, colour=RED)
    raster.text(290, 40, "\u6b69\u304f", size=16, colour=RED)
    raster.text(-50, -50, "outside", size=16, colour=RED)
    raster.text(10, 20, "", size=16, colour=RED)
    assert ink(raster).any()
