"""A user's mistakes: one line, exit code 2, nothing written."""

from __future__ import annotations

import errno
import io
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning.utilities import CombinedLoader

Run = Callable[..., tuple[int, str, str]]
TESTS = Path(__file__).parents[1]
SIZES = ["--config", str(TESTS / "tiny.yaml"), "--config", str(TESTS / "tiny_rie.yaml")]
FIT = ["fit", "--config", "rie_stage1.yaml", *SIZES]
VERBS = "fit, validate, test, predict, data, weights, lift, render"
KINDS = "h36m, humaneva, 3dhp, detections, mocap, epipolar-labels, generate, h36m-images, mpii, check"


@pytest.fixture
def place(tmp_path: Path, h36m_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in, with the tiny Human3.6M in ``data``."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(h36m_root, tmp_path / "data")
    return tmp_path


def refuse(liftpose: Run, *words: object) -> str:
    """Run a command that has to fail with one line and write nothing; return the line."""
    before = {path: path.stat().st_mtime_ns for path in Path.cwd().rglob("*")}
    code, out, err = liftpose(*words)
    assert code == 2, err
    assert re.fullmatch(r"liftpose: error: [^\n]+\n", err), err
    assert out == ""
    assert {path: path.stat().st_mtime_ns for path in Path.cwd().rglob("*")} == before
    return err.removeprefix("liftpose: error: ").rstrip()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, h36m_root: Path) -> Path:
    """A run folder of stage 1."""
    from liftpose.cli.main import main

    folder = tmp_path_factory.mktemp("trained")
    assert main([*FIT, f"--data.root={h36m_root}", f"--trainer.default_root_dir={folder}"]) == 0
    return folder


# -------------------------------------------------------------------------------------------------------------- command
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train"], f"liftpose: expected a verb ({VERBS}), found train"),
        (["data"], f"liftpose data: expected one of {KINDS}, found nothing"),
        (["data", "h37m"], f"liftpose data: expected one of {KINDS}, found h37m"),
        (["data", "mocap", "nowhere", "--out", "x"], "nowhere: expected a folder with motion capture, found nothing"),
        (["data", "mocap"], "directory, out: expected a value"),
        (
            ["data", "mocap", "data", "--out", "x", "--fpss", "3"],
            "--fpss: expected the name of an option, found no opt",
        ),
        (["data", "mocap", "data", "--out", "x", "--fps", "fast"], "fps: expected a number, found fast"),
        (["data", "mocap", "data", "--out", "x", "--fps", "-1"], "--fps: expected a number above 0, found -1"),
        (["fit", "--config", "synthetic.yaml"], "model: expected a value in a configuration or on the command line"),
        (["fit"], "liftpose fit: expected --config NAME.yaml, found no configuration"),
        (["test", "--ckpt_path", "x.ckpt"], "liftpose test: expected --config NAME.yaml, found no configuration"),
        (["fit", "--config"], "--config: expected the name of a configuration, found nothing"),
        (["fit", "--config", "rie.yaml"], "--config rie.yaml: expected a file or one of the shipped configurations"),
        (["test", "--config", "ridge.yaml"], "--ckpt_path: expected the checkpoint to test with, found none"),
        (["predict", "--config", "ridge.yaml"], "--ckpt_path: expected the checkpoint to predict with, found none"),
    ],
)
def test_words(words: list[str], message: str, liftpose: Run, place: Path) -> None:
    assert refuse(liftpose, *words).startswith(message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--modell.x 3", "--modell.x: expected the name of an option, found no option of this name"),
        ("--trainer.max_epoch 3", "found no option of this name (did you mean --trainer.max_epochs?)"),
        ("stage1", "stage1: expected the name of an option"),
        ("--model.lerning_rate 1", "(did you mean learning_rate?)"),
        (
            "--model.lifter.chanels 1",
            "model.lifter: expected an option of liftpose.models.RIE, found chanels (did you mean",
        ),
        ("--data.batchsize 1", "(did you mean batch_size?)"),
        ("--trainer.max_epochs", "--trainer.max_epochs: expected one argument, found none"),
        ("--trainer.max_epochs three", "trainer.max_epochs: expected a whole number or null, found three"),
        ("--model.lifter.channels x", "model.lifter.channels: expected a whole number, found x"),
        ("--model.lifter.filter_widths [3,x]", "model.lifter.filter_widths: expected a whole number, found x"),
        ("--model.learning_rate fast", "model.learning_rate: expected a number, found fast"),
        ("--data.flip maybe", "data.flip: expected one of copies, chance, none, found maybe"),
        ("--data.actions Walking", "data.actions: expected a list or null, found Walking"),
        ("--model torch.nn.Linear", "model.class_path: expected a subclass of BaseTask, found torch.nn.Linear"),
        ("--model liftpose.tasks.Nix", "model.class_path: expected the name of a class, found liftpose.tasks.Nix"),
        ("--model liftpose.tasks.BaseTask", "model.class_path: expected a class that can be built, found an abstract"),
        ("--model.lifter.class_path liftpose.models.R", "model.lifter.class_path: expected the name of a class, found"),
        ("--data 3", "data.class_path: expected the name of a class, found 3"),
        ("--trainer.callbacks EarlyStoping", "trainer.callbacks.class_path: expected the name of a class, found Earl"),
        (
            "--model.lifter.filter_widths [2,3]",
            "model.lifter.filter_widths: expected odd positive numbers, found (2, 3)",
        ),
        ("--model.lifter.stage 4", "model.lifter.stage: expected 1, 2 or 3, found 4"),
        (
            "--model.lifter.dropout 1.5",
            "model.lifter.dropout: expected a probability of at least 0 and below 1, found 1.5",
        ),
        ("--model.lifter.skeleton h36m_18", "model.lifter.skeleton: expected one of h36m_17,"),
        ("--model.freeze [encoder]", "model.freeze: expected names of submodules of RIE"),
        ("--model.lifter.stage 2", "model.init_from: expected the checkpoint of stage 1 for a run of stage 2"),
        ("--data.batch_size 0", "data.batch_size: expected a number from 1 up, found 0"),
        ("--data.subset 0", "data.subset: expected a share above 0 and at most 1, found 0.0"),
        (
            "--data.subset 0.001",
            "data: expected frames in the train split, found none left of 80 recordings with subset",
        ),
        ("--model.learning_rate -1", "model.learning_rate: expected a number above 0, found -1.0"),
        ("--model.learning_rate nan", "model.learning_rate: expected a number, found nan"),
        ("--model.learning_rate_decay 0", "model.learning_rate_decay: expected a number above 0, found 0.0"),
        ("--model.weight_decay -1", "model.weight_decay: expected a number from 0 up, found -1.0"),
        ("--model.batchnorm_momentum_decay 0", "expected a number above 0 and at most 1, found 0.0"),
        (
            "--model.lifter.skeleton humaneva_15",
            "model.lifter.skeleton: expected h36m_17 as in the data, found humaneva_",
        ),
        (
            "--model.lifter.skeleton mpi_inf_3dhp_17",
            "model.lifter.skeleton: expected h36m_17 as in the data, found mpi_",
        ),
        ("--model.init_from nix.ckpt", "model.init_from: nix.ckpt: expected a checkpoint, found no such file"),
        ("--data.subset 2", "data.subset: expected a share above 0 and at most 1, found 2.0"),
        ("--data.downsample 0", "data.downsample: expected a number from 1 up, found 0"),
        ("--data.actions [Jumping]", "data.actions: expected some of Directions, Sitting, SittingDown, Walking, found"),
        ("--data.train_subjects [S99]", "expected the subject S99, found S1, S5, S6, S7, S8, S9, S11"),
        ("--data.train_subjects []", "data.train_subjects: expected at least one person of h36m, found none"),
        ("--data.root nowhere", "nowhere/data_3d_h36m.npz: expected the 3D poses of h36m, found no such folder"),
        (
            "--data.keypoints hr",
            "data_2d_h36m_hr.npz: expected the hr keypoints of h36m, found the keypoints cpn_ft_h36m",
        ),
        ("--data.dataset cmu", "`liftpose data mocap DIR --out data --name cmu` makes it from motion capture"),
        ("--data.dataset synthetic", "the synthetic people are made by a run with --config synthetic.yaml"),
        ("--trainer.max_epochs 0", "trainer.max_epochs: expected a number above 0 for fit, found 0"),
        ("--trainer.accelerator nonsense", "trainer.accelerator nonsense: expected options that work here"),
        ("--trainer.max_epochs -5", "trainer.max_epochs -5: expected options that work here"),
        (
            "--trainer.limit_train_batches 0",
            "trainer.limit_train_batches: expected a number above 0 for fit, found 0",
        ),
        ("--trainer.limit_train_batches 1.5", "trainer.limit_train_batches 1.5: expected options that work here"),
        (
            "--trainer.accumulate_grad_batches 0",
            "trainer.accumulate_grad_batches: expected a number from 1 up, found 0",
        ),
        ("--trainer.val_check_interval 0", "trainer.val_check_interval: expected a number above 0 for fit, found 0"),
        ("--trainer.devices 0", "trainer.devices 0: expected options that work here"),
        ("--trainer.profiler nix", "trainer.profiler nix: expected options that work here"),
        ("--trainer.default_root_dir null", "trainer.default_root_dir: expected the folder of the run, found nothing"),
        ("--trainer.default_root_dir=" + 300 * "x", "File name too long"),
        (
            "--trainer.strategy ddpp",
            "trainer.strategy ddpp: expected options that work here, found: You selected an invalid",
        ),
        ("--trainer.precision bf17", "trainer.precision: expected"),
        ("--logging.wandb maybe", "logging.wandb: expected one of offline, online, disabled, found maybe"),
        ("--ckpt_path none.ckpt", "--ckpt_path none.ckpt: expected a checkpoint at none.ckpt, found no such file"),
        ("--ckpt_path best", "--ckpt_path best: expected a checkpoint at runs/rie_stage1/checkpoints/best.ckpt"),
        ("--saving.every_n_minutes -1", "saving.every_n_minutes: expected a number from 0 up, found -1"),
    ],
)
def test_options(options: str, message: str, liftpose: Run, place: Path) -> None:
    assert message in refuse(liftpose, *FIT, *options.split(" "))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "modell: 3",
            "mine.yaml: modell: expected the name of an option, found no option of this name (did you mean mod",
        ),
        ("trainer: {max_epoch: 3}", "mine.yaml: trainer.max_epoch: expected the name of an option"),
        ("logging: {wandbb: 3}", "mine.yaml: logging.wandbb: expected the name of an option"),
        (
            "model: {lerning_rate: 3}",
            "mine.yaml: model: expected an option of liftpose.tasks.LiftingTask, found lerning_",
        ),
        ("model: {init_args: {lerning_rate: 3}}", "found lerning_rate (did you mean learning_rate?)"),
        (
            "model: {init_args: {lifter: {init_args: {chanels: 3}}}}",
            "mine.yaml: model.lifter: expected an option of lif",
        ),
        ("data: {init_args: {batchsize: 3}}", "found batchsize (did you mean batch_size?)"),
        ("trainer: {max_epochs: three}", "mine.yaml: trainer.max_epochs: expected a whole number or null, found three"),
        (
            "model: {class_path: liftpose.models.RIE}",
            "mine.yaml: model.class_path: expected a subclass of BaseTask, found",
        ),
        ("model: [1, 2", "mine.yaml: expected YAML, found a mistake in line 1"),
        ("- model", "mine.yaml: expected a mapping of options (such as model:, data:, trainer:), found a list"),
    ],
)
def test_unknown_keys_of_a_configuration(text: str, message: str, liftpose: Run, place: Path) -> None:
    Path("mine.yaml").write_text(text)
    assert message in refuse(liftpose, *FIT, "--config", "mine.yaml")


def test_a_batch_of_one_window(liftpose: Run, place: Path) -> None:
    message = refuse(liftpose, *FIT, "--data.batch_size=1")
    assert message == "data.batch_size: expected at least 2 for batch normalisation, found 1"


def test_overfitting_on_purpose(liftpose: Run, place: Path) -> None:
    assert refuse(liftpose, *FIT, "--trainer.overfit_batches=2").startswith(
        "trainer.overfit_batches: expected 0, found 2"
    )


def test_a_regression_on_several_processes(liftpose: Run, place: Path) -> None:
    options = ["--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.strategy=ddp"]
    message = refuse(liftpose, "fit", "--config", "ridge.yaml", "--config", str(TESTS / "tiny.yaml"), *options)
    assert message == "trainer.devices: expected 1 for fit with RegressionTask, found 2 processes"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_device_that_is_not_there(liftpose: Run, place: Path) -> None:
    for devices in (1, 5):
        message = refuse(liftpose, *FIT, "--trainer.accelerator=gpu", f"--trainer.devices={devices}")
        assert message.startswith("trainer.accelerator gpu: expected options that work here, found: ")


def test_a_training_without_validation_keeps_its_last_checkpoint(liftpose: Run, place: Path) -> None:
    code, _, err = liftpose(*FIT, "--trainer.limit_val_batches=0", "--trainer.default_root_dir=run")
    assert (code, err) == (0, "")
    assert [path.name for path in Path("run/checkpoints").iterdir()] == ["last.ckpt"]


def test_a_bug_keeps_its_traceback(liftpose: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("liftpose.tasks.LiftingTask.training_step", broken)
    with pytest.raises(ValueError, match="a bug"):
        liftpose(*FIT)
    monkeypatch.setattr("liftpose.tasks.LiftingTask.configure_metrics", broken)
    with pytest.raises(ValueError, match="a bug"):
        liftpose(*FIT, "--overwrite=true")


def test_synthetic_people(liftpose: Run, place: Path) -> None:
    synthetic = [*FIT, "--config", "synthetic.yaml"]
    assert "data.frames_per_action: expected a number from 1 up, found 0" in refuse(
        liftpose, *synthetic, "--data.frames_per_action=0"
    )
    assert "data.keypoints: expected gt or noisy for synthetic people, found cpn" in refuse(
        liftpose, *synthetic, "--data.keypoints=cpn"
    )
    assert "data.dataset: expected a name of its own" in refuse(liftpose, *synthetic, "--data.dataset=h36m")


# ---------------------------------------------------------------------------------------------------------------- files
def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the dictionary in a file of the data set."""
    with np.load(path, allow_pickle=True) as content:
        objects = {name: content[name].item() for name in content.files}
    change(objects)
    np.savez_compressed(path, **{name: np.array(value, dtype=object) for name, value in objects.items()})


class Touch:
    """Pickled, it creates a file when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch owned",)


def hostile_npz(path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("positions_3d.npy", header.getvalue() + pickle.dumps(Touch()))


def test_a_truncated_file(liftpose: Run, place: Path) -> None:
    path = place / "data/data_3d_h36m.npz"
    path.write_bytes(path.read_bytes()[:-1000])
    assert refuse(liftpose, *FIT).startswith("data/data_3d_h36m.npz: expected")


def test_a_hostile_file(liftpose: Run, place: Path) -> None:
    hostile_npz(place / "data/data_3d_h36m.npz")
    assert "system" in refuse(liftpose, *FIT)
    assert not (place / "owned").exists()


def test_keypoints_shorter_than_the_poses(liftpose: Run, place: Path) -> None:
    def cut(objects: dict[str, Any]) -> None:
        views = objects["positions_2d"]["S5"]["Walking"]
        views[2] = views[2][:-3]

    rewrite(place / "data/data_2d_h36m_gt.npz", cut)
    message = refuse(liftpose, *FIT)
    assert "S5" in message
    assert "expected keypoints for the 43 frames of the 3D poses, found 40" in message


def test_frames_that_are_not_numbers(liftpose: Run, place: Path) -> None:
    def spoil(objects: dict[str, Any]) -> None:
        objects["positions_3d"]["S7"]["Sitting"][17, 3] = np.nan

    rewrite(place / "data/data_3d_h36m.npz", spoil)
    message = refuse(liftpose, *FIT)
    assert "S7" in message
    assert "Sitting" in message
    assert "17" in message


def drop_joint(objects: dict[str, Any]) -> None:
    for takes in objects["positions_2d"].values():
        for views in takes.values():
            views[:] = [view[:, :16] for view in views]


def drop_slots(objects: dict[str, Any]) -> None:
    for takes in objects["positions_3d"].values():
        takes.update({action: poses[:, :17] for action, poses in takes.items()})


def drop_view(objects: dict[str, Any]) -> None:
    objects["positions_2d"]["S1"]["Walking"].pop()


def drop_action(objects: dict[str, Any]) -> None:
    del objects["positions_2d"]["S1"]["Walking"]


def swap_sides(objects: dict[str, Any]) -> None:
    objects["metadata"]["keypoints_symmetry"] = [[1, 2, 3, 4, 5, 6], [11, 12, 13, 14, 15, 16]]


def rename_layout(objects: dict[str, Any]) -> None:
    objects["metadata"]["layout_name"] = "coco"


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("data_2d_h36m_gt.npz", drop_joint, "expected keypoints of shape (frames, 17, 2 or 3), found"),
        ("data_3d_h36m.npz", drop_slots, "expected poses of shape (frames, 32, 3), found"),
        ("data_2d_h36m_gt.npz", drop_view, "S1/Walking: expected keypoints of 4 cameras, found 3"),
        ("data_2d_h36m_gt.npz", drop_action, "expected the action 'Walking' of S1 as in the other file, found none"),
        ("data_2d_h36m_gt.npz", swap_sides, "expected keypoints_symmetry"),
        ("data_2d_h36m_gt.npz", rename_layout, "expected keypoints_symmetry [[1, 3, 5, 7, 9, 11, 13, 15], [2,"),
        ("data_2d_h36m_gt.npz", lambda objects: objects.pop("positions_2d"), "expected a dictionary positions_2d"),
    ],
)
def test_another_layout(
    file: str, change: Callable[[dict[str, Any]], None], message: str, liftpose: Run, place: Path
) -> None:
    rewrite(place / "data" / file, change)
    line = refuse(liftpose, *FIT)
    assert line.startswith(f"data/{file}: ")
    assert message in line


# ---------------------------------------------------------------------------------------------------------- checkpoints
def test_a_checkpoint_of_another_size_or_stage(liftpose: Run, place: Path, trained: Path) -> None:
    path = trained / "checkpoints/best.ckpt"
    test = ["test", "--config", "rie_stage1.yaml", *SIZES, "--ckpt_path", path]
    message = refuse(liftpose, *test, "--model.lifter.channels=9", "--model.lifter.stage=2")
    assert "lifter.channels is 9 in the configuration and 8 in the checkpoint" in message
    assert "lifter.stage is 2 in the configuration and 1 in the checkpoint" in message
    assert "skeleton" in refuse(liftpose, *test, "--model.lifter.skeleton=h36m_16")
    assert "expected a checkpoint of liftpose.tasks.RegressionTask, found liftpose.tasks.LiftingTask" in refuse(
        liftpose, "test", "--config", "ridge.yaml", "--ckpt_path", path
    )


def test_a_resumed_run_with_other_options(liftpose: Run, place: Path, trained: Path) -> None:
    resume = [*FIT, "--ckpt_path", trained / "checkpoints/last.ckpt"]
    own = f" (--config {trained / 'config.yaml'} is the checkpoint's own)"
    assert refuse(liftpose, *resume, "--data.batch_size=32").endswith(
        f"data.batch_size is 32 in the configuration and 64 in the checkpoint{own}"
    )
    assert "trainer.precision is 'bf16-mixed'" in refuse(liftpose, *resume, "--trainer.precision=bf16-mixed")
    message = refuse(liftpose, *resume, "--model.learning_rate=0.5")
    assert message.endswith(f"model.learning_rate is 0.5 in the configuration and 0.001 in the checkpoint{own}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--model.lifter.channels=9", "channels"),
        ("--model.lifter.latent_dim=9", "latent_dim"),
        ("--model.lifter.filter_widths=[3,3]", "filter_widths"),
        ("--model.lifter.stage=3", "stage"),
    ],
)
def test_a_stage_before_that_does_not_fit(
    options: str, message: str, liftpose: Run, place: Path, trained: Path
) -> None:
    stage2 = ["fit", "--config", "rie_stage2.yaml", *SIZES, f"--model.init_from={trained / 'checkpoints/best.ckpt'}"]
    assert message in refuse(liftpose, *stage2, options)


def test_what_is_no_checkpoint(liftpose: Run, place: Path) -> None:
    (place / "text.ckpt").write_text("not a checkpoint")
    torch.save({"weights": torch.zeros(3)}, place / "other.ckpt")
    torch.save({"state_dict": Touch()}, place / "hostile.ckpt")
    torch.save([1, 2], place / "list.ckpt")
    (place / "empty.ckpt").touch()
    stage2 = ["fit", "--config", "rie_stage2.yaml", *SIZES]
    for name in ("text.ckpt", "other.ckpt", "hostile.ckpt", "list.ckpt", "empty.ckpt", "missing.ckpt", "data"):
        assert refuse(liftpose, *stage2, f"--model.init_from={name}").startswith(f"model.init_from: {name}: expected")
        assert name in refuse(liftpose, *FIT, "--ckpt_path", name)
    assert not (place / "owned").exists()


def test_a_checkpoint_whose_weights_do_not_fit(liftpose: Run, place: Path, trained: Path) -> None:
    content = torch.load(trained / "checkpoints/best.ckpt", weights_only=True)
    name = next(iter(content["state_dict"]))
    del content["hyper_parameters"]["lifter"], content["state_dict"][name]
    torch.save(content, place / "stripped.ckpt")
    message = refuse(liftpose, "test", "--config", "rie_stage1.yaml", *SIZES, "--ckpt_path=stripped.ckpt")
    assert message.startswith(f"--ckpt_path stripped.ckpt: weights {name}: expected the shape")


def test_a_run_is_not_overwritten_unasked(liftpose: Run, place: Path, trained: Path) -> None:
    folder = place / "run"
    shutil.copytree(trained, folder)
    fit = [*FIT, "--trainer.default_root_dir", folder]
    for name in ("test_table.csv", "prediction.png", "notes.txt"):
        (folder / name).write_text("of the first run")
    for words in ([], [f"--ckpt_path={trained / 'checkpoints/last.ckpt'}"]):
        message = refuse(liftpose, *fit, *words)
        assert message.startswith("trainer.default_root_dir: expected a folder without checkpoints of another run")
        assert all(way in message for way in ("--ckpt_path last", "--trainer.default_root_dir", "--overwrite true"))
    code, _, err = liftpose(*fit, "--ckpt_path", "last", "--trainer.max_epochs", "2")
    assert code == 0, err
    assert "expected at least the 2 epochs of" in refuse(liftpose, *fit, "--ckpt_path", "last")
    assert "found --ckpt_path" in refuse(
        liftpose, *fit, "--ckpt_path=last", "--overwrite=true", "--trainer.max_epochs=3"
    )
    code, _, err = liftpose(*fit, "--overwrite", "true")
    assert code == 0, err
    last = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    assert last["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"] == 1
    assert not (folder / "test_table.csv").exists()
    assert (folder / "notes.txt").read_text() == "of the first run"


def test_several_processes_for_predict(liftpose: Run, place: Path, trained: Path) -> None:
    words = ["predict", "--config", "rie_stage1.yaml", *SIZES, "--ckpt_path", trained / "checkpoints/best.ckpt"]
    assert "trainer.devices: expected 1 for predict with LiftingTask, found 2 processes" in refuse(
        liftpose, *words, "--trainer.accelerator=cpu", "--trainer.devices=2"
    )


# ----------------------------------------------------------------------------------------------------------------- disk
@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 300 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here: it takes the rights of root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S607 - as above, the system's own


def test_no_space_left(liftpose: Run, place: Path, small_disk: Path) -> None:
    synthetic = ["--config", "synthetic.yaml", f"--data.root={small_disk}", "--data.frames_per_action=60"]
    code, _, err = liftpose(*FIT, *synthetic)
    assert code == 2, err
    assert "space" in err
    assert not [path for path in small_disk.rglob("*") if path.suffix == ".npz"]
    code, _, err = liftpose(*FIT, f"--trainer.default_root_dir={small_disk / 'run'}", "--model.lifter.hidden_dim=400")
    assert code == 2, err
    assert "space" in err
    assert not list(small_disk.rglob("*.ckpt"))


def fill_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_no_space_left_for_a_checkpoint(liftpose: Run, place: Path, trained: Path, monkeypatch: Any) -> None:
    shutil.copytree(trained, place / "run")
    kept = (place / "run/checkpoints/last.ckpt").read_bytes()
    fit = [*FIT, "--trainer.default_root_dir=run", "--ckpt_path=last", "--trainer.max_epochs=2"]
    monkeypatch.setattr("liftpose.formats.atomic._force_to_disk", fill_disk)
    code, _, err = liftpose(*fit)
    assert code == 2
    longer, mistake = err.splitlines()
    assert longer == "liftpose: trainer.max_epochs is 2 now, was 1: what follows it goes another way from here on"
    said = r"liftpose: error: run/\S+: expected to write the file, found: no space left on the disk"
    left = r"; run/checkpoints/last.ckpt is the last checkpoint \(--ckpt_path last goes on with it\)"
    assert re.fullmatch(f"{said}({left})?", mistake)
    assert (place / "run/checkpoints/last.ckpt").read_bytes() == kept
    assert {path.name for path in (place / "run/checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


def test_no_space_left_for_predictions(liftpose: Run, place: Path, trained: Path, monkeypatch: Any) -> None:
    words = ["predict", "--config", "rie_stage1.yaml", *SIZES, "--ckpt_path", trained / "checkpoints/best.ckpt"]
    monkeypatch.setattr("liftpose.formats.atomic._force_to_disk", fill_disk)
    code, _, err = liftpose(*words, "--trainer.default_root_dir=run")
    assert code == 2
    assert err.startswith("liftpose: error: run/predictions/")
    assert err.endswith("found: no space left on the disk\n")
    assert not list(place.rglob("*.npz.*")) + list((place / "run/predictions").iterdir())


def test_a_run_folder_that_cannot_be_written(liftpose: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "run").write_text("a file")
    for folder in ("run", "run/inside"):
        message = refuse(liftpose, *FIT, f"--trainer.default_root_dir={folder}")
        assert message.startswith(f"trainer.default_root_dir {folder}: expected a folder, found the file ")
    may = os.access
    monkeypatch.setattr("os.access", lambda path, mode, **kw: not mode & os.W_OK and may(path, mode, **kw))
    message = refuse(liftpose, *FIT, "--trainer.default_root_dir=locked/run")
    assert (
        "trainer.default_root_dir locked/run: expected a folder that can be written to, found no permission" in message
    )


def test_interrupted(place: Path) -> None:
    words = [*FIT, "--trainer.max_epochs=10000", "--trainer.default_root_dir=run"]
    process = subprocess.Popen(
        [sys.executable, "-m", "liftpose", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    last = place / "run/checkpoints/last.ckpt"
    deadline = time.monotonic() + 60
    while not last.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    said = (
        r"liftpose: interrupted; run/checkpoints/last.ckpt holds the state after \d+ batches \(--ckpt_path last goes on"
    )
    assert re.match(said, err.splitlines()[-1])
    assert "state_dict" in torch.load(last, weights_only=True)


def test_interrupted_while_the_trainer_clears_up(liftpose: Run, place: Path, monkeypatch: Any) -> None:
    reset, before = CombinedLoader.reset, []

    def interrupted(loader: CombinedLoader) -> None:
        # Lightning clears up once more after Ctrl-C, and cannot where the first time stopped right here.
        reset(loader)
        if not before and any(frame.name == "_teardown" for frame in traceback.extract_stack()):
            before.append(loader)
            raise KeyboardInterrupt

    monkeypatch.setattr(CombinedLoader, "reset", interrupted)
    code, _, err = liftpose(*FIT, "--trainer.default_root_dir=run")
    assert before
    assert code == 130
    last = "run/checkpoints/last.ckpt"
    assert err.endswith(f"\nliftpose: interrupted; {last} is the last checkpoint (--ckpt_path last goes on with it)\n")
