"""The joint orders of the data sets and detectors.

Each table lists the joints in the order of their index as ``joint<parent``. Sides and their pairing follow from the
names. Sources are the papers' public code and the data sets' own documentation; where two of them share an index order
but not the joints, they are two skeletons.
"""

from __future__ import annotations

from liftpose.errors import LiftposeError
from liftpose.skeletons.skeleton import Skeleton

__all__ = [
    "BODY_25",
    "BODY_25B",
    "CMU_31",
    "COCO_17",
    "COCO_18",
    "H36M_16",
    "H36M_17",
    "H36M_32",
    "H36M_MPII_ORDER_16",
    "HALPE_26",
    "HUMANEVA_15",
    "HUMANEVA_20",
    "MADS_15",
    "MADS_19",
    "MPII_16",
    "MPI_INF_3DHP_17",
    "MPI_INF_3DHP_28",
    "SKELETONS",
    "get_skeleton",
]


def _skeleton(name: str, table: str) -> Skeleton:
    """Read a table of ``joint<parent`` (the root is ``joint<``)."""
    names, parent_names = zip(*(entry.split("<") for entry in table.split()), strict=True)
    left = [joint for joint in names if joint.startswith("left_")]
    return Skeleton(
        name=name,
        joint_names=tuple(names),
        parents=tuple(names.index(parent) if parent else -1 for parent in parent_names),
        left=tuple(names.index(joint) for joint in left),
        right=tuple(names.index("right_" + joint.removeprefix("left_")) for joint in left),
    )


def _with_parts(skeleton: Skeleton) -> Skeleton:
    """Add the body parts: limbs of three joints each, the torso is the rest."""
    limbs = {
        f"{side}_{limb}": tuple(skeleton.index(f"{side}_{joint}") for joint in joints)
        for limb, joints in (("arm", ("shoulder", "elbow", "wrist")), ("leg", ("hip", "knee", "ankle")))
        for side in ("right", "left")
    }
    taken = {joint for limb in limbs.values() for joint in limb}
    torso = tuple(joint for joint in range(len(skeleton)) if joint not in taken)
    return Skeleton(
        name=skeleton.name,
        joint_names=skeleton.joint_names,
        parents=skeleton.parents,
        left=skeleton.left,
        right=skeleton.right,
        parts={"torso": torso, **limbs},
    )


# All markers of the motion capture files. Joints 11, 16 and 24 stand where 0 and 13 do; 20 to 23 and 28 to 31 are thumb
# and hand ends without motion of their own.
H36M_32 = _skeleton(
    "h36m_32",
    """
    pelvis< right_hip<pelvis right_knee<right_hip right_ankle<right_knee right_foot<right_ankle right_toe<right_foot
    left_hip<pelvis left_knee<left_hip left_ankle<left_knee left_foot<left_ankle left_toe<left_foot
    lower_spine<pelvis spine<lower_spine thorax<spine neck<thorax head<neck
    left_clavicle<spine left_shoulder<left_clavicle left_elbow<left_shoulder left_wrist<left_elbow
    left_thumb<left_wrist left_thumb_end<left_thumb left_hand<left_wrist left_hand_end<left_hand
    right_clavicle<spine right_shoulder<right_clavicle right_elbow<right_shoulder right_wrist<right_elbow
    right_thumb<right_wrist right_thumb_end<right_thumb right_hand<right_wrist right_hand_end<right_hand
    """,
)

# The order of most lifting papers. Joint 9 ("neck") lies at the nose in detections that were fine-tuned for it.
H36M_17 = _with_parts(
    _skeleton(
        "h36m_17",
        """
        pelvis< right_hip<pelvis right_knee<right_hip right_ankle<right_knee
        left_hip<pelvis left_knee<left_hip left_ankle<left_knee
        spine<pelvis thorax<spine neck<thorax head<neck
        left_shoulder<thorax left_elbow<left_shoulder left_wrist<left_elbow
        right_shoulder<thorax right_elbow<right_shoulder right_wrist<right_elbow
        """,
    )
)

# DH-AUG's and PoseAug's: the 17 without "neck".
H36M_16 = _with_parts(
    _skeleton(
        "h36m_16",
        """
        pelvis< right_hip<pelvis right_knee<right_hip right_ankle<right_knee
        left_hip<pelvis left_knee<left_hip left_ankle<left_knee
        spine<pelvis thorax<spine head<thorax
        left_shoulder<thorax left_elbow<left_shoulder left_wrist<left_elbow
        right_shoulder<thorax right_elbow<right_shoulder right_wrist<right_elbow
        """,
    )
)

MPII_16 = _with_parts(
    _skeleton(
        "mpii_16",
        """
        right_ankle<right_knee right_knee<right_hip right_hip<pelvis
        left_hip<pelvis left_knee<left_hip left_ankle<left_knee
        pelvis< thorax<pelvis upper_neck<thorax head_top<upper_neck
        right_wrist<right_elbow right_elbow<right_shoulder right_shoulder<thorax
        left_shoulder<thorax left_elbow<left_shoulder left_wrist<left_elbow
        """,
    )
)

# EpipolarPose's: Human3.6M joints under MPII's indices. 8 and 9 are Human3.6M's neck and head, not MPII's upper neck
# and head top, so this is not MPII_16.
H36M_MPII_ORDER_16 = _with_parts(
    _skeleton(
        "h36m_mpii_order_16",
        """
        right_ankle<right_knee right_knee<right_hip right_hip<pelvis
        left_hip<pelvis left_knee<left_hip left_ankle<left_knee
        pelvis< thorax<pelvis neck<thorax head<neck
        right_wrist<right_elbow right_elbow<right_shoulder right_shoulder<thorax
        left_shoulder<thorax left_elbow<left_shoulder left_wrist<left_elbow
        """,
    )
)

HUMANEVA_15 = _with_parts(
    _skeleton(
        "humaneva_15",
        """
        pelvis< thorax<pelvis left_shoulder<thorax left_elbow<left_shoulder left_wrist<left_elbow
        right_shoulder<thorax right_elbow<right_shoulder right_wrist<right_elbow
        left_hip<pelvis left_knee<left_hip left_ankle<left_knee
        right_hip<pelvis right_knee<right_hip right_ankle<right_knee head<thorax
        """,
    )
)

# Both ends of every limb of the data set's own body model: elbows and knees are there twice, seen from each neighbour.
HUMANEVA_20 = _skeleton(
    "humaneva_20",
    """
    pelvis< torso_top<pelvis head_base<torso_top
    left_shoulder<torso_top left_upper_arm_end<left_shoulder left_forearm_start<left_upper_arm_end
    left_wrist<left_forearm_start
    right_shoulder<torso_top right_upper_arm_end<right_shoulder right_forearm_start<right_upper_arm_end
    right_wrist<right_forearm_start
    left_hip<pelvis left_thigh_end<left_hip left_shin_start<left_thigh_end left_ankle<left_shin_start
    right_hip<pelvis right_thigh_end<right_hip right_shin_start<right_thigh_end right_ankle<right_shin_start
    head<head_base
    """,
)

# The public readers of MADS do not agree which side is the left one; these names follow the majority. The tree is
# theirs, seen from the pelvis, from which errors are measured.
MADS_15 = _with_parts(
    _skeleton(
        "mads_15",
        """
        neck<pelvis pelvis< left_hip<pelvis left_knee<left_hip left_ankle<left_knee
        right_hip<pelvis right_knee<right_hip right_ankle<right_knee
        left_shoulder<neck left_elbow<left_shoulder left_wrist<left_elbow
        right_shoulder<neck right_elbow<right_shoulder right_wrist<right_elbow head<neck
        """,
    )
)

MADS_19 = _skeleton(
    "mads_19",
    """
    neck<pelvis pelvis< left_hip<pelvis left_knee<left_hip left_ankle<left_knee left_foot<left_ankle
    right_hip<pelvis right_knee<right_hip right_ankle<right_knee right_foot<right_ankle
    left_shoulder<neck left_elbow<left_shoulder left_wrist<left_elbow left_hand<left_wrist
    right_shoulder<neck right_elbow<right_shoulder right_wrist<right_elbow right_hand<right_wrist head<neck
    """,
)

COCO_17 = _skeleton(
    "coco_17",
    """
    nose< left_eye<nose right_eye<nose left_ear<left_eye right_ear<right_eye left_shoulder<nose right_shoulder<nose
    left_elbow<left_shoulder right_elbow<right_shoulder left_wrist<left_elbow right_wrist<right_elbow
    left_hip<left_shoulder right_hip<right_shoulder left_knee<left_hip right_knee<right_hip
    left_ankle<left_knee right_ankle<right_knee
    """,
)

# OpenPose's own output for COCO: a neck between the shoulders, and the right side first.
COCO_18 = _skeleton(
    "coco_18",
    """
    nose<neck neck< right_shoulder<neck right_elbow<right_shoulder right_wrist<right_elbow
    left_shoulder<neck left_elbow<left_shoulder left_wrist<left_elbow
    right_hip<neck right_knee<right_hip right_ankle<right_knee left_hip<neck left_knee<left_hip left_ankle<left_knee
    right_eye<nose left_eye<nose right_ear<right_eye left_ear<left_eye
    """,
)

BODY_25 = _skeleton(
    "body_25",
    """
    nose<neck neck<pelvis right_shoulder<neck right_elbow<right_shoulder right_wrist<right_elbow
    left_shoulder<neck left_elbow<left_shoulder left_wrist<left_elbow
    pelvis< right_hip<pelvis right_knee<right_hip right_ankle<right_knee
    left_hip<pelvis left_knee<left_hip left_ankle<left_knee
    right_eye<nose left_eye<nose right_ear<right_eye left_ear<left_eye
    left_big_toe<left_ankle left_small_toe<left_big_toe left_heel<left_ankle
    right_big_toe<right_ankle right_small_toe<right_big_toe right_heel<right_ankle
    """,
)

BODY_25B = _skeleton(
    "body_25b",
    """
    nose<neck left_eye<nose right_eye<nose left_ear<left_eye right_ear<right_eye left_shoulder<neck right_shoulder<neck
    left_elbow<left_shoulder right_elbow<right_shoulder left_wrist<left_elbow right_wrist<right_elbow
    left_hip<neck right_hip<neck left_knee<left_hip right_knee<right_hip left_ankle<left_knee right_ankle<right_knee
    neck< head<neck left_big_toe<left_ankle left_small_toe<left_big_toe left_heel<left_ankle
    right_big_toe<right_ankle right_small_toe<right_big_toe right_heel<right_ankle
    """,
)

# AlphaPose's.
HALPE_26 = _skeleton(
    "halpe_26",
    """
    nose<neck left_eye<nose right_eye<nose left_ear<left_eye right_ear<right_eye left_shoulder<neck right_shoulder<neck
    left_elbow<left_shoulder right_elbow<right_shoulder left_wrist<left_elbow right_wrist<right_elbow
    left_hip<pelvis right_hip<pelvis left_knee<left_hip right_knee<right_hip left_ankle<left_knee right_ankle<right_knee
    head<neck neck<pelvis pelvis< left_big_toe<left_ankle right_big_toe<right_ankle
    left_small_toe<left_big_toe right_small_toe<right_big_toe left_heel<left_ankle right_heel<right_ankle
    """,
)

# The training files' order.
MPI_INF_3DHP_28 = _skeleton(
    "mpi_inf_3dhp_28",
    """
    spine3<spine2 spine4<spine3 spine2<spine spine<pelvis pelvis< neck<spine4 head<neck head_top<head
    left_clavicle<neck left_shoulder<left_clavicle left_elbow<left_shoulder left_wrist<left_elbow left_hand<left_wrist
    right_clavicle<neck right_shoulder<right_clavicle right_elbow<right_shoulder right_wrist<right_elbow
    right_hand<right_wrist
    left_hip<pelvis left_knee<left_hip left_ankle<left_knee left_foot<left_ankle left_toe<left_foot
    right_hip<pelvis right_knee<right_hip right_ankle<right_knee right_foot<right_ankle right_toe<right_foot
    """,
)

# The test files' order.
MPI_INF_3DHP_17 = _with_parts(
    _skeleton(
        "mpi_inf_3dhp_17",
        """
        head_top<head neck<spine right_shoulder<neck right_elbow<right_shoulder right_wrist<right_elbow
        left_shoulder<neck left_elbow<left_shoulder left_wrist<left_elbow
        right_hip<pelvis right_knee<right_hip right_ankle<right_knee
        left_hip<pelvis left_knee<left_hip left_ankle<left_knee
        pelvis< spine<pelvis head<neck
        """,
    )
)

# The points of the ASF/AMC files of the CMU motion capture database: the root, then the far end of each bone in the
# order of the files. The root lies 0.1 m above the hips' middle and is not Human3.6M's pelvis.
CMU_31 = _skeleton(
    "cmu_31",
    """
    root< left_hip<root left_knee<left_hip left_ankle<left_knee left_foot<left_ankle left_toe<left_foot
    right_hip<root right_knee<right_hip right_ankle<right_knee right_foot<right_ankle right_toe<right_foot
    lower_back<root upper_back<lower_back thorax<upper_back lower_neck<thorax upper_neck<lower_neck head<upper_neck
    left_shoulder<thorax left_elbow<left_shoulder left_forearm<left_elbow left_wrist<left_forearm
    left_hand<left_wrist left_fingers<left_hand left_thumb<left_wrist
    right_shoulder<thorax right_elbow<right_shoulder right_forearm<right_elbow right_wrist<right_forearm
    right_hand<right_wrist right_fingers<right_hand right_thumb<right_wrist
    """,
)

SKELETONS: dict[str, Skeleton] = {
    skeleton.name: skeleton
    for skeleton in (
        H36M_17, H36M_16, H36M_32, H36M_MPII_ORDER_16, MPII_16, HUMANEVA_15, HUMANEVA_20, MPI_INF_3DHP_17,
        MPI_INF_3DHP_28, MADS_15, MADS_19, COCO_17, COCO_18, BODY_25, BODY_25B, HALPE_26, CMU_31,
    )
}  # fmt: skip
"""All skeletons by name."""


def get_skeleton(name: str | Skeleton) -> Skeleton:
    """Return the skeleton of that name.

    Args:
        name: A key of :data:`SKELETONS`, for example ``"h36m_17"``; or a skeleton, which is returned as it is.

    Returns:
        The skeleton.

    Raises:
        LiftposeError: There is none of that name.
    """
    if isinstance(name, Skeleton):
        return name
    if name not in SKELETONS:
        raise LiftposeError(f"skeleton: expected one of {', '.join(SKELETONS)}, found {name!r}")
    return SKELETONS[name]
