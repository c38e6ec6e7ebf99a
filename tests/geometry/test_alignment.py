from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation
from torch import Tensor

from liftpose.geometry.alignment import (
    Similarity,
    _closed_form_rotation,
    _nearest_rotation,
    rigid_alignment,
    similarity_alignment,
    similarity_errors,
)

Align = Callable[[Tensor, Tensor], Similarity]
ALIGNMENTS = (similarity_alignment, rigid_alignment)
OCTAHEDRON = torch.cat((torch.eye(3), -torch.eye(3))).double()


def clouds(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3), distance=st.floats(0, 100), joints=st.integers(4, 20))
def test_a_known_similarity_is_found_again(seed: int, scale: float, distance: float, joints: int) -> None:
    source = clouds(seed, joints)
    rotation = torch.tensor(Rotation.random(rng=seed).as_matrix())
    translation = distance * clouds(seed + 1, 1)[0]
    found = similarity_alignment(source, scale * source @ rotation.T + translation)
    assert found.valid
    torch.testing.assert_close(found.scale, torch.tensor(scale, dtype=torch.float64), rtol=1e-9, atol=0)
    torch.testing.assert_close(found.rotation, rotation, rtol=0, atol=1e-9)
    torch.testing.assert_close(found.translation, translation, rtol=1e-9, atol=1e-9 * (1 + scale))


def test_the_rigid_rotation_is_that_of_scipy() -> None:
    source, target = clouds(0, 50, 17), clouds(1, 50, 17)
    target[::2] = source[::2] * torch.tensor([1.0, 1.0, -1.0])  # mirrored: the naive solution is a reflection
    found = rigid_alignment(source, target)
    x, y = source - source.mean(1, keepdim=True), target - target.mean(1, keepdim=True)
    expected = np.stack(
        [Rotation.align_vectors(b, a)[0].as_matrix() for a, b in zip(x.numpy(), y.numpy(), strict=True)]
    )
    np.testing.assert_allclose(found.rotation, expected, atol=1e-9)
    np.testing.assert_allclose(torch.linalg.det(found.rotation), 1, atol=1e-12)
    assert (found.scale == 1).all()


def test_the_residual_is_that_of_scipy_procrustes() -> None:
    source = clouds(2, 20, 17)
    target = 2 * source @ torch.tensor(Rotation.random(rng=0).as_matrix()) + 0.1 * clouds(3, 20, 17)
    residual = (similarity_alignment(source, target).apply(source) - target).square().sum((1, 2))
    spread = (target - target.mean(1, keepdim=True)).square().sum((1, 2))
    expected = [procrustes(b, a)[2] for a, b in zip(source.numpy(), target.numpy(), strict=True)]
    np.testing.assert_allclose(residual / spread, expected, rtol=1e-9)


@pytest.mark.parametrize("align", ALIGNMENTS)
def test_no_other_transform_comes_closer(align: Align) -> None:
    source, target = clouds(4, 17), clouds(5, 17)
    found = align(source, target)
    best = (found.apply(source) - target).square().sum()
    for seed in range(50):
        turn = torch.tensor(Rotation.from_rotvec(0.01 * clouds(seed, 1)[0].numpy()).as_matrix())
        moved = source @ (turn @ found.rotation).T * found.scale + found.translation + 0.01 * clouds(seed + 99, 1)
        assert (moved - target).square().sum() > best
    if align is similarity_alignment:
        for factor in (0.99, 1.01):
            moved = factor * found.scale * (source - source.mean(0)) @ found.rotation.T + target.mean(0)
            assert (moved - target).square().sum() > best


def test_the_public_code_of_epipolarpose_agrees(reference: Path) -> None:
    data = np.load(reference / "golden/epipolar/metrics.npz")
    source, target = torch.tensor(data["sim_input"]), torch.tensor(data["sim_target"])
    found = similarity_alignment(source, target)
    np.testing.assert_allclose(found.scale, data["sim_b_scale"], atol=1e-10)
    np.testing.assert_allclose(found.rotation.mT, data["sim_T_scale"], atol=1e-10)
    np.testing.assert_allclose(found.translation, data["sim_c_scale"], atol=1e-8)
    np.testing.assert_allclose(found.apply(source), data["sim_Z_scale"], atol=1e-8)
    np.testing.assert_allclose(rigid_alignment(source, target).apply(source), data["rigid_align"], atol=1e-8)


@pytest.mark.parametrize("align", ALIGNMENTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_degenerate_poses_are_flagged_and_leave_the_others_alone(align: Align, dtype: torch.dtype) -> None:
    source, target = clouds(6, 7, 17).to(dtype), clouds(7, 7, 17).to(dtype)
    good = align(source[:2], target[:2])
    source[2] = 0.1
    target[3] = -12345.678
    source[4, 0, 0] = torch.nan
    target[5, 3, 1] = torch.inf
    source[6] = 0
    found = align(source, target)
    assert found.valid.tolist() == [True, True, False, False, False, False, False]
    assert found.scale[2:].isnan().all() and found.rotation[2:].isnan().all() and found.translation[2:].isnan().all()
    torch.testing.assert_close(found.rotation[:2], good.rotation, rtol=0, atol=0)
    assert found.apply(source)[2:].isnan().all()
    assert found.rotation.dtype == dtype


def test_a_tiny_or_straight_pose_is_not_degenerate() -> None:
    straight = torch.linspace(-1, 1, 17).double().unsqueeze(1) * clouds(8, 1)
    turned = 3 * straight @ torch.tensor(Rotation.random(rng=1).as_matrix()) + 1
    tiny = 1e-9 * clouds(9, 17) + 1
    for source, target in ((straight, turned), (tiny, 1e9 * (tiny - 1)), (clouds(10, 2), clouds(11, 2))):
        found = similarity_alignment(source, target)
        assert found.valid
        torch.testing.assert_close(found.apply(source), target, rtol=0, atol=1e-6)
        torch.testing.assert_close(torch.linalg.det(found.rotation), torch.ones(()).double())


@pytest.mark.parametrize("align", ALIGNMENTS)
@pytest.mark.parametrize("case", ["generic", "mirrored", "equal extents"])
def test_the_gradient_is_that_of_finite_differences(align: Align, case: str) -> None:
    source = OCTAHEDRON.clone() if case == "equal extents" else clouds(12, 6)
    target = clouds(13, 6) if case == "generic" else 2 * source + 0.3
    if case == "mirrored":
        target = target * torch.tensor([1.0, 1.0, -0.7])

    def transform(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        found = align(a, b)
        return found.scale, found.rotation, found.translation, found.apply(a)

    assert torch.autograd.gradcheck(transform, (source.requires_grad_(), target.requires_grad_()))


def test_a_degenerate_pose_does_not_poison_the_gradient_of_others() -> None:
    source = clouds(14, 2, 5)
    source[1] = 1
    source.requires_grad_()
    found = similarity_alignment(source, clouds(15, 2, 5))
    found.apply(source)[found.valid].square().sum().backward()
    assert source.grad is not None
    assert source.grad[0].isfinite().all() and source.grad[0].abs().max() > 0


def test_an_ambiguous_rotation_has_a_finite_gradient() -> None:
    source = (torch.linspace(-1, 1, 5).double().unsqueeze(1) * torch.tensor([1.0, 2.0, 3.0])).requires_grad_()
    similarity_alignment(source, clouds(16, 5)).rotation.sum().backward()
    assert source.grad is not None
    assert source.grad.isfinite().all()


def test_autocast_changes_nothing() -> None:
    source, target = clouds(17, 3, 17).float(), clouds(18, 3, 17).float()
    expected = similarity_alignment(source, target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = similarity_alignment(source, target)
        moved = found.apply(source)
    torch.testing.assert_close(found.rotation, expected.rotation, rtol=0, atol=0)
    torch.testing.assert_close(moved, expected.apply(source), rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 0), (2, 3)])
def test_any_batch_shape(shape: tuple[int, ...]) -> None:
    source, target = clouds(19, *shape, 17), clouds(20, *shape, 17)
    found = similarity_alignment(source, target)
    assert found.valid.shape == found.scale.shape == shape
    assert found.rotation.shape == (*shape, 3, 3)
    assert found.apply(source).shape == source.shape
    if shape == (2, 3):
        torch.testing.assert_close(found.rotation[1, 2], similarity_alignment(source[1, 2], target[1, 2]).rotation)


@pytest.mark.parametrize(("first", "second"), [((17, 3), (16, 3)), ((17, 2), (17, 2)), ((3,), (3,)), ((0, 3), (0, 3))])
def test_shapes_that_do_not_belong_together_are_named(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    with pytest.raises(ValueError) as error:
        similarity_alignment(torch.zeros(first), torch.zeros(second))
    assert str(first) in str(error.value) and str(second) in str(error.value)


def kabsch(source: Tensor, target: Tensor) -> Tensor:
    """Aligned source of one pose in float64, by numpy's decomposition."""
    x, y = source.double().numpy(), target.double().numpy()
    x0, y0 = x - x.mean(0), y - y.mean(0)
    u, s, vt = np.linalg.svd(y0.T @ x0)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = (u * signs) @ vt
    return torch.from_numpy((s * signs).sum() / (x0**2).sum() * x0 @ rotation.T + y.mean(0))


@settings(max_examples=150)
@given(
    seed=st.integers(0, 2**16),
    joints=st.integers(3, 20),
    flat=st.sampled_from([1.0, 1e-1, 1e-2, 1e-3, 1e-5, 0.0]),
    thin=st.sampled_from([1.0, 1e-1, 1e-2, 1e-3, 0.0]),
    mirrored=st.booleans(),
    noise=st.sampled_from([0.0, 1e-3, 0.1, 1.0]),
    size=st.sampled_from([1e-6, 1e-3, 1.0, 1e3, 1e6]),
    single=st.booleans(),
)
def test_errors_are_those_of_a_decomposition(
    seed: int, joints: int, flat: float, thin: float, mirrored: bool, noise: float, size: float, single: bool
) -> None:
    source = clouds(seed, joints) * torch.tensor([1.0, max(thin, flat), flat])  # down to planar and straight poses
    target = source * torch.tensor([1.0, 1.0, -1.0]) if mirrored else source
    target = target @ torch.tensor(Rotation.random(rng=seed).as_matrix()).T + noise * clouds(seed + 1, joints)
    source, target = size * source, target + 0.3
    if single:
        source, target = source.float(), target.float()
    expected = torch.linalg.vector_norm(kabsch(source, target) - target, dim=-1)
    found = similarity_errors(source, target)
    assert found.dtype == source.dtype
    # Where the rotation is not unique any of the best may come out: only the sum of the squares is the same.
    torch.testing.assert_close(
        found.double().square().sum().sqrt(), expected.square().sum().sqrt(), rtol=1e-5, atol=1e-6 if single else 1e-9
    )
    singular = torch.linalg.svdvals((target - target.mean(0)).double().mT @ (source - source.mean(0)).double() / size)
    if singular[1] - singular[2] > 1e-2 * singular[0]:
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5 if single else 1e-9)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**16),
    values=st.tuples(*[st.floats(1e-9, 1.0)] * 3),
    sign=st.sampled_from([1.0, -1.0]),
    size=st.floats(-80, 80),
)
def test_the_closed_form_is_the_decomposition_where_it_says_so(
    seed: int, values: tuple[float, float, float], sign: float, size: float
) -> None:
    extents = torch.tensor(sorted(values, reverse=True), dtype=torch.float64) * torch.tensor([1.0, 1.0, sign])
    u, v = (torch.tensor(Rotation.random(rng=seed + k).as_matrix()) for k in range(2))
    matrix = 10**size * (u * extents) @ v.T
    rotation, exact = _closed_form_rotation(matrix.unsqueeze(-1))
    if exact:
        torch.testing.assert_close(rotation[..., 0], u @ v.T, rtol=0, atol=1e-9)
    separate = extents / extents.norm()
    stiffness = (separate[0] + separate[1]) * (separate[1] + separate[2]) * (separate[2] + separate[0])
    assert exact or stiffness < 2e-3  # the fallback is for those that need it
    torch.testing.assert_close(
        (_nearest_rotation(matrix.unsqueeze(-1))[..., 0] * matrix).sum(), 10**size * extents.sum(), rtol=1e-12, atol=0
    )


def test_the_digits_of_a_pose_do_not_depend_on_its_batch() -> None:
    source, target = clouds(21, 2100, 17), clouds(22, 2100, 17)  # more than one block
    target[::3] = source[::3] * torch.tensor([1.0, 1.0, -1.0])
    everything = similarity_errors(source, target)
    for rows in (slice(0, 1), slice(5, 38), slice(2040, 2100)):
        assert torch.equal(similarity_errors(source[rows], target[rows]), everything[rows])


def test_the_errors_have_the_gradient_of_finite_differences() -> None:
    source, target = clouds(23, 2, 6).requires_grad_(), clouds(24, 2, 6).requires_grad_()
    assert torch.autograd.gradcheck(similarity_errors, (source, target))


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 0), (2, 3)])
def test_errors_of_any_batch_shape(shape: tuple[int, ...]) -> None:
    source, target = clouds(25, *shape, 17).float(), clouds(26, *shape, 17)
    found = similarity_errors(source, target)
    moved = similarity_alignment(source, target).apply(source)
    torch.testing.assert_close(found, (moved - target).norm(dim=-1), rtol=1e-9, atol=1e-9)


def test_errors_of_degenerate_poses_are_nan() -> None:
    source, target = clouds(27, 4, 17), clouds(28, 4, 17)
    source[1], target[2], source[3, 2, 1] = 0.5, -7.0, torch.nan
    assert similarity_errors(source, target).isnan().all(-1).tolist() == [False, True, True, True]
    assert similarity_errors(source, target).isnan().any(-1).tolist() == [False, True, True, True]
