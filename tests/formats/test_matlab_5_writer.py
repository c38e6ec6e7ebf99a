"""MATLAB files written here, read by scipy; structures written by scipy, read here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liftpose.errors import LiftposeError
from liftpose.formats import matlab_5
from liftpose.formats.matlab import read_matlab
from liftpose.formats.matlab_5_writer import write_matlab


@pytest.mark.parametrize("compress", [False, True])
def test_scipy_reads_what_is_written(tmp_path: Path, compress: bool) -> None:
    rng = np.random.default_rng(1)
    arrays = {
        f"kind_{code}": rng.integers(0, 100, (2, 3, 4)).astype(code)
        for code in ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
    }
    values: dict[str, Any] = {
        **arrays,
        "big": np.arange(6, dtype=">f8").reshape(2, 3),
        "row": np.arange(3.0),
        "number": 2.5,
        "empty": np.zeros((0, 4)),
        "words": "Straße 1",
        "cells": ["a", np.eye(2), ["b", 3]],
        "structure": {"R": np.eye(3), "name": "left", "empty": np.zeros((0, 0))},
        "structures": np.array([[{"x": 1.0, "y": "a"}], [{"x": 2.0, "y": "b"}]], dtype=object),
    }
    write_matlab(tmp_path / "a.mat", values, compress=compress)
    found = scipy.io.loadmat(tmp_path / "a.mat", chars_as_strings=True)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    np.testing.assert_array_equal(found["big"], values["big"])
    np.testing.assert_array_equal(found["row"], [[0, 1, 2]])
    assert found["number"].item() == 2.5
    assert found["empty"].shape == (0, 4)
    assert found["words"].item() == "Straße 1"
    assert found["cells"].shape == (1, 3)
    assert found["cells"][0, 0].item() == "a"
    np.testing.assert_array_equal(found["cells"][0, 1], np.eye(2))
    assert found["cells"][0, 2][0, 0].item() == "b"
    assert found["structure"].dtype.names == ("R", "name", "empty")
    np.testing.assert_array_equal(found["structure"]["R"].item(), np.eye(3))
    assert found["structures"].shape == (2, 1)
    assert [each.item() for each in found["structures"]["x"].ravel()] == [1, 2]
    assert [each.item() for each in found["structures"]["y"].ravel()] == ["a", "b"]


def test_logicals_stay_logicals(tmp_path: Path) -> None:
    write_matlab(tmp_path / "a.mat", {"valid": np.array([[True, False]])})
    assert scipy.io.whosmat(tmp_path / "a.mat") == [("valid", (1, 2), "logical")]


VALUES = st.recursive(
    st.one_of(
        st.floats(allow_nan=False),
        st.integers(-(2**31), 2**31 - 1),
        st.text(st.characters(max_codepoint=0xD7FF, min_codepoint=1), max_size=5),
    ),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3),
        st.dictionaries(st.sampled_from(["R", "name", "a_3"]), inner, min_size=1, max_size=3),
    ),
    max_leaves=8,
)


def plain(value: Any) -> Any:
    """Undo what the reader makes of a value: rows of cells, 1 x 1 arrays, structures."""
    if isinstance(value, np.ndarray) and value.dtype == object:
        found = value.ravel().tolist()
        return plain(found[0]) if isinstance(found[0], dict) else [plain(each) for each in found]
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return value.item() if isinstance(value, np.ndarray) else value


@settings(max_examples=80, suppress_health_check=list(HealthCheck))
@given(value=VALUES, compress=st.booleans())
def test_what_is_written_is_read(value: Any, compress: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "there_and_back.mat"
    write_matlab(path, {"value": value}, compress=compress)
    assert plain(read_matlab(path, ["value"], structures=True)["value"]) == value


@pytest.mark.parametrize("name", ["", "_a", "a b", "1a", "ä", "a" * 64, "a\0"])
def test_names_that_matlab_has_not_are_a_mistake(tmp_path: Path, name: str) -> None:
    for value in ({name: 1.0}, {"s": {name: 1.0}}):
        with pytest.raises(ValueError, match="expected a name of at most 63"):
            write_matlab(tmp_path / "a.mat", value)
    assert not list(tmp_path.iterdir())


def test_values_of_other_kinds_are_a_mistake(tmp_path: Path) -> None:
    for value in (np.array([1j]), np.array(["2026"], dtype="datetime64[D]"), [object()]):
        with pytest.raises(ValueError, match="expected numbers, text, cells or structures, found"):
            write_matlab(tmp_path / "a.mat", {"a": value})


def nested() -> dict[str, Any]:
    points = np.zeros((1, 3), dtype=[("x", object), ("y", object), ("id", object)])
    for number in range(3):
        points[0, number] = (1.5 * number, 2.0 * number, number)
    return {
        "RELEASE": {"points": points, "name": "release", "deep": {"er": {"x": np.arange(3)}}},
        "plain": np.eye(2),
        "cells": np.array([[{"a": 1.0}, "text"]], dtype=object),
    }


@pytest.mark.parametrize("compress", [False, True])
def test_structures_of_scipy_are_read(tmp_path: Path, compress: bool) -> None:
    scipy.io.savemat(tmp_path / "a.mat", nested(), do_compression=compress)
    found = read_matlab(tmp_path / "a.mat", ["RELEASE", "plain", "cells"], structures=True)
    release = found["RELEASE"]
    assert release.shape == (1, 1)
    points = release[0, 0]["points"]
    assert points.shape == (1, 3)
    assert [{name: value.item() for name, value in point.items()} for point in points.ravel()] == [
        {"x": 1.5 * number, "y": 2 * number, "id": number} for number in range(3)
    ]
    assert release[0, 0]["name"] == "release"
    np.testing.assert_array_equal(release[0, 0]["deep"][0, 0]["er"][0, 0]["x"], [[0, 1, 2]])
    assert found["cells"][0, 0][0, 0]["a"].item() == 1
    np.testing.assert_array_equal(found["plain"], np.eye(2))


def test_structures_are_refused_where_they_are_not_asked_for(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", nested())
    with pytest.raises(LiftposeError, match="RELEASE: expected numbers, text or cells of them, found a structure"):
        read_matlab(tmp_path / "a.mat", ["RELEASE"])


def test_structures_have_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner: Any = 1.0
    for _ in range(9):
        inner = {"a": inner}
    write_matlab(tmp_path / "deep.mat", {"a": inner})
    with pytest.raises(LiftposeError, match="a: expected numbers, text, cells or structures of them, found cells with"):
        read_matlab(tmp_path / "deep.mat", ["a"], structures=True)
    scipy.io.savemat(tmp_path / "a.mat", nested())
    monkeypatch.setattr(matlab_5, "_MAX_FIELDS", 10)
    with pytest.raises(LiftposeError, match="found more than 10 cells"):
        read_matlab(tmp_path / "a.mat", ["RELEASE"], structures=True)


def test_a_claim_of_many_structures_takes_no_memory(tmp_path: Path) -> None:
    write_matlab(tmp_path / "a.mat", {"a": {"x": 1.0}})
    content = bytearray((tmp_path / "a.mat").read_bytes())
    place = content.index(b"\x05\0\0\0\x08\0\0\0\x01\0\0\0\x01\0\0\0", 128)  # the shape (1, 1)
    content[place + 8 : place + 16] = b"\xff\xff\xff\x7f" * 2
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(LiftposeError, match=r"expected a whole MATLAB file, found it cut or damaged \(\d{19} cells"):
        read_matlab(tmp_path / "a.mat", ["a"], structures=True)


@pytest.mark.parametrize("compress", [False, True])
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damage_gives_values_or_one_line(
    compress: bool, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    whole = folder / f"structures{compress}.mat"
    if not whole.exists():
        scipy.io.savemat(whole, nested(), do_compression=compress)
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(128, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = folder / "damaged_structures.mat"
    path.write_bytes(content)
    try:
        read_matlab(path, ["RELEASE", "plain", "cells"], structures=True)
    except LiftposeError as error:
        assert str(path) in str(error)
