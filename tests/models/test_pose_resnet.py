"""Pose networks of pictures: sizes, names, their parts, and the reference outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liftpose.errors import LiftposeError
from liftpose.losses import coordinate_l1_loss, coordinate_smooth_l1_loss
from liftpose.models import HeatmapPose, IntegralPose
from liftpose.models.pose_resnet import mirror_coordinates, predict_flip_averaged
from liftpose.models.soft_argmax import soft_argmax
from liftpose.skeletons import get_skeleton

PARAMETERS = {
    (18, "mpii_16"): 15_635_520,
    (18, "h36m_17"): 15_651_968,
    (34, "mpii_16"): 25_743_680,
    (34, "h36m_17"): 25_760_128,
    (50, "mpii_16"): 34_258_496,
    (50, "h36m_17"): 34_274_944,
    (101, "mpii_16"): 53_250_624,
    (101, "h36m_17"): 53_267_072,
    (152, "mpii_16"): 68_894_272,
    (152, "h36m_17"): 68_910_720,
}
SMALL: dict[str, Any] = {"layers": 18, "image_size": (64, 96), "depth_bins": 4, "deconv_channels": (8, 12, 16)}


@pytest.mark.parametrize(("layers", "skeleton"), PARAMETERS)
def test_the_networks_have_their_published_sizes(layers: Any, skeleton: str) -> None:
    with torch.device("meta"):
        network = IntegralPose(skeleton, layers)
    assert sum(parameter.numel() for parameter in network.parameters()) == PARAMETERS[layers, skeleton]


def test_names_and_shapes_are_the_published_ones(reference: Path) -> None:
    keys = json.loads((reference / "golden/epipolar/state_dict_keys.json").read_text(encoding="utf-8"))
    compared = 0
    for name, shapes in keys.items():
        if not name.endswith("_volume"):
            continue
        skeleton = "h36m_17" if "_j17_" in name else "mpii_16"
        with torch.device("meta"):
            network = IntegralPose(skeleton, int(name.split("_")[0].removeprefix("resnet")))  # type: ignore[arg-type]
        assert {key: list(tensor.shape) for key, tensor in network.state_dict().items()} == shapes
        compared += 1
    assert compared == 6


def test_channel_j_times_d_plus_d_is_bin_d_of_joint_j() -> None:
    network = IntegralPose(**SMALL).eval()
    with torch.no_grad():
        network.final_layer.weight.zero_()
        network.final_layer.bias.copy_(torch.arange(17 * 4))
        volumes = network.volumes(torch.zeros(2, 3, 96, 64))
    assert volumes.shape == (2, 17, 4, 24, 16)
    wanted = torch.arange(17 * 4.0).view(17, 4)
    assert torch.equal(volumes, wanted[None, :, :, None, None].expand_as(volumes))


@torch.no_grad()
def test_the_head_is_its_definition_in_torchs_functions() -> None:
    network = IntegralPose(**SMALL, deconv_kernels=(4, 3, 2), final_kernel=3).eval()
    for module in network.deconv_layers:
        if isinstance(module, nn.ConvTranspose2d):
            module.weight.normal_(std=0.1)
    network.final_layer.weight.normal_(std=0.1)
    images = torch.randn(2, 3, 96, 64)
    maps = network.trunk(images)
    for place, (padding, extra) in zip((0, 3, 6), ((1, 0), (1, 1), (0, 0)), strict=True):
        state = {name: tensor for name, tensor in network.state_dict().items() if name.startswith("deconv_layers")}
        maps = F.conv_transpose2d(
            maps, state[f"deconv_layers.{place}.weight"], stride=2, padding=padding, output_padding=extra
        )
        norm = f"deconv_layers.{place + 1}"
        parts = (state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        maps = F.relu(F.batch_norm(maps, *parts))
    maps = F.conv2d(maps, network.final_layer.weight, network.final_layer.bias, padding=1)
    assert maps.shape == (2, 17 * 4, 24, 16)
    volumes = network.volumes(images)
    torch.testing.assert_close(volumes, maps.view(2, 17, 4, 24, 16), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network(images), soft_argmax(maps.view(2, 17, 4, 24, 16)), rtol=1e-4, atol=1e-5)


def test_a_new_network_expects_every_joint_in_the_middle() -> None:
    network = IntegralPose(**SMALL)
    with torch.no_grad():
        found = network(torch.randn(4, 3, 96, 64))
    edges = torch.tensor([1 / 16, 1 / 24, 1 / 4]) / 2  # bins stand for their left edges
    assert (found + edges).abs().max() < 1e-2
    with torch.no_grad():
        half = IntegralPose(**SMALL, half_pixel=True)(torch.randn(4, 3, 96, 64))
    assert half.abs().max() < 1e-2


@torch.no_grad()
def test_confidence_is_the_peak_in_the_picture() -> None:
    network = IntegralPose(**SMALL).eval()
    network.final_layer.weight.normal_(std=3)
    network.deconv_layers[6].weight.normal_(std=1)
    images = torch.randn(3, 3, 96, 64)
    coordinates, confidence = network.predict(images)
    probabilities = network.volumes(images).flatten(2).softmax(-1).view(3, 17, 4, 24, 16)
    torch.testing.assert_close(confidence, probabilities.sum(2).amax((2, 3)))
    torch.testing.assert_close(coordinates, network(images))


def test_coordinates_stay_in_32_bits_under_mixed_precision() -> None:
    network = IntegralPose(**SMALL)
    with torch.autocast("cpu", torch.bfloat16):
        volumes, coordinates = network.volumes(torch.randn(2, 3, 96, 64)), network(torch.randn(2, 3, 96, 64))
    assert volumes.dtype == torch.bfloat16
    assert coordinates.dtype == torch.float32


def test_heat_maps_are_one_for_each_joint() -> None:
    network = HeatmapPose(layers=18, image_size=(64, 96), deconv_channels=(8, 8, 8)).eval()
    assert network.final_layer.weight.shape == (16, 8, 1, 1)
    assert network(torch.zeros(2, 3, 96, 64)).shape == (2, 16, 24, 16)


def test_weights_and_moments_keep_their_layout_through_a_file(tmp_path: Path) -> None:
    def step(network: IntegralPose, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        coordinate_l1_loss(network(images), labels).backward()
        optimizer.step()

    images, labels = torch.randn(2, 3, 96, 64), torch.rand(2, 17, 3) - 0.5
    first, second = IntegralPose(**SMALL), IntegralPose(**SMALL)
    optimizers = [torch.optim.Adam(network.parameters(), fused=True) for network in (first, second)]
    step(first, optimizers[0])
    torch.save([first.state_dict(), optimizers[0].state_dict()], tmp_path / "x.pt")
    weights, moments = torch.load(tmp_path / "x.pt", weights_only=True)
    second.load_state_dict(weights)
    optimizers[1].load_state_dict(moments)
    assert first.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    for network, optimizer in zip((first, second), optimizers, strict=True):
        assert optimizer.state[network.conv1.weight]["exp_avg"].stride() == network.conv1.weight.stride()
        step(network, optimizer)
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name


# ---------------------------------------------------------------------------------------------------------------- flip
def test_mirrored_coordinates_are_those_of_mirrored_pixels() -> None:
    skeleton, width = get_skeleton("h36m_17"), 48
    pixels = torch.rand(5, 17, dtype=torch.float64) * width
    labels = torch.stack((pixels / width - 0.5, torch.rand_like(pixels), torch.rand_like(pixels)), -1)
    mirrored = mirror_coordinates(labels, skeleton, width)
    index = list(skeleton.mirror_index)
    torch.testing.assert_close((mirrored[..., 0] + 0.5) * width, width - 1 - pixels[:, index])
    assert torch.equal(mirrored[..., 1:], labels[:, index, 1:])
    torch.testing.assert_close(mirror_coordinates(mirrored, skeleton, width), labels)


@torch.no_grad()
def test_flip_averaged_places_agree_with_those_of_the_mirrored_pictures() -> None:
    network = IntegralPose(**SMALL).eval()
    network.final_layer.weight.normal_(std=3)
    images = torch.randn(2, 3, 96, 64)
    found, sure = predict_flip_averaged(network, images)
    other, other_sure = predict_flip_averaged(network, images.flip(-1))
    torch.testing.assert_close(mirror_coordinates(other, network.skeleton, 64), found)
    torch.testing.assert_close(other_sure[:, list(network.skeleton.mirror_index)], sure)
    assert (found - network(images)).abs().max() > 1e-3


# ----------------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": (64, 60)}, r"image_size: expected .* multiples of 32 pixels, found 64,60"),
        ({"image_size": (64, 64, 3)}, r"image_size: expected a width and a height"),
        ({"deconv_kernels": (4, 4)}, r"deconv_kernels: expected one for each of the 3 deconvolutions, found 2"),
        ({"deconv_kernels": (4, 4, 5)}, r"deconv_kernels: expected kernels of 4, 3 or 2, found \(4, 4, 5\)"),
        ({"final_kernel": 2}, r"final_kernel: expected 1 or 3, found 2"),
        ({"depth_bins": 0}, r"depth_bins: expected at least 1, found 0"),
        ({"deconv_channels": (8, 0, 8)}, r"deconv_channels: expected at least 1, found 0"),
        ({"skeleton": "nobody"}, r"nobody"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LiftposeError, match=message):
        IntegralPose(**SMALL | options)


def test_pictures_of_another_size_are_refused() -> None:
    network = IntegralPose(**SMALL)
    with pytest.raises(ValueError, match=r"expected images \(B, 3, 96, 64\), found shape \(1, 3, 64, 96\)"):
        network(torch.zeros(1, 3, 64, 96))


# -------------------------------------------------------------------------------------------------------------- golden
def golden_images(phase: float) -> Tensor:
    b, c, h, w = np.ogrid[:2, :3, :64, :64]
    waves = 1.5 * np.sin(0.05 * h * (c + 1) + 0.11 * w + 0.9 * b + phase) + 0.5 * np.cos(0.021 * h * w + c)
    return torch.from_numpy(waves.astype(np.float32))


@pytest.mark.parametrize(("layers", "skeleton"), [(18, "h36m_17"), (50, "mpii_16")])
@torch.no_grad()
def test_the_public_networks_numbers_are_reached(layers: Any, skeleton: str, by_rule: Any, reference: Path) -> None:
    golden = np.load(reference / "golden/epipolar/model.npz")
    prefix = f"r{layers}_j{len(get_skeleton(skeleton))}_"
    network = by_rule(IntegralPose(skeleton, layers, (64, 64), 16), int(golden["shift"])).eval()
    images = golden_images(float(golden["phase"]))
    volumes = network.volumes(images)
    maps = volumes.flatten(1, 2).numpy()
    assert maps.shape == tuple(golden[f"{prefix}hm_shape"])
    scale = np.abs(golden[f"{prefix}hm_j0"]).max()
    np.testing.assert_allclose(maps[:, :16, ::2, ::2], golden[f"{prefix}hm_j0"], rtol=1e-5, atol=1e-5 * scale)
    np.testing.assert_allclose(maps[:, ::37, ::3, ::3], golden[f"{prefix}hm_sub"], rtol=1e-5, atol=1e-5 * scale)
    coordinates = network(images)
    np.testing.assert_allclose(coordinates, golden[f"{prefix}coords"], rtol=0, atol=2e-6)


@pytest.mark.parametrize("loss", ["L1", "SmoothL1"])
def test_the_public_training_step_is_reached(loss: str, by_rule: Any, reference: Path) -> None:
    golden = np.load(reference / "golden/epipolar/model.npz")
    name = next(key for key in golden.files if key.endswith("_loss") and key.startswith(f"r18_j17_train_{loss}"))
    stem = name.removesuffix("_loss")
    network = by_rule(IntegralPose("h36m_17", 18, (64, 64), 16), int(golden["shift"])).train()
    prediction = network(golden_images(float(golden["phase"])))
    label, weight = (torch.from_numpy(golden[f"r18_j17_train_{part}"]).view(2, 17, 3) for part in ("label", "weight"))
    if loss == "L1":
        value = coordinate_l1_loss(prediction, label, weight, "batch")
    else:
        value = coordinate_smooth_l1_loss(prediction, label, weight, "batch", switch=1.0)
    value.backward()
    np.testing.assert_allclose(value.item(), golden[name], rtol=2e-6)
    parameters = dict(network.named_parameters())
    layers = (
        *("conv1.weight", "layer2.0.downsample.0.weight", "layer4.1.conv2.weight", "deconv_layers.0.weight"),
        *("deconv_layers.7.bias", "final_layer.weight", "final_layer.bias"),
    )
    norms = [float(parameters[layer].grad.double().norm()) for layer in layers]  # float32 sums lose 1e-4
    np.testing.assert_allclose(norms, golden[f"{stem}_gradnorm"], rtol=2e-5)
    after = golden["r18_j17_train_running_mean_bn1_after"]
    np.testing.assert_allclose(network.bn1.running_mean, after, rtol=1e-4, atol=1e-6)
    bias = golden[f"{stem}_grad_final_bias"]
    np.testing.assert_allclose(
        parameters["final_layer.bias"].grad[:64], bias, rtol=1e-4, atol=1e-5 * float(np.abs(bias).max())
    )
