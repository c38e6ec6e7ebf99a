"""From a plan and a person to joint angles and joints: legs by inverse kinematics, all else as planned."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from liftpose.data.synthetic.body import Person
from liftpose.data.synthetic.plan import Plan
from liftpose.data.synthetic.signals import FloatArray, smooth, wander
from liftpose.data.synthetic.steps import Feet, place_feet
from liftpose.geometry.kinematics import CHAINS, JOINT_VARIABLES, forward_kinematics_17, joint_limits

__all__ = ["Motion", "animate", "joints_of"]

_DEGREE = np.pi / 180.0
# Legs are never stretched farther than this share of their length: a straight knee has no direction to bend in.
_REACH = 0.992


class Motion(NamedTuple):
    """What the Denavit-Hartenberg body needs, frame by frame.

    Attributes:
        angles: (N, 33) radians, joint variables in the layout of ``liftpose.geometry.kinematics.CHAINS``.
        rotation: (N, 3) radians about x, y, z, as ``forward_kinematics`` takes them.
        root: (N, 3) metres, world frame.
    """

    angles: FloatArray
    rotation: FloatArray
    root: FloatArray


def joints_of(person: Person, motion: Motion) -> FloatArray:
    """Return the joints of a person who moves.

    Args:
        person: Whose bones.
        motion: Angles, rotation and root over N frames.

    Returns:
        (N, 17, 3) metres, world frame, in the order of ``H36M_17``.
    """
    tensors = (
        torch.from_numpy(np.ascontiguousarray(part))
        for part in (motion.angles, person.bone_lengths, motion.rotation, motion.root)
    )
    return np.asarray(forward_kinematics_17(*tensors).numpy())


def animate(person: Person, plan: Plan, fps: float) -> Motion:
    """Let a person do what a plan says.

    The feet are placed first. The pelvis then follows the path over them, as high as the legs allow, and the legs'
    angles follow from where hips and ankles are, so that a standing foot does not slide. Arms, trunk and pelvis answer
    the feet as those of a walking person do.

    Args:
        person: Bone lengths and manner of moving.
        plan: What to do.
        fps: Frames per second of the plan's time axis.

    Returns:
        Joint angles within the human limits, rotation and root; the room's centre is the world's origin and the floor
        z = 0.
    """
    style, rng = person.style, plan.rng
    hip = person.bone("right_hip")
    feet = place_feet(plan, hip * style.width, style.toe_out, style.lift)
    ankles = feet.ankles + np.array([0.0, 0.0, person.ankle_height])
    forward = np.stack((-np.sin(plan.heading), np.cos(plan.heading)), axis=-1)
    right = np.stack((np.cos(plan.heading), np.sin(plan.heading)), axis=-1)
    stride = _stride(ankles, forward, person, fps)
    weight = _weight(feet, fps)
    idle = wander(rng, plan.t, 12, 5.0) * style.restlessness

    # A long step forward turns the pelvis, the chest the other way; the free side of the pelvis sinks a little.
    pelvis = plan.pelvis + np.stack(
        (0.02 * plan.run + 0.6 * _DEGREE * idle[:, 0], -0.05 * weight, 0.16 * stride), axis=-1
    )
    sway = 0.16 * style.sway * hip * weight * (1.0 - 0.5 * plan.run) + 0.006 * idle[:, 1]
    plane = (
        plan.path + right * (plan.shift[:, :1] + sway[:, None]) + forward * (plan.shift[:, 1:] + 0.006 * idle[:, 2:3])
    )
    matrix = _pelvis_matrix(plan.heading + pelvis[:, 2], pelvis[:, 0], pelvis[:, 1])
    hips = matrix[:, None, :, 0] * np.array([hip, -hip])[:, None]
    bounce = 0.035 * plan.run * -np.cos(2.0 * np.pi * feet.step)
    height = _pelvis_height(
        person, plane[:, None] + hips[..., :2] - ankles[..., :2], ankles[..., 2] - hips[..., 2], plan, bounce, fps
    )
    root = np.concatenate((plane, height[:, None]), axis=-1)

    angles = np.zeros((len(plan.t), JOINT_VARIABLES))
    knees = feet.yaw + 0.55 * (plan.heading[:, None] - feet.yaw)
    for side, chain in enumerate(("right_leg", "left_leg")):
        offset = np.einsum("nji,nj->ni", matrix, ankles[:, side] - root - hips[:, side])
        pole = np.stack((-np.sin(knees[:, side]), np.cos(knees[:, side]), np.zeros(len(knees))), axis=-1)
        angles[:, CHAINS[chain]] = _leg_angles(offset, np.einsum("nji,nj->ni", matrix, pole), person)
    angles[:, CHAINS["body"]] = _body_angles(person, plan, pelvis, stride, idle)
    for side, chain in enumerate(("right_arm", "left_arm")):
        angles[:, CHAINS[chain]] = _arm_angles(person, plan, stride, idle[:, 8 + 2 * side : 10 + 2 * side], side)
    return Motion(_within_limits(angles), _rotation_angles(matrix), root)


def _within_limits(angles: FloatArray) -> FloatArray:
    """Keep angles (N, 33) within the human limits.

    Trunk and arms approach a limit smoothly. Legs are cut off at it, which happens hardly ever: they are where the
    feet need them.
    """
    lower, upper = joint_limits("random", dtype=torch.float64).numpy().T
    legs = np.zeros(JOINT_VARIABLES, dtype=bool)
    legs[CHAINS["right_leg"]] = legs[CHAINS["left_leg"]] = True
    hard = legs | (lower == upper)
    width = 3.0 * _DEGREE
    soft = angles - width * np.logaddexp(0.0, (angles - upper) / width)
    soft = soft + width * np.logaddexp(0.0, (lower - soft) / width)
    return np.clip(np.where(hard, angles, soft), lower, upper)


def _stride(ankles: FloatArray, forward: FloatArray, person: Person, fps: float) -> FloatArray:
    """Return how far the right foot is before the left one, (N,) in leg lengths."""
    leg = person.bone("right_thigh") + person.bone("right_shin")
    apart = np.einsum("ni,ni->n", ankles[:, 0, :2] - ankles[:, 1, :2], forward)
    return smooth(apart / leg, 0.05 * fps)


def _weight(feet: Feet, fps: float) -> FloatArray:
    """Return which foot carries the body, (N,) from 1, the right one, to -1."""
    load = np.exp(-feet.ankles[..., 2] / 0.04)
    return smooth((load[:, 0] - load[:, 1]) / (load.sum(axis=1) + 0.1), 0.09 * fps)


def _pelvis_matrix(yaw: FloatArray, tilt: FloatArray, lean: FloatArray) -> FloatArray:
    """Return RotZ(yaw) RotX(-tilt) RotY(lean), (N, 3, 3): columns are the body's right, forward and up."""
    (cz, cx, cy), (sz, sx, sy) = ([f(a) for a in (yaw, -tilt, lean)] for f in (np.cos, np.sin))
    rows = (
        (cz * cy - sz * sx * sy, -sz * cx, cz * sy + sz * sx * cy),
        (sz * cy + cz * sx * sy, cz * cx, sz * sy - cz * sx * cy),
        (-cx * sy, sx, cx * cy),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _rotation_angles(matrix: FloatArray) -> FloatArray:
    """Return x, y, z (N, 3) with RotX(x) RotY(y) RotZ(z) equal to the matrices."""
    x = np.arctan2(-matrix[:, 1, 2], matrix[:, 2, 2])
    y = np.arcsin(np.clip(matrix[:, 0, 2], -1.0, 1.0))
    return np.stack((x, y, np.unwrap(np.arctan2(-matrix[:, 0, 1], matrix[:, 0, 0]))), axis=-1)


def _pelvis_height(
    person: Person, apart: FloatArray, floor: FloatArray, plan: Plan, bounce: FloatArray, fps: float
) -> FloatArray:
    """Return the height of the pelvis: as planned, but never so high that a leg would have to be longer than it is.

    Args:
        person: Whose legs.
        apart: (N, 2, 2) metres from the ankles to the hips in the plane.
        floor: (N, 2) metres, height at which the pelvis would be if each hip were level with its ankle.
        plan: Lowering and running.
        bounce: (N,) metres, up and down of a run.
        fps: Frames per second.

    Returns:
        (N,) metres.
    """
    # Running is quicker than the smoothing below, so it needs more to spare.
    leg = (_REACH - 0.012 * plan.run) * (person.bone("right_thigh") + person.bone("right_shin"))
    reach = floor + np.sqrt(np.maximum(leg[:, None] ** 2 - (apart**2).sum(axis=-1), 0.01))
    wanted = person.ankle_height + leg * (1.0 - 0.075 * plan.run) - 0.004 - plan.drop + bounce
    # A soft minimum of the three, then smoothed.
    candidates = np.stack((wanted, reach[:, 0], reach[:, 1]), axis=-1)
    lowest = candidates.min(axis=-1)
    soft = lowest - 0.008 * np.log(np.exp((lowest[:, None] - candidates) / 0.008).sum(axis=-1))
    return smooth(soft, 0.035 * fps)


def _leg_angles(ankle: FloatArray, pole: FloatArray, person: Person) -> FloatArray:
    """Return the five variables of a leg that bring its ankle where it is to be.

    The hip is a ball joint, its three variables the angles of RotZ(q0) RotY(q1) RotX(q2); the knee opens by the law of
    cosines.

    Args:
        ankle: (N, 3) metres from the hip, in the pelvis's axes.
        pole: (N, 3) direction in which the knee points, in the pelvis's axes.
        person: Whose legs.

    Returns:
        (N, 5) radians.
    """
    thigh, shin = person.bone("right_thigh"), person.bone("right_shin")
    distance = np.linalg.norm(ankle, axis=-1)
    bend = np.arccos(np.clip((distance**2 - thigh**2 - shin**2) / (2.0 * thigh * shin), -1.0, 1.0))
    up = -ankle / distance[:, None]
    side = np.cross(pole, up)
    side /= np.linalg.norm(side, axis=-1, keepdims=True)
    frame = np.stack((side, np.cross(up, side), up), axis=-1)
    # The thigh lies before the line from hip to ankle by as much as the shin lies behind it.
    before = np.arctan2(shin * np.sin(bend), thigh + shin * np.cos(bend))
    c, s = np.cos(before), np.sin(before)
    y, z = (
        frame[..., 1] * c[:, None] + frame[..., 2] * s[:, None],
        frame[..., 2] * c[:, None] - frame[..., 1] * s[:, None],
    )
    q0 = np.arctan2(side[:, 1], side[:, 0])
    q1 = -np.arcsin(np.clip(side[:, 2], -1.0, 1.0))
    return np.stack((q0, q1, np.arctan2(y[:, 2], z[:, 2]), -bend, np.zeros(len(bend))), axis=-1)


def _body_angles(person: Person, plan: Plan, pelvis: FloatArray, stride: FloatArray, idle: FloatArray) -> FloatArray:
    """Return the 13 variables of trunk and head."""
    style = person.style
    # The chest keeps the trunk upright where the pelvis leans, and turns against a striding pelvis.
    bend = plan.trunk[:, 0] + style.lean + 0.10 * plan.run + 1.0 * _DEGREE * idle[:, 3]
    lean = plan.trunk[:, 1] - 0.9 * (pelvis[:, 1] - plan.pelvis[:, 1]) + 0.8 * _DEGREE * idle[:, 4]
    twist = (
        plan.trunk[:, 2] - (0.26 + 0.10 * plan.run) * style.arm_swing * plan.swing * stride + 1.5 * _DEGREE * idle[:, 5]
    )
    body = np.zeros((len(plan.t), 13))
    body[:, 0], body[:, 1], body[:, 2] = 0.4 * twist, 0.55 * bend, 0.5 * lean
    body[:, 3], body[:, 4], body[:, 5] = 0.6 * twist, 0.45 * bend + style.hunch, 0.5 * lean
    # The eyes stay on the horizon while the trunk turns and leans a little.
    body[:, 9] = (
        plan.head[:, 2]
        - 0.7 * (twist - plan.trunk[:, 2])
        - 0.7 * (pelvis[:, 2] - plan.pelvis[:, 2])
        + 3.0 * _DEGREE * idle[:, 6]
    )
    body[:, 10] = plan.head[:, 0] - 0.6 * style.hunch - 0.5 * (bend - plan.trunk[:, 0]) + 2.0 * _DEGREE * idle[:, 7]
    body[:, 11] = plan.head[:, 1]
    return body


def _arm_angles(person: Person, plan: Plan, stride: FloatArray, idle: FloatArray, side: int) -> FloatArray:
    """Return the five variables of one arm; ``side`` is 0 for the right one, which swings with the left leg."""
    style, sign = person.style, 1.0 if side == 0 else -1.0
    swing = -sign * stride * style.arm_swing * plan.swing
    inwards, sideways, flex, elbow = plan.arms[:, side].T
    flex = flex + (0.75 + 0.25 * plan.run) * swing - 0.10 * plan.run + 1.5 * _DEGREE * idle[:, 0]
    bent = (
        elbow
        + style.elbow
        + 0.35 * np.maximum(swing, -0.2)
        + (75.0 * _DEGREE - style.elbow) * plan.run
        + 2.0 * _DEGREE * idle[:, 1]
    )
    spread = sideways + style.spread + 4.0 * _DEGREE * plan.run
    inwards = inwards + 12.0 * _DEGREE * plan.run
    return np.stack(
        (sign * inwards, -sign * spread, flex, np.maximum(bent, 2.0 * _DEGREE), np.zeros(len(bent))), axis=-1
    )
