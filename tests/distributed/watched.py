"""A lifter and a task for the tests of several processes, imported by the command that they run."""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor, nn

from liftpose.data.windows import WindowBatch
from liftpose.models import IntegralPose, Lifter
from liftpose.skeletons import get_skeleton
from liftpose.tasks import LiftingTask

__all__ = ["LinearNetwork", "PlainIntegral", "WatchedTask"]


class LinearNetwork(Lifter):
    """A linear layer: without batch normalisation, whose statistics are those of a process, and without dropout."""

    def __init__(self, skeleton: str = "h36m_17", receptive_field: int = 1) -> None:
        super().__init__()
        self.skeleton = get_skeleton(skeleton)
        self.receptive_field = receptive_field
        self.current_frame = receptive_field // 2
        joints = len(self.skeleton)
        self.map = nn.Linear(2 * joints * receptive_field, 3 * joints)

    def forward(self, keypoints_2d: Tensor) -> Tensor:
        """Map (B, T, J, 2) to (B, 1, J, 3)."""
        return self.map(keypoints_2d.flatten(1)).reshape(-1, 1, len(self.skeleton), 3)


class WatchedTask(LiftingTask):
    """Writes down which windows each training batch of this process has held."""

    def __init__(self, lifter: Lifter, learning_rate: float = 1e-3) -> None:
        super().__init__(lifter, learning_rate=learning_rate)
        self.seen: list[list[tuple[int, int, bool]]] = []

    def training_step(self, batch: WindowBatch, batch_idx: int) -> Tensor:
        """Remember the windows, then train."""
        columns = (batch.sequence.tolist(), batch.frame.tolist(), batch.flipped.tolist())
        self.seen.append(list(zip(*columns, strict=True)))
        return super().training_step(batch, batch_idx)

    def on_train_end(self) -> None:
        """Write what was seen."""
        folder = Path(self.trainer.default_root_dir)
        (folder / f"seen{self.global_rank}.json").write_text(json.dumps(self.seen))


class PlainIntegral(IntegralPose):
    """A small network of pictures whose batch normalisation has fixed statistics, so that shares do not matter."""

    def __init__(self, skeleton: str = "h36m_17") -> None:
        super().__init__(skeleton, 18, (32, 32), 4, (4, 4, 4))
        for layer in (*self.deconv_layers, self.final_layer):
            if isinstance(layer, nn.ConvTranspose2d | nn.Conv2d):  # else no gradient comes through
                nn.init.kaiming_normal_(layer.weight)
        self.eval()

    def train(self, mode: bool = True) -> PlainIntegral:
        """Keep the statistics."""
        return super().train(False)
