"""Patches with labels: beside the published order of steps sample by sample, and for any number of processes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import kornia
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from torch import Tensor, nn

from liftpose.callbacks.loops import use_run_loops
from liftpose.data.images import ImageSet, PatchBatch
from liftpose.data.occlusion import Occluders
from liftpose.data.patch_columns import PIXEL_MEAN, PIXEL_STD, normalize_patches
from liftpose.datamodules import CutPatches, ImageDataModule
from liftpose.errors import LiftposeError
from liftpose.geometry import Camera, h36m_cameras, labels_to_pixels
from liftpose.skeletons import H36M_17, H36M_MPII_ORDER_16, MPII_16, Skeleton

COUNT = 22
SIZE = (48, 64)


def people(root: Path, count: int = COUNT, skeleton: Skeleton = H36M_17) -> ImageSet:
    """Write pictures of nothing in particular, and annotations."""
    rng = np.random.default_rng(5)
    for number in range(count):
        small = rng.integers(0, 256, (15, 20, 3), dtype=np.uint8)
        Image.fromarray(cv2.resize(small, (160, 120), interpolation=cv2.INTER_CUBIC)).save(root / f"{number}.png")
    joints = len(skeleton)
    visible = np.ones((count, joints), np.float32)
    visible[:, 3] = 0.5
    keypoints = rng.uniform(20, 130, (count, joints, 2)).astype(np.float32)
    keypoints[1, 2], visible[1, 2] = np.nan, 0
    depths = rng.normal(0, 0.3, (count, joints)).astype(np.float32)
    depths[:, skeleton.root] = 0
    return ImageSet(
        root=root,
        files=tuple(f"{number}.png" for number in range(count)),
        skeleton=skeleton,
        boxes=rng.uniform((60, 50, 70, 60), (100, 70, 110, 100), (count, 4)).astype(np.float32),
        keypoints_2d=keypoints,
        visible=visible,
        subjects=tuple(f"S{number % 3}" for number in range(count)),
        actions=("Walking",) * count,
        views=np.arange(count) % 4,
        frames=np.arange(count),
        depths=depths,
        root_depths=rng.uniform(3, 6, count).astype(np.float32),
        cameras=h36m_cameras("S9"),
        camera_index=np.arange(count) % 4,
        head_sizes=rng.uniform(10, 20, count).astype(np.float32),
    )


class Pictures(ImageDataModule):
    """Annotations that are in memory."""

    def __init__(self, images: ImageSet, things: list[np.ndarray] | None = None, **options: Any) -> None:
        options = {"batch_size": 8, "num_workers": 0, "patch_size": SIZE, "seed": 11} | options
        super().__init__(root=str(images.root), **options)
        self.given = images
        self.things = things

    def load_images(self, split: str) -> ImageSet:
        return self.given

    def load_occluders(self, path: str) -> Occluders:
        assert self.things is not None
        return Occluders.from_pictures(self.things)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    return people(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def things() -> list[np.ndarray]:
    rng = np.random.default_rng(6)
    made = []
    for height, width in ((90, 60), (40, 120), (7, 9)):
        thing = rng.integers(0, 256, (height, width, 4), dtype=np.uint8)
        thing[..., 3] = np.where(thing[..., 3] > 100, 255, 192)
        made.append(cv2.GaussianBlur(thing, (5, 5), 0))
    return made


def epoch(module: ImageDataModule, number: int = 0, augmented: bool = True) -> list[CutPatches]:
    loader = module.loader("train", augmented=augmented)
    loader.sampler.set_epoch(number)  # type: ignore[attr-defined]
    return list(loader)


def same(one: Any, other: Any) -> bool:
    """Whether two batches are the same to the last bit."""
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


# -------------------------------------------------------------------------------------------------- the published order
def step_by_step(cut: CutPatches, number: int, images: ImageSet, things: list[np.ndarray]) -> np.ndarray:
    """One sample in numpy: warp, paste, colours, normalise, with the numbers that were drawn."""
    picture = np.asarray(Image.open(images.root / images.files[cut.indices[number]]))
    forward = cv2.invertAffineTransform(cut.to_image[number].double().numpy())
    patch = cv2.warpAffine(picture, forward, SIZE, flags=cv2.INTER_LINEAR)
    for paste in cut.pastes:
        for place in (paste.rows == number).nonzero().flatten().tolist():
            width, height = paste.sizes[place].tolist()
            thing = cv2.resize(things[paste.objects[place]], (width, height), interpolation=cv2.INTER_AREA)
            left, top = paste.corners[place].tolist()
            for y in range(max(top, 0), min(top + height, SIZE[1])):
                for x in range(max(left, 0), min(left + width, SIZE[0])):
                    *colour, opacity = thing[y - top, x - left].astype(float)
                    patch[y, x] = opacity / 255 * np.array(colour) + (1 - opacity / 255) * patch[y, x]
    assert cut.colour is not None
    values = np.clip(patch * cut.colour[number].numpy(), 0, 255)
    return ((values - PIXEL_MEAN) / PIXEL_STD).transpose(2, 0, 1)


def test_patches_are_made_in_the_published_order(images: ImageSet, things: list[np.ndarray]) -> None:
    module = Pictures(images, things, occlusion="things", occlusion_probability=0.7, flip_probability=0.4)
    module.check("fit")
    pasted = 0
    for cut in epoch(module):
        batch = module.gather(cut)
        for number in range(len(cut.indices)):
            expected = step_by_step(cut, number, images, things)
            # A grey level, and the factor of a colour; OpenCV's fixed-point numbers differ by the direction of the map.
            off = np.abs(batch.images[number].numpy() - expected)
            assert off.max() < 3.5 * 1.2 / 57
            assert off.mean() < 0.01
        pasted += sum(len(paste.rows) for paste in cut.pastes)
        assert batch.images.shape == (len(cut.indices), 3, SIZE[1], SIZE[0])
    assert pasted > COUNT


def test_labels_lead_back_to_the_joints(images: ImageSet) -> None:
    module = Pictures(images, flip_probability=0.5, depth_extent=3.0)
    module.check("fit")
    mirrored = 0
    for cut in epoch(module, 3):
        batch = module.gather(cut)
        pixels = labels_to_pixels(batch.labels, batch.to_image, SIZE)
        assert cut.mirrored is not None and batch.depths is not None
        for number, row in enumerate(cut.indices.tolist()):
            order = H36M_17.mirror_index if cut.mirrored[number] else range(17)
            mirrored += bool(cut.mirrored[number])
            for joint, source in enumerate(order):
                weight = images.visible[row, source]
                assert batch.weights[number, joint].tolist() == [weight] * 3
                if weight > 0:
                    off = pixels[number, joint].numpy() - images.keypoints_2d[row, source]
                    assert np.abs(off).max() < 1e-3
                    depth = batch.labels[number, joint, 2] * 3.0 * cut.scale[number]
                    assert float(depth) == pytest.approx(images.depths[row, source], abs=1e-5)
                else:
                    assert batch.labels[number, joint].tolist() == [0, 0, 0]
            # A patch of a mirror image turns the other way round.
            assert bool(torch.linalg.det(batch.to_image[number, :, :2]) < 0) == bool(cut.mirrored[number])
        assert images.cameras is not None and batch.intrinsics is not None and batch.root_depths is not None
        own = images.cameras.intrinsics[images.camera_index[cut.indices.numpy()]]
        torch.testing.assert_close(batch.intrinsics, own.float())
        assert np.array_equal(batch.root_depths.numpy(), images.root_depths[cut.indices.numpy()])
    assert 3 < mirrored < COUNT - 3


def test_normalised_as_kornia_does() -> None:
    patches = torch.randint(0, 256, (3, 3, 8, 6), dtype=torch.uint8)
    expected = kornia.enhance.normalize(patches.float(), torch.tensor(PIXEL_MEAN), torch.tensor(PIXEL_STD))
    torch.testing.assert_close(normalize_patches(patches), expected)
    bright = normalize_patches(torch.full((1, 3, 2, 2), 250.0), torch.tensor([[1.2, 1.0, 0.8]]))
    expected = torch.tensor([255.0, 250.0, 200.0]) - torch.tensor(PIXEL_MEAN)
    torch.testing.assert_close(bright[0, :, 0, 0], expected / torch.tensor(PIXEL_STD))


def test_draws_have_the_published_statistics(images: ImageSet, things: list[np.ndarray]) -> None:
    many = images.take(np.arange(4000) % COUNT)
    module = Pictures(many, things, batch_size=4000, occlusion="things", occlusion_probability=0.5)
    module.check("fit")
    batches = module.loader("train", augmented=True).dataset
    rows = batches.batches[0, 0]  # type: ignore[attr-defined]
    drawn = batches._draw(rows.indices, rows.place)  # type: ignore[attr-defined]  # nothing has to be decoded for it
    scale = drawn["scale"].double()
    normal = torch.distributions.Normal(0, 1)
    assert float(scale.mean()) == pytest.approx(1, abs=0.01)
    # A normal number that is cut off at 1: variance 1 - 2 phi(1) + ... in closed form.
    inside = float(normal.cdf(torch.tensor(1.0)) * 2 - 1)
    density = float(normal.log_prob(torch.tensor(1.0)).exp())
    variance = inside - 2 * density + (1 - inside)
    assert float(scale.std()) == pytest.approx(0.25 * variance**0.5, rel=0.03)
    assert float(scale.min()) == 0.75
    assert float(scale.max()) == 1.25
    maps = drawn["to_image"]
    boxes = torch.from_numpy(many.boxes[rows.indices]).double()
    angle = torch.atan2(maps[:, 1, 0] / boxes[:, 2] * SIZE[0], maps[:, 0, 0] / boxes[:, 2] * SIZE[0]).rad2deg()
    assert float((angle.abs() < 1e-9).double().mean()) == pytest.approx(0.4, abs=0.03)
    assert float(angle.abs().max()) == pytest.approx(60)
    assert float(drawn["colour"].min()) == pytest.approx(0.8, abs=0.01)
    assert float(drawn["colour"].max()) == pytest.approx(1.2, abs=0.01)
    counts = torch.zeros(4000, dtype=torch.long)
    for paste in drawn["pastes"]:
        counts[paste.rows] += 1
    assert float((counts > 0).double().mean()) == pytest.approx(0.5, abs=0.03)
    shares = torch.bincount(counts[counts > 0], minlength=8)[1:] / (counts > 0).sum()
    assert shares.numel() == 7
    assert float((shares - 1 / 7).abs().max()) < 0.03


# --------------------------------------------------------------------------------------------- processes and restarts
def test_workers_change_nothing(images: ImageSet, things: list[np.ndarray]) -> None:
    options = {"occlusion": "things", "flip_probability": 0.5}
    alone, workers = Pictures(images, things, **options), Pictures(images, things, num_workers=2, **options)
    alone.check("fit")
    workers.check("fit")
    loader = workers.loader("train", augmented=True)
    for number in (0, 1):  # the workers stay
        loader.sampler.set_epoch(number)  # type: ignore[attr-defined]
        expected = epoch(alone, number)
        assert all(map(same, list(loader), expected))
    loader.sampler.start_at(2)  # type: ignore[attr-defined]  # as a run does that goes on within an epoch
    (last,) = list(loader)
    assert same(last, expected[2])
    assert not same(epoch(alone, 0)[2], expected[2])


def test_kept_parts_of_pictures_give_nearly_the_same_patches(images: ImageSet, tmp_path: Path) -> None:
    whole, kept = Pictures(images), Pictures(images, crops=str(tmp_path / "crops"), num_workers=2)
    whole.check("fit")
    kept.check("fit")
    first, again = epoch(kept), epoch(kept)
    assert all(map(same, first, again))
    assert len(list((tmp_path / "crops").rglob("*.jpg"))) == COUNT
    for one, other in zip(first, epoch(whole), strict=True):
        assert torch.equal(one.indices, other.indices)
        assert float((one.patches.float() - other.patches.float()).abs().mean()) < 3
    # An evaluation reads the pictures themselves.
    assert all(map(same, epoch(kept, augmented=False), epoch(whole, augmented=False)))


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_the_draws(images: ImageSet, things: list[np.ndarray], world_size: int) -> None:
    alone = Pictures(images, things, occlusion="things", flip_probability=0.5)
    alone.check("fit")
    shares = []
    for rank in range(world_size):
        module = Pictures(images, things, occlusion="things", flip_probability=0.5)
        module.check("fit")
        module.trainer = _Process(rank, world_size)  # type: ignore[assignment]
        shares.append([module.gather(cut) for cut in epoch(module)])
    for step, cut in enumerate(epoch(alone)):
        whole = alone.gather(cut)
        parts = [share[step] for share in shares]
        for name in ("labels", "to_image", "indices", "depth_scale"):
            found = torch.cat([getattr(part, name) for part in parts])
            torch.testing.assert_close(found, getattr(whole, name), atol=1e-6, rtol=0)
        # A sum of an object's pixels in another order may round to the next grey level.
        off = (torch.cat([part.images for part in parts]) - whole.images).abs()
        assert float(off.max()) < 1.5 * 1.2 / 57
        assert float((off > 1e-5).double().mean()) < 1e-4
        assert sum(part.weight for part in parts) == pytest.approx(world_size)


class _Process:
    """As much of a trainer as a loader looks at."""

    def __init__(self, rank: int, world_size: int) -> None:
        self.global_rank, self.world_size = rank, world_size
        self.lightning_module = None
        self.strategy = type("Strategy", (), {"root_device": torch.device("cpu")})()


def test_nothing_is_random_in_an_evaluation(images: ImageSet, things: list[np.ndarray]) -> None:
    module = Pictures(images, things, occlusion="things")
    module.check("fit")
    other = Pictures(images, seed=99, batch_size=5)
    other.check("validate")
    ones = [module.gather(cut) for cut in epoch(module, 0, augmented=False)]
    others = [other.gather(cut) for cut in epoch(other, 4, augmented=False)]
    for name in ("images", "labels", "indices"):
        one = torch.cat([getattr(batch, name) for batch in ones])
        assert torch.equal(one, torch.cat([getattr(batch, name) for batch in others]))
    assert torch.cat([batch.indices for batch in ones]).tolist() == list(range(COUNT))
    assert all(bool((batch.depth_scale == 2).all()) for batch in ones)


class Learner(pl.LightningModule):
    """A network of one layer that keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Linear(1, 1)
        self.network.image_size, self.network.skeleton = SIZE, H36M_17  # type: ignore[assignment]
        self.seen: list[PatchBatch] = []

    def training_step(self, batch: PatchBatch, batch_idx: int) -> Tensor:
        self.seen.append(batch)
        return self.network(batch.images.mean().reshape(1, 1)).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Watcher:
    """Who is told where the loops are; stops in the middle of an epoch."""

    def __init__(self, stop_at: int, path: Path) -> None:
        self.left, self.path = stop_at, path

    def before_epoch(self, trainer: pl.Trainer) -> None: ...
    def before_validation(self, trainer: pl.Trainer) -> None: ...
    def resume(self, trainer: pl.Trainer) -> bool:
        return False

    def before_batch(self, trainer: pl.Trainer) -> None:
        if self.left == 0:
            trainer.save_checkpoint(self.path)
            raise _Stopped
        self.left -= 1


class _Stopped(Exception):
    """The run has been stopped."""


def test_a_run_goes_on_within_an_epoch_with_workers(images: ImageSet, tmp_path: Path) -> None:
    def run(stop_at: int, ckpt_path: Path | None = None) -> list[PatchBatch]:
        trainer = pl.Trainer(
            max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, default_root_dir=tmp_path, num_sanity_val_steps=0, limit_val_batches=0,
        )  # fmt: skip
        use_run_loops(trainer, Watcher(stop_at, tmp_path / "stopped.ckpt"))
        learner = Learner()
        try:
            trainer.fit(learner, Pictures(images, num_workers=2, patch_size=None), ckpt_path=ckpt_path)
        except _Stopped:
            pass
        return learner.seen

    whole = run(-1)
    assert len(whole) == 9
    before = run(4)
    after = run(-1, tmp_path / "stopped.ckpt")
    assert len(before) == 4
    for one, other in zip(whole, before + after, strict=True):
        assert one.place == other.place
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)


# ---------------------------------------------------------------------------------------------------------- bad input
@pytest.fixture
def damaged(tmp_path: Path) -> ImageSet:
    images = people(tmp_path)
    (tmp_path / "4.png").write_bytes((tmp_path / "4.png").read_bytes()[:500])
    images.boxes[9, :2] = 900  # outside its picture
    return images


def test_a_broken_picture_ends_the_run_with_its_name(damaged: ImageSet) -> None:
    for workers in (0, 1):
        module = Pictures(damaged, num_workers=workers)
        module.check("fit")
        with pytest.raises(LiftposeError, match=r"4\.png: expected a picture.*--data\.bad_images skip") as caught:
            for cut in module.loader("validation"):
                module.on_before_batch_transfer(cut, 0)
        assert "\n" not in str(caught.value) and "Traceback" not in str(caught.value)


def test_broken_pictures_are_left_out_and_counted(
    damaged: ImageSet, things: list[np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    options = {"occlusion": "things", "occlusion_probability": 1.0, "flip_probability": 0.5}
    module = Pictures(damaged, things, bad_images="skip", **options)
    whole = Pictures(people(damaged.root), things, **options)  # mends the files
    whole.check("fit")
    expected = {}
    for cut in epoch(whole):
        batch = whole.gather(cut)
        expected |= {int(row): batch.images[number] for number, row in enumerate(batch.indices)}
    (damaged.root / "4.png").write_bytes(b"")
    module.check("fit")
    seen = []
    for _ in range(2):
        for cut in epoch(module):
            with caplog.at_level(logging.WARNING):
                module.on_before_batch_transfer(cut, 0)
            batch = module.gather(cut)
            assert len(batch.images) == len(batch.labels) == len(batch.indices) == len(batch.to_image)
            seen += batch.indices.tolist()
            # The draws of the others stay theirs.
            for number, row in enumerate(batch.indices.tolist()):
                torch.testing.assert_close(batch.images[number], expected[row], atol=1e-5, rtol=0)
    assert sorted(set(seen)) == [row for row in range(COUNT) if row not in {4, 9}]
    assert len(module.left_out) == 2
    module.teardown("fit")
    assert "2 pictures could not be read and were left out" in caplog.text
    assert "4.png" in caplog.text and "9.png" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: replace(s, boxes=s.boxes * np.float32([1, 1, 0, 1])), r"0\.png: expected a box with sides above 0"),
        (lambda s: replace(s, files=("missing.png", *s.files[1:])), r"missing\.png: expected a picture that the annot"),
        (lambda s: replace(s, visible=s.visible * 0), "expected pictures with joints and boxes, found none of 22"),
    ],
)
def test_annotations_that_nothing_can_be_cut_out_by_are_refused(
    images: ImageSet, change: Callable[[ImageSet], ImageSet], message: str
) -> None:
    with pytest.raises(LiftposeError, match=message):
        Pictures(change(images)).check("fit")


def test_people_of_one_joint_are_not_trained_on(images: ImageSet) -> None:
    visible = images.visible.copy()
    visible[3] = 0
    visible[5, 1:] = 0
    module = Pictures(replace(images, visible=visible))
    module.check("fit")
    assert len(module.images("train")) == COUNT - 2
    assert len(module.images("validation")) == COUNT


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "data.batch_size: expected a number from 1 up, found 0"),
        ({"rotation_probability": 1.5}, "data.rotation_probability: expected a share from 0 to 1, found 1.5"),
        ({"scale_factor": 1.0}, "data.scale_factor: expected a number from 0 to below 1, found 1.0"),
        ({"joints": "h36m"}, "data.joints: expected one of"),
        ({"depth_extent": 0.0}, "data.depth_extent: expected metres above 0"),
        ({"num_workers": -1}, "data.num_workers: expected a number from 0 up"),
    ],
)
def test_impossible_options_are_refused(images: ImageSet, options: dict[str, Any], message: str) -> None:
    with pytest.raises(LiftposeError, match=message):
        Pictures(images, **options)


# ------------------------------------------------------------------------------------------------------------- joints
class Network:
    """What a data module asks a network for."""

    def __init__(self, skeleton: Skeleton) -> None:
        self.skeleton = skeleton
        self.image_size = SIZE


def test_annotations_are_brought_into_the_joints_of_the_network(images: ImageSet) -> None:
    module = Pictures(images)
    module.check("fit", Network(H36M_MPII_ORDER_16))
    found = module.images("train")
    assert found.skeleton == H36M_MPII_ORDER_16
    published = [3, 2, 1, 4, 5, 6, 0, 8, 9, 10, 16, 15, 14, 11, 12, 13]
    for name in ("keypoints_2d", "visible", "depths"):
        np.testing.assert_array_equal(getattr(found, name), getattr(images, name)[:, published])
    np.testing.assert_array_equal(found.root_depths, images.root_depths)
    # By their indices only where that is asked for.
    with pytest.raises(LiftposeError, match="expected annotations that can be had as mpii_16, found h36m_17"):
        Pictures(images).check("fit", Network(MPII_16))
    by_index = Pictures(images, joints_by_index=True)
    by_index.check("fit", Network(MPII_16))
    assert by_index.images("train").skeleton == MPII_16
    np.testing.assert_array_equal(by_index.images("train").keypoints_2d, found.keypoints_2d)


def test_joints_of_one_index_are_told_apart(images: ImageSet) -> None:
    mpii = people(images.root, skeleton=MPII_16)
    with pytest.raises(LiftposeError, match=r"--data\.joints_by_index true"):
        Pictures(mpii).check("fit", Network(H36M_MPII_ORDER_16))
    module = Pictures(mpii, joints_by_index=True)
    module.check("fit", Network(H36M_MPII_ORDER_16))
    assert module.images("train").skeleton == H36M_MPII_ORDER_16


def test_joints_that_are_only_neighbours_have_to_be_named(images: ImageSet) -> None:
    order = people(images.root, skeleton=H36M_MPII_ORDER_16)
    with pytest.raises(LiftposeError, match="without spine"):
        Pictures(order).check("fit", Network(H36M_17))
    module = Pictures(order, joints="h36m_17")
    module.check("fit", Network(H36M_17))
    found, own = module.images("train"), H36M_MPII_ORDER_16
    expected = (order.depths[:, own.index("pelvis")] + order.depths[:, own.index("thorax")]) / 2
    np.testing.assert_allclose(found.depths[:, H36M_17.index("spine")], expected, atol=1e-6)
    with pytest.raises(LiftposeError, match=r"data\.joints: expected h36m_mpii_order_16 as in the network"):
        Pictures(order, joints="h36m_17").check("fit", Network(H36M_MPII_ORDER_16))


def test_tight_boxes_hold_the_joints(images: ImageSet) -> None:
    module = Pictures(images, boxes="keypoints")
    module.check("fit")
    boxes = module.images("validation").boxes
    for row in (0, 1, 7):
        seen = images.keypoints_2d[row][images.visible[row] > 0]
        side = 1.25 * (seen.max(0) - seen.min(0)).max()
        np.testing.assert_allclose(boxes[row], [*(seen.min(0) + seen.max(0)) / 2, side, side], rtol=1e-5)


def test_cameras_stay_with_their_rows(images: ImageSet) -> None:
    assert isinstance(images.cameras, Camera)
    module = Pictures(images)
    module.check("validate")
    batch = module.gather(epoch(module, augmented=False)[1])
    assert batch.intrinsics is not None and batch.head_sizes is not None
    assert np.array_equal(batch.head_sizes.numpy(), images.head_sizes[8:16])
