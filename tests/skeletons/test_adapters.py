from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from liftpose.errors import LiftposeError
from liftpose.skeletons import (
    BODY_25,
    BODY_25B,
    CMU_31,
    COCO_17,
    COCO_18,
    H36M_16,
    H36M_17,
    H36M_32,
    H36M_MPII_ORDER_16,
    HALPE_26,
    HUMANEVA_15,
    HUMANEVA_20,
    MADS_15,
    MADS_19,
    MPI_INF_3DHP_17,
    MPI_INF_3DHP_28,
    MPII_16,
    SKELETONS,
    Skeleton,
    adapt,
    adapter_targets,
    get_adapter,
)

KEPT_17 = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
KEPT_16 = [0, 1, 2, 3, 6, 7, 8, 12, 13, 15, 17, 18, 19, 25, 26, 27]
MPII_OF_17 = [3, 2, 1, 4, 5, 6, 0, 8, 9, 10, 16, 15, 14, 11, 12, 13]
TEST_OF_28 = [7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19, 20, 4, 3, 6]

# Pure permutations, as the public code and documentation list them.
PUBLISHED = [
    (H36M_32, H36M_17, KEPT_17),
    (H36M_32, H36M_16, KEPT_16),
    (H36M_32, H36M_MPII_ORDER_16, [KEPT_17[j] for j in MPII_OF_17]),
    (H36M_17, H36M_MPII_ORDER_16, MPII_OF_17),
    (H36M_17, H36M_16, [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16]),
    (MPI_INF_3DHP_28, MPI_INF_3DHP_17, TEST_OF_28),
    (MPI_INF_3DHP_28, H36M_17, [4, 23, 24, 25, 18, 19, 20, 3, 5, 6, 7, 9, 10, 11, 14, 15, 16]),
    (MADS_19, MADS_15, [0, 1, 2, 3, 4, 6, 7, 8, 10, 11, 12, 14, 15, 16, 18]),
    (BODY_25, COCO_17, [0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11]),
    (BODY_25, COCO_18, [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]),
    (COCO_18, COCO_17, [0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10]),
    (BODY_25B, COCO_17, list(range(17))),
    (HALPE_26, COCO_17, list(range(17))),
]


def _numbered(skeleton: Skeleton) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(2, 3, len(skeleton), 3))


@pytest.mark.parametrize(("source", "target", "index"), PUBLISHED, ids=lambda v: getattr(v, "name", ""))
def test_permutations_are_the_published_ones(source: Skeleton, target: Skeleton, index: list[int]) -> None:
    array = _numbered(source)
    np.testing.assert_array_equal(adapt(array, source, target), array[:, :, index])
    assert torch.equal(adapt(torch.from_numpy(array), source, target), torch.from_numpy(array[:, :, index]))


def test_body_25b_gives_the_17_joints_by_the_rule_of_the_motion_data() -> None:
    points = _numbered(BODY_25B)
    pose = adapt(points, BODY_25B, H36M_17)
    hip, thorax = (points[:, :, 11] + points[:, :, 12]) / 2, points[:, :, 17]
    for joint, expected in {0: hip, 7: (hip + thorax) / 2, 8: thorax, 9: points[:, :, 0], 10: points[:, :, 18]}.items():
        np.testing.assert_allclose(pose[:, :, joint], expected, rtol=1e-14, atol=1e-15)
    limbs = {1: 12, 2: 14, 3: 16, 4: 11, 5: 13, 6: 15, 11: 5, 12: 7, 13: 9, 14: 6, 15: 8, 16: 10}
    np.testing.assert_array_equal(pose[:, :, list(limbs)], points[:, :, list(limbs.values())])


def test_humaneva_20_gives_the_15_joints_by_the_official_means() -> None:
    points = _numbered(HUMANEVA_20)
    pose = adapt(points, HUMANEVA_20, HUMANEVA_15)
    means = [
        (0,),
        (1, 2),
        (3,),
        (4, 5),
        (6,),
        (7,),
        (8, 9),
        (10,),
        (11,),
        (12, 13),
        (14,),
        (15,),
        (16, 17),
        (18,),
        (19,),
    ]
    expected = np.stack([points[:, :, list(row)].mean(2) for row in means], axis=2)
    np.testing.assert_allclose(pose, expected, rtol=1e-14, atol=1e-15)


def test_cmu_31_gives_the_17_joints_of_the_table() -> None:
    names = "root lhipjoint lfemur ltibia lfoot ltoes rhipjoint rfemur rtibia rfoot rtoes lowerback upperback thorax lowerneck upperneck head lclavicle lhumerus lradius lwrist lhand lfingers lthumb rclavicle rhumerus rradius rwrist rhand rfingers rthumb".split()  # noqa: E501  # one line of names
    table = "lhipjoint+rhipjoint rhipjoint rfemur rtibia lhipjoint lfemur ltibia lowerback thorax lowerneck+upperneck head lclavicle lhumerus lwrist rclavicle rhumerus rwrist".split()  # noqa: E501  # one line of names
    points = _numbered(CMU_31)
    rows = [[names.index(name) for name in entry.split("+")] for entry in table]
    expected = np.stack([points[:, :, row].mean(2) for row in rows], axis=2)
    np.testing.assert_allclose(adapt(points, CMU_31, H36M_17), expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("middle", [H36M_MPII_ORDER_16, H36M_16])
def test_a_joint_that_was_left_out_comes_back_as_the_mean_of_its_neighbours(middle: Skeleton) -> None:
    pose = _numbered(H36M_17)
    back = adapt(adapt(pose, H36M_17, middle), middle, H36M_17)
    (guessed,) = get_adapter(middle, H36M_17).approximate
    joint = H36M_17.index(guessed)
    rest = [j for j in range(17) if j != joint]
    np.testing.assert_array_equal(back[:, :, rest], pose[:, :, rest])
    around = [j for bone in H36M_17.bones if joint in bone for j in bone if j != joint]
    np.testing.assert_allclose(back[:, :, joint], pose[:, :, around].mean(2), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("source", SKELETONS.values(), ids=lambda s: s.name)
def test_every_adapter_keeps_the_sides_apart(source: Skeleton) -> None:
    for target in map(SKELETONS.__getitem__, adapter_targets(source)):
        rows = get_adapter(source, target).rows
        assert len(rows) == len(target)
        for joint, mirrored in enumerate(target.mirror_index):
            assert {source.mirror_index[j] for j in rows[joint]} == set(rows[mirrored])


def test_the_same_order_needs_no_adapter() -> None:
    array = torch.randn(4, 17, 2)
    assert torch.equal(adapt(array, H36M_17, H36M_17), array)


def test_what_was_not_found_stays_not_found() -> None:
    points = _numbered(BODY_25B)
    points[..., BODY_25B.index("left_hip"), :] = np.nan
    pose = adapt(points, BODY_25B, H36M_17)
    lost = [H36M_17.joint_names[j] for j in range(17) if np.isnan(pose[..., j, :]).all()]
    assert lost == ["pelvis", "left_hip", "spine"]
    assert np.isnan(pose).sum() == 3 * 18


@pytest.mark.parametrize(("source", "target"), [(COCO_17, H36M_17), (BODY_25, H36M_17), (MPII_16, H36M_MPII_ORDER_16)])
def test_joints_are_not_made_up(source: Skeleton, target: Skeleton) -> None:
    with pytest.raises(LiftposeError, match=f"from {source.name} to {target.name}, found adapters to: .*trained again"):
        adapt(np.zeros((1, len(source), 2)), source, target)


def test_the_message_lists_the_targets_that_there_are() -> None:
    with pytest.raises(
        LiftposeError, match=r"found adapters to: h36m_17, coco_17; .*has no pelvis, thorax, upper_neck"
    ):
        get_adapter(BODY_25B, MPII_16)


def test_an_array_of_another_order_is_refused() -> None:
    with pytest.raises(LiftposeError, match="expected the 32 joints of the skeleton h36m_32, found 17"):
        adapt(np.zeros((3, 17, 3)), H36M_32, H36M_17)


def test_names_of_joints_can_be_had_without_torch() -> None:
    code = "import sys, liftpose.skeletons; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_reference_joints_of_real_motion_files_are_in_the_order_of_h36m_17(reference: Path) -> None:
    names = "Hip RHip RKnee RFoot LHip LKnee LFoot Spine Thorax Neck/Nose Head "
    names += "LShoulder LElbow LWrist RShoulder RElbow RWrist"
    lines = (reference / "data_real/cmu/reference_joints.csv").read_text().splitlines()[1:18]
    assert [line.split(",")[3] for line in lines] == names.split()
    words = {"R": "right_", "L": "left_"}
    for joint, name in enumerate(names.split()):
        side = words.get(name[0], "") if name[1].isupper() else ""
        part = (name[1:] if side else name).lower()
        expected = {"hip": "hip" if side else "pelvis", "foot": "ankle", "neck/nose": "neck"}.get(part, part)
        assert H36M_17.joint_names[joint] == side + expected
