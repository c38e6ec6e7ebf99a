"""Where made-up poses are put."""

from __future__ import annotations

from collections.abc import Callable

import torch

from liftpose.skeletons import H36M_16, H36M_17
from liftpose.tasks.augmenters import RealPoses, in_sight
from liftpose.tasks.augmenters.base import sixteen_joints


def test_what_no_camera_sees_is_put_where_the_real_person_stands(make_real: Callable[..., RealPoses]) -> None:
    real = make_real(5, frames=3)
    generator = torch.Generator().manual_seed(4)
    body = 0.3 * torch.randn(5, 3, 16, 3, generator=generator)
    body[:, :, 0] = 0
    fakes = body + real.poses_world[:, :, :1]
    fakes[1] += torch.tensor([0, 0, 30.0])  # above the picture
    fakes[2] = body[2] + 2 * real.cameras.position[2] - real.poses_world[2, :, :1]  # behind the camera
    fakes[3, 2] += torch.tensor([0, 0, 30.0])  # one frame of a clip is enough
    fakes[4] = torch.randn(16, 3, generator=generator) * 40  # too large to be seen anywhere
    other = real.all_cameras.take(torch.tensor([1, 2, 2, 0, 1]))
    made = in_sight(fakes, other, real)

    expected_0 = other.take(torch.tensor(0)).to_camera(fakes[0])
    torch.testing.assert_close(made.poses_camera[0], expected_0)
    for row in (1, 2, 3):
        camera = real.cameras.take(torch.tensor(row))
        expected = camera.to_camera(fakes[row] - fakes[row, :, :1] + real.poses_world[row, :, :1])
        torch.testing.assert_close(made.poses_camera[row], expected)
        torch.testing.assert_close(made.keypoints_2d[row], camera.project(expected))
    torch.testing.assert_close(made.poses_camera[4], real.poses_camera[4])
    for row, cameras in ((0, other), (1, real.cameras), (2, real.cameras), (3, real.cameras), (4, real.cameras)):
        camera = cameras.take(torch.tensor(row))
        assert camera.sees(made.poses_camera[row], made.keypoints_2d[row]).all()


def test_the_sixteen_joints_of_seventeen() -> None:
    poses = torch.arange(17.0)[:, None].expand(17, 3)
    assert sixteen_joints(poses, H36M_17)[:, 0].tolist() == [*range(9), *range(10, 17)]
    assert H36M_17.joint_names[9] == "neck"
    assert sixteen_joints(poses[:16], H36M_16) is not None
