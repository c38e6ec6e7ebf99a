"""Published RIE weights give the published code's numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.models import RIE
from liftpose.skeletons import PARTS
from liftpose.weights import load_rie
from liftpose.weights.published import published_lifter
from liftpose.weights.rie import rie_state_dict_from_public, rie_state_dict_to_public
from liftpose.weights.torch_files import read_checkpoint

GOLDEN = Path(__file__).parents[1] / "golden" / "rie"
PUBLIC_PARTS = ("Torso", "LArm", "RArm", "LLeg", "RLeg")
EVALUATED: dict[str, dict[str, Any]] = {
    "eval_s1_a33": {},
    "eval_s2_a333": {},
    "eval_s3_a33333": {},
    "eval_s3_a35": {},
    "eval_s1_a333_causal_dilated": {"causal": True},
}
TINY: dict[str, Any] = {"channels": 4, "latent_dim": 5, "hidden_dim": 6}


@pytest.fixture(params=EVALUATED)
def evaluated(request: pytest.FixtureRequest, reference: Path) -> tuple[RIE, dict[str, Any]]:
    golden = read_checkpoint(reference / "golden" / "rie" / f"{request.param}.pt")
    return load_rie(golden["state_dict"], **EVALUATED[request.param]), golden


def flipped(values: Tensor) -> Tensor:
    """The mirrored person: (..., 17, coordinates)."""
    left, right = [4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]
    mirrored = values.clone()
    mirrored[..., 0] *= -1
    mirrored[..., left + right, :] = mirrored[..., right + left, :]
    return mirrored


def close(ours: Tensor, theirs: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@torch.no_grad()
def test_outputs_in_evaluation(evaluated: tuple[RIE, dict[str, Any]]) -> None:
    model, golden = evaluated
    close(model(golden["input"]), golden["output"])
    both = (model(golden["input"]) + flipped(model(flipped(golden["input"])))) / 2
    close(both, golden["output_tta"])
    if "output_float64" in golden:
        close(model.double()(golden["input"].double()), golden["output_float64"].double(), 1e-9)


@pytest.mark.parametrize(
    "evaluated", sorted(EVALUATED.keys() - {"eval_s3_a33333"}), indirect=True
)  # that one has no taps
@torch.no_grad()
def test_features_inside(evaluated: tuple[RIE, dict[str, Any]]) -> None:
    model, golden = evaluated
    taps, seen = golden["taps"], {}
    for name in ("local_encoder", "global_encoder", "fusion"):
        if hasattr(model, name):
            model.get_submodule(name).register_forward_hook(
                lambda _module, inputs, output, name=name: seen.update({name: output, f"{name} input": inputs[0]})
            )
    model(golden["input"])
    batch, frames = golden["input"].shape[:2]
    for k, part in enumerate(PUBLIC_PARTS):
        expected = taps[f"group_input_{part}"]
        inputs = model.part_inputs(golden["input"])[k].view(batch, frames, -1).transpose(1, 2)
        close(inputs[:, : expected.shape[1]], expected)
        close(seen["local_encoder"][k], taps[f"local_{part}"])
        if f"fused_{k}" in taps:
            close(seen["fusion"][k], taps[f"fused_{k}"])
    close(seen["global_encoder input"][0], taps["global_input"])
    close(seen["global_encoder"][0], taps["global"])


def test_conversion_is_exact_both_ways(evaluated: tuple[RIE, dict[str, Any]]) -> None:
    model, golden = evaluated
    back = rie_state_dict_to_public(model.state_dict())
    assert list(back) == list(golden["state_dict"])
    for key, value in golden["state_dict"].items():
        assert back[key].dtype == value.dtype
        assert torch.equal(back[key], value)
    again = rie_state_dict_from_public({f"module.{key}": value for key, value in back.items()})
    assert again.keys() == model.state_dict().keys()
    assert all(torch.equal(again[key], value) for key, value in model.state_dict().items())


def as_public(model: RIE, values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Values of our parameters under the published names."""
    return rie_state_dict_to_public(model.state_dict() | values)


@pytest.mark.parametrize(("name", "stage"), [("train_s1_a33", 1), ("train_s2_a333_frozen", 2)])
def test_three_steps_of_training(reference: Path, name: str, stage: int) -> None:
    golden = read_checkpoint(reference / "golden" / "rie" / f"{name}.pt")
    model = load_rie(golden["state_dict"], stage=stage, dropout=0.0, fc_dropout=0.0).train()
    if stage == 2:
        for encoder in model.encoder_names:
            model.get_submodule(encoder).requires_grad_(False)
    trained = {key: p for key, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(trained.values(), lr=1e-3, amsgrad=True)
    losses = []
    for step in range(3):
        output = model(golden["input"])
        loss = torch.linalg.vector_norm(output - golden["target"], dim=-1).mean()
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            close(output, golden["train_output"])
            close(loss, golden["loss"])
            gradients = as_public(model, {key: p.grad for key, p in trained.items() if p.grad is not None})
            for key, norm in golden["grad_norms"].items():
                close(gradients[key].norm(), norm)
            frozen = {key for key, p in model.named_parameters() if p.grad is None}
            assert {key.split(".")[0] for key in frozen} == (set(RIE.encoder_names) if stage == 2 else set())
            buffers = as_public(model, {})
            for key, value in golden["buffers_after_1_forward"].items():
                close(buffers[key], value)
        optimizer.step()
        if step == 0:
            weights = as_public(model, {})
            without_gradient = {key for key, norm in golden["grad_norms"].items() if norm < 1e-6}
            checked = golden["param_norms_after_1_step"].keys() - without_gradient
            for key in checked:
                close(weights[key].norm(), golden["param_norms_after_1_step"][key])
            assert len(checked) > len(weights) / 4
        losses.append(loss.detach())
    close(torch.stack(losses), torch.as_tensor(golden["losses_3_steps"]))
    with torch.no_grad():
        evaluated = model.eval()(golden["input"])
    close(evaluated, golden["eval_output_after_3_steps"], 1e-2)


def test_stage_2_takes_the_published_encoders_and_freezes_the_published_parameters(reference: Path) -> None:
    golden = read_checkpoint(reference / "golden" / "rie" / "transfer_s1_to_s2.pt")
    model = load_rie(golden["stage2_initial_state_dict"], stage=2)
    model.load_previous_stage(rie_state_dict_from_public(golden["stage1_state_dict"]))
    loaded = rie_state_dict_to_public(model.state_dict())
    assert list(loaded) == list(golden["stage2_loaded_state_dict"])
    assert all(torch.equal(loaded[key], value) for key, value in golden["stage2_loaded_state_dict"].items())
    encoder = {
        key: torch.full_like(p, float(key.split(".")[0] in RIE.encoder_names)) for key, p in model.named_parameters()
    }
    flags = as_public(model, encoder)
    assert all(bool(flags[key].bool().all()) == bool(frozen) for key, frozen in golden["frozen"].items())


def formula(n: int, salt: int, count: int) -> npt.NDArray[np.float64]:
    """Numbers in [-1, 1) as the golden data's README gives them."""
    x = np.arange(count, dtype=np.uint32) * np.uint32(2654435761)
    x += np.uint32(((n + 1000 * salt) * 974711 + 12345) % 2**32)
    for _ in range(2):
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x45D9F3B)
    x ^= x >> np.uint32(16)
    return 2 * (x / 2.0**32) - 1


def formula_weight(key: str, shape: torch.Size, values: npt.NDArray[np.float64]) -> Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.long)
    if key.endswith("running_var"):
        values = 1 + 0.5 * values
    elif key.endswith("running_mean"):
        values = 0.3 * values
    elif key.endswith("bias"):
        values = 0.2 * values
    elif "bn" in key or "batch_norm" in key:
        values = 1 + 0.2 * values
    else:
        values = values * np.sqrt(3 / np.prod(shape[1:]))
    return torch.from_numpy(values.astype(np.float32)).view(shape)


@pytest.mark.parametrize(("name", "stage", "salt"), [("full_s1_lfd256", 1, 1), ("full_s3_lfd256", 3, 2)])
@torch.no_grad()
def test_the_published_size(reference: Path, name: str, stage: int, salt: int) -> None:
    golden = read_checkpoint(reference / "golden" / "rie" / f"{name}.pt")
    with torch.device("meta"):
        shapes = rie_state_dict_to_public(RIE(filter_widths=(3,) * 5, stage=stage).state_dict())
    public = {
        key: formula_weight(key, shapes[key].shape, formula(n, salt, shapes[key].numel()))
        for n, key in enumerate(sorted(shapes))
    }
    for key, sums in golden["checksums"].items():
        close(torch.stack([public[key].double().sum(), public[key].double().abs().sum()]), sums, 1e-7)
    window = torch.from_numpy((formula(999, salt, 2 * 243 * 34) * 0.8).astype(np.float32)).view(2, 243, 17, 2)
    close(window[0, 0], golden["input_first_row"], 1e-7)
    close(load_rie(public)(window), golden["output"], 2e-5)


@pytest.mark.parametrize(
    ("widths", "stage", "latent_dim", "keys"),
    [(5, 1, 256, 432), (5, 2, 256, 547), (5, 3, 512, 547), (3, 1, 256, 312), (3, 2, 256, 427), (2, 1, 256, 252),
     (2, 3, 256, 367)],
)  # fmt: skip
def test_number_of_published_keys(widths: int, stage: int, latent_dim: int, keys: int) -> None:
    with torch.device("meta"):
        public = rie_state_dict_to_public(
            RIE(filter_widths=(3,) * widths, stage=stage, latent_dim=latent_dim).state_dict()
        )
    assert len(public) == keys
    encoders = [key for key in public if key.startswith(("LocalLayer_", "GlobalInfo"))]
    assert len(encoders) == {5: 317, 3: 197, 2: 137}[widths]
    assert list(public)[: len(encoders)] == encoders
    assert public["LocalLayer_Torso.expand_conv.weight"].shape == (256, 30, 3)
    assert public["Integration_LArm.fc_2.weight"].shape == (9, 1024)


@torch.no_grad()
def test_a_checkpoint_of_the_authors_time() -> None:
    expected = read_checkpoint(GOLDEN / "checkpoint_old_pickle_s1_a33_expected.pt")
    model = load_rie(GOLDEN / "checkpoint_old_pickle_s1_a33.bin")
    assert (model.stage, model.filter_widths, model.training) == (1, (3, 3), False)
    close(model(expected["input"]), expected["output"])


def test_a_checkpoint_of_today(reference: Path) -> None:
    model = load_rie(reference / "golden" / "rie" / "toy_h36m" / "stage_1_epoch_10.bin")
    assert (model.stage, model.filter_widths, model.current_frame) == (1, (3, 3), 4)


def test_options_reach_the_model_and_the_random_state_stays() -> None:
    path = GOLDEN / "checkpoint_old_pickle_s1_a33.bin"
    torch.manual_seed(1)
    state = torch.get_rng_state()
    assert load_rie(path, causal=True).current_frame == 4
    assert load_rie(path, causal=True, current="auto").current_frame == 8
    assert torch.equal(torch.get_rng_state(), state)


def public(**options: Any) -> dict[str, Tensor]:
    return rie_state_dict_to_public(RIE(**(TINY | options)).state_dict())


@pytest.mark.parametrize("parts", [(3, 3, 3, 3, 3), (4, 3, 3, 3, 3)])
def test_other_skeletons_round_trip(parts: tuple[int, ...]) -> None:
    skeleton = {15: "humaneva_15", 16: "h36m_16"}[sum(parts)]
    weights = public(skeleton=skeleton)
    model = load_rie(weights, skeleton=skeleton)
    assert [p.shape[1] for p in model.local_encoder.expand.weights.values()] == [6 * n for n in parts]
    assert all(torch.equal(value, weights[key]) for key, value in rie_state_dict_to_public(model.state_dict()).items())
    with pytest.raises(LiftposeError, match=rf"joints: expected torso 5, .*, found torso {parts[0]}"):
        load_rie(weights)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 8}, "weights: channels: expected 8, found 4"),
        ({"filter_widths": (3, 5, 3)}, "filter_widths: expected 3,5,3, found 3,3,3"),
        ({"stage": 1}, "stages: expected 1, found 2,3"),
    ],
)
def test_options_that_contradict_the_weights(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LiftposeError, match=message):
        load_rie(public(), **options)


def test_weights_that_are_not_rie(tmp_path: Path) -> None:
    weights = public()
    key = "Integration_LArm.layers.0.w2.weight"
    with pytest.raises(LiftposeError, match=rf"found no tensor {key}"):
        load_rie({k: v for k, v in weights.items() if k != key})
    with pytest.raises(LiftposeError, match=r"found extra.weight too"):
        load_rie(weights | {"extra.weight": torch.zeros(1)})
    with pytest.raises(LiftposeError, match=rf"{key} to be as large as in other parts, found \(6, 5\)"):
        load_rie(weights | {key: torch.zeros(6, 5)})
    with pytest.raises(LiftposeError, match=r"LocalLayer_Torso.shrink.weight of shape \(5, 4\)"):
        load_rie(weights | {"LocalLayer_Torso.shrink.weight": torch.zeros(5, 4)})
    with pytest.raises(LiftposeError, match=r"global_encoder.output.bias of shape \(1, 5\), found \(1, 3\)"):
        load_rie(weights | {"GlobalInfo.fc_2.bias": torch.zeros(3)})
    with pytest.raises(LiftposeError, match=r"GlobalInfo.fc_1.weight: expected finite numbers, found others"):
        load_rie(weights | {"GlobalInfo.fc_1.weight": weights["GlobalInfo.fc_1.weight"] / 0})
    torch.save({"state_dict": weights}, tmp_path / "other.pt")
    with pytest.raises(LiftposeError, match=r"other.pt: expected a checkpoint of the published RIE .* model_pos"):
        load_rie(tmp_path / "other.pt")


def test_a_size_that_a_weight_without_numbers_claims_takes_no_memory() -> None:
    """A network of this width would have 2^48 numbers."""
    weights = public()
    hostile = {key: torch.zeros(2**24, 0) for key in weights if key.startswith("Integration_") and ".fc_1.w" in key}
    for build in (load_rie, lambda found: published_lifter({"model_pos": found}, "weights").build("weights")):
        with pytest.raises(LiftposeError, match=r"of shape \(1, 34, 16777216\), found"):
            build(weights | hostile)


def test_the_published_names_of_arms_and_legs_are_exchanged() -> None:
    own = RIE(**TINY).state_dict()
    weights = rie_state_dict_to_public(own)
    for part, published in zip(PARTS, PUBLIC_PARTS, strict=True):
        expected = own[f"local_encoder.expand.weights.{part}"]
        assert torch.equal(weights[f"LocalLayer_{published}.expand_conv.weight"].permute(2, 1, 0), expected)
