"""Pose metrics: pure functions (`liftpose.metrics.functional`), torchmetrics classes over them, and tables."""

from __future__ import annotations

from liftpose.metrics.evaluation import (
    EvaluationResult,
    FurtherScore,
    PoseEvaluation,
    RecordingScore,
    Score,
    pool_scores,
)
from liftpose.metrics.image_evaluation import ImagePoseEvaluation, takes_of_pictures
from liftpose.metrics.labelled import MPJVE
from liftpose.metrics.pckh import PCKh, PCKhResult, pckh_errors
from liftpose.metrics.pose import AUC, MPJPE, NMPJPE, PCK, PMPJPE, PerJointMPJPE
from liftpose.metrics.structure import PoseClusters, cluster_poses, pose_directions, pss, pss_per_pose
from liftpose.metrics.table import (
    Table,
    TableRow,
    action_table,
    action_tables_by_subject,
    joint_table,
    subject_table,
)

__all__ = [
    "AUC",
    "MPJPE",
    "MPJVE",
    "NMPJPE",
    "PCK",
    "PMPJPE",
    "EvaluationResult",
    "FurtherScore",
    "ImagePoseEvaluation",
    "PCKh",
    "PCKhResult",
    "PerJointMPJPE",
    "PoseClusters",
    "PoseEvaluation",
    "RecordingScore",
    "Score",
    "Table",
    "TableRow",
    "action_table",
    "action_tables_by_subject",
    "cluster_poses",
    "joint_table",
    "pckh_errors",
    "pool_scores",
    "pose_directions",
    "pss",
    "pss_per_pose",
    "subject_table",
    "takes_of_pictures",
]
