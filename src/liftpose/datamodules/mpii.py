"""MPII Human Pose: people in everyday pictures, with 2D joints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from liftpose.data.images import ImageSet
from liftpose.datamodules.images import ImageDataModule
from liftpose.formats.mpii import read_mpii

__all__ = ["MPIIDataModule"]


class MPIIDataModule(ImageDataModule):
    """MPII Human Pose (Andriluka et al., CVPR 2014), as ``liftpose data mpii`` writes it and others hand it on.

    Reads ``annot/<set>.json`` and the pictures in ``images``. Validation and test are, as in all of the field, the
    pictures of ``valid``: those of the data set's own test have no public joints.

    Args:
        root: Folder of the data set, relative to where the command is run.
        train_set: Name of the annotations to train on: ``train``, or ``trainval``.
        test_set: Name of the annotations to validate and test on.
        options: Options of :class:`ImageDataModule`.
    """

    def __init__(
        self, root: str = "data/mpii", train_set: str = "train", test_set: str = "valid", **options: Any
    ) -> None:
        super().__init__(root=root, **options)
        self.train_set = train_set
        self.test_set = test_set

    def load_images(self, split: str) -> ImageSet:
        """Read the annotations of a split.

        Args:
            split: "train", "validation" or "test".

        Returns:
            The people, in the order of the file.

        Raises:
            LiftposeError: A file is missing or broken.
        """
        return read_mpii(Path(self.root), self.train_set if split == "train" else self.test_set)
