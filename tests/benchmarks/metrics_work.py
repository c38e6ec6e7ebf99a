"""3D PCK and AUC, by this package and by the public DH-AUG (``peer_dh_aug`` says where it is found)."""

from __future__ import annotations

import importlib.util
import os
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from peer_dh_aug import FOLDER, why_not_dh_aug
from work import Work

from liftpose.metrics import functional

__all__ = ["POSES_3DHP", "public_metrics", "share_within"]

POSES_3DHP = 2929
"""Number of poses in the test set of MPI-INF-3DHP."""


def public_metrics() -> ModuleType | None:
    """Import the public module of losses and metrics, or return None where there is no copy of it."""
    if why_not_dh_aug() is not None:
        return None
    path = Path(os.environ["LIFTPOSE_PEERS"]) / FOLDER / "utils" / "loss.py"
    spec = importlib.util.spec_from_file_location("dh_aug_loss", path)
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        spec.loader.exec_module(module)
    return module


def share_within(peer: ModuleType | None, name: str, poses: int) -> Work:
    """The share of joints within 150 mm, or its mean over the 31 thresholds, of a test set in float32.

    Args:
        peer: The public module.
        name: "pck" or "auc".
        poses: Number of poses.
    """
    generator = torch.Generator().manual_seed(2)
    target = 0.3 * torch.randn(poses, 16, 3, generator=generator)
    prediction = target + 0.05 * torch.randn(poses, 16, 3, generator=generator)
    function = getattr(functional, name)
    run_theirs = None
    if peer is not None:
        public = getattr(peer, f"compute_{name.upper()}")

        def run_theirs() -> Any:
            return public(target.numpy(), prediction.numpy())

    # A run of the public AUC takes most of a second: what is counted in poses is repeated.
    counted = (poses, "poses") if name == "pck" else (31 * poses, "poses and thresholds")
    return Work(lambda: function(prediction, target), run_theirs, 0, *counted)
