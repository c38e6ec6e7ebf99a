"""Where the coordinates stand that RIE's networks for body parts read and write, as tables of columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import product

import torch
from torch import Tensor

__all__ = ["joint_columns", "part_columns", "raw_columns"]


def part_columns(parts: Mapping[str, Sequence[int]], joints: int) -> Tensor:
    """Return (parts, 6 n): where each part's channels stand in the flattened encoding of all joints."""
    widest = 6 * max(map(len, parts.values()))
    columns = []
    for members in parts.values():
        own = [2 * (kind * joints + joint) + axis for kind in range(3) for joint in members for axis in range(2)]
        columns.append(own + own[:1] * (widest - len(own)))
    return torch.tensor(columns)


def raw_columns(parts: Mapping[str, Sequence[int]], joints: int, root: int, width: int) -> tuple[Tensor, Tensor]:
    """Tell which coordinates the first convolution of each part depends on, and how its encodings follow from them.

    With weights [Wx | Wp | Wd] for position, offset from the root and motion to the current frame, the convolution is
    (Wx + Wp + Wd) x - (sum of Wp over the joints) x_root - (sum of Wd over the frames) x_current.

    Returns:
        (parts, K) where they stand in a group of ``width`` frames followed by the current frame, flattened, and
        (parts, K, width * 6 n), n the joints of the largest part: what each adds to each channel of each frame.
    """
    channels = 6 * max(map(len, parts.values()))
    tables: list[dict[int, dict[int, float]]] = []
    for members in parts.values():
        table: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))
        for frame, (place, joint), axis in product(range(width), enumerate(members), range(2)):
            position, offset, motion = (
                frame * channels + 2 * (kind * len(members) + place) + axis for kind in range(3)
            )
            own, of_root, now = (
                2 * (f * joints + j) + axis for f, j in ((frame, joint), (frame, root), (width, joint))
            )
            for column, channel, share in (
                (own, position, 1.0),
                (own, offset, 1.0),
                (own, motion, 1.0),
                (of_root, offset, -1.0),
                (now, motion, -1.0),
            ):
                table[column][channel] += share
        tables.append(table)
    columns = torch.zeros(len(tables), max(map(len, tables)), dtype=torch.long)
    encoding = torch.zeros(*columns.shape, width * channels)
    for part, table in enumerate(tables):
        for row, column in enumerate(sorted(table)):
            columns[part, row] = column
            for channel, share in table[column].items():
                encoding[part, row, channel] = share
    return columns, encoding


def joint_columns(parts: Mapping[str, Sequence[int]]) -> Tensor:
    """Return (3 J,): where each joint's coordinates stand in the decoders' padded outputs, one part after the other."""
    widest = 3 * max(map(len, parts.values()))
    start = {
        joint: branch * widest + 3 * place
        for branch, members in enumerate(parts.values())
        for place, joint in enumerate(members)
    }
    return torch.tensor([start[joint] + axis for joint in sorted(start) for axis in range(3)])
