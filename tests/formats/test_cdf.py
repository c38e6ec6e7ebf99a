"""CDF files that cdflib has written."""

from __future__ import annotations

import re
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cdflib.cdfwrite import CDF

from liftpose.errors import LiftposeError
from liftpose.formats.cdf import read_cdf

PACKED: list[tuple[str, dict[str, Any]]] = [("block", {"compress": 6}), ("file", {"Compressed": 6})]
FLOAT, DOUBLE, INT4, TEXT = 44, 45, 4, 51


def write(path: Path, values: Any, kind: int = DOUBLE, name: str = "Pose", **spec: Any) -> Path:
    compress = spec.pop("compress", 0)
    file = CDF(str(path), cdf_spec=spec)
    for variable, array in (("Before", np.arange(5.0)[None]), (name, values)):
        description = {
            "Variable": variable,
            "Data_Type": kind if variable == name else DOUBLE,
            "Num_Elements": 4 if kind == TEXT and variable == name else 1,
            "Rec_Vary": True,
            "Dim_Sizes": list(np.shape(array)[1:]),
            "Compress": compress,
        }
        file.write_var(description, var_data=array)
    file.close()
    return path


def poses(frames: int = 7) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(1, frames, 96)) * 1000


@pytest.mark.parametrize("spec", [{}, {"compress": 6}, {"Compressed": 6}, {"Encoding": 1}, {"Checksum": True}])
@pytest.mark.parametrize(("kind", "dtype"), [(DOUBLE, "f8"), (FLOAT, "f4"), (INT4, "i4")])
@pytest.mark.parametrize("inside", [False, True])
def test_values_come_as_they_were_put_in(
    tmp_path: Path, kind: int, dtype: str, spec: dict[str, Any], inside: bool
) -> None:
    values = poses().astype(dtype)
    path = write(tmp_path / "Walking 1.cdf", values, kind, **spec)
    found = read_cdf("a.zip: Walking 1.cdf", "Pose", path.read_bytes()) if inside else read_cdf(path, "pose")
    assert found.dtype.newbyteorder("=") == np.dtype(dtype)
    np.testing.assert_array_equal(found, values)


def version_2(values: np.ndarray, release: int = 7) -> bytes:
    """A file of version 2, which cdflib reads but does not write, by the description of the format (version 2.7)."""
    data = values.astype(">f8").tobytes()
    index, block, end = 520, 552, 560 + len(data)
    return b"".join(
        [
            b"\xcd\xf2\x60\x02\x00\x00\xff\xff",
            struct.pack(">12i", 304, 1, 312, 2, release, 1, 3, 0, 0, 0, -1, -1) + b"copyright".ljust(256, b"\0"),
            struct.pack(">15i", 60, 2, 0, 372, 0, end, 0, 0, -1, 0, 1, 0, 0, 0, 0),
            struct.pack(">16i", 148, 8, 0, DOUBLE, len(values) - 1, index, index, 1, 0, 0, 0, -1, 1, 0, 0, 0),
            b"Pose".ljust(64, b"\0") + struct.pack(">5i", 2, *values.shape[1:], -1, -1),
            struct.pack(">8i", 32, 6, 0, 1, 1, 0, len(values) - 1, block),
            struct.pack(">2i", 8 + len(data), 7) + data,
        ]
    )


def test_version_2(tmp_path: Path) -> None:
    values, path = poses(), tmp_path / "a.cdf"
    content = version_2(values)
    path.write_bytes(content)
    np.testing.assert_array_equal(read_cdf(path, "Pose"), values)
    for size in [*range(0, 560, 9), len(content) - 1]:
        path.write_bytes(content[:size])
        with pytest.raises(LiftposeError, match=r"a\.cdf: expected a CDF file"):
            read_cdf(path, "Pose")
    for place, new in ((388, 2**28), (532, 2**20), (536, 2**20), (528, 520)):  # records, entries, those used, the next
        path.write_bytes(content[:place] + struct.pack(">i", new) + content[place + 4 :])
        with pytest.raises(LiftposeError, match=r"found it cut or damaged \((a variable|an index) "):
            read_cdf(path, "Pose")
    path.write_bytes(version_2(values, release=4))  # older releases have other places for all that follows
    with pytest.raises(LiftposeError, match=r"found it cut or damaged \(version 2\.4\)"):
        read_cdf(path, "Pose")


def test_one_frame_keeps_its_dimensions(tmp_path: Path) -> None:
    assert read_cdf(write(tmp_path / "a.cdf", poses(1)), "Pose").shape == (1, 1, 96)


@pytest.mark.parametrize(("spec", "spare"), [({}, 0), ({"compress": 6}, 0), ({"Compressed": 6}, 12)])
def test_a_file_cut_anywhere_is_noticed(tmp_path: Path, spec: dict[str, Any], spare: int) -> None:
    """The last bytes of a file that is compressed as a whole say how well, which nobody needs to read it."""
    content = write(tmp_path / "whole.cdf", poses(), **spec).read_bytes()
    path = tmp_path / "cut.cdf"
    for size in [*range(0, 330, 11), *np.linspace(330, len(content) - 1 - spare, 25).astype(int)]:
        path.write_bytes(content[:size])
        with pytest.raises(LiftposeError, match=r"cut\.cdf: expected a CDF file.*, found ") as error:
            read_cdf(path, "Pose")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("number", [b"\x7f\xff\xff\xf0", b"\xff\xff\xff\xff", b"\0\0\xff\xff"])
def test_damaged_numbers_are_a_message(tmp_path: Path, number: bytes) -> None:
    """Places, sizes and counts, each spoilt in turn; what cdflib raises for them is anything, or it runs for hours."""
    content = write(tmp_path / "whole.cdf", poses()).read_bytes()
    path, refused = tmp_path / "damaged.cdf", 0
    for place in range(8, 700, 4):
        path.write_bytes(content[:place] + number + content[place + 4 :])
        try:
            read_cdf(path, "Pose")
        except LiftposeError as error:
            refused += 1
            assert str(error).startswith(f"{path}: expected ") and "\n" not in str(error)
    assert refused > 20


def records(content: bytes, kind: int) -> list[int]:
    """Places of the records of one kind: the size, eight bytes, comes before the kind."""
    places = [at.start() - 8 for at in re.finditer(re.escape(struct.pack(">i", kind)), content) if at.start() > 50]
    return [place for place in places if 28 <= int.from_bytes(content[place : place + 8], "big") < 500]


def test_an_index_that_does_not_end(tmp_path: Path) -> None:
    """cdflib follows it for hours, or until the memory is full."""
    content = write(tmp_path / "whole.cdf", poses()).read_bytes()
    place, path = records(content, 6)[-1], tmp_path / "a.cdf"
    itself = struct.pack(">q", place)
    for offset, new in ((12, itself), (20, struct.pack(">2i", 2**20, 2**20)), (28 + 8 * content[place + 23], itself)):
        path.write_bytes(content[: place + offset] + new + content[place + offset + len(new) :])
        with pytest.raises(LiftposeError, match=r"a\.cdf: expected a CDF file, found it cut or damaged \(an index"):
            read_cdf(path, "Pose")


def test_sizes_have_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that claims a terabyte, and files and blocks that unpack to more than they may."""
    content = write(tmp_path / "whole.cdf", poses()).read_bytes()
    place, path = records(content, 8)[-1], tmp_path / "a.cdf"
    path.write_bytes(content[: place + 24] + struct.pack(">i", 2**28) + content[place + 28 :])
    with pytest.raises(LiftposeError, match=r"a\.cdf: .* damaged \(a variable of 268435457 records of shape \(7, 96"):
        read_cdf(path, "Pose")
    zeros = np.zeros((1, 400, 96))
    files = [write(tmp_path / f"{len(spec)}{name}.cdf", zeros, **spec) for name, spec in PACKED]
    assert all(read_cdf(file, "Pose").shape == zeros.shape for file in files)
    monkeypatch.setattr("liftpose.formats.cdf._MAX_BYTES", 300_000)
    for file in files:
        with pytest.raises(LiftposeError, match=r"a variable of|compressed bytes that do not end where they should"):
            read_cdf(file, "Pose")
    monkeypatch.setattr("liftpose.formats.cdf._LARGEST_NUMBER", 0)
    for file in files:
        with pytest.raises(LiftposeError, match="compressed bytes that do not end where they should"):
            read_cdf(file, "Pose")


def test_other_variables_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.cdf", poses(), name="RGB")
    with pytest.raises(LiftposeError, match=r"a\.cdf: expected the variable Pose, found Before, RGB"):
        read_cdf(path, "Pose")


def test_text_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.cdf", np.array(["walk", "jump"]), TEXT)
    with pytest.raises(LiftposeError, match=r"a\.cdf: expected numbers in the variable Pose, found "):
        read_cdf(path, "Pose")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "an HDF5 file"),
        (b"MATLAB 5.0 MAT-file" + bytes(200), "a MATLAB file"),
        (b"PK\x03\x04" + bytes(50), "a zip archive"),
        (b"\x1f\x8b" + bytes(50), "a gzip file"),
        (b"hello" * 100, "something else"),
    ],
)
def test_other_files(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "a.cdf").write_bytes(content)
    with pytest.raises(LiftposeError, match=rf"a\.cdf: expected a CDF file, found {found}$"):
        read_cdf(tmp_path / "a.cdf", "Pose")


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(LiftposeError, match=r"no\.cdf: expected a CDF file, found no such file"):
        read_cdf(tmp_path / "no.cdf", "Pose")
    with pytest.raises(LiftposeError, match="expected a CDF file, found: is a directory"):
        read_cdf(tmp_path, "Pose")


def test_without_cdflib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.cdf", poses())
    monkeypatch.setitem(sys.modules, "cdflib", None)
    with pytest.raises(
        LiftposeError, match=r"a\.cdf: expected the package cdflib, .*pip install 'liftpose\[prepare\]'"
    ):
        read_cdf(path, "Pose")
