"""Human3.6M, and every data set in its file layout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from liftpose.data.recording import Recording
from liftpose.data.splits import find_crossing
from liftpose.datamodules.lifting import LiftingDataModule, Split
from liftpose.errors import LiftposeError
from liftpose.formats import DatasetInfo, find_dataset_files, find_dataset_info, read_h36m
from liftpose.formats.cache import read_h36m_cached
from liftpose.models import Lifter
from liftpose.skeletons import Skeleton, adapter_targets, get_skeleton

__all__ = ["H36MDataModule", "TestSet"]

_FURTHER = "test:"  # before the name of a further test set, the name of its split


@dataclass(frozen=True)
class TestSet:
    """A data set that is only tested on.

    Args:
        dataset: Name of the data set in the file names.
        root: Folder of the files; None for that of the data that are trained on.
        keypoints: Name of the keypoints in the file name; None for that of the data that are trained on.
        subjects: People to test on; None for the data set's own split.
        downsample: Use every n-th frame.
        name: What its results are called; None for ``dataset``.
    """

    __test__ = False  # no test of pytest's

    dataset: str
    root: str | None = None
    keypoints: str | None = None
    subjects: list[str] | None = None
    downsample: int = 1
    name: str | None = None


class H36MDataModule(LiftingDataModule):
    """Human3.6M, and every data set in its file layout (``liftpose data mocap`` and the synthetic people write it).

    Reads ``data_3d_<dataset>.npz`` and ``data_2d_<dataset>_<keypoints>.npz``; a data set other than Human3.6M has a
    sidecar ``data_3d_<dataset>.json`` with its cameras, frame rate and split.

    Args:
        root: Folder of the files, relative to where the command is run.
        dataset: Name of the data set in the file names.
        keypoints: Name of the keypoints in the file name, such as ``gt`` or ``cpn_ft_h36m_dbb``.
        train_subjects: People to train on; None for the data set's own split (Human3.6M: S1, S5, S6, S7, S8).
        validation_subjects: People that choose the best checkpoint; None for the data set's own split. For Human3.6M
            these are, as in all of the field, the test people S9 and S11.
        test_subjects: People to test on; None for the data set's own split (Human3.6M: S9, S11).
        joints: Name of the joint order to bring poses into, such as ``h36m_16``, and keypoints where they are in the
            data set's own or need no approximation; None for that of the data set. The lifter has to be made for
            it too.
        cache: Folder of a cache of the files' content, from which they are loaded at once the next time
            (:func:`liftpose.formats.read_h36m_cached`); None for none.
        test_sets: Further data sets that ``test`` goes through after this one, each with a table of its own: names of
            data sets in the same folder, or what :class:`TestSet` takes. ``joints`` holds for them too; ``actions`` and
            ``downsample`` do not.
        options: Options of :class:`LiftingDataModule`.
    """

    def __init__(
        self,
        root: str = "data",
        dataset: str = "h36m",
        keypoints: str = "gt",
        train_subjects: list[str] | None = None,
        validation_subjects: list[str] | None = None,
        test_subjects: list[str] | None = None,
        joints: str | None = None,
        cache: str | None = None,
        test_sets: list[str | TestSet] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.root = root
        self.dataset = dataset
        self.keypoints = keypoints
        self.joints = None if joints is None else _joints(joints)
        self.cache = cache
        self.subjects = {"train": train_subjects, "validation": validation_subjects, "test": test_subjects}
        self._people: dict[str, list[Recording]] = {}
        self._further: dict[Split, H36MDataModule] = {}
        for chosen in test_sets or ():
            self._add_test_set(TestSet(chosen) if isinstance(chosen, str) else chosen)

    def _add_test_set(self, chosen: TestSet) -> None:
        """Prepare one of the further data sets."""
        name = chosen.name or chosen.dataset
        if name in self.test_splits.values():
            raise LiftposeError(f"data.test_sets: expected data sets with different names, found {name} twice")
        with _told_apart(name):
            self._further[f"{_FURTHER}{name}"] = H36MDataModule(
                root=chosen.root or self.root,
                dataset=chosen.dataset,
                keypoints=chosen.keypoints or self.keypoints,
                test_subjects=chosen.subjects,
                joints=None if self.joints is None else self.joints.name,
                cache=self.cache,
                downsample=chosen.downsample,
            )

    @property
    def test_splits(self) -> Mapping[Split, str]:
        """The splits that a test goes through, each with the name of its data set; the own one is the first."""
        further = {split: split.removeprefix(_FURTHER) for split in self._further}
        return MappingProxyType({"test": self.dataset, **further})

    def check(self, stage: str, lifter: Lifter | None = None) -> None:
        """Read all people of a stage at once, since a file can only be read whole, and refuse what does not fit.

        Args:
            stage: "fit", "validate", "test" or "predict".
            lifter: The lifter of the run, whose joints the data have to be; None for any.

        Raises:
            LiftposeError: A file is missing (the message names it and the command that makes it) or broken, an option
                does not fit it, or its joints are others.
        """
        self._check_joints()
        if stage == "fit":
            self._check_people()
        own = [split for split in self.splits_of(stage) if split not in self._further]
        self._read([name for split in own for name in self._subjects_of(split)])
        super().check(stage, lifter)

    def check_split(self, split: Split, lifter: Lifter | None) -> None:
        """Refuse a split whose data are not there or have other joints than the lifter.

        Args:
            split: The split.
            lifter: The lifter of the run; None for any.

        Raises:
            LiftposeError: A file is missing or broken, an option does not fit it, or its joints are others.
        """
        if split not in self._further:
            super().check_split(split, lifter)
            return
        with _told_apart(split.removeprefix(_FURTHER)):
            self._further[split].check("test", lifter)

    def recordings(self, split: Split) -> list[Recording]:
        """Return the recordings of a split, selected, downsampled and cut as the options say; read once.

        Args:
            split: "train", "validation", "test", "predict" or one of :attr:`test_splits`.

        Returns:
            The recordings in the order of the files; sequence numbers of windows count them.
        """
        if split not in self._further:
            return super().recordings(split)
        with _told_apart(split.removeprefix(_FURTHER)):
            return self._further[split].recordings("test")

    def _check_joints(self) -> None:
        """Refuse a joint order that the poses cannot be brought into."""
        if self.joints is None:
            return
        stored = get_skeleton(self._info().storage_skeleton)
        possible = (stored.name, *adapter_targets(stored))
        if self.joints.name not in possible:
            raise LiftposeError(
                f"data.joints: expected one of {', '.join(possible)} for {self.dataset}, found {self.joints.name}"
            )

    def _check_people(self) -> None:
        """Refuse to validate or test on somebody who is trained on, or who may be the same person as one of them."""
        for split in ("validation", "test"):
            crossing = find_crossing(
                self._subjects_of("train"), self._subjects_of(split), self._info().notes.get("same_side", ())
            )
            if crossing is not None:
                trained, other = crossing
                raise LiftposeError(
                    f"data.{split}_subjects: expected people who are not trained on, found {other}"
                    + ("" if other == trained else f", who may be the same person as {trained}")
                )

    def _info(self) -> DatasetInfo:
        """Return the description of the data set."""
        path_3d, _ = find_dataset_files(self.root, self.dataset, self.keypoints)
        return find_dataset_info(path_3d)

    def load_recordings(self, split: Split) -> list[Recording]:
        """Read the recordings of a split.

        Args:
            split: "train", "validation" or "test"; "predict" stands for "test".

        Returns:
            The recordings in the order of the files.

        Raises:
            LiftposeError: A file is missing or broken, or a person is not in the data set.
        """
        names = self._subjects_of(split)
        self._read(names)
        return [recording for name in names for recording in self._people[name]]

    def _subjects_of(self, split: str) -> list[str]:
        """Return the people of a split."""
        name = "test" if split == "predict" else split
        chosen = self.subjects[name]
        if chosen is None:
            chosen = list(self._info().splits[name])
        if len(set(chosen)) < len(chosen):
            raise LiftposeError(f"data.{name}_subjects: expected different people, found {', '.join(chosen)}")
        if not chosen:
            raise LiftposeError(
                f"data.{name}_subjects: expected at least one person of {self.dataset}, found none "
                f"(--data.{name}_subjects [NAME,...] says who)"
            )
        return chosen

    def _read(self, names: list[str]) -> None:
        """Read the people that have not been read yet."""
        missing = [name for name in dict.fromkeys(names) if name not in self._people]
        if missing:
            path_3d, path_2d = find_dataset_files(self.root, self.dataset, self.keypoints)
            for name in missing:
                self._people[name] = []
            if self.cache is None:
                recordings = read_h36m(path_3d, path_2d, subjects=missing, skeleton=self.joints)
            else:
                recordings = read_h36m_cached(self.cache, path_3d, path_2d, subjects=missing, skeleton=self.joints)
            for recording in recordings:
                self._people[recording.subject].append(recording)


@contextmanager
def _told_apart(name: str) -> Iterator[None]:
    """Say of a mistake in which of the further data sets it is."""
    try:
        yield
    except LiftposeError as error:
        reason = str(error).removeprefix("data.").replace("test_subjects", "subjects")
        raise LiftposeError(f"data.test_sets {name}: {reason}") from error


def _joints(name: str) -> Skeleton:
    """Return the joint order of an option."""
    try:
        return get_skeleton(name)
    except LiftposeError as error:
        raise LiftposeError(f"data.joints: {str(error).removeprefix('skeleton: ')}") from error
