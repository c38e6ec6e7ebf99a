"""What all sets of pictures of the synthetic people share: a picture, somebody's build, the noise of sensors."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from liftpose.data.synthetic.body import make_person
from liftpose.data.synthetic.shapes import Build
from liftpose.data.synthetic.signals import derive_generator

__all__ = ["Photograph", "make_build", "sensor_noise"]


class Photograph(NamedTuple):
    """One picture.

    Attributes:
        file: Its name, relative to the folder of the set.
        pixels: (H, W, 3) uint8, RGB.
        quality: Quality at which it is to be stored as a JPEG file, 0 to 100.
    """

    file: str
    pixels: npt.NDArray[np.uint8]
    quality: int


def make_build(seed: int, name: str) -> Build:
    """Return what the body of a synthetic person looks like.

    Args:
        seed: Seed of the data set.
        name: Name of the person.
    """
    rng = derive_generator(seed, name, "build")
    return Build(
        stature=make_person(name, seed).stature,
        girth=float(rng.uniform(0.9, 1.15)),
        belly=float(rng.uniform(0.92, 1.15)),
        shoulders=float(rng.uniform(0.9, 1.1)),
        hair=float(rng.choice((0.0, 0.15, 0.6, 1.0), p=(0.35, 0.35, 0.15, 0.15))),
    )


@cache
def sensor_noise() -> npt.NDArray[np.float32]:
    """Return (1024, 1024, 3) standard normal noise that all sensors share: every picture has another part of it."""
    return np.random.default_rng(20260101).standard_normal((1024, 1024, 3), dtype=np.float32)
