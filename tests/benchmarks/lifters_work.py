"""Training and evaluation of the lifters of DH-AUG and PoseAug, by this package and by their public code.

``LIFTPOSE_PEERS`` names a folder that holds work trees of both, called ``PoseAug`` and ``DH-AUG``.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from unittest.mock import MagicMock, patch

import torch
from torch import Tensor, nn
from work import Work

from liftpose.losses import mse_loss
from liftpose.models import STGCN, Lifter, PoseFormer, SemGCN, SimpleBaseline
from liftpose.models.graphs import neighbours
from liftpose.models.lifter import flip_averaged, following
from liftpose.skeletons import H36M_16, mirror

__all__ = ["LIFTERS", "lifter_evaluation", "lifter_training_step", "our_lifter", "public_lifter"]


class _Drop(nn.Module):
    """Stochastic depth as the timm package has it, of which the public code takes it."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, added: Tensor) -> Tensor:
        if not self.training:
            return added
        return added * added.new_empty(len(added), 1, 1).bernoulli_(1 - self.p).div_(1 - self.p)


def _rearrange(array: Tensor, pattern: str, f: int = 0) -> Tensor:
    """Do what the public code has the einops package do."""
    if pattern.strip().endswith("b f (w c)"):
        return array.reshape(-1, f, array.shape[1] * array.shape[2])
    return array.permute(0, 2, 3, 1).flatten(0, 1)


def _stand_ins() -> dict[str, ModuleType]:
    names = ("einops", "timm", "timm.data", "timm.models", "timm.models.helpers", "timm.models.layers")
    modules: dict[str, Any] = {name: MagicMock() for name in (*names, "timm.models.registry")}
    modules["einops"].rearrange = _rearrange
    modules["timm.models.layers"].DropPath = _Drop
    return modules


class _Network(NamedTuple):
    """A network here and there.

    Args:
        folder: Work tree of the public code.
        module: Its module.
        theirs: Builds the public network from the module.
        ours: Builds ours; takes whether it is to have no dropout.
        batch: Windows in a batch.
    """

    folder: str
    module: str
    theirs: Callable[[Any, bool], nn.Module]
    ours: Callable[[bool], Lifter]
    batch: int


def _poseformer(frames: int, batch: int) -> _Network:
    return _Network(
        "DH-AUG/DH-AUG_master",
        "models_baseline.poseformer.model_poseformer",
        lambda module, plain: module.PoseTransformer(
            frames, 16, 2, 32, 4, 8, 2.0, qkv_bias=True, drop_path_rate=0 if plain else 0.1
        ),
        lambda plain: PoseFormer(frames=frames, stochastic_depth=0 if plain else 0.1),
        batch,
    )


LIFTERS = {
    "SimpleBaseline": _Network(
        "PoseAug",
        "models_baseline.mlp.linear_model",
        lambda module, plain: module.LinearModel(32, 45, num_stage=2, p_dropout=0 if plain else 0.25),
        lambda plain: SimpleBaseline(dropout=0 if plain else 0.25),
        1024,
    ),
    "SemGCN": _Network(
        "PoseAug",
        "models_baseline.gcn.sem_gcn",
        lambda module, plain: module.SemGCN(neighbours(H36M_16).to(torch.get_default_dtype()), 128, p_dropout=0.0),
        lambda plain: SemGCN(),
        1024,
    ),
    "ST-GCN": _Network(
        "PoseAug",
        "models_baseline.models_st_gcn.st_gcn_single_frame_test",
        lambda module, plain: module.WrapSTGCN(0.0 if plain else -1),
        lambda plain: STGCN(dropout=0 if plain else None),
        256,
    ),
    "PoseFormer, 9 frames": _poseformer(9, 128),
    "PoseFormer, 27 frames": _poseformer(27, 64),
}
"""The lifters by name."""


def our_lifter(name: str, *, plain: bool = False) -> Lifter:
    """Build a lifter.

    Args:
        name: One of :data:`LIFTERS`.
        plain: Whether it has no dropout.
    """
    return LIFTERS[name].ours(plain)


def public_lifter(name: str, *, plain: bool = False) -> nn.Module | None:
    """Build a network of the public code, or return None where there is no copy of it.

    Args:
        name: One of :data:`LIFTERS`.
        plain: Whether it has no dropout.
    """
    network = LIFTERS[name]
    folder = os.environ.get("LIFTPOSE_PEERS")
    root = Path(folder or "") / network.folder
    if not folder or not (root / network.module.replace(".", "/")).with_suffix(".py").is_file():
        return None
    if not torch.cuda.is_available():
        torch.Tensor.cuda = lambda tensor, *_, **__: tensor  # type: ignore[method-assign]  # where it insists on a GPU
    with patch.dict(sys.modules, _stand_ins()), patch.object(sys, "path", [str(root), *sys.path]):
        for loaded in [loaded for loaded in sys.modules if loaded.partition(".")[0] == "models_baseline"]:
            del sys.modules[loaded]  # that of the other work tree
        module = importlib.import_module(network.module)
    return network.theirs(module, plain)


def _theirs_as_ours(network: nn.Module, inputs: Tensor) -> Tensor:
    """Run a public network on windows (B, T, 16, 2): (B, 1, 16, 3)."""
    given = inputs if inputs.shape[1] > 1 else inputs[:, 0]
    poses: Tensor = network(given)
    return poses.view(len(inputs), 1, 16, 3)


def _data(name: str, lifter: Lifter) -> tuple[Tensor, Tensor]:
    generator, batch = torch.Generator().manual_seed(0), LIFTERS[name].batch
    inputs = torch.rand(batch, lifter.receptive_field, 16, 2, generator=generator) * 2 - 1
    return inputs, torch.randn(batch, 1, 16, 3, generator=generator)


def lifter_training_step(name: str, *, theirs: bool = True) -> Work:
    """Forward, backward, clipping and Adam, on a batch that is there.

    Args:
        name: One of :data:`LIFTERS`.
        theirs: Whether the public code runs beside.
    """
    ours = our_lifter(name).train()
    inputs, targets = _data(name, ours)
    our_optimizer = torch.optim.AdamW(ours.parameters(), lr=1e-4, weight_decay=0, fused=True)

    def step(model: Callable[[Tensor], Tensor], network: nn.Module, optimizer: torch.optim.Optimizer) -> Tensor:
        optimizer.zero_grad()
        loss = mse_loss(model(inputs), targets)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1)
        optimizer.step()
        return loss

    public = public_lifter(name) if theirs else None
    run_theirs = None
    if public is not None:
        ours.load_state_dict(public.state_dict())
        their_optimizer = torch.optim.Adam(public.parameters(), lr=1e-4)

        def run_theirs() -> Any:
            return step(lambda given: _theirs_as_ours(public, given), public.train(), their_optimizer)

    return Work(lambda: step(ours, ours, our_optimizer), run_theirs, moved=0, count=len(inputs), unit="windows")


def lifter_evaluation(name: str, *, theirs: bool = True) -> Work:
    """Predictions of successive windows averaged with those of the mirrored ones.

    Args:
        name: One of :data:`LIFTERS`.
        theirs: Whether the public code runs beside.
    """
    ours = our_lifter(name).eval()
    count = LIFTERS[name].batch
    sequence = torch.rand(count + ours.receptive_field - 1, 16, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    windows = sequence.unfold(0, ours.receptive_field, 1).permute(0, 3, 1, 2).contiguous()
    follows = following(torch.zeros(count, dtype=torch.long), torch.arange(count))
    public = public_lifter(name) if theirs else None

    @torch.no_grad()
    def run_ours() -> Tensor:
        return flip_averaged(ours, windows, follows)

    run_theirs = None
    if public is not None:
        ours.load_state_dict(public.state_dict())
        public.eval()

        @torch.no_grad()
        def run_theirs() -> Tensor:
            straight = _theirs_as_ours(public, windows)
            mirrored = _theirs_as_ours(public, mirror(windows, H36M_16))
            return (straight + mirror(mirrored, H36M_16)) / 2

    return Work(run_ours, run_theirs, moved=0, count=count, unit="windows")
