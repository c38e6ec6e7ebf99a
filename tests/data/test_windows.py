"""Windows against the public code's generators, a plain loop, and the published formulas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from liftpose.data import Recording, Sides, Windows, epoch_order, lifting_windows
from liftpose.errors import LiftposeError
from liftpose.geometry import h36m_cameras
from liftpose.skeletons import H36M_16, H36M_17

Array = npt.NDArray[Any]


# -------------------------------------------------------------------------------------------------- golden batches
def golden_windows(golden: Any, flip_copies: bool | None = None) -> tuple[Windows, dict[str, int]]:
    parameters = dict(zip(golden["param_names"].tolist(), golden["params"].tolist(), strict=True))
    windows = Windows(
        [golden[f"poses_2d_{i}"] for i in range(4)],
        [golden[f"poses_3d_{i}"] for i in range(4)],
        [golden[f"camera_{i}"] for i in range(4)] if "camera_0" in golden else None,
        pad=parameters["pad"],
        causal_shift=parameters["causal_shift"],
        chunk_length=parameters["chunk_length"],
        keypoint_sides=Sides(golden["kps_left"].tolist(), golden["kps_right"].tolist()),
        flip_copies=bool(parameters["augment"]) if flip_copies is None else flip_copies,
    )
    return windows, parameters


def pairs(windows: Windows) -> Array:
    sequence, start, flip = windows.index
    return torch.stack((sequence, start, start + windows.chunk_length, flip.int()), dim=1).numpy()


@pytest.mark.parametrize("case", ["gen_train_c1", "gen_train_c3", "gen_train_causal"])
def test_training_batches_are_the_published_ones(reference: Path, case: str) -> None:
    with np.load(reference / "golden" / "rie" / f"{case}.npz") as golden:
        windows, parameters = golden_windows(golden)
        np.testing.assert_array_equal(pairs(windows), golden["pairs"])
        for epoch in (0, 1):
            count = len(windows)
            shuffled = epoch_order(count, parameters["random_seed"], epoch)
            order = shuffled if parameters["shuffle"] else torch.arange(count)
            np.testing.assert_array_equal(order, golden[f"order_epoch{epoch}"])
            batches = order.split(parameters["batch_size"])
            reported = len(batches), len(batches) * parameters["batch_size"]  # more frames than there are, as published
            assert reported == (int(golden["num_batches"]), int(golden["num_frames"]))
            assert [len(batch) for batch in batches] == golden[f"epoch{epoch}_batch_sizes"].tolist()
            for place, indices in (("first", batches[0]), ("last", batches[-1])):
                if f"epoch{epoch}_{place}_2d" not in golden:
                    continue
                batch = windows.gather(indices)
                assert batch.poses_3d is not None and batch.cameras is not None
                np.testing.assert_array_equal(batch.keypoints_2d, golden[f"epoch{epoch}_{place}_2d"])
                np.testing.assert_array_equal(batch.poses_3d, golden[f"epoch{epoch}_{place}_3d"])
                np.testing.assert_array_equal(batch.cameras, golden[f"epoch{epoch}_{place}_cam"])
                np.testing.assert_array_equal(batch.sequence, golden["pairs"][indices, 0])
                np.testing.assert_array_equal(batch.frame, golden["pairs"][indices, 1])
                np.testing.assert_array_equal(batch.flipped, golden["pairs"][indices, 3])


def test_evaluation_batches_are_the_published_ones(reference: Path) -> None:
    with np.load(reference / "golden" / "rie" / "gen_eval_c1.npz") as golden:
        windows, parameters = golden_windows(golden, flip_copies=False)  # its flips are a second pass, not copies
        np.testing.assert_array_equal(pairs(windows), golden["pairs"])
        batches = torch.arange(len(windows)).split(parameters["batch_size"])
        reported = len(batches), len(batches) * parameters["batch_size"]
        assert reported == (int(golden["num_batches"]), int(golden["num_frames"]))
        assert [len(batch) for batch in batches] == golden["batch_sizes"].tolist()
        for place, indices in (("first", batches[0]), ("last", batches[-1])):
            batch = windows.gather(indices)
            assert batch.poses_3d is not None and batch.cameras is None
            np.testing.assert_array_equal(batch.keypoints_2d, golden[f"{place}_2d"])
            np.testing.assert_array_equal(batch.poses_3d, golden[f"{place}_3d"])
            flipped = windows.gather(indices, flip=torch.ones(len(indices), dtype=torch.bool))
            np.testing.assert_array_equal(flipped.keypoints_2d, golden[f"{place}_2d_flip"])


H36M_16_SIDES = Sides([4, 5, 6, 10, 11, 12], [1, 2, 3, 13, 14, 15])


def dh_aug_windows(golden: Any, **options: Any) -> Windows:
    """The clips of DH-AUG's loaders; their camera vectors have the position of the camera behind the nine numbers."""
    return Windows(
        *([golden[f"{name}_{i}"] for i in range(len(golden["lengths"]))] for name in ("pose2d", "pose3d", "cam")),
        pad=4,
        keypoint_sides=H36M_16_SIDES,
        **options,
    )


@pytest.mark.parametrize(
    ("case", "options"),
    [("chunk", {}), ("chunkaug", {"flip_copies": True}), ("ganchunk", {"pose_windows": True})],
)
def test_the_chunks_of_dh_aug(reference: Path, case: str, options: dict[str, Any]) -> None:
    with np.load(reference / "golden" / "dh_aug" / "chunks.npz") as golden:
        windows = dh_aug_windows(golden, **options)
        batch = windows.gather(torch.arange(len(windows)))
        assert batch.poses_3d is not None and batch.cameras is not None
        np.testing.assert_array_equal(batch.keypoints_2d, golden[f"{case}_2d"])
        np.testing.assert_array_equal(batch.poses_3d, golden[f"{case}_3d"])
        np.testing.assert_array_equal(batch.cameras, golden[f"{case}_cam"])


@pytest.mark.parametrize("chunk_length", [1, 3])  # of no account
def test_the_whole_sequences_of_dh_aug(reference: Path, chunk_length: int) -> None:
    with np.load(reference / "golden" / "dh_aug" / "chunks.npz") as golden:
        windows = dh_aug_windows(golden, chunk_length=chunk_length)
        for i in range(3):
            batch = windows.whole_sequence(i, flip_copy=True)
            assert batch.poses_3d is not None and batch.cameras is not None
            np.testing.assert_array_equal(batch.keypoints_2d, golden[f"unchunk_2d_{i}"])
            np.testing.assert_array_equal(batch.poses_3d, golden[f"unchunk_3d_{i}"])
            np.testing.assert_array_equal(batch.cameras, golden[f"unchunk_cam_{i}"])
            assert batch.flipped.tolist() == [False, True]
            alone = windows.whole_sequence(i)
            np.testing.assert_array_equal(alone.keypoints_2d, golden[f"unchunk_2d_{i}"][:1])


# -------------------------------------------------------------------------------------------------- a plain loop
def loop_window(sequence: Array, first: int, count: int, flip: bool, order: list[int]) -> Array:
    """One window, frame by frame."""
    frames = []
    for i in range(first, first + count):
        frame = np.array(sequence[min(max(i, 0), len(sequence) - 1)])
        if flip:
            frame = frame[order]
            frame[:, 0] = -frame[:, 0]
        frames.append(frame)
    return np.stack(frames)


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(0, 7), min_size=1, max_size=4).filter(any),
    pad=st.integers(0, 5),
    chunk=st.integers(1, 4),
    causal=st.booleans(),
    copies=st.booleans(),
    pose_windows=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_gather_equals_a_loop(
    lengths: list[int], pad: int, chunk: int, causal: bool, copies: bool, pose_windows: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    keypoints = [random.normal(size=(n, 4, 2)).astype(np.float32) for n in lengths]
    poses = [random.normal(size=(n, 5, 3)).astype(np.float32) for n in lengths]
    shift = pad if causal else 0
    windows = Windows(
        keypoints,
        poses,
        pad=pad,
        causal_shift=shift,
        chunk_length=chunk,
        keypoint_sides=Sides([1], [3]),
        joint_sides=Sides([0, 2], [4, 1]),
        flip_copies=copies,
        pose_windows=pose_windows,
    )
    first, count = (-pad - shift, chunk + 2 * pad) if pose_windows else (0, chunk)
    expected = []
    for i, n in enumerate(lengths):
        chunks = -(-n // chunk)
        offset = (chunks * chunk - n) // 2
        expected += [
            (i, k * chunk - offset, flip) for flip in ([False, True] if copies else [False]) for k in range(chunks)
        ]
    assert len(windows) == len(expected)
    indices = torch.from_numpy(random.permutation(len(windows)))
    chance = torch.from_numpy(random.random(len(windows)) < 0.5)
    batch = windows.gather(indices, flip=chance)
    assert batch.poses_3d is not None
    for row, index in enumerate(indices.tolist()):
        i, start, copy = expected[index]
        flip = copy ^ bool(chance[row])
        assert (int(batch.sequence[row]), int(batch.frame[row]), bool(batch.flipped[row])) == (i, start, flip)
        window = loop_window(keypoints[i], start - pad - shift, chunk + 2 * pad, flip, [0, 3, 2, 1])
        np.testing.assert_array_equal(batch.keypoints_2d[row], window)
        window = loop_window(poses[i], start + first, count, flip, [4, 2, 1, 3, 0])
        np.testing.assert_array_equal(batch.poses_3d[row], window)


def test_flipping_by_mask_is_the_flipped_copy() -> None:
    keypoints = [torch.randn(6, 17, 2), torch.randn(3, 17, 2)]
    cameras = [torch.randn(9), torch.randn(9)]
    sides = Sides(H36M_17.left, H36M_17.right)
    windows = Windows(keypoints, None, cameras, pad=2, keypoint_sides=sides, flip_copies=True)
    plain, copies = torch.arange(6), torch.arange(6, 12)
    everything = torch.ones(6, dtype=torch.bool)
    one, other = windows.gather(plain, flip=everything), windows.gather(copies)
    assert one.poses_3d is None
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    torch.testing.assert_close(windows.gather(copies, flip=everything), windows.gather(plain), rtol=0, atol=0)


def test_memory_and_index_stay_small() -> None:
    windows = Windows([torch.zeros(1000, 17, 2)], pad=121, keypoint_sides=Sides([], []), flip_copies=True)
    assert sum(part.element_size() for part in windows.index) == 9
    tensors = [value for value in vars(windows).values() if isinstance(value, torch.Tensor)]
    assert sum(tensor.nbytes for tensor in tensors) < 2 * 1000 * 17 * 2 * 4 + 1000


def test_a_large_batch_is_many_small_ones() -> None:
    windows = Windows([torch.randn(400, 17, 2)], pad=60, keypoint_sides=Sides([1], [4]), flip_copies=True)
    indices = torch.randperm(len(windows))
    large = windows.gather(indices).keypoints_2d
    assert large.numel() > 2**20  # from here on the memory is another
    assert large.data_ptr() % 64 == 0
    assert torch.equal(large, torch.cat([windows.gather(part).keypoints_2d for part in indices.split(100)]))


def test_to_another_device() -> None:
    windows = Windows([torch.zeros(5, 3, 2)], [torch.zeros(5, 3, 3)], pad=1, keypoint_sides=Sides([], []))
    moved = windows.to("meta")
    assert moved.device.type == "meta" and windows.device.type == "cpu"
    assert moved.index.start.device.type == "meta"
    batch = moved.gather(torch.tensor([0, 3], device="meta"))
    assert batch.keypoints_2d.shape == (2, 3, 3, 2) and batch.keypoints_2d.device.type == "meta"


@pytest.mark.parametrize(
    "arguments",
    [
        {"keypoints_2d": []},
        {"pad": -1},
        {"chunk_length": 0},
        {"poses_3d": [torch.zeros(4, 3, 3)]},
        {"poses_3d": []},
        {"cameras": [torch.zeros(9)] * 2},
        {"keypoints_2d": [torch.zeros(5, 3, 2), torch.zeros(5, 1, 2)]},  # would fill all joints with one
    ],
)
def test_sequences_that_do_not_fit(arguments: dict[str, Any]) -> None:
    values: dict[str, Any] = {"keypoints_2d": [torch.zeros(5, 3, 2)], "pad": 1, "keypoint_sides": Sides([], [])}
    with pytest.raises(ValueError, match="expected"):
        Windows(**(values | arguments))


# -------------------------------------------------------------------------------------------------- order of epochs
def test_epoch_order_is_a_function_of_its_arguments() -> None:
    state = np.random.RandomState(1234)
    expected = [state.permutation(50) for _ in range(6)]
    for epoch in (0, 1, 5, 2, 2, 0, 4, 3):
        np.testing.assert_array_equal(epoch_order(50, 1234, epoch), expected[epoch])
        epoch_order(50, 4, epoch)
        epoch_order(49, 1234, epoch)
    for other in range(20):  # more than are remembered
        epoch_order(50, other, 0)
    np.testing.assert_array_equal(epoch_order(50, 1234, 5), expected[5])
    with pytest.raises(ValueError, match="found -1"):
        epoch_order(50, 0, -1)


def test_changing_an_order_does_not_change_the_next_one() -> None:
    epoch_order(10, 7, 0).zero_()
    np.testing.assert_array_equal(epoch_order(10, 7, 0), np.random.RandomState(7).permutation(10))


# -------------------------------------------------------------------------------------------------- windows for lifters
def recording(frames: int = 6, subject: str = "S9", view: int = 1, **changes: Any) -> Recording:
    random = np.random.default_rng(frames)
    values: dict[str, Any] = {
        "subject": subject,
        "action": "Walking",
        "view": view,
        "skeleton": H36M_17,
        "fps": 50.0,
        "keypoints_2d": random.uniform(0, 1000, (frames, 17, 2)).astype(np.float32),
        "poses_3d": random.normal(size=(frames, 17, 3)).astype(np.float32),
        "camera": h36m_cameras(subject, torch.float64)[view],
    }
    return Recording(**(values | changes))


def test_normalisation_is_the_published_one(reference: Path) -> None:
    with np.load(reference / "golden" / "rie" / "camera.npz") as golden:
        for subject in golden["h36m_subjects"].tolist():
            for view in range(4):
                prefix = f"h36m_{subject}_{view}"
                one = recording(
                    subject=subject,
                    view=view,
                    keypoints_2d=golden[f"{prefix}_pixels"],
                    poses_3d=golden["h36m_world"],
                )
                batch = lifting_windows([one], 1, with_cameras=True).gather(torch.arange(3))
                assert batch.poses_3d is not None and batch.cameras is not None
                np.testing.assert_allclose(batch.keypoints_2d[:, 0], golden[f"{prefix}_normalized_2d"], atol=1e-5)
                pose = golden[f"{prefix}_camera"]
                np.testing.assert_allclose(batch.poses_3d[:, 0], pose - pose[:, :1], atol=1e-5)
                np.testing.assert_allclose(batch.cameras[0], golden[f"{prefix}_intrinsic"], rtol=1e-5, atol=1e-6)


def test_the_root_is_zero_and_numbers_are_float32() -> None:
    recordings = [recording(6), recording(1, view=0), recording(9, subject="S11")]
    windows = lifting_windows(recordings, 9, flip_copies=True)
    batch = windows.gather(torch.arange(len(windows)))
    assert len(windows) == 2 * 16
    assert batch.keypoints_2d.shape == (32, 9, 17, 2) and batch.keypoints_2d.dtype == torch.float32
    assert batch.poses_3d is not None and batch.poses_3d.dtype == torch.float32
    assert not batch.poses_3d[:, :, 0].any()
    assert batch.poses_3d[:, :, 1:].any()
    assert windows.recordings == tuple(r.key for r in recordings)


@pytest.mark.parametrize(("causal", "target"), [(False, 4), (True, 8)])
def test_where_the_target_lies_in_the_window(causal: bool, target: int) -> None:
    one = recording(20)
    batch = lifting_windows([one], 9, causal=causal).gather(torch.tensor([12]))
    x = one.keypoints_2d[12, :, 0] / 500 - 1  # camera 1 has pictures of 1000 x 1000 pixels
    np.testing.assert_allclose(batch.keypoints_2d[0, target, :, 0], x, atol=1e-6)


def test_recordings_without_truth_and_with_other_lenses() -> None:
    from dataclasses import replace

    camera = replace(h36m_cameras("S1")[0], distortion_model="opencv")
    recordings = [recording(poses_3d=None), recording(poses_3d=None, camera=camera)]
    assert lifting_windows(recordings, 3).gather(torch.arange(12)).poses_3d is None
    with pytest.raises(LiftposeError, match=r"S9/Walking\.1: expected a lens that nine numbers describe, found opencv"):
        lifting_windows(recordings, 3, with_cameras=True)


def test_cameras_are_gathered_when_asked_for_only() -> None:
    recordings = [recording(), recording(view=0)]
    assert lifting_windows(recordings, 3).gather(torch.arange(12)).cameras is None
    cameras = lifting_windows(recordings, 3, with_cameras=True).gather(torch.arange(12)).cameras
    assert cameras is not None and cameras.shape == (12, 9)
    assert not torch.equal(cameras[0], cameras[6])


@pytest.mark.parametrize(
    ("recordings", "receptive_field", "message"),
    [
        ([], 3, "expected at least one frame"),
        ([recording(0)], 3, "expected at least one frame"),
        ([recording()], 4, "odd number of frames, found 4"),
        ([recording()], 0, "odd number of frames, found 0"),
        ([recording(camera=None)], 3, r"S9/Walking\.1: expected a camera"),
        ([recording(), recording(poses_3d=None)], 3, "in all recordings or in none"),
        (
            [
                recording(),
                recording(skeleton=H36M_16, keypoints_2d=np.zeros((2, 16, 2)), poses_3d=np.zeros((2, 16, 3))),
            ],
            3,
            "expected the skeleton h36m_17, found h36m_16",
        ),
        (
            [recording(keypoints_2d=np.where(np.arange(6)[:, None, None] == 4, np.nan, np.zeros((6, 17, 2))))],
            3,
            r"S9/Walking\.1: 2D keypoints: .* in 1 frames, first in frame 4",
        ),
        ([recording(poses_3d=np.full((6, 17, 3), np.inf))], 3, "3D poses: .* in 6 frames, first in frame 0"),
    ],
)
def test_recordings_that_cannot_be_used(recordings: list[Recording], receptive_field: int, message: str) -> None:
    with pytest.raises(LiftposeError, match=message):
        lifting_windows(recordings, receptive_field)
