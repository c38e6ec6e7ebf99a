"""The network of pictures: the expectation of volumes and a training step, beside the plain way of writing them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from work import Work

from liftpose.losses import coordinate_l1_loss
from liftpose.models import IntegralPose
from liftpose.models.soft_argmax import soft_argmax

__all__ = ["expectation", "plainly", "training_step"]

JOINTS = 17


def plainly(volumes: Tensor) -> Tensor:
    """The expectation in torch's own operations, which keep every intermediate volume for the gradient."""
    *_, depth, height, width = volumes.shape
    probabilities = volumes.float().flatten(2).softmax(2).view(volumes.shape)
    marginals = (probabilities.sum((2, 3)), probabilities.sum((2, 4)), probabilities.sum((3, 4)))
    places = [
        (marginal * torch.arange(size, dtype=marginal.dtype)).sum(-1) / size - 0.5
        for marginal, size in zip(marginals, (width, height, depth), strict=True)
    ]
    return torch.stack(places, -1)


def expectation(samples: int, bins: int, side: int, dtype: torch.dtype) -> Work:
    """Coordinates of a batch of volumes, and the gradient of their scores."""
    maps = torch.randn(samples, JOINTS * bins, side, side).to(dtype).contiguous(memory_format=torch.channels_last)
    maps.requires_grad_(True)
    weights = torch.randn(samples, JOINTS, 3)

    def run(function: Callable[[Tensor], Tensor]) -> Callable[[], Any]:
        def both() -> Tensor | None:
            maps.grad = None
            (function(maps.view(samples, JOINTS, bins, side, side)) * weights).sum().backward()
            return maps.grad

        return both

    return Work(run(soft_argmax), run(plainly), moved=0, count=samples, unit="volumes")


def training_step(samples: int, side: int, bins: int, channels: int) -> Work:
    """A training step in bf16 with channels last, and in float32 with torch's defaults."""
    torch.manual_seed(0)
    images, labels = torch.randn(samples, 3, side, side), torch.rand(samples, JOINTS, 3) - 0.5
    steps = []
    for ours in (True, False):
        network = IntegralPose("h36m_17", 18, (side, side), bins, (channels,) * 3)
        if not ours:
            network = network.to(memory_format=torch.contiguous_format)
        optimizer = torch.optim.Adam(network.parameters(), fused=True)

        def step(
            ours: bool = ours, network: IntegralPose = network, optimizer: torch.optim.Optimizer = optimizer
        ) -> Tensor:
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=ours):
                volumes = network.volumes(images)
                loss = coordinate_l1_loss(soft_argmax(volumes) if ours else plainly(volumes), labels)
            loss.backward()
            optimizer.step()
            return loss.detach()

        steps.append(step)
    return Work(*steps, moved=0, count=samples, unit="images")
