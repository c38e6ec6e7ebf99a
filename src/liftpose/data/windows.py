"""Windows of frames: all sequences of a split in flat tensors, an index of windows, and a gather without a loop."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from liftpose.data.draws import BatchPlace
from liftpose.data.flat_frames import FlatFrames, large_tensor
from liftpose.data.recording import RecordingKey

__all__ = ["Sides", "WindowBatch", "WindowIndex", "Windows"]


class Sides(NamedTuple):
    """Which joints change places when a person is mirrored.

    Args:
        left: Indices of the left joints.
        right: Indices of the right joints, paired with ``left`` in this order.
    """

    left: Sequence[int]
    right: Sequence[int]


class WindowIndex(NamedTuple):
    """Where each of P windows lies; 9 bytes per window.

    Args:
        sequence: (P,) int32, number of the sequence.
        start: (P,) int32, first target frame within the sequence. Negative where a chunk of several frames hangs over
            the start.
        flip: (P,) bool, whether the window is the mirrored copy.
    """

    sequence: Tensor
    start: Tensor
    flip: Tensor


class WindowBatch(NamedTuple):
    """B windows: T frames of keypoints around C target frames with their poses.

    Args:
        keypoints_2d: (B, T, J, 2) what the sequences held; normalised screen coordinates from :func:`lifting_windows`.
        poses_3d: (B, C, J, 3) metres, or (B, T, J, 3) from windows with ``pose_windows``, or None without truth;
            root-relative in the camera frame from :func:`lifting_windows`.
        cameras: (B, 9) intrinsics as :func:`liftpose.geometry.intrinsic_vector` orders them and what follows them in
            the sequences' own vectors, or None.
        sequence: (B,) int64, number of the sequence.
        frame: (B,) int64, first target frame within the sequence.
        flipped: (B,) bool, whether the window is mirrored.
        weight: Factor of the batch's mean loss in the mean over several processes.
        place: Place of the batch in a training, or None outside one.
    """

    keypoints_2d: Tensor
    poses_3d: Tensor | None
    cameras: Tensor | None
    sequence: Tensor
    frame: Tensor
    flipped: Tensor
    weight: float = 1.0
    place: BatchPlace | None = None


class Windows:
    """All windows of some sequences, gathered by number on any device.

    The chunks and their order are those of VideoPose3D's and RIE's generators (Pavllo et al., CVPR 2019): sequence by
    sequence, all chunks, then, with ``flip_copies``, all of them once more mirrored. A window reaches ``pad`` frames to
    both sides of its chunk; frames outside the sequence are replaced by the nearest end frame. The memory is that of
    the frames, the keypoints twice (as they are and mirrored, which makes mirroring free: a window of 243 frames costs
    five times as much if it is mirrored after the gather), and 9 bytes per window.

    Args:
        keypoints_2d: Per sequence (N_i, J, 2), normalised screen coordinates or whatever else is mirrored by negating
            x. Empty sequences are allowed.
        poses_3d: Per sequence (N_i, K, 3) in the camera frame, or None.
        cameras: Per sequence (9,) intrinsics, or None. Mirroring negates entries 2 (the principal point's x) and 7
            (t0). Further numbers behind the nine, such as the position of the camera, stay as they are.
        pad: Number of frames before and after a chunk.
        keypoint_sides: Left and right of the keypoints.
        joint_sides: Left and right of the poses; None if they are those of the keypoints.
        causal_shift: Number of frames by which the window is moved back: ``pad`` for windows that see no later frame.
        chunk_length: Number of target frames C per window.
        flip_copies: Whether every window is there a second time, mirrored.
        pose_windows: Whether a window has the poses of all its frames, not of its chunk alone: what a critic of motions
            is shown (DH-AUG, Huang et al., ECCV 2022).
        recordings: What the sequences are, for reports; may be empty.

    Raises:
        ValueError: The sequences do not fit together, or a number is out of range.

    Example:
        >>> windows = Windows([torch.arange(6.0).reshape(3, 1, 2)], pad=1, keypoint_sides=Sides([], []))
        >>> windows.gather(torch.tensor([0])).keypoints_2d.tolist()
        [[[[0.0, 1.0]], [[0.0, 1.0]], [[2.0, 3.0]]]]
    """

    def __init__(
        self,
        keypoints_2d: Sequence[Any],
        poses_3d: Sequence[Any] | None = None,
        cameras: Sequence[Any] | None = None,
        *,
        pad: int,
        keypoint_sides: Sides,
        joint_sides: Sides | None = None,
        causal_shift: int = 0,
        chunk_length: int = 1,
        flip_copies: bool = False,
        pose_windows: bool = False,
        recordings: Sequence[RecordingKey] = (),
    ) -> None:
        if pad < 0 or chunk_length < 1:
            raise ValueError(f"expected pad >= 0 and chunk_length >= 1, found {pad} and {chunk_length}")
        if not keypoints_2d:
            raise ValueError("expected at least one sequence, found none")
        lengths = [len(sequence) for sequence in keypoints_2d]
        for name, other in (("poses_3d", poses_3d), ("cameras", cameras), ("recordings", recordings or None)):
            if other is not None and len(other) != len(lengths):
                raise ValueError(f"expected {len(lengths)} sequences of {name}, found {len(other)}")
        if poses_3d is not None and [len(sequence) for sequence in poses_3d] != lengths:
            raise ValueError("expected as many frames of poses_3d as of keypoints_2d in every sequence, found others")
        self.pad = pad
        self.causal_shift = causal_shift
        self.chunk_length = chunk_length
        self.recordings = tuple(recordings)
        self._lengths = torch.tensor(lengths)
        self._offsets = self._lengths.cumsum(0) - self._lengths
        self.pose_windows = pose_windows
        self.index = _list_windows(lengths, chunk_length, flip_copies)
        flat = FlatFrames.of(keypoints_2d, copies=2)
        self._frames = flat.frames
        self._keypoints = flat.tensor
        order = _mirror_order(keypoint_sides, self._keypoints.shape[1])
        for sequence, mirrored in zip(flat, torch.split(self._keypoints[self._frames :], lengths), strict=True):
            mirrored.copy_(_mirror(sequence, order))
        self._poses = None if poses_3d is None else FlatFrames.of(poses_3d).tensor
        joints = 0 if self._poses is None else self._poses.shape[1]
        self._pose_order = _mirror_order(joint_sides or keypoint_sides, joints) if joints else torch.empty(0)
        self._cameras = None if cameras is None else torch.stack([_as_tensor(camera) for camera in cameras])
        self._camera_signs = torch.ones(9 if self._cameras is None else self._cameras.shape[1])
        self._camera_signs[[2, 7]] = -1

    def __len__(self) -> int:
        """Number of windows, mirrored copies included."""
        return len(self.index.start)

    @property
    def device(self) -> torch.device:
        """Where the frames lie and the windows are gathered."""
        return self._keypoints.device

    @property
    def window_length(self) -> int:
        """Number of frames T of a window."""
        return self.chunk_length + 2 * self.pad

    def to(self, device: torch.device | str) -> Windows:
        """Return the same windows with all tensors on another device.

        Args:
            device: Where to put the frames and the index.

        Returns:
            New windows; nothing is copied for the device where they already are.
        """
        moved = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(moved, name, value.to(device))
        moved.index = WindowIndex(*(part.to(device) for part in self.index))
        return moved

    def gather(self, indices: Tensor, flip: Tensor | None = None) -> WindowBatch:
        """Gather windows by their numbers.

        Args:
            indices: (B,) integers, numbers of windows.
            flip: (B,) bool, windows to mirror besides what the index says (a mirrored copy is mirrored back), or None.

        Returns:
            The windows, on the device of this object.
        """
        indices = indices.to(self.device)
        flipped = self.index.flip[indices]
        if flip is not None:
            flipped = flipped ^ flip.to(self.device)
        return self._gather(self.index.sequence[indices].long(), self.index.start[indices].long(), flipped)

    def whole_sequence(self, sequence: int, *, flip_copy: bool = False) -> WindowBatch:
        """Return one sequence as a single window, whatever ``chunk_length`` is.

        What a network that runs over whole sequences is evaluated with: the sequence with ``pad`` more frames on either
        side (VideoPose3D's generator of unchunked sequences).

        Args:
            sequence: Its number.
            flip_copy: Whether its mirrored copy is there too, as the second of the batch.

        Returns:
            B = 1 or 2 windows of T = N + 2 ``pad`` frames for C = N target frames.
        """
        flipped = torch.tensor([False, True] if flip_copy else [False], device=self.device)
        number = torch.full((len(flipped),), sequence, device=self.device)
        return self._gather(number, torch.zeros_like(number), flipped, int(self._lengths[sequence]))

    def _gather(self, sequence: Tensor, start: Tensor, flipped: Tensor, targets: int | None = None) -> WindowBatch:
        """Gather windows by their places.

        Args:
            sequence: (B,) int64, number of the sequence.
            start: (B,) int64, first target frame.
            flipped: (B,) bool, whether the window is mirrored.
            targets: Number of target frames, None for ``chunk_length``.
        """
        targets = self.chunk_length if targets is None else targets
        first, begin = start - self.pad - self.causal_shift, self._offsets[sequence]
        rows = self._rows(begin + flipped * self._frames, sequence, first, targets + 2 * self.pad)
        keypoints = _take(self._keypoints, rows)
        poses, cameras = None, None
        if self._poses is not None:
            if self.pose_windows:
                rows = self._rows(begin, sequence, first, targets + 2 * self.pad)
            else:
                rows = self._rows(begin, sequence, start, targets)
            poses = _take(self._poses, rows)
            poses = torch.where(flipped[:, None, None, None], _mirror(poses, self._pose_order), poses)
        if self._cameras is not None:
            cameras = self._cameras[sequence]
            cameras = torch.where(flipped[:, None], cameras * self._camera_signs, cameras)
        return WindowBatch(keypoints, poses, cameras, sequence, start, flipped)

    def _rows(self, begin: Tensor, sequence: Tensor, first: Tensor, count: int) -> Tensor:
        """Return rows (B, count) of flat tensors, the end frames repeated outside a sequence.

        Args:
            begin: (B,) row of each sequence's first frame.
            sequence: (B,) number of the sequence.
            first: (B,) first frame within the sequence.
            count: Number of frames.
        """
        rows = (begin + first)[:, None] + torch.arange(count, device=self.device)
        return rows.clamp(begin[:, None], (begin + self._lengths[sequence] - 1)[:, None])


def _list_windows(lengths: Sequence[int], chunk_length: int, flip_copies: bool) -> WindowIndex:
    """List the chunks of all sequences; a last chunk that is not full hangs over both ends by the same amount."""
    frames = np.array(lengths, dtype=np.int64)
    chunks = -(-frames // chunk_length)
    overhang = (chunks * chunk_length - frames) // 2
    sides = 2 if flip_copies else 1
    blocks = np.repeat(chunks, sides)  # the chunks of a sequence, once or as they are and mirrored
    first = (blocks.cumsum() - blocks) * chunk_length + np.repeat(overhang, sides)
    place = np.arange(blocks.sum(), dtype=np.int32) * np.int32(chunk_length)
    return WindowIndex(
        torch.from_numpy(np.repeat(np.arange(len(frames), dtype=np.int32), chunks * sides)),
        torch.from_numpy(place - np.repeat(first.astype(np.int32), blocks)),
        torch.from_numpy(np.repeat(np.tile([False, True][:sides], len(frames)), blocks)),
    )


def _mirror_order(sides: Sides, joints: int) -> Tensor:
    order = torch.arange(joints)
    order[[*sides.left, *sides.right]] = torch.tensor([*sides.right, *sides.left], dtype=torch.int64)
    return order


def _mirror(coordinates: Tensor, order: Tensor) -> Tensor:
    """Negate x and exchange the sides of (..., J, 2) or (..., J, 3)."""
    mirrored = coordinates.index_select(-2, order)
    mirrored[..., 0] *= -1
    return mirrored


# Numbers from which a tensor is worth large pages: the size from which numpy asks for them.
_LARGE = 2**20


def _take(table: Tensor, rows: Tensor) -> Tensor:
    """Return the rows (B, T) of a table (F, J, C) as (B, T, J, C); much faster than indexing on a CPU."""
    shape = (*rows.shape, *table.shape[1:])
    count = rows.numel() * table.shape[1:].numel()
    if table.device.type != "cpu" or count < _LARGE:
        return table.index_select(0, rows.flatten()).view(shape)
    # A batch of long windows is too large for memory that is used again.
    taken = large_tensor(shape)
    torch.index_select(table, 0, rows.flatten(), out=taken.view(-1, *table.shape[1:]))
    return taken


def _as_tensor(values: Any) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float32)
