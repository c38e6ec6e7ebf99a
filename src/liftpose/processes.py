"""Which process of a run this is, known before anything is imported."""

from __future__ import annotations

import os
import signal
import sys

__all__ = ["end_with_parent", "is_first_process"]

_PR_SET_PDEATHSIG = 1  # from Linux's sys/prctl.h


def is_first_process() -> bool:
    """Return whether this is the only process of a run or the first of several, as their launcher says."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))


def end_with_parent() -> None:
    """Let the system kill this process when the one that has started it for the same run is gone.

    Before the processes have found each other, nothing else tells one that the other is lost. Does something on Linux
    only, and only where the first process has started this one: torchrun and SLURM watch theirs themselves.
    """
    started_by_first = os.environ.get("LOCAL_RANK", "0") != "0"
    if sys.platform != "linux" or not started_by_first or {"TORCHELASTIC_RUN_ID", "SLURM_PROCID"} & set(os.environ):
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:  # it was gone before the system was asked
        sys.exit(1)
