from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch

from liftpose.errors import LiftposeError
from liftpose.formats import read_h36m
from liftpose.formats.humaneva import (
    HUMANEVA_SUBJECTS,
    Chunk,
    convert_humaneva,
    humaneva_chunks,
    humaneva_first_rows,
)
from liftpose.formats.known_datasets import known_info
from liftpose.skeletons import HUMANEVA_15, HUMANEVA_20


def load(path: Path, name: str) -> dict[str, Any]:
    with np.load(path, allow_pickle=True) as content:  # written by this test's own command
        return content[name].item()


@pytest.fixture(scope="module")
def prepared(humaneva_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared")
    convert_humaneva(humaneva_export, out)
    return out


def test_the_published_script_writes_the_same(humaneva_export: Path, prepared: Path, tmp_path: Path) -> None:
    peers = os.environ.get("LIFTPOSE_PEERS")
    if not peers:
        pytest.skip("LIFTPOSE_PEERS is not set: it names a folder with a clone of VideoPose3D")
    folder = tmp_path / "VideoPose3D/data"
    folder.mkdir(parents=True)
    for part in ("common", "data"):
        shutil.copytree(Path(peers) / "VideoPose3D" / part, tmp_path / "VideoPose3D" / part, dirs_exist_ok=True)
    words = [sys.executable, "prepare_data_humaneva.py", "-p", str(humaneva_export), "--convert-3d"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, key in (("data_3d_humaneva15.npz", "positions_3d"), ("data_2d_humaneva15_gt.npz", "positions_2d")):
        theirs, ours = load(folder / name, key), load(prepared / name, key)
        assert list(ours) == list(theirs)
        for subject, takes in theirs.items():
            assert set(ours[subject]) == set(takes)
            for action, expected in takes.items():
                np.testing.assert_array_equal(ours[subject][action], expected)  # to the last bit
                assert np.asarray(ours[subject][action]).dtype == np.float32
    expected = load(folder / "data_2d_humaneva15_gt.npz", "metadata")
    assert load(prepared / "data_2d_humaneva15_gt.npz", "metadata") == expected


def test_runs_are_those_of_a_walk_over_the_frames(humaneva_export: Path, prepared: Path, reference: Path) -> None:
    table = json.loads((reference / "spec/humaneva_splits.json").read_text())
    ranges = table["frame_ranges"]["values"]
    poses = load(prepared / "data_3d_humaneva15.npz", "positions_3d")
    views = load(prepared / "data_2d_humaneva15_gt.npz", "positions_2d")
    chunks = humaneva_chunks(humaneva_export)
    seen = 0
    for subject in HUMANEVA_SUBJECTS:
        names = []
        for action, (start, end) in ranges[subject].items():
            if action == "ThrowCatch 1" and subject.endswith("S3"):
                assert action not in chunks[subject]
                continue
            content = scipy.io.loadmat(humaneva_export / subject / f"{action.replace(' ', '_')}.mat")
            frames = list(zip(content["poses_3d"], content["poses_2d"].swapaxes(0, 1), strict=True))
            runs = [(ok, list(run)) for ok, run in groupby(frames, lambda frame: bool(np.isfinite(frame[0]).all()))]
            place, expected = start, []
            for number, (ok, run) in enumerate(runs):
                name = f"{action} chunk{number}"
                expected.append(Chunk(name, place, place + len(run), ok))
                place += len(run)
                if ok:
                    names.append(name)
                    np.testing.assert_allclose(poses[subject][name] * 1000, [pose for pose, _ in run], rtol=1e-6)
                    for camera in range(3):
                        pixels = [pixels[camera] for _, pixels in run]
                        np.testing.assert_allclose(views[subject][name][camera], pixels, rtol=1e-6)
                    seen += len(run)
            assert place == end
            assert chunks[subject][action] == tuple(expected)
        assert set(names) == set(poses[subject]) == set(views[subject])
    assert seen == sum(len(take) for takes in poses.values() for take in takes.values()) > 12_000


def test_rows_of_the_videos_are_the_published_ones(reference: Path) -> None:
    published = json.loads((reference / "spec/humaneva_splits.json").read_text())["sync_offset"]["values"]
    for person, takes in published.items():
        for take, rows in takes.items():
            assert humaneva_first_rows(person, take) == tuple(rows)
    assert humaneva_first_rows("S4", "Walking 1") is None
    assert humaneva_first_rows("S1", "Walking 2") is None


def test_recordings_are_read_with_their_cameras_and_splits(prepared: Path) -> None:
    paths = prepared / "data_3d_humaneva15.npz", prepared / "data_2d_humaneva15_gt.npz"
    recordings = read_h36m(*paths)
    first = recordings[0]
    assert (first.subject, first.skeleton, first.fps, first.action_group) == ("Train/S1", HUMANEVA_15, 60.0, "Box")
    assert {recording.view for recording in recordings} == {0, 1, 2}
    assert {recording.subject for recording in recordings} == set(HUMANEVA_SUBJECTS)
    info = known_info("humaneva15")
    assert info is not None
    assert info.splits["train"] == ("Train/S1", "Train/S2", "Train/S3")
    assert info.splits["validation"] == info.splits["test"] == ("Validate/S1", "Validate/S2", "Validate/S3")
    assert set(HUMANEVA_SUBJECTS) | {"Unlabeled/Train/S1", "Unlabeled/S2"} <= set(info.cameras)
    assert torch.equal(info.cameras["Train/S2"][1].R, info.cameras["Validate/S2"][1].R)
    assert not info.cameras["Train/S1"][0].has_intrinsics
    twenty = known_info("humaneva20")
    assert twenty is not None
    assert (twenty.skeleton, twenty.name) == (HUMANEVA_20, "humaneva20")


def change(folder: Path, name: str, function: Callable[[dict[str, Any]], None]) -> Path:
    path = folder / name
    content = scipy.io.loadmat(path)
    variables = {key: content[key] for key in ("poses_3d", "poses_2d")}
    function(variables)
    scipy.io.savemat(path, variables)
    return path


def shorten(content: dict[str, Any]) -> None:
    content["poses_3d"], content["poses_2d"] = content["poses_3d"][1:], content["poses_2d"][:, 1:]


def lose_a_joint(content: dict[str, Any]) -> None:
    content["poses_2d"][1, 30, 4, 0] = np.inf


def other_joints(content: dict[str, Any]) -> None:
    content["poses_3d"] = np.zeros((content["poses_3d"].shape[0], 20, 3))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (shorten, r"expected the 441 frames of Train/S3/Jog 1 as published, found 440$"),
        (lose_a_joint, "expected poses_3d and poses_2d in the same frames, found them in different ones"),
        (other_joints, r"expected poses_3d of shape \(frames, 15, 3\), found \(441, 20, 3\)"),
        (lambda content: content.pop("poses_2d"), "expected the variable poses_2d, found poses_3d"),
        (lambda content: content.update(poses_2d="none"), "expected poses_2d to be numbers of three or four dim"),
        (lambda content: content.update(poses_2d=content["poses_2d"][:2]), r"expected poses_2d of shape \(3, 441, 15"),
    ],
)
def test_a_wrong_file_is_named_and_nothing_is_written(
    function: Callable[[dict[str, Any]], None], message: str, humaneva_export: Path, tmp_path: Path
) -> None:
    export = Path(shutil.copytree(humaneva_export, tmp_path / "export"))
    path = change(export, "Train/S3/Jog_1.mat", function)
    with pytest.raises(LiftposeError, match=f"^{path}: {message}"):
        convert_humaneva(export, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_files_and_folders_are_named(humaneva_export: Path, tmp_path: Path) -> None:
    export = Path(shutil.copytree(humaneva_export, tmp_path / "export"))
    (export / "Validate/S2/Box_1.mat").unlink()
    with pytest.raises(LiftposeError, match=r"Validate/S2: expected 5 files .*, found 4, without Box_1\.mat$"):
        convert_humaneva(export, tmp_path / "out")
    (tmp_path / "other/Train").mkdir(parents=True)
    with pytest.raises(LiftposeError, match=r"Train/S1: expected a folder of the MATLAB export .* found Train in "):
        convert_humaneva(tmp_path / "other", tmp_path / "out")
    with pytest.raises(LiftposeError, match="found no such folder in"):
        convert_humaneva(tmp_path / "nothing", tmp_path / "out")
