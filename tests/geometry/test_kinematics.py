"""The DH body against the published code's numbers, against products of link matrices and against scipy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from liftpose.geometry.kinematics import (
    BONE_JOINTS,
    BONES,
    CHAINS,
    JOINT_VARIABLES,
    dh_transform,
    forward_kinematics,
    forward_kinematics_17,
    joint_limits,
)
from liftpose.skeletons import H36M_17

INPUTS = (*CHAINS, "global_rot", "root", "bone_len")


def golden(reference: Path, name: str) -> dict[str, torch.Tensor]:
    with np.load(reference / "golden" / "dh_aug" / f"{name}.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file.files if file[key].dtype.kind == "f"}


def run(data: dict[str, torch.Tensor]) -> torch.Tensor:
    angles = torch.cat([data[chain] for chain in CHAINS], dim=-1).deg2rad()
    return forward_kinematics(angles, data["bone_len"], data["global_rot"].deg2rad(), data["root"])


def random_inputs(*shape: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    draw = [torch.rand(*shape, size, generator=generator, dtype=torch.float64) for size in (JOINT_VARIABLES, 15, 3, 3)]
    return 4.0 * draw[0] - 2.0, 0.1 + 0.4 * draw[1], 6.0 * draw[2] - 3.0, draw[3]


@pytest.mark.parametrize("name", ["fk_random", "fk_edge", "fk_grad"])
def test_joints_equal_the_published_code(reference: Path, name: str) -> None:
    data = golden(reference, name)
    torch.testing.assert_close(run(data), data["joints16"], rtol=0, atol=1e-12)
    single = run({key: value.float() for key, value in data.items()})
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), data["joints16"], rtol=1e-4, atol=1e-4)


def test_gradients_equal_the_published_code(reference: Path) -> None:
    data = golden(reference, "fk_grad")
    inputs = {key: data[key].clone().requires_grad_() for key in INPUTS}
    (run(inputs) * data["weight"]).sum().backward()
    for key in INPUTS:
        torch.testing.assert_close(inputs[key].grad, data[f"g_{key}"], rtol=0, atol=1e-12)


def test_link_matrix_equals_the_published_code(reference: Path) -> None:
    data = golden(reference, "dh_matrix")
    matrix = dh_transform(data["alpha_deg"].deg2rad(), data["a"], data["theta_deg"].deg2rad(), data["d"])
    torch.testing.assert_close(matrix, data["T"], rtol=0, atol=1e-12)


def test_global_rotation_equals_the_published_code(reference: Path) -> None:
    data = golden(reference, "dh_matrix")
    length = torch.ones(15, dtype=torch.float64)
    still = torch.zeros(JOINT_VARIABLES, dtype=torch.float64)
    joints = forward_kinematics(still, length, data["euler_deg"].deg2rad(), torch.zeros(3, dtype=torch.float64))
    # Right hip and spine lie on the x and z axes of the body that stands still.
    torch.testing.assert_close(joints[:, 1], data["R"][..., 0], rtol=0, atol=1e-12)
    torch.testing.assert_close(joints[:, 7], data["R"][..., 2], rtol=0, atol=1e-12)


def test_limits_are_those_of_the_published_tables(reference: Path) -> None:
    chains = json.loads((reference / "spec" / "dh_model.json").read_text())["chains"]
    for name, key in (("intended", "limit_intended"), ("random", "limit_random_mode")):
        limits = joint_limits(name, dtype=torch.float64).rad2deg()
        for chain, part in CHAINS.items():
            expected = torch.tensor([link[key] for link in chains[chain]["links"]], dtype=torch.float64)
            torch.testing.assert_close(limits[part], expected)
    assert (joint_limits("random")[:, 0] >= joint_limits("intended")[:, 0]).all()


def test_joints_equal_the_products_of_their_link_matrices(reference: Path) -> None:
    angles, lengths, rotation, root = random_inputs()
    bones = dict(zip(BONES, lengths, strict=True))
    joints = forward_kinematics(angles, lengths, rotation, root)
    start = torch.eye(4, dtype=torch.float64)
    start[:3, :3] = torch.from_numpy(Rotation.from_euler("XYZ", rotation.numpy()).as_matrix())
    start[:3, 3] = root
    chains = json.loads((reference / "spec" / "dh_model.json").read_text())["chains"]
    shoulders, found = None, set()
    for chain in ("body", "right_leg", "left_leg", "right_arm", "left_arm"):
        matrix = shoulders if chain.endswith("arm") else start
        for number, (link, q) in enumerate(zip(chains[chain]["links"], angles[CHAINS[chain]], strict=True)):
            a, d = (
                link[key]["sign"] * bones[link[key]["bone"]] if link[key] else torch.zeros(()).double()
                for key in ("a", "d")
            )
            alpha, theta0 = torch.tensor([link["alpha"], link["theta0"]], dtype=torch.float64).deg2rad()
            matrix = matrix @ dh_transform(alpha, a, theta0 + q, d)
            if link["joint16"] is not None:
                torch.testing.assert_close(joints[link["joint16"]], matrix[:3, 3], rtol=0, atol=1e-12)
                found.add(link["joint16"])
            if chain == "body" and number == 8:
                shoulders = matrix
    assert found == set(range(16))


def test_the_zero_pose_is_somebody_who_stands_upright() -> None:
    length = 0.3
    zero = torch.zeros(JOINT_VARIABLES, dtype=torch.float64)
    origin = torch.zeros(3, dtype=torch.float64)
    joints = forward_kinematics(zero, torch.full((15,), length, dtype=torch.float64), origin, origin)
    units = torch.tensor(
        [
            (0, 0, 0), (1, 0, 0), (1, 0, -1), (1, 0, -2), (-1, 0, 0), (-1, 0, -1), (-1, 0, -2),
            (0, 0, 1), (0, 0, 2), (0, 0, 3), (-1, 0, 2), (-1, 0, 1), (-1, 0, 0), (1, 0, 2), (1, 0, 1), (1, 0, 0),
        ],
        dtype=torch.float64,
    )  # fmt: skip
    torch.testing.assert_close(joints, length * units, rtol=0, atol=1e-12)


def test_bones_keep_their_lengths_and_motion_is_rigid() -> None:
    angles, lengths, rotation, root = random_inputs(50)
    joints = forward_kinematics(angles, lengths, rotation, root)
    first, second = torch.tensor(BONE_JOINTS).T
    torch.testing.assert_close((joints[:, second] - joints[:, first]).norm(dim=-1), lengths, rtol=0, atol=1e-12)
    still = forward_kinematics(angles, lengths, torch.zeros(3).double(), torch.zeros(3).double())
    turned = np.einsum("nij,nkj->nki", Rotation.from_euler("XYZ", rotation.numpy()).as_matrix(), still.numpy())
    np.testing.assert_allclose(joints, turned + root.numpy()[:, None], atol=1e-12)


def test_leading_shapes_are_broadcast() -> None:
    angles, lengths, rotation, root = random_inputs(4, 3)
    joints = forward_kinematics(angles, lengths[:1, :1], rotation[:, :1], root[0, 0])
    assert joints.shape == (4, 3, 16, 3)
    one = forward_kinematics(angles[2, 1], lengths[0, 0], rotation[2, 0], root[0, 0])
    torch.testing.assert_close(joints[2, 1], one, rtol=0, atol=1e-14)
    assert forward_kinematics(*(x[:0] for x in (angles, lengths, rotation, root))).shape == (0, 3, 16, 3)


def test_gradients_are_right_in_every_argument() -> None:
    inputs = [x.requires_grad_() for x in random_inputs()]
    assert torch.autograd.gradcheck(forward_kinematics_17, inputs)
    assert torch.autograd.gradgradcheck(forward_kinematics_17, inputs)


def test_the_nose_is_before_the_head_and_moves_with_it() -> None:
    angles, lengths, rotation, root = random_inputs(20)
    joints = forward_kinematics_17(angles, lengths, rotation, root)
    assert joints.shape[-2] == len(H36M_17)
    others = [*range(9), *range(10, 17)]
    torch.testing.assert_close(joints[:, others], forward_kinematics(angles, lengths, rotation, root))
    thorax, nose, head = joints[:, 8:11].unbind(1)
    neck = lengths[:, -1]
    for a, b, share in ((thorax, nose, 0.638), (nose, head, 0.606)):
        torch.testing.assert_close((b - a).norm(dim=-1) / neck, torch.full((20,), share).double(), rtol=0, atol=1e-3)
    upright = forward_kinematics_17(0 * angles, lengths, 0 * rotation, root)
    assert (upright[:, 9, 1] > upright[:, 10, 1] + 0.3 * neck).all()
    # Turning the head to the left takes the nose to the left, -x.
    look = torch.zeros_like(angles)
    look[:, CHAINS["body"].start + 9] = 0.5
    assert (forward_kinematics_17(look, lengths, 0 * rotation, root)[:, 9, 0] < upright[:, 9, 0]).all()


def test_compiles_as_one_graph() -> None:
    torch._dynamo.reset()
    compiled = torch.compile(forward_kinematics, fullgraph=True, backend="eager")
    results = []
    for function in (forward_kinematics, compiled):
        inputs = [x.requires_grad_() for x in random_inputs(5)]
        joints = function(*inputs)
        results.append((joints, *torch.autograd.grad(joints.pow(3).sum(), inputs)))
    for plain, fast in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-12, atol=1e-12)


def test_half_precision_around_it_does_no_harm() -> None:
    inputs = [x.float() for x in random_inputs(4)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = forward_kinematics(*inputs)
        rough = forward_kinematics(*(x.bfloat16() for x in inputs))
    assert torch.equal(inside, forward_kinematics(*inputs))
    assert torch.equal(rough, forward_kinematics(*(x.bfloat16().float() for x in inputs)))


def test_wrong_sizes_are_refused_with_both_numbers() -> None:
    angles, lengths, rotation, root = random_inputs(2)
    with pytest.raises(ValueError, match=r"angles: expected the shape \(\.\.\., 33\), found \(2, 32\)"):
        forward_kinematics(angles[:, 1:], lengths, rotation, root)
    with pytest.raises(ValueError, match="bone_lengths"):
        forward_kinematics(angles, lengths[:, 1:], rotation, root)
    with pytest.raises(ValueError, match="expected 'intended' or 'random', found 'wide'"):
        joint_limits("wide")


def test_a_matrix_is_no_rotation_here() -> None:
    angles, lengths, _, root = random_inputs(2)
    matrices = torch.eye(3, dtype=torch.float64).expand(2, 3, 3)
    with pytest.raises(ValueError, match=r"angles \(2, 33\), .*rotation \(2, 3, 3\).* \(a rotation is three angles\)"):
        forward_kinematics(angles, lengths, matrices, root)
