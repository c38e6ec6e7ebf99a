"""Packages that only some formats need."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from liftpose.errors import LiftposeError

__all__ = ["import_optional"]


def import_optional(module: str, what: str, extra: str = "prepare") -> ModuleType:
    """Import a package that is not among those that liftpose always installs.

    Args:
        module: Name of the module, such as ``scipy.io``.
        what: What it is needed for, the start of the message: a file or an option.
        extra: Name of the extra of liftpose that installs it.

    Returns:
        The module.

    Raises:
        LiftposeError: The package is not installed; the message says how to install it.
    """
    package = module.partition(".")[0]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] != package:
            raise
        raise LiftposeError(
            f"{what}: expected the package {package}, found it is not installed (pip install 'liftpose[{extra}]')"
        ) from error
