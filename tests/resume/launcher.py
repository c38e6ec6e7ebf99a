"""Runs the command again and again without paying for the imports each time.

Started as a program: imports what `liftpose fit` imports, then forks for every line of JSON on standard input, with the
keys ``words``, ``folder`` and ``log``. The child runs the command's own entry point and ends with its exit code; it can
be killed at any moment like any process. The line after that asks for its end.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any


def serve() -> None:
    """Answer each line with the number of the process that runs the words, and its end with its exit status."""
    import torch
    import wandb  # noqa: F401  # imported late by Lightning otherwise

    import liftpose.cli.lightning  # noqa: F401
    from liftpose.cli.main import main

    torch.set_num_threads(1)
    for line in iter(sys.stdin.readline, ""):
        order: dict[str, Any] = json.loads(line)
        process = os.fork()
        if process == 0:
            _become(order["folder"], order["log"])
            code = 1
            try:
                code = main(order["words"])
            except BaseException:
                traceback.print_exc()  # the process ends below without what Python would say of it
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _say(process)
        sys.stdin.readline()  # until it is asked for, the process keeps its number, so that nobody kills another one
        _, status = os.waitpid(process, 0)
        _say(os.waitstatus_to_exitcode(status))


def _become(folder: str, log: str) -> None:
    """Work in another folder, with the output in a file."""
    os.chdir(folder)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
