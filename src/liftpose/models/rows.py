"""Layers over rows of features, under the names and in the shapes that torch's own layers give their weights.

A network of a public code keeps its names of weights with these layers, and does its work as products of matrices: the
examples and joints of a batch are the rows of one matrix, channels its columns.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from liftpose.models.branches import BranchNorm

__all__ = ["Pointwise", "RowNorm"]


class RowNorm(BranchNorm):
    """Batch normalisation of rows, then leaky ReLU and dropout; its tensors are those of ``nn.BatchNorm1d``.

    Args:
        channels: Number of channels.
        p: Probability with which dropout sets an element to zero in training.
        slope: Slope below zero of the leaky ReLU; 0 makes it a plain one, 1 leaves it out.
    """

    def __init__(self, channels: int, p: float = 0.0, slope: float = 0.0) -> None:
        super().__init__(1, channels, p, slope=slope)
        for name in ("weight", "bias"):
            setattr(self, name, nn.Parameter(getattr(self, name).data[0]))
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            setattr(self, name, getattr(self, name)[0])

    def forward(self, features: Tensor, residual: Tensor | None = None) -> Tensor:
        """Map (rows, channels) to the same shape, and add a residual of that shape.

        In evaluation without gradients the result takes the place of the features.

        Raises:
            ValueError: In training there is only one row, which has no variance.
        """
        if self.training:
            self.num_batches_tracked += 1
        step = self._train if self.training else self._evaluate
        added = None if residual is None else residual[None]
        own = (self.running_mean, self.running_var, self.weight, self.bias)
        return step(features[None], added, *(tensor[None] for tensor in own))[0]


class Pointwise(nn.Conv2d):
    """A convolution of width one, as a product of matrices; its tensors are those of ``nn.Conv2d``.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=1)

    @property
    def matrix(self) -> Tensor:
        """The weights as (out_channels, in_channels)."""
        return self.weight.flatten(1)

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., in_channels) to (..., out_channels)."""
        return F.linear(input, self.matrix, self.bias)
