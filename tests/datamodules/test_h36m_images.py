"""Human3.6M's pictures and MPII from their files: splits, people, labels, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from liftpose.data.epipolar_labels import EpipolarLabels
from liftpose.data.images import ImageSet
from liftpose.datamodules import H36MImagesDataModule, MPIIDataModule
from liftpose.errors import LiftposeError
from liftpose.formats.h36m_images import annotation_file, write_image_set
from liftpose.formats.label_cache import write_labels
from liftpose.geometry import h36m_cameras, labels_to_depths, labels_to_pixels, pelvis_boxes, picture_poses
from liftpose.skeletons import H36M_17, H36M_MPII_ORDER_16, MPII_16, Skeleton

SIZE = (32, 32)


def write_h36m(root: Path, subjects: dict[str, tuple[str, ...]]) -> dict[str, np.ndarray]:
    """Write pictures and annotations of people who stand about, in metres; returns the poses of each split."""
    rng = np.random.default_rng(2)
    cameras = h36m_cameras("S9")
    made = {}
    (root / "images").mkdir(parents=True)
    for split, people in subjects.items():
        poses = rng.normal(0, 0.3, (3 * len(people), 17, 3)) + np.array([0.1, -0.1, 4.5])
        views = np.arange(len(poses)) % 4
        intrinsics = cameras.intrinsics[views].double()
        pixels = np.einsum("nij,nkj->nki", intrinsics.numpy(), poses)
        pixels = pixels[..., :2] / pixels[..., 2:]
        files = tuple(f"images/{split}_{number}.jpg" for number in range(len(poses)))
        for name in files:
            Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).resize((1000, 1000)).save(root / name)
        images = ImageSet(
            root=root,
            files=files,
            skeleton=H36M_17,
            boxes=pelvis_boxes(torch.from_numpy(poses[:, 0]), intrinsics).float().numpy(),
            keypoints_2d=pixels.astype(np.float32),
            visible=np.ones((len(poses), 17), np.float32),
            subjects=tuple(people[number % len(people)] for number in range(len(poses))),
            actions=("Walking",) * len(poses),
            views=views,
            frames=np.arange(len(poses)),
            depths=(poses[..., 2] - poses[:, :1, 2]).astype(np.float32),
            root_depths=poses[:, 0, 2].astype(np.float32),
            cameras=cameras,
            camera_index=views,
        )
        annotation_file(root, split).parent.mkdir(exist_ok=True)
        write_image_set(annotation_file(root, split), images)
        made[split] = poses
    return made


def module(root: Path, **options: Any) -> H36MImagesDataModule:
    return H36MImagesDataModule(root=str(root), num_workers=0, patch_size=SIZE, batch_size=4, **options)


def test_true_poses_come_back_from_the_labels(tmp_path: Path) -> None:
    poses = write_h36m(tmp_path, {"train": ("S1", "S5"), "validation": ("S9", "S11")})
    data = module(tmp_path)
    data.check("test")
    found = []
    for cut in data.test_dataloader():
        batch = data.gather(cut)
        assert batch.intrinsics is not None and batch.root_depths is not None
        pixels = labels_to_pixels(batch.labels, batch.to_image, SIZE)
        depths = labels_to_depths(batch.labels, batch.depth_scale)
        found.append(picture_poses(pixels, depths, batch.root_depths, batch.intrinsics))
    # Without a file of the test, that of the validation.
    np.testing.assert_allclose(torch.cat(found).numpy(), poses["validation"], atol=1e-5)


def test_people_are_chosen_and_kept_apart(tmp_path: Path) -> None:
    write_h36m(tmp_path, {"train": ("S1", "S5"), "validation": ("S9", "S11"), "test": ("S9", "S1")})
    data = module(tmp_path, train_subjects=["S5"], validation_subjects=["S11"])
    data.check("fit")
    assert set(data.images("train").subjects) == {"S5"}
    assert set(data.images("validation").subjects) == {"S11"}
    assert set(data.images("test").subjects) == {"S9", "S1"}
    with pytest.raises(LiftposeError, match=r"data\.train_subjects: expected some of S1, S5, found S9"):
        module(tmp_path, train_subjects=["S9"]).check("fit")
    crossed = replace(data.images("validation"), subjects=("S1",) * len(data.images("validation")))
    write_image_set(annotation_file(tmp_path, "validation"), crossed)
    with pytest.raises(LiftposeError, match=r"data\.validation_subjects: expected people who are not trained on.* S1"):
        module(tmp_path).check("fit")


def test_predictions_can_be_of_any_split(tmp_path: Path) -> None:
    write_h36m(tmp_path, {"train": ("S1", "S5"), "validation": ("S9", "S11")})
    data = module(tmp_path, predict_split="train")
    data.check("predict")
    assert set(data.images("predict").subjects) == {"S1", "S5"}
    rows = [cut.indices for cut in data.predict_dataloader()]
    assert torch.cat(rows).tolist() == list(range(6))
    assert data.gather(next(iter(data.predict_dataloader()))).split == "predict"


def test_missing_annotations_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(LiftposeError, match=r"train\.npz: expected the annotations.*liftpose data h36m-images"):
        module(tmp_path).check("fit")


def test_training_is_on_the_labels_that_were_made(tmp_path: Path) -> None:
    write_h36m(tmp_path, {"train": ("S1", "S5"), "validation": ("S9", "S11")})
    truth = module(tmp_path).load_images("train")
    rng = np.random.default_rng(4)
    weights = np.ones((6, 16), np.float32)
    weights[2] = 0
    weights[3, 4] = 0
    pixels = rng.uniform(300, 700, (6, 16, 2)).astype(np.float32)
    pixels[weights == 0] = np.nan
    labels = EpipolarLabels(
        files=truth.files[::-1],  # in any order
        subjects=truth.subjects[::-1],
        skeleton=MPII_16,
        keypoints_2d=pixels,
        depths=np.where(weights > 0, rng.normal(0, 0.3, (6, 16)), 0).astype(np.float32),
        root_depths=np.full(6, 5, np.float32),
        weights=weights,
        residuals=np.zeros((6, 16), np.float32),
    )
    write_labels(tmp_path / "labels.npz", labels)
    network = Network(H36M_MPII_ORDER_16)
    with pytest.raises(LiftposeError, match=r"--data\.joints_by_index true"):
        module(tmp_path, labels=str(tmp_path / "labels.npz")).check("fit", network)
    data = module(tmp_path, labels=str(tmp_path / "labels.npz"), joints_by_index=True, boxes="keypoints")
    data.check("fit", network)
    cut = next(iter(data.loader("train")))
    batch = data.gather(cut)
    found = [truth.files.index(data.images("train").files[row]) for row in cut.indices]
    assert len(data.images("train")) == 5 and 3 not in found  # row 2 of the labels, counted from the end
    for number, row in enumerate(found):
        own = 5 - row
        assert batch.weights[number, :, 2].tolist() == weights[own].tolist()
        seen = weights[own] > 0
        np.testing.assert_allclose(
            labels_to_pixels(batch.labels, batch.to_image, SIZE)[number, seen].numpy(), pixels[own, seen], atol=1e-2
        )
        np.testing.assert_allclose(2 * batch.labels[number, :, 2].numpy(), labels.depths[own], atol=1e-6)
        low, high = pixels[own, seen].min(0), pixels[own, seen].max(0)
        np.testing.assert_allclose(data.images("train").boxes[number, :2], (low + high) / 2, rtol=1e-5)
    # Validation is on the truth, in the joints of the network.
    assert data.images("validation").skeleton == H36M_MPII_ORDER_16
    assert len(data.images("validation")) == 6


class Network:
    """What a data module asks a network for."""

    def __init__(self, skeleton: Skeleton) -> None:
        self.skeleton = skeleton
        self.image_size = SIZE


def write_mpii(root: Path, count: int = 6) -> np.ndarray:
    rng = np.random.default_rng(3)
    (root / "annot").mkdir(parents=True)
    (root / "images").mkdir()
    joints = rng.uniform(100, 400, (count, 16, 2))
    for number in range(count):
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).resize((600, 500)).save(
            root / "images" / f"{number:06d}.jpg"
        )
    records = [
        {
            "image": f"{number:06d}.jpg",
            "joints": joints[number].tolist(),
            "joints_vis": [1] * 15 + [number % 2],
            "center": [250.0, 250.0],
            "scale": 1.5,
        }
        for number in range(count)
    ]
    for name in ("train", "valid"):
        (root / "annot" / f"{name}.json").write_text(json.dumps(records))
    return joints


def test_mpii_has_places_but_no_depths(tmp_path: Path) -> None:
    joints = write_mpii(tmp_path)
    data = MPIIDataModule(root=str(tmp_path), num_workers=0, patch_size=SIZE, batch_size=8)
    data.check("fit")
    batch = data.gather(next(iter(data.val_dataloader())))
    assert bool((batch.weights[..., 2] == 0).all())
    assert batch.weights[:, 15, 0].tolist() == [0, 1] * 3
    pixels = labels_to_pixels(batch.labels, batch.to_image, SIZE)
    # The file counts from 1.
    np.testing.assert_allclose(pixels[:, :15].numpy(), joints[:, :15] - 1, atol=1e-3)
    assert batch.depths is None and batch.intrinsics is None
    # The square around the joints, grown by a quarter.
    seen = joints[1] - 1
    side = 1.25 * (seen.max(0) - seen.min(0)).max()
    np.testing.assert_allclose(data.images("train").boxes[1, 2:], side, rtol=1e-5)
