"""What a run that goes on says and keeps."""

from __future__ import annotations

import os
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import wandb

from liftpose.callbacks import RUN_ENTRY
from liftpose.cli.run_lock import sole_run

Run = Callable[..., tuple[int, str, str]]
TESTS = Path(__file__).parents[1]
differences_of_runs = runpy.run_path(str(TESTS / "resume/comparison.py"))["differences_of_runs"]
FIT = [
    *("fit", "--config", "rie_stage1.yaml", "--config", str(TESTS / "tiny.yaml")),
    *("--config", str(TESTS / "tiny_rie.yaml"), "--model.lifter.filter_widths", "[3,3]"),
    *("--trainer.default_root_dir", "run", "--ckpt_path", "last", "--saving.every_n_steps", "3"),
    *("--trainer.limit_train_batches", "8"),
]


@pytest.fixture
def place(tmp_path: Path, h36m_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with the tiny Human3.6M and a run of one epoch."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(h36m_root)
    return tmp_path


def read(path: Path) -> dict[str, dict[str, object]]:
    content: dict[str, dict[str, object]] = torch.load(path, weights_only=True)
    return content


def test_last_begins_a_run_that_has_saved_nothing(liftpose: Run, place: Path) -> None:
    code, _, err = liftpose(*FIT)
    assert code == 0
    assert err.startswith("liftpose: no checkpoint in run yet: the run starts from the beginning\n")
    names = {path.name for path in (place / "run/checkpoints").iterdir()}
    assert names == {"last.ckpt", "previous.ckpt", "best.ckpt"}
    last, previous = (read(place / f"run/checkpoints/{name}.ckpt") for name in ("last", "previous"))
    assert (last["global_step"], previous["global_step"]) == (8, 6)


def test_a_damaged_last_checkpoint(liftpose: Run, place: Path) -> None:
    assert liftpose(*FIT)[0] == 0
    shutil.copytree(place / "run", place / "straight")
    last = place / "run/checkpoints/last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    code, _, err = liftpose(*FIT)
    assert code == 0
    assert err.startswith(
        "liftpose: run/checkpoints/last.ckpt: expected a checkpoint, found a damaged file or one of another kind; "
        "the run goes on from the one before, run/checkpoints/previous.ckpt\n"
    )
    again, straight = read(last), read(place / "straight/checkpoints/last.ckpt")
    assert all(torch.equal(value, again["state_dict"][name]) for name, value in straight["state_dict"].items())
    assert read(place / "run/checkpoints/previous.ckpt")["global_step"] == 6  # the damaged one has not taken its place
    assert (place / "run/metrics.csv").read_text() == (place / "straight/metrics.csv").read_text()


def test_two_damaged_checkpoints(liftpose: Run, place: Path) -> None:
    assert liftpose(*FIT)[0] == 0
    for name in ("last", "previous"):
        path = place / f"run/checkpoints/{name}.ckpt"
        path.write_bytes(path.read_bytes()[:1000])
    code, _, err = liftpose(*FIT)
    assert code == 2
    assert err.splitlines()[-1].startswith("liftpose: error: run/checkpoints/previous.ckpt: expected a checkpoint")


def test_other_surroundings_are_allowed_and_said(liftpose: Run, place: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert liftpose(*FIT)[0] == 0
    assert "no longer bit for bit" not in caplog.text
    path = place / "run/checkpoints/last.ckpt"
    content = read(path)
    content[RUN_ENTRY]["surroundings"].update(threads=7, processes=2)  # type: ignore[attr-defined]
    torch.save(content, path)
    assert liftpose(*FIT, "--trainer.max_epochs=2")[0] == 0
    threads = torch.get_num_threads()
    assert (
        "the run goes on, but no longer bit for bit as it would have: processes 2, now 1; "
        f"threads 7, now {threads}" in caplog.text
    )


def test_the_run_of_weights_and_biases_goes_on(liftpose: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    words = [*FIT, "--logging.wandb=offline", "--trainer.enable_model_summary=false"]
    assert liftpose(*words)[0] == 0
    wandb.finish()  # as the end of a process does
    name = read(place / "run/checkpoints/last.ckpt")[RUN_ENTRY]["wandb_id"]
    assert liftpose(*words, "--trainer.max_epochs=2")[0] == 0
    wandb.finish()
    folders = [path.name for path in (place / "run/wandb").glob("offline-run-*")]
    assert len(folders) == 2
    assert {folder.rsplit("-", 1)[1] for folder in folders} == {name}


def test_what_was_started_from_is_not_read_again(liftpose: Run, place: Path) -> None:
    assert liftpose(*FIT)[0] == 0
    os.rename(place / "run", place / "stage1")
    second = [word.replace("rie_stage1", "rie_stage2") for word in FIT]
    start = ["--model.init_from", "stage1/checkpoints/best.ckpt"]
    assert liftpose(*second, *start)[0] == 0
    shutil.rmtree(place / "stage1")
    code, _, err = liftpose(*second, *start, "--trainer.max_epochs=2")
    assert code == 0, err


def test_a_process_that_was_killed_in_its_first_save(liftpose: Run, place: Path) -> None:
    (place / "run/checkpoints").mkdir(parents=True)
    (place / "run/checkpoints/.last.0a1b2c3d.partial.ckpt").write_bytes(b"half")
    code, _, err = liftpose(*FIT)
    assert code == 0, err
    assert "no checkpoint in run yet" in err
    assert {path.name for path in (place / "run/checkpoints").iterdir()} == {"last.ckpt", "previous.ckpt", "best.ckpt"}


def test_going_on_from_an_earlier_checkpoint_gives_the_later_one_up(liftpose: Run, place: Path) -> None:
    words = [*FIT, "--trainer.max_epochs=2", "--trainer.log_every_n_steps=1"]
    assert liftpose(*words)[0] == 0
    straight = (place / "run/metrics.csv").read_text()
    (place / "run/checkpoints/best.ckpt").unlink()
    earlier = words.index("last")
    words[earlier] = "run/checkpoints/previous.ckpt"
    assert liftpose(*words)[0] == 0
    assert (place / "run/metrics.csv").read_text() == straight
    assert read(place / "run/checkpoints/last.ckpt")["global_step"] == 16


def test_a_checkpoint_of_another_run_begins_a_run_of_its_own(liftpose: Run, place: Path) -> None:
    words = [*FIT, "--logging.wandb=offline", "--trainer.enable_model_summary=false"]
    assert liftpose(*words)[0] == 0
    wandb.finish()
    words[words.index("run")] = "other"
    words[words.index("last")] = "run/checkpoints/last.ckpt"
    assert liftpose(*words, "--trainer.max_epochs=2")[0] == 0
    wandb.finish()
    first, second = (read(place / f"{name}/checkpoints/last.ckpt")[RUN_ENTRY] for name in ("run", "other"))
    assert first["wandb_id"] != second["wandb_id"]
    assert len((place / "other/metrics.csv").read_text().splitlines()) - 1 == second["csv_rows"]


def test_without_checkpoints_nothing_goes_on(liftpose: Run, place: Path) -> None:
    assert liftpose(*FIT)[0] == 0
    code, _, err = liftpose(*FIT, "--trainer.enable_checkpointing=false", "--trainer.max_epochs=2")
    assert (code, err.splitlines()[-1]) == (
        2,
        "liftpose: error: trainer.enable_checkpointing: expected true for a run that goes on, found false",
    )


def test_pictures_that_a_killed_process_has_not_drawn(liftpose: Run, place: Path) -> None:
    assert liftpose(*FIT)[0] == 0
    for name in ("training_curves.png", "prediction.png"):
        (place / "run" / name).unlink()
    assert liftpose(*FIT)[0] == 0
    assert (place / "run/training_curves.png").is_file()
    assert (place / "run/prediction.png").is_file()


def test_two_trainings_in_one_folder(liftpose: Run, place: Path) -> None:
    with sole_run(place / "run"):
        code, _, err = liftpose(*FIT)
        assert code == 2
        assert err.splitlines()[-1] == (
            "liftpose: error: trainer.default_root_dir run: expected a folder in which nothing else trains, found "
            f"process {os.getpid()} at work there"
        )
    assert liftpose(*FIT)[0] == 0


def test_a_run_on_pictures_goes_on_within_an_epoch(
    liftpose: Run, painted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [
        *("fit", "--config", "h36m_integral.yaml", "--config", str(TESTS / "tiny_images.yaml")),
        *(f"--data.root={painted / 'h36m'}", "--data.num_workers=1", "--data.flip_probability=0.5"),
        *("--model.init_from=null", "--model.warmup_steps=5", "--model.milestones=[1]", "--trainer.max_epochs=2"),
        *("--trainer.limit_train_batches=5", "--trainer.log_every_n_steps=1", "--saving.every_n_steps=3"),
        "--trainer.default_root_dir=run",
    ]
    assert liftpose(*words)[0] == 0
    shutil.copytree("run", "straight")
    previous = tmp_path / "run/checkpoints/previous.ckpt"
    assert read(previous)["global_step"] == 9  # the last but one batch of the second epoch
    code, _, err = liftpose(*words, "--ckpt_path=run/checkpoints/previous.ckpt")
    assert code == 0, err
    assert differences_of_runs(tmp_path / "straight", tmp_path / "run") == []
