"""The residual trunk against its definition in torch's functions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.models import ResNet

PARAMETERS = {18: 11_176_512, 34: 21_284_672, 50: 23_508_032, 101: 42_500_160, 152: 58_143_808}
"""Those of torchvision's networks less the classifier."""


def by_definition(weights: dict[str, Tensor], images: Tensor) -> Tensor:
    """Run a residual network in evaluation mode from its weights alone."""

    def norm(maps: Tensor, name: str) -> Tensor:
        return F.batch_norm(
            maps, *(weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        )

    maps = F.relu(norm(F.conv2d(images, weights["conv1.weight"], stride=2, padding=3), "bn1"))
    maps = F.max_pool2d(maps, 3, 2, 1)
    for stage in range(1, 5):
        block = 0
        while f"layer{stage}.{block}.conv1.weight" in weights:
            name, stride = f"layer{stage}.{block}", 2 if block == 0 and stage > 1 else 1
            deep = f"{name}.conv3.weight" in weights
            hidden = maps
            for number in range(1, 4 if deep else 3):
                kernel = weights[f"{name}.conv{number}.weight"]
                here = stride if number == (2 if deep else 1) else 1
                hidden = norm(
                    F.conv2d(hidden, kernel, stride=here, padding=kernel.shape[-1] // 2), f"{name}.bn{number}"
                )
                if number < (3 if deep else 2):
                    hidden = F.relu(hidden)
            if f"{name}.downsample.0.weight" in weights:
                maps = norm(
                    F.conv2d(maps, weights[f"{name}.downsample.0.weight"], stride=stride), f"{name}.downsample.1"
                )
            maps, block = F.relu(maps + hidden), block + 1
    return maps


@pytest.mark.parametrize("layers", [18, 50])
@torch.no_grad()
def test_the_features_are_those_of_the_definition(layers: int) -> None:
    network = ResNet(layers).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.uniform_(0.5, 1.0)
    images = torch.randn(2, 3, 64, 96)
    found = network(images)
    assert found.shape == (2, network.features, 2, 3)
    wanted = by_definition(dict(network.state_dict()), images)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5 * float(wanted.abs().max()))


@pytest.mark.parametrize("layers", PARAMETERS)
def test_the_sizes_are_torchvisions(layers: int) -> None:
    with torch.device("meta"):
        network = ResNet(layers)
    assert sum(parameter.numel() for parameter in network.parameters()) == PARAMETERS[layers]


def test_there_is_no_network_of_other_depths() -> None:
    with pytest.raises(LiftposeError, match=r"layers: expected one of 18, 34, 50, 101, 152, found 20"):
        ResNet(20)  # type: ignore[arg-type]
