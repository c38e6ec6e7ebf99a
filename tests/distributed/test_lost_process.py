"""Processes that are told to stop or are lost: the run goes on exactly where it was saved."""

from __future__ import annotations

import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
differences_of_runs = runpy.run_path(str(TESTS / "resume/comparison.py"))["differences_of_runs"]

FIT = [
    *("fit", "--config", "rie_stage1.yaml", "--config", "synthetic.yaml", "--config", str(TESTS / "tiny.yaml")),
    *("--config", str(TESTS / "tiny_rie.yaml"), "--model.lifter.filter_widths", "[3,3]", "--saving.every_n_steps", "7"),
    *("--data.frames_per_action", "30", "--data.batch_size", "51", "--trainer.max_epochs", "4"),
    *("--trainer.limit_train_batches", "30", "--trainer.limit_val_batches", "5", "--trainer.log_every_n_steps", "3"),
    *("--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"),
    *("--trainer.accelerator", "cpu", "--trainer.strategy", "ddp"),
]
pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes in /proc, which Linux has")
TWO = ["--trainer.devices", "2"]
NODES = ["--trainer.devices", "1", "--trainer.num_nodes", "2"]
WAIT = 180.0


class Runs:
    """Starts processes in a folder and ends them when the tests are over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, *words: str, log: str) -> subprocess.Popen[bytes]:
        """Start a Python module with its words; its output goes to a file."""
        with (self.folder / log).open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=self.folder,
                # Else the processes that torchrun restarts may look for the lost ones (pytorch#135712).
                env={**os.environ, "OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"},
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)
        return process

    def text(self, log: str) -> str:
        """What has been written to a log."""
        return (self.folder / log).read_text()

    def end(self) -> None:
        """Kill what is left."""
        for process in self._processes:
            found = [process.pid]
            while found:  # torchrun gives its processes sessions of their own
                number = found.pop()
                found += children(number)
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """A folder with a run of two processes, ``whole``, that was never stopped."""
    runs = Runs(tmp_path_factory.mktemp("lost"))
    try:
        whole = runs.start("liftpose", *FIT, *TWO, "--trainer.default_root_dir", "whole", log="whole.txt")
        assert whole.wait(WAIT) == 0, runs.text("whole.txt")
        yield runs
    finally:
        runs.end()


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


def children(process: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended meanwhile
            continue
        if parent == process:
            found.append(int(status.parent.name))
    return found


def test_a_signal_to_any_process_stops_all_at_one_batch(runs: Runs) -> None:
    folder = runs.folder / "stopped"
    words = ["liftpose", *FIT, *TWO, "--trainer.default_root_dir", "stopped", "--ckpt_path", "last"]
    run = runs.start(*words, log="stopped.txt")
    wait_for((folder / "checkpoints/last.ckpt").exists, "a checkpoint")
    (second,) = children(run.pid)
    os.kill(second, signal.SIGTERM)
    begun = time.monotonic()
    assert run.wait(WAIT) == 143, runs.text("stopped.txt")
    assert time.monotonic() - begun < 60
    lines = [line for line in runs.text("stopped.txt").splitlines() if line.startswith("liftpose:")]
    assert len(lines) == 2
    assert lines[0] == "liftpose: no checkpoint in stopped yet: the run starts from the beginning"
    assert lines[1].startswith("liftpose: terminated; stopped/checkpoints/last.ckpt holds the state after ")
    assert runs.start(*words, log="stopped.txt").wait(WAIT) == 0, runs.text("stopped.txt")
    assert differences_of_runs(runs.folder / "whole", folder) == []


def test_torchrun_restarts_two_nodes_when_a_process_is_lost(runs: Runs) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torchrun = [
        *("torch.distributed.run", "--nnodes", "2", "--nproc_per_node", "1", "--max_restarts", "2"),
        *("--rdzv_backend", "c10d", "--rdzv_endpoint", f"127.0.0.1:{port}", "--rdzv_id", "lost", "--local_addr"),
        *("127.0.0.1", "-m", "liftpose", *FIT, *NODES, "--trainer.default_root_dir", "torchrun", "--ckpt_path", "last"),
        # Both nodes make the people, at the same time on the same disk.
        *("--data.root", "data/torchrun"),
    ]
    nodes = [runs.start(*torchrun, log=f"node{number}.txt") for number in (0, 1)]
    folder = runs.folder / "torchrun"
    wait_for((folder / "checkpoints/previous.ckpt").exists, "two checkpoints")
    (victim,) = children(nodes[1].pid)
    os.kill(victim, signal.SIGKILL)
    assert [node.wait(WAIT) for node in nodes] == [0, 0], runs.text("node0.txt") + runs.text("node1.txt")
    text = runs.text("node0.txt") + runs.text("node1.txt")
    assert "Restoring states from the checkpoint path at torchrun/checkpoints/last.ckpt" in text
    assert "liftpose: another process of the run was lost; torchrun/checkpoints/last.ckpt is the last" in text
    assert differences_of_runs(runs.folder / "whole", folder) == []
