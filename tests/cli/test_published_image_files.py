"""Files of the public code of networks of pictures, given to the command as they are or imported."""

from __future__ import annotations

import inspect
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import liftpose.models
from liftpose.cli.checkpoints import compare_with_checkpoint
from liftpose.data.images import ImageSet
from liftpose.errors import LiftposeError
from liftpose.formats.h36m_images import annotation_file, write_image_set
from liftpose.geometry import h36m_cameras
from liftpose.models import HeatmapPose, IntegralPose, Refiner
from liftpose.skeletons import H36M_17, Skeleton
from liftpose.weights import read_checkpoint, start_integral

Run = Callable[..., tuple[int, str, str]]
SMALL: dict[str, Any] = {"layers": 18, "deconv_channels": [8, 8, 8]}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(path: Path, network: torch.nn.Module, prefix: str = "module.") -> dict[str, torch.Tensor]:
    """Write a network as the public code does; return its weights."""
    weights = {
        name: tensor for name, tensor in network.state_dict().items() if not name.startswith(("input", "target"))
    }
    public = {f"{prefix}{name}": tensor.contiguous() for name, tensor in weights.items()}
    torch.save({"epoch": 140, "state_dict": public, "perf": np.float64(448.2), "optimizer": {}}, path)
    return weights


def model(kind: str, **options: Any) -> dict[str, Any]:
    """The part of a configuration that a checkpoint is compared with, defaults filled in as by the parser."""
    known = inspect.signature(getattr(liftpose.models, kind)).parameters
    network = {
        "class_path": f"liftpose.models.{kind}",
        "init_args": {name: entry.default for name, entry in known.items()} | options,
    }
    return {"class_path": "liftpose.tasks.IntegralPoseTask", "init_args": {"network": network}}


def compare(path: str, config: dict[str, Any]) -> dict[str, Any]:
    return compare_with_checkpoint(Path(path), config, only=("network",), ignored=())


def test_an_evaluation_takes_a_public_file(place: Path) -> None:
    weights = save(place / "x.pth.tar", IntegralPose("h36m_mpii_order_16", **SMALL))
    for skeleton in ("h36m_mpii_order_16", "mpii_16"):  # the weights do not tell which
        found = compare("x.pth.tar", model("IntegralPose", skeleton=skeleton, **SMALL, image_size=[128, 128]))
        assert found["state_dict"].keys() == {f"network.{name}" for name in weights}
        assert all(torch.equal(found["state_dict"][f"network.{name}"], tensor) for name, tensor in weights.items())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            model("IntegralPose", skeleton="mpii_16", layers=50, deconv_channels=[8, 8, 8]),
            r"model.network.layers is 50 in the configuration and 18 in the weights \(what fits: --model.network.layers"
            r" 18\)",
        ),
        (
            model("IntegralPose", skeleton="h36m_17", **SMALL),
            r"model.network.skeleton is h36m_17 in the configuration and mpii_16 in the weights",
        ),
        (
            model("HeatmapPose", skeleton="mpii_16", **SMALL),
            r"expected the weights of liftpose.models.HeatmapPose, found those of IntegralPose",
        ),
        (
            {"class_path": "x", "init_args": {"lifter": {}}},
            r"expected the weights of none, found those of IntegralPose",
        ),
    ],
)
def test_a_configuration_that_the_weights_contradict_is_refused(
    config: dict[str, Any], message: str, place: Path
) -> None:
    save(place / "x.pth.tar", IntegralPose("mpii_16", **SMALL))
    with pytest.raises(LiftposeError, match=message):
        compare("x.pth.tar", config)


# ------------------------------------------------------------------------------------------------------ an evaluation
def write_pictures(root: Path, count: int = 12) -> ImageSet:
    """Write grey pictures and annotations in the layout of Human3.6M."""
    rng, cameras = np.random.default_rng(3), h36m_cameras("S9")
    for number in range(count):
        Image.fromarray(np.full((40, 50, 3), 20 * number, np.uint8)).save(root / f"{number}.png")
    depths = rng.normal(0, 0.3, (count, 17)).astype(np.float32)
    depths[:, 0] = 0
    images = ImageSet(
        root=root,
        files=tuple(f"{number}.png" for number in range(count)),
        skeleton=H36M_17,
        boxes=rng.uniform((20, 15, 30, 30), (30, 25, 40, 40), (count, 4)).astype(np.float32),
        keypoints_2d=rng.uniform(5, 35, (count, 17, 2)).astype(np.float32),
        visible=np.ones((count, 17), np.float32),
        subjects=("S9",) * count,
        actions=("Walking",) * count,
        views=np.arange(count) % 4,
        frames=np.arange(count),
        depths=depths,
        root_depths=rng.uniform(3, 6, count).astype(np.float32),
        cameras=cameras,
        camera_index=np.arange(count) % 4,
    )
    for split in ("train", "validation"):
        path = annotation_file(root, split)
        path.parent.mkdir(exist_ok=True)
        write_image_set(path, images)
    return images


def expected_error(images: ImageSet, skeleton: Skeleton, bins: np.ndarray, side: int) -> float:
    """Mean error in millimetres of a network that sees every joint in one place, by the equations alone."""
    assert images.cameras is not None and images.camera_index is not None
    assert images.depths is not None and images.root_depths is not None
    matrices = images.cameras.intrinsics.numpy()[images.camera_index]
    focal, centre = np.diagonal(matrices, 0, 1, 2)[:, None, :2], matrices[:, None, :2, 2]
    order = [images.skeleton.index(name) for name in skeleton.joint_names]
    middle = -0.5 / (side / 4)  # bins stand for their left edges
    pixels = np.repeat((images.boxes[:, :2] + middle * images.boxes[:, 2:])[:, None], len(order), 1)

    def pose(pixels: np.ndarray, depths: np.ndarray) -> np.ndarray:
        z = depths + images.root_depths[:, None]
        metres = np.concatenate(((pixels - centre) / focal, np.ones((*z.shape, 1))), 2)
        metres = metres * z[..., None]
        return metres - metres[:, skeleton.root, None]

    depths = np.repeat(2 * (bins / 64 - 0.5)[None], len(images), 0)
    error = pose(pixels, depths) - pose(images.keypoints_2d[:, order], images.depths[:, order])
    return float(1000 * np.linalg.norm(error, axis=2).mean())


@pytest.mark.parametrize("skeleton", ["h36m_17", "h36m_mpii_order_16"])
def test_a_public_file_is_evaluated_as_it_is(skeleton: str, liftpose: Run, place: Path) -> None:
    images = write_pictures(place)
    network = IntegralPose(skeleton, image_size=(64, 64), **SMALL)
    bins = np.random.default_rng(0).integers(5, 60, len(network.skeleton))
    with torch.no_grad():
        network.final_layer.weight.zero_()
        network.final_layer.bias.fill_(-50)
        network.final_layer.bias[torch.arange(len(bins)) * 64 + torch.from_numpy(bins)] = 50
    save(place / "x.pth.tar", network)
    code, out, err = liftpose(
        "validate", "--config", "h36m_integral.yaml", f"--model.network.skeleton={skeleton}",
        "--model.network.layers=18", "--model.network.image_size=[64,64]", "--model.network.deconv_channels=[8,8,8]",
        f"--data.root={place}", "--data.num_workers=0", "--data.train_subjects=null", "--logging.wandb=disabled",
        "--trainer.accelerator=cpu", "--trainer.default_root_dir=run", "--ckpt_path=x.pth.tar",
    )  # fmt: skip
    assert code == 0, err
    found = re.search(r"val_mpjpe_mm\D*([\d.]+)", out)
    assert found is not None
    wanted = expected_error(images, network.skeleton, bins, 64)
    np.testing.assert_allclose(float(found[1]), wanted, rtol=1e-5)


# ------------------------------------------------------------------------------------------------- other ways to use it
def test_training_does_not_go_on_from_a_public_file(place: Path) -> None:
    save(place / "x.pth.tar", IntegralPose("mpii_16", **SMALL))
    with pytest.raises(LiftposeError, match=r"the weights of IntegralPose alone \(--model.init_from x.pth.tar starts"):
        compare_with_checkpoint(Path("x.pth.tar"), model("IntegralPose", **SMALL), only=None, ignored=())


def test_the_refiner_needs_its_statistics(place: Path) -> None:
    save(place / "refiner.pth.tar", Refiner(channels=8), prefix="")
    config = model("Refiner", channels=8)
    with pytest.raises(LiftposeError, match=r"norm.pkl: expected the statistics of the refinement network"):
        compare("refiner.pth.tar", config)
    (place / "norm.pkl").write_bytes(pickle.dumps(tuple(np.full(45, 500.0) for _ in range(4))))
    found = compare("refiner.pth.tar", config)["state_dict"]
    assert torch.equal(found["network.target_std"], torch.full((45,), 0.5))


def test_imported_networks_are_evaluated_and_started_from(liftpose: Run, place: Path) -> None:
    weights = save(place / "x.pth.tar", IntegralPose("mpii_16", **SMALL))
    words = ["weights", "import", "x.pth.tar", "--out", "x.ckpt", "--image_size", "[64,64]"]
    code, out, err = liftpose(*words)
    assert (code, err) == (0, "")
    assert re.search(
        r"IntegralPose, [\d,]+ parameters: layers 18, .*skeleton mpii_16, depth_bins 64, image_size \[64,64\]", out
    )
    assert "liftpose test --config mpii_integral.yaml --model.network.layers 18" in out
    found = compare("x.ckpt", model("IntegralPose", skeleton="mpii_16", **SMALL, image_size=[64, 64]))
    assert torch.equal(found["state_dict"]["network.conv1.weight"], weights["conv1.weight"])
    with pytest.raises(
        LiftposeError, match=r"image_size is \[128, 128\] in the configuration and \[64, 64\] in the ch"
    ):
        compare("x.ckpt", model("IntegralPose", skeleton="mpii_16", **SMALL, image_size=[128, 128]))
    network = IntegralPose("h36m_17", image_size=(64, 64), **SMALL)
    start = start_integral(network, "x.ckpt")
    assert start.order == "mpii_16" and len(start.joints) == 14
    assert torch.equal(network.conv1.weight, weights["conv1.weight"])


def test_heat_maps_and_refiners_are_imported(liftpose: Run, place: Path) -> None:
    save(place / "heat.pth.tar", HeatmapPose("mpii_16", **SMALL))
    save(place / "refiner.pth.tar", Refiner(channels=8), prefix="")
    (place / "norm.pkl").write_bytes(pickle.dumps(tuple(np.full(45, 500.0) for _ in range(4))))
    assert liftpose("weights", "import", "heatmap", "heat.pth.tar", "--out", "heat.ckpt")[0] == 0
    assert liftpose("weights", "import", "refiner", "refiner.pth.tar", "--out", "refiner.ckpt")[0] == 0
    content = read_checkpoint("refiner.ckpt")
    assert content["hyper_parameters"]["network"]["class_path"] == "liftpose.models.Refiner"
    assert torch.equal(content["state_dict"]["network.input_mean"], torch.full((45,), 0.5))
    assert read_checkpoint("heat.ckpt")["hyper_parameters"]["network"]["init_args"]["skeleton"] == "mpii_16"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["heatmap", "x.pth.tar"],
            "expected weights of HeatmapPose as its public code writes them, found those of Integ",
        ),
        (["x.pth.tar", "--skeleton", "h36m_17"], "skeleton: expected h36m_17, found mpii_16"),
        (["x.pth.tar", "--stage", "2"], "--stage: expected no such option for IntegralPose, found 2"),
        (
            ["x.pth.tar", "--image_size", "[64,63]"],
            "image_size: expected a width and a height that are multiples of 32",
        ),
    ],
)
def test_wrong_imports_write_nothing(words: list[str], message: str, liftpose: Run, place: Path) -> None:
    save(place / "x.pth.tar", IntegralPose("mpii_16", **SMALL))
    code, out, err = liftpose("weights", "import", *words, "--out", "x.ckpt")
    assert (code, out) == (2, "")
    assert re.fullmatch(r"liftpose: error: [^\n]+\n", err) and message in err
    assert not (place / "x.ckpt").exists()
