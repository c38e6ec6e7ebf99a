"""Pose metrics: pure functions (`liftpose.metrics.functional`), torchmetrics classes over them, and tables."""

from __future__ import annotations

from liftpose.metrics.evaluation import EvaluationResult, PoseEvaluation, RecordingScore, Score, pool_scores
from liftpose.metrics.labelled import MPJVE
from liftpose.metrics.pose import AUC, MPJPE, NMPJPE, PCK, PMPJPE, PerJointMPJPE
from liftpose.metrics.table import Table, TableRow, action_table, action_tables_by_subject, subject_table

__all__ = [
    "AUC",
    "MPJPE",
    "MPJVE",
    "NMPJPE",
    "PCK",
    "PMPJPE",
    "EvaluationResult",
    "PerJointMPJPE",
    "PoseEvaluation",
    "RecordingScore",
    "Score",
    "Table",
    "TableRow",
    "action_table",
    "action_tables_by_subject",
    "pool_scores",
    "subject_table",
]
