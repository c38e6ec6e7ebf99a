"""The run folder: which checkpoints it holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from liftpose.tasks import LiftingTask

TESTS = Path(__file__).parents[1]
SIZES = ["--config", str(TESTS / "tiny.yaml"), "--config", str(TESTS / "tiny_rie.yaml")]


def test_last_is_the_last_epoch_even_when_it_is_not_the_best(
    liftpose: Callable[..., tuple[int, str, str]], h36m_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rising_error(self: LiftingTask) -> None:
        self.log("val_mpjpe_mm", 100.0 + self.current_epoch)

    monkeypatch.setattr(LiftingTask, "on_validation_epoch_end", rising_error)
    words = [
        "--config",
        "rie_stage1.yaml",
        *SIZES,
        f"--data.root={h36m_root}",
        f"--trainer.default_root_dir={tmp_path}",
    ]
    code, _, err = liftpose("fit", *words, "--trainer.max_epochs=4")
    assert code == 0, err
    best, last = (torch.load(tmp_path / f"checkpoints/{name}.ckpt", weights_only=True) for name in ("best", "last"))
    assert (best["epoch"], best["global_step"]) == (1, 2)
    assert (last["epoch"], last["global_step"]) == (4, 8)
    assert last["callbacks"]["RunCheckpoints"]["best_score"] == 100  # a run that goes on knows what it has to beat


def test_a_run_folder_may_be_moved(
    liftpose: Callable[..., tuple[int, str, str]], h36m_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rising_error(self: LiftingTask) -> None:
        self.log("val_mpjpe_mm", 100.0 + self.current_epoch)

    monkeypatch.setattr(LiftingTask, "on_validation_epoch_end", rising_error)
    words = ["fit", "--config", "rie_stage1.yaml", *SIZES, f"--data.root={h36m_root}"]
    assert liftpose(*words, f"--trainer.default_root_dir={tmp_path / 'old'}", "--trainer.max_epochs=2")[0] == 0
    (tmp_path / "old").rename(tmp_path / "new")
    options = [f"--trainer.default_root_dir={tmp_path / 'new'}", "--trainer.max_epochs=3", "--ckpt_path=last"]
    code, _, err = liftpose(*words, *options)
    assert code == 0, err
    best, last = (torch.load(tmp_path / f"new/checkpoints/{name}.ckpt", weights_only=True) for name in ("best", "last"))
    assert (best["epoch"], last["epoch"]) == (1, 3)
