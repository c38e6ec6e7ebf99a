"""From joint positions back to the Denavit-Hartenberg body: joint angles, bone lengths and rotation in closed form.

The 28 live variables and the rotation are 31 numbers, of which the directions of a body's bones show 26. What they do
not show is 0 here:

- the pelvis is the frame of the hips and the spine, so the lower trunk only leans sideways (its q2);
- the chest bends forward and leans (q4, q5), the line of the shoulders twists and tilts (q6, q8), the head bends
  forward and leans (q10, q11);
- a thigh or an upper arm has its twist from the plane in which knee or elbow bends. Where these are straight there is
  none, unless the limb points where only a twist takes it within its limits.

Where two sets of angles give the same joints, the one within the intended limits of the model is taken, and of two such
the one nearer to what people can do. Within the limits named "random" there is only one.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import torch
from torch import Tensor

from liftpose.geometry.bones import bone_lengths, bone_vectors
from liftpose.geometry.kinematics import BONES, CHAINS, JOINT_VARIABLES, forward_kinematics, joint_limits
from liftpose.geometry.precision import full_precision

__all__ = ["BodyPose", "inverse_kinematics"]

_TINY: Final = 1e-9  # relative length, or sine, below which there is no direction or no plane
# Costs of angles: radians beyond the intended limits weigh most, then a twist of a straight limb, then radians beyond
# the random limits.
_LIMITS: Final = ("intended", "random")
_INTENDED: Final = 1e6
_TWIST: Final = 10.0


class BodyPose(NamedTuple):
    """A pose as the arguments of ``forward_kinematics``, and how well they repeat it.

    Attributes:
        angles: (..., 33) radians, laid out as in ``liftpose.geometry.kinematics.CHAINS``.
        rotation: (..., 3) radians.
        root: (..., 3) metres.
        bone_lengths: (..., 15) metres, in the order ``liftpose.geometry.kinematics.BONES``.
        residual: (..., 16) metres, the distance of each joint of the body from that of the pose.
    """

    angles: Tensor
    rotation: Tensor
    root: Tensor
    bone_lengths: Tensor
    residual: Tensor


class _Frame(NamedTuple):
    """Axes (..., 3) of a part of the body, in the world frame: to its right, forward, up."""

    x: Tensor
    y: Tensor
    z: Tensor

    def parts(self, vector: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the components (...) of a vector (..., 3)."""
        return _dot(vector, self.x), _dot(vector, self.y), _dot(vector, self.z)


def _dot(first: Tensor, second: Tensor) -> Tensor:
    return (first * second).sum(-1)


def _across(vector: Tensor, axis: Tensor) -> Tensor:
    """Return the part of a vector (..., 3) that is perpendicular to a unit vector."""
    return vector - _dot(vector, axis).unsqueeze(-1) * axis


def _first_direction(candidates: list[Tensor], shortest: Tensor) -> Tensor:
    """Return the direction of the first of some vectors (..., 3) longer than ``shortest`` (..., 1), or of the last."""
    found = candidates[-1].expand_as(candidates[0])
    for candidate in reversed(candidates[:-1]):
        found = torch.where(candidate.abs().amax(-1, keepdim=True) > shortest, candidate, found)
    largest = found.abs().amax(-1, keepdim=True)  # the square of a small number may be 0
    found = found / largest
    return found / found.square().sum(-1, keepdim=True).sqrt()


def _turn(first: Tensor, second: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Turn two axes (..., 3) in their plane by an angle (...), the first towards the second."""
    cosine, sine = angle.cos().unsqueeze(-1), angle.sin().unsqueeze(-1)
    return cosine * first + sine * second, cosine * second - sine * first


def _bent(frame: _Frame, direction: Tensor) -> tuple[_Frame, Tensor, Tensor]:
    """Bend a frame so that it points upwards along a direction; return by how much forward and to the right."""
    x, y, z = frame.parts(direction)
    forward, right = torch.atan2(y, z), torch.atan2(x, torch.hypot(y, z))
    up, ahead = _turn(frame.z, frame.y, forward)
    up, side = _turn(up, frame.x, right)
    return _Frame(side, ahead, up), forward, right


def _beyond(angles: Tensor, limits: Tensor) -> Tensor:
    """Return by how much angles (..., n) are outside their limits (n, 2), summed over the n."""
    return ((limits[:, 0] - angles).relu() + (angles - limits[:, 1]).relu()).sum(-1)


def _near(angles: Tensor, limits: Tensor) -> Tensor:
    """Add whole turns to angles (..., n), so that they come nearest to the middle of their limits (n, 2)."""
    middle = limits.mean(-1)
    return middle + torch.remainder(angles - middle + math.pi, 2 * math.pi) - math.pi


def _limb(frame: _Frame, upper: Tensor, lower: Tensor, limits: Tensor, shortest: Tensor, tiny: float) -> Tensor:
    """Return the five variables (..., 5) of an arm or a leg; ``limits`` (2, 5, 2) are its intended and random ones.

    With M = Rz(q0) Ry(q1) Rx(q2) in the frame of the parent, the upper bone lies along -z of M, and the joint turns the
    lower one from there by q3 towards y of M.
    """
    intended, random = limits[:, :3]
    along = _first_direction([upper, lower, -frame.z], shortest)
    lower = _first_direction([lower, along], shortest)
    across = _across(lower, along)
    sine = across.square().sum(-1, keepdim=True).sqrt()
    sign = 1 if limits[0, 3, 1] > 0 else -1  # elbows bend forward, knees backward
    bend = sign * torch.atan2(sine, (lower * along).sum(-1, keepdim=True))
    # The second pass makes the axes perpendicular where the limb is nearly straight and the first one rounds much off.
    ahead = _first_direction([sign * _across(across / torch.where(sine > tiny, sine, 1), along), frame.y], 0 * shortest)
    tx, ty, tz = frame.parts(along)
    side, front = frame.parts(torch.linalg.cross(along, ahead)), frame.parts(ahead)
    flat = torch.hypot(side[0], side[1])
    a = torch.where(flat > tiny, torch.atan2(side[1], side[0]), 0)
    b = torch.atan2(-side[2], flat)
    c = torch.atan2(a.cos() * ty - a.sin() * tx, a.cos() * front[1] - a.sin() * front[0])
    swing, spread = torch.atan2(ty, torch.hypot(tx, tz)), torch.atan2(-tx, -tz)
    lift, heading = torch.atan2(torch.hypot(tx, ty), -tz), torch.atan2(-tx, ty)
    zero, half = torch.zeros_like(a), math.pi
    bent = ((a, b, c), (a + half, half - b, c + half))
    untwisted = ((zero, spread, swing), (zero, spread + half, half - swing))
    twisted = ((heading, zero, lift), (heading + half, zero, -lift))
    candidates = torch.stack([torch.stack(three, dim=-1) for three in (*bent, *untwisted, *twisted)], dim=-2)
    candidates = _near(candidates, intended)
    number = torch.arange(candidates.shape[-2], device=a.device)
    cost = _INTENDED * _beyond(candidates, intended) + _beyond(candidates, random)
    cost = cost + _TWIST * (number >= len(bent) + len(untwisted))
    best = cost.masked_fill((sine > tiny) == (number >= len(bent)), math.inf).argmin(-1)
    chosen = torch.take_along_dim(candidates, best[..., None, None], dim=-2).squeeze(-2)
    return torch.cat((chosen, bend, torch.zeros_like(bend)), dim=-1)


def _euler(frame: _Frame, tiny: float) -> Tensor:
    """Return the angles (..., 3) of RotX RotY RotZ that make the axes of a frame."""
    flat = torch.hypot(frame.z[..., 1], frame.z[..., 2])
    x = torch.where(flat > tiny, torch.atan2(-frame.z[..., 1], frame.z[..., 2]), 0)
    y = torch.atan2(frame.z[..., 0], flat)
    z = torch.atan2(
        x.cos() * frame.x[..., 1] + x.sin() * frame.x[..., 2], x.cos() * frame.y[..., 1] + x.sin() * frame.y[..., 2]
    )
    return torch.stack((x, y, z), dim=-1)


@full_precision
@torch.no_grad()
def inverse_kinematics(poses: Tensor) -> BodyPose:
    """Return the joint angles, bone lengths, rotation and root with which the body takes a pose.

    Lengths and directions of the bones are those of the pose, so the body repeats it exactly up to what the model
    cannot do: its hips lie on one line through the pelvis, and its shoulders on one through the thorax. Each line takes
    the direction with the least squares of the errors of its two joints, and an arm or leg moves along with it
    unchanged; ``residual`` tells how far. The angles are not held within any limits.

    Poses of any kind give finite numbers: a bone without length, whose direction nothing shows, points where the angle
    0 makes it point. A coordinate that is not a number makes a residual of its pose not a number. The result carries no
    gradient.

    Args:
        poses: (..., 16, 3) metres, world frame with z up (only the rotation depends on the frame), joints as
            ``forward_kinematics`` returns them.

    Returns:
        What ``forward_kinematics`` takes, and the distances of its joints from those of the pose.

    Raises:
        ValueError: ``poses`` has another shape.

    Example:
        >>> from liftpose.geometry.bones import bone_length_templates
        >>> knee = torch.zeros(33)
        >>> knee[CHAINS["right_leg"]] = torch.tensor([0.0, 0.0, 1.0, -0.5, 0.0])
        >>> pose = forward_kinematics(knee, bone_length_templates()[0], torch.zeros(3), torch.zeros(3))
        >>> bool(torch.allclose(inverse_kinematics(pose).angles, knee, atol=1e-5))
        True
    """
    vectors, lengths = bone_vectors(poses), bone_lengths(poses)
    bones = dict(zip(BONES, vectors.unbind(-2), strict=True))
    tiny = max(_TINY, 32 * torch.finfo(poses.dtype).eps)
    size = lengths.amax(-1, keepdim=True)
    shortest = tiny * size
    world = _Frame(*torch.eye(3, dtype=poses.dtype, device=poses.device))

    def line(pair: str) -> Tensor:
        right, left = (lengths[..., BONES.index(f"{side}_{pair}")].unsqueeze(-1) for side in ("right", "left"))
        return (right * bones[f"right_{pair}"] - left * bones[f"left_{pair}"]) / torch.where(size > 0, size, 1)

    side = _first_direction([line("hip"), line("shoulder"), world.x], shortest)
    rising = (bones["waist"], bones["thorax"], world.z, world.y)
    up = _first_direction([_across(vector, side).expand_as(side) for vector in rising], shortest)
    up = _first_direction([_across(up, side)], shortest)  # once more, for a spine that nearly lies along the hips
    pelvis = _Frame(side, torch.linalg.cross(up, side), up)
    waist = _first_direction([bones["waist"], up], shortest)
    lean = torch.atan2(_dot(waist, side), _dot(waist, up))
    up, side = _turn(up, side, lean)
    trunk = _Frame(side, pelvis.y, up)
    chest, chest_forward, chest_right = _bent(trunk, _first_direction([bones["thorax"], trunk.z], shortest))
    x, y, z = chest.parts(_first_direction([line("shoulder"), chest.x], shortest))
    twist, tilt = torch.atan2(y, x), torch.atan2(-z, torch.hypot(x, y))
    side, ahead = _turn(chest.x, chest.y, twist)
    up, side = _turn(chest.z, side, tilt)
    shoulders = _Frame(side, ahead, up)
    _, head_forward, head_right = _bent(shoulders, _first_direction([bones["neck"], shoulders.z], shortest))

    angles = poses.new_zeros(*poses.shape[:-2], JOINT_VARIABLES)
    body = angles[..., CHAINS["body"]]
    for place, value in {
        2: lean,
        4: chest_forward,
        5: chest_right,
        6: twist,
        8: tilt,
        10: head_forward,
        11: head_right,
    }.items():
        body[..., place] = value
    limits = torch.stack([joint_limits(name, dtype=poses.dtype, device=poses.device) for name in _LIMITS])
    for chain, parent, upper, lower in (
        ("right_leg", pelvis, "right_thigh", "right_shin"),
        ("left_leg", pelvis, "left_thigh", "left_shin"),
        ("right_arm", shoulders, "right_upper_arm", "right_forearm"),
        ("left_arm", shoulders, "left_upper_arm", "left_forearm"),
    ):
        angles[..., CHAINS[chain]] = _limb(parent, bones[upper], bones[lower], limits[:, CHAINS[chain]], shortest, tiny)
    rotation, root = _euler(pelvis, tiny), poses[..., 0, :].clone()
    residual = (forward_kinematics(angles, lengths, rotation, root) - poses).square().sum(-1).sqrt()
    return BodyPose(angles, rotation, root, lengths, residual)
