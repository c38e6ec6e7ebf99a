"""The scripts that users adapt."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"
STAND_IN = """#!/usr/bin/env bash
echo "$(basename "$0") $*" >> "$CALLS"
[ "$(basename "$0")" != srun ] || exit "$CODE"
"""


@pytest.mark.parametrize(("code", "requeued"), [(0, False), (143, True), (2, False)])
def test_a_job_that_was_told_to_stop_is_put_back(code: int, requeued: bool, tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("the script for SLURM needs bash")
    for name in ("srun", "scontrol"):
        (tmp_path / name).write_text(STAND_IN)
        (tmp_path / name).chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "CALLS": str(tmp_path / "calls"),
        "CODE": str(code),
        "SLURM_NNODES": "2",
        "SLURM_NTASKS_PER_NODE": "4",
        "SLURM_JOB_ID": "17",
    }
    words = [bash, str(SCRIPTS / "slurm.sh"), "ridge.yaml", "runs/a b", "--trainer.max_epochs", "3"]
    assert subprocess.run(words, env=environment, check=False).returncode == code
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0].startswith(
        "srun liftpose fit --config ridge.yaml --trainer.default_root_dir runs/a b --ckpt_path last "
    )
    assert calls[0].endswith(
        "--trainer.num_nodes 2 --trainer.devices 4 --trainer.strategy ddp "
        "--trainer.enable_progress_bar false --trainer.max_epochs 3"
    )
    assert calls[1:] == (["scontrol requeue 17"] if requeued else [])
