from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from liftpose.data import Recording
from liftpose.skeletons import COCO_17, H36M_17
from liftpose.viewer.bones import LEFT, MIDDLE, RIGHT
from liftpose.viewer.film import Film, image_place
from liftpose.viewer.scene import Scene, build_scene

FRAMES = 21


@pytest.fixture
def scene(motion: NDArray[np.float64], keypoints: NDArray[np.float64]) -> Scene:
    recording = Recording("S9", "Walking 1", 2, H36M_17, 50.0, keypoints.astype(np.float32))
    scene = build_scene(recording, motion)
    assert scene.prediction is not None
    return replace(
        scene, truth=scene.prediction * 1.02, errors_mm=np.linspace(20, 80, FRAMES), image_size=(1000.0, 1000.0)
    )


def count(picture: NDArray[np.uint8], colour: str) -> int:
    wanted = np.round(np.array(to_rgb(colour)) * 255)
    return int((np.abs(picture[..., :3].astype(int) - wanted).max(-1) <= 3).sum())


def panels(film: Film, picture: NDArray[np.uint8]) -> dict[str, NDArray[np.uint8]]:
    return {
        name: picture[box.top : box.top + box.height, box.left : box.left + box.width]
        for name, box in film._boxes.items()
    }


def test_there_is_one_picture_per_frame_and_each_is_its_own(scene: Scene) -> None:
    film = Film(scene, 320, 240)
    pictures = list(film.pictures())
    assert len(pictures) == FRAMES
    assert all(picture.shape == (film.size[1], film.size[0], 4) for picture in pictures)
    assert film.size[0] % 2 == film.size[1] % 2 == 0
    assert len({picture.tobytes() for picture in pictures}) == FRAMES
    again = next(islice(Film(scene, 320, 240).pictures(), 7, None))
    assert np.array_equal(again, pictures[7])


def test_every_panel_shows_its_person_in_the_colours_of_the_sides(scene: Scene) -> None:
    film = Film(scene, 320, 240)
    shown = panels(film, next(film.pictures()))
    assert list(shown) == ["Input", "Prediction", "Truth"]
    for name, panel in shown.items():
        for colour in (LEFT, RIGHT, MIDDLE):
            assert count(panel, colour) > 60, (name, colour)
        left, right = (
            np.argwhere(np.abs(panel[..., :3] - np.round(np.array(to_rgb(colour)) * 255)).max(-1) <= 3)
            for colour in (LEFT, RIGHT)
        )
        assert left[:, 1].mean() > right[:, 1].mean(), "somebody who faces the camera has the left side at the right"


@pytest.mark.parametrize(
    ("missing", "left"),
    [
        ({"truth": None, "errors_mm": None}, ["Input", "Prediction"]),
        ({"prediction": None, "errors_mm": None}, ["Input", "Truth"]),
        ({"prediction": None, "truth": None, "errors_mm": None}, ["Input"]),
        ({"keypoints_2d": None}, ["Prediction", "Truth"]),
    ],
)
def test_whatever_there_is_is_shown(missing: dict[str, None], left: list[str], scene: Scene) -> None:
    film = Film(replace(scene, **missing), 320, 240)
    picture = next(film.pictures())
    assert list(panels(film, picture)) == left
    assert all(count(panel, LEFT) > 60 for panel in panels(film, picture).values())


def test_the_error_is_written_where_there_is_one(scene: Scene) -> None:
    with_error, without = Film(scene, 320, 240), Film(replace(scene, errors_mm=None), 320, 240)
    first, second = (panels(film, next(film.pictures())) for film in (with_error, without))
    differs = (first["Prediction"] != second["Prediction"]).any(-1)
    assert differs[:30, 220:].any()
    assert not differs[40:].any()
    assert np.array_equal(first["Truth"], second["Truth"])


def test_joints_that_are_not_known_are_not_drawn(scene: Scene) -> None:
    assert scene.keypoints_2d is not None
    keypoints = scene.keypoints_2d.copy()
    keypoints[0] = np.nan
    film = Film(replace(scene, keypoints_2d=keypoints), 320, 240)
    first, second = islice(film.pictures(), 2)
    assert count(panels(film, first)["Input"], LEFT) == 0
    assert count(panels(film, second)["Input"], LEFT) > 60


@pytest.mark.parametrize("backdrop", [False, True])
def test_keypoints_are_drawn_in_the_skeleton_of_their_own(
    backdrop: bool, scene: Scene, one_bone: NDArray[np.float64]
) -> None:
    for skeleton, drawn in ((COCO_17, True), (H36M_17, False)):
        film = Film(replace(scene, keypoints_2d=one_bone, keypoint_skeleton=skeleton), 320, 240, backdrop=backdrop)
        place = film.backdrop
        assert place is not None
        grey = np.full((place.height, place.width, 3), 128, np.uint8)
        shown = panels(film, next(film.pictures(iter([grey]) if backdrop else None)))
        assert (count(shown["Input"], LEFT) > 30) == drawn
        assert count(shown["Input"], RIGHT) == 0
        assert all(count(shown[name], RIGHT) > 60 for name in ("Prediction", "Truth"))


def test_the_keypoints_lie_on_the_picture_where_they_belong(scene: Scene) -> None:
    """A white square is put at one keypoint of a black picture: the end of the drawn bone lies in it."""
    assert scene.keypoints_2d is not None
    film = Film(scene, 320, 240, backdrop=True)
    place = film.backdrop
    assert place is not None
    assert (place.width, place.height) == (240, 240)
    assert (place.left - film._boxes["Input"].left, place.top - film._boxes["Input"].top) == (40, 0)
    picture = np.zeros((240, 240, 3), np.uint8)
    x, y = np.round((scene.keypoints_2d[0, 6] + 0.5) * 0.24 - 0.5).astype(int)
    picture[y - 6 : y + 7, x - 6 : x + 7] = (0, 255, 0)
    drawn = next(film.pictures(iter([picture])))
    panel = panels(film, drawn)["Input"][:, 40:280]
    assert count(panel, "#000000") > 40000
    green = (panel[..., :3] == (0, 255, 0)).all(-1).sum()
    assert 0 < green < 13 * 13
    assert count(panel[y - 6 : y + 7, x - 6 : x + 7], LEFT) > 3


def test_pictures_that_do_not_fit_are_refused(scene: Scene) -> None:
    film = Film(scene, 320, 240, backdrop=True)
    right = np.zeros((240, 240, 3), np.uint8)
    with pytest.raises(ValueError, match="found one of shape"):
        list(film.pictures(iter([right[1:]] * FRAMES)))
    with pytest.raises(ValueError, match="found none"):
        list(film.pictures(iter([right] * 3)))


def test_a_picture_is_fitted_into_its_panel() -> None:
    left, top, scale = image_place((1000, 1002), (640, 360))
    assert scale == pytest.approx(360 / 1002)
    assert (left, top) == (pytest.approx((640 - 1000 * scale) / 2), 0)


def test_a_title_of_any_length_fits(scene: Scene) -> None:
    film = Film(replace(scene, action="A very long name " * 20), 320, 240)
    assert next(film.pictures()).shape[1] == film.size[0]


def test_somebody_who_walks_away_is_followed_over_a_floor_that_moves(scene: Scene) -> None:
    assert scene.prediction is not None and scene.truth is not None
    path = np.stack([np.linspace(0, 6, FRAMES), np.zeros(FRAMES), np.zeros(FRAMES)], -1)[:, None]
    walking = replace(scene, prediction=scene.prediction + path, truth=scene.truth + path)
    film, still = Film(walking, 320, 240), Film(scene, 320, 240)
    first, later = (panels(film, picture)["Truth"] for picture in islice(film.pictures(), 5, 7))
    for panel in (first, later):
        assert count(panel, LEFT) > 60
    assert (first[-10:] != later[-10:]).any(), "the floor moves"
    name = np.s_[8:24, 8:60]
    other = panels(still, next(still.pictures()))["Truth"]
    assert np.array_equal(first[name], other[name]), "the name is written once, as on a floor that lies still"
