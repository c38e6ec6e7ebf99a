from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import yaml

from liftpose.cli.configs import config_folder
from liftpose.datamodules import HumanEvaDataModule
from liftpose.errors import LiftposeError
from liftpose.formats.humaneva import convert_humaneva
from liftpose.models import RIE
from liftpose.skeletons import HUMANEVA_15

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def root(humaneva_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("humaneva") / "data"
    convert_humaneva(humaneva_export, out)
    return out


def frames_of(export: Path, split: str, *actions: str) -> int:
    files = [path for path in export.glob(f"{split}/*/*.mat") if path.name.startswith(actions)]
    return sum(int(np.isfinite(scipy.io.loadmat(path)["poses_3d"]).all(axis=(1, 2)).sum()) for path in files)


def test_splits_are_those_of_the_protocol(root: Path, humaneva_export: Path) -> None:
    module = HumanEvaDataModule(str(root))
    for split, folder in (("train", "Train"), ("validation", "Validate"), ("test", "Validate")):
        recordings = module.recordings(split)  # type: ignore[arg-type]
        assert {recording.action_group for recording in recordings} == {"Walking", "Jog", "Box"}
        assert {recording.subject for recording in recordings} == {f"{folder}/S{person}" for person in (1, 2, 3)}
        expected = 3 * frames_of(humaneva_export, folder, "Walking", "Jog", "Box")
        assert sum(map(len, recordings)) == expected
    everything = HumanEvaDataModule(str(root), actions=None).recordings("train")
    assert sum(map(len, everything)) == 3 * frames_of(humaneva_export, "Train", "")
    assert HumanEvaDataModule(str(root), actions=["Ges"]).recordings("test")[0].action == "Gestures 1 chunk0"


def test_somebody_cannot_be_trained_and_tested_on_in_the_same_frames(root: Path) -> None:
    with pytest.raises(LiftposeError, match="expected people who are not trained on, found Validate/S1"):
        HumanEvaDataModule(str(root), train_subjects=["Train/S1", "Validate/S1"]).check("fit")
    with pytest.raises(LiftposeError, match=r"liftpose data humaneva DIR --out"):
        HumanEvaDataModule(str(root), dataset="humaneva20").check("fit")


def fully_connected(inputs: int, outputs: int, width: int, blocks: int) -> int:
    """Numbers of a block of Shan et al., section 3: linear layers with bias, each inner one normalised."""
    return inputs * width + 3 * width + blocks * 2 * (width * width + 3 * width) + width * outputs + outputs


def rie_numbers(parts: list[int], widths: list[int], channels: int, latent: int, hidden: int) -> int:
    """Numbers of the whole network (stage 3), counted from the description of its layers."""
    later = sum(channels * channels * (width + 1) + 4 * channels for width in widths[1:])
    local = sum(6 * part * channels * widths[0] + 2 * channels + later + (channels + 1) * latent for part in parts)
    fusion = len(parts) * fully_connected((len(parts) - 1) * latent, latent, hidden, 1)
    decoders = sum(fully_connected(3 * latent, 3 * part, hidden, 1) for part in parts)
    return local + fusion + decoders + fully_connected(2 * sum(parts), latent, hidden, 2)


def test_the_configuration_is_the_published_protocol() -> None:
    assert rie_numbers([5, 3, 3, 3, 3], [3] * 5, 256, 256, 1024) == 41_783_091  # the public network's count
    config = yaml.safe_load((config_folder() / "rie_humaneva.yaml").read_text())
    options = config["model"]["init_args"]
    model = RIE(**options["lifter"]["init_args"])
    assert model.skeleton == HUMANEVA_15
    assert model.receptive_field == 27
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == rie_numbers([3, 3, 3, 3, 3], [3] * 3, 256, 256, 1024)
    data = config["data"]["init_args"]
    assert (data["batch_size"], data["actions"]) == (128, ["Walk", "Jog", "Box"])
    assert (config["trainer"]["max_epochs"], options["learning_rate_decay"]) == (1000, 0.996)


def test_fit_test_predict(liftpose: Callable[..., tuple[int, str, str]], root: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["--config", "rie_humaneva.yaml", "--config", TESTS / "tiny.yaml", "--config", TESTS / "tiny_rie.yaml"]
    words += [f"--data.root={root}", f"--trainer.default_root_dir={run}"]
    code, _, err = liftpose("fit", *words)
    assert code == 0, err
    assert {"checkpoints", "config.yaml", "metrics.csv", "prediction.png"} <= {path.name for path in run.iterdir()}

    words += ["--ckpt_path", "best"]
    code, out, err = liftpose("test", *words, "--by_subject", "true", "--trainer.limit_test_batches", "1.0")
    assert code == 0, err
    for person in ("S1", "S2", "S3"):
        assert f"Validate/{person}" in out
    results = json.loads((run / "test_results.json").read_text())
    assert {row["action"] for row in results["actions"]["rows"]} == {"Walking", "Jog", "Box"}

    chosen = ["--data.actions=[Box]", "--data.test_subjects=[Validate/S2]"]
    code, _, err = liftpose("predict", *words, *chosen)
    assert code == 0, err
    files = sorted((run / "predictions").iterdir())
    with np.load(files[0]) as content:
        metadata = json.loads(str(content["metadata"]))
        assert content["poses_3d"].shape[1:] == (15, 3)
    assert (metadata["subject"], metadata["skeleton"]) == ("Validate/S2", "humaneva_15")
    assert metadata["camera"]["intrinsics"] is None
    code, _, err = liftpose("render", "--predictions", files[0], "--data", root, "--out", tmp_path / "page.html")
    assert code == 0, err
    assert "Box 1 chunk" in (tmp_path / "page.html").read_text()
