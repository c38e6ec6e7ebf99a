from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from liftpose.errors import LiftposeError
from liftpose.skeletons import H36M_16, H36M_17, SKELETONS, Skeleton, mirror

GOOD: dict[str, Any] = {
    "name": "pair",
    "joint_names": ("middle", "left_hand", "right_hand"),
    "parents": (-1, 0, 0),
    "left": (1,),
    "right": (2,),
}


@pytest.mark.parametrize(
    "change",
    [
        {"parents": (-1, 0)},
        {"parents": (-1, -1, 0)},
        {"parents": (0, 0, 0)},
        {"parents": (-1, 2, 1)},
        {"parents": (-1, 0, 3)},
        {"joint_names": ("middle", "left_hand", "left_hand")},
        {"right": ()},
        {"left": (1, 2), "right": (2, 1)},
        {"left": (2,), "right": (1,)},
        {"left": (0,)},
        {"parts": {"torso": (0, 1, 2)}},
        {"parts": {"torso": (0,), "right_arm": (2,), "left_arm": (1,), "right_leg": (2,), "left_leg": ()}},
    ],
)
def test_a_table_that_contradicts_itself_is_refused(change: dict[str, Any]) -> None:
    Skeleton(**GOOD)
    with pytest.raises(ValueError, match=r"^pair: expected"):
        Skeleton(**(GOOD | change))


def test_a_skeleton_survives_being_sent_to_a_worker() -> None:
    assert pickle.loads(pickle.dumps(H36M_17)) == copy.deepcopy(H36M_17) == H36M_17  # noqa: S301  # our own bytes
    assert len({*SKELETONS.values(), H36M_17}) == len(SKELETONS)


def test_check_names_both_numbers_of_joints() -> None:
    H36M_17.check(np.zeros((2, 17, 3)), "poses")
    with pytest.raises(LiftposeError, match=r"^file\.npz: expected the 17 joints of the skeleton h36m_17, found 16$"):
        H36M_17.check(torch.zeros(5, 16, 3), "file.npz")
    with pytest.raises(LiftposeError, match=r"found shape \(17,\)"):
        H36M_17.check(np.zeros(17), "file.npz")


def test_index_of_a_joint() -> None:
    assert H36M_17.index("right_wrist") == 16
    with pytest.raises(LiftposeError, match="found 'nose'"):
        H36M_17.index("nose")


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_mirror_is_the_published_exchange_of_sides_and_its_own_inverse(skeleton: Skeleton) -> None:
    array = np.random.default_rng(0).normal(size=(2, 5, len(skeleton), 3))
    expected = array.copy()
    expected[..., 0] *= -1
    both, swapped = [*skeleton.left, *skeleton.right], [*skeleton.right, *skeleton.left]
    expected[:, :, both] = expected[:, :, swapped]
    untouched = array.copy()
    np.testing.assert_array_equal(mirror(array, skeleton), expected)
    np.testing.assert_array_equal(mirror(torch.from_numpy(array), skeleton).numpy(), expected)
    np.testing.assert_array_equal(mirror(mirror(array, skeleton), skeleton), array)
    np.testing.assert_array_equal(array, untouched)
    assert sorted(skeleton.mirror_index) == list(range(len(skeleton)))


def test_mirror_leaves_confidence_with_its_joint() -> None:
    keypoints = torch.randn(4, 17, 3)
    mirrored = mirror(keypoints, H36M_17)
    assert torch.equal(mirrored[:, H36M_17.index("left_wrist"), 2], keypoints[:, H36M_17.index("right_wrist"), 2])


def test_mirror_can_be_differentiated() -> None:
    x = torch.randn(2, 16, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: mirror(a, H36M_16), (x,))


def test_mirror_refuses_another_skeleton() -> None:
    with pytest.raises(LiftposeError, match="expected the 16 joints of the skeleton h36m_16, found 17"):
        mirror(np.zeros((17, 3)), H36M_16)
