"""SimpleBaseline, SemGCN, ST-GCN and PoseFormer: the public code's numbers, and what a pose depends on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from liftpose.errors import LiftposeError
from liftpose.models import STGCN, Lifter, PoseFormer, SemGCN, SimpleBaseline
from liftpose.models.branches import BranchNorm
from liftpose.models.graphs import bone_distances
from liftpose.models.lifter import flip_averaged, following, predict_windows
from liftpose.models.rows import RowNorm
from liftpose.skeletons import COCO_17, H36M_16, H36M_17, HUMANEVA_15, Skeleton, mirror
from liftpose.weights import read_checkpoint

TINY: dict[type[Lifter], dict[str, Any]] = {
    SimpleBaseline: {"channels": 12},
    SemGCN: {"channels": 12, "stages": 2},
    STGCN: {"channels": (8, 8, 16), "part_channels": 16},
    PoseFormer: {"channels": 8, "depth": 2, "heads": 4},
}
GOLDEN = {SimpleBaseline: "mlp", SemGCN: "gcn", STGCN: "stgcn", PoseFormer: "poseformer"}
KINDS = tuple(TINY)


def tiny(kind: type[Lifter], **options: Any) -> Lifter:
    """A small model in evaluation mode, float64, in which nothing is zero or one."""
    torch.manual_seed(0)
    model = kind(**(TINY[kind] | options)).double().eval()
    for module in model.modules():
        if isinstance(module, BranchNorm | nn.BatchNorm1d):
            for tensor in (module.weight, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
            for tensor in (module.bias, module.running_mean):
                nn.init.uniform_(tensor, -0.5, 0.5)
    for name, parameter in model.named_parameters():
        if name.endswith((".e", "pos_embed")):
            nn.init.uniform_(parameter, -0.5, 0.5)
    return model


def keypoints(*shape: int, seed: int = 3) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


# --------------------------------------------------------------------------------------------------------- public code
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gradients", [False, True])
def test_the_numbers_of_the_public_networks(kind: type[Lifter], gradients: bool, reference: Path) -> None:
    golden = read_checkpoint(reference / "golden" / "dh_aug" / f"posenet_{GOLDEN[kind]}.pt")
    model = kind(**TINY[kind])
    assert list(model.state_dict()) == list(golden["state_dict"])
    model.load_state_dict(golden["state_dict"])
    model.double().eval()
    given = golden["x"].double()
    with torch.set_grad_enabled(gradients):
        poses = model(given) if given.ndim == 4 else model(given[:, None])[:, 0]
    torch.testing.assert_close(poses.detach(), golden["y"], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("model", "parameters"),
    [  # what the public code prints, in millions
        (SimpleBaseline(stages=4), 8.50),
        (SimpleBaseline(), 4.29),
        (SemGCN(), 0.267),
        (STGCN(), 3.63),
        (PoseFormer(), 8.48),
        (PoseFormer(frames=27), 8.49),
    ],
)
def test_sizes(model: Lifter, parameters: float) -> None:
    count = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    assert round(count, 3 if parameters < 1 else 2) == parameters


# ------------------------------------------------------------------------------------------------------ by definition
def test_semgcn_by_definition() -> None:
    """The formula of the paper, joint by joint: softmax over the neighbours, own and other joints' weights."""
    model = tiny(SemGCN, skeleton="humaneva_15")
    layer = model.gconv_output
    features = keypoints(15, 3, 12)
    pairs = [
        (i, j)
        for i in range(15)
        for j in range(15)
        if i == j or (i, j) in HUMANEVA_15.bones or (j, i) in HUMANEVA_15.bones
    ]
    score = dict(zip(pairs, layer.e[0].exp().tolist(), strict=True))
    for i in range(15):
        around = [j for j in range(15) if (i, j) in score]
        total = sum(score[i, j] for j in around)
        expected = layer.bias + sum(score[i, j] / total * features[j] @ layer.W[int(i != j)] for j in around)
        torch.testing.assert_close(layer(features).view(15, 3, 3)[i], expected, rtol=0, atol=1e-12)


def test_a_joint_hears_of_those_within_reach() -> None:
    """Six graph convolutions carry a keypoint six bones far and no further."""
    model = tiny(SemGCN, stages=2)
    window = keypoints(1, 1, 16, 2).requires_grad_()
    for joint in (3, 12):
        (gradient,) = torch.autograd.grad(model(window)[0, 0, joint].sum(), window)
        heard = gradient[0, 0].abs().sum(1) > 0
        assert heard.tolist() == [distance <= 6 for distance in bone_distances(H36M_16, joint)]


@torch.no_grad()
def test_poseformer_by_torchs_own_layers() -> None:
    """The two transformers as ``nn.TransformerEncoderLayer``, which computes attention in another way."""
    model = tiny(PoseFormer, frames=5, mlp_ratio=3.0)

    def encoder(block: nn.Module, heads: int) -> nn.Module:
        width = block.norm1.normalized_shape[0]
        layer = nn.TransformerEncoderLayer(
            width, heads, 3 * width, activation="gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
        )
        names = {
            "self_attn.in_proj_weight": "attn.qkv.weight", "self_attn.in_proj_bias": "attn.qkv.bias",
            "self_attn.out_proj.weight": "attn.proj.weight", "self_attn.out_proj.bias": "attn.proj.bias",
            **{f"linear{k}.{part}": f"mlp.fc{k}.{part}" for k in (1, 2) for part in ("weight", "bias")},
            **{f"norm{k}.{part}": f"norm{k}.{part}" for k in (1, 2) for part in ("weight", "bias")},
        }  # fmt: skip
        layer.double().eval().load_state_dict({name: block.state_dict()[own] for name, own in names.items()})
        return layer

    window = keypoints(3, 5, 16, 2)
    joints = model.Spatial_patch_to_embedding(window.flatten(0, 1)) + model.Spatial_pos_embed
    for block in model.Spatial_blocks:
        joints = encoder(block, 4)(joints)
    tokens = model.Spatial_norm(joints).reshape(3, 5, -1) + model.Temporal_pos_embed
    for block in model.blocks:
        tokens = encoder(block, 4)(tokens)
    expected = model.head(model.weighted_mean(model.Temporal_norm(tokens))).view(3, 1, 16, 3)
    torch.testing.assert_close(model(window), expected, rtol=0, atol=1e-12)


@torch.no_grad()
def test_the_node_between_thorax_and_head_is_their_mean() -> None:
    model = tiny(STGCN)
    seen: list[Tensor] = []
    model.stgcn.data_bn.register_forward_pre_hook(lambda _, given: seen.append(given[0].view(-1, 17, 2)))
    given = keypoints(4, 1, 16, 2)
    model(given)
    torch.testing.assert_close(seen[0][:, 9], (given[:, 0, 8] + given[:, 0, 9]) / 2)
    assert torch.equal(seen[0][:, [*range(9), *range(10, 17)]], given[:, 0])
    assert model.stgcn.data_bn.eps == 0.1


@torch.no_grad()
def test_the_root_of_simple_baseline_is_zero() -> None:
    model = tiny(SimpleBaseline, skeleton="mpi_inf_3dhp_17")
    assert model.skeleton.root > 0
    poses = model(keypoints(3, 1, 17, 2))
    assert (poses == 0).all(-1).nonzero()[:, 2].tolist() == [model.skeleton.root] * 3
    others = [joint for joint in range(17) if joint != model.skeleton.root]
    hidden = model.batch_norm1(model.w1(keypoints(3, 1, 17, 2).flatten(1)))
    for stage in model.linear_stages:
        hidden = stage(hidden)
    torch.testing.assert_close(poses[:, 0, others].flatten(1), model.w2(hidden))


# ------------------------------------------------------------------------------------------------- all lifters alike
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_an_example_does_not_depend_on_the_others(kind: type[Lifter]) -> None:
    model = tiny(kind)
    windows = keypoints(5, model.receptive_field, 16, 2)
    together = model(windows)
    assert together.shape == (5, 1, 16, 3)
    assert together.std(0).min() > 0 or kind is SimpleBaseline  # whose root is always zero
    each = torch.cat([model(window[None]) for window in windows])
    torch.testing.assert_close(each, together, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_sequences_give_the_poses_of_their_windows(kind: type[Lifter]) -> None:
    model = tiny(kind)
    frames = model.receptive_field
    sequences = keypoints(2, frames + 6, 16, 2)
    windows = sequences.unfold(1, frames, 1).permute(0, 1, 4, 2, 3)
    expected = model(windows.flatten(0, 1)).view(2, 7, 16, 3)
    torch.testing.assert_close(model(sequences), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_and_keypoint_has_a_gradient(kind: type[Lifter]) -> None:
    model = tiny(kind).train()
    window = keypoints(6, model.receptive_field, 16, 2).requires_grad_()
    (model(window) * keypoints(6, 1, 16, 3, seed=5)).sum().backward()
    assert window.grad is not None
    assert (window.grad.abs().sum((0, 1, 3)) > 0).all()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_the_derivative(kind: type[Lifter]) -> None:
    model = tiny(kind)
    window = keypoints(2, model.receptive_field, 16, 2)
    direction = keypoints(*window.shape, seed=7)
    leaf = window.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(leaf).square().sum(), leaf)
    with torch.no_grad():
        step = 1e-6
        after, before = (model(window + sign * step * direction).square().sum() for sign in (1, -1))
    torch.testing.assert_close((gradient * direction).sum(), (after - before) / (2 * step), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_single_precision_and_a_batch_of_one_are_finite(kind: type[Lifter]) -> None:
    model = kind(**TINY[kind]).eval()
    poses = model(torch.zeros(1, model.receptive_field, 16, 2))
    assert poses.dtype == torch.float32
    assert poses.isfinite().all()


@pytest.mark.parametrize("skeleton", [H36M_17, HUMANEVA_15, COCO_17])
@pytest.mark.parametrize("kind", [SimpleBaseline, SemGCN, PoseFormer])
@torch.no_grad()
def test_other_skeletons(kind: type[Lifter], skeleton: Skeleton) -> None:
    model = tiny(kind, skeleton=skeleton)
    poses = model(keypoints(2, model.receptive_field, len(skeleton), 2))
    assert poses.shape == (2, 1, len(skeleton), 3)
    assert model.identity["skeleton"] == skeleton.name


@pytest.mark.parametrize("kind", KINDS)
def test_input_of_another_shape_is_refused(kind: type[Lifter]) -> None:
    model = tiny(kind)
    with pytest.raises(LiftposeError, match=r"16 joints, 2\) for the skeleton h36m_16, found \(2, 9, 17, 2\)"):
        model(keypoints(2, 9, 17, 2))
    with pytest.raises(LiftposeError, match=r"expected the shape \(batch, frames, 16 joints, 2\)"):
        model(keypoints(2, 16, 2))
    with pytest.raises(LiftposeError, match=f"expected {model.receptive_field} frames or more, found 0"):
        model(keypoints(2, 0, 16, 2))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (SimpleBaseline, {"channels": 0}, "channels: expected at least 1, found 0"),
        (SimpleBaseline, {"stages": 0}, "stages: expected at least 1, found 0"),
        (SemGCN, {"dropout": 1.0}, "dropout: expected a probability"),
        (SemGCN, {"skeleton": "h36m_18"}, "skeleton: expected one of"),
        (STGCN, {"skeleton": "h36m_17"}, "skeleton: expected h36m_16 for ST-GCN, found h36m_17"),
        (STGCN, {"channels": (8, 8)}, r"channels: expected three numbers from 1 up, found \(8, 8\)"),
        (STGCN, {"dropout": -1.0}, "dropout: expected a probability of at least 0 and below 1, found -1.0"),
        (PoseFormer, {"frames": 8}, "frames: expected an odd positive number, found 8"),
        (PoseFormer, {"heads": 3}, "heads: expected a divisor of the 8 channels, found 3"),
        (PoseFormer, {"mlp_ratio": 0.0}, "mlp_ratio: expected at least one channel"),
        (PoseFormer, {"mlp_ratio": math.inf}, "mlp_ratio: expected at least one channel"),
        (PoseFormer, {"stochastic_depth": 1.0}, "stochastic_depth: expected a probability"),
    ],
)
def test_wrong_options_are_refused(kind: type[Lifter], options: dict[str, Any], message: str) -> None:
    with pytest.raises(LiftposeError, match=message):
        kind(**(TINY[kind] | options))


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_starts_from_weights_of_the_same_size_only(kind: type[Lifter]) -> None:
    model, same = tiny(kind), kind(**TINY[kind])
    other = kind(**(TINY[kind] | {"channels": (8, 8, 8) if kind is STGCN else 4}))
    with pytest.raises(LiftposeError, match=r"weights to start from: expected \S+ of shape") as caught:
        model.load_previous_stage(other.state_dict())
    assert "\n" not in str(caught.value)
    model.load_previous_stage(same.state_dict())
    for name, value in same.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name].to(value.dtype), value, rtol=0, atol=0)


# ------------------------------------------------------------------------------------------------------------- training
@pytest.mark.parametrize("kind", [SimpleBaseline, SemGCN, STGCN])
def test_the_schedule_of_the_momentum_reaches_all_layers(kind: type[Lifter]) -> None:
    model = tiny(kind)
    model.set_batchnorm_momentum(0.025)
    layers = [module for module in model.modules() if isinstance(module, BranchNorm | nn.BatchNorm1d)]
    assert len(layers) == sum(name.endswith("running_mean") for name in model.state_dict())
    assert {layer.momentum for layer in layers} == {0.025}


def test_dropout_by_layer_as_published() -> None:
    network = STGCN(**TINY[STGCN]).stgcn
    rates = {name: module.p for name, module in network.named_modules() if isinstance(module, RowNorm)}
    assert {name: rates[name] for name in ("conv4.1", "conv2.1", "non_local.W.1")} == {
        "conv4.1": 0.25, "conv2.1": 0.1, "non_local.W.1": 0.0
    }  # fmt: skip
    assert {rate for name, rate in rates.items() if ".tcn." in name} == {0.05}
    assert {rate for name, rate in rates.items() if ".residual." in name} == {0.0}
    assert network.p == 0.1
    same = STGCN(**TINY[STGCN], dropout=0.3).stgcn
    rates = {name: module.p for name, module in same.named_modules() if isinstance(module, RowNorm)}
    assert {rate for name, rate in rates.items() if not name.startswith("non_local") and "residual" not in name} == {
        0.3
    }
    assert same.p == 0.3


def test_blocks_are_left_out_by_chance_and_the_mean_stays() -> None:
    model = tiny(PoseFormer, depth=3, stochastic_depth=0.4).train()
    assert [block.p for block in model.blocks] == [block.p for block in model.Spatial_blocks] == [0, 0.2, 0.4]
    block = model.blocks[2]
    tokens = keypoints(1, 9, 128).expand(4000, -1, -1)
    with torch.no_grad():
        block.eval()
        full = block(tokens[:1])[0]
        middle = tokens[0] + block.attn(block.norm1(tokens[:1]))[0]
        block.train()
        given = block(tokens)
    # attention left out or not, then the two layers; what is added is scaled by 1 / 0.6
    attended = tokens[0] + (middle - tokens[0]) / 0.6
    cases = []
    for start in (tokens[0], attended):
        added = block.mlp(block.norm2(start)).detach() / 0.6
        cases += [start, start + added]
    distances = torch.stack([(given - case).abs().amax((1, 2)) for case in cases])
    assert distances.amin(0).max() < 1e-12  # every example is one of the four
    shares = torch.bincount(distances.argmin(0), minlength=4) / 4000
    torch.testing.assert_close(shares, torch.tensor([0.16, 0.24, 0.24, 0.36]), rtol=0, atol=0.03)
    block.eval()
    torch.testing.assert_close(block(tokens[:2]).detach(), full.expand(2, -1, -1))
    never = tiny(PoseFormer, stochastic_depth=0.0)
    window = keypoints(2, 9, 16, 2)
    torch.testing.assert_close(never.train()(window), never.eval()(window))


def test_initial_weights_are_those_of_the_public_code() -> None:
    """Kaiming's normal distribution for linear layers, zeros for positions and the non-local block."""
    for model in (SimpleBaseline(channels=256), PoseFormer(channels=16, depth=1)):
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear) and module.weight.numel() > 2000:
                expected = (2 / module.in_features) ** 0.5
                assert module.weight.std().item() == pytest.approx(expected, rel=0.1), name
                assert module.weight.abs().max() > 3 * expected, name  # not uniform
    assert not PoseFormer(channels=8).Temporal_pos_embed.any()
    network = STGCN(**TINY[STGCN]).stgcn
    assert not network.non_local.W[1].weight.any()
    layer = SemGCN(channels=64).gconv_layers[0].gconv1.gconv
    assert layer.W.abs().max().item() == pytest.approx(1.414 * (6 / (64 * 64 + 2 * 64)) ** 0.5, rel=0.01)
    assert torch.equal(layer.e, torch.ones(1, 46))
    assert layer.bias.abs().max() <= 1 / 8


# ---------------------------------------------------------------------------------------------------------- evaluation
@torch.no_grad()
def test_an_evaluation_computes_the_frames_of_overlapping_windows_once() -> None:
    model = tiny(PoseFormer)
    sequence = torch.tensor([0] * 60 + [1] * 40)
    frame = torch.cat((torch.arange(60), torch.arange(40)))
    windows = keypoints(108, 16, 2).unfold(0, 9, 1).permute(0, 3, 1, 2)
    follows = following(sequence, frame)
    rows: list[int] = []
    model.Spatial_patch_to_embedding.register_forward_hook(lambda _, given, __: rows.append(len(given[0])))
    expected = (model(windows) + mirror(model(mirror(windows, H36M_16)), H36M_16)) / 2
    torch.testing.assert_close(flip_averaged(model, windows, follows), expected, rtol=0, atol=1e-12)
    assert rows[2:] == [2 * (60 + 8 + 40 + 8)]  # of 2 * 100 * 9
    torch.testing.assert_close(predict_windows(model, windows, follows), model(windows), rtol=0, atol=1e-12)
    order = torch.randperm(100)  # of shuffled windows hardly one follows another
    shuffled = predict_windows(model, windows[order], following(sequence[order], frame[order]))
    torch.testing.assert_close(shuffled, model(windows)[order], rtol=0, atol=1e-12)
    assert rows[-2] == 900
    assert tiny(PoseFormer, frames=1).as_sequence(windows[:, :1], follows) is None
    assert tiny(SemGCN).as_sequence(windows[:, :1], follows) is None
