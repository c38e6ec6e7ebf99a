"""The expectation of a volume against sums over its bins, one by one."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import liftpose.models.soft_argmax as module
from liftpose.models.soft_argmax import soft_argmax, soft_argmax_with_peak


def by_definition(volume: Tensor, half_pixel: bool = False) -> tuple[Tensor, float]:
    """The expected bin of one volume (D, H, W), and the peak of its marginal in the picture."""
    probabilities = torch.softmax(volume.double().flatten(), 0).view(volume.shape)
    place = torch.zeros(3, dtype=torch.float64)
    for bins in itertools.product(*(range(size) for size in volume.shape)):
        for axis, (index, size) in enumerate(zip(reversed(bins), reversed(volume.shape), strict=True)):
            place[axis] += probabilities[bins] * ((index + half_pixel / 2) / size - 0.5)
    return place, float(probabilities.sum(0).max())


@given(st.tuples(*[st.integers(1, 5)] * 3), st.booleans(), st.floats(0.1, 30), st.integers(0, 2**31))
def test_it_is_the_expected_bin(sizes: tuple[int, int, int], half_pixel: bool, scale: float, seed: int) -> None:
    volumes = scale * torch.randn(2, 2, *sizes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = soft_argmax_with_peak(volumes, half_pixel)
    for sample, joint in itertools.product(range(2), range(2)):
        place, peak = by_definition(volumes[sample, joint], half_pixel)
        torch.testing.assert_close(found.coordinates[sample, joint], place, rtol=1e-12, atol=1e-12)
        assert math.isclose(found.confidence[sample, joint], peak, rel_tol=1e-12)
    assert torch.equal(soft_argmax(volumes, half_pixel), found.coordinates)


@pytest.mark.parametrize("half_pixel", [False, True])
@pytest.mark.parametrize("in_cache", [1, 2**20])
def test_its_own_gradient_is_the_derivative(half_pixel: bool, in_cache: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IN_CACHE", in_cache)  # in parts, and all at once
    volumes = torch.randn(3, 2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda scores: soft_argmax(scores, half_pixel), volumes)


def test_neither_the_parts_nor_the_layout_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = torch.randn(5, 4 * 6, 8, 10)
    results = []
    for layout, in_cache in itertools.product((torch.contiguous_format, torch.channels_last), (1, 4000, 2**20)):
        monkeypatch.setattr(module, "_IN_CACHE", in_cache)
        scores = maps.clone(memory_format=layout).requires_grad_(True)
        coordinates = soft_argmax(scores.view(5, 4, 6, 8, 10))
        coordinates.square().sum().backward()
        results.append((coordinates, scores.grad))
    for coordinates, gradient in results[1:]:
        torch.testing.assert_close(coordinates, results[0][0])
        torch.testing.assert_close(gradient, results[0][1])


def test_scores_of_16_bits_are_summed_in_32() -> None:
    scores = (3 * torch.randn(2, 3, 16, 16, 16)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = soft_argmax(scores)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, soft_argmax(scores.double()).float(), rtol=1e-5, atol=1e-6)
    halves, whole = scores.clone().requires_grad_(True), scores.double().requires_grad_(True)
    for leaf in (halves, whole):
        soft_argmax(leaf).square().sum().backward()
    assert halves.grad is not None and halves.grad.dtype == torch.bfloat16
    torch.testing.assert_close(halves.grad.double(), whole.grad, rtol=1e-2, atol=1e-6)


def test_large_scores_do_not_overflow() -> None:
    volume = torch.full((1, 4, 4, 4), -1e30)
    volume[0, 3, 1, 2] = 1e30
    found = soft_argmax_with_peak(volume.requires_grad_(True))
    assert found.coordinates.tolist() == [[0.0, -0.25, 0.25]]
    assert found.confidence.tolist() == [1.0]
    found.coordinates.sum().backward()
    assert volume.grad is not None and torch.equal(volume.grad, torch.zeros_like(volume))


def test_a_compiler_and_an_export_see_the_same_function() -> None:
    volumes, weights = torch.randn(3, 2, 4, 6, 8), torch.randn(3, 2, 3)
    gradients = []
    for function in (soft_argmax, torch.compile(soft_argmax, backend="aot_eager", fullgraph=True)):
        leaf = volumes.clone().requires_grad_(True)
        (function(leaf) * weights).sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(gradients[1], gradients[0])

    class Whole(torch.nn.Module):
        def forward(self, scores: Tensor) -> Tensor:
            return soft_argmax(scores)

    exported = torch.export.export(Whole(), (volumes,)).module()
    torch.testing.assert_close(exported(volumes), soft_argmax(volumes))


def test_a_volume_without_bins_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected volumes of scores \(\.\.\., D, H, W\), found shape \(2, 0, 4\)"):
        soft_argmax(torch.zeros(2, 0, 4))


def test_no_samples_are_no_coordinates() -> None:
    assert soft_argmax(torch.zeros(0, 17, 4, 4, 4)).shape == (0, 17, 3)


def test_the_public_coordinates_are_reached(reference: Path) -> None:
    golden = np.load(reference / "golden/epipolar/integral_loss.npz")
    volumes = torch.from_numpy(golden["vol"])
    found = soft_argmax(volumes.unflatten(1, (int(golden["num_joints"]), -1)))
    np.testing.assert_allclose(found.flatten(1), golden["coords"], rtol=0, atol=1e-6)
    uneven = torch.from_numpy(golden["vol_d12_h10_w8"]).unflatten(1, (3, 12))
    np.testing.assert_allclose(soft_argmax(uneven).flatten(1), golden["coords_d12_h10_w8"], rtol=0, atol=1e-6)
