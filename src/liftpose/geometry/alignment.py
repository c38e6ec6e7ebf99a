"""Alignment of point sets: the similarity or rigid motion that brings one pose closest to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from liftpose.geometry.precision import full_precision

__all__ = ["Similarity", "rigid_alignment", "similarity_alignment", "similarity_errors"]

# cuSOLVER's batched decompositions of tiny matrices are known to fail above about 32,000 matrices in one call.
_SVD_BATCH = 16_384
_NEWTON_STEPS = 12
# A sum or a product takes the poses in groups of a vector register, and those left over in another way that may round
# differently. With no pose left over, a pose has the same digits in every batch.
_LANES = 32
# Poses whose intermediate results fit into the cache of a CPU core, about.
_BLOCK = 2048


@dataclass(frozen=True, eq=False)
class Similarity:
    """Batched similarity transforms ``x -> scale * rotation @ x + translation``.

    Args:
        scale: (...) positive factors without unit; all 1 for rigid motions.
        rotation: (..., 3, 3) rotation matrices (determinant +1, never a reflection).
        translation: (..., 3) in the unit and frame of the points that were aligned to.
        valid: (...) bool. False where no transform is defined; the other fields are NaN there.
    """

    scale: Tensor
    rotation: Tensor
    translation: Tensor
    valid: Tensor

    def apply(self, points: Tensor) -> Tensor:
        """Move points from the frame of the source to the frame of the target.

        Args:
            points: (..., N, 3) points in the frame of the source, with the batch shape of the transforms.

        Returns:
            (..., N, 3) points in the frame of the target, same unit; NaN where ``valid`` is False.
        """
        # Products and a sum instead of a matrix product, which autocast or TF32 would round.
        turned = (self.rotation.unsqueeze(-3) * points.unsqueeze(-2)).sum(-1)
        return self.scale[..., None, None] * turned + self.translation.unsqueeze(-2)


def similarity_alignment(source: Tensor, target: Tensor) -> Similarity:
    r"""Find the similarity transform that brings each source pose closest to its target.

    Minimises :math:`\sum_j \lVert s R x_j + t - y_j \rVert^2` over the scale s, the rotation R (never a reflection) and
    the translation t: Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    TPAMI 1991, equations 40 to 43.

    The computation runs in float64 (float32 on devices without it) and outside autocast; results have the dtype of the
    inputs. First derivatives with respect to both inputs are exact, also where singular values coincide; second
    derivatives are not available. Where the rotation is not unique (all joints on one line, or a mirrored pose with two
    equal extents), one of the best rotations is returned and is ``valid``.

    Args:
        source: (..., J, 3) points to be moved, any unit and frame.
        target: (..., J, 3) points to be reached, same shape; any unit and frame.

    Returns:
        Transforms of batch shape (...) from the frame of the source to the frame of the target. ``valid`` is False, and
        the numbers are NaN, where all joints of either pose coincide (no scale is defined) or an input is not finite.

    Raises:
        ValueError: The shapes differ or are not (..., J, 3).

    Example:
        >>> source = torch.eye(3)
        >>> alignment = similarity_alignment(source, 2 * source + torch.tensor([1.0, 0.0, 0.0]))
        >>> round(float(alignment.scale), 5), bool(alignment.valid)
        (2.0, True)
    """
    return _align(source, target, rigid=False)


def rigid_alignment(source: Tensor, target: Tensor) -> Similarity:
    r"""Find the rotation and translation that bring each source pose closest to its target.

    As `similarity_alignment` with the scale held at 1: minimises :math:`\sum_j \lVert R x_j + t - y_j \rVert^2` (Kabsch
    1976; Umeyama 1991, lemma).

    Args:
        source: (..., J, 3) points to be moved, any frame.
        target: (..., J, 3) points to be reached, same shape and unit; any frame.

    Returns:
        Transforms of batch shape (...), with ``scale`` 1. ``valid`` as for `similarity_alignment`.

    Raises:
        ValueError: The shapes differ or are not (..., J, 3).

    Example:
        >>> source = torch.eye(3)
        >>> rigid_alignment(source, source + 1).translation.round(decimals=5)
        tensor([1., 1., 1.])
    """
    return _align(source, target, rigid=True)


def similarity_errors(source: Tensor, target: Tensor) -> Tensor:
    r"""Distance of every joint from its target after the best similarity transform of its pose.

    The same as ``(similarity_alignment(source, target).apply(source) - target)``'s norms, but several times faster: the
    moved points are never rounded nor brought back into the layout of the input.

    Args:
        source: (..., J, 3) points to be moved, any unit and frame.
        target: (..., J, 3) points to be reached, same shape; any unit and frame.

    Returns:
        (..., J) in the unit of the target; NaN where :func:`similarity_alignment` is not ``valid``.

    Raises:
        ValueError: The shapes differ or are not (..., J, 3).

    Example:
        >>> source = torch.eye(3, dtype=torch.float64)
        >>> bool((similarity_errors(source, 2 * source + 1) < 1e-12).all())
        True
    """
    shape, dtype = source.shape[:-1], _result_dtype(source, target)
    if source.device.type != "cpu" or shape[:-1].numel() <= _BLOCK:
        return _errors(source, target).to(dtype).reshape(shape)
    blocks = zip(*(torch.split(points.flatten(0, -3), _BLOCK) for points in (source, target)), strict=True)
    return torch.cat([_errors(*block) for block in blocks]).to(dtype).reshape(shape)


def _errors(source: Tensor, target: Tensor) -> Tensor:
    """The errors (N, J) of :func:`similarity_errors`."""
    found = _solve(source, target, rigid=False)
    moved = found.scale * _turn(found.rotation, found.source) - found.target
    errors = torch.linalg.vector_norm(moved, dim=0) if moved.requires_grad else _length(moved)
    errors = torch.where(found.valid, errors, torch.nan)
    return errors[:, : source.shape[:-2].numel()].t().contiguous()


class _Solution(NamedTuple):
    """A similarity and what it was found from. The pose is the last axis: every step runs over many poses at once.

    Args:
        source: (3, J, N) centred points to be moved.
        target: (3, J, N) centred points to be reached.
        source_mean: (3, N) centre of the points to be moved.
        target_mean: (3, N) centre of the points to be reached.
        scale: (N,) factors.
        rotation: (3, 3, N) rotation matrices.
        valid: (N,) bool, whether the numbers mean anything.
    """

    source: Tensor
    target: Tensor
    source_mean: Tensor
    target_mean: Tensor
    scale: Tensor
    rotation: Tensor
    valid: Tensor


def _align(source: Tensor, target: Tensor, *, rigid: bool) -> Similarity:
    """Bring a solution into the layout of the public functions."""
    found = _solve(source, target, rigid=rigid)
    translation = found.target_mean - found.scale * _turn(found.rotation, found.source_mean)
    shape, dtype = source.shape[:-2], _result_dtype(source, target)
    valid, parts = found.valid[: shape.numel()], (found.scale, found.rotation, translation)
    scale, rotation, translation = (
        torch.where(valid, part[..., : len(valid)], torch.nan).movedim(-1, 0).to(dtype) for part in parts
    )
    return Similarity(
        scale=scale.reshape(shape),
        rotation=rotation.reshape(*shape, 3, 3),
        translation=translation.reshape(*shape, 3),
        valid=valid.reshape(shape),
    )


@full_precision
def _solve(source: Tensor, target: Tensor, *, rigid: bool) -> _Solution:
    """Umeyama's closed form, for all public functions."""
    if source.shape != target.shape or source.ndim < 2 or source.shape[-1] != 3 or source.shape[-2] == 0:
        raise ValueError(
            "expected source and target of one shape (..., J, 3), "
            f"found {tuple(source.shape)} and {tuple(target.shape)}"
        )
    # In float64 nearly straight or mirrored poses come out as well as their coordinates allow.
    work_dtype = torch.float32 if source.device.type == "mps" else torch.float64
    x, y = _poses_last(source, work_dtype), _poses_last(target, work_dtype)
    x_mean, y_mean = x.mean(1), y.mean(1)
    x_centred, y_centred = x - x_mean.unsqueeze(1), y - y_mean.unsqueeze(1)
    covariance = (y_centred.unsqueeze(1) * x_centred).sum(2)
    x_spread, y_spread = x_centred.square().sum((0, 1)), y_centred.square().sum((0, 1))

    # The sum of the spreads bounds the covariance.
    valid = (x_spread > _rounding(x_mean, x)) & (y_spread > _rounding(y_mean, y)) & (x_spread + y_spread).isfinite()
    # The decomposition refuses NaN, and a division by 0 would poison the gradients of the valid poses.
    identity = torch.eye(3, dtype=work_dtype, device=x.device).unsqueeze(-1)
    covariance = torch.where(valid, covariance, identity)
    x_spread = torch.where(valid, x_spread, 1)

    rotation = _nearest_rotation(covariance)
    scale = torch.ones_like(x_spread) if rigid else (rotation * covariance).sum((0, 1)) / x_spread
    return _Solution(x_centred, y_centred, x_mean, y_mean, scale, rotation, valid)


def _poses_last(points: Tensor, dtype: torch.dtype) -> Tensor:
    """Return (..., J, 3) as (3, J, N) of another dtype, filled up with poses of zeros to a multiple of `_LANES`."""
    flat = points.reshape(-1, *points.shape[-2:]).permute(2, 1, 0)
    poses = flat.shape[-1]
    padded = points.new_zeros(*flat.shape[:2], poses + -poses % _LANES, dtype=dtype)
    padded[..., :poses] = flat
    return padded


def _result_dtype(source: Tensor, target: Tensor) -> torch.dtype:
    return torch.promote_types(torch.promote_types(source.dtype, target.dtype), torch.float32)


def _turn(rotation: Tensor, points: Tensor) -> Tensor:
    """Turn points (3, ..., N) by rotations (3, 3, N)."""
    # Products and a sum instead of a matrix product, which TF32 would round.
    columns = rotation.reshape(3, 3, *(1,) * (points.ndim - 2), -1)
    return columns[:, 0] * points[0] + columns[:, 1] * points[1] + columns[:, 2] * points[2]


def _length(vectors: Tensor) -> Tensor:
    """Length of vectors (3, ...); for a first axis torch's own norm is many times slower, but has a gradient at 0."""
    return vectors.square().sum(0).sqrt_()


def _rounding(mean: Tensor, points: Tensor) -> Tensor:
    """Sum of squares, (N,), that joints (3, J, N) which all coincide with their mean (3, N) may have after centring."""
    largest = mean.detach().abs().amax(0)
    return largest.mul_(8 * torch.finfo(points.dtype).eps).square_().mul_(points.shape[1])


def _nearest_rotation(matrix: Tensor) -> Tensor:
    """Rotation R with the largest trace of R^T M for each finite M of (3, 3, N)."""
    if matrix.requires_grad:
        return _decomposed_rotation(matrix.permute(2, 0, 1)).permute(1, 2, 0)
    rotation, exact = _closed_form_rotation(matrix)
    rows = (~exact).nonzero().squeeze(-1)
    if len(rows):
        rotation[..., rows] = _decomposed_rotation(matrix[..., rows].permute(2, 0, 1)).permute(1, 2, 0)
    return rotation


def _closed_form_rotation(matrix: Tensor) -> tuple[Tensor, Tensor]:
    r"""Rotations for matrices (3, 3, N) without a decomposition, and (N,) bool where they are exact.

    Source: Markley, "Attitude determination using vector observations: a fast optimal matrix algorithm", Journal of the
    Astronautical Sciences 41, 1993. For M of norm 1 the largest trace is :math:`\lambda = \sqrt{1 + 2 \kappa}` with the
    largest root of :math:`\kappa^2 - \lVert \mathrm{cof} M \rVert^2 - 2 \lambda \det M`, and :math:`R = ((1 + \kappa) M
    + \lambda\, \mathrm{cof} M - M M^T M) / \zeta` with :math:`\zeta = \kappa \lambda - \det M`.

    Newton's method starts above the root, where the function is convex, so it cannot miss it. The unknown is
    :math:`\kappa` and not :math:`\lambda`, whose excess over 1 would be lost for a nearly straight pose. Where
    :math:`\zeta`, the product of the three stiffnesses against a turn, is near 0, the rotation is hardly unique.
    """
    m = matrix / matrix.square().sum((0, 1)).sqrt_()
    wrapped = torch.cat((m, m[:2]))
    wrapped = torch.cat((wrapped, wrapped[:, :2]), 1)
    cofactors = wrapped[1:4, 1:4] * wrapped[2:, 2:] - wrapped[1:4, 2:] * wrapped[2:, 1:4]
    minus_det = -(m[0] * cofactors[0]).sum(0)
    minus_twice_det = 2.0 * minus_det
    minus_area = -cofactors.square().sum((0, 1))
    one = torch.ones((), dtype=m.dtype, device=m.device)

    # The start is the root itself where the determinant is 0 and where the three singular values are equal.
    largest_trace = (-12.0 * minus_area).sqrt_().add_(one).sqrt_()
    kappa = torch.addcmul(minus_area, minus_twice_det.clamp(max=0.0), largest_trace).neg_().sqrt_()
    eps = torch.finfo(m.dtype).eps
    exact = torch.zeros_like(kappa, dtype=torch.bool)
    for _ in range(_NEWTON_STEPS):
        trace = torch.add(one, kappa, alpha=2.0).sqrt_()
        value = torch.addcmul(minus_area, kappa, kappa).addcmul_(minus_twice_det, trace)
        zeta = torch.addcmul(minus_det, kappa, trace)
        step = value.mul_(trace).div_(zeta).mul_(0.5)
        # The steps of a pose must not depend on what other poses need.
        kappa = torch.where(exact, kappa, kappa - step)
        exact = step.abs_() <= zeta.mul_(10 * eps**0.5)  # the next step would be about (step / zeta) ** 2
        if bool(exact.all()):
            break

    trace = torch.add(one, kappa, alpha=2.0).sqrt_()
    zeta = torch.addcmul(minus_det, kappa, trace)
    square = (m.unsqueeze(1) * m).sum(2)
    cube = (square.unsqueeze(2) * m).sum(1)
    rotation = (kappa * m).add_(m).addcmul_(cofactors, trace).sub_(cube).div_(zeta)
    return rotation, exact & (zeta > eps**0.2)  # the error is about eps / zeta ** 2


def _decomposed_rotation(matrix: Tensor) -> Tensor:
    """Rotation R with the largest trace of R^T M for each finite (..., 3, 3) matrix M, differentiable once.

    R = U diag(1, 1, d) V^T with M = U S V^T and d = sign(det(U V^T)) (Umeyama 1991, equation 43). Differentiating
    through the decomposition divides by differences of singular values, which are 0 for symmetric poses. The rotation
    itself depends smoothly on M there, so its derivative is taken from the condition for the maximum instead: R0^T M is
    symmetric. One Newton step on that condition, from the solution, changes nothing but carries the gradient.
    """
    with torch.no_grad():
        flat = matrix.reshape(-1, 3, 3)
        parts = [torch.linalg.svd(part) for part in torch.split(flat, _SVD_BATCH)]
        u, s, vh = (
            torch.cat(factor).reshape(matrix.shape[:-2] + factor[0].shape[1:]) for factor in zip(*parts, strict=True)
        )
        sign = torch.where(torch.linalg.det(u @ vh) < 0, -1, 1).to(s.dtype)
        signs = torch.stack((torch.ones_like(sign), torch.ones_like(sign), sign), -1)
        rotation = (u * signs.unsqueeze(-2)) @ vh
    if not matrix.requires_grad:
        return rotation

    # With R = R0 (I + [w]) and A = R0^T M = V diag(e) V^T + asymmetry: (tr(e) I - V diag(e) V^T) w = vee(A - A^T).
    extents = s * signs
    stiffness = extents.sum(-1, keepdim=True) - extents
    # Where a turn about an axis costs nothing, the rotation is not unique and has no derivative: that direction gets
    # none.
    free = stiffness <= s[..., :1] * (16 * torch.finfo(s.dtype).eps)
    compliance = torch.where(free, 0, 1 / torch.where(free, 1, stiffness))
    a = rotation.mT @ matrix
    asymmetry = a - a.mT
    vee = torch.stack((asymmetry[..., 2, 1], asymmetry[..., 0, 2], asymmetry[..., 1, 0]), -1)
    w = (vh.mT @ (compliance.unsqueeze(-1) * (vh @ vee.unsqueeze(-1)))).squeeze(-1)
    zero = torch.zeros_like(w[..., 0])
    step = torch.stack((zero, -w[..., 2], w[..., 1], w[..., 2], zero, -w[..., 0], -w[..., 1], w[..., 0], zero), -1)
    return rotation + rotation @ step.reshape(matrix.shape)
