"""3D labels of pictures, made from the 2D joints of several views instead of motion capture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch

from liftpose.data.images import ImageSet
from liftpose.data.view_labels import LabelOptions, label_views
from liftpose.errors import LiftposeError
from liftpose.geometry import Camera
from liftpose.skeletons import Skeleton

__all__ = ["Detections", "EpipolarLabels", "ViewGroup", "group_views", "make_labels", "with_labels"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Detections:
    """The 2D joints that something has found in pictures, N of them with J joints each.

    Args:
        key: What they follow from: equal keys, equal joints.
        skeleton: Joint order.
        keypoints_2d: (N, J, 2) pixels; NaN where nothing was found.
        confidence: (N, J) from 0 to 1; 0 where nothing was found.

    Raises:
        ValueError: The shapes do not fit.
    """

    key: str
    skeleton: Skeleton
    keypoints_2d: FloatArray
    confidence: FloatArray

    def __post_init__(self) -> None:
        """Check that the columns belong together."""
        shape = (len(self.confidence), len(self.skeleton))
        if self.confidence.shape != shape or self.keypoints_2d.shape != (*shape, 2):
            raise ValueError(
                f"expected keypoints {(*shape, 2)} of {self.skeleton.name} with their confidence, found "
                f"{self.keypoints_2d.shape} and {self.confidence.shape}"
            )


@dataclass(frozen=True, eq=False)
class EpipolarLabels:
    """3D labels of pictures: one row per person in a picture, N rows, J joints.

    Args:
        files: (N) names of the pictures' files, as the annotations have them.
        subjects: (N) names of the people.
        skeleton: Joint order, that of the 2D joints that the labels were made of.
        keypoints_2d: (N, J, 2) pixels, where the joint's place is seen; NaN where the weight is 0.
        depths: (N, J) metres, depth of the joint less that of the root, camera frame; 0 where the weight is 0.
        root_depths: (N,) metres, depth of the root; 0 where no joint of the row has a weight.
        weights: (N, J) 1 for a valid joint, 0 for another one.
        residuals: (N, J) pixels between the 2D joint and the label; NaN where either is unknown.
        rigs: Name of a person -> the cameras of batch shape (V,) that the labels were made with.
        views: Name of a person -> the numbers of these cameras in the annotations.
        report: What was found out about the cameras, line by line.
        source: What the 2D joints come from and how the labels were made: names and values as text.
    """

    files: tuple[str, ...]
    subjects: tuple[str, ...]
    skeleton: Skeleton
    keypoints_2d: FloatArray
    depths: FloatArray
    root_depths: FloatArray
    weights: FloatArray
    residuals: FloatArray
    rigs: Mapping[str, Camera] = field(default_factory=dict)
    views: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    report: tuple[str, ...] = ()
    source: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.files)


class ViewGroup(NamedTuple):
    """The pictures of one person, by moment and view.

    Attributes:
        subject: Name of the person.
        rows: (F, V) rows of the annotated pictures; -1 where a view has no picture of a moment.
        views: (V,) numbers of the cameras in the annotations, rising.
        cameras: (V,) their places among the cameras of the annotations.
    """

    subject: str
    rows: IntArray
    views: IntArray
    cameras: IntArray


def group_views(images: ImageSet) -> list[ViewGroup]:
    """Put together the pictures that show one person at one moment.

    Args:
        images: Annotated pictures with their subjects, actions, views, frames and cameras.

    Returns:
        One group per person, in the order of their names.

    Raises:
        LiftposeError: There are no cameras, two rows are of one person, take, frame and view, or the pictures of one
            person and view are of different cameras.
    """
    if images.cameras is None or images.camera_index is None:
        raise LiftposeError(
            f"{images.root}: expected pictures of known cameras, whose intrinsics are needed, found none"
        )
    names, people = np.unique(np.array(images.subjects, dtype=str), return_inverse=True)
    _, takes = np.unique(np.array(images.actions, dtype=str), return_inverse=True)
    groups = []
    for number, name in enumerate(names):
        chosen = np.flatnonzero(people == number)
        views, view = np.unique(images.views[chosen], return_inverse=True)
        moments = np.stack((takes[chosen], images.frames[chosen]), axis=1)
        _, moment = np.unique(moments, axis=0, return_inverse=True)
        moment = moment.reshape(-1)
        place = moment * len(views) + view
        order, counts = np.unique(place, return_counts=True)
        if (counts > 1).any():
            twice = chosen[place == order[counts > 1][0]]
            raise LiftposeError(
                f"{images.root}: expected one picture of {name or 'a person'} per take, frame and view, found "
                f"{images.files[twice[0]]} and {images.files[twice[1]]}"
            )
        rows = np.full(int(moment.max()) * len(views) + len(views), -1, dtype=np.int64)
        rows[place] = chosen
        cameras = np.zeros(len(views), dtype=np.int64)
        for column in range(len(views)):
            used = np.unique(images.camera_index[chosen[view == column]])
            if len(used) > 1:
                who = f"view {views[column]} of {name or 'a person'}"
                raise LiftposeError(f"{images.root}: expected one camera for {who}, found {len(used)}")
            cameras[column] = used[0]
        groups.append(ViewGroup(str(name), rows.reshape(-1, len(views)), views.astype(np.int64), cameras))
    return groups


def make_labels(
    images: ImageSet,
    detections: Detections,
    options: LabelOptions | None = None,
    *,
    source: Mapping[str, str] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> EpipolarLabels:
    """Make the 3D labels of annotated pictures from 2D joints, person by person.

    Of the annotations only the cameras, subjects, actions, views and frames are used.

    Args:
        images: The annotated pictures, N rows.
        detections: The 2D joints, N rows.
        options: How labels are made.
        source: What the 2D joints come from, to be kept with the labels.
        progress: Called with the number of people done, the number of all and the name of one.

    Returns:
        The labels, N rows in the order of the pictures.

    Raises:
        LiftposeError: The pictures cannot be grouped, a person is seen by fewer than two cameras, or cameras cannot be
            found from the joints.
        ValueError: The 2D joints are those of another number of pictures.
    """
    options = options or LabelOptions()
    skeleton, joints = detections.skeleton, len(detections.skeleton)
    if len(detections.confidence) != len(images):
        raise ValueError(f"expected 2D joints of {len(images)} pictures, found those of {len(detections.confidence)}")
    columns = {
        "keypoints_2d": np.full((len(images), joints, 2), np.nan, dtype=np.float32),
        "depths": np.zeros((len(images), joints), dtype=np.float32),
        "root_depths": np.zeros(len(images), dtype=np.float32),
        "weights": np.zeros((len(images), joints), dtype=np.float32),
        "residuals": np.full((len(images), joints), np.nan, dtype=np.float32),
    }
    rigs: dict[str, Camera] = {}
    views: dict[str, tuple[int, ...]] = {}
    report: list[str] = []
    groups = group_views(images)
    known_cameras = cast(Camera, images.cameras)  # grouping refuses pictures without them
    for number, group in enumerate(groups):
        if progress is not None:
            progress(number, len(groups), group.subject)
        cameras = known_cameras[torch.from_numpy(group.cameras)]
        there = group.rows >= 0
        seen = torch.from_numpy(detections.keypoints_2d[group.rows]).double()
        trust = torch.from_numpy(np.where(there[..., None], detections.confidence[group.rows], 0)).double()
        name = group.subject or "the person"
        labels = label_views(seen, trust, cameras, skeleton, options, where=f"{name}: ")
        for column, array in columns.items():
            array[group.rows[there]] = getattr(labels, column).numpy()[there]
        views[group.subject] = tuple(group.views.tolist())
        if labels.cameras is not None:
            rigs[group.subject] = labels.cameras
        report += [f"{name}: {pair}" for pair in labels.pairs]
    if progress is not None:
        progress(len(groups), len(groups), "")
    return EpipolarLabels(
        images.files, images.subjects, skeleton, rigs=rigs, views=views, report=tuple(report), source=source or {},
        **columns,
    )  # fmt: skip


def with_labels(images: ImageSet, labels: EpipolarLabels) -> ImageSet:
    """Put labels in the place of the joints and depths of annotated pictures.

    What the annotations know of joints and depths is forgotten; boxes and cameras stay. Depths of joints without a
    label are not a number.

    Args:
        images: Annotated pictures.
        labels: Labels of these pictures, and of others perhaps.

    Returns:
        The pictures that have a label with a valid joint, in the joint order of the labels.

    Raises:
        LiftposeError: The labels have no row for a picture, or none of them is valid.
    """
    places = {key: row for row, key in enumerate(zip(labels.files, labels.subjects, strict=True))}
    keys = zip(images.files, images.subjects, strict=True)
    found = np.array([places.get(key, -1) for key in keys], dtype=np.int64)
    missing = np.flatnonzero(found < 0)
    if len(missing):
        raise LiftposeError(
            f"{images.root}: expected labels of every picture, found none of {images.files[missing[0]]} and of "
            f"{len(missing) - 1} more (liftpose data epipolar-labels makes them)"
        )
    rows = np.flatnonzero((labels.weights[found] > 0).any(axis=1))
    if not len(rows):
        raise LiftposeError(f"{images.root}: expected labels with valid joints, found none for {len(images)} pictures")
    found = found[rows]
    return replace(
        images.take(rows),
        skeleton=labels.skeleton,
        keypoints_2d=labels.keypoints_2d[found],
        visible=labels.weights[found],
        # Not 0: in another joint order the root may be one of the joints without a label.
        depths=np.where(labels.weights[found] > 0, labels.depths[found], np.float32(np.nan)),
        root_depths=labels.root_depths[found],
    )
