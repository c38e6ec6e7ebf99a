"""Packaging: what the lists promise is what a wheel holds, and the command works from it and from a checkout."""

from __future__ import annotations

import configparser
import fnmatch
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import liftpose

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
CONFIGS = ROOT / "configs"
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(PYPROJECT)
SHOWN = ("fit", "--config", "rie_stage3.yaml", "--print_config")


def setup_cfg() -> configparser.ConfigParser:
    """Return the parsed ``setup.cfg``."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def source_files() -> list[Path]:
    """Return the files that belong to the package, as they are named in a wheel."""
    here = [path.relative_to(SOURCE) for path in (SOURCE / "liftpose").rglob("*") if path.is_file()]
    configs = [Path("liftpose/configs", path.name) for path in CONFIGS.iterdir() if path.is_file()]
    return sorted(path for path in [*here, *configs] if "__pycache__" not in path.parts)


def requirements() -> list[str]:
    """Return every requirement of ``pyproject.toml`` as it is written there."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    return [
        *PROJECT["build-system"]["requires"],
        *PROJECT["project"]["dependencies"],
        *(requirement for extra in extras for requirement in extra),
    ]


def pins() -> dict[str, str]:
    """Return name -> version of ``constraints.txt``, in its order."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    exact = [re.fullmatch(r"([\w.-]+)==([\w.!]+)", line) for line in lines if not line.startswith("#")]
    assert all(exact), "constraints.txt: expected NAME==VERSION in every line that is no comment"
    return {canonicalize_name(match[1]): match[2] for match in exact if match}


# ------------------------------------------------------------------------------------------------------------ the lists
def test_every_package_is_listed() -> None:
    listed = setup_cfg()["options"]["packages"].split()
    folders = {path.parent for path in source_files() if path.suffix == ".py"}
    assert sorted(listed) == sorted({".".join(folder.parts) for folder in folders} | {"liftpose.configs"})
    assert all((SOURCE / folder / "__init__.py").is_file() for folder in folders)


def test_every_data_file_is_listed() -> None:
    patterns = {name: text.split() for name, text in setup_cfg()["options.package_data"].items()}
    data = [path for path in source_files() if path.suffix != ".py"]
    for path in data:
        own = patterns.get(".".join(path.parent.parts), [])
        assert any(fnmatch.fnmatch(path.name, pattern) for pattern in own), f"{path} is in no wheel"
    for package, own in patterns.items():
        names = [path.name for path in data if ".".join(path.parent.parts) == package]
        for pattern in own:
            assert fnmatch.filter(names, pattern), f"setup.cfg: {package} has no {pattern}"


@pytest.mark.parametrize("requirement", requirements())
def test_every_bound_has_its_reason(requirement: str) -> None:
    lines = [line for line in PYPROJECT.splitlines() if f'"{requirement}"' in line]
    assert lines
    for line in lines:
        _, _, reason = line.partition("#")
        assert reason.strip(), f"pyproject.toml: {requirement} has no reason"


def test_version_is_the_same_everywhere() -> None:
    version = liftpose.__version__
    assert importlib.metadata.version("liftpose") == version, "installed with another version: install again"
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "liftpose.__version__"}
    assert "version" not in PROJECT["project"]
    assert "version" not in yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    heading = "Unreleased" if ".dev" in version else version
    assert f"\n## [{heading}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------------ the constraints
def test_pins_fit_the_ranges() -> None:
    pinned = pins()
    for text in requirements():
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"constraints.txt has no {name}"
        assert requirement.specifier.contains(pinned[name], prereleases=True), f"{text}: constraints.txt {pinned[name]}"


def test_the_oldest_versions_are_those_of_the_bounds() -> None:
    lines = (ROOT / "constraints-oldest.txt").read_text(encoding="utf-8").splitlines()
    oldest = dict(line.split("==") for line in lines if not line.startswith("#"))
    del oldest["torch"]  # said there: the older builds are not tried
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    texts = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    bounds = {
        requirement.name: next(bound.version for bound in requirement.specifier if bound.operator == ">=")
        for requirement in map(Requirement, texts)
        if requirement.name in oldest
    }
    assert set(bounds) == set(oldest)
    for name, version in oldest.items():
        assert f"{version}.".startswith(f"{bounds[name]}."), f"{name}: the bound is {bounds[name]}, tried is {version}"


def test_pins_are_sorted() -> None:
    assert list(pins()) == sorted(pins())


@pytest.mark.skipif(
    sys.platform != "linux" or sys.version_info[:2] != (3, 11), reason="constraints.txt is for Linux and Python 3.11"
)
def test_pins_are_what_is_needed() -> None:
    pinned = pins()
    needed: set[tuple[str, frozenset[str]]] = set()
    wanted = [Requirement(text) for text in requirements()]
    while wanted:
        requirement = wanted.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in needed or name.startswith(("nvidia-", "cuda-", "triton")):
            continue  # torch for a GPU brings these, and says their versions itself
        needed.add((name, extras))
        assert name in pinned, f"constraints.txt has no {name}"
        if importlib.metadata.version(name).partition("+")[0] != pinned[name]:
            pytest.skip(f"{name} is installed in another version than constraints.txt says")
        further = [Requirement(text) for text in importlib.metadata.requires(name) or ()]
        wanted += [
            each
            for each in further
            if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in ("", *extras))
        ]
    assert set(pinned) == {name for name, _ in needed}


# ------------------------------------------------------------------------------------------------------------ the wheel
@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from a copy of the sources so that nothing is left in the checkout."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in (SOURCE, CONFIGS):
        shutil.copytree(folder, copy / folder.name, ignore=ignored)
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copy(path, copy)
    # What `pip wheel --no-deps --no-build-isolation` calls.
    build = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(out)], cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_wheel_holds_everything(wheel: Path) -> None:
    assert wheel.name == f"liftpose-{liftpose.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        (licence,) = [name for name in archive.namelist() if name.endswith("/licenses/LICENSE")]
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
        assert "\nLicense-Expression: Apache-2.0\n" in archive.read(metadata).decode()
    assert names == {path.as_posix() for path in source_files()}
    assert "liftpose/py.typed" in names


def shown_config(command: list[str], folder: Path, **environment: str) -> dict[str, Any]:
    """Return the configuration that a command prints when it is run in a folder."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environment
    done = subprocess.run(
        [*command, *SHOWN], cwd=folder, env=variables, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    content = yaml.safe_load(done.stdout)
    assert isinstance(content, dict)
    return content


def test_command_works_from_the_wheel(unpacked: Path, tmp_path: Path) -> None:
    # A mark in the unpacked file tells it from that of the checkout.
    config = unpacked / "liftpose" / "configs" / "rie_stage3.yaml"
    text = config.read_text(encoding="utf-8")
    assert "channels: 256" in text
    config.write_text(text.replace("channels: 256", "channels: 77"), encoding="utf-8")
    # Without `site` (-S) no editable install can lend what the wheel lacks.
    paths = os.pathsep.join((str(unpacked), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    content = shown_config([sys.executable, "-S", "-m", "liftpose"], tmp_path, PYTHONPATH=paths)
    assert content["model"]["class_path"] == "liftpose.tasks.LiftingTask"
    lifter = content["model"]["init_args"]["lifter"]
    assert lifter["class_path"] == "liftpose.models.RIE"
    assert (lifter["init_args"]["stage"], lifter["init_args"]["channels"]) == (3, 77)


def test_command_works_as_installed(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("liftpose")
    content = shown_config([str(script)], tmp_path)
    expected = yaml.safe_load((CONFIGS / "rie_stage3.yaml").read_text(encoding="utf-8"))
    for name, value in expected["model"]["init_args"]["lifter"]["init_args"].items():
        assert content["model"]["init_args"]["lifter"]["init_args"][name] == value
    assert content["trainer"]["max_epochs"] == expected["trainer"]["max_epochs"]
