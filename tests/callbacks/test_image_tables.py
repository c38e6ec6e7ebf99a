"""The tables of tests on pictures."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytorch_lightning as pl
import torch

from liftpose.callbacks import ResultTables
from liftpose.formats.pose_clusters import read_pose_clusters
from liftpose.metrics import ImagePoseEvaluation, PCKh, cluster_poses, pss
from liftpose.metrics.functional import mpjpe, p_mpjpe
from liftpose.metrics.functional.published import published_errors
from liftpose.models.pose_resnet import IntegralPose
from liftpose.skeletons import H36M_17
from liftpose.tasks.integral import IntegralKeypointsTask, IntegralPoseTask

SMALL: dict[str, Any] = {"layers": 18, "image_size": (32, 32), "depth_bins": 4, "deconv_channels": (4, 4, 4)}
TRAINER = cast(pl.Trainer, SimpleNamespace(is_global_zero=True, ckpt_path="some.ckpt", loggers=[]))


def test_poses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = 0.3 * torch.randn(40, 17, 3)
    prediction = target + 0.05 * torch.randn(40, 17, 3)
    target, prediction = target - target[:, :1], prediction - prediction[:, :1]
    task = IntegralPoseTask(IntegralPose(**SMALL))
    task.clusters = (cluster_poses(target, 3, H36M_17), cluster_poses(target, 5, H36M_17))
    evaluation = ImagePoseEvaluation([("S9", "Walking 1", 0), ("S11", "Sitting", 2)], H36M_17, task.clusters)
    evaluation.update(prediction, target, torch.arange(40) // 30, torch.arange(40))
    task.test_results = {"test": evaluation.compute()}
    ResultTables(tmp_path / "run").on_test_end(TRAINER, task)

    content = json.loads((tmp_path / "run" / "test_results.json").read_text())
    frames = content["actions"]["mean_over_frames"]
    assert frames["mpjpe_mm"] == pytest.approx(1000 * float(mpjpe(prediction, target)), rel=1e-5)
    assert frames["pss5_percent"] == pytest.approx(float(pss(prediction, target, task.clusters[1])), rel=1e-5)
    published = published_errors(prediction, target, 0).aligned.mean()
    assert frames["p_mpjpe_as_published_mm"] == pytest.approx(1000 * float(published), rel=1e-5)
    assert content["joints_mpjpe_mm"]["head"] == pytest.approx(
        1000 * float((prediction - target)[:, 10].norm(dim=-1).mean()), rel=1e-5
    )
    for clusters in task.clusters:
        saved = read_pose_clusters(tmp_path / "run" / f"pss_{len(clusters)}.npz")
        assert saved.digest == clusters.digest == content["pss_clusters_sha256"][f"pss{len(clusters)}"]
    rows = list(csv.DictReader((tmp_path / "run" / "test_table.csv").open()))
    assert [row["action"] for row in rows[:2]] == ["Walking", "Sitting"]
    assert float(rows[0]["p_mpjpe_mm"]) == pytest.approx(1000 * float(p_mpjpe(prediction[:30], target[:30])), rel=1e-5)

    standard, variants, joints = capsys.readouterr().out.strip().split("\n\n")
    assert "PSS@5" in standard and "published" not in standard and "MPJVE" not in standard
    assert "published" in variants and "PSS@5" not in variants and f"{1000 * published:.1f}" in variants
    assert max(map(len, standard.splitlines())) < 140 and "right_wrist" in joints


def test_keypoints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = 100 * torch.rand(50, 16, 2)
    prediction = target + 6 * torch.randn(50, 16, 2)
    task = IntegralKeypointsTask(IntegralPose("mpii_16", **SMALL))
    metric = PCKh()
    metric.update(prediction, target, torch.full((50,), 20.0), torch.ones(50, 16))
    task.pckh = metric.compute()
    ResultTables(tmp_path).on_test_end(TRAINER, task)
    found = (prediction - target).norm(dim=-1) <= 10
    counted = [joint for joint in range(16) if joint not in {6, 7}]
    mean = 100 * float(found[:, counted].float().mean())
    content = json.loads((tmp_path / "test_results.json").read_text())["pckh"]
    assert content["people"] == 50 and content["mean"]["pckh_at_0.5_percent"] == pytest.approx(mean)
    assert content["joints"]["pelvis"]["pckh_at_0.5_percent"] == pytest.approx(100 * float(found[:, 6].float().mean()))
    tenth = 100 * float(((prediction - target).norm(dim=-1) <= 2.2)[:, counted].float().mean())
    assert content["mean_at_0.1_published_percent"] == pytest.approx(tenth)
    rows = list(csv.DictReader((tmp_path / "test_table.csv").open()))
    assert float(rows[-1]["pckh_at_0.5_percent"]) == pytest.approx(mean) and rows[-1]["joints"] == "Mean"
    out = capsys.readouterr().out
    assert f"{mean:.1f}" in out and f"{tenth:.1f}" in out and "Shoulder" in out
