"""Checkpoints named on the command line: found, and compared with the configuration.

Lightning lets the hyper-parameters of a checkpoint overrule the configuration and the command line. Here they have to
agree. What is compared:

- training that goes on (``fit --ckpt_path``): all options of the task but those in its ``not_compared``, those of the
  data, and of the trainer those that decide what is learnt (:data:`TRAINER_COMPARED`). The number of epochs may grow:
  that is how a run is made longer.
- evaluation: the options in the task's ``architecture``, all of them; that dropout is among these costs nothing, since
  the configuration that belongs to the checkpoint lies beside it.

A checkpoint that was made before an option existed counts as made with the option's default, which is how the option
behaved before it had a name.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from liftpose.callbacks import RUN_ENTRY
from liftpose.errors import LiftposeError
from liftpose.processes import is_first_process
from liftpose.weights import (
    CONFIG_ENTRY,
    IDENTITY_ENTRY,
    SOURCE_ENTRY,
    PublishedNetwork,
    as_checkpoint,
    published_network,
    read_checkpoint,
)

__all__ = [
    "compare_runs",
    "compare_with_checkpoint",
    "differences",
    "find_checkpoint",
    "find_last_checkpoint",
    "refuse_to_lose",
    "refuse_to_overwrite",
    "refuse_to_shorten",
    "say",
    "say_longer",
]

TRAINING_STATE = ("epoch", "global_step", "loops", "optimizer_states", "lr_schedulers", RUN_ENTRY)
"""Entries without which training cannot go on."""

ENTRY_TYPES: dict[str, type] = {
    **dict.fromkeys(("state_dict", "hyper_parameters", "callbacks", "loops", RUN_ENTRY, IDENTITY_ENTRY), Mapping),
    **dict.fromkeys(("optimizer_states", "lr_schedulers"), list),
    **dict.fromkeys(("epoch", "global_step"), int),
    **dict.fromkeys(("pytorch-lightning_version", CONFIG_ENTRY), str),
}
"""What the entries of a checkpoint are, where it has them."""

TRAINER_COMPARED = (
    *("precision", "accumulate_grad_batches", "gradient_clip_val", "gradient_clip_algorithm"),
    *("limit_train_batches", "limit_val_batches", "check_val_every_n_epoch", "val_check_interval"),
    *("sync_batchnorm",),
)
"""Options of the trainer that decide what is learnt, and which epoch is the best."""

DATA_NOT_COMPARED = ("root", "test_subjects", "test_sets")
"""Options of data modules that may differ: files may move, and training does not see the test."""

LIFTING_TASKS = {"liftpose.tasks.LiftingTask", "liftpose.tasks.AugmentedLiftingTask"}
"""Tasks that evaluate a lifter in the same way, however it was trained."""

SHOWN = 4
"""How many differences a message names."""


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
        found = "a folder" if path.is_dir() else "no such file"
        raise LiftposeError(f"--ckpt_path {name}: expected a checkpoint at {path}, found {found}")
    return path


def find_last_checkpoint(run_folder: Path) -> Path | None:
    """Find the newest checkpoint of a run that can be read.

    Args:
        run_folder: Folder of the run.

    Returns:
        ``last.ckpt``; the one before if that is damaged; None if the run has not saved anything yet, so that the same
        words start a run and go on with it.

    Raises:
        LiftposeError: The run has checkpoints, but neither of the two.
    """
    folder = run_folder / "checkpoints"
    last, previous = folder / "last.ckpt", folder / "previous.ckpt"
    if not _checkpoints_in(folder):
        say(f"no checkpoint in {run_folder} yet: the run starts from the beginning")
        return None
    try:
        read_checkpoint(find_checkpoint("last", run_folder))
    except LiftposeError as error:
        if not previous.is_file():
            raise LiftposeError(
                f"{error} (--ckpt_path {folder / 'best.ckpt'} goes on from the best epoch, if that is whole; "
                "--overwrite true begins anew)"
            ) from error
        say(f"{error}; the run goes on from the one before, {previous}")
        return previous
    return last


def refuse_to_lose(run_folder: Path, resumed: Path | None) -> None:
    """Refuse to give up the run that training is to go on with.

    Args:
        run_folder: Folder of the run.
        resumed: The checkpoint that training goes on from, if any.

    Raises:
        LiftposeError: The checkpoint lies in the folder.
    """
    if resumed is not None and resumed.parent.resolve() == (run_folder / "checkpoints").resolve():
        raise LiftposeError(f"--overwrite true: expected a run of its own, found --ckpt_path {resumed} of the same run")


def refuse_to_overwrite(run_folder: Path, resumed: Path | None) -> None:
    """Refuse to write the checkpoints of a training over those of another.

    Args:
        run_folder: Folder of the run.
        resumed: The checkpoint that training goes on from, if any; its own folder may be written to.

    Raises:
        LiftposeError: The folder holds checkpoints of another run; the message names the ways on.
    """
    folder = run_folder / "checkpoints"
    found = _checkpoints_in(folder)
    if found and (resumed is None or resumed.parent.resolve() != folder.resolve()):
        raise LiftposeError(
            f"trainer.default_root_dir: expected a folder without checkpoints of another run, found "
            f"{', '.join(found)} in {folder} (--ckpt_path last goes on with that run, --trainer.default_root_dir "
            "FOLDER takes another folder, --overwrite true gives that run up)"
        )


def _checkpoints_in(folder: Path) -> list[str]:
    """Return the names of the checkpoints in a folder, without what a killed process has left half-written."""
    return sorted(path.name for path in folder.glob("*.ckpt") if not path.name.startswith("."))


def compare_with_checkpoint(
    path: Path, model: Mapping[str, Any], *, only: tuple[str, ...] | None, ignored: tuple[str, ...]
) -> dict[str, Any]:
    """Refuse a checkpoint that was made with other hyper-parameters than the configuration has.

    Args:
        path: File of the checkpoint.
        model: The ``model`` section of the configuration: ``class_path`` and ``init_args``.
        only: Names of the hyper-parameters to compare, or None for all; then the state of training has to be there too.
        ignored: Names of hyper-parameters that may differ.

    Returns:
        The contents of the checkpoint.

    Raises:
        LiftposeError: The file is no checkpoint of liftpose, or a hyper-parameter differs; the message names the first
            ones with both values.
    """
    checkpoint = read_checkpoint(path)
    where = f"--ckpt_path {path}"
    published = published_network(checkpoint, where, path)
    source = checkpoint.get(SOURCE_ENTRY) if published is None else published.system
    if only is None and source is not None:
        raise LiftposeError(
            f"{where}: expected a checkpoint with the state of a training, found the weights of {source} alone "
            f"(--model.init_from {path} starts a training from them)"
        )
    if published is not None:
        _refuse_other_options(where, published, model)
        return as_checkpoint(checkpoint, where, path)
    needed = ("state_dict", "pytorch-lightning_version", *(TRAINING_STATE if only is None else ()))
    missing = [name for name in needed if name not in checkpoint]
    if missing:
        found = ", ".join(sorted(map(str, checkpoint))[:8]) or "nothing"
        raise LiftposeError(f"--ckpt_path {path}: expected a checkpoint of liftpose with {missing[0]}, found {found}")
    for name, kind in ENTRY_TYPES.items():
        if name in checkpoint and not isinstance(checkpoint[name], kind):
            raise LiftposeError(
                f"--ckpt_path {path}: {name}: expected the {kind.__name__.lower()} of a checkpoint of liftpose, found "
                f"{type(checkpoint[name]).__name__}"
            )
    saved = dict(checkpoint.get("hyper_parameters", {}))
    class_path = saved.pop("_class_path", None)
    alike = only is not None and {class_path, model["class_path"]} <= LIFTING_TASKS
    if class_path not in {None, model["class_path"]} and not alike:
        raise LiftposeError(f"--ckpt_path {path}: expected a checkpoint of {model['class_path']}, found {class_path}")
    options = dict(model.get("init_args", {}))
    # The options of a network that was built in Python and given as an object are not in the checkpoint.
    known = {name for name, value in options.items() if name in saved or not isinstance(value, Mapping)}
    compared = known - set(ignored) if only is None else known & set(only)
    wanted, had = ({name: value for name, value in side.items() if name in compared} for side in (options, saved))
    _refuse(path, differences(wanted, had, "model", model["class_path"]))
    return checkpoint


def _refuse_other_options(where: str, published: PublishedNetwork, model: Mapping[str, Any]) -> None:
    """Refuse a file of a public code whose weights contradict the configuration of the network."""
    option = published.argument
    network = model.get("init_args", {}).get(option)
    class_path = network["class_path"] if isinstance(network, Mapping) else "none"
    own = f"liftpose.models.{published.kind.__name__}"
    if class_path != own:
        raise LiftposeError(
            f"{where}: expected the weights of {class_path}, found those of {published.system} (--model.{option} "
            f"{own}, or a configuration that has it)"
        )
    misfits = list(published.misfits(network.get("init_args") or {}))
    if misfits:
        named = "; ".join(
            f"model.{option}.{name} is {_written(value)} in the configuration and {_written(fitting)} in the weights"
            for name, value, fitting in misfits
        )
        options = " ".join(f"--model.{option}.{name} {_written(fitting)}" for name, _, fitting in misfits)
        raise LiftposeError(
            f"{where}: the configuration and the weights of {published.system} disagree: {named} (what fits: {options})"
        )


def _written(value: Any) -> str:
    """Write a value as on the command line."""
    return value if isinstance(value, str) else json.dumps(_plain(value), separators=(",", ":"))


def compare_runs(path: Path, config: str, checkpoint: Mapping[str, Any]) -> None:
    """Refuse to go on with a training on other data, or with other options that decide what is learnt.

    Args:
        path: File of the checkpoint.
        config: The configuration as YAML.
        checkpoint: The contents of the checkpoint; nothing is compared where they lack the configuration.

    Raises:
        LiftposeError: An option differs; the message names the first ones with both values.
    """
    text = checkpoint.get(CONFIG_ENTRY)
    if isinstance(text, str):
        wanted, saved = (_compared_options(_read_config(path, content)) for content in (config, text))
        _refuse(path, (line for name in wanted for line in differences(wanted[name], saved[name], name)))


def _read_config(path: Path, text: str) -> dict[str, Any]:
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError:
        config = None
    if not isinstance(config, dict) or not {"data", "trainer"} <= config.keys():
        raise LiftposeError(
            f"--ckpt_path {path}: {CONFIG_ENTRY}: expected the configuration of a run, found another text"
        )
    return config


def refuse_to_shorten(path: Path, trainer: Mapping[str, Any], checkpoint: Mapping[str, Any]) -> None:
    """Refuse to go on with a training that is already longer than it is to become.

    Args:
        path: File of the checkpoint.
        trainer: Options of the trainer; None or -1 epochs or steps stand for no end.
        checkpoint: The contents of the checkpoint.

    Raises:
        LiftposeError: The checkpoint has more epochs or optimiser steps behind it.
    """
    try:
        epochs = int(checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])
    except (KeyError, TypeError, ValueError) as error:
        raise LiftposeError(f"--ckpt_path {path}: loops: expected the progress of a training, found another") from error
    for unit, done in (("epochs", epochs), ("steps", int(checkpoint["global_step"]))):
        most = trainer[f"max_{unit}"]
        if most is not None and 0 <= most < done:
            raise LiftposeError(f"trainer.max_{unit}: expected at least the {done} {unit} of {path}, found {most}")


def say_longer(max_epochs: int | None, checkpoint: Mapping[str, Any]) -> None:
    """Tell that a run which goes on has another number of epochs than it began with, where the checkpoint says it.

    Args:
        max_epochs: Number of epochs of the configuration.
        checkpoint: The contents of the checkpoint.
    """
    text = checkpoint.get(CONFIG_ENTRY)
    before = yaml.safe_load(text)["trainer"].get("max_epochs") if isinstance(text, str) else max_epochs
    if before != max_epochs:
        say(f"trainer.max_epochs is {max_epochs} now, was {before}: what follows it goes another way from here on")


def differences(wanted: Any, saved: Any, name: str, class_path: str | None = None) -> Iterator[str]:
    """Yield one phrase for every value in which two trees of options differ.

    Args:
        wanted: The configuration's value: a plain value, a list or a dictionary.
        saved: The checkpoint's value.
        name: Dotted name of the value.
        class_path: The class whose options the two are; says the defaults of options that the checkpoint lacks.

    Yields:
        The name with both values.
    """
    if isinstance(wanted, Mapping) and isinstance(saved, Mapping):
        owner = wanted.get("class_path")
        keys = {*wanted, *saved} if owner == saved.get("class_path") else {"class_path"}  # other classes: other options
        for key in sorted(keys):
            place = name if key == "init_args" else f"{name}.{key}"
            had = saved[key] if key in saved else _default(class_path, key)
            yield from differences(wanted.get(key), had, place, owner if key == "init_args" else None)
    elif _plain(wanted) != _plain(saved):
        yield f"{name} is {_plain(wanted)!r} in the configuration and {_plain(saved)!r} in the checkpoint"


def say(text: str) -> None:
    """Tell the user something in one line on standard error, once for all processes of a run."""
    if is_first_process():
        sys.stderr.write(f"liftpose: {text}\n")


def _refuse(path: Path, found: Iterator[str]) -> None:
    """Raise an error that names the first differences, if there are any."""
    lines = list(found)
    own = path.parent.parent / "config.yaml"  # of the run folder that the checkpoint lies in
    if lines:
        raise LiftposeError(
            f"--ckpt_path {path}: the configuration and the checkpoint disagree: {'; '.join(lines[:SHOWN])}"
            + (f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else "")
            + (f" (--config {own} is the checkpoint's own)" if own.is_file() else "")
        )


def _compared_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a configuration that a run has to share with the checkpoint it goes on from."""
    data = dict(config.get("data") or {})
    options = data.get("init_args") or {}
    data["init_args"] = {name: value for name, value in options.items() if name not in DATA_NOT_COMPARED}
    trainer = config.get("trainer") or {}
    options = {name: trainer.get(name) for name in TRAINER_COMPARED}
    return {"data": data, "trainer": options, "seed_everything": config.get("seed_everything")}


def _default(class_path: str | None, option: str) -> Any:
    """Return the default of an option of a class, None if it has none."""
    if class_path is None:
        return None
    module, name = class_path.rsplit(".", 1)
    parameter = inspect.signature(getattr(import_module(module), name)).parameters.get(option)
    return None if parameter is None or parameter.default is parameter.empty else parameter.default


def _plain(value: Any) -> Any:
    """Return a value with lists for tuples: which of the two it was says nothing."""
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
