"""Training patches from picture files: by a worker of ours, and sample by sample as data sets of pictures are read."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from work import Work

from liftpose.data.images import ImageSet
from liftpose.data.occlusion import Occluders
from liftpose.data.patch_columns import PIXEL_MEAN, PIXEL_STD
from liftpose.datamodules.index_loader import IndexBatches
from liftpose.datamodules.patch_loader import Augmentation, PatchBatches
from liftpose.formats.images import read_picture
from liftpose.formats.picture_crops import PictureCrops
from liftpose.skeletons import H36M_17

__all__ = ["PICTURES", "decoding", "one_by_one", "patches", "write_pictures"]

PICTURES = 48
SIDE = (1000, 1002)
BOX = 450.0  # pixels of two metres at a distance of five, seen by a camera of Human3.6M


def write_pictures(root: Path, count: int, side: tuple[int, int] = SIDE) -> ImageSet:
    """Write JPEG files of the size of Human3.6M's pictures, in detail as well as in bytes, and annotations."""
    rng = np.random.default_rng(0)
    width, height = side
    names = tuple(f"{number}.jpg" for number in range(count))
    for name in names:
        rough = rng.integers(0, 256, (height // 40, width // 40, 3), dtype=np.uint8)
        smooth = cv2.resize(rough, side, interpolation=cv2.INTER_CUBIC).astype(float)
        grain = cv2.GaussianBlur(rng.normal(0, 14, (height, width, 3)), (3, 3), 0)
        Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(root / name, quality=90)
    centres = np.array(side) / 2 + rng.uniform(-0.1, 0.1, (count, 2)) * min(side)
    box = BOX * min(side) / min(SIDE)
    keypoints = centres[:, None] + rng.normal(0, box / 8, (count, 17, 2))
    nobody, nothing = ("",) * count, np.zeros(count, dtype=np.int64)
    return ImageSet(
        root=root,
        files=names,
        skeleton=H36M_17,
        boxes=np.concatenate((centres, np.full((count, 2), box)), axis=1).astype(np.float32),
        keypoints_2d=keypoints.astype(np.float32),
        visible=np.ones((count, 17), np.float32),
        subjects=nobody,
        actions=nobody,
        views=nothing,
        frames=nothing,
        depths=rng.normal(0, 0.3, (count, 17)).astype(np.float32),
        root_depths=np.full(count, 5, np.float32),
    )


def objects(count: int = 100) -> list[np.ndarray]:
    """Cut-out objects as large as those of Pascal VOC, halved."""
    rng = np.random.default_rng(1)
    made = []
    for height, width in rng.integers(30, 150, (count, 2)):
        colour = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        opacity = np.zeros((height, width, 1), dtype=np.uint8)
        cv2.ellipse(
            opacity, (int(width) // 2, int(height) // 2), (int(width) // 2, int(height) // 2), 0, 0, 360, 255, -1
        )
        made.append(np.concatenate((colour, opacity), axis=-1))
    return made


def _paste(patch: np.ndarray, thing: np.ndarray, centre: np.ndarray) -> None:
    """Mix one object into a patch."""
    height, width = thing.shape[:2]
    left, top = np.round(centre).astype(int) - (width // 2, height // 2)
    right, bottom = min(left + width, patch.shape[1]), min(top + height, patch.shape[0])
    from_left, from_top = max(-left, 0), max(-top, 0)
    left, top = max(left, 0), max(top, 0)
    if right <= left or bottom <= top:
        return
    seen = thing[from_top : from_top + bottom - top, from_left : from_left + right - left]
    opacity = seen[..., 3:].astype(np.float32) / 255
    patch[top:bottom, left:right] = opacity * seen[..., :3] + (1 - opacity) * patch[top:bottom, left:right]


def one_by_one(
    images: ImageSet, row: int, size: int, things: list[np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One training sample: decode, cut out, paste objects, change colours, normalise, and a label for each joint."""
    path = str(images.root / images.files[row])
    picture = cv2.imread(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION).copy()  # they may mirror it in place
    scale = 1 + 0.25 * np.clip(rng.normal(), -1, 1)
    angle = math.radians(30 * np.clip(rng.normal(), -2, 2)) if rng.random() < 0.6 else 0.0
    colours = rng.uniform(0.8, 1.2, 3)
    x, y, width, height = images.boxes[row]
    centre = np.array([x, y])
    across = np.array([math.cos(angle), math.sin(angle)]) * width * scale / 2
    down = np.array([-math.sin(angle), math.cos(angle)]) * height * scale / 2
    matrix = cv2.getAffineTransform(
        np.stack((centre, centre + across, centre + down)).astype(np.float32),
        np.array([[size / 2, size / 2], [size, size / 2], [size / 2, size]], dtype=np.float32),
    )
    patch = cv2.cvtColor(cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR), cv2.COLOR_BGR2RGB)
    for _ in range(rng.integers(1, 8) if things else 0):
        thing = things[rng.integers(len(things))]
        factor = rng.uniform(0.2, 1) * size / 256
        target = (max(1, round(thing.shape[1] * factor)), max(1, round(thing.shape[0] * factor)))
        _paste(patch, cv2.resize(thing, target, interpolation=cv2.INTER_AREA), rng.uniform(0, size, 2))
    values = patch.transpose(2, 0, 1).astype(np.float32)
    for channel in range(3):
        values[channel] = np.clip(values[channel] * colours[channel], 0, 255)
        values[channel] = (values[channel] - PIXEL_MEAN[channel]) / PIXEL_STD[channel]
    label = np.zeros((len(images.skeleton), 3), dtype=np.float32)
    assert images.depths is not None
    for joint in range(len(images.skeleton)):
        label[joint, :2] = (matrix @ [*images.keypoints_2d[row, joint], 1]) / size - 0.5
        label[joint, 2] = images.depths[row, joint] / (2.0 * scale)
    return values, label


def patches(
    images: ImageSet, size: int, occluded: bool, reduced: bool = False, crops: PictureCrops | None = None
) -> Work:
    """One epoch of training patches: what one worker does of it, and all of it sample by sample.

    Args:
        images: The pictures.
        size: Side of the patches in pixels.
        occluded: Whether objects are pasted over them; ours does that on the device, and draws here.
        reduced: Whether ours may decode JPEG files smaller.
        crops: What ours keeps of pictures that have been decoded; None for nothing.
    """
    things = objects() if occluded else []
    augmentation = Augmentation(
        occluders=Occluders.from_pictures(things) if things else None, occlusion_probability=1.0
    )
    rows = IndexBatches("train", len(images), len(images), seed=1)
    cut = PatchBatches(rows, images, (size, size), augmentation=augmentation, reduced=reduced, crops=crops)

    def ours() -> Any:
        return cut[0, 0]

    def theirs() -> Any:
        rng = np.random.default_rng(0)
        samples = [one_by_one(images, row, size, things, rng) for row in range(len(images))]
        return tuple(torch.from_numpy(np.stack(column)) for column in zip(*samples, strict=True))

    return Work(ours, theirs, moved=0, count=len(images), unit="patches")


def decoding(images: ImageSet) -> Work:
    """Decoding alone, by ours and by OpenCV."""
    files = [images.root / name for name in images.files]

    def of(read: Callable[[Path], Any]) -> Callable[[], Any]:
        def run() -> Any:
            for file in files:
                read(file)

        return run

    return Work(of(read_picture), of(lambda file: cv2.imread(str(file))), moved=0, count=len(files), unit="pictures")
