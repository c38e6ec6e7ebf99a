"""The public implementation of RIE, where a copy of it is at hand, made to run without a GPU.

``LIFTPOSE_PEERS`` names a folder that holds a work tree of it, called ``Pose3D-RIE``. Nothing of it is part of this
repository, and nothing in it is changed: what it asks of CUDA is answered while it runs.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["FOLDER", "Peer", "load_peer", "why_not"]

FOLDER = "Pose3D-RIE"


class Peer(NamedTuple):
    """The parts of the public implementation that are measured.

    Args:
        model: Its module of networks.
        loss: Its module of losses and metrics.
        generators: Its module of batches.
        digest: First digits of the SHA-256 of these three files, by which a work tree can be told from another.
    """

    model: ModuleType
    loss: ModuleType
    generators: ModuleType
    digest: str


def why_not() -> str | None:
    """Say why there is nothing to compare with, or None where there is."""
    folder = os.environ.get("LIFTPOSE_PEERS")
    if not folder:
        return "LIFTPOSE_PEERS is not set: the public implementation is not part of the repository"
    if not (Path(folder) / FOLDER / "common" / "model.py").is_file():
        return f"LIFTPOSE_PEERS: expected the public implementation in {folder}/{FOLDER}, found none"
    return None


def load_peer() -> Peer | None:
    """Import the public implementation, or return None where :func:`why_not` has a reason."""
    if why_not() is not None:
        return None
    root = Path(os.environ["LIFTPOSE_PEERS"]) / FOLDER
    sys.path.insert(0, str(root))
    try:
        modules = [importlib.import_module(f"common.{name}") for name in ("model", "loss", "generators")]
    finally:
        sys.path.remove(str(root))
    if not torch.cuda.is_available():
        torch.Tensor.cuda = _stay  # type: ignore[method-assign]  # it puts the fused features onto the GPU
    digest = hashlib.sha256()
    for name in ("model", "loss", "generators"):
        digest.update((root / "common" / f"{name}.py").read_bytes())
    return Peer(*modules, digest.hexdigest()[:12])


def _stay(tensor: Tensor, *_: Any, **__: Any) -> Tensor:
    return tensor
