"""Objects that are pasted over patches, beside the public code's numbers and OpenCV."""

from __future__ import annotations

from pathlib import Path

import cv2
import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from liftpose.data import BatchPlace, Draws
from liftpose.data.occlusion import Occluders, Paste, draw_pastes, paste_occluders


def single(width: int, height: int, size: tuple[int, int], corner: tuple[int, int]) -> Paste:
    """One object, the first, on the first patch."""
    zero = torch.tensor([0])
    return Paste(zero, zero, torch.tensor([size]), torch.tensor([corner]), (width, height), size)


def as_patch(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float32))


def resized(thing: np.ndarray, width: int, height: int) -> np.ndarray:
    """The object by ours: pasted with full opacity over nothing, one colour and the opacity after another."""
    channels = []
    for channel in range(4):
        opaque = np.full_like(thing, 255)
        opaque[..., :3] = thing[..., channel : channel + 1]
        paste = single(thing.shape[1], thing.shape[0], (width, height), (0, 0))
        found = paste_occluders(torch.zeros(1, 3, height, width), [paste], Occluders.from_pictures([opaque]))
        channels.append(found[0, 0].numpy())
    return np.stack(channels, axis=-1)


def test_objects_are_pasted_as_published(reference: Path) -> None:
    with np.load(reference / "golden/epipolar/patch.npz") as file:
        patch = dict(file)
    thing, image = patch["occluder"], patch["image_rgb"]
    occluders = Occluders.from_pictures([thing])
    height, width = thing.shape[:2]
    for centre, expected in zip(patch["paste_centers"], patch["paste_result"], strict=True):
        left, top = (int(value) for value in np.round(centre) - np.array([width // 2, height // 2]))
        paste = single(width, height, (width, height), (left, top))
        found = paste_occluders(as_patch(image), [paste], occluders)
        assert np.array_equal(found[0].numpy().transpose(1, 2, 0), expected)
    for name, worst in {"occ_half": 1, "occ_x1p6": 1, "occ_0p37": 0}.items():
        expected = patch[name]
        found = resized(thing, expected.shape[1], expected.shape[0])
        assert np.abs(found - expected).max() <= worst  # OpenCV reads bilinearly in fixed-point numbers


@given(st.integers(2, 40), st.integers(2, 40), st.integers(1, 60), st.integers(1, 60))
@settings(max_examples=60)
def test_objects_are_resized_as_opencv_does(width: int, height: int, new_width: int, new_height: int) -> None:
    if (new_width > width) != (new_height > height):
        new_width, new_height = min(new_width, width), min(new_height, height)
    rng = np.random.default_rng(width * 41 + height)
    thing = rng.integers(0, 256, (height, width, 4), dtype=np.uint8)
    way = cv2.INTER_LINEAR if new_width > width else cv2.INTER_AREA
    expected = cv2.resize(thing, (new_width, new_height), interpolation=way)
    if way == cv2.INTER_LINEAR or not (new_width == width) != (new_height == height):
        assert np.abs(resized(thing, new_width, new_height) - expected).max() <= 1


def test_many_objects_come_one_after_the_other() -> None:
    rng = np.random.default_rng(3)
    things = [rng.integers(0, 256, (height, width, 4), dtype=np.uint8) for height, width in ((9, 14), (20, 5), (3, 3))]
    images = rng.integers(0, 256, (6, 32, 24, 3), dtype=np.uint8)
    pastes = draw_pastes(Draws(4, BatchPlace(0, 0, 0, 6, 6)), Occluders.from_pictures(things), (24, 32), 1.0)
    own = [torch.tensor([things[k].shape[1::-1] for k in paste.objects]) for paste in pastes]
    pastes = [
        Paste.of(paste.rows, paste.objects, sizes, paste.corners, Occluders.from_pictures(things))
        for paste, sizes in zip(pastes, own, strict=True)
    ]
    found = paste_occluders(
        torch.from_numpy(images).permute(0, 3, 1, 2).float(), pastes, Occluders.from_pictures(things)
    )
    expected = images.astype(np.float32)
    for paste in pastes:
        for row, number, (left, top) in zip(paste.rows, paste.objects, paste.corners.tolist(), strict=True):
            thing = things[number].astype(np.float32)
            for y in range(thing.shape[0]):
                for x in range(thing.shape[1]):
                    if 0 <= top + y < 32 and 0 <= left + x < 24:
                        opacity = thing[y, x, 3:] / np.float32(255)
                        below = expected[row, top + y, left + x]
                        expected[row, top + y, left + x] = np.floor(opacity * thing[y, x, :3] + (1 - opacity) * below)
    np.testing.assert_array_equal(found.permute(0, 2, 3, 1).numpy(), expected)


def test_a_patch_without_objects_stays_as_it_is() -> None:
    images = torch.randint(0, 256, (5, 3, 16, 16)).float()
    occluders = Occluders.from_pictures([np.full((4, 4, 4), 255, dtype=np.uint8)])
    place = BatchPlace(1, 2, 0, 5, 5)
    assert draw_pastes(Draws(1, place), occluders, (16, 16), 0.0) == ()
    pastes = draw_pastes(Draws(1, place), occluders, (16, 16), 0.5)
    hit = set(torch.cat([paste.rows for paste in pastes]).tolist())
    found = paste_occluders(images, pastes, occluders)
    for row in range(5):
        assert row in hit or torch.equal(found[row], images[row])


def test_draws_are_as_published() -> None:
    occluders = Occluders.from_pictures([np.zeros((100, 50, 4), np.uint8), np.zeros((200, 100, 4), np.uint8)])
    count = 20_000
    pastes = draw_pastes(Draws(9, BatchPlace(0, 0, 0, count, count)), occluders, (128, 192), 1.0)
    shares = torch.tensor([float(len(paste.rows)) for paste in pastes]) / count
    torch.testing.assert_close(shares, (7 - torch.arange(7.0)) / 7, atol=0.015, rtol=0)
    first = pastes[0]
    factors = first.sizes[:, 1] / torch.tensor([100.0, 200.0])[first.objects]
    assert float(factors.min()) == pytest.approx(0.2 * 0.5, abs=0.006)
    assert float(factors.max()) == pytest.approx(0.5, abs=0.006)
    centres = first.corners + first.sizes // 2
    assert centres.amin(0).tolist() == [0, 0]
    assert centres.amax(0).tolist() == [128, 192]
    assert float(first.objects.double().mean()) == pytest.approx(0.5, abs=0.015)


def test_sizes_have_to_add_up() -> None:
    with pytest.raises(ValueError, match="expected pixels of 1 objects"):
        Occluders(torch.zeros(5, 4, dtype=torch.uint8), torch.tensor([2]), torch.tensor([3]))
