"""Human3.6M as its authors publish it: CDF files, their MATLAB exports, or the archive of the 3D pose baseline."""

from __future__ import annotations

import io
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from liftpose.errors import LiftposeError
from liftpose.formats.archives import Archive, open_archive
from liftpose.formats.cdf import read_cdf
from liftpose.formats.matlab import read_matlab
from liftpose.formats.optional import import_optional
from liftpose.geometry import H36M_CAMERA_SUBJECTS

__all__ = ["H36M_ACTIONS", "OFFICIAL_H36M", "field_action", "read_official_h36m"]

FloatArray = npt.NDArray[np.float32]

H36M_ACTIONS = (
    "Directions",
    "Discussion",
    "Eating",
    "Greeting",
    "Phoning",
    "Photo",
    "Posing",
    "Purchases",
    "Sitting",
    "SittingDown",
    "Smoking",
    "Waiting",
    "WalkDog",
    "Walking",
    "WalkTogether",
)
"""The actions of Human3.6M as the field calls them; everybody performs each twice."""

_TAKES = 2
_FILES = _TAKES * len(H36M_ACTIONS)
_OFFICIAL_NAMES = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}
_LEFT_OUT = ("S11", "Directions")  # its video is damaged, and nobody evaluates on it

_JOINTS = 32
_FARTHEST = 1e5  # millimetres; values that a CDF file has no record of are -1e30
_NEAREST = 50.0  # millimetres; somebody in a room is larger than this, and in metres smaller
_LONGEST = 100_000  # frames; takes have some thousand


class _Source(NamedTuple):
    """One of the official forms.

    Args:
        folder: Where the files of a subject lie, below its folder.
        suffix: End of the names of the files.
        read: Function of the path or the name in messages, and the content where it comes from an archive, that returns
            (N, 96) or (N, 32, 3) millimetres.
        packed: Beginning of the names of the archives, one for each subject, that the authors offer.
    """

    folder: str
    suffix: str
    read: Callable[[str, bytes | None], npt.NDArray[Any]]
    packed: str | None = None


class _Clip(NamedTuple):
    """One file.

    Args:
        action: Its action by the field's name, with the number of the take where it has one.
        path: The file, or the archive that it lies in.
        member: Its name in the archive.
    """

    action: str
    path: Path
    member: str | None

    @property
    def where(self) -> str:
        """What messages call it."""
        return str(self.path) if self.member is None else f"{self.path}: {self.member}"


def read_official_h36m(
    kind: str, path: str | os.PathLike[str], progress: Callable[[int, int, str], None] | None = None
) -> dict[str, dict[str, FloatArray]]:
    """Read the 3D poses of Human3.6M from its official files.

    The take of S11 called Directions is left out, as everywhere: its video is damaged.

    Args:
        kind: ``"cdf"`` for the files of the archives Poses_D3_Positions_S*.tgz, unpacked or not; ``"mat"`` for the same
            exported by MATLAB (``*.cdf.mat``); ``"archive"`` for h36m.zip of the 3D pose baseline (Martinez et al.,
            ICCV 2017), packed or not.
        path: The archive, the folder that holds the folders S1, S5, ... or the folder above that.
        progress: Called before each take with its number from 0, the number of takes, and its name.

    Returns:
        Subject -> action -> (N, 32, 3) float32 metres, world frame, 50 frames per second. Subjects in the order S1, S5,
        S6, S7, S8, S9, S11; actions in alphabetical order, ``Directions`` before ``Directions 1``, whatever the order
        of the files, since the order of training depends on it.

    Raises:
        LiftposeError: A subject or an action is missing or there are other files, a file is cut or damaged, holds
            something else, or has coordinates that are not finite or not a person's; an archive is cut, damaged or
            made to do harm; or a package that reads the files is not installed.
    """
    source = OFFICIAL_H36M[kind]
    with ExitStack() as stack:
        archives: dict[Path, Archive] = {}

        def opened(file: Path) -> Archive:
            if file not in archives:
                archives[file] = stack.enter_context(open_archive(file))
            return archives[file]

        clips = _find(kind, source, Path(path), opened)
        everything = [(subject, clip) for subject, found in clips.items() for clip in found]
        poses: dict[str, dict[str, FloatArray]] = {subject: {} for subject in clips}
        for number, (subject, clip) in enumerate(everything):
            if progress:
                progress(number, len(everything), f"{subject} {clip.action}")
            content = None if clip.member is None else opened(clip.path).read(clip.member)
            poses[subject][clip.action] = _metres(clip.where, source.read(clip.where, content))
    if progress:
        progress(len(everything), len(everything), "read")
    return {subject: dict(sorted(takes.items())) for subject, takes in poses.items()}


def _find(kind: str, source: _Source, path: Path, opened: Callable[[Path], Archive]) -> dict[str, list[_Clip]]:
    """Find all files, in an order in which they are read fastest."""
    pattern = re.compile(rf"(?:.*/)?(S\d+)/{re.escape(source.folder)}/([^/.][^/]*){re.escape(source.suffix)}")
    found: dict[str, list[_Clip]] = {}
    for file, member in _files(source, path, opened):
        match = pattern.fullmatch(file.as_posix() if member is None else member)
        if match and match[1] in H36M_CAMERA_SUBJECTS:
            found.setdefault(match[1], []).append(_Clip(field_action(match[2]), file, member))
    if not found:
        raise LiftposeError(f"{path}: expected {_expected(source)}, found {_instead(kind, source, path)}")
    for subject in H36M_CAMERA_SUBJECTS:
        _check_takes(f"{path}: {subject}/{source.folder}", subject, source, found.get(subject, []))
    return {
        subject: [clip for clip in found[subject] if (subject, clip.action) != _LEFT_OUT]
        for subject in H36M_CAMERA_SUBJECTS
    }


def _files(source: _Source, path: Path, opened: Callable[[Path], Archive]) -> Iterator[tuple[Path, str | None]]:
    """List the files that may be meant, each with its name in an archive where it lies in one."""
    if not path.exists():
        raise LiftposeError(f"{path}: expected {_expected(source)}, found no such file or folder")
    if path.is_file():
        for member in opened(path).names:
            yield path, member
        return
    root = _root(source, path)
    for subject in H36M_CAMERA_SUBJECTS:
        files = sorted((root / subject / source.folder).glob(f"*{source.suffix}"))
        yield from ((file, None) for file in files)
        if not files and source.packed is not None:
            for archive in sorted(path.glob(f"{source.packed}_{subject}.t*")):
                yield from ((archive, member) for member in opened(archive).names)


def _root(source: _Source, path: Path) -> Path:
    """Return the folder that holds the folders of the subjects: the one that was named or one inside it."""
    for folder in (path, *sorted(inner for inner in path.iterdir() if inner.is_dir())):
        if any((folder / subject / source.folder).is_dir() for subject in H36M_CAMERA_SUBJECTS):
            return folder
    return path


def field_action(name: str) -> str:
    """Return the field's name of a take: the official files call two actions otherwise (``TakingPhoto 1``)."""
    for official, usual in _OFFICIAL_NAMES.items():
        name = name.replace(official, usual)
    return name


def _check_takes(where: str, subject: str, source: _Source, clips: list[_Clip]) -> None:
    """Check that everything is there; what is missing is told by the actions that are not there twice."""
    if not clips:
        raise LiftposeError(f"{where}: expected {_FILES} files *{source.suffix} of {subject}, found none")
    twice = [action for action, count in Counter(clip.action for clip in clips).items() if count > 1]
    if twice:
        raise LiftposeError(f"{where}: expected one file of {twice[0]!r}, found {twice[0]!r} several times")
    takes = Counter(clip.action.partition(" ")[0] for clip in clips)
    strange = [clip for clip in clips if clip.action.partition(" ")[0] not in H36M_ACTIONS]
    if strange:
        raise LiftposeError(f"{strange[0].where}: expected one of the actions {', '.join(H36M_ACTIONS)}, found another")
    if len(clips) != _FILES:
        odd = [f"{takes[action]} of {action}" for action in H36M_ACTIONS if takes[action] != _TAKES]
        raise LiftposeError(
            f"{where}: expected {_FILES} files *{source.suffix}, {_TAKES} of each action, found {len(clips)}: "
            f"{', '.join(odd)}"
        )


def _metres(where: str, millimetres: npt.NDArray[Any]) -> FloatArray:
    frames = millimetres.size // (3 * _JOINTS)
    if not 0 < frames <= _LONGEST:
        raise LiftposeError(f"{where}: expected a take of 1 to {_LONGEST} frames, found {frames}")
    # Divided in the precision of the file and rounded once, as the published files were.
    pose: FloatArray = (millimetres.reshape(-1, _JOINTS, 3) / 1000).astype(np.float32)
    # NaN is no number that is smaller, so it is found here too.
    wrong = ~(np.abs(pose) <= _FARTHEST / 1000).all(axis=(1, 2))
    if wrong.any():
        frame = int(np.argmax(wrong))
        raise LiftposeError(
            f"{where}: expected finite coordinates in millimetres, within {_FARTHEST / 1000:g} m of the origin, found "
            f"others in {int(wrong.sum())} of {len(pose)} frames, first in frame {frame}"
        )
    if float(np.abs(pose).max()) < _NEAREST / 1000:
        raise LiftposeError(
            f"{where}: expected coordinates in millimetres, found none beyond {1000 * np.abs(pose).max():.3g} (metres?)"
        )
    return pose


def _checked(where: str, array: Any, *shape: str | int) -> npt.NDArray[Any]:
    """Check the shape of an array of numbers; a text stands for any number of frames."""
    ok = isinstance(array, np.ndarray) and array.dtype.kind in "fiu" and array.ndim == len(shape)
    if not ok or any(isinstance(want, int) and have != want for have, want in zip(array.shape, shape, strict=True)):
        found = f"{array.shape} of {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise LiftposeError(f"{where}: expected poses of shape ({', '.join(map(str, shape))}), found {found}")
    result: npt.NDArray[Any] = array
    return result


def _read_cdf(where: str, content: bytes | None) -> npt.NDArray[Any]:
    """Read (1, N, 96) numbers."""
    record: npt.NDArray[Any] = _checked(where, read_cdf(where, "Pose", content), 1, "frames", 3 * _JOINTS)[0]
    return record


def _read_mat(where: str, content: bytes | None) -> npt.NDArray[Any]:
    """Read a cell with (N, 96) numbers; what MATLAB's cdfread makes of one record."""
    if content is not None:
        raise LiftposeError(f"{where}: expected a file in a folder, found it in an archive; unpack that first")
    data = read_matlab(where, ["data"])["data"]
    if isinstance(data, np.ndarray) and data.dtype == object and data.size == 1:
        data = data.item()
    return _checked(where, data, "frames", 3 * _JOINTS)


def _read_hdf5(where: str, content: bytes | None) -> npt.NDArray[Any]:
    """Read (96, N) numbers and return (N, 96)."""
    h5py = import_optional("h5py", where)
    name = "3D_positions"
    try:
        with h5py.File(where if content is None else io.BytesIO(content), "r") as file:
            found = file.get(name) if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
            if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
                raise LiftposeError(f"{where}: expected an array {name}, found {', '.join(file) or 'an empty file'}")
            if found.ndim != 2 or found.shape[0] != 3 * _JOINTS or found.shape[1] > _LONGEST:
                raise LiftposeError(f"{where}: expected poses of shape ({3 * _JOINTS}, frames), found {found.shape}")
            array = np.asarray(found)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise LiftposeError(f"{where}: expected an HDF5 file, found it cut or damaged ({error})") from error
    return _checked(where, array, 3 * _JOINTS, "frames").T


OFFICIAL_H36M = {
    "cdf": _Source("MyPoseFeatures/D3_Positions", ".cdf", _read_cdf, "Poses_D3_Positions"),
    "mat": _Source("MyPoseFeatures/D3_Positions", ".cdf.mat", _read_mat),
    "archive": _Source("MyPoses/3D_positions", ".h5", _read_hdf5),
}
"""The official forms of Human3.6M by the name that the command has for them."""


def _expected(source: _Source) -> str:
    return f"the files S1/{source.folder}/*{source.suffix} of Human3.6M"


def _instead(kind: str, source: _Source, path: Path) -> str:
    """Say what a folder or an archive without any file of a kind holds."""
    if path.is_file():
        return "an archive of other files"
    if (path / source.folder).is_dir():
        return "the folder of one subject"
    others = [
        name
        for name, other in OFFICIAL_H36M.items()
        if name != kind and any(_root(other, path).glob(f"S*/{other.folder}/*{other.suffix}"))
    ]
    if others:
        return f"those that --from {others[0]} reads"
    inside = sorted(entry.name for entry in path.iterdir())
    return ", ".join(inside[:5]) + (", ..." if len(inside) > 5 else "") if inside else "an empty folder"
