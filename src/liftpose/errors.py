"""Errors that a user can mend: the command turns each into one line and exit code 2."""

from __future__ import annotations

__all__ = ["LiftposeError"]


class LiftposeError(Exception):
    r"""A mistake in what the user gave: a file, an option, an array.

    The message is one line in the form ``what, where: expected …, found …``, to be shown without a traceback. It names
    the file or the option, and where possible the command that mends the mistake.

    Args:
        message: The sentence for the user. Line breaks are folded into spaces.

    Example:
        >>> str(LiftposeError("data_2d.npz: expected 17 joints,\n found 16"))
        'data_2d.npz: expected 17 joints, found 16'
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
