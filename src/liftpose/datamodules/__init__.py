"""LightningDataModules: splits, loaders, windows gathered on the device."""

from __future__ import annotations

from liftpose.datamodules.h36m import H36MDataModule, TestSet
from liftpose.datamodules.h36m_images import H36MImagesDataModule
from liftpose.datamodules.humaneva import HumanEvaDataModule
from liftpose.datamodules.images import ImageDataModule, PatchNetwork
from liftpose.datamodules.index_loader import IndexBatch, IndexBatches, index_loader
from liftpose.datamodules.lifting import LiftingDataModule, Split, WindowShape
from liftpose.datamodules.mpii import MPIIDataModule
from liftpose.datamodules.patch_loader import Augmentation, CutPatches, PatchBatches, patch_loader
from liftpose.datamodules.pose_pairs import PosePairsDataModule
from liftpose.datamodules.synthetic import SyntheticDataModule
from liftpose.datamodules.synthetic_images import SyntheticH36MImagesDataModule, SyntheticMPIIDataModule

__all__ = [
    "Augmentation",
    "CutPatches",
    "H36MDataModule",
    "H36MImagesDataModule",
    "HumanEvaDataModule",
    "ImageDataModule",
    "IndexBatch",
    "IndexBatches",
    "LiftingDataModule",
    "MPIIDataModule",
    "PatchBatches",
    "PatchNetwork",
    "PosePairsDataModule",
    "Split",
    "SyntheticDataModule",
    "SyntheticH36MImagesDataModule",
    "SyntheticMPIIDataModule",
    "TestSet",
    "WindowShape",
    "index_loader",
    "patch_loader",
]
