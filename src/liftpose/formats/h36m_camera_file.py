"""The cameras of Human3.6M as the 3D pose baseline stores them: ``cameras.h5``.

Source of the layout: J. Martinez, R. Hossain, J. Romero, J. J. Little, "A simple yet effective baseline for 3d human
pose estimation", ICCV 2017: groups ``subject<k>/camera<1-4>`` with R (transposed), T (the centre, in millimetres), f,
c, k, p and the serial number as ``Name``.
"""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from liftpose.errors import LiftposeError
from liftpose.formats.optional import import_optional
from liftpose.geometry import H36M_CAMERA_IDS, Camera, h36m_cameras

__all__ = ["h36m_camera", "read_h36m_cameras"]

_SHAPES = {"R": 9, "T": 3, "f": 2, "c": 2, "k": 3, "p": 2}
_LONGEST_NAME = 64
_DAMAGE = (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError, MemoryError)


def h36m_camera(
    where: str,
    *,
    R: npt.NDArray[np.float64],
    center: npt.NDArray[np.float64],
    focal: npt.NDArray[np.float64],
    principal: npt.NDArray[np.float64],
    radial: npt.NDArray[np.float64],
    tangential: npt.NDArray[np.float64],
    view: int,
) -> Camera:
    """Make a camera of the numbers that programs around Human3.6M keep.

    Args:
        where: What messages call it.
        R: (3, 3) rotation from world to camera frame.
        center: (3,) millimetres, world frame: position of the camera.
        focal: (2,) pixels.
        principal: (2,) pixels.
        radial: (3,) k1, k2, k3.
        tangential: (2,) p1, p2, of which p2 belongs to x.
        view: Index in :data:`liftpose.geometry.H36M_CAMERA_IDS`, by which the size of the pictures is known.

    Returns:
        A single camera, metres; without distortion where all coefficients are zero.

    Raises:
        LiftposeError: The numbers are not those of a camera.
    """
    bent = bool(radial.any() or tangential.any())
    content = {
        "R": R.tolist(),
        "t": (-R @ center / 1000).tolist(),
        "intrinsics": [[focal[0], 0.0, principal[0]], [0.0, focal[1], principal[1]], [0.0, 0.0, 1.0]],
        "distortion": [*radial, tangential[1], tangential[0]] if bent else [],
        "distortion_model": "h36m" if bent else "none",
        "image_size": h36m_cameras("S1").image_size[view].tolist(),
    }
    return Camera.from_dict(content, where)


def read_h36m_cameras(path: str | os.PathLike[str]) -> dict[str, Camera]:
    """Read the cameras of every subject.

    Args:
        path: ``cameras.h5``.

    Returns:
        Subject -> cameras of batch shape (4,) in the order of :data:`liftpose.geometry.H36M_CAMERA_IDS`.

    Raises:
        LiftposeError: There is no such file, it is cut or damaged, holds other cameras, or h5py is not installed.
    """
    h5py = import_optional("h5py", str(path))
    try:
        with h5py.File(path, "r") as file:
            subjects = [name for name in file if re.fullmatch(r"subject\d{1,2}", name)]
            if not subjects:
                raise LiftposeError(
                    f"{path}: expected groups such as subject1, found {', '.join(file)[:100] or 'none'}"
                )
            return {
                f"S{name.removeprefix('subject')}": _rig(h5py, f"{path}: {name}", file, name)
                for name in sorted(subjects, key=lambda name: int(name.removeprefix("subject")))
            }
    except FileNotFoundError as error:
        raise LiftposeError(f"{path}: expected the cameras of Human3.6M, found no such file") from error
    except _DAMAGE as error:
        raise LiftposeError(f"{path}: expected an HDF5 file, found it cut or damaged ({error})") from error


def _rig(h5py: Any, where: str, file: Any, subject: str) -> Camera:
    """Read the cameras of a subject and put them in order by their serial numbers."""
    found: dict[str, Camera] = {}
    for number in range(1, len(H36M_CAMERA_IDS) + 1):
        each = f"{where}/camera{number}"
        parts = {
            name: _numbers(h5py, each, file, f"{subject}/camera{number}/{name}", size) for name, size in _SHAPES.items()
        }
        name = "".join(
            chr(int(letter)) for letter in _numbers(h5py, each, file, f"{subject}/camera{number}/Name", None)
        )
        if name not in H36M_CAMERA_IDS or name in found:
            raise LiftposeError(f"{each}: expected one of {', '.join(H36M_CAMERA_IDS)}, each once, found {name!r:.80}")
        found[name] = h36m_camera(
            each,
            R=parts["R"].reshape(3, 3).T,
            center=parts["T"],
            focal=parts["f"],
            principal=parts["c"],
            radial=parts["k"],
            tangential=parts["p"],
            view=H36M_CAMERA_IDS.index(name),
        )
    try:
        return Camera.stack([found[name] for name in H36M_CAMERA_IDS])
    except ValueError as error:
        raise LiftposeError(f"{where}: expected cameras of one kind, found: {error}") from error


def _numbers(h5py: Any, where: str, file: Any, name: str, size: int | None) -> npt.NDArray[np.float64]:
    """Read an array that is in this file, not in another one that it points to."""
    group, _, last = name.rpartition("/")
    holder = file.get(group)
    inside = isinstance(holder, h5py.Group) and holder.file.filename == file.filename
    if not inside or not isinstance(holder.get(last, getlink=True), h5py.HardLink):
        raise LiftposeError(f"{where}: expected an array {last}, found none")
    found = holder[last]
    if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual or found.dtype.kind not in "fiu":
        raise LiftposeError(f"{where}: expected numbers as {last}, found something else")
    if found.size != size and (size is not None or found.size > _LONGEST_NAME):
        raise LiftposeError(f"{where}: expected {size or 'a few'} numbers as {last}, found {found.size}")
    array: npt.NDArray[np.float64] = np.asarray(found, dtype=np.float64).ravel()
    if not np.isfinite(array).all():
        raise LiftposeError(f"{where}: expected finite numbers as {last}, found others")
    return array
