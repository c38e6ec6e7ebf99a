"""``liftpose data epipolar-labels``: 3D labels of pictures from the 2D joints of several views."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from liftpose.cli.configs import check_configs, resolve_configs
from liftpose.cli.parsing import OneLineErrors
from liftpose.cli.progress import progress_bar
from liftpose.data.view_labels import LabelOptions
from liftpose.errors import LiftposeError

__all__ = ["run"]

# Sections of a training's configuration that have nothing to do with labels.
_IGNORED = ("seed_everything", "trainer", "logging", "saving", "by_subject")


class LabelParser(OneLineErrors, ArgumentParser):
    """A parser of which the options' own classes get one too."""


def run(words: Sequence[str]) -> int:
    """Make labels.

    Args:
        words: The words of the command after ``data epipolar-labels``.

    Returns:
        The exit code.

    Raises:
        LiftposeError: The user's files or options are wrong.
    """
    import torch

    from liftpose.inference.epipolar_labels import label_pictures
    from liftpose.inference.pictures import load_picture_network

    words = resolve_configs(["data", *words])[1:]
    check_configs(["data", *words])
    if not any(word.startswith(("--config", "--model", "-h", "--help")) for word in words):
        raise LiftposeError("liftpose data epipolar-labels: expected --config NAME.yaml, found no configuration")
    parser = _parser()
    options = parser.parse_args(list(words))
    source, path = options.pop("from"), options.ckpt_path
    if source not in {"network", "gt"}:
        raise LiftposeError(f"--from: expected network or gt, found {source}")
    if (source == "network") == (path is None):
        found = "none" if path is None else path
        expected = "a checkpoint of a 2D network" if path is None else "none with --from gt"
        raise LiftposeError(f"--ckpt_path: expected {expected}, found {found}")
    settings = LabelOptions(**{name: options[name] for name in LabelOptions.__dataclass_fields__})
    network = None if path is None else load_picture_network(path).network
    if network is not None and torch.cuda.is_available():
        network = network.cuda()
    built = _build(parser, options)
    out = options.out or getattr(built.data, "labels", None)
    if not hasattr(built.data, "labels"):
        raise LiftposeError(f"data: expected a data module with the option labels, found {type(built.data).__name__}")
    if out is None:
        raise LiftposeError("data.labels: expected the name of the file to write, found none")
    built.data.prepare_data()
    with progress_bar() as show:
        report = label_pictures(
            built.data,
            Path(out),
            settings,
            network=network,
            skeleton=built.model.network.skeleton,
            overwrite=options.overwrite,
            progress=show,
        )
    sys.stdout.write("\n".join([*report.lines, *(f"wrote {file}" for file in report.files)]) + "\n")
    return 0


def _parser() -> LabelParser:
    """Return the parser: a training's configuration, and the options of labels."""
    import pytorch_lightning as pl

    from liftpose.tasks import BaseTask

    parser = LabelParser(
        prog="liftpose data epipolar-labels",
        description="3D labels of the training pictures, from the 2D joints of several views.",
        allow_abbrev=False,
    )
    parser.usage = "liftpose data epipolar-labels --config NAME.yaml (--ckpt_path FILE | --from gt) [options]"
    parser.add_argument("--config", action="config", help="Configuration of the training that the labels are for.")
    parser.add_subclass_arguments(BaseTask, "model", required=True)
    parser.add_subclass_arguments(pl.LightningDataModule, "data", required=True)
    for name in _IGNORED:
        parser.add_argument(f"--{name}", type=Any, default=None, help="Not used.")
    parser.add_argument("--ckpt_path", type=str | None, default=None, help="Checkpoint of the 2D network.")
    parser.add_argument("--from", type=str, default="network", help="network, or gt: the 2D joints of the annotations.")
    parser.add_argument("--out", type=str | None, default=None, help="File to write; that of data.labels by default.")
    parser.add_class_arguments(LabelOptions)
    parser.add_argument("--overwrite", type=bool, nargs="?", const=True, default=False, help="Replace other labels.")
    return parser


def _build(parser: LabelParser, options: Any) -> Any:
    """Build the task and the data module of the configuration."""
    from liftpose.cli.mistakes import constructor_mistakes

    with constructor_mistakes(options.as_dict()):
        return parser.instantiate(options)
