"""The verbs of PyTorch Lightning: fit, validate, test, predict."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI

from liftpose.cli.checkpoints import compare_with_checkpoint, find_checkpoint
from liftpose.cli.configs import resolve_configs
from liftpose.cli.parsing import OneLineErrors
from liftpose.cli.run_folder import LoggingOptions, callbacks_of_a_run, loggers_of_a_run
from liftpose.datamodules import LiftingDataModule
from liftpose.errors import LiftposeError
from liftpose.tasks import BaseTask

__all__ = ["LiftposeCLI", "run"]

DESCRIPTION = {
    "fit": "Train a model.",
    "validate": "Compute the errors on the validation split.",
    "test": "Compute the papers' table on the test split.",
    "predict": "Write one file of 3D poses per recording.",
}
QUIET: dict[str, dict[str, bool]] = {
    "fit": {},
    "validate": {},
    "test": {"verbose": False},  # the papers' table is printed instead
    "predict": {"return_predictions": False},  # they are written as they come
}
TRAINER_DEFAULTS = {
    "default_root_dir": "runs/unnamed",
    "use_distributed_sampler": False,  # the loaders cut the global batch themselves
    "num_sanity_val_steps": 0,
    "accelerator": "auto",
    "devices": 1,
}


class LightningParser(OneLineErrors, LightningArgumentParser):
    """Lightning's parser, with mistakes in one line."""


class LiftposeCLI(LightningCLI):
    """Lightning's command line with run folders, one-line errors and checkpoints that have to agree with the options."""

    def __init__(self, arguments: Sequence[str]) -> None:
        super().__init__(
            BaseTask,
            pl.LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=None,
            seed_everything_default=4321,
            auto_configure_optimizers=False,
            parser_class=LightningParser,
            trainer_defaults=TRAINER_DEFAULTS,
            parser_kwargs={verb: {"description": text} for verb, text in DESCRIPTION.items()} | {"prog": "liftpose"},
            args=list(arguments),
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of logging."""
        parser.add_class_arguments(LoggingOptions, "logging")

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        """Add the options that one verb alone has."""
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        if subcommand == "test":
            parser.add_argument("--by_subject", type=bool, default=False, help="Print the table of each person too.")
        for name, value in QUIET[subcommand].items():
            parser.set_defaults({name: value})
        return parser

    @property
    def verb(self) -> str:
        """The verb that was given."""
        return str(self.config.subcommand)

    @property
    def run_folder(self) -> Path:
        """Folder of the run."""
        return Path(self.config[self.verb].trainer.default_root_dir)

    def _parse_ckpt_path(self) -> None:
        """Find the checkpoint and refuse one that disagrees with the options.

        Lightning would let the checkpoint's hyper-parameters overrule the configuration and the command line.
        """
        self.resumed_step: int | None = None
        options = self.config[self.verb]
        name = options.get("ckpt_path")
        if name is None:
            return
        path = find_checkpoint(str(name), self.run_folder)
        model = options.model.as_dict()
        task = import_task(model["class_path"])
        resume = self.verb == "fit"
        checkpoint = compare_with_checkpoint(
            path, model, only=None if resume else task.architecture, ignored=task.not_compared
        )
        options.ckpt_path = str(path)
        if resume:
            self.resumed_step = int(checkpoint.get("global_step", 0))

    def before_instantiate_classes(self) -> None:
        """Take the options of logging, which no class of Lightning knows."""
        self.logging = LoggingOptions(**self.config[self.verb].logging.as_dict())

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Build the trainer with the loggers and callbacks of a run folder, after a check that the run can work."""
        options = dict(self.config_init[self.verb].trainer)
        self.model.check(self.verb, self.config[self.verb].get("ckpt_path"))
        if isinstance(self.datamodule, LiftingDataModule):
            self.datamodule.check()
        folder = self.run_folder
        quick = bool(options.get("fast_dev_run"))
        if options.get("logger") in {None, True} and not quick:
            kwargs["logger"] = loggers_of_a_run(self.verb, folder, self.logging, self.resumed_step) or False
        if not quick:
            text = self._parser(self.verb).dump(self.config[self.verb], skip_none=False)
            callbacks = callbacks_of_a_run(self.verb, folder, self.model, text, self.config[self.verb])
            kwargs["callbacks"] = [*(options.get("callbacks") or []), *callbacks]
        return super().instantiate_trainer(**kwargs)


def import_task(class_path: str) -> type[BaseTask]:
    """Return the class of a task that the parser has already found."""
    module, name = class_path.rsplit(".", 1)
    task: type[BaseTask] = getattr(import_module(module), name)
    return task


def run(words: Sequence[str]) -> int:
    """Run a verb of Lightning.

    Args:
        words: The words of the command, the verb first.

    Returns:
        The exit code.
    """
    needs_config(words)
    with warnings.catch_warnings():
        quiet()
        LiftposeCLI(resolve_configs(words))
    return 0


def needs_config(words: Sequence[str]) -> None:
    """Refuse a verb without a configuration; the parser would only list what it misses."""
    asked = {"-h", "--help", "--print_config"}
    given = any(
        word in {"-c", "--config", *asked} or word.startswith(("--config=", "--print_config")) for word in words
    )
    if not given and not any(word.startswith("--model") for word in words):
        raise LiftposeError(f"liftpose {words[0]}: expected --config NAME.yaml, found no configuration")


def quiet() -> None:
    """Silence what Lightning says that does not apply: hints on workers, advertisements, deprecations inside libraries."""
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(
        lambda record: "Tip:" not in record.getMessage()
    )
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter is intended.*")
    warnings.filterwarnings("ignore", message=".*callbacks used to create the checkpoint need to be provided.*")
    warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
    warnings.filterwarnings("ignore", message=".*Trainer already configured with model summary callbacks.*")
