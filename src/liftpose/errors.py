"""Errors that a user can mend, and the orderly end of a run that was told to stop."""

from __future__ import annotations

__all__ = ["LiftposeError", "RunStopped", "Terminated"]


class LiftposeError(Exception):
    r"""A mistake in what the user gave: a file, an option, an array.

    The message is one line in the form ``what, where: expected …, found …``, to be shown without a traceback. It names
    the file or the option, and where possible the command that mends the mistake. The command turns it into exit code
    2.

    Args:
        message: The sentence for the user. Line breaks are folded into spaces.

    Example:
        >>> str(LiftposeError("data_2d.npz: expected 17 joints,\n found 16"))
        'data_2d.npz: expected 17 joints, found 16'
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class RunStopped(SystemExit):
    """The end of a run that something outside has brought about: a signal, another process that was lost.

    Args:
        message: What happened and what the run has left, to be shown to the user without a traceback; empty where
            another process says it.
        code: Exit code of the process: for a signal 128 and its number, as shells have it.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(code)
        self.message = message


class Terminated(KeyboardInterrupt):
    """SIGTERM at a moment when nothing can be saved; goes the way of Ctrl-C, so that everything is cleaned up."""
