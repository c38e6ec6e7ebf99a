"""Normalised patches and their labels, made on the device for a whole batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from liftpose.data.draws import BatchPlace
from liftpose.data.images import ImageSet, PatchBatch
from liftpose.geometry import encode_labels
from liftpose.skeletons import Skeleton

__all__ = ["PIXEL_MEAN", "PIXEL_STD", "PatchColumns", "normalize_patches"]

PIXEL_MEAN: Final = (123.675, 116.280, 103.530)
"""Mean of each colour, RGB of 0 to 255, that patches are normalised with."""
PIXEL_STD: Final = (58.395, 57.120, 57.375)
"""Standard deviation of each colour."""


def normalize_patches(images: Tensor, colour: Tensor | None = None) -> Tensor:
    """Change the colours of patches and normalise them.

    Args:
        images: (B, 3, H, W) RGB of 0 to 255, uint8 or float32.
        colour: (B, 3) factors of the colours; what goes beyond 0 to 255 is cut off. None for 1.

    Returns:
        (B, 3, H, W) float32, of about mean 0 and standard deviation 1.
    """
    images = images.float()
    if colour is not None:
        images = (images * colour[..., None, None]).clamp_(0, 255)
    mean, std = (images.new_tensor(each)[:, None, None] for each in (PIXEL_MEAN, PIXEL_STD))
    return (images - mean).div_(std)  # as kornia's, whose import takes two seconds


@dataclass(frozen=True, eq=False)
class PatchColumns:
    """The columns of an :class:`ImageSet` that labels are made of, on a device.

    Args:
        split: What the batches are said to be of.
        skeleton: Joint order.
        keypoints_2d: (N, J, 2) pixels.
        visible: (N, J) weight of each joint.
        depths: (N, J) metres, or None.
        root_depths: (N,) metres, or None.
        intrinsics: (C, 3, 3) pixels, or None.
        camera_index: (N,) index into ``intrinsics``, or None.
        head_sizes: (N,) pixels, or None.
    """

    split: str
    skeleton: Skeleton
    keypoints_2d: Tensor
    visible: Tensor
    depths: Tensor | None
    root_depths: Tensor | None
    intrinsics: Tensor | None
    camera_index: Tensor | None
    head_sizes: Tensor | None

    @staticmethod
    def of(images: ImageSet, split: str, device: torch.device | str) -> PatchColumns:
        """Copy the columns of annotated pictures to a device.

        Args:
            images: Annotated pictures.
            split: What the batches are said to be of.
            device: Where to.
        """
        optional = ("depths", "root_depths", "camera_index", "head_sizes")
        columns = {name: getattr(images, name) for name in optional}
        return PatchColumns(
            split=split,
            skeleton=images.skeleton,
            keypoints_2d=torch.from_numpy(images.keypoints_2d).to(device),
            visible=torch.from_numpy(images.visible).to(device),
            intrinsics=None if images.cameras is None else images.cameras.intrinsics.float().to(device),
            **{name: None if value is None else torch.from_numpy(value).to(device) for name, value in columns.items()},
        )

    @property
    def device(self) -> torch.device:
        """Where the columns are."""
        return self.keypoints_2d.device

    def batch(
        self,
        images: Tensor,
        indices: Tensor,
        to_image: Tensor,
        depth_scale: Tensor,
        *,
        mirrored: Tensor | None = None,
        weight: float = 1.0,
        place: BatchPlace | None = None,
    ) -> PatchBatch:
        """Put normalised patches and their labels together.

        The joints of a patch that is cut out of a mirror image are exchanged, in the labels as in all columns, so that
        the places of the labels lead through ``to_image`` to those of ``keypoints_2d``.

        Args:
            images: (B, 3, H, W) normalised.
            indices: (B,) rows of the annotated pictures.
            to_image: (B, 2, 3) affine maps from pixels of the patches to pixels of the pictures.
            depth_scale: (B,) metres of depth in one label unit.
            mirrored: (B,) bool, which patches are cut out of the mirror image; None for none.
            weight: As in :class:`PatchBatch`.
            place: As in :class:`PatchBatch`.

        Returns:
            The batch.
        """
        keypoints = self._rows(self.keypoints_2d, indices, mirrored)
        visible = self._rows(self.visible, indices, mirrored)
        depths = None if self.depths is None else self._rows(self.depths, indices, mirrored)
        size = (images.shape[-1], images.shape[-2])
        labels, weights = encode_labels(keypoints, visible, depths, to_image, size, depth_scale)
        cameras = None if self.camera_index is None else self.camera_index[indices]
        return PatchBatch(
            images=images,
            labels=labels,
            weights=weights,
            to_image=to_image,
            depth_scale=depth_scale,
            keypoints_2d=keypoints,
            visible=visible,
            indices=indices,
            split=self.split,
            depths=depths,
            root_depths=None if self.root_depths is None else self.root_depths[indices],
            intrinsics=None if self.intrinsics is None or cameras is None else self.intrinsics[cameras],
            head_sizes=None if self.head_sizes is None else self.head_sizes[indices],
            weight=weight,
            place=place,
        )

    def _rows(self, column: Tensor, indices: Tensor, mirrored: Tensor | None) -> Tensor:
        """Return rows (B, J, ...), with the sides exchanged in those that are mirrored."""
        rows = column[indices]
        if mirrored is None:
            return rows
        exchanged = torch.stack([rows[:, joint] for joint in self.skeleton.mirror_index], dim=1)
        return exchanged.where(mirrored.reshape(-1, *(1,) * (rows.ndim - 1)), rows)
