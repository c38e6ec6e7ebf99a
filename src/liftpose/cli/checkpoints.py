"""Checkpoints named on the command line: found, and compared with the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from liftpose.errors import LiftposeError
from liftpose.weights.torch_files import read_checkpoint

__all__ = ["compare_with_checkpoint", "differences", "find_checkpoint"]


def find_checkpoint(name: str, run_folder: Path) -> Path:
    """Return the file of a checkpoint.

    Args:
        name: A path, or "last" or "best" for those of the run folder.
        run_folder: Folder of the run.

    Returns:
        The path of a file that exists.

    Raises:
        LiftposeError: There is no such file.
    """
    path = run_folder / "checkpoints" / f"{name}.ckpt" if name in {"last", "best"} else Path(name)
    if not path.is_file():
        raise LiftposeError(f"--ckpt_path {name}: expected a checkpoint at {path}, found no such file")
    return path


def compare_with_checkpoint(
    path: Path, model: Mapping[str, Any], *, only: tuple[str, ...] | None, ignored: tuple[str, ...]
) -> dict[str, Any]:
    """Refuse a checkpoint that was made with other hyper-parameters than the configuration has.

    Args:
        path: File of the checkpoint.
        model: The ``model`` section of the configuration: ``class_path`` and ``init_args``.
        only: Names of the hyper-parameters to compare, or None for all.
        ignored: Names of hyper-parameters that may differ.

    Returns:
        The contents of the checkpoint.

    Raises:
        LiftposeError: The file is no checkpoint of liftpose, or a hyper-parameter differs; the message names the first
            ones with both values.
    """
    checkpoint = read_checkpoint(path)
    if "state_dict" not in checkpoint:
        raise LiftposeError(f"--ckpt_path {path}: expected a checkpoint of liftpose, found a file without a state_dict")
    saved = dict(checkpoint.get("hyper_parameters", {}))
    class_path = saved.pop("_class_path", None)
    saved.pop("_instantiator", None)
    if class_path not in {None, model["class_path"]}:
        raise LiftposeError(f"--ckpt_path {path}: expected a checkpoint of {model['class_path']}, found {class_path}")
    wanted = dict(model.get("init_args", {}))
    names = [name for name in wanted if name in saved and name not in ignored and (only is None or name in only)]
    found = [line for name in names for line in differences(wanted[name], saved[name], name)]
    if found:
        raise LiftposeError(
            f"--ckpt_path {path}: the configuration and the checkpoint disagree: {'; '.join(found[:4])}"
            + (f"; and {len(found) - 4} more" if len(found) > 4 else "")  # noqa: PLR2004
        )
    return checkpoint


def differences(wanted: Any, saved: Any, name: str) -> Iterator[str]:
    """Yield one phrase for every value in which two trees of options differ.

    Args:
        wanted: The configuration's value: a plain value, a list or a dictionary.
        saved: The checkpoint's value.
        name: Dotted name of the value.

    Yields:
        The name with both values.
    """
    if isinstance(wanted, Mapping) and isinstance(saved, Mapping):
        for key in sorted({*wanted, *saved}):
            place = name if key == "init_args" else f"{name}.{key}"
            yield from differences(wanted.get(key), saved.get(key), place)
    elif wanted != saved:
        yield f"{name} is {wanted!r} in the configuration and {saved!r} in the checkpoint"
