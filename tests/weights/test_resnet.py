"""Weights of torchvision's networks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from liftpose.errors import LiftposeError
from liftpose.models import ResNet
from liftpose.weights import load_resnet, read_checkpoint
from liftpose.weights.resnet import take_over, trunk_layers


def imagenet(layers: int, *, counters: bool = True) -> dict[str, torch.Tensor]:
    """A state dict as torchvision has it; old ones have no counters of batches."""
    network = ResNet(layers)  # type: ignore[arg-type]
    for tensor in network.buffers():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    weights = {name: tensor for name, tensor in network.state_dict().items() if counters or "num_batches" not in name}
    return weights | {"fc.weight": torch.randn(1000, network.features), "fc.bias": torch.randn(1000)}


@pytest.mark.parametrize(("layers", "counters"), [(18, True), (50, False)])
def test_a_classifier_is_taken_without_its_last_layer(layers: int, counters: bool, tmp_path: Path) -> None:
    weights = imagenet(layers, counters=counters)
    torch.save(weights, tmp_path / "resnet.pth")
    network = load_resnet(tmp_path / "resnet.pth")
    assert network.layers == layers and not network.training
    for name, tensor in network.state_dict().items():
        if "num_batches" not in name:
            assert torch.equal(tensor, weights[name]), name


@pytest.mark.parametrize("layers", [18, 34, 50, 101, 152])
def test_the_names_tell_the_depth(layers: int) -> None:
    with torch.device("meta"):
        assert trunk_layers(ResNet(layers).state_dict(), "x") == layers  # type: ignore[arg-type]


def test_another_trunk_is_refused(tmp_path: Path) -> None:
    weights = imagenet(18)
    del weights["layer3.1.conv1.weight"]
    torch.save(weights, tmp_path / "x.pth")
    with pytest.raises(LiftposeError, match=r"x\.pth: expected .* ResNet of 18, 34, .* found 2, 2, 1, 2 blocks"):
        load_resnet(tmp_path / "x.pth")


def test_half_a_trunk_is_refused(tmp_path: Path) -> None:
    weights = imagenet(18)
    del weights["bn1.weight"]
    weights["layer1.0.bn1.bias"] = torch.zeros(3)
    torch.save(weights, tmp_path / "x.pth")
    with pytest.raises(LiftposeError, match=r"whole trunk of a ResNet-18, .* 1 not in the file \(bn1.weight\), 1 of"):
        load_resnet(tmp_path / "x.pth")


def test_every_weight_is_accounted_for() -> None:
    network = torch.nn.Linear(2, 3)
    before = network.weight.clone()
    found = take_over(network, {"weight": torch.zeros(2, 2), "other": torch.zeros(1)})
    assert found == ((), ("bias",), ("weight",), ("other",))
    assert torch.equal(network.weight, before)
    assert (
        str(found) == "0 tensors taken over, 1 not in the file (bias), 1 of another shape (weight), 1 left out (other)"
    )
    assert take_over(network, {"bias": torch.full((3,), 7.0)}).matched == ("bias",)
    assert network.bias.tolist() == [7, 7, 7]


def test_the_public_files_can_be_read(reference: Path) -> None:
    folder = reference / "golden/epipolar"
    training = read_checkpoint(folder / "ckpt_partial_legacy.pth.tar")
    best = read_checkpoint(folder / "model_best_partial.pth.tar")
    assert set(training) == {"epoch", "model", "state_dict", "perf", "optimizer"}
    assert training["epoch"] == 7
    assert len(training["state_dict"]) == 7
    assert set(best) == set(training["state_dict"])
    for name, tensor in best.items():
        assert tensor.shape == training["state_dict"][name].shape
