"""The official files of Human3.6M, written by cdflib, scipy and h5py after the description of their layout."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from cdflib.cdfwrite import CDF
from scipy.io import savemat

from liftpose.errors import LiftposeError
from liftpose.formats.h36m_official import OFFICIAL_H36M, read_official_h36m

SUBJECTS = ["S1", "S5", "S6", "S7", "S8", "S9", "S11"]
S11 = [
    *("Directions 1", "Discussion", "Discussion 2", "Eating", "Eating 1", "Greeting", "Greeting 2", "Phoning"),
    *("Phoning 1", "Photo", "Photo 2", "Posing", "Posing 1", "Purchases", "Purchases 2", "Sitting", "Sitting 1"),
    *("SittingDown", "SittingDown 2", "Smoking", "Smoking 1", "Waiting", "Waiting 2", "WalkDog", "WalkDog 1"),
    *("WalkTogether", "WalkTogether 1", "Walking", "Walking 2"),
]
"""What the tests' files have of S11, in the order of the alphabet."""

FOLDERS = {
    "cdf": "MyPoseFeatures/D3_Positions",
    "mat": "MyPoseFeatures/D3_Positions",
    "archive": "MyPoses/3D_positions",
}
ENDS = {"cdf": ".cdf", "mat": ".cdf.mat", "archive": ".h5"}
KINDS = list(FOLDERS)


Official = tuple[Path, dict[tuple[str, str], np.ndarray]]


@pytest.fixture
def copy(tmp_path: Path, official_h36m: Callable[[str], Official]) -> Callable[[str], Path]:
    """A copy of the official files of a kind, in a folder of the test."""

    def make(kind: str) -> Path:
        shutil.copytree(official_h36m(kind)[0], tmp_path / kind)
        return tmp_path / kind

    return make


def pack(root: Path, path: Path, prefix: str = "", only: str = "") -> Path:
    """Put files into an archive, in an order that is nobody's."""
    files = sorted(root.rglob("*.*"), key=lambda file: file.name[::-1])
    names = {file: prefix + file.relative_to(root).as_posix() for file in files if only in file.as_posix()}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file, name in names.items():
                archive.write(file, name)
    else:
        with tarfile.open(path, "w:gz") as tar:
            for file, name in names.items():
                tar.add(file, name)
    return path


def usual(name: str) -> str:
    return name.replace("TakingPhoto", "Photo").replace("WalkingDog", "WalkDog")


def assert_all(found: dict[str, dict[str, np.ndarray]], numbers: dict[tuple[str, str], np.ndarray]) -> None:
    assert list(found) == SUBJECTS
    assert list(found["S11"]) == S11
    for subject in SUBJECTS[:-1]:
        assert list(found[subject]) == sorted(["Directions", *(a for a in S11 if a != "Directions 1"), "Directions 1"])
    for (subject, name), put_in in numbers.items():
        if (subject, name) == ("S11", "Directions"):
            continue
        pose = found[subject][usual(name)]
        assert pose.dtype == np.float32 and pose.shape == (len(put_in), 32, 3)
        # Joint by joint, x, y, z; thousandths, rounded once.
        np.testing.assert_allclose(pose[:, 5, 1], put_in[:, 16] / 1000, rtol=6e-8)
        np.testing.assert_allclose(pose.reshape(-1, 96), put_in / 1000, rtol=6e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_numbers_that_were_put_in(official_h36m: Callable[[str], Official], kind: str) -> None:
    root, numbers = official_h36m(kind)
    assert_all(read_official_h36m(kind, root), numbers)


def test_the_archive_of_the_baseline(tmp_path: Path, official_h36m: Callable[[str], Official]) -> None:
    root, numbers = official_h36m("archive")
    assert_all(read_official_h36m("archive", pack(root, tmp_path / "h36m.zip", "h36m/")), numbers)
    assert_all(read_official_h36m("archive", pack(root, tmp_path / "h36m.tgz", "./h36m/")), numbers)


@pytest.mark.parametrize("kind", KINDS)
def test_the_folder_above_will_do(tmp_path: Path, copy: Callable[[str], Path], kind: str) -> None:
    (tmp_path / "a").mkdir()
    root = copy(kind)
    (root / "S1" / "Videos").mkdir()
    assert list(read_official_h36m(kind, root.parent)) == SUBJECTS


def test_archives_as_they_were_downloaded(
    tmp_path: Path, copy: Callable[[str], Path], official_h36m: Callable[[str], Official]
) -> None:
    """Some unpacked, some not; hidden files that macOS adds to archives are none of ours."""
    root = copy("cdf")
    for subject in ("S5", "S11"):
        (root / subject / FOLDERS["cdf"] / "._Eating.cdf").write_bytes(b"macOS")
        pack(root, root / f"Poses_D3_Positions_{subject}.tgz", only=f"/{subject}/")
        shutil.rmtree(root / subject)
    before = sorted(root.rglob("*"))
    assert_all(read_official_h36m("cdf", root), official_h36m("cdf")[1])
    assert sorted(root.rglob("*")) == before, "nothing is unpacked"


def test_doubles_are_rounded_once(tmp_path: Path, copy: Callable[[str], Path]) -> None:
    """Some of the official files hold float64."""
    root = copy("cdf")
    values = np.random.default_rng(1).normal(size=(1, 5, 96)) * 1000
    path = root / "S6" / FOLDERS["cdf"] / "Smoking.cdf"
    path.unlink()
    file = CDF(str(path))
    variable = {"Variable": "Pose", "Data_Type": 45, "Num_Elements": 1, "Rec_Vary": True, "Dim_Sizes": [5, 96]}
    file.write_var(variable, var_data=values)
    file.close()
    found = read_official_h36m("cdf", root)["S6"]["Smoking"]
    np.testing.assert_array_equal(found, (values[0] / 1000).astype(np.float32).reshape(5, 32, 3))


def test_matlab_of_version_7_3(copy: Callable[[str], Path], save_matlab_73: Any) -> None:
    root = copy("mat")
    values = np.random.default_rng(1).normal(size=(5, 96)) * 1000
    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = values
    save_matlab_73(root / "S6" / FOLDERS["mat"] / "Smoking.cdf.mat", {"data": cell})
    found = read_official_h36m("mat", root)["S6"]["Smoking"]
    np.testing.assert_array_equal(found, (values / 1000).astype(np.float32).reshape(5, 32, 3))


def test_progress_names_every_take(official_h36m: Callable[[str], Official]) -> None:
    seen: list[tuple[int, int, str]] = []
    read_official_h36m("cdf", official_h36m("cdf")[0], lambda *step: seen.append(step))
    assert [number for number, _, _ in seen] == list(range(210))
    assert {count for _, count, _ in seen} == {209}
    assert seen[0][2].startswith("S1 ") and seen[208][2].startswith("S11 ")


# ------------------------------------------------------------------------------------------------------------ mistakes
def refused(kind: str, path: Path) -> str:
    with pytest.raises(LiftposeError) as error:
        read_official_h36m(kind, path)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_take_is_named(copy: Callable[[str], Path], kind: str) -> None:
    root = copy(kind)
    (root / "S9" / FOLDERS[kind] / f"Sitting{ENDS[kind]}").unlink()
    assert refused(kind, root) == (
        f"{root}: S9/{FOLDERS[kind]}: expected 30 files *{ENDS[kind]}, 2 of each action, found 29: 1 of Sitting"
    )


def test_other_sets_of_files(copy: Callable[[str], Path]) -> None:
    root = copy("cdf")
    folder = root / "S7" / FOLDERS["cdf"]
    shutil.copy(folder / "Eating.cdf", folder / "Eating 3.cdf")
    assert (
        "S7/MyPoseFeatures/D3_Positions: expected 30 files *.cdf, 2 of each action, found 31: 3 of Eating"
        in refused("cdf", root)
    )
    (folder / "Eating 3.cdf").rename(folder / "TakingPhoto.cdf")
    assert "S7/MyPoseFeatures/D3_Positions: expected one file of 'Photo', found 'Photo' several times" in refused(
        "cdf", root
    )
    (folder / "TakingPhoto.cdf").rename(folder / "Dancing.cdf")
    assert "Dancing.cdf: expected one of the actions Directions, Discussion" in refused("cdf", root)
    shutil.rmtree(root / "S7")
    assert refused("cdf", root).endswith("expected 30 files *.cdf of S7, found none")


def test_other_folders(tmp_path: Path, official_h36m: Callable[[str], Official]) -> None:
    cdf, mat = official_h36m("cdf")[0], official_h36m("mat")[0]
    assert "no: expected the files S1/MyPoseFeatures/D3_Positions/*.cdf of Human3.6M, found no such file" in refused(
        "cdf", tmp_path / "no"
    )
    assert refused("cdf", tmp_path).endswith("found an empty folder")
    assert refused("cdf", mat).endswith("found those that --from mat reads")
    assert refused("archive", cdf).endswith("found those that --from cdf reads")
    assert refused("cdf", cdf / "S1").endswith("found the folder of one subject")
    (tmp_path / "S1").mkdir()
    assert refused("archive", tmp_path).endswith("found S1")
    assert refused("archive", pack(cdf, tmp_path / "a.zip")).endswith("found an archive of other files")
    assert "found it in an archive; unpack that first" in refused("mat", pack(mat, tmp_path / "b.zip"))


def save_cdf(path: Path, values: np.ndarray) -> None:
    path.unlink()
    file = CDF(str(path))
    variable = {"Variable": "Pose", "Data_Type": 45, "Num_Elements": 1, "Rec_Vary": True}
    file.write_var({**variable, "Dim_Sizes": list(values.shape[1:])}, var_data=values)
    file.close()


def save_mat(path: Path, values: np.ndarray) -> None:
    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = values[0]
    savemat(path, {"data": cell})


def save_hdf5(path: Path, values: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file["3D_positions"] = values[0].T


SAVE = {"cdf": save_cdf, "mat": save_mat, "archive": save_hdf5}


def with_value(value: float) -> np.ndarray:
    values = np.zeros((1, 6, 96))
    values[0, 4, 17] = value
    return values


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((1, 6, 51)), r"expected poses of shape \(.*96.*\), found \("),
        (np.zeros((1, 96, 6)), r"expected poses of shape \(.*96.*\), found \("),
        (with_value(np.nan), "expected finite coordinates in millimetres, .* in 1 of 6 frames, first in frame 4"),
        (with_value(-np.inf), "expected finite coordinates in millimetres, .* in 1 of 6 frames, first in frame 4"),
        (with_value(1.7), r"expected coordinates in millimetres, found none beyond 1.7 \(metres\?\)"),
        (with_value(-1e30), "expected finite coordinates in millimetres, .* in 1 of 6 frames, first in frame 4"),
    ],
)
def test_other_numbers(copy: Callable[[str], Path], kind: str, values: np.ndarray, message: str) -> None:
    root = copy(kind)
    path = root / "S1" / FOLDERS[kind] / f"Directions{ENDS[kind]}"
    SAVE[kind](path, values)
    with pytest.raises(LiftposeError, match=message) as error:
        read_official_h36m(kind, root)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_a_cut_file_is_named(copy: Callable[[str], Path], kind: str, share: float) -> None:
    root = copy(kind)
    path = root / "S1" / FOLDERS[kind] / f"Directions{ENDS[kind]}"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert refused(kind, root).startswith(f"{path}: expected ")


def test_another_array_in_the_hdf5_file(copy: Callable[[str], Path], tmp_path: Path) -> None:
    root = copy("archive")
    path = root / "S1" / FOLDERS["archive"] / "Directions.h5"
    with h5py.File(path, "w") as file:
        file["2D_positions"] = np.zeros((64, 3))
    assert refused("archive", root).endswith("Directions.h5: expected an array 3D_positions, found 2D_positions")
    with h5py.File(path, "w") as file:
        file["3D_positions"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "secret")
    assert "Directions.h5: expected an array 3D_positions" in refused("archive", root)
    with h5py.File(path, "w") as file:
        file.create_dataset("3D_positions", shape=(96, 2**40), dtype="f8", chunks=(96, 10))
    assert "Directions.h5: expected poses of shape (96, frames), found (96, 1099511627776)" in refused("archive", root)


def test_a_cut_archive_and_a_hostile_one(tmp_path: Path, official_h36m: Callable[[str], Official]) -> None:
    path = pack(official_h36m("archive")[0], tmp_path / "h36m.zip", "h36m/")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert refused("archive", path).startswith(f"{path}: expected a zip archive, found it cut or damaged")
    path.write_bytes(whole)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("h36m/../../.bashrc", "evil")
    assert "h36m/../../.bashrc: expected names of files inside a folder" in refused("archive", path)


def test_a_cut_file_inside_an_archive_is_named(tmp_path: Path, copy: Callable[[str], Path]) -> None:
    root = copy("archive")
    inside = root / "S1" / FOLDERS["archive"] / "Directions.h5"
    inside.write_bytes(inside.read_bytes()[:700])
    path = pack(root, tmp_path / "h36m.zip", "h36m/")
    assert refused("archive", path).startswith(
        f"{path}: h36m/S1/MyPoses/3D_positions/Directions.h5: expected an HDF5 file"
    )


@pytest.mark.parametrize("number", [b"\xff" * 8, b"\xff" * 7 + b"\x7f"])
def test_damaged_places_in_an_hdf5_file_of_an_archive(copy: Callable[[str], Path], number: bytes) -> None:
    content = (copy("archive") / "S1" / FOLDERS["archive"] / "Directions.h5").read_bytes()
    read, refused = OFFICIAL_H36M["archive"].read, 0
    for place in range(8, 600):
        try:
            read("a.zip: a.h5", content[:place] + number + content[place + 8 :])
        except LiftposeError as error:
            refused += 1
            assert str(error).startswith("a.zip: a.h5: expected ")
    assert refused > 100


@pytest.mark.parametrize(
    ("kind", "found"), [("cdf", "found 51"), ("mat", "found 51"), ("archive", r"found \(96, 51\)")]
)
def test_a_take_of_hours_is_refused(
    copy: Callable[[str], Path], kind: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("liftpose.formats.h36m_official._LONGEST", 50)
    root = copy(kind)
    path = root / "S1" / FOLDERS[kind] / f"Directions{ENDS[kind]}"
    SAVE[kind](path, np.zeros((1, 51, 96)))
    with pytest.raises(LiftposeError, match=f"expected (a take of 1 to 50 frames|poses of shape.*), {found}"):
        read_official_h36m(kind, root)
    if kind == "mat":
        SAVE[kind](path, np.zeros((1, 0, 96)))
        with pytest.raises(LiftposeError, match=r"Directions\.cdf\.mat: expected a take of 1 to 50 frames, found 0"):
            read_official_h36m(kind, root)
