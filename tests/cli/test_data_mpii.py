"""``liftpose data mpii``, as somebody would type it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from liftpose.formats.matlab_5_writer import write_matlab
from liftpose.formats.mpii import read_mpii


def release(folder: Path, pictures: int = 12) -> Path:
    """Write a release with one person in each picture."""
    rng = np.random.default_rng(0)

    def points() -> Any:
        places = rng.integers(1, 500, (16, 2)).tolist()
        return np.array([[{"x": x, "y": y, "id": joint} for joint, (x, y) in enumerate(places)]], dtype=object)

    def person() -> dict[str, Any]:
        box = {"x1": 10, "y1": 20, "x2": 40, "y2": 60}
        return {**box, "annopoints": {"point": points()}, "scale": 2.5, "objpos": {"x": 200, "y": 300}}

    entries = [{"image": {"name": f"{n:09d}.jpg"}, "annorect": person(), "vididx": n} for n in range(pictures)]
    content = {"annolist": np.array([entries], dtype=object), "img_train": np.ones((1, pictures), np.uint8)}
    (folder / "images").mkdir(parents=True)
    write_matlab(folder / "mpii_human_pose_v1_u12_1.mat", {"RELEASE": content}, compress=True)
    return folder


def test_the_release_is_converted(tmp_path: Path, liftpose: Callable[..., Any]) -> None:
    folder = release(tmp_path / "official")
    (tmp_path / "list.txt").write_text("000000003.jpg\n000000007.jpg\n")
    words = ("data", "mpii", "--from", folder, "--out", tmp_path / "mpii", "--valid-list", tmp_path / "list.txt")
    answer = liftpose(*words)
    assert (answer.code, answer.err) == (0, "")
    assert "train: 10 people, valid: 2 people, in 12 pictures" in answer.out
    assert "gt_valid.mat" in answer.out
    assert read_mpii(tmp_path / "mpii", "valid").files == ("images/000000003.jpg", "images/000000007.jpg")
    again = liftpose(*words)
    assert again.code == 2
    assert "expected no such file, found one (--overwrite replaces it)" in again.err


def test_mistakes_are_one_line(tmp_path: Path, liftpose: Callable[..., Any]) -> None:
    folder = release(tmp_path / "official")
    for words, message in (
        (("--from", tmp_path / "none"), "expected the release mpii_human_pose_v1_u12_1.mat of MPII, found no such"),
        (("--from", folder, "--valid-share", "2"), "--valid-share: expected a share above 0 and below 1, found 2"),
        (("--from", folder, "--valid-list", tmp_path / "none"), "expected a list of names of pictures, found: no such"),
    ):
        answer = liftpose("data", "mpii", *words, "--out", tmp_path / "mpii")
        assert answer.code == 2
        assert message in answer.err
        assert answer.err.count("\n") == 1
    assert not (tmp_path / "mpii").exists()


def test_without_a_list_the_report_says_so(tmp_path: Path, liftpose: Callable[..., Any]) -> None:
    folder = release(tmp_path / "official", pictures=40)
    answer = liftpose("data", "mpii", "--from", folder, "--out", tmp_path / "mpii", "--valid-share", "0.3")
    assert answer.code == 0
    assert "divided by a hash of the videos" in answer.out
    valid, train = (json.loads((tmp_path / "mpii/annot" / f"{name}.json").read_text()) for name in ("valid", "train"))
    assert len(valid) + len(train) == 40
    assert 4 <= len(valid) <= 20
