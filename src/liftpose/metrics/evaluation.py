"""The evaluation of a test: every metric of every recording, from which tables are made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from liftpose.metrics import functional
from liftpose.metrics.labelled import LabelledErrors, order_frames

__all__ = ["EvaluationResult", "FurtherScore", "PoseEvaluation", "RecordingScore", "Score", "pool_scores"]


class FurtherScore(NamedTuple):
    """One more metric of a set of poses, which not every evaluation has.

    Args:
        name: Its name in a table.
        unit: "m" or "%".
        value: Its mean over the poses; NaN over none.
        poses: Number of poses behind it.
    """

    name: str
    unit: str
    value: float
    poses: int


class Score(NamedTuple):
    """Every metric of a set of poses, as plain numbers.

    Args:
        frames: Number of distinct poses.
        degenerate: Number of poses among them that cannot be aligned and are not part of ``p_mpjpe``.
        velocities: Number of pairs of consecutive frames behind ``mpjve``.
        mpjpe: Metres (protocol 1).
        p_mpjpe: Metres (protocol 2).
        n_mpjpe: Metres (protocol 3).
        mpjve: Metres per frame.
        pck_no_root: Per cent, 3D PCK at 150 mm of all joints but the root, whose error is 0 by construction.
        auc_no_root: Per cent, the AUC of the same joints.
        pck_with_root: Per cent, 3D PCK at 150 mm of all joints, as DH-AUG and PoseAug publish it.
        auc_with_root: Per cent, the AUC of the same joints.
        joint_errors: Metres, the mean position error of each joint; empty when there are no poses.
        further: More metrics, the same in all scores of an evaluation; empty when there are no poses.

    A mean over nothing is NaN.
    """

    frames: int
    degenerate: int
    velocities: int
    mpjpe: float
    p_mpjpe: float
    n_mpjpe: float
    mpjve: float
    pck_no_root: float
    auc_no_root: float
    pck_with_root: float
    auc_with_root: float
    joint_errors: tuple[float, ...]
    further: tuple[FurtherScore, ...] = ()


class RecordingScore(NamedTuple):
    """The score of one recording.

    Args:
        subject: Name of the person, such as ``"S9"``.
        action: Full name of the take, such as ``"Walking 1"``.
        view: Index of the camera.
        score: Its metrics.
    """

    subject: str
    action: str
    view: int
    score: Score

    @property
    def action_group(self) -> str:
        """The action without the number of the take: what the rows of the papers' tables stand for."""
        return self.action.split(" ", maxsplit=1)[0]


class EvaluationResult(NamedTuple):
    """What `PoseEvaluation` computes: one score per recording, in the order in which the recordings were named.

    A named tuple because torchmetrics does not let a metric return a frozen data class.

    Args:
        recordings: The scores; recordings that got no pose have ``frames`` 0.
        joint_names: Names of the joints behind ``joint_errors``; empty where they were not told.
    """

    recordings: tuple[RecordingScore, ...]
    joint_names: tuple[str, ...] = ()

    @property
    def overall(self) -> Score:
        """The mean over all frames (see `pool_scores`)."""
        return pool_scores(recording.score for recording in self.recordings)


def pool_scores(scores: Iterable[Score]) -> Score:
    """Join scores of disjoint sets of poses: means over their frames.

    Every metric is weighted by the number of frames, P-MPJPE by those of them that are not degenerate. MPJVE is
    weighted by the number of frames as well, as published (Pavllo et al., CVPR 2019), although a recording of T frames
    has T - 1 velocities; `liftpose.metrics.MPJVE` is the plain mean over the velocities. Sets without velocities do not
    count there.

    Args:
        scores: Scores with the same joints.

    Returns:
        The score of all poses together.

    Example:
        >>> one = Score(1, 0, 0, 0.1, 0.1, 0.1, math.nan, 88.0, 45.0, 90.0, 50.0, (0.1,))
        >>> three = Score(3, 0, 2, 0.5, 0.3, 0.4, 0.01, 40.0, 15.0, 50.0, 20.0, (0.5,))
        >>> pooled = pool_scores((one, three))
        >>> pooled.frames, round(pooled.mpjpe, 3), pooled.mpjve, pooled.pck_with_root
        (4, 0.4, 0.01, 60.0)
    """
    filled = [score for score in scores if score.frames]
    frames = [score.frames for score in filled]
    aligned = [score.frames - score.degenerate for score in filled]
    moving = [score.frames if score.velocities else 0 for score in filled]
    return Score(
        frames=sum(frames),
        degenerate=sum(score.degenerate for score in filled),
        velocities=sum(score.velocities for score in filled),
        mpjpe=_mean((score.mpjpe for score in filled), frames),
        p_mpjpe=_mean((score.p_mpjpe for score in filled), aligned),
        n_mpjpe=_mean((score.n_mpjpe for score in filled), frames),
        mpjve=_mean((score.mpjve for score in filled), moving),
        pck_no_root=_mean((score.pck_no_root for score in filled), frames),
        auc_no_root=_mean((score.auc_no_root for score in filled), frames),
        pck_with_root=_mean((score.pck_with_root for score in filled), frames),
        auc_with_root=_mean((score.auc_with_root for score in filled), frames),
        joint_errors=tuple(
            _mean(errors, frames) for errors in zip(*(score.joint_errors for score in filled), strict=True)
        ),
        further=tuple(
            same[0]._replace(
                value=_mean((one.value for one in same), [one.poses for one in same]),
                poses=sum(one.poses for one in same),
            )
            for same in zip(*(score.further for score in filled), strict=True)
        ),
    )


class PoseEvaluation(LabelledErrors):
    """All metrics of all recordings of a test, each pose counted once.

    MPJPE, P-MPJPE, N-MPJPE, MPJVE, 3D PCK, AUC and the error of each joint, as defined in
    `liftpose.metrics.functional`, for every recording; `liftpose.metrics.table` makes the papers' tables from them. The
    result is the same for any order of the poses, any batches and any number of processes; a pose that comes twice (a
    sampler that fills up the last batch of a process) counts once.

    As input to ``update``: ``prediction`` and ``target`` (N, J, 3) in metres, one frame of reference, relative to the
    root (nothing is subtracted here); ``sequence`` (N,) indices into ``recordings``; ``frame`` (N,) frame numbers.
    As output of ``compute``: an `EvaluationResult` of plain numbers.

    Args:
        recordings: Subject, action and view of every recording.
        root: Index of the root joint. That of a root-relative pose is always correct, and public code differs in
            whether it counts for PCK and AUC: both are computed.
        kwargs: Options of `LabelledErrors`.

    Example:
        >>> evaluation = PoseEvaluation([("S9", "Walking 1", 0), ("S9", "Walking 1", 1)])
        >>> target = torch.eye(3).expand(4, 3, 3)
        >>> evaluation.update(2 * target, target, torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1]))
        >>> evaluation.compute().overall.mpjpe
        1.0
    """

    is_differentiable = False

    p_mpjpe: list[Tensor] | Tensor
    n_mpjpe: list[Tensor] | Tensor

    def __init__(
        self,
        recordings: Sequence[tuple[str, str, int]],
        root: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._add_column("p_mpjpe", self.storage_dtype)
        self._add_column("n_mpjpe", self.storage_dtype)
        self.recordings = tuple((subject, action, view) for subject, action, view in recordings)
        self.root = root

    def update(self, prediction: Tensor, target: Tensor, sequence: Tensor, frame: Tensor) -> None:
        """Add poses.

        Args:
            prediction: (N, J, 3) metres, relative to the root.
            target: (N, J, 3) metres, relative to the root; same shape and frame of reference.
            sequence: (N,) integers, index of each pose's recording.
            frame: (N,) integers, its frame number in that recording.

        Raises:
            ValueError: The shapes do not belong together.
        """
        self._append_labelled(prediction, target, sequence, frame)
        self._append(
            p_mpjpe=functional.p_mpjpe_per_pose(prediction, target),
            n_mpjpe=functional.n_mpjpe_per_pose(prediction, target),
        )

    def compute(self) -> EvaluationResult:
        """The score of every recording.

        Raises:
            ValueError: A sequence index does not belong to a recording.
        """
        # On the CPU: sums there have one order, so that the same poses give the same digits.
        sequence, frame = self._column("sequence").cpu(), self._column("frame").cpu()
        errors = self._all_errors().cpu()
        p_mpjpe, n_mpjpe = self._column("p_mpjpe").cpu(), self._column("n_mpjpe").cpu()
        if len(sequence) and not 0 <= int(sequence.min()) <= int(sequence.max()) < len(self.recordings):
            raise ValueError(
                f"expected sequence indices of {len(self.recordings)} recordings, 0 to {len(self.recordings) - 1}, "
                f"found {int(sequence.min())} to {int(sequence.max())}"
            )
        order = order_frames(sequence, frame)
        counts = sequence[order].bincount(minlength=len(self.recordings)).tolist()
        return EvaluationResult(
            tuple(
                RecordingScore(*identity, self._score(rows, errors[rows], p_mpjpe[rows], n_mpjpe[rows], frame[rows]))
                for identity, rows in zip(self.recordings, torch.split(order, counts), strict=True)
            )
        )

    def _score(self, rows: Tensor, errors: Tensor, p_mpjpe: Tensor, n_mpjpe: Tensor, frame: Tensor) -> Score:
        """Score of one recording: (T,) its rows of the columns, (T, J, 3), (T,), (T,), (T,) ascending frame numbers."""
        errors, p_mpjpe = errors.double(), p_mpjpe.double()
        distances = errors.norm(dim=-1)
        moving = torch.cat((distances[:, : self.root], distances[:, self.root + 1 :]), dim=1)
        velocities = errors.diff(dim=0)[frame.diff() == 1].norm(dim=-1)
        aligned = p_mpjpe[~p_mpjpe.isnan()]
        return Score(
            frames=len(errors),
            degenerate=len(p_mpjpe) - len(aligned),
            velocities=len(velocities),
            mpjpe=float(distances.mean()),
            p_mpjpe=float(aligned.mean()),
            n_mpjpe=float(n_mpjpe.double().mean()),
            mpjve=float(velocities.mean()),
            pck_no_root=float(functional.pck_of_errors(moving).mean()),
            auc_no_root=float(functional.auc_of_errors(moving).mean()),
            pck_with_root=float(functional.pck_of_errors(distances).mean()),
            auc_with_root=float(functional.auc_of_errors(distances).mean()),
            joint_errors=tuple(distances.mean(0).tolist()) if len(errors) else (),
        )


def _mean(values: Iterable[float], weights: Sequence[int]) -> float:
    """Weighted mean in which a weight of 0 leaves a value out, even NaN; NaN when nothing is left."""
    total = sum(weights)
    weighted = (value * weight for value, weight in zip(values, weights, strict=True) if weight)
    return math.fsum(weighted) / total if total else math.nan
