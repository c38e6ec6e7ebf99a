"""The 15 bones of a pose: vectors, lengths, the angles between them, and poses that get bones of other lengths.

Everything takes the 16 joints of ``liftpose.skeletons.H36M_16`` (``adapt`` drops the neck of the 17) in any frame whose
axes are orthonormal. Bones stand in the order of ``liftpose.geometry.kinematics.BONES``, that of DH-AUG, and a bone
vector points away from the pelvis. PoseAug (Gong, Zhang, Feng, CVPR 2021) has the same bones in the order of the joints
that they end at, and its vectors point towards the pelvis: ``poseaug_bones`` and ``poses_from_poseaug_bones``.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from liftpose.geometry.constants import take_slices
from liftpose.geometry.kinematics import BONE_JOINTS, BONES
from liftpose.geometry.precision import full_precision

__all__ = [
    "BONE_LENGTH_TEMPLATES",
    "KCS_PAIRS",
    "POSEAUG_BONES",
    "SCALE_COLUMNS",
    "bone_length_templates",
    "bone_lengths",
    "bone_vectors",
    "dress",
    "kcs_features",
    "poseaug_bones",
    "poses_from_bones",
    "poses_from_poseaug_bones",
    "scale_bones",
]

_JOINTS: Final = 16
_SHORTEST: Final = 1e-8  # metres

KCS_PAIRS: Final = (
    (0, 2), (1, 3), (2, 4), (3, 5), (4, 5), (4, 6), (5, 6), (6, 7),
    (7, 14), (7, 8), (7, 9), (8, 10), (9, 11), (10, 12), (11, 13),
)  # fmt: skip
"""The 15 pairs of neighbouring bones whose angles DH-AUG's 3D critics see, as indices into ``BONES``."""

POSEAUG_BONES: Final = tuple(
    next(bone for bone, (_, end) in enumerate(BONE_JOINTS) if end == joint) for joint in range(1, _JOINTS)
)
"""For each bone in PoseAug's order, its index in ``BONES``: ``lengths[..., POSEAUG_BONES]`` is in PoseAug's order."""

SCALE_COLUMNS: Final = (0, 0, 1, 1, 2, 2, 3, None, 4, 4, 5, 5, 6, 6, 7)
"""For each bone, which of DH-AUG's eight random scales is its own; both sides share one, the thorax has none."""

BONE_LENGTH_TEMPLATES: Final[dict[str, tuple[float, ...]]] = {
    "S1": (
        0.45420682, 0.45420563, 0.44289464, 0.44289464, 0.13294877, 0.13294846, 0.23347287, 0.25707757,
        0.15103406, 0.15103163, 0.27888330, 0.27889305, 0.25173312, 0.25172850, 0.18188230,
    ),
    "S5": (
        0.44244403, 0.44244430, 0.42828605, 0.42828554, 0.11931310, 0.11931339, 0.22431792, 0.25405530,
        0.14309622, 0.14309767, 0.26458480, 0.26458368, 0.24862026, 0.24862061, 0.16618064,
    ),
    "S6": (
        0.46149373, 0.46149334, 0.48656374, 0.48657086, 0.14261152, 0.14261368, 0.26221110, 0.26000940,
        0.14937478, 0.14937413, 0.30100850, 0.30100808, 0.25791466, 0.25791493, 0.19247183,
    ),
    "S7": (
        0.43800804, 0.43800974, 0.44861540, 0.44861520, 0.13587871, 0.13587914, 0.22624578, 0.25540760,
        0.13971755, 0.13971443, 0.27556360, 0.27557190, 0.24729918, 0.24729763, 0.16872624,
    ),
    "S8": (
        0.43863365, 0.43863300, 0.45214623, 0.45214748, 0.14653677, 0.14653736, 0.26121622, 0.25102398,
        0.16931628, 0.16931622, 0.28990840, 0.28990710, 0.24417701, 0.24417761, 0.21279596,
    ),
}  # fmt: skip
"""Lengths in metres of the 15 bones, in the order ``BONES``, of the five people that Human3.6M's lifters train on."""


def _check(tensor: Tensor, name: str, *shape: int) -> None:
    """Raise a ValueError unless the last dimensions are these."""
    if tensor.shape[-len(shape) :] != shape:
        wanted = ", ".join(("...", *map(str, shape)))
        raise ValueError(f"{name}: expected the shape ({wanted}), found {tuple(tensor.shape)}")


def _length(vectors: Tensor) -> Tensor:
    """Return the lengths (...) of vectors (..., 3); at zero all derivatives are 0, not NaN as those of a norm are."""
    square = vectors.square().sum(-1)
    positive = square > 0
    return torch.where(positive, torch.where(positive, square, 1).sqrt(), 0)


def bone_length_templates(*, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Tensor:
    """Return the bone lengths of the five Human3.6M people as one tensor, row by row as ``BONE_LENGTH_TEMPLATES``.

    Args:
        dtype: Type of the result, by default torch's default type.
        device: Device of the result.

    Returns:
        (5, 15) metres, bones in the order ``BONES``.
    """
    return torch.tensor(list(BONE_LENGTH_TEMPLATES.values()), dtype=dtype, device=device)


@full_precision
def bone_vectors(poses: Tensor) -> Tensor:
    """Return the vectors along the bones of a pose, each from the joint nearer to the pelvis to the other one.

    Args:
        poses: (..., 16, 3) any unit and frame.

    Returns:
        (..., 15, 3) unit and frame of ``poses``, bones in the order ``BONES``.

    Raises:
        ValueError: ``poses`` has another shape.
    """
    _check(poses, "poses", _JOINTS, 3)
    starts, ends = zip(*BONE_JOINTS, strict=True)
    return take_slices(poses, ends, -2) - take_slices(poses, starts, -2)


def bone_lengths(poses: Tensor) -> Tensor:
    """Return the lengths of the bones of a pose.

    The derivative of a length of 0 (joints that coincide) is 0.

    Args:
        poses: (..., 16, 3) any unit and frame.

    Returns:
        (..., 15) unit of ``poses``, bones in the order ``BONES``.

    Raises:
        ValueError: ``poses`` has another shape.

    Example:
        >>> from liftpose.geometry.kinematics import forward_kinematics
        >>> lengths = bone_length_templates()[0]
        >>> pose = forward_kinematics(torch.zeros(33), lengths, torch.zeros(3), torch.zeros(3))
        >>> bool(torch.allclose(bone_lengths(pose), lengths))
        True
    """
    return _length(bone_vectors(poses))


@full_precision
def poses_from_bones(vectors: Tensor, root: Tensor) -> Tensor:
    """Put bones together to a pose: the inverse of ``bone_vectors``.

    Args:
        vectors: (..., 15, 3) any unit and frame, bones in the order ``BONES``.
        root: (..., 3) place of the pelvis, unit and frame of ``vectors``; the leading shapes are broadcast.

    Returns:
        (..., 16, 3) unit and frame of ``vectors``.

    Raises:
        ValueError: An argument has another shape.
    """
    _check(vectors, "vectors", len(BONES), 3)
    _check(root, "root", 3)
    joints = [root.expand(torch.broadcast_shapes(root.shape, vectors[..., 0, :].shape))]  # type: ignore[no-untyped-call]  # torch
    for bone in POSEAUG_BONES:  # a joint's parent comes before it in this order
        joints.append(joints[BONE_JOINTS[bone][0]] + vectors[..., bone, :])
    return torch.stack(joints, dim=-2)


@full_precision
def dress(poses: Tensor, lengths: Tensor) -> Tensor:
    """Give poses bones of other lengths; the pelvis and the directions of the bones stay.

    A bone of length 0 has no direction, so it stays 0 long whatever it is to become. A negative length turns the bone
    round: ``lengths`` is not looked at here, since that would make the host wait for the device.

    Args:
        poses: (..., 16, 3) any unit and frame.
        lengths: (..., 15) the new lengths in the unit of ``poses``, in the order ``BONES``; the leading shapes are
            broadcast.

    Returns:
        (..., 16, 3) unit and frame of ``poses``.

    Raises:
        ValueError: An argument has another shape.
    """
    _check(lengths, "lengths", len(BONES))
    vectors = bone_vectors(poses)
    old = _length(vectors)
    factors = torch.where(old > 0, lengths / torch.where(old > 0, old, 1), 0)
    return poses_from_bones(factors.unsqueeze(-1) * vectors, poses[..., 0, :])


def scale_bones(lengths: Tensor, scales: Tensor) -> Tensor:
    """Make bones longer or shorter by eight factors, the left and the right one of a pair by the same.

    Args:
        lengths: (..., 15) any unit, in the order ``BONES``.
        scales: (..., 8) by how much of its length a bone grows: shins, thighs, hips, waist, shoulders, upper arms,
            forearms, neck. The thorax keeps its length. The leading shapes are broadcast.

    Returns:
        (..., 15) unit of ``lengths``.

    Raises:
        ValueError: An argument has another shape.

    Example:
        >>> scale_bones(torch.ones(15), torch.tensor([0.1, 0, 0, 0, 0, 0, 0, -0.2]))[[0, 1, 2, 7, 14]]
        tensor([1.1000, 1.1000, 1.0000, 1.0000, 0.8000])
    """
    columns = len({column for column in SCALE_COLUMNS if column is not None})
    _check(lengths, "lengths", len(BONES))
    _check(scales, "scales", columns)
    factors = 1 + torch.cat((scales, torch.zeros_like(scales[..., :1])), dim=-1)
    return lengths * take_slices(factors, (columns if column is None else column for column in SCALE_COLUMNS), -1)


@full_precision
def kcs_features(poses: Tensor) -> tuple[Tensor, Tensor]:
    """Return what DH-AUG's 3D critics see of the bones: the cosines between neighbours, and the lengths.

    These are the entries of the kinematic chain space (Wandt, Ackermann, Rosenhahn, 2018) that matter. A length counts
    as 1e-8 at least, so that coincident joints give a cosine of 0 and finite derivatives of every order.

    Args:
        poses: (..., 16, 3) metres, any frame.

    Returns:
        The cosines (..., 15) of the pairs ``KCS_PAIRS``, and the lengths (..., 15) in metres in the order ``BONES``.

    Raises:
        ValueError: ``poses`` has another shape.
    """
    vectors = bone_vectors(poses)
    lengths = vectors.square().sum(-1).clamp_min(_SHORTEST**2).sqrt()
    units = vectors / lengths.unsqueeze(-1)
    first, second = zip(*KCS_PAIRS, strict=True)
    return (take_slices(units, first, -2) * take_slices(units, second, -2)).sum(-1), lengths


def poseaug_bones(poses: Tensor) -> Tensor:
    """Return the bone vectors of a pose as PoseAug has them: in its order, each from a joint towards its parent.

    Bone k ends at joint k + 1. Lengths change their order by ``POSEAUG_BONES``.

    Args:
        poses: (..., 16, 3) any unit and frame.

    Returns:
        (..., 15, 3) unit and frame of ``poses``.

    Raises:
        ValueError: ``poses`` has another shape.
    """
    return -take_slices(bone_vectors(poses), POSEAUG_BONES, -2)


def poses_from_poseaug_bones(vectors: Tensor, root: Tensor) -> Tensor:
    """Put PoseAug's bone vectors together to a pose: the inverse of ``poseaug_bones``.

    Args:
        vectors: (..., 15, 3) any unit and frame, PoseAug's order, each from a joint towards its parent.
        root: (..., 3) place of the pelvis, unit and frame of ``vectors``; the leading shapes are broadcast.

    Returns:
        (..., 16, 3) unit and frame of ``vectors``.

    Raises:
        ValueError: An argument has another shape.
    """
    _check(vectors, "vectors", len(BONES), 3)
    ours = [POSEAUG_BONES.index(bone) for bone in range(len(BONES))]
    return poses_from_bones(-take_slices(vectors, ours, -2), root)
