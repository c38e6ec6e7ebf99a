"""People in single pictures, as the page shows them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from liftpose.formats.picture_predictions import PicturePredictions
from liftpose.skeletons import H36M_17
from liftpose.viewer.page import build_page
from liftpose.viewer.pictures import picture_scene


def predictions(standing: NDArray[np.float64], box: tuple[float, ...], files: tuple[str, ...]) -> PicturePredictions:
    count = len(files)
    return PicturePredictions(
        skeleton=H36M_17,
        files=files,
        boxes=np.array([box] * count, dtype=np.float32),
        poses_3d=np.stack([standing] * count).astype(np.float32),
        keypoints_2d=np.stack([60 * standing[:, :2] + 100] * count).astype(np.float32),
        confidence=np.ones((count, 17), dtype=np.float32),
        model="network",
        scale="guessed",
        subjects=("",) * count,
        actions=("",) * count,
        views=np.zeros(count, dtype=np.int64),
        frames=np.arange(count),
    )


def test_the_part_around_the_box_is_shown(standing: NDArray[np.float64]) -> None:
    columns = np.arange(400, dtype=np.uint8)[None, :, None] * np.ones((300, 1, 3), dtype=np.uint8)
    scene = picture_scene(predictions(standing, (150, 100, 80, 80), ("folder/one.jpg",)), [columns])
    assert scene.pictures is not None
    part = scene.pictures[0]
    left, top, right, bottom = part.place
    image = Image.open(io.BytesIO(part.jpeg))
    assert image.size == (right - left, bottom - top) == (137, 137) and part.name == scene.title == "one.jpg"
    assert part.box == (110, 60, 190, 140)
    shown = np.asarray(image)[60, :, 0].astype(int)
    np.testing.assert_allclose(shown, np.arange(left + 0.5, right), atol=3)  # column by column that of the picture


def test_large_parts_are_made_smaller_and_stay_in_the_picture(standing: NDArray[np.float64]) -> None:
    picture = np.zeros((3000, 2000, 3), dtype=np.uint8)
    scene = picture_scene(predictions(standing, (100, 1500, 2600, 2600), ("a.jpg",)), [picture])
    assert scene.pictures is not None
    assert scene.pictures[0].place == (-0.5, -0.5, 1999.5, 2999.5)
    assert Image.open(io.BytesIO(scene.pictures[0].jpeg)).size == (667, 1000)


def test_people_stand_upright_on_the_floor(standing: NDArray[np.float64]) -> None:
    picture = np.zeros((200, 200, 3), dtype=np.uint8)
    scene = picture_scene(predictions(standing, (100, 100, 90, 90), ("a.jpg", "a.jpg")), [picture, picture])
    assert scene.prediction is not None and scene.title == "a.jpg, 2 people" and len(scene) == 2
    heights = scene.prediction[0, :, 2]
    assert heights.min() == 0 and heights.argmax() == 10  # the head
    bones = [np.linalg.norm(pose[10] - pose[0]) for pose in (scene.prediction[1], standing)]
    assert bones[0] == pytest.approx(bones[1], rel=1e-6)
    with pytest.raises(ValueError, match=r"zip\(\) argument 2 is longer"):
        picture_scene(predictions(standing, (100, 100, 90, 90), ("a.jpg", "a.jpg")), [picture])


def test_the_page_holds_the_picture_and_what_the_lengths_rest_on(standing: NDArray[np.float64], tmp_path: Path) -> None:
    picture = np.zeros((200, 200, 3), dtype=np.uint8)
    scene = picture_scene(predictions(standing, (100, 100, 90, 90), ("<b>.jpg",)), [picture])
    page = build_page(scene, model="a network", note="guessed & <told>")
    assert "data:image/jpeg;base64," in page and "guessed &amp; &lt;told&gt;" in page and "1 person" in page
    assert "<b>.jpg" not in page and "http" not in page.split("</head>")[0].replace("http-equiv", "")
