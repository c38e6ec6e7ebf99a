"""What happens around training: run folders, tables, pictures, prediction files."""

from __future__ import annotations

from liftpose.callbacks.checkpoint import RunCheckpoints
from liftpose.callbacks.csv_log import RunCSVLogger
from liftpose.callbacks.joint_angles import JointAnglePicture
from liftpose.callbacks.patch_picture import PatchPicture
from liftpose.callbacks.picture_predictions import CorrectedPredictionFile, PicturePredictionFile
from liftpose.callbacks.pictures import PosePicture, TrainingCurves
from liftpose.callbacks.predictions import PredictionFiles
from liftpose.callbacks.run_files import CheckpointFiles, ConfigFile, EarlierRun
from liftpose.callbacks.run_state import RUN_ENTRY
from liftpose.callbacks.tables import ResultTables

__all__ = [
    "RUN_ENTRY",
    "CheckpointFiles",
    "ConfigFile",
    "CorrectedPredictionFile",
    "EarlierRun",
    "JointAnglePicture",
    "PatchPicture",
    "PicturePredictionFile",
    "PosePicture",
    "PredictionFiles",
    "ResultTables",
    "RunCSVLogger",
    "RunCheckpoints",
    "TrainingCurves",
]
