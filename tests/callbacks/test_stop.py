"""Signals are noted, not obeyed at once; processes decide the same at the same batch."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from liftpose.callbacks import stop
from liftpose.callbacks.stop import Agreement, Decision, StopSignals


@pytest.fixture
def signals() -> Iterator[StopSignals]:
    """Signals that are noted while the test runs."""
    signals = StopSignals()
    signals.install()
    yield signals
    signals.remove()


def test_a_signal_is_noted(signals: StopSignals, capfd: pytest.CaptureFixture[str]) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    assert signals.received == signal.SIGTERM
    assert capfd.readouterr().err == ""


def test_the_second_ctrl_c_interrupts(signals: StopSignals, capfd: pytest.CaptureFixture[str]) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    assert signals.received == signal.SIGINT
    assert "stopping after this batch; once more (Ctrl-C) stops at once" in capfd.readouterr().err
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_other_processes_of_the_run_say_nothing(
    signals: StopSignals, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    os.kill(os.getpid(), signal.SIGINT)
    assert (signals.received, capfd.readouterr().err) == (signal.SIGINT, "")


def test_the_signals_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    signals = StopSignals()
    signals.install()
    signals.install()  # a second training of the same trainer
    assert signal.getsignal(signal.SIGTERM) != before[0]
    signals.remove()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_one_process_decides_alone() -> None:
    agreement = Agreement()
    assert agreement.decide(15, save=False) == Decision(15, False)
    assert agreement.decide(0, save=True) == Decision(0, True)


class OtherProcess:
    """Stands for a second process: wants what is written down, is as slow as it says."""

    def __init__(self, wants: list[tuple[int, int]], microseconds: int) -> None:
        self.wants = iter(wants)
        self.microseconds = microseconds
        self.exchanges = 0

    def all_reduce(self, numbers: torch.Tensor, *_: Any, **__: Any) -> None:
        """Do what ``torch.distributed.all_reduce`` does with MAX."""
        self.exchanges += 1
        stop_wanted, save_wanted = next(self.wants)
        torch.maximum(numbers, torch.tensor([stop_wanted, save_wanted, self.microseconds]), out=numbers)


@pytest.mark.parametrize(
    ("microseconds", "waits"),
    [(200_000, [1, 3, 5, 5]), (3_000_000, [0, 0, 0, 0]), (1_000, [1, 3, 7, 15, 30, 30])],
)
def test_processes_exchange_about_once_a_second(
    microseconds: int, waits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = OtherProcess([(0, 0), (0, 1), *[(15, 0)] * len(waits)], microseconds)
    monkeypatch.setattr(stop.distributed, "all_reduce", other.all_reduce)
    agreement = Agreement(group="all", seconds=1.0, most_calls=30)
    wanted = [Decision(2, False), Decision(2, True), *[Decision(15, False)] * len(waits)]
    for decision, wait in zip(wanted, waits, strict=False):
        assert agreement.decide(2, save=False) == decision
        assert [agreement.decide(2, save=False) for _ in range(wait)] == [Decision(0, False)] * wait
    assert other.exchanges == len(waits)


def test_of_both_signals_sigterm_counts(signals: StopSignals, capfd: pytest.CaptureFixture[str]) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    assert signals.received == signal.SIGTERM
    with pytest.raises(KeyboardInterrupt):  # the second Ctrl-C, whatever came between
        os.kill(os.getpid(), signal.SIGINT)
    signals.install()
    assert signals.received == 0  # another training
    assert "stopping" in capfd.readouterr().err
