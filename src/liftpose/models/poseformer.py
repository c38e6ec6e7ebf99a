"""PoseFormer: 3D pose by a transformer over the joints of each frame and one over the frames of a window.

Source: C. Zheng, S. Zhu, M. Mendieta, T. Yang, C. Chen, Z. Ding, "3D Human Pose Estimation with Spatial and Temporal
Transformers", ICCV 2021. Stochastic depth: G. Huang, Y. Sun, Z. Liu, D. Sedra, K. Q. Weinberger, "Deep Networks with
Stochastic Depth", ECCV 2016.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liftpose.errors import LiftposeError
from liftpose.models.lifter import Lifter, join_windows
from liftpose.models.temporal import check_probabilities, check_sizes
from liftpose.skeletons import Skeleton, get_skeleton

__all__ = ["PoseFormer"]

_EPS = 1e-6  # of the blocks' normalisation; that before the last layer has torch's own


class PoseFormer(Lifter):
    """A transformer that first attends over the joints within each frame, then over the frames of the window.

    Longer sequences than a window are taken as well and give a pose for every whole window in them; then each frame
    goes through the first transformer once, not once for every window that it is in. The weights have the public code's
    names.

    Args:
        skeleton: Joint order of keypoints and poses, or its name.
        frames: Number of frames of a window, T, odd.
        channels: Channels of a joint, C; a frame has J C.
        depth: Number of blocks of each of the two transformers.
        heads: Number of heads of each attention; divides C.
        mlp_ratio: Width of the layer between in a block's last two layers, in widths of the block.
        stochastic_depth: Probability that the last block is left out for an example in training; it rises to this from
            0 in equal steps.

    Raises:
        LiftposeError: An argument is out of range.

    Example:
        >>> model = PoseFormer(channels=8, depth=1).eval()
        >>> model(torch.zeros(4, 9, 16, 2)).shape
        torch.Size([4, 1, 16, 3])
        >>> model(torch.zeros(1, 100, 16, 2)).shape
        torch.Size([1, 92, 16, 3])
    """

    def __init__(
        self,
        skeleton: str | Skeleton = "h36m_16",
        frames: int = 9,
        channels: int = 32,
        depth: int = 4,
        heads: int = 8,
        mlp_ratio: float = 2.0,
        stochastic_depth: float = 0.1,
    ) -> None:
        super().__init__()
        self.skeleton = get_skeleton(skeleton)
        if frames < 1 or frames % 2 == 0:
            raise LiftposeError(f"frames: expected an odd positive number, found {frames}")
        check_sizes(channels=channels, depth=depth, heads=heads)
        check_probabilities(stochastic_depth=stochastic_depth)
        if channels % heads:
            raise LiftposeError(f"heads: expected a divisor of the {channels} channels, found {heads}")
        if not 1 <= mlp_ratio * channels < math.inf:
            raise LiftposeError(f"mlp_ratio: expected at least one channel in the layer between, found {mlp_ratio}")
        self.receptive_field = frames
        self.current_frame = frames // 2
        joints = len(self.skeleton)
        width = joints * channels
        left_out = [stochastic_depth * k / max(depth - 1, 1) for k in range(depth)]
        self.Spatial_patch_to_embedding = nn.Linear(2, channels)
        self.Spatial_pos_embed = nn.Parameter(torch.zeros(1, joints, channels))
        self.Temporal_pos_embed = nn.Parameter(torch.zeros(1, frames, width))
        self.Spatial_blocks = nn.ModuleList(_Block(channels, heads, mlp_ratio, p) for p in left_out)
        self.blocks = nn.ModuleList(_Block(width, heads, mlp_ratio, p) for p in left_out)
        self.Spatial_norm = nn.LayerNorm(channels, eps=_EPS)
        self.Temporal_norm = nn.LayerNorm(width, eps=_EPS)
        self.weighted_mean = nn.Conv1d(frames, 1, kernel_size=1)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 3 * joints))
        for module in self.modules():
            if isinstance(module, nn.Linear):  # as PoseAug and DH-AUG do; the biases as torch has them
                nn.init.kaiming_normal_(module.weight)

    def forward(self, keypoints_2d: Tensor) -> Tensor:
        """Estimate the poses of the middle frames of all whole windows.

        Args:
            keypoints_2d: (B, N, J, 2) normalised screen coordinates (x in [-1, 1], y scaled alike), N at least T.

        Returns:
            (B, N - T + 1, J, 3) metres, camera frame, relative to the root, which is estimated with the others.

        Raises:
            LiftposeError: The shape of the input is another.
        """
        self.check_keypoints(keypoints_2d)
        batch, frames = keypoints_2d.shape[:2]
        joints: Tensor = self.Spatial_patch_to_embedding(keypoints_2d.flatten(0, 1)) + self.Spatial_pos_embed
        for block in self.Spatial_blocks:
            joints = block(joints)
        tokens: Tensor = self.Spatial_norm(joints).view(batch, frames, -1)
        if frames > self.receptive_field:
            tokens = tokens.unfold(1, self.receptive_field, 1).mT.flatten(0, 1)
        tokens = tokens + self.Temporal_pos_embed
        for block in self.blocks:
            tokens = block(tokens)
        mean = self.weighted_mean.weight[:, :, 0] @ self.Temporal_norm(tokens) + self.weighted_mean.bias
        pose: Tensor = self.head(mean[:, 0])
        return pose.view(batch, frames - self.receptive_field + 1, len(self.skeleton), 3)

    def as_sequence(self, keypoints_2d: Tensor, follows: Tensor) -> tuple[Tensor, Tensor] | None:
        """Lay the windows of an evaluation out as one sequence, where that saves work.

        Args:
            keypoints_2d: (B, T, J, 2) windows.
            follows: (B,) bool, whether a window is one frame on from the window before it.

        Returns:
            (N, J, 2) frames and (B,) where each window begins in them; None where too few windows follow each other.
        """
        breaks = int((~follows).sum())
        # Windows that reach over a break are computed for nothing; the frames are about a third of the work.
        over = (breaks - 1) * (self.receptive_field - 1)
        saves = self.receptive_field > 1 and 3 * over < len(keypoints_2d)
        return join_windows(keypoints_2d, follows) if saves else None


class _Attention(nn.Module):
    """Attention of tokens among themselves."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, N, width) to the same shape."""
        parts = self.qkv(tokens).chunk(3, dim=2)
        query, key, value = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts)
        result: Tensor = self.proj(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))
        return result


class _Mlp(nn.Module):
    """Two layers for each token by itself."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        result: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return result


class _Block(nn.Module):
    """Attention and two layers, each after a normalisation and added to its input.

    Args:
        width: Channels of a token.
        heads: Number of heads of the attention.
        mlp_ratio: Width of the layer between, in widths.
        p: Probability that what is added is left out for an example in training.
    """

    def __init__(self, width: int, heads: int, mlp_ratio: float, p: float) -> None:
        super().__init__()
        self.p = p
        self.norm1 = nn.LayerNorm(width, eps=_EPS)
        self.attn = _Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=_EPS)
        self.mlp = _Mlp(width, int(width * mlp_ratio))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, N, width) to the same shape."""
        tokens = tokens + self._kept(self.attn(self.norm1(tokens)))
        return tokens + self._kept(self.mlp(self.norm2(tokens)))

    def _kept(self, added: Tensor) -> Tensor:
        """Leave out whole examples by chance, the others scaled so that the mean stays; nothing in evaluation."""
        if not self.training or self.p == 0:
            return added
        kept = torch.rand(len(added), 1, 1, device=added.device) >= self.p
        return added * kept.to(added.dtype).div_(1 - self.p)
