"""The files of the checkpoints: at every moment there is one to go on with."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from liftpose.callbacks.kept_files import KeptFiles, same_file


def write(text: str) -> Callable[[Path], None]:
    def onto(path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        beside = path.with_name(".beside")
        beside.write_text(text)
        beside.replace(path)

    return onto


def names(folder: Path) -> dict[str, str]:
    return {path.stem: path.read_text() for path in sorted(folder.glob("*.ckpt"))}


def test_the_one_before_and_the_best(tmp_path: Path) -> None:
    files = KeptFiles(tmp_path / "checkpoints")
    files.begin(None, is_best=False)
    for text, best in (("1", True), ("2", True), ("3", False), ("4", False)):
        files.write(write(text), best)
    assert names(files.folder) == {"last": "4", "previous": "3", "best": "2"}


def test_a_last_that_nobody_vouches_for_does_not_take_the_place_of_the_one_before(tmp_path: Path) -> None:
    for name, text in (("last", "damaged"), ("previous", "good")):
        (tmp_path / f"{name}.ckpt").write_text(text)
    files = KeptFiles(tmp_path)
    files.write(write("new"), best=False)
    assert names(tmp_path) == {"last": "new", "previous": "good"}


@pytest.mark.parametrize("name", ["previous", "best"])
def test_what_a_run_goes_on_from_becomes_the_last(name: str, tmp_path: Path) -> None:
    for each in ("last", "previous", "best"):
        (tmp_path / f"{each}.ckpt").write_text(each)
    files = KeptFiles(tmp_path)
    files.begin(tmp_path / f"{name}.ckpt", is_best=name == "best")
    assert names(tmp_path) == {"last": name, "previous": "previous", "best": "best"}
    files.write(write("new"), best=False)
    assert names(tmp_path) == {"last": "new", "previous": name, "best": "best"}


def test_a_best_that_was_not_named_in_time_is(tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").write_text("new and best")
    (tmp_path / "best.ckpt").write_text("old")
    KeptFiles(tmp_path).begin(tmp_path / "last.ckpt", is_best=True)
    assert names(tmp_path) == {"last": "new and best", "best": "new and best"}


def test_another_runs_checkpoint_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = tmp_path / "other/last.ckpt"
    other.write_text("other")
    files = KeptFiles(tmp_path / "own")
    files.begin(other, is_best=True)
    assert not files.folder.exists()
    assert not files.holds(other)
    assert files.holds(files.last)


def test_what_was_left_half_written_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".last.0a1b2c3d.partial.ckpt").write_text("half")
    (tmp_path / ".notes").write_text("of the user")
    KeptFiles(tmp_path).begin(None, is_best=False)
    assert [path.name for path in tmp_path.iterdir()] == [".notes"]


@pytest.mark.parametrize("linked", [True, False])
def test_a_second_name(linked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not linked:
        monkeypatch.setattr(os, "link", _no_links)
    (tmp_path / "a").write_bytes(b"new")
    (tmp_path / "b").write_bytes(b"old")
    same_file(tmp_path / "a", tmp_path / "b")
    same_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"new"
    assert os.path.samefile(tmp_path / "a", tmp_path / "b") is linked
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def _no_links(*_: object) -> None:
    raise OSError(95, "Operation not supported")
