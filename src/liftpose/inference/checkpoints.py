"""What a checkpoint says about its run: the options of the task, and the parts that they describe."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, TypeVar

import yaml

from liftpose.errors import LiftposeError
from liftpose.weights.lifters import CONFIG_ENTRY

__all__ = ["build_part", "task_options"]

_OURS: Final = "liftpose."

Part = TypeVar("Part")


def task_options(content: Mapping[str, Any], where: str, needed: str, about: str) -> Mapping[str, Any]:
    """Return the options of the task that a checkpoint was trained with.

    Args:
        content: What :func:`liftpose.weights.read_checkpoint` gives.
        where: What it was read from, for messages.
        needed: Name of the option that is looked for.
        about: The end of the sentence "expected a checkpoint of `liftpose fit`, …".

    Returns:
        The options, the one that is looked for among them.

    Raises:
        LiftposeError: The checkpoint does not say it.
    """
    options = content.get("hyper_parameters")
    if isinstance(options, Mapping) and needed in options:
        return options
    text = content.get(CONFIG_ENTRY)
    if isinstance(text, str):
        try:
            options = yaml.safe_load(text)["model"]["init_args"]
        except (yaml.YAMLError, KeyError, TypeError):
            options = None
        if isinstance(options, Mapping) and needed in options:
            return options
    found = ", ".join(map(str, content)) or "nothing"
    raise LiftposeError(f"{where}: expected a checkpoint of `liftpose fit`, {about}, found {found}")


def build_part(spec: Any, kind: type[Part], where: str, package: str) -> Part:
    """Build an object that a checkpoint names, if its class is one of liftpose.

    Args:
        spec: Its ``class_path`` and ``init_args``.
        kind: What its class has to be derived from.
        where: What the checkpoint was read from, for messages.
        package: Where such classes are found, for messages.

    Returns:
        The object.

    Raises:
        LiftposeError: It is described otherwise, is no such class, or its options are not what the class takes.
    """
    what = kind.__name__.lower()
    article = "an" if what[0] in "aeiou" else "a"
    if not isinstance(spec, Mapping) or not isinstance(spec.get("class_path"), str):
        raise LiftposeError(f"{where}: expected {article} {what} with its class_path, found {spec!r}")
    name = spec["class_path"]
    module, _, attribute = name.rpartition(".")
    found: Any = None
    if f"{module}.".startswith(_OURS):
        try:
            found = getattr(import_module(module), attribute, None)
        except ImportError:
            found = None
    if not isinstance(found, type) or not issubclass(found, kind) or found is kind:
        raise LiftposeError(f"{where}: expected {article} {what} of liftpose ({package}.…), found {name}")
    options = spec.get("init_args") or {}
    known = inspect.signature(found).parameters
    unknown = [option for option in options if option not in known]
    if unknown:
        raise LiftposeError(f"{where}: expected options of {name} ({', '.join(known)}), found {unknown[0]}")
    try:
        return found(**options)
    except (LiftposeError, TypeError, ValueError) as error:
        raise LiftposeError(f"{where}: expected options that {name} takes, found: {error}") from error
