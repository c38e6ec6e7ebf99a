"""Real poses of other people: the same directions of bones, other lengths."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from liftpose.geometry.bones import bone_length_templates, dress
from liftpose.models import Lifter
from liftpose.tasks.augmenters.base import Augmenter, FakePoses, RealPoses, Step, in_sight

__all__ = ["BoneTemplates"]


class BoneTemplates(Augmenter):
    """Real poses with the bone lengths of one of five Human3.6M people, as PoseAug and DH-AUG dress their real poses.

    Nothing is trained. A window is seen by the camera of the real one, and keeps its pelvis; all its frames have the
    same lengths. Where other lengths take it out of the picture, the real window stays as it is.
    """

    skeletons: ClassVar[tuple[str, ...]] = ("h36m_16",)

    template_lengths: Tensor

    def build(self, lifter: Lifter) -> None:
        """Make the table of lengths.

        Args:
            lifter: The lifter.
        """
        self.register_buffer("template_lengths", bone_length_templates(), persistent=False)

    @torch.no_grad()
    def augment(self, real: RealPoses, step: Step) -> FakePoses:
        """Give each real window the lengths of somebody drawn for it.

        Args:
            real: A batch of the training data.
            step: What belongs to this step.

        Returns:
            The windows.
        """
        row = step.draws.integers(len(self.template_lengths))
        dressed = dress(real.poses_world, self.template_lengths.to(real.poses_world)[row, None])
        return in_sight(dressed, real.cameras, real)
