"""3D labels for the pictures of a data module, made from what a frozen network sees in several views."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from liftpose.data.epipolar_labels import Detections, EpipolarLabels, make_labels
from liftpose.data.image_joints import bring_into_joints
from liftpose.data.images import ImageSet
from liftpose.data.view_labels import LabelOptions
from liftpose.datamodules.images import ImageDataModule
from liftpose.errors import LiftposeError
from liftpose.formats.label_cache import read_detections, read_labels, write_detections, write_labels
from liftpose.formats.prepared import Prepared
from liftpose.geometry import labels_to_pixels, picture_poses
from liftpose.geometry.camera_fields import CAMERA_FIELDS
from liftpose.metrics.functional import n_mpjpe_per_pose, p_mpjpe_per_pose
from liftpose.models.pose_resnet import IntegralPose
from liftpose.skeletons import Skeleton

__all__ = ["compare_with_truth", "detect_joints", "label_pictures"]

_SPLIT: Final = "train"

Progress = Callable[[int, int, str], None]


@torch.inference_mode()
def detect_joints(
    network: IntegralPose, module: ImageDataModule, *, progress: Progress | None = None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Find the 2D joints in all training pictures of a data module, as they are: no augmentation, evaluation mode.

    Args:
        network: The network; the work is done on its device.
        module: The pictures and how patches are cut out of them; its ``patch_size`` is set to that of the network.
        progress: Called with the number of pictures done, the number of all and what is done.

    Returns:
        (N, J, 2) pixels of the pictures and (N, J) confidence, rows as ``module.images("train")``; NaN and 0 for
        pictures that could not be read and are left out.

    Raises:
        LiftposeError: A picture cannot be read and is not to be left out, or what the network gives is not finite.
    """
    network.eval()
    module.patch_size = network.image_size
    images, device = module.images(_SPLIT), next(network.parameters()).device
    keypoints = np.full((len(images), len(network.skeleton), 2), np.nan, dtype=np.float32)
    confidence = np.zeros(keypoints.shape[:-1], dtype=np.float32)
    done = 0
    for cut in module.loader(_SPLIT):
        module.note_left_out(cut)
        batch = module.gather(module.transfer_batch_to_device(cut, device, 0))
        found = network.predict(batch.images)
        pixels = labels_to_pixels(found.coordinates, batch.to_image, network.image_size)
        rows = batch.indices.cpu().numpy()
        keypoints[rows], confidence[rows] = pixels.float().cpu().numpy(), found.confidence.float().cpu().numpy()
        done += len(rows)
        if progress is not None:
            progress(done, len(images), "joints")
    if not np.isfinite(keypoints[confidence.any(axis=1)]).all():
        raise LiftposeError("--ckpt_path: expected a network that gives finite joints, found others")
    return keypoints, confidence


def label_pictures(
    module: ImageDataModule,
    out: str | os.PathLike[str],
    options: LabelOptions,
    *,
    network: IntegralPose | None,
    skeleton: Skeleton,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Make the labels of the training pictures of a data module and write them to a file.

    The 2D joints that the network has found are kept beside the file, under a name that follows from the network's
    weights, the pictures and their boxes. They are found once, whatever labels are made of them.

    Args:
        module: The pictures; labels and boxes of its options are not used.
        out: The file of labels.
        options: How labels are made.
        network: The network; None to take the 2D joints of the annotations.
        skeleton: Joint order of the labels where there is no network.
        overwrite: Replace labels that were made otherwise.
        progress: Called with the number done, the number of all and what is done.

    Returns:
        What was made, in words, and the files.

    Raises:
        LiftposeError: The file holds labels that were made otherwise, pictures are missing or cannot be grouped,
            cameras cannot be found, or no label is valid.
    """
    module.labels, module.boxes = None, "annotation"  # type: ignore[attr-defined]
    images = module.images(_SPLIT)
    name = "the 2D joints of the annotations" if network is None else f"a network of {network.skeleton.name}"
    key = _annotations_key(images, skeleton) if network is None else _network_key(network, module, images)
    source = {"joints of": name, "key": key, "views of": _views_key(images)}
    source |= {option: str(value) for option, value in asdict(options).items()}
    path = Path(out)
    if path.is_file() and not overwrite:
        known = _unless_other(path, source)
        return Prepared([f"{path}: made of the same joints in the same way already", *_describe(images, known)])
    detections, files = _detections(module, images, network, skeleton, key, path, progress)
    labels = make_labels(images, detections, options, source=source, progress=progress)
    if not labels.weights.any():
        raise LiftposeError(
            f"{path}: expected 2D joints on which several views agree, found none in {len(images)} pictures (a network "
            "that has not learnt to find joints, other cameras, or limits that are too narrow)"
        )
    write_labels(path, _with_rows(labels, module.load_images(_SPLIT)))
    return Prepared(_describe(images, labels), [*files, path])


def _detections(
    module: ImageDataModule,
    images: ImageSet,
    network: IntegralPose | None,
    skeleton: Skeleton,
    key: str,
    path: Path,
    progress: Progress | None,
) -> tuple[Detections, list[Path]]:
    """Return the 2D joints of the annotations, of the cache or of the network, and what was written."""
    if network is None:
        annotated = bring_into_joints(images, skeleton)
        known = np.isfinite(annotated.keypoints_2d).all(axis=-1)
        return Detections(key, skeleton, annotated.keypoints_2d, np.where(known, annotated.visible, 0)), []
    cache = path.with_name(f"joints-{key}.npz")
    if cache.is_file():
        try:
            kept = read_detections(cache)
        except LiftposeError:
            kept = None  # damaged: it is made anew
        if kept is not None and kept.key == key and len(kept.confidence) == len(images):
            return kept, []
    found = Detections(key, network.skeleton, *detect_joints(network, module, progress=progress))
    if not module.left_out:  # a file that is repaired has to be looked at again
        write_detections(cache, found)
        return found, [cache]
    return found, []


def _unless_other(path: Path, source: Mapping[str, str]) -> EpipolarLabels:
    """Return the labels in a file if they were made as they are to be, else refuse."""
    labels = read_labels(path)
    had = labels.source
    if had == source:
        return labels
    if had.get("key") != source["key"]:
        reason = f"labels made of {source['joints of']} ({source['key'][:8]})"
        found = f"some of {had.get('joints of', 'something else')} ({had.get('key', '?')[:8]})"
    elif had.get("views of") != source["views of"]:
        reason, found = "labels of these pictures and cameras", "those of others"
    else:
        differing = [name for name in {**source, **had} if source.get(name) != had.get(name)]
        reason = ", ".join(f"labels with {name} {source.get(name)}" for name in differing[:2])
        found = ", ".join(f"{name} {had.get(name)}" for name in differing[:2])
    raise LiftposeError(f"{path}: expected {reason}, found {found} (--overwrite replaces them)")


def _network_key(network: IntegralPose, module: ImageDataModule, images: ImageSet) -> str:
    """Return what the joints that a network finds follow from: its weights, the pictures and their boxes."""
    digest = hashlib.sha256()
    identity = (network.skeleton.name, network.image_size, network.depth_bins, network.half_pixel)
    digest.update(repr((*identity, module.reduced_decoding)).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    _add_pictures(digest, images)
    return digest.hexdigest()[:16]


def _add_pictures(digest: Any, images: ImageSet) -> None:
    """Add names, sizes and boxes of pictures to a digest."""
    for file in images.files:
        try:
            size = (images.root / file).stat().st_size
        except OSError:
            size = -1
        digest.update(f"{file}\0{size}\0".encode())
    digest.update(np.ascontiguousarray(images.boxes).tobytes())


def _views_key(images: ImageSet) -> str:
    """Return what stands for the cameras, and for who is seen by which of them when."""
    digest = hashlib.sha256(repr((images.files, images.subjects, images.actions)).encode())
    for column in (images.views, images.frames, images.camera_index):
        digest.update(np.ascontiguousarray(column).tobytes())
    if images.cameras is not None:
        for name in CAMERA_FIELDS:
            digest.update(getattr(images.cameras, name).double().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _annotations_key(images: ImageSet, skeleton: Skeleton) -> str:
    digest = hashlib.sha256(f"{images.skeleton.name} {skeleton.name}".encode())
    digest.update("\0".join(images.files).encode())
    for column in (images.keypoints_2d, images.visible):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()[:16]


def _with_rows(labels: EpipolarLabels, images: ImageSet) -> EpipolarLabels:
    """Add rows without a valid joint for annotated pictures that were left out."""
    known = set(zip(labels.files, labels.subjects, strict=True))
    missing = [key for key in zip(images.files, images.subjects, strict=True) if key not in known]
    if not missing:
        return labels
    files, subjects = zip(*missing, strict=True)
    empty = {"keypoints_2d": np.nan, "depths": 0.0, "root_depths": 0.0, "weights": 0.0, "residuals": np.nan}
    columns: dict[str, Any] = {}
    for name, value in empty.items():
        column = getattr(labels, name)
        more = np.full((len(missing), *column.shape[1:]), value, dtype=np.float32)
        columns[name] = np.concatenate((column, more))
    return replace(labels, files=(*labels.files, *files), subjects=(*labels.subjects, *subjects), **columns)


def _describe(images: ImageSet, labels: EpipolarLabels) -> list[str]:
    """Say how good labels are."""
    poses = labels.weights.any(axis=1)
    residuals = labels.residuals[(labels.weights > 0) & np.isfinite(labels.residuals)]
    lines = [
        *labels.report,
        f"{len(labels)} pictures: {poses.mean():.1%} with a valid pose, {labels.weights.mean():.1%} of joints valid",
    ]
    if len(residuals):
        lines.append(
            f"residuals: median {np.median(residuals):.2f} px, 95 % below {np.quantile(residuals, 0.95):.2f} px"
        )
    errors = compare_with_truth(images, labels) if len(labels) == len(images) else {}
    if errors:
        lines.append(
            "against the annotations: " + ", ".join(f"{name} {1000 * value:.1f} mm" for name, value in errors.items())
        )
    return lines


def compare_with_truth(images: ImageSet, labels: EpipolarLabels) -> dict[str, float]:
    """Return how far labels are from the 3D truth of annotations, where there is any.

    Args:
        images: Annotated pictures.
        labels: Their labels, row by row. Joints of MPII are compared with those of Human3.6M that have their indices.

    Returns:
        "MPJPE" over the valid joints, and "N-MPJPE" and "P-MPJPE" over the poses all of whose joints are valid: metres.
        Empty where nothing can be compared.
    """
    try:
        truth = bring_into_joints(images, labels.skeleton, by_index=True)
    except LiftposeError:
        return {}
    if truth.depths is None or truth.root_depths is None or truth.cameras is None or truth.camera_index is None:
        return {}
    known = (labels.weights > 0) & np.isfinite(truth.keypoints_2d).all(axis=-1) & np.isfinite(truth.depths)
    root = truth.skeleton.root
    rows = np.flatnonzero(known[:, root])
    if not len(rows):
        return {}
    intrinsics = truth.cameras.intrinsics.double()[torch.from_numpy(truth.camera_index[rows])]
    poses = []
    for side in (labels, truth):
        columns = (getattr(side, name)[rows] for name in ("keypoints_2d", "depths", "root_depths"))
        pixels, depths, roots = (torch.from_numpy(column).double() for column in columns)
        pose = picture_poses(pixels, depths, roots, intrinsics)
        poses.append(pose - pose[:, root : root + 1])
    valid = torch.from_numpy(known[rows])
    errors = {"MPJPE": float((poses[0] - poses[1]).norm(dim=-1)[valid].mean())}
    whole = valid.all(dim=1)
    if bool(whole.any()):
        errors["N-MPJPE"] = float(n_mpjpe_per_pose(poses[0][whole], poses[1][whole]).mean())
        errors["P-MPJPE"] = float(p_mpjpe_per_pose(poses[0][whole], poses[1][whole]).mean())
    return errors
