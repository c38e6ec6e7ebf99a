"""The loops of a training that can be stopped and resumed between any two batches.

Lightning's own loops resume at the end of an epoch at best: in the middle of one they start the data again, skip the
epoch's last steps of some schedulers, and mend counters according to the hook from which the checkpoint was saved.
These loops save at two places only, before an epoch and before a batch, where all that belongs to the batch before is
done: logged, validated, counted. So nothing has to be mended. (Tied to Lightning 2.6: its loops are not public.)
"""

from __future__ import annotations

from typing import Any, Protocol

import pytorch_lightning as pl
from pytorch_lightning.loops.fetchers import _DataFetcher
from pytorch_lightning.loops.fit_loop import _FitLoop
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop

from liftpose.errors import LiftposeError

__all__ = ["Keeper", "use_run_loops"]


class Keeper(Protocol):
    """Who is told where the loops are."""

    def before_epoch(self, trainer: pl.Trainer) -> None:
        """An epoch is about to begin, or the training to end."""

    def before_batch(self, trainer: pl.Trainer) -> None:
        """A batch is about to be fetched."""

    def before_validation(self, trainer: pl.Trainer) -> None:
        """A validation within the training is about to begin."""

    def resume(self, trainer: pl.Trainer) -> bool:
        """A run that goes on is where it was saved.

        Returns:
            Whether it was stopped in a validation, which then has to be done first.
        """


def use_run_loops(trainer: pl.Trainer, keeper: Keeper) -> None:
    """Let a trainer train with the loops of this module.

    Args:
        trainer: A trainer that has not begun to train.
        keeper: Is told before every epoch and every batch.
    """
    # The trainer has built its loops and attached the data to them; only what they do is exchanged.
    trainer.fit_loop.__class__ = _RunFitLoop
    trainer.fit_loop.epoch_loop.__class__ = _RunEpochLoop
    trainer.fit_loop.keeper = keeper  # type: ignore[attr-defined]  # declared in the class that it now has


class _RunFitLoop(_FitLoop):
    """Lightning's loop over epochs."""

    keeper: Keeper

    def on_advance_start(self) -> None:
        """Tell the keeper before an epoch begins; prepare the task where it goes on in the middle of one."""
        if self.restarted_mid_epoch:
            # Lightning calls no hook of the epoch's start then, which is right for logs and wrong for settings.
            getattr(self.trainer.lightning_module, "prepare_epoch", _nothing)()
        else:
            self.keeper.before_epoch(self.trainer)
        super().on_advance_start()

    def on_run_end(self) -> None:
        """Tell the keeper before the hooks of the training's end."""
        self.keeper.before_epoch(self.trainer)
        super().on_run_end()


class _RunEpochLoop(_TrainingEpochLoop):
    """Lightning's loop over batches."""

    def reset(self) -> None:
        """Begin an epoch, or go on in the middle of one with the counters as they were saved."""
        mid_epoch = self._fit_loop.restarted_mid_epoch
        self._continued = self.batch_progress.current.completed if mid_epoch else 0
        # All flags at once: while one of them stands, Lightning leaves out schedulers and validations.
        self._fit_loop._restarting = False
        self.restarting = False
        if not mid_epoch:
            super().reset()

    def on_run_start(self, data_fetcher: _DataFetcher) -> None:
        """Start the data at the batch that comes next."""
        if self._continued:
            loader = self._fit_loop._combined_loader
            for each in loader.flattened if loader is not None else ():
                _start_at(each, self._continued)
        if self._fit_loop.is_resuming:
            iter(data_fetcher)  # the loop over epochs has done it before the place was known
        super().on_run_start(data_fetcher)
        # Here and not earlier: a loader that is started may draw from torch's generator, which is set back now.
        if self._continued and self._fit_loop.keeper.resume(self.trainer):
            self.on_advance_end(data_fetcher)

    def advance(self, data_fetcher: _DataFetcher) -> None:
        """Tell the keeper before a batch is fetched."""
        self._fit_loop.keeper.before_batch(self.trainer)
        super().advance(data_fetcher)

    def on_advance_end(self, data_fetcher: _DataFetcher) -> None:
        """Tell the keeper before a validation begins."""
        if self._should_check_val_fx(data_fetcher):
            self._fit_loop.keeper.before_validation(self.trainer)
        super().on_advance_end(data_fetcher)

    def _broadcast_sigterm_tensor(self) -> None:
        """Exchange nothing: the keeper has done it, less often and without waiting for the GPU."""

    @property
    def _fit_loop(self) -> _RunFitLoop:
        loop = self.trainer.fit_loop
        assert isinstance(loop, _RunFitLoop)  # noqa: S101  # both classes are set together
        return loop


def _start_at(loader: Any, batch: int) -> None:
    """Let the next epoch of a loader start at a batch.

    Raises:
        LiftposeError: The loader cannot.
    """
    sampler = getattr(loader, "sampler", None)
    start_at = getattr(sampler, "start_at", None)
    if start_at is None or batch > len(loader):
        reason = "cannot begin within an epoch" if start_at is None else f"has {len(loader)} batches only"
        raise LiftposeError(
            f"--ckpt_path: expected a checkpoint from the end of an epoch, because {type(sampler).__name__} {reason}, "
            f"found one after {batch} batches"
        )
    start_at(batch)


def _nothing() -> None:
    """Stands for a hook that a task does not have."""
