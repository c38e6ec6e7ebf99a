from __future__ import annotations

import base64
import html
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from liftpose.data import Recording
from liftpose.skeletons import COCO_17, H36M_17
from liftpose.viewer.page import MISSING, build_page, write_page
from liftpose.viewer.scene import Scene, build_scene

FRAMES = 21
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)> \u2028 \"'&{{data}}"


@pytest.fixture
def scene(motion: NDArray[np.float64], keypoints: NDArray[np.float64]) -> Scene:
    recording = Recording("S9", "Walking 1", 2, H36M_17, 25.0, keypoints.astype(np.float32))
    scene = build_scene(recording, motion)
    assert scene.prediction is not None
    truth = scene.prediction * 1.02 + np.linspace(0, 30, FRAMES)[:, None, None]
    return replace(scene, truth=truth, errors_mm=np.linspace(20, 80, FRAMES), image_size=(1000.0, 1002.0))


def data_of(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="poses">(.*?)</script>', page, re.DOTALL)
    content = json.loads(text)
    assert isinstance(content, dict)
    return content


def unpack(packed: dict[str, Any], channels: int) -> NDArray[np.float64]:
    numbers = np.frombuffer(base64.b64decode(packed["data"]), "<i2").astype(float)
    numbers[numbers == MISSING] = np.nan
    return (numbers * packed["scale"] + packed["offset"]).reshape(FRAMES, 17, channels)


def floats(text: str) -> NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(text), "<f4")


def test_the_page_holds_the_poses_to_the_precision_of_16_bits(scene: Scene) -> None:
    data = data_of(build_page(scene))
    roots = floats(data["roots"]).reshape(FRAMES, 1, 3)
    for name in ("prediction", "truth"):
        poses = getattr(scene, name)
        step = data[name]["scale"]
        assert np.abs(unpack(data[name], 3) + roots - poses).max() <= step / 2 + 2e-6
    assert data["truth"]["scale"] < 5e-5, "relative to the root, so that a path does not cost precision"
    assert scene.keypoints_2d is not None
    assert np.abs(unpack(data["keypoints"], 2) - scene.keypoints_2d).max() <= data["keypoints"]["scale"] / 2 + 1e-9
    np.testing.assert_allclose(floats(data["errors"]), scene.errors_mm, rtol=1e-6)
    assert (data["frames"], data["fps"], data["imageSize"]) == (FRAMES, 25.0, [1000, 1002])
    assert data["parents"] == list(H36M_17.parents)
    assert [data["sides"][joint] for joint in (1, 4, 10)] == ["right", "left", "middle"]


def test_the_page_knows_the_skeleton_of_the_keypoints(scene: Scene) -> None:
    page = build_page(replace(scene, keypoint_skeleton=COCO_17))
    data = data_of(page)
    assert (data["parents"], data["keypointParents"]) == (list(H36M_17.parents), list(COCO_17.parents))
    assert [data["keypointSides"][joint] for joint in (0, 11, 12)] == ["middle", "left", "right"]
    assert "17 joints (h36m_17) · 17 keypoints (coco_17)" in page
    assert "keypoints (" not in build_page(scene)


def test_joints_that_are_not_known_stay_unknown(scene: Scene) -> None:
    assert scene.keypoints_2d is not None
    keypoints = scene.keypoints_2d.copy()
    keypoints[3, 5, 1] = np.nan
    known = unpack(data_of(build_page(replace(scene, keypoints_2d=keypoints)))["keypoints"], 2)
    assert np.isnan(known[3, 5]).all()
    assert np.isfinite(np.delete(known.reshape(-1, 2), 3 * 17 + 5, axis=0)).all()
    nothing = unpack(data_of(build_page(replace(scene, keypoints_2d=keypoints * np.nan)))["keypoints"], 2)
    assert np.isnan(nothing).all()


@pytest.mark.parametrize(
    "missing",
    [("truth", "errors_mm"), ("prediction", "errors_mm"), ("keypoints_2d",), ("prediction", "truth", "errors_mm")],
)
def test_whatever_there_is_is_in_the_page(missing: tuple[str, ...], scene: Scene) -> None:
    data = data_of(build_page(replace(scene, **dict.fromkeys(missing))))
    names = {"truth": "truth", "prediction": "prediction", "errors_mm": "errors", "keypoints_2d": "keypoints"}
    assert {key for field, key in names.items() if field in missing} == {
        key for key in names.values() if data[key] is None
    }


def test_names_cannot_become_markup(scene: Scene) -> None:
    page = build_page(replace(scene, action=HOSTILE, subject=HOSTILE), model=HOSTILE)
    plain = build_page(scene)
    for mark in ("<script", "</script", "<img", "onerror"):
        visible = page.replace(html.escape(HOSTILE), "")
        assert visible.count(mark) == plain.count(mark), mark
    assert page.count(html.escape(HOSTILE)) == 5
    assert data_of(page) == data_of(plain)


def test_the_page_needs_nothing_from_outside(scene: Scene) -> None:
    page = build_page(scene)
    assert not re.findall(
        r"https?:|//\w+\.\w|@import|\bfetch\(|XMLHttpRequest|<link(?! rel=\"icon\" href=\"data:,\")", page
    )
    assert "{{" not in page
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy[1]


def test_a_page_is_small(scene: Scene, tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", scene)
    empty = len(build_page(scene)) - sum(
        len(data_of(build_page(scene))[name]["data"]) for name in ("prediction", "truth", "keypoints")
    )
    assert empty < 40_000
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == build_page(scene)
