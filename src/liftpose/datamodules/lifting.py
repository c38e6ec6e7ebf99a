"""What the data modules of all lifters share: from recordings to windows on the device."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from liftpose.data.lifting_windows import lifting_windows
from liftpose.data.recording import Recording
from liftpose.data.selection import downsample, keep_displaced, select_actions, subset
from liftpose.data.windows import WindowBatch, Windows
from liftpose.datamodules.index_loader import IndexBatch, IndexBatches, index_loader
from liftpose.errors import LiftposeError
from liftpose.models import Lifter
from liftpose.skeletons import adapter_targets

__all__ = ["LiftingDataModule", "Split", "WindowShape"]

Split = str
"""Name of a split: "train", "validation", "test" or "predict"; "test:NAME" is the test split of a further data set."""


class WindowShape(NamedTuple):
    """What a lifter wants its windows to be.

    Attributes:
        receptive_field: Number of frames.
        causal: Whether all padding is on the left.
    """

    receptive_field: int
    causal: bool


class LiftingDataModule(pl.LightningDataModule, ABC):
    """Windows of 2D keypoints with the 3D pose of their current frame.

    All frames of a split lie in one flat tensor on the device; loaders yield numbers of windows, and the windows are
    gathered on the device. The lifter of the run says how long a window is.

    Args:
        actions: Beginnings of the names of the actions to use, or None for all. As published, ``Walk`` takes Walking,
            WalkDog and WalkTogether.
        exact_actions: Whether ``actions`` are whole names.
        batch_size: Number of windows of a global batch, over all processes.
        flip: Mirrored training windows: as additional samples ("copies", as published), in place of the window with
            probability one half ("chance"), or not at all ("none").
        subset: Share of every training recording to use, cut out as published.
        downsample: Use every n-th frame of all recordings.
        seed: Seed of the order of the training windows and of the flips.
        window: Length of the windows and whether they are causal, where no lifter says it.
        train_downsample: Use, of the frames that ``downsample`` leaves, every n-th of the training recordings only.
        train_displacement: Metres, or 0 for all frames: use of those only the frames at which some joint has moved so
            far since the last frame used. DH-AUG's ``video_over_200mm`` is 0.2.
    """

    def __init__(
        self,
        actions: list[str] | None = None,
        exact_actions: bool = False,
        batch_size: int = 1024,
        flip: Literal["copies", "chance", "none"] = "copies",
        subset: float = 1.0,
        downsample: int = 1,
        seed: int = 1234,
        window: WindowShape | None = None,
        train_downsample: int = 1,
        train_displacement: float = 0.0,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise LiftposeError(f"data.batch_size: expected a number from 1 up, found {batch_size}")
        if not 0 < subset <= 1:
            raise LiftposeError(f"data.subset: expected a share above 0 and at most 1, found {subset}")
        if not 0 <= seed < 2**32:
            raise LiftposeError(f"data.seed: expected a number from 0 to {2**32 - 1}, found {seed}")
        for name, step in (("downsample", downsample), ("train_downsample", train_downsample)):
            if step < 1:
                raise LiftposeError(f"data.{name}: expected a number from 1 up, found {step}")
        if not 0 <= train_displacement < math.inf:
            raise LiftposeError(f"data.train_displacement: expected metres from 0 up, found {train_displacement}")
        self.actions = actions
        self.exact_actions = exact_actions
        self.batch_size = batch_size
        self.flip = flip
        self.subset = subset
        self.downsample = downsample
        self.seed = seed
        self.window = window
        self.train_downsample = train_downsample
        self.train_displacement = train_displacement
        self._recordings: dict[str, list[Recording]] = {}
        self._windows: dict[str, Windows] = {}

    # ---------------------------------------------------------------------------------------------------- recordings
    @abstractmethod
    def load_recordings(self, split: Split) -> list[Recording]:
        """Read the recordings of a split.

        Args:
            split: "train", "validation", "test" or "predict".

        Returns:
            The recordings in the order of the files.
        """

    @property
    def test_splits(self) -> Mapping[Split, str]:
        """The splits that a test goes through, each with the name of its data set; the own one is the first."""
        return MappingProxyType({"test": "test"})

    def splits_of(self, stage: str) -> tuple[Split, ...]:
        """Return the splits that a stage of the trainer needs.

        Args:
            stage: "fit", "validate", "test" or "predict".
        """
        splits: dict[str, tuple[Split, ...]] = {
            "fit": ("train", "validation"),
            "validate": ("validation",),
            "test": tuple(self.test_splits),
            "predict": ("predict",),
        }
        return splits[stage]

    def check(self, stage: str, lifter: Lifter | None = None) -> None:
        """Refuse a run whose data are not there or do not fit, before anything is written.

        What is read is kept for :meth:`setup`.

        Args:
            stage: "fit", "validate", "test" or "predict".
            lifter: The lifter of the run, whose joints the data have to be; None for any.

        Raises:
            LiftposeError: A file is missing or broken, an option does not fit it, or its joints are others.
        """
        if stage == "fit" and self.batch_size < 2:
            raise LiftposeError("data.batch_size: expected at least 2 for batch normalisation, found 1")
        for split in self.splits_of(stage):
            self.check_split(split, lifter)

    def check_split(self, split: Split, lifter: Lifter | None) -> None:
        """Refuse a split whose data are not there or have other joints than the lifter.

        Args:
            split: The split.
            lifter: The lifter of the run; None for any.

        Raises:
            LiftposeError: A file is missing or broken, an option does not fit it, or its joints are others.
        """
        recording = self.recordings(split)[0]
        if lifter is None:
            return
        if recording.skeleton != lifter.skeleton:
            data, own = recording.skeleton, lifter.skeleton.name
            bring = f"; --data.joints {own} brings the data into its own" if own in adapter_targets(data) else ""
            raise LiftposeError(
                f"model.lifter.skeleton: expected {data.name} as in the data, found {own} (--model.lifter.skeleton "
                f"{data.name} makes a network for these joints{bring})"
            )
        if recording.keypoint_skeleton != lifter.keypoint_skeleton:
            raise LiftposeError(
                f"data.keypoints: expected keypoints of {lifter.keypoint_skeleton.name} for the lifter, found "
                f"those of {recording.keypoint_skeleton.name}"
            )

    def recordings(self, split: Split) -> list[Recording]:
        """Return the recordings of a split, selected, downsampled and cut as the options say; read once.

        Args:
            split: "train", "validation", "test" or "predict".

        Returns:
            The recordings in the order of the files; sequence numbers of windows count them.
        """
        if split not in self._recordings:
            chosen = self.load_recordings(split)
            if self.actions is not None:
                chosen = self._of_chosen_actions(chosen)
            step = self.downsample * (self.train_downsample if split == "train" else 1)
            if split == "train" and self.subset < 1:
                chosen = [subset(recording, self.subset, step) for recording in chosen]
            elif step > 1:
                chosen = [downsample(recording, step) for recording in chosen]
            if split == "train" and self.train_displacement > 0:
                chosen = keep_displaced(chosen, self.train_displacement)
            if not any(len(recording) for recording in chosen):
                raise LiftposeError(
                    f"data: expected frames in the {split} split, found none left of {len(chosen)} recordings with "
                    f"subset {self.subset} and downsample {step}"
                )
            self._recordings[split] = chosen
        return self._recordings[split]

    def _of_chosen_actions(self, recordings: list[Recording]) -> list[Recording]:
        """Return the recordings of the actions to use."""
        try:
            return select_actions(recordings, self.actions, exact=self.exact_actions)
        except LiftposeError as error:
            raise LiftposeError(f"data.{error}") from error

    # ------------------------------------------------------------------------------------------------------- windows
    @property
    def window_shape(self) -> WindowShape:
        """What the windows are to be: what the lifter of the run says, or the option."""
        lifter = getattr(getattr(self.trainer, "lightning_module", None), "lifter", None)
        if lifter is not None:
            return WindowShape(lifter.receptive_field, lifter.causal)
        if self.window is None:
            raise LiftposeError("data.window: expected the length of the windows where no lifter says it, found none")
        return self.window

    @property
    def whole_poses(self) -> bool:
        """Whether the task of the run wants the poses of whole training windows, where they are in the camera frame."""
        return bool(getattr(getattr(self.trainer, "lightning_module", None), "whole_poses", False))

    def setup(self, stage: str) -> None:
        """Read the splits that a stage needs and lay their frames out flat.

        Args:
            stage: "fit", "validate", "test" or "predict".
        """
        lifter = getattr(getattr(self.trainer, "lightning_module", None), "lifter", None)
        self.check(stage, lifter)
        shape = self.window_shape
        for split in self.splits_of(stage):
            if split not in self._windows:
                copies = split == "train" and self.flip == "copies"
                self._windows[split] = lifting_windows(
                    self.recordings(split),
                    shape.receptive_field,
                    causal=shape.causal,
                    flip_copies=copies,
                    whole_poses=split == "train" and self.whole_poses,
                )

    def windows(self, split: Split) -> Windows:
        """Return the windows of a split that has been set up.

        Args:
            split: "train", "validation", "test" or "predict".

        Returns:
            Its frames and the index of its windows.
        """
        return self._windows[split]

    # ------------------------------------------------------------------------------------------------------- loaders
    def _loader(self, split: Split) -> DataLoader[IndexBatch]:
        """Return the loader of a split: shuffled for training, in order otherwise."""
        train = split == "train"
        batches = IndexBatches(
            split,
            len(self._windows[split]),
            self.batch_size,
            seed=self.seed if train else None,
            flip_by_chance=train and self.flip == "chance",
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=self.trainer.world_size if self.trainer else 1,
        )
        return index_loader(batches)

    def train_dataloader(self) -> DataLoader[IndexBatch]:
        """Return the numbers of the training windows, in the published order of each epoch."""
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[IndexBatch]:
        """Return the numbers of the validation windows."""
        return self._loader("validation")

    def test_dataloader(self) -> list[DataLoader[IndexBatch]]:
        """Return the numbers of the test windows, one loader for each of :attr:`test_splits`."""
        return [self._loader(split) for split in self.test_splits]

    def predict_dataloader(self) -> DataLoader[IndexBatch]:
        """Return the numbers of the windows to predict."""
        return self._loader("predict")

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Gather the windows of a batch on the device.

        Args:
            batch: Numbers of windows.
            dataloader_idx: Number of the loader.

        Returns:
            The windows.
        """
        return self.gather(batch) if isinstance(batch, IndexBatch) else batch

    def gather(self, batch: IndexBatch) -> WindowBatch:
        """Gather the windows of a batch on the device of its numbers.

        Args:
            batch: Numbers of windows.

        Returns:
            The windows.
        """
        windows = self._windows[batch.split]
        if windows.device != batch.indices.device:
            windows = self._windows[batch.split] = windows.to(batch.indices.device)
        return windows.gather(batch.indices, flip=batch.flip)._replace(weight=batch.weight, place=batch.place)

    def teardown(self, stage: str) -> None:
        """Let go of the windows; the recordings stay for a later stage.

        Args:
            stage: The stage that has ended.
        """
        self._windows.clear()
