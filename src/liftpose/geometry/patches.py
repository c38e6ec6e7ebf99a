"""Patches that are cut out of pictures around people: the way there and back, for points, poses and labels.

A patch has pixels of its own, and an affine map ``to_image`` leads from them to the pixels of the picture; it is all
that has to be known about a box, a zoom, a turn or a mirror image. Labels are what a network is trained on: the place
of a joint in its patch and its depth, both as shares of what the patch spans.

Source of the conventions: M. Kocabas, S. Karagoz, E. Akbas, "Self-Supervised Learning of 3D Human Pose using Multi-view
Geometry", CVPR 2019, and X. Sun, B. Xiao, F. Wei, S. Liang, Y. Wei, "Integral Human Pose Regression", ECCV 2018. As
published, the middle of a box falls on the patch's pixel (W / 2, H / 2), half a pixel right of and below its middle.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from liftpose.geometry.precision import full_precision
from liftpose.skeletons import Skeleton

__all__ = [
    "encode_labels",
    "labels_to_depths",
    "labels_to_pixels",
    "mirror_in_picture",
    "patch_to_image",
    "pelvis_boxes",
    "picture_poses",
    "tight_boxes",
    "to_patch",
    "to_picture",
]


@full_precision
def patch_to_image(
    boxes: Tensor,
    patch_size: Sequence[int],
    scale: Tensor | None = None,
    angle: Tensor | None = None,
    mirrored: Tensor | None = None,
) -> Tensor:
    """Return the maps from pixels of patches to pixels of the pictures that they are cut out of.

    Args:
        boxes: (..., 4) pixels of the picture: centre x, centre y, width, height.
        patch_size: Width and height of the patches in pixels.
        scale: (...) factor of the boxes' sides: above 1 the patch shows more and the person is smaller; None for 1.
        angle: (...) radians: the patch's x axis is turned so far from the picture's x towards its y; None for 0.
        mirrored: (...) bool, which patches are cut out of the mirror image of the picture (column u of it is column
            W - 1 - u of the picture, for the box as for the pixels); None for none.

    Returns:
        (..., 2, 3) affine maps.
    """
    width, height = patch_size
    ones = torch.ones_like(boxes[..., 0])
    zoom = ones if scale is None else scale.to(boxes.dtype)
    turn = torch.zeros_like(ones) if angle is None else angle.to(boxes.dtype)
    side = ones if mirrored is None else torch.where(mirrored, -ones, ones)
    across, down = zoom * boxes[..., 2] / width, zoom * boxes[..., 3] / height
    cos, sin = torch.cos(turn), torch.sin(turn)
    # The mirror image of the picture, with the box mirrored too, is the picture with x about the box's middle negated:
    # its width drops out.
    a, b = side * cos * across, -side * sin * down
    c, d = sin * across, cos * down
    x = boxes[..., 0] - a * (width / 2) - b * (height / 2)
    y = boxes[..., 1] - c * (width / 2) - d * (height / 2)
    return torch.stack((torch.stack((a, b, x), dim=-1), torch.stack((c, d, y), dim=-1)), dim=-2)


@full_precision
def to_picture(points: Tensor, to_image: Tensor) -> Tensor:
    """Move points from pixels of the patch to pixels of the picture.

    Args:
        points: (..., N, 2) pixels of the patch.
        to_image: (..., 2, 3) affine maps.

    Returns:
        (..., N, 2) pixels of the picture.
    """
    matrix = to_image.unsqueeze(-3)
    return points[..., :1] * matrix[..., 0] + points[..., 1:2] * matrix[..., 1] + matrix[..., 2]


@full_precision
def to_patch(points: Tensor, to_image: Tensor) -> Tensor:
    """Move points from pixels of the picture to pixels of the patch: the inverse of :func:`to_picture`.

    Args:
        points: (..., N, 2) pixels of the picture.
        to_image: (..., 2, 3) affine maps.

    Returns:
        (..., N, 2) pixels of the patch; not finite where a box has no area.
    """
    x, y = (points - to_image[..., None, :, 2]).unbind(-1)
    (a, b), (c, d) = (row.unsqueeze(-2).unbind(-1) for row in to_image[..., :2].unbind(-2))
    return torch.stack((d * x - b * y, a * y - c * x), dim=-1) / (a * d - b * c).unsqueeze(-1)


# --------------------------------------------------------------------------------------------------------------- boxes
@full_precision
def pelvis_boxes(roots: Tensor, intrinsics: Tensor, extent: float = 2.0) -> Tensor:
    """Return the published boxes of Human3.6M: a square around the pelvis, upright and parallel to the picture.

    The depth of the pelvis has to be known, so that evaluating with these boxes tells a network how large a person is.

    Args:
        roots: (..., 3) metres, camera frame, z > 0.
        intrinsics: (..., 3, 3) pixels, without skew.
        extent: Metres, the square's side.

    Returns:
        (..., 4) pixels: centre x, centre y, width, height.
    """
    focal = torch.stack((intrinsics[..., 0, 0], intrinsics[..., 1, 1]), dim=-1)
    depth = roots[..., 2:]
    centre = focal * roots[..., :2] / depth + intrinsics[..., :2, 2]
    return torch.cat((centre, extent * focal / depth), dim=-1)


@full_precision
def tight_boxes(keypoints: Tensor, visible: Tensor, aspect: float = 1.0, padding: float = 1.25) -> Tensor:
    """Return boxes around the joints that are seen, as published for MPII; no depth is needed.

    Args:
        keypoints: (..., J, 2) pixels; may be anything where a joint is not seen.
        visible: (..., J) weight of each joint; those above 0 count.
        aspect: Width over height that the boxes are grown to.
        padding: Factor by which they are grown besides.

    Returns:
        (..., 4) pixels: centre x, centre y, width, height. Zeros where no joint is seen; no area where only one is.
    """
    seen = ((visible > 0) & keypoints.isfinite().all(-1)).unsqueeze(-1)
    lowest = keypoints.where(seen, torch.inf).amin(-2)
    highest = keypoints.where(seen, -torch.inf).amax(-2)
    any_seen = seen.any(-2)
    centre = ((lowest + highest) / 2).where(any_seen, 0)
    width, height = (highest - lowest).where(any_seen, 0).unbind(-1)
    width, height = torch.maximum(width, height * aspect), torch.maximum(height, width / aspect)
    return torch.cat((centre, torch.stack((width, height), dim=-1) * padding), dim=-1)


def mirror_in_picture(keypoints: Tensor, skeleton: Skeleton, width: float) -> Tensor:
    """Return the keypoints of the mirrored picture: column u becomes W - 1 - u and the sides are exchanged.

    Args:
        keypoints: (..., J, C), pixels in channel 0; further channels go with their joint.
        skeleton: Joint order.
        width: Width of the picture in pixels.

    Returns:
        (..., J, C).
    """
    exchanged = keypoints[..., list(skeleton.mirror_index), :]
    return torch.cat((width - 1 - exchanged[..., :1], exchanged[..., 1:]), dim=-1)


# -------------------------------------------------------------------------------------------------------------- labels
@full_precision
def encode_labels(
    keypoints_2d: Tensor,
    visible: Tensor,
    depths: Tensor | None,
    to_image: Tensor,
    patch_size: Sequence[int],
    depth_scale: Tensor | float,
) -> tuple[Tensor, Tensor]:
    """Return what a network is to say about patches, and how much each number counts.

    x / W - 1/2 and y / H - 1/2 of the joint's pixel in the patch, and its depth less that of the root over
    ``depth_scale``. A joint outside its patch has a label beyond one half.

    Args:
        keypoints_2d: (..., J, 2) pixels of the picture; not finite where unknown.
        visible: (..., J) weight of each joint.
        depths: (..., J) metres, depth of each joint less that of the root, camera frame; not finite where unknown. None
            where no depth is known.
        to_image: (..., 2, 3) affine maps from pixels of the patch to pixels of the picture.
        patch_size: Width and height of the patches in pixels.
        depth_scale: (...) or a number: metres of depth in one label unit, which is what the patch spans times its zoom.

    Returns:
        (..., J, 3) labels, finite everywhere, and (..., J, 3) their weights, 0 where a number is unknown.
    """
    pixels = to_patch(keypoints_2d, to_image)
    places = pixels / pixels.new_tensor([float(side) for side in patch_size]) - 0.5
    if depths is None:
        shares = torch.full_like(places[..., :1], torch.nan)
    else:
        unit = depth_scale.unsqueeze(-1) if isinstance(depth_scale, Tensor) else depth_scale
        shares = (depths / unit).unsqueeze(-1)
    labels = torch.cat((places, shares), dim=-1)
    known = labels.isfinite()
    # A joint with half a place has none, and without a place its depth says nothing either.
    known = known & known[..., :2].all(-1, keepdim=True)
    weights = visible.to(labels.dtype).unsqueeze(-1).expand_as(labels)
    return labels.where(known, 0), weights.where(known, 0)


@full_precision
def labels_to_pixels(labels: Tensor, to_image: Tensor, patch_size: Sequence[int]) -> Tensor:
    """Return where in the picture the joints of labels are.

    Args:
        labels: (..., J, 2 or more) label units, x and y first.
        to_image: (..., 2, 3) affine maps from pixels of the patch to pixels of the picture.
        patch_size: Width and height of the patches in pixels.

    Returns:
        (..., J, 2) pixels of the picture.
    """
    return to_picture((labels[..., :2] + 0.5) * labels.new_tensor([float(side) for side in patch_size]), to_image)


@full_precision
def labels_to_depths(labels: Tensor, depth_scale: Tensor | float) -> Tensor:
    """Return how far behind the root the joints of labels are.

    The published inverse leaves the zoom out of ``depth_scale``; that is right for a zoom of 1 only.

    Args:
        labels: (..., J, 3) label units.
        depth_scale: (...) or a number: metres of depth in one label unit.

    Returns:
        (..., J) metres, camera frame.
    """
    return labels[..., 2] * (depth_scale.unsqueeze(-1) if isinstance(depth_scale, Tensor) else depth_scale)


@full_precision
def picture_poses(pixels: Tensor, depths: Tensor, root_depths: Tensor, intrinsics: Tensor) -> Tensor:
    """Return the poses that are seen at pixels, with depths relative to the root's, by cameras without distortion.

    Args:
        pixels: (..., J, 2) pixels of the picture.
        depths: (..., J) metres, depth of each joint less that of the root.
        root_depths: (...) metres, depth of the root.
        intrinsics: (..., 3, 3) pixels, without skew. The lens's distortion, 0.4 pixels for Human3.6M, is left out as in
            the published evaluation, of predictions and of the truth alike.

    Returns:
        (..., J, 3) metres, camera frame.
    """
    z = depths + root_depths.unsqueeze(-1)
    focal = torch.stack((intrinsics[..., 0, 0], intrinsics[..., 1, 1]), dim=-1).unsqueeze(-2)
    rays = (pixels - intrinsics[..., None, :2, 2]) / focal
    return torch.cat((rays, torch.ones_like(rays[..., :1])), dim=-1) * z.unsqueeze(-1)
