"""The part that all training recipes share."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import pytorch_lightning as pl
from pytorch_lightning.plugins import MixedPrecision
from torch import Tensor, nn

from liftpose.errors import LiftposeError

__all__ = ["BaseTask"]

WITHIN_EPOCH = {
    *("training_step", "on_train_batch_start", "on_train_batch_end", "on_before_zero_grad", "on_before_backward"),
    *("on_after_backward", "on_before_optimizer_step", "optimizer_step"),
}
"""Names of the hooks that are called for every training batch."""


class BaseTask(pl.LightningModule, ABC):
    """A training recipe: models, losses, metrics and steps of one system.

    The constructor saves the subclass's arguments as hyper-parameters; the subclass then stores what it was given and
    calls :meth:`configure`.

    Attributes:
        architecture: Names of the hyper-parameters that decide which weights fit; a checkpoint for evaluation has to
            agree with the configuration in these.
        not_compared: Names of the hyper-parameters that may differ between a checkpoint and the run that resumes it.
        single_process: Verbs that cannot be spread over several processes.
        monitor: Name of the logged metric that chooses the best checkpoint.
        mode: Whether the best value of ``monitor`` is the smallest ("min") or the largest ("max").
        data_modules: The data modules that give what the steps take; each has a method ``check(verb, network)``.
    """

    architecture: ClassVar[tuple[str, ...]] = ()
    not_compared: ClassVar[tuple[str, ...]] = ()
    single_process: ClassVar[tuple[str, ...]] = ("predict",)  # files of whole recordings
    monitor: str = "val_loss"
    mode: ClassVar[str] = "min"
    data_modules: ClassVar[tuple[type[pl.LightningDataModule], ...]]

    def __init__(self) -> None:
        super().__init__()
        self.loss_weight = 1.0
        self._save_arguments()

    def configure(self) -> None:
        """Prepare networks, losses and metrics, in this order."""
        self.configure_models()
        self.configure_losses()
        self.configure_metrics()

    def _save_arguments(self) -> None:
        """Save the constructor's arguments as hyper-parameters.

        From the command these are the parsed values of the configuration; a network that was built in Python and given
        as an object is left out, since only plain values can be loaded safely again.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*is an instance of `nn.Module`.*")
            self.save_hyperparameters(logger=False)
        modules = [name for name, value in self.hparams.items() if isinstance(value, nn.Module)]
        for name in modules:
            del self.hparams[name]
        self.save_hyperparameters(ignore=modules)

    def prepare_epoch(self) -> None:
        """Set what depends on the number of the epoch; also called when a run goes on in the middle of one."""

    def on_train_epoch_start(self) -> None:
        """Set what depends on the number of the epoch."""
        self.prepare_epoch()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Take the weight of the batch's share that this process has.

        Args:
            batch: The batch; one without ``weight`` counts as much as those of the other processes.
            batch_idx: Number of the batch in the epoch.
        """
        self.loss_weight = float(getattr(batch, "weight", 1.0))

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Compute the gradients of a loss, which are then averaged over the processes.

        Args:
            loss: () mean over the samples of this process.
            args: What torch's ``backward`` takes.
            kwargs: The same by name.
        """
        # Where the shares of a batch differ, a mean of means would make some samples count more than others.
        super().backward(loss if self.loss_weight == 1 else loss * self.loss_weight, *args, **kwargs)

    def log(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Log a value, as Lightning does.

        Args:
            name: Name of the value.
            args: Arguments of ``LightningModule.log``.
            kwargs: The same by name.

        Raises:
            ValueError: The value of a training batch is to be averaged over the epoch.
        """
        if kwargs.get("on_epoch") and self._current_fx_name in WITHIN_EPOCH:
            raise ValueError(
                f"{name}: expected a metric for the mean over an epoch, found on_epoch=True: what Lightning adds up "
                "itself is lost when a run is resumed in the middle of an epoch"
            )
        super().log(name, *args, **kwargs)

    @property
    @abstractmethod
    def main_network(self) -> nn.Module:
        """The network that the data have to fit."""

    def may_fuse(self, parameters: Iterable[Tensor]) -> bool | None:
        """Return whether an optimiser may do its step in one pass over the weights instead of about ten.

        Args:
            parameters: What it trains.

        Returns:
            What torch's optimisers take as ``fused``.
        """
        # Lightning refuses to clip gradients for such an optimiser in mixed precision.
        trainer = self._trainer
        clips_in_mixed_precision = (
            trainer is not None
            and bool(trainer.gradient_clip_val)
            and isinstance(trainer.precision_plugin, MixedPrecision)
        )
        on_known_device = all(parameter.device.type in {"cpu", "cuda"} for parameter in parameters)
        return True if on_known_device and not clips_in_mixed_precision else None

    @abstractmethod
    def configure_models(self) -> None:
        """Prepare the networks."""

    def configure_losses(self) -> None:
        """Prepare the losses."""

    @abstractmethod
    def configure_metrics(self) -> None:
        """Prepare the metrics."""

    def check_trainer(self, options: Mapping[str, Any]) -> None:
        """Refuse options of the trainer with which a training would not do what the recipe says.

        Args:
            options: The options of the trainer.

        Raises:
            LiftposeError: An option does not fit.
        """

    def check_data(self, verb: str, data: pl.LightningDataModule) -> None:
        """Refuse data that lack something which the recipe needs, before anything is written.

        Args:
            verb: "fit", "validate", "test" or "predict".
            data: A data module of one of the kinds that the task takes, after its own check.

        Raises:
            LiftposeError: Something is missing.
        """

    def evaluated(self, names: Iterable[str]) -> list[str]:
        """Return which of a checkpoint's weights an evaluation needs.

        Args:
            names: Names of weights.
        """
        return list(names)

    def trained_parameters(self) -> list[list[nn.Parameter]]:
        """Return what each optimiser trains, in the order of the optimisers."""
        return [[parameter for parameter in self.parameters() if parameter.requires_grad]]

    def check(self, verb: str, checkpoint: str | None) -> None:
        """Refuse a run that cannot work before anything is written.

        Args:
            verb: "fit", "validate", "test" or "predict".
            checkpoint: The checkpoint that was given, if any.

        Raises:
            LiftposeError: The options do not fit together.
        """
        if verb != "fit" and checkpoint is None:
            raise LiftposeError(f"--ckpt_path: expected the checkpoint to {verb} with, found none")
