"""``liftpose data detections`` as it is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Run = Callable[..., Any]
CAMERAS = ("54138969", "55011271", "58860488", "60457274")


@pytest.fixture
def detections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with the files of a detector in ``cpn``."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for subject in ("S9", "S11"):
        for action in ("Directions", "WalkingDog 1"):
            for camera in CAMERAS:
                path = tmp_path / "cpn" / subject / f"{action}.{camera}.mp4.npz"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.savez(path, keypoints=random.uniform(0, 1000, (7, 17, 3)).astype(np.float32))
    return tmp_path


def test_a_file_of_detections_and_one_of_sixteen_joints(liftpose: Run, detections: Path) -> None:
    words = ["data", "detections", "cpn", "--detector", "cpn", "--name", "cpn_ft_h36m", "--out", "data"]
    code, out, err = liftpose(*words, "--confidence", "true")
    assert (code, err) == (0, "")
    assert out.splitlines()[-5:] == [
        "S9: 2 takes, 4 cameras, 14 frames of the first",
        "S11: 1 takes, 4 cameras, 7 frames of the first",
        "left out: Directions of S11, whose video is broken",
        "not compared with poses: there is no data_3d_h36m.npz in data",
        "wrote data/data_2d_h36m_cpn_ft_h36m.npz",
    ]
    with np.load("data/data_2d_h36m_cpn_ft_h36m.npz", allow_pickle=True) as content:
        people = content["positions_2d"].item()
    with np.load(f"cpn/S11/WalkingDog 1.{CAMERAS[2]}.mp4.npz") as content:
        np.testing.assert_array_equal(people["S11"]["WalkDog 1"][2], content["keypoints"])
    again = liftpose(*words)
    assert again.code == 2
    assert "data_2d_h36m_cpn_ft_h36m.npz: expected no such file, found one (--overwrite replaces it)" in again.err
    assert liftpose(*words, "--confidence", "true", "--overwrite").code == 0
    made = "data/data_2d_h36m_cpn_ft_h36m.npz"
    code, out, err = liftpose("data", "detections", made, "--joints", "h36m_16", "--name", "cpn_16", "--out", "data")
    assert (code, err) == (0, "")
    assert "h36m_17 -> h36m_16" in out and out.endswith("wrote data/data_2d_h36m_cpn_16.npz\n")
    with np.load("data/data_2d_h36m_cpn_16.npz", allow_pickle=True) as content:
        fewer = content["positions_2d"].item()
    np.testing.assert_array_equal(fewer["S9"]["Directions"][1], np.delete(people["S9"]["Directions"][1], 9, axis=1))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("cpn --name x_h36m --out data", "--detector: expected one of detectron, cpn, hr, sh, found none"),
        (
            "cpn --detector vit --name x_h36m --out data",
            "--detector: expected one of detectron, cpn, hr, sh, found vit",
        ),
        ("nowhere --detector cpn --name x_h36m --out data", "nowhere: expected a folder with the files of a detector"),
        ("cpn --detector cpn --out data --name x_coco", ""),
        (
            "cpn --detector cpn --name x_mpii --out data",
            "expected keypoints of shape (frames, 16, 2 or 3), found (7, 17,",
        ),
        ("cpn --detector cpn --out data", "name: expected a value"),
        ("cpn --detector cpn --name x_h36m --out data --missing drop", "missing: expected one of repeat, interpolate"),
        (
            "cpn --detector sh --name sh --out data",
            "cpn: expected files such as S1/StackedHourglass/Walking_1.54138969.h5",
        ),
        ("nix.npz --joints h36m_16 --name x --out data", "nix.npz: expected a file data_2d_h36m_….npz"),
        (
            "data_2d_h36m_a.npz --joints h36m_16 --name x --out data",
            "data_2d_h36m_a.npz: expected an npz file, found no",
        ),
        ("data_2d_h36m_a.npz --name x --out data", "data_2d_h36m_a.npz: expected --joints with the joint order wanted"),
        (
            "data_2d_h36m_a.npz --joints h36m_16 --name a --out .",
            "--name: expected another name than that of the source",
        ),
        (
            "data_2d_h36m_a.npz --joints h36m_16 --name x --out data --layout coco",
            "--layout: expected the files of a detector for it, found data_2d_h36m_a.npz",
        ),
    ],
)
def test_wrong_usage(liftpose: Run, detections: Path, words: str, message: str) -> None:
    code, out, err = liftpose("data", "detections", *words.split(" "))
    if not message:
        assert code == 0
        return
    assert code == 2
    assert "wrote" not in out
    assert message in err and err.count("\n") == 1
    assert not Path("data").exists()
