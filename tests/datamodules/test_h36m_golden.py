"""The data module against DH-AUG's own loaders: the same 32-joint data through their pipeline and through ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from liftpose.data import Recording
from liftpose.datamodules import H36MDataModule, WindowShape
from liftpose.geometry import intrinsic_vector, matrix_to_quaternion
from liftpose.skeletons import H36M_16

Array = npt.NDArray[Any]
Golden = dict[str, Array]
PUBLISHED_SYMMETRY = [[4, 5, 6, 10, 11, 12], [1, 2, 3, 13, 14, 15]]


@pytest.fixture(scope="module")
def golden(reference: Path) -> Golden:
    with np.load(reference / "golden/dh_aug/h36m_pipeline.npz") as file:
        return dict(file)


@pytest.fixture(scope="module", params=[16, 17])
def root(request: pytest.FixtureRequest, golden: Golden, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The input in the official layout: keypoints of 16 joints as DH-AUG has them, or of 17 with a ninth to drop."""
    folder = tmp_path_factory.mktemp("pipeline")
    poses: dict[str, dict[str, Array]] = {}
    keypoints: dict[str, dict[str, list[Array]]] = {}
    for name, array in golden.items():
        kind, *place = name.split("/")
        if kind == "in":
            subject, action = place[0], place[1].replace("_", " ")
            poses.setdefault(subject, {})[action] = array
            views = golden[f"mid/{subject}/{place[1]}/pixels2d"]
            if request.param == 17:
                views = np.insert(views, 9, 7e5, axis=2)
            keypoints.setdefault(subject, {})[action] = list(views)
    metadata: dict[str, Any] = {"num_joints": 16, "keypoints_symmetry": PUBLISHED_SYMMETRY}
    if request.param == 17:
        symmetry = [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]
        metadata = {"num_joints": 17, "keypoints_symmetry": symmetry, "layout_name": "h36m"}
    np.savez_compressed(folder / "data_3d_h36m.npz", positions_3d=np.array(poses, dtype=object))
    np.savez_compressed(
        folder / "data_2d_h36m_gt.npz",
        positions_2d=np.array(keypoints, dtype=object),
        metadata=np.array(metadata, dtype=object),
    )
    return folder


def module(root: Path, **options: Any) -> H36MDataModule:
    people = {"train_subjects": ["S1", "S5"], "validation_subjects": ["S9"], "test_subjects": ["S9"]}
    return H36MDataModule(str(root), joints="h36m_16", window=WindowShape(1, False), flip="none", **people, **options)


def in_camera(recordings: list[Recording]) -> Array:
    """The poses of all recordings in the frames of their cameras (frames, 16, 3)."""
    found = []
    for recording in recordings:
        assert recording.camera is not None and recording.skeleton == recording.keypoint_skeleton == H36M_16
        found.append(recording.camera.to_camera(torch.tensor(recording.poses_3d, dtype=torch.float64)).numpy())
    return np.concatenate(found)


def camera_numbers(recording: Recording, count: int) -> Array:
    """Intrinsics (9), rotation to the world as a quaternion (4) and centre (3), or the first nine of them."""
    assert recording.camera is not None
    camera = recording.camera
    return torch.cat((intrinsic_vector(camera), matrix_to_quaternion(camera.R.mT), camera.center))[:count].numpy()


def test_sixteen_joints_and_their_projections(root: Path, golden: Golden) -> None:
    data = module(root)
    for recording in data.recordings("train") + data.recordings("test"):
        assert recording.camera is not None
        place = f"mid/{recording.subject}/{recording.action.replace(' ', '_')}"
        np.testing.assert_array_equal(recording.poses_3d, golden[f"{place}/positions16"])
        pixels = golden[f"{place}/pixels2d"][recording.view]
        np.testing.assert_array_equal(recording.keypoints_2d, pixels)
        projected = recording.camera.project(torch.tensor(in_camera([recording])))
        np.testing.assert_allclose(projected, pixels, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("setting", "split", "options"),
    [
        ("train_single", "train", {}),
        ("test_single", "test", {}),
        ("train_stride2_multi", "train", {"train_downsample": 2}),
        ("test_stride2_multi", "test", {"train_downsample": 2}),
        ("train_over200mm_multi", "train", {"train_displacement": 0.2}),
    ],
)
def test_the_loaders_of_dh_aug(root: Path, golden: Golden, setting: str, split: Any, options: dict[str, Any]) -> None:
    expected = {name.split("/")[1]: array for name, array in golden.items() if name.startswith(f"{setting}/")}
    data = module(root, **options)
    recordings = data.recordings(split)
    lengths = [len(recording) for recording in recordings]
    assert lengths == expected["lengths"].tolist()
    np.testing.assert_allclose(in_camera(recordings), expected["pose3d"], rtol=0, atol=1e-5)

    data.setup("fit" if split == "train" else "test")
    windows = data.windows(split)
    batch = windows.gather(torch.arange(len(windows)))
    assert batch.poses_3d is not None
    relative = expected["pose3d"] - expected["pose3d"][:, :1]
    np.testing.assert_allclose(batch.poses_3d[:, 0], relative, rtol=0, atol=1e-5)
    if "pose2d" not in expected:  # of the thinned clips the file has poses only
        return
    np.testing.assert_allclose(batch.keypoints_2d[:, 0], expected["pose2d"], rtol=0, atol=1e-5)
    actions = [recording.action_group for recording in recordings for _ in range(len(recording))]
    assert actions == expected["action"].tolist()
    cameras = np.stack([camera_numbers(recording, expected["cam"].shape[1]) for recording in recordings])
    if setting.endswith("_single"):
        cameras = np.repeat(cameras, lengths, axis=0)
    np.testing.assert_allclose(cameras, expected["cam"], rtol=0, atol=1e-5)


def test_thinned_keypoints_stay_with_their_poses(root: Path) -> None:
    """Of the thinned clips the file has no keypoints: they are the projections of the poses that are left."""
    for recording in module(root, train_displacement=0.2).recordings("train"):
        assert recording.camera is not None
        projected = recording.camera.project(torch.tensor(in_camera([recording])))
        np.testing.assert_allclose(projected, recording.keypoints_2d, rtol=0, atol=1e-3)
