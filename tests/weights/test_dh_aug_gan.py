"""Published generators and critics: which network the weights are of, and what is told where they are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from liftpose.errors import LiftposeError
from liftpose.models.dh_aug import DHGenerator
from liftpose.models.dh_critics import MotionCritic2D, MotionCritic3D, PoseCritic2D, PoseCritic3D
from liftpose.models.poseaug import PartCritic3D, PoseAugGenerator
from liftpose.weights import read_checkpoint
from liftpose.weights.dh_aug_gan import load_dh_aug_critic, load_dh_aug_generator, load_poseaug_generator

NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[Any], nn.Module]]] = {
    "generator": (lambda: DHGenerator(3, 8, 20), load_dh_aug_generator),
    "PoseAug's generator": (lambda: PoseAugGenerator(8), load_poseaug_generator),
    "critic of poses": (lambda: PoseCritic3D(8), load_dh_aug_critic),
    "critic of pictures": (lambda: PoseCritic2D(8), load_dh_aug_critic),
    "critic of motions": (lambda: MotionCritic3D(4, 8), load_dh_aug_critic),
    "critic of motions in the picture": (lambda: MotionCritic2D(4, 8), load_dh_aug_critic),
    "critic of parts": (lambda: PartCritic3D(8, 5), load_dh_aug_critic),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_file_gives_the_network_back(tmp_path: Path, name: str) -> None:
    make, load = NETWORKS[name]
    network = make()
    torch.save({f"module.{key}": tensor for key, tensor in network.state_dict().items()}, tmp_path / "weights.pt")
    before = torch.random.get_rng_state()
    found = load(tmp_path / "weights.pt")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert type(found) is type(network)
    assert not found.training
    for key, tensor in network.state_dict().items():
        assert torch.equal(found.state_dict()[key], tensor)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_wrong_is_named(tmp_path: Path, name: str) -> None:
    make, load = NETWORKS[name]
    whole = make().state_dict()
    last = list(whole)[-1]
    path = tmp_path / "weights.pt"

    def message(weights: dict[str, Any]) -> str:
        torch.save(weights, path)
        with pytest.raises(LiftposeError) as caught:
            load(path)
        return str(caught.value)

    missing = dict(whole)
    del missing[last]
    assert message(missing) == f"{path}: expected the key {last}, found none"
    assert message(whole | {"other": torch.ones(2)}) == f"{path}: expected no key other, found it"
    wrong = message(whole | {last: torch.ones(2, 3, 4)})
    assert last in wrong
    assert "(2, 3, 4)" in wrong
    assert "finite" in message(whole | {last: torch.full_like(whole[last].float(), torch.nan)})
    assert f"{last}: expected a tensor, found str" in message(whole | {last: "text"})
    first = next(iter(whole))
    assert "expected" in message(whole | {first: torch.ones(0, 4)})
    assert "expected" in message({"something": torch.ones(2)})


def test_the_sizes_are_those_of_the_weights() -> None:
    generator = load_dh_aug_generator(DHGenerator(3, 8, 20).state_dict(), arm_columns="released", limits=False)
    assert (generator.frames, generator.noise_dim, generator.arm_columns, generator.limits) == (
        3,
        20,
        "released",
        False,
    )
    weights = DHGenerator(3, 8, 20).state_dict()
    weights["deconv_out.weight"] = torch.ones(36, 8)
    with pytest.raises(LiftposeError, match=r"deconv_out.weight: expected 35 rows for each frame, found 36"):
        load_dh_aug_generator(weights)
    with pytest.raises(LiftposeError, match="weights: frames: expected 9, found 3"):
        load_dh_aug_generator(DHGenerator(3, 8, 20).state_dict(), frames=9)
    with pytest.raises(LiftposeError, match=r"preprocess\.0\.weight: expected a matrix with numbers, found str"):
        load_dh_aug_generator({"preprocess.0.weight": "text"})  # type: ignore[dict-item]
    with pytest.raises(LiftposeError, match="arm_columns: expected intended or released, found other"):
        load_dh_aug_generator(DHGenerator(3, 8, 20).state_dict(), arm_columns="other")


def published(positions: bool, differences: bool) -> dict[str, Tensor]:
    """Weights as the public code writes them: all branches, whether they are used or not."""
    used = MotionCritic3D(4, 8, positions, differences).state_dict()
    return MotionCritic3D(4, 8).state_dict() | used


@pytest.mark.parametrize("positions", [True, False])
@pytest.mark.parametrize("differences", [True, False])
def test_branches_that_are_switched_off_are_left_out(positions: bool, differences: bool) -> None:
    weights = published(positions, differences)
    found = load_dh_aug_critic(weights, positions=positions)
    assert isinstance(found, MotionCritic3D)
    assert (found.positions, found.differences) == (positions, differences)
    assert (set(weights) == set(found.state_dict())) == (positions and differences)
    if positions == differences:
        load_dh_aug_critic(weights)
    else:
        with pytest.raises(LiftposeError, match="expected the options positions and differences to say"):
            load_dh_aug_critic(weights)
    with pytest.raises(LiftposeError, match="switched on, found"):
        load_dh_aug_critic(weights, positions, not differences)


def test_golden_weights_are_whole(reference: Path) -> None:
    folder = reference / "golden" / "dh_aug"
    assert isinstance(load_dh_aug_critic(read_checkpoint(folder / "dis3d_single.pt")["state_dict"]), PoseCritic3D)
    assert isinstance(load_dh_aug_critic(read_checkpoint(folder / "dis2d_single.pt")["state_dict"]), PoseCritic2D)
    generator = load_dh_aug_generator(read_checkpoint(folder / "generator_video.pt")["default"]["state_dict"])
    assert generator.frames == 9
