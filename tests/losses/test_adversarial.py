"""Losses of generators and critics: closed forms, gradients, what counts as an item."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from liftpose.losses import (
    lsgan_critic_loss,
    lsgan_generator_loss,
    wgan_critic_loss,
    wgan_generator_loss,
)


def items(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# ------------------------------------------------------------------------------------------------------- Wasserstein
@given(st.floats(0.01, 100.0), st.floats(0.0, 50.0))
def test_a_linear_critic_is_penalised_by_its_slope(slope: float, penalty_weight: float) -> None:
    direction = items(5, 3, seed=1)
    weight = (slope * direction / direction.norm()).requires_grad_()
    real, fake = items(7, 5, 3, seed=2), items(7, 5, 3, seed=3)
    found = wgan_critic_loss(lambda x: (x * weight).sum((1, 2)), real, fake, torch.rand(7).double(), penalty_weight)
    difference = (real.mean(0) - fake.mean(0)).detach()
    assert found.wasserstein.item() == pytest.approx((weight * difference).sum().item(), rel=1e-9, abs=1e-12)
    assert found.gradient_penalty.item() == pytest.approx(penalty_weight * (slope - 1) ** 2, rel=1e-9, abs=1e-12)
    assert found.loss.item() == pytest.approx((found.gradient_penalty - found.wasserstein).item(), rel=1e-9, abs=1e-12)
    found.loss.backward()
    expected = 2 * penalty_weight * (slope - 1) * weight.detach() / slope - difference
    torch.testing.assert_close(weight.grad, expected)


def test_the_gradient_is_taken_between_real_and_generated_items() -> None:
    """With D = |x|^2 / 2 the gradient is x itself."""
    real, fake, mix = items(4, 2, 3), items(4, 2, 3, seed=1), torch.rand(4).double()
    found = wgan_critic_loss(lambda x: x.square().sum((1, 2)) / 2, real, fake, mix, 1.0)
    between = mix[:, None, None] * real + (1 - mix)[:, None, None] * fake
    expected = (between.flatten(1).norm(dim=1) - 1).square().mean()
    torch.testing.assert_close(found.gradient_penalty, expected)


def test_the_shape_of_the_mix_says_what_an_item_is() -> None:
    real, fake = items(4, 6, 2, 3), items(4, 6, 2, 3, seed=1)

    def penalty(mix: Tensor) -> Tensor:
        found = wgan_critic_loss(lambda x: x.square().flatten(1).sum(1) / 2, real, fake, mix.double(), 1.0)
        return found.gradient_penalty

    torch.testing.assert_close(penalty(torch.ones(4)), (real.flatten(1).norm(dim=1) - 1).square().mean())
    torch.testing.assert_close(penalty(torch.ones(4, 6)), (real.flatten(2).norm(dim=2) - 1).square().mean())
    torch.testing.assert_close(penalty(torch.ones(4, 6, 2, 3)), (real.abs() - 1).square().mean())


def test_a_critic_without_slope_has_finite_gradients() -> None:
    weight = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    found = wgan_critic_loss(lambda x: x @ weight, items(5, 3), items(5, 3, seed=1), torch.rand(5).double())
    found.loss.backward()
    assert found.gradient_penalty.item() == pytest.approx(10.0)
    assert weight.grad is not None
    assert weight.grad.isfinite().all()


def test_a_critic_is_asked_for_its_gradient_if_it_knows_it() -> None:
    class Steep:
        def __call__(self, items: Tensor) -> Tensor:
            return items.sum((1, 2))

        def input_gradient(self, items: Tensor) -> Tensor:
            return torch.full_like(items, 3.0)

    found = wgan_critic_loss(Steep(), items(5, 2, 2), items(5, 2, 2), torch.rand(5).double(), 1.0)
    assert found.gradient_penalty.item() == pytest.approx((6 - 1) ** 2)


def test_generated_items_get_no_gradient() -> None:
    fake, weight = items(5, 3).requires_grad_(), items(3).requires_grad_()
    found = wgan_critic_loss(lambda x: x @ weight, items(5, 3, seed=1), fake, torch.rand(5).double())
    assert torch.autograd.grad(found.loss, [weight, fake], allow_unused=True)[1] is None
    assert not found.wasserstein.requires_grad
    assert not found.gradient_penalty.requires_grad


@pytest.mark.parametrize("shape", [(), (4,), (5, 2), (5, 3, 1)])
def test_shapes_that_do_not_belong_together(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="mix: expected a shape"):
        wgan_critic_loss(lambda x: x.sum(1), items(5, 3), items(5, 3), torch.ones(shape).double())
    with pytest.raises(ValueError, match=r"fake: expected the shape \(5, 3\) of the real items, found \(6, 3\)"):
        wgan_critic_loss(lambda x: x.sum(1), items(5, 3), items(6, 3), torch.ones(5).double())


def test_half_precision_is_raised() -> None:
    real = torch.full((4000, 1), 1.0, dtype=torch.bfloat16)
    found = wgan_critic_loss(lambda x: x.sum(1), real, torch.zeros_like(real), torch.rand(4000).bfloat16())
    assert found.loss.dtype == torch.float32
    assert found.wasserstein.item() == 1.0
    assert wgan_generator_loss(torch.tensor([1.0, 3.0])).item() == -2.0


# ----------------------------------------------------------------------------------------------------- least squares
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6), st.lists(st.floats(-5, 5), min_size=1, max_size=6))
def test_least_squares_in_closed_form(real: list[float], fake: list[float]) -> None:
    scores = torch.tensor(real, dtype=torch.float64), torch.tensor(fake, dtype=torch.float64)
    of_real, of_fake = [(x - 1) ** 2 for x in real], [x**2 for x in fake]
    expected = (math.fsum(of_real) / len(real) + math.fsum(of_fake) / len(fake)) / 2
    assert lsgan_critic_loss(*scores).item() == pytest.approx(expected, abs=1e-12)
    expected = math.fsum((x - 1) ** 2 for x in fake) / len(fake) / 2
    assert lsgan_generator_loss(scores[1]).item() == pytest.approx(expected, abs=1e-12)
