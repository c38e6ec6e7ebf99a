"""Recordings, the choice among them, and windows of their frames: memory only, no files."""

from liftpose.data.draws import BatchPlace, Draws
from liftpose.data.epoch_order import epoch_order
from liftpose.data.lifting_windows import lifting_windows
from liftpose.data.recording import Recording, RecordingKey
from liftpose.data.selection import downsample, keep_displaced, select_actions, subset
from liftpose.data.windows import Sides, WindowBatch, WindowIndex, Windows

__all__ = [
    "BatchPlace",
    "Draws",
    "Recording",
    "RecordingKey",
    "Sides",
    "WindowBatch",
    "WindowIndex",
    "Windows",
    "downsample",
    "epoch_order",
    "keep_displaced",
    "lifting_windows",
    "select_actions",
    "subset",
]
