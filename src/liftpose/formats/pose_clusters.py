"""Files of the clusters that PSS is computed with: one npz file for each number of clusters."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import torch

from liftpose.errors import LiftposeError
from liftpose.formats.npz import read_npz, write_npz
from liftpose.metrics.structure import PoseClusters
from liftpose.skeletons import get_skeleton

__all__ = ["read_pose_clusters", "write_pose_clusters"]

_FIXED = {
    "format": "liftpose-pose-clusters",
    "version": 1,
    "frame": "camera, root-relative",
    "unit": "pose of length 1",
}
_NUMBERS = ("seed", "restarts", "poses", "spread")


def write_pose_clusters(path: str | os.PathLike[str], clusters: PoseClusters) -> None:
    """Write clusters, all or nothing: the array ``centres`` and ``metadata``, a JSON text with the centres' SHA-256.

    Args:
        path: The file (.npz).
        clusters: The clusters.

    Raises:
        LiftposeError: The file cannot be written.
    """
    metadata = _FIXED | {
        "skeleton": clusters.skeleton.name,
        "joint_names": list(clusters.skeleton.joint_names),
        "sha256": clusters.digest,
        **{name: getattr(clusters, name) for name in _NUMBERS},
    }
    centres = clusters.centres.cpu().numpy().astype(np.float32)
    write_npz(path, {"centres": centres, "metadata": np.array(json.dumps(metadata))})


def read_pose_clusters(path: str | os.PathLike[str]) -> PoseClusters:
    """Read clusters.

    Args:
        path: A file written by :func:`write_pose_clusters`.

    Returns:
        The clusters.

    Raises:
        LiftposeError: The file is missing or broken, is no such file, or its centres are not those of its SHA-256.
    """
    content = read_npz(path)
    text, centres = content.get("metadata"), content.get("centres")
    metadata: Any = None
    if isinstance(text, np.ndarray) and text.shape == () and text.dtype.kind == "U":
        try:
            metadata = json.loads(str(text))
        except (ValueError, RecursionError):
            metadata = None
    if not isinstance(metadata, dict) or any(metadata.get(key) != value for key, value in _FIXED.items()):
        raise LiftposeError(f"{path}: expected a file of pose clusters, found one of another kind")
    try:
        skeleton = get_skeleton(str(metadata.get("skeleton")))
    except LiftposeError as error:
        raise LiftposeError(f"{path}: metadata: {error}") from error
    shape = (len(skeleton), 3)
    if not isinstance(centres, np.ndarray) or centres.shape[1:] != shape or centres.dtype.kind != "f":
        raise LiftposeError(f"{path}: expected centres (K, {len(skeleton)}, 3), found others")
    numbers: dict[str, Any] = {name: metadata.get(name) for name in _NUMBERS}
    if not all(isinstance(number, (int, float)) for number in numbers.values()):
        raise LiftposeError(f"{path}: metadata: expected the numbers {', '.join(_NUMBERS)}, found {numbers}")
    clusters = PoseClusters(centres=torch.from_numpy(centres.astype(np.float32)), skeleton=skeleton, **numbers)
    if clusters.digest != metadata.get("sha256"):
        raise LiftposeError(f"{path}: expected centres with the SHA-256 {metadata.get('sha256')}, found others")
    return clusters
