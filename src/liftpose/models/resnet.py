"""Residual networks for pictures, without a classifier: the trunk of the networks that look at images.

Source: K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, with the stride of a
bottleneck on its 3x3 convolution, as torchvision has it. The weights have torchvision's names.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Literal, get_args

from torch import Tensor, nn

from liftpose.errors import LiftposeError

__all__ = ["DEPTHS", "STRIDE", "Depth", "ResNet"]

Depth = Literal[18, 34, 50, 101, 152]
"""Numbers of layers of the networks in the paper."""

STRIDE: Final = 32
"""Pixels of a picture to one cell of the last stage."""

DEPTHS: Final[dict[int, tuple[int, int, int, int]]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
"""Number of blocks in each stage; from 50 layers on they are bottlenecks."""

_BOTTLENECK_FROM: Final = 50


class ResNet(nn.Module):
    """The stages of a residual network, which make small maps of features from pictures.

    Weights of torchvision's ImageNet networks fit by name; their classifier (``fc``) has no counterpart here.

    Args:
        layers: Number of layers: 18, 34, 50, 101 or 152.

    Attributes:
        layers: The same.
        features: Channels of the last stage: 512, or 2048 from 50 layers on.

    Raises:
        LiftposeError: There is no network with that number of layers.

    Example:
        >>> import torch
        >>> ResNet(18).trunk(torch.zeros(1, 3, 64, 64)).shape
        torch.Size([1, 512, 2, 2])
    """

    def __init__(self, layers: Depth = 50) -> None:
        super().__init__()
        if layers not in DEPTHS:
            raise LiftposeError(f"layers: expected one of {', '.join(map(str, get_args(Depth)))}, found {layers}")
        self.layers = layers
        block = _Bottleneck if layers >= _BOTTLENECK_FROM else _Basic
        self.features = 512 * block.expansion
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = 64
        for number, blocks in enumerate(DEPTHS[layers]):
            planes, stride = 64 * 2**number, 1 if number == 0 else 2
            stage = nn.Sequential()
            for index in range(blocks):
                stage.append(block(channels, planes, stride if index == 0 else 1))
                channels = planes * block.expansion
            self.add_module(f"layer{number + 1}", stage)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # He et al., ICCV 2015; as torchvision does where nothing is pretrained
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def trunk(self, images: Tensor) -> Tensor:
        """Map pictures to features.

        Args:
            images: (B, 3, H, W) RGB, normalised.

        Returns:
            (B, features, H / 32, W / 32), not negative.
        """
        maps: Tensor = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        for number in range(4):
            maps = self.get_submodule(f"layer{number + 1}")(maps)
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """Map pictures to features; see :meth:`trunk`."""
        return self.trunk(images)


class _Block(nn.Module):
    """Two or three convolutions, added to their input.

    Args:
        channels: Channels of the input.
        planes: Width of the 3x3 convolutions.
        stride: Of the first 3x3 convolution.
    """

    expansion = 1

    def __init__(self, channels: int, planes: int, stride: int) -> None:
        super().__init__()
        out = planes * self.expansion
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(
                OrderedDict({"0": nn.Conv2d(channels, out, 1, stride=stride, bias=False), "1": nn.BatchNorm2d(out)})
            )

    def residual(self, maps: Tensor) -> Tensor:
        """Return what is added to the input."""
        raise NotImplementedError

    def forward(self, maps: Tensor) -> Tensor:
        shortcut = maps if self.downsample is None else self.downsample(maps)
        result: Tensor = self.relu(self.residual(maps) + shortcut)
        return result


class _Basic(_Block):
    """Two convolutions of 3x3."""

    def __init__(self, channels: int, planes: int, stride: int) -> None:
        super().__init__(channels, planes, stride)
        self.conv1 = nn.Conv2d(channels, planes, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)

    def residual(self, maps: Tensor) -> Tensor:
        result: Tensor = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(maps)))))
        return result


class _Bottleneck(_Block):
    """A convolution of 3x3 between two of 1x1, on a quarter of the channels."""

    expansion = 4

    def __init__(self, channels: int, planes: int, stride: int) -> None:
        super().__init__(channels, planes, stride)
        self.conv1 = nn.Conv2d(channels, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, planes * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)

    def residual(self, maps: Tensor) -> Tensor:
        maps = self.relu(self.bn1(self.conv1(maps)))
        result: Tensor = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(maps)))))
        return result
