"""The VideoPose network: the public code's numbers, both forms, what a pose depends on."""

from __future__ import annotations

import importlib.util
import os
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.models import VideoPose
from liftpose.models.branches import BranchNorm
from liftpose.models.lifter import flip_averaged, following, join_windows, predict_windows
from liftpose.models.videopose import describe_videopose
from liftpose.skeletons import COCO_17, HUMANEVA_15, mirror
from liftpose.weights import load_videopose, read_checkpoint
from liftpose.weights.videopose import videopose_state_dict_from_public


def tiny(**options: Any) -> VideoPose:
    """A small model in evaluation mode, float64, whose normalisation is not the identity."""
    torch.manual_seed(0)
    model = VideoPose(**({"channels": 6, "filter_widths": (3, 3)} | options)).double().eval()
    for module in model.modules():
        if isinstance(module, BranchNorm):
            for tensor in (module.weight, module.running_var):
                torch.nn.init.uniform_(tensor, 0.5, 1.5)
            for tensor in (module.bias, module.running_mean):
                torch.nn.init.uniform_(tensor, -0.5, 0.5)
    return model


def keypoints(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 2 - 1


def windows_of(sequence: Tensor, frames: int) -> Tensor:
    """(N, J, 2) -> (N - frames + 1, frames, J, 2)."""
    return sequence.unfold(0, frames, 1).permute(0, 3, 1, 2)


# --------------------------------------------------------------------------------------------------------- public code
@torch.no_grad()
def test_the_numbers_of_the_public_networks(reference: Path) -> None:
    for name in ("posenet_videopose", "posenet_videopose_multi"):
        golden = read_checkpoint(reference / "golden" / "dh_aug" / f"{name}.pt")
        model = load_videopose(golden["state_dict"]).double()
        assert (model.skeleton.name, model.keypoint_skeleton.name) == ("h36m_16", "h36m_16")
        single = name == "posenet_videopose"
        assert (model.filter_widths, model.predict_root) == (((1, 1, 1), False) if single else ((3, 3), True))
        given, expected = golden["x"].double(), golden["y"]
        poses = model(given[:, None])[:, 0] if single else model(given)
        torch.testing.assert_close(poses, expected, rtol=0, atol=1e-12)
        if not single:
            torch.testing.assert_close(model(golden["seq"].double()), golden["seq_y"], rtol=0, atol=1e-12)


@pytest.fixture(scope="module")
def peer() -> ModuleType:
    """The public code's module of networks, of which nothing is part of this repository."""
    folder = os.environ.get("LIFTPOSE_PEERS")
    path = Path(folder or "") / "VideoPose3D" / "common" / "model.py"
    if not folder or not path.is_file():
        pytest.skip("LIFTPOSE_PEERS names no folder with VideoPose3D: the public code is not part of the repository")
    spec = importlib.util.spec_from_file_location("videopose3d_model", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("widths", [(3, 3, 3), (5, 3), (1, 1, 1), (3,)])
@torch.no_grad()
def test_beside_the_public_code(peer: ModuleType, widths: tuple[int, ...], causal: bool) -> None:
    options = {"filter_widths": list(widths), "causal": causal, "channels": 8}
    strided = peer.TemporalModelOptimized1f(17, 2, 15, **options).double()
    strided(keypoints(40, prod(widths), 17, 2))  # so that the running statistics matter
    strided.eval()
    dilated = peer.TemporalModel(17, 2, 15, **options).double().eval()
    dilated.load_state_dict(strided.state_dict())
    own = VideoPose("humaneva_15", "coco_17", widths, causal, 8).double().eval()
    own.load_state_dict(videopose_state_dict_from_public(strided.state_dict()))
    windows, sequence = keypoints(4, prod(widths), 17, 2), keypoints(2, 40, 17, 2)
    torch.testing.assert_close(own(windows), strided(windows), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(own(sequence), dilated(sequence), rtol=1e-12, atol=1e-12)
    assert own.receptive_field == strided.receptive_field()
    # The dilated form of the public code counts its dilations twice here; nothing there uses the number.
    last = own.receptive_field // 2 + strided.total_causal_shift()
    assert own.current_frame == last


def test_training_beside_the_public_code(peer: ModuleType) -> None:
    theirs = peer.TemporalModelOptimized1f(17, 2, 17, [3, 3], channels=8, dropout=0.0).double().train()
    own = VideoPose(filter_widths=(3, 3), channels=8, dropout=0.0).double().train()
    own.load_state_dict(videopose_state_dict_from_public(theirs.state_dict()))
    weight = keypoints(16, 1, 17, 3)
    for model in (own, theirs):
        (model(keypoints(16, 9, 17, 2)) * weight).sum().backward()
    buffers = dict(theirs.named_buffers())
    gradients = {name: value.grad for name, value in theirs.named_parameters()}
    expected = videopose_state_dict_from_public({**buffers, **gradients})
    for name, value in own.named_parameters():
        torch.testing.assert_close(value.grad, expected[name], rtol=1e-9, atol=1e-9)
    for name, value in own.named_buffers():
        torch.testing.assert_close(value, expected[name], rtol=1e-12, atol=1e-12)


# ----------------------------------------------------------------------------------------------------------- two forms
@given(
    widths=st.lists(st.sampled_from([1, 3, 5]), min_size=1, max_size=3),
    causal=st.booleans(),
    more=st.integers(0, 7),
    batch=st.integers(1, 3),
)
@torch.no_grad()
def test_windows_and_sequences_give_the_same_poses(widths: list[int], causal: bool, more: int, batch: int) -> None:
    model = tiny(filter_widths=widths, causal=causal, skeleton="humaneva_15", keypoint_skeleton="coco_17")
    sequences = keypoints(batch, model.receptive_field + more, 17, 2)
    together = model(sequences)
    assert together.shape == (batch, more + 1, 15, 3)
    for sequence, poses in zip(sequences, together, strict=True):
        each = model(windows_of(sequence, model.receptive_field))[:, 0]
        torch.testing.assert_close(each, poses, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("causal", "seen"), [(False, {12, 13, 14}), (True, {24, 25, 26})])
def test_the_residual_carries_the_current_frame(causal: bool, seen: set[int]) -> None:
    model = tiny(filter_widths=(3, 3, 3), causal=causal)
    for block in model.blocks:
        torch.nn.init.zeros_(block.mix_norm.weight)  # then a block adds a constant to what it carries past
    window = keypoints(1, 27, 17, 2).requires_grad_()
    model(window).sum().backward()
    assert window.grad is not None
    assert set(window.grad.abs().sum((0, 2, 3)).nonzero().flatten().tolist()) == seen
    assert model.current_frame == (26 if causal else 13)


@torch.no_grad()
def test_a_root_that_is_not_predicted_is_zero() -> None:
    model = tiny(predict_root=False, skeleton="mpi_inf_3dhp_17", keypoint_skeleton="h36m_17")
    assert model.skeleton.root > 0
    poses = model(keypoints(3, 9, 17, 2))
    assert (poses == 0).all(-1).nonzero()[:, 2].tolist() == [model.skeleton.root] * 3


# ---------------------------------------------------------------------------------------------------------- evaluation
def test_neighbours_are_found_and_joined() -> None:
    sequence, frame = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([0, 1, 2, 3, 5, 6])
    follows = following(sequence, frame)
    assert follows.tolist() == [False, True, True, False, False, True]
    frames = torch.arange(100)[:, None, None].expand(-1, 3, 2)
    windows = torch.stack([frames[10 * s + f : 10 * s + f + 4] for s, f in zip(sequence, frame, strict=True)])
    joined, places = join_windows(windows, follows)
    assert joined[:, 0, 0].tolist() == [*range(6), *range(13, 17), *range(15, 20)]
    assert torch.equal(windows_of(joined, 4)[places], windows)


@torch.no_grad()
def test_an_evaluation_computes_overlapping_windows_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny(filter_widths=(3, 3, 3), skeleton="humaneva_15", keypoint_skeleton="coco_17")
    ends = [(0, 200), (200, 260)]
    sequence = torch.cat([torch.full((end - begin,), k) for k, (begin, end) in enumerate(ends)])
    frame = torch.cat([torch.arange(end - begin) for begin, end in ends])
    windows = windows_of(keypoints(286, 17, 2), 27)
    follows = following(sequence, frame)
    mirrored = mirror(model(mirror(windows, COCO_17)), HUMANEVA_15)
    expected = (model(windows) + mirrored) / 2
    rows = []
    monkeypatch.setattr(
        model,
        "_dilated",
        lambda features, original=model._dilated: (rows.append(tuple(features.shape[:2])), original(features))[1],
    )
    torch.testing.assert_close(flip_averaged(model, windows, follows), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(predict_windows(model, windows, follows), model(windows), rtol=1e-12, atol=1e-12)
    assert rows == [(2, 260 + 2 * 26), (1, 260 + 2 * 26)]
    order = torch.randperm(260)  # of shuffled windows hardly one follows another
    shuffled = predict_windows(model, windows[order], following(sequence[order], frame[order]))
    torch.testing.assert_close(shuffled, model(windows)[order], rtol=1e-12, atol=1e-12)
    assert len(rows) == 2


# ------------------------------------------------------------------------------------------------------------- options
def test_the_schedule_of_the_momentum_reaches_all_layers() -> None:
    model = tiny(filter_widths=(3, 3, 3))
    model.set_batchnorm_momentum(0.025)
    assert [module.momentum for module in model.modules() if isinstance(module, BranchNorm)] == [0.025] * 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filter_widths": (3, 2)}, r"filter_widths: expected odd positive numbers, found \(3, 2\)"),
        ({"filter_widths": ()}, "filter_widths: expected odd"),
        ({"channels": 0}, "channels: expected at least 1, found 0"),
        ({"dropout": 1.0}, "dropout: expected a probability"),
        ({"skeleton": "h36m_18"}, "skeleton: expected one of"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LiftposeError, match=message):
        VideoPose(**options)


def test_input_of_another_shape_is_refused() -> None:
    model = tiny()
    with pytest.raises(LiftposeError, match=r"17 joints, 2\) for the skeleton h36m_17, found \(2, 9, 16, 2\)"):
        model(keypoints(2, 9, 16, 2))
    with pytest.raises(LiftposeError, match=r"expected 9 frames or more, found 8"):
        model(keypoints(2, 8, 17, 2))


def test_a_training_starts_from_weights_of_the_same_size_only() -> None:
    model, other = tiny(), tiny(filter_widths=(3, 5))
    with pytest.raises(LiftposeError, match=r"filter_widths: expected \(3, 3\), found \(3, 5\)"):
        model.load_previous_stage(other.state_dict())
    with pytest.raises(LiftposeError, match=r"expected the weights of VideoPose with the key expand.weight, found a"):
        model.load_previous_stage({"a": torch.zeros(1)})
    same = VideoPose(channels=6, filter_widths=(3, 3))
    model.load_previous_stage(same.state_dict())
    assert torch.equal(model.blocks[0].conv.weight.float(), same.blocks[0].conv.weight)


def test_weights_tell_the_size_of_the_model() -> None:
    model = VideoPose("humaneva_15", "coco_17", (3, 5, 1), channels=4)
    described = describe_videopose(model.state_dict())
    assert described == {"filter_widths": (3, 5, 1), "channels": 4, "keypoints": 17, "joints": 15}
    state = model.state_dict()
    with pytest.raises(LiftposeError, match=r"blocks.1.mix_norm.bias: expected the shape \(1, 4\), found none"):
        describe_videopose({name: value for name, value in state.items() if name != "blocks.1.mix_norm.bias"})
    with pytest.raises(LiftposeError, match=r"extra: expected no such key, found the shape \(2,\)"):
        describe_videopose(state | {"extra": torch.zeros(2)})
    with pytest.raises(LiftposeError, match=r"blocks.0.mix.weight: expected the shape \(1, 1, 4, 4\), found .*5\)"):
        describe_videopose(state | {"blocks.0.mix.weight": torch.zeros(1, 1, 4, 5)})
