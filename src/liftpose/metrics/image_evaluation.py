"""The evaluation of a test on pictures: the metrics of every take, and those that only papers on pictures report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from liftpose.metrics import functional
from liftpose.metrics.evaluation import EvaluationResult, FurtherScore, PoseEvaluation, Score
from liftpose.metrics.functional.published import fourteen_joints, published_errors, published_fourteen_joints
from liftpose.metrics.structure import PoseClusters, pss_per_pose
from liftpose.skeletons import Skeleton

__all__ = ["PUBLISHED_SUFFIX", "ImagePoseEvaluation", "takes_of_pictures"]

PUBLISHED_SUFFIX = "as published"
"""What the names of the published variants end with."""

_PROTOCOLS = ("MPJPE", "P-MPJPE", "N-MPJPE")


def takes_of_pictures(
    subjects: Sequence[str], actions: Sequence[str], views: Sequence[int]
) -> tuple[list[tuple[str, str, int]], Tensor]:
    """Find the takes that pictures belong to.

    Args:
        subjects: (N) names of the people.
        actions: (N) names of the takes.
        views: (N) indices of the cameras.

    Returns:
        Subject, action and view of every take, in order of first appearance, and (N,) each picture's index into them.

    Example:
        >>> takes_of_pictures(["S9", "S9", "S9"], ["Sitting", "Walking", "Sitting"], [0, 0, 0])
        ([('S9', 'Sitting', 0), ('S9', 'Walking', 0)], tensor([0, 1, 0]))
    """
    takes: dict[tuple[str, str, int], int] = {}
    rows = zip(subjects, actions, (int(view) for view in views), strict=True)
    index = torch.tensor([takes.setdefault(take, len(takes)) for take in rows], dtype=torch.int64)
    return list(takes), index


class ImagePoseEvaluation(PoseEvaluation):
    """All metrics of all takes of a test on pictures, each picture counted once.

    What `PoseEvaluation` computes but the velocities, which single pictures do not have, and besides, for every take:
    the mean error along each axis; MPJPE, P-MPJPE and N-MPJPE of the 14 joints that the data sets have in common (the
    scores of these joints alone: they are aligned and scaled without the others); PSS for every set of clusters; and
    the published variants of the public code of Kocabas et al. (CVPR 2019; see `liftpose.metrics.functional.published`)
    of all joints and of that code's own 14 joints, under names that end with "as published".

    As input to ``update``: ``prediction`` and ``target`` (N, J, 3) in metres, camera frame, relative to the root;
    ``sequence`` (N,) indices into ``recordings``; ``frame`` (N,) numbers that tell the pictures of a take apart, best
    their rows in the data set: frame numbers may not do where annotations do not name the takes.
    As output of ``compute``: an `EvaluationResult` of plain numbers, in whose scores the above is ``further``.

    Args:
        recordings: Subject, action and view of every take, see `takes_of_pictures`.
        skeleton: Joint order of the poses.
        clusters: Clusters for PSS, which is called by their number: "PSS@50".
        kwargs: Options of `PoseEvaluation`.

    Example:
        >>> from liftpose.skeletons import H36M_17
        >>> evaluation = ImagePoseEvaluation([("S9", "Walking 1", 0)], H36M_17)
        >>> target = torch.randn(2, 17, 3)
        >>> evaluation.update(2 * target, target, torch.zeros(2, dtype=torch.int64), torch.arange(2))
        >>> [score.name for score in evaluation.compute().overall.further][:3]
        ['x', 'y', 'z']
    """

    further: list[Tensor] | Tensor

    def __init__(
        self,
        recordings: Sequence[tuple[str, str, int]],
        skeleton: Skeleton,
        clusters: Sequence[PoseClusters] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(recordings, skeleton.root, **kwargs)
        self.skeleton = skeleton
        self.clusters = tuple(clusters)
        for found in self.clusters:
            if found.skeleton.joint_names != skeleton.joint_names:
                raise ValueError(f"expected clusters of {skeleton.name}, found those of {found.skeleton.name}")
        self._own_14, self._published_14 = fourteen_joints(skeleton), published_fourteen_joints(skeleton)
        # Name, unit, and whether poses that cannot be aligned are left out, as they are of P-MPJPE.
        names = [(axis, "m", False) for axis in "xyz"]
        if self._own_14:
            names += [(f"{name} 14 joints", "m", name == "P-MPJPE") for name in _PROTOCOLS]
        names += [(f"PSS@{len(found)}", "%", False) for found in self.clusters]
        names += [(f"{name} {PUBLISHED_SUFFIX}", "m", True) for name in _PROTOCOLS[1:]]
        if self._published_14:
            names += [(f"{name} 14 {PUBLISHED_SUFFIX}", "m", name != "MPJPE") for name in _PROTOCOLS]
        self.further_names = tuple(names)
        self._add_column("further", self.storage_dtype)

    def update(self, prediction: Tensor, target: Tensor, sequence: Tensor, frame: Tensor) -> None:
        """Add poses.

        Args:
            prediction: (N, J, 3) metres, camera frame, relative to the root.
            target: (N, J, 3) metres, camera frame, relative to the root.
            sequence: (N,) integers, index of each pose's take.
            frame: (N,) integers that tell the pictures of a take apart.

        Raises:
            ValueError: The shapes do not belong together.
        """
        self._append_labelled(prediction, target, sequence, frame)
        own, published = list(self._own_14), list(self._published_14)
        # One alignment for the standard error and the published ones.
        standard, aligned, scaled = published_errors(prediction, target, self.root)
        self._append(p_mpjpe=standard.mean(-1), n_mpjpe=functional.n_mpjpe_per_pose(prediction, target))
        columns = list((prediction - target).abs().mean(1).unbind(-1))
        if own:
            few, few_true = prediction[:, own], target[:, own]
            columns += [
                functional.mpjpe_per_pose(few, few_true),
                functional.p_mpjpe_per_pose(few, few_true),
                functional.n_mpjpe_per_pose(few, few_true),
            ]
        columns += [pss_per_pose(prediction, target, found) for found in self.clusters]
        columns += [aligned.mean(-1), scaled.mean(-1)]
        if published:
            distances = functional.joint_errors(prediction, target)
            columns += [errors[:, published].mean(-1) for errors in (distances, aligned, scaled)]
        self._append(further=torch.stack([column.to(self.storage_dtype) for column in columns], dim=1))

    def compute(self) -> EvaluationResult:
        """The score of every take.

        Raises:
            ValueError: A sequence index does not belong to a take.
        """
        self._table = self._column("further").cpu().reshape(-1, len(self.further_names))
        result = super().compute()
        del self._table
        return result._replace(joint_names=self.skeleton.joint_names)

    def _score(self, rows: Tensor, errors: Tensor, p_mpjpe: Tensor, n_mpjpe: Tensor, frame: Tensor) -> Score:
        """Score of one take, without velocities."""
        score = super()._score(rows, errors, p_mpjpe, n_mpjpe, frame)
        further = [
            FurtherScore(name, unit, *_mean(column[~column.isnan()] if leaves_out else column))
            for (name, unit, leaves_out), column in zip(
                self.further_names, self._table[rows].double().unbind(1), strict=True
            )
        ]
        return score._replace(velocities=0, mpjve=math.nan, further=tuple(further) if len(rows) else ())


def _mean(column: Tensor) -> tuple[float, int]:
    """Return the mean of some numbers, and how many they are."""
    return float(column.mean()), len(column)
