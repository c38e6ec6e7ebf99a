"""The benchmark of patches compares the same work; nothing is timed here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from patches_work import decoding, one_by_one, patches, write_pictures

from liftpose.data.patch_columns import PatchColumns, normalize_patches
from liftpose.datamodules import Augmentation, IndexBatches, PatchBatches
from liftpose.errors import LiftposeError

SIDE = (250, 240)


class _Unchanged(np.random.Generator):
    """Draws with which a sample stays as it is."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def normal(self, *_: Any, **__: Any) -> float:
        return 0.0

    def uniform(self, low: float, high: float, size: int | None = None) -> Any:
        return np.full(size or (), (low + high) / 2)


def test_both_make_the_same_patches_and_labels(tmp_path: Path) -> None:
    images = write_pictures(tmp_path, 3, SIDE)
    still = Augmentation(scale_factor=0, rotation=0, colour=0)
    batches = PatchBatches(IndexBatches("train", 3, 3, seed=1), images, (64, 64), augmentation=still)
    cut = batches[0, 0]
    ours = PatchColumns.of(images, "train", "cpu").batch(
        normalize_patches(cut.patches.permute(0, 3, 1, 2)), cut.indices, cut.to_image, 2.0 * cut.scale
    )
    for number, row in enumerate(cut.indices.tolist()):
        values, label = one_by_one(images, row, 64, [], _Unchanged())
        off = np.abs(ours.images[number].numpy() - values)
        assert off.mean() < 0.02
        torch.testing.assert_close(ours.labels[number], torch.from_numpy(label), atol=1e-4, rtol=0)


@pytest.mark.parametrize("occluded", [True, False])
def test_work_runs_again_and_again(tmp_path: Path, occluded: bool) -> None:
    work = patches(write_pictures(tmp_path, 3, SIDE), 64, occluded)
    for _ in range(2):
        assert len(work.ours().indices) == 3
        assert work.theirs is not None
        assert [tuple(column.shape) for column in work.theirs()] == [(3, 3, 64, 64), (3, 17, 3)]


def test_decoding_reads_all_pictures(tmp_path: Path) -> None:
    images = write_pictures(tmp_path, 2, SIDE)
    work = decoding(images)
    (tmp_path / images.files[1]).unlink()
    with pytest.raises(LiftposeError, match=r"1\.jpg"):
        work.ours()
