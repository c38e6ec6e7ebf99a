"""Parsers whose complaints are one line."""

from __future__ import annotations

import difflib
import inspect
import re
from argparse import ArgumentError
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import NoReturn

from jsonargparse import ArgumentParser

from liftpose.errors import LiftposeError

__all__ = ["OneLineErrors", "OneLineParser", "OptionError", "explain", "shorten"]

KEY = re.compile(r'Parser key "([^"]+)"')
CLASS = re.compile(r"Problem with given class_path '([^']+)'")
TYPE = re.compile(r"Expected an? (.+?)(?:\. Got value: (.*))?$")
VALUE = re.compile(r"Given value: (.*)$", re.MULTILINE)
SCAFFOLD = ("Does not validate", "Subtypes", "Errors", "Given value type", "Expected a path but")
# Complaints about the words of the command line and about the first level of a configuration.
STRANGE_WORD = re.compile(r"unrecognized arguments: ([^\s=]+)")
STRANGE_KEY = re.compile(r"(?:Subcommand|Group) '([^']+)' does not accept option '([^']+)'")
NO_VALUE = re.compile(r"argument (\S+): (expected .*)$")

PLAIN_NAMES = {
    "NoneType": "null",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "list": "a list",
    "Sequence": "a list",
    "Path": "a path",
}


class OptionError(LiftposeError):
    """A mistake in an option.

    Args:
        message: The sentence for the user.
        option: Full name of the option where the report says it; by it the configuration that holds it can be named.
    """

    def __init__(self, message: str, option: str | None = None) -> None:
        super().__init__(message)
        self.option = option


class OneLineErrors:
    """Part of a parser: a user's mistake is raised as one line in place of a page of usage."""

    exit_on_error: bool

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the complaint as an error of the user.

        Args:
            message: The parser's report.
            ex: What caused it.

        Raises:
            ArgumentError: This parser works for a nested class; the outer parser makes the complaint part of its own.
            OptionError: Otherwise.
        """
        if not self.exit_on_error:
            raise ArgumentError(None, message) from ex
        parsers = [self, *getattr(getattr(self, "_subcommands_action", None), "choices", {}).values()]
        known = [action.dest for parser in parsers for action in getattr(parser, "_actions", [])]
        sentence, option = explain(message, known)
        raise OptionError(sentence, option) from ex


class OneLineParser(OneLineErrors, ArgumentParser):
    """The parser of a verb that has nothing to do with Lightning; options have to be written out."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)


def shorten(report: str) -> str:
    r"""Reduce a parser's report to the option, what was expected and what was found.

    Args:
        report: The report.

    Returns:
        One line.

    Example:
        >>> shorten('Parser key "trainer.max_epochs":\n - Expected a <class \'int\'>\nGiven value: three')
        'trainer.max_epochs: expected a whole number, found three'
    """
    return explain(report)[0]


Answer = tuple[str, str | None]
"""A sentence, and the full name of the option that it is about where that is known."""


@dataclass
class _Trail:
    """What the lines of a report have said so far.

    Args:
        keys: Names of the nested options, from the outside.
        owner: The class whose options are being read.
        expected: The types that were tried for the innermost option.
        found: The value that fits none of them.
        given: The whole value that the report is about.
        other: The first complaint of another kind.
    """

    keys: list[str] = field(default_factory=list)
    owner: str | None = None
    expected: list[str] = field(default_factory=list)
    found: str | None = None
    given: str | None = None
    other: str | None = None

    @property
    def place(self) -> str:
        """Dotted name of the innermost option."""
        return ".".join(self.keys) or "configuration"


def explain(report: str, known: Sequence[str] = ()) -> Answer:
    """Reduce a parser's report to one sentence and the option that it is about.

    jsonargparse reports a failure inside a nested option once for every type that it has tried, as an indented tree;
    the first branch leads to what is wrong.

    Args:
        report: The report.
        known: Names of the options that there are, for suggestions.

    Returns:
        The sentence, and the full name of the option if the report says it.
    """
    if match := STRANGE_WORD.search(report) or STRANGE_KEY.search(report):
        word = match[match.lastindex or 1]
        sentence = f"{word}: expected the name of an option, found no option of this name{_meant(word, known)}"
        return sentence, word.strip("-")
    if match := NO_VALUE.search(report):
        return f"{match[1].split('/')[-1]}: {match[2]}, found none", None
    trail = _Trail(given=next(iter(VALUE.findall(report)), None))
    for line in report.splitlines():
        if answer := _read_line(line.strip(" -"), trail):
            return answer
    if trail.keys and trail.other and set(trail.expected) <= {"null"}:
        return f"{trail.place}: {trail.other}", trail.place
    if trail.keys and trail.expected:
        expected = " or ".join(dict.fromkeys(trail.expected))
        return f"{trail.place}: expected {expected}, found {trail.found}", trail.place
    return re.sub(r"\s+", " ", report).strip(), None


def _unknown_option(match: re.Match[str], trail: _Trail) -> Answer:
    options = _options_of(trail.owner)
    hint = _meant(match[1], options) or (f" (there are {', '.join(options)})" if options else "")
    sentence = f"{trail.place}: expected an option of {trail.owner}, found {match[1]}{hint}"
    return sentence, f"{trail.place}.{match[1]}"


def _no_subclass(match: re.Match[str], trail: _Trail) -> Answer:
    found = match[1] or trail.given  # the report leaves out what is the whole value
    return f"{trail.place}.class_path: expected a subclass of {match[2]}, found {found}", f"{trail.place}.class_path"


def _no_specification(match: re.Match[str], trail: _Trail) -> Answer:
    return f"{trail.place}: expected a {match[1]} (class_path and init_args), found {match[2]}", trail.place


def _no_class(match: re.Match[str], trail: _Trail) -> Answer:
    found = match["name"] or trail.owner or "something else"
    return f"{trail.place}.class_path: expected the name of a class, found {found}", f"{trail.place}.class_path"


def _abstract(match: re.Match[str], trail: _Trail) -> Answer:
    return f"{trail.place}.class_path: expected a class that can be built, found an abstract one", trail.place


def _missing(match: re.Match[str], trail: _Trail) -> Answer:
    names = ", ".join(name.split(".", 1)[-1] for name in match[1].split(", "))
    place = ".".join([*trail.keys, names])
    if "." not in match[1] and not trail.keys:  # a verb without configurations
        return f"{place}: expected a value on the command line, found none (--help shows how)", None
    return f"{place}: expected a value in a configuration or on the command line, found none", None


# What a line can say that is an answer by itself.
ANSWERS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], _Trail], Answer]], ...] = (
    (re.compile(r"Option '([^']+)' is not accepted"), _unknown_option),
    (re.compile(r"Import path (?:(\S+) )?does not correspond to a subclass of (\w+)"), _no_subclass),
    (re.compile(r"Not a valid subclass of (\w+)\. Got value: (.*)$"), _no_specification),
    (
        re.compile(
            r"has no attribute|No module named|Unable to import|is not iterable|"
            r"Expected a dot import path string: (?P<name>.*)$"
        ),
        _no_class,
    ),
    (re.compile(r"Expected an instantiatable class, but .*is abstract"), _abstract),
    (re.compile(r"the following arguments are required: (.+)$"), _missing),
)


def _read_line(line: str, trail: _Trail) -> Answer | None:
    """Take in one line of a report; return the answer where the line gives it."""
    for pattern, answer in ANSWERS:
        if match := pattern.search(line):
            return answer(match, trail)
    if match := KEY.search(line):
        trail.keys.append(match[1])
    elif match := CLASS.search(line):
        trail.owner = match[1]
    elif not line.startswith(SCAFFOLD) and (match := TYPE.search(line)):
        if trail.found is None:
            trail.expected.append(_plain_name(match[1]))
            trail.found = match[2]
    elif match := VALUE.search(line):
        trail.found = trail.found or match[1]
    elif line and not line.startswith(SCAFFOLD):
        trail.other = trail.other or line
    return None


def _plain_name(text: str) -> str:
    """Return how a user would call a type."""
    if choices := re.fullmatch(r"(?:typing\.)?Literal\[(.*)\]", text):
        return f"one of {choices[1]}".replace("'", "")
    name = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", text).strip(". ")
    return PLAIN_NAMES.get(name, name)


def _meant(word: str, options: Iterable[str]) -> str:
    """Return a question for the option that the user may have meant, empty if none is close."""
    dashes = word[: len(word) - len(word.lstrip("-"))]
    close = difflib.get_close_matches(word.lstrip("-"), list(options), n=1)
    return f" (did you mean {dashes}{close[0]}?)" if close else ""


def _options_of(class_path: str | None) -> list[str]:
    """Return the names of a class's options, none if they cannot be found."""
    if class_path is None or "." not in class_path:
        return []
    module, name = class_path.rsplit(".", 1)
    options: list[str] = []
    try:
        # A data module hands what it does not name on to the class that it extends.
        for owner in inspect.getmro(getattr(import_module(module), name)):
            parameters = inspect.signature(owner).parameters.values()
            options += [parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD]
            if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
                break
    except (ImportError, AttributeError, ValueError, TypeError):
        return options
    return list(dict.fromkeys(options))
