"""Random poses and real poses of other people as training data: what they keep of the real windows, and what not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
import torch

from liftpose.data.draws import BatchPlace, Draws
from liftpose.errors import LiftposeError
from liftpose.geometry import ScreenCameras, h36m_cameras
from liftpose.geometry.bones import bone_length_templates, bone_lengths, bone_vectors
from liftpose.geometry.inverse_kinematics import inverse_kinematics
from liftpose.geometry.kinematics import forward_kinematics, forward_kinematics_17, joint_limits
from liftpose.models import VideoPose
from liftpose.skeletons import H36M_16, H36M_17, adapt
from liftpose.tasks.augmenters import Augmenter, BoneTemplates, FakePoses, RandomPoses, RealPoses, Step

BATCH = 64


def lifter(frames: int = 1, joints: int = 16) -> VideoPose:
    return VideoPose(f"h36m_{joints}", filter_widths=[frames], channels=4)


def real_windows(frames: int = 1, joints: int = 16) -> RealPoses:
    """People who walk through the middle of the room of Human3.6M."""
    random = torch.Generator().manual_seed(0)
    angles = 0.2 * torch.randn(BATCH, frames, 33, generator=random, dtype=torch.float64)
    lengths = bone_length_templates(dtype=torch.float64)[torch.arange(BATCH) % 5][:, None]
    root = torch.tensor([0.0, 0.5, 0.9], dtype=torch.float64) + 0.1 * torch.randn(
        BATCH, frames, 3, generator=random, dtype=torch.float64
    )
    kinematics = forward_kinematics if joints == 16 else forward_kinematics_17
    poses = kinematics(angles, lengths, torch.zeros(3, dtype=torch.float64), root)
    cameras = h36m_cameras("S1", torch.float64)
    every = ScreenCameras.of([cameras[number] for number in range(4)]).to(dtype=torch.float64)
    own = every.take(torch.arange(BATCH) % 4)
    return RealPoses(own.to_camera(poses), poses, own, every)


def step(seed: int = 0) -> Step:
    draws = Draws(seed, BatchPlace(0, 0, 0, BATCH, BATCH), dtype=torch.float64)
    return cast(Step, SimpleNamespace(draws=draws))


def made(augmenter: Augmenter, real: RealPoses, seed: int = 0) -> FakePoses:
    network = lifter(real.poses_world.shape[1], real.poses_world.shape[2])
    augmenter.check(network)
    augmenter.build(network)
    return augmenter.augment(real, step(seed))


def in_the_world(fakes: FakePoses, real: RealPoses) -> torch.Tensor:
    """Bring windows back by the one camera from which the projection is what is given."""
    found = torch.full_like(fakes.poses_camera, torch.nan)
    for number in range(4):
        camera = real.all_cameras.take(torch.full((BATCH,), number))
        match = (camera.project(fakes.poses_camera) - fakes.keypoints_2d).abs().flatten(1).amax(1) < 1e-9
        found[match] = camera.to_world(fakes.poses_camera)[match]
    assert found.isfinite().all()
    return found


@pytest.mark.parametrize("joints", [16, 17])
def test_random_poses_have_real_lengths_and_places(joints: int) -> None:
    real = real_windows(joints=joints)
    fakes = made(RandomPoses(bone_scales="none"), real)
    assert fakes.poses_camera.shape == (BATCH, 1, joints, 3)
    world = in_the_world(fakes, real)
    torch.testing.assert_close(world[:, :, 0], real.poses_world[:, :, 0], rtol=0, atol=1e-6)
    skeleton = H36M_16 if joints == 16 else H36M_17
    bodies, originals = (adapt(poses, skeleton, H36M_16) for poses in (world, real.poses_world))
    torch.testing.assert_close(bone_lengths(bodies), bone_lengths(originals))
    # The real poses came from small angles; most of the random ones did not, and none is beyond its limits. What the
    # joints do not show is in others here, so only the knees and elbows can be compared.
    angles = inverse_kinematics(bodies[:, 0]).angles
    bends = [3, 8, 26, 31]
    limits = joint_limits("random", dtype=torch.float64)[bends]
    assert (angles[:, bends] >= limits[:, 0] - 1e-6).all()
    assert (angles[:, bends] <= limits[:, 1] + 1e-6).all()
    assert (angles[:, bends].abs() > 0.7).double().mean() > 0.2


def test_all_cameras_are_used() -> None:
    real = real_windows()
    fakes = made(RandomPoses(), real)
    own = real.cameras.project(fakes.poses_camera)
    same = ((own - fakes.keypoints_2d).abs().flatten(1).amax(1) < 1e-9).double().mean().item()
    assert 0.1 < same < 0.45, "one camera in four is that of the real window"


def test_what_is_not_chosen_is_that_of_nobody() -> None:
    real = real_windows()
    fakes = made(RandomPoses(choose_bone_lengths=False, choose_root=False, bone_scales="none", visible=False), real)
    world = in_the_world(fakes, real)
    assert world[:, :, 0].abs().max() < 1e-6
    torch.testing.assert_close(
        bone_lengths(world),
        bone_length_templates(dtype=torch.float64).mean(0).expand(BATCH, 1, 15),
        rtol=1e-6,
        atol=1e-7,
    )
    still = in_the_world(made(RandomPoses(global_rotation=False), real), real)
    torch.testing.assert_close(
        bone_vectors(still)[:, 0, 5, 1:].abs().max(), torch.zeros(()).double(), rtol=0, atol=1e-6
    )


def test_a_window_holds_one_pose_on_the_real_way() -> None:
    real = real_windows(frames=3)
    fakes = made(RandomPoses(), real)
    world = in_the_world(fakes, real)
    relative = world - world[:, :, :1]
    torch.testing.assert_close(relative, relative[:, :1].expand_as(relative))
    torch.testing.assert_close(world[:, :, 0], real.poses_world[:, :, 0], rtol=0, atol=1e-6)


def test_random_poses_are_seen() -> None:
    real = real_windows()
    far = real._replace(poses_world=real.poses_world + torch.tensor([0.0, 4.0, 0.0]).double())
    far = far._replace(poses_camera=far.cameras.to_camera(far.poses_world))
    blind = made(RandomPoses(visible=False), far)
    assert not real.cameras.sees(*blind).all(), "some stand behind the camera that was drawn"
    near = made(RandomPoses(), real)
    assert (near.poses_camera[..., 2] > 0).all()
    assert (near.keypoints_2d.abs() <= 1.1).all()


def test_samples_have_the_lengths_of_people() -> None:
    augmenter = RandomPoses(bone_scale=0.1)
    augmenter.build(lifter(3))
    lengths = bone_length_templates(dtype=torch.float64)
    draws = Draws(0, BatchPlace(0, 0, 0, 5, 5), dtype=torch.float64)
    poses = augmenter.sample(lengths, draws)
    assert poses.shape == (5, 3, 16, 3)
    shares = bone_lengths(poses) / lengths[:, None] - 1
    assert 0.05 < shares.abs().max() <= 0.1
    with pytest.raises(LiftposeError, match="found BoneTemplates"):
        BoneTemplates().sample(lengths, draws)


def test_templates_change_lengths_only() -> None:
    real = real_windows(frames=3)
    fakes = made(BoneTemplates(), real)
    torch.testing.assert_close(fakes.keypoints_2d, real.cameras.project(fakes.poses_camera))
    old, new = (bone_vectors(poses) for poses in (real.poses_camera, fakes.poses_camera))
    cosine = torch.nn.functional.cosine_similarity(old, new, dim=-1)
    torch.testing.assert_close(cosine, torch.ones_like(cosine))
    torch.testing.assert_close(fakes.poses_camera[:, :, 0], real.poses_camera[:, :, 0])
    templates = bone_length_templates(dtype=torch.float64)
    lengths = bone_lengths(fakes.poses_camera)
    torch.testing.assert_close(lengths, lengths[:, :1].expand_as(lengths))
    distance = (lengths[:, 0, None] - templates).abs().amax(-1)
    assert distance.amin(-1).max() < 1e-6
    assert set(distance.argmin(-1).tolist()) == set(range(5))


def test_mistakes_are_told() -> None:
    with pytest.raises(
        LiftposeError, match=r"model\.augmenter\.bone_scale: expected a share from 0 up and below 1, found 1"
    ):
        RandomPoses(bone_scale=1.0)
    with pytest.raises(LiftposeError, match="skeleton: expected h36m_16 for BoneTemplates, found h36m_17"):
        BoneTemplates().check(lifter(joints=17))
