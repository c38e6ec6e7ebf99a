from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Command = Callable[..., tuple[int, str, str]]


def annotation(path: Path) -> Path:
    """SPIN's file: two sequences of a few frames, standing still."""
    images = [f"mpi_inf_3dhp_test_set/TS{n}/imageSequence/img_{frame:06d}.jpg" for n in (1, 5) for frame in (1, 2, 5)]
    rng = np.random.default_rng(0)
    part, placed = rng.uniform(100, 900, size=(6, 24, 3)), rng.normal(size=(6, 24, 4))
    part[..., 2] = placed[..., 3] = 1
    np.savez(path, imgname=images, part=part, S=placed, center=np.zeros((6, 2)), scale=np.ones(6))
    return path


def test_the_command_writes_a_data_set_that_a_lifter_reads(
    liftpose: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = annotation(tmp_path / "mpi_inf_3dhp_valid.npz")
    words = ["data", "3dhp", "--from", "valid", source, "--out", "data", "--skeleton", "h36m_17"]
    code, out, err = liftpose(*words)
    assert code == 0, err
    assert "TS5: 3 frames; poses relative to the pelvis, intrinsics unknown" in out
    assert "3dhp_valid: 2 subjects, 2 recordings, 6 frames, joints h36m_17" in out
    assert "wrote data/data_3d_3dhp_valid.json" in out
    code, _, err = liftpose(*words)
    assert code == 2
    assert "data_3d_3dhp_valid.npz: expected no such file, found one (--overwrite replaces it)" in err
    assert liftpose(*words, "--overwrite")[0] == 0
    code, out, err = liftpose(
        *("render", "--data", "data", "--dataset", "3dhp_valid", "--subject", "TS5", "--action", "TS5"),
        *("--out", "page.html"),
    )
    assert code == 0, err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--from", "valid"], "--from"),
        (["--from", "spin", "x"], "--from: expected valid, test, train, or test and train, found spin"),
        (["--from", "valid", "x", "--from", "test", "y"], "found test and valid"),
        (["--from", "valid", "x", "--poses", "annot2"], "poses: expected one of annot3, univ_annot3, found annot2"),
        (["--from", "valid", "nothing.npz"], "nothing.npz: expected an npz file, found no such file"),
        (["--from", "train", "nothing"], "nothing: expected a folder with S1/Seq1/annot.mat, found no such folder"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str, liftpose: Command, tmp_path: Path) -> None:
    code, _, err = liftpose("data", "3dhp", *words, "--out", tmp_path / "data")
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "data").exists()
