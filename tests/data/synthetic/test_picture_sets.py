"""Sets of painted pictures: what is annotated is what the cameras see, and nothing depends on what else is painted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from liftpose.data.synthetic import SPLITS, TAKES, synthetic_take
from liftpose.data.synthetic.street import photograph_snapshot, street_joints, street_snapshots
from liftpose.data.synthetic.studio import (
    StudioTake,
    photograph_take,
    studio_cameras,
    studio_images,
    studio_takes,
)
from liftpose.geometry import h36m_cameras
from liftpose.skeletons import H36M_17, MPII_16


def test_moments_are_spread_over_takes_and_within_them() -> None:
    takes = studio_takes(SPLITS["validation"], 100, seed=0)
    assert [take.action for take in takes] == list(TAKES)
    assert sum(len(take.frames) for take in takes) == 100
    assert {len(take.frames) for take in takes} == {6, 7}
    for take in takes:
        steps = np.diff(take.frames)
        assert 0 <= take.frames[0] <= take.frames[-1] < 600
        assert steps.max() - steps.min() <= 1
        assert steps.max() < 600 / (len(take.frames) - 1)
    assert sum(len(take.frames) for take in studio_takes(("P1", "P2"), 5, seed=0)) == 5


def test_annotations_are_projections_of_the_movements() -> None:
    take = StudioTake("P6", "Waving", (3, 500))
    images = studio_images(Path("somewhere"), [take], 250, seed=2)
    poses = synthetic_take("P6", "Waving", 600, 2)[[3, 500]].astype(np.float64)
    assert len(images) == 8
    assert images.files[2] == "images/P6/Waving.55011271/000003.jpg"
    for view in range(4):
        camera = h36m_cameras("S9", dtype=torch.float64)[view]
        points = poses @ camera.R.numpy().T + camera.t.numpy()
        rays = points[..., :2] / points[..., 2:]
        k1, k2, k3, t0, t1 = camera.distortion.tolist()
        r2 = (rays**2).sum(-1, keepdims=True)
        bent = rays * (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + rays @ [[t0], [t1]]) + r2 * [t0, t1]
        matrix = camera.intrinsics.numpy()
        shrunk = np.array([250 / side for side in camera.image_size.tolist()])
        pixels = (bent @ matrix[:2, :2].T + matrix[:2, 2] + 0.5) * shrunk - 0.5
        rows = slice(2 * view, 2 * view + 2)
        assert np.abs(images.keypoints_2d[rows] - pixels).max() < 1e-3
        assert images.depths is not None
        assert images.root_depths is not None
        depths = images.depths[rows] + images.root_depths[rows, None]
        assert np.abs(depths - points[..., 2]).max() < 1e-5
        side = 2 * np.diag(matrix)[:2] * shrunk / points[:, 0, 2:]
        assert np.abs(images.boxes[rows, 2:] - side).max() < 1e-3
    assert images.skeleton is H36M_17
    assert (images.keypoints_2d > 0).all()
    assert (images.keypoints_2d < 249).all()


def test_people_are_where_the_annotations_say() -> None:
    # The same room, once with the person at one moment and once at another: what differs is the person.
    take = StudioTake("P6", "Walking", (10, 200))
    images = studio_images(Path("somewhere"), [take], 200, seed=2)
    pictures = [photograph.pixels.astype(np.int64) for photograph in photograph_take(take, 200, 2)]
    for view in range(4):
        difference = np.abs(pictures[2 * view] - pictures[2 * view + 1]).max(axis=-1) > 40
        inner = images.keypoints_2d[2 * view, [0, 7, 8, 10]].round().astype(int)
        here, there = (images.keypoints_2d[2 * view + i, 0] for i in range(2))
        if np.linalg.norm(here - there) > 40:
            assert difference[inner[:, 1], inner[:, 0]].mean() >= 0.75
        rows, columns = np.nonzero(difference)
        near = np.zeros(len(rows), bool)
        for row in range(2):
            box = images.boxes[2 * view + row]
            near |= (np.abs(columns - box[0]) < box[2] / 2) & (np.abs(rows - box[1]) < box[3] * 0.65)
        assert near.mean() > 0.9  # the rest is the shadow


def test_a_take_is_painted_the_same_whatever_else_is_painted() -> None:
    take = StudioTake("P7", "Sitting", (1, 300, 400))
    first = list(photograph_take(take, 120, 5))
    list(photograph_take(StudioTake("P8", "Mixed", (2,)), 120, 5))
    second = list(photograph_take(take, 120, 5))
    assert [p.file for p in first] == list(studio_images(Path(), [take], 120, 5).files)
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first, second, strict=True))
    other = list(photograph_take(take, 120, 6))
    assert not np.array_equal(first[0].pixels, other[0].pixels)


def test_snapshots_do_not_depend_on_the_block_they_are_made_in() -> None:
    whole, part = street_snapshots("train", 0, 11, 100, 3), street_snapshots("train", 6, 9, 100, 3)
    assert [snapshot.name for snapshot in whole] == [f"train_{number:06d}.jpg" for number in range(11)]
    for one, other in zip(whole[6:9], part, strict=True):
        assert one.name == other.name
        assert np.array_equal(one.pose, other.pose)
        assert np.array_equal(photograph_snapshot(one, 3).pixels, photograph_snapshot(other, 3).pixels)
    assert not {s.person for s in whole} & {s.person for s in street_snapshots("valid", 0, 11, 100, 3)}


def test_snapshots_are_seen_by_cameras_from_all_sides() -> None:
    snapshots = street_snapshots("train", 0, 200, 256, 0)
    found = street_joints(snapshots, 0)
    joints = [MPII_16.index(name) for name in ("right_shoulder", "left_shoulder")]
    right_first = found.joints[:, joints[0], 0] < found.joints[:, joints[1], 0]
    assert 0.35 < right_first.mean() < 0.65  # from the front, the right shoulder is on the left
    assert 0.85 < found.visible.mean() < 0.999
    outside = ~found.visible
    assert outside.any()
    assert ((found.joints[outside] < 0) | (found.joints[outside] > 255)).any(axis=-1).all()
    sizes = np.linalg.norm(found.head_boxes[:, 1] - found.head_boxes[:, 0], axis=-1)
    head, neck = (found.joints[:, MPII_16.index(name)] for name in ("head_top", "upper_neck"))
    inside = (found.head_boxes[:, 0] - 2 <= head) & (head <= found.head_boxes[:, 1] + 2)
    assert inside.all()
    assert (np.linalg.norm(head - neck, axis=-1) < 1.3 * sizes).all()
    for snapshot in snapshots[:20]:
        rotation = snapshot.camera.R.numpy()
        assert np.abs(rotation @ rotation.T - np.eye(3)).max() < 1e-12
        assert np.linalg.det(rotation) > 0
        down = rotation @ [0.0, 0.0, -1.0]
        assert down[1] > 0.3  # heads are up in the picture


def test_four_views_agree_on_where_the_joints_are() -> None:
    take = StudioTake("P6", "Mixed", (77,))
    images = studio_images(Path(), [take], 320, seed=0)
    cameras = studio_cameras(320)
    pixels = cameras.undistort(torch.from_numpy(images.keypoints_2d).double()).numpy()
    matrices = cameras.projection_matrix.numpy()
    rows = [
        (pixels[view, :, axis, None] * matrices[view, 2] - matrices[view, axis]) for view in range(4) for axis in (0, 1)
    ]
    _, _, vectors = np.linalg.svd(np.stack(rows, axis=1))
    points = vectors[:, -1, :3] / vectors[:, -1, 3:]
    assert np.abs(points - synthetic_take("P6", "Mixed", 600, 0)[77]).max() < 1e-4
