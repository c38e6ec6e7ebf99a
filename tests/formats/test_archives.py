"""Archives that Python's own zipfile and tarfile have written, harmless and hostile ones."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from liftpose.errors import LiftposeError
from liftpose.formats import archives
from liftpose.formats.archives import open_archive

FILES = {"h36m/S1/Walking 1.h5": b"walking" * 100, "h36m/S1/Eating.h5": b"", "notes.txt": b"\x00\xff"}


def zipped(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.mkdir("h36m")
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, files: dict[str, bytes], mode: str = "w", prefix: str = "", **options: int) -> Path:
    with tarfile.open(path, mode, **options) as archive:
        folder = tarfile.TarInfo(f"{prefix}h36m")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in files.items():
            info = tarfile.TarInfo(prefix + name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


WRITERS: dict[str, Callable[[Path, dict[str, bytes]], Path]] = {
    "zip": zipped,
    "stored zip": lambda path, files: zipped(path, files, zipfile.ZIP_STORED),
    "tar": tarred,
    "tgz": lambda path, files: tarred(path, files, "w:gz"),
    "tgz from inside the folder": lambda path, files: tarred(path, files, "w:gz", prefix="./"),
    "tgz of GNU": lambda path, files: tarred(path, files, "w:gz", format=tarfile.GNU_FORMAT),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_files_come_as_they_were_put_in(tmp_path: Path, kind: str) -> None:
    files = {**FILES, "x" * 150 + "/" + "y" * 90: b"a name that needs a header of its own"}
    path = WRITERS[kind](tmp_path / "archive", files)
    before = sorted(tmp_path.iterdir())
    with open_archive(path) as archive:
        assert archive.names == tuple(files)
        assert {name: archive.read(name) for name in reversed(archive.names)} == files
        with pytest.raises(KeyError):
            archive.read("h36m")
    assert sorted(tmp_path.iterdir()) == before, "nothing is extracted"


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_cut_archives(tmp_path: Path, kind: str, share: float) -> None:
    files = {f"{i}": bytes((7 * i + j * j) % 251 for j in range(30000)) for i in range(4)}
    path = WRITERS[kind](tmp_path / "archive", files)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with (
        pytest.raises(LiftposeError, match=r"archive.*: expected .*, found it cut or damaged \(") as error,
        open_archive(path) as archive,
    ):
        for name in archive.names:
            archive.read(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["zip", "stored zip", "tgz"])
def test_damaged_bytes_are_noticed(tmp_path: Path, kind: str) -> None:
    path = WRITERS[kind](tmp_path / "archive", {"a": bytes(i * i % 251 for i in range(5000))})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(LiftposeError, match="cut or damaged"), open_archive(path) as archive:
        archive.read("a")


# ------------------------------------------------------------------------------------------------------------- hostile
@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/passwd", "C:/a", "..\\a", "a/.."])
@pytest.mark.parametrize("kind", ["zip", "tar", "tgz"])
def test_names_that_lead_out_of_a_folder(tmp_path: Path, kind: str, name: str) -> None:
    path = WRITERS[kind](tmp_path / "archive", {"good": b"", name: b"evil"})
    with (
        pytest.raises(LiftposeError, match=r"archive: .*expected names of files inside a folder, found one") as error,
        open_archive(path),
    ):
        pass
    assert name in str(error.value)


@pytest.mark.parametrize("name", ["S1/a\nb", "\x1b[2Jhello", "S1/gpj\u202eexe", "a\x7f"])
def test_names_that_change_what_a_terminal_shows(tmp_path: Path, name: str) -> None:
    for kind in ("zip", "tar"):
        with (
            pytest.raises(LiftposeError, match="expected names of letters that can be shown") as error,
            open_archive(WRITERS[kind](tmp_path / f"a.{kind}", {name: b"1"})),
        ):
            pass
        assert str(error.value).isprintable()
        assert ascii(name)[1:-1] in str(error.value)


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "something else"),
        (tarfile.FIFOTYPE, "something else"),
    ],
)
def test_links_and_devices_in_tar(tmp_path: Path, kind: bytes, found: str) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("S1/Walking.cdf")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with (
        pytest.raises(LiftposeError, match=rf"a\.tar: S1/Walking\.cdf: expected a file, found {found}"),
        open_archive(path),
    ):
        pass


def test_links_in_zip(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("S1/Walking.h5")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with (
        pytest.raises(LiftposeError, match=r"a\.zip: S1/Walking\.h5: expected a file, found a link"),
        open_archive(path),
    ):
        pass


@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_bombs(tmp_path: Path, kind: str) -> None:
    path = WRITERS[kind](tmp_path / "archive", {"bomb": bytes(40 * 2**20)})
    assert path.stat().st_size < 100_000
    with pytest.raises(LiftposeError, match="bomb: expected a file packed at most 200-fold"), open_archive(path):
        pass


@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_sizes_and_numbers_have_limits(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = WRITERS[kind](tmp_path / "archive", {"a": bytes(600), "b": bytes(600), "c": b""})
    for limit, value, message in (
        ("_MAX_MEMBER_BYTES", 500, "a: expected a file of at most"),
        ("_MAX_BYTES", 1000, "b: expected a file of at most .* together with those before it"),
        (
            "_MAX_MEMBERS",
            3,
            "expected at most 3 files and folders in an archive, found more",
        ),  # three files, one folder
    ):
        with monkeypatch.context() as patch:
            patch.setattr(archives, limit, value)
            with pytest.raises(LiftposeError, match=message), open_archive(path):
                pass


def test_a_tar_that_claims_a_terabyte_is_not_read_through(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a")
    info.size = 2**40
    path = tmp_path / "a.tgz"
    path.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(10_000)))
    with (
        pytest.raises(LiftposeError, match=r"a: expected a file of at most 1 GiB, found 1024\.0 GiB"),
        open_archive(path),
    ):
        pass


def test_a_tar_whose_header_claims_a_name_of_gigabytes(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**33
    path = tmp_path / "a.tgz"
    path.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(10_000)))
    with pytest.raises(LiftposeError, match=r"cut or damaged \(a header of 8589934592 bytes"), open_archive(path):
        pass


def test_a_tar_with_a_negative_size(tmp_path: Path) -> None:
    """It would make room for others in the sum of all sizes."""
    info = tarfile.TarInfo("S1/a")
    info.pax_headers = {"size": "-5"}
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)
    with (
        pytest.raises(LiftposeError, match="S1/a: expected the size of a file, found -5 bytes"),
        open_archive(tmp_path / "a.tar"),
    ):
        pass


def test_a_tar_with_headers_of_headers(tmp_path: Path) -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 4
    path = tmp_path / "a.tar"
    path.write_bytes((header.tobuf(tarfile.GNU_FORMAT) + b"name".ljust(512, b"\0")) * 5000)
    with pytest.raises(LiftposeError, match=r"expected a tar archive, found it cut or damaged \(maximum recursion"):
        open_archive(path).__enter__()


def test_two_files_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/b", b"1")
        archive.writestr("a/./b", b"2")
    with pytest.raises(LiftposeError, match="names of their own, found two"), open_archive(path):
        pass


def test_a_zip_that_lies_about_a_size(tmp_path: Path) -> None:
    """A member of 5000 bytes that claims 10: what is handed out is never more than was counted."""
    path = zipped(tmp_path / "a.zip", {"a": bytes(range(250)) * 20})
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<L", 5000), struct.pack("<L", 10)))
    with (
        pytest.raises(LiftposeError, match="a: expected a whole file, found it cut or damaged"),
        open_archive(path) as a,
    ):
        a.read("a")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_byte_of_a_zip_may_be_damaged(tmp_path: Path, method: int) -> None:
    """Each kind of compression has exceptions of its own."""
    whole = zipped(tmp_path / "whole.zip", {"a": bytes(range(200)) * 3}, method).read_bytes()
    path, refused = tmp_path / "a.zip", 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            with open_archive(path) as archive:
                for name in archive.names:
                    archive.read(name)
        except LiftposeError as error:
            refused += 1
            assert str(error).startswith(f"{path}: ")
    assert refused > len(whole) / 3


def test_a_zip_with_a_file_without_a_name(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"?": b"1"}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"?", b"\0"))
    with pytest.raises(LiftposeError, match=r"a\.zip: : expected files with names of their own, found one without"):
        open_archive(path).__enter__()


def test_an_encrypted_zip(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a": b"secret"}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flags of the last member
        content[content.rindex(signature) + place] |= 1
    path.write_bytes(content)
    with pytest.raises(LiftposeError, match="a: expected a file that is not encrypted"), open_archive(path) as archive:
        archive.read("a")


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"", "an empty file"), (b"<html>", "a web page"), (b"\x89HDF\r\n\x1a\n", "something else")],
)
def test_other_files(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "h36m.zip"
    path.write_bytes(content)
    with (
        pytest.raises(LiftposeError, match=rf"h36m\.zip: expected a zip or tar archive, found {found}"),
        open_archive(path),
    ):
        pass


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with (
        pytest.raises(LiftposeError, match="expected a zip or tar archive, found no such file"),
        open_archive("no.zip"),
    ):
        pass
    with pytest.raises(LiftposeError, match="expected a zip or tar archive, found: is a dir"), open_archive(tmp_path):
        pass
