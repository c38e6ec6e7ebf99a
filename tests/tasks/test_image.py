"""What the trainings of all networks of pictures share: losses, schedules, starts, predictions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from liftpose.data.images import PatchBatch
from liftpose.datamodules import H36MImagesDataModule, MPIIDataModule
from liftpose.errors import LiftposeError
from liftpose.geometry import patch_to_image
from liftpose.models import HeatmapPose, IntegralPose
from liftpose.models.pose_resnet import mirror_coordinates
from liftpose.tasks import IntegralKeypointsTask, IntegralPoseTask
from liftpose.weights import read_checkpoint

SMALL: dict[str, Any] = {"layers": 18, "image_size": (64, 32), "depth_bins": 4, "deconv_channels": (4, 4, 4)}
RUN: dict[str, Any] = {
    "accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False,
    "enable_model_summary": False, "max_epochs": 1, "num_sanity_val_steps": 0, "limit_val_batches": 0,
}  # fmt: skip


def some(count: int = 3, joints: int = 17, *, truth: bool = True, seed: int = 0) -> PatchBatch:
    """Patches of nothing, with labels, boxes that are not square and turned, and cameras."""
    random = torch.Generator().manual_seed(seed)

    def numbers(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random)

    intrinsics = torch.zeros(count, 3, 3)
    intrinsics[:, 0, 0], intrinsics[:, 1, 1], intrinsics[:, 2, 2] = 1100, 1150, 1
    intrinsics[:, :2, 2] = 500 + 10 * numbers(count, 2)
    to_image = torch.cat((torch.eye(2) * 3 + 0.3 * numbers(count, 2, 2), 400 + 50 * numbers(count, 2, 1)), -1)
    return PatchBatch(
        images=numbers(count, 3, 32, 64), labels=0.2 * numbers(count, joints, 3),
        weights=(numbers(count, joints, 3) > -0.5).float(), to_image=to_image,
        depth_scale=2 + 0.2 * numbers(count).clamp(-1, 1), keypoints_2d=500 + 80 * numbers(count, joints, 2),
        visible=torch.ones(count, joints), indices=torch.arange(count), split="train",
        depths=0.3 * numbers(count, joints) if truth else None,
        root_depths=5 + 0.3 * numbers(count) if truth else None, intrinsics=intrinsics if truth else None,
    )  # fmt: skip


def task(**options: Any) -> IntegralPoseTask:
    torch.manual_seed(0)
    found = IntegralPoseTask(IntegralPose(**SMALL), **options)
    torch.nn.init.normal_(found.network.final_layer.weight, std=2)
    found._trainer = SimpleNamespace(world_size=1)  # type: ignore[assignment]  # all that a step looks at
    found.log = lambda *_, **__: None  # type: ignore[method-assign]
    return found


# ---------------------------------------------------------------------------------------------------------------- loss
@pytest.mark.parametrize("reduction", ["weights", "batch"])
@pytest.mark.parametrize("loss", ["l1", "smooth_l1", "mse"])
def test_the_loss_is_the_weighted_sum_over_what_it_is_divided_by(loss: str, reduction: str) -> None:
    own, batch = task(loss=loss, loss_reduction=reduction, loss_switch=0.05), some()
    value = own.training_step(batch, 0).item()
    total = weight = 0.0
    for found, label, weights in zip(own.network(batch.images), batch.labels, batch.weights, strict=True):
        for error, factor in zip((found - label).flatten().tolist(), weights.flatten().tolist(), strict=True):
            cost = {"l1": abs(error), "mse": error**2}.get(loss)
            if cost is None:
                cost = abs(error) - 0.025 if abs(error) >= 0.05 else error**2 / 0.1
            total, weight = total + factor * cost, weight + factor
    assert value == pytest.approx(total / (weight if reduction == "weights" else 3), rel=1e-4)


def test_labels_without_weight_may_be_anything_and_a_batch_without_weights_teaches_nothing() -> None:
    own, batch = task(), some()
    labels = batch.labels.masked_fill(batch.weights == 0, torch.nan)
    assert torch.equal(own.training_step(batch._replace(labels=labels), 0), own.training_step(batch, 0))
    loss = own.training_step(batch._replace(weights=torch.zeros_like(batch.weights)), 0)
    loss.backward()
    assert loss == 0
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in own.parameters())


# ------------------------------------------------------------------------------------------------------ learning rates
class Rates(pl.Callback):
    """Remembers the learning rate of every batch."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


def test_the_learning_rate_rises_over_batches_and_falls_at_epochs(painted: Path) -> None:
    rates = Rates()
    network = IntegralPose(**SMALL | {"image_size": (32, 32)})
    own = IntegralPoseTask(network, learning_rate=0.01, milestones=[2, 3], learning_rate_decay=0.5, warmup_steps=4)
    data = H36MImagesDataModule(root=str(painted / "h36m"), batch_size=4, num_workers=0)
    options = RUN | {"max_epochs": 4, "limit_train_batches": 3}
    pl.Trainer(**options, callbacks=rates, gradient_clip_val=1).fit(own, data)
    wanted = []
    for step in range(12):
        rise = 0.01 + 0.99 * min(step, 4) / 4
        wanted.append(0.01 * rise * 0.5 ** ((step >= 6) + (step >= 9)))
    assert rates.rates == pytest.approx(wanted)


# --------------------------------------------------------------------------------------------------------------- start
def test_a_start_takes_joints_of_one_name_or_of_one_index(painted: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    first = IntegralKeypointsTask(IntegralPose("mpii_16", **SMALL))
    trainer = pl.Trainer(**RUN)
    trainer.strategy.connect(first)
    trainer.save_checkpoint(tmp_path / "first.ckpt", weights_only=True)
    content = read_checkpoint(tmp_path / "first.ckpt")
    content["hyper_parameters"] = {
        "network": {"class_path": "liftpose.models.IntegralPose", "init_args": {"skeleton": "mpii_16"}}
    }
    torch.save(content, tmp_path / "first.ckpt")
    for how, taken in (("by_index", 16), ("by_name", 14), ("new", 0)):
        network = IntegralPose("h36m_mpii_order_16", **SMALL)
        own = IntegralPoseTask(network, init_from=str(tmp_path / "first.ckpt"), init_joints=how)  # type: ignore[arg-type]
        before = network.final_layer.weight.clone()
        own.check("fit", None)
        assert torch.equal(network.conv1.weight, first.network.conv1.weight)
        same = (network.final_layer.weight == first.network.final_layer.weight).view(16, -1).all(1)
        assert int(same.sum()) == taken, how
        assert torch.equal(
            network.final_layer.weight.view(16, -1)[~same], before.view(16, -1)[~same]
        )  # the others are still random
        kept = network.conv1.weight.clone()
        first.network.conv1.weight.data += 1
        own._start()  # once only
        assert torch.equal(network.conv1.weight, kept)
        first.network.conv1.weight.data.copy_(kept)
    evaluated = IntegralPoseTask(IntegralPose(**SMALL), init_from=str(tmp_path / "missing.ckpt"))
    evaluated.check("test", "x.ckpt")
    with pytest.raises(LiftposeError, match=r"missing.ckpt: expected a checkpoint, found no such file"):
        evaluated.check("fit", None)


def test_a_network_of_heat_maps_cannot_be_trained() -> None:
    network = HeatmapPose(layers=18, image_size=(64, 32), deconv_channels=(4, 4, 4))
    own = IntegralKeypointsTask(network)
    with pytest.raises(LiftposeError, match=r"model.network: expected liftpose.models.IntegralPose to fit, found Heat"):
        own.check("fit", None)
    own.check("test", "x.ckpt")


# --------------------------------------------------------------------------------------------------------- predictions
@torch.no_grad()
def test_poses_come_from_the_picture_by_the_camera() -> None:
    own, batch = task().eval(), some()
    found = own.predict_pictures(batch)
    labels = own.network(batch.images).numpy().astype(np.float64)
    assert batch.root_depths is not None and batch.intrinsics is not None and batch.depths is not None

    def pose(pixels: Any, depths: Any, row: int) -> np.ndarray:
        z = np.asarray(depths, np.float64) + float(batch.root_depths[row])
        rays = np.c_[pixels, np.ones(17)] @ np.linalg.inv(np.asarray(batch.intrinsics[row], np.float64)).T
        metres = rays * z[:, None]
        return metres - metres[0]

    for row in range(3):
        patch = np.c_[(labels[row, :, 0] + 0.5) * 64, (labels[row, :, 1] + 0.5) * 32, np.ones(17)]
        pixels = patch @ np.asarray(batch.to_image[row], np.float64).T
        np.testing.assert_allclose(found.keypoints_2d[row], pixels, atol=2e-3)
        depths = labels[row, :, 2] * float(batch.depth_scale[row])
        np.testing.assert_allclose(found.poses_3d[row], pose(pixels, depths, row), atol=1e-4)
        assert found.truth_3d is not None
        truth = pose(batch.keypoints_2d[row].numpy(), batch.depths[row].numpy(), row)
        np.testing.assert_allclose(found.truth_3d[row], truth, atol=1e-4)
    assert "true depth" in found.scale


@torch.no_grad()
@pytest.mark.parametrize("box", [(240.0, 120.0), (90.0, 120.0), (120.0, 120.0)])
def test_without_a_camera_the_box_is_the_measure(box: tuple[float, float]) -> None:
    own, batch = task().eval(), some(truth=False)
    # A network without training has all joints in one place, which would hide any factor.
    own.predict_labels = lambda batch: (batch.labels, torch.ones(3, 17))  # type: ignore[method-assign]
    boxes = torch.tensor([[300.0, 200.0, *box]]).expand(3, -1)
    turn = torch.tensor([0.0, 0.5, -1.0])
    batch = batch._replace(to_image=patch_to_image(boxes, (64, 32), angle=turn))
    found = own.predict_pictures(batch)
    labels = batch.labels
    # Pixels of the picture, of which the longer side of the box has so many metres.
    metres = batch.depth_scale / max(box)
    wanted = (labels - labels[:, :1]) * batch.depth_scale[:, None, None]
    wanted[..., 0] *= box[0] / max(box)
    wanted[..., 1] *= box[1] / max(box)
    torch.testing.assert_close(found.poses_3d, wanted)
    apart = (found.keypoints_2d - found.keypoints_2d[:, :1]).norm(dim=-1) * metres.unsqueeze(-1)
    torch.testing.assert_close(found.poses_3d[..., :2].norm(dim=-1), apart, rtol=1e-4, atol=1e-4)
    assert found.truth_3d is None and "side of the box" in found.scale


@torch.no_grad()
def test_a_flip_test_is_the_mean_with_the_mirrored_patch() -> None:
    own, batch = task(flip_test=True).eval(), some()
    labels, confidence = own.predict_labels(batch)
    straight, mirrored = (own.network.predict(images) for images in (batch.images, batch.images.flip(-1)))
    skeleton = own.network.skeleton
    back = mirror_coordinates(mirrored.coordinates, skeleton, 64)
    torch.testing.assert_close(labels, (straight.coordinates + back) / 2, atol=1e-5, rtol=1e-4)
    other = mirrored.confidence[:, list(skeleton.mirror_index)]
    torch.testing.assert_close(confidence, (straight.confidence + other) / 2, atol=1e-5, rtol=1e-4)
    assert (labels - straight.coordinates).abs().max() > 1e-3


# ----------------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0}, r"model.learning_rate: expected a number above 0, found 0"),
        ({"loss_switch": -1}, r"model.loss_switch: expected a number above 0, found -1"),
        ({"warmup_steps": -1}, r"model.warmup_steps: expected a number from 0 up, found -1"),
        ({"milestones": [5, 5]}, r"model.milestones: expected rising epochs from 1 up, found \[5, 5\]"),
        ({"milestones": [0]}, r"model.milestones: expected rising epochs from 1 up, found \[0\]"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LiftposeError, match=message):
        task(**options)


@pytest.mark.parametrize(
    ("kind", "module", "name", "message"),
    [
        (IntegralPoseTask, MPIIDataModule, "mpii", r"expected pictures with depths to train on, found none"),
        (IntegralKeypointsTask, H36MImagesDataModule, "h36m", r"expected pictures with the size of the head for PCKh"),
    ],
)
def test_pictures_that_lack_something_are_refused_before_the_training(
    kind: Callable[..., Any], module: Any, name: str, message: str, painted: Path
) -> None:
    own = kind(IntegralPose("mpii_16", **SMALL | {"image_size": (32, 32)}))
    with pytest.raises(LiftposeError, match=message):
        pl.Trainer(**RUN).fit(own, module(root=str(painted / name), num_workers=0, joints_by_index=True))
