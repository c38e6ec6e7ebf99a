"""Benchmarks of training patches from picture files; ``make bench BENCH='-k patches'`` runs them."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
from measuring import Measure
from patches_work import PICTURES, decoding, patches, write_pictures

from liftpose.formats.picture_crops import PictureCrops

ROUNDS = 7


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cv2.setNumThreads(1)
    return tmp_path_factory.mktemp("pictures")


@pytest.mark.parametrize("way", ["", "reduced decoding", "kept parts"])
@pytest.mark.parametrize("size", [256, 128])
@pytest.mark.parametrize("occluded", [True, False])
def test_patches(measure: Measure, root: Path, size: int, occluded: bool, way: str) -> None:
    crops = PictureCrops(root / "crops", (size, size), 0.25, True) if way == "kept parts" else None
    work = patches(write_pictures(root, PICTURES), size, occluded, way == "reduced decoding", crops)
    name = ", ".join(part for part in (f"patches of {size}", "occluded" if occluded else "", way) if part)
    measure(name, work, ROUNDS, 1.5)


def test_patches_decoding(measure: Measure, root: Path) -> None:
    measure("decoding alone (beside OpenCV)", decoding(write_pictures(root, PICTURES)), ROUNDS)
