"""Files as the public code of the networks of pictures writes them."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]


def public_state(network: nn.Module, prefix: str = "module.") -> Weights:
    """The state dict that ``DataParallel`` gives, in the usual layout of memory."""
    return {
        f"{prefix}{name}": tensor.clone(memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
        if not name.startswith(("input_", "target_"))
    }


@pytest.fixture
def write_public() -> Callable[..., Path]:
    """Write a file: a bare state dict, or a training's checkpoint as torch 1.1 and numpy 1 wrote it."""

    def write(path: Path, network: nn.Module, *, bare: bool = True, prefix: str = "module.", **more: Any) -> Path:
        weights = public_state(network, prefix)
        if bare:
            torch.save(weights, path)
            return path
        content = {"epoch": 7, "state_dict": weights, "perf": np.float64(439.75), "optimizer": {"state": {}}} | more
        buffer = io.BytesIO()
        torch.save(content, buffer, _use_new_zipfile_serialization=False)
        old = buffer.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
        assert b"cnumpy.core.multiarray\nscalar" in old
        path.write_bytes(old)
        return path

    return write


@pytest.fixture
def write_norm() -> Callable[..., Path]:
    """Write the statistics of the refinement network."""

    def write(path: Path, size: int = 45) -> Path:
        generator = np.random.default_rng(5)
        arrays = tuple(generator.uniform(20, 200, size).astype(np.float32) for _ in range(4))
        path.write_bytes(pickle.dumps(arrays, protocol=2))
        return path

    return write
