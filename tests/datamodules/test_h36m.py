"""The data module of Human3.6M: splits, selections, windows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from liftpose.datamodules import H36MDataModule, IndexBatch, SyntheticDataModule, WindowShape
from liftpose.errors import LiftposeError


def module(root: Path, **options: Any) -> H36MDataModule:
    return H36MDataModule(**{"root": str(root), "window": WindowShape(9, False), **options})


def test_default_split_is_the_field_s(h36m_root: Path) -> None:
    data = module(h36m_root)
    people = {split: sorted({recording.subject for recording in data.recordings(split)}) for split in ("train", "test")}
    assert people == {"train": ["S1", "S5", "S6", "S7", "S8"], "test": ["S11", "S9"]}
    assert [recording.view for recording in data.recordings("test")[:4]] == [0, 1, 2, 3]


def test_windows_are_normalised_edge_padded_and_root_relative(h36m_root: Path) -> None:
    data = module(h36m_root, train_subjects=["S1"], flip="none")
    data.setup("fit")
    batch = data.gather(IndexBatch("train", torch.tensor([0, 20]), None))
    with np.load(h36m_root / "data_2d_h36m_gt.npz", allow_pickle=True) as content:
        pixels = content["positions_2d"].item()["S1"]["Directions 1"][0]
    frames = np.clip(np.arange(-4, 5), 0, None)
    expected = pixels[frames] / 1000 * 2 - [1, 1002 / 1000]  # camera 0 is 1000 x 1002 pixels
    assert batch.keypoints_2d[0].numpy() == pytest.approx(expected, abs=1e-6)
    assert batch.keypoints_2d[1].numpy() == pytest.approx(pixels[16:25] / 1000 * 2 - [1, 1.002], abs=1e-6)
    assert batch.poses_3d is not None
    assert torch.equal(batch.poses_3d[:, :, 0], torch.zeros(2, 1, 3))
    with np.load(h36m_root / "data_3d_h36m.npz", allow_pickle=True) as content:
        world = content["positions_3d"].item()["S1"]["Directions 1"][20]
    # Distances do not depend on the camera: slots 1 and 27 are the right hip and the right wrist.
    distance = np.linalg.norm(world[1] - world[27])
    pose = batch.poses_3d[1, 0]
    assert float((pose[1] - pose[16]).norm()) == pytest.approx(distance, abs=1e-5)


def test_causal_windows_end_with_their_frame(h36m_root: Path) -> None:
    data = module(h36m_root, train_subjects=["S1"], flip="none", window=WindowShape(9, True))
    centred = module(h36m_root, train_subjects=["S1"], flip="none")
    for each in (data, centred):
        each.setup("fit")
    place = torch.tensor([20])
    causal = data.gather(IndexBatch("train", place, None)).keypoints_2d
    assert torch.equal(causal, centred.gather(IndexBatch("train", place - 4, None)).keypoints_2d)


def test_copies_double_the_training_windows_only(h36m_root: Path) -> None:
    sizes = {}
    for flip in ("copies", "none"):
        data = module(h36m_root, flip=flip)
        data.setup("fit")
        sizes[flip] = len(data.windows("train")), len(data.windows("validation"))
    assert sizes["copies"] == (2 * sizes["none"][0], sizes["none"][1])


def test_actions_by_beginning_and_by_name(h36m_root: Path) -> None:
    def names(**options: Any) -> set[str]:
        return {recording.action for recording in module(h36m_root, **options).recordings("test")}

    assert names(actions=["Sitting"]) == {"Sitting", "SittingDown 2"}
    assert names(actions=["Sitting"], exact_actions=True) == {"Sitting"}
    with pytest.raises(LiftposeError, match="Jumping"):
        names(actions=["Jumping"])


def test_subset_and_downsample(h36m_root: Path) -> None:
    data = module(h36m_root, subset=0.5, downsample=2)
    train, test = data.recordings("train")[0], data.recordings("test")[0]
    assert (len(train), len(test)) == (10, 20)  # of 40 frames
    assert train.fps == 25


def test_a_file_is_read_once_for_a_stage(h36m_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from liftpose.datamodules import h36m

    calls = []
    monkeypatch.setattr(h36m, "read_h36m", lambda *a, **k: calls.append(k) or original(*a, **k))
    original = __import__("liftpose.formats", fromlist=["read_h36m"]).read_h36m
    module(h36m_root).setup("fit")
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "data.batch_size: expected a number from 1 up, found 0"),
        ({"subset": 0.0}, "data.subset: expected a share above 0 and at most 1, found 0.0"),
        ({"subset": 1.5}, "data.subset"),
        ({"downsample": 0}, "data.downsample: expected a number from 1 up, found 0"),
        ({"seed": -1}, "data.seed: expected a number from 0 to"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str, h36m_root: Path) -> None:
    with pytest.raises(LiftposeError, match=message):
        module(h36m_root, **options)


def test_nobody_is_trained_and_tested_on(h36m_root: Path) -> None:
    with pytest.raises(LiftposeError, match=r"data.test_subjects: expected people who are not trained on, found S5"):
        module(h36m_root, test_subjects=["S5"]).check("fit")
    with pytest.raises(LiftposeError, match=r"data.validation_subjects: expected people .* found S1"):
        module(h36m_root, train_subjects=["S1"], validation_subjects=["S1"]).check("fit")


def test_two_names_of_one_person_stay_on_one_side(tmp_path: Path) -> None:
    data = SyntheticDataModule(root=str(tmp_path), frames_per_action=2)
    data.prepare_data()
    path = tmp_path / "data_3d_synthetic.json"
    info = json.loads(path.read_text())
    info["notes"]["same_side"] = [["P2", "P7"]]
    path.write_text(json.dumps(info))
    twins = H36MDataModule(root=str(tmp_path), dataset="synthetic")
    with pytest.raises(LiftposeError, match="found P7, who may be the same person as P2"):
        twins.check("fit")


def test_nobody_counts_twice(h36m_root: Path) -> None:
    with pytest.raises(LiftposeError, match=r"^data\.train_subjects: expected different people, found S1, S5, S1$"):
        module(h36m_root, train_subjects=["S1", "S5", "S1"]).check("fit")


def test_joints_that_the_poses_cannot_be_brought_into(h36m_root: Path) -> None:
    with pytest.raises(LiftposeError, match=r"^data\.joints: expected one of h36m_32, h36m_17, .* found coco_17$"):
        module(h36m_root, joints="coco_17").check("test")


def test_a_person_who_is_not_there(h36m_root: Path) -> None:
    with pytest.raises(LiftposeError, match="expected the subject S4"):
        module(h36m_root, test_subjects=["S4"]).recordings("test")
    with pytest.raises(LiftposeError, match=r"data.test_subjects: expected at least one person"):
        module(h36m_root, test_subjects=[]).recordings("test")
