"""The refinement network of a public code: its weights, and the statistics that lie in a file beside them.

The files are those of M. Kocabas, S. Karagoz, E. Akbas (CVPR 2019): ``refiner.pth.tar`` and ``norm.pkl``.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.formats.pickled import load_pickled
from liftpose.models.refiner import Refiner
from liftpose.skeletons import SKELETONS
from liftpose.weights.published_lifter import skeletons_of_size
from liftpose.weights.published_network import PublishedNetwork
from liftpose.weights.resnet import plain_weights
from liftpose.weights.torch_files import read_checkpoint

__all__ = ["NORM_FILE", "is_refiner", "load_refiner", "read_refiner_statistics", "refiner_network"]

NORM_FILE: Final = "norm.pkl"
"""Name of the file with the statistics, which the weights lack."""

_STATISTICS: Final = ("input_mean", "input_std", "target_mean", "target_std")
_MILLIMETRES: Final = 1000
_MARKS: Final = {"w1.weight", "w3.weight", "w4.weight", "batch_norm3.weight"}
_PUBLISHED_ORDERS: Final = ("h36m_mpii_order_16", "mpii_16")


def is_refiner(content: Mapping[str, Any]) -> bool:
    """Return whether the contents of a file are those of a refinement network of the public code.

    Args:
        content: What :func:`liftpose.weights.read_checkpoint` gives.
    """
    saved = content.get("state_dict", content)
    return isinstance(saved, Mapping) and {str(name).removeprefix("module.") for name in saved} >= _MARKS


def refiner_network(
    content: Mapping[str, Any], where: str, statistics: Mapping[str, Tensor] | None
) -> PublishedNetwork | None:
    """Find a refinement network in the contents of a public code's file.

    Args:
        content: What :func:`liftpose.weights.read_checkpoint` gives.
        where: What it was read from, for messages.
        statistics: What :func:`read_refiner_statistics` gives; None leaves the network without, with means of 0 and
            deviations of 1.

    Returns:
        The network; None if the file is no such file.

    Raises:
        LiftposeError: The weights are not whole or for joints of no known skeleton, or the statistics are for another
            number of joints.
    """
    if not is_refiner(content):
        return None
    weights = plain_weights(content, where)
    if "w1.weight" not in weights or weights["w1.weight"].ndim != 2 or weights["w1.weight"].shape[1] % 3:
        raise LiftposeError(f"{where}: expected the weights of a refinement network, found others in w1.weight")
    channels, size = weights["w1.weight"].shape
    if statistics is None:
        statistics = {name: torch.full((size,), float(name.endswith("std"))) for name in _STATISTICS}
    for name, tensor in statistics.items():
        if tensor.shape != (size,):
            raise LiftposeError(
                f"{where}: expected {NORM_FILE} with {size} numbers each, found {len(tensor)} in {name}"
            )
    joints = size // 3 + 1
    orders = _PUBLISHED_ORDERS if joints == len(SKELETONS[_PUBLISHED_ORDERS[0]]) else skeletons_of_size(where, joints)
    told: dict[str, tuple[Any, ...]] = {"skeleton": orders, "channels": (channels,)}
    likely = {name: values[0] for name, values in told.items()}
    return PublishedNetwork("Refiner", Refiner, weights | dict(statistics), likely, (), lambda _: told)


def read_refiner_statistics(path: str | PathLike[str]) -> dict[str, Tensor]:
    """Read the means and deviations of a refinement network of the public code.

    Args:
        path: The file ``norm.pkl``: four arrays of one length, millimetres.

    Returns:
        ``input_mean``, ``input_std``, ``target_mean`` and ``target_std``, metres, float32.

    Raises:
        LiftposeError: The file is missing, is no such file, or a deviation is not above 0. Nothing in it was run.
    """
    try:
        with Path(path).open("rb") as stream:
            content = load_pickled(stream)
    except OSError as error:
        raise LiftposeError(
            f"{path}: expected the statistics of the refinement network, which its weights lack, found "
            f"{(error.strerror or str(error)).lower()}"
        ) from error
    except pickle.UnpicklingError as error:
        raise LiftposeError(f"{path}: expected four pickled arrays, found {error}") from error
    if not isinstance(content, list | tuple) or len(content) != len(_STATISTICS):
        raise LiftposeError(f"{path}: expected four pickled arrays, found a {type(content).__name__}")
    statistics = {}
    for name, array in zip(_STATISTICS, content, strict=True):
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise LiftposeError(f"{path}: expected an array of finite numbers for {name}, found another value")
        flat = array.astype(np.float64).reshape(-1)
        if name.endswith("std") and not (flat > 0).all():
            raise LiftposeError(f"{path}: expected deviations above 0 for {name}, found {flat.min():g}")
        statistics[name] = torch.from_numpy((flat / _MILLIMETRES).astype(np.float32))
    return statistics


def load_refiner(path: str | PathLike[str], norm: str | PathLike[str] | None = None, **options: Any) -> Refiner:
    """Build the refinement network in a file of the public code, ready for evaluation.

    Args:
        path: The file.
        norm: File with the statistics; ``norm.pkl`` beside the weights where none is given.
        options: Arguments of :class:`~liftpose.models.Refiner`. One that contradicts the weights is an error.

    Returns:
        The network in evaluation mode, float32, on the CPU.

    Raises:
        LiftposeError: A file cannot be read, or holds something else; the message names what differs.
    """
    statistics = read_refiner_statistics(Path(path).parent / NORM_FILE if norm is None else norm)
    found = refiner_network(read_checkpoint(path), str(path), statistics)
    if found is None:
        raise LiftposeError(f"{path}: expected weights of a refinement network, found others")
    return cast(Refiner, found.build(str(path), **options))
