"""Which exceptions of Lightning and of the parser are the user's mistakes.

An exception becomes one line only where nothing but the user's options can have caused it; everything else keeps its
traceback, since it is a bug of liftpose that the traceback helps to mend:

- an error of liftpose that a constructor has raised, however deep the parser has wrapped it;
- whatever the constructor of the trainer raises: it is given nothing but options;
- what Weights & Biases says when it cannot be reached or has no account;
- a ``MisconfigurationException`` from anywhere: Lightning's word for options that do not fit together;
- a ``ValueError`` or ``RuntimeError`` that Lightning's loops and callbacks raise themselves: there they check options
  for which they need the number of batches or the names of what is logged.

``OSError`` is sorted in :mod:`liftpose.cli.main`: there by its number.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning
from lightning_fabric.utilities.exceptions import MisconfigurationException

from liftpose.cli.configs import option_paths
from liftpose.errors import LiftposeError

__all__ = ["constructor_mistakes", "option_path", "trainer_mistakes"]

LIGHTNING = Path(pytorch_lightning.__file__).parent
CHECKS = (ValueError, RuntimeError)
LONGEST = 240
"""Characters of a message of Lightning that are shown; the rest is advice to programmers."""


@contextmanager
def constructor_mistakes(config: Mapping[str, Any]) -> Iterator[None]:
    """Raise what the constructors of task, network or data module have to say about their options as one line.

    Args:
        config: The parsed options, by which an option is named in full.

    Raises:
        LiftposeError: A constructor has refused its options.
    """
    try:
        yield
    except (ValueError, TypeError) as error:  # what the parser makes of an exception in a constructor
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, LiftposeError):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        name, _, rest = str(cause).partition(":")
        raise LiftposeError(f"{option_path(config, name)}:{rest}") from error


@contextmanager
def trainer_mistakes(options: Mapping[str, Any], kinds: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Raise what Lightning has to say about the options of its trainer as one line.

    Args:
        options: The options of the trainer.
        kinds: What counts as a mistake besides ``MisconfigurationException``.

    Raises:
        LiftposeError: Lightning refuses the options.
    """
    mistakes: tuple[type[Exception], ...] = (MisconfigurationException, *kinds)
    try:
        yield
    except Exception as error:
        if type(error).__module__.startswith("wandb."):
            text = re.sub(r"\s+", " ", str(error)).strip()
            raise LiftposeError(f"logging.wandb: expected a service that can be reached, found: {text}") from error
        if not isinstance(error, mistakes) and not (isinstance(error, CHECKS) and _raised_by_lightning(error)):
            raise
        text = re.sub(r"\s+", " ", str(error)).strip()
        shown = text if len(text) <= LONGEST else f"{text[:LONGEST].rsplit(' ', 1)[0]} …"
        raise LiftposeError(f"{_named(options, text)}: expected options that work here, found: {shown}") from error


def option_path(config: Mapping[str, Any], name: str) -> str:
    """Return the full name of an option, as it is written on the command line.

    Args:
        config: The parsed options of a verb.
        name: Last parts of the option's name, such as "stage" or "data.batch_size".

    Returns:
        The full name, such as "model.lifter.stage"; ``name`` itself if there is none or more than one.
    """
    paths = [path for path in option_paths(config) if path == name or path.endswith(f".{name}")]
    return paths[0] if len(paths) == 1 else name


def _raised_by_lightning(error: Exception) -> bool:
    """Return whether a loop or callback of Lightning has raised an error itself."""
    innermost = traceback.extract_tb(error.__traceback__)[-1]
    return Path(innermost.filename).parent in {LIGHTNING / "loops", LIGHTNING / "callbacks"}


def _named(options: Mapping[str, Any], text: str) -> str:
    """Return the options that a message of Lightning speaks of, by name or by value."""
    spoken = [
        f"trainer.{name} {value}"
        for name, value in options.items()
        if isinstance(value, str | int | float)
        and value != "auto"
        and (
            re.search(rf"\b{name}\b", text) or (isinstance(value, str) and re.search(rf"\b{re.escape(value)}\b", text))
        )
    ]
    return ", ".join(spoken) or "trainer"
