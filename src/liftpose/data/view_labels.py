"""3D labels of one person from the 2D joints that several cameras see at the same time.

Source of the idea: Kocabas, Karagoz, Akbas, "Self-supervised learning of 3D human pose using multi-view geometry", CVPR
2019. What is masked, how views are fused and how cameras that are not calibrated are found is this package's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from liftpose.data.view_points import ViewPoints, points_of_moving_cameras, points_of_views
from liftpose.errors import LiftposeError
from liftpose.geometry import Camera, ViewFusion, full_precision
from liftpose.geometry.camera_pairs import PairFit
from liftpose.geometry.rigs import estimate_rig
from liftpose.skeletons import Skeleton

__all__ = ["LabelOptions", "Route", "ViewLabels", "label_views"]

Route = Literal["calibrated", "uncalibrated", "moving"]
"""Where the cameras' poses come from: they are known; they are found from the joints of many frames; or they are found
in every frame by itself, for cameras that move."""

_RESIDUALS: Final = 5.0  # medians
_LEAST_RESIDUAL: Final = 2.0  # pixels


@dataclass(frozen=True)
class LabelOptions:
    """How labels are made, and which are kept.

    Args:
        route: "calibrated" takes the cameras' poses as they are; "uncalibrated" finds them from the joints, once for
            all frames; "moving" in every frame by itself, from the best pair of views.
        fusion: How a joint's place is made of several views: "pair", each view with the one neighbour that sees it best
            from the side; "vector_median" of the places of all pairs; "dlt", least squares over all views; "robust",
            the same with less weight for views that disagree. Without meaning for "moving".
        min_confidence: Least confidence of a 2D joint that counts.
        max_residual: Pixels, largest distance between a 2D joint and the label, in most of the views; None for five
            times the median distance of the person.
        min_angle: Degrees, least angle between two rays of a joint.
        min_joints: Least number of valid joints of a pose.
        bone_tolerance: Share by which the bones of a pose may differ from their medians over the frames, in the median
            over the bones.
        target_skeleton_mm: Millimetres, total length of all bones, which says how large the world is where the cameras'
            poses are not known; the mean of the five people of Human3.6M that are trained on is 4100.
        ransac_threshold: Pixels, largest Sampson distance of an inlier where cameras are found; None for three times
            the noise, which is estimated ("uncalibrated"), or 0.008 focal lengths ("moving").
        rig_frames: Number of frames from which cameras are found.
        seed: Seed of RANSAC.

    Raises:
        LiftposeError: A number or a word is none of those allowed.
    """

    route: Route = "calibrated"
    fusion: ViewFusion = "robust"
    min_confidence: float = 0.0
    max_residual: float | None = None
    min_angle: float = 5.0
    min_joints: int = 12
    bone_tolerance: float = 0.25
    target_skeleton_mm: float = 4100.0
    ransac_threshold: float | None = None
    rig_frames: int = 400
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name, words in (("route", get_args(Route)), ("fusion", get_args(ViewFusion))):
            if getattr(self, name) not in words:
                raise LiftposeError(f"--{name}: expected one of {', '.join(words)}, found {getattr(self, name)}")
        for name in ("max_residual", "ransac_threshold", "target_skeleton_mm", "bone_tolerance"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise LiftposeError(f"--{name}: expected a number above 0, found {value}")
        if not 0 <= self.min_angle < 90:
            raise LiftposeError(f"--min_angle: expected degrees from 0 to below 90, found {self.min_angle}")
        for name in ("min_joints", "rig_frames"):
            if getattr(self, name) < 1:
                raise LiftposeError(f"--{name}: expected a number from 1 up, found {getattr(self, name)}")
        if not 0 <= self.min_confidence <= 1:
            raise LiftposeError(f"--min_confidence: expected a number from 0 to 1, found {self.min_confidence}")
        if not 0 <= self.seed < 2**32:
            raise LiftposeError(f"--seed: expected a number from 0 to {2**32 - 1}, found {self.seed}")


class ViewLabels(NamedTuple):
    """Labels of every view and frame.

    Attributes:
        keypoints_2d: (F, V, J, 2) pixels, lens distortion included: where the joint's place is seen; NaN where the
            weight is 0.
        depths: (F, V, J) metres, depth of the joint less that of the root, camera frame; 0 where the weight is 0.
        root_depths: (F, V) metres, depth of the root; 0 where the pose is not valid.
        weights: (F, V, J) 1 for a valid joint, 0 for another one. The root of a pose with any valid joint is valid.
        residuals: (F, V, J) pixels between the 2D joint and where its place is seen; NaN where either is unknown.
        cameras: Batch shape (V,), the cameras that the labels were made with; None for moving ones.
        pairs: What was found out about every two cameras; empty where they are known.
    """

    keypoints_2d: Tensor
    depths: Tensor
    root_depths: Tensor
    weights: Tensor
    residuals: Tensor
    cameras: Camera | None
    pairs: tuple[PairFit, ...]


@full_precision
def label_views(
    keypoints_2d: Tensor,
    confidence: Tensor,
    cameras: Camera,
    skeleton: Skeleton,
    options: LabelOptions | None = None,
    *,
    where: str = "",
) -> ViewLabels:
    """Make the labels of one person from the 2D joints of several views.

    A joint is valid in a view if its place is finite and in front of that camera and of all that it is made of, two of
    its rays meet at an angle that says where it is, and most of the views that see it, two at least, see it where the
    label is. A pose is valid if its root and enough other joints are, and its bones are about as long as in other
    frames.

    Args:
        keypoints_2d: (F, V, J, 2) pixels; may be anything where the confidence is 0.
        confidence: (F, V, J) from 0; 0 where a joint, or the whole view, is unknown.
        cameras: Batch shape (V,). Their R and t are used only if they are known.
        skeleton: Joint order.
        options: How labels are made.
        where: What the views show, the start of a message, such as ``"S1: "``.

    Returns:
        The labels. Where nothing is valid, all weights are 0.

    Raises:
        LiftposeError: There are fewer than two views, or cameras cannot be found from the joints.
        ValueError: The shapes do not fit.
    """
    options = options or LabelOptions()
    if keypoints_2d.ndim != 4 or confidence.shape != keypoints_2d.shape[:-1]:
        raise ValueError(
            f"expected keypoints (F, V, J, 2) and confidence (F, V, J), found {tuple(keypoints_2d.shape)} and "
            f"{tuple(confidence.shape)}"
        )
    views = keypoints_2d.shape[1]
    skeleton.check(keypoints_2d, f"{where}keypoints of the views")
    if views < 2:
        raise LiftposeError(f"{where}expected pictures of at least two views, found {views}")
    known = keypoints_2d.isfinite().all(-1) & (confidence > 0) & (confidence >= options.min_confidence)
    seen = torch.where(known.unsqueeze(-1), keypoints_2d, 0).double()
    weights = torch.where(known, confidence, 0).double()
    wide = cameras.to(dtype=torch.float64)
    pairs: tuple[PairFit, ...] = ()
    if options.route == "moving":
        points = points_of_moving_cameras(
            wide, seen, weights, skeleton,
            target_size=options.target_skeleton_mm / 1000, threshold=options.ransac_threshold, seed=options.seed,
        )  # fmt: skip
    else:
        if options.route == "uncalibrated":
            rig = estimate_rig(
                wide, seen, weights, skeleton,
                target_size=options.target_skeleton_mm / 1000, threshold=options.ransac_threshold,
                most_frames=options.rig_frames, seed=options.seed, where=where,
            )  # fmt: skip
            wide, pairs = rig.cameras, rig.pairs
        points = points_of_views(wide, seen, weights, fusion=options.fusion)
    labels = _select(wide, seen, known, points, skeleton, options)
    fixed = None if options.route == "moving" else wide.to(dtype=cameras.dtype)
    keypoints, depths, root_depths, valid, residuals = (tensor.to(keypoints_2d.dtype) for tensor in labels)
    return ViewLabels(keypoints, depths, root_depths, valid, residuals, fixed, pairs)


def _select(
    cameras: Camera, seen: Tensor, known: Tensor, points: ViewPoints, skeleton: Skeleton, options: LabelOptions
) -> tuple[Tensor, ...]:
    """Project the joints, decide which are valid, and return the first five tensors of :class:`ViewLabels`."""
    local, root = points.local, skeleton.root
    finite = local.isfinite().all(-1) & (local[..., 2] > 0)
    clean = torch.where(finite.unsqueeze(-1), local, local.new_tensor([0.0, 0.0, 1.0]))
    pixels = cameras.project(clean.movedim(1, 0)).movedim(0, 1)
    residuals = torch.where(finite & known, (pixels - seen).norm(dim=-1), torch.nan)
    limit = options.max_residual
    if limit is None:
        measured = residuals[residuals.isfinite()]
        limit = max(_RESIDUALS * float(measured.median()), _LEAST_RESIDUAL) if len(measured) else _LEAST_RESIDUAL
    used = known & points.used
    close = used & (residuals <= limit)
    agreeing = (close.sum(1) >= 2) & (2 * close.sum(1) > used.sum(1))
    if points.separate:  # every view has a place of its own, of itself and one other: both have to agree
        agreeing = close & (points.partner_residuals <= limit)
    else:
        agreeing = agreeing.unsqueeze(1)
    sharp = points.angle >= math.radians(options.min_angle)
    valid = finite & agreeing & sharp
    # Views that share a place share its bones; a view that the person is behind says nothing about them.
    place = (local, valid) if points.separate else (local[:, :1], valid.any(1, keepdim=True))
    valid = valid & _steady(*place, skeleton, options.bone_tolerance).unsqueeze(-1)
    whole = valid[..., root] & (valid.sum(-1) >= min(options.min_joints, len(skeleton)))
    valid = valid & whole.unsqueeze(-1)
    root_depths = torch.where(whole, local[..., root, 2], 0)
    return (
        torch.where(valid.unsqueeze(-1), pixels, torch.nan),
        torch.where(valid, local[..., 2] - root_depths.unsqueeze(-1), 0),
        root_depths,
        valid.to(seen.dtype),
        residuals,
    )


def _steady(local: Tensor, valid: Tensor, skeleton: Skeleton, tolerance: float) -> Tensor:
    """Return (F, V) bool, the poses whose bones are about as long as over all frames of the view."""
    ends = torch.tensor(skeleton.bones).mT
    parents, children = (local.index_select(-2, joints) for joints in ends)
    seen = valid.index_select(-1, ends[0]) & valid.index_select(-1, ends[1])
    lengths = torch.where(seen, torch.linalg.vector_norm(parents - children, dim=-1), torch.nan)
    off = (lengths / lengths.nanmedian(0).values - 1).abs()
    return off.nanmedian(-1).values <= tolerance
