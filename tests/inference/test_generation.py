"""Generated data sets: what is in them, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from liftpose.datamodules import H36MDataModule, WindowShape
from liftpose.errors import LiftposeError
from liftpose.formats import find_dataset_info, read_h36m
from liftpose.geometry import h36m_cameras
from liftpose.geometry.bones import bone_length_templates, bone_lengths
from liftpose.geometry.screen import intrinsic_vector, normalize_screen, project_published
from liftpose.inference.generated_data import generate_dataset
from liftpose.inference.generation import LoadedGenerator, generate_clips, load_generator
from liftpose.models import VideoPose
from liftpose.skeletons import H36M_16, H36M_17
from liftpose.tasks import AugmentedLiftingTask
from liftpose.tasks.augmenters import DHAug
from liftpose.tasks.augmenters.poseaug import PoseAug

NARROW = ("generator_width", "critic_3d_width", "critic_2d_width", "motion_critic_3d_width", "motion_critic_2d_width")


def checkpoint(path: Path, frames: int = 1, skeleton: str = "h36m_16", change: Any = None, **parts: Any) -> Path:
    """Write a checkpoint as `liftpose fit` does, of a network that has learnt only where people stand."""
    torch.manual_seed(0)
    lifter = {"skeleton": skeleton, "filter_widths": [3] * {1: 0, 3: 1, 9: 2}[frames] or [1], "channels": 4}
    augmenter = dict.fromkeys(NARROW, 8)
    task = AugmentedLiftingTask(VideoPose(**lifter), DHAug(**augmenter))
    state = task.state_dict()
    outputs = state["augmenter.generator.deconv_out.bias"].view(frames, 35)
    outputs[:, -3:] = torch.atanh(torch.tensor([0.35, 0.95, 1.0]) / 10)  # metres, within 10 of the origin
    state["augmenter.generator.deconv_out.weight"].view(frames, 35, -1)[:, -3:] *= 0.1
    if change is not None:
        change(state)
    options = {
        "_class_path": "liftpose.tasks.AugmentedLiftingTask",
        "lifter": {"class_path": "liftpose.models.VideoPose", "init_args": lifter},
        "augmenter": {"class_path": "liftpose.tasks.augmenters.DHAug", "init_args": augmenter},
    }
    torch.save({"state_dict": state, "hyper_parameters": options | parts}, path)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 3000 generated poses."""
    folder = tmp_path_factory.mktemp("generated")
    generate_dataset(folder / "dh", 3000, ckpt_path=str(checkpoint(folder / "a.ckpt")))
    return folder / "dh"


def recordings(folder: Path) -> list[Any]:
    return read_h36m(folder / "data_3d_dh.npz", folder / "data_2d_dh_gt.npz")


def test_all_poses_are_there_and_whole_in_the_picture_of_their_camera(made: Path) -> None:
    found = recordings(made)
    assert sum(map(len, found)) == 3000
    assert {recording.skeleton for recording in found} == {H36M_16}
    for recording in found:
        camera = h36m_cameras("S1", torch.float64)[int(recording.subject[-1]) - 1]
        torch.testing.assert_close(recording.camera.R.double(), camera.R)
        points = camera.to_camera(torch.from_numpy(recording.poses_3d).double())
        assert (points[..., 2] > 0.1).all()
        screen = project_published(points, intrinsic_vector(camera))  # the published projection, in other units
        stored = torch.from_numpy(recording.keypoints_2d).double()
        torch.testing.assert_close(normalize_screen(stored, camera.image_size), screen, rtol=0, atol=2e-6)
        assert (stored >= -0.5).all() and (stored <= camera.image_size - 0.5).all()


def test_bodies_are_those_of_five_people_each_bone_changed_by_a_fifth_at_most(made: Path) -> None:
    lengths = bone_lengths(torch.cat([torch.from_numpy(recording.poses_3d) for recording in recordings(made)]))
    shares = lengths[:, None] / bone_length_templates()  # (N, 5, 15)
    # The thorax is never changed, so it tells whose bones they were.
    person = (shares[..., 7] - 1).abs().argmin(dim=1)
    own = shares[torch.arange(len(shares)), person]
    assert (own[:, 7] - 1).abs().max() < 1e-4
    assert own.min() > 0.8 - 1e-4 and own.max() < 1.2 + 1e-4 and own.std(dim=0)[:7].min() > 0.1
    assert (own[:, 0] - own[:, 1]).abs().max() < 1e-4  # both shins alike
    assert person.bincount(minlength=5).min() > 3000 / 5 * 0.8


def test_trainings_and_tests_read_it(made: Path) -> None:
    data = H36MDataModule(root=str(made), dataset="dh", joints="h36m_16", window=WindowShape(1, False), flip="none")
    data.setup("fit")
    data.setup("test")
    people = [{recording.subject for recording in data.recordings(split)} for split in ("train", "validation", "test")]
    assert not people[0] & people[1] and not people[0] & people[2] and not people[1] & people[2]
    counts = [len(data.windows(split)) for split in ("train", "validation", "test")]
    assert counts == [2400, 300, 300]
    info = find_dataset_info(made / "data_3d_dh.npz")
    assert "synthetic" in info.source and "a.ckpt" in info.source and info.up_axis == "z"
    assert "independent of each other" in info.notes["about"]


def test_the_same_seed_makes_the_same_files(made: Path, tmp_path: Path) -> None:
    path = str(checkpoint(tmp_path / "a.ckpt"))
    for folder, count, seed in (("again", 3000, 0), ("fewer", 700, 0), ("other", 700, 1)):
        generate_dataset(tmp_path / folder, count, ckpt_path=path, seed=seed)
    for name in ("data_3d_dh.npz", "data_2d_dh_gt.npz"):
        assert (tmp_path / "again" / name).read_bytes() == (made / name).read_bytes()
    whole, fewer, other = (
        {(r.subject, r.action): r.poses_3d for r in recordings(folder)}
        for folder in (made, tmp_path / "fewer", tmp_path / "other")
    )
    for place, poses in fewer.items():
        np.testing.assert_array_equal(poses, whole[place][: len(poses)])
    assert not np.array_equal(other["train1", "Poses 1"][0], fewer["train1", "Poses 1"][0])


@pytest.mark.parametrize("skeleton", ["h36m_16", "h36m_17"])
def test_a_generator_of_clips_makes_one_recording_of_each(skeleton: str, tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "a.ckpt", frames=9, skeleton=skeleton)
    generate_dataset(tmp_path / "dh", 100, ckpt_path=str(path))
    found = recordings(tmp_path / "dh")
    assert sorted(map(len, found)) == [1, *[9] * 11]  # the twelfth clip only as far as it is needed
    assert {recording.action.split(" ")[0] for recording in found} == {"Clip"}
    generator = load_generator(path)
    clips = generate_clips(generator, h36m_cameras("S1"), 100)
    stored = {tuple(recording.poses_3d[0, 0]) for recording in found}
    assert stored == {tuple(clip[0, 0]) for clip in clips.poses_3d}
    lengths = bone_lengths(torch.from_numpy(clips.poses_3d))
    torch.testing.assert_close(lengths, lengths[:, :1].expand_as(lengths), rtol=0, atol=1e-5)  # one body in a clip


def test_poses_within_joint_limits_stand_on_the_floor(tmp_path: Path) -> None:
    report = generate_dataset(tmp_path / "dh", 2000)
    assert "random poses within joint limits: 2000 poses" in report.lines[0]
    poses = torch.cat([torch.from_numpy(recording.poses_3d) for recording in recordings(tmp_path / "dh")])
    torch.testing.assert_close(poses[..., 2].amin(dim=1), torch.zeros(2000), rtol=0, atol=1e-5)
    place = (poses[:, 0, :2] - torch.tensor([0.35, 0.95])).abs()
    assert place.max() < 1 + 1e-5 and place.mean() > 0.3
    for upper, middle, lower in ((10, 11, 12), (13, 14, 15), (4, 5, 6), (1, 2, 3)):  # elbows and knees are hinges
        first, second = poses[:, middle] - poses[:, upper], poses[:, lower] - poses[:, middle]
        bend = torch.rad2deg(torch.acos(torch.cosine_similarity(first, second, dim=-1).clamp(-1, 1)))
        assert 130 < bend.max() < 135.1


def test_the_random_poses_of_a_training_stand_too(tmp_path: Path) -> None:
    spec = {"class_path": "liftpose.tasks.augmenters.RandomPoses", "init_args": {"global_rotation": False}}
    path = checkpoint(tmp_path / "a.ckpt", change=lambda state: state.clear(), augmenter=spec)
    clips = generate_clips(load_generator(path), h36m_cameras("S1"), 100)
    assert np.abs(clips.poses_3d[..., 2].min(axis=(1, 2))).max() < 1e-5
    across = clips.poses_3d[:, 0, 1] - clips.poses_3d[:, 0, 4]
    assert np.abs(across[:, 1:]).max() < 1e-5  # nobody turns: the hips lie along x


def test_every_camera_that_sees_a_pose_may_get_it() -> None:
    """Somebody in the middle of the room, whom all four see, comes to each of them equally often."""
    standing = torch.tensor([0.35, 0.95, 1.0]) + 0.01 * torch.randn(1, 16, 3)
    generator = LoadedGenerator(lambda lengths, draws: standing.expand(len(lengths), 1, 16, 3), "somebody")
    clips = generate_clips(generator, h36m_cameras("S1"), 4000)
    assert clips.seen == clips.tried
    share = np.bincount(clips.camera, minlength=4) / 4000
    assert np.abs(share - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / 4000)


def test_a_clip_that_leaves_the_picture_is_dropped() -> None:
    """Every second clip has one joint far outside in its last frame."""
    clip = torch.tensor([0.35, 0.95, 1.0]).expand(2, 3, 16, 3).clone()
    clip[1, 2, 5] += 30

    def sample(lengths: Tensor, draws: Any) -> Tensor:
        return clip.repeat(len(lengths) // 2 + 1, 1, 1, 1)[: len(lengths)]

    clips = generate_clips(LoadedGenerator(sample, "somebody"), h36m_cameras("S1"), 90)
    assert (clips.seen, clips.tried) == (128, 256)
    assert len(clips.camera) == 30 and np.abs(clips.poses_3d - clip[0].numpy()).max() == 0


def spoil(name: str, value: float) -> Any:
    def change(state: dict[str, Tensor]) -> None:
        state[f"augmenter.generator.{name}"] += value

    return change


def far_away(state: dict[str, Tensor]) -> None:
    state["augmenter.generator.deconv_out.bias"][-3:] += 100


def without_critic(state: dict[str, Tensor]) -> None:
    for name in [name for name in state if "critic_3d" in name]:
        del state[name]


def without_bias(state: dict[str, Tensor]) -> None:
    del state["augmenter.generator.block2.fc1.bias"]


def test_critics_make_no_poses(tmp_path: Path) -> None:
    poses = []
    for name, change in (("whole", None), ("alone", without_critic)):
        path = checkpoint(tmp_path / f"{name}.ckpt", change=change)
        generate_dataset(tmp_path / name, 50, ckpt_path=str(path))
        poses.append([recording.poses_3d for recording in recordings(tmp_path / name)])
    assert all(np.array_equal(one, other) for one, other in zip(*poses, strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (spoil("deconv_out.bias", float("nan")), r"DHAug .*expected finite poses, found others"),
        (far_away, r"DHAug .*expected poses that a camera sees, found 0 of"),
        (without_bias, r"a.ckpt: expected weights that fit its own DHAug, found: none of generator.block2.fc1.bias"),
        (lambda state: state.clear(), r"DHAug, found: none of generator.preprocess.0.weight and of 15 more$"),
    ],
)
def test_weights_with_which_nothing_can_be_made(change: Any, message: str, tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "a.ckpt", change=change)
    with pytest.raises(LiftposeError, match=message):
        generate_dataset(tmp_path / "dh", 50, ckpt_path=str(path))
    assert not (tmp_path / "dh").exists()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (None, "expected a checkpoint of a training with an augmentation, found none"),
        ({"class_path": "os.system", "init_args": {"command": "x"}}, "of liftpose .*found os.system"),
        (
            {"class_path": "liftpose.models.VideoPose"},
            "expected an augmenter of liftpose .*found liftpose.models.Video",
        ),
        ({"class_path": "liftpose.tasks.augmenters.DHAug", "init_args": {"depth": 3}}, "expected options of .*depth"),
        ({"class_path": "liftpose.tasks.augmenters.DHAug", "init_args": {"critic_steps": 0}}, "critic_steps"),
        (3, "expected an augmenter with its class_path, found 3"),
    ],
)
def test_what_makes_no_poses_is_told(spec: Any, message: str, tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "a.ckpt", augmenter=spec)
    with pytest.raises(LiftposeError, match=message):
        load_generator(path)


def test_an_augmentation_that_changes_real_poses_only(tmp_path: Path) -> None:
    spec = {"class_path": f"{PoseAug.__module__}.PoseAug", "init_args": {}}
    with pytest.raises(LiftposeError, match=r"a.ckpt: expected .* makes poses out of nothing, found PoseAug"):
        load_generator(checkpoint(tmp_path / "a.ckpt", augmenter=spec))


def test_the_checkpoint_of_a_lifter_alone(tmp_path: Path) -> None:
    lifter = {"class_path": "liftpose.models.VideoPose", "init_args": {}}
    options = {"_class_path": "liftpose.tasks.LiftingTask", "lifter": lifter}
    torch.save({"state_dict": {}, "hyper_parameters": options}, tmp_path / "a.ckpt")
    with pytest.raises(LiftposeError, match=r"training with an augmentation, found one of liftpose.tasks.LiftingTask$"):
        load_generator(tmp_path / "a.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "b.ckpt")
    with pytest.raises(LiftposeError, match="expected a checkpoint of `liftpose fit`, which says what it holds, found"):
        load_generator(tmp_path / "b.ckpt")


def test_the_description_is_plain_json(made: Path) -> None:
    content = json.loads((made / "data_3d_dh.json").read_text())
    assert content["licence"] == "none: made by a program"
    assert len(content["cameras"]) == 12 and {len(views) for views in content["cameras"].values()} == {1}
    assert H36M_17.name != content["skeleton"] == "h36m_16"
