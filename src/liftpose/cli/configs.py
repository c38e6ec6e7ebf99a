"""Finding configurations by name."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from liftpose.errors import LiftposeError

__all__ = ["find_config", "installed_configs", "resolve_configs"]


def config_folder() -> Path:
    """Return the folder of the shipped configurations.

    A wheel carries them as the package ``liftpose.configs``; an editable install has no such package, since there the
    folder lies at the top of the source tree.
    """
    package = Path(str(files("liftpose"))) / "configs"
    if package.is_dir():
        return package
    return Path(__file__).parents[3] / "configs"


def installed_configs() -> list[str]:
    """Return the names of the shipped configurations, sorted."""
    return sorted(path.name for path in config_folder().glob("*.yaml"))


def find_config(name: str) -> str:
    """Return the path of a configuration: a file that exists, else a shipped configuration of that name.

    Args:
        name: Path relative to the working folder, or bare name of a shipped configuration.

    Returns:
        The path.

    Raises:
        LiftposeError: There is neither.
    """
    if Path(name).is_file():
        return name
    shipped = config_folder() / name
    if Path(name).name == name and shipped.is_file():
        return str(shipped)
    raise LiftposeError(
        f"--config {name}: expected a file or one of the shipped configurations ({', '.join(installed_configs())}), "
        "found neither"
    )


def resolve_configs(arguments: Sequence[str]) -> list[str]:
    """Replace the names after ``--config`` by paths; doing it twice changes nothing.

    Args:
        arguments: The words of the command.

    Returns:
        The words with paths.
    """
    words = list(arguments)
    for place, word in enumerate(words):
        if word in {"-c", "--config"} and place + 1 < len(words):
            words[place + 1] = find_config(words[place + 1])
        elif word.startswith("--config="):
            words[place] = f"--config={find_config(word.removeprefix('--config='))}"
    return words
