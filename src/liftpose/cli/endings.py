"""How a run ends before its time: signals, and other processes that are lost."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytorch_lightning.trainer.connectors.signal_connector import _SignalConnector
from torch import distributed

from liftpose.errors import RunStopped

__all__ = ["OwnSignals", "interruptions", "lost_processes"]

# How the libraries beneath torch.distributed say that a process is gone.
LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "Socket closed", "NCCL", "Timed out")


class OwnSignals(_SignalConnector):
    """Leaves the signals to the command: Lightning's handlers talk to other processes at whatever moment they come."""

    def register_signal_handlers(self) -> None:
        """Do nothing."""


@contextmanager
def interruptions(folder: Path, verb: str) -> Iterator[None]:
    """Turn Lightning's exit after Ctrl-C or SIGTERM back into what it was, to say what is left of the run.

    Lightning clears up before it exits, which may fail where the signal has come in the middle of its clearing up: an
    error that an interruption has led to is that interruption too.

    Args:
        folder: Folder of the run.
        verb: The verb that is run.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except (SystemExit, Exception) as end:
        interruption = end.__context__
        if not isinstance(interruption, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, handler)  # Lightning has switched it off for its own way out
        raise type(interruption)(_what_is_left(folder, verb)) from None


@contextmanager
def lost_processes(folder: Path, verb: str) -> Iterator[None]:
    """Turn the errors of a process that waits for another one, which is gone, into an end that says what is left.

    Args:
        folder: Folder of the run.
        verb: The verb that is run.
    """
    try:
        yield
    except RuntimeError as error:  # that of NCCL is one too
        if not (distributed.is_initialized() and any(words in str(error) for words in LOST)):
            raise
        left = _what_is_left(folder, verb)
        raise RunStopped(f"another process of the run was lost{f'; {left}' if left else ''}", 1) from None


def _what_is_left(folder: Path, verb: str) -> str:
    """Say which checkpoint a training has left, if any."""
    last = folder / "checkpoints" / "last.ckpt"
    return (
        f"{last} is the last checkpoint (--ckpt_path last goes on with it)" if verb == "fit" and last.is_file() else ""
    )
