"""Recordings, the choice among them, and windows of their frames: memory only, no files."""

from liftpose.data.recording import Recording, RecordingKey
from liftpose.data.selection import downsample, select_actions, subset
from liftpose.data.windows import Sides, WindowBatch, WindowIndex, Windows, epoch_order, lifting_windows

__all__ = [
    "Recording",
    "RecordingKey",
    "Sides",
    "WindowBatch",
    "WindowIndex",
    "Windows",
    "downsample",
    "epoch_order",
    "lifting_windows",
    "select_actions",
    "subset",
]
