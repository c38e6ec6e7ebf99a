"""The verbs of PyTorch Lightning: fit, validate, test, predict."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from torch import Tensor

from liftpose.callbacks import RUN_ENTRY, CheckpointFiles
from liftpose.cli.checkpoints import (
    compare_runs,
    compare_with_checkpoint,
    find_checkpoint,
    find_last_checkpoint,
    refuse_to_lose,
    refuse_to_overwrite,
    refuse_to_shorten,
    say_longer,
)
from liftpose.cli.configs import check_configs, config_holding, resolve_configs
from liftpose.cli.endings import OwnSignals, interruptions, lost_processes
from liftpose.cli.mistakes import constructor_mistakes, trainer_mistakes
from liftpose.cli.parsing import OneLineErrors, OptionError
from liftpose.cli.run_folder import (
    LoggingOptions,
    SavingOptions,
    callbacks_of_a_run,
    check_run_folder,
    loggers_of_a_run,
    make_run_folder,
)
from liftpose.cli.run_lock import sole_run
from liftpose.cli.saved_tensors import compare_optimizers, compare_weights
from liftpose.errors import LiftposeError
from liftpose.tasks import BaseTask

__all__ = ["LiftposeCLI", "run"]

DESCRIPTION = {
    "fit": "Train a model.",
    "validate": "Compute the errors on the validation split.",
    "test": "Compute the papers' table on the test split.",
    "predict": "Write one file of 3D poses per recording.",
}
# Arguments of the trainer's methods that the user cannot choose.
FIXED: dict[str, dict[str, bool]] = {
    "fit": {"weights_only": True},  # checkpoints are never unpickled freely
    "validate": {"weights_only": True, "verbose": True},
    "test": {"weights_only": True, "verbose": False},  # the papers' table is printed instead
    "predict": {"weights_only": True, "return_predictions": False},  # they are written as they come
}
TRAINER_DEFAULTS = {
    "default_root_dir": "runs/unnamed",
    "use_distributed_sampler": False,  # the loaders cut the global batch themselves
    "num_sanity_val_steps": 0,
    "accelerator": "auto",
    "devices": 1,
}
# Values with which Lightning would end at once without having done anything, or fail in the middle.
TRAINER_LEAST = {"accumulate_grad_batches": 1, "check_val_every_n_epoch": 1, "log_every_n_steps": 0, "num_nodes": 1}
NOTHING_TO_DO = {
    "fit": ("max_epochs", "max_steps", "limit_train_batches", "val_check_interval"),
    "validate": ("limit_val_batches",),
    "test": ("limit_test_batches",),
    "predict": ("limit_predict_batches",),
}
CHECKPOINT_HELP = {
    "fit": "Go on with a training: a checkpoint, or last or best for those of the run folder.",
    "validate": "A checkpoint, or last or best for those of the run folder.",
    "test": "A checkpoint, or last or best for those of the run folder.",
    "predict": "A checkpoint, or last or best for those of the run folder.",
}
GROUPS = {
    "trainer": "Trainer of PyTorch Lightning",
    "model": "Task: model and training recipe",
    "data": "Data",
    "logging": "Logging",
    "saving": "Saving",
    "ckpt_path": "Run",
}


class LightningParser(OneLineErrors, LightningArgumentParser):
    """Lightning's parser, with mistakes in one line."""


class LiftposeCLI(LightningCLI):
    """Lightning's command line with run folders, one-line errors and checkpoints that have to fit the options."""

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
            # Options have to be written out: a shortened one could come to mean another when one is added.
            parser_kwargs={verb: {"description": text} for verb, text in DESCRIPTION.items()}
            | {"prog": "liftpose", "allow_abbrev": False},
            args=list(arguments),
        )

    # ------------------------------------------------------------------------------------------------------- parsing
    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """The verbs with the options of Lightning that they do not offer."""
        return {verb: {*skipped, *FIXED[verb]} for verb, skipped in LightningCLI.subcommands().items()}

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        """Add what the user cannot choose."""
        return {**super()._prepare_subcommand_kwargs(subcommand), **FIXED[subcommand]}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of logging and saving."""
        parser.add_class_arguments(LoggingOptions, "logging")
        parser.add_class_arguments(SavingOptions, "saving")

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        """Add the options of liftpose and say what the others are for."""
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        # Every verb has the options of the others, so that the configuration of a run serves them all.
        parser.add_argument(
            "--overwrite",
            type=bool,
            default=False,
            help="fit: give up the checkpoints and results of an earlier run in the run folder.",
        )
        parser.add_argument("--by_subject", type=bool, default=False, help="test: print the table of each person too.")
        for action in parser._actions:
            if action.dest == "ckpt_path":
                action.help = CHECKPOINT_HELP[subcommand]
        for name, group in (parser.groups or {}).items():
            group.title = GROUPS.get(name, group.title)
        return parser

    def _add_subcommands(self, parser: LightningArgumentParser, **kwargs: Any) -> None:
        """Give the verbs names and a usage that can be read; Lightning's lists every option twice."""
        super()._add_subcommands(parser, **kwargs)
        for verb, own in self._subcommand_parsers.items():
            own.prog = f"liftpose {verb}"
            own.usage = f"liftpose {verb} --config NAME.yaml [--config OVERLAY.yaml ...] [--KEY VALUE ...]"

    @property
    def verb(self) -> str:
        """The verb that was given."""
        return str(self.config.subcommand)

    @property
    def run_folder(self) -> Path:
        """Folder of the run."""
        return Path(self.config[self.verb].trainer.default_root_dir)

    def config_text(self) -> str:
        """Return the configuration as YAML."""
        text: str = self._parser(self.verb).dump(self.config[self.verb], skip_none=False)
        return text

    # -------------------------------------------------------------------------------------------------------- checks
    def _parse_ckpt_path(self) -> None:
        """Find the checkpoint and refuse one that disagrees with the options.

        Lightning would let the checkpoint's hyper-parameters overrule the configuration and the command line.
        """
        self.resumed: dict[str, Any] | None = None
        self.saved_weights: dict[str, Tensor] = {}
        self.saved_moments: list[Any] = []
        options = self.config[self.verb]
        check_run_folder(options.trainer.default_root_dir)
        check_trainer_options(self.verb, options.trainer.as_dict())
        name = options.get("ckpt_path")
        if name == "last" and self.verb == "fit" and not options.overwrite:
            path = find_last_checkpoint(self.run_folder)
            options.ckpt_path = path
        else:
            path = None if name is None else find_checkpoint(str(name), self.run_folder)
        if self.verb == "fit" and not options.trainer.fast_dev_run:
            refuse = refuse_to_lose if options.overwrite else refuse_to_overwrite
            refuse(self.run_folder, path)
        if path is not None:
            self._compare_checkpoint(path)

    def _compare_checkpoint(self, path: Path) -> None:
        """Refuse a checkpoint that disagrees with the options."""
        options = self.config[self.verb]
        model = options.model.as_dict()
        task = import_task(model["class_path"])
        resume = self.verb == "fit"
        checkpoint = compare_with_checkpoint(
            path, model, only=None if resume else task.architecture, ignored=task.not_compared
        )
        if resume:
            compare_runs(path, self.config_text(), checkpoint)
            refuse_to_shorten(path, options.trainer.as_dict(), checkpoint)
            say_longer(options.trainer.max_epochs, checkpoint)
            if options.trainer.enable_checkpointing is False:
                raise LiftposeError("trainer.enable_checkpointing: expected true for a run that goes on, found false")
            self.resumed = dict(checkpoint[RUN_ENTRY])
            if path.parent.resolve() != (self.run_folder / "checkpoints").resolve():
                self.resumed |= {"wandb_id": None, "csv_rows": 0}  # the run in the other folder keeps its name and log
        self.saved_weights = checkpoint["state_dict"]
        self.saved_moments = checkpoint["optimizer_states"] if resume else []
        options.ckpt_path = str(path)

    def before_instantiate_classes(self) -> None:
        """Take the options of logging and saving, which no class of Lightning knows."""
        self.logging = LoggingOptions(**self.config[self.verb].logging.as_dict())
        self.saving = SavingOptions(**self.config[self.verb].saving.as_dict())

    def instantiate_classes(self) -> None:
        """Build everything that the options describe."""
        with constructor_mistakes(self.config[self.verb].as_dict()):
            super().instantiate_classes()

    def check(self) -> None:
        """Refuse a run that cannot work before anything is written."""
        checkpoint = self.config[self.verb].get("ckpt_path")
        if self.verb == "fit":
            self.model.check_trainer(self.config[self.verb].trainer.as_dict())
        self.model.check(self.verb, checkpoint)
        if checkpoint is not None:
            own, saved = self.model.state_dict(), self.saved_weights
            if self.verb != "fit":  # networks that only training needs may be missing, or be others
                own, saved = ({name: state[name] for name in self.model.evaluated(state)} for state in (own, saved))
                self.model.strict_loading = False
            compare_weights(Path(checkpoint), own, saved)
            self.saved_weights = {}
            if self.resumed is not None:
                compare_optimizers(Path(checkpoint), self.model.trained_parameters(), self.saved_moments)
            self.saved_moments = []
        if not isinstance(self.datamodule, self.model.data_modules):
            kinds = " or ".join(kind.__name__ for kind in self.model.data_modules)
            task, found = type(self.model).__name__, type(self.datamodule).__name__
            raise LiftposeError(f"data.class_path: expected {kinds} for {task}, found {found}")
        self.datamodule.check(self.verb, self.model.main_network)
        self.model.check_data(self.verb, self.datamodule)

    # ----------------------------------------------------------------------------------------------------------- run
    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Build the trainer with the loggers and callbacks of a run folder, after a check that the run can work."""
        options = dict(self.config_init[self.verb].trainer)
        self.check()
        if options["accelerator"] == "auto" and not torch.cuda.is_available():
            kwargs["accelerator"] = "cpu"  # not Apple's GPU: the metrics add up in float64, which it does not have
        folder = self.run_folder
        quick = bool(options.get("fast_dev_run"))
        if (options.get("logger") is None or options["logger"] is True) and not quick:
            kwargs["logger"] = loggers_of_a_run(self.verb, folder, self.logging, self.resumed) or False
        if not quick:
            config = self.config[self.verb]
            callbacks = callbacks_of_a_run(self.verb, folder, self.model, self.config_text(), config, self.saving)
            kwargs["callbacks"] = [*_listed(options.get("callbacks")), *callbacks]
        kwargs["plugins"] = [*_listed(options.get("plugins")), CheckpointFiles()]
        with trainer_mistakes(options, (ValueError, TypeError, ImportError)):
            trainer = super().instantiate_trainer(**kwargs)
        trainer._signal_connector = OwnSignals(trainer)
        if self.verb in self.model.single_process and trainer.world_size > 1:
            task = type(self.model).__name__
            raise LiftposeError(
                f"trainer.devices: expected 1 for {self.verb} with {task}, found {trainer.world_size} processes"
            )
        if trainer.loggers:
            make_run_folder(folder)
        return trainer

    def _run_subcommand(self, subcommand: str) -> None:
        """Run the verb."""
        quick = self.verb != "fit" or bool(self.config_init[self.verb].trainer.get("fast_dev_run"))
        with (
            nullcontext() if quick else sole_run(self.run_folder),
            trainer_mistakes(dict(self.config_init[self.verb].trainer)),
            interruptions(self.run_folder, subcommand),
            lost_processes(self.run_folder, subcommand),
        ):
            super()._run_subcommand(subcommand)


def check_trainer_options(verb: str, options: dict[str, Any]) -> None:
    """Refuse options of the trainer with which nothing would be done, and some that it does not check itself.

    Args:
        verb: The verb that is run.
        options: The options of the trainer.

    Raises:
        LiftposeError: An option is out of range.
    """
    if options["overfit_batches"]:
        raise LiftposeError(
            f"trainer.overfit_batches: expected 0, found {options['overfit_batches']}; --data.subset trains on less"
        )
    for name in NOTHING_TO_DO[verb]:
        if options[name] == 0:
            raise LiftposeError(f"trainer.{name}: expected a number above 0 for {verb}, found {options[name]}")
    for name, least in TRAINER_LEAST.items():
        if options[name] is not None and options[name] < least:
            raise LiftposeError(f"trainer.{name}: expected a number from {least} up, found {options[name]}")


def _listed(value: Any) -> list[Any]:
    """Return an option that may be left out, given once or given as a list, as a list."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


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

    Raises:
        LiftposeError: The user's files or options are wrong.
    """
    words = [word for place, word in enumerate(words) if word != "all" or words[place - 1] not in {"-h", "--help"}]
    needs_config(words)
    words = resolve_configs(words)
    check_configs(words)
    with warnings.catch_warnings(), _quiet():
        try:
            LiftposeCLI(words)
        except OptionError as error:
            file = config_holding(error.option, words) if error.option else None
            raise LiftposeError(f"{file}: {error}" if file else str(error)) from error
    return 0


def needs_config(words: Sequence[str]) -> None:
    """Refuse a verb without a configuration; the parser would only list what it misses."""
    given = any(
        word in {"-c", "--config", "-h"}
        or word.startswith(("--config=", "--print_config", "--help"))
        or ".help" in word
        for word in words
    )
    if not given and not any(word.startswith("--model") for word in words):
        raise LiftposeError(f"liftpose {words[0]}: expected --config NAME.yaml, found no configuration")


SILENCED_WARNINGS = (
    ".*isinstance.treespec, LeafSpec.*",
    ".*does not have many workers.*",
    ".*sync_dist=True.* when logging on epoch level.*",
    "LightningCLI's args parameter is intended.*",
    ".*callbacks used to create the checkpoint need to be provided.*",
    ".*smaller than the logging interval.*",
    ".*Trainer already configured with model summary callbacks.*",
    ".*is not supported by the model summary.*",  # of mixed precision, whose sizes it cannot tell
    ".*Checkpoint directory .* exists and is not empty.*",  # a training that goes on, or one that is to be overwritten
)
SILENCED_LINES = (
    "Tip:",
    "Detected KeyboardInterrupt",  # the command has its own line for an interruption
    "Seed set to",  # stands in the configuration; an error that follows would not be the only line
    "TPU available",
)
TALKATIVE = (
    "pytorch_lightning.utilities.rank_zero",
    "lightning_fabric.utilities.rank_zero",
    "lightning_fabric.utilities.seed",
)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what Lightning says that does not apply: hints on workers, advertisements, deprecations in libraries."""
    loggers = [logging.getLogger(name) for name in TALKATIVE]
    for logger in loggers:
        logger.addFilter(_is_wanted)
    try:
        for message in SILENCED_WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(_is_wanted)


def _is_wanted(record: logging.LogRecord) -> bool:
    """Return whether a line of Lightning's log applies."""
    return not any(words in record.getMessage() for words in SILENCED_LINES)
