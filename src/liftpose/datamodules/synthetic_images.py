"""Pictures of the synthetic people, written in the layouts of MPII and Human3.6M and read by the same readers."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from liftpose.data.synthetic import SPLITS
from liftpose.data.synthetic.photograph import Photograph
from liftpose.data.synthetic.street import Snapshot, photograph_snapshot, street_joints, street_snapshots
from liftpose.data.synthetic.studio import StudioTake, photograph_take, studio_images, studio_takes
from liftpose.datamodules.h36m_images import H36MImagesDataModule
from liftpose.datamodules.images import PatchNetwork
from liftpose.datamodules.mpii import MPIIDataModule
from liftpose.errors import LiftposeError
from liftpose.formats.atomic import write_json
from liftpose.formats.h36m_images import annotation_file, write_image_set
from liftpose.formats.mpii_writer import MPIIPeople, write_mpii

__all__ = ["SyntheticH36MImagesDataModule", "SyntheticMPIIDataModule"]

log = logging.getLogger(__name__)

_GENERATOR: Final = 2  # counts up when the same settings make other pictures
_BLOCK: Final = 64  # pictures of the street that one process paints at a time
_HEIGHT: Final = 200.0  # pixels of a person's height that MPII calls scale 1
_SMALLEST: Final = 64  # pixels; a person in a smaller picture cannot be seen


class SyntheticMPIIDataModule(MPIIDataModule):
    """Synthetic people in the layout of MPII: one in a picture, each seen by another camera, with 2D joints.

    The pictures are painted at the first use and when they were painted with other settings. Nobody is in training and
    validation, nor in :class:`SyntheticH36MImagesDataModule`.

    Args:
        root: Folder of the data set.
        train_pictures: Number of pictures to train on.
        valid_pictures: Number of pictures to validate and test on.
        picture_size: Pixels, width and height of the pictures.
        people_seed: Seed of people, clothes, places and cameras.
        options: Options of :class:`MPIIDataModule` but the names of the sets.
    """

    def __init__(
        self,
        root: str = "data/synthetic_images/mpii",
        train_pictures: int = 6000,
        valid_pictures: int = 600,
        picture_size: int = 256,
        people_seed: int = 0,
        **options: Any,
    ) -> None:
        _check_numbers(train_pictures=train_pictures, valid_pictures=valid_pictures)
        _check_size(picture_size)
        super().__init__(root=root, **options)
        self.settings = {
            "train_pictures": train_pictures,
            "valid_pictures": valid_pictures,
            "picture_size": picture_size,
            "people_seed": people_seed,
            "generator": _GENERATOR,
        }
        files = [Path(root) / "annot" / name for name in ("train.json", "valid.json", "gt_valid.mat")]
        self._folder = _Folder(Path(root), self.settings, files)

    def check(self, stage: str, network: PatchNetwork | None = None) -> None:
        """Refuse a folder of other pictures, and what does not fit if they have been painted.

        Args:
            stage: "fit", "validate", "test" or "predict".
            network: The network of the run, whose joints the data have to be; None for any.

        Raises:
            LiftposeError: The folder holds other pictures, or an option does not fit.
        """
        if self._folder.is_made():
            super().check(stage, network)

    def prepare_data(self) -> None:
        """Paint the pictures unless they are there, painted with the same settings.

        Raises:
            LiftposeError: The folder holds other pictures, or a file cannot be written.
        """
        if self._folder.is_made():
            return
        size, seed = self.settings["picture_size"], self.settings["people_seed"]
        counts = {"train": self.settings["train_pictures"], "valid": self.settings["valid_pictures"]}
        jobs = [
            _Street(crowd, start, min(start + _BLOCK, count), size, seed)
            for crowd, count in counts.items()
            for start in range(0, count, _BLOCK)
        ]
        self._folder.begin()
        _paint(self._folder.root, jobs, sum(counts.values()), self.num_workers)
        for crowd, count in counts.items():
            snapshots = street_snapshots(crowd, 0, count, size, seed)
            write_mpii(self.root, crowd, _people(snapshots, seed), evaluation=crowd == "valid")
        self._folder.finish()


class SyntheticH36MImagesDataModule(H36MImagesDataModule):
    """Synthetic people in the layout of Human3.6M's pictures: four calibrated cameras, 3D truth.

    The people are those of :class:`liftpose.datamodules.SyntheticDataModule`, with the same movements. The pictures are
    painted at the first use and when they were painted with other settings.

    Args:
        root: Folder of the data set.
        train_moments: Number of moments to train on; there are four pictures of each.
        validation_moments: Number of moments to validate on.
        test_moments: Number of moments to test on.
        picture_size: Pixels, width and height of the pictures.
        people_seed: Seed of people, movements, clothes and rooms.
        options: Options of :class:`H36MImagesDataModule`.
    """

    def __init__(
        self,
        root: str = "data/synthetic_images/h36m",
        train_moments: int = 2500,
        validation_moments: int = 250,
        test_moments: int = 500,
        picture_size: int = 320,
        people_seed: int = 0,
        **options: Any,
    ) -> None:
        _check_numbers(train_moments=train_moments, validation_moments=validation_moments, test_moments=test_moments)
        _check_size(picture_size)
        super().__init__(root=root, **options)
        self.settings = {
            "train_moments": train_moments,
            "validation_moments": validation_moments,
            "test_moments": test_moments,
            "picture_size": picture_size,
            "people_seed": people_seed,
            "generator": _GENERATOR,
        }
        self._folder = _Folder(Path(root), self.settings, [annotation_file(root, split) for split in SPLITS])

    def check(self, stage: str, network: PatchNetwork | None = None) -> None:
        """Refuse a folder of other pictures, and what does not fit if they have been painted.

        Args:
            stage: "fit", "validate", "test" or "predict".
            network: The network of the run, whose joints the data have to be; None for any.

        Raises:
            LiftposeError: The folder holds other pictures, or an option does not fit.
        """
        if self._folder.is_made():
            super().check(stage, network)

    def prepare_data(self) -> None:
        """Paint the pictures unless they are there, painted with the same settings.

        Raises:
            LiftposeError: The folder holds other pictures, or a file cannot be written.
        """
        if self._folder.is_made():
            return
        size, seed = self.settings["picture_size"], self.settings["people_seed"]
        takes = {split: studio_takes(names, self.settings[f"{split}_moments"], seed) for split, names in SPLITS.items()}
        jobs = [_Studio(take, size, seed) for listed in takes.values() for take in listed]
        sets = {split: studio_images(self._folder.root, listed, size, seed) for split, listed in takes.items()}
        self._folder.begin()
        _paint(self._folder.root, jobs, sum(len(images) for images in sets.values()), self.num_workers)
        for split, images in sets.items():
            write_image_set(annotation_file(self.root, split), images, notes=self.settings)
        self._folder.finish()


def _check_numbers(**numbers: int) -> None:
    """Refuse sets without a picture."""
    for name, number in numbers.items():
        if number < 1:
            raise LiftposeError(f"data.{name}: expected a number from 1 up, found {number}")


def _check_size(size: int) -> None:
    """Refuse pictures that are too small to see anybody, or larger than the noise that they share."""
    if not _SMALLEST <= size < 1000:
        raise LiftposeError(f"data.picture_size: expected pixels from {_SMALLEST} to 999, found {size}")


def _people(snapshots: Sequence[Snapshot], seed: int) -> MPIIPeople:
    """Return what is annotated of pictures as MPII has it."""
    found = street_joints(snapshots, seed)
    middles = (found.joints.min(axis=1) + found.joints.max(axis=1)) / 2.0
    return MPIIPeople(
        files=[snapshot.name for snapshot in snapshots],
        joints=found.joints,
        annotated=found.visible,
        centers=middles,
        scales=found.heights / _HEIGHT,
        heads=found.head_boxes,
    )


# ---------------------------------------------------------------------------------------------------------- the folder
@dataclass(frozen=True)
class _Folder:
    """A folder of painted pictures, with a file that says how they were painted and whether all of them are there."""

    root: Path
    settings: dict[str, int]
    annotations: Sequence[Path]

    @property
    def _mark(self) -> Path:
        return self.root / "synthetic.json"

    def is_made(self) -> bool:
        """Return whether the pictures are there, painted with the same settings; refuse those of somebody else."""
        if not self._mark.exists():
            others = [path for path in (self.root / "images", *self.annotations) if path.exists()]
            if others:
                raise LiftposeError(
                    f"{others[0]}: expected pictures of synthetic people or none, found some that were not made by a "
                    "program; --data.root names another place"
                )
            return False
        try:
            found = json.loads(self._mark.read_bytes())
        except ValueError:
            return False
        return found == {**self.settings, "finished": True} and all(path.exists() for path in self.annotations)

    def begin(self) -> None:
        """Make room for pictures: from now on until :meth:`finish` there are none that could be read."""
        write_json(self._mark, {**self.settings, "finished": False})
        for path in self.annotations:
            path.unlink(missing_ok=True)
        shutil.rmtree(self.root / "images", ignore_errors=True)

    def finish(self) -> None:
        """Say that all is there."""
        write_json(self._mark, {**self.settings, "finished": True})


# ------------------------------------------------------------------------------------------------------------ painting
class _Job(Protocol):
    """Pictures that one process paints one after another."""

    def photographs(self) -> Iterator[Photograph]:
        """Yield them."""
        ...


class _Studio(NamedTuple):
    """The pictures of one take."""

    take: StudioTake
    size: int
    seed: int

    def photographs(self) -> Iterator[Photograph]:
        """Yield the pictures."""
        return photograph_take(self.take, self.size, self.seed)


class _Street(NamedTuple):
    """Some pictures of the street."""

    crowd: str
    start: int
    stop: int
    size: int
    seed: int

    def photographs(self) -> Iterator[Photograph]:
        """Yield the pictures."""
        for snapshot in street_snapshots(self.crowd, self.start, self.stop, self.size, self.seed):
            yield photograph_snapshot(snapshot, self.seed)


class _Painting(Dataset[str]):
    """What the workers of a loader paint; an item is the reason why it could not be, or empty."""

    def __init__(self, root: Path, jobs: Sequence[_Job]) -> None:
        self.root = root
        self.jobs = jobs

    def __len__(self) -> int:
        """Number of jobs."""
        return len(self.jobs)

    def __getitem__(self, index: int) -> str:
        """Paint the pictures of one job and write them."""
        try:
            for photograph in self.jobs[index].photographs():
                path = self.root / photograph.file
                path.parent.mkdir(parents=True, exist_ok=True)
                bgr = cv2.cvtColor(photograph.pixels, cv2.COLOR_RGB2BGR)
                path.write_bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, photograph.quality])[1].tobytes())
        except OSError as error:
            return f"{error.filename}: expected to write the picture, found: {(error.strerror or str(error)).lower()}"
        return ""


def _use_one_thread(_: int) -> None:
    """Keep the processes from taking each other's cores; 0, since OpenCV hangs at 1 in a process that was forked."""
    cv2.setNumThreads(0)


def _paint(root: Path, jobs: Sequence[_Job], pictures: int, workers: int) -> None:
    """Paint all pictures, in as many processes as load them later, and say how far it is."""
    log.warning("painting %d pictures of synthetic people in %s", pictures, root)
    generator = torch.Generator().manual_seed(0)  # a loader without one draws from that of the run
    loader = DataLoader(
        _Painting(root, jobs),
        batch_size=None,
        num_workers=min(workers, len(jobs)),
        generator=generator,
        worker_init_fn=_use_one_thread,
    )
    told = 0
    for done, error in enumerate(loader, start=1):
        if error:
            raise LiftposeError(error)
        if done * 10 // len(jobs) > told:
            told = done * 10 // len(jobs)
            log.warning("painted %d %% of the pictures in %s", 10 * told, root)
