"""Pictures in, 3D poses out: a network from its checkpoint alone; no trainer, no configuration."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from liftpose.data.patch_columns import normalize_patches
from liftpose.errors import LiftposeError
from liftpose.formats.images import cut_patch, open_picture
from liftpose.formats.picture_predictions import PicturePredictions
from liftpose.geometry.patches import labels_to_depths, labels_to_pixels, patch_to_image, picture_poses
from liftpose.inference.checkpoints import build_part, task_options
from liftpose.models.lifter import relative_to_root
from liftpose.models.pose_resnet import IntegralPose, PoseResNet, predict_flip_averaged
from liftpose.weights.integral import integral_network
from liftpose.weights.torch_files import read_checkpoint

__all__ = [
    "BOX_EXTENT",
    "Lens",
    "LoadedPictureNetwork",
    "PictureBox",
    "load_picture_network",
    "picture_size",
    "predict_pictures",
]

BOX_EXTENT: Final = 2.0
"""Metres that the side of a box is taken for, and that the depth of a volume spans: those of the published boxes."""

_PREFIX: Final = "network."
_EXIF_ORIENTATION: Final = 0x0112
_SIDEWAYS: Final = frozenset({5, 6, 7, 8})  # values of the orientation by which width and height change places


@dataclass(frozen=True)
class PictureBox:
    """A person in a picture.

    Attributes:
        file: The picture.
        left: Pixels, the box's first column, counted from 0 in the picture as programs show it.
        top: Pixels, its first row.
        width: Pixels.
        height: Pixels.
    """

    file: str
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Lens:
    """A camera without distortion.

    Attributes:
        focal: Pixels, the focal length.
        centre: Pixels of the principal point; None for the middle of the picture.
    """

    focal: float
    centre: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class LoadedPictureNetwork:
    """A network that is ready to see poses in pictures.

    Attributes:
        network: The network with its weights, in evaluation mode.
        flip_test: Whether its predictions are averaged with those of mirrored patches, as in its training.
        name: What it is and where it comes from, for people to read.
    """

    network: IntegralPose
    flip_test: bool
    name: str

    def to(self, device: torch.device | str) -> LoadedPictureNetwork:
        """Move the network to a device and return this object."""
        self.network.to(device)
        return self


def load_picture_network(path: str | os.PathLike[str]) -> LoadedPictureNetwork:
    """Build the network of a checkpoint that liftpose or the public code of Kocabas et al. (CVPR 2019) has written.

    Nothing that lies in the file is run, and only networks of liftpose are built.

    Args:
        path: The checkpoint.

    Returns:
        The network, on the CPU.

    Raises:
        LiftposeError: The file is missing or broken, holds no network that sees 3D poses in pictures, or its weights do
            not fit.
    """
    where = f"--ckpt_path {path}"
    content = read_checkpoint(path)
    weights = content.get("state_dict")
    is_ours = isinstance(weights, dict) and any(str(name).startswith(_PREFIX) for name in weights)
    published = None if is_ours else integral_network(content, where)
    if published is not None:
        return LoadedPictureNetwork(
            _checked(published.build(where), where), False, f"{published.system} of its authors ({path})"
        )
    options = content.get("hyper_parameters")
    if isinstance(options, dict) and "network" not in options and options:
        found = "one of a lifter, which takes keypoints" if "lifter" in options else f"one with {', '.join(options)}"
        raise LiftposeError(f"{where}: expected the checkpoint of a network that sees poses in pictures, found {found}")
    task = task_options(content, where, "network", "which says what network sees poses in pictures")
    # Its base, because a class that is to be derived from another cannot be that one.
    network = _checked(build_part(task["network"], PoseResNet, where, "liftpose.models"), where)
    own = {name.removeprefix(_PREFIX): value for name, value in _named(weights).items() if name.startswith(_PREFIX)}
    try:
        network.load_state_dict(own)
    except RuntimeError as error:
        reason = str(error).partition("\n")[2].strip().split("\n")[0].strip() or str(error)
        raise LiftposeError(f"{where}: expected weights that fit its own IntegralPose, found: {reason}") from error
    return LoadedPictureNetwork(network, bool(task.get("flip_test", False)), f"IntegralPose ({path})")


def _named(weights: Any) -> dict[str, Any]:
    return {str(name): value for name, value in weights.items()} if isinstance(weights, dict) else {}


def _checked(network: nn.Module, where: str) -> IntegralPose:
    """Return a network that gives 3D poses, ready for evaluation."""
    if not isinstance(network, IntegralPose):
        raise LiftposeError(f"{where}: expected a network of 3D poses (IntegralPose), found {type(network).__name__}")
    return network.eval().requires_grad_(False)


def picture_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return the width and height of a picture, as programs show it.

    Args:
        path: The file.

    Raises:
        LiftposeError: It is missing or no picture.
    """
    with open_picture(Path(path)) as image:
        width, height = image.size
        turned = image.getexif().get(_EXIF_ORIENTATION) in _SIDEWAYS
    return (height, width) if turned else (width, height)


def predict_pictures(
    loaded: LoadedPictureNetwork,
    people: Sequence[PictureBox],
    *,
    lens: Lens | None = None,
    extent: float = BOX_EXTENT,
    batch_size: int = 32,
    progress: Callable[[int, int], None] | None = None,
) -> PicturePredictions:
    """Predict the poses of people in pictures.

    No single picture shows how large a person is: the side of the box is taken for so many metres (``extent``), which
    also says how far away the person is where the camera is known. Without a camera the person is taken to be seen
    along parallel rays. Boxes are grown to the shape of what the network sees; what lies outside the picture is black.

    Args:
        loaded: The network; the work is done on its device.
        people: The people; a picture may come several times.
        lens: The camera that took all of the pictures; None where it is not known.
        extent: Metres that the longer side of a box stands for, about the height of a person with some room around.
        batch_size: Number of people that are predicted at once.
        progress: Called with the number of people done and of all people.

    Returns:
        The poses, in the order of the people.

    Raises:
        LiftposeError: There is nobody, a picture cannot be read, a box has no area or lies outside its picture, or a
            predicted coordinate is not finite.
        ValueError: ``batch_size`` or ``extent`` is out of range.
    """
    if batch_size < 1 or not extent > 0:
        raise ValueError(f"expected a batch_size from 1 up and an extent above 0, found {batch_size} and {extent}")
    if not people:
        raise LiftposeError("--box: expected a person to look at, found none")
    network = loaded.network
    sizes = {file: picture_size(file) for file in dict.fromkeys(person.file for person in people)}
    boxes = _grown_boxes(people, sizes, network.image_size)
    to_image = patch_to_image(boxes, network.image_size)
    device = next(network.parameters()).device
    parts: list[tuple[Tensor, Tensor]] = []
    for first in range(0, len(people), batch_size):
        rows = range(first, min(first + batch_size, len(people)))
        patches = [cut_patch(people[i].file, to_image[i].numpy(), network.image_size, upright=True) for i in rows]
        images = torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2).to(device)
        labels, confidence = _predict(loaded, normalize_patches(images))
        parts.append((labels.double().cpu(), confidence.float().cpu()))
        if progress is not None:
            progress(rows[-1] + 1, len(people))
    labels, confidence = (torch.cat(column) for column in zip(*parts, strict=True))
    if not bool(labels.isfinite().all()):
        raise LiftposeError(f"{loaded.name}: expected finite poses, found others")
    pixels = labels_to_pixels(labels, to_image, network.image_size)
    # A label unit is a side of the patch; the longer side is the extent, and the volume is as deep.
    sides = boxes[:, 2:] / boxes[:, 2:].amax(-1, keepdim=True)
    poses = labels * torch.cat((sides, torch.ones_like(sides[:, :1])), dim=-1).unsqueeze(1) * extent
    scale = f"the longer side of the box is taken for {extent:g} m, seen along parallel rays (no camera was given)"
    if lens is not None:
        centres = [lens.centre or ((sizes[p.file][0] - 1) / 2, (sizes[p.file][1] - 1) / 2) for p in people]
        rays = torch.eye(3, dtype=torch.float64).repeat(len(people), 1, 1)
        rays[:, 0, 0] = rays[:, 1, 1] = lens.focal
        rays[:, :2, 2] = torch.tensor(centres, dtype=torch.float64)
        depth = lens.focal * extent / boxes[:, 2:].amax(-1)
        poses = picture_poses(pixels, labels_to_depths(labels, extent), depth, rays)
        scale = (
            f"the longer side of the box is taken for {extent:g} m, which is {_spelt(depth)} m away for the focal "
            f"length of {lens.focal:g} pixels that was given"
        )
    return PicturePredictions(
        skeleton=network.skeleton,
        files=tuple(person.file for person in people),
        boxes=boxes.float().numpy(),
        poses_3d=relative_to_root(poses, network.skeleton).float().numpy(),
        keypoints_2d=pixels.float().numpy(),
        confidence=confidence.numpy(),
        model=loaded.name,
        scale=scale,
        subjects=("",) * len(people),
        actions=("",) * len(people),
        views=np.zeros(len(people), dtype=np.int64),
        frames=np.arange(len(people), dtype=np.int64),
    )


def _predict(loaded: LoadedPictureNetwork, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return label units (B, J, 3) and confidence (B, J) of normalised patches."""
    network = loaded.network
    with torch.inference_mode():
        return predict_flip_averaged(network, images) if loaded.flip_test else network.predict(images)


def _grown_boxes(
    people: Sequence[PictureBox], sizes: dict[str, tuple[int, int]], patch_size: tuple[int, int]
) -> Tensor:
    """Return (N, 4) centres and sides of boxes of the patch's shape around those given, float64."""
    aspect = patch_size[0] / patch_size[1]
    rows = []
    for person in people:
        given = (person.left, person.top, person.width, person.height)
        spelt = ",".join(f"{number:g}" for number in given)
        width, height = sizes[person.file]
        if not np.isfinite(given).all() or person.width <= 0 or person.height <= 0:
            raise LiftposeError(
                f"--box {spelt}: expected a width and height above 0, found {person.width:g} and {person.height:g}"
            )
        if (
            person.left >= width
            or person.top >= height
            or person.left + person.width <= 0
            or person.top + person.height <= 0
        ):
            raise LiftposeError(
                f"--box {spelt}: expected a box in {person.file}, which is {width} x {height} pixels, found one "
                "outside it"
            )
        middle = (person.left + (person.width - 1) / 2, person.top + (person.height - 1) / 2)
        rows.append((*middle, max(person.width, person.height * aspect), max(person.height, person.width / aspect)))
    return torch.tensor(rows, dtype=torch.float64)


def _spelt(depths: Tensor) -> str:
    low, high = float(depths.min()), float(depths.max())
    return f"{low:.2f}" if high - low < 0.01 else f"{low:.2f} to {high:.2f}"
