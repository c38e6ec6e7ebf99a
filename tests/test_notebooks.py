"""The notebooks: what they import is public, they run from top to bottom, and what they show is right."""

from __future__ import annotations

import ast
import base64
import csv
import io
import json
import math
import re
import shutil
import statistics
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import matplotlib.image
import nbformat
import numpy as np
import pytest
from ipykernel.kernelspec import install
from nbclient import NotebookClient

from liftpose.geometry.kinematics import BONE_JOINTS, BONES

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
STUDY = ROOT / "docs" / "dh_aug_study.csv"
SECONDS_PER_CELL = 300  # they take half a minute on one free core; tests share theirs


def code_of(path: Path) -> str:
    """Return the code of a notebook without its magics."""
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    return re.sub(r"^%.*$", "", "\n".join(cells), flags=re.MULTILINE)


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.name)
def test_stored_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs") and not cell.get("execution_count"), f"cell {cell.id} was stored with its output"


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.name)
def test_uses_public_names_only(path: Path) -> None:
    taken = [
        (node.module, alias.name)
        for node in ast.walk(ast.parse(code_of(path)))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("liftpose")
        for alias in node.names
    ]
    assert taken
    hidden = [f"{module}.{name}" for module, name in taken if name not in import_module(str(module)).__all__]
    assert not hidden
    assert not re.findall(r"\.(_[a-z]\w*)", code_of(path))


@pytest.fixture
def own_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make "python3" a kernel of this interpreter, without the user's settings."""
    install(prefix=str(tmp_path))  # its command is sys.executable
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share" / "jupyter"))
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        folder = tmp_path / name.lower()
        folder.mkdir()
        monkeypatch.setenv(name, str(folder))


def run(name: str, question: str, work: Path) -> tuple[dict[str, nbformat.NotebookNode], list[Any]]:
    """Run a notebook in a folder, where it leaves nothing; return its cells and the ``answers`` of a question to it."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    code = f"import json, sys\n{question}\nprint(json.dumps([sys.executable, *answers]))"
    notebook.cells.append(nbformat.v4.new_code_cell(code))
    work.mkdir()
    resources = {"metadata": {"path": str(work)}}
    NotebookClient(notebook, timeout=SECONDS_PER_CELL, kernel_name="python3", resources=resources).execute()

    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    warned = [output.text for output in outputs if output.get("name") == "stderr"]
    assert all(text.startswith("making synthetic people in ") for text in warned), warned
    assert not list(work.iterdir()), "the notebook left files behind"
    interpreter, *answers = json.loads(notebook.cells[-1].outputs[0].text)
    assert interpreter == sys.executable
    return {cell.id: cell for cell in notebook.cells}, answers


def printed(cell: nbformat.NotebookNode) -> str:
    """Return what a cell has printed."""
    return "".join(output.text for output in cell.outputs if output.get("name") == "stdout")


def assert_drawing(cell: nbformat.NotebookNode) -> None:
    """Expect one picture that is neither empty nor full."""
    (data,) = [output.data for output in cell.outputs if "image/png" in output.get("data", {})]
    picture = matplotlib.image.imread(io.BytesIO(base64.b64decode(data["image/png"])), format="png")
    ink = (picture[..., :3] < 0.9).any(axis=-1)
    assert picture.shape[1] > 600
    assert 0.01 < ink.mean() < 0.6, f"{cell.id}: expected a drawing, found {ink.mean():.3f} of the picture inked"


def assert_picture(cell: nbformat.NotebookNode) -> None:
    """Expect one row of photographs: wide, and of many colours."""
    (data,) = [output.data for output in cell.outputs if "image/png" in output.get("data", {})]
    picture = matplotlib.image.imread(io.BytesIO(base64.b64decode(data["image/png"])), format="png")
    assert picture.shape[1] > 1000
    assert len(np.unique((picture[..., :3] * 255).astype(np.uint8).reshape(-1, 3), axis=0)) > 5000


@pytest.mark.usefixtures("own_kernel")
def test_quickstart(tmp_path: Path) -> None:
    cells, (error, mean_pose_error) = run("quickstart.ipynb", "answers = error, mean_pose_error", tmp_path / "work")
    assert error < mean_pose_error / 2
    for name, number in (("baseline", mean_pose_error), ("test", error)):
        (mean,) = re.findall(r"mean over actions +([\d.]+)", printed(cells[name]))
        assert float(mean) == pytest.approx(number, abs=0.051)
    for name in ("camera", "picture"):
        assert_drawing(cells[name])


# What the distances should be, by scipy; the notebook takes them from quantiles.
DH_AUG_QUESTION = """
from scipy.stats import wasserstein_distance

real = angles["training poses"]
shown = real.any(0).nonzero().flatten().tolist()
by_scipy = {
    name: math.degrees(statistics.mean(wasserstein_distance(real[:, n], angles[name][:, n]) for n in shown))
    for name in distances
}
answers = lengths.tolist(), moved.tolist(), float(found.residual.max()), distances, by_scipy, losses.rows
"""


@pytest.mark.usefixtures("own_kernel")
def test_dh_aug(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    shutil.copy(STUDY, tmp_path / "docs")
    cells, answers = run("dh_aug.ipynb", DH_AUG_QUESTION, tmp_path / "work")
    lengths, moved, residual, distances, by_scipy, losses = answers

    facing = math.radians(20)
    right, forward = (
        np.array([math.cos(facing), math.sin(facing), 0]),
        np.array([-math.sin(facing), math.cos(facing), 0]),
    )
    down = np.array([0, 0, -1])
    bones = dict(zip(BONES, lengths, strict=True))
    for row, bone, direction in (
        (0, "right_thigh", down),
        (1, "right_thigh", math.sin(math.pi / 3) * forward + math.cos(math.pi / 3) * down),
        (2, "right_thigh", math.sin(math.radians(40)) * right + math.cos(math.radians(40)) * down),
        (3, "right_shin", -forward),
        (4, "thorax", math.sin(math.pi / 4) * forward - math.cos(math.pi / 4) * down),
        (6, "right_upper_arm", right),
        (7, "right_forearm", forward),
    ):
        start, end = BONE_JOINTS[BONES.index(bone)]
        found = np.array(moved[row][end]) - np.array(moved[row][start])
        np.testing.assert_allclose(found, bones[bone] * direction, atol=1e-6, err_msg=f"picture {row}")

    table = printed(cells["limits"])
    assert re.search(r"^right thigh forward +-110 to 180 +-45 to 120$", table, re.MULTILINE)
    assert re.search(r"^right elbow flexion \(\+\) +0 to 180 +0 to 135$", table, re.MULTILINE)
    chosen = 33 / 2 / 34  # from 0 to 33 of 34 angles
    for name, half in (("right thigh forward", 82.5), ("upper trunk forward", 27.5), ("head forward", 55)):
        (line,) = re.findall(rf"{name}: 0 in (\d+)%, at a limit in (\d+)%", printed(cells["draws"]))
        expected = 1 - chosen, 2 * chosen * statistics.NormalDist(sigma=60).cdf(-half)
        assert [float(share) / 100 for share in line] == pytest.approx(expected, abs=0.03)

    assert residual < 1e-12
    shrug = dict(re.findall(r"^(\w+) +([\d. ]+) mm$", printed(cells["shrug"]), re.MULTILINE))
    for joint, share in (("thorax", 0), ("left_shoulder", 0.5), ("right_shoulder", 0.5), ("right_knee", 0)):
        found_mm = [float(number) for number in shrug[joint].split()]
        assert found_mm[:2] == pytest.approx([0, 20 * share], abs=0.3), "half of a small lift on either side"

    for name in ("train_critic_3d_wasserstein", "train_critic_2d_wasserstein"):
        values = [row[name] for row in losses]
        assert statistics.mean(values[-20:]) < max(values) / 2, (
            "the critics know made-up poses from real ones as before"
        )
    for name in ("train_loss", "train_loss_fake"):
        assert losses[-1][name] < losses[0][name] / 20
    assert distances == pytest.approx(by_scipy, rel=0.02)
    assert distances["trained generator"] < distances["untrained generator"] / 1.5
    for name, degrees in distances.items():
        assert f"{name:20} {degrees:5.1f} degrees" in printed(cells["random"])

    trainings = read_study()
    for title, column in (("MPJPE", "mpjpe_mm"), ("P-MPJPE", "p_mpjpe_mm")):
        for way in {training["augmentation"] for training in trainings}:
            errors = [float(training[column]) for training in trainings if training["augmentation"] == way]
            spread = np.std(errors, ddof=1) if len(errors) > 1 else 0
            line = rf"^{title} +{way} +([\d.]+) mm, spread +([\d.]+), (\d+) trainings$"
            (numbers,) = re.findall(line, printed(cells["study"]), re.MULTILINE)
            assert [float(number) for number in numbers] == pytest.approx(
                [np.mean(errors), spread, len(errors)], abs=0.051
            )

    pictures = "body", "at-limits", "draws", "shrug", "losses", "before", "after", "angles", "random", "study"
    for name in pictures:
        assert_drawing(cells[name])


# The angles between the cameras by scipy, and their places; the notebook takes traces of matrices.
SELF_SUPERVISION_QUESTION = """
from scipy.spatial.transform import Rotation

true = cameras.R.numpy() @ cameras.R[0].numpy().T
between = [Rotation.from_matrix(a @ b.T).magnitude() for a, b in zip(rig.cameras.R.numpy(), true)]
by_scipy = [math.degrees(angle) for angle in between[1:]]
bones = (true_pose[:, [end for end, _ in H36M_17.bones]] - true_pose[:, [end for _, end in H36M_17.bones]]).norm(dim=-1)
spans = [(float((each.center[1:] - each.center[0]).norm(dim=-1).sum())) for each in (cameras, rig.cameras)]
size = float(bones.sum(-1).median())
answers = by_scipy, degrees[len(seen)], size, spans, table, off_lines, losses, error, mean_error
"""


@pytest.mark.usefixtures("own_kernel")
def test_self_supervision(tmp_path: Path) -> None:
    question = f"import math\n{SELF_SUPERVISION_QUESTION}"
    cells, answers = run("self_supervision.ipynb", question, tmp_path / "work")
    by_scipy, degrees, bones, (true_span, found_span), table, off_lines, losses, error, mean_error = answers

    assert max(off_lines) < 0.01, "the true joints lie on their epipolar lines"
    assert degrees == pytest.approx(by_scipy, abs=1e-4)
    assert max(degrees) < 2
    assert found_span == pytest.approx(true_span * 4.1 / bones, rel=0.03), "the world is as large as the bones say"

    rows = {(row["route"], row["fusion"]): row for row in table}
    text = printed(cells["labels"])
    for (route, fusion), row in rows.items():
        (line,) = re.findall(rf"^{route} +{fusion} +(.*)$", text, re.MULTILINE)
        shown = [float(number) for number in re.findall(r"[\d.]+", line)]
        assert shown == pytest.approx(
            [100 * row["valid"], row["residual"], row["MPJPE"], row["N-MPJPE"], row["P-MPJPE"]], abs=0.51
        )
        assert row["P-MPJPE"] < row["N-MPJPE"]
    for route in ("calibrated", "uncalibrated"):
        assert rows[route, "robust"]["P-MPJPE"] < rows[route, "pair"]["P-MPJPE"]
        assert rows[route, "robust"]["valid"] > rows[route, "dlt"]["valid"]
    known, found = (rows[route, "robust"] for route in ("calibrated", "uncalibrated"))
    assert found["P-MPJPE"] < 1.2 * known["P-MPJPE"]

    assert losses[-1] < losses[0] / 3
    assert error < 0.7 * mean_error
    for name in ("views", "street", "lines"):
        assert_picture(cells[name])
    for name in ("above", "mask", "poses", "train", "prediction"):
        assert_drawing(cells[name])


def read_study() -> list[dict[str, str]]:
    """Read the numbers of the study of docs/results.md."""
    with STUDY.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_study_is_whole() -> None:
    trainings = read_study()
    assert set(trainings[0]) == {"augmentation", "seed", "mpjpe_mm", "p_mpjpe_mm"}
    ways = {training["augmentation"] for training in trainings}
    assert ways == {"none", "random", "gan", "poseaug"}
    seeds = {way: sorted(int(each["seed"]) for each in trainings if each["augmentation"] == way) for way in ways}
    assert all(own == seeds["none"] == sorted(set(own)) for own in seeds.values()), seeds
    assert all(0 < float(training["p_mpjpe_mm"]) <= float(training["mpjpe_mm"]) < 1000 for training in trainings)
