"""Loading a Human3.6M of full size: each way in a process of its own, because memory is measured too.

``python loading.py WAY FOLDER`` loads once and prints the seconds of the processor, those of the clock on the wall and
the largest memory in MB beyond what the imports take.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

__all__ = ["WAYS", "Cost", "measure_loading", "write_full_size"]

FRAMES = 525_000
"""Frames of Human3.6M, each seen by four cameras."""
SUBJECTS = ("S1", "S5", "S6", "S7", "S8", "S9", "S11")
ACTIONS = "Directions Discussion Eating Greeting Phoning Photo Posing Purchases Sitting SittingDown Smoking Waiting"
ACTIONS += " WalkDog Walking WalkTogether"


class Cost(NamedTuple):
    """What a way of loading costs: seconds of the processor and of the wall, MB at most."""

    processor: float
    wall: float
    memory: float


def write_full_size(folder: Path, frames: int = FRAMES, compressed: bool = True) -> Path:
    """Write 30 takes of seven people with numpy alone: 32 slots, four cameras of 17 keypoints, random walks."""
    rng = np.random.default_rng(0)
    lengths = np.full(30 * len(SUBJECTS), frames // (30 * len(SUBJECTS))) + rng.integers(-9, 10, 30 * len(SUBJECTS))
    each = iter(lengths.clip(1).tolist())
    poses: dict[str, dict[str, Any]] = {}
    keypoints: dict[str, dict[str, list[Any]]] = {}
    for subject in SUBJECTS:
        poses[subject], keypoints[subject] = {}, {}
        for name in (f"{action}{take}" for action in ACTIONS.split() for take in ("", " 1")):
            count = next(each)
            steps = rng.standard_normal((count, 32, 3), dtype=np.float32)
            poses[subject][name] = np.cumsum(0.005 * steps, axis=0)
            keypoints[subject][name] = [
                500 + np.cumsum(rng.standard_normal((count, 17, 2), dtype=np.float32), axis=0) for _ in range(4)
            ]
    metadata = {
        "layout_name": "h36m",
        "num_joints": 17,
        "keypoints_symmetry": [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]],
    }
    save = np.savez_compressed if compressed else np.savez
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / "data_3d_h36m.npz", positions_3d=np.array(poses, dtype=object))
    save(
        folder / "data_2d_h36m_gt.npz",
        positions_2d=np.array(keypoints, dtype=object),
        metadata=np.array(metadata, dtype=object),
    )
    return folder


# The imports stand in the functions, which return what is to be timed without them.
def _by_numpy(folder: Path) -> Callable[[], Any]:
    def load() -> Any:
        with np.load(folder / "data_3d_h36m.npz", allow_pickle=True) as file:
            poses = file["positions_3d"].item()
        with np.load(folder / "data_2d_h36m_gt.npz", allow_pickle=True) as file:
            return poses, file["positions_2d"].item()

    return load


def _by_reader(folder: Path) -> Callable[[], Any]:
    from liftpose.formats import read_h36m

    return lambda: read_h36m(folder / "data_3d_h36m.npz", folder / "data_2d_h36m_gt.npz", subjects=SUBJECTS)


def _by_cache(folder: Path) -> Callable[[], Any]:
    from liftpose.formats.cache import read_h36m_cached

    files = folder / "data_3d_h36m.npz", folder / "data_2d_h36m_gt.npz"
    return lambda: read_h36m_cached(folder / "cache", *files, subjects=SUBJECTS)


def _setup(folder: Path, cache: str | None = None) -> Callable[[], Any]:
    import torch

    from liftpose.datamodules import H36MDataModule, WindowShape

    torch.set_num_threads(1)
    data = H36MDataModule(str(folder), window=WindowShape(243, False), cache=cache)

    def load() -> Any:
        data.setup("fit")
        return data

    return load


WAYS: dict[str, Callable[[Path], Callable[[], Any]]] = {
    "np.load(allow_pickle=True)[...].item()": _by_numpy,
    "read_h36m": _by_reader,
    "read_h36m_cached, the first time": _by_cache,
    "read_h36m_cached, the second time": _by_cache,
    "H36MDataModule.setup('fit')": _setup,
    "H36MDataModule.setup('fit') from the cache": lambda folder: _setup(folder, str(folder / "cache")),
}


def _megabytes() -> float:
    """Return the largest memory so far; what the system calls ``ru_maxrss`` starts with that of the parent."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def measure_loading(way: str, folder: Path) -> Cost:
    """Load once in a process of its own."""
    run = subprocess.run(
        [sys.executable, __file__, way, str(folder)], capture_output=True, text=True, check=True, timeout=600
    )
    return Cost(*json.loads(run.stdout))


if __name__ == "__main__":
    load = WAYS[sys.argv[1]](Path(sys.argv[2]))
    memory, processor, wall = _megabytes(), time.process_time(), time.perf_counter()
    loaded = load()
    print(json.dumps([time.process_time() - processor, time.perf_counter() - wall, _megabytes() - memory]))
