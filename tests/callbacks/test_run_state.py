"""The state of a process: what was drawn and added up goes on where it was."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
import torch
from torch import nn
from torchmetrics import CatMetric, MeanMetric

from liftpose.callbacks.run_state import changed_surroundings, process_state, restore_process_state
from liftpose.errors import LiftposeError
from liftpose.metrics import MPJPE


class Task(nn.Module):
    """Metrics as a task has them."""

    def __init__(self) -> None:
        super().__init__()
        self.mpjpe = MPJPE()
        self.inner = nn.ModuleDict({"all": CatMetric(), "mean": MeanMetric()})

    def update(self, value: float) -> None:
        """Add a number to all of them."""
        self.mpjpe.update(torch.full((1, 1, 3), value), torch.zeros(1, 1, 3))
        for metric in self.inner.values():
            metric.update(value)

    def results(self) -> list[float]:
        """All that they would say."""
        return [
            float(self.mpjpe.compute()),
            *np.atleast_1d(self.inner["all"].compute().numpy()).tolist(),
            float(self.inner["mean"].compute()),
        ]


def draw() -> list[float]:
    of_python = [random.random(), random.gauss(0, 1)]  # noqa: S311  # what is drawn is no secret
    return [torch.rand(()).item(), np.random.rand(), np.random.randn(), *of_python]


def through_a_file(state: object) -> dict[str, object]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, object] = torch.load(file, weights_only=True)
    return loaded


def test_random_numbers_go_on() -> None:
    draw()  # the normal generators keep every second number
    state = through_a_file(process_state(nn.Module()))
    wanted = [draw(), draw()]
    restore_process_state(nn.Module(), [state], 0, 1)
    assert [draw(), draw()] == wanted


def test_metrics_go_on_and_the_saved_state_stands_still() -> None:
    task = Task()
    task.update(1.0)
    task.update(4.0)
    state = process_state(task)
    task.update(100.0)
    whole = Task()
    for value in (1.0, 4.0, 7.0):
        whole.update(value)
    again = Task()
    again.update(50.0)  # is forgotten
    restore_process_state(again, [through_a_file(state)], 0, 1)
    again.update(7.0)
    assert again.results() == whole.results()
    assert again.mpjpe.update_count == 3


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_metrics_of_another_number_of_processes_are_shared_out(processes: int) -> None:
    before = []
    for value in (1.0, 2.0, 6.0):
        task = Task()
        task.update(value)
        before.append(through_a_file(process_state(task)))
    tasks = [Task() for _ in range(processes)]
    for rank, task in enumerate(tasks):
        restore_process_state(task, before, rank, processes)
    values = [value for task in tasks for value in np.atleast_1d(task.inner["all"].compute().numpy()).tolist()]
    assert sorted(values) == [1.0, 2.0, 6.0]
    assert sum(float(task.mpjpe.count) for task in tasks) == 3


def test_a_process_that_is_new_starts_empty() -> None:
    task = Task()
    task.update(3.0)
    state = process_state(task)
    torch.manual_seed(5)
    wanted = torch.rand(()).item()
    torch.manual_seed(5)
    restore_process_state(task, [state], 1, 2)
    assert float(task.mpjpe.count) == 0
    assert torch.rand(()).item() == wanted


def test_what_has_changed_is_named() -> None:
    before = {"processes": 2, "threads": 4, "torch": "2.13.0", "of an older version": 1}
    now = {"processes": 1, "threads": 4, "torch": "2.13.0", "machine": "new"}
    assert changed_surroundings(before, now) == ["processes 2, now 1"]


class Unmergeable(CatMetric):
    """A metric whose states do not say how to be joined."""

    full_state_update = True


def test_a_metric_that_cannot_be_shared_out_is_named() -> None:
    task = nn.ModuleDict({"odd": Unmergeable()})
    task["odd"].update(1.0)
    with pytest.raises(
        LiftposeError, match="as many processes as before, 2, in the middle of an epoch, for odd, found 1"
    ):
        restore_process_state(task, [process_state(task)] * 2, 0, 1)
