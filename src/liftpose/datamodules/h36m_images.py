"""The pictures of Human3.6M, and every data set that is stored as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from liftpose.data.epipolar_labels import with_labels
from liftpose.data.images import ImageSet
from liftpose.datamodules.images import ImageDataModule, PatchNetwork
from liftpose.errors import LiftposeError
from liftpose.formats.h36m_images import annotation_file, read_image_set
from liftpose.formats.label_cache import read_labels

__all__ = ["H36MImagesDataModule"]


class H36MImagesDataModule(ImageDataModule):
    """The pictures of Human3.6M, as ``liftpose data h36m-images`` writes them.

    Reads ``annotations/train.npz``, ``validation.npz`` and ``test.npz``; where there is no ``test.npz``, tests are on
    the pictures of the validation. As published, S1, S5, S6, S7 and S8 are trained on, S9 and S11 are both.

    Args:
        root: Folder of the data set, relative to where the command is run.
        train_subjects: People to train on; None for all of the split.
        validation_subjects: People that choose the best checkpoint; None for all of the split.
        test_subjects: People to test on; None for all of the split.
        labels: File of 3D labels that ``liftpose data epipolar-labels`` has made, to train on instead of the
            annotations; None for the annotations.
        options: Options of :class:`ImageDataModule`.
    """

    def __init__(
        self,
        root: str = "data/h36m_images",
        train_subjects: list[str] | None = None,
        validation_subjects: list[str] | None = None,
        test_subjects: list[str] | None = None,
        labels: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(root=root, **options)
        self.subjects = {"train": train_subjects, "validation": validation_subjects, "test": test_subjects}
        self.labels = labels

    def load_images(self, split: str) -> ImageSet:
        """Read the annotations of a split.

        Args:
            split: "train", "validation" or "test".

        Returns:
            The annotated pictures of its people, in the order of the file.

        Raises:
            LiftposeError: A file is missing or broken, or a person is not in it.
        """
        path = annotation_file(self.root, split)
        if split == "test" and not path.exists():
            path = annotation_file(self.root, "validation")
        if not path.exists():
            raise LiftposeError(
                f"{path}: expected the annotations of pictures, found no such file (liftpose data h36m-images makes "
                "it of the official files)"
            )
        images = read_image_set(path, self.root)
        chosen = self.subjects[split]
        if chosen is None:
            return images
        found = sorted(set(images.subjects))
        missing = [name for name in chosen if name not in found]
        if missing or not chosen:
            raise LiftposeError(
                f"data.{split}_subjects: expected some of {', '.join(found)}, found {', '.join(missing) or 'none'}"
            )
        return images.take(np.flatnonzero(np.isin(np.array(images.subjects), chosen)))

    def prepare_images(self, split: str, images: ImageSet) -> ImageSet:
        """Put the labels that were made in the place of the training's annotations.

        Args:
            split: "train", "validation", "test" or "predict".
            images: What has been read.

        Returns:
            The annotated pictures.
        """
        if split != "train" or self.labels is None:
            return images
        return with_labels(images, read_labels(Path(self.labels)))

    def check(self, stage: str, network: PatchNetwork | None = None) -> None:
        """Refuse a run whose data are not there or do not fit, or which would test on somebody it has trained on.

        Args:
            stage: "fit", "validate", "test" or "predict".
            network: The network of the run, whose joints the data have to be; None for any.

        Raises:
            LiftposeError: A file is missing or broken, an option does not fit it, its joints are others, or a person is
                in training and validation.
        """
        super().check(stage, network)
        if stage == "fit":
            train, validation = (set(self.images(split).subjects) - {""} for split in ("train", "validation"))
            if train & validation:
                raise LiftposeError(
                    "data.validation_subjects: expected people who are not trained on, found "
                    f"{', '.join(sorted(train & validation))}"
                )
