"""Training and evaluation of VideoPose, by this package and by the public VideoPose3D.

``LIFTPOSE_PEERS`` names a folder that holds a work tree of it, called ``VideoPose3D``.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from work import Work

from liftpose.losses import mpjpe_loss
from liftpose.models import VideoPose
from liftpose.models.lifter import flip_averaged, following
from liftpose.skeletons import H36M_17, mirror

__all__ = ["public_videopose", "videopose_evaluation", "videopose_training_step"]


def public_videopose() -> ModuleType | None:
    """Import the public module of networks, or return None where there is no copy of it."""
    path = Path(os.environ.get("LIFTPOSE_PEERS", "")) / "VideoPose3D" / "common" / "model.py"
    if not os.environ.get("LIFTPOSE_PEERS") or not path.is_file():
        return None
    spec = importlib.util.spec_from_file_location("videopose3d_model", path)
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def videopose_training_step(peer: ModuleType | None, widths: tuple[int, ...], batch: int, channels: int) -> Work:
    """Forward, backward and Adam with AMSGrad, on a batch that is there."""
    ours = VideoPose(filter_widths=widths, channels=channels).train()
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(batch, ours.receptive_field, 17, 2, generator=generator)
    targets = torch.randn(batch, 1, 17, 3, generator=generator)
    our_optimizer = torch.optim.AdamW(ours.parameters(), lr=1e-3, weight_decay=0, amsgrad=True, fused=True)
    run_theirs = None
    if peer is not None:
        theirs = peer.TemporalModelOptimized1f(17, 2, 17, list(widths), channels=channels).train()
        their_optimizer = torch.optim.Adam(theirs.parameters(), lr=1e-3, amsgrad=True)

        def run_theirs() -> Any:
            return _step(theirs, their_optimizer, inputs, targets)

    return Work(lambda: _step(ours, our_optimizer, inputs, targets), run_theirs, moved=0, count=batch, unit="windows")


def _step(model: torch.nn.Module, optimizer: torch.optim.Optimizer, inputs: Tensor, targets: Tensor) -> Tensor:
    optimizer.zero_grad()
    loss = mpjpe_loss(model(inputs), targets)
    loss.backward()
    optimizer.step()
    return loss


def videopose_evaluation(
    peer: ModuleType | None, widths: tuple[int, ...], count: int, channels: int, *, joined: bool
) -> Work:
    """Predictions of successive windows averaged with those of the mirrored ones.

    Args:
        peer: The public module; its form for whole sequences is what it evaluates with.
        widths: Filter widths.
        count: Number of windows.
        channels: Channels.
        joined: Whether the windows are told to follow each other; otherwise each is computed by itself.
    """
    ours = VideoPose(filter_widths=widths, channels=channels).eval()
    sequence = torch.randn(count + ours.receptive_field - 1, 17, 2, generator=torch.Generator().manual_seed(0))
    windows = sequence.unfold(0, ours.receptive_field, 1).permute(0, 3, 1, 2).contiguous()
    follows = following(torch.zeros(count, dtype=torch.long), torch.arange(count)) if joined else None

    @torch.no_grad()
    def run_ours() -> Any:
        return flip_averaged(ours, windows, follows)

    run_theirs = None
    if peer is not None:
        theirs = peer.TemporalModel(17, 2, 17, list(widths), channels=channels).eval()
        both = torch.stack((sequence, mirror(sequence, H36M_17)))  # its generator yields them

        @torch.no_grad()
        def run_theirs() -> Any:
            poses = theirs(both)
            poses[1] = mirror(poses[1], H36M_17)
            return poses.mean(dim=0, keepdim=True)

    return Work(run_ours, run_theirs, moved=0, count=count, unit="windows")
