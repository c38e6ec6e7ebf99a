"""The RIE network: sizes, form, and how its parts depend on the input."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.models import RIE
from liftpose.models.branches import BranchNorm
from liftpose.models.rie import relative_encoding
from liftpose.skeletons import H36M_17, PARTS, Skeleton

TINY: dict[str, Any] = {"channels": 6, "latent_dim": 5, "hidden_dim": 8}


def tiny(**options: Any) -> RIE:
    """A small model in evaluation mode whose normalisation is not the identity."""
    torch.manual_seed(0)
    model = RIE(**(TINY | options)).eval()
    for module in model.modules():
        if isinstance(module, BranchNorm):
            for tensor in (module.weight, module.running_var):
                torch.nn.init.uniform_(tensor, 0.5, 1.5)
            for tensor in (module.bias, module.running_mean):
                torch.nn.init.uniform_(tensor, -0.5, 0.5)
    return model


def keypoints(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3)) * 2 - 1


def skeleton(*sizes: int) -> Skeleton:
    """A chain of joints, the parts interleaved so that no part is contiguous."""
    owner = [part for place in range(max(sizes)) for part in range(5) if place < sizes[part]]
    parts = {name: tuple(j for j, o in enumerate(owner) if o == k) for k, name in enumerate(PARTS)}
    joints = len(owner)
    return Skeleton("odd", tuple(f"j{k}" for k in range(joints)), (-1, *range(joints - 1)), (), (), parts)


@pytest.mark.parametrize(("widths", "frames"), [((3, 3, 3, 3, 3), 243), ((3, 5, 7), 105), ((3, 3), 9), ((1,), 1)])
def test_receptive_field_is_the_product_of_the_widths(widths: tuple[int, ...], frames: int) -> None:
    model = tiny(filter_widths=widths)
    assert model.receptive_field == frames
    assert model(keypoints(2, frames, 17, 2)).shape == (2, 1, 17, 3)


@pytest.mark.parametrize(
    ("widths", "stage", "latent_dim", "parameters"),
    [
        ((3,) * 5, 1, 256, 23_385_651),
        ((3,) * 5, 2, 256, 41_783_091),
        ((3,) * 5, 3, 256, 41_783_091),
        ((3,) * 5, 3, 512, 52_861_491),
        ((3,) * 3, 1, 256, 20_753_971),
        ((3,) * 3, 3, 256, 39_151_411),
        ((3,) * 2, 1, 256, 19_438_131),
        ((3,) * 2, 2, 256, 37_835_571),
    ],
)
def test_number_of_parameters_is_the_published_one(
    widths: tuple[int, ...], stage: int, latent_dim: int, parameters: int
) -> None:
    with torch.device("meta"):
        model = RIE(filter_widths=widths, stage=stage, latent_dim=latent_dim)
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize("sizes", [(5, 3, 3, 3, 3), (3, 3, 3, 3, 3), (4, 3, 3, 3, 3), (1, 2, 3, 4, 6)])
def test_skeletons_with_parts_of_other_sizes_run(sizes: tuple[int, ...]) -> None:
    joints = sum(sizes)
    model = tiny(skeleton=skeleton(*sizes), filter_widths=(3,))
    assert model(keypoints(2, 3, joints, 2)).shape == (2, 1, joints, 3)
    own = sum(p.numel() for n, p in model.named_parameters() if "expand.weights" in n)
    assert own == 3 * 6 * joints * TINY["channels"]


@pytest.mark.parametrize("sizes", [(5, 3, 3, 3, 3), (3, 3, 3, 3, 3), (4, 3, 3, 3, 3)])
@pytest.mark.parametrize("part", range(5))
def test_motion_of_a_part_reaches_the_joints_of_that_part_only(sizes: tuple[int, ...], part: int) -> None:
    body = skeleton(*sizes)
    model = tiny(skeleton=body, stage=1, filter_widths=(3, 3)).double()
    before = keypoints(2, 9, len(body), 2).double()
    after = before.clone()
    # The root is left alone, since every part is encoded relative to it; so is the current frame, which all parts see.
    moved = [joint for joint in body.parts[PARTS[part]] if joint != body.root]
    after[:, 0, moved] += 0.5
    changed = (model(after) - model(before)).abs().amax(dim=(0, 1, 3)) > 0
    assert changed.nonzero().flatten().tolist() == sorted(body.parts[PARTS[part]])


def test_exchanging_two_parts_exchanges_their_features() -> None:
    model = tiny(stage=1)
    arms, legs = (list(H36M_17.parts[name]) for name in ("right_arm", "left_leg"))
    state = model.state_dict()
    state["local_encoder.expand.weights.right_arm"] = state["local_encoder.expand.weights.left_leg"]
    for key, value in state.items():
        if key.startswith("local_encoder.") and "expand.weights" not in key:
            value[PARTS.index("right_arm")] = value[PARTS.index("left_leg")]
    model.load_state_dict(state)
    x = keypoints(2, 27, 17, 2)
    exchanged = x.clone()
    exchanged[:, :, arms], exchanged[:, :, legs] = x[:, :, legs], x[:, :, arms]
    order = [PARTS.index(p) for p in ("torso", "left_leg", "left_arm", "right_leg", "right_arm")]
    local = model.local_encoder(model.raw_inputs(x))
    torch.testing.assert_close(model.local_encoder(model.raw_inputs(exchanged)), local[order])


def test_relative_encoding_by_hand() -> None:
    x = keypoints(2, 3, 4, 2)
    encoded = relative_encoding(x, root=1, current_frame=2)
    for joint in range(4):
        assert torch.equal(encoded[:, :, joint], x[:, :, joint])
        assert torch.equal(encoded[:, :, 4 + joint], x[:, :, joint] - x[:, :, 1])
        assert torch.equal(encoded[:, :, 8 + joint], x[:, :, joint] - x[:, 2:3, joint])


@pytest.mark.parametrize(
    ("causal", "current", "frame"),
    [
        (False, "auto", 13), (True, "auto", 26), (False, "middle", 13), (True, "middle", 13), (False, "last", 26),
        (True, "last", 26),
    ],
)  # fmt: skip
def test_current_frame(causal: bool, current: str, frame: int) -> None:
    model = tiny(causal=causal, current=current)
    assert model.current_frame == frame
    x = keypoints(1, 27, 17, 2)
    assert not model.part_inputs(x).view(5, 27, 30)[0, frame, 20:].any()


def dilated(state: dict[str, Tensor], inputs: Tensor, widths: tuple[int, ...], causal: bool) -> Tensor:
    """The local encoders in their other form, with dilation instead of stride: (5, B, L) from (5, B, T, channels)."""

    def normalised(name: str, y: Tensor, k: int) -> Tensor:
        norm = [state[f"local_encoder.{name}.{part}"][k] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.leaky_relu(F.batch_norm(y, *norm), 0.2)

    results = []
    for k, part in enumerate(PARTS):
        first = state[f"local_encoder.expand.weights.{part}"].permute(2, 1, 0)
        y = inputs[k, ..., : first.shape[1]].transpose(1, 2)
        y = normalised("expand_norm", F.conv1d(y, first), k)
        dilation = widths[0]
        for i, width in enumerate(widths[1:]):
            block = f"blocks.{i}"
            span = (width - 1) * dilation
            start = span // 2 + (width // 2 * dilation if causal else 0)
            carried = y[:, :, start : start + y.shape[2] - span]
            conv = state[f"local_encoder.{block}.conv.weight"][k].permute(2, 1, 0)
            mix = state[f"local_encoder.{block}.mix.weight"][k].permute(2, 1, 0)
            y = normalised(f"{block}.conv_norm", F.conv1d(y, conv, dilation=dilation), k)
            y = carried + normalised(f"{block}.mix_norm", F.conv1d(y, mix), k)
            dilation *= width
        shrink = state["local_encoder.shrink.weight"][k].t()[..., None]
        results.append(F.conv1d(y, shrink, state["local_encoder.shrink.bias"][k])[:, :, 0])
    return torch.stack(results)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("widths", [(3, 3, 3), (3, 5), (5, 1, 3)])
def test_strided_form_equals_the_dilated_form(widths: tuple[int, ...], causal: bool) -> None:
    model = tiny(filter_widths=widths, causal=causal).double()
    x = keypoints(3, model.receptive_field, 17, 2).double()
    encoded = model.part_inputs(x).view(5, 3, model.receptive_field, -1)
    expected = dilated(model.state_dict(), encoded, widths, causal)
    torch.testing.assert_close(model.local_encoder(model.raw_inputs(x)), expected, rtol=1e-12, atol=1e-12)


def test_only_dropout_makes_training_random() -> None:
    x = keypoints(4, 27, 17, 2)
    without = tiny(dropout=0.0, fc_dropout=0.0).train()
    assert torch.equal(without(x), without(x))
    for options in ({"dropout": 0.0}, {"fc_dropout": 0.0}):
        model = tiny(**options).train()
        assert not torch.equal(model(x), model(x))


def test_momentum_is_set_in_the_local_encoders_only() -> None:
    model = tiny()
    model.set_batchnorm_momentum(0.01)
    momenta = {n: m.momentum for n, m in model.named_modules() if isinstance(m, BranchNorm)}
    assert {m for n, m in momenta.items() if n.startswith("local_encoder.")} == {0.01}
    assert {m for n, m in momenta.items() if not n.startswith("local_encoder.")} == {0.1}


def test_gradients_reach_every_parameter_and_the_input() -> None:
    model = tiny().train()
    x = keypoints(4, 27, 17, 2).requires_grad_()
    model(x).square().sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum(dim=(0, 1, 3)).min() > 0
    assert all(p.grad is not None for p in model.parameters())


def test_the_stages_take_over_what_they_should() -> None:
    first, second, third = (tiny(stage=s).train() for s in (1, 2, 3))
    for step, model in enumerate((first, second, third)):
        for p in model.parameters():
            p.data.add_(step + 1.0)
    fresh = {key: value.clone() for key, value in second.state_dict().items()}
    second.load_previous_stage(first.state_dict())
    for key, value in second.state_dict().items():
        encoder = key.split(".")[0] in RIE.encoder_names
        assert torch.equal(value, first.state_dict()[key] if encoder else fresh[key])
    third.load_previous_stage(second.state_dict())
    for one, other in pairwise((second.state_dict(), third.state_dict())):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(
    ("stage", "given", "message"),
    [
        (1, {"stage": 1}, "expected a network of stage 2 or 3 to take weights over, found one of stage 1"),
        (2, {"stage": 3}, "stages: expected 1, found 2,3"),
        (3, {"stage": 1}, "stages: expected 2,3, found 1"),
        (3, {"filter_widths": (3, 5)}, "filter_widths: expected 3,3,3, found 3,5"),
        (3, {"channels": 7}, "channels: expected 6, found 7"),
        (2, {"stage": 1, "latent_dim": 7}, "latent_dim: expected 5, found 7"),
        (3, {"hidden_dim": 7}, "hidden_dim: expected 8, found 7"),
        (3, {"skeleton": skeleton(4, 3, 3, 3, 3)}, "joints: expected torso 5, .* found torso 4"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(stage: int, given: dict[str, Any], message: str) -> None:
    model, other = tiny(stage=stage), tiny(**given)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(LiftposeError, match=message):
        model.load_previous_stage(other.state_dict())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_foreign_weights_are_refused() -> None:
    with pytest.raises(LiftposeError, match=r"expected the key local_encoder.*, found conv1.weight"):
        tiny().load_previous_stage({"conv1.weight": torch.zeros(3)})
    lacking = tiny().state_dict()
    lacking.pop("fusion.input.bias")
    with pytest.raises(LiftposeError, match=r"expected the key fusion.input.bias"):
        tiny().load_previous_stage(lacking)


@pytest.mark.parametrize("shape", [(4, 9, 17, 2), (4, 27, 16, 2), (4, 27, 17, 3), (27, 17, 2)])
def test_input_of_another_shape_is_refused_with_both_numbers(shape: tuple[int, ...]) -> None:
    with pytest.raises(LiftposeError) as caught:
        tiny()(torch.zeros(shape))
    assert "(batch, 27 frames, 17 joints, 2)" in str(caught.value)
    assert str(shape) in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filter_widths": (3, 2)}, r"filter_widths: expected odd positive numbers, found \(3, 2\)"),
        ({"filter_widths": ()}, "filter_widths"),
        ({"filter_widths": (3, -1)}, "filter_widths"),
        ({"stage": 4}, "stage: expected 1, 2 or 3, found 4"),
        ({"current": "first"}, "current: expected one of auto, middle, last, found first"),
        ({"channels": 0}, "channels: expected at least 1, found 0"),
        ({"dropout": 1.0}, "dropout: expected .* found 1.0"),
        ({"skeleton": Skeleton("bare", ("a",), (-1,), (), ())}, "bare: expected joints of the part torso"),
    ],
)  # fmt: skip
def test_arguments_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LiftposeError, match=message):
        RIE(**(TINY | options))
