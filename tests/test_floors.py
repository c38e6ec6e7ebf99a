"""The floors of the house: a module imports from below, never from above."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import liftpose

SOURCE = Path(liftpose.__file__).parent
# From the ground up; names on one floor may not import each other unless they are one package.
FLOORS = (
    ("errors", "processes"),
    ("skeletons",),
    ("geometry",),
    ("metrics", "losses"),
    ("models",),
    ("data",),
    ("formats",),
    ("viewer", "weights"),
    ("datamodules",),
    ("tasks", "callbacks"),
    ("inference",),
    ("cli",),
)
HEIGHT = {name: height for height, names in enumerate(FLOORS) for name in names}
# Pairs on one floor in which the first may import the second: a callback shows what a task has made.
NEIGHBOURS = {("callbacks", "tasks"), ("metrics", "losses"), ("losses", "metrics")}
MODULES = sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.py") if len(path.relative_to(SOURCE).parts) > 1)
FILES = ("errors", "processes", "skeletons")
MODULES += [Path(f"{name}.py") for name in FILES if (SOURCE / f"{name}.py").exists()]


def imported_floors(path: Path) -> set[str]:
    """Return the first-level names of liftpose that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            whole = [f"liftpose.{alias.name}" for alias in node.names]
            names = whole if node.module == "liftpose" else [node.module or ""]
        found |= {name.split(".")[1] for name in names if name.startswith("liftpose.")}
    return found & set(HEIGHT)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_come_from_below(module: Path) -> None:
    own = module.parts[0].removesuffix(".py")
    for other in imported_floors(SOURCE / module) - {own}:
        below = HEIGHT[other] < HEIGHT[own]
        assert below or (own, other) in NEIGHBOURS, f"{module} imports liftpose.{other} from above"


def test_every_module_has_a_floor() -> None:
    names = {path.name.removesuffix(".py") for path in SOURCE.iterdir() if not path.name.startswith(("__", "py.typed"))}
    assert names - {"configs"} <= set(HEIGHT)


def test_networks_do_not_need_lightning() -> None:
    for path in (*SOURCE.glob("models/*.py"), *SOURCE.glob("geometry/*.py")):
        assert "pytorch_lightning" not in path.read_text(encoding="utf-8")
