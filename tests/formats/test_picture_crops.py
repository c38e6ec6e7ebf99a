"""What is kept of pictures gives nearly the patches of the pictures themselves, and nothing stale or broken."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from liftpose.errors import LiftposeError
from liftpose.formats.images import cut_patch
from liftpose.formats.picture_crops import PictureCrops
from liftpose.geometry import patch_to_image

SIZE = (64, 96)
BOX = (390.0, 310.0, 220.0, 300.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    small = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(cv2.resize(small, (800, 600), interpolation=cv2.INTER_CUBIC)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def crops(path: Path, **changes: object) -> PictureCrops:
    options = {"patch_size": SIZE, "scale_factor": 0.25, "turned": True} | changes
    return PictureCrops(path.parent / "crops", **options)  # type: ignore[arg-type]


def a_map(scale: float, angle: float, mirrored: bool, box: tuple[float, ...] = BOX) -> np.ndarray:
    return patch_to_image(
        torch.tensor(box, dtype=torch.float64), SIZE, torch.tensor(scale), torch.tensor(angle), torch.tensor(mirrored)
    ).numpy()


@pytest.mark.parametrize("box", [BOX, (40.0, 560.0, 300.0, 200.0), (400.0, 300.0, 50.0, 90.0)])
@pytest.mark.parametrize(("scale", "angle"), [(1.0, 0.0), (1.25, 1.0471), (0.75, -0.9)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_patches_are_those_of_the_picture(
    path: Path, box: tuple[float, ...], scale: float, angle: float, mirrored: bool
) -> None:
    to_image = a_map(scale, angle, mirrored, box)
    expected = cut_patch(path, to_image, SIZE).astype(float)
    first = crops(path).cut_patch(path, box, to_image)
    off = np.abs(first - expected)
    assert off.mean() < 1.5  # what JPEG does
    for shift in (
        [[0, 0, 1.0], [0, 0, 0]],
        [[0, 0, -1.0], [0, 0, 0]],
        [[0, 0, 0], [0, 0, 1.0]],
        [[0, 0, 0], [0, 0, -1.0]],
    ):
        assert off.mean() < np.abs(first - cut_patch(path, to_image + np.array(shift), SIZE).astype(float)).mean()
    # Also in the corners of patches that reach far and are turned; at the picture's border a pixel is half black.
    inside = cv2.erode((expected > 0).all(-1).astype(np.uint8), np.ones((5, 5))) > 0
    assert off[inside].max() < 12
    assert np.array_equal(crops(path).cut_patch(path, box, to_image), first)


def test_the_picture_is_decoded_once(path: Path) -> None:
    to_image = a_map(1.0, 0.0, False)
    first = crops(path).cut_patch(path, BOX, to_image)
    state = path.stat()
    path.write_bytes(b"0" * state.st_size)  # nothing that could be decoded
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert np.array_equal(crops(path).cut_patch(path, BOX, to_image), first)
    (file,) = (path.parent / "crops").rglob("*.jpg")
    with Image.open(file) as kept:
        # As fine as a patch that is zoomed in, no finer.
        assert max(kept.size) <= 1.25 * np.hypot(*BOX[2:]) * (96 / 300) / 0.75 + 5
    # Another zoom, another box, another picture under the name: what is kept does not count.
    with pytest.raises(LiftposeError, match=r"a\.png: expected a picture"):
        crops(path, scale_factor=0.3).cut_patch(path, BOX, to_image)
    with pytest.raises(LiftposeError, match=r"a\.png: expected a picture"):
        crops(path).cut_patch(path, (*BOX[:3], 301.0), to_image)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    with pytest.raises(LiftposeError, match=r"a\.png: expected a picture"):
        crops(path).cut_patch(path, BOX, to_image)


@pytest.mark.parametrize("damage", [b"", b"something else"])
def test_what_is_damaged_is_made_again(path: Path, damage: bytes) -> None:
    to_image = a_map(1.0, 0.3, False)
    first = crops(path).cut_patch(path, BOX, to_image)
    (file,) = (path.parent / "crops").rglob("*.jpg")
    whole = file.read_bytes()
    file.write_bytes(damage or whole[: len(whole) // 2])
    assert np.array_equal(crops(path).cut_patch(path, BOX, to_image), first)
    assert file.read_bytes() == whole


def test_a_place_that_is_none_is_made_again(path: Path) -> None:
    to_image = a_map(1.0, 0.3, False)
    first = crops(path).cut_patch(path, BOX, to_image)
    (file,) = (path.parent / "crops").rglob("*.jpg")
    Image.new("RGB", (30, 30)).save(file, comment="5 5 5 5")
    assert np.array_equal(crops(path).cut_patch(path, BOX, to_image), first)


def test_a_folder_that_cannot_be_written_costs_no_picture(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A full disk is nothing that is wrong with a picture: otherwise it would be left out as one that is broken."""
    to_image = a_map(1.0, 0.3, False)
    (path.parent / "file").write_bytes(b"")
    kept = PictureCrops(path.parent / "file", SIZE, 0.25, True)
    for _ in range(2):
        assert np.array_equal(kept.cut_patch(path, BOX, to_image), crops(path).cut_patch(path, BOX, to_image))
    assert caplog.text.count("data.crops: pictures whose parts cannot be kept are decoded each time") == 1


def test_bad_pictures_are_refused_and_nothing_is_kept(path: Path) -> None:
    with pytest.raises(LiftposeError, match=r"missing\.png: expected a picture, found no such file"):
        crops(path).cut_patch(path.with_name("missing.png"), BOX, a_map(1.0, 0.0, False))
    far = (3000.0, 300.0, 100.0, 100.0)
    with pytest.raises(LiftposeError, match=r"expected a box within the picture of 800 x 600 pixels, found one around"):
        crops(path).cut_patch(path, far, a_map(1.0, 0.0, False, far))
    assert not (path.parent / "crops").exists()
