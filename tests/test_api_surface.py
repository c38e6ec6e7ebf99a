"""The public names: every module lists its own, and those of the packages stand in ``api_surface.json``.

``python tests/test_api_surface.py --write`` writes that file anew.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import sys
from pathlib import Path

import pytest

import liftpose
from liftpose.models import RIE

INVENTORY = Path(__file__).with_name("api_surface.json")
MODULES = ["liftpose", *(found.name for found in pkgutil.walk_packages(liftpose.__path__, "liftpose."))]
MODULES.remove("liftpose.__main__")  # a script: it has nothing to import
# Modules that users import from by their own name, besides the packages and the modules beside them.
NAMED_IN_THE_DOCS = {"liftpose.metrics.functional"}


def surface() -> dict[str, list[str]]:
    """Return module -> public names, for what users import from."""
    packages = {name for name in MODULES if hasattr(importlib.import_module(name), "__path__")}
    top = {name for name in MODULES if name.count(".") == 1}
    return {name: sorted(importlib.import_module(name).__all__) for name in sorted(packages | top | NAMED_IN_THE_DOCS)}


def changes(old: dict[str, list[str]], new: dict[str, list[str]]) -> list[str]:
    """Return what has vanished and what is new, one line for each name."""
    before = {f"{module}.{name}" for module, names in old.items() for name in names} | set(old)
    after = {f"{module}.{name}" for module, names in new.items() for name in names} | set(new)
    return [f"vanished: {name}" for name in sorted(before - after)] + [
        f"new: {name}" for name in sorted(after - before)
    ]


@pytest.mark.parametrize("name", MODULES)
def test_public_names_resolve(name: str) -> None:
    module = importlib.import_module(name)
    assert hasattr(module, "__all__"), f"{name} does not say what is public"
    names = module.__all__
    assert len(set(names)) == len(names)
    missing = [public for public in names if not hasattr(module, public)]
    assert not missing, f"{name}.__all__ holds names that do not exist: {missing}"


def test_surface_is_the_inventory() -> None:
    found = changes(json.loads(INVENTORY.read_text(encoding="utf-8")), surface())
    advice = "if that is meant: run `python tests/test_api_surface.py --write`; CHANGELOG.md tells what vanished"
    assert not found, "\n".join(("the public names differ from tests/api_surface.json", *found, advice))


def test_inventory_is_sorted() -> None:
    names = json.loads(INVENTORY.read_text(encoding="utf-8"))
    assert list(names) == sorted(names)
    assert all(listed == sorted(set(listed)) for listed in names.values())


def test_changes_are_told() -> None:
    old = {"liftpose.a": ["One", "Two"], "liftpose.b": ["Three"]}
    new = {"liftpose.a": ["Two", "Four"]}
    assert changes(old, new) == [
        "vanished: liftpose.a.One",
        "vanished: liftpose.b",
        "vanished: liftpose.b.Three",
        "new: liftpose.a.Four",
    ]


def test_a_name_that_does_not_exist_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liftpose, "__all__", ["__version__", "Gone"])
    with pytest.raises(AssertionError, match="Gone"):
        test_public_names_resolve("liftpose")
    assert changes(json.loads(INVENTORY.read_text(encoding="utf-8")), surface()) == ["new: liftpose.Gone"]


def test_the_signature_that_others_rely_on() -> None:
    """Configurations, checkpoints and scripts name these options; a new one stands at the end and has a default."""
    options = inspect.signature(RIE).parameters.values()
    assert [(option.name, option.default) for option in options][:9] == [
        ("skeleton", "h36m_17"),
        ("filter_widths", (3, 3, 3)),
        ("channels", 256),
        ("latent_dim", 256),
        ("hidden_dim", 1024),
        ("stage", 3),
        ("causal", False),
        ("current", "auto"),
        ("dropout", 0.2),
    ]
    assert all(option.default is not option.empty for option in options)


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python tests/test_api_surface.py --write")
    INVENTORY.write_text(json.dumps(surface(), indent=2) + "\n", encoding="utf-8")
    print(f"wrote {INVENTORY}")
