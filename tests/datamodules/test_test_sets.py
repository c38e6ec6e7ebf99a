"""Tests on several data sets in one go."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from liftpose.datamodules import H36MDataModule, IndexBatch, SyntheticDataModule, TestSet, WindowShape
from liftpose.errors import LiftposeError
from liftpose.formats import DatasetInfo, write_h36m
from liftpose.geometry import h36m_cameras
from liftpose.metrics import action_table
from liftpose.models import VideoPose
from liftpose.skeletons import MPI_INF_3DHP_17
from liftpose.tasks import LiftingTask

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a few frames of the synthetic people."""
    root = tmp_path_factory.mktemp("synthetic")
    SyntheticDataModule(root=str(root), frames_per_action=3).prepare_data()
    return root


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set of other joints: those of MPI-INF-3DHP, one camera per person."""
    root = tmp_path_factory.mktemp("studio")
    rng = np.random.default_rng(0)
    camera = h36m_cameras("S9")[0]
    people = ("TS1", "TS2")
    poses = {name: {"Test": rng.normal(size=(5, 17, 3)) * 0.3 + [0.35, 0.95, 1.0]} for name in people}
    pixels = {name: {"Test": [rng.uniform(100, 900, size=(5, 17, 2))]} for name in people}
    info = DatasetInfo(
        name="studio",
        skeleton=MPI_INF_3DHP_17,
        storage_skeleton="mpi_inf_3dhp_17",
        fps=25.0,
        cameras=dict.fromkeys(people, (camera,)),
        splits={"train": (), "validation": (), "test": people},
    )
    write_h36m(root, "studio", poses, {"gt": pixels}, info)
    return root


def module(root: Path, *test_sets: str | TestSet, **options: Any) -> H36MDataModule:
    settings = {"root": str(root), "window": WindowShape(9, False), **options}
    return H36MDataModule(test_sets=list(test_sets), **settings)


def test_each_has_its_own_recordings_and_windows(h36m_root: Path, synthetic: Path) -> None:
    further = TestSet("synthetic", root=str(synthetic), subjects=["P7"], downsample=2)
    data = module(h36m_root, further, actions=["Sitting"], downsample=4)
    assert dict(data.test_splits) == {"test": "h36m", "test:synthetic": "synthetic"}
    assert data.splits_of("validate") == ("validation",)
    alone = H36MDataModule(root=str(synthetic), dataset="synthetic", test_subjects=["P7"], downsample=2)
    assert [r.key for r in data.recordings("test:synthetic")] == [r.key for r in alone.recordings("test")]
    assert {len(recording) for recording in data.recordings("test:synthetic")} == {2}
    assert {recording.action for recording in data.recordings("test")} == {"Sitting", "SittingDown 2"}
    data.setup("test")
    alone.window = WindowShape(9, False)
    alone.setup("test")
    own, other = data.test_dataloader()
    assert next(iter(own)).split == "test" and next(iter(other)).split == "test:synthetic"
    numbers = torch.tensor([0, 1, 5])
    found = data.gather(IndexBatch("test:synthetic", numbers, None))
    expected = alone.gather(IndexBatch("test", numbers, None))
    assert torch.equal(found.keypoints_2d, expected.keypoints_2d)


def test_joints_bring_each_into_the_order_of_the_lifter(h36m_root: Path, studio: Path) -> None:
    further = TestSet("studio", root=str(studio))
    lifter = VideoPose(filter_widths=(3,), channels=8)
    with pytest.raises(LiftposeError, match=r"^data.test_sets studio: model.lifter.skeleton: expected mpi_inf_3dhp_17"):
        module(h36m_root, further).check("test", lifter)
    data = module(h36m_root, further, joints="h36m_17")
    data.check("test", lifter)
    assert {recording.skeleton.name for recording in data.recordings("test:studio")} == {"h36m_17"}
    module(h36m_root, further).check("fit", lifter)  # a training has nothing to do with it


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (["nowhere"], r"^data\.test_sets nowhere: .*data_3d_nowhere\.npz: expected the 3D poses of nowhere, found"),
        ([TestSet("h36m", keypoints="hr", name="b")], r"^data\.test_sets b: .*data_2d_h36m_hr\.npz: expected"),
        ([TestSet("h36m", subjects=["S4"], name="b")], r"^data\.test_sets b: .*expected the subject S4"),
        ([TestSet("h36m", subjects=[], name="b")], r"^data\.test_sets b: subjects: expected at least one person"),
        (["h36m"], r"^data\.test_sets: expected data sets with different names, found h36m twice"),
        ([TestSet("x", downsample=0)], r"^data\.test_sets x: downsample: expected a number from 1 up, found 0"),
    ],
)
def test_what_is_not_there_is_told_before_the_test(chosen: list[str | TestSet], message: str, h36m_root: Path) -> None:
    with pytest.raises(LiftposeError, match=message):
        module(h36m_root, *chosen).check("test")


def test_the_tables_are_those_of_each_by_itself(
    liftpose: Run, h36m_root: Path, synthetic: Path, tmp_path: Path
) -> None:
    def words(name: str) -> list[object]:
        return ["--trainer.default_root_dir", tmp_path / name, "--logging.wandb", "disabled"]

    def results(name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((tmp_path / name / "test_results.json").read_text())
        return content

    own = ["--config", "mean_pose.yaml", "--data.root", h36m_root, "--data.train_subjects", "[S1]"]
    assert liftpose("fit", *own, *words("fit"))[0] == 0
    checkpoint = ["--ckpt_path", tmp_path / "fit/checkpoints/last.ckpt"]
    sets = f'[{{"dataset": "synthetic", "root": "{synthetic}"}}, {{"dataset": "h36m", "name": "again"}}]'
    code, out, err = liftpose("test", *own, *words("both"), *checkpoint, "--data.test_sets", sets)
    assert code == 0, err
    assert liftpose("test", *own, *words("own"), *checkpoint)[0] == 0
    other = ["--config", "mean_pose.yaml", "--data.root", synthetic, "--data.dataset", "synthetic"]
    assert liftpose("test", *other, *words("other"), *checkpoint)[0] == 0

    both, alone, further = results("both"), results("own"), results("other")
    assert both["data_set"] == "h36m" and list(both["test_sets"]) == ["synthetic", "again"]
    assert "test_sets" not in alone
    for name in ("actions", "subjects", "actions_by_subject", "joints_mpjpe_mm"):
        assert numbers(both[name]) == numbers(alone[name]) == numbers(both["test_sets"]["again"][name])
        assert numbers(both["test_sets"]["synthetic"][name]) == numbers(further[name])
    for title in ("h36m: subjects S9, S11", "synthetic: subjects P7, P8"):
        assert title in out

    table, table_alone = (
        list(csv.reader((tmp_path / name / "test_table.csv").open(encoding="utf-8"))) for name in ("both", "own")
    )
    assert [row[:-1] for row in table if row[-1] in {"data_set", "h36m"}] == table_alone
    assert {row[-1] for row in table[1:]} == {"h36m", "synthetic", "again"}


def test_what_is_logged_says_of_which_data_set_it_is(h36m_root: Path, studio: Path) -> None:
    task = LiftingTask(VideoPose(filter_widths=(3,), channels=8))
    data = H36MDataModule(str(h36m_root), joints="h36m_17", test_sets=[TestSet("studio", root=str(studio))])
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.test(task, data, verbose=False)
    assert list(task.test_results) == ["h36m", "studio"] and task.test_result is task.test_results["h36m"]
    assert task.test_results["studio"].overall.frames == 10
    for name, result in (("test", task.test_results["h36m"]), ("test_studio", task.test_results["studio"])):
        row = action_table(result).mean_over_groups
        for column, key in ((0, "mpjpe_mm"), (4, "pck150_no_root_percent"), (7, "auc_with_root_percent")):
            assert float(trainer.callback_metrics[f"{name}_{key}"]) == pytest.approx(row.values[column], rel=1e-6)


def numbers(value: Any) -> Any:
    """Return a table without its title."""
    return {key: item for key, item in value.items() if key != "title"} if "rows" in value else {
        key: numbers(item) if isinstance(item, dict) else item for key, item in value.items()
    }  # fmt: skip


@pytest.mark.parametrize("people", [["S1"], ["S1", "S5"]])
def test_training_on_few_people(people: list[str], h36m_root: Path) -> None:
    """The low-data protocols: S1 alone, S1 and S5; the test stays the field's."""
    data = module(h36m_root, train_subjects=people, flip="none")
    data.setup("fit")
    with np.load(h36m_root / "data_3d_h36m.npz", allow_pickle=True) as content:
        stored = content["positions_3d"].item()
    assert len(data.windows("train")) == 4 * sum(len(take) for name in people for take in stored[name].values())
    assert {recording.subject for recording in data.recordings("train")} == set(people)
    assert {recording.subject for recording in data.recordings("test")} == {"S9", "S11"}
    others = module(h36m_root, train_subjects=["S1"], test_subjects=["S5", "S6", "S7", "S8"])
    others.check("fit")
    assert {recording.subject for recording in others.recordings("test")} == {"S5", "S6", "S7", "S8"}
