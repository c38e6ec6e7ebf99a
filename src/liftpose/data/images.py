"""Annotated pictures of people, and batches of patches that are cut out of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from liftpose.data.draws import BatchPlace
from liftpose.errors import LiftposeError
from liftpose.geometry import Camera
from liftpose.skeletons import Skeleton

__all__ = ["ImageSet", "PatchBatch"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ImageSet:
    """The annotated pictures of one split: N rows, one for each person in a picture, J joints.

    Args:
        root: Folder that the names of the files are relative to.
        files: (N) names of the pictures' files.
        skeleton: Joint order.
        boxes: (N, 4) pixels: centre x, centre y, width and height of what is cut out around a person.
        keypoints_2d: (N, J, 2) pixels, origin at the centre of the top-left pixel; NaN where unknown.
        visible: (N, J) weight of each joint, 0 to 1; 0 where it is unknown.
        subjects: (N) names of the people; empty where they have none.
        actions: (N) names of the takes; empty where there are none.
        views: (N,) index of the camera in the subject's list of cameras.
        frames: (N,) number of the frame in the take.
        depths: (N, J) metres, depth of each joint less that of the root, camera frame; None where there is no 3D truth.
        root_depths: (N,) metres, depth of the root, camera frame; None where there is no 3D truth.
        cameras: Cameras of batch shape (C,); None where they are unknown.
        camera_index: (N,) index into ``cameras``; None where they are unknown.
        head_sizes: (N,) pixels, the unit of PCKh: 0.6 times the diagonal of MPII's head box; None where unknown.

    Raises:
        LiftposeError: The columns disagree in their number of rows or do not have the skeleton's number of joints, or
            a camera is missing.
    """

    root: Path
    files: tuple[str, ...]
    skeleton: Skeleton
    boxes: FloatArray
    keypoints_2d: FloatArray
    visible: FloatArray
    subjects: tuple[str, ...]
    actions: tuple[str, ...]
    views: IntArray
    frames: IntArray
    depths: FloatArray | None = None
    root_depths: FloatArray | None = None
    cameras: Camera | None = None
    camera_index: IntArray | None = None
    head_sizes: FloatArray | None = None

    def __post_init__(self) -> None:
        """Check that the columns belong together."""
        rows, joints = len(self.files), len(self.skeleton)
        shapes: dict[str, tuple[int, ...]] = {
            "boxes": (rows, 4),
            "keypoints_2d": (rows, joints, 2),
            "visible": (rows, joints),
            "views": (rows,),
            "frames": (rows,),
            "depths": (rows, joints),
            "root_depths": (rows,),
            "camera_index": (rows,),
            "head_sizes": (rows,),
        }
        for name, shape in shapes.items():
            column = getattr(self, name)
            if column is not None and column.shape != shape:
                raise LiftposeError(
                    f"{self.root}: expected {name} of shape {shape} for {rows} pictures of {self.skeleton.name}, "
                    f"found {column.shape}"
                )
        for name in ("subjects", "actions"):
            if len(getattr(self, name)) != rows:
                raise LiftposeError(f"{self.root}: expected {rows} {name}, found {len(getattr(self, name))}")
        if (self.cameras is None) != (self.camera_index is None) or (self.depths is None) != (self.root_depths is None):
            raise LiftposeError(f"{self.root}: expected cameras with their indices and depths with those of the roots")
        if self.cameras is not None and self.camera_index is not None and rows:
            lowest, highest = int(self.camera_index.min()), int(self.camera_index.max())
            if not 0 <= lowest <= highest < len(self.cameras):
                raise LiftposeError(
                    f"{self.root}: expected indices of {len(self.cameras)} cameras, found {lowest} to {highest}"
                )

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.files)

    def take(self, rows: IntArray) -> ImageSet:
        """Return some of the rows.

        Args:
            rows: (M,) their numbers.
        """
        arrays = ("boxes", "keypoints_2d", "visible", "views", "frames")
        optional = ("depths", "root_depths", "camera_index", "head_sizes")
        chosen: dict[str, Any] = {name: getattr(self, name)[rows] for name in arrays}
        chosen |= {name: None if getattr(self, name) is None else getattr(self, name)[rows] for name in optional}
        for name in ("files", "subjects", "actions"):
            chosen[name] = tuple(getattr(self, name)[row] for row in rows)
        return replace(self, **chosen)


class PatchBatch(NamedTuple):
    """A batch of patches, one around each person, with labels and what is needed to go back to the picture.

    Attributes:
        images: (B, 3, H, W) RGB, normalised.
        labels: (B, J, 3) label units: x and y of the joint over the patch's sides less one half, and its depth less
            that of the root over ``depth_scale``. Finite everywhere; without meaning where the weight is 0.
        weights: (B, J, 3) weight of each label.
        to_image: (B, 2, 3) affine map from pixels of the patch to pixels of the picture.
        depth_scale: (B,) metres of depth in one label unit.
        keypoints_2d: (B, J, 2) pixels of the picture; NaN where unknown.
        visible: (B, J) weight of each joint.
        indices: (B,) rows of the :class:`ImageSet`.
        split: The split that the rows refer to.
        depths: (B, J) metres, depth less that of the root, or None.
        root_depths: (B,) metres, or None.
        intrinsics: (B, 3, 3) pixels of the picture, or None.
        head_sizes: (B,) pixels, or None.
        weight: Factor of this process's mean loss in the mean over all processes.
        place: Place of the batch in a training, or None outside one.
    """

    images: Tensor
    labels: Tensor
    weights: Tensor
    to_image: Tensor
    depth_scale: Tensor
    keypoints_2d: Tensor
    visible: Tensor
    indices: Tensor
    split: str
    depths: Tensor | None = None
    root_depths: Tensor | None = None
    intrinsics: Tensor | None = None
    head_sizes: Tensor | None = None
    weight: float = 1.0
    place: BatchPlace | None = None
