"""The flesh of the synthetic people: rounded cones between and around the joints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from liftpose.data.synthetic.signals import FloatArray
from liftpose.skeletons import H36M_17, MPII_16

__all__ = ["SHAPES", "Build", "Shapes", "body_shapes", "mpii_joints"]

SHAPES: Final = (
    "hips", "belly", "chest", "right_yoke", "left_yoke", "neck", "head", "hair", "nose",
    "right_upper_arm", "right_forearm", "right_hand", "left_upper_arm", "left_forearm", "left_hand",
    "right_thigh", "right_shin", "right_foot", "left_thigh", "left_shin", "left_foot",
)  # fmt: skip
"""Names of the shapes that make up a body."""

# Radii in metres at the start and the end of each shape, for a person of 1.75 m and ordinary build. Limbs taper.
_RADII: Final[dict[str, tuple[float, float]]] = {
    "hips": (0.096, 0.096),
    "belly": (0.150, 0.135),
    "chest": (0.138, 0.160),
    "yoke": (0.072, 0.056),
    "neck": (0.052, 0.050),
    "head": (0.056, 0.083),
    "hair": (0.087, 0.078),
    "nose": (0.015, 0.009),
    "upper_arm": (0.054, 0.042),
    "forearm": (0.041, 0.029),
    "hand": (0.034, 0.024),
    "thigh": (0.083, 0.058),
    "shin": (0.058, 0.037),
    "foot": (0.043, 0.034),
}
# How much flatter a shape is than wide: across the trunk from front to back, across the head from side to side.
_FLATNESS: Final = {"belly": 1.35, "chest": 1.4, "head": 1.1, "hair": 1.08, "hand": 1.7}
_TOP = 1.2  # the top of the head lies on the line from the thorax through the head, at this share of its length
_CHIN = 0.1
_NECK = 0.3  # MPII's upper neck lies behind the chin


@dataclass(frozen=True)
class Build:
    """What somebody's body looks like apart from its bones.

    Args:
        stature: Metres.
        girth: Factor on the thickness of trunk and limbs.
        belly: Factor on the thickness of the belly.
        shoulders: Factor on the thickness of chest and arms.
        hair: How far the hair hangs down at the back of the head, 0 (short) to 1 (over the neck).
    """

    stature: float
    girth: float
    belly: float
    shoulders: float
    hair: float


class Shapes(NamedTuple):
    """The rounded cones of one person over N frames: P shapes in the order ``SHAPES``, world frame.

    A rounded cone is all that a ball sweeps whose radius changes evenly on its way from start to end. A flat one is
    round in a space that is stretched along one direction.

    Attributes:
        start: (N, P, 3) metres.
        end: (N, P, 3) metres.
        radii: (P, 2) metres, at start and end.
        across: (N, P, 3) unit vector along which the shape is flat.
        flatness: (P,) factor of the stretch along ``across``; 1 for round ones.
        front: (N, P, 3) unit vector to where the body's front is.
    """

    start: FloatArray
    end: FloatArray
    radii: FloatArray
    across: FloatArray
    flatness: FloatArray
    front: FloatArray


def body_shapes(poses: npt.NDArray[np.floating], build: Build) -> Shapes:
    """Return the shapes of a person who moves.

    Hands and feet follow from the limbs that they hang on, the face from the joint between thorax and head.

    Args:
        poses: (N, 17, 3) metres, world frame with z up, in the order of ``H36M_17``.
        build: What the body looks like.

    Returns:
        The shapes of each frame.
    """
    joints = {name: np.asarray(poses[:, i], np.float64) for i, name in enumerate(H36M_17.joint_names)}
    size = build.stature / 1.75
    up = _unit(joints["thorax"] - joints["pelvis"])
    right_hips = _unit(joints["right_hip"] - joints["left_hip"])
    right_chest = _unit(joints["right_shoulder"] - joints["left_shoulder"])
    hip_front = _unit(np.cross(joints["spine"] - joints["pelvis"], right_hips))
    chest_front = _unit(np.cross(joints["thorax"] - joints["spine"], right_chest))
    line = joints["head"] - joints["thorax"]
    crown = _unit(line)
    face = _unit(_across(joints["neck"] - joints["thorax"], crown))
    right_face = np.cross(face, crown)

    parts: dict[str, tuple[FloatArray, ...]] = {}  # name -> start, end, direction of the flattening, front

    def add(name: str, start: FloatArray, end: FloatArray, front: FloatArray, across: FloatArray | None = None) -> None:
        parts[name] = (start, end, front if across is None else across, front)

    back = -0.02 * size * hip_front
    inward = 0.045 * size * right_hips
    add("hips", joints["right_hip"] - inward + back, joints["left_hip"] + inward + back, hip_front)
    add("belly", joints["pelvis"] + 0.01 * size * up, joints["spine"] - 0.02 * size * up, hip_front)
    chest_end = joints["thorax"] - 0.115 * size * _unit(joints["thorax"] - joints["spine"])
    add("chest", joints["spine"], chest_end, chest_front)
    low_thorax = joints["thorax"] - 0.02 * size * up
    for side in ("right", "left"):
        add(f"{side}_yoke", low_thorax, joints[f"{side}_shoulder"], chest_front)
    skull = joints["thorax"] + _TOP * line - _RADII["head"][1] * size * crown
    jaw = joints["thorax"] + _CHIN * line + _RADII["head"][0] * size * crown + 0.03 * size * face
    add("neck", joints["thorax"], joints["thorax"] + 0.4 * line, face)
    add("head", jaw, skull, face, right_face)
    scalp = skull + size * (0.008 * crown - 0.022 * face)
    add("hair", scalp, scalp - (0.025 + 0.13 * build.hair) * size * crown - 0.014 * size * face, face, right_face)
    tip = jaw + size * (0.028 * crown + 0.058 * face)
    add("nose", tip, tip + size * (0.035 * crown - 0.004 * face), face)

    for side, sign in (("right", 1.0), ("left", -1.0)):
        shoulder, elbow, wrist = (joints[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist"))
        add(f"{side}_upper_arm", shoulder, elbow, chest_front)
        add(f"{side}_forearm", elbow, wrist, chest_front)
        palm = _unit(wrist - elbow)
        inner = _unit(_across(-sign * right_chest + 0.3 * chest_front, palm))
        add(f"{side}_hand", wrist + 0.02 * size * palm, wrist + size * (0.125 * palm + 0.015 * inner), inner)
        hip, knee, ankle = (joints[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
        toes = _toes(hip, knee, ankle, right_hips, size)
        add(f"{side}_thigh", hip - sign * 0.025 * size * right_hips, knee, hip_front)
        add(f"{side}_shin", knee, ankle, toes)
        shin = _unit(ankle - knee)
        heel = ankle + size * (0.035 * shin - 0.02 * toes)
        add(f"{side}_foot", heel, ankle + size * (0.15 * toes + 0.043 * shin), toes)

    columns = [np.stack([parts[name][i] for name in SHAPES], axis=1) for i in range(4)]
    kinds = [name.removeprefix("right_").removeprefix("left_") for name in SHAPES]
    radii = np.array([_RADII[kind] for kind in kinds]) * size
    radii *= np.array([_thickness(kind, build) for kind in kinds])[:, None]
    flatness = np.array([_FLATNESS.get(kind, 1.0) for kind in kinds])
    return Shapes(columns[0], columns[1], radii, columns[2], flatness, columns[3])


def mpii_joints(poses: npt.NDArray[np.floating]) -> FloatArray:
    """Return MPII's joints of synthetic people.

    MPII's upper neck and head top have no counterpart among the Human3.6M joints: they lie behind the painted chin and
    at the top of the painted head.

    Args:
        poses: (..., 17, 3) metres, in the order of ``H36M_17``.

    Returns:
        (..., 16, 3) metres, in the order of ``MPII_16``.
    """
    poses = np.asarray(poses, np.float64)
    joints = {name: poses[..., i, :] for i, name in enumerate(H36M_17.joint_names)}
    line = joints["head"] - joints["thorax"]
    joints["upper_neck"] = joints["thorax"] + _NECK * line
    joints["head_top"] = joints["thorax"] + _TOP * line
    return np.stack([joints[name] for name in MPII_16.joint_names], axis=-2)


def _toes(hip: FloatArray, knee: FloatArray, ankle: FloatArray, right: FloatArray, size: float) -> FloatArray:
    """Return the unit vectors (N, 3) to where the toes point: level near the floor, across the shin above it."""
    thigh, shin = _unit(knee - hip), _unit(ankle - knee)
    # The knee bends about the axis across thigh and shin; a straight leg has none, so the hips' helps out.
    axis = _unit(3.0 * np.cross(shin, thigh) + 0.5 * right)
    across = _unit(np.cross(axis, shin) + 0.5 * shin)
    level = np.cross(axis, np.array([0.0, 0.0, -1.0]))
    level[:, 2] = 0.0
    lifted = np.clip((ankle[:, 2:] / size - 0.09) / 0.10, 0.0, 1.0)
    return _unit((1.0 - lifted) * _unit(level) + lifted * across)


def _thickness(kind: str, build: Build) -> float:
    """Return the factor on the radii of a kind of shape."""
    if kind in {"head", "hair", "nose", "hand", "foot"}:
        return 1.0
    extra = {"belly": build.belly, "chest": build.shoulders, "upper_arm": build.shoulders, "yoke": build.shoulders}
    return build.girth * extra.get(kind, 1.0)


def _unit(vectors: FloatArray) -> FloatArray:
    """Return vectors of length 1; a vector of no length stays."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9))


def _across(vectors: FloatArray, axis: FloatArray) -> FloatArray:
    """Return the part of vectors that is perpendicular to unit vectors."""
    return np.asarray(vectors - (vectors * axis).sum(-1, keepdims=True) * axis)
