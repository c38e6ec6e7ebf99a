"""Temporal convolutions that join frames until one is left: what RIE and VideoPose3D have in common."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from liftpose.errors import LiftposeError
from liftpose.models.branch_ops import strided_conv
from liftpose.models.branches import NEGATIVE_SLOPE, BranchConv, BranchNorm

__all__ = ["TemporalBlock", "check_filter_widths", "check_probabilities", "check_sizes"]


class TemporalBlock(nn.Module):
    """Joins each ``width`` successive frames into one; one of them is carried past as the residual.

    Args:
        branches: Number of branches, G.
        width: Number of frames that become one.
        channels: Channels of input and output, C.
        causal: Whether the last frame of a group is carried past, in place of the middle one.
        dropout: Probability of dropout.
        slope: Slope below zero of the leaky ReLU; 0 makes it a plain one.
    """

    def __init__(
        self,
        branches: int,
        width: int,
        channels: int,
        causal: bool,
        dropout: float,
        slope: float = NEGATIVE_SLOPE,
    ) -> None:
        super().__init__()
        self.width = width
        # In a causal model the current frame is the last one of every group, and the residual follows it.
        self.carried = width - 1 if causal else width // 2
        self.conv = BranchConv(branches, width, channels, channels)
        self.conv_norm = BranchNorm(branches, channels, dropout, slope=slope)
        self.mix = BranchConv(branches, 1, channels, channels)
        self.mix_norm = BranchNorm(branches, channels, dropout, slope=slope)

    def forward(self, pieces: list[Tensor]) -> list[Tensor]:
        """Map pieces of (G, rows * width, C), time running fastest, to pieces of (G, rows, C)."""
        size = len(self.conv.weight) // len(pieces)
        joined = [
            strided_conv(piece, weight, self.carried)
            for piece, weight in zip(pieces, torch.split(self.conv.weight, size), strict=True)
        ]
        hidden = self.conv_norm.each([convolved for convolved, _ in joined])
        weights = torch.split(self.mix.weight.flatten(1, 2), size)
        mixed = [torch.bmm(piece, weight) for piece, weight in zip(hidden, weights, strict=True)]
        return self.mix_norm.each(mixed, [carried for _, carried in joined])


def check_filter_widths(filter_widths: Sequence[int]) -> None:
    """Refuse widths of temporal convolutions that have no middle.

    Args:
        filter_widths: The widths.

    Raises:
        LiftposeError: There is none, or one is even or not positive.
    """
    if not filter_widths or any(width < 1 or width % 2 == 0 for width in filter_widths):
        raise LiftposeError(f"filter_widths: expected odd positive numbers, found {tuple(filter_widths)}")


def check_sizes(**sizes: int) -> None:
    """Refuse a layer without channels.

    Args:
        sizes: Numbers of channels by the name of their option.

    Raises:
        LiftposeError: One is less than 1.
    """
    for name, size in sizes.items():
        if size < 1:
            raise LiftposeError(f"{name}: expected at least 1, found {size}")


def check_probabilities(**probabilities: float) -> None:
    """Refuse probabilities of dropout with which nothing would be left.

    Args:
        probabilities: Probabilities by the name of their option.

    Raises:
        LiftposeError: One is negative, or 1 or more.
    """
    for name, p in probabilities.items():
        if not 0 <= p < 1:
            raise LiftposeError(f"{name}: expected a probability of at least 0 and below 1, found {p}")
