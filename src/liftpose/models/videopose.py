"""VideoPose3D: 3D pose from 2D keypoint sequences by temporal convolutions.

Source: D. Pavllo, C. Feichtenhofer, D. Grangier, M. Auli, "3D Human Pose Estimation in Video with Temporal Convolutions
and Semi-Supervised Training", CVPR 2019. With widths of 1 only it is the network of single frames that PoseAug (Gong et
al., CVPR 2021) and DH-AUG (Huang et al., ECCV 2022) train under the same name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, cast

import torch
from torch import Tensor, nn

from liftpose.errors import LiftposeError
from liftpose.models.branches import BranchConv, BranchLinear, BranchNorm
from liftpose.models.lifter import Lifter, join_windows
from liftpose.models.temporal import TemporalBlock, check_filter_widths, check_probabilities, check_sizes
from liftpose.skeletons import Skeleton, get_skeleton

__all__ = ["VideoPose", "describe_videopose"]

_RELU = 0.0  # slope below zero


class VideoPose(Lifter):
    """The field's baseline: residual temporal convolutions over the keypoints of all joints.

    A window of the receptive field goes in and the pose of its current frame comes out. Longer sequences are taken as
    well and give a pose for every whole window in them, with the same weights and the same numbers: then each
    intermediate result is computed once, not once for every window that needs it.

    Args:
        skeleton: Joint order of the poses, or its name.
        keypoint_skeleton: Joint order of the keypoints, or its name; None for that of the poses.
        filter_widths: Odd widths of the temporal convolutions. Their product is the receptive field. The first belongs
            to the first layer, each further one to a residual block of two layers; ``[1, 1, 1, 1, 1]`` is a network of
            single frames.
        causal: Whether the window ends with the frame whose pose is wanted, instead of having it in the middle.
        channels: Channels of the layers between, C.
        dropout: Probability of dropout.
        predict_root: Whether the root is estimated with the other joints, as VideoPose3D does; otherwise it is exactly
            zero, as in the single frame networks of PoseAug and DH-AUG.

    Attributes:
        receptive_field: Number of frames of a window, T.
        current_frame: Index of the frame in the window that the pose belongs to.

    Raises:
        LiftposeError: An argument is out of range.

    Example:
        >>> model = VideoPose(filter_widths=(3, 3), channels=8).eval()
        >>> model(torch.zeros(4, 9, 17, 2)).shape
        torch.Size([4, 1, 17, 3])
        >>> model(torch.zeros(1, 100, 17, 2)).shape
        torch.Size([1, 92, 17, 3])
    """

    def __init__(
        self,
        skeleton: str | Skeleton = "h36m_17",
        keypoint_skeleton: str | Skeleton | None = None,
        filter_widths: Sequence[int] = (3, 3, 3),
        causal: bool = False,
        channels: int = 1024,
        dropout: float = 0.25,
        predict_root: bool = True,
    ) -> None:
        super().__init__()
        self.skeleton = get_skeleton(skeleton)
        given = get_skeleton(keypoint_skeleton) if isinstance(keypoint_skeleton, str) else keypoint_skeleton
        self._keypoint_skeleton = given or self.skeleton
        self.filter_widths = tuple(filter_widths)
        self.causal = causal
        self.predict_root = predict_root
        check_filter_widths(self.filter_widths)
        check_sizes(channels=channels)
        check_probabilities(dropout=dropout)
        self.receptive_field = prod(self.filter_widths)
        self.current_frame = self.receptive_field - 1 if causal else self.receptive_field // 2

        self.expand = BranchConv(1, self.filter_widths[0], 2 * len(self.keypoint_skeleton), channels)
        self.expand_norm = BranchNorm(1, channels, dropout, slope=_RELU)
        self.blocks = nn.ModuleList(
            _Block(1, width, channels, causal, dropout, slope=_RELU) for width in self.filter_widths[1:]
        )
        joints = len(self.skeleton) if predict_root else len(self.skeleton) - 1
        self.shrink = BranchLinear(1, channels, 3 * joints)

    @property
    def keypoint_skeleton(self) -> Skeleton:
        """Joint order of the keypoints."""
        return self._keypoint_skeleton

    def forward(self, keypoints_2d: Tensor) -> Tensor:
        """Estimate the poses of the current frames of all whole windows.

        Args:
            keypoints_2d: (B, N, J, 2) normalised screen coordinates (x in [-1, 1], y scaled alike), J the joints of
                :attr:`keypoint_skeleton` and N at least the receptive field T.

        Returns:
            (B, N - T + 1, K, 3) metres, camera frame, relative to the root, K the joints of :attr:`skeleton`.

        Raises:
            LiftposeError: The shape of the input is another.
        """
        self.check_keypoints(keypoints_2d)
        batch, frames = keypoints_2d.shape[:2]
        features = keypoints_2d.flatten(2)
        hidden = self._strided(features) if frames == self.receptive_field else self._dilated(features)
        pose: Tensor = self.shrink(hidden)
        pose = pose.view(batch, frames - self.receptive_field + 1, -1, 3)
        if self.predict_root:
            return pose
        root = self.skeleton.root
        return torch.cat((pose[:, :, :root], torch.zeros_like(pose[:, :, :1]), pose[:, :, root:]), dim=2)

    def _strided(self, features: Tensor) -> Tensor:
        """Map windows (B, T, F) to the features (1, B, C) of their current frames.

        Every layer's stride is its width, so that nothing is computed twice nor for nothing (the published code's form
        for training).
        """
        pieces: list[Tensor] = [self.expand_norm(self.expand(features.flatten(0, 1)[None]))]
        for block in self.blocks:
            pieces = block(pieces)
        return pieces[0]

    def _dilated(self, features: Tensor) -> Tensor:
        """Map sequences (B, N, F) to the features (1, B (N - T + 1), C) of the current frames of all windows."""
        batch = len(features)
        hidden: Tensor = self.expand_norm(_dilated_conv(features, self.expand.weight[0], dilation=1))
        dilation = self.filter_widths[0]
        for block, width in zip(self.blocks, self.filter_widths[1:], strict=True):
            hidden = cast(_Block, block).dilated(hidden.view(batch, -1, hidden.shape[2]), dilation)
            dilation *= width
        return hidden

    def as_sequence(self, keypoints_2d: Tensor, follows: Tensor) -> tuple[Tensor, Tensor] | None:
        """Lay the windows of an evaluation out as one sequence, where that saves work.

        Args:
            keypoints_2d: (B, T, J, 2) windows.
            follows: (B,) bool, whether a window is one frame on from the window before it.

        Returns:
            (N, J, 2) frames and (B,) where each window begins in them; None where too few windows follow each other.
        """
        count = len(keypoints_2d)
        frames = count + int((~follows).sum()) * (self.receptive_field - 1)
        # Rows that go through the residual blocks, where almost all the work is, window by window and as a sequence.
        blocks = range(1, len(self.filter_widths))
        rows = count * sum(self.receptive_field // prod(self.filter_widths[: k + 1]) for k in blocks)
        return join_windows(keypoints_2d, follows) if frames * len(blocks) < rows else None

    def load_previous_stage(self, state_dict: Mapping[str, Tensor]) -> None:
        """Take over the weights that a training starts from.

        Args:
            state_dict: The ``state_dict()`` of a VideoPose model of the same size.

        Raises:
            LiftposeError: The weights are of another size, or not of a VideoPose model; the message names what differs.
        """
        where = "weights to start from"
        own, found = describe_videopose(self.state_dict()), describe_videopose(state_dict, where)
        for name, value in own.items():
            if found[name] != value:
                raise LiftposeError(f"{where}: {name}: expected {value}, found {found[name]}")
        self.load_state_dict(state_dict)


class _Block(TemporalBlock):
    """A residual block that can also slide over sequences."""

    def dilated(self, features: Tensor, dilation: int) -> Tensor:
        """Map sequences (B, N, C) to (1, B n, C), n = N - (width - 1) dilation, all that the block sees whole."""
        count = features.shape[1] - (self.width - 1) * dilation
        hidden = self.conv_norm(_dilated_conv(features, self.conv.weight[0], dilation))
        carried = features[:, self.carried * dilation :][:, :count].flatten(0, 1)
        result: Tensor = self.mix_norm(self.mix(hidden), carried[None])
        return result


def _dilated_conv(features: Tensor, weight: Tensor, dilation: int) -> Tensor:
    """Convolve (B, N, Cin) with (width, Cin, Cout): (1, B n, Cout), n = N - (width - 1) dilation, batch by batch."""
    width = len(weight)
    count = features.shape[1] - (width - 1) * dilation
    taps = [features[:, tap * dilation : tap * dilation + count] for tap in range(width)]
    return (torch.cat(taps, dim=2).flatten(0, 1) @ weight.flatten(0, 1))[None]


def describe_videopose(state_dict: Mapping[str, Tensor], where: str = "weights") -> dict[str, Any]:
    """Tell from the shapes of its weights how a VideoPose model was built.

    Args:
        state_dict: The ``state_dict()`` of a VideoPose model.
        where: What it is, the start of an error message.

    Returns:
        ``filter_widths`` and ``channels`` as in the constructor, ``keypoints`` (number of joints of the keypoints) and
        ``joints`` (number of joints that the last layer gives).

    Raises:
        LiftposeError: A key is missing, unknown or of another shape: these are not the weights of a VideoPose model.
    """
    expand = state_dict.get("expand.weight")
    if expand is None or expand.ndim != 4:
        found = next(iter(state_dict), "no key")
        raise LiftposeError(f"{where}: expected the weights of VideoPose with the key expand.weight, found {found}")
    _, width, features, channels = expand.shape
    widths = [width]
    norm = [
        *(("weight", (1, channels)), ("bias", (1, channels))),
        *(("running_mean", (1, channels)), ("running_var", (1, channels)), ("num_batches_tracked", (1,))),
    ]
    shapes = {"expand.weight": tuple(expand.shape)} | {f"expand_norm.{name}": shape for name, shape in norm}
    while (conv := state_dict.get(f"blocks.{len(widths) - 1}.conv.weight")) is not None:
        block = f"blocks.{len(widths) - 1}"
        width = conv.shape[1] if conv.ndim > 1 else 0
        shapes[f"{block}.conv.weight"] = (1, width, channels, channels)
        shapes[f"{block}.mix.weight"] = (1, 1, channels, channels)
        shapes |= {f"{block}.{layer}.{name}": shape for layer in ("conv_norm", "mix_norm") for name, shape in norm}
        widths.append(width)
    last = state_dict.get("shrink.bias")
    outputs = last.shape[-1] if last is not None and last.ndim else 0
    shapes |= {"shrink.weight": (1, channels, outputs), "shrink.bias": (1, outputs)}
    for key in (*shapes, *state_dict):
        wanted = shapes.get(key, "no such key")
        there = tuple(state_dict[key].shape) if key in state_dict else "none"
        if wanted != there:
            raise LiftposeError(f"{where}: {key}: expected {_shape(wanted)}, found {_shape(there)}")
    for name, count, share in (("expand.weight", features, 2), ("shrink.bias", outputs, 3)):
        if count % share or not count:
            numbers = {2: "two", 3: "three"}[share]
            raise LiftposeError(f"{where}: {name}: expected {numbers} numbers for each joint, found {count}")
    return {"filter_widths": tuple(widths), "channels": channels, "keypoints": features // 2, "joints": outputs // 3}


def _shape(value: str | tuple[int, ...]) -> str:
    return value if isinstance(value, str) else f"the shape {value}"
