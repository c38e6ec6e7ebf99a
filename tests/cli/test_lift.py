"""``liftpose lift``: what it writes and how it complains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from liftpose.formats.picture_predictions import read_picture_predictions
from liftpose.inference.pictures import PictureBox, load_picture_network, predict_pictures
from liftpose.models.pose_resnet import IntegralPose

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lift")
    options = {"layers": 18, "image_size": [64, 64], "depth_bins": 8, "deconv_channels": [8, 8, 8]}
    network = IntegralPose(**options)
    torch.nn.init.normal_(network.final_layer.weight)
    spec = {"class_path": "liftpose.models.pose_resnet.IntegralPose", "init_args": options}
    weights = {f"network.{name}": value for name, value in network.state_dict().items()}
    torch.save({"state_dict": weights, "hyper_parameters": {"network": spec}}, root / "tiny.ckpt")
    for name, seed in (("one.jpg", 0), ("two.png", 1)):
        pixels = np.random.default_rng(seed).integers(0, 256, (90, 120, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / name)
    (root / "broken.jpg").write_bytes((root / "one.jpg").read_bytes()[:2000])
    return root


@pytest.fixture(autouse=True)
def _here(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    monkeypatch.chdir(tmp_path)


def test_a_file_and_a_page(liftpose: Run) -> None:
    answer = liftpose("lift", "one.jpg", "--box", "10,5,60,80", "--ckpt_path", "tiny.ckpt")
    assert answer.code == 0, answer.err
    found = read_picture_predictions("one_pose.npz")
    expected = predict_pictures(load_picture_network("tiny.ckpt"), [PictureBox("one.jpg", 10, 5, 60, 80)])
    np.testing.assert_allclose(found.poses_3d, expected.poses_3d, atol=1e-6)
    assert found.files == ("one.jpg",) and found.boxes.tolist() == [[39.5, 44.5, 80, 80]]
    page = Path("one_pose.html").read_text()
    assert "data:image/jpeg;base64," in page and found.scale in page
    assert "2 m" in answer.out and "one_pose.html" in answer.out


def test_several_people_a_camera_and_names(liftpose: Run) -> None:
    lens = ("--focal", "500", "--principal_point", "60,45", "--box_metres", "1.9")
    answer = liftpose(
        "lift", "two.png", "--box", "10,5,60,80", "all", "--ckpt_path", "tiny.ckpt", "--out", "all.npz", *lens
    )
    assert answer.code == 0, answer.err
    found = read_picture_predictions("all.npz")
    assert found.boxes.tolist() == [[39.5, 44.5, 80, 80], [59.5, 44.5, 120, 120]] and not Path("two_pose.html").exists()
    assert f"{500 * 1.9 / 120:.2f} to {500 * 1.9 / 80:.2f} m" in found.scale
    two = liftpose("lift", "one.jpg", "two.png", "--box", "all", "5,5,50,50", "--ckpt_path", "tiny.ckpt")
    assert two.code == 0 and read_picture_predictions("one_pose.npz").files == ("one.jpg", "two.png")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["one.jpg"], "--box: expected X,Y,WIDTH,HEIGHT"),
        (["one.jpg", "--box", "1,2,3"], "--box: expected X,Y,WIDTH,HEIGHT in pixels, or all, found 1,2,3"),
        (["one.jpg", "--box", "1,2,x,4"], "found 1,2,x,4"),
        (["one.jpg", "--box", "5,5,0,40"], "--box 5,5,0,40: expected a width and height above 0, found 0 and 40"),
        (["one.jpg", "--box", "120,5,20,40"], "expected a box in one.jpg, which is 120 x 90 pixels, found one outside"),
        (["one.jpg", "two.png", "--box", "all"], "--box: expected one for each of the 2 pictures, found 1"),
        (["one.jpg", "--box", "-50,5,20,40"], "--box -50,5,20,40: expected a box in one.jpg, which is 120 x 90"),
        (["none.jpg", "--box", "all"], "none.jpg: expected a picture, found no such file"),
        (["broken.jpg", "--box", "all"], "broken.jpg: expected a picture, found a file that cannot be decoded"),
        (["tiny.ckpt", "--box", "all"], "tiny.ckpt: expected a picture, found a file that cannot be decoded"),
        (["one.jpg", "--box", "all", "--focal", "0"], "--focal: expected a number above 0"),
        (["one.jpg", "--box", "all", "--principal_point", "1,2"], "--principal_point: expected it with --focal"),
        (
            ["one.jpg", "--box", "all", "--out", "pose.txt"],
            "--out pose.txt: expected a name that ends in .npz or .html",
        ),
        (["one.jpg", "--box", "all", "--out", "no/pose.npz"], "--out no/pose.npz: expected a folder to write to"),
        (["one.jpg", "--box", "all", "--device", "abacus"], "--device: expected a device that is there, found abacus"),
        (["one.jpg", "--box", "all", "--batch_size", "0"], "--batch_size: expected a whole number from 1 up"),
    ],
)
def test_mistakes_are_one_line(liftpose: Run, words: list[str], message: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    answer = liftpose("lift", *words, "--ckpt_path", "tiny.ckpt")
    assert answer.code == 2 and message in answer.err and answer.err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ckpt_path", "one.jpg"], "one.jpg: expected a checkpoint, found"),
        (["--ckpt_path", "none.ckpt"], "none.ckpt: expected a checkpoint, found no such file"),
        ([], "--ckpt_path: expected the checkpoint of a network that sees poses in pictures, found none"),
    ],
)
def test_other_checkpoints(liftpose: Run, words: list[str], message: str) -> None:
    answer = liftpose("lift", "one.jpg", "--box", "all", *words)
    assert answer.code == 2 and message in answer.err and answer.err.count("\n") == 1


def test_usage(liftpose: Run) -> None:
    answer = liftpose("lift", "--help")
    assert answer.code == 0 and "--box_metres" in answer.out and "  lift PICTURE" in liftpose("--help").out
