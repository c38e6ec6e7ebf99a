"""The synthetic people: bodies that hold together, feet that stand, movements that a camera can see whole."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
import torch

from liftpose.data.synthetic import CAPTURE_CENTRE, SPLITS, TAKES, make_person, synthetic_people, synthetic_take
from liftpose.data.synthetic.actions import plan_take
from liftpose.data.synthetic.motion import animate
from liftpose.data.synthetic.signals import derive_generator
from liftpose.geometry import h36m_cameras
from liftpose.geometry.kinematics import BONE_JOINTS, joint_limits
from liftpose.skeletons import H36M_17

FPS = 50.0
SUBJECTS = ("P1", "P6", "P8")
People = dict[str, dict[str, npt.NDArray[np.float32]]]
# The 16 joints of the bone list among the 17.
AMONG_17 = [*range(9), *range(10, 17)]


@pytest.fixture(scope="module")
def people() -> People:
    return synthetic_people(SUBJECTS, frames_per_action=300, seed=5)


def takes(people: People, group: str = "") -> list[npt.NDArray[np.float64]]:
    return [x.astype(np.float64) for s in people.values() for name, x in s.items() if name.startswith(group)]


def test_every_take_of_every_person_is_there(people: People) -> None:
    assert set(people) == set(SUBJECTS)
    for person in people.values():
        assert tuple(person) == TAKES
        for poses in person.values():
            assert poses.shape == (300, len(H36M_17), 3)
            assert poses.dtype == np.float32
            assert np.isfinite(poses).all()
    groups = {name.split(" ")[0] for name in TAKES}
    assert groups == {"Walking", "Running", "Sitting", "Squats", "Reaching", "Waving", "Turning", "Mixed"}


def test_nobody_is_in_two_splits() -> None:
    names = list(itertools.chain(*SPLITS.values()))
    assert len(names) == len(set(names))
    assert {split: len(subjects) for split, subjects in SPLITS.items()} == {"train": 5, "validation": 1, "test": 2}


def test_bones_are_constant_and_equal_on_both_sides(people: People) -> None:
    first, second = np.array(AMONG_17)[np.array(BONE_JOINTS)].T
    for name, person in people.items():
        expected = make_person(name, 5).bone_lengths
        for poses in person.values():
            lengths = np.linalg.norm(poses[:, second].astype(float) - poses[:, first], axis=-1)
            np.testing.assert_allclose(lengths, np.broadcast_to(expected, lengths.shape), atol=1e-6)
        np.testing.assert_array_equal(expected[0:14:2][[0, 1, 2]], expected[1:14:2][[0, 1, 2]])
        np.testing.assert_array_equal(expected[8:14:2], expected[9:14:2])


def test_people_have_human_and_different_statures() -> None:
    everybody = [make_person(f"P{i}", seed) for i in range(40) for seed in (0, 1)]
    statures = np.array([person.stature for person in everybody])
    assert statures.min() >= 1.55
    assert statures.max() <= 1.95
    assert statures.std() > 0.08
    for person in everybody:
        upright = sum(person.bone(bone) for bone in ("right_shin", "right_thigh", "waist", "thorax", "neck"))
        assert 0.93 < (upright + person.ankle_height) / person.stature < 0.97


@pytest.mark.parametrize("action", [name for name in TAKES if " " not in name])
def test_joint_angles_stay_within_human_limits(action: str) -> None:
    limits = joint_limits("random", dtype=torch.float64).numpy()
    for subject in SUBJECTS:
        person = make_person(subject, 5)
        plan = plan_take(person, action, 300, FPS, derive_generator(5, subject, action))
        angles = animate(person, plan, FPS).angles[100:-100]
        assert (angles >= limits[:, 0]).all()
        assert (angles <= limits[:, 1]).all()
        # The legs are never cut off at a limit: that would move a standing foot.
        legs = angles[:, [0, 1, 2, 3, 5, 6, 7, 8]]
        bounds = limits[[0, 1, 2, 3, 5, 6, 7, 8]]
        assert ((legs > bounds[:, 0]) & (legs < bounds[:, 1])).mean() > 0.999


@pytest.mark.parametrize(
    ("group", "speed", "acceleration"),
    [
        ("Walking", 6.0, 70.0),
        ("Running", 8.0, 110.0),
        ("Sitting", 4.0, 60.0),
        ("Squats", 4.0, 60.0),
        ("Mixed", 7.0, 80.0),
    ],
)
def test_movements_are_smooth(people: People, group: str, speed: float, acceleration: float) -> None:
    for poses in takes(people, group):
        assert np.linalg.norm(np.diff(poses, axis=0), axis=-1).max() * FPS < speed
        assert np.linalg.norm(np.diff(poses, 2, axis=0), axis=-1).max() * FPS**2 < acceleration


def test_feet_neither_sink_nor_slide_nor_hover(people: People) -> None:
    for name, person in people.items():
        floor = make_person(name, 5).ankle_height
        for action, poses in person.items():
            ankles = poses[:, [3, 6]].astype(np.float64)
            height = ankles[..., 2] - floor
            assert height.min() > -0.001, action
            down = (height[1:] < 0.003) & (height[:-1] < 0.003)
            slide = np.linalg.norm(np.diff(ankles[..., :2], axis=0), axis=-1) * FPS
            assert slide[down].max() < 0.05, action
            if not action.startswith("Running"):
                # One foot is on the floor, at most on its toes, at any time.
                assert height.min(axis=1).max() < 0.02, action


def test_runners_fly_and_walkers_do_not(people: People) -> None:
    for name in SUBJECTS:
        floor = make_person(name, 5).ankle_height
        runs = people[name]["Running"][:, [3, 6], 2].min(axis=1) - floor
        assert 0.1 < (runs > 0.02).mean() < 0.6


def test_arms_swing_against_the_legs(people: People) -> None:
    for poses in takes(people, "Walking") + takes(people, "Running"):
        across = poses[:, 1] - poses[:, 4]
        ahead = np.stack((-across[:, 1], across[:, 0]), axis=-1) / np.linalg.norm(across[:, :2], axis=-1, keepdims=True)
        legs = ((poses[:, 3, :2] - poses[:, 6, :2]) * ahead).sum(axis=-1)
        arms = ((poses[:, 16, :2] - poses[:, 13, :2]) * ahead).sum(axis=-1)
        assert np.corrcoef(legs, arms)[0, 1] < -0.5


def test_people_do_what_the_take_says(people: People) -> None:
    for name, person in people.items():
        standing = np.median(person["Waving"][:, 0, 2])
        legs = make_person(name, 5).bone("right_thigh")
        for action in ("Sitting", "Squats"):
            assert person[action][:, 0, 2].min() < standing - 0.7 * legs
        assert (
            max(person[f"Waving{take}"][:, [13, 16], 2].max() for take in ("", " 1")) > person["Waving"][:, 8, 2].max()
        )
        path = np.linalg.norm(np.diff(person["Walking"][:, 0, :2], axis=0), axis=-1).sum()
        assert 0.6 < path / (300 / FPS) < 1.5
        across = person["Turning"][:, 1] - person["Turning"][:, 4]
        assert np.ptp(np.unwrap(np.arctan2(across[:, 1], across[:, 0]))) > 0.7


def test_all_four_cameras_see_everybody_whole(people: People) -> None:
    points = torch.from_numpy(np.concatenate([x for person in people.values() for x in person.values()])).reshape(-1, 3)
    for subject in ("S1", "S9", "S11"):
        cameras = h36m_cameras(subject)
        for view in range(4):
            camera = cameras[view]
            in_camera = camera.to_camera(points)
            pixels = camera.project(in_camera)
            assert (in_camera[:, 2] > 1.0).all()
            assert ((pixels >= 0) & (pixels <= camera.image_size - 1)).all()


def test_people_use_the_room_and_face_everywhere(people: People) -> None:
    poses = np.concatenate(takes(people))
    spread = poses[:, 0, :2] - CAPTURE_CENTRE
    assert np.abs(spread.mean(axis=0)).max() < 0.3
    assert spread.std(axis=0).min() > 0.3
    across = poses[:, 1] - poses[:, 4]
    counts, _ = np.histogram(np.arctan2(across[:, 1], across[:, 0]), bins=8, range=(-np.pi, np.pi))
    assert counts.min() > 0.03 * counts.sum()


def test_the_same_seed_gives_the_same_people_in_any_order() -> None:
    actions = ("Walking", "Sitting 1")
    forth = synthetic_people(("P1", "P2"), 80, seed=1, actions=actions)
    back = synthetic_people(("P2", "P1"), 80, seed=1, actions=actions[::-1])
    for subject, action in itertools.product(("P1", "P2"), actions):
        assert forth[subject][action].tobytes() == back[subject][action].tobytes()
        assert forth[subject][action].tobytes() == synthetic_take(subject, action, 80, 1).tobytes()
    other = synthetic_people(("P1",), 80, seed=2, actions=actions)
    assert not np.allclose(forth["P1"]["Walking"], other["P1"]["Walking"], atol=0.01)
    assert not np.allclose(forth["P1"]["Walking"], forth["P2"]["Walking"], atol=0.01)


def test_the_frame_rate_changes_the_sampling_and_not_the_tempo() -> None:
    slow, fast = (synthetic_take("P1", "Walking", round(6 * fps), 0, fps) for fps in (25.0, 50.0))
    speed = [np.linalg.norm(np.diff(x[:, 0, :2], axis=0), axis=-1).sum() for x in (slow, fast)]
    assert speed[0] == pytest.approx(speed[1], rel=0.05)


def test_unknown_actions_and_empty_takes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"action: expected one of Walking, .*, found 'Flying 1'"):
        synthetic_take("P1", "Flying 1", 10, 0)
    with pytest.raises(ValueError, match="frames: expected at least 1, found 0"):
        synthetic_take("P1", "Walking", 0, 0)
    assert synthetic_take("P1", "Mixed", 1, 0).shape == (1, 17, 3)
