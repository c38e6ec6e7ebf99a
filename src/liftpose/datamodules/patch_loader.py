"""Loaders whose workers decode pictures and cut patches out of them; all else is done on the device."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from liftpose.data.draws import BatchPlace, Draws
from liftpose.data.images import ImageSet
from liftpose.data.occlusion import Occluders, Paste, draw_pastes
from liftpose.datamodules.index_loader import EpochSteps, IndexBatches
from liftpose.errors import LiftposeError
from liftpose.formats.images import cut_patch
from liftpose.formats.picture_crops import PictureCrops
from liftpose.geometry import patch_to_image

__all__ = ["Augmentation", "CutPatches", "PatchBatches", "patch_loader"]


@dataclass(frozen=True, eq=False)
class Augmentation:
    """How training patches differ from what their boxes show; the defaults are the published ones.

    Args:
        scale_factor: Standard deviation of the boxes' zoom about 1, cut off at one of it.
        rotation: Radians, standard deviation of their turn, cut off at two of it.
        rotation_probability: Share of the patches that are turned.
        flip_probability: Share of the patches that are cut out of the mirror image.
        colour: Largest change of the factor of each colour about 1.
        occluders: What may be pasted over the patches; None for nothing.
        occlusion_probability: Share of the patches over which something is pasted.
    """

    scale_factor: float = 0.25
    rotation: float = math.radians(30)
    rotation_probability: float = 0.6
    flip_probability: float = 0.0
    colour: float = 0.2
    occluders: Occluders | None = None
    occlusion_probability: float = 0.5


class CutPatches(NamedTuple):
    """What a worker has cut out, and what is left to do.

    Attributes:
        split: The split that the rows refer to.
        indices: (B,) rows of the pictures.
        patches: (B, H, W, 3) uint8, RGB.
        to_image: (B, 2, 3) affine maps from pixels of the patches to pixels of the pictures.
        scale: (B,) zoom of the boxes.
        mirrored: (B,) bool, which patches are cut out of the mirror image; None for none.
        colour: (B, 3) factors of the colours; None for 1.
        pastes: What to paste over the patches.
        left_out: One line for each picture that could not be read; its row is not among the others.
        weight: Factor of this process's mean loss in the mean over all processes.
        place: Place of the batch in a training, or None outside one.
    """

    split: str
    indices: Tensor
    patches: Tensor
    to_image: Tensor
    scale: Tensor
    mirrored: Tensor | None
    colour: Tensor | None
    pastes: Sequence[Paste]
    left_out: Sequence[str]
    weight: float
    place: BatchPlace | None


class PatchBatches(Dataset[CutPatches]):
    """The batches of patches of all epochs, found by (epoch, step).

    Args:
        batches: The rows of each batch.
        images: The pictures.
        patch_size: Width and height of the patches in pixels.
        augmentation: How patches are changed; None for not at all.
        seed: Seed of the changes.
        bad_images: Whether a batch ends at a picture that cannot be read ("refuse") or goes on without it ("skip").
        reduced: Whether JPEG files may be decoded smaller (:func:`liftpose.formats.images.cut_patch`).
        crops: What is kept of pictures once they have been decoded; None for nothing.
    """

    def __init__(
        self,
        batches: IndexBatches,
        images: ImageSet,
        patch_size: Sequence[int],
        *,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        bad_images: Literal["refuse", "skip"] = "refuse",
        reduced: bool = False,
        crops: PictureCrops | None = None,
    ) -> None:
        self.batches = batches
        self.root = images.root
        # One array instead of a tuple of strings: looking at a string writes to its counter of references, and so each
        # worker would soon have a copy of all.
        self.files = np.array([os.fsencode(name) for name in images.files])
        self.boxes = torch.from_numpy(images.boxes).double()
        self.patch_size = (int(patch_size[0]), int(patch_size[1]))
        self.augmentation = augmentation
        self.seed = seed
        self.bad_images = bad_images
        self.reduced = reduced
        self.crops = crops

    def __len__(self) -> int:
        """Number of batches of an epoch."""
        return len(self.batches)

    def __getitem__(self, place: tuple[int, int]) -> CutPatches:
        """Cut out this process's share of the batch at (epoch, step)."""
        rows = self.batches[place]
        found = self._draw(rows.indices, rows.place)
        width, height = self.patch_size
        patches = torch.zeros(len(rows.indices), height, width, 3, dtype=torch.uint8)
        into = patches.numpy()
        maps = found["to_image"].numpy()
        left_out: list[str] = []
        readable = torch.ones(len(patches), dtype=torch.bool)
        for number, row in enumerate(rows.indices.tolist()):
            try:
                into[number] = self._cut(row, maps[number])
            except LiftposeError as error:
                left_out.append(str(error))
                readable[number] = False
                if self.bad_images == "refuse":
                    break
        if left_out:
            found = _keep(found, readable)
        indices, patches = (rows.indices, patches) if not left_out else (rows.indices[readable], patches[readable])
        return CutPatches(
            split=rows.split,
            indices=indices,
            patches=patches,
            left_out=tuple(left_out),
            weight=rows.weight,
            place=rows.place,
            **{**found, "to_image": found["to_image"].float()},
        )

    def _cut(self, row: int, to_image: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
        """Cut the patch of a row out of its picture, or of what is kept of it."""
        path = self.path(row)
        if self.crops is None:
            return cut_patch(path, to_image, self.patch_size, reduced=self.reduced)
        return self.crops.cut_patch(path, self.boxes[row].tolist(), to_image)

    def path(self, row: int) -> Path:
        """Return the file of a row."""
        return self.root / os.fsdecode(bytes(self.files[row]))

    def _draw(self, rows: Tensor, place: BatchPlace | None) -> dict[str, Any]:
        """Draw how the patches of a batch are changed; all numbers belong to the global batch."""
        change = self.augmentation
        boxes = self.boxes[rows]
        if change is None or place is None:
            ones = torch.ones(len(rows))
            to_image = patch_to_image(boxes, self.patch_size)
            return {"to_image": to_image, "scale": ones, "mirrored": None, "colour": None, "pastes": ()}
        draws = Draws(self.seed, place)
        scale = 1 + change.scale_factor * draws.normal().clamp(-1, 1)
        turned = draws.uniform() < change.rotation_probability
        angle = (change.rotation * draws.normal().clamp(-2, 2)).where(turned, 0)
        mirrored = draws.uniform() < change.flip_probability
        colour = 1 + change.colour * (2 * draws.uniform(3) - 1)
        pastes: tuple[Paste, ...] = ()
        if change.occluders is not None:
            pastes = draw_pastes(draws, change.occluders, self.patch_size, change.occlusion_probability)
        return {
            "to_image": patch_to_image(boxes, self.patch_size, scale.double(), angle.double(), mirrored),
            "scale": scale,
            "mirrored": mirrored if change.flip_probability > 0 else None,
            "colour": colour if change.colour > 0 else None,
            "pastes": pastes,
        }


def _keep(found: dict[str, Any], readable: Tensor) -> dict[str, Any]:
    """Leave out what was drawn for pictures that cannot be read."""
    kept = {name: value[readable] if isinstance(value, Tensor) else value for name, value in found.items()}
    new_number = readable.cumsum(0) - 1
    pastes = []
    for paste in found["pastes"]:
        stays = readable[paste.rows]
        if stays.any():
            parts = (paste.objects[stays], paste.sizes[stays], paste.corners[stays])
            pastes.append(Paste(new_number[paste.rows[stays]], *parts, paste.frame, paste.window))
    return {**kept, "pastes": tuple(pastes)}


def patch_loader(batches: PatchBatches, num_workers: int, pin_memory: bool, keep_workers: bool) -> DataLoader[Any]:
    """Return the loader of some batches.

    Args:
        batches: The batches of all epochs.
        num_workers: Number of processes that decode; 0 for this one.
        pin_memory: Whether batches are put where a GPU can fetch them from.
        keep_workers: Whether the workers stay from epoch to epoch.

    Returns:
        A loader whose epoch Lightning sets through its sampler.
    """
    return DataLoader(
        batches,
        batch_size=None,
        sampler=EpochSteps(len(batches)),
        # A generator of its own: otherwise every pass draws from the one that dropout uses.
        generator=torch.Generator(),
        num_workers=num_workers,
        pin_memory=pin_memory,
        worker_init_fn=_one_thread,
        persistent_workers=keep_workers and num_workers > 0,
    )


def _one_thread(worker: int) -> None:
    """Let a worker use one thread: there are as many workers as there are to be threads."""
    cv2.setNumThreads(0)
