"""What a run has to remember besides weights, optimisers and counters to go on as if it had never stopped.

Lightning's checkpoints hold neither the random number generators nor the metrics of an epoch that is not over. Both
belong to a process, so that a checkpoint holds a list of them, one entry per process.
"""

from __future__ import annotations

import platform
import random
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from liftpose import __version__
from liftpose.errors import LiftposeError

__all__ = ["RUN_ENTRY", "changed_surroundings", "process_state", "restore_process_state", "surroundings"]

RUN_ENTRY = "liftpose_run"
"""Name of the entry in which a checkpoint holds what this module collects."""


def process_state(task: nn.Module) -> dict[str, Any]:
    """Collect the state of this process: random number generators and the sums of the metrics.

    Args:
        task: The task, whose metrics are found among its submodules.

    Returns:
        Tensors, numbers and containers of them only, independent of what happens later.
    """
    return {"random": _random_state(), "metrics": {name: _metric_state(metric) for name, metric in _metrics(task)}}


def restore_process_state(task: nn.Module, states: Sequence[Mapping[str, Any]], rank: int, processes: int) -> None:
    """Give this process the state that it had.

    With another number of processes than before, a process beyond the earlier ones keeps its own random numbers and
    starts with empty metrics; the metrics of processes that are missing now are added to those of the others.

    Args:
        task: The task.
        states: What :func:`process_state` gave, for each process of the run before.
        rank: Number of this process.
        processes: Number of processes.

    Raises:
        LiftposeError: The number of processes has changed and a metric cannot add up what they had.
    """
    if rank < len(states):
        _set_random_state(states[rank]["random"])
    for name, metric in _metrics(task):
        metric.reset()
        for state in states[rank::processes]:
            if name in state["metrics"]:
                try:
                    _add_metric_state(metric, state["metrics"][name])
                except RuntimeError as error:
                    raise LiftposeError(
                        f"--ckpt_path: expected as many processes as before, {len(states)}, in the middle of an epoch, "
                        f"for {name}, found {processes}: {error}"
                    ) from error


def surroundings(trainer: pl.Trainer) -> dict[str, Any]:
    """Return what the last digits of a run depend on besides its configuration.

    Args:
        trainer: The trainer of the run.
    """
    device = trainer.strategy.root_device
    return {
        "processes": trainer.world_size,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "machine": f"{platform.system()} {platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "torch": str(torch.__version__),
        "pytorch-lightning": version("pytorch-lightning"),
        "liftpose": __version__,
    }


def changed_surroundings(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return one phrase for everything that has changed.

    Args:
        before: :func:`surroundings` of the checkpoint.
        now: Those of the run that goes on.

    Returns:
        Phrases such as "processes 2, now 1".
    """
    return [f"{name} {before[name]}, now {now[name]}" for name in now if name in before and before[name] != now[name]]


# ------------------------------------------------------------------------------------------------------------- metrics
def _metrics(task: nn.Module) -> list[tuple[str, Metric]]:
    return [(name, module) for name, module in task.named_modules() if isinstance(module, Metric)]


def _metric_state(metric: Metric) -> dict[str, Any]:
    """Return the states of a metric, lists of tensors as lists; the tensors are copies where they may change."""
    state: dict[str, Any] = {"updates": metric._update_count}
    for name in metric._defaults:
        value = getattr(metric, name)
        state[name] = [item.detach() for item in value] if isinstance(value, list) else value.detach().clone()
    return state


def _add_metric_state(metric: Metric, state: Mapping[str, Any]) -> None:
    """Set the states of a metric that is empty, or add to them."""
    own = {
        name: [item.to(metric.device) for item in value] if isinstance(value, list) else value.to(metric.device)
        for name, value in state.items()
        if name != "updates"
    }
    if metric._update_count:
        metric.merge_state(own)
    else:
        for name, value in own.items():
            setattr(metric, name, value)
    metric._update_count += state["updates"]


# ------------------------------------------------------------------------------------------------------ random numbers
def _random_state() -> dict[str, Any]:
    """Return the states of all generators that a step might draw from, as plain values that load safely."""
    _, keys, place, has_gauss, gauss = np.random.get_state(legacy=True)
    form, internal, next_gauss = random.getstate()
    cuda: list[Tensor] = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "torch": torch.get_rng_state(),
        "cuda": cuda,
        "numpy": [torch.from_numpy(np.asarray(keys).astype(np.int64)), int(place), int(has_gauss), float(gauss)],
        "python": [form, torch.tensor(internal), next_gauss],
    }


def _set_random_state(state: Mapping[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    keys, place, has_gauss, gauss = state["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), place, has_gauss, gauss))
    form, internal, next_gauss = state["python"]
    random.setstate((form, tuple(internal.tolist()), next_gauss))
