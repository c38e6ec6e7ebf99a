"""Finding and reading configurations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from liftpose.errors import LiftposeError

__all__ = ["check_configs", "config_holding", "find_config", "installed_configs", "option_paths", "resolve_configs"]


def config_folder() -> Path:
    """Return the folder of the shipped configurations.

    A wheel carries them as the package ``liftpose.configs``; in the source tree that is a link to the folder at the top
    level, which is looked for itself where links are not kept.
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
    """Replace the names after ``--config`` by paths and put them first; doing it twice changes nothing.

    An option on the command line is meant to win over the configurations wherever it stands.

    Args:
        arguments: The words of the command, the verb first.

    Returns:
        The verb, the configurations in their order, and the other words.

    Raises:
        LiftposeError: A configuration is not there, or ``--config`` is the last word.
    """
    words = iter(arguments[1:])
    configs: list[str] = []
    others: list[str] = []
    for word in words:
        if word in {"-c", "--config"}:
            name = next(words, None)
            if name is None:
                raise LiftposeError("--config: expected the name of a configuration, found nothing")
            configs.append(f"--config={find_config(name)}")
        elif word.startswith("--config="):
            configs.append(f"--config={find_config(word.removeprefix('--config='))}")
        else:
            others.append(word)
    return [*arguments[:1], *configs, *others]


def given_configs(arguments: Sequence[str]) -> list[str]:
    """Return the configurations among the words of a command, in their order.

    Args:
        arguments: The words, as :func:`resolve_configs` returns them.
    """
    return [word.removeprefix("--config=") for word in arguments if word.startswith("--config=")]


def check_configs(arguments: Sequence[str]) -> None:
    """Refuse configurations that are no YAML or no options; the parser would not name the file.

    Args:
        arguments: The words of the command, as :func:`resolve_configs` returns them.

    Raises:
        LiftposeError: A file cannot be read, is no YAML, or holds something other than a mapping.
    """
    for name in given_configs(arguments):
        content = read_yaml(name)
        if not isinstance(content, Mapping):
            found = "nothing" if content is None else "a list" if isinstance(content, list) else repr(content)
            raise LiftposeError(
                f"{name}: expected a mapping of options (such as model:, data:, trainer:), found {found}"
            )


def read_yaml(path: str) -> Any:
    """Return the content of a YAML file.

    Args:
        path: The file.

    Raises:
        LiftposeError: The file cannot be read, or is no YAML; the message says where.
    """
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise LiftposeError(f"{path}: expected a configuration, found: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise LiftposeError(f"{path}: expected a text file in UTF-8, found other bytes at {error.start}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "something else"
        raise LiftposeError(f"{path}: expected YAML, found a mistake{place}: {problem}") from error


def config_holding(option: str, arguments: Sequence[str]) -> str | None:
    """Return the configuration file that has given an option its value.

    Args:
        option: Full name of the option, such as "model.lifter.stage".
        arguments: The words of the command, as :func:`resolve_configs` returns them.

    Returns:
        The path, or None if the option stands on the command line itself or in no file.
    """
    if any(f"--{option}.".startswith(f"{argument.split('=')[0]}.") for argument in arguments):
        return None
    files_given = reversed(given_configs(arguments))  # a later file overlays an earlier one
    return next((file for file in files_given if option in option_paths(read_yaml(file))), None)


def option_paths(config: Any, before: str = "") -> Iterator[str]:
    """Yield the full names of the options in a configuration, as they are written on the command line.

    Args:
        config: The configuration, or a part of it.
        before: Name of that part.

    Yields:
        Names without ``init_args``, such as "model.lifter.stage".
    """
    if not isinstance(config, Mapping):
        return
    for key, value in config.items():
        path = before if key == "init_args" else f"{before}.{key}".strip(".")
        if path != before:
            yield path
        yield from option_paths(value, path)
