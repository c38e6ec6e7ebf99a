"""Lifters of DH-AUG, PoseAug and PoseFormer given to the verbs as their public code saves them, and imported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from liftpose.formats import read_predictions
from liftpose.models import STGCN, Lifter, PoseFormer, SemGCN, SimpleBaseline, VideoPose
from liftpose.skeletons import H36M_16, mirror
from liftpose.weights import read_checkpoint

Run = Callable[..., tuple[int, str, str]]
Make = Callable[..., dict[str, torch.Tensor]]
QUIET = ["--logging.wandb=disabled", "--trainer.accelerator=cpu", "--trainer.default_root_dir=run"]
TINY: dict[str, tuple[type[Lifter], dict[str, Any]]] = {
    "simple_baseline": (SimpleBaseline, {"channels": 8}),
    "semgcn": (SemGCN, {"channels": 8}),
    "stgcn": (STGCN, {"channels": [8, 8, 8], "part_channels": 8}),
    "poseformer": (PoseFormer, {"channels": 8, "depth": 2}),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(name: str, entry: str = "model_pos", **options: Any) -> Lifter:
    """Write a small network with random weights as the public code does, and return it."""
    kind, small = TINY[name]
    network = kind(**(small | options)).eval()
    torch.save({"epoch": 3, entry: network.state_dict()}, "public.pth.tar")
    return network


def small(name: str) -> list[str]:
    return [f"--model.lifter.{key}={value}".replace(" ", "") for key, value in TINY[name][1].items()]


@pytest.mark.parametrize("name", TINY)
def test_the_verbs_of_an_evaluation_take_it(name: str, liftpose: Run, h36m_root: Path, place: Path) -> None:
    network = save(name, "state_dict" if name == "stgcn" else "model_pos")
    options = ["--config", f"{name}.yaml", *small(name), *QUIET, f"--data.root={h36m_root}", "--data.actions=[Walking]"]
    for verb in ("predict",) if name == "stgcn" else ("test", "validate", "predict"):
        code, _, err = liftpose(verb, *options, "--ckpt_path=public.pth.tar")
        assert code == 0, err
    file = read_predictions("run/predictions/S9.Walking.2.npz")
    assert file.skeleton.name == "h36m_16"
    with np.load(h36m_root / "data_2d_h36m_gt.npz", allow_pickle=True) as content:
        pixels = content["positions_2d"].item()["S9"]["Walking"][2]
    screen = torch.from_numpy(pixels[:, [*range(9), *range(10, 17)]]) / 500 - 1  # pictures of 1000 x 1000
    reach = network.receptive_field // 2
    padded = torch.cat((screen[:1].expand(reach, -1, -1), screen, screen[-1:].expand(reach, -1, -1)))
    with torch.no_grad():
        poses = network(padded[None])[0]
    poses = poses - poses[:, :1]  # the configurations have subtract_root
    np.testing.assert_allclose(file.poses_3d, poses, rtol=1e-4, atol=1e-5)


def test_render_brings_the_recording_into_its_joints(liftpose: Run, h36m_root: Path, place: Path) -> None:
    network = save("semgcn")
    take = ["render", "--data", h36m_root, "--subject=S9", "--action=Walking", "--camera=2"]
    code, _, err = liftpose(*take, "--ckpt_path=public.pth.tar", "--export=x.npz", "--device=cpu")
    assert code == 0, err
    file = read_predictions("x.npz")
    assert (file.model, file.skeleton.name) == ("SemGCN of its authors (public.pth.tar)", "h36m_16")
    screen = torch.from_numpy(file.keypoints_2d).float() / 500 - 1  # of pictures of 1000 x 1000
    both = torch.stack((screen, mirror(screen, H36M_16)))
    with torch.no_grad():
        straight, mirrored = network(both)
    np.testing.assert_allclose(file.poses_3d, (straight + mirror(mirrored, H36M_16)) / 2, rtol=1e-4, atol=1e-5)
    code, _, err = liftpose("render", "--data", h36m_root, "--predictions=x.npz", "--out=x.html")  # truth in 16 joints
    assert code == 0, err
    save("simple_baseline", skeleton="humaneva_15")
    code, _, err = liftpose(*take, "--ckpt_path=public.pth.tar", "--export=y.npz", "--device=cpu")
    assert code == 2
    assert "expected the skeleton humaneva_15 of the lifter SimpleBaseline of its authors" in err


def test_a_training_starts_from_it_but_does_not_go_on(liftpose: Run, h36m_root: Path, place: Path) -> None:
    network = save("semgcn")
    tiny = Path(__file__).parents[1] / "tiny.yaml"
    options = ["fit", "--config=semgcn.yaml", *small("semgcn"), "--config", tiny, *QUIET, f"--data.root={h36m_root}"]
    code, _, err = liftpose(*options, "--ckpt_path=public.pth.tar")
    assert code == 2
    assert "found the weights of SemGCN alone (--model.init_from public.pth.tar starts a training from them)" in err
    code, _, err = liftpose(*options, "--model.init_from=public.pth.tar", "--model.learning_rate=1e-20")
    assert code == 0, err
    fitted = torch.load("run/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    for name, value in network.named_parameters():
        torch.testing.assert_close(fitted[f"lifter.{name}"], value.data)
    code, _, err = liftpose(
        *options, "--overwrite=true", "--model.init_from=public.pth.tar", "--model.lifter.channels=4"
    )
    assert code == 2
    assert "model.init_from public.pth.tar: weights to start from: expected gconv_input.0.gconv.W of shape" in err


def test_an_imported_checkpoint_does_what_the_file_does(liftpose: Run, h36m_root: Path, place: Path) -> None:
    save("simple_baseline", stages=3)
    code, out, err = liftpose("weights", "import", "simple_baseline", "public.pth.tar", "--out", "own.ckpt")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].endswith("1 frames: skeleton h36m_16, channels 8, stages 3")
    words = lines[2].split()  # the command that is shown works as it stands
    assert words[:4] == ["liftpose", "test", "--config", "simple_baseline.yaml"]
    tables = []
    for file in ("own.ckpt", "public.pth.tar"):
        command = [file if word == "own.ckpt" else word for word in words[1:]]
        code, _, err = liftpose(*command, *QUIET, f"--data.root={h36m_root}", "--data.actions=[Walking]")
        assert code == 0, err
        tables.append(json.loads((place / "run/test_results.json").read_text())["actions"])
    assert tables[0] == tables[1]


def test_the_command_that_is_shown_brings_the_data_into_the_joints(
    liftpose: Run, h36m_root: Path, place: Path, public_videopose: Make
) -> None:
    for weights, more in (
        (VideoPose("h36m_16", filter_widths=(1, 1), channels=6, predict_root=False), "--data.joints h36m_16"),
        (PoseFormer("h36m_17", frames=27, channels=8, depth=1), "--data.joints h36m_17"),  # as its authors train it
    ):
        shown = weights.state_dict()
        if isinstance(weights, VideoPose):
            shown = public_videopose((1, 1), 6, 16, 15)
        torch.save({"model_pos": shown}, "public.bin")
        code, out, err = liftpose("weights", "import", "public.bin", "--out=x.ckpt", "--overwrite")
        assert code == 0, err
        command = out.splitlines()[2].split()
        assert more in " ".join(command)
        code, _, err = liftpose(*command[1:], *QUIET, f"--data.root={h36m_root}", "--data.actions=[Walking]")
        assert code == 0, err


def test_what_the_shapes_leave_open_can_be_said(liftpose: Run, place: Path) -> None:
    save("poseformer", heads=4)
    code, out, _ = liftpose("weights", "import", "public.pth.tar", "--out=x.ckpt", "--heads=4")
    assert code == 0
    assert "--model.lifter.heads 4" in out
    saved = read_checkpoint("x.ckpt")["hyper_parameters"]["lifter"]["init_args"]
    assert saved == {"skeleton": "h36m_16", "frames": 9, "channels": 8, "depth": 2, "mlp_ratio": 2.0, "heads": 4}
    code, _, err = liftpose("weights", "import", "public.pth.tar", "--out=y.ckpt", "--causal=true")
    assert (code, "--causal: expected no such option for PoseFormer, found True" in err) == (2, True)
    code, _, err = liftpose("weights", "import", "semgcn", "public.pth.tar", "--out=y.ckpt")
    assert "expected weights of SemGCN as its public code writes them, found those of PoseFormer" in err


def test_a_configuration_that_disagrees_with_the_weights(liftpose: Run, place: Path) -> None:
    save("stgcn")
    code, _, err = liftpose("test", "--config=stgcn.yaml", *QUIET, "--ckpt_path=public.pth.tar")
    assert code == 2
    assert "(what fits: --model.lifter.channels [8,8,8] --model.lifter.part_channels 8)" in err
    code, _, err = liftpose("test", "--config=semgcn.yaml", *QUIET, "--ckpt_path=public.pth.tar")
    assert "expected the weights of liftpose.models.SemGCN, found those of ST-GCN (--model.lifter " in err
