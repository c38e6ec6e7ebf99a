"""Keypoints of a detector that knows other joints than the poses have, from training to films."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from liftpose.formats import read_predictions

Run = Callable[..., tuple[int, str, str]]
TESTS = Path(__file__).parents[1]


@pytest.fixture
def root(tmp_path: Path, h36m_root: Path) -> Path:
    """The tiny Human3.6M with keypoints as Detectron's models for COCO give them."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "data_3d_h36m.npz").symlink_to(h36m_root / "data_3d_h36m.npz")
    with np.load(h36m_root / "data_2d_h36m_gt.npz", allow_pickle=True) as file:
        positions = file["positions_2d"]
    sides = [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]]
    metadata = {"num_joints": 17, "keypoints_symmetry": sides, "layout_name": "coco"}
    np.savez(folder / "data_2d_h36m_detectron_pt_coco.npz", positions_2d=positions, metadata=np.array(metadata, object))
    return folder


def test_a_lifter_for_them(liftpose: Run, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = ["--config", "videopose.yaml", "--model.lifter.filter_widths=[3,3]"]
    config += ["--config", TESTS / "tiny_videopose.yaml", "--config", TESTS / "tiny.yaml"]
    options = [*config, f"--data.root={root}", "--data.keypoints=detectron_pt_coco", "--trainer.default_root_dir=run"]
    code, _, err = liftpose("fit", *options)
    assert code == 2
    assert "data.keypoints: expected keypoints of h36m_17 for the lifter, found those of coco_17" in err
    options.append("--model.lifter.keypoint_skeleton=coco_17")
    for verb in ("fit", "test", "predict"):
        code, _, err = liftpose(verb, *options, *([] if verb == "fit" else ["--ckpt_path=best"]))
        assert code == 0, err
    predictions = read_predictions("run/predictions/S9.Walking.1.npz")
    assert (predictions.skeleton.name, predictions.keypoint_skeleton.name) == ("h36m_17", "coco_17")
    take = ["--data", root, "--keypoints=detectron_pt_coco", "--subject=S9", "--action=Walking", "--camera=1"]
    code, _, err = liftpose(
        "render", *take, "--ckpt_path=run/checkpoints/best.ckpt", "--export=again.npz", "--out=a.html", "--device=cpu"
    )
    assert code == 0, err
    again = read_predictions("again.npz")
    np.testing.assert_allclose(again.poses_3d, predictions.poses_3d, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(again.keypoints_2d, predictions.keypoints_2d)
    code, _, err = liftpose("render", "--predictions=again.npz", "--out=b.html")
    assert code == 0, err
    for page in ("a.html", "b.html"):
        assert "17 joints (h36m_17) · 17 keypoints (coco_17)" in Path(page).read_text(encoding="utf-8")
