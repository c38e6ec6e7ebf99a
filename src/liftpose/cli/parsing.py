"""Parsers whose complaints are one line."""

from __future__ import annotations

import difflib
import inspect
import re
from importlib import import_module
from typing import NoReturn

from jsonargparse import ArgumentParser

from liftpose.errors import LiftposeError

__all__ = ["OneLineErrors", "OneLineParser", "shorten"]

KEY = re.compile(r'Parser key "([^"]+)"')
CLASS = re.compile(r"Problem with given class_path '([^']+)'")
OPTION = re.compile(r"Option '([^']+)' is not accepted")
TYPE = re.compile(r"Expected an? (.+?)(?:\. Got value: (.*))?$")
VALUE = re.compile(r"Given value: (.*)$")


class OneLineErrors:
    """Part of a parser: a user's mistake is raised as one line in place of a page of usage."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the complaint as an error of the user.

        Args:
            message: The parser's report.
            ex: What caused it.

        Raises:
            LiftposeError: Always.
        """
        raise LiftposeError(shorten(message)) from ex


class OneLineParser(OneLineErrors, ArgumentParser):
    """The parser of a verb that has nothing to do with Lightning."""


def shorten(report: str) -> str:
    """Reduce a parser's report to the option, what was expected and what was found.

    jsonargparse reports a failure inside a nested option once for every type that it has tried, as an indented tree; the
    first branch leads to what is wrong.

    Args:
        report: The report.

    Returns:
        One line.

    Example:
        >>> shorten('Parser key "trainer.max_epochs":\\n - Expected a <class \\'int\\'>\\nGiven value: three')
        'trainer.max_epochs: expected int, found three'
    """
    keys: list[str] = []
    owner: str | None = None
    expected: list[str] = []
    found: str | None = None
    for line in report.splitlines():
        if match := KEY.search(line):
            keys.append(match[1])
        elif match := CLASS.search(line):
            owner = match[1]
        elif match := OPTION.search(line):
            place = ".".join(keys) or "configuration"
            return f"{place}: expected an option of {owner}, found {match[1]}{_suggestion(owner, match[1])}"
        elif "has no attribute" in line or "Unable to import" in line or "not a subclass" in line:
            return f"{'.'.join(keys)}.class_path: expected the name of a class, found {owner}"
        elif (match := TYPE.search(line.strip(" -"))) and found is None:
            expected.append(_type_name(match[1]))
            found = match[2]
        elif match := VALUE.search(line):
            found = found or match[1]
    if keys and expected:
        return f"{'.'.join(keys)}: expected {' or '.join(dict.fromkeys(expected))}, found {found}"
    return re.sub(r"\s+", " ", report).strip()


def _type_name(text: str) -> str:
    """Return how a user would call a type."""
    name = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", text).strip(". ")
    return {"NoneType": "null"}.get(name, name)


def _suggestion(class_path: str | None, option: str) -> str:
    """Return the option of the class that the user may have meant."""
    if class_path is None or "." not in class_path:
        return ""
    module, name = class_path.rsplit(".", 1)
    try:
        options = list(inspect.signature(getattr(import_module(module), name)).parameters)
    except (ImportError, AttributeError, ValueError):
        return ""
    close = difflib.get_close_matches(option, options, n=1)
    return f" (did you mean {close[0]}?)" if close else f" (there are {', '.join(options)})"
