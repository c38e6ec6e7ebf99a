"""Checkpoints compared with the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from liftpose.callbacks import RUN_ENTRY
from liftpose.cli.checkpoints import (
    compare_runs,
    compare_with_checkpoint,
    differences,
    find_checkpoint,
    refuse_to_lose,
    refuse_to_overwrite,
    refuse_to_shorten,
)
from liftpose.errors import LiftposeError
from liftpose.weights import CONFIG_ENTRY, IDENTITY_ENTRY

TASK = "liftpose.tasks.LiftingTask"
RIE = "liftpose.models.RIE"


def lifter(**options: Any) -> dict[str, Any]:
    return {"class_path": RIE, "init_args": {"channels": 8, "filter_widths": [3, 3], "fc_dropout": 0.25, **options}}


def section(**options: Any) -> dict[str, Any]:
    return {"class_path": TASK, "init_args": {"lifter": lifter(), "learning_rate": 0.1, "init_from": None, **options}}


def save(path: Path, without: str = "", **hyper_parameters: Any) -> Path:
    content = {
        "state_dict": {},
        "pytorch-lightning_version": "2.6.6",
        "epoch": 1,
        "global_step": 2,
        "loops": {},
        "optimizer_states": [],
        "lr_schedulers": [],
        RUN_ENTRY: {},
        "hyper_parameters": {"_class_path": TASK, "lifter": lifter(), "learning_rate": 0.1, **hyper_parameters},
    }
    content.pop(without, None)
    torch.save(content, path)
    return path


def compare(path: Path, model: dict[str, Any], *only: str) -> dict[str, Any]:
    return compare_with_checkpoint(path, model, only=only or None, ignored=("init_from",))


def test_what_agrees_is_read(tmp_path: Path) -> None:
    path = save(tmp_path / "a.ckpt", init_from="elsewhere.ckpt")
    assert compare(path, section())["global_step"] == 2
    assert compare(path, section(learning_rate=5.0), "lifter")["epoch"] == 1


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (section(learning_rate=0.2), "model.learning_rate is 0.2 in the configuration and 0.1 in the checkpoint"),
        (section(lifter=lifter(channels=16)), "model.lifter.channels is 16 in the configuration and 8"),
        (section(lifter=lifter(filter_widths=[3])), r"model.lifter.filter_widths is \[3\] in the .* and \[3, 3\]"),
        (
            section(lifter={"class_path": "liftpose.models.MeanPose", "init_args": {}}),
            "disagree: model.lifter.class_path",
        ),
        (section() | {"class_path": "liftpose.tasks.RegressionTask"}, "expected a checkpoint of .*RegressionTask"),
    ],
)
def test_what_differs_is_named_with_both_values(model: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(LiftposeError, match=message):
        compare(save(tmp_path / "a.ckpt"), model)


def test_an_option_that_is_younger_than_the_checkpoint_has_its_default(tmp_path: Path) -> None:
    old = {name: value for name, value in lifter()["init_args"].items() if name != "fc_dropout"}
    path = save(tmp_path / "a.ckpt", lifter={"class_path": RIE, "init_args": old})
    compare(path, section())
    compare(path, section(flip_test=True))
    with pytest.raises(LiftposeError, match=r"fc_dropout is 0.5 in the configuration and 0.25 in the checkpoint"):
        compare(path, section(lifter=lifter(fc_dropout=0.5)))
    with pytest.raises(LiftposeError, match="flip_test is False in the configuration and True in the checkpoint"):
        compare(path, section(flip_test=False))


def test_tuples_and_lists_of_the_same_numbers_agree() -> None:
    assert list(differences({"a": (3, (3,))}, {"a": [3, [3]]}, "x")) == []


def test_many_differences_are_counted(tmp_path: Path) -> None:
    other = lifter(channels=1, filter_widths=[5], fc_dropout=0.1, stage=2)
    with pytest.raises(LiftposeError, match=r"; and 1 more$"):
        compare(save(tmp_path / "a.ckpt"), section(lifter=other, learning_rate=1.0))


@pytest.mark.parametrize("entry", ["state_dict", "pytorch-lightning_version", "optimizer_states", "loops"])
def test_a_checkpoint_has_to_be_whole(entry: str, tmp_path: Path) -> None:
    with pytest.raises(LiftposeError, match=f"expected a checkpoint of liftpose with {entry}, found "):
        compare(save(tmp_path / "a.ckpt", without=entry), section())


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("state_dict", ["lifter.a"], "expected the mapping of a checkpoint of liftpose, found list"),
        ("hyper_parameters", "text", "expected the mapping of a checkpoint of liftpose, found str"),
        ("loops", None, "expected the mapping of a checkpoint of liftpose, found NoneType"),
        ("optimizer_states", 3, "expected the list of a checkpoint of liftpose, found int"),
        ("global_step", "many", "expected the int of a checkpoint of liftpose, found str"),
        (IDENTITY_ENTRY, 3, "expected the mapping of a checkpoint of liftpose, found int"),
    ],
)
def test_entries_of_another_kind(entry: str, value: object, message: str, tmp_path: Path) -> None:
    path = save(tmp_path / "a.ckpt")
    torch.save(torch.load(path, weights_only=True) | {entry: value}, path)
    with pytest.raises(LiftposeError, match=f"a.ckpt: {entry}: {message}"):
        compare(path, section())


@pytest.mark.parametrize("text", ["a: [", "3", "{}"])
def test_a_configuration_that_is_none(text: str, tmp_path: Path) -> None:
    with pytest.raises(LiftposeError, match=f"a.ckpt: {CONFIG_ENTRY}: expected the configuration of a run, found"):
        compare_runs(tmp_path / "a.ckpt", "{data: {}, trainer: {}}", {CONFIG_ENTRY: text})


def test_evaluation_does_not_need_the_state_of_training(tmp_path: Path) -> None:
    compare(save(tmp_path / "a.ckpt", without="optimizer_states"), section(), "lifter")


RUN = """
data: {{class_path: D, init_args: {{root: {root}, batch_size: {batch}, test_subjects: {test}}}}}
trainer: {{precision: {precision}, max_epochs: {epochs}}}
"""


def run(root: str = "a", batch: int = 4, test: str = "null", precision: str = "32-true", epochs: int = 3) -> str:
    return RUN.format(root=root, batch=batch, test=test, precision=precision, epochs=epochs)


def test_a_run_goes_on_with_the_same_data_and_precision() -> None:
    checkpoint = {CONFIG_ENTRY: run()}
    compare_runs(Path("a.ckpt"), run(root="moved", epochs=80, test="[S9]"), checkpoint)
    compare_runs(Path("a.ckpt"), run(batch=8), {})  # nothing is known of the run
    with pytest.raises(LiftposeError, match=r"data.batch_size is 8 in the configuration and 4 in the checkpoint"):
        compare_runs(Path("a.ckpt"), run(batch=8), checkpoint)
    with pytest.raises(LiftposeError, match=r"trainer.precision is 'bf16-mixed'"):
        compare_runs(Path("a.ckpt"), run(precision="bf16-mixed"), checkpoint)


def test_a_run_cannot_become_shorter_than_it_is() -> None:
    progress = {"epoch_progress": {"current": {"processed": 5}}}
    checkpoint = {"loops": {"fit_loop": progress}, "global_step": 50}
    for epochs in (5, 6, -1, None):
        refuse_to_shorten(Path("a.ckpt"), {"max_epochs": epochs, "max_steps": -1}, checkpoint)
    with pytest.raises(LiftposeError, match=r"trainer.max_epochs: expected at least the 5 epochs of a.ckpt, found 4"):
        refuse_to_shorten(Path("a.ckpt"), {"max_epochs": 4, "max_steps": -1}, checkpoint)
    refuse_to_shorten(Path("a.ckpt"), {"max_epochs": None, "max_steps": 50}, checkpoint)
    with pytest.raises(LiftposeError, match=r"trainer.max_steps: expected at least the 50 steps of a.ckpt, found 49"):
        refuse_to_shorten(Path("a.ckpt"), {"max_epochs": None, "max_steps": 49}, checkpoint)


def test_the_progress_of_a_training_has_to_be_there() -> None:
    with pytest.raises(LiftposeError, match="x: loops: expected the progress of a training, found another"):
        refuse_to_shorten(Path("x"), {"max_epochs": 3, "max_steps": -1}, {"loops": {"fit_loop": {}}, "global_step": 1})


def test_last_and_best_are_those_of_the_run_folder(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    path = save(tmp_path / "checkpoints" / "last.ckpt")
    assert find_checkpoint("last", tmp_path) == path
    assert find_checkpoint(str(path), Path("elsewhere")) == path
    for name, found in (("best", "no such file"), ("nix.ckpt", "no such file"), (str(tmp_path), "a folder")):
        with pytest.raises(LiftposeError, match=f"--ckpt_path {name}: expected a checkpoint at .*, found {found}"):
            find_checkpoint(name, tmp_path)


def test_a_run_writes_over_its_own_checkpoints_only(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    refuse_to_overwrite(folder, None)
    (folder / "checkpoints").mkdir(parents=True)
    refuse_to_overwrite(folder, None)
    own, other = save(folder / "checkpoints" / "last.ckpt"), save(tmp_path / "other.ckpt")
    refuse_to_overwrite(folder, own)
    for resumed in (None, other):
        with pytest.raises(LiftposeError, match=r"found last.ckpt in .*--ckpt_path last.*--overwrite true"):
            refuse_to_overwrite(folder, resumed)
        refuse_to_lose(folder, resumed)
    with pytest.raises(LiftposeError, match="--overwrite true: expected a run of its own, found --ckpt_path"):
        refuse_to_lose(folder, own)
