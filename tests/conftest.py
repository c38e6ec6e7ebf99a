"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import hypothesis
import numpy as np
import pytest
import torch

# One thread per test process: the tests run in as many processes as there are cores.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["WANDB_MODE"] = "offline"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the test suite."""
    parser.addoption("--kills", default="24", help="how often the runs of tests/resume are stopped")


# What passes once passes always: neither torch's random numbers nor hypothesis' examples change between runs.
hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Start every test with the same random numbers; ``LIFTPOSE_TEST_SEED`` looks for tests that depend on them."""
    torch.manual_seed(int(os.environ.get("LIFTPOSE_TEST_SEED", "0")))


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder with reference data: outputs of the papers' public code and real motion capture."""
    folder = os.environ.get("LIFTPOSE_REFERENCE")
    if not folder:
        pytest.skip("LIFTPOSE_REFERENCE is not set: the reference data are not part of the repository")
    return Path(folder)


class Answer(NamedTuple):
    """What the command said: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


@pytest.fixture
def liftpose(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run the command in this process."""
    from liftpose.cli.main import main

    def run(*words: object) -> Answer:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return Answer(code, *capsys.readouterr())

    return run


def write_official_h36m(root: Path, frames: int = 40) -> Path:
    """Write a tiny Human3.6M as the field does: numpy's own writer, 32 joints, four views, pickled dicts."""
    rng = np.random.default_rng(0)
    root.mkdir(parents=True, exist_ok=True)
    standing = rng.normal(size=(32, 3)) * [0.25, 0.25, 0.5] + [0.4, 0.8, 0.9]
    poses: dict[str, dict[str, np.ndarray]] = {}
    found: dict[str, dict[str, list[np.ndarray]]] = {}
    for subject in ("S1", "S5", "S6", "S7", "S8", "S9", "S11"):
        poses[subject], found[subject] = {}, {}
        for number, action in enumerate(("Directions 1", "Sitting", "SittingDown 2", "Walking")):
            length = frames + number
            walk = np.cumsum(rng.normal(size=(length, 32, 3)) * 0.005, axis=0)
            poses[subject][action] = (standing + walk).astype(np.float32)
            found[subject][action] = [
                (500 + 100 * rng.normal(size=(length, 17, 2))).astype(np.float32) for _ in range(4)
            ]
    metadata = {"num_joints": 17, "keypoints_symmetry": [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]}
    np.savez_compressed(root / "data_3d_h36m.npz", positions_3d=np.array(poses, dtype=object))
    for name, extra in (("gt", {}), ("cpn_ft_h36m_dbb", {"layout_name": "h36m"})):
        np.savez_compressed(
            root / f"data_2d_h36m_{name}.npz",
            positions_2d=np.array(found, dtype=object),
            metadata=np.array({**metadata, **extra}, dtype=object),
        )
    return root


@pytest.fixture(scope="session")
def h36m_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny Human3.6M in the official layout."""
    return write_official_h36m(tmp_path_factory.mktemp("h36m"))
