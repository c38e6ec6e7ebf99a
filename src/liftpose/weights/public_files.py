"""Files of papers' public codes: which network is in one, whatever it is for."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from liftpose.weights.integral import integral_network
from liftpose.weights.published import published_lifter
from liftpose.weights.published_network import PublishedNetwork
from liftpose.weights.refiner import NORM_FILE, is_refiner, read_refiner_statistics, refiner_network

__all__ = ["published_network"]


def published_network(content: Mapping[str, Any], where: str, path: str | PathLike[str]) -> PublishedNetwork | None:
    """Find a network in the contents of a file of a paper's public code.

    Args:
        content: What :func:`liftpose.weights.read_checkpoint` gives.
        where: What it was read from, for messages.
        path: The file. The statistics of a refinement network are read from ``norm.pkl`` beside it.

    Returns:
        The network: a lifter, one that finds joints in pictures, or one that corrects poses; None if the file is no
        such file.

    Raises:
        LiftposeError: The weights are not whole, are those of another network, or are for joints of no known skeleton;
            or the statistics are missing.
    """
    if is_refiner(content):
        return refiner_network(content, where, read_refiner_statistics(Path(path).parent / NORM_FILE))
    return integral_network(content, where) or published_lifter(content, where)
