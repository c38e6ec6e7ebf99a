"""Synthetic people as files: the layout of the real ones, made once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from liftpose.datamodules import SyntheticDataModule
from liftpose.errors import LiftposeError
from liftpose.geometry import h36m_cameras


def module(root: Path, **options: object) -> SyntheticDataModule:
    return SyntheticDataModule(**{"root": str(root), "frames_per_action": 12, **options})  # type: ignore[arg-type]


def test_the_files_are_those_of_the_field(tmp_path: Path) -> None:
    module(tmp_path).prepare_data()
    with np.load(tmp_path / "data_3d_synthetic.npz", allow_pickle=True) as content:
        poses = content["positions_3d"].item()
    with np.load(tmp_path / "data_2d_synthetic_gt.npz", allow_pickle=True) as content:
        pixels, metadata = content["positions_2d"].item(), content["metadata"].item()
    assert list(poses) == [f"P{number}" for number in range(1, 9)]
    assert metadata["num_joints"] == 17
    pose = poses["P3"]["Walking"]
    assert pose.shape == (12, 32, 3)
    assert pose.dtype == np.float32
    # A projection by hand: slots 0 and 15 are pelvis and head, camera 1 has no skew.
    camera = h36m_cameras("S9", dtype=torch.float64)[1]
    point = camera.R.numpy() @ pose[5, 15].astype(np.float64) + camera.t.numpy()
    x, y = point[:2] / point[2]
    k1, k2, k3, t0, t1 = camera.distortion.tolist()
    r2 = x * x + y * y
    scale = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + t0 * x + t1 * y
    expected = camera.intrinsics.numpy() @ [x * scale + t0 * r2, y * scale + t1 * r2, 1]
    assert pixels["P3"]["Walking"][1][5, 10] == pytest.approx(expected[:2], abs=1e-2)


def test_noisy_keypoints_carry_their_confidence(tmp_path: Path) -> None:
    data = module(tmp_path, keypoints="noisy")
    data.prepare_data()
    recording = data.recordings("test")[0]
    assert recording.confidence is not None
    assert recording.confidence.shape == (12, 17)
    truth = module(tmp_path).recordings("test")[0]
    error = np.linalg.norm(recording.keypoints_2d - truth.keypoints_2d, axis=-1)
    assert 0.5 < np.median(error) < 20  # pixels


def test_files_are_made_once_and_again_for_other_settings(tmp_path: Path) -> None:
    module(tmp_path).prepare_data()
    path = tmp_path / "data_3d_synthetic.npz"
    first = path.stat().st_mtime_ns, path.read_bytes()
    module(tmp_path).prepare_data()
    assert path.stat().st_mtime_ns == first[0]
    module(tmp_path, people_seed=1).prepare_data()
    assert path.read_bytes() != first[1]
    module(tmp_path).prepare_data()
    assert path.read_bytes() == first[1]


def test_nobody_is_in_two_splits(tmp_path: Path) -> None:
    data = module(tmp_path)
    data.prepare_data()
    people = [{recording.subject for recording in data.recordings(split)} for split in ("train", "validation", "test")]
    assert [len(each) for each in people] == [5, 1, 2]
    assert len(set.union(*people)) == 8


def test_other_data_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "data_3d_synthetic.npz").write_bytes(b"somebody's poses")
    with pytest.raises(LiftposeError, match="expected synthetic people or no file, found a data set"):
        module(tmp_path).check("fit")
    with pytest.raises(LiftposeError, match="expected synthetic people or no file, found a data set"):
        module(tmp_path).prepare_data()
    assert (tmp_path / "data_3d_synthetic.npz").read_bytes() == b"somebody's poses"


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(LiftposeError, match=r"data.train_subjects: expected some of P1, .* found P9"):
        module(tmp_path, train_subjects=["P9"]).check("fit")
    with pytest.raises(LiftposeError, match=r"data.keypoints: expected gt or noisy"):
        module(tmp_path, keypoints="cpn").prepare_data()
    with pytest.raises(LiftposeError, match=r"data.dataset"):
        module(tmp_path, dataset="h36m")
    assert not list(tmp_path.iterdir())
