"""Finding what is wrong with poses and keypoints: given arrays, no files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from liftpose.skeletons import Skeleton

__all__ = [
    "FROZEN_FRAMES",
    "HUMAN_LEGS",
    "Finding",
    "Level",
    "Normalised",
    "Unit",
    "has_another_rate",
    "inspect_keypoints",
    "inspect_poses",
    "leg_length",
    "length_unit",
    "merge_findings",
    "normalisation_of",
    "sample_frames",
    "standing_direction",
]

Float64Array = npt.NDArray[np.float64]
Level = Literal["error", "warning", "note"]

HUMAN_LEGS = (0.5, 1.2)
"""Metres from hip to ankle along the leg, from a child to a tall adult."""

FROZEN_FRAMES = 50
"""Equal frames in a row from which on a recording counts as frozen: a second of Human3.6M."""

_TYPICAL_LEG = 0.87  # metres, the mean of Human3.6M's adults
_NORMALISED = 1.5  # screen coordinates reach from -1 to 1, and a little farther for people at the border
_LOST_SHARE = 0.001
_OUTSIDE = 0.5  # people may walk out of a picture, but not most of a take
_FRAMES = 200  # of a take, enough for what does not change within it
_ANOTHER_RATE = 1.5
_SURPLUS = 25  # a take of a few frames may have some more without having another rate


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Args:
        level: "error" for what spoils a result or is refused by the readers, "warning" for what may, "note" for what is
            worth knowing.
        kind: What it is about, such as ``"unit"``; findings of one kind and one level are one line in a report.
        place: Where, such as ``"S9/Walking 1.2"`` (subject, take and view).
        expected: What should be there.
        found: What is there.
        cure: What mends it, one sentence without a full stop; empty where nothing has to be done.
        count: Number of places that this finding stands for.
    """

    level: Level
    kind: str
    place: str
    expected: str
    found: str
    cure: str = ""
    count: int = 1

    def line(self, where: str) -> str:
        """Write the finding as one line.

        Args:
            where: The file that it is about.
        """
        more = f" (and {self.count - 1} more)" if self.count > 1 else ""
        place = f" {self.place}{more}:" if self.place else ""
        cure = f"; {self.cure}" if self.cure else ""
        return f"{self.level}: {where}:{place} expected {self.expected}, found {self.found}{cure}"


def merge_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Join findings of one kind and level into the first of them, which counts the others.

    Args:
        findings: Findings of one file.

    Returns:
        Errors first, then warnings, then notes; otherwise in the order of their first appearance.
    """
    merged: dict[tuple[Level, str], Finding] = {}
    for finding in findings:
        key = finding.level, finding.kind
        merged[key] = replace(merged[key], count=merged[key].count + finding.count) if key in merged else finding
    order = ("error", "warning", "note")
    return sorted(merged.values(), key=lambda finding: order.index(finding.level))


def sample_frames(frames: int, count: int) -> npt.NDArray[np.int64]:
    """Choose frames of a recording that are spread evenly over it.

    Args:
        frames: Number of frames of the recording.
        count: How many are wanted at most.

    Returns:
        (at most count,) increasing indices, the first and the last frame among them.
    """
    return np.unique(np.linspace(0, frames - 1, min(frames, count)).round().astype(np.int64))


class Unit(NamedTuple):
    """A unit of length.

    Args:
        name: Its name in the plural.
        per_metre: How many make a metre.
    """

    name: str
    per_metre: float


_UNITS = (Unit("metres", 1.0), Unit("millimetres", 1000.0), Unit("centimetres", 100.0), Unit("kilometres", 0.001))


def leg_length(poses: Float64Array, skeleton: Skeleton) -> float | None:
    """Measure the legs from hip over knee to ankle: a length that no pose changes.

    Args:
        poses: (N, J, 3) any unit, world or camera frame; frames that are not finite do not count.
        skeleton: Joint order.

    Returns:
        Median over frames and both legs in the unit of the poses; None where the skeleton has no such joints or no
        frame is finite.
    """
    lengths = []
    for side in ("left", "right"):
        names = [f"{side}_{joint}" for joint in ("hip", "knee", "ankle")]
        if not set(names) <= set(skeleton.joint_names):
            return None
        hip, knee, ankle = (poses[:, skeleton.index(name)] for name in names)
        lengths.append(np.linalg.norm(knee - hip, axis=-1) + np.linalg.norm(ankle - knee, axis=-1))
    finite = np.concatenate(lengths)
    finite = finite[np.isfinite(finite)]
    return float(np.median(finite)) if len(finite) else None


def length_unit(leg: float) -> Unit:
    """Tell the unit of a leg's length: the one in which it is nearest to that of an adult.

    Args:
        leg: Length from hip over knee to ankle, above 0.

    Returns:
        Metres, millimetres, centimetres or kilometres.

    Example:
        >>> length_unit(903.0).name
        'millimetres'
    """
    return min(_UNITS, key=lambda unit: abs(np.log(leg / (_TYPICAL_LEG * unit.per_metre))))


def inspect_poses(place: str, poses: npt.NDArray[Any], skeleton: Skeleton) -> list[Finding]:
    """Look for what is wrong with the poses of one take.

    Args:
        place: Subject and take.
        poses: (N, J, 3) world frame, should be metres.
        skeleton: Joint order.

    Returns:
        What was found: coordinates that are not finite, another unit than metres, legs that no human has, frozen
        frames.
    """
    if len(poses) == 0:
        return [Finding("error", "empty", place, "frames", "none", "leave the take out or make it again")]
    findings = _finite(place, poses, "take the poses from the source again, or leave the take out")
    leg = leg_length(np.asarray(poses[sample_frames(len(poses), _FRAMES)], np.float64), skeleton)
    if leg is not None and leg > 0:
        unit = length_unit(leg)
        if unit.name != "metres":
            cure = f"divide the 3D poses by {unit.per_metre:g}"
            if unit.per_metre < 1:  # metres that were divided by 1000 as if they had been millimetres
                cure = f"multiply the 3D poses by {1 / unit.per_metre:g}"
            found = f"{unit.name} (legs of {leg:.4g} from hip to ankle)"
            findings.append(Finding("error", f"unit {unit.name}", place, "metres", found, cure))
        elif not HUMAN_LEGS[0] <= leg <= HUMAN_LEGS[1]:
            low, high = HUMAN_LEGS
            found = f"legs of {leg:.2f} m"
            cure = "look whether unit and joint order are those of the description"
            findings.append(Finding("warning", "legs", place, f"legs of {low} to {high} m", found, cure))
    return findings + _frozen(place, poses)


def standing_direction(poses: Float64Array, skeleton: Skeleton) -> Float64Array | None:
    """Measure which way people stand: from the ankles to the shoulders.

    Args:
        poses: (N, J, 3) any unit, world frame.
        skeleton: Joint order.

    Returns:
        (3,) mean of the unit vectors of all finite frames; shorter than 1 where they differ. None without such joints
        or frames.
    """
    names = ["left_ankle", "right_ankle", "left_shoulder", "right_shoulder"]
    if not set(names) <= set(skeleton.joint_names):
        return None
    left_ankle, right_ankle, left_shoulder, right_shoulder = (poses[:, skeleton.index(name)] for name in names)
    upwards = left_shoulder + right_shoulder - left_ankle - right_ankle
    length = np.linalg.norm(upwards, axis=-1)
    good = np.isfinite(length) & (length > 0)
    if not good.any():
        return None
    mean: Float64Array = (upwards[good] / length[good, None]).mean(axis=0)
    return mean


class Normalised(NamedTuple):
    """How keypoints were brought from pixels to numbers about 1.

    Args:
        name: The convention in words.
        cure: How pixels are had again.
    """

    name: str
    cure: str

    def pixels(self, points: Float64Array, size: tuple[float, float]) -> Float64Array:
        """Bring keypoints back to pixels.

        Args:
            points: (..., 2) normalised.
            size: Width and height of the picture.
        """
        width, height = size
        screen = (points + np.array([1.0, height / width])) * (width / 2)
        pixels: Float64Array = screen if self is _SCREEN else points * np.array([width, height])
        return pixels


_SCREEN = Normalised("screen coordinates from -1 to 1", "pixels are (x + 1) w / 2 and (y + h / w) w / 2")
_SHARES = Normalised("shares of the picture from 0 to 1", "pixels are x w and y h")


def normalisation_of(points: npt.NDArray[Any]) -> Normalised | None:
    """Tell whether keypoints are pixels or were normalised already.

    Args:
        points: (N, J, 2) keypoints of one view, of which some frames are looked at; those at (0, 0) or not finite do
            not count.

    Returns:
        None for pixels; otherwise the convention, the published screen coordinates or shares of the picture.
    """
    points = points[sample_frames(len(points), _FRAMES)] if len(points) else points
    x, y = points[..., 0], points[..., 1]
    counts = np.isfinite(x) & np.isfinite(y) & ((x != 0) | (y != 0))
    seen = points[counts]
    if len(seen) == 0 or (np.abs(seen) <= _NORMALISED).all(axis=-1).mean() < 0.99:
        return None
    return _SCREEN if seen.min() < 0 else _SHARES


def has_another_rate(count: int, frames: int) -> bool:
    """Return whether ``count`` frames of keypoints are too many to be the ``frames`` of poses with some surplus."""
    return count > frames * _ANOTHER_RATE and count > frames + _SURPLUS


def inspect_keypoints(
    place: str, points: npt.NDArray[Any], frames: int | None, size: Sequence[float] | None = None
) -> list[Finding]:
    """Look for what is wrong with the keypoints of one view, seen by themselves.

    Args:
        place: Subject, take and view.
        points: (M, J, 2) or with confidence (M, J, 3), should be pixels.
        frames: Number of frames of the poses; None where there are none.
        size: Width and height of the picture; None where they are unknown.

    Returns:
        What was found: too few or surplus frames, coordinates that are not finite, normalised ones, most joints outside
        the picture, joints at (0, 0), frozen frames, confidences that are none.
    """
    findings: list[Finding] = []
    count = len(points)
    if frames is not None and count < frames:
        found = f"{count}, {frames - count} too few"
        cure = "take the keypoints of the whole video, or leave the take out of both files"
        findings.append(Finding("error", "shorter", place, f"keypoints for the {frames} frames of 3D", found, cure))
    elif frames is not None and has_another_rate(count, frames):
        found = f"{count}, {count / frames:.2f} times as many"
        cure = "bring both to one frame rate"
        findings.append(Finding("error", "rate", place, f"keypoints for the {frames} frames of 3D", found, cure))
    elif frames is not None and count > frames:
        found = f"{count}, {count - frames} more"
        cure = "the readers leave out the surplus frames at the end"
        findings.append(Finding("note", "longer", place, f"keypoints for the {frames} frames of 3D", found, cure))
    if count == 0:
        return findings
    findings += _finite(place, points, "fill them from the frames before and behind, or leave the take out")
    normalised = normalisation_of(points[..., :2])
    if normalised is not None:
        cure = f"the readers normalise themselves: {normalised.cure}"
        findings.append(Finding("error", f"pixels {normalised.name}", place, "pixels", normalised.name, cure))
    elif size is not None:
        seen = points[sample_frames(count, _FRAMES), :, :2]
        outside = float(((seen < -1) | (seen > np.array(size))).any(axis=-1).mean())
        if outside > _OUTSIDE:
            expected, found = (
                f"people in pictures of {size[0]:g} x {size[1]:g}",
                f"{100 * outside:.0f} % of joints outside",
            )
            cure = "compare image_size of the description with the videos"
            findings.append(Finding("warning", "outside", place, expected, found, cure))
    lost = float(((points[..., 0] == 0) & (points[..., 1] == 0)).mean())
    if lost > _LOST_SHARE:
        found = f"{100 * lost:.1f} % of them at (0, 0), a detector's mark for what it has not found"
        cure = "fill them from the frames before and behind, or make them again (liftpose data detections)"
        findings.append(Finding("warning", "lost", place, "joints in the picture", found, cure))
    if points.shape[2] == 3:
        scores = points[..., 2][np.isfinite(points[..., 2])]
        if scores.size and (scores.min() < 0 or scores.max() > 1):
            found = f"numbers from {scores.min():.3g} to {scores.max():.3g}"
            findings.append(Finding("note", "confidence", place, "confidences from 0 to 1", found))
    return findings + _frozen(place, points[..., :2])


def _finite(place: str, array: npt.NDArray[Any], cure: str) -> list[Finding]:
    finite = np.isfinite(array)
    if finite.all():
        return []
    bad = ~finite.all(axis=-1)
    frame, joint = (int(i) for i in np.argwhere(bad)[0])
    frames = int(bad.any(axis=1).sum())
    found = f"others in {frames} of {len(array)} frames, first in frame {frame} at joint {joint}"
    return [Finding("error", "finite", place, "finite coordinates", found, cure)]


def _frozen(place: str, array: npt.NDArray[Any]) -> list[Finding]:
    """Look for a long run of frames that are equal to the last bit."""
    equal = (array[1:, 0] == array[:-1, 0]).all(axis=1)
    if equal.sum() + 1 < FROZEN_FRAMES:
        return []  # the first joint moves: nothing else has to be looked at
    equal = (array[1:] == array[:-1]).reshape(len(array) - 1, -1).all(axis=1)
    if not equal.any():
        return []
    edges = np.flatnonzero(np.diff(np.concatenate([[0], equal.astype(np.int8), [0]]))).reshape(-1, 2)
    start, stop = edges[np.argmax(edges[:, 1] - edges[:, 0])]
    if stop - start + 1 < FROZEN_FRAMES:
        return []
    found = f"{stop - start + 1} equal frames in a row from frame {start} on"
    return [Finding("warning", "frozen", place, "motion", found, "look whether the source lost the person there")]
