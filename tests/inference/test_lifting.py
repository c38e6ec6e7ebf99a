from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from liftpose.data import Recording
from liftpose.errors import LiftposeError
from liftpose.formats import find_dataset_files, read_h36m, read_predictions
from liftpose.inference import LoadedLifter, load_lifter, predict_poses
from liftpose.models import RIE, LinearLifter
from liftpose.skeletons import HUMANEVA_15, mirror
from liftpose.weights import load_rie

Run = Callable[..., tuple[int, str, str]]
TINY = Path(__file__).parents[1]
MARKER = "imported-by-a-checkpoint"


@pytest.fixture(scope="module")
def trained(h36m_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a small RIE, trained and used for predictions by the command."""
    from liftpose.cli.main import main

    run = tmp_path_factory.mktemp("runs") / "run"
    config = [
        "--config",
        "rie_stage1.yaml",
        "--config",
        str(TINY / "tiny_rie.yaml"),
        "--config",
        str(TINY / "tiny.yaml"),
    ]
    options = [f"--data.root={h36m_root}", f"--trainer.default_root_dir={run}", "--trainer.accelerator=cpu"]
    assert main(["fit", *config, *options]) == 0
    assert main(["predict", *config, *options, "--ckpt_path", "best"]) == 0
    return run


@pytest.fixture(scope="module")
def recordings(h36m_root: Path) -> list[Recording]:
    return read_h36m(*find_dataset_files(h36m_root, "h36m", "gt"), subjects=["S9", "S11"])


def checkpoint(run: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of the checkpoint with something changed."""
    content = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    change(content)
    torch.save(content, tmp_path / "changed.ckpt")
    return tmp_path / "changed.ckpt"


def test_the_numbers_are_those_of_the_command(trained: Path, recordings: list[Recording]) -> None:
    loaded = load_lifter(trained / "checkpoints" / "best.ckpt")
    files = [read_predictions(path) for path in (trained / "predictions").iterdir()]
    assert len(files) == len(recordings) == 32
    for file in files:
        key = (file.subject, file.action, file.view)
        (recording,) = [recording for recording in recordings if recording.key == key]
        poses = predict_poses(loaded, recording)
        assert (poses.shape, poses.dtype) == ((len(recording), 17, 3), np.float32)
        np.testing.assert_allclose(poses, file.poses_3d, rtol=1e-5, atol=1e-6)
    assert isinstance(loaded.lifter, RIE)
    assert loaded.flip_test
    assert loaded.name.startswith("RIE stage 1 (")


def test_the_size_of_the_batch_does_not_matter_and_progress_is_told(trained: Path, recordings: list[Recording]) -> None:
    loaded = load_lifter(trained / "checkpoints" / "best.ckpt")
    told: list[tuple[int, int]] = []
    few = predict_poses(loaded, recordings[0], batch_size=17, progress=lambda *numbers: told.append(numbers))
    np.testing.assert_allclose(few, predict_poses(loaded, recordings[0]), rtol=1e-5, atol=1e-6)
    assert told == [(17, 40), (34, 40), (40, 40)]
    with pytest.raises(ValueError, match="batch_size"):
        predict_poses(loaded, recordings[0], batch_size=0)


def test_the_mirrored_prediction_is_averaged_in_if_the_training_says_so(
    trained: Path, recordings: list[Recording], tmp_path: Path
) -> None:
    path = checkpoint(trained, tmp_path, lambda content: content["hyper_parameters"].update(flip_test=False))
    plain = load_lifter(path)
    assert not plain.flip_test
    recording = recordings[0]
    assert recording.camera is not None
    width = float(recording.camera.image_size[0])
    # In screen coordinates x becomes -x; in pixels that is column w - x.
    flipped = replace(
        recording, keypoints_2d=mirror(recording.keypoints_2d, recording.skeleton) + np.array([width, 0], np.float32)
    )
    other = mirror(predict_poses(plain, flipped), recording.skeleton)
    expected = (predict_poses(plain, recording) + other) / 2
    both = predict_poses(load_lifter(trained / "checkpoints" / "best.ckpt"), recording)
    np.testing.assert_allclose(both, expected, atol=1e-5)


def test_the_configuration_serves_where_the_hyper_parameters_are_missing(trained: Path, tmp_path: Path) -> None:
    path = checkpoint(trained, tmp_path, lambda content: content.pop("hyper_parameters"))
    loaded = load_lifter(path)
    other = load_lifter(trained / "checkpoints" / "best.ckpt")
    assert loaded.flip_test == other.flip_test
    for name, value in other.lifter.state_dict().items():
        assert torch.equal(loaded.lifter.state_dict()[name], value)


def set_class(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["hyper_parameters"]["lifter"].update(class_path=name)


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "this_module.Lifter",
        "liftpose.models.Lifter",
        "liftpose.errors.LiftposeError",
        "liftpose.cli.main.main",
        "liftpose.models.nothing",
        "liftpose.nothing.RIE",
        "liftposed.models.RIE",
        "RIE",
        "",
    ],
)
def test_only_lifters_of_liftpose_are_built(
    name: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "this_module.py").write_text(f"raise SystemExit('{MARKER}')")
    monkeypatch.syspath_prepend(tmp_path)
    path = checkpoint(trained, tmp_path, set_class(name))
    with pytest.raises(LiftposeError, match=r"changed.ckpt: expected a lifter of liftpose .*, found"):
        load_lifter(path)


def test_a_checkpoint_that_does_not_fit_itself_is_one_line(trained: Path, tmp_path: Path) -> None:
    def change(**options: Any) -> Path:
        return checkpoint(trained, tmp_path, lambda c: c["hyper_parameters"]["lifter"]["init_args"].update(options))

    with pytest.raises(LiftposeError, match="expected weights that fit its own RIE, found: size mismatch"):
        load_lifter(change(channels=7))
    with pytest.raises(LiftposeError, match="expected a lifter with causal True, found False"):
        load_lifter(change(causal=True))
    with pytest.raises(LiftposeError, match=r"expected options of liftpose\.models\.RIE .*, found depth"):
        load_lifter(change(depth=3))
    with pytest.raises(LiftposeError, match=r"expected options that liftpose\.models\.RIE takes, found: .*stage"):
        load_lifter(change(stage=9))


def test_what_is_no_checkpoint_of_a_lifter_is_one_line(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "empty.ckpt")
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    for name, found in (
        ("empty.ckpt", "found state_dict"),
        ("text.ckpt", "found a damaged file"),
        ("none.ckpt", "no such file"),
    ):
        with pytest.raises(LiftposeError, match=f"{name}: expected a checkpoint.*{found}"):
            load_lifter(tmp_path / name)


def test_a_file_of_the_authors_serves_too(recordings: list[Recording]) -> None:
    path = TINY / "golden" / "rie" / "checkpoint_old_pickle_s1_a33.bin"
    loaded = load_lifter(path)
    assert isinstance(loaded.lifter, RIE)
    assert (loaded.lifter.receptive_field, loaded.flip_test) == (9, True)
    own = load_rie(path).state_dict()
    assert all(torch.equal(value, own[name]) for name, value in loaded.lifter.state_dict().items())
    assert predict_poses(loaded, recordings[0]).shape == (40, 17, 3)


def test_other_joints_and_missing_cameras_are_refused(trained: Path, recordings: list[Recording]) -> None:
    loaded = load_lifter(trained / "checkpoints" / "best.ckpt")
    other = Recording("S1", "Walking", 0, HUMANEVA_15, 60.0, np.zeros((5, 15, 2), np.float32))
    with pytest.raises(LiftposeError, match=r"expected the skeleton h36m_17 of the lifter RIE .*, found humaneva_15"):
        predict_poses(loaded, other)
    with pytest.raises(LiftposeError, match="expected a camera"):
        predict_poses(loaded, replace(recordings[0], camera=None))


def test_poses_that_are_not_finite_are_refused(recordings: list[Recording]) -> None:
    lifter = LinearLifter()
    lifter.weight.fill_(torch.nan)
    with pytest.raises(LiftposeError, match="expected finite poses"):
        predict_poses(LoadedLifter(lifter, False, "broken"), recordings[0])
