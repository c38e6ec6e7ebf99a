"""Smooth curves over time: what the movements of the synthetic people are made of."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

__all__ = ["FloatArray", "derive_generator", "plateau", "ramp", "smooth", "wander"]

FloatArray = npt.NDArray[np.float64]


def derive_generator(seed: int, *names: str) -> np.random.Generator:
    """Return a random generator that depends on the seed and the names only, not on what was drawn before.

    Args:
        seed: Seed of the whole data set.
        names: What the generator is for, such as the person and the take.

    Returns:
        A fresh generator; equal arguments give equal draws.
    """
    digest = hashlib.sha256("\0".join((str(seed), *names)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def ramp(t: FloatArray, start: float, duration: float) -> FloatArray:
    """Return a rise from 0 to 1 with no velocity and no acceleration at either end (the curve of least jerk).

    Args:
        t: (N,) seconds.
        start: Seconds at which the rise begins.
        duration: Seconds that it takes, more than 0.

    Returns:
        (N,) from 0 to 1.

    Example:
        >>> ramp(np.array([0.0, 1.0, 1.5, 2.0, 9.0]), 1.0, 1.0).tolist()
        [0.0, 0.0, 0.5, 1.0, 1.0]
    """
    x = np.clip((t - start) / duration, 0.0, 1.0)
    return np.asarray(x**3 * (10.0 + x * (6.0 * x - 15.0)))


def plateau(t: FloatArray, start: float, rise: float, hold: float, fall: float) -> FloatArray:
    """Return a curve that rises from 0 to 1, stays there and falls back to 0, all in ``ramp``'s manner.

    Args:
        t: (N,) seconds.
        start: Seconds at which the rise begins.
        rise: Seconds of the rise, more than 0.
        hold: Seconds at 1.
        fall: Seconds of the fall, more than 0.

    Returns:
        (N,) from 0 to 1.
    """
    return ramp(t, start, rise) - ramp(t, start + rise + hold, fall)


def smooth(values: FloatArray, frames: float) -> FloatArray:
    """Return a curve filtered by a Gaussian; the ends are continued by their last values.

    Args:
        values: (N, ...) curves over time.
        frames: Standard deviation of the Gaussian in frames, more than 0.

    Returns:
        (N, ...) filtered curves.
    """
    radius = max(1, int(np.ceil(4.0 * frames)))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / frames) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(values, [(radius, radius)] + [(0, 0)] * (values.ndim - 1), mode="edge")
    flat = padded.reshape(len(padded), -1)
    columns = [np.convolve(flat[:, i], kernel, mode="valid") for i in range(flat.shape[1])]
    return np.stack(columns, axis=1).reshape(values.shape)


def wander(rng: np.random.Generator, t: FloatArray, count: int, period: float) -> FloatArray:
    """Return slow irregular curves: what a body that stands still does.

    Args:
        rng: Source of the draws.
        t: (N,) seconds.
        count: Number of independent curves.
        period: Seconds that a typical swing takes.

    Returns:
        (N, count) with mean 0 and standard deviation about 1: each a sum of five sinusoids of random frequency and
        phase.
    """
    frequency = 2.0 * np.pi / period * rng.uniform(0.3, 1.7, (5, count))
    phase = rng.uniform(0.0, 2.0 * np.pi, (5, count))
    return np.asarray(np.sin(t[:, None, None] * frequency + phase).sum(axis=1) * np.sqrt(2.0 / 5.0))
