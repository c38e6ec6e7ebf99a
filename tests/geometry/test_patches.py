"""Patches and labels, against the public code's numbers, OpenCV and closed forms."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from torch import Tensor

from liftpose.geometry import (
    Camera,
    encode_labels,
    h36m_cameras,
    labels_to_depths,
    labels_to_pixels,
    mirror_in_picture,
    patch_to_image,
    pelvis_boxes,
    picture_poses,
    tight_boxes,
    to_patch,
    to_picture,
)
from liftpose.models.soft_argmax import soft_argmax
from liftpose.skeletons import H36M_17

SIZE = (256, 192)


@pytest.fixture(scope="module")
def patch(reference: Path) -> dict[str, np.ndarray]:
    with np.load(reference / "golden/epipolar/patch.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def labels(reference: Path) -> dict[str, np.ndarray]:
    with np.load(reference / "golden/epipolar/labels.npz") as file:
        return dict(file)


def boxes_of(content: dict[str, np.ndarray], prefix: str = "") -> Tensor:
    names = ("center_x", "center_y", "width", "height")
    return torch.from_numpy(np.stack([content[prefix + name] for name in names], axis=-1))


def inverse(maps: Tensor) -> Tensor:
    """The other direction by numpy's inverse of the homogeneous matrices."""
    bottom = np.broadcast_to([[0.0, 0.0, 1.0]], (*maps.shape[:-2], 1, 3))
    return torch.from_numpy(np.linalg.inv(np.concatenate((maps.double().numpy(), bottom), axis=-2))[..., :2, :])


# ------------------------------------------------------------------------------------------------- the public code
def test_maps_are_the_published_ones(patch: dict[str, np.ndarray]) -> None:
    maps = patch_to_image(
        boxes_of(patch),
        patch["patch_wh"].tolist(),
        torch.from_numpy(patch["scale"]),
        torch.from_numpy(patch["rot"]).deg2rad(),
    )
    # The public code solves them from three points in float32.
    torch.testing.assert_close(maps, torch.from_numpy(patch["trans_inv"]), atol=3e-4, rtol=0)
    torch.testing.assert_close(inverse(maps), torch.from_numpy(patch["trans"]), atol=5e-4, rtol=0)
    points = torch.from_numpy(patch["pts"][..., :2])
    torch.testing.assert_close(to_patch(points, maps), torch.from_numpy(patch["pts_patch_xy"]), atol=1e-3, rtol=0)


def test_the_published_way_back_is_that_of_a_zoom_of_one(patch: dict[str, np.ndarray]) -> None:
    places = torch.from_numpy(patch["coords_in_patch"][..., :3])
    width, height = patch["patch_wh"].tolist()
    found = torch.stack((places[..., 0] / width - 0.5, places[..., 1] / height - 0.5, places[..., 2] / width), dim=-1)
    maps = patch_to_image(
        boxes_of(patch),
        (width, height),
        torch.from_numpy(patch["scale"]),
        torch.from_numpy(patch["rot"]).deg2rad(),
    )
    expected = torch.from_numpy(patch["coords_org_3d"])
    torch.testing.assert_close(labels_to_pixels(found, maps, (width, height)), expected[..., :2], atol=1e-3, rtol=0)
    torch.testing.assert_close(labels_to_depths(found, 2.0) * 1000, expected[..., 2])
    # With a zoom the depth is another one, by the zoom.
    zoom = torch.from_numpy(patch["scale"])
    torch.testing.assert_close(labels_to_depths(found, 2 * zoom) * 1000, expected[..., 2] * zoom.unsqueeze(-1))


@pytest.mark.parametrize("case", ["eval", "aug", "augflip"])
def test_labels_of_a_sample_are_the_published_ones(patch: dict[str, np.ndarray], case: str) -> None:
    scale, degrees, flip = (1.0, 0.0, 0.0) if case == "eval" else patch[f"sample_{case}_params"][:3]
    joints = torch.from_numpy(patch["sample_joints"])
    visible = torch.from_numpy(patch["sample_vis"])
    maps = patch_to_image(
        torch.from_numpy(patch["sample_box"]),
        (64, 64),
        torch.tensor(scale),
        torch.tensor(math.radians(degrees)),
        torch.tensor(bool(flip)),
    )
    if flip:
        joints, visible = joints[list(H36M_17.mirror_index)], visible[list(H36M_17.mirror_index)]
    found, weights = encode_labels(
        joints[:, :2], visible[:, 0], joints[:, 2] / 1000, maps, (64, 64), 2.0 * torch.tensor(scale)
    )
    expected = torch.from_numpy(patch[f"sample_{case}_label"]).reshape(17, 3)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)
    # A weight of its own for each coordinate is the public code's; ours is the joint's.
    expected_weights = torch.from_numpy(patch[f"sample_{case}_weight"]).reshape(17, 3)
    torch.testing.assert_close(weights[:, :2], expected_weights[:, :2])


def test_a_mirrored_picture_has_the_published_joints(patch: dict[str, np.ndarray]) -> None:
    joints = torch.from_numpy(patch["sample_joints"])
    torch.testing.assert_close(
        mirror_in_picture(joints, H36M_17, 110), torch.from_numpy(patch["flip_joints"]), atol=0, rtol=0
    )
    visible = torch.from_numpy(patch["sample_vis"])[list(H36M_17.mirror_index)]
    assert torch.equal(visible, torch.from_numpy(patch["flip_vis"]))


@pytest.mark.parametrize(("aspect", "name"), [(1.0, "bound_pad_ar1"), (0.75, "bound_pad_ar0p75")])
def test_tight_boxes_are_the_published_ones(patch: dict[str, np.ndarray], aspect: float, name: str) -> None:
    box = tight_boxes(torch.from_numpy(patch["bound_kpts"]), torch.from_numpy(patch["bound_vis"][:, 0]), aspect)
    torch.testing.assert_close(box, torch.from_numpy(patch[name]))


def test_pelvis_boxes_are_the_published_ones(labels: dict[str, np.ndarray]) -> None:
    left, right, top, bottom = torch.from_numpy(labels["rect_lrtb"]).unbind(-1)
    pelvis = torch.from_numpy(labels["pelvis"])
    boxes = pelvis_boxes(pelvis / 1000, torch.from_numpy(labels["K"]).unsqueeze(1))
    # One of the sides that the public code calls left and right is the other one.
    torch.testing.assert_close(boxes[..., 2], (left - right).abs())
    torch.testing.assert_close(boxes[..., 3], (top - bottom).abs())
    torch.testing.assert_close(boxes[..., 0], (left + right) / 2)
    torch.testing.assert_close(boxes[..., 1], (top + bottom) / 2)


def test_labels_of_world_joints_are_the_published_ones(labels: dict[str, np.ndarray]) -> None:
    camera, pose = torch.from_numpy(labels["meta_cam"]), torch.arange(20) % 10
    uvd = torch.from_numpy(labels["uvd"])[camera, pose]
    scale = torch.from_numpy(labels["meta_scale"])
    angle = torch.from_numpy(labels["meta_rot"]).deg2rad()
    size = (256, 256)
    maps = patch_to_image(boxes_of(labels, "meta_"), size, scale, angle)
    found, weights = encode_labels(uvd[..., :2], torch.ones(20, 17), uvd[..., 2] / 1000, maps, size, 2.0 * scale)
    expected = torch.from_numpy(labels["batch_label"]).reshape(20, 17, 3)
    torch.testing.assert_close(found.float(), expected, atol=2e-6, rtol=0)
    assert (weights == torch.from_numpy(labels["batch_weight"]).reshape(20, 17, 3)).all()
    # Float32, as on the device.
    single, _ = encode_labels(
        uvd[..., :2].float(), torch.ones(20, 17), uvd[..., 2].float() / 1000, maps.float(), size, 2.0 * scale.float()
    )
    torch.testing.assert_close(single, expected, atol=3e-6, rtol=0)


def test_labels_of_two_views_are_the_published_ones(labels: dict[str, np.ndarray]) -> None:
    rows = torch.from_numpy(labels["ss_rows"])
    scale = torch.from_numpy(labels["meta_scale"])[rows]
    angle = torch.from_numpy(labels["meta_rot"]).deg2rad()[rows]
    maps = patch_to_image(boxes_of(labels, "meta_")[rows], (256, 256), scale, angle)
    found = soft_argmax(torch.from_numpy(labels["ss_vol"]).unflatten(1, (17, 8)))
    pixels = labels_to_pixels(found.double(), maps, (256, 256))
    coordinates = torch.from_numpy(labels["ss_img_coords"])
    torch.testing.assert_close(pixels, coordinates[..., :2], atol=2e-4, rtol=0)
    # There and here the depth of a label is one without the zoom.
    torch.testing.assert_close(1000 * labels_to_depths(found.double(), 2.0), coordinates[..., 2], atol=1e-3, rtol=0)
    view = torch.from_numpy(labels["meta_cam"])[rows]
    R, T = (torch.from_numpy(labels[name])[view] for name in ("R", "T"))
    points = (torch.from_numpy(labels["ss_global"]) - T.mT) @ R.mT
    homogeneous = points @ torch.from_numpy(labels["K"])[view].mT
    depths = (points[..., 2] - points[..., :1, 2]) / 1000
    made, _ = encode_labels(
        homogeneous[..., :2] / homogeneous[..., 2:], torch.ones(6, 17), depths, maps, (256, 256), 2 * scale
    )
    expected = torch.from_numpy(labels["ss_label"]).unflatten(1, (17, 3))
    torch.testing.assert_close(made.float(), expected, atol=1e-6, rtol=2e-6)


def test_poses_of_pictures_are_the_published_ones(labels: dict[str, np.ndarray]) -> None:
    uvd = torch.from_numpy(labels["uvd"])
    poses = picture_poses(
        uvd[..., :2],
        uvd[..., 2] / 1000,
        torch.from_numpy(labels["pelvis"])[..., 2] / 1000,
        torch.from_numpy(labels["K"]).unsqueeze(1),
    )
    torch.testing.assert_close(1000 * poses, torch.from_numpy(labels["cam3d"]))


# ------------------------------------------------------------------------------------------------------ always there
def test_maps_are_those_of_opencv() -> None:
    boxes = torch.tensor([[300.0, 250, 180, 120], [10, -5, 400, 333]], dtype=torch.float64)
    maps = patch_to_image(boxes, SIZE, torch.tensor([1.2, 0.7]), torch.tensor([0.5, -2.0]))
    for (cx, cy, width, height), scale, angle, found in zip(boxes, (1.2, 0.7), (0.5, -2.0), maps, strict=True):
        across = np.array([math.cos(angle), math.sin(angle)]) * float(width) * scale / 2
        down = np.array([-math.sin(angle), math.cos(angle)]) * float(height) * scale / 2
        centre = np.array([float(cx), float(cy)])
        in_picture = np.stack((centre, centre + across, centre + down)).astype(np.float32)
        in_patch = np.array([[128, 96], [256, 96], [128, 192]], dtype=np.float32)
        expected = cv2.getAffineTransform(in_patch, in_picture)
        torch.testing.assert_close(found, torch.from_numpy(expected), atol=1e-4, rtol=1e-6)


@given(
    st.floats(-3, 3),
    st.floats(0.3, 2),
    st.tuples(st.floats(-500, 1500), st.floats(-500, 1500), st.floats(1, 2000), st.floats(1, 2000)),
    st.booleans(),
)
def test_the_way_there_and_back_is_the_identity(
    angle: float, scale: float, box: tuple[float, float, float, float], mirrored: bool
) -> None:
    maps = patch_to_image(
        torch.tensor(box, dtype=torch.float64), SIZE, torch.tensor(scale), torch.tensor(angle), torch.tensor(mirrored)
    )
    points = torch.tensor([[0.0, 0.0], [255.0, 10.0], [33.3, 191.0]], dtype=torch.float64)
    there = to_picture(points, maps)
    torch.testing.assert_close(to_patch(there, maps), points, atol=1e-6, rtol=0)
    homogeneous = torch.cat((points, torch.ones(3, 1, dtype=torch.float64)), dim=1)
    torch.testing.assert_close(there, homogeneous @ maps.T)
    # The middle of the box falls on the published middle of the patch, whatever the turn, the zoom and the mirror.
    middle = to_picture(torch.tensor([[128.0, 96.0]], dtype=torch.float64), maps)
    torch.testing.assert_close(middle[0], torch.tensor(box[:2], dtype=torch.float64))


def test_a_mirrored_map_cuts_out_of_the_mirrored_picture() -> None:
    box = torch.tensor([60.0, 50, 70, 40], dtype=torch.float64)
    angle, width = torch.tensor(0.4), 110
    mirrored_box = torch.tensor([width - 1 - 60.0, 50, 70, 40], dtype=torch.float64)
    points = torch.rand(9, 2, dtype=torch.float64) * 100
    own = to_picture(points, patch_to_image(box, SIZE, angle=angle, mirrored=torch.tensor(True)))
    other = to_picture(points, patch_to_image(mirrored_box, SIZE, angle=angle))
    torch.testing.assert_close(own, torch.stack((width - 1 - other[:, 0], other[:, 1]), dim=-1))


def test_poses_survive_the_way_through_labels() -> None:
    cameras = h36m_cameras("S9").to(dtype=torch.float64)
    camera = Camera(
        cameras.R, cameras.t, cameras.intrinsics, torch.zeros_like(cameras.distortion), "none", cameras.image_size
    )
    poses = torch.randn(4, 6, 17, 3, dtype=torch.float64) * 0.3 + torch.tensor([0.2, -0.1, 4.5], dtype=torch.float64)
    roots = poses[..., :1, :]
    pixels = camera.project(poses)
    intrinsics = camera.intrinsics.unsqueeze(1)
    scale = torch.rand(4, 6, dtype=torch.float64) + 0.5
    maps = patch_to_image(pelvis_boxes(roots[..., 0, :], intrinsics), SIZE, scale, torch.randn(4, 6))
    depths = poses[..., 2] - roots[..., 2]
    coded, weights = encode_labels(pixels, torch.ones(4, 6, 17), depths, maps, SIZE, 2 * scale)
    assert bool((weights == 1).all())
    # The root is in the middle, at depth 0.
    assert float(coded[..., 0, :].abs().max()) < 1e-12
    back = picture_poses(
        labels_to_pixels(coded, maps, SIZE), labels_to_depths(coded, 2 * scale), roots[..., 0, 2], intrinsics
    )
    torch.testing.assert_close(back, poses)


def test_boxes_of_the_pelvis_hold_a_square_of_two_metres() -> None:
    cameras = h36m_cameras("S1").to(dtype=torch.float64)
    camera = Camera(
        cameras.R, cameras.t, cameras.intrinsics, torch.zeros_like(cameras.distortion), "none", cameras.image_size
    )
    root = torch.tensor([[0.3, 0.2, 5.0]], dtype=torch.float64).expand(4, 3)
    corners = root[:, None] + torch.tensor([[-1.0, -1, 0], [1, 1, 0]], dtype=torch.float64)
    low, high = camera.project(corners).unbind(1)
    boxes = pelvis_boxes(root, camera.intrinsics)
    torch.testing.assert_close(boxes, torch.cat(((low + high) / 2, high - low), dim=-1))


def test_what_is_unknown_weighs_nothing() -> None:
    nan = math.nan
    keypoints = torch.tensor([[[10.0, 20.0], [nan, 5.0], [30.0, 40.0], [1.0, 2.0]]])
    depths = torch.tensor([[0.1, 0.2, nan, 0.4]])
    maps = patch_to_image(torch.tensor([[20.0, 20, 50, 50]]), SIZE)
    visible = torch.tensor([[1.0, 1.0, 0.5, 0.0]])
    found, weights = encode_labels(keypoints, visible, depths, maps, SIZE, 2.0)
    assert bool(found.isfinite().all())
    assert weights[0].tolist() == [[1, 1, 1], [0, 0, 0], [0.5, 0.5, 0], [0, 0, 0]]
    _, without_depth = encode_labels(keypoints, visible, None, maps, SIZE, 2.0)
    assert without_depth[0].tolist() == [[1, 1, 0], [0, 0, 0], [0.5, 0.5, 0], [0, 0, 0]]


@given(st.integers(0, 2**16 - 1), st.floats(0.5, 2))
def test_tight_boxes_hold_the_joints_that_are_seen(bits: int, aspect: float) -> None:
    generator = torch.Generator().manual_seed(bits)
    keypoints = torch.rand(16, 2, generator=generator, dtype=torch.float64) * 500
    visible = torch.tensor([(bits >> joint) & 1 for joint in range(16)], dtype=torch.float64)
    keypoints[visible == 0] = torch.nan
    box = tight_boxes(keypoints, visible, aspect).numpy()
    seen = keypoints[visible > 0].numpy()
    if not len(seen):
        assert box.tolist() == [0, 0, 0, 0]
        return
    low, high = seen.min(0), seen.max(0)
    np.testing.assert_allclose(box[:2], (low + high) / 2)
    assert box[2] == pytest.approx(box[3] * aspect)
    # One of the sides is that of the joints, grown by a quarter; the other is no smaller than that.
    ratio = box[2:] / np.maximum(1.25 * (high - low), 1e-9)
    assert ratio.min() == pytest.approx(1) if (high > low).all() else ratio.min() >= 1 or box[2:].max() == 0


def test_mixed_precision_does_not_reach_the_maps() -> None:
    maps = patch_to_image(torch.tensor([900.0, 800, 300, 300]), SIZE)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = to_picture(torch.tensor([[100.0, 100.0]]), maps)
    torch.testing.assert_close(found, to_picture(torch.tensor([[100.0, 100.0]]), maps), atol=0, rtol=0)
