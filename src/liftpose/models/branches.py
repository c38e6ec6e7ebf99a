"""Layers for several small networks of equal shape that run as one.

A *branch* is one of G networks with the same architecture and their own weights. Everything here works on tensors whose
first axis is the branch, (G, rows, features), so that one batched matrix product serves all branches. Body parts differ
in their number of joints, so the first input and the last output differ in width from branch to branch: those two
layers keep one weight per part, without padding, and pad when they are used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liftpose.models.branch_ops import Statistics, dropout_mask, normalise_activate_drop

__all__ = [
    "NEGATIVE_SLOPE",
    "BranchConv",
    "BranchFCBlocks",
    "BranchLinear",
    "BranchNorm",
    "PartConv",
    "PartLinear",
    "dropout",
]

NEGATIVE_SLOPE = 0.2
"""Slope below zero of every leaky ReLU of RIE."""


def dropout(features: Tensor, p: float) -> Tensor:
    """Set each element to zero with probability p and scale the others so that the mean stays.

    On the CPU the random numbers are those of :func:`liftpose.models.branch_ops.dropout_mask`, cheaper than torch's.

    Args:
        features: Any shape, floating point.
        p: Probability in [0, 1).

    Returns:
        Tensor of the same shape; ``features`` itself when p is 0.
    """
    if p == 0:
        return features
    if features.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(features, p)
    kept, factor = dropout_mask(torch.Size((1, features.numel())), p)
    return features * kept.view(features.shape).to(features.dtype).mul_(factor)


class BranchLinear(nn.Module):
    """A linear layer with bias for each branch, computed by one batched matrix product.

    Args:
        branches: Number of branches, G.
        in_features: Width of the input.
        out_features: Width of the output.
    """

    def __init__(self, branches: int, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(branches, in_features, out_features))
        self.bias = nn.Parameter(torch.empty(branches, out_features))
        _init_uniform(in_features, self.weight, self.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Map (G, rows, in_features) to (G, rows, out_features)."""
        return torch.baddbmm(self.bias[:, None], features, self.weight)


class BranchConv(nn.Module):
    """A temporal convolution without bias for each branch, whose stride is its width.

    No frame is read twice, so the convolution is a matrix product on a view of the input.

    Args:
        branches: Number of branches, G.
        width: Number of frames that make one output frame.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
    """

    def __init__(self, branches: int, width: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(branches, width, in_channels, out_channels))
        _init_uniform(width * in_channels, self.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Map (G, rows * width, in_channels), time running fastest along the rows, to (G, rows, out_channels)."""
        return _strided_conv(features, self.weight)


class PartConv(nn.Module):
    """A :class:`BranchConv` whose branches differ in their number of input channels.

    Args:
        in_channels: Channels of each body part's input.
        width: Number of frames that make one output frame.
        out_channels: Channels of the output.
    """

    def __init__(self, in_channels: Mapping[str, int], width: int, out_channels: int) -> None:
        super().__init__()
        self.padded_channels = max(in_channels.values())
        self.weights = nn.ParameterDict()
        for part, channels in in_channels.items():
            self.weights[part] = nn.Parameter(torch.empty(width, channels, out_channels))
            _init_uniform(width * channels, self.weights[part])

    def padded_weight(self) -> Tensor:
        """Return the weights of all parts as one (G, width, most channels of any part, out_channels), filled with 0."""
        weights = [F.pad(w, (0, 0, 0, self.padded_channels - w.shape[1])) for w in self.weights.values()]
        return torch.stack(weights)

    def forward(self, features: Tensor) -> Tensor:
        """Map (G, rows * width, most channels of any part) to (G, rows, out_channels).

        What stands in the channels beyond a part's own does not matter as long as it is finite.
        """
        return _strided_conv(features, self.padded_weight())


class PartLinear(nn.Module):
    """A :class:`BranchLinear` whose branches differ in the width of their output.

    Args:
        in_features: Width of the input.
        out_features: Width of each body part's output.
    """

    def __init__(self, in_features: int, out_features: Mapping[str, int]) -> None:
        super().__init__()
        self.padded_features = max(out_features.values())
        self.weights = nn.ParameterDict()
        self.biases = nn.ParameterDict()
        for part, features in out_features.items():
            self.weights[part] = nn.Parameter(torch.empty(in_features, features))
            self.biases[part] = nn.Parameter(torch.empty(features))
            _init_uniform(in_features, self.weights[part], self.biases[part])

    def forward(self, features: Tensor) -> Tensor:
        """Map (G, rows, in_features) to (G, rows, widest output of any part), zero beyond a part's own width."""
        weights = [F.pad(w, (0, self.padded_features - w.shape[-1])) for w in self.weights.values()]
        biases = [F.pad(b, (0, self.padded_features - b.shape[-1])) for b in self.biases.values()]
        return torch.baddbmm(torch.stack(biases)[:, None], features, torch.stack(weights))


class BranchNorm(nn.Module):
    """Batch normalisation of each branch by itself, then leaky ReLU and dropout.

    The normalisation is that of ``nn.BatchNorm1d`` (biased variance inside the batch, unbiased in the running
    statistics), with the rows of a branch as its batch.

    Args:
        branches: Number of branches, G.
        channels: Number of channels.
        p: Probability with which dropout sets an element to zero in training.
        momentum: Weight of the newest batch in the running statistics.
        eps: Added to the variance.
        slope: Slope below zero of the leaky ReLU; 0 makes it a plain one.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self,
        branches: int,
        channels: int,
        p: float,
        momentum: float = 0.1,
        eps: float = 1e-5,
        slope: float = NEGATIVE_SLOPE,
    ) -> None:
        super().__init__()
        self.p = p
        self.momentum = momentum
        self.eps = eps
        self.slope = slope
        self.weight = nn.Parameter(torch.ones(branches, channels))
        self.bias = nn.Parameter(torch.zeros(branches, channels))
        self.register_buffer("running_mean", torch.zeros(branches, channels))
        self.register_buffer("running_var", torch.ones(branches, channels))
        self.register_buffer("num_batches_tracked", torch.zeros(branches, dtype=torch.long))

    def forward(self, features: Tensor, residual: Tensor | None = None) -> Tensor:
        """Map (G, rows, channels) to the same shape, and add a residual of that shape.

        In evaluation without gradients the result takes the place of the features.

        Raises:
            ValueError: In training there is only one row, which has no variance.
        """
        return self.each([features], None if residual is None else [residual])[0]

    def each(self, pieces: Sequence[Tensor], residuals: Sequence[Tensor] | None = None) -> list[Tensor]:
        """Do the same with pieces (g, rows, channels) that hold g successive branches each.

        Args:
            pieces: All branches in order, in pieces of one size.
            residuals: What is added to each piece, or None.

        Returns:
            As many pieces.

        Raises:
            ValueError: In training there is only one row, which has no variance.
        """
        if self.training:
            self.num_batches_tracked += 1
        count = len(pieces)
        parts = (self.running_mean, self.running_var, self.weight, self.bias)
        split = zip(*(torch.split(part, len(part) // count) for part in parts), strict=True)
        step = self._train if self.training else self._evaluate
        added: Sequence[Tensor | None] = residuals or [None] * count
        return [step(piece, residual, *own) for piece, residual, own in zip(pieces, added, split, strict=True)]

    def _evaluate(
        self, features: Tensor, residual: Tensor | None, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor
    ) -> Tensor:
        """Normalise with the running statistics, activate, add; in place where no gradient is wanted."""
        scale = weight * torch.rsqrt(var + self.eps)
        shift = bias - mean * scale
        if torch.is_grad_enabled():
            activated = F.leaky_relu_(torch.addcmul(shift[:, None], features, scale[:, None]), self.slope)
            return activated if residual is None else residual + activated
        # In place: on a CPU, fresh memory for large activations costs more than what is computed into it.
        activated = F.leaky_relu_(features.mul_(scale[:, None]).add_(shift[:, None]), self.slope)
        return activated if residual is None else activated.add_(residual)

    def _train(
        self, features: Tensor, residual: Tensor | None, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor
    ) -> Tensor:
        compiled = torch.compiler.is_compiling()  # a compiler joins the layers itself
        if features.device.type == "cpu" and not (compiled or torch.is_autocast_enabled("cpu")):
            statistics = Statistics(mean, var, self.momentum, self.eps)
            return normalise_activate_drop(features, weight, bias, statistics, self.slope, self.p, residual)
        # torch has no batch normalisation for this layout that does not copy it first.
        branches = zip(features.unbind(), mean.unbind(), var.unbind(), weight.unbind(), bias.unbind(), strict=True)
        each = [F.batch_norm(*branch, training=True, momentum=self.momentum, eps=self.eps) for branch in branches]
        normalised = torch.stack(each) if len(each) > 1 else each[0][None]
        activated = dropout(F.leaky_relu_(normalised, self.slope), self.p)
        return activated if residual is None else residual + activated


class BranchFCBlocks(nn.Module):
    """The fully connected network of each branch: a linear layer, residual blocks of two layers, a linear layer.

    Args:
        branches: Number of branches, G.
        in_features: Width of the input.
        hidden_dim: Width of the layers between.
        blocks: Number of residual blocks.
        output: Last layer, from (G, rows, hidden_dim).
        p: Probability of dropout in training.
    """

    def __init__(
        self, branches: int, in_features: int, hidden_dim: int, blocks: int, output: nn.Module, p: float
    ) -> None:
        super().__init__()
        self.input = BranchLinear(branches, in_features, hidden_dim)
        self.input_norm = BranchNorm(branches, hidden_dim, p)
        self.blocks = nn.ModuleList(_FCResidual(branches, hidden_dim, p) for _ in range(blocks))
        self.output = output

    def forward(self, features: Tensor) -> Tensor:
        """Map (G, rows, in_features) to what ``output`` makes of (G, rows, hidden_dim)."""
        hidden = _normalised(self.input, self.input_norm, features)
        for block in self.blocks:
            hidden = block(hidden)
        result: Tensor = self.output(hidden)
        return result


class _FCResidual(nn.Module):
    """Two linear layers, each with normalisation, activation and dropout, added to their input."""

    def __init__(self, branches: int, features: int, p: float) -> None:
        super().__init__()
        self.first = BranchLinear(branches, features, features)
        self.first_norm = BranchNorm(branches, features, p)
        self.second = BranchLinear(branches, features, features)
        self.second_norm = BranchNorm(branches, features, p)

    def forward(self, features: Tensor) -> Tensor:
        hidden = _normalised(self.first, self.first_norm, features)
        return _normalised(self.second, self.second_norm, hidden, features)


def _normalised(linear: BranchLinear, norm: BranchNorm, features: Tensor, residual: Tensor | None = None) -> Tensor:
    """Apply a linear layer, then its normalisation."""
    if norm.training or torch.is_grad_enabled():
        result: Tensor = norm(linear(features), residual)
        return result
    # In evaluation the layer's bias moves the mean instead of every element.
    mean = norm.running_mean - linear.bias
    return norm._evaluate(torch.bmm(features, linear.weight), residual, mean, norm.running_var, norm.weight, norm.bias)


def _strided_conv(features: Tensor, weight: Tensor) -> Tensor:
    """Multiply (G, rows * width, in) by (G, width, in, out): (G, rows, out)."""
    branches, width, in_channels, _ = weight.shape
    return torch.bmm(features.reshape(branches, -1, width * in_channels), weight.flatten(1, 2))


def _init_uniform(fan_in: int, *tensors: Tensor) -> None:
    """Fill the tensors as torch's own layers do by default: uniform within 1 / sqrt(fan_in) of one branch."""
    bound = 1 / math.sqrt(fan_in)
    for tensor in tensors:
        nn.init.uniform_(tensor, -bound, bound)
