"""Checkpoints written all or nothing, and an earlier run that makes room for a new one."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytorch_lightning as pl
import torch

from liftpose.callbacks import CheckpointFiles, ConfigFile, EarlierRun
from liftpose.errors import LiftposeError
from liftpose.weights import CONFIG_ENTRY


def process(rank: int) -> tuple[pl.Trainer, pl.LightningModule]:
    """What a callback is given, as far as these look at it."""
    return cast(Any, SimpleNamespace(is_global_zero=rank == 0, loggers=[])), cast(Any, None)


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "last.ckpt"
    CheckpointFiles().save_checkpoint({"epoch": 3, "state_dict": {"a": torch.arange(3)}}, path)
    assert torch.load(path, weights_only=True)["epoch"] == 3
    assert CheckpointFiles().load_checkpoint(path)["state_dict"]["a"].tolist() == [0, 1, 2]
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("step", ["fsync", "write"])
def test_a_full_disk_leaves_the_checkpoint_that_was_there(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    CheckpointFiles().save_checkpoint({"epoch": 3}, path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "open", full)
    with pytest.raises(
        LiftposeError, match=r"last\.ckpt: expected to write the file, found: no space left on the disk"
    ):
        CheckpointFiles().save_checkpoint({"epoch": 4}, path)
    monkeypatch.undo()
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
    assert torch.load(path, weights_only=True) == {"epoch": 3}


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    class Touch:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {tmp_path}/owned",)

    torch.save({"state_dict": Touch()}, tmp_path / "a.ckpt")
    with pytest.raises(LiftposeError, match="system"):
        CheckpointFiles().load_checkpoint(tmp_path / "a.ckpt", weights_only=False)
    assert not (tmp_path / "owned").exists()


def test_an_earlier_run_makes_room_and_what_is_not_its_own_stays(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "predictions").mkdir()
    for name in (
        "checkpoints/best.ckpt",
        "test_results.json",
        "predictions/a.npz",
        "notes.txt",
        "checkpoints/notes.txt",
    ):
        (tmp_path / name).touch()
    EarlierRun(tmp_path).on_train_start(*process(1))
    assert (tmp_path / "checkpoints/best.ckpt").exists()
    EarlierRun(tmp_path).on_train_start(*process(0))
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"notes.txt", "checkpoints/notes.txt"}
    EarlierRun(tmp_path).on_train_start(*process(0))  # nothing is left to remove


def test_the_configuration_is_in_the_folder_and_in_every_checkpoint(tmp_path: Path) -> None:
    callback = ConfigFile(tmp_path / "run", "a: 1\n")
    callback.on_fit_start(*process(1))
    assert not (tmp_path / "run").exists()
    callback.on_fit_start(*process(0))
    assert (tmp_path / "run/config.yaml").read_text() == "a: 1\n"
    checkpoint: dict[str, Any] = {}
    callback.on_save_checkpoint(*process(0), checkpoint)
    assert checkpoint == {CONFIG_ENTRY: "a: 1\n"}
