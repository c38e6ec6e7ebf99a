"""Two processes do what one does: the same batches, gradients and tables."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from liftpose.formats.h36m_images import annotation_file, read_image_set, write_image_set

HERE = Path(__file__).parent
TWO = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.accelerator", "cpu"]
TRAINING = [
    *("--trainer.precision", "64-true", "--trainer.max_epochs", "1", "--data.flip", "chance"),
    # 3320 windows of the training people: 25 whole batches and one of 20 that no two processes share evenly with 133.
    *("--data.batch_size", "133", "--logging.wandb", "disabled", "--trainer.enable_progress_bar", "false"),
]
WATCHED = "\n".join(
    [
        "model: {class_path: watched.WatchedTask, init_args: {lifter: {class_path: watched.LinearNetwork}}}",
        "data: {class_path: liftpose.datamodules.H36MDataModule, init_args: {root: data}}",
    ]
)

ADVERSARIAL = """
model:
  class_path: liftpose.tasks.AugmentedLiftingTask
  init_args:
    lifter: {class_path: watched.LinearNetwork, init_args: {skeleton: h36m_16, receptive_field: 3}}
    augmenter:
      class_path: liftpose.tasks.DHAug
      init_args: {generator_width: 8, critic_3d_width: 8, critic_2d_width: 8, motion_critic_3d_width: 8,
                  motion_critic_2d_width: 8, motion_critics_from: 0, critic_steps: 2}
data: {class_path: liftpose.datamodules.H36MDataModule, init_args: {root: data, joints: h36m_16, flip: none}}
"""


class Runs(NamedTuple):
    """A folder with a run of one process (``one``) and the same run of two (``two``)."""

    folder: Path

    def command(self, *words: object) -> str:
        """Run the command to its end and return its output."""
        ended = subprocess.run(
            [sys.executable, "-m", "liftpose", *map(str, words)],
            cwd=self.folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE), "WANDB_MODE": "offline"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout
        return ended.stdout

    def seen(self, run: str, rank: int) -> list[list[list[int]]]:
        """What a process has trained with: per batch, per window sequence, frame and whether it was mirrored."""
        batches: list[list[list[int]]] = json.loads((self.folder / f"{run}/seen{rank}.json").read_text())
        return batches

    def checkpoint(self, run: str) -> dict[str, Any]:
        """The last checkpoint of a run."""
        content: dict[str, Any] = torch.load(self.folder / f"{run}/checkpoints/last.ckpt", weights_only=True)
        return content


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, h36m_root: Path) -> Iterator[Runs]:
    """Both runs, trained."""
    runs = Runs(tmp_path_factory.mktemp("processes"))
    (runs.folder / "data").symlink_to(h36m_root)
    (runs.folder / "watched.yaml").write_text(WATCHED)
    fit = ["fit", "--config", "watched.yaml", *TRAINING, "--trainer.default_root_dir"]
    runs.command(*fit, "one")
    runs.command(*fit, "two", *TWO)
    yield runs


def test_the_same_global_batches_are_seen(runs: Runs) -> None:
    alone, first, second = runs.seen("one", 0), runs.seen("two", 0), runs.seen("two", 1)
    assert [mine + theirs for mine, theirs in zip(first, second, strict=True)] == alone
    sizes = {(len(mine), len(theirs)) for mine, theirs in zip(first, second, strict=True)}
    assert all(abs(mine - theirs) <= 1 for mine, theirs in sizes)
    assert any(mine != theirs for mine, theirs in sizes)  # the weights below have something to tell


def test_every_window_weighs_the_same(runs: Runs) -> None:
    alone, together = runs.checkpoint("one"), runs.checkpoint("two")
    for name, value in alone["state_dict"].items():
        torch.testing.assert_close(together["state_dict"][name], value, rtol=1e-9, atol=1e-12)
    score = alone["callbacks"]["RunCheckpoints"]["best_score"]
    assert together["callbacks"]["RunCheckpoints"]["best_score"] == pytest.approx(score, rel=1e-9)


@pytest.mark.parametrize("batch_size", [64, 1327])  # of 1328 frames: 48 are left, or one for two processes
def test_the_tables_are_those_of_one_process(runs: Runs, batch_size: int) -> None:
    test = ["test", "--config", "watched.yaml", "--ckpt_path", "one/checkpoints/last.ckpt", "--logging.wandb=disabled"]
    test += ["--data.test_sets", json.dumps([{"dataset": "h36m", "name": "half", "subjects": ["S9"], "downsample": 2}])]
    results = []
    for name, words in (("alone", []), ("together", TWO)):
        runs.command(*test, "--data.batch_size", batch_size, "--trainer.default_root_dir", name, *words)
        results.append(json.loads((runs.folder / name / "test_results.json").read_text()))
    alone, together = (dict(flat(result)) for result in results)
    assert alone.keys() == together.keys()
    numbers = {name for name, value in alone.items() if isinstance(value, float)}
    assert {name.split(".")[-1] for name in numbers} >= {"mpjpe_mm", "p_mpjpe_mm", "mpjve_mm"}
    for name, value in alone.items():
        assert together[name] == (pytest.approx(value, rel=1e-6) if name in numbers else value), name


def test_the_gradients_of_all_networks_are_those_of_one_process(runs: Runs) -> None:
    (runs.folder / "adversarial.yaml").write_text(ADVERSARIAL)
    fit = ["fit", "--config", "adversarial.yaml", *TRAINING, "--trainer.limit_train_batches", "4"]
    runs.command(*fit, "--trainer.default_root_dir", "gan_one")
    runs.command(*fit, "--trainer.default_root_dir", "gan_two", *TWO)
    alone, together = runs.checkpoint("gan_one"), runs.checkpoint("gan_two")
    assert alone["global_step"] == together["global_step"] == 4
    assert len(alone["optimizer_states"]) == 6  # the lifter, the generator, four critics
    for mine, theirs in zip(alone["optimizer_states"], together["optimizer_states"], strict=True):
        assert sum(moments["exp_avg"].abs().sum() for moments in mine["state"].values()) > 1e-4  # means of gradients
        for number, moments in mine["state"].items():
            torch.testing.assert_close(theirs["state"][number]["exp_avg"], moments["exp_avg"], rtol=1e-9, atol=1e-9)
    for name, value in alone["state_dict"].items():
        torch.testing.assert_close(together["state_dict"][name], value, rtol=1e-9, atol=1e-12)


PICTURES = """
model:
  class_path: liftpose.tasks.IntegralPoseTask
  init_args: {network: {class_path: watched.PlainIntegral}, warmup_steps: 2, loss: l1}
data: {class_path: liftpose.datamodules.H36MImagesDataModule, init_args: {root: pictures, num_workers: 0}}
"""


def test_labels_weigh_the_same_where_processes_have_unlike_weights(tmp_path: Path, painted: Path) -> None:
    place = Runs(tmp_path)
    shutil.copytree(painted / "h36m", tmp_path / "pictures")
    train = annotation_file(tmp_path / "pictures", "train")
    images = read_image_set(train, tmp_path / "pictures")
    visible = np.random.default_rng(0).choice([0, 0.2, 1], images.visible.shape).astype(np.float32)
    visible[::3] = 0  # whole poses that nobody knows
    visible[::3, :2] = 1
    write_image_set(train, replace(images, visible=visible))
    (tmp_path / "pictures.yaml").write_text(PICTURES)
    fit = ["fit", "--config", "pictures.yaml", "--trainer.precision", "64-true", "--trainer.max_epochs", "1"]
    fit += ["--data.batch_size", "5", "--logging.wandb", "disabled", "--trainer.enable_progress_bar", "false"]
    fit += ["--trainer.limit_train_batches", "1", "--trainer.limit_val_batches", "1"]
    place.command(*fit, "--trainer.default_root_dir", "one")
    place.command(*fit, "--trainer.default_root_dir", "two", *TWO)
    alone, together = place.checkpoint("one"), place.checkpoint("two")
    (mine,), (theirs,) = alone["optimizer_states"], together["optimizer_states"]
    for number, moments in mine["state"].items():
        scale = float(moments["exp_avg"].abs().max())
        torch.testing.assert_close(
            theirs["state"][number]["exp_avg"], moments["exp_avg"], rtol=1e-5, atol=1e-6 * scale + 1e-14
        )
    assert max(float(moments["exp_avg"].abs().max()) for moments in mine["state"].values()) > 1e-4
    score = alone["callbacks"]["RunCheckpoints"]["best_score"]
    assert together["callbacks"]["RunCheckpoints"]["best_score"] == pytest.approx(score, rel=1e-5)


def flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted names and values of a tree."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from flat(item, f"{name}.{key}")
    else:
        yield name, value
