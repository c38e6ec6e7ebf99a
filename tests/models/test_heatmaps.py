"""The places that heat maps stand for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from liftpose.models import HeatmapPose
from liftpose.models.heatmaps import heatmap_peaks


def decoded(heatmap: npt.NDArray[np.float32]) -> tuple[float, float, float]:
    """Decode one map as Xiao et al. (ECCV 2018) describe it: x and y in cells, and the height of the peak."""
    height, width = heatmap.shape
    y, x = (int(cell) for cell in np.unravel_index(int(heatmap.argmax()), heatmap.shape))
    peak = float(heatmap[y, x])
    if peak <= 0:
        x = y = 0
    across, down = float(x), float(y)
    if 1 < x < width - 1 and 1 < y < height - 1:
        across += 0.25 * float(np.sign(heatmap[y, x + 1] - heatmap[y, x - 1]))
        down += 0.25 * float(np.sign(heatmap[y + 1, x] - heatmap[y - 1, x]))
    return across, down, peak


def test_a_loop_over_maps_finds_the_same() -> None:
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(12, 16, 6, 9)).astype(np.float32)
    maps[0, 0] = -1 - maps[0, 0] ** 2  # nothing seen
    maps[0, 1] = 0
    maps[1, 0, 3, 4], maps[1, 0, 3, 3], maps[1, 0, 3, 5] = 9, 1, 1  # neighbours of one height: not moved across
    found = heatmap_peaks(torch.from_numpy(maps))
    assert found.coordinates.dtype == torch.float32
    moved = 0
    for place in np.ndindex(12, 16):
        x, y, peak = decoded(maps[place])
        moved += x % 1 != 0
        expected = [x / 9 - 0.5, y / 6 - 0.5, 0]
        np.testing.assert_allclose(found.coordinates[place], expected, atol=1e-6)
        assert float(found.confidence[place]) == pytest.approx(min(max(peak, 0), 1))
    assert 20 < moved < 190  # peaks inside and at the border


def test_the_quarter_brings_a_blob_nearer_than_its_cell() -> None:
    rows, columns = np.mgrid[:32, :32]
    for x, y in ((10.3, 17.7), (20.4, 8.2), (15.75, 15.6)):
        blob = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 2**2))
        found = (heatmap_peaks(torch.from_numpy(blob)).coordinates[:2] + 0.5) * 32
        assert np.abs(found.numpy() - (x, y)).max() <= 0.25 + 1e-4


def test_cells_are_those_of_the_reference(reference: Path) -> None:
    golden = np.load(reference / "golden/cdrnet/heatmap_decode.npz")
    for kind in ("sq", "rect"):
        maps = golden[f"{kind}_heatmap"]
        sizes = np.array(maps.shape[:1:-1])
        found, confidence = heatmap_peaks(torch.from_numpy(maps))
        cells = np.round((found[..., :2].numpy() + 0.5) * sizes)
        np.testing.assert_array_equal(cells, golden[f"{kind}_argmax"])
        peaks = golden[f"{kind}_maxval"].reshape(confidence.shape)
        np.testing.assert_allclose(confidence, peaks.clip(0, 1), rtol=1e-6)
        nothing = maps.copy()
        nothing[0, 0] = golden[f"{kind}_neg_heatmap00"]
        seen = heatmap_peaks(torch.from_numpy(nothing))
        np.testing.assert_array_equal(
            np.round((seen.coordinates[..., :2].numpy() + 0.5) * sizes), golden[f"{kind}_neg_argmax"]
        )


def test_a_network_of_heat_maps_predicts_their_peaks() -> None:
    network = HeatmapPose(layers=18, image_size=(64, 96), deconv_channels=(8, 8, 8)).eval()
    torch.nn.init.normal_(network.final_layer.weight, std=3)
    images = torch.randn(2, 3, 96, 64)
    found = network.predict(images)
    maps = network(images).detach().numpy()
    assert found.coordinates.shape == (2, 16, 3) and not found.coordinates.requires_grad
    x, y, _ = decoded(maps[1, 5])
    np.testing.assert_allclose(found.coordinates[1, 5], [x / 16 - 0.5, y / 24 - 0.5, 0], atol=1e-6)


def test_maps_without_cells_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected heat maps \(..., H, W\), found shape \(2, 0, 4\)"):
        heatmap_peaks(torch.zeros(2, 0, 4))
