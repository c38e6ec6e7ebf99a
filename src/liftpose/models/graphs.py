"""Which joints of a body are neighbours: the graphs that graph convolutions work on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from liftpose.skeletons import Skeleton

__all__ = ["bone_distances", "neighbours", "partitions"]

_CPU = torch.device("cpu")  # also where a network is built without memory, on torch's meta device


def neighbours(skeleton: Skeleton) -> Tensor:
    """Tell which joints a bone joins; every joint is a neighbour of itself.

    Args:
        skeleton: The joints and bones.

    Returns:
        (J, J) bool, symmetric.
    """
    adjacent = torch.eye(len(skeleton), dtype=torch.bool, device=_CPU)
    for parent, child in skeleton.bones:
        adjacent[parent, child] = adjacent[child, parent] = True
    return adjacent


def bone_distances(skeleton: Skeleton, joint: int) -> list[int]:
    """Count the bones between a joint and every other.

    Args:
        skeleton: The joints and bones.
        joint: Index of the joint.

    Returns:
        Number of bones for each joint.
    """
    adjacent = neighbours(skeleton)
    reached = torch.zeros(len(skeleton), dtype=torch.bool, device=_CPU)
    reached[joint] = True
    distances = [0] * len(skeleton)
    while not reached.all():
        distances = [distance + (not there) for distance, there in zip(distances, reached.tolist(), strict=True)]
        reached = adjacent[reached].any(0)
    return distances


def partitions(bones: Sequence[tuple[int, int]], pairs: Sequence[tuple[int, int]], distances: Sequence[int]) -> Tensor:
    """Part the neighbourhood of every node by where the neighbour lies (Cai et al., ICCV 2019, section 3.2).

    Args:
        bones: Pairs of nodes of which one is nearer to the centre than the other.
        pairs: Pairs of nodes that are each other's mirror image.
        distances: Distance of each node from the centre, in bones.

    Returns:
        (4, V, V) bool: entry (v, w) says that node w hears of node v, because v is w itself (0), further from the
        centre than w (1), nearer to it (2), or its mirror image (3).
    """
    parts = torch.zeros(4, len(distances), len(distances), dtype=torch.bool, device=_CPU)
    parts[0] = torch.eye(len(distances), dtype=torch.bool, device=_CPU)
    for a, b in bones:
        near, far = (a, b) if distances[a] < distances[b] else (b, a)
        parts[1, far, near] = parts[2, near, far] = True
    for a, b in pairs:
        parts[3, a, b] = parts[3, b, a] = True
    return parts
