"""Normalised patches with labels, made on the device of what workers have cut out."""

from __future__ import annotations

import torch

from liftpose.data.images import ImageSet, PatchBatch
from liftpose.data.occlusion import Occluders, paste_occluders
from liftpose.data.patch_columns import PatchColumns, normalize_patches
from liftpose.datamodules.patch_loader import CutPatches

__all__ = ["PatchMaker"]


class PatchMaker:
    """Makes batches, and keeps the annotations and the occluders that they need on the device."""

    def __init__(self) -> None:
        self._columns: dict[str, PatchColumns] = {}
        self._occluders: Occluders | None = None

    def make(self, cut: CutPatches, images: ImageSet, depth_extent: float, occluders: Occluders | None) -> PatchBatch:
        """Make a batch in the published order: occlude, change colours, normalise.

        Args:
            cut: What a worker has cut out, on the device that the batch is made on.
            images: The annotated pictures of its split, the same ones until :meth:`clear`.
            depth_extent: Metres of depth that a label unit is, before the zoom.
            occluders: What is pasted, on the CPU; None for nothing.

        Returns:
            Normalised patches with labels.
        """
        device = cut.patches.device
        columns = self._columns.get(cut.split)
        if columns is None or columns.device != device:
            columns = self._columns[cut.split] = PatchColumns.of(images, cut.split, device)
        patches = cut.patches.permute(0, 3, 1, 2).contiguous().float()
        if cut.pastes:
            patches = paste_occluders(patches, cut.pastes, self._occluders_on(device, occluders))
        return columns.batch(
            normalize_patches(patches, cut.colour),
            cut.indices,
            cut.to_image,
            depth_extent * cut.scale,
            mirrored=cut.mirrored,
            weight=cut.weight,
            place=cut.place,
        )

    def clear(self) -> None:
        """Let go of what is on the device."""
        self._columns.clear()
        self._occluders = None

    def _occluders_on(self, device: torch.device, occluders: Occluders | None) -> Occluders:
        """Return the objects to paste on a device; workers have them on the CPU."""
        if self._occluders is None or self._occluders.pixels.device != device:
            if occluders is None:
                raise ValueError("expected the objects that are to be pasted to be read, found none")
            self._occluders = occluders.to(device)
        return self._occluders
