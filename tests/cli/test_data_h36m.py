"""``liftpose data h36m`` as a user calls it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def source(official_h36m: Any) -> Path:
    """The official CDF files; not to be changed."""
    folder: Path = official_h36m("cdf")[0]
    return folder


def refuse(liftpose: Run, *words: object) -> str:
    code, _, err = liftpose("data", "h36m", *words)
    assert code == 2
    assert re.fullmatch(r"liftpose: error: [^\n]+\n", err), err
    return err.removeprefix("liftpose: error: ").rstrip()


def test_it_says_what_it_has_done(liftpose: Run, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "data"
    code, text, err = liftpose("data", "h36m", "--from", "cdf", source, "--out", out)
    assert (code, err) == (0, "")
    lines = text.splitlines()
    assert any(re.match(r"read .* 209/209", line) for line in lines), "the progress"
    assert [line.split()[:3] for line in lines if " takes, " in line][:-1] == [
        *([subject, "30", "takes,"] for subject in ("S1", "S5", "S6", "S7", "S8", "S9")),
        ["S11", "29", "takes,"],
    ]
    assert "left out: Directions of S11, as everywhere (its video is damaged)" in lines
    assert lines[-2:] == [f"wrote {out / 'data_2d_h36m_gt.npz'}", f"wrote {out / 'data_3d_h36m.npz'}"]
    with np.load(out / "data_3d_h36m.npz", allow_pickle=True) as file:
        assert sum(map(len, file["positions_3d"].item().values())) == 209


def test_what_is_there_is_replaced_only_when_asked(liftpose: Run, source: Path, tmp_path: Path) -> None:
    words = ("--from", "cdf", source, "--out", tmp_path)
    assert liftpose("data", "h36m", *words, "--compress")[0] == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert refuse(liftpose, *words) == (
        f"{tmp_path / 'data_3d_h36m.npz'}: expected no such file, found one (--overwrite replaces it)"
    )
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert liftpose("data", "h36m", *words, "--overwrite")[0] == 0
    assert all(path.stat().st_size > len(content) for path, content in before.items()), "not compressed this time"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "from, out: expected a value"),
        (("--out", "data"), "from: expected a value"),
        (("--from", "cdf", "."), "out: expected a value"),
        (("--from", "cdf"), "--from: expected 2 arguments, found none"),
        (("--from", "dvd", ".", "--out", "data"), "--from: expected cdf, mat, archive before the path, found dvd"),
        (("--from", "cdf", ".", "--out", __file__), f"{__file__}: expected a folder to write to, found a file"),
        (("--from", "cdf", "no", "--out", "data"), "no: expected the files S1/MyPoseFeatures/D3_Positions/*.cdf"),
        (("--from", "cdf", ".", "--out", "data", "--overwite"), "--overwite: expected the name of an option"),
    ],
)
def test_mistakes_are_one_line(
    liftpose: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refuse(liftpose, *words).startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_bad_files_leave_nothing(liftpose: Run, tmp_path: Path, write_official: Any) -> None:
    write_official("archive", tmp_path / "h36m")
    (tmp_path / "h36m" / "S5" / "MyPoses" / "3D_positions" / "Photo.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    said = refuse(liftpose, "--from", "archive", tmp_path, "--out", tmp_path / "data")
    assert "S5/MyPoses/3D_positions/Photo.h5: expected an HDF5 file, found it cut or damaged" in said
    assert not (tmp_path / "data").exists()


def test_the_files_train(liftpose: Run, source: Path, tmp_path: Path) -> None:
    """What is written is what the data module looks for, by the name and the folder that it says."""
    from liftpose.formats import find_dataset_files, read_h36m

    assert liftpose("data", "h36m", "--from", "cdf", source, "--out", tmp_path)[0] == 0
    recordings = read_h36m(*find_dataset_files(tmp_path, "h36m", "gt"))
    assert len(recordings) == 4 * 209
    for recording in recordings[::97]:
        assert recording.camera is not None and recording.poses_3d is not None
        import torch

        seen = recording.camera.project(recording.camera.to_camera(torch.from_numpy(recording.poses_3d).double()))
        inside = (np.abs(recording.keypoints_2d - 500) < 500).all(axis=-1)
        assert np.abs(seen.numpy() - recording.keypoints_2d)[inside].max() < 1e-2, "not clamped here, so the same"
