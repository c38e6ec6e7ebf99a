"""Estimated poses with their truth, for the training of a network that corrects them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from torch.utils.data import DataLoader

from liftpose.data.pose_pairs import PosePairBatch, PosePairs
from liftpose.datamodules.index_loader import IndexBatch, IndexBatches, index_loader
from liftpose.errors import LiftposeError
from liftpose.formats.pickled import load_pickled
from liftpose.formats.picture_predictions import read_picture_predictions
from liftpose.models.refiner import Refiner
from liftpose.skeletons import Skeleton, get_skeleton

__all__ = ["PosePairsDataModule"]

_PUBLISHED = ("inp", "out")
_MILLIMETRES = 1000


class PosePairsDataModule(pl.LightningDataModule):
    """Poses that a network has predicted from pictures, beside the true ones.

    ``liftpose predict`` writes such files for data sets with 3D truth (``--data.predict_split train`` for those of the
    training people); the published ``train.pkl`` and ``valid.pkl`` (a dictionary with ``inp`` and ``out``, millimetres)
    are read as well.

    Args:
        train: File to train on.
        validation: File that chooses the best checkpoint.
        test: File to test on; that of ``validation`` where none is given.
        skeleton: Joint order of published files, which do not say it.
        batch_size: Number of poses of a global batch.
        seed: Seed of the order of the training poses.
    """

    def __init__(
        self,
        train: str = "runs/h36m_selfsup/predictions/train.npz",
        validation: str = "runs/h36m_selfsup/predictions/validation.npz",
        test: str | None = None,
        skeleton: str = "h36m_mpii_order_16",
        batch_size: int = 64,
        seed: int = 1234,
    ) -> None:
        super().__init__()
        if batch_size < 2:
            raise LiftposeError(f"data.batch_size: expected at least 2 for batch normalisation, found {batch_size}")
        if not 0 <= seed < 2**32:
            raise LiftposeError(f"data.seed: expected a number from 0 to {2**32 - 1}, found {seed}")
        self.files = {"train": train, "validation": validation, "test": test or validation}
        self.skeleton = get_skeleton(skeleton)
        self.batch_size = batch_size
        self.seed = seed
        self._pairs: dict[str, PosePairs] = {}

    def pairs(self, split: str) -> PosePairs:
        """Return the poses of a split, read once.

        Args:
            split: "train", "validation" or "test"; "predict" stands for "test".

        Raises:
            LiftposeError: The file is missing or broken, or has no true poses.
        """
        name = "test" if split == "predict" else split
        if name not in self._pairs:
            path = Path(self.files[name])
            self._pairs[name] = _read(path, f"data.{name} {path}", self.skeleton)
        return self._pairs[name]

    def check(self, stage: str, network: Refiner) -> None:
        """Refuse a run whose poses are not there or have other joints than the network.

        Args:
            stage: "fit", "validate", "test" or "predict".
            network: The network of the run.

        Raises:
            LiftposeError: A file is missing or broken, or has other joints, or does not name the pictures of poses that
                are to be written anew.
        """
        if stage == "predict" and Path(self.files["test"]).suffix == ".pkl":
            raise LiftposeError(
                f"data.test: expected a file that liftpose predict has written, found {self.files['test']}, which does "
                "not name the pictures"
            )
        for split in {"fit": ("train", "validation"), "validate": ("validation",)}.get(stage, ("test",)):
            found = self.pairs(split).skeleton
            if found != network.skeleton:
                own = network.skeleton.name
                raise LiftposeError(
                    f"data.{split}: expected poses of {own} as the network has them, found {found.name} "
                    f"(--model.network.skeleton {found.name} makes a network for these joints)"
                )

    def _loader(self, split: str) -> DataLoader[IndexBatch]:
        return index_loader(
            IndexBatches(
                split,
                len(self.pairs(split)),
                self.batch_size,
                seed=self.seed if split == "train" else None,
                rank=self.trainer.global_rank if self.trainer else 0,
                world_size=self.trainer.world_size if self.trainer else 1,
            )
        )

    def train_dataloader(self) -> DataLoader[IndexBatch]:
        """Return the numbers of the training poses."""
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[IndexBatch]:
        """Return the numbers of the validation poses."""
        return self._loader("validation")

    def test_dataloader(self) -> DataLoader[IndexBatch]:
        """Return the numbers of the test poses."""
        return self._loader("test")

    def predict_dataloader(self) -> DataLoader[IndexBatch]:
        """Return the numbers of the poses to correct."""
        return self._loader("test")

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Gather the poses of a batch on the device.

        Args:
            batch: Numbers of poses.
            dataloader_idx: Number of the loader.
        """
        if not isinstance(batch, IndexBatch):
            return batch
        pairs = self._pairs[batch.split]
        if pairs.poses_3d.device != batch.indices.device:
            pairs = self._pairs[batch.split] = pairs.to(batch.indices.device)
        return PosePairBatch(
            pairs.poses_3d[batch.indices],
            pairs.truth_3d[batch.indices],
            batch.indices,
            batch.split,
            batch.weight,
            batch.place,
        )


def _read(path: Path, where: str, skeleton: Skeleton) -> PosePairs:
    """Read a file of pairs, ours or a published one."""
    if path.suffix == ".pkl":
        return _read_published(path, where, skeleton)
    if not path.is_file():
        raise LiftposeError(
            f"{where}: expected a file of predictions, found none (liftpose predict with a configuration of pictures, "
            "--data.predict_split train or validation, writes it)"
        )
    found = read_picture_predictions(path)
    if found.truth_3d is None or not np.isfinite(found.truth_3d).all():
        raise LiftposeError(f"{where}: expected predictions with the true poses of all joints, found some without")
    return PosePairs.from_columns(
        where,
        found.skeleton,
        found.poses_3d,
        found.truth_3d,
        found.subjects,
        found.actions,
        found.views,
        found.frames,
    )


def _read_published(path: Path, where: str, skeleton: Skeleton) -> PosePairs:
    """Read a published file: {'inp': (N, J, 3), 'out': (N, J, 3)}, millimetres."""
    try:
        with path.open("rb") as stream:
            content = load_pickled(stream)
    except OSError as error:
        raise LiftposeError(
            f"{where}: expected a file of poses, found {(error.strerror or str(error)).lower()}"
        ) from error
    except pickle.UnpicklingError as error:
        raise LiftposeError(f"{where}: expected a pickled dictionary of arrays, found {error}") from error
    arrays = [content.get(name) if isinstance(content, dict) else None for name in _PUBLISHED]
    for name, array in zip(_PUBLISHED, arrays, strict=True):
        if not isinstance(array, np.ndarray) or array.shape[1:] != (len(skeleton), 3) or array.dtype.kind != "f":
            found = f"{array.shape} of {array.dtype}" if isinstance(array, np.ndarray) else "none"
            raise LiftposeError(f"{where}: expected {name} of shape (N, {len(skeleton)}, 3), found {found}")
    poses, truth = (np.asarray(array, dtype=np.float64) / _MILLIMETRES for array in arrays)
    rows = len(poses)
    return PosePairs.from_columns(
        where, skeleton, poses, truth, ("",) * rows, ("",) * rows, np.zeros(rows, np.int64), np.arange(rows)
    )
