"""RIE: 3D pose from 2D keypoint sequences by relative information encoding.

Source: W. Shan, H. Lu, S. Wang, X. Zhang, W. Gao, "Improving Robustness and Accuracy via Relative Information Encoding
in 3D Human Pose Estimation", ACM Multimedia 2021.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from liftpose.errors import LiftposeError
from liftpose.models.branches import BranchFCBlocks, BranchLinear, BranchNorm, PartConv, PartLinear
from liftpose.models.lifter import Lifter
from liftpose.models.rie_columns import joint_columns, part_columns, raw_columns
from liftpose.models.rie_state import describe_state_dict, differences, require_same_shapes
from liftpose.models.temporal import TemporalBlock, check_filter_widths, check_probabilities, check_sizes
from liftpose.skeletons import PARTS, Skeleton, get_skeleton

__all__ = ["RIE", "CurrentFrame", "relative_encoding"]

CurrentFrame = Literal["auto", "middle", "last"]
"""Which frame of a window the encodings relate to."""

_ROWS_IN_CACHE = 2592
"""Rows of the first convolution's output that a CPU's cache holds, about; measured with 256 channels."""

_WINDOWS_IN_CACHE = 512
"""The same for the fully connected networks; fewer would read their weights too often."""


class RIE(Lifter):
    """Lifter that encodes keypoints relative to the root and to the current frame, body part by body part.

    A window of 2D keypoints goes in, the 3D pose of one of its frames, the current one, comes out. Five local encoders,
    one per body part, reduce the window to a feature each; a global encoder does the same with the current frame's
    whole body; from stage 2 on a fusion network lets each part see the other four; a decoder per part gives the joints.
    The five networks of a kind run as one.

    The model is trained in three stages: encoders with a provisional decoder (1), fusion and decoder on top of fixed
    encoders (2), everything (3). Stages 2 and 3 are the same network.

    Args:
        skeleton: Joint order of input and output, or its name. It must name the five body parts.
        filter_widths: Odd widths of the temporal convolutions. Their product is the receptive field.
        channels: Channels of the local encoders, C.
        latent_dim: Width of every encoded feature, L.
        hidden_dim: Width of the fully connected networks.
        stage: 1, 2 or 3.
        causal: Whether the window ends with the frame whose pose is wanted, instead of having it in the middle.
        current: The frame that the encodings relate to: "middle" or "last". "auto" is the last one of a causal model
            and the middle one otherwise; the published code always takes the middle one.
        dropout: Probability of dropout in the local encoders.
        fc_dropout: Probability of dropout in the fully connected networks.

    Attributes:
        receptive_field: Number of frames of a window, T.
        current_frame: Index of the current frame in the window.
        encoder_names: Names of the submodules that stage 2 takes over from stage 1 and keeps fixed.

    Raises:
        LiftposeError: An argument is out of range, or the skeleton does not divide into the five parts.

    Example:
        >>> model = RIE(filter_widths=(3, 3), channels=8, latent_dim=8, hidden_dim=16).eval()
        >>> model.receptive_field
        9
        >>> model(torch.zeros(4, 9, 17, 2)).shape
        torch.Size([4, 1, 17, 3])
    """

    encoder_names: tuple[str, ...] = ("local_encoder", "global_encoder")
    _part_columns: Tensor
    _raw_columns: Tensor
    _joint_columns: Tensor

    def __init__(
        self,
        skeleton: str | Skeleton = "h36m_17",
        filter_widths: Sequence[int] = (3, 3, 3),
        channels: int = 256,
        latent_dim: int = 256,
        hidden_dim: int = 1024,
        stage: int = 3,
        causal: bool = False,
        current: CurrentFrame = "auto",
        dropout: float = 0.2,
        fc_dropout: float = 0.25,
    ) -> None:
        super().__init__()
        self.skeleton = get_skeleton(skeleton)
        self.filter_widths = tuple(filter_widths)
        self.stage = stage
        self.causal = causal
        check_filter_widths(self.filter_widths)
        if stage not in (1, 2, 3):
            raise LiftposeError(f"stage: expected 1, 2 or 3, found {stage}")
        if current not in get_args(CurrentFrame):
            raise LiftposeError(f"current: expected one of {', '.join(get_args(CurrentFrame))}, found {current}")
        check_sizes(channels=channels, latent_dim=latent_dim, hidden_dim=hidden_dim)
        check_probabilities(dropout=dropout, fc_dropout=fc_dropout)
        parts = _checked_parts(self.skeleton)

        self.receptive_field = prod(self.filter_widths)
        last = current == "last" or (current == "auto" and causal)
        self.current_frame = self.receptive_field - 1 if last else self.receptive_field // 2

        branches, joints = len(parts), len(self.skeleton)
        self.local_encoder = _LocalEncoder(parts, self.filter_widths, channels, latent_dim, causal, dropout)
        self.global_encoder = BranchFCBlocks(
            1, 2 * joints, hidden_dim, blocks=2, output=BranchLinear(1, hidden_dim, latent_dim), p=fc_dropout
        )
        if stage > 1:
            self.fusion = BranchFCBlocks(
                branches,
                (branches - 1) * latent_dim,
                hidden_dim,
                blocks=1,
                output=BranchLinear(branches, hidden_dim, latent_dim),
                p=fc_dropout,
            )
        self.decoder = BranchFCBlocks(
            branches,
            (2 if stage == 1 else 3) * latent_dim,
            hidden_dim,
            blocks=1,
            output=PartLinear(hidden_dim, {name: 3 * len(indices) for name, indices in parts.items()}),
            p=fc_dropout,
        )
        raw, encoding = raw_columns(parts, joints, self.skeleton.root, self.filter_widths[0])
        self.register_buffer("_raw_columns", raw, persistent=False)
        self.local_encoder.register_buffer("_encoding", encoding, persistent=False)
        self.register_buffer("_part_columns", part_columns(parts, joints), persistent=False)
        self.register_buffer("_joint_columns", joint_columns(parts), persistent=False)

    def forward(self, keypoints_2d: Tensor) -> Tensor:
        """Estimate the pose of each window's current frame.

        Args:
            keypoints_2d: (B, T, J, 2) normalised screen coordinates (x in [-1, 1], y scaled alike), T the receptive
                field.

        Returns:
            (B, 1, J, 3) metres, camera frame, relative to the root. The root is estimated too: near zero, not exactly.

        Raises:
            LiftposeError: The shape of the input is another.
        """
        window = (self.receptive_field, len(self.skeleton), 2)
        if keypoints_2d.ndim != 1 + len(window) or keypoints_2d.shape[1:] != window:
            raise LiftposeError(
                f"keypoints_2d: expected the shape (batch, {window[0]} frames, {window[1]} joints, {window[2]}) for the"
                f" filter widths {self.filter_widths} and the skeleton {self.skeleton.name},"
                f" found {tuple(keypoints_2d.shape)}"
            )
        if not self._in_blocks(keypoints_2d):
            return self._estimate(self.local_encoder(self.raw_inputs(keypoints_2d)), keypoints_2d)
        # In evaluation windows do not depend on each other: a few at a time stay in the cache.
        few = max(1, _ROWS_IN_CACHE * self.filter_widths[0] // self.receptive_field)
        poses = []
        for block in torch.split(keypoints_2d, _WINDOWS_IN_CACHE):
            local = [self.local_encoder(self.raw_inputs(windows)) for windows in torch.split(block, few)]
            poses.append(self._estimate(torch.cat(local, dim=1), block))
        return torch.cat(poses)

    def _in_blocks(self, keypoints_2d: Tensor) -> bool:
        """Whether the windows may be taken in blocks, and gain by it; an exported model must not hold their number."""
        traced = torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None
        return keypoints_2d.device.type == "cpu" and not (self.training or torch.is_grad_enabled() or traced)

    def _estimate(self, local: Tensor, keypoints_2d: Tensor) -> Tensor:
        """Map the body parts' features (parts, B, L) and the keypoints (B, T, J, 2) to poses (B, 1, J, 3)."""
        batch = keypoints_2d.shape[0]  # not len(), which would fix the batch in an exported model
        whole_body = self.global_encoder(keypoints_2d[None, :, self.current_frame].flatten(2)).expand_as(local)
        if self.stage == 1:
            features = torch.cat([local, whole_body], dim=2)
        else:
            parts = local.unbind()
            others = [torch.cat(parts[:part] + parts[part + 1 :], dim=1) for part in range(len(parts))]
            features = torch.cat([local, self.fusion(torch.stack(others)), whole_body], dim=2)
        joints: Tensor = self.decoder(features).transpose(0, 1).flatten(1)
        return joints.index_select(1, self._joint_columns).reshape(batch, 1, len(self.skeleton), 3)

    def part_inputs(self, keypoints_2d: Tensor) -> Tensor:
        """Give each local encoder the encoded joints of its body part.

        Args:
            keypoints_2d: (B, T, J, 2) normalised screen coordinates.

        Returns:
            (parts, B * T, 6 n), n the joints of the largest part. The channels of a part are its joints' position in
            the image, then relative to the root, then relative to the current frame, each joint by joint; a smaller
            part's remaining channels repeat its first one.
        """
        encoded = relative_encoding(keypoints_2d, self.skeleton.root, self.current_frame).flatten(0, 1).flatten(1)
        return torch.stack([encoded.index_select(1, columns) for columns in self._part_columns])

    def raw_inputs(self, keypoints_2d: Tensor) -> Tensor:
        """Give each local encoder the coordinates that the encodings of its first convolution are made of.

        Args:
            keypoints_2d: (B, T, J, 2) normalised screen coordinates.

        Returns:
            (parts, B * T / width, K), width that of the first convolution: what of a group of frames and of the current
            frame the part needs, and some coordinate without meaning in a smaller part's remaining channels.
        """
        batch, frames, joints, _ = keypoints_2d.shape
        width = self.filter_widths[0]
        groups = keypoints_2d.reshape(batch, frames // width, width * 2 * joints)
        current = keypoints_2d[:, self.current_frame].reshape(batch, 1, 2 * joints).expand(-1, frames // width, -1)
        raw = torch.cat([groups, current], dim=2).flatten(0, 1)
        return torch.stack([raw.index_select(1, columns) for columns in self._raw_columns])

    def set_batchnorm_momentum(self, momentum: float) -> None:
        """Set the weight of the newest batch in the running statistics of the local encoders.

        The published schedule leaves the fully connected networks at 0.1.

        Args:
            momentum: In [0, 1].
        """
        for module in self.local_encoder.modules():
            if isinstance(module, BranchNorm):
                module.momentum = momentum

    def load_previous_stage(self, state_dict: Mapping[str, Tensor]) -> None:
        """Take over what the training stage before has learnt.

        A model of stage 2 takes the encoders of stage 1 and keeps its own fresh fusion and decoder; a model of stage 3
        takes everything from stage 2 (or an earlier stage 3).

        Args:
            state_dict: The ``state_dict()`` of a RIE model.

        Raises:
            LiftposeError: The weights are of another stage, size or number of joints, or not of a RIE model; the
                message names what differs. The model is then unchanged.
        """
        if self.stage == 1:
            raise LiftposeError(
                "expected a network of stage 2 or 3 to take weights over, found one of stage 1, which is trained from "
                "the beginning (weights of stages 2 and 3 start stage 3)"
            )
        where = f"weights to start stage {self.stage} from"
        own = self.state_dict()
        wanted = {**describe_state_dict(own), "stages": (1,) if self.stage == 2 else (2, 3)}
        if differing := differences(wanted, describe_state_dict(state_dict)):
            raise LiftposeError(f"{where}: {differing}")
        prefixes = tuple(f"{name}." for name in self.encoder_names) if self.stage == 2 else ("",)
        taken = {key: value for key, value in state_dict.items() if key.startswith(prefixes)}
        require_same_shapes({key: value for key, value in own.items() if key.startswith(prefixes)}, taken, where)
        self.load_state_dict(taken, strict=self.stage == 3)


class _LocalEncoder(nn.Module):
    """Reduces each body part's window to one feature by strided temporal convolutions."""

    _encoding: Tensor

    def __init__(
        self,
        parts: Mapping[str, Sequence[int]],
        filter_widths: tuple[int, ...],
        channels: int,
        latent_dim: int,
        causal: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        branches = len(parts)
        in_channels = {name: 6 * len(joints) for name, joints in parts.items()}
        self.expand = PartConv(in_channels, filter_widths[0], channels)
        self.expand_norm = BranchNorm(branches, channels, dropout)
        self.blocks = nn.ModuleList(
            TemporalBlock(branches, width, channels, causal, dropout) for width in filter_widths[1:]
        )
        self.shrink = BranchLinear(branches, channels, latent_dim)

    def forward(self, raw_inputs: Tensor) -> Tensor:
        """Map (parts, B * T / width, K) to (parts, B, L)."""
        # On a CPU one part at a time: its activations are small enough for the cache and for memory that is at hand,
        # and its matrix products large enough to be as fast as one for all parts.
        parts = len(raw_inputs)
        size = 1 if raw_inputs.device.type == "cpu" else parts
        # The encodings are linear, so they go into the weights instead of into every window.
        weight = torch.bmm(self._encoding, self.expand.padded_weight().flatten(1, 2))
        hidden = [
            torch.bmm(piece, w)
            for piece, w in zip(torch.split(raw_inputs, size), torch.split(weight, size), strict=True)
        ]
        hidden = self.expand_norm.each(hidden)
        for block in self.blocks:
            hidden = block(hidden)
        result: Tensor = self.shrink(torch.cat(hidden))
        return result


def relative_encoding(keypoints_2d: Tensor, root: int, current_frame: int) -> Tensor:
    """Describe each joint by its position, its offset from the root and its motion to the current frame.

    Source: the positional and temporal relative encodings of the RIE paper.

    Args:
        keypoints_2d: (B, T, J, 2) normalised screen coordinates.
        root: Index of the root joint.
        current_frame: Index of the frame that motion is measured from.

    Returns:
        (B, T, 3 J, 2): all joints as they are, then minus the root of the same frame, then minus the same joint in the
        current frame.

    Example:
        >>> keypoints = torch.tensor([[[[1.0, 2.0], [5.0, 7.0]]]])
        >>> relative_encoding(keypoints, root=0, current_frame=0)[0, 0].tolist()
        [[1.0, 2.0], [5.0, 7.0], [0.0, 0.0], [4.0, 5.0], [0.0, 0.0], [0.0, 0.0]]
    """
    positional = keypoints_2d - keypoints_2d[:, :, root : root + 1]
    temporal = keypoints_2d - keypoints_2d[:, current_frame : current_frame + 1]
    return torch.cat([keypoints_2d, positional, temporal], dim=2)


def _checked_parts(skeleton: Skeleton) -> dict[str, tuple[int, ...]]:
    """Return the joints of the five body parts in the order of the branches."""
    for part in PARTS:
        if not skeleton.parts.get(part):
            raise LiftposeError(f"skeleton {skeleton.name}: expected joints of the part {part}, found none")
    return {part: tuple(skeleton.parts[part]) for part in PARTS}
