"""The synthetic people, written in the layout of Human3.6M and read by the same reader."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from liftpose.data.synthetic import SPLITS, derive_generator, detector_noise, synthetic_people
from liftpose.datamodules.h36m import H36MDataModule
from liftpose.errors import LiftposeError
from liftpose.formats import DatasetInfo, find_dataset_files, read_dataset_info, write_h36m
from liftpose.geometry import Camera, h36m_cameras
from liftpose.models import Lifter
from liftpose.skeletons import H36M_17

__all__ = ["SyntheticDataModule"]

log = logging.getLogger(__name__)

FPS = 50.0
CAMERAS_OF = "S9"  # the published calibration of this person's recordings stands around the synthetic people
GENERATOR = 1  # counts up when the same settings make other people

Keypoints = dict[str, dict[str, list[npt.NDArray[np.float32]]]]


class SyntheticDataModule(H36MDataModule):
    """Synthetic people, made at the first use in the exact layout of the real files and read by the same reader.

    ``gt`` keypoints are the projections of the joints, ``noisy`` ones what a detector might find, with its confidence.
    People and movements are those of :func:`liftpose.data.synthetic.synthetic_people`, seen by the four cameras of
    Human3.6M.

    Args:
        root: Folder of the files; they are made where they are missing or were made with other settings.
        dataset: Name of the data set in the file names.
        frames_per_action: Number of frames of each take.
        people_seed: Seed of people, movements and detector noise.
        options: Options of :class:`H36MDataModule`.
    """

    def __init__(
        self,
        root: str = "data/synthetic",
        dataset: str = "synthetic",
        frames_per_action: int = 600,
        people_seed: int = 0,
        **options: Any,
    ) -> None:
        if dataset == "h36m":
            raise LiftposeError("data.dataset: expected a name of its own for the synthetic people, found h36m")
        if frames_per_action < 1:
            raise LiftposeError(f"data.frames_per_action: expected a number from 1 up, found {frames_per_action}")
        super().__init__(root=root, dataset=dataset, **options)
        self.settings = {"frames_per_action": frames_per_action, "people_seed": people_seed, "generator": GENERATOR}

    def check(self, stage: str, lifter: Lifter | None = None) -> None:
        """Refuse keypoints that are not made, and what does not fit the people if they have been made.

        Args:
            stage: "fit", "validate", "test" or "predict".
            lifter: The lifter of the run, whose joints the data have to be; None for any.

        Raises:
            LiftposeError: The keypoints are neither ``gt`` nor ``noisy``, an option does not fit the people, or the
                lifter has other joints.
        """
        self._check_options()
        if self._is_made():
            super().check(stage, lifter)

    def _check_options(self) -> None:
        """Refuse keypoints and people that are not made, and a place where other data lie."""
        if self.keypoints not in {"gt", "noisy"}:
            raise LiftposeError(f"data.keypoints: expected gt or noisy for synthetic people, found {self.keypoints}")
        made = [name for names in SPLITS.values() for name in names]
        for split, chosen in self.subjects.items():
            unknown = [name for name in chosen or () if name not in made]
            if unknown:
                raise LiftposeError(f"data.{split}_subjects: expected some of {', '.join(made)}, found {unknown[0]}")
        path = Path(self.root) / f"data_3d_{self.dataset}.npz"
        if path.exists() and "generator" not in self._notes():
            raise LiftposeError(
                f"{path}: expected synthetic people or no file, found a data set that was not made by a program; "
                "--data.root or --data.dataset names another place"
            )

    def _notes(self) -> dict[str, Any]:
        """Return what the description of the files says about how they were made; nothing where there is none."""
        try:
            return dict(read_dataset_info(Path(self.root) / f"data_3d_{self.dataset}.json").notes)
        except LiftposeError:
            return {}

    def prepare_data(self) -> None:
        """Make the files unless they are there, made with the same settings."""
        self._check_options()
        if self._is_made():
            return
        log.warning("making synthetic people in %s", self.root)
        names = [name for split in SPLITS.values() for name in split]
        people = synthetic_people(names, self.settings["frames_per_action"], seed=self.settings["people_seed"], fps=FPS)
        cameras = h36m_cameras(CAMERAS_OF)
        truth, noisy = self._see(people, cameras)
        info = DatasetInfo(
            name=self.dataset,
            skeleton=H36M_17,
            storage_skeleton="h36m_32",
            fps=FPS,
            cameras={name: tuple(cameras[view] for view in range(len(cameras.R))) for name in names},
            splits=SPLITS,
            up_axis="z",
            source="made by liftpose: a Denavit-Hartenberg body within human joint limits",
            licence="none: made by a program",
            notes=dict(self.settings),
        )
        write_h36m(Path(self.root), self.dataset, people, {"gt": truth, "noisy": noisy}, info)

    def _is_made(self) -> bool:
        """Return whether the files are there, made with the same settings."""
        try:
            find_dataset_files(self.root, self.dataset, self.keypoints)
        except LiftposeError:
            return False
        return self._notes() == self.settings

    def _see(
        self, people: dict[str, dict[str, npt.NDArray[np.float32]]], cameras: Camera
    ) -> tuple[Keypoints, Keypoints]:
        """Return the projections in all cameras, and what a detector might find."""
        truth: Keypoints = {}
        noisy: Keypoints = {}
        views = len(cameras.R)
        for name, takes in people.items():
            truth[name], noisy[name] = {}, {}
            for action, poses in takes.items():
                points = torch.as_tensor(poses, dtype=cameras.R.dtype)
                seen = [cameras[view].project(cameras[view].to_camera(points)).float().numpy() for view in range(views)]
                truth[name][action] = seen
                noisy[name][action] = [
                    self._detect(pixels, cameras[view], f"{name}/{action}/{view}") for view, pixels in enumerate(seen)
                ]
        return truth, noisy

    def _detect(self, pixels: npt.NDArray[np.float32], camera: Camera, name: str) -> npt.NDArray[np.float32]:
        """Return what a detector might find: (N, J, 3) pixels and confidence."""
        width, height = camera.image_size.tolist()
        generator = derive_generator(self.settings["people_seed"], "detector", name)
        found, confidence = detector_noise(pixels, generator, (width, height))
        return np.concatenate((found, confidence[..., None]), axis=-1)
