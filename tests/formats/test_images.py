"""Pictures of all kinds and patches of them, beside OpenCV's reading and warping and closed forms."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from liftpose.errors import LiftposeError
from liftpose.formats.images import cut_patch, read_picture, warp_patch
from liftpose.geometry import patch_to_image

SIZE = (64, 48)
BOX = (70.0, 50.0, 60.0, 45.0)


def picture(width: int = 130, height: int = 100, seed: int = 0) -> np.ndarray:
    """A picture that is smooth enough for two ways of reading between its pixels to agree."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def a_map(box: tuple[float, ...] = BOX, scale: float = 1.0, angle: float = 0.0, mirrored: bool = False) -> np.ndarray:
    return patch_to_image(
        torch.tensor(box, dtype=torch.float64), SIZE, torch.tensor(scale), torch.tensor(angle), torch.tensor(mirrored)
    ).numpy()


def bilinear(image: np.ndarray, to_image: np.ndarray) -> np.ndarray:
    """The patch by the formula: bilinear, 0 outside."""
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    u, v = np.einsum("ij,jhw->ihw", to_image, np.stack((columns, rows, np.ones_like(rows))).astype(float))
    padded = np.pad(image.astype(float), ((1, 1), (1, 1), (0, 0)))
    u, v = np.clip(u + 1, 0, padded.shape[1] - 1.001), np.clip(v + 1, 0, padded.shape[0] - 1.001)
    left, top = np.floor(u).astype(int), np.floor(v).astype(int)
    a, b = (u - left)[..., None], (v - top)[..., None]
    return (
        padded[top, left] * (1 - a) * (1 - b)
        + padded[top, left + 1] * a * (1 - b)
        + padded[top + 1, left] * (1 - a) * b
        + padded[top + 1, left + 1] * a * b
    )


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".jpg", ".webp"])
def test_pictures_are_those_that_opencv_and_pillow_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a picture{suffix}"
    assert cv2.imwrite(str(path), picture()[..., ::-1])
    found = read_picture(path)
    assert found.dtype == np.uint8
    with Image.open(path) as image:
        by_pillow = np.asarray(image.convert("RGB"))
    for expected in (cv2.imread(str(path))[..., ::-1], by_pillow):
        assert found.shape == expected.shape
        worst = np.abs(found.astype(int) - expected).max()
        assert worst <= (2 if suffix in {".jpg", ".webp"} else 0)  # decoders round differently


@pytest.mark.parametrize("kind", ["L", "CMYK", "RGB, then zeros", "RGB, progressive"])
def test_jpeg_files_of_all_kinds_are_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.jpg"
    plain = Image.fromarray(picture())
    plain.convert(kind.partition(",")[0]).save(path, quality=95, progressive="progressive" in kind)
    if "zeros" in kind:
        path.write_bytes(path.read_bytes() + b"\0" * 1000)
    expected = np.asarray(plain.convert(kind.partition(",")[0]).convert("RGB")).astype(int)
    assert np.abs(read_picture(path) - expected).mean() < 3
    patch = cut_patch(path, a_map(), SIZE)
    assert np.abs(patch - bilinear(expected, a_map())).mean() < 3


def test_grey_transparent_and_deep_pictures_become_rgb(tmp_path: Path) -> None:
    grey = picture()[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(read_picture(tmp_path / "grey.png"), np.repeat(grey[..., None], 3, axis=-1))
    clear = np.dstack((picture(), np.arange(130, dtype=np.uint8)[None].repeat(100, 0)))
    Image.fromarray(clear).save(tmp_path / "clear.png")
    assert np.array_equal(read_picture(tmp_path / "clear.png"), clear[..., :3])
    deep = (grey.astype(np.uint16) << 8) + 77
    assert cv2.imwrite(str(tmp_path / "deep.png"), deep)
    assert np.array_equal(read_picture(tmp_path / "deep.png")[..., 1], grey)
    Image.fromarray(grey).convert("P").save(tmp_path / "palette.png")
    assert np.array_equal(read_picture(tmp_path / "palette.png")[..., 2], grey)
    colours = np.dstack([picture(seed=seed)[..., 0] for seed in range(3)]).astype(np.uint16) << 8
    assert cv2.imwrite(str(tmp_path / "deep_colours.png"), colours[..., ::-1])
    assert np.array_equal(read_picture(tmp_path / "deep_colours.png"), colours >> 8)


def test_the_orientation_is_left_alone_unless_asked_for(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    Image.fromarray(picture()).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_picture(tmp_path / "turned.png"), picture())
    upright = np.rot90(picture(), -1)
    assert np.array_equal(read_picture(tmp_path / "turned.png", upright=True), upright)
    box = (50.0, 70.0, 45.0, 60.0)
    found = cut_patch(tmp_path / "turned.png", a_map(box), SIZE, upright=True, reduced=True)
    assert np.array_equal(found, warp_patch(np.ascontiguousarray(upright), a_map(box), SIZE))


@pytest.mark.parametrize("angle", [0.0, 0.5, -2.5])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_patch_is_the_bilinear_reading_of_the_picture(tmp_path: Path, angle: float, mirrored: bool) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(picture()).save(path)
    for box in (BOX, (5.0, 95.0, 60.0, 45.0), (65.0, 50.0, 400.0, 300.0)):  # inside, over the border, around all of it
        to_image = a_map(box, 1.1, angle, mirrored)
        found = cut_patch(path, to_image, SIZE)
        assert np.abs(found - bilinear(picture(), to_image)).max() <= 3.5  # OpenCV reads at 1/32 pixels
        # The part of the picture that is decoded makes no difference.
        assert np.abs(found.astype(int) - warp_patch(picture(), to_image, SIZE)).max() <= 1


def test_a_patch_is_the_published_one(reference: Path) -> None:
    with np.load(reference / "golden/epipolar/patch.npz") as file:
        patch = dict(file)
    mean, std = patch["mean"][:, None, None], patch["std"][:, None, None]
    for case in ("eval", "aug", "augflip"):
        scale, degrees, flip, *colours = (1, 0, 0, 1, 1, 1) if case == "eval" else patch[f"sample_{case}_params"]
        to_image = patch_to_image(
            torch.from_numpy(patch["sample_box"]),
            (64, 64),
            torch.tensor(float(scale)),
            torch.tensor(float(np.deg2rad(degrees))),
            torch.tensor(bool(flip)),
        )
        cut = warp_patch(patch["image_rgb"], to_image.numpy(), (64, 64)).transpose(2, 0, 1)
        found = (np.clip(cut * np.array(colours)[:, None, None], 0, 255) - mean) / std
        off = np.abs(found - patch[f"sample_{case}_img"])
        assert off.max() <= 1.2 / 57.12 + 1e-6  # one grey level, normalised after the largest of the factors
        assert off.mean() <= 0.003


def test_a_jpeg_is_decoded_smaller_where_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    large = cv2.resize(picture(300, 220), (1203, 902), interpolation=cv2.INTER_CUBIC)
    Image.fromarray(large).save(path, quality=95)
    box = (600.0, 450.0, 640.0, 480.0)  # ten pixels to one of the patch
    to_image = a_map(box, angle=0.3)
    plain = cut_patch(path, to_image, SIZE).astype(float)
    reduced = cut_patch(path, to_image, SIZE, reduced=True).astype(float)
    assert not np.array_equal(plain, reduced)
    # The mean of the pixels that each stands for, which is what the plain reading leaves out.
    means = large[:896, :1200].reshape(112, 8, 150, 8, 3).mean((1, 3))
    half = np.array([[0, 0, 0.5], [0, 0, 0.5]])
    expected = bilinear(means, (to_image + half) / 8 - half)
    assert np.abs(reduced - expected).mean() < 0.8
    # A box that is hardly larger than the patch is read from the whole picture.
    near = a_map((600.0, 450.0, 120.0, 90.0))
    assert np.array_equal(cut_patch(path, near, SIZE), cut_patch(path, near, SIZE, reduced=True))


def test_broken_files_are_named(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jpg"
    Image.fromarray(picture()).save(whole)
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    text = tmp_path / "text.jpg"
    text.write_text("no picture")
    empty = tmp_path / "empty.png"
    empty.touch()
    png = tmp_path / "broken.png"
    Image.fromarray(picture()).save(png)
    png.write_bytes(png.read_bytes()[:200] + b"\0" * 4000)
    for path in (cut, text, empty, png, tmp_path):
        with pytest.raises(LiftposeError, match="expected a picture, found a file that cannot be decoded") as caught:
            cut_patch(path, a_map(), SIZE)
        assert str(path) in str(caught.value)
    with pytest.raises(LiftposeError, match=r"missing\.jpg: expected a picture, found no such file"):
        read_picture(tmp_path / "missing.jpg")


def test_a_picture_of_a_hundred_million_pixels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    Image.new("1", (12000, 12000)).save(path)
    with pytest.raises(LiftposeError, match=r"huge\.png: expected a picture of at most 89 million pixels"):
        read_picture(path)


def test_a_box_outside_the_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(picture()).save(path)
    with pytest.raises(
        LiftposeError, match=r"a\.png: expected a box within the picture of 130 x 100 pixels, found one"
    ):
        cut_patch(path, a_map((400.0, 50.0, 60.0, 45.0)), SIZE)
