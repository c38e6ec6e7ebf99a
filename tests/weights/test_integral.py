"""Networks of pictures in other people's files: found out, built, and started from."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.models import HeatmapPose, IntegralPose, ResNet
from liftpose.models.pose_resnet import PoseResNet
from liftpose.skeletons import get_skeleton
from liftpose.weights import (
    as_checkpoint,
    integral_network,
    load_integral,
    published_lifter,
    read_checkpoint,
    start_integral,
    write_network_checkpoint,
)

Write = Callable[..., Path]
SMALL: dict[str, Any] = {"layers": 18, "image_size": (64, 64), "deconv_channels": (8, 8, 8)}


def rows(network: PoseResNet, joint: str) -> Tensor:
    """The rows of a joint in the last layer, weights and bias."""
    place = network.skeleton.index(joint)
    size = network.outputs
    part = slice(place * size, (place + 1) * size)
    return torch.cat((network.final_layer.weight[part].flatten(1), network.final_layer.bias[part, None]), 1)


@pytest.fixture
def trained() -> IntegralPose:
    """A network whose last layer is not what it begins with."""
    network = IntegralPose("mpii_16", **SMALL)
    torch.nn.init.normal_(network.final_layer.weight)
    torch.nn.init.normal_(network.final_layer.bias)
    return network


# -------------------------------------------------------------------------------------------------------- what is in it
@pytest.mark.parametrize("bare", [True, False])
@pytest.mark.parametrize("prefix", ["module.", ""])
@torch.no_grad()
def test_a_public_file_gives_its_networks_numbers(
    bare: bool, prefix: str, trained: IntegralPose, write_public: Write, tmp_path: Path
) -> None:
    path = write_public(tmp_path / "x.pth.tar", trained, bare=bare, prefix=prefix)
    network = load_integral(path, image_size=(64, 64))
    assert isinstance(network, IntegralPose) and not network.training
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(network(images), trained.eval()(images))
    assert network.skeleton.name == "mpii_16"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"skeleton": "h36m_17", "layers": 18}, {"skeleton": "h36m_17", "layers": 18, "depth_bins": 64}),
        ({"skeleton": "mpii_16", "layers": 34}, {"skeleton": "mpii_16", "layers": 34}),
        ({"skeleton": "mpii_16", "layers": 50}, {"deconv_channels": (256, 256, 256), "deconv_kernels": (4, 4, 4)}),
        (
            {"layers": 101, "deconv_channels": (8, 4), "deconv_kernels": (3, 2), "final_kernel": 3},
            {"layers": 101, "deconv_channels": (8, 4), "deconv_kernels": (3, 2), "final_kernel": 3},
        ),
        ({"layers": 152, "skeleton": "humaneva_15"}, {"layers": 152, "skeleton": "humaneva_15"}),
    ],
)
def test_the_weights_tell_the_options(options: dict[str, Any], told: dict[str, Any]) -> None:
    shapes = IntegralPose(**options | {"deconv_channels": options.get("deconv_channels", (256, 256, 256))}).state_dict()
    found = integral_network(shapes, "x")
    assert found is not None and found.system == "IntegralPose"
    assert {name: found.options[name] for name in told} == told
    assert list(found.misfits(options)) == []


def test_options_that_the_weights_contradict_are_named(trained: IntegralPose) -> None:
    found = integral_network(trained.state_dict(), "x")
    assert found is not None
    asked = {"skeleton": "h36m_mpii_order_16", "layers": 18, "deconv_channels": [8, 8, 8], "image_size": [64, 64]}
    assert list(found.misfits(asked)) == []  # 16 joints in MPII's places: the weights do not tell whose
    wrong = {misfit.option: misfit.fitting for misfit in found.misfits(asked | {"skeleton": "h36m_17", "layers": 50})}
    assert wrong == {"skeleton": "mpii_16", "layers": 18}
    with pytest.raises(LiftposeError, match=r"x\.tar: layers: expected 50, found 18"):
        found.build("x.tar", layers=50)


@pytest.mark.parametrize("asked", [{}, {"depth_bins": 32}, {"skeleton": "mpii_16"}, {"skeleton": "h36m_17"}])
def test_other_depths_are_found_by_the_number_of_joints(asked: dict[str, Any]) -> None:
    network = IntegralPose("mpii_16", 18, (64, 64), 32, (8, 8, 8))  # 512 rows: 8 joints of 64 bins are nobody's
    found = integral_network(network.state_dict(), "x")
    assert found is not None
    assert found.complete({})["depth_bins"] == 32
    assert found.complete({})["skeleton"] == "mpii_16"
    wrong = {misfit.option: misfit.fitting for misfit in found.misfits(asked)}
    assert wrong.get("skeleton", "mpii_16") == "mpii_16" and wrong.get("depth_bins", 32) == 32
    assert ("skeleton" in wrong) == (asked.get("skeleton") != "mpii_16")


def test_heat_maps_are_told_from_volumes() -> None:
    network = HeatmapPose(**SMALL)
    legacy = network.state_dict() | {"depth_fc.weight": torch.zeros(1024, 2048), "depth_fc.bias": torch.zeros(1024)}
    found = integral_network(legacy, "x")
    assert found is not None
    assert (found.system, found.left_out) == ("HeatmapPose", ("depth_fc.weight", "depth_fc.bias"))
    assert isinstance(found.build("x", image_size=(64, 64)), HeatmapPose)


def test_files_of_lifters_are_not_taken_for_it(trained: IntegralPose) -> None:
    assert integral_network({"model_pos": {"expand_conv.weight": torch.zeros(1)}}, "x") is None
    assert integral_network({"state_dict": {"lifter.w1.weight": torch.zeros(1)}}, "x") is None
    assert published_lifter(trained.state_dict(), "x") is None


def test_half_a_file_is_refused(reference: Path) -> None:
    path = reference / "golden/epipolar/model_best_partial.pth.tar"
    with pytest.raises(LiftposeError, match=r"expected the weights of a pose network, found no tensor final_layer.w"):
        load_integral(path)


@pytest.mark.parametrize("name", ["deconv_layers.x.weight", "deconv_layers.weight", "deconv_layers.99.weight"])
def test_layers_of_other_names_are_refused(name: str, trained: IntegralPose) -> None:
    weights = {**trained.state_dict(), name: torch.zeros(8, 8, 4, 4)}
    found = integral_network(weights, "x.pth")
    with pytest.raises(LiftposeError, match=r"x\.pth: "):
        assert found is not None
        found.build("x.pth", image_size=(64, 64))


def test_a_last_layer_of_one_number_is_not_taken(trained: IntegralPose, tmp_path: Path) -> None:
    torch.save({**trained.state_dict(), "final_layer.bias": torch.tensor(0.0)}, tmp_path / "x.pth")
    start = start_integral(IntegralPose("mpii_16", **SMALL), tmp_path / "x.pth")
    assert start.joints == () and "final_layer.bias" in start.taken.mismatched


def test_a_file_of_joints_that_nobody_has_is_refused() -> None:
    network = IntegralPose("h36m_17", **SMALL)
    weights = network.state_dict() | {
        "final_layer.weight": torch.zeros(11 * 67, 8, 1, 1),
        "final_layer.bias": torch.zeros(11 * 67),
    }
    with pytest.raises(LiftposeError, match=r"64 maps for each joint of a known skeleton, found 737 maps"):
        integral_network(weights, "x")


def test_as_a_checkpoint_of_liftpose(trained: IntegralPose, write_public: Write, tmp_path: Path) -> None:
    path = write_public(tmp_path / "x.pth.tar", trained, bare=False)
    checkpoint = as_checkpoint(read_checkpoint(path), str(path), path)
    assert checkpoint["state_dict"].keys() == {f"network.{name}" for name in trained.state_dict()}
    assert checkpoint["liftpose_imported"] == "IntegralPose"
    assert "optimizer" not in checkpoint


# -------------------------------------------------------------------------------------------------------- starting from
def test_joints_of_one_name_keep_their_rows(trained: IntegralPose, write_public: Write, tmp_path: Path) -> None:
    network = IntegralPose("h36m_17", **SMALL)
    before = {joint: rows(network, joint).detach().clone() for joint in network.skeleton.joint_names}
    start = start_integral(network, write_public(tmp_path / "x.pth.tar", trained))
    new = {"spine", "neck", "head"}
    assert set(start.new_joints) == new and len(start.joints) == 14 and start.order == "mpii_16"
    for joint in network.skeleton.joint_names:
        wanted = before[joint] if joint in new else rows(trained, joint)
        assert torch.equal(rows(network, joint), wanted), joint
    for name, tensor in trained.state_dict().items():
        if not name.startswith("final_layer"):
            assert torch.equal(network.state_dict()[name], tensor), name
    assert not (start.taken.missing or start.taken.mismatched or start.taken.left_out)


def test_joints_of_one_index_keep_their_rows(trained: IntegralPose, tmp_path: Path) -> None:
    write_network_checkpoint(tmp_path / "x.ckpt", trained, {"skeleton": "mpii_16"}, source="own")
    by_index, by_name = (IntegralPose("h36m_mpii_order_16", **SMALL) for _ in range(2))
    assert start_integral(by_index, tmp_path / "x.ckpt", "by_index").new_joints == ()
    assert torch.equal(by_index.final_layer.weight, trained.final_layer.weight)
    assert start_integral(by_name, tmp_path / "x.ckpt").new_joints == ("neck", "head")
    with pytest.raises(LiftposeError, match=r"expected the 17 joints of h36m_17 to take them by index, found 16"):
        start_integral(IntegralPose("h36m_17", **SMALL), tmp_path / "x.ckpt", "by_index")


@pytest.mark.parametrize("head", ["by_name", "by_index"])
def test_a_file_that_does_not_say_its_order_has_the_networks(
    head: Any, trained: IntegralPose, write_public: Write, tmp_path: Path
) -> None:
    network = IntegralPose("h36m_mpii_order_16", **SMALL)
    start = start_integral(network, write_public(tmp_path / "x.pth.tar", trained), head)
    assert (start.order, start.new_joints) == ("h36m_mpii_order_16", ())
    assert torch.equal(network.final_layer.bias, trained.final_layer.bias)


def test_a_new_last_layer_is_left_as_it_is(trained: IntegralPose, write_public: Write, tmp_path: Path) -> None:
    network = IntegralPose("mpii_16", **SMALL)
    before = network.final_layer.weight.clone()
    start = start_integral(network, write_public(tmp_path / "x.pth.tar", trained), "new")
    assert torch.equal(network.final_layer.weight, before)
    assert start.taken.left_out == ("final_layer.weight", "final_layer.bias")
    assert start.joints == () and "all joints of the last layer are new" in str(start)


@pytest.mark.parametrize("bins", [16, 32])
def test_rows_of_another_depth_are_not_taken(
    bins: int, trained: IntegralPose, write_public: Write, tmp_path: Path
) -> None:
    network = IntegralPose("h36m_17", depth_bins=bins, **SMALL)
    before = network.final_layer.weight.clone()
    start = start_integral(network, write_public(tmp_path / "x.pth.tar", trained))
    assert torch.equal(network.final_layer.weight, before)
    assert start.taken.mismatched == ("final_layer.weight", "final_layer.bias")


def test_volumes_start_from_heat_maps_and_classifiers(
    write_public: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network = IntegralPose("mpii_16", **SMALL)
    with caplog.at_level(logging.WARNING):
        start = start_integral(network, write_public(tmp_path / "heat.pth.tar", HeatmapPose("mpii_16", **SMALL)))
    assert start.taken.mismatched == ("final_layer.weight", "final_layer.bias")
    assert caplog.messages == [str(start)] and "\n" not in str(start)
    trunk = ResNet(18)
    torch.save(trunk.state_dict() | {"fc.weight": torch.zeros(5, 512), "fc.bias": torch.zeros(5)}, tmp_path / "i.pth")
    start = start_integral(network, tmp_path / "i.pth")
    assert torch.equal(network.conv1.weight, trunk.conv1.weight)
    assert start.taken.left_out == ("fc.weight", "fc.bias")
    assert all(name.startswith(("deconv_layers.", "final_layer.")) for name in start.taken.missing)
    assert "weights of a classifier" in str(start)


def test_heat_maps_of_other_joints_start_by_name(write_public: Write, tmp_path: Path) -> None:
    saved, network = HeatmapPose("mpii_16", **SMALL), HeatmapPose("coco_17", **SMALL)
    torch.nn.init.normal_(saved.final_layer.weight)
    start = start_integral(network, write_public(tmp_path / "x.pth.tar", saved))
    assert set(start.joints) == set(get_skeleton("mpii_16").joint_names) & set(network.skeleton.joint_names)
    assert torch.equal(rows(network, "left_knee"), rows(saved, "left_knee"))


def test_a_file_that_cannot_be_started_from_changes_nothing(
    trained: IntegralPose, write_public: Write, tmp_path: Path
) -> None:
    path = write_public(tmp_path / "x.pth.tar", trained)
    network = IntegralPose("mpii_16", **SMALL | {"layers": 34})
    before = network.conv1.weight.clone()
    with pytest.raises(LiftposeError, match=r"model.init_from .*: expected .* ResNet-34, found those of a ResNet-18"):
        start_integral(network, path)
    torch.save({"state_dict": {"lifter.w": torch.zeros(1)}}, tmp_path / "lifter.ckpt")
    with pytest.raises(LiftposeError, match=r"expected the weights of a network that looks at pictures, found state_d"):
        start_integral(network, tmp_path / "lifter.ckpt")
    assert torch.equal(network.conv1.weight, before)
