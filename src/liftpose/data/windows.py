"""Windows of frames: all sequences of a split in flat tensors, an index of windows, and a gather without a loop."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from liftpose.data.recording import Recording, RecordingKey
from liftpose.errors import LiftposeError
from liftpose.geometry import intrinsic_vector, normalize_screen

__all__ = ["Sides", "WindowBatch", "WindowIndex", "Windows", "epoch_order", "lifting_windows"]


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
        poses_3d: (B, C, J, 3) metres, or None without truth; root-relative in the camera frame from
            :func:`lifting_windows`.
        cameras: (B, 9) intrinsics as :func:`liftpose.geometry.intrinsic_vector` orders them, or None.
        sequence: (B,) int64, number of the sequence.
        frame: (B,) int64, first target frame within the sequence.
        flipped: (B,) bool, whether the window is mirrored.
        weight: Factor of the batch's mean loss in the mean over several processes.
    """

    keypoints_2d: Tensor
    poses_3d: Tensor | None
    cameras: Tensor | None
    sequence: Tensor
    frame: Tensor
    flipped: Tensor
    weight: float = 1.0


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
            (t0).
        pad: Number of frames before and after a chunk.
        keypoint_sides: Left and right of the keypoints.
        joint_sides: Left and right of the poses; None if they are those of the keypoints.
        causal_shift: Number of frames by which the window is moved back: ``pad`` for windows that see no later frame.
        chunk_length: Number of target frames C per window.
        flip_copies: Whether every window is there a second time, mirrored.
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
        self.index = _list_windows(self._lengths, chunk_length, flip_copies)
        flat = _flatten(keypoints_2d)
        self._frames = len(flat)
        self._keypoints = torch.cat((flat, _mirror(flat, _mirror_order(keypoint_sides, flat.shape[1]))))
        self._poses = None if poses_3d is None else _flatten(poses_3d)
        joints = 0 if self._poses is None else self._poses.shape[1]
        self._pose_order = _mirror_order(joint_sides or keypoint_sides, joints) if joints else torch.empty(0)
        self._cameras = None if cameras is None else torch.stack([_as_tensor(camera) for camera in cameras])
        self._camera_signs = torch.tensor([1.0, 1.0, -1.0, 1.0, 1.0, 1.0, 1.0, -1.0, 1.0])

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
        sequence, start = self.index.sequence[indices].long(), self.index.start[indices].long()
        flipped = self.index.flip[indices]
        if flip is not None:
            flipped = flipped ^ flip.to(self.device)
        first, begin = start - self.pad - self.causal_shift, self._offsets[sequence]
        rows = self._rows(begin + flipped * self._frames, sequence, first, self.window_length)
        keypoints = _take(self._keypoints, rows)
        poses, cameras = None, None
        if self._poses is not None:
            rows = self._rows(begin, sequence, start, self.chunk_length)
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


def lifting_windows(
    recordings: Sequence[Recording],
    receptive_field: int,
    *,
    causal: bool = False,
    flip_copies: bool = False,
    with_cameras: bool = False,
) -> Windows:
    """Prepare recordings for a lifter: one window per frame, in the published normalisation.

    Keypoints are mapped to screen coordinates with the size of their camera's image, poses are moved to the camera
    frame and the root is subtracted (the root itself becomes 0), as in VideoPose3D and RIE. Computed in float64, kept
    in float32.

    Args:
        recordings: At least one; the sequence numbers of the windows count them. All have one skeleton of poses and
            one of keypoints, and all or none have poses.
        receptive_field: Number of frames of a window, odd.
        causal: Whether the window ends with the target frame; by default the target is in the middle.
        flip_copies: Whether every window is there a second time, mirrored.
        with_cameras: Whether the windows hold the intrinsics too. Nothing in lifting reads them, and gathering them
            for every batch takes time.

    Returns:
        Windows with keypoints in screen coordinates, poses in metres relative to the root in the camera frame, and, if
        asked for, the intrinsics.

    Raises:
        LiftposeError: There is no frame, an even receptive field, a recording without camera, recordings that do not
            fit together, coordinates that are not finite, or intrinsics are asked for that nine numbers do not
            describe.
    """
    if receptive_field < 1 or receptive_field % 2 == 0:
        raise LiftposeError(f"receptive field: expected an odd number of frames, found {receptive_field}")
    if not any(len(recording) for recording in recordings):
        raise LiftposeError("recordings: expected at least one frame, found none")
    skeleton, keypoint_skeleton = recordings[0].skeleton, recordings[0].keypoint_skeleton
    with_poses = recordings[0].poses_3d is not None
    keypoints: list[Tensor] = []
    poses: list[Tensor] = []
    cameras: list[Tensor] = []
    for recording in recordings:
        if recording.camera is None:
            raise LiftposeError(f"{recording.name}: expected a camera with the size of its images, found none")
        for wanted, found in (
            (skeleton, recording.skeleton),
            (keypoint_skeleton, recording.keypoint_skeleton),
        ):
            if found != wanted:
                raise LiftposeError(f"{recording.name}: expected the skeleton {wanted.name}, found {found.name}")
        if (recording.poses_3d is not None) != with_poses:
            raise LiftposeError(f"{recording.name}: expected 3D poses in all recordings or in none, found both")
        camera = recording.camera.to(dtype=torch.float64)
        pixels = _finite(recording.keypoints_2d, f"{recording.name}: 2D keypoints")
        keypoints.append(normalize_screen(pixels, camera.image_size).float())
        if recording.poses_3d is not None:
            pose = camera.to_camera(_finite(recording.poses_3d, f"{recording.name}: 3D poses"))
            poses.append((pose - pose[:, skeleton.root, None]).float())
        if with_cameras:
            if camera.distortion_model == "opencv":
                raise LiftposeError(f"{recording.name}: expected a lens that nine numbers describe, found opencv's")
            cameras.append(intrinsic_vector(camera).float())
    pad = (receptive_field - 1) // 2
    return Windows(
        keypoints,
        poses if with_poses else None,
        cameras if with_cameras else None,
        pad=pad,
        keypoint_sides=Sides(keypoint_skeleton.left, keypoint_skeleton.right),
        joint_sides=Sides(skeleton.left, skeleton.right),
        causal_shift=pad if causal else 0,
        flip_copies=flip_copies,
        recordings=[recording.key for recording in recordings],
    )


# Random states after some epochs, to go on from instead of starting anew: what is returned depends on the arguments
# only.
_STATES: dict[tuple[int, int], tuple[int, np.random.RandomState]] = {}
_MAX_STATES = 8


def epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    """Return the order in which an epoch visits the windows.

    The published order (VideoPose3D, RIE): one ``numpy.random.RandomState(seed)`` gives a permutation per epoch and
    runs on from epoch to epoch. Here it is a function of the epoch, so that a resumed run needs no state.

    Args:
        count: Number of windows.
        seed: Seed of the run.
        epoch: Number of the epoch, from 0.

    Returns:
        (count,) int64, a permutation.

    Raises:
        ValueError: A negative epoch.
    """
    if epoch < 0:
        raise ValueError(f"expected an epoch from 0 up, found {epoch}")
    done, state = _STATES.pop((count, seed), (0, np.random.RandomState(seed)))
    if done > epoch:
        done, state = 0, np.random.RandomState(seed)
    for _ in range(epoch - done):
        state.permutation(count)
    order = state.permutation(count)
    while len(_STATES) >= _MAX_STATES:
        _STATES.pop(next(iter(_STATES)))
    _STATES[count, seed] = epoch + 1, state
    return torch.from_numpy(order.astype(np.int64, copy=False))


def _list_windows(lengths: Tensor, chunk_length: int, flip_copies: bool) -> WindowIndex:
    """List the chunks of all sequences; a last chunk that is not full hangs over both ends by the same amount."""
    chunks = (lengths + chunk_length - 1) // chunk_length
    overhang = (chunks * chunk_length - lengths) // 2
    copies = chunks * (2 if flip_copies else 1)
    sequence = torch.repeat_interleave(torch.arange(len(lengths)), copies)
    place = torch.arange(len(sequence)) - (copies.cumsum(0) - copies)[sequence]
    flip = place >= chunks[sequence]
    start = (place - flip * chunks[sequence]) * chunk_length - overhang[sequence]
    return WindowIndex(sequence.int(), start.int(), flip)


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
    # In memory from numpy, which asks the system for large pages: a batch of long windows is too large for memory that
    # is used again, and 8,000 small pages take the system longer than filling them takes us. The start is moved to
    # where torch's own would be, since a matrix product may round by the place of its factors in memory.
    memory = np.empty(count + 16, dtype=np.float32)
    start = -memory.ctypes.data % 64 // 4
    taken = torch.from_numpy(memory[start : start + count])
    torch.index_select(table, 0, rows.flatten(), out=taken.view(-1, *table.shape[1:]))
    return taken.view(shape)


def _as_tensor(values: Any) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float32)


def _flatten(sequences: Sequence[Any]) -> Tensor:
    return torch.cat([_as_tensor(sequence) for sequence in sequences])


def _finite(coordinates: Any, what: str) -> Tensor:
    tensor = torch.tensor(coordinates, dtype=torch.float64)
    bad = ~tensor.isfinite().flatten(1).all(1)
    if bool(bad.any()):
        frame = int(bad.nonzero()[0])
        raise LiftposeError(
            f"{what}: expected finite numbers, found others in {int(bad.sum())} frames, first in frame {frame}"
        )
    return tensor
