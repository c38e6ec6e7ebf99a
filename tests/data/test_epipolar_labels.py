"""Labels of annotated pictures: grouping by person and moment, and putting labels in the place of annotations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from liftpose.data.epipolar_labels import Detections, EpipolarLabels, group_views, make_labels, with_labels
from liftpose.data.image_joints import bring_into_joints
from liftpose.data.images import ImageSet
from liftpose.data.view_labels import LabelOptions
from liftpose.errors import LiftposeError
from liftpose.geometry import Camera, encode_labels, patch_to_image
from liftpose.skeletons import BODY_25B, H36M_17

FRAMES, PEOPLE = 14, ("S5", "S1")


@pytest.fixture(scope="module")
def pictures(make_scene: Callable[..., Any]) -> ImageSet:
    """Two people in two takes, four views each, rows in no order; one picture is missing."""
    rows: dict[str, list[Any]] = {name: [] for name in ("file", "subject", "action", "view", "frame", "camera")}
    seen, depths, roots, cameras = [], [], [], []
    for number, person in enumerate(PEOPLE):
        scene = make_scene(FRAMES, seed=number, jitter=0.0)
        local = scene.cameras.to_camera(scene.poses_3d.expand(4, -1, -1, -1))
        cameras += [scene.cameras[view] for view in range(4)]
        for frame in range(FRAMES):
            for view in range(4):
                action = "Walk" if frame < FRAMES // 2 else "Sit"
                rows["file"].append(f"images/{person}/{action}.{view}/{frame % 7:06d}.jpg")
                rows["subject"].append(person)
                rows["action"].append(action)
                rows["view"].append(view)
                rows["frame"].append(frame % 7)
                rows["camera"].append(4 * number + view)
                seen.append(scene.keypoints_2d[frame, view])
                depths.append(local[view, frame, :, 2] - local[view, frame, 0, 2])
                roots.append(local[view, frame, 0, 2])
    images = ImageSet(
        root=Path("pictures"),
        files=tuple(rows["file"]),
        skeleton=H36M_17,
        boxes=np.ones((len(seen), 4), dtype=np.float32),
        keypoints_2d=torch.stack(seen).float().numpy(),
        visible=np.ones((len(seen), 17), dtype=np.float32),
        subjects=tuple(rows["subject"]),
        actions=tuple(rows["action"]),
        views=np.array(rows["view"]),
        frames=np.array(rows["frame"]),
        depths=torch.stack(depths).float().numpy(),
        root_depths=torch.stack(roots).float().numpy(),
        cameras=Camera.stack(cameras).to(dtype=torch.float32),
        camera_index=np.array(rows["camera"]),
    )
    order = np.random.default_rng(0).permutation(len(images))
    return images.take(order[order != 5])


def annotated(images: ImageSet) -> Detections:
    return Detections("truth", H36M_17, images.keypoints_2d, images.visible)


def test_every_picture_stands_at_its_moment_and_view(pictures: ImageSet) -> None:
    groups = group_views(pictures)
    assert [group.subject for group in groups] == ["S1", "S5"]
    rows = np.concatenate([group.rows.ravel() for group in groups])
    assert sorted(rows[rows >= 0]) == list(range(len(pictures))) and (rows < 0).sum() == 1
    for group in groups:
        assert group.rows.shape == (FRAMES, 4) and group.views.tolist() == [0, 1, 2, 3]
        for moment in group.rows:
            there = moment[moment >= 0]
            assert len({(pictures.actions[row], int(pictures.frames[row])) for row in there}) == 1
        for column, camera in zip(group.rows.T, group.cameras, strict=True):
            assert {int(pictures.camera_index[row]) for row in column if row >= 0} == {int(camera)}  # type: ignore[index]


def test_labels_of_true_joints_are_the_annotations(pictures: ImageSet) -> None:
    labels = make_labels(pictures, annotated(pictures), source={"key": "truth"})
    assert labels.files == pictures.files and set(labels.rigs) == {"S1", "S5"} and labels.source == {"key": "truth"}
    assert (labels.weights == 1).all()
    np.testing.assert_allclose(labels.keypoints_2d, pictures.keypoints_2d, atol=2e-3)
    np.testing.assert_allclose(labels.depths, pictures.depths, atol=1e-4)
    np.testing.assert_allclose(labels.root_depths, pictures.root_depths, atol=1e-4)
    labelled = with_labels(pictures, labels)
    assert labelled.files == pictures.files and labelled.cameras is pictures.cameras
    np.testing.assert_array_equal(labelled.depths, labels.depths)


def test_a_rig_without_calibration_belongs_to_one_person(pictures: ImageSet) -> None:
    assert pictures.cameras is not None
    blind = replace(pictures, cameras=replace(pictures.cameras, R=torch.eye(3).expand(8, -1, -1).contiguous()))
    labels = make_labels(blind, annotated(pictures), LabelOptions(route="uncalibrated", target_skeleton_mm=4000))
    assert labels.weights.mean() > 0.99 and len(labels.report) == 12
    assert all(line.startswith(("S1: cameras", "S5: cameras")) for line in labels.report)
    for person in PEOPLE:
        own = np.array(pictures.subjects) == person
        ratio = labels.root_depths[own] / pictures.root_depths[own]  # type: ignore[index]
        assert ratio.std() < 1e-4 * ratio.mean()


def test_pictures_without_a_valid_label_are_left_out(pictures: ImageSet) -> None:
    confidence = pictures.visible.copy()
    lost = np.array(
        [subject == "S1" and frame == 3 for subject, frame in zip(pictures.subjects, pictures.frames, strict=True)]
    )
    confidence[lost] = 0
    labels = make_labels(pictures, Detections("some", H36M_17, pictures.keypoints_2d, confidence))
    labelled = with_labels(pictures, labels)
    assert len(labelled) == len(pictures) - lost.sum() > 0
    assert not {name for name, gone in zip(pictures.files, lost, strict=True) if gone} & set(labelled.files)
    with pytest.raises(LiftposeError, match="expected labels with valid joints, found none for"):
        with_labels(pictures, replace(labels, weights=np.zeros_like(labels.weights)))


def test_a_root_without_a_label_leaves_no_depth_behind_in_another_joint_order(pictures: ImageSet) -> None:
    """The pelvis of Human3.6M is the middle of two hips, of which one has no label in the second picture."""
    few = pictures.take(np.arange(2))
    weights = np.ones((2, len(BODY_25B)), dtype=np.float32)
    weights[1, BODY_25B.index("left_hip")] = 0
    random = np.random.default_rng(0)
    depths = random.normal(0, 0.3, weights.shape).astype(np.float32)
    labels = EpipolarLabels(
        few.files, few.subjects, BODY_25B, np.where(weights[..., None] > 0, few.boxes[:, None, :2], np.nan),
        np.where(weights > 0, depths, 0), np.full(2, 5, np.float32), weights, weights,
    )  # fmt: skip
    images = bring_into_joints(with_labels(few, labels), H36M_17)
    assert images.depths is not None and images.cameras is not None
    boxes = torch.from_numpy(images.boxes)
    _, taught = encode_labels(
        torch.from_numpy(images.keypoints_2d), torch.from_numpy(images.visible), torch.from_numpy(images.depths),
        patch_to_image(boxes, (64, 64)), (64, 64), 2.0,
    )  # fmt: skip
    assert bool((taught[0] == 1).all()) and not taught[1, :, 2].any()
    hips = [BODY_25B.index(name) for name in ("left_hip", "right_hip")]
    wrist = depths[0, BODY_25B.index("left_wrist")] - depths[0, hips].mean()
    np.testing.assert_allclose(images.depths[0, H36M_17.index("left_wrist")], wrist, rtol=1e-5)


def test_pictures_that_the_labels_do_not_know_are_named(pictures: ImageSet) -> None:
    few = pictures.take(np.arange(20))
    labels = make_labels(pictures, annotated(pictures))
    assert len(with_labels(few, labels)) == 20
    other = replace(few, files=("elsewhere.jpg", *few.files[1:]))
    with pytest.raises(LiftposeError, match=r"found none of elsewhere.jpg and of 0 more .*epipolar-labels"):
        with_labels(other, labels)


def test_pictures_that_cannot_be_grouped_are_refused(pictures: ImageSet) -> None:
    twice = pictures.take(np.array([0, 1, 2, 1]))
    with pytest.raises(LiftposeError, match=r"expected one picture of .* per take, frame and view, found images"):
        group_views(twice)
    with pytest.raises(LiftposeError, match="expected pictures of known cameras"):
        group_views(replace(pictures, cameras=None, camera_index=None))
    assert pictures.camera_index is not None
    moved = pictures.camera_index.copy()
    moved[0] = (moved[0] + 1) % 8
    with pytest.raises(LiftposeError, match="expected one camera for view"):
        group_views(replace(pictures, camera_index=moved))
    one = pictures.take(np.flatnonzero(pictures.views == 2))
    with pytest.raises(LiftposeError, match="S1: expected pictures of at least two views, found 1"):
        make_labels(one, annotated(one))


def test_joints_of_other_pictures_are_refused(pictures: ImageSet) -> None:
    with pytest.raises(ValueError, match="2D joints of"):
        make_labels(pictures, annotated(pictures.take(np.arange(3))))
    with pytest.raises(ValueError, match="h36m_17"):
        Detections("", H36M_17, np.zeros((4, 16, 2), np.float32), np.zeros((4, 16), np.float32))
