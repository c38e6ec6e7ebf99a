"""Runs that are stopped at random moments end like one that was never stopped, bit for bit.

Real runs of the command are killed (SIGKILL) or told to stop (SIGTERM, Ctrl-C) and resumed until they are done.
``pytest tests/resume --kills 100`` makes it a hundred times instead of twenty-four.
"""

from __future__ import annotations

import json
import os
import random
import runpy
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TESTS = HERE.parent
differences_of_runs = runpy.run_path(str(HERE / "comparison.py"))["differences_of_runs"]

RIE = [*("--config", "rie_stage1.yaml", "--config", str(TESTS / "tiny_rie.yaml"))]
# Two adversaries and a lifter, motion critics from the second epoch on, the lifter from the third.
GAN = [
    *("--config", "dhaug_videopose_video.yaml", "--config", str(TESTS / "tiny_dhaug.yaml")),
    *("--model.lifter.channels", "8", "--model.warmup_epochs", "2", "--model.augmenter.motion_critics_from", "1"),
]
FIT = [
    *("--config", str(TESTS / "tiny.yaml"), "--model.lifter.filter_widths", "[3,3]"),
    *("--data.batch_size", "32", "--trainer.max_epochs", "3", "--trainer.limit_train_batches", "40"),
    *("--trainer.limit_val_batches", "10", "--trainer.log_every_n_steps", "3", "--saving.every_n_steps", "7"),
    *("--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"),
]
CASES = {
    "plain": RIE,
    "adversarial": [*GAN, "--trainer.limit_train_batches", "15", "--saving.every_n_steps", "4"],
    "several_validations": [*RIE, "--trainer.val_check_interval", "0.25"],
    "accumulated": [*RIE, "--trainer.accumulate_grad_batches", "3", "--trainer.check_val_every_n_epoch", "2"],
    "counted_in_steps": [
        *RIE,
        "--trainer.max_steps",
        "100",
        "--data.flip",
        "chance",
        "--model.freeze",
        "[global_encoder]",
    ],
}
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
CODES = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
WAIT = 120.0


class Launcher:
    """Starts the command in processes that need not import anything."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log.txt"
        self._process = subprocess.Popen(
            [sys.executable, HERE / "launcher.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def start(self, words: list[str]) -> int:
        """Start the command and return the number of its process."""
        return self._ask(json.dumps({"words": words, "folder": str(self.folder), "log": str(self.log)}))

    def end(self) -> int:
        """Wait for the command and return its exit code, negative for a signal."""
        return self._ask("")

    def close(self) -> None:
        """End the launcher."""
        self._process.kill()
        self._process.communicate()

    def _ask(self, line: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], WAIT)
        assert ready, self.log.read_text() if self.log.exists() else "no answer"
        return int(self._process.stdout.readline())


@pytest.fixture
def launcher(tmp_path: Path, h36m_root: Path) -> Iterator[Launcher]:
    """A launcher in a folder with the tiny Human3.6M."""
    (tmp_path / "data").symlink_to(h36m_root)
    launcher = Launcher(tmp_path)
    yield launcher
    launcher.close()


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """How often a run of one case is stopped."""
    return -(-int(request.config.getoption("--kills")) // len(CASES))


def wait_for_the_start(config: Path, before: int) -> None:
    """Wait until a run has written its configuration, just before it begins to train."""
    deadline = time.monotonic() + WAIT
    while not config.exists() or config.stat().st_mtime_ns == before:
        assert time.monotonic() < deadline, "the run has not begun"
        time.sleep(0.005)


@pytest.mark.parametrize("case", CASES)
def test_a_run_that_is_stopped_at_random_moments(case: str, launcher: Launcher, kills: int) -> None:
    configs = CASES[case][:4]
    words, folder = ["fit", *configs, *FIT, *CASES[case][4:]], launcher.folder
    begun = time.monotonic()
    launcher.start([*words, "--trainer.default_root_dir", "whole"])
    wait_for_the_start(folder / "whole/config.yaml", 0)
    begun = time.monotonic()
    assert launcher.end() == 0, launcher.log.read_text()
    seconds = 0.8 * (time.monotonic() - begun)  # the rest is for pictures

    chance = random.Random(case)  # noqa: S311  # moments, not secrets
    config, landed = folder / "cut/config.yaml", 0
    while True:
        before = config.stat().st_mtime_ns if config.exists() else 0
        process = launcher.start([*words, "--trainer.default_root_dir", "cut", "--ckpt_path", "last"])
        sent = None
        if landed < kills:
            wait_for_the_start(config, before)
            time.sleep(chance.uniform(0, seconds / 2))
            sent = chance.choice(SIGNALS)
            os.kill(process, sent)
        code = launcher.end()
        if code != 0:
            assert sent is not None, launcher.log.read_text()
            assert code == CODES[sent], launcher.log.read_text()
            landed += 1
            continue
        assert differences_of_runs(folder / "whole", folder / "cut") == []
        if landed >= kills:
            break
        shutil.rmtree(folder / "cut")
    text = launcher.log.read_text()
    assert "Traceback" not in text
    assert "no checkpoint in cut yet: the run starts from the beginning" in text
