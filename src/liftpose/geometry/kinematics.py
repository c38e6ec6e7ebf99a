"""The Denavit-Hartenberg body: joint angles and bone lengths in, joint positions out.

The body and its limits are those of DH-AUG (Huang, Liang, Deng, "DH-AUG: DH Forward Kinematics Model Driven
Augmentation for 3D Human Pose Estimation", ECCV 2022). Five chains of revolute links in Craig's modified
Denavit-Hartenberg form make 16 joints. With all angles zero the body stands upright at the origin: z up, x to the
body's own right, facing +y, arms and legs hanging down.

The 33 joint variables are laid out chain after chain (``CHAINS``): right leg 5, left leg 5, body 13, right arm 5, left
arm 5.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import torch
from torch import Tensor

from liftpose.geometry.precision import full_precision

__all__ = [
    "BONES",
    "BONE_JOINTS",
    "CHAINS",
    "JOINT_VARIABLES",
    "dh_transform",
    "forward_kinematics",
    "forward_kinematics_17",
    "joint_limits",
]

JOINT_VARIABLES: Final = 33
"""Number of joint variables of the body."""

CHAINS: Final[dict[str, slice]] = {
    "right_leg": slice(0, 5),
    "left_leg": slice(5, 10),
    "body": slice(10, 23),
    "right_arm": slice(23, 28),
    "left_arm": slice(28, 33),
}
"""Where the variables of each chain lie among the 33."""

BONES: Final = (
    "left_shin",
    "right_shin",
    "left_thigh",
    "right_thigh",
    "left_hip",
    "right_hip",
    "waist",
    "thorax",
    "left_shoulder",
    "right_shoulder",
    "left_upper_arm",
    "right_upper_arm",
    "left_forearm",
    "right_forearm",
    "neck",
)
"""Names of the 15 bones in the order of every array of bone lengths."""

BONE_JOINTS: Final = (
    (5, 6), (2, 3), (4, 5), (1, 2), (0, 4), (0, 1), (0, 7), (7, 8),
    (8, 10), (8, 13), (10, 11), (13, 14), (11, 12), (14, 15), (8, 9),
)  # fmt: skip
"""The two of the 16 joints that each bone joins, the one nearer to the pelvis first."""

# Where the nose lies, in units of the length from thorax to head: so far along that line, and so far in front of it.
# The two numbers close the triangle thorax, nose, head with the proportions of the Human3.6M people (about 0.12, 0.12
# and 0.19 m).
_NOSE_ALONG: Final = 0.52
_NOSE_FORWARD: Final = 0.37


class _Limits(NamedTuple):
    """Limits of one variable, in degrees."""

    intended: tuple[int, int]
    random: tuple[int, int]


_HALF_TURN: Final = (-180, 180)
_STILL: Final = (0, 0)


def _leg_limits(sign: int) -> tuple[_Limits, ...]:
    """Limits of a leg; ``sign`` is +1 for the right one. Twist and sideways limits of the left one are mirrored."""
    wide, narrow = ((-110, 65), (-90, 45)) if sign > 0 else ((-65, 110), (-45, 90))
    return (
        _Limits(wide, narrow),
        _Limits(wide, narrow),
        _Limits((-110, 180), (-45, 120)),
        _Limits((-180, 0), (-135, 0)),
        _Limits(_STILL, _STILL),
    )


def _arm_limits(sign: int) -> tuple[_Limits, ...]:
    """Limits of an arm; ``sign`` is +1 for the right one."""
    wide, narrow = ((-155, 65), (-135, 45)) if sign > 0 else ((-65, 155), (-45, 135))
    return (
        _Limits(wide, narrow),
        _Limits(wide, narrow),
        _Limits((-100, 180), (-45, 180)),
        _Limits((0, 180), (0, 135)),
        _Limits(_STILL, _STILL),
    )


_TRUNK_LIMITS: Final = (
    *((-25, 25), (-10, 90), (-20, 20)),  # lower trunk: twist, forward, to the right
    *((-20, 20), (-10, 45), (-25, 25)),  # upper trunk
    *((-20, 20), (0, 0), (-20, 20)),  # shoulders
    *((-90, 90), (-20, 90), (-45, 45)),  # head
)
_VARIABLE_LIMITS: Final = (
    *_leg_limits(1),
    *_leg_limits(-1),
    *(_Limits(_HALF_TURN, narrow) for narrow in _TRUNK_LIMITS),
    _Limits(_STILL, _STILL),
    *_arm_limits(1),
    *_arm_limits(-1),
)


def joint_limits(
    name: str = "random", *, dtype: torch.dtype | None = None, device: torch.device | str | None = None
) -> Tensor:
    """Return the lower and upper limit of every joint variable.

    Args:
        name: ``"intended"``, the wide ranges that the DH-AUG generator is meant to draw from, or ``"random"``, the
            ranges of its generator without a network, which are close to what people can do.
        dtype: Type of the result, by default torch's default type.
        device: Device of the result.

    Returns:
        (33, 2) radians: lower and upper limit. Variables that move nothing have the limits 0 and 0.

    Raises:
        ValueError: There are no limits of that name.

    Example:
        >>> knee = joint_limits("random")[CHAINS["right_leg"]][3]
        >>> [round(float(x)) for x in knee.rad2deg()]
        [-135, 0]
    """
    if name not in ("intended", "random"):
        raise ValueError(f"joint limits: expected 'intended' or 'random', found {name!r}")
    degrees = [limits.intended if name == "intended" else limits.random for limits in _VARIABLE_LIMITS]
    return torch.deg2rad(torch.tensor(degrees, dtype=torch.float64)).to(
        dtype=dtype or torch.get_default_dtype(), device=device
    )


def dh_transform(alpha: Tensor, a: Tensor, theta: Tensor, d: Tensor) -> Tensor:
    """Return the modified Denavit-Hartenberg transform RotX(alpha) TransX(a) RotZ(theta) TransZ(d).

    Args:
        alpha: (...) radians, twist of the link.
        a: (...) metres, length of the link.
        theta: (...) radians, joint angle.
        d: (...) metres, offset of the link.

    Returns:
        (..., 4, 4) from the link's frame to its parent's (Craig, "Introduction to Robotics", equation 3.6).
    """
    ca, sa, ct, st = alpha.cos(), alpha.sin(), theta.cos(), theta.sin()
    zero, one = torch.zeros_like(ct * ca), torch.ones_like(ct * ca)
    rows = (
        (ct, -st, zero, a),
        (st * ca, ct * ca, -sa, -sa * d),
        (st * sa, ct * sa, ca, ca * d),
        (zero, zero, zero, one),
    )
    return torch.stack([torch.stack([zero + entry for entry in row], dim=-1) for row in rows], dim=-2)


_SIDES: Final = (2, 2, 2, 1, 1, 2, 2, 2, 1)  # how many bones of each kind there are, in the order ``BONES``

_Axes = tuple[Tensor, ...]
"""The three axes of a frame, to its right, forward and up, each with its components first."""


def _rows(values: Tensor) -> Tensor:
    """Bring numbers (N, K) to (K, N), contiguous both ways: what follows runs along the poses."""
    return values.t().contiguous()


def _combined(axes: _Axes, parts: _Axes) -> Tensor:
    """Return the vectors with the given components along the axes of a frame."""
    (x, y, z), (of_x, of_y, of_z) = axes, parts
    return torch.addcmul(torch.addcmul(x * of_x, y, of_y), z, of_z)


def _global_axes(rotation: Tensor) -> _Axes:
    """Return the axes, each (3, N), of RotX RotY RotZ by angles (3, N)."""
    (cx, cy, cz), (sx, sy, sz) = rotation.cos().unbind(), rotation.sin().unbind()
    ss, cs = sx * sy, cx * sy
    x = torch.stack((cy * cz, cx * sz + ss * cz, sx * sz - cs * cz))
    y = torch.stack((-(cy * sz), cx * cz - ss * sz, sx * cz + cs * sz))
    return x, y, torch.stack((sy, -(sx * cy), cx * cy))


def _trunk_axes(root: _Axes, trunk: Tensor) -> list[_Axes]:
    """Return the axes of lower trunk, upper trunk, shoulders and head, each turned in the frame of the one before.

    Each is turned by RotZ(q0) RotX(-q1) RotY(q2), with ``trunk`` (4, 3, N).
    """
    (c0, c1, c2), (s0, s1, s2) = trunk.cos().unbind(1), trunk.sin().unbind(1)
    ss, sc = s1 * s2, s1 * c2
    rows = (
        torch.stack((c0 * c2 + s0 * ss, -(s0 * c1), c0 * s2 - s0 * sc), dim=1).unbind(),
        torch.stack((s0 * c2 - c0 * ss, c0 * c1, s0 * s2 + c0 * sc), dim=1).unbind(),
        torch.stack((-(c1 * s2), -s1, c1 * c2), dim=1).unbind(),
    )
    axes = root
    found: list[_Axes] = []
    for turn in zip(*rows, strict=True):
        axes = _combined(tuple(axis.unsqueeze(1) for axis in axes), turn).unbind(1)
        found.append(axes)
    return found


def _limb_directions(q0: Tensor, q1: Tensor, q2: Tensor, q3: Tensor) -> _Axes:
    """Return the components (2, ...) of the directions of the upper and the lower bone of limbs, in the parent's frame.

    The upper bone is RotZ(q0) RotY(q1) RotX(q2) (0, 0, -1). Elbow and knee bend about the x axis that this leaves, so
    the lower bone is the same with q2 + q3.
    """
    swing = torch.stack((q2, q2 + q3))
    c0, s0, c1, s1, c2, s2 = (values for q in (q0, q1, swing) for values in (q.cos(), q.sin()))
    side = s1 * c2
    return -(c0 * side) - s0 * s2, c0 * s2 - s0 * side, -(c1 * c2)


def _kinematics(angles: Tensor, bone_lengths: Tensor, rotation: Tensor, root: Tensor) -> tuple[Tensor, Tensor]:
    """Return the 16 joints and the unit vector to the head's own right."""
    given = {"angles": angles, "bone_lengths": bone_lengths, "rotation": rotation, "root": root}
    for (name, tensor), size in zip(given.items(), (JOINT_VARIABLES, len(BONES), 3, 3), strict=True):
        if tensor.shape[-1:] != (size,):
            raise ValueError(f"{name}: expected the shape (..., {size}), found {tuple(tensor.shape)}")
    leading = [tuple(tensor.shape[:-1]) for tensor in given.values()]
    try:
        batch = torch.broadcast_shapes(*leading)  # type: ignore[no-untyped-call]  # torch
    except RuntimeError as error:
        found = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in given.items())
        text = f"expected leading shapes that broadcast, found {found} (a rotation is three angles)"
        raise ValueError(text) from error
    count = math.prod(batch)
    variables, lengths, rotation, pelvis = (
        _rows(tensor.expand(*batch, tensor.shape[-1]).reshape(count, tensor.shape[-1])) for tensor in given.values()
    )
    legs, body, arms = variables.split_with_sizes((10, 13, 10))
    shin, thigh, hip, waist, thorax, shoulder, upper_arm, forearm, neck = lengths.split_with_sizes(_SIDES)

    turned = _global_axes(rotation)
    trunk = body.split_with_sizes((12, 1))[0].reshape(4, 3, count)
    lower_trunk, upper_trunk, shoulders, head_axes = _trunk_axes(turned, trunk)
    spine = torch.addcmul(pelvis, waist, lower_trunk[2])
    chest = torch.addcmul(spine, thorax, upper_trunk[2])
    head = torch.addcmul(chest, neck, head_axes[2])

    # Four limbs side by side: (right and left, leg and arm, N). Lengths have the left one first.
    limbs = torch.stack((legs, arms), dim=1).reshape(2, 5, 2, count).unbind(1)
    parents = tuple(torch.stack(pair, dim=1)[:, None, None] for pair in zip(turned, shoulders, strict=True))
    directions = _combined(parents, _limb_directions(*limbs[:4]))
    left_first = torch.stack((thigh, upper_arm, shin, forearm)).reshape(2, 2, 2, count)
    upper, lower = (directions * left_first.flip(2).transpose(1, 2)).unbind(1)
    (left_hip, right_hip), (left_shoulder, right_shoulder) = hip.unbind(), shoulder.unbind()
    sideways = torch.stack((right_hip, right_shoulder, -left_hip, -left_shoulder)).reshape(2, 2, count)
    starts = torch.stack((pelvis, chest), dim=1).unsqueeze(1)
    first = torch.addcmul(starts, sideways, parents[0].squeeze(1))
    middle = first + upper
    ends = [[limb.unbind(1) for limb in joint.unbind(1)] for joint in (first, middle, middle + lower)]
    (right_leg, right_arm), (left_leg, left_arm) = (
        [[joint[side][kind] for joint in ends] for kind in range(2)] for side in range(2)
    )
    joints = torch.cat((pelvis, *right_leg, *left_leg, spine, chest, head, *left_arm, *right_arm))
    # By way of one dimension, so that the gradient that comes back is made contiguous in one piece.
    joints = _rows(joints.reshape(-1).reshape(3 * 16, count))
    return joints.reshape(*batch, 16, 3), head_axes[0].t().reshape(*batch, 3)


@full_precision
def forward_kinematics(angles: Tensor, bone_lengths: Tensor, rotation: Tensor, root: Tensor) -> Tensor:
    """Return the 16 joints of the body: differentiable in every argument, without any stored state.

    The arguments' leading shapes are broadcast. The result has their type and device. It equals the product of the link
    matrices (:func:`dh_transform`); since the links of a joint with three variables turn about perpendicular axes
    through one point, the product is a few sums of products for all limbs, or all parts of the trunk, at once.

    Args:
        angles: (..., 33) radians, laid out as in ``CHAINS``.
        bone_lengths: (..., 15) metres, in the order ``BONES``.
        rotation: (..., 3) radians; the body is turned by RotX(rotation[0]) RotY(rotation[1]) RotZ(rotation[2]).
        root: (..., 3) metres, position of the pelvis in the world frame.

    Returns:
        (..., 16, 3) metres, world frame: the Human3.6M joints without the neck (pelvis; right hip, knee, ankle; left
        hip, knee, ankle; spine, thorax, head; left shoulder, elbow, wrist; right shoulder, elbow, wrist).

    Raises:
        ValueError: The last dimension of an argument has the wrong size.
    """
    return _kinematics(angles, bone_lengths, rotation, root)[0]


@full_precision
def forward_kinematics_17(angles: Tensor, bone_lengths: Tensor, rotation: Tensor, root: Tensor) -> Tensor:
    """Return the joints of ``liftpose.skeletons.H36M_17``: those of ``forward_kinematics`` and the neck or nose.

    The added joint moves with the head: a fixed share of the way from the thorax to the head, and in front of that
    line.

    Args:
        angles: (..., 33) radians, laid out as in ``CHAINS``.
        bone_lengths: (..., 15) metres, in the order ``BONES``.
        rotation: (..., 3) radians, as in ``forward_kinematics``.
        root: (..., 3) metres, position of the pelvis in the world frame.

    Returns:
        (..., 17, 3) metres, world frame.

    Raises:
        ValueError: The last dimension of an argument has the wrong size.
    """
    joints, right = _kinematics(angles, bone_lengths, rotation, root)
    thorax, head = joints[..., 8, :], joints[..., 9, :]
    neck = head - thorax
    nose = thorax + _NOSE_ALONG * neck + _NOSE_FORWARD * torch.linalg.cross(neck, right)
    return torch.cat((joints[..., :9, :], nose.unsqueeze(-2), joints[..., 9:, :]), dim=-2)
