"""Files of the papers' public code: told apart, read whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.models import RIE, VideoPose
from liftpose.weights import (
    as_checkpoint,
    load_rie,
    load_videopose,
    published_lifter,
    read_checkpoint,
    read_lifter_weights,
    write_lifter_checkpoint,
)
from liftpose.weights.published import read_published
from liftpose.weights.rie import rie_state_dict_to_public

Weights = dict[str, Tensor]
Make = Callable[..., Weights]
GOLDEN = Path(__file__).parents[1] / "golden" / "rie"
RIE_SIZE: dict[str, Any] = {"channels": 4, "latent_dim": 5, "hidden_dim": 6, "filter_widths": (3, 3)}


def by_definition(weights: Weights, keypoints: Tensor, widths: tuple[int, ...]) -> Tensor:
    """The network in torch's own layers: (B, N, J, 2) -> (B, N - T + 1, K, 3)."""

    def layer(values: Tensor, conv: str, norm: str, dilation: int = 1) -> Tensor:
        values = F.conv1d(values, weights[f"{conv}.weight"], dilation=dilation)
        names = ("running_mean", "running_var", "weight", "bias")
        return F.relu(F.batch_norm(values, *(weights[f"{norm}.{name}"] for name in names)))

    values = layer(keypoints.flatten(2).mT, "expand_conv", "expand_bn")
    dilation = widths[0]
    for k, width in enumerate(widths[1:]):
        cut = (width - 1) * dilation // 2
        carried = values[:, :, cut : values.shape[2] - cut]
        values = layer(values, f"layers_conv.{2 * k}", f"layers_bn.{2 * k}", dilation)
        values = carried + layer(values, f"layers_conv.{2 * k + 1}", f"layers_bn.{2 * k + 1}")
        dilation *= width
    poses = F.conv1d(values, weights["shrink.weight"], weights["shrink.bias"]).mT
    return poses.unflatten(2, (-1, 3))


def public_file(path: Path, weights: Weights, **more: Any) -> Path:
    """A file as the public code of RIE and VideoPose3D saves it."""
    torch.save(
        {"epoch": 80, "lr": 1e-5, "random_state": np.random.RandomState(1), "optimizer": {}, "model_pos": weights}
        | more,
        path,
    )
    return path


# --------------------------------------------------------------------------------------------------------- VideoPose3D
@pytest.mark.parametrize(
    ("keypoints", "joints", "skeletons"),
    [
        (17, 17, ("h36m_17", "h36m_17", True)),
        (17, 15, ("humaneva_15", "coco_17", True)),
        (15, 15, ("humaneva_15", "humaneva_15", True)),
        (16, 16, ("h36m_16", "h36m_16", True)),
        (16, 15, ("h36m_16", "h36m_16", False)),
    ],
)
@pytest.mark.parametrize("prefix", ["", "module."])
@torch.no_grad()
def test_published_videopose_weights_give_their_numbers(
    keypoints: int, joints: int, skeletons: tuple[str, str, bool], prefix: str, public_videopose: Make, tmp_path: Path
) -> None:
    weights = public_videopose((3, 5), 6, keypoints, joints)
    path = public_file(tmp_path / "x.bin", {f"{prefix}{name}": value for name, value in weights.items()})
    model = load_videopose(path)
    assert (model.skeleton.name, model.keypoint_skeleton.name, model.predict_root) == skeletons
    assert (model.filter_widths, model.training) == ((3, 5), False)
    sequence = torch.randn(2, 20, keypoints, 2)
    poses = model(sequence)[:, :, 0 if skeletons[2] else 1 :]
    torch.testing.assert_close(poses, by_definition(weights, sequence, (3, 5)), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(load_videopose(weights, dropout=0.5)(sequence), model(sequence))


def test_files_from_before_torch_counted_batches(public_videopose: Make) -> None:
    weights = {name: value for name, value in public_videopose().items() if "num_batches" not in name}
    assert int(load_videopose(weights).expand_norm.num_batches_tracked) == 0
    assert int(load_videopose(public_videopose()).expand_norm.num_batches_tracked) == 7


def test_a_model_of_the_trajectory_is_left_out(public_videopose: Make, tmp_path: Path) -> None:
    path = public_file(tmp_path / "x.bin", public_videopose(), model_traj=public_videopose(joints=1))
    published = read_published(path)
    assert published is not None
    assert published.left_out == ("model_traj",)
    path = public_file(tmp_path / "y.bin", public_videopose(), model_traj=None)  # as supervised runs save it
    found = read_published(path)
    assert found is not None and found.left_out == ()
    assert published.options["skeleton"] == "h36m_17"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers_bn.1.weight": None}, "expected the weights of VideoPose3D, found no tensor layers_bn.1.weight"),
        ({"expand_conv.weight": None}, "found no tensor expand_conv.weight"),
        ({"shrink.bias": "text"}, "found no tensor shrink.bias"),
        ({"other": torch.zeros(1)}, "expected the weights of VideoPose3D only, found other too"),
        ({"layers_conv.0.weight": torch.zeros(6, 6, 4)}, r"filter_widths: expected odd positive numbers, found \(3, 4"),
        ({"layers_conv.0.weight": torch.zeros(6, 5, 3)}, r"blocks.0.conv.weight: expected the shape \(1, 3, 6, 6\)"),
        ({"layers_conv.1.weight": torch.zeros(6)}, r"found layers_conv.1.weight of shape \(6,\)"),
        ({"expand_bn.weight": torch.zeros(5)}, r"expand_norm.weight: expected the shape \(1, 6\), found the shape"),
        (
            {"shrink.bias": torch.zeros(51).to_sparse()},
            "shrink.bias: expected floating point numbers, found torch.spars",
        ),
        (
            {"expand_bn.bias": torch.ones(6).to(torch.float8_e4m3fn)},
            "expand_bn.bias: expected floating point numbers, found torch.float8_e4m3fn",
        ),
        (
            {"expand_bn.bias": torch.ones(6).long()},
            "expand_bn.bias: expected floating point numbers, found torch.int64",
        ),
        (
            {"expand_bn.bias": torch.ones(6) * 1j},
            "expand_bn.bias: expected floating point numbers, found torch.complex64",
        ),
        (
            {"expand_bn.running_var": torch.full((6,), torch.nan)},
            "expand_bn.running_var: expected finite numbers, found",
        ),
        ({"module.shrink.bias": torch.zeros(51)}, "expected weights with names of their own, found shrink.bias twice"),
        (
            {"shrink.weight": torch.zeros(33, 6, 1), "shrink.bias": torch.zeros(33)},
            "for the joints of a skeleton that is known, found 11",
        ),
        (
            {"shrink.weight": torch.zeros(50, 6, 1), "shrink.bias": torch.zeros(50)},
            "shrink.bias: expected three numbers for each joint, found 50",
        ),
    ],
)
def test_weights_that_are_not_whole(changes: Weights, message: str, public_videopose: Make, tmp_path: Path) -> None:
    weights = {name: value for name, value in (public_videopose() | changes).items() if value is not None}
    with pytest.raises(LiftposeError, match=message) as caught:
        load_videopose(public_file(tmp_path / "broken.bin", weights))
    assert str(caught.value).startswith(str(tmp_path / "broken.bin"))
    assert "\n" not in str(caught.value)


def test_options_that_contradict_the_weights(public_videopose: Make) -> None:
    weights = public_videopose((3, 3), 6, 17, 15)
    with pytest.raises(LiftposeError, match="weights: channels: expected 8, found 6"):
        load_videopose(weights, channels=8)
    with pytest.raises(LiftposeError, match="filter_widths: expected 3,5, found 3,3"):
        load_videopose(weights, filter_widths=[3, 5])
    with pytest.raises(LiftposeError, match="weights: skeleton: expected h36m_17, found"):
        load_videopose(weights, skeleton="h36m_17")
    model = load_videopose(weights, skeleton="h36m_16", causal=True)  # 15 joints and the root
    assert (model.predict_root, model.keypoint_skeleton.name, model.current_frame) == (False, "coco_17", 8)
    assert load_videopose(weights, keypoint_skeleton="h36m_17").keypoint_skeleton.name == "h36m_17"


# ---------------------------------------------------------------------------------------------------------- told apart
def test_the_systems_are_told_apart_by_their_keys(public_videopose: Make, tmp_path: Path) -> None:
    rie = rie_state_dict_to_public(RIE(**RIE_SIZE).state_dict())
    for weights, system in ((rie, "RIE"), (public_videopose(), "VideoPose3D")):
        for entry in ("model_pos", "state_dict"):  # PoseAug's code saves the second
            published = published_lifter({"epoch": 3, entry: weights}, "x.bin")
            assert published is not None
            assert published.system == system
    with pytest.raises(LiftposeError, match="weights: expected weights of VideoPose3D, found RIE"):
        load_videopose(rie)
    with pytest.raises(
        LiftposeError, match=r"x.bin: expected weights of RIE, .* or PoseFormer in model_pos, found encoder"
    ):
        published_lifter({"model_pos": {"encoder.w": torch.zeros(1)}}, "x.bin")
    with pytest.raises(LiftposeError, match="in model_pos, found nothing"):
        published_lifter({"model_pos": {}}, "x.bin")
    assert published_lifter({"state_dict": {"lifter.shrink.bias": torch.zeros(1)}}, "x.ckpt") is None
    assert published_lifter({"epoch": 3}, "x.ckpt") is None


@pytest.mark.parametrize("skeleton", ["humaneva_15", "h36m_16", "h36m_17"])
def test_what_the_weights_of_rie_tell(skeleton: str) -> None:
    for stage, told in ((1, 1), (2, 3), (3, 3)):
        model = RIE(skeleton, stage=stage, **RIE_SIZE)
        published = published_lifter({"model_pos": rie_state_dict_to_public(model.state_dict())}, "x.bin")
        assert published is not None
        assert published.options == {**RIE_SIZE, "stage": told, "skeleton": skeleton, "current": "auto"}
        asked = {**RIE_SIZE, "filter_widths": [3, 3], "stage": stage, "skeleton": skeleton}
        assert list(published.misfits(asked)) == []
        wrong = [misfit.option for misfit in published.misfits({**asked, "latent_dim": 4, "stage": 2})]
        assert wrong == (["latent_dim", "stage"] if stage == 1 else ["latent_dim"])
        assert [tuple(misfit) for misfit in published.misfits({**asked, "causal": True})] == [
            ("current", "auto", "middle")
        ]


@torch.no_grad()
def test_a_network_of_rie_is_built_as_load_rie_does() -> None:
    path = GOLDEN / "checkpoint_old_pickle_s1_a33.bin"
    published = read_published(path)
    assert published is not None
    model, other = published.build("x", causal=True), load_rie(path, causal=True)
    window = torch.randn(2, 9, 17, 2)
    assert torch.equal(model(window), other(window))
    assert model.identity == other.identity


# --------------------------------------------------------------------------------------------------------- checkpoints
def test_a_published_file_as_a_checkpoint(public_videopose: Make) -> None:
    own = {"state_dict": {"lifter.weight": torch.zeros(1)}, "epoch": 3}
    assert as_checkpoint(own, "x.ckpt", "x.ckpt") is own
    state = as_checkpoint({"model_pos": public_videopose()}, "x.bin", "x.bin")["state_dict"]
    assert set(state) == {f"lifter.{name}" for name in VideoPose(filter_widths=(3, 3), channels=6).state_dict()}


def test_what_is_imported_can_be_read_again(public_videopose: Make, tmp_path: Path) -> None:
    published = published_lifter({"model_pos": public_videopose(joints=15)}, "x.bin")
    assert published is not None
    model, options = published.build("x.bin", causal=True), published.complete({"causal": True})
    write_lifter_checkpoint(tmp_path / "deep" / "x.ckpt", model, options, source="VideoPose3D")
    content = read_checkpoint(tmp_path / "deep" / "x.ckpt")
    lifter = content["hyper_parameters"]["lifter"]
    assert lifter == {
        "class_path": "liftpose.models.VideoPose",
        "init_args": {
            "filter_widths": [3, 3], "channels": 6, "skeleton": "humaneva_15", "keypoint_skeleton": "coco_17",
            "predict_root": True, "causal": True,
        },
    }  # fmt: skip
    weights = read_lifter_weights(tmp_path / "deep" / "x.ckpt")
    assert weights.identity == {
        "skeleton": "humaneva_15", "keypoint_skeleton": "coco_17", "causal": True, "current": "last"
    }  # fmt: skip
    again = VideoPose(**lifter["init_args"])
    again.load_state_dict(weights.state_dict)
    assert all(torch.equal(value, weights.state_dict[name]) for name, value in model.state_dict().items())
