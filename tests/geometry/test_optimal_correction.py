"""The least correction of two views, against OpenCV's polynomial."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from liftpose.geometry import correct_matches

MAKE = Callable[..., Any]


def fundamental(P: Tensor) -> Tensor:
    """The fundamental matrix of two projection matrices, by the pseudo-inverse (Hartley and Zisserman, 9.2.2)."""
    centre = torch.linalg.svd(P[0]).Vh[-1]
    epipole = P[1] @ centre
    skew = torch.linalg.cross(torch.eye(3, dtype=P.dtype), epipole.expand(3, 3), dim=-1)
    return -skew @ P[1] @ torch.linalg.pinv(P[0])


def matches(make_scene: MAKE, views: list[int], sigma: float) -> tuple[Tensor, Tensor, Tensor]:
    scene = make_scene(8)
    noisy = scene.noisy(sigma)
    return noisy[:, views[0]], noisy[:, views[1]], fundamental(scene.cameras.projection_matrix[views])


def gaps(first: Tensor, second: Tensor, F: Tensor) -> Tensor:
    one, two = (torch.cat((points, torch.ones_like(points[..., :1])), -1) for points in (first, second))
    line, other = one @ F.mT, two @ F
    return (two * line).sum(-1).abs() / torch.minimum(line[..., :2].norm(dim=-1), other[..., :2].norm(dim=-1))


@pytest.mark.parametrize("sigma", [1.0, 3.0, 20.0])
@pytest.mark.parametrize("views", [[0, 1], [3, 2], [0, 2]])
def test_the_correction_is_that_of_the_polynomial(make_scene: MAKE, views: list[int], sigma: float) -> None:
    first, second, F = matches(make_scene, views, sigma)
    found = correct_matches(first, second, F)
    moved = (found.first - first).square().sum(-1) + (found.second - second).square().sum(-1)
    theirs = [
        torch.from_numpy(np.concatenate(pair))
        for pair in zip(
            *(
                cv2.correctMatches(F.numpy(), a[None].numpy(), b[None].numpy())
                for a, b in zip(first, second, strict=True)
            ),
            strict=True,
        )
    ]
    cost = (theirs[0] - first).square().sum(-1) + (theirs[1] - second).square().sum(-1)
    assert found.valid.all()
    assert gaps(found.first, found.second, F).max() < 1e-6
    # Next to the epipoles the least move has no single direction: only the amount is compared there.
    assert (moved <= cost * (1 + 1e-6) + 1e-9).all()
    usual = (cost - moved).abs() < 1e-6
    assert usual.float().mean() > 0.99
    near = (found.first - theirs[0]).norm(dim=-1)[usual]
    assert near.median() < 1e-6


def test_matches_that_agree_stay(make_scene: MAKE) -> None:
    first, second, F = matches(make_scene, [0, 1], 0.0)
    found = correct_matches(first, second, F)
    torch.testing.assert_close(found.first, first, rtol=0, atol=1e-8)
    torch.testing.assert_close(found.second, second, rtol=0, atol=1e-8)


def test_gradients_are_those_of_differences(make_scene: MAKE) -> None:
    first, second, F = matches(make_scene, [0, 1], 2.0)
    # Entries of the matrix differ by a million: each is moved by a share of itself.
    given = [value.clone().requires_grad_() for value in (first[0, :5], second[0, :5], torch.ones_like(F))]

    def run(one: Tensor, two: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        return correct_matches(one, two, F * shares)[:2]

    torch.autograd.gradcheck(run, given, eps=1e-6, atol=1e-4, rtol=1e-3)


def test_matrices_may_differ_in_a_batch(make_scene: MAKE) -> None:
    parts = [matches(make_scene, views, 2.0) for views in ([0, 1], [1, 2])]
    first, second, F = (torch.stack(values) for values in zip(*parts, strict=True))
    found = correct_matches(first, second, F.unsqueeze(1))
    for row, part in enumerate(parts):
        torch.testing.assert_close(found.first[row], correct_matches(*part).first, rtol=0, atol=1e-9)


def test_what_cannot_be_corrected_stays_and_says_so(make_scene: MAKE) -> None:
    first, second, F = matches(make_scene, [0, 1], 2.0)
    broken = first.clone()
    broken[0, 0, 1] = torch.nan
    found = correct_matches(broken, second, F)
    assert found.valid.sum() == found.valid.numel() - 1 and not found.valid[0, 0]
    assert torch.equal(found.second[0, 0], second[0, 0])
    assert found.second.isfinite().all()
    for nothing in (torch.zeros(3, 3), torch.full((3, 3), torch.nan)):
        points, matrix = first.clone().requires_grad_(), nothing.double().requires_grad_()
        found = correct_matches(points, second, matrix)
        assert not found.valid.any()
        assert torch.equal(found.first, first)
        gradients = torch.autograd.grad(found.first.sum(), (points, matrix), allow_unused=True, materialize_grads=True)
        assert all(gradient.isfinite().all() for gradient in gradients)


def test_float32_is_moved_as_exactly_as_it_can_say(make_scene: MAKE) -> None:
    first, second, F = matches(make_scene, [0, 1], 2.0)
    F = F / F.norm()
    exact = correct_matches(first, second, F)
    with torch.autocast("cpu", torch.bfloat16):
        found = correct_matches(first.float(), second.float(), F)
    assert found.first.dtype == torch.float32
    torch.testing.assert_close(found.first.double(), exact.first, rtol=0, atol=2e-4)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="expected points of one shape"):
        correct_matches(torch.zeros(4, 2), torch.zeros(5, 2), torch.eye(3))
    with pytest.raises(ValueError, match="fundamental: expected"):
        correct_matches(torch.zeros(4, 2), torch.zeros(4, 2), torch.eye(4))
