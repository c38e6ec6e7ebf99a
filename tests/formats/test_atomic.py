"""A file is there whole or not at all."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from liftpose.errors import LiftposeError
from liftpose.formats import write_atomically, write_json, write_text


def test_the_content_appears_under_the_name_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "film.mp4"
    with write_atomically(path) as temporary:
        temporary.write_bytes(b"content")
        assert temporary.parent == path.parent
        assert temporary.suffix == ".mp4"
        assert not path.exists()
    assert path.read_bytes() == b"content"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_failure_keeps_the_old_file_and_leaves_nothing(tmp_path: Path, failure: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(failure), write_atomically(path) as temporary:
        temporary.write_text("half")
        raise failure
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_process_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    child = os.fork()
    if child == 0:
        with write_atomically(path) as temporary:
            temporary.write_text("half")
            os._exit(9)
    os.waitpid(child, 0)
    assert path.read_text() == "old"


def test_the_content_is_on_the_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: (events.append("fsync"), fsync(number)))
    monkeypatch.setattr(Path, "replace", lambda self, target: (events.append("replace"), replace(self, target)))
    write_text(tmp_path / "a.txt", "content")
    assert events == ["fsync", "replace", "fsync"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_line_that_names_the_file(tmp_path: Path, number: int) -> None:
    path = tmp_path / "a.npz"
    with pytest.raises(LiftposeError, match=r"a\.npz: .* no space left"), write_atomically(path) as temporary:
        temporary.write_bytes(b"half")
        raise OSError(number, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_when_the_bytes_are_forced_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LiftposeError, match="no space left"):
        write_text(tmp_path / "a.txt", "content")
    assert list(tmp_path.iterdir()) == []


def test_an_error_about_another_file_is_not_blamed_on_this_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="other"), write_atomically(tmp_path / "a.txt"):
        (tmp_path / "other").read_bytes()


def test_places_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(LiftposeError, match="found a folder"):
        write_text(tmp_path, "content")
    (tmp_path / "file").write_text("")
    with pytest.raises(LiftposeError, match=r"file/a\.txt: expected to write the file, found: "):
        write_text(tmp_path / "file" / "a.txt", "content")


def test_a_block_that_writes_nothing_is_a_programming_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="nothing was written"), write_atomically(tmp_path / "a.txt"):
        pass


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "real.txt").write_text("old")
    link = tmp_path / "link.txt"
    link.symlink_to(tmp_path / "there" / "real.txt")
    write_text(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "there" / "real.txt").read_text() == "new"


def test_new_files_have_the_usual_permissions(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "content")
    (tmp_path / "b.txt").write_text("content")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "b.txt").stat().st_mode


def test_text_and_json(tmp_path: Path) -> None:
    write_text(tmp_path / "a.csv", "é\r\n")
    assert (tmp_path / "a.csv").read_bytes() == "é\r\n".encode()
    write_json(tmp_path / "a.json", {"ä": [1, 2.5, None]})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"ä": [1, 2.5, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "b.json", float("nan"))
    assert not (tmp_path / "b.json").exists()
