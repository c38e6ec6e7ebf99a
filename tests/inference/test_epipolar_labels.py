"""The verb ``liftpose data epipolar-labels``: pictures and a network in, a file of labels out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from liftpose.data.image_joints import bring_into_joints
from liftpose.data.images import ImageSet
from liftpose.data.patch_columns import PIXEL_MEAN, PIXEL_STD
from liftpose.datamodules import H36MImagesDataModule
from liftpose.formats.h36m_images import annotation_file, read_image_set, write_image_set
from liftpose.formats.images import cut_patch
from liftpose.formats.label_cache import read_labels
from liftpose.geometry import patch_to_image, to_patch
from liftpose.inference import pictures
from liftpose.inference.epipolar_labels import compare_with_truth, detect_joints
from liftpose.models.pose_resnet import IntegralPose
from liftpose.models.soft_argmax import Peaked
from liftpose.skeletons import H36M_17, MPII_16

FRAMES, SIDE = 15, 120
SPEC: dict[str, Any] = {
    "skeleton": "mpii_16", "layers": 18, "image_size": [64, 64], "depth_bins": 8, "deconv_channels": [16, 16, 16]
}  # fmt: skip
CONFIG = """
model:
  class_path: liftpose.tasks.IntegralPoseTask
  init_args:
    network:
      class_path: liftpose.models.IntegralPose
      init_args: {skeleton: h36m_mpii_order_16, layers: 18, image_size: [64, 64], depth_bins: 8,
        deconv_channels: [16, 16, 16]}
data:
  class_path: liftpose.datamodules.H36MImagesDataModule
  init_args: {root: PLACE, labels: PLACE/labels/made.npz, batch_size: 16, num_workers: 0, joints_by_index: true}
trainer: {max_epochs: 1, default_root_dir: PLACE/run}
seed_everything: 1
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, make_scene: Callable[..., Any]) -> Path:
    """A folder in the layout of Human3.6M's pictures; the grey of picture n is 4 n."""
    folder = tmp_path_factory.mktemp("pictures")
    scene = make_scene(FRAMES, jitter=0.0)
    cameras = scene.cameras.resize(SIDE, SIDE)
    local = cameras.to_camera(scene.poses_3d.expand(4, -1, -1, -1)).movedim(0, 1).flatten(0, 1)
    seen = cameras.project(local.unflatten(0, (FRAMES, 4)).movedim(0, 1)).movedim(0, 1).flatten(0, 1)
    side = 2 * float(cameras.intrinsics[:, 0, 0].mean()) / local[:, 0, 2]
    files = [f"images/S1/Walk.{row % 4}/{row // 4:06d}.png" for row in range(4 * FRAMES)]
    for row, name in enumerate(files):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (SIDE, SIDE), (4 * row,) * 3).save(folder / name)
    images = ImageSet(
        root=folder,
        files=tuple(files),
        skeleton=H36M_17,
        boxes=torch.stack((*seen[:, 0].unbind(-1), side, side), -1).float().numpy(),
        keypoints_2d=seen.float().numpy(),
        visible=np.ones((len(files), 17), dtype=np.float32),
        subjects=("S1",) * len(files),
        actions=("Walk",) * len(files),
        views=np.arange(len(files)) % 4,
        frames=np.arange(len(files)) // 4,
        depths=(local[..., 2] - local[:, :1, 2]).float().numpy(),
        root_depths=local[:, 0, 2].float().numpy(),
        cameras=cameras.to(dtype=torch.float32),
        camera_index=np.arange(len(files)) % 4,
    )
    write_image_set(annotation_file(folder, "train"), images)
    write_image_set(annotation_file(folder, "validation"), replace(images, subjects=("S9",) * len(files)))
    return folder


@pytest.fixture
def place(root: Path, tmp_path: Path) -> Path:
    """The same folder for one test, without labels."""
    for name in ("images", "annotations"):
        (tmp_path / name).symlink_to(root / name)
    (tmp_path / "config.yaml").write_text(CONFIG.replace("PLACE", str(tmp_path)), encoding="utf-8")
    return tmp_path


class Knowing(IntegralPose):
    """A network that tells by its grey which picture it sees, and knows all of their joints."""

    def __init__(self, images: ImageSet, noise: float = 0.0) -> None:
        super().__init__(**SPEC)
        known = bring_into_joints(images, MPII_16, by_index=True)
        boxes = torch.from_numpy(images.boxes).double()
        self.known = to_patch(torch.from_numpy(known.keypoints_2d).double(), patch_to_image(boxes, (64, 64))) / 64 - 0.5
        self.known = self.known + noise * torch.randn_like(self.known)
        self.calls = 0

    def predict(self, images: Tensor) -> Peaked:
        self.calls += 1
        grey = images[:, 0].amax((-2, -1)) * PIXEL_STD[0] + PIXEL_MEAN[0]
        found = self.known[(grey / 4).round().long()]
        return Peaked(torch.nn.functional.pad(found, (0, 1)).float(), torch.full(found.shape[:2], 0.5))


@pytest.fixture
def knowing(root: Path, monkeypatch: pytest.MonkeyPatch) -> Knowing:
    """Let every checkpoint hold a network that knows the joints."""
    network = Knowing(read_image_set(annotation_file(root, "train"), root))

    def load(path: str) -> pictures.LoadedPictureNetwork:
        return pictures.LoadedPictureNetwork(network, False, path)

    monkeypatch.setattr(pictures, "load_picture_network", load)
    return network


def words(place: Path, *more: object) -> list[object]:
    return ["data", "epipolar-labels", "--config", place / "config.yaml", *more]


def test_joints_are_those_that_the_network_sees_in_each_patch(place: Path) -> None:
    torch.manual_seed(3)
    network = IntegralPose(**SPEC).eval()
    for parameter in network.final_layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    module = H36MImagesDataModule(root=str(place), batch_size=7, num_workers=0)
    keypoints, confidence = detect_joints(network, module)
    images = read_image_set(annotation_file(place, "train"), place)
    for row in (0, 13, len(images) - 1):
        to_image = patch_to_image(torch.from_numpy(images.boxes[row]).double(), (64, 64))
        patch = cut_patch(images.root / images.files[row], to_image.numpy(), (64, 64))
        picture = (torch.from_numpy(patch.copy()).float() - torch.tensor(PIXEL_MEAN)) / torch.tensor(PIXEL_STD)
        with torch.no_grad():
            found = network(picture.permute(2, 0, 1)[None])[0, :, :2].double()
        homogeneous = torch.cat(((found + 0.5) * 64, torch.ones(16, 1)), -1)
        np.testing.assert_allclose(keypoints[row], (homogeneous @ to_image.T).numpy(), atol=1e-3)
    assert ((confidence > 0) & (confidence <= 1)).all()


@pytest.mark.parametrize("route", ["calibrated", "uncalibrated"])
def test_what_a_good_network_sees_becomes_the_truth(
    place: Path, knowing: Knowing, liftpose: Callable[..., Any], route: str
) -> None:
    answer = liftpose(*words(place, "--ckpt_path", "mpii.ckpt", "--route", route))
    assert answer.code == 0, answer.err
    assert "100.0% with a valid pose" in answer.out and f"wrote {place / 'labels' / 'made.npz'}" in answer.out
    labels = read_labels(place / "labels" / "made.npz")
    assert labels.skeleton == MPII_16
    truth = bring_into_joints(read_image_set(annotation_file(place, "train"), place), MPII_16, by_index=True)
    np.testing.assert_allclose(labels.keypoints_2d, truth.keypoints_2d, atol=0.01)
    ratio = labels.root_depths / truth.root_depths
    np.testing.assert_allclose(ratio, 1 if route == "calibrated" else ratio.mean(), rtol=2e-3)
    np.testing.assert_allclose(labels.depths / ratio.mean(), truth.depths, atol=0.01)
    errors = compare_with_truth(read_image_set(annotation_file(place, "train"), place), labels)
    assert errors["P-MPJPE"] < 0.003 and errors["N-MPJPE"] < 0.003
    # A training takes them.
    module = H36MImagesDataModule(
        root=str(place), labels=str(place / "labels/made.npz"), num_workers=0, joints_by_index=True
    )
    assert module.images("train").skeleton == MPII_16
    np.testing.assert_array_equal(module.images("train").depths, labels.depths)


def test_joints_are_found_once_and_labels_made_again_only_if_asked(
    place: Path, knowing: Knowing, liftpose: Callable[..., Any]
) -> None:
    assert liftpose(*words(place, "--ckpt_path", "a.ckpt")).code == 0
    calls, made = knowing.calls, (place / "labels/made.npz").read_bytes()
    again = liftpose(*words(place, "--ckpt_path", "a.ckpt"))
    assert again.code == 0 and "already" in again.out and knowing.calls == calls
    other = liftpose(*words(place, "--ckpt_path", "a.ckpt", "--fusion", "dlt"))
    assert other.code == 2 and "expected labels with fusion dlt, found fusion robust (--overwrite" in other.err
    assert other.err.count("\n") == 1 and (place / "labels/made.npz").read_bytes() == made
    replaced = liftpose(*words(place, "--ckpt_path", "a.ckpt", "--fusion", "dlt", "--overwrite"))
    assert replaced.code == 0 and knowing.calls == calls
    assert read_labels(place / "labels/made.npz").source["fusion"] == "dlt"
    with torch.no_grad():
        knowing.final_layer.bias += 1  # another network
    refused = liftpose(*words(place, "--ckpt_path", "b.ckpt", "--fusion", "dlt"))
    assert refused.code == 2 and "found some of a network of mpii_16" in refused.err and refused.err.count("\n") == 1
    assert liftpose(*words(place, "--ckpt_path", "b.ckpt", "--overwrite")).code == 0 and knowing.calls > calls
    assert len(list((place / "labels").glob("joints-*.npz"))) == 2


def test_a_damaged_cache_of_joints_is_made_anew(place: Path, knowing: Knowing, liftpose: Callable[..., Any]) -> None:
    liftpose(*words(place, "--ckpt_path", "a.ckpt"))
    (cache,) = (place / "labels").glob("joints-*.npz")
    whole = cache.read_bytes()
    cache.write_bytes(whole[:100])
    calls = knowing.calls
    assert liftpose(*words(place, "--ckpt_path", "a.ckpt", "--overwrite")).code == 0
    assert knowing.calls > calls and cache.read_bytes() == whole


def test_annotated_joints_need_no_network(place: Path, liftpose: Callable[..., Any]) -> None:
    out = place / "other" / "gt.npz"
    answer = liftpose(*words(place, "--from", "gt", "--out", out))
    assert answer.code == 0, answer.err
    labels = read_labels(out)
    assert labels.skeleton.name == "h36m_mpii_order_16" and (labels.weights == 1).all()
    assert not (place / "labels").exists() and [path.name for path in out.parent.iterdir()] == ["gt.npz"]


def test_a_picture_that_cannot_be_read_is_named_or_left_out(
    place: Path, root: Path, knowing: Knowing, liftpose: Callable[..., Any]
) -> None:
    (place / "images").unlink()
    for file in (root / "images").rglob("*.png"):
        copy = place / file.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes()[: 40 if file.parent.name == "Walk.2" and file.stem == "000004" else None])
    refused = liftpose(*words(place, "--ckpt_path", "a.ckpt"))
    assert refused.code == 2 and "Walk.2/000004.png" in refused.err and not (place / "labels").exists()
    skipped = liftpose(*words(place, "--ckpt_path", "a.ckpt", "--data.bad_images", "skip"))
    assert skipped.code == 0, skipped.err
    labels = read_labels(place / "labels/made.npz")
    row = labels.files.index("images/S1/Walk.2/000004.png")
    assert labels.weights[row].all()  # three other views have seen the same moment
    assert np.isnan(labels.residuals[row]).all() and np.isfinite(np.delete(labels.residuals, row, 0)).all()


def test_a_network_that_has_learnt_nothing_makes_no_labels(
    place: Path, knowing: Knowing, liftpose: Callable[..., Any]
) -> None:
    knowing.known = torch.rand_like(knowing.known) - 0.5
    for route in ("calibrated", "moving"):
        answer = liftpose(*words(place, "--ckpt_path", "a.ckpt", "--route", route, "--max_residual", "1"))
        assert answer.code == 2 and answer.err.count("\n") == 1, answer.err
        assert not (place / "labels/made.npz").exists()


def test_mistakes_are_one_line(place: Path, liftpose: Callable[..., Any], tmp_path: Path) -> None:
    for more, message in (
        ((), "--ckpt_path: expected a checkpoint of a 2D network, found none"),
        (("--from", "gt", "--ckpt_path", "x"), "--ckpt_path: expected none with --from gt, found x"),
        (("--from", "truth"), "--from: expected network or gt, found truth"),
        (("--ckpt_path", tmp_path / "none.ckpt"), "none.ckpt: expected a checkpoint, found no such file"),
        (("--from", "gt", "--fusion", "mean"), "fusion: expected"),
        (("--from", "gt", "--min_joints", "0"), "--min_joints: expected a number from 1 up, found 0"),
        (("--from", "gt", "--data.labels", "null"), "data.labels: expected the name of the file to write"),
        (("--from", "gt", "--data.root", tmp_path / "away"), "away"),
        (("--nonsense", "3"), "--nonsense: expected the name of an option"),
    ):
        answer = liftpose(*words(place, *more))
        assert answer.code == 2 and message in answer.err and answer.err.count("\n") == 1, answer.err
    answer = liftpose("data", "epipolar-labels", "--from", "gt")
    assert answer.code == 2 and "--config" in answer.err and answer.err.count("\n") == 1


def test_rows_that_training_leaves_out_have_a_row_without_weight(place: Path, liftpose: Callable[..., Any]) -> None:
    images = read_image_set(annotation_file(place, "train"), place)
    visible, seen = images.visible.copy(), images.keypoints_2d.copy()
    visible[7], seen[7] = 0, np.nan
    (place / "annotations").unlink()
    write_image_set(annotation_file(place, "train"), replace(images, visible=visible, keypoints_2d=seen))
    answer = liftpose(*words(place, "--from", "gt"))
    assert answer.code == 0, answer.err
    labels = read_labels(place / "labels/made.npz")
    assert sorted(labels.files) == sorted(images.files)
    assert labels.weights[labels.files.index(images.files[7])].sum() == 0
    module = H36MImagesDataModule(root=str(place), labels=str(place / "labels/made.npz"), num_workers=0)
    assert len(module.images("train")) == len(images) - 1
