"""What the data modules of pictures share: from annotated pictures to normalised patches with labels on the device."""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Literal, Protocol

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from liftpose.data.image_joints import bring_into_joints
from liftpose.data.image_rows import rows_with_boxes, rows_with_people, with_tight_boxes
from liftpose.data.images import ImageSet, PatchBatch
from liftpose.data.occlusion import Occluders
from liftpose.datamodules.image_options import check_ranges, joint_order
from liftpose.datamodules.index_loader import IndexBatches
from liftpose.datamodules.patch_loader import Augmentation, CutPatches, PatchBatches, patch_loader
from liftpose.datamodules.patch_maker import PatchMaker
from liftpose.errors import LiftposeError
from liftpose.formats.images import check_some_pictures
from liftpose.formats.picture_crops import PictureCrops
from liftpose.formats.voc import read_voc_occluders
from liftpose.skeletons import Skeleton

__all__ = ["ImageDataModule", "PatchNetwork"]

log = logging.getLogger(__name__)


class PatchNetwork(Protocol):
    """What a data module has to know of a network."""

    skeleton: Skeleton
    image_size: tuple[int, int]


class ImageDataModule(pl.LightningDataModule, ABC):
    """Patches around people in pictures, with labels.

    Workers decode a picture and cut the patch out of it; flips are part of that. Colours, occluders, normalisation and
    labels are made on the device, in the published order: cut, occlude, change colours, normalise. Everything random
    follows from the seed and the place of the batch in the training. The network of the run says how large patches are
    and what joints they have.

    Args:
        root: Folder of the data set, relative to where the command is run.
        batch_size: Number of pictures of a global batch, over all processes.
        num_workers: Processes that decode pictures, for each process of the run; 0 for none beside it.
        seed: Seed of the order of the training pictures and of their changes.
        joints: Name of the joint order to bring the annotations into; None for that of the network, where its joints
            are among those of the data set. An order of which a joint is only approximated has to be named.
        joints_by_index: Whether the joints of MPII and those of Human3.6M in MPII's order, which have the same
            indices, are taken for each other though seven to nine are other points. The published network that is
            taught by several views does so.
        patch_size: Width and height of the patches in pixels, where no network says it.
        scale_factor: Standard deviation of the zoom of training boxes about 1, cut off at one of it.
        rotation: Degrees, standard deviation of the turn of training patches, cut off at two of it.
        rotation_probability: Share of the training patches that are turned.
        flip_probability: Share of the training patches that are cut out of the mirror image; 0 as published.
        colour: Largest change of the factor of each colour about 1 in training.
        occlusion: Folder of Pascal VOC 2012, or a cache of its objects, which are pasted over training patches; None
            for none.
        occlusion_probability: Share of the training patches over which something is pasted; 1 as published.
        depth_extent: Metres of depth that a label unit is, before the zoom.
        boxes: What is cut out: the boxes of the annotations, or tight ones around the 2D keypoints (in training those
            of the labels, where labels are given), for which no depth has to be known.
        bad_images: Whether a picture that cannot be read ends the run ("refuse") or is left out, counted and named
            ("skip").
        reduced_decoding: Whether JPEG files are decoded at a part of their size where the patch has no more pixels.
        crops: Folder that keeps the part of each training picture that patches can see, as JPEG of quality 95 and no
            finer than a patch; from the second epoch on they are read instead of the pictures. None for none.
        predict_split: What ``predict`` goes through: "train", "validation" or "test".
    """

    def __init__(
        self,
        root: str,
        batch_size: int = 32,
        num_workers: int = 4,
        seed: int = 1234,
        joints: str | None = None,
        joints_by_index: bool = False,
        patch_size: tuple[int, int] | None = None,
        scale_factor: float = 0.25,
        rotation: float = 30.0,
        rotation_probability: float = 0.6,
        flip_probability: float = 0.0,
        colour: float = 0.2,
        occlusion: str | None = None,
        occlusion_probability: float = 0.5,
        depth_extent: float = 2.0,
        boxes: Literal["annotation", "keypoints"] = "annotation",
        bad_images: Literal["refuse", "skip"] = "refuse",
        reduced_decoding: bool = False,
        crops: str | None = None,
        predict_split: Literal["train", "validation", "test"] = "test",
    ) -> None:
        super().__init__()
        self.root = root
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.joints = None if joints is None else joint_order(joints)
        self.joints_by_index = joints_by_index
        self.patch_size = patch_size
        self.scale_factor = scale_factor
        self.rotation = rotation
        self.rotation_probability = rotation_probability
        self.flip_probability = flip_probability
        self.colour = colour
        self.occlusion = occlusion
        self.occlusion_probability = occlusion_probability
        self.depth_extent = depth_extent
        self.boxes = boxes
        self.bad_images = bad_images
        self.reduced_decoding = reduced_decoding
        self.crops = crops
        self.predict_split = predict_split
        check_ranges(self)
        self.left_out: dict[str, str] = {}
        self._images: dict[str, ImageSet] = {}
        self._occluders: Occluders | None = None
        self._on_device = PatchMaker()

    # -------------------------------------------------------------------------------------------------------- pictures
    @abstractmethod
    def load_images(self, split: str) -> ImageSet:
        """Read the annotations of a split.

        Args:
            split: "train", "validation" or "test".

        Returns:
            The annotated pictures, in the joint order of the files.

        Raises:
            LiftposeError: A file is missing or broken.
        """

    def load_occluders(self, path: str) -> Occluders:
        """Read what is pasted over patches.

        Args:
            path: The option ``occlusion``.

        Returns:
            The objects.

        Raises:
            LiftposeError: The folder is missing or holds none.
        """
        return Occluders.from_pictures(read_voc_occluders(Path(path)))

    def splits_of(self, stage: str) -> tuple[str, ...]:
        """Return the splits that a stage of the trainer needs.

        Args:
            stage: "fit", "validate", "test" or "predict".
        """
        return {
            "fit": ("train", "validation"),
            "validate": ("validation",),
            "test": ("test",),
            "predict": ("predict",),
        }[stage]

    def images(self, split: str) -> ImageSet:
        """Return the annotated pictures of a split, read once; in the joints of the network after :meth:`check`.

        Args:
            split: "train", "validation", "test" or "predict".

        Raises:
            LiftposeError: A file is missing or broken, an option does not fit it, or a box has no area.
        """
        if split not in self._images:
            own = self.predict_split if split == "predict" else split
            images = self.prepare_images(split, self.load_images(own))
            if self.joints is not None:
                images = bring_into_joints(images, self.joints, by_index=self.joints_by_index)
            if split == "train":
                images = rows_with_people(images)
            if self.boxes == "keypoints":
                images = with_tight_boxes(images)
            images = rows_with_boxes(images, self.bad_images == "skip")
            check_some_pictures(images)
            self._images[split] = images
        return self._images[split]

    def read_images(self, split: str) -> ImageSet | None:
        """Return the annotated pictures of a split if they have been read, as after :meth:`check`; None if not.

        Args:
            split: "train", "validation", "test" or "predict".
        """
        return self._images.get(split)

    def prepare_images(self, split: str, images: ImageSet) -> ImageSet:
        """Change the annotations of a split as options say; here not at all.

        Args:
            split: "train", "validation", "test" or "predict".
            images: What has been read.

        Returns:
            The annotated pictures.
        """
        return images

    def check(self, stage: str, network: PatchNetwork | None = None) -> None:
        """Refuse a run whose data are not there or do not fit, before anything is written.

        What is read is kept for :meth:`setup`.

        Args:
            stage: "fit", "validate", "test" or "predict".
            network: The network of the run, whose joints the data have to be; None for any.

        Raises:
            LiftposeError: A file is missing or broken, an option does not fit it, or its joints are others.
        """
        if stage == "fit" and self.batch_size < 2:
            raise LiftposeError("data.batch_size: expected at least 2 for batch normalisation, found 1")
        for split in self.splits_of(stage):
            images = self.images(split)
            if network is not None and images.skeleton != network.skeleton:
                self._images[split] = self._for_network(images, network.skeleton)
        if stage == "fit" and self.occlusion is not None and self._occluders is None:
            self._occluders = self.load_occluders(self.occlusion)

    def _for_network(self, images: ImageSet, skeleton: Skeleton) -> ImageSet:
        """Bring annotations into the joints of the network, or refuse to."""
        if self.joints is not None and not self.joints_by_index:
            raise LiftposeError(f"data.joints: expected {skeleton.name} as in the network, found {self.joints.name}")
        return bring_into_joints(images, skeleton, by_index=self.joints_by_index, exact=True)

    # --------------------------------------------------------------------------------------------------------- loaders
    def setup(self, stage: str) -> None:
        """Read the splits that a stage needs.

        Args:
            stage: "fit", "validate", "test" or "predict".
        """
        self.check(stage, self._network)

    @property
    def _network(self) -> PatchNetwork | None:
        """The network of the run, if there is one."""
        return getattr(getattr(self.trainer, "lightning_module", None), "network", None)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the patches in pixels: what the network of the run wants, or the option."""
        network = self._network
        if network is not None:
            return network.image_size
        if self.patch_size is None:
            raise LiftposeError(
                "data.patch_size: expected the size of the patches where no network says it, found none"
            )
        return (self.patch_size[0], self.patch_size[1])

    def loader(self, split: str, *, augmented: bool = False) -> DataLoader[Any]:
        """Return the loader of a split.

        Args:
            split: "train", "validation", "test" or "predict".
            augmented: Whether the pictures come in random order and are changed, as for training; otherwise all come
                in their own order, as they are.

        Returns:
            A loader of :class:`CutPatches`, which :meth:`gather` makes batches of.
        """
        trainer = self.trainer
        images = self.images(split)
        batches = IndexBatches(
            split,
            len(images),
            self.batch_size,
            seed=self.seed if augmented else None,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
        )
        cut = PatchBatches(
            batches,
            images,
            self.size,
            augmentation=self._augmentation() if augmented else None,
            seed=self.seed,
            bad_images=self.bad_images,
            reduced=self.reduced_decoding,
            crops=PictureCrops(Path(self.crops), self.size, self.scale_factor, self.rotation > 0)
            if augmented and self.crops is not None
            else None,
        )
        on_gpu = trainer is not None and trainer.strategy.root_device.type == "cuda"
        return patch_loader(cut, self.num_workers, pin_memory=on_gpu, keep_workers=augmented)

    def _augmentation(self) -> Augmentation:
        """Return how training patches are changed."""
        return Augmentation(
            scale_factor=self.scale_factor,
            rotation=math.radians(self.rotation),
            rotation_probability=self.rotation_probability,
            flip_probability=self.flip_probability,
            colour=self.colour,
            occluders=self._occluders,
            occlusion_probability=self.occlusion_probability,
        )

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the training pictures, in random order and changed."""
        return self.loader("train", augmented=True)

    def val_dataloader(self) -> DataLoader[Any]:
        """Return the validation pictures."""
        return self.loader("validation")

    def test_dataloader(self) -> DataLoader[Any]:
        """Return the test pictures."""
        return self.loader("test")

    def predict_dataloader(self) -> DataLoader[Any]:
        """Return the pictures to predict."""
        return self.loader("predict")

    # ---------------------------------------------------------------------------------------------------- on the device
    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Refuse, or count and name, the pictures that a worker could not read.

        Args:
            batch: What a worker has cut out.
            dataloader_idx: Number of the loader.

        Returns:
            The same.
        """
        if isinstance(batch, CutPatches):
            self.note_left_out(batch)
        return batch

    def note_left_out(self, batch: CutPatches) -> None:
        """Refuse, or count and name, the pictures that a worker could not read.

        Args:
            batch: What a worker has cut out.

        Raises:
            LiftposeError: A picture could not be read and is not to be left out, or none of a batch could be read.
        """
        for line in batch.left_out:
            if self.bad_images == "refuse":
                raise LiftposeError(f"{line}; --data.bad_images skip leaves such pictures out")
            if line not in self.left_out:
                self.left_out[line] = batch.split
                log.warning("left out, the %d. so far: %s", len(self.left_out), line)
        if batch.left_out and not len(batch.indices):
            raise LiftposeError(f"{self.root}: expected a picture in each batch that can be read, found none in one")

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Make a batch of what a worker has cut out, on the device.

        Args:
            batch: What a worker has cut out.
            dataloader_idx: Number of the loader.

        Returns:
            Normalised patches with labels.
        """
        return self.gather(batch) if isinstance(batch, CutPatches) else batch

    def gather(self, cut: CutPatches) -> PatchBatch:
        """Make a batch of what a worker has cut out, on the device that it is on.

        Args:
            cut: What a worker has cut out.

        Returns:
            Normalised patches with labels.
        """
        return self._on_device.make(cut, self.images(cut.split), self.depth_extent, self._occluders)

    def teardown(self, stage: str) -> None:
        """Say what was left out, and let go of what is on the device; annotations stay for a later stage.

        Args:
            stage: The stage that has ended.
        """
        if self.left_out:
            log.warning("%s: %d pictures could not be read and were left out", self.root, len(self.left_out))
        self._on_device.clear()
