"""Networks that find the joints of a person in a picture: a residual trunk and a head of deconvolutions.

Sources: B. Xiao, H. Wu, Y. Wei, "Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018 (the head and its
heat maps); X. Sun, B. Xiao, F. Wei, S. Liang, Y. Wei, "Integral Human Pose Regression", ECCV 2018 (volumes and their
expectation); in the form that M. Kocabas, S. Karagoz, E. Akbas, "Self-Supervised Learning of 3D Human Pose using
Multi-view Geometry", CVPR 2019, train. The weights have the published names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import torch
from torch import Tensor, nn

from liftpose.errors import LiftposeError
from liftpose.models.heatmaps import heatmap_peaks
from liftpose.models.resnet import STRIDE, Depth, ResNet
from liftpose.models.soft_argmax import Peaked, soft_argmax, soft_argmax_with_peak
from liftpose.models.temporal import check_sizes
from liftpose.skeletons import Skeleton, get_skeleton, mirror

__all__ = ["HeatmapPose", "IntegralPose", "PoseResNet", "mirror_coordinates", "predict_flip_averaged"]

_DECONVOLUTIONS: Final = {4: (1, 0), 3: (1, 1), 2: (0, 0)}  # kernel -> padding and output padding that double the size
_FINAL: Final = {1: 0, 3: 1}  # kernel -> padding that keeps the size
_HEAD_STD: Final = 0.001


class PoseResNet(ResNet):
    """A residual trunk, deconvolutions that double the size of the maps, and a convolution to the outputs.

    Args:
        skeleton: Joint order of the outputs, or its name.
        layers: Number of layers of the trunk.
        image_size: Width and height of the pictures in pixels.
        outputs: Maps of each joint.
        deconv_channels: Channels of each deconvolution.
        deconv_kernels: Kernel of each: 4, 3 or 2.
        final_kernel: Kernel of the last convolution: 1 or 3.

    Attributes:
        skeleton: The joint order.
        image_size: Width and height of the pictures in pixels.
        outputs: Maps of each joint.

    Raises:
        LiftposeError: An argument is out of range.
    """

    def __init__(
        self,
        skeleton: str | Skeleton,
        layers: Depth,
        image_size: Sequence[int],
        outputs: int,
        deconv_channels: Sequence[int],
        deconv_kernels: Sequence[int],
        final_kernel: int,
    ) -> None:
        super().__init__(layers)
        self.skeleton = get_skeleton(skeleton)
        self.image_size = _checked_size(image_size)
        self.outputs = outputs
        if len(deconv_channels) != len(deconv_kernels):
            raise LiftposeError(
                f"deconv_kernels: expected one for each of the {len(deconv_channels)} deconvolutions, found "
                f"{len(deconv_kernels)}"
            )
        if not set(deconv_kernels) <= set(_DECONVOLUTIONS):
            raise LiftposeError(f"deconv_kernels: expected kernels of 4, 3 or 2, found {tuple(deconv_kernels)}")
        if final_kernel not in _FINAL:
            raise LiftposeError(f"final_kernel: expected 1 or 3, found {final_kernel}")
        check_sizes(deconv_channels=min(deconv_channels, default=1))
        self.deconv_layers = nn.Sequential()
        channels = self.features
        for wider, kernel in zip(deconv_channels, deconv_kernels, strict=True):
            padding, extra = _DECONVOLUTIONS[kernel]
            self.deconv_layers.append(
                nn.ConvTranspose2d(channels, wider, kernel, stride=2, padding=padding, output_padding=extra, bias=False)
            )
            self.deconv_layers.append(nn.BatchNorm2d(wider))
            self.deconv_layers.append(nn.ReLU(inplace=True))
            channels = wider
        self.final_layer = nn.Conv2d(channels, len(self.skeleton) * outputs, final_kernel, padding=_FINAL[final_kernel])
        self.reset_head()
        # With channels last in memory, convolutions in bf16 are faster on CPUs and GPUs; images follow the weights.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def reset_head(self) -> None:
        """Draw the weights of the head anew, as published: N(0, 0.001), so that every joint starts at the middle."""
        for module in (*self.deconv_layers, self.final_layer):
            if isinstance(module, nn.ConvTranspose2d | nn.Conv2d):
                nn.init.normal_(module.weight, std=_HEAD_STD)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()

    def maps(self, images: Tensor) -> Tensor:
        """Return all outputs of the last convolution.

        Args:
            images: (B, 3, H, W) RGB, normalised; H and W those of ``image_size``.

        Returns:
            (B, J * outputs of a joint, H', W').

        Raises:
            ValueError: The shape is another.
        """
        width, height = self.image_size
        if images.ndim != 4 or images.shape[1:] != (3, height, width):
            raise ValueError(f"expected images (B, 3, {height}, {width}), found shape {tuple(images.shape)}")
        result: Tensor = self.final_layer(self.deconv_layers(self.trunk(images)))
        return result

    def predict(self, images: Tensor) -> Peaked:
        """Find the joints of the people in pictures.

        Args:
            images: (B, 3, H, W) RGB, normalised; H and W those of ``image_size``.

        Returns:
            (B, J, 3) label units, and (B, J) confidence, comparable within one network only.

        Raises:
            ValueError: The shape is another.
        """
        raise NotImplementedError


class IntegralPose(PoseResNet):
    """Estimate a 3D pose from one picture: a volume of scores for every joint, and the place that it expects.

    A joint is given in label units: x and y are its place over the picture's width and height less one half, z its
    depth over what the volume spans, 0 the depth of the root.

    Args:
        skeleton: Joint order of the poses, or its name.
        layers: Number of layers of the trunk: 18, 34, 50, 101 or 152.
        image_size: Width and height of the pictures in pixels, multiples of 32.
        depth_bins: Bins of the volumes along the depth, D.
        deconv_channels: Channels of each deconvolution; every one doubles the size of the maps.
        deconv_kernels: Kernel of each deconvolution: 4, 3 or 2.
        final_kernel: Kernel of the last convolution: 1 or 3.
        half_pixel: Whether a bin stands for its centre instead of its left edge, as published weights have it.

    Attributes:
        skeleton: The joint order.
        image_size: Width and height of the pictures in pixels.
        depth_bins: D.

    Raises:
        LiftposeError: An argument is out of range.

    Example:
        >>> network = IntegralPose(layers=18, image_size=(64, 64), depth_bins=8, deconv_channels=(16, 16, 16)).eval()
        >>> network(torch.zeros(1, 3, 64, 64)).shape
        torch.Size([1, 17, 3])
    """

    def __init__(
        self,
        skeleton: str | Skeleton = "h36m_17",
        layers: Depth = 50,
        image_size: Sequence[int] = (256, 256),
        depth_bins: int = 64,
        deconv_channels: Sequence[int] = (256, 256, 256),
        deconv_kernels: Sequence[int] = (4, 4, 4),
        final_kernel: Literal[1, 3] = 1,
        half_pixel: bool = False,
    ) -> None:
        check_sizes(depth_bins=depth_bins)
        super().__init__(skeleton, layers, image_size, depth_bins, deconv_channels, deconv_kernels, final_kernel)
        self.depth_bins = depth_bins
        self.half_pixel = half_pixel

    def volumes(self, images: Tensor) -> Tensor:
        """Return the scores of all places of every joint.

        Args:
            images: (B, 3, H, W) RGB, normalised; H and W those of ``image_size``.

        Returns:
            (B, J, D, H', W') scores before the softmax; H' and W' are a quarter of H and W with three deconvolutions.

        Raises:
            ValueError: The shape is another.
        """
        maps = self.maps(images)
        return maps.view(len(maps), len(self.skeleton), self.depth_bins, *maps.shape[2:])

    def forward(self, images: Tensor) -> Tensor:
        """Estimate the poses of the people in pictures.

        Args:
            images: (B, 3, H, W) RGB, normalised; H and W those of ``image_size``.

        Returns:
            (B, J, 3) label units, float32 or float64 also under mixed precision.

        Raises:
            ValueError: The shape is another.
        """
        return soft_argmax(self.volumes(images), self.half_pixel)

    def predict(self, images: Tensor) -> Peaked:
        """Estimate the poses of the people in pictures, and how sure the network is of every joint.

        Args:
            images: (B, 3, H, W) RGB, normalised; H and W those of ``image_size``.

        Returns:
            (B, J, 3) label units, and (B, J) confidence: the largest probability of one cell of the picture plane. It
            depends on the number of cells and is comparable only within one network.

        Raises:
            ValueError: The shape is another.
        """
        return soft_argmax_with_peak(self.volumes(images), self.half_pixel)


class HeatmapPose(PoseResNet):
    """Find the joints of a person in a picture by one heat map each (Xiao et al., ECCV 2018).

    Args:
        skeleton: Joint order of the maps, or its name.
        layers: Number of layers of the trunk: 18, 34, 50, 101 or 152.
        image_size: Width and height of the pictures in pixels, multiples of 32.
        deconv_channels: Channels of each deconvolution; every one doubles the size of the maps.
        deconv_kernels: Kernel of each deconvolution: 4, 3 or 2.
        final_kernel: Kernel of the last convolution: 1 or 3.

    Attributes:
        skeleton: The joint order.
        image_size: Width and height of the pictures in pixels.

    Raises:
        LiftposeError: An argument is out of range.

    Example:
        >>> network = HeatmapPose(layers=18, image_size=(64, 64), deconv_channels=(16, 16, 16)).eval()
        >>> network(torch.zeros(1, 3, 64, 64)).shape
        torch.Size([1, 16, 16, 16])
    """

    def __init__(
        self,
        skeleton: str | Skeleton = "mpii_16",
        layers: Depth = 50,
        image_size: Sequence[int] = (256, 256),
        deconv_channels: Sequence[int] = (256, 256, 256),
        deconv_kernels: Sequence[int] = (4, 4, 4),
        final_kernel: Literal[1, 3] = 1,
    ) -> None:
        super().__init__(skeleton, layers, image_size, 1, deconv_channels, deconv_kernels, final_kernel)

    def forward(self, images: Tensor) -> Tensor:
        """Return the heat maps of pictures.

        Args:
            images: (B, 3, H, W) RGB, normalised; H and W those of ``image_size``.

        Returns:
            (B, J, H', W'); H' and W' are a quarter of H and W with three deconvolutions.

        Raises:
            ValueError: The shape is another.
        """
        return self.maps(images)

    def predict(self, images: Tensor) -> Peaked:
        """Find the joints of the people in pictures, to a quarter of a cell.

        Args:
            images: (B, 3, H, W) RGB, normalised; H and W those of ``image_size``.

        Returns:
            (B, J, 3) label units, of which the depth is 0: heat maps do not show it; and (B, J) confidence, the height
            of the peak. There is no gradient.

        Raises:
            ValueError: The shape is another.
        """
        return heatmap_peaks(self.maps(images))


def mirror_coordinates(coordinates: Tensor, skeleton: Skeleton, width: int) -> Tensor:
    """Turn joints that were found in a mirrored picture into those of the picture, or back.

    A picture is mirrored as pixel x -> W - 1 - x, and label x is x / W - 0.5, so that the mirror plane is not 0 but
    half a pixel left of it.

    Args:
        coordinates: (..., J, 3) label units; channels behind x do not change, but move with their joint.
        skeleton: Joint order.
        width: Width W of the picture in pixels.

    Returns:
        (..., J, 3) label units, sides exchanged.

    Raises:
        LiftposeError: The array has another number of joints.

    Example:
        >>> one = torch.zeros(17, 3)
        >>> mirror_coordinates(one, get_skeleton("h36m_17"), 256)[0].tolist()
        [-0.00390625, 0.0, 0.0]
    """
    mirrored = mirror(coordinates, skeleton)
    mirrored[..., 0] -= 1 / width
    return mirrored


def predict_flip_averaged(network: PoseResNet, images: Tensor) -> Peaked:
    """Find the joints of the people in pictures, averaged with those that are found in the mirrored pictures.

    The average is that of places. Mirroring volumes or maps instead would shift them, because a bin stands for its left
    edge: by three quarters of a bin.

    Args:
        network: The network.
        images: (B, 3, H, W) RGB, normalised.

    Returns:
        (B, J, 3) label units, and (B, J) confidence, the mean of both.

    Raises:
        ValueError: The shape is another.
    """
    found = network.predict(torch.cat((images, images.flip(-1))))
    straight, flipped = found.coordinates.chunk(2)
    own, other = found.confidence.chunk(2)
    skeleton = network.skeleton
    return Peaked(
        (straight + mirror_coordinates(flipped, skeleton, network.image_size[0])) / 2,
        (own + other[:, list(skeleton.mirror_index)]) / 2,
    )


def _checked_size(image_size: Sequence[int]) -> tuple[int, int]:
    """Return the width and height of pictures, if they are ones that the trunk can halve five times."""
    if len(image_size) != 2 or any(side < STRIDE or side % STRIDE for side in image_size):
        raise LiftposeError(
            f"image_size: expected a width and a height that are multiples of {STRIDE} pixels, found "
            f"{','.join(map(str, image_size))}"
        )
    return image_size[0], image_size[1]
