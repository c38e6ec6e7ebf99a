"""The angles of DH-AUG's generator against the published code's, columns and joints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear

from liftpose.geometry.bones import bone_lengths, scale_bones
from liftpose.geometry.constants import _kept_table, device_table
from liftpose.geometry.joint_angles import (
    ANGLE_COLUMNS,
    ANGLE_OUTPUTS,
    angles_from_columns,
    angles_from_unit,
    columns_from_angles,
)
from liftpose.geometry.kinematics import CHAINS, forward_kinematics, joint_limits

CASES = [
    *(("single", case) for case in ("default", "no_pre_angle", "no_rt", "no_scaler")),
    *(("video", case) for case in ("default", "no_pre_angle")),
]


def outputs(case: dict[str, Any]) -> Tensor:
    """Run the published network by hand: (N, 35) before tanh."""
    weights = {name: value.double() for name, value in case["state_dict"].items()}

    def layer(name: str, values: Tensor) -> Tensor:
        return linear(values, weights[f"{name}.weight"], weights[f"{name}.bias"])

    hidden = layer("preprocess.0", case["noise"].double()).relu()
    for block in ("block1", "block2", "block3"):
        hidden = (hidden + layer(f"{block}.fc2", layer(f"{block}.fc1", hidden).relu())).relu()
    return layer("deconv_out", hidden).reshape(-1, 35)


@pytest.mark.parametrize(("frames", "name"), CASES)
def test_angles_and_joints_equal_the_published_code(reference: Path, frames: str, name: str) -> None:
    file = reference / "golden" / "dh_aug" / f"generator_{frames}.pt"
    case = torch.load(file, weights_only=True)[name]
    limited = case["config"]["use_pre_angle"]
    out = outputs(case).tanh()
    angles, rotation = angles_from_unit(out[:, :32], limited=limited, arm_columns="released")
    columns = columns_from_angles(angles, rotation, "released")
    torch.testing.assert_close(columns, case["angles37"], rtol=0, atol=1e-12)
    back = angles_from_columns(case["angles37"], "released")
    torch.testing.assert_close(back.angles, angles, rtol=0, atol=1e-14)
    torch.testing.assert_close(back.rotation, rotation, rtol=0, atol=1e-14)

    real = case["real_pose"].double().reshape(-1, 16, 3)
    torch.testing.assert_close(bone_lengths(real), case["bone_len"], rtol=0, atol=1e-12)
    scales = case["scaler"].repeat_interleave(len(real) // len(case["scaler"]), dim=0)
    if not case["config"]["use_rt"]:
        rotation = 0 * rotation
    joints = forward_kinematics(angles, scale_bones(case["bone_len"], scales), rotation, 10 * out[:, 32:])
    torch.testing.assert_close(joints.reshape(case["out"].shape), case["out"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("arms", ["intended", "released"])
def test_outputs_reach_the_limits_of_their_columns(reference: Path, arms: Any) -> None:
    table = json.loads((reference / "spec" / "dh_model.json").read_text())
    ranges = [*table["generator_columns"]["range_by_column_0_to_33"], *[[-180, 180]] * 3]
    for end in range(2):
        unit = torch.full((ANGLE_OUTPUTS,), (-1.0, 1.0)[end], dtype=torch.float64)
        columns = columns_from_angles(*angles_from_unit(unit, arm_columns=arms), arms)
        torch.testing.assert_close(columns, torch.tensor([row[end] for row in ranges], dtype=torch.float64))


def test_the_intended_arms_stay_within_their_own_limits() -> None:
    limits = joint_limits("intended", dtype=torch.float64)
    unit = 2 * torch.rand(1000, ANGLE_OUTPUTS, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1
    angles = angles_from_unit(unit).angles
    assert (angles >= limits[:, 0] - 1e-12).all()
    assert (angles <= limits[:, 1] + 1e-12).all()
    assert (angles.amax(0) - angles.amin(0) > 0.95 * (limits[:, 1] - limits[:, 0]))[limits[:, 1] > limits[:, 0]].all()
    # As published, an elbow may bend backwards and an upper arm does not turn about itself.
    published = angles_from_unit(unit, arm_columns="released").angles
    for arm in ("right_arm", "left_arm"):
        assert published[:, CHAINS[arm]][:, 0].abs().max() == 0
        assert published[:, CHAINS[arm]][:, 3].min() < -1.5


@pytest.mark.parametrize("arms", ["intended", "released"])
def test_columns_come_back(arms: Any) -> None:
    random = torch.Generator().manual_seed(0)
    angles, rotation = (torch.randn(4, 2, size, generator=random, dtype=torch.float64) for size in (33, 3))
    columns = columns_from_angles(angles, rotation, arms)
    assert columns.shape == (4, 2, ANGLE_COLUMNS)
    back = angles_from_columns(columns, arms)
    torch.testing.assert_close(back.angles, angles)
    torch.testing.assert_close(back.rotation, rotation)


@pytest.mark.parametrize(("arms", "still"), [("intended", {31}), ("released", {23, 27, 31})])
def test_which_outputs_move_nothing(arms: Any, still: set[int]) -> None:
    unit = 0.1 * torch.ones(ANGLE_OUTPUTS, dtype=torch.float64, requires_grad=True)
    lengths = torch.full((15,), 0.3, dtype=torch.float64)
    angles, rotation = angles_from_unit(unit, arm_columns=arms)
    joints = forward_kinematics(angles, lengths, rotation, torch.zeros(3, dtype=torch.float64))
    weight = torch.randn(16, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (gradient,) = torch.autograd.grad((weight * joints).sum(), unit)
    assert {int(i) for i in (gradient == 0).nonzero()} == still


def test_a_table_that_was_made_for_evaluation_serves_in_training() -> None:
    _kept_table.cache_clear()
    with torch.inference_mode():
        angles_from_unit(torch.zeros(2, ANGLE_OUTPUTS))
    unit = torch.zeros(2, ANGLE_OUTPUTS, requires_grad=True)
    angles_from_unit(unit).angles.sum().backward()
    assert unit.grad is not None


class Angles(torch.nn.Module):
    def forward(self, unit: Tensor) -> Tensor:
        return angles_from_unit(unit).angles


def test_a_table_that_stood_in_a_traced_graph_is_not_kept() -> None:
    _kept_table.cache_clear()
    torch.export.export(Angles(), (torch.zeros(2, ANGLE_OUTPUTS),), strict=False)
    assert type(Angles()(torch.zeros(2, ANGLE_OUTPUTS))) is Tensor


def test_a_table_is_made_once() -> None:
    tables = [device_table(((1.0, 2.0), (3.0, 4.0)), torch.float32, torch.device("cpu")) for _ in range(2)]
    assert tables[0] is tables[1]
    assert tables[0].tolist() == [[1, 2], [3, 4]]


def test_mistakes_are_told() -> None:
    with pytest.raises(ValueError, match="arm_columns: expected 'intended' or 'released', found 'as_released'"):
        angles_from_unit(torch.zeros(32), arm_columns="as_released")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"unit: expected the shape \(\.\.\., 32\), found \(35,\)"):
        angles_from_unit(torch.zeros(35))
    with pytest.raises(ValueError, match=r"columns: expected the shape \(\.\.\., 37\), found \(4, 34\)"):
        angles_from_columns(torch.zeros(4, 34))
    with pytest.raises(ValueError, match=r"rotation: expected the shape \(\.\.\., 3\), found \(4,\)"):
        columns_from_angles(torch.zeros(33), torch.zeros(4))
