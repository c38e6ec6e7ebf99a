"""The restricted reader against numpy's own, and against files made to do harm."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from liftpose.errors import LiftposeError
from liftpose.formats import read_npz, write_npz, write_npz_objects

NESTED: dict[str, Any] = {
    "S1": {"Walking 1": [np.arange(12, dtype=np.float32).reshape(2, 3, 2), np.zeros((0, 3, 2), dtype=np.float32)]},
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big endian": np.arange(3, dtype=">f4"),
    "strided": np.arange(10)[::3],
    "words": np.array(["ab", "c"]),
    "flags": np.array([True, False]),
    "no shape": np.array(2.5),
    "objects": np.array([1, "two", None], dtype=object),
    "scalars": [np.float32(1.5), np.int64(-3), np.bool_(True), np.str_("x"), 7, 0.25, None, True, b"\x00\xff", (1, 2)],
}


def npz_with_pickle(path: Path, pickled: bytes, name: str = "positions_3d", shape: tuple[int, ...] = ()) -> Path:
    """Make an npz file whose one member is an object array with this pickle."""
    stream = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.npy", stream.getvalue() + pickled)
    return path


def as_object(value: Any) -> np.ndarray[Any, Any]:
    array = np.empty((), dtype=object)
    array[()] = value
    return array


def assert_same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            assert_same(found[key], value)
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected


@pytest.mark.parametrize("name", ["data_3d_h36m", "data_2d_h36m_gt", "data_2d_h36m_cpn_ft_h36m_dbb"])
def test_reads_the_files_of_the_field_as_numpy_does(reference: Path, name: str) -> None:
    path = reference / "golden" / "rie" / "toy_h36m" / f"{name}.npz"
    with np.load(path, allow_pickle=True) as expected:
        found = read_npz(path)
        assert list(found) == expected.files
        for key in expected.files:
            assert_same(found[key], expected[key].item())


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_reads_every_pickle_protocol(tmp_path: Path, protocol: int) -> None:
    path = npz_with_pickle(tmp_path / "a.npz", pickle.dumps(as_object(NESTED), protocol=protocol))
    assert_same(read_npz(path)["positions_3d"], NESTED)


def test_arrays_are_writable_and_keep_their_order(tmp_path: Path) -> None:
    found = read_npz(npz_with_pickle(tmp_path / "a.npz", pickle.dumps(as_object(NESTED))))["positions_3d"]
    found["strided"][0] = 5
    assert found["fortran"].flags.f_contiguous


def test_an_object_array_with_a_shape_stays_an_array(tmp_path: Path) -> None:
    array = np.empty(2, dtype=object)
    array[:] = [np.zeros(3), {"a": 1}]
    np.savez(tmp_path / "a.npz", views=array)
    found = read_npz(tmp_path / "a.npz")["views"]
    assert found.shape == (2,)
    np.testing.assert_array_equal(found[0], np.zeros(3))
    assert found[1] == {"a": 1}


def test_reads_what_python_2_and_numpy_1_wrote(tmp_path: Path) -> None:
    data = np.array([1.5, -2.0], dtype="<f4").tobytes()
    # Written by hand after the opcodes' documentation: byte strings (U) where Python 3 writes text or bytes.
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
        b"(K\x01(K\x02tcnumpy\ndtype\n(U\x02f4K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U" + bytes([len(data)]) + data + b"tb"
    )
    outer = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
        b"(K\x01(tcnumpy\ndtype\n(U\x02O8K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb"
        b"\x89]}U\x02S1" + array + b"satb."
    )
    path = npz_with_pickle(tmp_path / "a.npz", outer)
    with np.load(path, allow_pickle=True, encoding="latin1") as expected:
        assert_same(read_npz(path)["positions_3d"], expected["positions_3d"].item())


def test_reads_plain_arrays(tmp_path: Path) -> None:
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "f": np.asfortranarray(np.eye(3)[:, :2]),
        "t": np.array("text"),
        "e": np.zeros((0, 4)),
        "r": np.zeros(2, dtype=[("x", "f4"), ("y", "i2")]),
    }
    np.savez(tmp_path / "a.npz", **arrays)
    assert_same(read_npz(tmp_path / "a.npz"), arrays)


# ------------------------------------------------------------------------------------------------------ hostile pickles
class Calls:
    """Unpickles to the result of a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def hostile_pickles(marker: Path) -> dict[str, bytes]:
    import ctypes
    import subprocess

    command = f"touch {marker}"
    system = Calls(os.system, command)
    return {
        "system": pickle.dumps(system),
        "system in the array": pickle.dumps(as_object(system)),
        "system in a dictionary": pickle.dumps(as_object({"S1": {"Walking": [np.zeros(3), system]}})),
        "system as a key": pickle.dumps(as_object({system: 1})),
        "subprocess": pickle.dumps(as_object([Calls(subprocess.check_call, ["touch", str(marker)])])),
        "eval": pickle.dumps(Calls(eval, f"__import__('os').system('{command}')")),
        "getattr": pickle.dumps(Calls(getattr, "", "join")),
        "open": pickle.dumps(Calls(open, str(marker), "w")),
        "numpy.load": pickle.dumps(as_object(Calls(np.load, str(marker)))),
        "numpy.fromfile": pickle.dumps(as_object(Calls(np.fromfile, "/etc/hostname"))),
        "numpy.memmap": b"\x80\x04cnumpy\nmemmap\n(X\x04\x00\x00\x00evil\x74R.",
        "numpy through a dotted name": b"\x80\x04\x8c\x05numpy\x8c\x0end.array.tofile\x93.",
        "ctypes": pickle.dumps(Calls(ctypes.CDLL, "libc.so.6")),
        "codecs with another codec": b"\x80\x02c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13tR.",
        "copyreg": b"\x80\x02ccopy_reg\n_reconstructor\n(c__builtin__\nobject\nc__builtin__\nobject\nNtR.",
    }


@pytest.mark.parametrize("case", sorted(hostile_pickles(Path("marker"))))
def test_refuses_to_run_anything(tmp_path: Path, case: str) -> None:
    marker = tmp_path / "marker"
    path = npz_with_pickle(tmp_path / "hostile.npz", hostile_pickles(marker)[case])
    with pytest.raises(LiftposeError, match=r"hostile\.npz: array 'positions_3d': expected numpy arrays") as error:
        read_npz(path)
    assert "\n" not in str(error.value)
    assert not marker.exists()


def test_names_what_it_refuses(tmp_path: Path) -> None:
    path = npz_with_pickle(tmp_path / "a.npz", pickle.dumps(Calls(os.system, "true")))
    with pytest.raises(LiftposeError, match=r"the name (posix|nt)\.system, which could run anything"):
        read_npz(path)


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
FLOAT = b"cnumpy\ndtype\n(X\x02\x00\x00\x00f4\x89\x88tR"
BROKEN_PICKLES = {
    "an allocation of a petabyte": b"\x80\x04" + RECONSTRUCT + b"(cnumpy\nndarray\n(\x8a\x07\0\0\0\0\0\0\x04tC\x01btR.",
    "a shape that lies": b"\x80\x04" + RECONSTRUCT + b"(cnumpy\nndarray\n(K\x00tC\x01btR"
    b"(K\x01(J\xff\xff\xff\x7ft" + FLOAT + b"\x89C\x04\0\0\0\0tb.",
    "a negative shape": b"\x80\x04" + RECONSTRUCT + b"(cnumpy\nndarray\n(K\x00tC\x01btR"
    b"(K\x01(J\xff\xff\xff\xffJ\xff\xff\xff\xfft" + FLOAT + b"\x89C\x04\0\0\0\0tb.",
    "objects from bytes": b"\x80\x04" + RECONSTRUCT + b"(cnumpy\nndarray\n(K\x00tC\x01btR"
    b"(K\x01(K\x01tcnumpy\ndtype\n(X\x02\0\0\0O8\x89\x88tR\x89C\x08\x01\x01\x01\x01\x01\x01\x01\x01tb.",
    "an object scalar from bytes": b"\x80\x04cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(X\x02\0\0\0O8\x89\x88tR"
    b"C\x08\x01\x01\x01\x01\x01\x01\x01\x01tR.",
    "a dtype of records": b"\x80\x04cnumpy\ndtype\n(X\x02\0\0\0V8\x89\x88tR.",
    "fields given to a plain dtype": b"\x80\x04"
    + RECONSTRUCT
    + b"(cnumpy\nndarray\n(K\x00tC\x01btR(K\x01(K\x01t"
    + FLOAT
    + b"(K\x03X\x01\0\0\0<N(X\x01\0\0\0xt}K\x04K\x01K\x00tb\x89C\x04\0\0\0\0tb.",
    "an array of something that is no array": b"\x80\x04" + RECONSTRUCT + b"(cnumpy\ndtype\n(K\x00tC\x01btR.",
    "a memo of many gigabytes": b"\x80\x04Nr\xff\xff\xff\xff.",
    "a change to a stand-in": b"\x80\x04c_codecs\nencode\nN}X\x0c\0\0\0__defaults__Ns\x86b.",
    "a change to a class": b"\x80\x04cnumpy\ndtype\nN}X\x0c\0\0\0_PLAIN_DTYPENs\x86b.",
    "a list that holds itself": b"\x80\x04]q\x00h\x00a.",
    "deep nesting": b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "a function as a value": b"\x80\x04c_codecs\nencode\n.",
    "no pickle": b"hello",
    "nothing": b"",
    "a cut pickle": pickle.dumps(as_object(NESTED))[:-50],
    "an array of another shape": pickle.dumps(np.zeros(3, dtype=object)),
    "a value without the array around it": pickle.dumps({"S1": 1}),
}


@pytest.mark.parametrize("case", BROKEN_PICKLES)
def test_refuses_broken_pickles(tmp_path: Path, case: str) -> None:
    path = npz_with_pickle(tmp_path / "broken.npz", BROKEN_PICKLES[case])
    with pytest.raises(LiftposeError, match=r"broken\.npz: array 'positions_3d': expected ") as error:
        read_npz(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("case", ["a list that holds itself", "deep nesting"])
def test_nesting_has_a_limit_of_its_own(tmp_path: Path, case: str) -> None:
    with pytest.raises(LiftposeError, match="found values nested more than 32 levels deep"):
        read_npz(npz_with_pickle(tmp_path / "a.npz", BROKEN_PICKLES[case]))


def test_a_small_pickle_stays_a_small_task(tmp_path: Path) -> None:
    """Lists of the same list, 25 levels deep: 2^25 elements if every path were followed."""
    value: list[Any] = []
    for _ in range(25):
        value = [value, value]
    found = read_npz(npz_with_pickle(tmp_path / "a.npz", pickle.dumps(as_object(value))))["positions_3d"]
    assert found[0] is found[1]


class Shared:
    """An array whose bytes are those of all others, once in the pickle."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __reduce__(self) -> Any:
        make, what = np.zeros(0, dtype=np.uint8).__reduce__()[:2]
        return make, what, (1, (len(self.data),), np.dtype("u1"), False, self.data)


def test_a_small_pickle_fills_no_memory(tmp_path: Path) -> None:
    """Many arrays of the same bytes, and bytes that are claimed but not there."""
    data = bytes(2**20)
    many = pickle.dumps(as_object([Shared(data) for _ in range(200)]), protocol=3)
    claimed = b"\x80\x05\x96" + (2**28).to_bytes(8, "little") + b"abc."
    for content, found in ((many, "arrays that are larger than the file"), (claimed, "a pickle that is cut")):
        path = npz_with_pickle(tmp_path / "a.npz", content)
        tracemalloc.start()
        try:
            with pytest.raises(LiftposeError, match=f"expected numpy arrays and plain values, found {found}"):
                read_npz(path)
            assert tracemalloc.get_traced_memory()[1] < 2**24
        finally:
            tracemalloc.stop()


def test_stand_ins_cannot_be_changed_by_an_earlier_file(tmp_path: Path) -> None:
    with pytest.raises(LiftposeError):
        read_npz(npz_with_pickle(tmp_path / "bad.npz", BROKEN_PICKLES["a change to a stand-in"]))
    good = npz_with_pickle(tmp_path / "good.npz", pickle.dumps(as_object({"a": b"\xff"}), protocol=2))
    assert read_npz(good)["positions_3d"] == {"a": b"\xff"}


# --------------------------------------------------------------------------------------------------------- broken files
def member(descr: str, shape: str, data: bytes = b"") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.npy", member("'<f4'", "(1000000000000,)", b"\0\0\0\0")),
        ("a.npy", member("'<f4'", "(4294967296, 4294967296)")),
        ("a.npy", member("'<f4'", "(-1, -1)", b"\0\0\0\0")),
        ("a.npy", member("'<f4'", "(2,)", b"\0" * 7)),
        ("a.npy", member("'<f4'", "(2,)", b"\0" * 9)),
        ("a.npy", member("'<f4'", "(2,)")[:30]),
        ("a.npy", member("[('x', 'O')]", "(1,)", b"\0" * 8)),
        ("a.npy", member("__import__('os').getcwd()", "(1,)", b"\0" * 8)),
        ("a.npy", b"\x93NUMPY\x09\x00" + b"\0" * 100),
        ("a.npy", b"something else"),
        ("a.npy", b""),
        ("../a.npy", member("'<f4'", "(1,)", b"\0" * 4)),
        ("/etc/a.npy", member("'<f4'", "(1,)", b"\0" * 4)),
        ("a.txt", b"hello"),
    ],
)
def test_refuses_broken_members(tmp_path: Path, name: str, content: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "broken.npz", "w") as archive:
        archive.writestr(name, content)
    with pytest.raises(LiftposeError, match=r"broken\.npz: .*expected .*found ") as error:
        read_npz(tmp_path / "broken.npz")
    assert "\n" not in str(error.value)


def test_refuses_two_members_of_one_name_and_too_many(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "two.npz", "w") as archive:
        archive.writestr("a.npy", b"")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.npy", b"")
    with pytest.raises(LiftposeError, match=r"names of their own .* found 'a\.npy'"):
        read_npz(tmp_path / "two.npz")
    with zipfile.ZipFile(tmp_path / "many.npz", "w") as archive:
        for i in range(4097):
            archive.writestr(f"{i}.npy", b"")
    with pytest.raises(LiftposeError, match="at most 4096 arrays in one file, found 4097"):
        read_npz(tmp_path / "many.npz")


def test_refuses_a_size_no_data_set_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "a.npz", a=np.zeros(1000))
    monkeypatch.setattr("liftpose.formats.npz._MAX_BYTES", 4000)
    with pytest.raises(LiftposeError, match="GiB of arrays, found"):
        read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"hello", "something else"),
        (b"\x93NUMPY\x01\x00rest", "a single npy array"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of git-lfs"),
        (b"<!DOCTYPE html>", "a web page"),
    ],
)
def test_says_what_a_file_is_instead(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(LiftposeError, match=rf"a\.npz: expected an npz file, found {found}"):
        read_npz(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(LiftposeError, match=r"no\.npz: expected an npz file, found no such file"):
        read_npz(tmp_path / "no.npz")
    with pytest.raises(LiftposeError, match=r"expected an npz file, found: is a directory"):
        read_npz(tmp_path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_cut_file(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=np.arange(1000))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(LiftposeError, match="found an npz file that is cut"):
        read_npz(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_bytes_are_noticed(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "a.npz"
    (np.savez_compressed if compressed else np.savez)(path, a=np.random.default_rng(0).normal(size=1000))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(LiftposeError, match=r"a\.npz: array 'a': expected "):
        read_npz(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_every_byte_may_be_damaged(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "whole.npz", "w", method) as archive:
        archive.writestr("a.npy", member("'<f4'", "(20,)", np.arange(20, dtype="<f4").tobytes()))
    whole, path, refused = (tmp_path / "whole.npz").read_bytes(), tmp_path / "a.npz", 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            read_npz(path)
        except LiftposeError as error:
            refused += 1
            assert str(error).startswith(f"{path}: ")
    assert refused > len(whole) / 2


def test_refuses_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(1_000_000))
    assert len(read_npz(tmp_path / "a.npz")["a"]) == 1_000_000
    monkeypatch.setattr("liftpose.formats.npz._SMALL", 2**20)
    with pytest.raises(
        LiftposeError, match=r"a\.npz: expected arrays packed at most 200-fold, found 8000128 bytes from"
    ):
        read_npz(tmp_path / "a.npz")


# ------------------------------------------------------------------------------------------------------------- writing
def test_plain_arrays_are_read_by_numpy_without_pickle(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3), "t": np.array("text"), "e": np.zeros((0, 2), dtype=np.float32)}
    write_npz(tmp_path / "a.npz", arrays)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert_same({name: found[name] for name in found.files}, arrays)


def test_the_same_arrays_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_npz(tmp_path / f"{name}.npz", {"a": np.arange(5)})
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_objects_are_refused_and_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Object arrays"):
        write_npz(tmp_path / "a.npz", {"a": np.array([None])})
    with pytest.raises(ValueError, match="plain name"):
        write_npz(tmp_path / "a.npz", {"../a": np.zeros(1)})
    assert list(tmp_path.iterdir()) == []


def test_written_dictionaries_are_read_by_numpy_and_by_us(tmp_path: Path) -> None:
    write_npz_objects(tmp_path / "a.npz", {"positions_2d": NESTED, "metadata": {"num_joints": 17}})
    with np.load(tmp_path / "a.npz", allow_pickle=True) as found:
        assert found["positions_2d"].shape == ()
        native = NESTED | {"big endian": NESTED["big endian"].astype("=f4")}  # numpy swaps the bytes when it reads
        assert_same(found["positions_2d"].item(), native)
        assert found["metadata"].item() == {"num_joints": 17}
    assert_same(read_npz(tmp_path / "a.npz")["positions_2d"], NESTED)


def test_written_dictionaries_use_names_that_numpy_1_knows(tmp_path: Path) -> None:
    write_npz_objects(tmp_path / "a.npz", {"positions_2d": NESTED})
    with zipfile.ZipFile(tmp_path / "a.npz") as archive, archive.open("positions_2d.npy") as stream:
        np.lib.format.read_magic(stream)
        np.lib.format.read_array_header_1_0(stream)
        operations = list(pickletools.genops(stream.read()))
    names = {str(argument) for operation, argument, _ in operations if operation.name in {"GLOBAL", "STACK_GLOBAL"}}
    assert "numpy.core.multiarray _reconstruct" in names
    assert not any("_core" in name for name in names)
    assert operations[0][1] == 3, "the protocol of numpy 1 and Python 3.0"


@pytest.mark.parametrize("compress", [False, True])
def test_compression_is_a_matter_of_the_file_only(tmp_path: Path, compress: bool) -> None:
    write_npz_objects(tmp_path / "a.npz", {"positions_2d": NESTED}, compress=compress)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert archive.infolist()[0].compress_type == (zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED)
    assert_same(read_npz(tmp_path / "a.npz")["positions_2d"], NESTED)
