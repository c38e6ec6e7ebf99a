"""How a run is asked to stop, and how its processes decide it together.

A signal may come at any moment, in the middle of an optimiser step too, and to any process. So it is only noted; the
run looks at the notes between two batches, where its state is whole. Several processes have to stop at the same batch:
they ask one another, about once a second, over the CPU, so that no GPU waits for it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from datetime import timedelta
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch import distributed

from liftpose.processes import is_first_process

__all__ = ["Agreement", "Decision", "StopSignals", "own_group"]

NOTICE = b"\nliftpose: stopping after this batch; once more (Ctrl-C) stops at once and saves nothing\n"


class StopSignals:
    """Notes SIGTERM and Ctrl-C. A second Ctrl-C interrupts at once.

    Attributes:
        received: Number of the signal that came, 0 for none; of both SIGTERM, which is not for a person to take back.
    """

    def __init__(self) -> None:
        self.received = 0
        self._interrupted = False
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """Take the two signals over; a thread other than the main one cannot, and leaves them."""
        self.received, self._interrupted = 0, False
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before.setdefault(number, signal.getsignal(number))
            signal.signal(number, self._note)

    def remove(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            if self._interrupted:
                raise KeyboardInterrupt
            self._interrupted = True
            # Not through Python's buffered streams: the signal may have come while they are in use.
            if is_first_process():
                os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, NOTICE)
        self.received = max(self.received, number)


class Decision(NamedTuple):
    """What the processes of a run do next.

    Attributes:
        stop: Number of the signal that asks to stop, 0 for none.
        save: Whether it is time for a checkpoint.
    """

    stop: int
    save: bool


class Agreement:
    """Decides the same at the same batch in all processes of a run.

    Every process calls :meth:`decide` equally often. Most calls return at once; every so often, in number of calls,
    the processes exchange what they want, and how many calls a second takes them.

    Args:
        group: Process group of the exchange, or None for a run of one process.
        seconds: How often they exchange, about.
        most_calls: Largest number of calls without an exchange.
    """

    def __init__(self, group: Any = None, seconds: float = 1.0, most_calls: int = 30) -> None:
        self._group = group
        self._seconds = seconds
        self._most_calls = most_calls
        self._wait = self._waited = 0
        self._calls = 0
        self._since = time.monotonic()

    def decide(self, stop: int, save: bool) -> Decision:
        """Return what all processes do now.

        Args:
            stop: Number of the signal that this process has received, 0 for none.
            save: Whether this process wants a checkpoint.

        Returns:
            The decision, the same in all processes: of several signals the one with the largest number.
        """
        if self._group is None:
            return Decision(stop, save)
        self._calls += 1
        if self._wait > 0:
            self._wait -= 1
            return Decision(0, False)
        microseconds = int(1e6 * (time.monotonic() - self._since) / self._calls)
        wanted = torch.tensor([stop, int(save), microseconds])
        distributed.all_reduce(wanted, distributed.ReduceOp.MAX, group=self._group)
        stop, asked, slowest = wanted.tolist()
        # The first calls may come at once one after the other, and say little about those that follow.
        self._waited = min(int(1e6 * self._seconds / max(slowest, 1)), 2 * self._waited + 1, self._most_calls)
        self._wait = self._waited
        self._calls, self._since = 0, time.monotonic()
        return Decision(stop, bool(asked))


def own_group() -> Any:
    """Return a group of all processes that talks over the CPU, or None for a run of one process.

    That is the group of the run where the run is on the CPU: each group more is one more that a restart by torchrun can
    hang in, which finds the addresses of the lost processes in the store that all attempts share (pytorch#135712).
    """
    if not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1):
        return None
    if distributed.get_backend() == "gloo":
        return distributed.group.WORLD
    return distributed.new_group(backend="gloo", timeout=timedelta(minutes=30))
