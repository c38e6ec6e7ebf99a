"""Losses of a generator and of the critics that it is trained against."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from liftpose.geometry.precision import full_precision

__all__ = [
    "CriticLoss",
    "SlopedCritic",
    "lsgan_critic_loss",
    "lsgan_generator_loss",
    "wgan_critic_loss",
    "wgan_generator_loss",
]

# Below the square root of this a gradient counts as zero, where its norm has no derivative.
_LEAST_SQUARE = 1e-24


@runtime_checkable
class SlopedCritic(Protocol):
    """A critic that knows how to compute its own gradient, cheaper than autograd does."""

    def __call__(self, items: Tensor) -> Tensor:
        """Score items."""

    def input_gradient(self, items: Tensor) -> Tensor:
        """Return the gradient of the sum of the scores with respect to the items, differentiable in the weights."""


class CriticLoss(NamedTuple):
    """The loss of a critic and what it is made of.

    Args:
        loss: () ``gradient_penalty - wasserstein``, differentiable in the critic's weights.
        wasserstein: () mean score of the real items less that of the generated ones, without gradient.
        gradient_penalty: () what the penalty adds to the loss, its weight included, without gradient.
    """

    loss: Tensor
    wasserstein: Tensor
    gradient_penalty: Tensor


@full_precision
def wgan_critic_loss(
    critic: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    mix: Tensor,
    penalty_weight: float = 10.0,
) -> CriticLoss:
    r"""Loss of a critic that estimates the Wasserstein distance of generated items from real ones.

    .. math:: \overline{D(fake)} - \overline{D(real)} + \lambda\,\overline{(\lVert\nabla_x D(x)\rVert - 1)^2},
        \quad x = a\,real + (1 - a)\,fake

    Source: I. Gulrajani, F. Ahmed, M. Arjovsky, V. Dumoulin, A. Courville, "Improved Training of Wasserstein GANs",
    NeurIPS 2017, equation 3. The shape of ``mix`` says what an item is: the norm is taken over all dimensions that
    follow. With clips (B, T, J, C), a ``mix`` of (B,) makes one item of each clip and one of (B, T) one of each frame.

    Args:
        critic: The critic, which maps (B, ...), of the shape of ``real``, to scores (B, ...). One that is a
            :class:`SlopedCritic` is asked for its gradient; others are differentiated twice by autograd.
        real: (*items, ...) real items; any unit.
        fake: Generated items, same shape.
        mix: (*items) the numbers a, drawn uniformly from [0, 1]; at least one dimension.
        penalty_weight: The weight lambda of the gradient penalty.

    Returns:
        The loss and its parts. Nothing depends on the gradient of ``fake``: the generator gets none.

    Raises:
        ValueError: Two shapes do not belong together.
    """
    if real.shape != fake.shape:
        raise ValueError(f"fake: expected the shape {tuple(real.shape)} of the real items, found {tuple(fake.shape)}")
    if not mix.ndim or mix.shape != real.shape[: mix.ndim]:
        raise ValueError(f"mix: expected a shape that {tuple(real.shape)} begins with, found {tuple(mix.shape)}")
    real, fake = real.detach(), fake.detach()
    wasserstein = critic(real).mean() - critic(fake).mean()  # not joined: half the batch stays in a processor's cache

    share = mix.reshape(*mix.shape, *(1,) * (real.ndim - mix.ndim))
    between = torch.lerp(fake, real, share)
    gradient = _input_gradient(critic, between)
    square = gradient.flatten(mix.ndim).square().sum(-1) if gradient.ndim > mix.ndim else gradient.square()
    norm = square.clamp_min(_LEAST_SQUARE).sqrt()
    penalty = penalty_weight * (norm - 1).square().mean()
    return CriticLoss(penalty - wasserstein, wasserstein.detach(), penalty.detach())


def _input_gradient(critic: Callable[[Tensor], Tensor], items: Tensor) -> Tensor:
    """Return the gradient of a critic's scores by the items that it scores, differentiable in its weights."""
    if isinstance(critic, SlopedCritic):
        return critic.input_gradient(items)
    items = items.detach().requires_grad_()
    return torch.autograd.grad(critic(items).sum(), items, create_graph=True)[0]


@full_precision
def wgan_generator_loss(scores: Tensor) -> Tensor:
    """Loss of a generator whose critic estimates the Wasserstein distance: less the mean score.

    Args:
        scores: (...) the critic's scores of generated items.

    Returns:
        () the loss.
    """
    return -scores.mean()


@full_precision
def lsgan_critic_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Loss of a critic that scores real items 1 and generated ones 0, by least squares.

    Source: X. Mao, Q. Li, H. Xie, R. Lau, Z. Wang, S. Smolley, "Least Squares Generative Adversarial Networks", ICCV
    2017, equation 9.

    Args:
        real_scores: (...) scores of real items.
        fake_scores: (...) scores of generated items.

    Returns:
        () half the sum of the two mean squares.
    """
    return ((real_scores - 1).square().mean() + fake_scores.square().mean()) / 2


@full_precision
def lsgan_generator_loss(fake_scores: Tensor) -> Tensor:
    """Loss of a generator whose items are to be scored 1, by least squares.

    The published code of PoseAug adds the real items' mean square, in which there is nothing to train.

    Args:
        fake_scores: (...) the critic's scores of generated items.

    Returns:
        () half the mean square.
    """
    return (fake_scores - 1).square().mean() / 2
