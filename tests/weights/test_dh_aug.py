"""Lifters in files of DH-AUG, PoseAug and PoseFormer: told apart, read whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.models import STGCN, Lifter, PoseFormer, SemGCN, SimpleBaseline
from liftpose.weights import (
    as_checkpoint,
    load_dh_aug,
    published_lifter,
    read_checkpoint,
    read_lifter_weights,
    write_lifter_checkpoint,
)

TINY: dict[type[Lifter], dict[str, Any]] = {
    SimpleBaseline: {"channels": 6, "stages": 3},
    SemGCN: {"channels": 6, "stages": 3},
    STGCN: {"channels": (4, 6, 8), "part_channels": 10},
    PoseFormer: {"channels": 8, "depth": 2, "frames": 5, "mlp_ratio": 3.0},
}
SYSTEMS = {SimpleBaseline: "SimpleBaseline", SemGCN: "SemGCN", STGCN: "ST-GCN", PoseFormer: "PoseFormer"}


def public_file(path: Path, weights: dict[str, Tensor], entry: str = "model_pos") -> Path:
    """A file as DH-AUG and PoseAug save their best networks, or with ``state_dict`` PoseAug its baselines."""
    torch.save({"epoch": 7, entry: weights}, path)
    return path


def weights_of(kind: type[Lifter], **options: Any) -> dict[str, Tensor]:
    return kind(**(TINY[kind] | options)).state_dict()


# --------------------------------------------------------------------------------------------------------- public code
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize(
    ("name", "kind", "frames"),
    [
        ("mlp", "SimpleBaseline", 1),
        ("gcn", "SemGCN", 1),
        ("stgcn", "STGCN", 1),
        ("poseformer", "PoseFormer", 9),
        ("videopose", "VideoPose", 1),
        ("videopose_multi", "VideoPose", 9),
    ],
)
@torch.no_grad()
def test_files_of_the_public_code_give_its_numbers(
    name: str, kind: str, frames: int, prefix: str, reference: Path, tmp_path: Path
) -> None:
    golden = read_checkpoint(reference / "golden" / "dh_aug" / f"posenet_{name}.pt")
    weights = {f"{prefix}{key}": value for key, value in golden["state_dict"].items()}
    path = public_file(tmp_path / "ckpt_best_h36m_p1.pth.tar", weights, "state_dict" if prefix else "model_pos")
    options = {"heads": 4} if name == "poseformer" else {}  # of this file; the shapes do not tell it
    model = load_dh_aug(path, **options)
    assert (type(model).__name__, model.receptive_field, model.skeleton.name) == (kind, frames, "h36m_16")
    assert not model.training
    given = golden["x"].double()
    poses = model.double()(given if given.ndim == 4 else given[:, None])
    torch.testing.assert_close(poses.view(golden["y"].shape), golden["y"], rtol=0, atol=1e-12)


# --------------------------------------------------------------------------------------------------- what weights tell
@pytest.mark.parametrize("kind", TINY)
def test_the_shapes_tell_the_options(kind: type[Lifter]) -> None:
    published = published_lifter({"model_pos": weights_of(kind)}, "x.tar")
    assert published is not None
    assert (published.system, published.kind) == (SYSTEMS[kind], kind)
    assert published.options == {**TINY[kind], "skeleton": "h36m_16"}
    assert list(published.misfits({**TINY[kind], "skeleton": "h36m_16", "dropout": 0.5})) == []
    wrong = [misfit.option for misfit in published.misfits({**TINY[kind], "skeleton": "humaneva_15", "channels": 5})]
    assert sorted(wrong) == ["channels", "skeleton"]


@pytest.mark.parametrize(
    ("kind", "skeleton"), [(SimpleBaseline, "h36m_17"), (SemGCN, "humaneva_15"), (PoseFormer, "h36m_17")]
)
@torch.no_grad()
def test_networks_for_other_joints(kind: type[Lifter], skeleton: str) -> None:
    """PoseFormer's own files, for one, are for 17 joints."""
    weights = weights_of(kind, skeleton=skeleton)
    model = load_dh_aug(weights)
    assert model.skeleton.name == skeleton
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[name]), name
    same = [other for other in ("coco_17", "mpi_inf_3dhp_17") if skeleton == "h36m_17"]
    assert all(load_dh_aug(weights, skeleton=other).skeleton.name == other for other in same)


def test_files_from_before_torch_counted_batches() -> None:
    weights = {name: value for name, value in weights_of(SemGCN).items() if "num_batches" not in name}
    assert load_dh_aug(weights).state_dict().keys() == weights_of(SemGCN).keys()


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (SimpleBaseline, {"w1.weight": None}, "expected the weights of SimpleBaseline, found no tensor w1.weight"),
        (SimpleBaseline, {"w2.bias": "text"}, "expected the weights of SimpleBaseline, found no tensor w2.bias"),
        (SimpleBaseline, {"w2.bias": None}, "expected the key w2.bias, found none"),
        (SimpleBaseline, {"w1.weight": torch.zeros(6)}, r"of SimpleBaseline, found w1.weight of shape \(6,\)"),
        (SimpleBaseline, {"w1.weight": torch.zeros(6, 22)}, "joints of a skeleton that is known, found 11"),
        (
            SimpleBaseline,  # as the authors' own network has it, which estimates the root too
            {"w2.weight": torch.zeros(48, 6), "w2.bias": torch.zeros(48)},
            r"expected w2.weight of shape \(45, 6\), found \(48, 6\)",
        ),
        (SimpleBaseline, {"linear_stages.0.w1.weight": None}, "stages: expected at least 1, found 0"),
        (
            SimpleBaseline,
            {"linear_stages.1.w2.weight": torch.zeros(5, 6)},
            r"w2.weight of shape \(6, 6\), found \(5, 6",
        ),
        (
            SimpleBaseline,
            {"batch_norm1.num_batches_tracked": torch.zeros(()).to_sparse()},
            "num_batches_tracked: expected a whole number, found torch.sparse_coo",
        ),
        (
            SimpleBaseline,
            {"batch_norm1.num_batches_tracked": torch.tensor(torch.nan)},
            "num_batches_tracked: expected a whole number, found torch.float32",
        ),
        (
            SimpleBaseline,
            {"batch_norm1.running_var": torch.full((6,), -0.5)},
            "running_var: expected variances, found -0.5",
        ),
        (SemGCN, {"gconv_output.bias": torch.full((3,), torch.nan)}, "gconv_output.bias: expected finite numbers"),
        (SemGCN, {"gconv_input.0.gconv.e": torch.ones(1, 47)}, r"gconv.e of shape \(1, 46\), found \(1, 47\)"),
        (
            SemGCN,
            {"gconv_input.1.nonlocal.g.weight": torch.zeros(1)},
            "expected no key gconv_input.1.nonlocal.g.weight",
        ),
        (STGCN, {"stgcn.conv4.0.weight": None}, "expected the weights of ST-GCN, found no tensor stgcn.conv4.0.weight"),
        (STGCN, {"stgcn.fcn.1.bias": torch.zeros(2)}, r"expected stgcn.fcn.1.bias of shape \(3,\), found \(2,\)"),
        (
            PoseFormer,
            {"Temporal_pos_embed": torch.zeros(1, 4, 128)},
            "frames: expected an odd positive number, found 4",
        ),
        (PoseFormer, {"Spatial_blocks.1.norm2.bias": None}, "expected the key Spatial_blocks.1.norm2.bias, found none"),
        (PoseFormer, {"Spatial_pos_embed": torch.zeros(1, 16, 0)}, r"found Spatial_pos_embed of shape \(1, 16, 0\)"),
    ],
)
def test_weights_that_are_not_whole(kind: type[Lifter], changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    weights = {name: value for name, value in (weights_of(kind) | changes).items() if value is not None}
    with pytest.raises(LiftposeError, match=message) as caught:
        load_dh_aug(public_file(tmp_path / "broken.pth.tar", weights))
    assert str(caught.value).startswith(str(tmp_path / "broken.pth.tar"))
    assert "\n" not in str(caught.value)


def test_options_that_contradict_the_weights() -> None:
    with pytest.raises(LiftposeError, match="weights: stages: expected 2, found 3"):
        load_dh_aug(weights_of(SemGCN), stages=2)
    with pytest.raises(LiftposeError, match="weights: channels: expected 4,6,9, found 4,6,8"):
        load_dh_aug(weights_of(STGCN), channels=[4, 6, 9])
    with pytest.raises(LiftposeError, match="weights: heads: expected a divisor of the 8 channels, found 3"):
        load_dh_aug(weights_of(PoseFormer), heads=3)
    with pytest.raises(
        LiftposeError, match=r"weights: expected weights of RIE, .* or PoseFormer in model_pos, found a"
    ):
        load_dh_aug({"a": torch.zeros(1)})
    assert load_dh_aug(weights_of(PoseFormer), heads=2).blocks[0].attn.heads == 2


def test_files_of_others_are_refused(tmp_path: Path) -> None:
    rie = Path(__file__).parents[1] / "golden" / "rie" / "checkpoint_old_pickle_s1_a33.bin"
    with pytest.raises(LiftposeError, match=r"expected weights of one of VideoPose3D, .*, PoseFormer, found RIE"):
        load_dh_aug(rie)
    with pytest.raises(LiftposeError, match="PoseFormer, found others"):  # a checkpoint of our own
        load_dh_aug(public_file(tmp_path / "x.ckpt", {"lifter.w1.weight": torch.zeros(1)}, "state_dict"))


# --------------------------------------------------------------------------------------------------------- checkpoints
@pytest.mark.parametrize("kind", TINY)
def test_what_is_imported_can_be_read_again(kind: type[Lifter], tmp_path: Path) -> None:
    weights = weights_of(kind)
    content = {"epoch": 3, "model_pos": weights}
    assert as_checkpoint(content, "x.tar", "x.tar")["state_dict"].keys() == {f"lifter.{name}" for name in weights}
    published = published_lifter(content, "x.tar")
    assert published is not None
    model = published.build("x.tar")
    write_lifter_checkpoint(tmp_path / "x.ckpt", model, published.complete({}), source=published.system)
    again = read_checkpoint(tmp_path / "x.ckpt")["hyper_parameters"]["lifter"]
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in TINY[kind].items()}
    assert again == {
        "class_path": f"liftpose.models.{kind.__name__}",
        "init_args": {"skeleton": "h36m_16", **plain},
    }
    read = read_lifter_weights(tmp_path / "x.ckpt")
    for name, value in weights.items():
        assert torch.equal(read.state_dict[name], value), name
