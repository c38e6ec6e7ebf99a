"""Alignment of point sets: the similarity or rigid motion that brings one pose closest to another."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from liftpose.geometry.precision import full_precision

__all__ = ["Similarity", "rigid_alignment", "similarity_alignment"]

# cuSOLVER's batched decompositions of tiny matrices are known to fail above about 32,000 matrices in one call.
_SVD_BATCH = 16_384


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


@full_precision
def _align(source: Tensor, target: Tensor, *, rigid: bool) -> Similarity:
    """Umeyama's closed form, for both public functions."""
    if source.shape != target.shape or source.ndim < 2 or source.shape[-1] != 3 or source.shape[-2] == 0:
        raise ValueError(
            "expected source and target of one shape (..., J, 3), "
            f"found {tuple(source.shape)} and {tuple(target.shape)}"
        )
    result_dtype = torch.promote_types(torch.promote_types(source.dtype, target.dtype), torch.float32)
    # On a CPU the decomposition takes 1.5 times as long in float64 as in float32, and nearly straight or mirrored poses
    # come out as well as their coordinates allow.
    work_dtype = torch.float32 if source.device.type == "mps" else torch.float64
    x, y = source.to(work_dtype), target.to(work_dtype)
    x_mean, y_mean = x.mean(-2), y.mean(-2)
    x_centred, y_centred = x - x_mean.unsqueeze(-2), y - y_mean.unsqueeze(-2)
    covariance = y_centred.mT @ x_centred
    x_spread, y_spread = x_centred.square().sum((-2, -1)), y_centred.square().sum((-2, -1))

    valid = covariance.isfinite().all(-1).all(-1) & (x_spread > _rounding(x)) & (y_spread > _rounding(y))
    # The decomposition refuses NaN, and a division by 0 would poison the gradients of the valid poses.
    covariance = torch.where(valid[..., None, None], covariance, torch.eye(3, dtype=work_dtype, device=x.device))
    x_spread = torch.where(valid, x_spread, 1)

    rotation = _nearest_rotation(covariance)
    scale = torch.ones_like(x_spread) if rigid else (rotation * covariance).sum((-2, -1)) / x_spread
    translation = y_mean - scale.unsqueeze(-1) * (rotation * x_mean.unsqueeze(-2)).sum(-1)

    undefined = torch.full((), torch.nan, dtype=work_dtype, device=x.device)
    return Similarity(
        scale=torch.where(valid, scale, undefined).to(result_dtype),
        rotation=torch.where(valid[..., None, None], rotation, undefined).to(result_dtype),
        translation=torch.where(valid.unsqueeze(-1), translation, undefined).to(result_dtype),
        valid=valid,
    )


def _rounding(points: Tensor) -> Tensor:
    """Sum of squares that joints which all coincide may still have after centring, (...)."""
    largest = points.detach().abs().amax((-2, -1))
    return points.shape[-2] * (8 * torch.finfo(points.dtype).eps * largest).square()


def _nearest_rotation(matrix: Tensor) -> Tensor:
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
