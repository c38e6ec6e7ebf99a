"""What all tests share."""

from __future__ import annotations

import os
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import numpy as np
import pytest
import scipy.io
import torch

# One thread per test process: the tests run in as many processes as there are cores.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["WANDB_MODE"] = "offline"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the test suite."""
    parser.addoption("--kills", default="24", help="how often the runs of tests/resume are stopped")


# What passes once passes always: neither torch's random numbers nor hypothesis' examples change between runs, and a
# first call that is slow on a busy machine is no failure.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
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


@pytest.fixture(scope="session")
def make_scene() -> Callable[..., Any]:
    """Make people who stand about and cameras around them; see ``tests/benchmarks/rig_work.py``."""
    names = runpy.run_path(str(Path(__file__).parent / "benchmarks" / "rig_work.py"))
    function: Callable[..., Any] = names["make_scene"]
    return function


@pytest.fixture(scope="session")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a few pictures of synthetic people as MPII (``mpii``) and Human3.6M (``h36m``) have them."""
    from liftpose.datamodules import SyntheticH36MImagesDataModule, SyntheticMPIIDataModule

    root = tmp_path_factory.mktemp("painted")
    mpii = {"train_pictures": 12, "valid_pictures": 6, "picture_size": 64}
    h36m = {"train_moments": 13, "validation_moments": 2, "test_moments": 2, "picture_size": 64}
    SyntheticMPIIDataModule(root=str(root / "mpii"), **mpii, num_workers=0).prepare_data()
    SyntheticH36MImagesDataModule(root=str(root / "h36m"), **h36m, num_workers=0).prepare_data()
    return root


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


def write_humaneva_export(root: Path, joints: int = 15) -> Path:
    """Write what VideoPose3D's MATLAB script exports of HumanEva-I: scipy's own writer, the published frame counts.

    Somebody stands and sways; every third take lacks its first frames, every fourth some in the middle.
    """
    ranges = {
        "Train/S1": {"Walking": 613, "Jog": 373, "ThrowCatch": 472, "Gestures": 406, "Box": 404},
        "Train/S2": {"Walking": 438, "Jog": 397, "ThrowCatch": 578, "Gestures": 401, "Box": 352},
        "Train/S3": {"Walking": 491, "Jog": 441, "Gestures": 569, "Box": 509},
        "Validate/S1": {"Walking": 585, "Jog": 362, "ThrowCatch": 468, "Gestures": 390, "Box": 380},
        "Validate/S2": {"Walking": 433, "Jog": 393, "ThrowCatch": 545, "Gestures": 495, "Box": 377},
        "Validate/S3": {"Walking": 443, "Jog": 396, "Gestures": 528, "Box": 507},
    }
    rng = np.random.default_rng(joints)
    standing = rng.normal(size=(joints, 3)) * [150, 150, 300] + [300, -200, 900]
    number = 0
    for subject, takes in ranges.items():
        (root / subject).mkdir(parents=True)
        for action, frames in takes.items():
            poses = standing + np.cumsum(rng.normal(size=(frames, 1, 3)), axis=0) + rng.normal(size=(frames, joints, 3))
            pixels = rng.uniform(100, 400, size=(3, frames, joints, 2))
            lost = np.zeros(frames, dtype=bool)
            lost[:7] = number % 3 == 0
            lost[50:60] = lost[100] = number % 4 == 0
            poses[lost], pixels[:, lost] = np.nan, np.nan
            scipy.io.savemat(root / subject / f"{action}_1.mat", {"poses_3d": poses, "poses_2d": pixels})
            number += 1
    return root


@pytest.fixture(scope="session")
def humaneva_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a HumanEva-I of 15 joints as its MATLAB export has it."""
    return write_humaneva_export(tmp_path_factory.mktemp("humaneva") / "converted_15j")


@pytest.fixture(scope="session")
def write_humaneva() -> Callable[..., Path]:
    """Write an export of HumanEva-I; see :func:`write_humaneva_export`."""
    return write_humaneva_export


OFFICIAL_ACTIONS = (
    *("Directions", "Discussion", "Eating", "Greeting", "Phoning", "Photo", "Posing", "Purchases", "Sitting"),
    *("SittingDown", "Smoking", "Waiting", "WalkDog", "Walking", "WalkTogether"),
)


def _write_cdf(path: Path, millimetres: np.ndarray) -> None:
    from cdflib.cdfwrite import CDF

    size = list(millimetres.shape)
    file = CDF(str(path))
    variable = {"Variable": "Pose", "Data_Type": 44, "Num_Elements": 1, "Rec_Vary": True, "Dim_Sizes": size}
    file.write_var(variable, var_data=millimetres.astype(np.float32)[None])
    file.close()


def _write_mat(path: Path, millimetres: np.ndarray) -> None:
    from scipy.io import savemat

    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = millimetres
    savemat(path, {"data": cell})


def _write_hdf5(path: Path, millimetres: np.ndarray) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["3D_positions"] = millimetres.T


@pytest.fixture(scope="session")
def write_official() -> Callable[..., dict[tuple[str, str], np.ndarray]]:
    """A function that writes Human3.6M as its authors publish it, by the format's own library.

    It takes the kind of the files (cdf, mat, archive), a folder and a number of frames, and returns the numbers that it
    has put in, millimetres: (subject, name of the file without its end) -> (N, 96).
    """

    def write(kind: str, root: Path, frames: int = 3) -> dict[tuple[str, str], np.ndarray]:
        folder, suffix, save = {
            "cdf": ("MyPoseFeatures/D3_Positions", ".cdf", _write_cdf),
            "mat": ("MyPoseFeatures/D3_Positions", ".cdf.mat", _write_mat),
            "archive": ("MyPoses/3D_positions", ".h5", _write_hdf5),
        }[kind]
        random = np.random.default_rng(0)
        written: dict[tuple[str, str], np.ndarray] = {}
        for subject in ("S1", "S5", "S6", "S7", "S8", "S9", "S11"):
            (root / subject / folder).mkdir(parents=True)
            for number, usual in enumerate(OFFICIAL_ACTIONS):
                # The authors themselves call two actions differently from subject to subject.
                long = (
                    {"Photo": "TakingPhoto", "WalkDog": "WalkingDog"} if subject == "S1" and kind != "archive" else {}
                )
                action = long.get(usual, usual)
                for name in (f"{action} {1 + number % 2}", action):
                    length = frames + len(written) % 3
                    body = random.normal(size=(1, 96)) * 400 + np.tile([100.0, 200.0, 900.0], 32)
                    walk = np.cumsum(random.normal(size=(length, 96)) * 5, axis=0)
                    # Numbers that float32 holds exactly, as some of the official files have them.
                    written[subject, name] = (body + walk).astype(np.float32).astype(np.float64)
                    save(root / subject / folder / f"{name}{suffix}", written[subject, name])
        return written

    return write


@pytest.fixture(scope="session")
def official_h36m(
    tmp_path_factory: pytest.TempPathFactory, write_official: Callable[..., dict[tuple[str, str], np.ndarray]]
) -> Callable[[str], tuple[Path, dict[tuple[str, str], np.ndarray]]]:
    """A function of a kind that gives the folder of all official files, and what is in them; not to be changed."""
    made: dict[str, tuple[Path, dict[tuple[str, str], np.ndarray]]] = {}

    def get(kind: str) -> tuple[Path, dict[tuple[str, str], np.ndarray]]:
        if kind not in made:
            root = tmp_path_factory.mktemp(kind)
            made[kind] = root, write_official(kind, root)
        return made[kind]

    return get


@pytest.fixture(scope="session")
def public_videopose() -> Callable[..., dict[str, torch.Tensor]]:
    """Make weights under the names and in the shapes of VideoPose3D's public code, with statistics that matter."""

    def make(
        widths: tuple[int, ...] = (3, 3), channels: int = 6, keypoints: int = 17, joints: int = 17, seed: int = 0
    ) -> dict[str, torch.Tensor]:
        random = torch.Generator().manual_seed(seed)
        layers = [("expand_conv", channels, 2 * keypoints, widths[0], "expand_bn")]
        for k, width in enumerate(widths[1:]):
            layers.append((f"layers_conv.{2 * k}", channels, channels, width, f"layers_bn.{2 * k}"))
            layers.append((f"layers_conv.{2 * k + 1}", channels, channels, 1, f"layers_bn.{2 * k + 1}"))
        weights = {}
        for conv, out, into, width, norm in layers:
            weights[f"{conv}.weight"] = torch.randn(out, into, width, generator=random) / (into * width) ** 0.5
            for name in ("weight", "bias", "running_mean", "running_var"):
                shift = 1.0 if name in {"weight", "running_var"} else 0.0
                weights[f"{norm}.{name}"] = torch.rand(out, generator=random) / 2 + shift
            weights[f"{norm}.num_batches_tracked"] = torch.tensor(7)
        weights["shrink.weight"] = torch.randn(3 * joints, channels, 1, generator=random) / channels**0.5
        weights["shrink.bias"] = torch.randn(3 * joints, generator=random)
        return weights

    return make
