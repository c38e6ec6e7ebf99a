"""Every shipped configuration: its published size, and a run of fit, test and predict with small sizes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from liftpose import models, tasks
from liftpose.cli.configs import config_folder
from liftpose.datamodules import SyntheticDataModule
from liftpose.models import RIE, VideoPose
from liftpose.skeletons import get_skeleton

HERE = Path(__file__).parent
OVERLAYS = {"synthetic.yaml", "quick.yaml", "cmu.yaml", "cmu_one_person.yaml"}
OVERLAYS |= {"synthetic_images.yaml", "synthetic_mpii.yaml"}
IMAGE_CONFIGS = {
    "mpii_integral.yaml",
    "h36m_integral.yaml",
    "h36m_selfsup.yaml",
    "refiner.yaml",
}  # test_image_configs.py
ALL_CONFIGS = {path.name for path in config_folder().glob("*.yaml")} - OVERLAYS
CONFIGS = sorted(ALL_CONFIGS - IMAGE_CONFIGS)
RIE_CONFIGS = [name for name in CONFIGS if name.startswith("rie_")]
H36M_CONFIGS = [name for name in CONFIGS if "humaneva" not in name]
VIDEOPOSE_CONFIGS = [name for name in CONFIGS if name.startswith("videopose")]
AUGMENTED_CONFIGS = [name for name in CONFIGS if name.startswith(("dhaug_", "poseaug_"))]
PLAIN_CONFIGS = ["simple_baseline.yaml", "semgcn.yaml", "poseformer.yaml"]
# Shan et al. (ACM MM 2021): parameters of the public network at the size of each configuration.
PARAMETERS = {
    "rie_stage1.yaml": 23_385_651,
    "rie_stage2.yaml": 41_783_091,
    "rie_stage3.yaml": 41_783_091,
    "rie_stage3_cpn.yaml": 52_861_491,
}


def test_all_configs_are_known() -> None:
    assert IMAGE_CONFIGS < ALL_CONFIGS
    assert set(CONFIGS) == {
        "mean_pose.yaml", "ridge.yaml", "rie_stage1.yaml", "rie_stage2.yaml", "rie_stage3.yaml",
        "rie_stage1_cpn.yaml", "rie_stage2_cpn.yaml", "rie_stage3_cpn.yaml", "rie_humaneva.yaml",
        "videopose.yaml", "videopose_single.yaml", "videopose_humaneva.yaml",
        "simple_baseline.yaml", "semgcn.yaml", "stgcn.yaml", "poseformer.yaml",
        "dhaug_videopose.yaml", "dhaug_videopose_video.yaml", "dhaug_simple_baseline.yaml", "dhaug_semgcn.yaml",
        "dhaug_stgcn.yaml", "dhaug_poseformer.yaml", "dhaug_rie.yaml",
        "poseaug_videopose.yaml", "poseaug_simple_baseline.yaml", "poseaug_semgcn.yaml", "poseaug_stgcn.yaml",
    }  # fmt: skip


@pytest.mark.parametrize("name", [name for name in RIE_CONFIGS if name in H36M_CONFIGS])
def test_published_size(name: str) -> None:
    config = yaml.safe_load((config_folder() / name).read_text())
    options = config["model"]["init_args"]["lifter"]["init_args"]
    model = RIE(**options)
    assert model.receptive_field == 243
    count = sum(parameter.numel() for parameter in model.parameters())
    if name in PARAMETERS:
        assert count == PARAMETERS[name]
    assert options["latent_dim"] == (512 if "cpn" in name else 256)
    assert config["trainer"]["max_epochs"] == 80
    assert config["data"]["init_args"]["batch_size"] == 1024
    assert config["model"]["init_args"]["learning_rate"] == (0.0005 if "stage3" in name else 0.001)


@pytest.mark.parametrize(
    ("name", "options", "frames", "parameters"),
    [
        ("videopose.yaml", {}, 243, 16.95),  # counts of Pavllo et al. (CVPR 2019), in millions
        ("videopose.yaml", {"filter_widths": [3, 3, 3, 3]}, 81, 12.75),
        ("videopose.yaml", {"filter_widths": [3, 3, 3]}, 27, 8.56),
        ("videopose.yaml", {"causal": True}, 243, 16.95),
        ("videopose_single.yaml", {}, 1, 8.49),
        ("videopose_humaneva.yaml", {}, 27, 8.55),  # 15 joints in place of 17
    ],
)
def test_published_size_of_videopose(name: str, options: dict[str, Any], frames: int, parameters: float) -> None:
    config = yaml.safe_load((config_folder() / name).read_text())
    model = VideoPose(**(config["model"]["init_args"]["lifter"]["init_args"] | options))
    assert model.receptive_field == frames
    assert round(sum(parameter.numel() for parameter in model.parameters()) / 1e6, 2) == parameters
    assert config["model"]["init_args"]["weight_decay"] == 0
    human_eva = "humaneva" in name
    assert config["trainer"]["max_epochs"] == (1000 if human_eva else 80)
    assert config["data"]["init_args"]["batch_size"] == (128 if human_eva else 1024)
    assert config["model"]["init_args"]["learning_rate_decay"] == (0.996 if human_eva else 0.95)


@pytest.mark.parametrize(
    ("name", "options", "frames", "parameters"),
    [
        ("simple_baseline.yaml", {}, 1, 4.29),  # counts that the public code prints, in millions
        ("simple_baseline.yaml", {"stages": 4}, 1, 8.50),
        ("semgcn.yaml", {}, 1, 0.27),
        ("stgcn.yaml", {}, 1, 3.63),
        ("poseformer.yaml", {}, 9, 8.48),
        ("poseformer.yaml", {"frames": 27}, 27, 8.49),
    ],
)
def test_published_size_of_other_lifters(name: str, options: dict[str, Any], frames: int, parameters: float) -> None:
    config = yaml.safe_load((config_folder() / name).read_text())
    lifter = config["model"]["init_args"]["lifter"]
    model = getattr(models, lifter["class_path"].rpartition(".")[2])(**(lifter["init_args"] | options))
    assert (model.receptive_field, model.skeleton.name) == (frames, "h36m_16")
    assert round(sum(parameter.numel() for parameter in model.parameters()) / 1e6, 2) == parameters
    # PoseAug's baselines; PoseFormer as DH-AUG trains it
    assert config["model"]["init_args"]["learning_rate"] == (0.02 if name == "semgcn.yaml" else 0.001)
    assert config["model"]["init_args"]["loss"] == ("mpjpe" if frames > 1 else "mse")
    assert config["trainer"]["max_epochs"] == (100 if name == "semgcn.yaml" else 50)
    assert config["trainer"]["gradient_clip_val"] == 1
    assert config["data"]["init_args"]["batch_size"] == (512 if frames > 1 else 1024)


def sizes(name: str) -> list[str]:
    kinds = {
        "tiny_rie.yaml": RIE_CONFIGS,
        "tiny_videopose.yaml": [*VIDEOPOSE_CONFIGS, *PLAIN_CONFIGS],  # channels: what they call their width too
        "tiny_stgcn.yaml": ["stgcn.yaml"],
    }
    system, _, lifter = name.partition("_")
    if system in {"dhaug", "poseaug"}:
        lifter = {"videopose_video.yaml": "videopose.yaml", "rie.yaml": "rie_stage1.yaml"}.get(lifter, lifter)
        return [*sizes(lifter), "--config", str(HERE / f"tiny_{system}.yaml")]
    overlays = ["tiny.yaml", *(overlay for overlay, names in kinds.items() if name in names)]
    return [word for overlay in overlays for word in ("--config", str(HERE / overlay))]


@pytest.mark.parametrize(
    ("name", "generator", "critics"),
    [  # counts of the published networks, in millions
        ("dhaug_videopose.yaml", 0.44, [0.88, 0.27]),
        ("dhaug_videopose_video.yaml", 6.45, [12.3, 4.04, 25.5, 12.5]),
        ("poseaug_videopose.yaml", 1.18, [5 * 0.215241, 0.043801]),  # five parts; the layers of its 2D critic
    ],
)
def test_published_size_of_the_augmentations(name: str, generator: float, critics: list[float]) -> None:
    config = yaml.safe_load((config_folder() / name).read_text())["model"]["init_args"]
    lifter = VideoPose(**config["lifter"]["init_args"])
    augmenter = getattr(tasks, config["augmenter"]["class_path"].rpartition(".")[2])(
        **config["augmenter"].get("init_args", {})
    )
    augmenter.build(lifter)
    counts = [sum(parameter.numel() for parameter in network.parameters()) / 1e6 for network in augmenter.networks()]
    assert counts == pytest.approx([generator, *critics], rel=0.02)


@pytest.mark.parametrize("name", AUGMENTED_CONFIGS)
def test_the_recipes_of_the_augmentations(name: str) -> None:
    config = yaml.safe_load((config_folder() / name).read_text())
    task, epochs = config["model"]["init_args"], config["trainer"]["max_epochs"]
    assert config["trainer"]["default_root_dir"] == f"runs/{name.removesuffix('.yaml')}"
    assert config["data"]["init_args"]["flip"] == "none"
    if name.startswith("poseaug"):
        assert (task["warmup_epochs"], epochs) == (2, 50)
        assert task["learning_rate"] == (0.001 if "semgcn" in name else 0.0001)
    elif task["loss"] == "mse":
        assert (task["warmup_epochs"], task["linear_decay_epochs"], epochs) == (3, 50, 3 + 50 + 60)
        assert (task["learning_rate"], config["data"]["init_args"]["batch_size"]) == (0.0001, 1024)
    else:
        assert (task["warmup_epochs"], epochs) == (25, 25 + (80 if "rie" in name else 50 + 60))
        assert (task["learning_rate"], config["data"]["init_args"]["batch_size"]) == (0.001, 512)


@pytest.mark.parametrize("name", H36M_CONFIGS)
def test_fit_test_predict(
    name: str, liftpose: Callable[..., tuple[int, str, str]], h36m_root: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    options = [*sizes(name), f"--data.root={h36m_root}"]
    stage = name.split("stage")[1][0] if "stage" in name else "1"
    start = []
    if stage != "1":
        before = name.replace(f"stage{stage}", f"stage{int(stage) - 1}")
        fitted = liftpose(
            *("fit", "--config", before, *options, f"--trainer.default_root_dir={tmp_path / 'before'}"),
            *(["--model.init_from=null"] if stage == "3" else []),
        )
        assert fitted[0] == 0, fitted[2]
        start = [f"--model.init_from={tmp_path / 'before/checkpoints/best.ckpt'}"]
    options.append(f"--trainer.default_root_dir={run}")
    code, _, err = liftpose("fit", "--config", name, *options, *start)
    assert code == 0, err
    made = {path.name for path in run.iterdir()}
    assert {"checkpoints", "config.yaml", "metrics.csv", "prediction.png", "training_curves.png"} <= made

    code, out, err = liftpose("test", "--config", name, *options, "--ckpt_path", "best")
    assert code == 0, err
    results = json.loads((run / "test_results.json").read_text())
    assert f"{results['actions']['mean_over_actions']['mpjpe_mm']:.1f}" in out
    assert {row["action"] for row in results["actions"]["rows"]} <= {"Directions", "Sitting", "SittingDown", "Walking"}

    code, _, err = liftpose("predict", "--config", name, *options, "--ckpt_path", "best", "--data.actions=[Walk]")
    assert code == 0, err
    files = sorted((run / "predictions").iterdir())
    assert [path.name for path in files] == [f"{s}.Walking.{view}.npz" for s in ("S11", "S9") for view in range(4)]
    joints = yaml.safe_load((config_folder() / name).read_text())["data"]["init_args"].get("joints", "h36m_17")
    with np.load(files[0]) as content:
        assert content["poses_3d"].shape == (43, len(get_skeleton(joints)), 3)
        assert content["poses_3d"].any()


@pytest.mark.parametrize("name", ["semgcn.yaml", "poseformer.yaml"])
def test_detections_with_a_neck_serve_lifters_without_one(
    name: str, liftpose: Callable[..., tuple[int, str, str]], h36m_root: Path, tmp_path: Path
) -> None:
    options = ["--data.keypoints=cpn_ft_h36m_dbb", f"--data.root={h36m_root}", f"--trainer.default_root_dir={tmp_path}"]
    code, _, err = liftpose("fit", "--config", name, *sizes(name), *options)
    assert code == 0, err
    assert (tmp_path / "checkpoints/best.ckpt").is_file()


def test_the_overlay_for_motion_capture_runs(
    liftpose: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    SyntheticDataModule(root="data/cmu", dataset="cmu", frames_per_action=10).prepare_data()  # files of that name
    words = ["--config", "rie_stage1.yaml", "--config", "cmu.yaml"]
    tiny = [*sizes("rie_stage1.yaml"), "--trainer.default_root_dir=run"]
    for verb in ("fit", "test", "predict"):
        code, _, err = liftpose(verb, *words, *tiny, *([] if verb == "fit" else ["--ckpt_path=best"]))
        assert code == 0, err
    assert len(list((tmp_path / "run/predictions").iterdir())) == 2 * 16 * 4  # people, takes, cameras


def test_the_overlay_for_one_person_of_motion_capture_runs(
    liftpose: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    SyntheticDataModule(root="data/cmu", dataset="cmu", frames_per_action=20).prepare_data()  # files of that name
    words = ["--config", "dhaug_videopose.yaml", "--config", "cmu_one_person.yaml", "--data.train_subjects=[P1]"]
    words += [*sizes("dhaug_videopose.yaml"), "--trainer.default_root_dir=run", "--trainer.check_val_every_n_epoch=1"]
    for verb in ("fit", "test"):
        code, _, err = liftpose(verb, *words, *([] if verb == "fit" else ["--ckpt_path=best"]))
        assert code == 0, err
    saved = torch.load(tmp_path / "run/checkpoints/best.ckpt", weights_only=True)
    assert saved["hyper_parameters"]["learning_rate"] == 0.0003


def test_overlays_only_change_what_they_say() -> None:
    for name in OVERLAYS:
        content = yaml.safe_load((config_folder() / name).read_text())
        assert set(content) <= {"model", "data", "trainer"}, name


def test_the_demo_overlays_work_together(
    liftpose: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    overlays = ["rie_stage1.yaml", "synthetic.yaml", "quick.yaml"]
    words = [word for overlay in overlays for word in ("--config", overlay)] + sizes("ridge.yaml")
    code, _, err = liftpose("fit", *words, "--data.frames_per_action=30", "--data.keypoints=noisy")
    assert code == 0, err
    assert (tmp_path / "data/synthetic/data_2d_synthetic_noisy.npz").is_file()
    assert (tmp_path / "runs/rie_stage1/checkpoints/last.ckpt").is_file()
