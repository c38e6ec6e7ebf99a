"""Files of other people's programs, written from the description of their layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

NUMBERS = count()
SaveMatlab73 = Callable[[Path, Mapping[str, Any]], Path]


def _write(file: h5py.File, group: h5py.Group, name: str, value: Any) -> h5py.Dataset:
    """Write one value as MATLAB does: HDF5's order of indices is the reverse of MATLAB's, and every array has two."""
    if isinstance(value, str):
        data = np.array([[ord(letter)] for letter in value], dtype=np.uint16)
        kind, attributes = "char", {"MATLAB_int_decode": np.int32(2)}
    elif value.dtype == object:
        cells = file.require_group("#refs#")
        data = np.empty(value.shape, dtype=h5py.ref_dtype)
        for index in np.ndindex(*value.shape):
            data[index] = _write(file, cells, f"c{next(NUMBERS)}", value[index]).ref
        data, kind, attributes = data.T, "cell", {}
    else:
        data, attributes = value.T, {}
        kind = {"float64": "double", "float32": "single", "bool": "logical"}.get(value.dtype.name, value.dtype.name)
        if kind == "logical":
            data, attributes = data.astype(np.uint8), {"MATLAB_int_decode": np.int32(1)}
    if np.size(data) == 0:
        data, attributes = np.array(np.shape(value), dtype=np.uint64), {"MATLAB_empty": np.uint8(1)}
    stored = group.create_dataset(name, data=data, dtype=h5py.ref_dtype if data.dtype == object else None)
    stored.attrs["MATLAB_class"] = np.bytes_(kind)
    for key, content in attributes.items():
        stored.attrs[key] = content
    return stored


@pytest.fixture(scope="session")
def save_matlab_73() -> SaveMatlab73:
    """Write a MATLAB file of version 7.3 with h5py: 512 bytes of MATLAB's own, then HDF5."""

    def save(path: Path, variables: Mapping[str, Any]) -> Path:
        with h5py.File(path, "w", userblock_size=512) as file:
            for name, value in variables.items():
                _write(file, file, name, value)
        header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan 01 00:00:00 2024 HDF5 schema 1.00 ."
        with path.open("r+b") as stream:
            stream.write(header.ljust(116) + bytes(8) + b"\x00\x02IM")
        return path

    return save
