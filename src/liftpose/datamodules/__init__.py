"""LightningDataModules: splits, loaders, windows gathered on the device."""

from __future__ import annotations

from liftpose.datamodules.h36m import H36MDataModule, TestSet
from liftpose.datamodules.humaneva import HumanEvaDataModule
from liftpose.datamodules.index_loader import IndexBatch, IndexBatches, index_loader
from liftpose.datamodules.lifting import LiftingDataModule, Split, WindowShape
from liftpose.datamodules.synthetic import SyntheticDataModule

__all__ = [
    "H36MDataModule",
    "HumanEvaDataModule",
    "IndexBatch",
    "IndexBatches",
    "LiftingDataModule",
    "Split",
    "SyntheticDataModule",
    "TestSet",
    "WindowShape",
    "index_loader",
]
