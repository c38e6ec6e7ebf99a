from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io

Command = Callable[..., tuple[int, str, str]]


def test_the_command_says_what_it_has_made(liftpose: Command, humaneva_export: Path, tmp_path: Path) -> None:
    export = Path(shutil.copytree(humaneva_export, tmp_path / "export"))
    for other in ("Train/S3/ThrowCatch_1.mat", "Train/S1/Walking_3.mat"):
        shutil.copy(export / "Train/S1/Walking_1.mat", export / other)
    code, out, err = liftpose("data", "humaneva", export, "--out", tmp_path / "data")
    assert code == 0, err
    content = scipy.io.loadmat(export / "Validate/S2/Box_1.mat")["poses_3d"]
    assert np.isfinite(content).all() or len(content) == 377
    frames = sum(
        int(np.isfinite(scipy.io.loadmat(path)["poses_3d"]).all(axis=(1, 2)).sum())
        for path in sorted((humaneva_export / "Validate/S2").iterdir())
    )
    assert f"{frames} frames with poses of 2243" in next(line for line in out.splitlines() if "Validate/S2" in line)
    assert "left out: ThrowCatch of S3, whose motion capture is damaged" in out
    assert "left out: 1 of other trials, such as Walking_3.mat" in out
    assert f"wrote {tmp_path / 'data/data_3d_humaneva15.npz'}" in out
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [
        "data_2d_humaneva15_gt.npz", "data_3d_humaneva15.npz",
    ]  # fmt: skip


def test_the_other_skeleton_is_known_by_its_joints(
    liftpose: Command, write_humaneva: Callable[..., Path], tmp_path: Path
) -> None:
    export = write_humaneva(tmp_path / "converted_20j", joints=20)
    code, _, err = liftpose("data", "humaneva", export, "--out", tmp_path / "data")
    assert code == 0, err
    with np.load(tmp_path / "data/data_2d_humaneva20_gt.npz", allow_pickle=True) as content:  # just written
        metadata = content["metadata"].item()
    assert metadata["layout_name"] == "humaneva20"
    assert metadata["keypoints_symmetry"] == [[3, 4, 5, 6, 11, 12, 13, 14], [7, 8, 9, 10, 15, 16, 17, 18]]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[: len(data) // 2], "expected a whole MATLAB file, found it cut after"),
        (lambda data: b"MATLAB 7.3 MAT-file" + data[19:124] + b"\x00\x02IM", "found one of version 7.3 that is cut"),
        (lambda data: b"<html>" + data, "expected a MATLAB file of version 5 to 7.3, found a web page"),
    ],
)
def test_a_broken_file_is_one_line_and_leaves_nothing(
    damage: Callable[[bytes], bytes], message: str, liftpose: Command, humaneva_export: Path, tmp_path: Path
) -> None:
    export = Path(shutil.copytree(humaneva_export, tmp_path / "export"))
    path = export / "Validate/S1/Jog_1.mat"
    path.write_bytes(damage(path.read_bytes()))
    code, _, err = liftpose("data", "humaneva", export, "--out", tmp_path / "data")
    assert code == 2
    assert str(path) in err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "data").exists()
