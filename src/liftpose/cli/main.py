"""Entry point of the command: nothing heavy is imported before the verb is known."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from liftpose import __version__
from liftpose.errors import LiftposeError

__all__ = ["main"]

USAGE = """\
liftpose: 3D human pose from keypoints and pictures.

usage: liftpose VERB [options]

training and evaluation (PyTorch Lightning; every option can be set in the configuration or as --name value)
  fit       --config NAME.yaml [--config OVERLAY.yaml ...]                 train
  validate  --config NAME.yaml --ckpt_path FILE                            errors on the validation split
  test      --config NAME.yaml --ckpt_path FILE                            the papers' table on the test split
  predict   --config NAME.yaml --ckpt_path FILE                            one file of 3D poses per recording

data
  data mocap DIR --out FOLDER --name NAME    motion capture (BVH, ASF/AMC) in the layout of Human3.6M

liftpose VERB --help lists the options of a verb; --config NAME.yaml is a path or one of the installed configurations:
  {configs}
"""

# verb -> (module, function); the module is imported only when its verb is asked for
VERBS: dict[str, tuple[str, str]] = {
    "fit": ("liftpose.cli.lightning", "run"),
    "validate": ("liftpose.cli.lightning", "run"),
    "test": ("liftpose.cli.lightning", "run"),
    "predict": ("liftpose.cli.lightning", "run"),
    "data": ("liftpose.cli.data", "run"),
}

USER_ERROR = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: The words after ``liftpose``; those of the process by default.

    Returns:
        The exit code: 0, 2 for a user's mistake (one line on standard error), 130 when interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in {"-h", "--help", "help"}:
        from liftpose.cli.configs import installed_configs

        sys.stdout.write(USAGE.format(configs=" ".join(installed_configs())))
        return 0
    if words[0] == "--version":
        sys.stdout.write(f"liftpose {__version__}\n")
        return 0
    try:
        return _verb(words[0])(words)
    except LiftposeError as error:
        return _complain(str(error))
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS}:
            raise
        return _complain(f"{error.filename or 'writing a file'}: {error.strerror}")
    except KeyboardInterrupt:
        sys.stderr.write("liftpose: interrupted\n")
        return INTERRUPTED


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
