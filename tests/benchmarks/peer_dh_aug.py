"""The public implementation of DH-AUG, where a copy of it is at hand, made to run without a GPU and without a screen.

``LIFTPOSE_PEERS`` names a folder that holds a work tree of it, called ``DH-AUG``. Nothing of it is part of this
repository, and nothing in it is changed: programs with windows and others that it only imports are stood in for while
it is imported, and where it asks for a GPU it gets the CPU.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
import warnings
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from unittest.mock import MagicMock, patch

import torch

__all__ = ["FOLDER", "PeerDHAug", "dh_aug_arguments", "dh_aug_body", "load_dh_aug", "why_not_dh_aug"]

FOLDER = "DH-AUG/DH-AUG_master"
# What it imports and does not use here.
_NOT_NEEDED = (
    *("PyQt5", "PyQt5.QtCore", "PyQt5.QtGui", "PyQt5.QtWidgets", "matplotlib.backends.backend_qt5agg"),
    *("cv2", "h5py", "loguru", "tensorboardX", "thop", "progress.bar"),
)
_MEASURED = ("Fk_discriminator", "Fk_generator", "forward_kinematics_DH_model", "model_fk_gan_train")


class PeerDHAug(NamedTuple):
    """The parts of the public implementation that are measured.

    Args:
        kinematics: Its module of the body and of the poses that are made without a network.
        generator: Its module of generators.
        discriminator: Its module of critics.
        training: Its module of the training of generator and critics.
        digest: First digits of the SHA-256 of these four files, by which a work tree can be told from another.
    """

    kinematics: ModuleType
    generator: ModuleType
    discriminator: ModuleType
    training: ModuleType
    digest: str


def why_not_dh_aug() -> str | None:
    """Say why there is nothing to compare with, or None where there is."""
    folder = os.environ.get("LIFTPOSE_PEERS")
    if not folder:
        return "LIFTPOSE_PEERS is not set: the public implementation is not part of the repository"
    if not (Path(folder) / FOLDER / "models_Fk_GAN" / "Fk_generator.py").is_file():
        return f"LIFTPOSE_PEERS: expected the public implementation in {folder}/{FOLDER}, found none"
    return None


def load_dh_aug() -> PeerDHAug | None:
    """Import the public implementation, or return None where :func:`why_not_dh_aug` has a reason."""
    if why_not_dh_aug() is not None:
        return None
    root = Path(os.environ["LIFTPOSE_PEERS"]) / FOLDER
    with _own_modules(root):
        named = {name: importlib.import_module(f"models_Fk_GAN.{name}") for name in _MEASURED}
    digest = hashlib.sha256()
    for name, module in named.items():
        vars(module)["torch"] = _OnTheCPU()
        digest.update((root / "models_Fk_GAN" / f"{name}.py").read_bytes())
    return PeerDHAug(
        named["forward_kinematics_DH_model"],
        named["Fk_generator"],
        named["Fk_discriminator"],
        named["model_fk_gan_train"],
        digest.hexdigest()[:12],
    )


def dh_aug_arguments(batch: int, width: int, **options: Any) -> Namespace:
    """Return the options of the public scripts, without pictures.

    Args:
        batch: Number of poses in a batch.
        width: Width of the generator and of the critics.
        options: Further options, by their published names.
    """
    published = {
        "batch_size": batch,
        "Gen_DenseDim": width,
        "Dis_DenseDim_3D": width,
        "Dis_DenseDim_2D": width,
        "video_Dis_DenseDim_3D": width,
        "video_Dis_DenseDim_2D": width,
        "GAN_OUTPUT_DIM": 35,
        "GAN_LAMBDA": 10,
        "GAN_whether_use_preAngle": True,
        "whether_use_RT": True,
        "bone_len_scaler": "different",
        "single_or_multi_train_mode": "single",
        "architecture": "3,3,3",
        "motion_Dis_whether_use_3dPos_branch": True,
        "motion_Dis_whether_use_3dDiff_branch": True,
        "flip_GAN_model_input": True,
        "GAN_3d_loss_weight": 1,
        "GAN_2d_loss_weight": 0.2,
        "warmup": 2,
        "generator_whole_number": 10000,
        "generator_choose_BoneLen": True,
        "generator_choose_root_pos": True,
        "generator_global_rot": True,
        "record_all_picture": False,
        "random_seed": 0,
        "num_workers": 0,
        "checkpoint": "",
    }
    return Namespace(**(published | options))


def dh_aug_body(peer: PeerDHAug, arguments: Namespace) -> Any:
    """Return the public body for batches of the size that the options name."""
    return peer.kinematics.Forward_Kinematics_DH_Model(arguments, ["S1"], MagicMock())


class _OnTheCPU:
    """Stands before torch: every device is the CPU."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def device(self, *_: Any) -> torch.device:
        """Return the CPU."""
        return torch.device("cpu")


@contextmanager
def _own_modules(root: Path) -> Iterator[None]:
    """Import from a folder whose packages have names that others use too, and forget those names afterwards."""
    packages = {path.name for path in root.iterdir() if path.is_dir()}
    stand_ins = {name: MagicMock() for name in _NOT_NEEDED}

    def shadowed(name: str) -> bool:
        return name in stand_ins or name.partition(".")[0] in packages

    before = {name: module for name, module in sys.modules.items() if shadowed(name)}
    for name in before:
        del sys.modules[name]
    sys.modules.update(stand_ins)
    sys.path.insert(0, str(root))
    try:
        with patch("matplotlib.use"), warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of its own
            yield
    finally:
        sys.path.remove(str(root))
        for name in [name for name in sys.modules if shadowed(name)]:
            del sys.modules[name]
        sys.modules.update(before)
