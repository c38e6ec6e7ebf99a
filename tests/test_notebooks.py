"""The notebooks: what they import is public, they run from top to bottom, and what they show is right."""

from __future__ import annotations

import ast
import base64
import io
import json
import re
import sys
from importlib import import_module
from pathlib import Path

import matplotlib.image
import nbformat
import pytest
from ipykernel.kernelspec import install
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
QUICKSTART = NOTEBOOKS / "quickstart.ipynb"
SECONDS_PER_CELL = 300  # takes half a minute on one free core; tests share theirs


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


@pytest.mark.usefixtures("own_kernel")
def test_quickstart(tmp_path: Path) -> None:
    notebook = nbformat.read(QUICKSTART, as_version=4)
    question = "import json, sys; print(json.dumps([error, mean_pose_error, sys.executable]))"
    notebook.cells.append(nbformat.v4.new_code_cell(question))
    work = tmp_path / "work"
    work.mkdir()
    resources = {"metadata": {"path": str(work)}}
    NotebookClient(notebook, timeout=SECONDS_PER_CELL, kernel_name="python3", resources=resources).execute()
    cells = {cell.id: cell for cell in notebook.cells}

    error, mean_pose_error, interpreter = json.loads(notebook.cells[-1].outputs[0].text)
    assert interpreter == sys.executable
    assert error < mean_pose_error / 2
    for name, number in (("baseline", mean_pose_error), ("test", error)):
        (mean,) = re.findall(r"mean over actions +([\d.]+)", cells[name].outputs[0].text)
        assert float(mean) == pytest.approx(number, abs=0.051)

    for name in ("camera", "picture"):
        (data,) = [output.data for output in cells[name].outputs if output.output_type == "execute_result"]
        picture = matplotlib.image.imread(io.BytesIO(base64.b64decode(data["image/png"])), format="png")
        ink = (picture[..., :3] < 0.9).any(axis=-1)
        assert picture.shape[1] > 600
        assert 0.01 < ink.mean() < 0.6, f"{name}: expected a drawing, found {ink.mean():.3f} of the picture inked"

    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    warned = [output.text for output in outputs if output.get("name") == "stderr"]
    assert all(text.startswith("making synthetic people in ") for text in warned), warned
    assert not list(work.iterdir()), "the notebook left files behind"
