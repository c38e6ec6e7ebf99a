"""Things that hide parts of people: pasted over a batch of patches, all at once on the device.

Source: I. Sárándi, T. Linder, K. O. Arras, B. Leibe, "How Robust is 3D Human Pose Estimation to Occlusion?", IROS
Workshops 2018: one to seven objects of Pascal VOC at random places and of random size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from liftpose.data.draws import Draws
from liftpose.geometry import full_precision

__all__ = ["Occluders", "Paste", "draw_pastes", "paste_occluders"]

MOST: Final = 7
"""Objects that are pasted over one patch at most; there is at least one."""
SMALLEST: Final = 0.2
"""Least factor by which an object is resized, for a patch of :data:`USUAL_SIDE` pixels."""
USUAL_SIDE: Final = 256


@dataclass(frozen=True, eq=False)
class Occluders:
    """Cut-out objects of different sizes, one behind the other.

    Args:
        pixels: (T, 4) uint8, RGB and opacity: the rows of the first object from left to right, then of the next.
        heights: (K,) int64.
        widths: (K,) int64.

    Raises:
        ValueError: The sizes are not those of the pixels.
    """

    pixels: Tensor
    heights: Tensor
    widths: Tensor

    def __post_init__(self) -> None:
        """Check that the sizes add up."""
        total = int((self.heights * self.widths).sum())
        if self.pixels.shape != (total, 4) or self.heights.shape != self.widths.shape or not len(self.heights):
            raise ValueError(f"expected pixels of {len(self.heights)} objects ({total}, 4), found {self.pixels.shape}")

    @staticmethod
    def from_pictures(pictures: Sequence[npt.NDArray[Any]]) -> Occluders:
        """Put objects together.

        Args:
            pictures: Each (H, W, 4) uint8.

        Returns:
            The objects.
        """
        sizes = torch.tensor([picture.shape[:2] for picture in pictures]).reshape(-1, 2)
        pixels = np.concatenate([np.asarray(picture, dtype=np.uint8).reshape(-1, 4) for picture in pictures])
        return Occluders(torch.from_numpy(pixels), sizes[:, 0].clone(), sizes[:, 1].clone())

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.heights)

    def to(self, device: torch.device | str) -> Occluders:
        """Return the objects on another device."""
        return Occluders(self.pixels.to(device), self.heights.to(device), self.widths.to(device))

    def gather(self, objects: Tensor, width: int, height: int) -> Tensor:
        """Return some objects in frames of one size.

        Args:
            objects: (S,) their numbers.
            width: Width of the frames, at least that of each object.
            height: Height of the frames.

        Returns:
            (S, height, 4, width) float32; 0 beyond the object.
        """
        starts = (self.heights * self.widths).cumsum(0) - self.heights * self.widths
        rows = torch.arange(height, device=objects.device)[:, None]
        columns = torch.arange(width, device=objects.device)
        own_height, own_width = self.heights[objects, None, None], self.widths[objects, None, None]
        within = (rows < own_height) & (columns < own_width)
        places = (starts[objects, None, None] + rows * own_width + columns).where(within, 0)
        return (self.pixels[places] * within.unsqueeze(-1)).transpose(2, 3).float()


class Paste(NamedTuple):
    """One object for each of some patches.

    Attributes:
        rows: (S,) numbers of the patches in the batch, all different.
        objects: (S,) numbers of the objects.
        sizes: (S, 2) width and height in pixels that they are resized to.
        corners: (S, 2) column and row of the patch that the object's first pixel falls on; may be outside.
        frame: Width of the widest of the objects and height of the highest, as they are stored.
        window: The same, as they are resized.
    """

    rows: Tensor
    objects: Tensor
    sizes: Tensor
    corners: Tensor
    frame: tuple[int, int]
    window: tuple[int, int]

    @staticmethod
    def of(rows: Tensor, objects: Tensor, sizes: Tensor, corners: Tensor, occluders: Occluders) -> Paste:
        """Put the parts together and add how large everything is, which on a GPU would have to be waited for.

        Args:
            rows: As above, on the CPU.
            objects: As above.
            sizes: As above.
            corners: As above.
            occluders: The objects, on the CPU.
        """
        frame = int(occluders.widths[objects].max()), int(occluders.heights[objects].max())
        window = int(sizes[:, 0].max()), int(sizes[:, 1].max())
        return Paste(rows, objects, sizes, corners, frame, window)


def draw_pastes(draws: Draws, occluders: Occluders, patch_size: Sequence[int], probability: float) -> tuple[Paste, ...]:
    """Draw what is pasted over the patches of a batch.

    As published, each has one to seven objects: any of them, resized by a factor from 0.2 to 1 (for patches of 256
    pixels, in proportion for others), its middle anywhere in the patch.

    Args:
        draws: Random numbers of the batch, on the CPU.
        occluders: The objects, on the CPU.
        patch_size: Width and height of the patches in pixels.
        probability: Share of the patches that get any; 1 as published.

    Returns:
        The first object of the patches that have one, the second of those that have two, and so on.
    """
    chosen = draws.uniform() < probability
    counts = (1 + draws.integers(MOST)).where(chosen, 0)
    objects = draws.integers(len(occluders), MOST)
    factors = SMALLEST + (1 - SMALLEST) * draws.uniform(MOST)
    centres = (draws.uniform(MOST, 2) * torch.tensor([float(side) for side in patch_size])).round().long()
    stored = torch.stack((occluders.widths[objects], occluders.heights[objects]), dim=-1)
    sizes = (stored * factors.unsqueeze(-1) * (min(patch_size) / USUAL_SIDE)).round().long().clamp(min=1)
    pastes = []
    for number in range(MOST):
        rows = (counts > number).nonzero().squeeze(-1)
        if not len(rows):
            break
        place = rows, torch.full_like(rows, number)
        corners = centres[place] - sizes[place] // 2
        pastes.append(Paste.of(rows, objects[place], sizes[place], corners, occluders))
    return tuple(pastes)


@full_precision
def paste_occluders(images: Tensor, pastes: Sequence[Paste], occluders: Occluders) -> Tensor:
    """Paste objects over patches, one after the other, with the published arithmetic.

    An object is resized by areas, or bilinearly where it grows, and rounded; it is mixed with the patch by its opacity,
    and the result is cut off to a whole number.

    Args:
        images: (B, 3, H, W) float32, whole numbers from 0 to 255.
        pastes: What to paste, on the device of the images.
        occluders: The objects, on the device of the images.

    Returns:
        (B, 3, H, W) float32, whole numbers.
    """
    if not pastes:
        return images
    channels, height, width = images.shape[1:]
    # A border takes what is beyond the patch, so that no part of an object has to be cut off.
    beside, above = (max(paste.window[axis] for paste in pastes) for axis in (0, 1))
    canvas = nn.functional.pad(images, (beside, beside, above, above)).permute(0, 2, 3, 1).contiguous()
    pixels = canvas.view(-1, channels)
    row_length = width + 2 * beside
    for paste in pastes:
        widths, heights = paste.sizes.unbind(-1)
        frames = occluders.gather(paste.objects, *paste.frame)
        down = _resizing(occluders.heights[paste.objects], heights, paste.frame[1], paste.window[1])
        across = _resizing(occluders.widths[paste.objects], widths, paste.frame[0], paste.window[0])
        # The four colours beside each other, so that nothing has to be copied for the products.
        count, lines, columns = len(frames), paste.window[1], paste.window[0]
        squeezed = (down @ frames.flatten(2)).reshape(count, lines * 4, paste.frame[0])
        resized = (squeezed @ across.mT).reshape(count, lines, 4, columns).transpose(2, 3).reshape(-1, 4)
        resized = resized.round()
        first = (paste.rows * canvas.shape[1] + paste.corners[:, 1] + above) * row_length + paste.corners[:, 0] + beside
        below = torch.arange(lines, device=images.device) * row_length
        places = (first[:, None, None] + below[:, None] + torch.arange(columns, device=images.device)).flatten()
        opacity = resized[:, 3:] / 255
        pixels.index_copy_(
            0, places, (opacity * resized[:, :3] + (1 - opacity) * pixels.index_select(0, places)).floor_()
        )
    return canvas[:, above : above + height, beside : beside + width].permute(0, 3, 1, 2).contiguous()


def _resizing(stored: Tensor, sizes: Tensor, frame: int, window: int) -> Tensor:
    """Return the matrices that resize a side of objects.

    Args:
        stored: (S,) pixels of the objects' sides.
        sizes: (S,) pixels that they are resized to.
        frame: Pixels of the frames that the objects stand in.
        window: Pixels of what comes out.

    Returns:
        (S, window, frame), rows of sum 1, or 0 beyond the object.
    """
    pixel = torch.arange(window, device=stored.device)
    source = torch.arange(frame, device=stored.device)
    step = (stored / sizes)[:, None, None]
    begin = pixel[:, None] * step
    covered = (torch.minimum(begin + step, source + 1.0) - torch.maximum(begin, source.float())).clamp(min=0) / step
    middle = (begin + step / 2 - 0.5).clamp(min=0).minimum((stored - 1.0)[:, None, None])
    between = (1 - (middle - source).abs()).clamp(min=0)
    within = pixel < sizes.unsqueeze(-1)
    return torch.where(step >= 1, covered, between) * within.unsqueeze(-1)
