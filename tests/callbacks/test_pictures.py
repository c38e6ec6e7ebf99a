"""The picture at the end of a run, of recordings that are nearly or quite empty."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from liftpose.callbacks.pictures import sequence_picture
from liftpose.datamodules import H36MDataModule, WindowShape
from liftpose.models import VideoPose
from liftpose.tasks import LiftingTask


@pytest.mark.parametrize("frames", [0, 1])
def test_short_recordings(h36m_root: Path, frames: int) -> None:
    """Where every 100,000th frame is used, three seconds are less than one frame."""
    data = H36MDataModule(str(h36m_root), window=WindowShape(3, False), downsample=100_000)
    data.setup("test")
    first, second = data.recordings("test")[:2]
    assert len(first) == len(second) == 1
    empty = replace(first, keypoints_2d=first.keypoints_2d[:frames], poses_3d=first.poses_3d[:frames])
    data._recordings["test"] = [empty, second]
    data.teardown("test")
    data.setup("test")
    task = LiftingTask(VideoPose("h36m_17", filter_widths=[3], channels=4))
    task.configure_model()
    figure = sequence_picture(task, data, "test")
    title = f"camera {first.view if frames else second.view}"
    assert any(title in text.get_text() for text in figure.findobj() if hasattr(text, "get_text"))
