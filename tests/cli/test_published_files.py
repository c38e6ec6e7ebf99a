"""Files of the papers' public code given to the verbs as they are, and imported by ``liftpose weights``."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from liftpose.formats import read_predictions
from liftpose.weights import load_videopose, read_checkpoint
from liftpose.weights.rie import rie_state_dict_to_public

Run = Callable[..., tuple[int, str, str]]
Make = Callable[..., dict[str, torch.Tensor]]
GOLDEN = Path(__file__).parents[1] / "golden" / "rie" / "checkpoint_old_pickle_s1_a33.bin"
QUIET = ["--logging.wandb=disabled", "--trainer.accelerator=cpu"]
RIE_TOY = ["--model.lifter.filter_widths=[3,3]", "--model.lifter.hidden_dim=24"]
RIE_TOY += ["--model.lifter.channels=16", "--model.lifter.latent_dim=16"]
RIE_8 = ["--model.lifter.filter_widths=[3,3]"]
RIE_8 += [f"--model.lifter.{name}=8" for name in ("channels", "latent_dim", "hidden_dim")]
VIDEOPOSE = ["--config", "videopose.yaml", "--model.lifter.filter_widths=[3,3]", "--model.lifter.channels=6"]


class Hostile:
    """Runs a shell command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch was_run",)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def public_file(path: Path, weights: dict[str, torch.Tensor], **more: Any) -> Path:
    torch.save(
        {"epoch": 80, "random_state": np.random.RandomState(1), "optimizer": {}, "model_pos": weights} | more, path
    )
    return path


def refuse(liftpose: Run, *words: object) -> str:
    """Run a command that has to fail with one line and write nothing; return the line."""
    before = set(Path.cwd().rglob("*"))
    code, out, err = liftpose(*words)
    assert code == 2, err
    assert re.fullmatch(r"liftpose: error: [^\n]+\n", err), err
    assert out == ""
    assert set(Path.cwd().rglob("*")) == before
    return err.removeprefix("liftpose: error: ").rstrip()


# ------------------------------------------------------------------------------------------- the public code's numbers
OPTIONS: dict[str, list[str]] = {
    "gt_tta": [],
    "gt_no_tta": ["--model.flip_test=false"],
    "cpn_tta": ["--data.keypoints=cpn_ft_h36m_dbb"],
    "gt_by_subject": ["--by_subject=true"],
    "gt_downsample3": ["--data.downsample=3"],
    "gt_action_Sitting": ["--data.actions=[Sitting]"],
    "gt_batch7": ["--data.batch_size=7"],
}


def test_every_run_of_the_public_code_is_known(reference: Path) -> None:
    expected = json.loads((reference / "golden/rie/toy_h36m/expected.json").read_text())
    assert set(expected["runs"]) == set(OPTIONS)


@pytest.mark.parametrize("name", OPTIONS)
def test_the_authors_file_gives_the_authors_numbers(name: str, liftpose: Run, reference: Path, place: Path) -> None:
    toy = reference / "golden/rie/toy_h36m"
    expected = json.loads((toy / "expected.json").read_text())["runs"][name]
    options = [*RIE_TOY, *QUIET, f"--data.root={toy}", *OPTIONS[name], "--trainer.default_root_dir=run"]
    words = ["test", "--config", "rie_stage1.yaml", *options, "--ckpt_path", str(toy / "stage_1_epoch_10.bin")]
    code, out, err = liftpose(*words)
    assert code == 0, err
    results = json.loads((place / "run/test_results.json").read_text())
    by_subject = name == "gt_by_subject"
    tables = results["actions_by_subject"] if by_subject else {"": results["actions"]}
    tables = list(tables.values()) if isinstance(tables, dict) else tables
    rows = [row for table in tables for row in table["rows"]]
    order = sorted if not by_subject else list  # the public code lists actions in another file's order
    found = order((row["action"], row["mpjpe_mm"], row["p_mpjpe_mm"]) for row in rows)
    golden = order((row["action"], row["mpjpe_mm"], row["p_mpjpe_mm"]) for row in expected["per_action"])
    assert [row[0] for row in found] == [row[0] for row in golden]
    np.testing.assert_allclose([row[1:] for row in found], [row[1:] for row in golden], rtol=0, atol=1e-3)
    means = [value for table in tables for value in list(table["mean_over_actions"].values())[:2]]
    assert means == pytest.approx(expected["action_wise_rounded"], abs=0.051)
    shown = re.findall(r"mean over actions +([\d.]+) +([\d.]+)", out)
    printed = [float(number) for pair in shown for number in pair]
    assert printed[-len(means) :] == pytest.approx(expected["action_wise_rounded"], abs=0.11)


# ------------------------------------------------------------------------------------------------------ the other verbs
def test_every_verb_of_an_evaluation_takes_it(
    liftpose: Run, h36m_root: Path, place: Path, public_videopose: Make
) -> None:
    weights = public_videopose((3, 3), 6)
    public_file(place / "public.bin", {f"module.{name}": value for name, value in weights.items()})
    options = [*VIDEOPOSE, *QUIET, f"--data.root={h36m_root}", "--trainer.default_root_dir=run"]
    options += ["--ckpt_path=public.bin", "--data.actions=[Walking]"]
    for verb in ("validate", "test", "predict"):
        code, _, err = liftpose(verb, *options)
        assert code == 0, err
    predictions = read_predictions("run/predictions/S9.Walking.2.npz")
    code, _, err = liftpose(
        "render", "--data", h36m_root, "--subject=S9", "--action=Walking", "--camera=2", "--ckpt_path=public.bin",
        "--export=rendered.npz", "--device=cpu",
    )  # fmt: skip
    assert code == 0, err
    rendered = read_predictions("rendered.npz")
    np.testing.assert_allclose(rendered.poses_3d, predictions.poses_3d, rtol=1e-4, atol=1e-5)
    assert rendered.model == "VideoPose3D of its authors (public.bin)"
    assert liftpose("fit", *options)[0] == 2


def write_human_eva(root: Path) -> dict[str, dict[str, list[np.ndarray]]]:
    """Write a tiny HumanEva-I in the field's layout, with keypoints of COCO; return these."""
    random = np.random.default_rng(0)
    poses: dict[str, dict[str, np.ndarray]] = {}
    found: dict[str, dict[str, list[np.ndarray]]] = {}
    for number, subject in enumerate(f"{split}/S{k}" for split in ("Train", "Validate") for k in (1, 2, 3)):
        lengths = {"Walking 1 chunk0": 12 + number, "Box 1 chunk2": 15, "Jog 1 chunk0": 8, "Gestures 1 chunk0": 9}
        poses[subject] = {name: random.normal(size=(n, 15, 3)).astype(np.float32) for name, n in lengths.items()}
        found[subject] = {
            name: [random.uniform(0, 400, (n, 17, 2)).astype(np.float32) for _ in range(3)]
            for name, n in lengths.items()
        }
    sides = [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]]
    metadata = {"layout_name": "coco", "num_joints": 17, "keypoints_symmetry": sides}
    root.mkdir()
    np.savez(root / "data_3d_humaneva15.npz", positions_3d=np.array(poses, object))
    np.savez(
        root / "data_2d_humaneva15_detectron_pt_coco.npz",
        positions_2d=np.array(found, object),
        metadata=np.array(metadata, object),
    )
    return found


@torch.no_grad()
def test_keypoints_of_coco_give_poses_of_human_eva(liftpose: Run, place: Path, public_videopose: Make) -> None:
    keypoints = write_human_eva(place / "data")["Validate/S2"]["Walking 1 chunk0"][2]
    public_file(place / "public.bin", public_videopose((3, 3, 3), 6, 17, 15))
    options = ["--config=videopose_humaneva.yaml", "--model.lifter.channels=6", *QUIET, "--ckpt_path=public.bin"]
    for verb in ("test", "predict"):
        code, out, err = liftpose(verb, *options)
        assert code == 0, err
        assert verb == "predict" or re.findall(r"^(Walking|Box|Jog|Gestures) ", out, re.MULTILINE) == [
            "Walking",
            "Box",
            "Jog",
        ]
    files = {path.name: read_predictions(path) for path in Path("runs/videopose_humaneva/predictions").iterdir()}
    assert len(files) == 3 * 3 * 3  # people, takes, cameras
    (found,) = [
        file
        for file in files.values()
        if (file.subject, file.action, file.view) == ("Validate/S2", "Walking 1 chunk0", 2)
    ]
    assert (found.skeleton.name, found.keypoint_skeleton.name) == ("humaneva_15", "coco_17")
    screen = torch.from_numpy(keypoints) * 2 / 640 - torch.tensor([1, 480 / 640])
    padded = torch.cat((screen[:1].expand(13, -1, -1), screen, screen[-1:].expand(13, -1, -1)))
    pairs = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    back = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 14]
    lifter = load_videopose("public.bin")
    poses = lifter(padded[None])[0]
    mirrored = lifter((padded[:, pairs] * torch.tensor([-1, 1]))[None])[0, :, back] * torch.tensor([-1, 1, 1])
    np.testing.assert_allclose(found.poses_3d, (poses + mirrored) / 2, rtol=1e-4, atol=1e-5)
    code, _, err = liftpose(
        "render", "--data=data", "--dataset=humaneva15", "--keypoints=detectron_pt_coco", "--subject=Validate/S2",
        "--action=Walking 1 chunk0", "--camera=2", "--ckpt_path=public.bin", "--export=again.npz", "--out=x.html",
        "--device=cpu",
    )  # fmt: skip
    assert code == 0, err
    np.testing.assert_allclose(read_predictions("again.npz").poses_3d, found.poses_3d, rtol=1e-4, atol=1e-5)


def test_a_training_starts_from_it_but_does_not_go_on(
    liftpose: Run, h36m_root: Path, place: Path, public_videopose: Make
) -> None:
    public_file(place / "public.bin", public_videopose((3, 3), 6))
    tiny = Path(__file__).parents[1] / "tiny.yaml"
    options = ["fit", *VIDEOPOSE, "--config", tiny, f"--data.root={h36m_root}", "--trainer.default_root_dir=run"]
    message = refuse(liftpose, *options, "--ckpt_path=public.bin")
    assert message == (
        "--ckpt_path public.bin: expected a checkpoint with the state of a training, found the weights of VideoPose3D "
        "alone (--model.init_from public.bin starts a training from them)"
    )
    code, _, err = liftpose(*options, "--model.init_from=public.bin", "--model.learning_rate=1e-20")
    assert code == 0, err
    fitted = torch.load("run/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    expected = load_videopose("public.bin").state_dict()
    for name in ("expand.weight", "blocks.0.conv.weight", "shrink.bias"):
        torch.testing.assert_close(fitted[f"lifter.{name}"], expected[name])
    message = refuse(
        liftpose, *options, "--overwrite=true", "--model.init_from=public.bin", "--model.lifter.channels=7"
    )
    assert message == "model.init_from public.bin: weights to start from: channels: expected 7, found 6"


# ------------------------------------------------------------------------------------------------------------- refused
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.lifter.latent_dim=9"], "model.lifter.latent_dim is 9 in the configuration and 8 in the weights"),
        (["--model.lifter.latent_dim=9"], "(what fits: --model.lifter.latent_dim 8)"),
        (
            ["--model.lifter.filter_widths=[3,5]", "--model.lifter.stage=3"],
            "(what fits: --model.lifter.filter_widths [3,3] --model.lifter.stage 1)",
        ),
        (["--model.lifter.skeleton=h36m_16"], "skeleton is h36m_16 in the configuration and h36m_17 in the weights"),
        (["--model.lifter.causal=true"], "(what fits: --model.lifter.current middle)"),
        (
            ["--model.lifter=liftpose.models.MeanPose"],
            "expected the weights of liftpose.models.MeanPose, found those of RIE (--model.lifter liftpose.models.RIE",
        ),
    ],
)
def test_a_configuration_that_disagrees_with_the_weights(
    options: list[str], message: str, liftpose: Run, place: Path
) -> None:
    own = [] if "MeanPose" in options[0] else RIE_8
    words = ["test", "--config", "rie_stage1.yaml", *QUIET, *own, *options, f"--ckpt_path={GOLDEN}"]
    assert message in refuse(liftpose, *words)


def test_skeletons_that_the_weights_do_not_have(liftpose: Run, place: Path, public_videopose: Make) -> None:
    public_file(place / "public.bin", public_videopose((3, 3), 6, 17, 15))
    message = refuse(liftpose, "test", *VIDEOPOSE, *QUIET, "--ckpt_path=public.bin")
    assert message == (
        "--ckpt_path public.bin: the configuration and the weights of VideoPose3D disagree: model.lifter.skeleton is "
        "h36m_17 in the configuration and humaneva_15 in the weights; model.lifter.keypoint_skeleton is null in the "
        "configuration and coco_17 in the weights (what fits: --model.lifter.skeleton humaneva_15 "
        "--model.lifter.keypoint_skeleton coco_17)"
    )


@pytest.mark.parametrize("verb", ["test", "weights", "render"])
@pytest.mark.parametrize("damage", ["missing", "width", "truncated", "hostile", "other", "stranger"])
def test_damaged_files(
    damage: str, verb: str, liftpose: Run, h36m_root: Path, place: Path, public_videopose: Make
) -> None:
    file, weights = place / "public.bin", public_videopose((3, 3), 6)
    if damage == "missing":
        public_file(file, {name: value for name, value in weights.items() if name != "layers_bn.0.bias"})
    elif damage == "width":
        public_file(file, weights | {"layers_conv.1.weight": torch.zeros(6, 7, 1)})
    elif damage == "hostile":
        public_file(file, weights, extra=Hostile())
    elif damage == "other":
        public_file(file, {"encoder.weight": torch.zeros(1)})
    elif damage == "stranger":
        torch.save({"weights": weights}, file)
    else:
        public_file(file, weights)
        file.write_bytes(file.read_bytes()[:-500])
    found = {
        "missing": "expected the weights of VideoPose3D, found no tensor layers_bn.0.bias",
        "width": "blocks.0.mix.weight: expected the shape (1, 1, 6, 6), found the shape (1, 1, 7, 6)",
        "truncated": "expected a checkpoint, found a damaged file or one of another kind",
        "hostile": "expected a checkpoint, found a reference to ",
        "other": "expected weights of RIE, VideoPose3D, SimpleBaseline, SemGCN, ST-GCN or PoseFormer in model_pos",
        "stranger": "expected ",
    }[damage]
    words: dict[str, list[object]] = {
        "test": ["test", *VIDEOPOSE, *QUIET, f"--data.root={h36m_root}", "--ckpt_path=public.bin"],
        "weights": ["weights", "import", "public.bin", "--out=x.ckpt"],
        "render": ["render", "--data", h36m_root, "--subject=S9", "--action=Walking", "--ckpt_path=public.bin"],
    }
    more = ["--out=x.html"] if verb == "render" else []
    message = refuse(liftpose, *words[verb], *more)
    assert "public.bin: " in message
    assert found in message
    assert not (place / "was_run").exists()


# ------------------------------------------------------------------------------------------------------ weights import
def test_an_imported_checkpoint_does_what_the_file_does(liftpose: Run, h36m_root: Path, place: Path) -> None:
    code, out, err = liftpose("weights", "import", "rie", GOLDEN, "--out", "own/x.ckpt")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    weights = read_checkpoint(GOLDEN)["model_pos"]
    count = sum(value.numel() for name, value in weights.items() if not re.search("running_|num_batches", name))
    assert lines[0].startswith(f"{GOLDEN}: RIE, {count:,} parameters, 9 frames: filter_widths [3,3], channels 8")
    assert lines[1] == "wrote own/x.ckpt: weights without the state of a training, so fit takes it as --model.init_from"
    words = lines[2].split()  # the command that is shown works as it stands
    assert words[:4] == ["liftpose", "test", "--config", "rie_stage1.yaml"]
    more = [*QUIET, f"--data.root={h36m_root}", "--data.actions=[Walking]"]
    tables = []
    for file, folder in (("own/x.ckpt", "imported"), (str(GOLDEN), "direct")):
        command = [file if word == "own/x.ckpt" else word for word in words[1:]]
        code, _, err = liftpose(*command, *more, f"--trainer.default_root_dir={folder}")
        assert code == 0, err
        tables.append(json.loads((place / folder / "test_results.json").read_text())["actions"])
    assert tables[0] == tables[1]
    stage_2 = [*(word.replace("stage1", "stage2") for word in words[2:-2]), *QUIET, f"--data.root={h36m_root}"]
    message = refuse(liftpose, "fit", *stage_2, "--ckpt_path=own/x.ckpt", "--trainer.default_root_dir=stage2")
    assert "found the weights of RIE alone (--model.init_from own/x.ckpt starts a training from them)" in message
    tiny = ["--config", Path(__file__).parents[1] / "tiny.yaml", "--trainer.default_root_dir=stage2"]
    code, _, err = liftpose("fit", *stage_2, *tiny, "--model.init_from=own/x.ckpt")
    assert code == 0, err
    code, out, err = liftpose("render", "--data", h36m_root, "--subject=S9", "--action=Walking", "--out=x.html",
                              "--ckpt_path=own/x.ckpt", "--limit=5", "--device=cpu")  # fmt: skip
    assert code == 0, err


def test_what_the_shapes_leave_open_can_be_said(liftpose: Run, place: Path, public_videopose: Make) -> None:
    public_file(place / "public.bin", public_videopose((3, 3, 3), 6, 17, 15), model_traj={})
    code, out, _ = liftpose("weights", "import", "public.bin", "--out=x.ckpt", "--causal=true")
    assert code == 0
    assert "27 frames: filter_widths [3,3,3], channels 6, skeleton humaneva_15, keypoint_skeleton coco_17" in out
    assert out.splitlines()[1] == "left out: model_traj"
    content = torch.load("x.ckpt", weights_only=True)
    assert content["liftpose_lifter"] == {
        "skeleton": "humaneva_15", "keypoint_skeleton": "coco_17", "causal": True, "current": "last"
    }  # fmt: skip
    message = refuse(liftpose, "test", *VIDEOPOSE, *QUIET, "--ckpt_path=x.ckpt")
    assert "model.lifter.causal is False in the configuration and True in the checkpoint" in message


def test_what_cannot_be_imported(liftpose: Run, place: Path, public_videopose: Make) -> None:
    public_file(place / "public.bin", public_videopose())
    torch.save({"state_dict": {"lifter.weight": torch.zeros(1)}, "epoch": 1}, "own.ckpt")
    mistakes = {
        (
            "rie",
            "public.bin",
            "--out=x.ckpt",
        ): "expected weights of RIE as its public code writes them, found those of Vi",
        (
            "rye",
            "public.bin",
            "--out=x.ckpt",
        ): "stgcn, poseformer, integral, heatmap or refiner and one file, found rye",
        ("public.bin",): "--out: expected the name of the checkpoint to write, found none",
        ("public.bin", "--out=./public.bin"): "--out public.bin: expected another file than the one that is read",
        (
            "own.ckpt",
            "--out=x.ckpt",
        ): "expected weights of RIE, VideoPose3D, SimpleBaseline, SemGCN, ST-GCN, PoseFormer, IntegralPose, ",
        ("nowhere.bin", "--out=x.ckpt"): "nowhere.bin: expected a checkpoint, found no such file",
        ("public.bin", "--out=x.ckpt", "--stage=2"): "--stage: expected no such option for VideoPose3D, found 2",
        ("public.bin", "--out=x.ckpt", "--skeleton=me"): "skeleton: expected one of h36m_17, ",
        ("public.bin", "--out=x.ckpt", "--skeleton=mads_15"): "public.bin: skeleton: expected mads_15, found h36m_17",
    }
    for words, message in mistakes.items():
        assert message in refuse(liftpose, "weights", "import", *words)
    assert refuse(liftpose, "weights", "export") == "liftpose weights: expected import, found export"


def test_a_checkpoint_that_is_there_is_replaced_only_when_asked(liftpose: Run, place: Path) -> None:
    (place / "best.ckpt").write_text("days of training")
    words = ["weights", "import", GOLDEN, "--out=best.ckpt"]
    assert refuse(liftpose, *words) == "--out best.ckpt: expected no such file, found one (--overwrite replaces it)"
    assert (place / "best.ckpt").read_text() == "days of training"
    assert liftpose(*words, "--overwrite")[0] == 0
    assert "state_dict" in read_checkpoint("best.ckpt")


def test_weights_of_stage_2_look_like_those_of_stage_3(liftpose: Run, place: Path) -> None:
    from liftpose.models import RIE

    model = RIE(filter_widths=(3, 3), channels=8, latent_dim=8, hidden_dim=8, stage=2)
    public_file(place / "public.bin", rie_state_dict_to_public(model.state_dict()))
    for option, stage in (([], 3), (["--stage=2"], 2)):
        code, out, _ = liftpose("weights", "import", "public.bin", "--out=x.ckpt", "--overwrite", *option)
        assert code == 0
        assert f"--config rie_stage{stage}.yaml --model.lifter.filter_widths [3,3]" in out
        saved = torch.load("x.ckpt", weights_only=True)["hyper_parameters"]["lifter"]
        assert saved["init_args"]["stage"] == stage
