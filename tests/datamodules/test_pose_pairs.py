"""Estimated poses with their truth, from files of ours and published ones."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from liftpose.datamodules import PosePairsDataModule
from liftpose.errors import LiftposeError
from liftpose.formats.picture_predictions import PicturePredictions, write_picture_predictions
from liftpose.models import Refiner
from liftpose.skeletons import H36M_17, H36M_MPII_ORDER_16, Skeleton


def some(rows: int = 7, skeleton: Skeleton = H36M_MPII_ORDER_16) -> PicturePredictions:
    rng = np.random.default_rng(rows)
    shape = (rows, len(skeleton), 3)
    return PicturePredictions(
        skeleton=skeleton, files=("a.jpg",) * rows, boxes=np.zeros((rows, 4), np.float32),
        poses_3d=rng.normal(size=shape).astype(np.float32), keypoints_2d=np.zeros((*shape[:2], 2), np.float32),
        confidence=np.ones(shape[:2], np.float32), model="", scale="",
        subjects=tuple(("S9", "S11", "S9")[row % 3] for row in range(rows)),
        actions=tuple(("Walking", "Sitting", "Eating")[row % 3] for row in range(rows)), views=np.arange(rows) % 2,
        frames=np.arange(rows) * 64, truth_3d=rng.normal(size=shape).astype(np.float32),
    )  # fmt: skip


def centred(poses: Any) -> np.ndarray:
    poses = np.asarray(poses)
    root = H36M_MPII_ORDER_16.root
    return poses - poses[:, root : root + 1]


def test_predictions_become_pairs(tmp_path: Path) -> None:
    given = some()
    write_picture_predictions(tmp_path / "x.npz", given)
    data = PosePairsDataModule(train=str(tmp_path / "x.npz"), validation=str(tmp_path / "x.npz"))
    pairs = data.pairs("train")
    np.testing.assert_allclose(pairs.poses_3d, centred(given.poses_3d), atol=1e-6)
    np.testing.assert_allclose(pairs.truth_3d, centred(given.truth_3d), atol=1e-6)
    for row in range(7):
        take = pairs.recordings[int(pairs.sequence[row])]
        assert take == (given.subjects[row], given.actions[row], int(given.views[row]))
    assert pairs.frame.tolist() == given.frames.tolist()
    assert data.pairs("test").name == f"data.test {tmp_path / 'x.npz'}"  # that of the validation stands in


def test_published_pairs_are_millimetres(tmp_path: Path) -> None:
    arrays = {name: np.random.default_rng(k).normal(0, 300, (5, 16, 3)) for k, name in enumerate(("inp", "out"))}
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(arrays, protocol=2))
    pairs = PosePairsDataModule(train=str(tmp_path / "x.pkl")).pairs("train")
    np.testing.assert_allclose(1000 * pairs.poses_3d, centred(arrays["inp"]), atol=1e-3)
    np.testing.assert_allclose(1000 * pairs.truth_3d, centred(arrays["out"]), atol=1e-3)
    assert pairs.recordings == (("", "", 0),)


def test_every_pair_is_seen_once_in_an_epoch_in_an_order_of_its_own(tmp_path: Path) -> None:
    given = some(21)
    write_picture_predictions(tmp_path / "x.npz", given)
    data = PosePairsDataModule(train=str(tmp_path / "x.npz"), validation=str(tmp_path / "x.npz"), batch_size=8)
    orders = []
    for epoch in (0, 1):
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]  # the sampler of an index loader
        batches = [data.on_after_batch_transfer(batch, 0) for batch in loader]
        assert [len(batch.indices) for batch in batches] == [8, 8, 5]
        order = torch.cat([batch.indices for batch in batches]).tolist()
        np.testing.assert_allclose(
            torch.cat([batch.poses_3d for batch in batches]), centred(given.poses_3d)[order], atol=1e-6
        )
        assert sorted(order) == list(range(21))
        orders.append(order)
    assert orders[0] != orders[1] != list(range(21))
    in_order = [data.on_after_batch_transfer(batch, 0) for batch in data.val_dataloader()]
    assert torch.cat([batch.indices for batch in in_order]).tolist() == list(range(21))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"truth_3d": None}, "expected predictions with the true poses of all joints, found some without"),
        ({"truth_3d": np.full((7, 16, 3), np.nan, np.float32)}, "true poses of all joints, found some without"),
    ],
)
def test_predictions_without_truth_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    write_picture_predictions(tmp_path / "x.npz", replace(some(), **change))
    with pytest.raises(LiftposeError, match=message) as caught:
        PosePairsDataModule(train=str(tmp_path / "x.npz")).pairs("train")
    assert str(caught.value).startswith(f"data.train {tmp_path / 'x.npz'}: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"inp": np.zeros((5, 16, 3))}, r"expected out of shape \(N, 16, 3\), found none"),
        (
            {"inp": np.zeros((5, 17, 3)), "out": np.zeros((5, 17, 3))},
            r"expected inp of shape \(N, 16, 3\), found \(5, 17",
        ),
        ({"inp": np.zeros((5, 16, 3)), "out": np.zeros((4, 16, 3))}, r"expected true poses of shape \(5, 16, 3\)"),
        ({"inp": np.zeros((0, 16, 3)), "out": np.zeros((0, 16, 3))}, "with a row at least"),
        ({"inp": np.full((2, 16, 3), np.inf), "out": np.zeros((2, 16, 3))}, "expected finite estimated poses"),
        ([1, 2], r"expected inp of shape \(N, 16, 3\), found none"),
        (Path("x"), "expected a pickled dictionary of arrays"),  # a class of somebody else's
    ],
)
def test_published_files_that_do_not_fit(tmp_path: Path, content: Any, message: str) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(LiftposeError, match=message) as caught:
        PosePairsDataModule(train=str(tmp_path / "x.pkl")).pairs("train")
    assert "\n" not in str(caught.value)


def test_a_network_of_other_joints_is_refused(tmp_path: Path) -> None:
    write_picture_predictions(tmp_path / "x.npz", some(skeleton=H36M_17))
    data = PosePairsDataModule(train=str(tmp_path / "x.npz"), validation=str(tmp_path / "x.npz"))
    message = r"data.train: expected poses of h36m_mpii_order_16 .*found h36m_17 \(--model.network.skeleton h36m_17"
    with pytest.raises(LiftposeError, match=message):
        data.check("fit", Refiner(channels=8))
    data.check("fit", Refiner("h36m_17", channels=8))


def test_poses_whose_pictures_are_not_named_cannot_be_written_anew(tmp_path: Path) -> None:
    data = PosePairsDataModule(test=str(tmp_path / "x.pkl"))
    with pytest.raises(LiftposeError, match=r"data.test: expected a file that liftpose predict has written"):
        data.check("predict", Refiner(channels=8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 1}, "data.batch_size: expected at least 2 for batch normalisation, found 1"),
        ({"seed": -1}, "data.seed: expected a number from 0"),
        ({"skeleton": "nobody"}, "nobody"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LiftposeError, match=message):
        PosePairsDataModule(**options)
