"""HumanEva-I with the protocol of the lifters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from liftpose.datamodules.h36m import H36MDataModule

__all__ = ["HumanEvaDataModule"]


class HumanEvaDataModule(H36MDataModule):
    """HumanEva-I with the protocol of VideoPose3D (Pavllo et al., CVPR 2019).

    Training on Walking, Jog and Box of ``Train/S1`` to ``Train/S3``, validation and test on the same actions of
    ``Validate/S1`` to ``Validate/S3``: the same three people in other frames. Every run of frames with poses is a
    recording (``Walking 1 chunk0``), so no window reaches over a gap in the motion capture. The tables of the papers
    are by subject (``--by_subject true``). Files of ``liftpose data humaneva``.

    Args:
        root: Folder of the files, relative to where the command is run.
        dataset: ``humaneva15`` or ``humaneva20``, by the number of joints.
        actions: Beginnings of the names of the actions to use, as published; None for all, ThrowCatch and Gestures too.
        options: Options of :class:`H36MDataModule`.
    """

    def __init__(
        self,
        root: str = "data",
        dataset: str = "humaneva15",
        actions: Sequence[str] | None = ("Walk", "Jog", "Box"),
        **options: Any,
    ) -> None:
        super().__init__(root=root, dataset=dataset, actions=None if actions is None else list(actions), **options)
