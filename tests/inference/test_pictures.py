"""From pictures to poses: the places, the lengths, the checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from liftpose.data.images import PatchBatch
from liftpose.data.patch_columns import PIXEL_MEAN, PIXEL_STD, normalize_patches
from liftpose.errors import LiftposeError
from liftpose.inference.pictures import (
    Lens,
    LoadedPictureNetwork,
    PictureBox,
    load_picture_network,
    picture_size,
    predict_pictures,
)
from liftpose.models.pose_resnet import HeatmapPose, IntegralPose
from liftpose.skeletons import H36M_17
from liftpose.tasks.integral import IntegralPoseTask

OPTIONS: dict[str, Any] = {
    "skeleton": "h36m_17", "layers": 18, "image_size": [64, 64], "depth_bins": 8, "deconv_channels": [8, 8, 8],
}  # fmt: skip


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


class Seen:
    """A network that says what it is told, and what it was shown."""

    def __init__(self, labels: torch.Tensor, size: tuple[int, int] = (64, 64), *, flip_test: bool = False) -> None:
        network = IntegralPose(**{**OPTIONS, "image_size": size}).eval()
        self.images: list[torch.Tensor] = []
        self.labels = labels
        network.predict = self.predict  # type: ignore[method-assign,assignment]
        self.loaded = LoadedPictureNetwork(network, flip_test, "told")

    def predict(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        first = sum(map(len, self.images))
        self.images.append(images)
        labels = self.labels[first : first + len(images)] if len(self.labels) > 1 else self.labels
        labels = labels.expand(len(images), -1, -1)
        return labels, torch.ones(labels.shape[:2])


def test_a_person_seen_by_a_known_camera_comes_back() -> None:
    """The published box at the true depth, and labels that say where the joints are in it."""
    pose = 0.3 * torch.randn(17, 3, dtype=torch.float64)
    pose[0] = 0
    focal, where = 900.0, torch.tensor([0.2, -0.1, 4.5], dtype=torch.float64)
    centre = (70.0, 40.0)
    points = pose + where
    pixels = focal * points[:, :2] / points[:, 2:] + torch.tensor(centre)
    root, side = focal * where[:2] / where[2] + torch.tensor(centre), 2 * focal / float(where[2])
    labels = torch.cat(((pixels - root) / side, pose[:, 2:] / 2), 1)[None]
    image = Image.new("RGB", (400, 300))
    left, top = (root - (side - 1) / 2).tolist()
    network = Seen(labels)
    for lens in (Lens(focal, centre), Lens(focal)):
        found = _predict(network, image, PictureBox("", left, top, side, side), lens)
        np.testing.assert_allclose(found.keypoints_2d[0], pixels, atol=1e-4)
        error = np.abs(found.poses_3d[0] - pose.numpy()).max()
        # The principal point moves the rays, not the pixels.
        assert error < 1e-5 if lens.centre else error > 1e-3
    far = _predict(network, image, PictureBox("", left, top, side, side), Lens(focal, centre), extent=1.0)
    np.testing.assert_allclose(far.poses_3d[0], pose / 2, atol=1e-5)  # half as large, half as far


def _predict(network: Seen, image: Image.Image, person: PictureBox, lens: Lens | None, **options: Any) -> Any:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        image.save(f"{folder}/picture.png")
        people = [PictureBox(f"{folder}/picture.png", person.left, person.top, person.width, person.height)]
        return predict_pictures(network.loaded, people, lens=lens, **options)


def test_without_a_camera_the_box_is_two_metres(picture: Path) -> None:
    labels = torch.rand(1, 17, 3, dtype=torch.float64) - 0.5
    found = predict_pictures(Seen(labels).loaded, [PictureBox(str(picture), 10, 20, 80, 60)])
    np.testing.assert_allclose(found.poses_3d[0], 2 * (labels - labels[:, :1])[0], atol=1e-6)
    assert found.boxes.tolist() == [[49.5, 49.5, 80, 80]] and "2 m" in found.scale
    np.testing.assert_allclose(found.keypoints_2d[0], 49.5 + 80 * labels[0, :, :2], atol=1e-4)


def test_parallel_rays_are_those_of_a_camera_far_away(picture: Path) -> None:
    """Also for patches that are no squares, whose label units are not alike."""
    labels = torch.rand(1, 17, 3, dtype=torch.float64) - 0.5
    person = PictureBox(str(picture), 10, 20, 30, 60)
    alone = predict_pictures(Seen(labels, (32, 64)).loaded, [person])
    far = predict_pictures(Seen(labels, (32, 64)).loaded, [person], lens=Lens(1e7))
    np.testing.assert_allclose(alone.poses_3d, far.poses_3d, atol=1e-4)
    np.testing.assert_allclose(np.ptp(alone.poses_3d[0, :, 0]), np.ptp(labels.numpy()[0, :, 0]), atol=1e-5)  # 1 m wide


def test_what_the_network_sees(picture: Path) -> None:
    network = Seen(torch.zeros(1, 17, 3, dtype=torch.float64))
    # Half a pixel makes the published patch, whose pixel 32 is the middle of the box, fall on whole pixels.
    predict_pictures(network.loaded, [PictureBox(str(picture), 30.5, 40.5, 64, 64)])
    shown = network.images[0][0].permute(1, 2, 0) * torch.tensor(PIXEL_STD) + torch.tensor(PIXEL_MEAN)
    expected = np.asarray(Image.open(picture))[40:104, 30:94]
    np.testing.assert_allclose(shown, expected, atol=1e-3)


def test_people_keep_their_order_over_batches(picture: Path) -> None:
    labels = torch.rand(5, 17, 3, dtype=torch.float64) - 0.5
    people = [PictureBox(str(picture), 10 * i, 5, 40, 40 + i) for i in range(5)]
    done: list[int] = []
    network = Seen(labels)
    found = predict_pictures(network.loaded, people, batch_size=2, progress=lambda number, count: done.append(number))
    assert done == [2, 4, 5] and [len(images) for images in network.images] == [2, 2, 1]
    np.testing.assert_allclose(found.poses_3d, 2 * (labels - labels[:, :1]), atol=1e-6)
    assert found.frames.tolist() == [0, 1, 2, 3, 4]


def test_same_as_the_task(picture: Path) -> None:
    """Predictions averaged with those of mirrored patches are the ones of a test."""
    torch.manual_seed(1)
    network = IntegralPose(**OPTIONS).eval()
    torch.nn.init.normal_(network.final_layer.weight)
    task = IntegralPoseTask(network, flip_test=True).eval()
    network_seen = LoadedPictureNetwork(network, True, "network")
    found = predict_pictures(network_seen, [PictureBox(str(picture), 30.5, 40.5, 64, 64)])
    patch = torch.from_numpy(np.asarray(Image.open(picture))[40:104, 30:94].copy()).permute(2, 0, 1)[None]
    unused = torch.zeros(1, 17, 3)
    batch = PatchBatch(
        images=normalize_patches(patch),
        labels=unused,
        weights=unused,
        to_image=torch.tensor([[[1.0, 0, 30], [0, 1, 40]]]),
        depth_scale=torch.tensor([2.0]),
        keypoints_2d=unused[..., :2],
        visible=unused[..., 0],
        indices=torch.zeros(1, dtype=torch.int64),
        split="test",
    )
    with torch.no_grad():
        expected = task.predict_pictures(batch)
    np.testing.assert_allclose(found.poses_3d, expected.poses_3d, atol=2e-5)
    np.testing.assert_allclose(found.keypoints_2d, expected.keypoints_2d, atol=2e-3)
    np.testing.assert_allclose(found.confidence, expected.confidence, rtol=1e-4)


def test_pictures_are_seen_as_programs_show_them(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    image = Image.fromarray(np.rot90(pixels))  # lies on its side in the file
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    assert picture_size(tmp_path / "turned.png") == (96, 64)
    network = Seen(torch.zeros(1, 17, 3, dtype=torch.float64))
    predict_pictures(network.loaded, [PictureBox(str(tmp_path / "turned.png"), 10.5, 0.5, 64, 64)])
    shown = network.images[0][0].permute(1, 2, 0) * torch.tensor(PIXEL_STD) + torch.tensor(PIXEL_MEAN)
    np.testing.assert_allclose(shown, pixels[:, 10:74], atol=1e-3)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((0, 0, 0, 10), "above 0, found 0 and 10"),
        ((0, 0, 10, -1), "above 0, found 10 and -1"),
        ((160, 0, 10, 10), "160 x 120 pixels, found one outside"),
        ((-20, 0, 20, 10), "found one outside"),
    ],
)
def test_boxes_that_show_nobody(picture: Path, box: tuple[float, ...], message: str) -> None:
    network = Seen(torch.zeros(1, 17, 3))
    with pytest.raises(LiftposeError, match=message):
        predict_pictures(network.loaded, [PictureBox(str(picture), *box)])
    assert not network.images
    predict_pictures(network.loaded, [PictureBox(str(picture), -10, -10, 50, 50)])  # a part of it is in the picture


def test_poses_that_are_not_finite_are_refused(picture: Path) -> None:
    network = Seen(torch.full((1, 17, 3), torch.nan))
    with pytest.raises(LiftposeError, match="finite poses"):
        predict_pictures(network.loaded, [PictureBox(str(picture), 0, 0, 50, 50)])


def checkpoint(path: Path, network: torch.nn.Module, class_path: str, **more: Any) -> Path:
    spec = {"class_path": class_path, "init_args": OPTIONS if isinstance(network, IntegralPose) else {}}
    content = {
        "state_dict": {f"network.{name}": value for name, value in network.state_dict().items()},
        "hyper_parameters": {"network": spec, **more},
    }
    torch.save(content, path)
    return path


@pytest.mark.parametrize("flip_test", [True, False])
def test_checkpoint(tmp_path: Path, flip_test: bool) -> None:
    network = IntegralPose(**OPTIONS)
    path = checkpoint(tmp_path / "a.ckpt", network, "liftpose.models.pose_resnet.IntegralPose", flip_test=flip_test)
    loaded = load_picture_network(path)
    assert loaded.flip_test is flip_test and not loaded.network.training
    assert loaded.network.skeleton == H36M_17 and loaded.network.image_size == (64, 64)
    for name, value in network.state_dict().items():
        assert torch.equal(value, loaded.network.state_dict()[name])


def test_file_of_the_public_code(tmp_path: Path) -> None:
    network = IntegralPose(layers=18, deconv_channels=(16, 16, 16))
    path = tmp_path / "model_best.pth.tar"
    torch.save({f"module.{name}": value for name, value in network.state_dict().items()}, path)
    loaded = load_picture_network(path)
    assert loaded.network.image_size == (256, 256) and loaded.network.depth_bins == 64
    assert torch.equal(loaded.network.final_layer.bias, network.final_layer.bias)


def test_other_checkpoints_are_refused(tmp_path: Path) -> None:
    heat = HeatmapPose(layers=18)
    torch.save({f"module.{name}": value for name, value in heat.state_dict().items()}, tmp_path / "heat.pth.tar")
    torch.save({"state_dict": {}, "hyper_parameters": {"lifter": {}}}, tmp_path / "lifter.ckpt")
    ours = checkpoint(tmp_path / "other.ckpt", heat, "liftpose.models.RIE")
    for path, message in (
        (tmp_path / "heat.pth.tar", "3D poses .IntegralPose., found HeatmapPose"),
        (tmp_path / "lifter.ckpt", "found one of a lifter"),
        (ours, "found liftpose.models.RIE"),
    ):
        with pytest.raises(LiftposeError, match=message):
            load_picture_network(path)
    misfit = checkpoint(tmp_path / "misfit.ckpt", IntegralPose(**OPTIONS), "liftpose.models.pose_resnet.IntegralPose")
    content = torch.load(misfit)
    content["hyper_parameters"]["network"]["init_args"] = {**OPTIONS, "depth_bins": 9}
    torch.save(content, misfit)
    with pytest.raises(LiftposeError, match="weights that fit its own IntegralPose, found: size mismatch"):
        load_picture_network(misfit)
