from __future__ import annotations

from pathlib import Path

import pytest

from liftpose.errors import LiftposeError
from liftpose.skeletons import (
    BODY_25B,
    CMU_31,
    COCO_17,
    H36M_16,
    H36M_17,
    H36M_32,
    H36M_MPII_ORDER_16,
    HUMANEVA_15,
    HUMANEVA_20,
    MADS_15,
    MADS_19,
    MPI_INF_3DHP_28,
    MPII_16,
    PARTS,
    SKELETONS,
    Skeleton,
    get_skeleton,
)

ALL = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)

# What the public code lists as numbers; the tables of the package are made of names.
MPII_PARENTS = (1, 2, 6, 6, 3, 4, -1, 6, 7, 8, 11, 12, 7, 7, 13, 14)
PARENTS = {
    H36M_32: (
        -1, 0, 1, 2, 3, 4, 0, 6, 7, 8, 9, 0, 11, 12, 13, 14, 12, 16, 17, 18, 19, 20, 19, 22,
        12, 24, 25, 26, 27, 28, 27, 30,
    ),
    H36M_17: (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15),
    H36M_16: (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 8, 10, 11, 8, 13, 14),
    HUMANEVA_15: (-1, 0, 1, 2, 3, 1, 5, 6, 0, 8, 9, 0, 11, 12, 1),
    MPII_16: MPII_PARENTS,
    H36M_MPII_ORDER_16: MPII_PARENTS,
    MPI_INF_3DHP_28: (
        2, 0, 3, 4, -1, 1, 5, 6, 5, 8, 9, 10, 11, 5, 13, 14, 15, 16, 4, 18, 19, 20, 21, 4, 23, 24, 25, 26,
    ),
}  # fmt: skip
MPII_PAIRS = {(3, 2), (4, 1), (5, 0), (13, 12), (14, 11), (15, 10)}
PAIRS = {
    H36M_32: set(zip(range(6, 11), range(1, 6), strict=True)) | set(zip(range(16, 24), range(24, 32), strict=True)),
    H36M_17: {(4, 1), (5, 2), (6, 3), (11, 14), (12, 15), (13, 16)},
    H36M_16: {(4, 1), (5, 2), (6, 3), (10, 13), (11, 14), (12, 15)},
    HUMANEVA_15: {(2, 5), (3, 6), (4, 7), (8, 11), (9, 12), (10, 13)},
    HUMANEVA_20: set(zip((3, 4, 5, 6, 11, 12, 13, 14), (7, 8, 9, 10, 15, 16, 17, 18), strict=True)),
    MPII_16: MPII_PAIRS,
    H36M_MPII_ORDER_16: MPII_PAIRS,
    MADS_19: set(zip((2, 3, 4, 5, 10, 11, 12, 13), (6, 7, 8, 9, 14, 15, 16, 17), strict=True)),
    COCO_17: set(zip(range(1, 17, 2), range(2, 17, 2), strict=True)),
}


@ALL
def test_a_name_says_how_many_joints_a_skeleton_has(skeleton: Skeleton) -> None:
    digits = skeleton.name.rsplit("_", maxsplit=1)[1].removesuffix("b")
    assert len(skeleton) == int(digits)
    assert get_skeleton(skeleton.name) is skeleton
    assert get_skeleton(skeleton) is skeleton


@ALL
def test_the_two_halves_of_a_tree_are_alike(skeleton: Skeleton) -> None:
    mirrored = skeleton.mirror_index
    for joint, parent in enumerate(skeleton.parents):
        assert skeleton.parents[mirrored[joint]] == (mirrored[parent] if parent >= 0 else -1)


@ALL
def test_joints_that_are_not_paired_have_no_side(skeleton: Skeleton) -> None:
    middle = set(range(len(skeleton))) - {*skeleton.left, *skeleton.right}
    assert not any(skeleton.joint_names[joint].startswith(("left", "right")) for joint in middle)
    assert len(skeleton.bones) == len(skeleton) - 1


@pytest.mark.parametrize("skeleton", PARENTS, ids=lambda s: s.name)
def test_parents_are_the_published_ones(skeleton: Skeleton) -> None:
    assert skeleton.parents == PARENTS[skeleton]


@pytest.mark.parametrize("skeleton", PAIRS, ids=lambda s: s.name)
def test_pairs_are_the_published_ones(skeleton: Skeleton) -> None:
    assert set(zip(skeleton.left, skeleton.right, strict=True)) == PAIRS[skeleton]


def test_mads_has_the_published_bones_and_the_pelvis_as_root() -> None:
    published = (0, 0, 1, 2, 3, 4, 1, 6, 7, 8, 0, 10, 11, 12, 0, 14, 15, 16, 0)  # joint 0 is the root there
    expected = {frozenset((joint, parent)) for joint, parent in enumerate(published) if joint}
    assert {frozenset(bone) for bone in MADS_19.bones} == expected
    assert MADS_19.root == MADS_15.root == 1


@pytest.mark.parametrize(
    ("skeleton", "parts"),
    [
        (H36M_17, [(0, 7, 8, 9, 10), (14, 15, 16), (11, 12, 13), (1, 2, 3), (4, 5, 6)]),
        (H36M_16, [(0, 7, 8, 9), (13, 14, 15), (10, 11, 12), (1, 2, 3), (4, 5, 6)]),
        (HUMANEVA_15, [(0, 1, 14), (5, 6, 7), (2, 3, 4), (11, 12, 13), (8, 9, 10)]),
        (MPII_16, [(6, 7, 8, 9), (12, 11, 10), (13, 14, 15), (2, 1, 0), (3, 4, 5)]),
    ],
)
def test_parts(skeleton: Skeleton, parts: list[tuple[int, ...]]) -> None:
    assert skeleton.parts == dict(zip(PARTS, parts, strict=True))


def test_two_skeletons_share_the_order_of_mpii_but_not_the_joints() -> None:
    differing = [j for j in range(16) if MPII_16.joint_names[j] != H36M_MPII_ORDER_16.joint_names[j]]
    assert differing == [8, 9]


def test_detectors_have_their_documented_order() -> None:
    assert COCO_17.joint_names[:5] == ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
    assert BODY_25B.joint_names[17:19] == ("neck", "head")
    body_25 = get_skeleton("body_25")
    assert [body_25.index(name) for name in ("pelvis", "right_hip", "left_ankle", "left_big_toe", "right_heel")] == [
        8,
        9,
        14,
        19,
        24,
    ]
    assert get_skeleton("coco_18").index("left_ear") == 17
    assert [get_skeleton("halpe_26").index(name) for name in ("head", "pelvis", "right_heel")] == [17, 19, 25]


def test_cmu_31_is_the_order_of_the_bones_in_a_real_asf_file(reference: Path) -> None:
    text = (reference / "data_real/cmu/skeletons/05.asf").read_text(encoding="latin-1")
    bones = [line.split()[1] for line in text.splitlines() if line.split()[:1] == ["name"]]
    names = ["root", *bones]
    parents = {"root": -1}
    for line in text[text.index(":hierarchy") :].splitlines()[2:]:
        parent, *children = line.split()
        parents |= {child: names.index(parent) for child in children if parent != "end"}
    assert tuple(parents[name] for name in names) == CMU_31.parents
    sides = {"l": "left_", "r": "right_"}
    limbs = [name for name in names if name[0] in sides and name not in ("root", "lowerback", "lowerneck")]
    assert [CMU_31.joint_names[names.index(name)].split("_")[0] + "_" for name in limbs] == [sides[n[0]] for n in limbs]


def test_an_unknown_name_is_told_the_known_ones() -> None:
    with pytest.raises(LiftposeError, match=r"expected one of h36m_17, .*found 'h36m'"):
        get_skeleton("h36m")
