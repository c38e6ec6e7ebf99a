"""``liftpose data check`` as it is called."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Run = Callable[..., Any]


def test_exit_codes(liftpose: Run, h36m_root: Path, tmp_path: Path) -> None:
    """The tiny Human3.6M of the tests is made of random numbers: much is wrong with it, and it says so."""
    before = {path: path.read_bytes() for path in h36m_root.iterdir()}
    code, out, err = liftpose("data", "check", h36m_root)
    assert (code, err) == (1, "")
    assert re.search(
        r"^error: \S+data_2d_h36m_gt\.npz: S1/Directions 1\.0 \(and \d+ more\): expected projections", out, re.M
    )
    assert re.search(
        r"^\S+data_3d_h36m\.npz: 3D poses of h36m: 7 subjects \(S1, S5, S6, S7, S8, S9, S11\), 28 takes", out, re.M
    )
    assert re.search(r"^3 files: \d+ errors, \d+ warnings, 0 notes$", out, re.M)
    assert {path: path.read_bytes() for path in h36m_root.iterdir()} == before, "nothing is changed"
    code, out, err = liftpose("data", "check", tmp_path)
    assert (code, out, err) == (0, "0 files: 0 errors, 0 warnings, 0 notes\n", "")
    np.savez(tmp_path / "data_2d_x_gt.npz", positions_2d=np.array({}, dtype=object))
    assert liftpose("data", "check", tmp_path).code == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "folder: expected a value"),
        (["nowhere"], "nowhere: expected a folder with data sets, found nothing of that name"),
        (["data", "--fast", "1"], "--fast: expected the name of an option"),
    ],
)
def test_wrong_usage(
    liftpose: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = liftpose("data", "check", *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"liftpose: error: {message}") and err.count("\n") == 1


def test_it_works_without_the_optional_packages(
    liftpose: Run, h36m_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cdflib", "h5py", "scipy", "scipy.io"):
        monkeypatch.setitem(sys.modules, name, None)
    assert liftpose("data", "check", h36m_root).code == 1
