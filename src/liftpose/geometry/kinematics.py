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

_NO_BONE: Final = ("", 0)


class _Link(NamedTuple):
    """Constants of one link: angles and limits in degrees, a signed bone as length a, a bone as offset d."""

    alpha: int
    theta0: int
    a: tuple[str, int]
    d: str
    intended: tuple[int, int]
    random: tuple[int, int]


_STILL: Final = _Link(0, 0, _NO_BONE, "", (0, 0), (0, 0))


def _leg(side: str, sign: int) -> tuple[_Link, ...]:
    """Links of a leg; ``sign`` is +1 for the right leg. Twist and sideways limits of the left one are mirrored."""
    bend, theta = -90 * sign, 180 if sign > 0 else 0
    intended, random = ((-110, 65), (-90, 45)) if sign > 0 else ((-65, 110), (-45, 90))
    return (
        _Link(0, 180 - theta, (f"{side}_hip", sign), "", intended, random),
        _Link(bend, -90, _NO_BONE, "", intended, random),
        _Link(bend, theta, _NO_BONE, "", (-110, 180), (-45, 120)),
        _Link(0, 0, (f"{side}_thigh", 1), "", (-180, 0), (-135, 0)),
        _Link(0, 0, (f"{side}_shin", 1), "", (0, 0), (0, 0)),
    )


def _arm(side: str, sign: int) -> tuple[_Link, ...]:
    """Links of an arm; ``sign`` is +1 for the right arm. Their parent frame is that of body link 8."""
    bend, theta = -90 * sign, 180 if sign > 0 else 0
    intended, random = ((-155, 65), (-135, 45)) if sign > 0 else ((-65, 155), (-45, 135))
    return (
        _Link(-90, -theta, (f"{side}_shoulder", -sign), "", intended, random),
        _Link(bend, -90, _NO_BONE, "", intended, random),
        _Link(bend, theta, _NO_BONE, "", (-100, 180), (-45, 180)),
        _Link(0, 0, (f"{side}_upper_arm", 1), "", (0, 180), (0, 135)),
        _Link(0, 0, (f"{side}_forearm", 1), "", (0, 0), (0, 0)),
    )


def _torso() -> tuple[_Link, ...]:
    """Links of the trunk and the head."""
    ranges = (
        (-25, 25),
        (-10, 90),
        (-20, 20),
        (-20, 20),
        (-10, 45),
        (-25, 25),
        (-20, 20),
        (0, 0),
        (-20, 20),
        (-90, 90),
        (-20, 90),
        (-45, 45),
    )
    offsets = {3: "waist", 6: "thorax"}
    links = [
        _Link(-90 if i else 0, {0: 90, 11: 0}.get(i, -90), _NO_BONE, offsets.get(i, ""), (-180, 180), ranges[i])
        for i in range(len(ranges))
    ]
    return (*links, _Link(90, 0, ("neck", 1), "", (0, 0), (0, 0)))


# The last link changes nothing: the head has one link less than the arms.
_LINKS: Final = (*_leg("right", 1), *_leg("left", -1), *_torso(), *_arm("right", 1), *_arm("left", -1), _STILL)

# Chains that do not depend on each other advance together, one lane each; every phase starts from the last lane of
# the phase before. Legs and waist, chest, arms and head.
_PHASES: Final = (
    ((0, 5, 10), (1, 6, 11), (2, 7, 12), (3, 8, 13), (4, 9, 14)),
    ((15,), (16,), (17,), (18,)),
    ((23, 28, 19), (24, 29, 20), (25, 30, 21), (26, 31, 22), (27, 32, 33)),
)
_ORDER: Final = tuple(link for phase in _PHASES for lanes in phase for link in lanes)
_COS_SIN: Final = {0: (1, 0), 90: (0, 1), -90: (0, -1)}

# 16-joint order: the joint that the origin of a link is.
_JOINT_LINKS: Final = (10, 0, 3, 4, 5, 8, 9, 13, 16, 22, 28, 31, 32, 23, 26, 27)


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
    degrees = [link.intended if name == "intended" else link.random for link in _LINKS[:JOINT_VARIABLES]]
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


class _Frames(NamedTuple):
    """Frames of chains side by side: axes and origins (metres), each (3, lanes, ...), in the world frame.

    The batch comes last, so that every operation runs along contiguous memory.
    """

    x: Tensor
    y: Tensor
    z: Tensor
    origin: Tensor

    def three(self) -> _Frames:
        """Let three chains start from the last lane."""
        return _Frames(*(t[:, -1:].expand(3, 3, *t.shape[2:]) for t in self))


def _start(rotation: Tensor, root: Tensor) -> _Frames:
    """Return the frame at the root: its axes are the columns of RotX(gx) RotY(gy) RotZ(gz)."""
    (cx, cy, cz), (sx, sy, sz) = rotation.cos().unbind(-1), rotation.sin().unbind(-1)
    x = torch.stack((cy * cz, cx * sz + sx * sy * cz, sx * sz - cx * sy * cz))
    y = torch.stack((-cy * sz, cx * cz - sx * sy * sz, sx * cz + cx * sy * sz))
    z = torch.stack((sy, -sx * cy, cx * cy))
    return _Frames(*(t.unsqueeze(1) for t in (x, y, z, root.movedim(-1, 0))))


class _Links(NamedTuple):
    """What the links do, in ``_ORDER``, each (K, ...): c and s are cosine and sine of alpha and theta."""

    a: Tensor
    ca: Tensor
    sa: Tensor
    d: Tensor
    ct: Tensor
    st: Tensor


def _links(angles: Tensor, lengths: Tensor) -> _Links:
    """Gather the angles and lengths of all links at once."""
    angles, lengths = angles.movedim(-1, 0), lengths.movedim(-1, 0)
    nothing = torch.zeros_like(lengths[:1])
    angles, lengths = torch.cat((angles, nothing)), torch.cat((lengths, nothing))
    table = [_LINKS[i] for i in _ORDER]
    none = len(BONES)
    constants = lengths.new_tensor([(link.a[1], *_COS_SIN[link.alpha], math.radians(link.theta0)) for link in table])
    sign, ca, sa, theta0 = constants.reshape(len(table), 4, *(1 for _ in lengths.shape[1:])).unbind(1)
    theta = angles[list(_ORDER)] + theta0
    a = lengths[[BONES.index(link.a[0]) if link.a[0] else none for link in table]] * sign
    d = lengths[[BONES.index(link.d) if link.d else none for link in table]]
    return _Links(a, ca, sa, d, theta.cos(), theta.sin())


def _kinematics(angles: Tensor, bone_lengths: Tensor, rotation: Tensor, root: Tensor) -> tuple[Tensor, Tensor]:
    """Return the 16 joints and the unit vector to the head's own left."""
    given = {"angles": angles, "bone_lengths": bone_lengths, "rotation": rotation, "root": root}
    for (name, tensor), size in zip(given.items(), (JOINT_VARIABLES, len(BONES), 3, 3), strict=True):
        if tensor.shape[-1:] != (size,):
            raise ValueError(f"{name}: expected the shape (..., {size}), found {tuple(tensor.shape)}")
    batch = torch.broadcast_shapes(*(tensor.shape[:-1] for tensor in given.values()))  # type: ignore[no-untyped-call]  # torch
    angles, bone_lengths, rotation, root = (tensor.expand(*batch, tensor.shape[-1]) for tensor in given.values())
    links = _links(angles, bone_lengths)
    frames = _start(rotation, root)
    origins: list[Tensor] = []
    for phase in _PHASES:
        frames = frames.three() if len(phase[0]) > 1 else _Frames(*(t[:, -1:] for t in frames))
        for lanes in phase:
            now = slice(len(origins), len(origins) + len(lanes))
            a, ca, sa, d, ct, st = (t[now] for t in links)
            origin = frames.origin + a * frames.x
            y, z = ca * frames.y + sa * frames.z, ca * frames.z - sa * frames.y
            if any(_LINKS[link].d for link in lanes):
                origin = origin + d * z
            frames = _Frames(ct * frames.x + st * y, ct * y - st * frames.x, z, origin)
            origins.extend(origin.unbind(1))
    joints = torch.stack([origins[_ORDER.index(link)] for link in _JOINT_LINKS])
    return joints.movedim((0, 1), (-2, -1)).contiguous(), frames.z[:, -1].movedim(0, -1)


def forward_kinematics(angles: Tensor, bone_lengths: Tensor, rotation: Tensor, root: Tensor) -> Tensor:
    """Return the 16 joints of the body: differentiable in every argument, without any stored state.

    The arguments' leading shapes are broadcast. The result has their type and device. Per link the axes X, Y, Z and
    the origin p of the frame are updated: p += a X; turn Y, Z by alpha; p += d Z; turn X, Y by theta; which equals the
    product of the link matrices.

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
    joints, left = _kinematics(angles, bone_lengths, rotation, root)
    thorax, head = joints[..., 8, :], joints[..., 9, :]
    neck = head - thorax
    nose = thorax + _NOSE_ALONG * neck + _NOSE_FORWARD * torch.linalg.cross(left, neck)
    return torch.cat((joints[..., :9, :], nose.unsqueeze(-2), joints[..., 9:, :]), dim=-2)
