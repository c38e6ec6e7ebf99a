"""What a keypoint detector makes of the true keypoints: a model of its errors and of the confidence it states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from liftpose.skeletons import H36M_17, Skeleton

__all__ = ["DetectorNoise", "detector_noise"]

# Standard deviation of a joint's error relative to the ``jitter`` of the model: the ends of the limbs are the hardest
# to find, trunk and head the easiest. Unknown joints count as 1.
_DIFFICULTY: Final = {
    "pelvis": 0.8,
    "spine": 0.8,
    "thorax": 0.7,
    "neck": 0.6,
    "head": 0.6,
    "hip": 1.0,
    "knee": 1.0,
    "ankle": 1.4,
    "shoulder": 0.8,
    "elbow": 1.1,
    "wrist": 1.5,
}


@dataclass(frozen=True)
class DetectorNoise:
    """How a detector errs. Lengths are shares of the person's height in the picture, times are frames, rates per frame.

    Args:
        jitter: Standard deviation of each coordinate of a joint of middling difficulty. 0.012 of 450 pixels is 5.4
            pixels.
        memory: Share of the jitter's variance that lasts from frame to frame.
        duration: Frames over which the lasting part forgets.
        hardness: Spread of the logarithm of the momentary difficulty, which both the error and the confidence follow.
        outlier_rate: Rate at which a joint is taken to be somewhere else.
        outlier_duration: Mean duration of that.
        outlier_size: Largest distance of an outlier from the truth.
        dropout_rate: Rate at which a joint is lost; its last position is then held.
        dropout_duration: Mean duration of that.
        swap_rate: Rate at which an arm or a leg is taken for the one of the other side.
        swap_duration: Mean duration of that.
    """

    jitter: float = 0.012
    memory: float = 0.6
    duration: float = 6.0
    hardness: float = 0.4
    outlier_rate: float = 0.002
    outlier_duration: float = 3.0
    outlier_size: float = 0.3
    dropout_rate: float = 0.001
    dropout_duration: float = 8.0
    swap_rate: float = 0.0008
    swap_duration: float = 5.0

    def standard_deviations(self, skeleton: Skeleton) -> npt.NDArray[np.float64]:
        """Return the jitter of every joint of a skeleton, (J,), relative to the height of the person in the picture."""
        return np.array([self.jitter * _DIFFICULTY.get(name.split("_")[-1], 1.0) for name in skeleton.joint_names])


def _spells(rng: np.random.Generator, shape: tuple[int, int], rate: float, duration: float) -> npt.NDArray[np.bool_]:
    """Draw the frames, (N, K), of something that begins at ``rate`` and ends after ``duration`` frames in the mean."""
    frames = shape[0]
    begins = rng.random(shape) < rate
    lengths = rng.geometric(1.0 / max(1.0, duration), shape)
    ends = np.where(begins, np.arange(frames)[:, None] + lengths, 0)
    return np.maximum.accumulate(ends, axis=0) > np.arange(frames)[:, None]


def _lasting(rng: np.random.Generator, shape: tuple[int, ...], duration: float) -> npt.NDArray[np.float64]:
    """Draw Gaussian curves (N, ...) of standard deviation 1 that forget exponentially: first-order autoregression."""
    keep = float(np.exp(-1.0 / duration))
    fresh = rng.standard_normal(shape)
    fresh[1:] *= np.sqrt(1.0 - keep**2)
    for i in range(1, len(fresh)):
        fresh[i] += keep * fresh[i - 1]
    return fresh


def _swapped(
    points: npt.NDArray[np.float64], rng: np.random.Generator, noise: DetectorNoise, skeleton: Skeleton
) -> npt.NDArray[np.float64]:
    """Exchange arms or legs of left and right in rare spells."""
    result = points.copy()
    mirror = dict(zip(skeleton.left, skeleton.right, strict=True))
    for limb in ("left_arm", "left_leg"):
        left = [j for j in skeleton.parts.get(limb, ()) if j in mirror]
        right = [mirror[j] for j in left]
        when = np.flatnonzero(_spells(rng, (len(points), 1), noise.swap_rate, noise.swap_duration)[:, 0])
        result[when[:, None], left + right] = points[when[:, None], right + left]
    return result


def detector_noise(
    keypoints_2d: npt.NDArray[np.floating],
    rng: np.random.Generator,
    image_size: tuple[float, float],
    noise: DetectorNoise | None = None,
    skeleton: Skeleton = H36M_17,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Turn true keypoints into those that a detector might have found.

    Every joint trembles, partly from frame to frame and partly for longer, more where it is harder to find; now and
    then a joint jumps elsewhere, is lost and held where it was last seen, or a limb is taken for that of the other
    side. The confidence falls with the size of the error without betraying it, and is low for lost joints. Everything
    stays finite and inside the picture.

    Args:
        keypoints_2d: (N, J, 2) pixels, finite, successive frames of one recording.
        rng: Source of all draws. Equal generators give equal results.
        image_size: Width and height of the picture in pixels.
        noise: How the detector errs, by default roughly like a good detector on Human3.6M.
        skeleton: Joint order of the keypoints.

    Returns:
        (N, J, 2) float32 pixels, and (N, J) float32 confidence from 0 to 1.

    Raises:
        ValueError: The keypoints do not have the skeleton's joints.
    """
    noise = noise or DetectorNoise()
    truth = np.asarray(keypoints_2d, dtype=np.float64)
    if truth.ndim != 3 or truth.shape[1:] != (len(skeleton), 2):
        raise ValueError(f"keypoints: expected the shape (frames, {len(skeleton)}, 2), found {truth.shape}")
    frames, joints = truth.shape[:2]
    height = _person_height(truth)
    points = _swapped(truth, rng, noise, skeleton)
    hard = np.exp(noise.hardness * _lasting(rng, (frames, joints), 2.0 * noise.duration) - noise.hardness**2)
    jitter = np.sqrt(noise.memory) * _lasting(rng, truth.shape, noise.duration)
    jitter += np.sqrt(1.0 - noise.memory) * rng.standard_normal(truth.shape)
    points += jitter * (hard * noise.standard_deviations(skeleton) * height[:, None])[..., None]
    away = _spells(rng, (frames, joints), noise.outlier_rate, noise.outlier_duration)
    angle, distance = (
        rng.uniform(0.0, 2.0 * np.pi, away.shape),
        rng.uniform(0.2, 1.0, away.shape) * noise.outlier_size * height[:, None],
    )
    points += np.where(away, distance, 0.0)[..., None] * np.stack((np.cos(angle), np.sin(angle)), axis=-1)
    lost = _spells(rng, (frames, joints), noise.dropout_rate, noise.dropout_duration)
    lost[0] = False
    seen = np.maximum.accumulate(np.where(lost, 0, np.arange(frames)[:, None]), axis=0)
    points = np.take_along_axis(points, seen[..., None], axis=0)
    points = np.clip(points, 0.0, np.array(image_size) - 1.0)

    error = np.linalg.norm(points - truth, axis=-1) / height[:, None]
    score = np.exp(-error / (4.0 * noise.jitter + 1e-9)) * np.exp(-0.25 * (hard - 1.0))
    score = np.clip(0.15 + 0.85 * score + 0.06 * rng.standard_normal(score.shape), 0.05, 1.0)
    score = np.where(lost, rng.uniform(0.0, 0.1, score.shape), score)
    return points.astype(np.float32), score.astype(np.float32)


def _person_height(keypoints: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the size of the person in the picture, (N,) pixels: the longer side of the box round all joints."""
    return np.asarray(np.maximum((keypoints.max(axis=1) - keypoints.min(axis=1)).max(axis=-1), 1.0))
