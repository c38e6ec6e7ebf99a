"""What a conversion of motion capture did, in numbers."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from liftpose.data.inspection import HUMAN_LEGS
from liftpose.skeletons import H36M_17

__all__ = ["ClipReport", "MocapReport"]

LEAST_UPRIGHT = 50
"""Per cent of the frames in which the head is above the pelvis, unless somebody does a handstand all the time."""


@dataclass(frozen=True)
class ClipReport:
    """What became of one piece of a clip.

    Args:
        file: The motion capture file, relative to the folder.
        subject: The person in the data set.
        action: The recording in the data set.
        start: First frame of the piece in the clip, at the frame rate of the data set.
        frames: Number of frames.
        heading: Degrees by which the clip was turned about the vertical, counter-clockwise from above.
        shift: Metres added to x and y after the turn.
        retargeted: The motion was put on another body before it came here.
        note: The remark that came with the clip.
    """

    file: str
    subject: str
    action: str
    start: int
    frames: int
    heading: float
    shift: tuple[float, float]
    retargeted: bool
    note: str


@dataclass
class MocapReport:
    """What a conversion did.

    Args:
        fps: Frames per second of the result.
        clips: Number of files read.
        whole: Number of clips that stayed in one piece.
        source_frames: Frames read, without those to skip.
        frames: Frames after resampling.
        unseen: Frames cut because no camera saw all of the person.
        invalid: Frames cut because a joint was behind a camera or far outside its image.
        short: Frames cut because they stood alone between others that were cut.
        seen: Pairs of a kept frame and a camera that sees all of the person.
        pairs: Pairs of a kept frame and a camera.
        legs: Of every clip, the median length of a leg from hip to ankle, in metres.
        upright: Frames in which the head is above the pelvis.
        pieces: The recordings, one entry for all cameras.
        splits: "train", "validation", "test" -> subjects.
        files: What was written.
    """

    fps: float
    clips: int = 0
    whole: int = 0
    source_frames: int = 0
    frames: int = 0
    unseen: int = 0
    invalid: int = 0
    short: int = 0
    seen: int = 0
    pairs: int = 0
    legs: list[float] = field(default_factory=list)
    upright: int = 0
    pieces: list[ClipReport] = field(default_factory=list)
    splits: dict[str, list[str]] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)

    def add_people(self, joints: npt.NDArray[np.float64]) -> None:
        """Take note of how large a person is and which way up, by which a wrong unit or axis shows.

        Args:
            joints: (N, 17, 3) metres, z up, in the joint order ``liftpose.skeletons.H36M_17``.
        """
        leg = joints[:, [H36M_17.index(f"right_{name}") for name in ("hip", "knee", "ankle")]]
        self.legs.append(float(np.median(np.linalg.norm(np.diff(leg, axis=1), axis=2).sum(axis=1))))
        self.upright += int((joints[:, H36M_17.index("head"), 2] > joints[:, H36M_17.root, 2]).sum())

    @property
    def kept(self) -> int:
        """Frames in the result."""
        return sum(piece.frames for piece in self.pieces)

    def frames_of(self, side: str) -> int:
        """Frames of the training, validation or test subjects."""
        return sum(piece.frames for piece in self.pieces if piece.subject in self.splits.get(side, ()))

    def lines(self) -> list[str]:
        """The report as lines to print."""
        cut = self.unseen + self.invalid + self.short
        reasons = (
            f"{self.unseen} seen by no camera, {self.invalid} behind a camera or far outside an image, "
            f"{self.short} alone between such"
        )
        kept = f"{self.kept} kept ({self.kept / self.fps / 60:.1f} minutes)"
        share_seen = 100 * self.seen / max(self.pairs, 1)
        shifts = [math.hypot(*piece.shift) for piece in self.pieces] or [0.0]
        longest = max(shifts)
        lines = [
            f"clips: {self.clips}, {self.whole} of them in one piece; recordings: {len(self.pieces)} in every camera",
            f"frames: {self.source_frames} read, {self.frames} at {self.fps:g} Hz, {kept}",
            self.people_line(),
            f"re-centred: every recording, {median(shifts):.2f} m on the ground in the median, {longest:.2f} m at most",
            f"cut: {cut} frames ({reasons})",
            f"all joints inside the image: {share_seen:.2f} % of the {self.pairs} pairs of frame and camera",
        ]
        for side, subjects in self.splits.items():
            share = 100 * self.frames_of(side) / max(self.kept, 1)
            lines.append(f"{side}: {self.frames_of(side)} frames ({share:.0f} %), {', '.join(subjects) or 'nobody'}")
        groups: Counter[str] = Counter()
        for piece in self.pieces:
            groups[piece.action.split(" ", maxsplit=1)[0]] += piece.frames
        lines.append("actions: " + ", ".join(f"{group} {frames}" for group, frames in sorted(groups.items())))
        return lines

    def people_line(self) -> str:
        """Say how large people are and which way up, and what to look at where neither is human."""
        leg = median(self.legs or [0.0])
        share = 100 * self.upright / max(self.frames, 1)
        advice = []
        if not HUMAN_LEGS[0] <= leg <= HUMAN_LEGS[1]:
            advice.append(f"expected {HUMAN_LEGS[0]:g} to {HUMAN_LEGS[1]:g} m: look at `unit`")
        if share < LEAST_UPRIGHT:
            advice.append(f"expected above in {LEAST_UPRIGHT} % or more: look at `up`")
        line = f"people: legs of {leg:.2f} m from hip to ankle, head above the pelvis in {share:.0f} % of the frames"
        return "; ".join((line, *advice))
