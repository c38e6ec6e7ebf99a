"""PCKh, the measure of MPII: the share of joints that are found to within a part of the head's size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from liftpose.skeletons import MPII_16

__all__ = ["PCKH_GROUPS", "PCKh", "PCKhResult", "pckh_errors"]

PCKH_GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "head": ("head_top",),
    "shoulder": ("left_shoulder", "right_shoulder"),
    "elbow": ("left_elbow", "right_elbow"),
    "wrist": ("left_wrist", "right_wrist"),
    "hip": ("left_hip", "right_hip"),
    "knee": ("left_knee", "right_knee"),
    "ankle": ("left_ankle", "right_ankle"),
}
"""Rows of MPII's table -> their joints."""

PUBLISHED_TENTH: Final = 0.11
"""What public evaluation code calls "Mean@0.1": entry 11 of its thresholds 0, 0.01, 0.02, ..."""

_COUNTED: Final = tuple(j for j, name in enumerate(MPII_16.joint_names) if name not in {"pelvis", "thorax"})
"""What the mean is over: pelvis and thorax, which follow from other joints, do not count; the upper neck does."""


def pckh_errors(prediction: Tensor, target: Tensor, head_sizes: Tensor) -> Tensor:
    """Return the distances of joints as shares of the head's size; PCKh@0.5 counts those of at most one half.

    Source: M. Andriluka, L. Pishchulin, P. Gehler, B. Schiele, "2D Human Pose Estimation: New Benchmark and State of
    the Art Analysis", CVPR 2014.

    Args:
        prediction: (..., J, 2) pixels.
        target: (..., J, 2) pixels.
        head_sizes: (...) pixels: 0.6 times the diagonal of the head's box.

    Returns:
        (..., J).

    Example:
        >>> pckh_errors(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2), torch.tensor(10.0))
        tensor([0.5000])
    """
    distances: Tensor = torch.linalg.vector_norm(prediction - target, dim=-1)
    return distances / head_sizes.unsqueeze(-1)


class PCKhResult(NamedTuple):
    """PCKh at several thresholds, per cent.

    Attributes:
        thresholds: The shares of the head's size.
        groups: Row of MPII's table -> its PCKh at each threshold, the mean of its joints; NaN where none is known.
        mean: PCKh over all joints but pelvis and thorax, each joint of each picture counting the same.
        people: Number of people.
        joints: Name of each joint -> its PCKh at each threshold; NaN where it is not known.
        mean_at_tenth_published: The mean at 0.11, which public evaluation code prints as "Mean@0.1".
    """

    thresholds: tuple[float, ...]
    groups: dict[str, tuple[float, ...]]
    mean: tuple[float, ...]
    people: int
    joints: dict[str, tuple[float, ...]]
    mean_at_tenth_published: float


class PCKh(Metric):
    """PCKh of MPII by its rules, exact over any batches and processes.

    As input to ``update``: ``prediction`` and ``target`` (N, 16, 2) in pixels of the picture, joints of
    ``liftpose.skeletons.MPII_16``; ``head_sizes`` (N,) pixels; ``known`` (N, 16), 0 where there is no truth.
    As output of ``compute``: a :class:`PCKhResult`.

    Args:
        thresholds: Shares of the head's size.
        kwargs: Options of `torchmetrics.Metric`.

    Example:
        >>> metric = PCKh()
        >>> metric.update(torch.zeros(2, 16, 2), torch.full((2, 16, 2), 3.0), torch.full((2,), 10.0), torch.ones(2, 16))
        >>> metric.compute().mean
        (100.0, 0.0)
    """

    full_state_update = False
    higher_is_better = True

    hits: Tensor
    counts: Tensor
    people: Tensor

    def __init__(self, thresholds: Sequence[float] = (0.5, 0.1), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.thresholds = tuple(thresholds)
        joints = len(MPII_16)
        self._measured = (*self.thresholds, PUBLISHED_TENTH)
        self.add_state("hits", torch.zeros(len(self._measured), joints, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("counts", torch.zeros(joints, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("people", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor, head_sizes: Tensor, known: Tensor) -> None:
        """Add people.

        Args:
            prediction: (N, 16, 2) pixels.
            target: (N, 16, 2) pixels; anything where it is not known.
            head_sizes: (N,) pixels, above 0.
            known: (N, 16) 0 where there is no truth.

        Raises:
            ValueError: The shapes do not belong together.
        """
        shape = (len(prediction), len(MPII_16))
        if prediction.shape != (*shape, 2) or target.shape != prediction.shape or known.shape != shape:
            raise ValueError(
                f"expected prediction and target (N, 16, 2) and known (N, 16), found {tuple(prediction.shape)}, "
                f"{tuple(target.shape)} and {tuple(known.shape)}"
            )
        counted = known > 0
        errors = pckh_errors(prediction, target, head_sizes)
        found = [(errors <= threshold) & counted for threshold in self._measured]
        self.hits = self.hits + torch.stack(found).sum(1)
        self.counts = self.counts + counted.sum(0)
        self.people = self.people + len(prediction)

    def compute(self) -> PCKhResult:
        """Return the table."""
        share = 100 * self.hits[:-1].double() / self.counts.double()
        groups = {
            row: tuple(share[:, [MPII_16.index(name) for name in names]].mean(1).tolist())
            for row, names in PCKH_GROUPS.items()
        }
        counted = list(_COUNTED)
        mean = 100 * self.hits[:, counted].sum(1).double() / self.counts[counted].sum().double()
        *means, published = mean.tolist()
        joints = dict(zip(MPII_16.joint_names, map(tuple, share.t().tolist()), strict=True))
        return PCKhResult(self.thresholds, groups, tuple(means), int(self.people), joints, published)
