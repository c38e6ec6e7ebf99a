"""The cameras of training data, by recording."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from liftpose.datamodules import LiftingDataModule
from liftpose.errors import LiftposeError
from liftpose.geometry import Camera, ScreenCameras

__all__ = ["TrainingCameras"]


class TrainingCameras(NamedTuple):
    """The cameras of the training data.

    Attributes:
        all: (C, ...) each camera once.
        of_sequence: (S,) int64, the camera of each recording.
    """

    all: ScreenCameras
    of_sequence: Tensor

    @staticmethod
    def of(data: LiftingDataModule) -> TrainingCameras:
        """Collect the cameras of a data module.

        Raises:
            LiftposeError: There is a recording without a camera whose lens nine numbers describe.
        """
        places: dict[int, int] = {}
        cameras: list[Camera] = []
        of_sequence: list[int] = []
        for recording in data.recordings("train"):
            camera = recording.camera
            if camera is None:
                raise LiftposeError(f"{recording.name}: expected a camera for the augmentation, found none")
            if id(camera) not in places:
                places[id(camera)] = len(cameras)
                cameras.append(camera)
            of_sequence.append(places[id(camera)])
        try:
            table = ScreenCameras.of(cameras)
        except ValueError as error:
            raise LiftposeError(f"data: {error}") from error
        rows = torch.cat([row.flatten(1) for row in table[:3]], dim=1)
        distinct, inverse = torch.unique(rows, dim=0, return_inverse=True)
        first = torch.stack([(inverse == number).nonzero()[0, 0] for number in range(len(distinct))])
        return TrainingCameras(table.take(first), inverse[torch.tensor(of_sequence)])

    def to(self, like: Tensor) -> TrainingCameras:
        """Return the same cameras with the device and the type of a tensor."""
        return TrainingCameras(self.all.to(like.device, like.dtype), self.of_sequence.to(like.device))
