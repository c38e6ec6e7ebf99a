"""Whether two runs are the same to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from liftpose.weights import CONFIG_ENTRY

__all__ = ["differences_of_runs"]


def differences_of_runs(one: Path, other: Path) -> list[str]:
    """Return the names of what differs between the checkpoints and the logs of two run folders.

    Everything in the checkpoints is compared but the configuration, which names the folder.
    """
    found: list[str] = []
    for name in ("last", "best"):
        contents = [torch.load(run / f"checkpoints/{name}.ckpt", weights_only=True) for run in (one, other)]
        for content in contents:
            del content[CONFIG_ENTRY]
        found += _differences(contents[0], contents[1], name)
    if (one / "metrics.csv").read_text() != (other / "metrics.csv").read_text():
        found.append("metrics.csv")
    return found


def _differences(one: Any, other: Any, name: str) -> Iterator[str]:
    if type(one) is not type(other):
        yield f"{name}: {one!r} and {other!r}"
    elif isinstance(one, torch.Tensor):
        if one.dtype != other.dtype or not torch.equal(one, other):
            yield name
    elif isinstance(one, dict):
        if list(one) != list(other):
            yield f"{name}: {list(one)} and {list(other)}"
        for key in set(one) & set(other):
            yield from _differences(one[key], other[key], f"{name}/{key}")
    elif isinstance(one, list | tuple):
        if len(one) != len(other):
            yield f"{name}: {len(one)} and {len(other)} items"
        for place, (mine, theirs) in enumerate(zip(one, other, strict=False)):
            yield from _differences(mine, theirs, f"{name}/{place}")
    elif one != other:
        yield f"{name}: {one!r} and {other!r}"
