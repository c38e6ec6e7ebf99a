from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liftpose.errors import LiftposeError
from liftpose.formats import matlab_5
from liftpose.formats.matlab import matlab_names, read_matlab

Save = Callable[[Path, dict[str, Any]], Path]


def cells(*values: Any) -> np.ndarray:
    row = np.empty((len(values), 1), dtype=object)
    for number, value in enumerate(values):
        row[number, 0] = value
    return row


RNG = np.random.default_rng(0)
VARIABLES: dict[str, Any] = {
    "poses_3d": RNG.normal(size=(4, 5, 3)),
    "single": RNG.normal(size=(3, 2, 4, 2)).astype(np.float32),
    "frames": np.arange(7, dtype=np.int32)[:, None],
    "valid": np.array([[True, False, True]]),
    "small": np.array([[1.0, 2.0, np.nan]]),
    "empty": np.zeros((0, 3)),
    "words": "Walking 1",
    "nothing": np.empty((0, 0), dtype=object),
    "cameras": cells(RNG.normal(size=(6, 34)), cells(np.array([[3.0]]), "ä"), np.zeros((0, 0)), "text"),
}


def save_5(path: Path, variables: dict[str, Any]) -> Path:
    scipy.io.savemat(path, variables)
    return path


def save_7(path: Path, variables: dict[str, Any]) -> Path:
    scipy.io.savemat(path, variables, do_compression=True)
    return path


@pytest.fixture(params=["5", "7", "7.3"])
def save(request: pytest.FixtureRequest, save_matlab_73: Save) -> Save:
    return {"5": save_5, "7": save_7, "7.3": save_matlab_73}[request.param]


def check(found: Any, expected: Any) -> None:
    if isinstance(expected, str):
        assert found == expected
        return
    assert found.shape == expected.shape
    if expected.dtype == object:
        for index in np.ndindex(*expected.shape):
            check(found[index], expected[index])
        return
    assert found.dtype == (np.uint8 if expected.dtype == bool else expected.dtype)
    np.testing.assert_array_equal(found, expected)


def test_every_version_gives_the_values_in_matlabs_order(save: Save, tmp_path: Path) -> None:
    path = save(tmp_path / "a.mat", VARIABLES)
    assert set(matlab_names(path)) == set(VARIABLES)
    found = read_matlab(path, list(VARIABLES))
    assert list(found) == list(VARIABLES)
    for name, expected in VARIABLES.items():
        check(found[name], expected)


def test_numbers_that_matlab_stores_in_fewer_bytes_keep_their_type(tmp_path: Path) -> None:
    # MATLAB writes doubles that are small whole numbers as bytes; here within the tag, in the other order of bytes.
    def element(kind: int, data: bytes) -> bytes:
        return struct.pack(">2I", kind, len(data)) + data + bytes(-len(data) % 8)

    def file(columns: int) -> bytes:
        array = element(6, struct.pack(">2I", 6, 0)) + element(5, struct.pack(">2i", 1, columns)) + element(1, b"a")
        array += struct.pack(">2H", 2, 1) + bytes([1, 250, 0, 0])  # two bytes with a sign
        return b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI" + element(14, array)

    path = tmp_path / "a.mat"
    path.write_bytes(file(columns=2))
    found = read_matlab(path, ["a"])["a"]
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [[1.0, -6.0]])
    np.testing.assert_array_equal(scipy.io.loadmat(path)["a"], [[1.0, -6.0]])
    path.write_bytes(file(columns=3))
    with pytest.raises(LiftposeError, match=r"a: expected a whole MATLAB file, found .*\(a shape \(1, 3\)"):
        read_matlab(path, ["a"])


def test_a_missing_variable_is_named_with_those_that_are_there(save: Save, tmp_path: Path) -> None:
    path = save(tmp_path / "a.mat", {"annot2": np.eye(2), "annot3": np.eye(3)})
    with pytest.raises(LiftposeError, match=r"a\.mat: expected the variable univ_annot3, found annot2, annot3$"):
        read_matlab(path, ["annot2", "univ_annot3"])


def test_what_is_no_numbers_is_refused(tmp_path: Path) -> None:
    content = {"s": {"a": 1.0}, "z": np.array([[1j]]), "rows": np.array(["ab", "cd"]), "inside": cells({"a": 1.0})}
    for path in (save_5(tmp_path / "5.mat", content), save_7(tmp_path / "7.mat", content)):
        for name, found in {"s": "a structure", "z": "complex", "rows": "text of several", "inside": "a str"}.items():
            with pytest.raises(LiftposeError, match=f"{name}: expected numbers, text or cells of them, found {found}"):
                read_matlab(path, [name])


def test_hdf5_that_points_elsewhere_or_to_itself_is_refused(save_matlab_73: Save, tmp_path: Path) -> None:
    path = save_matlab_73(tmp_path / "a.mat", {"a": np.eye(2)})
    secret = tmp_path / "secret"
    secret.write_bytes(np.arange(4.0).tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = np.arange(4.0)
    with h5py.File(path, "r+") as file:
        file.create_group("group").attrs["MATLAB_class"] = np.bytes_("struct")
        file["link"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "x")
        file["soft"] = h5py.SoftLink("/a")
        file.create_dataset("external", (4,), "f8", external=[(str(secret), 0, 32)])
        layout = h5py.VirtualLayout((4,), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (4,))
        file.create_virtual_dataset("virtual", layout)
        loop = file.create_dataset("loop", (2, 1), h5py.ref_dtype)
        loop.attrs["MATLAB_class"] = np.bytes_("cell")
        loop[:] = loop.ref
        file.create_dataset("huge", (2**20, 2**20), "f8", chunks=(1024, 1024))
    for name, found in {
        "group": "a structure", "link": "a link", "soft": "a link", "external": "an array that is not in this file",
        "virtual": "an array that is not in this file", "loop": "cells within cells", "huge": "more than 1 GiB",
    }.items():  # fmt: skip
        with pytest.raises(LiftposeError, match=f"{name}: expected numbers, text or cells of them, found {found}"):
            read_matlab(path, [name])


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_7(tmp_path / "a.mat", {"a": np.zeros((1000, 1000))})
    assert path.stat().st_size < 20_000
    monkeypatch.setattr(matlab_5, "_MAX_BYTES", 10**6)
    with pytest.raises(
        LiftposeError, match=r"a: expected a whole MATLAB file, found .*\(a variable of 80000\d\d bytes\)"
    ):
        read_matlab(path, ["a"])


def test_what_grows_when_it_is_read_has_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Doubles that are stored as bytes, all cells together, and cells without anything in them."""
    many = {"a": np.zeros((1000, 1)), "b": cells(*[np.zeros((100, 1))] * 10), "c": cells(*[np.zeros((0, 0))] * 100)}
    path = save_7(tmp_path / "a.mat", many)
    scipy.io.savemat(tmp_path / "bytes.mat", {"a": np.zeros((1000, 1), dtype=np.uint8)})
    content = bytearray((tmp_path / "bytes.mat").read_bytes())
    content[content.index(b"\x09\0\0\0", 128)] = 6  # the class double for numbers stored as uint8
    (tmp_path / "bytes.mat").write_bytes(content)
    assert read_matlab(tmp_path / "bytes.mat", ["a"])["a"].dtype == np.float64
    monkeypatch.setattr(matlab_5, "_MAX_VALUES", 50)
    assert read_matlab(path, ["a", "b"])["b"].shape == (10, 1)
    with pytest.raises(LiftposeError, match="c: expected numbers, text or cells of them, found more than 50 cells"):
        read_matlab(path, ["c"])
    monkeypatch.setattr(matlab_5, "_MAX_BYTES", 7900)
    for file, name in ((tmp_path / "bytes.mat", "a"), (path, "a"), (path, "b")):
        with pytest.raises(LiftposeError, match=rf"{name}: expected .*(more than|variable of)"):
            read_matlab(file, [name])


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (bytes(4096), "zeros"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"PK\x03\x04" + bytes(200), "a zip or npz file"),
        (b"MATLAB 5.0 MAT-file, Platform: GLNXA64", "one that is cut or of another version"),
        (b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM", "one of version 7.3 that is cut"),
        (b"some text".ljust(300), "something else"),
    ],
)
def test_other_files_are_refused(content: bytes, found: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    with pytest.raises(LiftposeError, match=rf"a\.mat: expected a MATLAB file of version 5 to 7\.3, found {found}$"):
        read_matlab(path, ["a"])
    with pytest.raises(LiftposeError, match="found no such file"):
        read_matlab(tmp_path / "b.mat", ["a"])


def test_version_4_is_refused_by_name(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"abc": np.eye(3)}, format="4")
    with pytest.raises(LiftposeError, match="found one of version 4"):
        read_matlab(tmp_path / "a.mat", ["abc"])


def test_a_cut_file_is_refused_wherever_it_is_cut(save: Save, tmp_path: Path) -> None:
    whole = save(tmp_path / "a.mat", {"a": np.arange(300.0), "b": RNG.normal(size=(5, 5))}).read_bytes()
    path = tmp_path / "b.mat"
    ends = {int(n) for n in np.linspace(1, len(whole) - 1, 60)} - {128}
    for end in sorted(ends):
        path.write_bytes(whole[:end])
        with pytest.raises(LiftposeError, match=r"b\.mat: .*expected (a|the|a whole) .*, found ") as error:
            read_matlab(path, ["a"])
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("compressed", [False, True])
@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damage_gives_values_or_one_line(
    compressed: bool, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    whole = folder / f"whole{compressed}.mat"
    if not whole.exists():
        scipy.io.savemat(whole, VARIABLES, do_compression=compressed)
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(128, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = folder / "damaged.mat"
    path.write_bytes(content)
    try:
        read_matlab(path, list(VARIABLES))
    except LiftposeError as error:
        assert str(path) in str(error)


def test_the_package_for_version_73_is_named_where_it_is_missing(
    save_matlab_73: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_matlab_73(tmp_path / "a.mat", {"a": np.eye(2)})
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(
        LiftposeError, match=r"expected the package h5py, found it is not installed.*liftpose\[prepare\]"
    ):
        read_matlab(path, ["a"])
    assert read_matlab(save_5(tmp_path / "b.mat", {"a": np.eye(2)}), ["a"])["a"].shape == (2, 2)
