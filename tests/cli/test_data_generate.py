"""`liftpose data generate`: the words, what it writes, and every way to get them wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from liftpose.formats import read_h36m

Run = Callable[..., tuple[int, str, str]]


def test_a_data_set_that_all_verbs_read(liftpose: Run, tmp_path: Path) -> None:
    folder = tmp_path / "dh"
    code, out, err = liftpose("data", "generate", "--from", "limits", "--count", 300, "--out", folder, "--name", "made")
    assert code == 0, err
    assert "300 poses, each seen whole by one of the four cameras of S1" in out
    assert out.splitlines()[-1] == f"wrote {folder / 'data_3d_made.npz'}"
    code, out, err = liftpose("data", "check", folder)
    assert code == 0 and "0 errors, 0 warnings, 0 notes" in out, out

    run = ["--config", "mean_pose.yaml", "--data.root", folder, "--data.dataset", "made", "--data.joints", "h36m_16"]
    run += ["--model.lifter.skeleton", "h36m_16", "--trainer.default_root_dir", tmp_path / "run"]
    assert liftpose("fit", *run, "--logging.wandb", "disabled")[0] == 0
    code, out, err = liftpose("test", *run, "--ckpt_path", "last", "--logging.wandb", "disabled")
    assert code == 0 and "subjects test1, test2, test3, test4" in out, err
    page = tmp_path / "page.html"
    words = ["--data", folder, "--dataset", "made", "--subject", "train1", "--action", "Poses 1", "--out", page]
    assert liftpose("render", *words)[0] == 0
    assert "Poses 1" in page.read_text()

    # The description says how many cameras a person has; the field's own programs read the arrays.
    with np.load(folder / "data_3d_made.npz", allow_pickle=True) as content:
        stored = content["positions_3d"].item()
    with np.load(folder / "data_2d_made_gt.npz", allow_pickle=True) as content:
        views = content["positions_2d"].item()
    assert stored["train1"]["Poses 1"].shape[1:] == (32, 3)
    assert len(views["train1"]["Poses 1"]) == 1 and views["train1"]["Poses 1"][0].shape[1:] == (16, 2)


def test_another_seed_and_other_cameras(liftpose: Run, tmp_path: Path) -> None:
    poses = {}
    for name, words in (("a", []), ("b", ["--seed", 1]), ("c", ["--cameras", "S9"])):
        folder = tmp_path / name
        assert liftpose("data", "generate", "--from", "limits", "--count", 20, "--out", folder, *words)[0] == 0
        found = read_h36m(folder / "data_3d_dh.npz", folder / "data_2d_dh_gt.npz")
        poses[name] = {recording.subject: recording for recording in found}
    assert not np.array_equal(poses["a"]["train1"].poses_3d[0], poses["b"]["train1"].poses_3d[0])
    cameras = [poses[name]["train1"].camera for name in ("a", "c")]
    assert not torch.equal(cameras[0].t, cameras[1].t)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "liftpose data generate: expected --ckpt_path FILE or --from limits, found neither"),
        (["--from", "limits", "--ckpt_path", "a.ckpt"], "expected --ckpt_path FILE or --from limits, found both"),
        (["--from", "gan"], "--from: expected limits, found gan"),
        (["--ckpt_path", "nowhere.ckpt"], "nowhere.ckpt: expected a checkpoint, found no such file or directory"),
        (["--from", "limits", "--count", "0"], "--count: expected a number from 1 to 10000000, found 0"),
        (["--from", "limits", "--count", "many"], "count: expected a whole number, found many"),
        (["--from", "limits", "--name", "h36m"], "--name: expected a name of letters and digits that is not taken"),
        (["--from", "limits", "--name", "a/b"], "--name: expected a name of letters and digits that is not taken"),
        (["--from", "limits", "--cameras", "S2"], "--cameras: expected one of S1, S5, S6, S7, S8, S9, S11, found S2"),
        (["--from", "limits", "--seed", "-1"], "--seed: expected a number from 0 to 4294967295, found -1"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str, liftpose: Run, tmp_path: Path) -> None:
    code, out, err = liftpose("data", "generate", "--count", 10, "--out", tmp_path / "out", *words)
    assert (code, out) == (2, "")
    assert message in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_places_that_cannot_be_written_to(liftpose: Run, tmp_path: Path) -> None:
    words = ["data", "generate", "--from", "limits", "--count", 10, "--out"]
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        code, _, err = liftpose(*words, place)
        assert code == 2 and f"expected a folder to write to, found the file {tmp_path / 'file'}" in err
    assert liftpose(*words, tmp_path / "twice")[0] == 0
    before = (tmp_path / "twice" / "data_3d_dh.npz").read_bytes()
    code, _, err = liftpose(*words, tmp_path / "twice", "--seed", 3)
    assert code == 2 and "expected no such file, found one (--overwrite replaces it)" in err
    assert (tmp_path / "twice" / "data_3d_dh.npz").read_bytes() == before
    assert liftpose(*words, tmp_path / "twice", "--seed", 3, "--overwrite")[0] == 0
    assert (tmp_path / "twice" / "data_3d_dh.npz").read_bytes() != before


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_may_not_be_written_to(liftpose: Run, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    code, _, err = liftpose("data", "generate", "--from", "limits", "--count", 10, "--out", tmp_path / "closed")
    assert code == 2 and "expected a folder to write to, found one that may not be written to" in err
