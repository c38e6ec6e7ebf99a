"""Processes of a run that know of one another before anything else is imported."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

CHILD = (
    "import time; from liftpose.processes import end_with_parent; end_with_parent(); print(1, flush=True); "
    "time.sleep(90)"
)
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""


def runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
@pytest.mark.parametrize(("variables", "stays"), [({"LOCAL_RANK": "1"}, False), ({}, True)])
def test_a_process_ends_with_the_one_that_has_started_it(variables: dict[str, str], stays: bool) -> None:
    clean = {name: value for name, value in os.environ.items() if name not in {"LOCAL_RANK", "RANK", "SLURM_PROCID"}}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], env={**clean, **variables}, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + (1 if stays else 20)
    while runs(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    try:
        assert runs(child) is stays
    finally:
        if runs(child):
            os.kill(child, 9)
