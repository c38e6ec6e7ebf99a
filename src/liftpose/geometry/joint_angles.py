"""The angles of DH-AUG's generator: outputs of its network, its 37 columns in degrees, and joint variables in radians.

The published generator lays its angles out in 37 columns: five for each leg, 13 for the body, five for each arm, three
for the global rotation and one that no chain uses. Which one that is has changed by mistake. The table of ranges has
column 23 spare, left from a body of 14 links, and the arms in 24 to 33; the published code cuts the arms out of 23 to
32. So there the right arm's first joint stands still, the sideways range is used for the swing, the elbow bends
backwards by up to 100 degrees, and a network output per arm moves nothing. ``arm_columns="intended"`` is the table's
meaning, ``"released"`` what the published code does; the shape of the network is the same.
"""

from __future__ import annotations

import math
from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor

from liftpose.geometry.constants import Table, device_table
from liftpose.geometry.kinematics import CHAINS, JOINT_VARIABLES, joint_limits
from liftpose.geometry.precision import full_precision

__all__ = [
    "ANGLE_COLUMNS",
    "ANGLE_OUTPUTS",
    "ArmColumns",
    "JointAngles",
    "angles_from_columns",
    "angles_from_unit",
    "columns_from_angles",
]

ANGLE_COLUMNS: Final = 37
"""Number of columns of the published generator."""

ANGLE_OUTPUTS: Final = 32
"""Number of angle outputs of its network; the last one has never been used."""

ArmColumns = Literal["intended", "released"]
"""Which columns are the arms': those that the ranges were written for, or those that the published code takes."""

_SPARE: Final = {"intended": 23, "released": 33}
_HALF_TURN: Final = 180


class JointAngles(NamedTuple):
    """How the joints of a body are turned.

    Attributes:
        angles: (..., 33) radians, laid out as in ``liftpose.geometry.kinematics.CHAINS``.
        rotation: (..., 3) radians about x, y and z, as ``forward_kinematics`` takes it.
    """

    angles: Tensor
    rotation: Tensor


def _spare_column(arm_columns: str) -> int:
    if arm_columns not in _SPARE:
        raise ValueError(f"arm_columns: expected 'intended' or 'released', found {arm_columns!r}")
    return _SPARE[arm_columns]


def _check(tensor: Tensor, name: str, size: int) -> None:
    if tensor.shape[-1:] != (size,):
        raise ValueError(f"{name}: expected the shape (..., {size}), found {tuple(tensor.shape)}")


def _output_ranges() -> Table:
    """Half width and middle, in degrees, of what each of the 31 used outputs drives, in ascending order of columns."""
    limits = [tuple(map(round, row)) for row in joint_limits("intended", dtype=torch.float64).rad2deg().tolist()]
    ranges = [row for row in limits if row != (0, 0)] + [(-_HALF_TURN, _HALF_TURN)] * 3
    return tuple(((high - low) / 2, (high + low) / 2) for low, high in ranges)


_OUTPUT_RANGES: Final = _output_ranges()
_USED: Final = len(_OUTPUT_RANGES)


@full_precision
def angles_from_columns(columns: Tensor, arm_columns: ArmColumns = "intended") -> JointAngles:
    """Turn the 37 published columns into joint variables.

    Args:
        columns: (..., 37) degrees.
        arm_columns: Which columns are the arms': 24 to 33 (``"intended"``) or 23 to 32 (``"released"``).

    Returns:
        Joint variables and global rotation, radians.

    Raises:
        ValueError: Another number of columns, or ``arm_columns`` is another word.

    Example:
        >>> columns = torch.zeros(37)
        >>> columns[27] = 90.0
        >>> [int(angles_from_columns(columns, arms).angles.argmax()) for arms in ("intended", "released")]
        [26, 27]
    """
    spare = _spare_column(arm_columns)
    _check(columns, "columns", ANGLE_COLUMNS)
    radians = columns.deg2rad()
    angles = torch.cat((radians[..., :spare], radians[..., spare + 1 : JOINT_VARIABLES + 1]), dim=-1)
    return JointAngles(angles, radians[..., JOINT_VARIABLES + 1 :])


@full_precision
def columns_from_angles(angles: Tensor, rotation: Tensor, arm_columns: ArmColumns = "intended") -> Tensor:
    """Turn joint variables into the 37 published columns: the inverse of ``angles_from_columns``.

    Args:
        angles: (..., 33) radians, laid out as in ``liftpose.geometry.kinematics.CHAINS``.
        rotation: (..., 3) radians.
        arm_columns: As there.

    Returns:
        (..., 37) degrees; the column that no chain uses is 0.

    Raises:
        ValueError: An argument has another shape, or ``arm_columns`` is another word.
    """
    spare = _spare_column(arm_columns)
    _check(angles, "angles", JOINT_VARIABLES)
    _check(rotation, "rotation", 3)
    nothing = torch.zeros_like(angles[..., :1])
    return torch.cat((angles[..., :spare], nothing, angles[..., spare:], rotation), dim=-1).rad2deg()


@full_precision
def angles_from_unit(unit: Tensor, *, limited: bool = True, arm_columns: ArmColumns = "intended") -> JointAngles:
    """Turn the angle outputs of DH-AUG's generator, after their tanh, into joint variables and a global rotation.

    Output after output drives the columns that are not always 0, in ascending order; the last three of the 31 that are
    used are the global rotation, which takes a full turn either way.

    Args:
        unit: (..., 32) numbers in [-1, 1]; the last one is not used.
        limited: Whether -1 and 1 are the limits of each column, ``joint_limits("intended")``; otherwise they are -180
            and 180 degrees for all.
        arm_columns: As in ``angles_from_columns``. With ``"released"`` the arms have the ranges of the columns that
            they take, not their own, and outputs 23 and 27 move nothing.

    Returns:
        Joint variables and global rotation, radians; differentiable.

    Raises:
        ValueError: Another number of outputs, or ``arm_columns`` is another word.
    """
    spare = _spare_column(arm_columns)
    _check(unit, "unit", ANGLE_OUTPUTS)
    used = unit[..., :_USED]
    if limited:
        half, middle = device_table(_OUTPUT_RANGES, unit.dtype, unit.device).deg2rad().unbind(-1)
        turned = used * half + middle
    else:
        turned = used * math.pi
    nothing = torch.zeros_like(used[..., :1])
    parts: list[Tensor] = []
    taken = 0
    for chain, variables in CHAINS.items():  # the last variable of each is dead
        live = variables.stop - variables.start - 1
        moved = turned[..., taken : taken + live]
        shifted = spare != _SPARE["intended"] and chain.endswith("arm")
        parts.extend((nothing, moved) if shifted else (moved, nothing))
        taken += live
    return JointAngles(torch.cat(parts, dim=-1), turned[..., taken:])
