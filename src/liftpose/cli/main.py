"""Entry point of the command: nothing heavy is imported before the verb is known."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import FrameType

from liftpose import __version__
from liftpose.cli.usage import USAGE, VERB_USAGE, asks_for_usage
from liftpose.errors import LiftposeError, RunStopped, Terminated
from liftpose.processes import end_with_parent, is_first_process

__all__ = ["main"]

# verb -> (module, function); the module is imported only when its verb is asked for
VERBS: dict[str, tuple[str, str]] = {
    "fit": ("liftpose.cli.lightning", "run"),
    "validate": ("liftpose.cli.lightning", "run"),
    "test": ("liftpose.cli.lightning", "run"),
    "predict": ("liftpose.cli.lightning", "run"),
    "data": ("liftpose.cli.data", "run"),
    "weights": ("liftpose.cli.weights", "run"),
    "lift": ("liftpose.cli.lift", "run"),
    "render": ("liftpose.cli.render", "run"),
}

USER_ERROR = 2
KILLED = 128  # a process that a signal has ended: this and the signal's number, as shells have it

# What a disk, its permissions or a path may have against a run. Other numbers, such as that of a missing file, are
# mistakes of the user only where a reader says so; from anywhere else they are bugs and keep their traceback.
DISK_ERRORS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP),
    *(errno.EIO, errno.ESTALE),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: The words after ``liftpose``; those of the process by default.

    Returns:
        The exit code: 0, 2 for a user's mistake (one line on standard error), 130 when interrupted, 143 when
        terminated, 141 when nobody reads the output any more.
    """
    end_with_parent()  # before the imports, which take seconds in which the other process may be lost
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with _terminations():
            code = _answer(words)
            sys.stdout.flush()  # here, where a closed pipe can still be told from a bug
        return code
    except LiftposeError as error:
        return _complain(str(error))
    except BrokenPipeError:
        # The interpreter flushes once more at its end and would report the pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return KILLED + signal.SIGPIPE
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        return _complain(f"{error.filename or 'the run folder'}: expected to write or read it, found: {error.strerror}")
    except KeyboardInterrupt as interruption:
        terminated = isinstance(interruption, Terminated)
        left = f"; {interruption}" if str(interruption) else ""
        if is_first_process():
            sys.stderr.write(f"\nliftpose: {'terminated' if terminated else 'interrupted'}{left}\n")
        return KILLED + (signal.SIGTERM if terminated else signal.SIGINT)


@contextmanager
def _terminations() -> Iterator[None]:
    """Let SIGTERM end the command as Ctrl-C does, so that half-written files and other processes do not stay."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the way out is not interrupted once more
    raise Terminated


def _answer(words: Sequence[str]) -> int:
    """Do what the words of a command ask for and return the exit code."""
    if not words or words[0] in {"-h", "--help", "help"}:
        from liftpose.cli.configs import installed_configs

        sys.stdout.write(USAGE.format(configs=" ".join(installed_configs())))
        return 0
    if words[0] == "--version":
        sys.stdout.write(f"liftpose {__version__}\n")
        return 0
    if asks_for_usage(words):
        sys.stdout.write(VERB_USAGE[words[0]])
        return 0
    try:
        return _verb(words[0])(words)
    except SystemExit as end:
        return _exit_code(end)


def _exit_code(end: SystemExit) -> int:
    """Return the exit code of what has ended this way; what has brought a run to its end is said on standard error."""
    # The parsers leave this way once they have printed what was asked for.
    if isinstance(end, RunStopped) and end.message:
        sys.stderr.write(f"\nliftpose: {end.message}\n")
    return end.code if isinstance(end.code, int) else 0 if end.code is None else 1


def _verb(word: str) -> Callable[[Sequence[str]], int]:
    """Return the function behind a verb."""
    if word not in VERBS:
        raise LiftposeError(f"liftpose: expected a verb ({', '.join(VERBS)}), found {word}; see liftpose --help")
    module, function = VERBS[word]
    verb: Callable[[Sequence[str]], int] = getattr(import_module(module), function)
    return verb


def _complain(message: str) -> int:
    """Write one line on standard error and return the exit code of a user's mistake."""
    sys.stderr.write(f"liftpose: error: {message}\n")
    return USER_ERROR
