"""The shipped configurations of pictures: their published sizes, and runs from fit to predict with small sizes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from liftpose import models
from liftpose.cli.configs import config_folder
from liftpose.formats.picture_predictions import read_picture_predictions
from liftpose.models import HeatmapPose
from liftpose.weights import read_checkpoint

Run = Callable[..., tuple[int, str, str]]
HERE = Path(__file__).parent
TINY = ["--config", HERE / "tiny_images.yaml"]
QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [  # counts of the public networks of Kocabas et al. (CVPR 2019)
        ("mpii_integral.yaml", 34_258_496),
        ("h36m_integral.yaml", 34_274_944),
        ("h36m_selfsup.yaml", 34_258_496),
        ("refiner.yaml", 8_603_738),
    ],
)
def test_published_size(name: str, parameters: int) -> None:
    config = yaml.safe_load((config_folder() / name).read_text())
    network = config["model"]["init_args"]["network"]
    with torch.device("meta"):
        model = getattr(models, network["class_path"].rpartition(".")[2])(**network["init_args"])
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert config["model"]["init_args"]["learning_rate"] == 0.001
    assert config["trainer"]["default_root_dir"] == f"runs/{name.removesuffix('.yaml')}"
    assert config["trainer"]["max_epochs"] == (200 if name == "refiner.yaml" else 140)
    assert config["data"]["init_args"]["batch_size"] == (64 if name == "refiner.yaml" else 32)
    if name != "refiner.yaml":
        assert config["model"]["init_args"]["milestones"] == [90, 120]
        assert model.image_size == (256, 256)
        assert model.depth_bins == 64


@pytest.fixture(scope="module")
def place(painted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for one run after the other, with the pictures where the configurations look for them."""
    place = tmp_path_factory.mktemp("configs")
    (place / "data").mkdir()
    for name, folder in (("mpii", "mpii"), ("h36m", "h36m_images")):
        shutil.copytree(painted / name, place / "data" / folder)
    return place


@pytest.fixture
def run(place: Path, liftpose: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run the command there and return its standard output."""
    monkeypatch.chdir(place)

    def command(*words: object) -> str:
        code, out, err = liftpose(*words, *([] if words[0] == "data" else QUIET))
        assert code == 0, err
        return out

    return command


@pytest.fixture
def mpii(place: Path, run: Callable[..., str]) -> Path:
    """The checkpoint of the 2D network, trained once, where the other configurations look for it."""
    path = place / "runs/mpii_integral/checkpoints/best.ckpt"
    if not path.exists():
        run("fit", "--config", "mpii_integral.yaml", *TINY, "--trainer.log_every_n_steps=1")
    return path


@pytest.fixture
def taught(place: Path, mpii: Path, run: Callable[..., str]) -> Path:
    """The checkpoint of the network that several views have taught, trained once."""
    path = place / "runs/h36m_selfsup/checkpoints/best.ckpt"
    if not path.exists():
        words = ("--config", "h36m_selfsup.yaml", *TINY)
        out = run("data", "epipolar-labels", *words, "--ckpt_path", mpii, "--min_joints", 1)
        assert "wrote data/h36m_images/labels/selfsup.npz" in out
        # What a network that has seen eight pictures sees makes no labels to speak of.
        run("data", "epipolar-labels", *words, "--from", "gt", "--overwrite")
        run("fit", *words)
    return path


def test_the_2d_network(place: Path, mpii: Path, run: Callable[..., str]) -> None:
    folder = place / "runs/mpii_integral"
    words = ("--config", "mpii_integral.yaml", *TINY, "--ckpt_path", "best")
    made = {path.name for path in folder.iterdir()}
    assert {"checkpoints", "config.yaml", "metrics.csv", "prediction.png", "training_curves.png"} <= made
    out = run("test", *words)
    results = json.loads((folder / "test_results.json").read_text())["pckh"]
    assert results["people"] == 6
    assert f"{results['mean']['pckh_at_0.5_percent']:.1f}" in out
    run("predict", *words)
    found = read_picture_predictions(folder / "predictions/test.npz")
    assert len(found) == 6
    assert (found.skeleton.name, found.truth_3d) == ("mpii_16", None)
    assert all((place / "data/mpii" / name).exists() for name in found.files)
    with Image.open(folder / "prediction.png") as picture:
        assert np.asarray(picture).std() > 10


def test_the_supervised_network(place: Path, mpii: Path, run: Callable[..., str]) -> None:
    folder = place / "runs/h36m_integral"
    words = ("--config", "h36m_integral.yaml", *TINY)
    run("fit", *words)
    out = run("test", *words, "--ckpt_path", "best")
    content = json.loads((folder / "test_results.json").read_text())
    means = content["actions"]["mean_over_actions"]
    assert means["frames"] == 8
    assert f"{means['mpjpe_mm']:.1f}" in out
    assert content["pss_clusters_sha256"].keys() == {"pss50"}  # of 52 poses of training
    run("predict", *words, "--ckpt_path", "best")
    found = read_picture_predictions(folder / "predictions/test.npz")
    assert found.truth_3d is not None
    # The published conversion of prediction and truth, once more by its equations: the table's number.
    errors = np.linalg.norm(found.poses_3d - found.truth_3d, axis=-1).mean(-1)
    assert 1000 * errors.mean() == pytest.approx(content["actions"]["mean_over_frames"]["mpjpe_mm"], rel=1e-5)


def test_the_network_that_several_views_teach_and_the_one_that_corrects_it(
    place: Path, taught: Path, run: Callable[..., str]
) -> None:
    words = ("--config", "h36m_selfsup.yaml", *TINY, "--ckpt_path", "best")
    assert "P-MPJPE" in run("test", *words)
    for split, count in (("train", 52), ("validation", 8)):
        run("predict", *words, f"--data.predict_split={split}")
        found = read_picture_predictions(place / f"runs/h36m_selfsup/predictions/{split}.npz")
        assert (len(found), found.skeleton.name) == (count, "h36m_mpii_order_16")
    refiner = ("--config", "refiner.yaml", "--config", HERE / "tiny_refiner.yaml")
    run("fit", *refiner)
    run("test", *refiner, "--ckpt_path", "best")
    results = json.loads((place / "runs/refiner/test_results.json").read_text())
    run("predict", *refiner, "--ckpt_path", "best")
    corrected = read_picture_predictions(place / "runs/refiner/predictions/validation.npz")
    assert corrected.truth_3d is not None
    assert corrected.files == found.files
    errors = np.linalg.norm(corrected.poses_3d - corrected.truth_3d, axis=-1).mean(-1)
    wanted = results["actions"]["mean_over_frames"]["mpjpe_mm"]
    assert 1000 * errors.mean() == pytest.approx(wanted, rel=1e-4)
    assert not np.allclose(corrected.poses_3d, found.poses_3d, atol=1e-3)


def test_a_network_of_heat_maps_is_tested(place: Path, run: Callable[..., str], liftpose: Run) -> None:
    network = HeatmapPose(layers=18, image_size=(64, 64), deconv_channels=(8, 8, 8))
    saved = {f"module.{name}": tensor.contiguous() for name, tensor in network.state_dict().items()}
    torch.save(saved, place / "heat.pth.tar")
    words = ("--config", "mpii_integral.yaml", *TINY, "--model.network=liftpose.models.HeatmapPose")
    words += ("--trainer.default_root_dir=heat",)
    assert "PCKh" in run("test", *words, "--ckpt_path=heat.pth.tar")
    code, _, err = liftpose("fit", *words)
    assert (code, err.splitlines()[-1]) == (
        2,
        "liftpose: error: model.network: expected liftpose.models.IntegralPose to fit, found HeatmapPose, which can "
        "only be tested",
    )


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (
            "mpii_integral.yaml",
            ["--data.class_path=H36MDataModule"],
            "data.class_path: expected ImageDataModule for IntegralKeypointsTask, found H36MDataModule",
        ),
        (
            "refiner.yaml",
            ["--data.class_path=MPIIDataModule"],
            "data.class_path: expected PosePairsDataModule for RefinementTask, found MPIIDataModule",
        ),
        (
            "rie_stage1.yaml",
            ["--data.class_path=MPIIDataModule"],
            "data.class_path: expected LiftingDataModule for LiftingTask, found MPIIDataModule",
        ),
        (
            "h36m_integral.yaml",
            ["--data.class_path=MPIIDataModule", "--data.root=data/mpii", "--model.network.skeleton=mpii_16"],
            "data/mpii: expected pictures with depths to train on, found none",
        ),
        (
            "mpii_integral.yaml",
            ["--data.class_path=H36MImagesDataModule", "--data.root=data/h36m_images", "--data.joints_by_index=true"],
            "data/h36m_images: expected pictures with the size of the head for PCKh, found none",
        ),
        (
            "mpii_integral.yaml",
            ["--model.network.skeleton=h36m_17"],
            "model.network.skeleton: expected mpii_16, found h36m_17",
        ),
        (
            "refiner.yaml",
            ["--data.train=x.npz"],
            "data.train x.npz: expected a file of predictions, found none (liftpose predict with a configuration of "
            "pictures, --data.predict_split train or validation, writes it)",
        ),
        (
            "h36m_integral.yaml",
            ["--model.init_from=nothing.ckpt"],
            "nothing.ckpt: expected a checkpoint, found no such file or directory",
        ),
        ("h36m_integral.yaml", ["--model.milestones=[3,2]"], "model.milestones: expected rising epochs from 1 up"),
        ("h36m_integral.yaml", ["--model.loss_switch=0"], "model.loss_switch: expected a number above 0, found 0.0"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    config: str, options: list[str], message: str, place: Path, liftpose: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    tiny = [] if config in {"refiner.yaml", "rie_stage1.yaml"} else TINY
    start = ["--model.init_from=null"] if config == "h36m_integral.yaml" else []
    code, _, err = liftpose("fit", "--config", config, *tiny, *start, "--trainer.default_root_dir=bad", *options)
    assert code == 2
    assert err.splitlines()[-1].startswith(f"liftpose: error: {message}")
    assert not (place / "bad").exists()


def test_the_overlays_of_painted_people(
    liftpose: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    few = ["--data.train_pictures=8", "--data.valid_pictures=4", "--data.picture_size=64"]
    words = ["--config", "mpii_integral.yaml", "--config", "synthetic_mpii.yaml", *TINY, *QUIET]
    assert liftpose("fit", *words, *few)[0] == 0
    assert (tmp_path / "runs/synthetic_mpii/checkpoints/best.ckpt").is_file()
    moments = [f"--data.{split}_moments={count}" for split, count in (("train", 1), ("validation", 1), ("test", 1))]
    words = ["--config", "h36m_integral.yaml", "--config", "synthetic_images.yaml", *TINY, *QUIET]
    code, _, err = liftpose("fit", *words, *moments, "--data.picture_size=64")
    assert code == 0, err
    assert "140 tensors taken over" in caplog.text
    saved = read_checkpoint(tmp_path / "runs/h36m_integral/checkpoints/last.ckpt")
    options: dict[str, Any] = saved["hyper_parameters"]
    assert (options["milestones"], options["warmup_steps"]) == ([2], 50)
