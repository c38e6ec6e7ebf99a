from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from liftpose.geometry import (
    axis_angle_to_matrix,
    euler_to_matrix,
    matrix_product,
    matrix_to_axis_angle,
    matrix_to_quaternion,
    quaternion_conjugate,
    quaternion_to_matrix,
    rotate,
    rotate_by_quaternion,
)

COMPONENT = st.floats(-1, 1, allow_subnormal=False)


@pytest.fixture
def quaternions() -> torch.Tensor:
    q = torch.randn(200, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return q / q.norm(dim=-1, keepdim=True)


def test_matrix_product_and_rotate_are_the_products_of_numpy() -> None:
    rng = np.random.default_rng(0)
    first, second, vectors = rng.normal(size=(2, 1, 3, 4)), rng.normal(size=(5, 4, 2)), rng.normal(size=(7, 1, 3))
    matrices = rng.normal(size=(4, 3, 3))
    product = matrix_product(torch.from_numpy(first), torch.from_numpy(second))
    np.testing.assert_allclose(product.numpy(), first @ second, rtol=0, atol=1e-14)
    rotated = rotate(torch.from_numpy(matrices), torch.from_numpy(vectors))
    np.testing.assert_allclose(rotated.numpy(), np.einsum("aij,baj->bai", matrices, vectors + 0 * matrices[:, 0]))


def test_quaternions_agree_with_scipy_both_ways(quaternions: torch.Tensor) -> None:
    expected = Rotation.from_quat(quaternions.numpy(), scalar_first=True)
    matrices = quaternion_to_matrix(3 * quaternions)  # the norm does not matter
    np.testing.assert_allclose(matrices.numpy(), expected.as_matrix(), rtol=0, atol=1e-14)
    back = matrix_to_quaternion(matrices).numpy()
    np.testing.assert_allclose(back, expected.as_quat(canonical=True, scalar_first=True), rtol=0, atol=1e-14)


def test_rotate_by_quaternion_is_the_published_one(reference: Path) -> None:
    with np.load(reference / "golden/rie/camera.npz") as golden:
        data = {
            name: torch.from_numpy(golden[name])
            for name in ("quaternion", "points_world", "qrot", "qinverse", "translation")
        }
        to_camera, to_world = golden["world_to_camera"], golden["camera_to_world"]
    q, points = data["quaternion"], data["points_world"]
    np.testing.assert_allclose(rotate_by_quaternion(q, points), data["qrot"], rtol=0, atol=1e-12)
    assert torch.equal(quaternion_conjugate(q), data["qinverse"])
    camera = rotate_by_quaternion(data["qinverse"], points - data["translation"])
    np.testing.assert_allclose(camera, to_camera, rtol=0, atol=1e-12)
    np.testing.assert_allclose(rotate_by_quaternion(q, camera) + data["translation"], to_world, rtol=0, atol=1e-12)


def test_rotate_by_quaternion_is_the_matrix_of_the_quaternion(quaternions: torch.Tensor) -> None:
    vectors = torch.randn(5, 1, 3, dtype=torch.float64)
    expected = Rotation.from_quat(quaternions.numpy(), scalar_first=True)
    rotated = rotate_by_quaternion(quaternions, vectors)
    assert rotated.shape == (5, 200, 3)
    np.testing.assert_allclose(rotated[3], expected.apply(vectors[3].numpy()), rtol=0, atol=1e-14)
    np.testing.assert_allclose(rotate(quaternion_to_matrix(quaternions), vectors), rotated, rtol=0, atol=1e-14)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("angle", [np.pi, np.pi - 1e-9, 1e-9, 0.0])
def test_half_turns_and_no_turn(axis: int, angle: float) -> None:
    vector = np.eye(3)[axis] * angle
    matrix = torch.from_numpy(Rotation.from_rotvec(vector).as_matrix())
    np.testing.assert_allclose(quaternion_to_matrix(matrix_to_quaternion(matrix)), matrix, rtol=0, atol=1e-15)
    np.testing.assert_allclose(matrix_to_axis_angle(matrix).abs(), vector, rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", ["ZYX", "ZXY", "XYZ", "YZX", "ZXZ", "Y", "XZ"])
def test_euler_angles_are_the_intrinsic_ones_of_scipy(order: str) -> None:
    angles = np.random.default_rng(2).uniform(-4, 4, size=(6, 5, len(order)))
    expected = Rotation.from_euler(order, angles.reshape(-1, len(order))).as_matrix().reshape(6, 5, 3, 3)
    np.testing.assert_allclose(euler_to_matrix(torch.from_numpy(angles), order), expected, rtol=0, atol=1e-14)


def test_the_first_letter_is_the_leftmost_matrix() -> None:
    a, b = torch.tensor(0.3, dtype=torch.float64), torch.tensor(-0.7, dtype=torch.float64)
    rz, rx = euler_to_matrix(a[None], "Z"), euler_to_matrix(b[None], "X")
    torch.testing.assert_close(euler_to_matrix(torch.stack((a, b)), "ZX"), rz @ rx, rtol=0, atol=1e-15)


@pytest.mark.parametrize(("order", "count"), [("ZYx", 3), ("", 0), ("ZYX", 2)])
def test_impossible_orders_are_refused(order: str, count: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        euler_to_matrix(torch.zeros(count), order)


@pytest.mark.parametrize("length", [3.0, 1.0, 1e-2, 1.1e-3, 0.9e-3, 1e-5, 1e-9, 0.0])
def test_axis_angle_agrees_with_opencv(length: float) -> None:
    direction = np.random.default_rng(3).normal(size=(20, 3))
    vectors = direction / np.linalg.norm(direction, axis=-1, keepdims=True) * length
    expected = np.stack([cv2.Rodrigues(vector)[0] for vector in vectors])
    matrices = axis_angle_to_matrix(torch.from_numpy(vectors))
    np.testing.assert_allclose(matrices, expected, rtol=0, atol=1e-15)
    np.testing.assert_allclose(matrix_to_axis_angle(matrices), vectors, rtol=1e-9, atol=1e-15)


@given(st.tuples(COMPONENT, COMPONENT, COMPONENT))
def test_axis_angle_comes_back(components: tuple[float, float, float]) -> None:
    vector = torch.tensor(components, dtype=torch.float64)
    back = matrix_to_axis_angle(axis_angle_to_matrix(vector))
    torch.testing.assert_close(back, vector, rtol=1e-9, atol=1e-14)


def test_axis_angle_has_a_gradient_at_zero() -> None:
    vector = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(axis_angle_to_matrix, (vector,))
